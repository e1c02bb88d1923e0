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

use protocol::facts::Facts;
use protocol::hash::Commitment;

use self::argument::Argument;
pub use self::moves::{Divergence, Move, SolveError};
use self::moves::{Next, Reasoned, stuck};
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
        let boundary = match self.first_difference(argument)? {
            Next::Known(boundary) => boundary,
            Next::Ask(end) => return Ok(end),
        };
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
