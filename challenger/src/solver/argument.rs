//! What is known in the course of one move, and what is shown for it.

use std::borrow::Cow;

use protocol::facts::{Facts, Showing};
use protocol::hash::Commitment;

use super::moves::{End, Move, Reasoned};

/// The knowledge of a claim, with what this move shows already part of it.
pub(super) struct Argument<'a, C: Commitment> {
    /// Most moves show nothing, so that the facts are copied only when one does.
    knowledge: Cow<'a, Facts<C>>,
    showings: Vec<Showing>,
}

impl<'a, C: Commitment> Argument<'a, C> {
    /// From what is known before anything is shown.
    pub(super) fn new(facts: &'a Facts<C>) -> Self {
        Self { knowledge: Cow::Borrowed(facts), showings: Vec::new() }
    }

    /// What is known by now.
    pub(super) fn known(&self) -> &Facts<C> {
        &self.knowledge
    }

    /// Shows something, unless it does not follow from the claim; whether it does.
    pub(super) fn show(&mut self, showing: Showing) -> bool {
        let is_shown = self.knowledge.to_mut().show(&showing).is_ok();
        if is_shown {
            self.showings.push(showing);
        }
        is_shown
    }

    /// The move, with all that was shown.
    pub(super) fn end(self, Reasoned { end, reason }: Reasoned) -> Move {
        let showings = self.showings;
        match end {
            End::Demand(request) => Move::Demand { showings, request, reason },
            End::Refute(refutation) => Move::Refute { showings, refutation, reason },
        }
    }
}
