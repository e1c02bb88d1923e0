//! A committed run: the states between layers.

use std::time::{Duration, Instant};

use protocol::hash::{Commitment, Digest, Keccak, Tag};
use protocol::merkle::ListTree;
use protocol::tensor::TensorType;

use crate::engine::EngineError;
use crate::state::State;

/// Why a model cannot be run on these inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// An input is missing.
    #[error("input {name} is missing; the model needs {wanted}")]
    MissingInput {
        /// Its name.
        name: String,
        /// All inputs of the model.
        wanted: String,
    },
    /// An input has another type.
    #[error("input {name} is {found} and must be {wanted}")]
    WrongInput {
        /// Its name.
        name: String,
        /// Type given.
        found: String,
        /// Type of the model.
        wanted: String,
    },
    /// An operator failed.
    #[error("operator {operator} (ONNX node {name}): {error}")]
    Operator {
        /// Index of the operator.
        operator: u32,
        /// ONNX node it came from.
        name: String,
        /// What happened.
        error: EngineError,
    },
    /// An iteration that is computed again gives another trace.
    #[error(
        "iteration {iteration} gives another trace than when it was run first: this machine cannot be relied on; stop it and look for what changed"
    )]
    Differs {
        /// Index of the iteration.
        iteration: u32,
    },
    /// Something that the model does not have was asked for.
    #[error("the model has no {what}")]
    NotInModel {
        /// What was asked for.
        what: String,
    },
}

/// Text of a type, as users write it.
pub fn type_text(kind: &TensorType) -> String {
    format!("{}{:?}", kind.element.name(), kind.shape.dimensions())
}

/// A committed run.
#[derive(Clone, Debug)]
pub struct Trace<C: Commitment = Keccak> {
    states: Vec<State<C>>,
    state_roots: Vec<Digest>,
    tree: ListTree<C>,
    /// Time of the operators, as it passed; hashing beside them may have slowed them.
    pub inference: Duration,
    /// Time of hashing the states, as it passed in the threads that hashed.
    pub commit: Duration,
}

impl<C: Commitment> Trace<C> {
    /// The trace of a run, committed to by these state roots; `None` when there are no states.
    pub(crate) fn new(
        states: Vec<State<C>>,
        state_roots: Vec<Digest>,
        inference: Duration,
        commit: Duration,
    ) -> Option<Self> {
        let started = Instant::now();
        let leaves: Vec<Digest> = state_roots.iter().map(|root| C::leaf(&root.0)).collect();
        let tree = ListTree::new(Tag::Trace, &leaves)?;
        let commit = commit + started.elapsed();
        Some(Self { states, state_roots, tree, inference, commit })
    }

    /// The trace root.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The tree of the state roots.
    pub fn tree(&self) -> &ListTree<C> {
        &self.tree
    }

    /// The state at a boundary.
    pub fn state(&self, boundary: u32) -> Option<&State<C>> {
        self.states.get(boundary as usize)
    }

    /// All states.
    pub fn states(&self) -> &[State<C>] {
        &self.states
    }

    /// The state roots, as the trace commits to them.
    pub fn state_roots(&self) -> &[Digest] {
        &self.state_roots
    }

    /// Bytes of all states. What passes a layer counts in each and is hashed once.
    pub fn hashed_bytes(&self) -> u64 {
        self.states.iter().map(State::bytes).sum()
    }
}
