//! The layer referee: re-runs one whole layer with the engine, from committed inputs and weights.
//!
//! For ledgers whose operator accepts it, and as a cross-check of the step referee.

use protocol::facts::{Facts, TreeId};
use protocol::hash::Digest;

use crate::engine::{Engine, EngineError};
use crate::model::Model;
use crate::runner::Runner;
use crate::state::State;
use crate::trace::RunError;

/// What the layer referee found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerFinding {
    /// The layer gives the state that was claimed.
    Sound,
    /// The layer gives another state.
    Fraud {
        /// What was claimed.
        claimed: Digest,
        /// What the layer gives.
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
/// # Errors
/// When the state or the model are not the claim's, or the layer cannot be run.
pub fn judge_layer(
    engine: &Engine,
    model: &Model,
    facts: &Facts,
    layer: u32,
    before: &State,
) -> Result<LayerFinding, LayerRefereeError> {
    if *facts.header() != *model.header() {
        return Err(LayerRefereeError::OtherModel);
    }
    if facts.root(TreeId::State { boundary: layer }) != Some(before.root()) {
        return Err(LayerRefereeError::OtherState { layer });
    }
    let after = TreeId::State { boundary: layer.saturating_add(1) };
    let claimed = facts.root(after).ok_or(LayerRefereeError::NotOpen { layer })?;
    let runner = Runner::honest(engine, model);
    let expected = match runner.next_state(layer, before) {
        Err(RunError::Operator {
            operator, error: EngineError::Undefined { element, .. }, ..
        }) => {
            return Ok(LayerFinding::NoResult { operator, element });
        }
        after => after?.root(),
    };
    if claimed != expected {
        return Ok(LayerFinding::Fraud { claimed, expected });
    }
    false_sums(&runner, facts, layer, before)
}

/// Compares the running sums that were opened inside the layer.
fn false_sums(
    runner: &Runner<'_>,
    facts: &Facts,
    layer: u32,
    before: &State,
) -> Result<LayerFinding, LayerRefereeError> {
    let inside = |operator: u32| runner.model.layer_of(operator) == Some(layer);
    if !facts.all_accumulators().any(|(operator, ..)| inside(operator)) {
        return Ok(LayerFinding::Sound);
    }
    let subtrace = runner.subtrace(layer, before)?;
    for (operator, element, words) in facts.all_accumulators() {
        if !inside(operator) {
            continue;
        }
        let operands = runner.operands(operator, before, &subtrace)?;
        if runner.accumulators(operator, element, &operands)? != words {
            return Ok(LayerFinding::FalseSums { operator, element });
        }
    }
    Ok(LayerFinding::Sound)
}
