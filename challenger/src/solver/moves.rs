//! Moves, and what they are made of.

use inference::RunError;
use protocol::facts::{Request, Showing};
use protocol::referee::Refutation;

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
    /// The segment: 64 products or elements of its sum.
    pub segment: Option<u64>,
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
    /// The challenger's own run of the job is not in memory.
    #[error(
        "the run of its job is not made yet; see `unchecked` in the status for what it waits for"
    )]
    RunMissing,
    /// A layer could not be recomputed.
    #[error(transparent)]
    Run(#[from] RunError),
}

pub(super) fn stuck(what: &'static str) -> SolveError {
    SolveError::Stuck { what }
}

/// What a move asks for or refutes, and why.
pub(super) struct Reasoned {
    pub(super) end: End,
    pub(super) reason: String,
}

/// How a move ends.
pub(super) enum End {
    Demand(Request),
    Refute(Refutation),
}

/// Something that follows from what is known, or what must be asked first.
pub(super) enum Next<T> {
    Known(T),
    Ask(Reasoned),
}

pub(super) fn demand(request: Request, reason: impl Into<String>) -> Reasoned {
    Reasoned { end: End::Demand(request), reason: reason.into() }
}

pub(super) fn refute(refutation: Refutation, reason: impl Into<String>) -> Reasoned {
    Reasoned { end: End::Refute(refutation), reason: reason.into() }
}
