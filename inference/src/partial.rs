//! What a run gives: a trace, or as much of one as there is before an operator without a result.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use protocol::hash::{Commitment, Digest, Keccak, Tag};
use protocol::merkle::ListTree;

use crate::engine::EngineError;
use crate::state::State;
use crate::trace::{RunError, Trace};

/// What a run gives.
#[derive(Clone, Debug)]
pub enum Outcome<C: Commitment = Keccak> {
    /// Every operator has a result.
    Whole(Trace<C>),
    /// One has none: no claim on this input is true.
    Partial(PartialTrace<C>),
}

impl<C: Commitment> Outcome<C> {
    /// Roots of the states that there are, the input's first.
    pub fn state_roots(&self) -> &[Digest] {
        match self {
            Self::Whole(trace) => trace.state_roots(),
            Self::Partial(trace) => trace.state_roots(),
        }
    }

    /// The state at a boundary, if there is one.
    pub fn state(&self, boundary: u32) -> Option<&State<C>> {
        let states = match self {
            Self::Whole(trace) => trace.states(),
            Self::Partial(trace) => trace.states(),
        };
        states.get(boundary as usize)
    }

    /// The last state that there is.
    pub fn last_state(&self) -> Option<&State<C>> {
        match self {
            Self::Whole(trace) => trace.states().last(),
            Self::Partial(trace) => trace.states().last(),
        }
    }

    /// The trace root; `None` where no claim is true.
    pub fn root(&self) -> Option<Digest> {
        match self {
            Self::Whole(trace) => Some(trace.root()),
            Self::Partial(_) => None,
        }
    }

    /// Whether both commit to the same states and end at the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        let end = |outcome: &Self| match outcome {
            Self::Whole(_) => None,
            Self::Partial(trace) => Some(Arc::clone(trace.no_result())),
        };
        self.state_roots() == other.state_roots() && end(self) == end(other)
    }

    /// What it is, for people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Whole(trace) => format!("the trace {}", trace.root()),
            Self::Partial(trace) => format!("no result ({})", trace.no_result()),
        }
    }
}

/// Why a run ends before its last layer: an operator that has no result for its operands, by the law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoResult {
    /// The layer that it is in.
    pub layer: u32,
    /// The operator: the first in the model's order.
    pub operator: u32,
    /// Its kind.
    pub kind: &'static str,
    /// ONNX node it came from.
    pub name: String,
    /// The first element of its output, in ascending order, for which the law gives no result.
    pub element: u64,
}

impl NoResult {
    /// As the error of a run that must have a result.
    pub fn error(&self) -> RunError {
        RunError::Operator {
            operator: self.operator,
            name: self.name.clone(),
            error: EngineError::Undefined { kind: self.kind, element: self.element },
        }
    }
}

impl fmt::Display for NoResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(formatter)
    }
}

/// The committed states before the layer in which an operator has no result.
#[derive(Clone, Debug)]
pub struct PartialTrace<C: Commitment = Keccak> {
    states: Vec<State<C>>,
    state_roots: Vec<Digest>,
    tree: ListTree<C>,
    no_result: Arc<NoResult>,
    /// Time of the operators, as it passed.
    pub inference: Duration,
    /// Time of hashing the states, as it passed.
    pub commit: Duration,
}

impl<C: Commitment> PartialTrace<C> {
    /// The first of so many states; `None` unless the last of them is the one before the layer without a
    /// result.
    pub(crate) fn new(
        states: Vec<State<C>>,
        state_roots: Vec<Digest>,
        state_count: u32,
        no_result: NoResult,
        (inference, commit): (Duration, Duration),
    ) -> Option<Self> {
        let known = u32::try_from(states.len()).ok()?;
        if known.checked_sub(1) != Some(no_result.layer) || known >= state_count {
            return None;
        }
        let roots = state_roots.iter().map(|root| C::leaf(&root.0));
        let missing = (known..state_count).map(|_| Digest::default());
        let tree = ListTree::new(Tag::Trace, &roots.chain(missing).collect::<Vec<_>>())?;
        let no_result = Arc::new(no_result);
        Some(Self { states, state_roots, tree, no_result, inference, commit })
    }

    /// The states before the layer without a result, the input's first.
    pub fn states(&self) -> &[State<C>] {
        &self.states
    }

    /// Their roots.
    pub fn state_roots(&self) -> &[Digest] {
        &self.state_roots
    }

    /// A tree of the shape of a whole trace, in which the states that there are not stand empty: what is above
    /// them is nobody's commitment.
    pub fn tree(&self) -> &ListTree<C> {
        &self.tree
    }

    /// Where the run ends, and why.
    pub fn no_result(&self) -> &Arc<NoResult> {
        &self.no_result
    }
}
