//! States that an executor publishes beside its claim: one file for each boundary of layers.

use std::path::{Path, PathBuf};

use inference::files::{read_tensors, write_npz};
use inference::state_transfer::{state_of, state_tensors, state_types};
use inference::{Model, State, Tensor, Trace};
use protocol::hash::{Digest, Keccak};
use protocol::tensor::TensorType;

use crate::error::{CommandError, system};

fn file(folder: &Path, boundary: u32) -> PathBuf {
    folder.join("states").join(format!("{boundary}.npz"))
}

/// Takes away the states that an earlier run left in the folder: they are not those of the next claim.
pub(crate) fn remove(folder: &Path) -> Result<(), CommandError> {
    let states = folder.join("states");
    let fail = |error: std::io::Error| system(states.display().to_string(), error);
    let entries = match std::fs::read_dir(&states) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str());
        let is_state = number.is_some_and(|number| number.parse::<u32>().is_ok())
            && path.extension().is_some_and(|extension| extension == "npz");
        // Nothing else in a folder of that name is ours.
        if is_state {
            std::fs::remove_file(&path).map_err(fail)?;
        }
    }
    Ok(())
}

/// Writes every state of a trace.
pub(crate) fn write(folder: &Path, trace: &Trace) -> Result<(), CommandError> {
    let states = folder.join("states");
    std::fs::create_dir_all(&states)
        .map_err(|error| system(states.display().to_string(), error))?;
    for (boundary, state) in trace.states().iter().enumerate() {
        write_npz(&file(folder, boundary as u32), &state_tensors(state))?;
    }
    Ok(())
}

/// Root of the state that a file's outputs are, named with the numbers of their values.
pub(crate) fn output_root<'a>(
    file: &Path,
    named: impl Iterator<Item = (&'a str, u32)>,
) -> Result<Option<Digest>, CommandError> {
    let any: &[(String, TensorType)] = &[];
    let mut tensors = read_tensors(file, any)?;
    let mut values: Vec<(u32, Tensor)> = Vec::new();
    for (name, value) in named {
        let tensor = tensors.remove(name).ok_or_else(|| {
            system(file.display().to_string(), format!("output {name} is missing"))
        })?;
        values.push((value, tensor));
    }
    values.sort_by_key(|(value, _)| *value);
    // Two names of one value are one.
    values.dedup_by_key(|(value, _)| *value);
    Ok(State::<Keccak>::new(values).map(|state| state.root()))
}

/// Reads the state before a layer; its root is the caller's to check.
pub(crate) fn read(folder: &Path, model: &Model, layer: u32) -> Result<State, CommandError> {
    let path = file(folder, layer);
    let wrong = |reason: String| CommandError::Argument {
        argument: "FOLDER",
        reason: format!("{}: {reason}", path.display()),
    };
    if !path.exists() {
        let help = "is not published; the executor writes states with `rebut run --states`";
        return Err(wrong(help.to_owned()));
    }
    let types = state_types(model, layer).ok_or_else(|| wrong("there is no such layer".into()))?;
    state_of(model, layer, read_tensors(&path, &types)?).map_err(|error| wrong(error.to_string()))
}
