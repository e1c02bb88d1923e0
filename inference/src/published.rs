//! States as they travel: tensors by the numbers of their values, and the check against a root.

use std::collections::{BTreeMap, HashMap};

use protocol::hash::Digest;
use protocol::tensor::TensorType;

use crate::engine::Engine;
use crate::files::{npz_bytes, parse_tensors};
use crate::model::Model;
use crate::state::State;
use crate::tensor::Tensor;
use crate::trace::{RunError, Runner};

/// Why published bytes are not the state that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishedError {
    /// They are no tensors.
    #[error("the published state cannot be read: {reason}")]
    Content {
        /// What is wrong.
        reason: String,
    },
    /// They do not fit the model.
    #[error(transparent)]
    Run(#[from] RunError),
    /// They are of another root: wrong data is the same as no data.
    #[error("the published state has the root {found}, not {wanted}")]
    OtherRoot {
        /// Root found.
        found: Digest,
        /// Root asked for.
        wanted: Digest,
    },
}

fn content(reason: impl Into<String>) -> PublishedError {
    PublishedError::Content { reason: reason.into() }
}

fn checked(state: State, wanted: Digest) -> Result<State, PublishedError> {
    let found = state.root();
    match found == wanted {
        true => Ok(state),
        false => Err(PublishedError::OtherRoot { found, wanted }),
    }
}

/// Tensors of a state, named by their values' numbers.
pub fn state_tensors(state: &State) -> BTreeMap<String, Tensor> {
    state.values().iter().map(|(value, tensor)| (value.to_string(), tensor.clone())).collect()
}

/// A state as the bytes of an .npz file.
///
/// # Errors
/// When it does not fit the format.
pub fn state_bytes(state: &State) -> Result<Vec<u8>, String> {
    npz_bytes(&state_tensors(state))
}

fn kind_of(model: &Model, value: u32) -> Option<TensorType> {
    let graph = model.graph();
    if let Some(kind) = graph.inputs.get(value as usize) {
        return Some(kind.clone());
    }
    let operator = value.checked_sub(model.header().output_of(0))?;
    model.node(operator).map(|node| node.output.clone())
}

/// Names and types of the tensors of the state at a boundary; `None` when the model has none there.
pub fn state_types(model: &Model, boundary: u32) -> Option<Vec<(String, TensorType)>> {
    let values = model.live_values(boundary)?;
    values.iter().map(|value| Some((value.to_string(), kind_of(model, *value)?))).collect()
}

/// The state at a boundary from tensors named by their values' numbers; its root is the caller's to
/// check.
///
/// # Errors
/// When a value is missing or of another type.
pub fn state_of(
    model: &Model,
    boundary: u32,
    mut tensors: HashMap<String, Tensor>,
) -> Result<State, PublishedError> {
    let types =
        state_types(model, boundary).ok_or_else(|| content("the model has no such state"))?;
    let mut values = Vec::new();
    for (name, kind) in types {
        let tensor = tensors.remove(&name).filter(|tensor| *tensor.kind() == kind);
        let missing = || content(format!("value {name} is missing or of another type"));
        values.push((name.parse().map_err(|_| missing())?, tensor.ok_or_else(missing)?));
    }
    State::new(values).ok_or_else(|| content("it is empty"))
}

/// The state at a boundary from what somebody published.
///
/// # Errors
/// When the bytes are not that state.
pub fn published_state(
    model: &Model,
    boundary: u32,
    bytes: Vec<u8>,
    wanted: Digest,
) -> Result<State, PublishedError> {
    let types = state_types(model, boundary).unwrap_or_default();
    let tensors = parse_tensors("npz", bytes, &types).map_err(content)?;
    checked(state_of(model, boundary, tensors)?, wanted)
}

/// The input state of a job from what its poster published: tensors by their names.
///
/// # Errors
/// When the bytes are not that state.
pub fn published_input(
    engine: &Engine,
    model: &Model,
    bytes: Vec<u8>,
    wanted: Digest,
) -> Result<State, PublishedError> {
    let types: Vec<(String, TensorType)> =
        model.input_names().iter().cloned().zip(model.graph().inputs.iter().cloned()).collect();
    let tensors = parse_tensors("npz", bytes, &types).map_err(content)?;
    checked(Runner::honest(engine, model).input_state(&tensors)?, wanted)
}
