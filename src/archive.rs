//! States that an executor publishes beside its claim: one file for each boundary of layers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use inference::files::{read_tensors, write_npz};
use inference::state_transfer::{state_of, state_tensors, state_types};
use inference::{Model, State, Tensor, Trace};
use protocol::hash::{Digest, Keccak};
use protocol::tensor::TensorType;

use crate::error::{CommandError, system};
use crate::print::quoted;

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
///
/// # Errors
/// When an output is missing, when two names of one value have other content, and when the file has more than the
/// outputs: the root would say nothing of what is left.
pub(crate) fn output_root<'a>(
    file: &Path,
    named: impl Iterator<Item = (&'a str, u32)>,
) -> Result<Option<Digest>, CommandError> {
    let any: &[(String, TensorType)] = &[];
    let mut tensors = read_tensors(file, any)?;
    let wrong = |reason: String| system(file.display().to_string(), reason);
    let mut values: BTreeMap<u32, (&str, Tensor)> = BTreeMap::new();
    for (name, value) in named {
        let tensor = tensors.remove(name);
        let tensor = tensor.ok_or_else(|| wrong(format!("output {} is missing", quoted(name))))?;
        match values.entry(value) {
            Entry::Vacant(place) => {
                place.insert((name, tensor));
            }
            // Two names of one value are one.
            Entry::Occupied(place) => {
                let (first, found) = place.get();
                if *found != tensor {
                    return Err(wrong(format!(
                        "{} and {} are names of one output and differ in this file, of which only \
                         one can be what was claimed; fetch the outputs again",
                        quoted(first),
                        quoted(name)
                    )));
                }
            }
        }
    }
    if !tensors.is_empty() {
        let mut left: Vec<String> = tensors.keys().map(|name| quoted(name)).collect();
        left.sort_unstable();
        let left = left.join(", ");
        return Err(wrong(format!(
            "holds more than the outputs, and nothing says what these are: {left}; fetch the \
             outputs again, or take these arrays out of the file"
        )));
    }
    let values = values.into_iter().map(|(value, (_, tensor))| (value, tensor)).collect();
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

#[cfg(test)]
mod tests {
    use protocol::tensor::Shape;

    use super::*;

    fn floats(elements: [f32; 2]) -> Tensor {
        Tensor::given_f32(&Shape::new(&[2]).unwrap(), elements.to_vec()).unwrap()
    }

    /// What is told of a file with these arrays, whose outputs are named so.
    fn root_of(
        arrays: &[(&str, Tensor)],
        named: &[(&str, u32)],
    ) -> Result<Option<Digest>, CommandError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outputs.npz");
        let arrays = arrays.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone()));
        write_npz(&file, &arrays.collect()).unwrap();
        output_root(&file, named.iter().copied())
    }

    fn refusal(arrays: &[(&str, Tensor)], named: &[(&str, u32)]) -> String {
        root_of(arrays, named).unwrap_err().to_string()
    }

    #[test]
    fn outputs_have_the_root_of_their_state_whatever_their_names() {
        let values = vec![(3, floats([1.0, 2.0])), (7, floats([0.0, -1.0]))];
        let expected = State::<Keccak>::new(values).map(|state| state.root());
        let [low, high] = [floats([1.0, 2.0]), floats([0.0, -1.0])];
        let arrays = [("b", low.clone()), ("a", high)];
        assert_eq!(root_of(&arrays, &[("a", 7), ("b", 3)]).unwrap(), expected);
        // Two names of one value with the same content.
        let arrays = [&arrays[..], &[("z", low)]].concat();
        assert_eq!(root_of(&arrays, &[("a", 7), ("b", 3), ("z", 3)]).unwrap(), expected);
    }

    #[test]
    fn two_names_of_one_value_with_other_content_are_refused() {
        let shape = Shape::new(&[2]).unwrap();
        let others = [
            floats([1.0, 3.0]),
            // Equal as numbers, and not as bits.
            floats([1.0, -0.0]),
            // The same bits of another type.
            Tensor::from_i32(&shape, vec![0x3f80_0000, 0]).unwrap(),
        ];
        for other in others {
            let arrays = [("a", floats([1.0, 0.0])), ("z", other)];
            let text = refusal(&arrays, &[("a", 1), ("z", 1)]);
            assert!(text.contains(r#""a" and "z" are names of one output and differ"#), "{text}");
        }
    }

    #[test]
    fn arrays_that_are_no_outputs_are_refused_by_name() {
        let [a, y, z] = ["a", "y", "z"].map(|name| (name, floats([1.0, 2.0])));
        let text = refusal(&[z, a, y], &[("a", 1)]);
        assert!(text.contains(r#"nothing says what these are: "y", "z"; fetch"#), "{text}");
    }
}
