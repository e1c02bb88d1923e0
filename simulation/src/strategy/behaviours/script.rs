//! A party that makes the moves that somebody wrote down, and no others.

use protocol::hash::Commitment;
use protocol::transaction::Action;

use super::super::{Intent, Sight, Strategy};

/// Sends each move at its time, once.
#[derive(Clone, Debug)]
pub struct Script {
    /// What is still to be sent and when, in this order.
    moves: std::collections::VecDeque<(u64, Action)>,
}

impl Script {
    /// A script of moves with the ledger's time at which each is sent.
    pub fn new(moves: impl IntoIterator<Item = (u64, Action)>) -> Self {
        Self { moves: moves.into_iter().collect() }
    }
}

impl<C: Commitment> Strategy<C> for Script {
    fn play(&mut self, sight: &mut Sight<'_, C>, _intents: Vec<Intent>) -> Vec<Intent> {
        let mut due = Vec::new();
        while let Some((_, action)) = self.moves.pop_front_if(|(at_ms, _)| *at_ms <= sight.now_ms) {
            due.push(Intent::new(action));
        }
        due
    }

    fn next_look_ms(&self) -> Option<u64> {
        self.moves.front().map(|(at_ms, _)| *at_ms)
    }

    boxed!();
}
