//! Moves, and what they are made of.

use std::collections::BTreeSet;

use inference::RunError;
use protocol::asks::{Ask, Refutation, Showing, Tree};
use protocol::hash::Digest;

/// What to do next in a dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Demand an answer.
    Demand {
        /// What is proven first.
        showings: Vec<Showing>,
        /// What the executor must answer.
        ask: Ask,
        /// The way from the asked place up to what it builds on, lowest sibling first.
        path: Vec<Digest>,
        /// What this challenge asked last, where the move builds on it.
        from: Option<Ask>,
        /// Why, for people.
        reason: String,
    },
    /// End the dispute.
    Refute {
        /// What is proven first.
        showings: Vec<Showing>,
        /// The refutation.
        refutation: Refutation,
        /// What this challenge asked last, where the move builds on it.
        from: Option<Ask>,
        /// Why, for people.
        reason: String,
    },
}

/// Where the views part, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divergence {
    /// The iteration.
    pub iteration: Option<u32>,
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
        /// What is missing, or what the ledger would say to the move.
        what: String,
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

pub(super) fn stuck(what: impl Into<String>) -> SolveError {
    SolveError::Stuck { what: what.into() }
}

/// What a move asks for or refutes, and why.
pub(super) struct Reasoned {
    pub(super) end: End,
    pub(super) reason: String,
}

/// How a move ends; its proofs are made once it is decided.
pub(super) enum End {
    /// Open a node of a tree.
    Open(At),
    /// Show the leaves below a node of a tree.
    Leaves(At),
    /// Say the root of a tree.
    Say(Tree),
    /// Refute the claim.
    Refute(Fault),
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) tree: Tree,
    pub(super) depth: u32,
    pub(super) index: u64,
}

/// What is false.
pub(super) enum Fault {
    Step(FalseStep),
    Binding { layer: u32, operator: u32 },
    Carry { layer: u32, value: u32 },
    StateValue { boundary: u32, position: u32 },
    Leaf { operator: u32, leaf: u64 },
    Link { input: u32 },
    Entry,
    Stop { iteration: u32 },
}

/// A step that is false.
pub(super) struct FalseStep {
    pub(super) layer: u32,
    pub(super) operator: u32,
    pub(super) element: u64,
    /// The segment; the number of segments for the last step, from the last sums into the element.
    pub(super) segment: u64,
    /// The claimed words before it; `None` at the first.
    pub(super) before: Option<Vec<u64>>,
    /// Leaves of the element's sums that the step needs.
    pub(super) sums: BTreeSet<u64>,
    /// The leaf that holds the element, where the step ends in it.
    pub(super) leaf: Option<u64>,
    /// Whether the law gives a result.
    pub(super) has_result: bool,
}

/// Something that follows from what is known, or what must be asked first.
pub(super) enum Next<T> {
    Known(T),
    Ask(Reasoned),
}

pub(super) fn reasoned(end: End, reason: impl Into<String>) -> Reasoned {
    Reasoned { end, reason: reason.into() }
}

pub(super) fn refute(fault: Fault, reason: impl Into<String>) -> Reasoned {
    reasoned(End::Refute(fault), reason)
}
