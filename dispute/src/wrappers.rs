//! Dishonest ways to play, around the real cores.

use ledger::View;
use node::{Core, Decision};
use protocol::transaction::Action;

/// Answers a number of demands, then falls silent (ATTACKS 28).
#[derive(Debug)]
pub struct Muted<C> {
    inner: C,
    reveals_left: u32,
}

impl<C> Muted<C> {
    /// Silent after `reveals` answers; 0 is silent from the start.
    pub fn new(inner: C, reveals: u32) -> Self {
        Self { inner, reveals_left: reveals }
    }
}

impl<C: Core> Core for Muted<C> {
    fn decide(&mut self, view: &View) -> Vec<Decision> {
        let mut decisions = self.inner.decide(view);
        decisions.retain(|decision| match decision.action {
            Action::Reveal { .. } if self.reveals_left == 0 => false,
            Action::Reveal { .. } => {
                self.reveals_left -= 1;
                true
            }
            _ => true,
        });
        decisions
    }

    fn troubles(&self) -> Vec<String> {
        self.inner.troubles()
    }
}

/// Sends every move twice, and moves of others once more (ATTACKS 24, 25).
#[derive(Debug)]
pub struct Stubborn<C>(pub C);

impl<C: Core> Core for Stubborn<C> {
    fn decide(&mut self, view: &View) -> Vec<Decision> {
        let decisions = self.0.decide(view);
        decisions.into_iter().flat_map(|decision| [decision.clone(), decision]).collect()
    }

    fn troubles(&self) -> Vec<String> {
        self.0.troubles()
    }
}
