//! The solver: from what is known of a claim to the next move.
//!
//! A pure function of the claim's facts and the challenger's own run. Asked again after every
//! answer, it goes one step further down: layer ([`trace`]), operator or contradiction ([`layer`]), leaf,
//! sum and step ([`operator`]). What it compares is in [`descent`], what it proves in [`proof`].

mod argument;
mod descent;
mod layer;
mod operator;
mod proof;
mod trace;

use inference::RunError;
use protocol::facts::{Facts, Request, Showing};
use protocol::hash::Commitment;
use protocol::referee::Refutation;

use self::argument::Argument;
use crate::case::Case;

/// What to do next in a dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Demand an opening.
    Demand {
        /// What is proven first.
        showings: Vec<Showing>,
        /// What the executor must open.
        request: Request,
        /// Why, for people.
        reason: String,
    },
    /// End the dispute.
    Refute {
        /// What is proven first.
        showings: Vec<Showing>,
        /// The refutation.
        refutation: Refutation,
        /// Why, for people.
        reason: String,
    },
}

/// Where the views part, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divergence {
    /// The layer.
    pub layer: Option<u32>,
    /// The operator.
    pub operator: Option<u32>,
    /// Flat index of the element.
    pub element: Option<u64>,
    /// The run of 64.
    pub run: Option<u64>,
}

/// Why there is no next move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// The claim equals the challenger's own run.
    #[error("the claim equals this challenger's own run; there is nothing to refute")]
    NothingDiffers,
    /// The challenger's own run does not fit what is known.
    #[error("the next move cannot be built: {what}; check this challenger's model and engine")]
    Stuck {
        /// What is missing.
        what: &'static str,
    },
    /// A layer could not be recomputed.
    #[error(transparent)]
    Run(#[from] RunError),
}

fn stuck(what: &'static str) -> SolveError {
    SolveError::Stuck { what }
}

type Solved = Result<Move, SolveError>;

impl<C: Commitment> Case<C> {
    /// The next move against a claim with this trace root and these facts.
    ///
    /// # Errors
    /// When nothing differs, or the challenger's own view does not fit the facts.
    pub fn next_move(&self, facts: &Facts<C>) -> Solved {
        self.next_move_watched(facts, &mut Divergence::default())
    }

    /// As [`Case::next_move`], also telling where the views part.
    ///
    /// # Errors
    /// As [`Case::next_move`].
    pub fn next_move_watched(&self, facts: &Facts<C>, found: &mut Divergence) -> Solved {
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
        let layer = boundary.checked_sub(1).ok_or(stuck("the input states differ"))?;
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

/// What a move asks for or refutes, and why.
struct Reasoned {
    end: End,
    reason: String,
}

/// How a move ends.
enum End {
    Demand(Request),
    Refute(Refutation),
}

/// Something that follows from what is known, or what must be asked first.
enum Next<T> {
    Known(T),
    Ask(Reasoned),
}

fn demand(request: Request, reason: impl Into<String>) -> Reasoned {
    Reasoned { end: End::Demand(request), reason: reason.into() }
}

fn refute(refutation: Refutation, reason: impl Into<String>) -> Reasoned {
    Reasoned { end: End::Refute(refutation), reason: reason.into() }
}

#[cfg(test)]
mod tests;
