//! The solver: from what is known of a claim to the next move.
//!
//! A pure function of the claim's facts and the challenger's own run. Asked again after every
//! answer, it goes one step further down: layer ([`trace`]), operator or contradiction ([`layer`]), leaf,
//! sum and step ([`operator`]). What it compares is in [`descent`], what it proves in [`proof`].
//!
//! Where the run has no result, whatever is claimed there differs: the way ends at the element for which the
//! law gives nothing, unless the claim lies before.

mod argument;
mod descent;
mod layer;
mod moves;
mod operator;
mod proof;
mod trace;

use protocol::facts::{Facts, Request, TreeId};
use protocol::hash::Commitment;

use self::argument::Argument;
pub use self::moves::{Divergence, Move, SolveError};
use self::moves::{End, Next, Reasoned, stuck};
use crate::honest_view::HonestView;

impl<C: Commitment> HonestView<C> {
    /// The next move against a claim with this trace root and these facts.
    ///
    /// # Errors
    /// When nothing differs, or the challenger's own view does not fit the facts.
    pub fn next_move(&self, facts: &Facts<C>) -> Result<Move, SolveError> {
        self.next_move_watched(facts, &mut Divergence::default())
    }

    /// As [`HonestView::next_move`], also telling where the views part.
    ///
    /// # Errors
    /// As [`HonestView::next_move`].
    pub fn next_move_watched(
        &self,
        facts: &Facts<C>,
        found: &mut Divergence,
    ) -> Result<Move, SolveError> {
        let mut argument = Argument::new(facts);
        let end = self.decide(&mut argument, found)?;
        Ok(argument.end(end))
    }

    /// What the move asks for or refutes; what it needs is shown in the argument.
    fn decide(
        &self,
        argument: &mut Argument<'_, C>,
        found: &mut Divergence,
    ) -> Result<Reasoned, SolveError> {
        self.show_published_trace(argument);
        if let Some(boundary) = self.nearest_to_its_end(argument) {
            return self.below(argument, boundary, found);
        }
        match self.first_difference(argument)? {
            Next::Known(boundary) => self.below(argument, boundary, found),
            Next::Ask(end) => Ok(end),
        }
    }

    /// Of the differences that are known, the one that takes fewest demands from here: what others show can then
    /// only bring the end nearer. Always going to the first one, an accomplice of the executor could show an
    /// earlier one whenever the last demand is near, until none is left.
    fn nearest_to_its_end(&self, argument: &Argument<'_, C>) -> Option<u32> {
        let facts = argument.known();
        let differences = self.shown_differences(facts);
        let is_begun = |boundary: &&u32| {
            let layer = boundary.saturating_sub(1);
            facts.root(TreeId::Subtrace { layer }).is_some()
        };
        let remaining = |boundary: &&u32| {
            let mut trial = Argument::new(facts);
            let next = self.below(&mut trial, **boundary, &mut Divergence::default());
            next.map_or(u32::MAX, |next| self.demands_left(&next))
        };
        let begun = differences.iter().filter(is_begun).min_by_key(remaining);
        begun.or(differences.first()).copied()
    }

    /// Demands from a move to the end of its way, this one counted; as far as it can be told from the move.
    fn demands_left(&self, next: &Reasoned) -> u32 {
        const UNKNOWN: u32 = 1_000;
        match &next.end {
            End::Refute(_) => 0,
            End::Demand(Request::Accumulators { .. }) => 1,
            End::Demand(Request::Leaf { .. }) => 2,
            End::Demand(Request::Node { tree: TreeId::Tensor { operator }, depth, .. }) => {
                let shape = self.model().node(*operator).and_then(|node| node.output.tree_shape());
                let levels = shape.map_or(0, |shape| shape.depth().saturating_sub(*depth));
                2 + levels
            }
            End::Demand(Request::Node { .. } | Request::Subtrace { .. }) => UNKNOWN,
        }
    }

    /// The next move into the layer before a boundary at which the states differ.
    fn below(
        &self,
        argument: &mut Argument<'_, C>,
        boundary: u32,
        found: &mut Divergence,
    ) -> Result<Reasoned, SolveError> {
        let Some(layer) = boundary.checked_sub(1) else {
            #[cfg(test)]
            cov_mark::hit!(input_states_differ);
            return Err(stuck("the input states differ"));
        };
        found.layer = Some(layer);
        self.show_layer(argument, layer)?;
        let operator = match self.first_operator(argument, layer)? {
            Some(Next::Known(operator)) => operator,
            Some(Next::Ask(end)) => return Ok(end),
            None => return self.contradiction(argument, layer),
        };
        found.operator = Some(operator);
        self.inside_operator(argument, layer, operator, found)
    }
}

#[cfg(test)]
mod tests;
