//! The layer referee: re-runs one whole layer with the engine, from committed inputs and weights.
//!
//! For ledgers whose operator accepts it, and as a cross-check of the step referee.

use protocol::asks::Tree;
use protocol::hash::{Digest, Keccak};
use protocol::knowledge::{Knowledge, ShownSums};
use protocol::roots::root_leaf;
use protocol::tensor::leaf_element;

use crate::engine::{Engine, EngineError};
use crate::model::Model;
use crate::runner::Runner;
use crate::state::State;
use crate::trace::RunError;

/// The trace of a run of one iteration.
const TRACE: Tree = Tree::Trace { iteration: 0 };

/// What the layer referee found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerFinding {
    /// The layer gives the state that was claimed.
    Sound,
    /// The layer gives another state.
    Fraud {
        /// Leaf of the claimed state in the trace.
        claimed: Digest,
        /// Leaf of the state that the layer gives.
        expected: Digest,
    },
    /// An operator of the layer has no result, so that no state after it is right.
    NoResult {
        /// The operator.
        operator: u32,
        /// Flat index of its first element without a result.
        element: u64,
    },
    /// The layer gives the state that was claimed, but not the running sums that were opened.
    FalseSums {
        /// The operator.
        operator: u32,
        /// Flat index of the element.
        element: u64,
    },
}

impl LayerFinding {
    /// Whether the claim is false in this layer.
    pub fn is_fraud(&self) -> bool {
        *self != Self::Sound
    }
}

/// Why the layer referee cannot judge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerRefereeError {
    /// The given state is not the one the claim committed to before the layer.
    #[error("the given state is not the one that was committed before layer {layer}")]
    OtherState {
        /// The layer.
        layer: u32,
    },
    /// The model is not the one of the claim.
    #[error("the model's root is not the claim's")]
    OtherModel,
    /// The claim is on a run of several iterations, of which a layer says nothing by itself.
    #[error(
        "the claim is on a run of {iterations} iterations; only runs of one are judged by layers"
    )]
    Iterations {
        /// Their number.
        iterations: u32,
    },
    /// The state after the layer was never opened.
    #[error("the claimed state after layer {layer} is not open")]
    NotOpen {
        /// The layer.
        layer: u32,
    },
    /// The layer cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Re-runs a layer and compares with what the claim committed to.
///
/// A state before the layer of which nothing is known is the caller's to vouch for: those before the first that
/// differs are the caller's own.
///
/// # Errors
/// When the state or the model are not the claim's, or the layer cannot be run.
pub fn judge_layer(
    engine: &Engine,
    model: &Model,
    known: &Knowledge,
    layer: u32,
    before: &State,
) -> Result<LayerFinding, LayerRefereeError> {
    if *known.header() != *model.header() {
        return Err(LayerRefereeError::OtherModel);
    }
    if known.terms().iterations != 1 {
        return Err(LayerRefereeError::Iterations { iterations: known.terms().iterations });
    }
    // The leaf of a state in the trace, as it was opened or stands beside a way that was shown.
    let leaf_of = |boundary: u32| {
        let depth = known.kind(&TRACE).and_then(|kind| kind.shape())?.depth();
        let root = known.root(&Tree::State { iteration: 0, boundary });
        let leaf = root.map(|root| root_leaf::<Keccak>(&root));
        leaf.or_else(|| known.node(&TRACE, depth, u64::from(boundary)))
    };
    let is_other = |leaf: Digest| leaf != root_leaf::<Keccak>(&before.root());
    if leaf_of(layer).is_some_and(is_other) {
        return Err(LayerRefereeError::OtherState { layer });
    }
    let claimed = leaf_of(layer.saturating_add(1)).ok_or(LayerRefereeError::NotOpen { layer })?;
    let runner = Runner::honest(engine, model);
    let expected = match runner.next_state(layer, before) {
        Err(RunError::Operator {
            operator, error: EngineError::Undefined { element, .. }, ..
        }) => {
            return Ok(LayerFinding::NoResult { operator, element });
        }
        after => root_leaf::<Keccak>(&after?.root()),
    };
    if claimed != expected {
        return Ok(LayerFinding::Fraud { claimed, expected });
    }
    false_sums(&runner, known, layer, before)
}

/// Compares the running sums that were shown inside the layer.
fn false_sums(
    runner: &Runner<'_>,
    known: &Knowledge,
    layer: u32,
    before: &State,
) -> Result<LayerFinding, LayerRefereeError> {
    let inside = |operator: u32| runner.model.layer_of(operator) == Some(layer);
    let shown: Vec<_> = known.shown_sums().filter(|sums| inside(sums.operator)).collect();
    if shown.is_empty() {
        return Ok(LayerFinding::Sound);
    }
    let subtrace = runner.subtrace(layer, before)?;
    for ShownSums { operator, element, kind, leaf, bytes, .. } in shown {
        let operands = runner.operands(operator, before, &subtrace)?;
        let own = runner.accumulators(operator, element, &operands)?;
        let (first, count) = kind.leaf_range(leaf).unwrap_or_default();
        let differs = (0..count).any(|place| {
            let at = usize::try_from(first).ok().and_then(|first| first.checked_add(place));
            leaf_element(kind.element, bytes, place) != at.and_then(|at| own.get(at).copied())
        });
        if differs {
            return Ok(LayerFinding::FalseSums { operator, element });
        }
    }
    Ok(LayerFinding::Sound)
}
