//! States that an executor publishes beside its claim: one file for each boundary of layers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use inference::files::{read_tensors, write_npz};
use inference::{Model, State, Tensor, Trace};
use protocol::tensor::TensorType;

use crate::error::{CommandError, system};

fn file(folder: &Path, boundary: u32) -> PathBuf {
    folder.join("states").join(format!("{boundary}.npz"))
}

/// Writes every state of a trace.
pub(crate) fn write(folder: &Path, trace: &Trace) -> Result<(), CommandError> {
    let states = folder.join("states");
    std::fs::create_dir_all(&states)
        .map_err(|error| system(states.display().to_string(), error))?;
    for (boundary, state) in trace.states().iter().enumerate() {
        let tensors: BTreeMap<String, Tensor> = state
            .values()
            .iter()
            .map(|(value, tensor)| (value.to_string(), tensor.clone()))
            .collect();
        write_npz(&file(folder, boundary as u32), &tensors)?;
    }
    Ok(())
}

fn kind_of(model: &Model, value: u32) -> Option<TensorType> {
    let graph = model.graph();
    if let Some(kind) = graph.inputs.get(value as usize) {
        return Some(kind.clone());
    }
    let first = model.header().output_of(0);
    let operator = value.checked_sub(first)?;
    model.node(operator).map(|node| node.output.clone())
}

/// Reads the state before a layer.
pub(crate) fn read(folder: &Path, model: &Model, layer: u32) -> Result<State, CommandError> {
    let path = file(folder, layer);
    let wrong = |reason: &str| CommandError::Argument {
        argument: "DIR",
        reason: format!("{}: {reason}", path.display()),
    };
    if !path.exists() {
        return Err(wrong(
            "is not published; the executor writes states with `rebut run --states`",
        ));
    }
    let values = model.live_values(layer).ok_or_else(|| wrong("the model has no such layer"))?;
    let wanted: Option<Vec<(String, TensorType)>> =
        values.iter().map(|value| Some((value.to_string(), kind_of(model, *value)?))).collect();
    let wanted = wanted.ok_or_else(|| wrong("the model lost a value"))?;
    let mut tensors = read_tensors(&path, &wanted)?;
    let live: Option<Vec<(u32, Tensor)>> =
        values.iter().map(|value| Some((*value, tensors.remove(&value.to_string())?))).collect();
    live.and_then(State::new).ok_or_else(|| wrong("a value is missing"))
}
