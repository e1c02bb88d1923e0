//! How sizes are bound to the axes that a model file leaves open.

use std::collections::{HashMap, HashSet};

use protocol::tensor::Shape;

use super::declared::{Axis, DeclaredInput, OpenAxes, list};
use super::error::ImportError;
use super::options::ImportOptions;
use super::proto::GraphProto;

fn fail(input: &str, reason: String) -> ImportError {
    ImportError::Value { kind: "input", name: input.to_owned(), reason }
}

/// The inputs of a graph that are not weights.
pub(super) fn inputs(graph: &GraphProto) -> Result<Vec<DeclaredInput>, ImportError> {
    let weights: HashSet<&str> = graph.initializer.iter().map(|one| one.name.as_str()).collect();
    let inputs = graph.input.iter().filter(|info| !weights.contains(info.name.as_str()));
    inputs.map(|info| DeclaredInput::new(info).map_err(|reason| fail(&info.name, reason))).collect()
}

/// Refuses options about what the model does not have.
pub(super) fn check_options(
    inputs: &[DeclaredInput],
    options: &ImportOptions,
) -> Result<(), ImportError> {
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let absent = |what: &'static str, name: &String, known: Vec<&str>, none: &str| {
        let known =
            if known.is_empty() { none.to_owned() } else { format!("it has {}", known.join(", ")) };
        Err(ImportError::Option { what, name: name.clone(), known })
    };
    if let Some(name) = options.shapes.keys().find(|name| !names.contains(&name.as_str())) {
        return absent("input", name, names, "it has no input");
    }
    let mut symbols: Vec<&str> = Vec::new();
    for axis in inputs.iter().flat_map(|input| &input.axes) {
        match axis {
            Axis::Named(name) if !symbols.contains(&name.as_str()) => symbols.push(name),
            _ => {}
        }
    }
    match options.dimensions.keys().find(|name| !symbols.contains(&name.as_str())) {
        Some(name) => absent("dimension", name, symbols, "no axis of its inputs has a name"),
        None => Ok(()),
    }
}

/// The shapes of inputs, in their order; all that is open is told at once.
pub(super) fn shapes(
    inputs: &[DeclaredInput],
    options: &ImportOptions,
) -> Result<Vec<Shape>, ImportError> {
    let (mut shapes, mut open) = (Vec::new(), Vec::new());
    for input in inputs {
        match input.shape(options).map_err(|reason| fail(&input.name, reason))? {
            Ok(shape) => shapes.push(shape),
            Err(axes) => open.push(axes),
        }
    }
    if open.is_empty() { Ok(shapes) } else { Err(ImportError::Unbound(OpenAxes(open))) }
}

/// What an inference bound, for people: `batch=1`, `x=1,3,48,192`.
pub type Inferred = Vec<String>;

/// Binds every open axis by the shape of the tensor that is given for its input: names once for all
/// axes of the name, other axes by the whole shape.
///
/// # Errors
/// When a shape does not fit its input, or a name would have two sizes.
pub fn infer(
    inputs: &[DeclaredInput],
    given: &HashMap<String, Vec<u64>>,
    options: &mut ImportOptions,
) -> Result<Inferred, ImportError> {
    let before = options.clone();
    let free = |input: &&DeclaredInput| !before.fixed.contains_key(&input.name);
    let inputs: Vec<&DeclaredInput> = inputs.iter().filter(free).collect();
    let mut told = Vec::new();
    let mut from: HashMap<&str, (u64, &str)> = HashMap::new();
    for input in &inputs {
        let sizes = input.sizes(&before).map_err(|reason| fail(&input.name, reason))?;
        let (true, Some(shape)) = (sizes.contains(&None), given.get(&input.name)) else {
            continue;
        };
        input.admits(shape).map_err(|reason| fail(&input.name, reason))?;
        for ((axis, bound), size) in input.axes.iter().zip(&sizes).zip(shape) {
            let (Some(name), None) = (axis.symbol(), bound) else { continue };
            match from.get(name) {
                None => {
                    options.dimensions.insert(name.to_owned(), *size);
                    from.insert(name, (*size, &input.name));
                    told.push(format!("{axis}={size}"));
                }
                Some((known, _)) if known == size => {}
                Some((known, other)) => {
                    let reason = format!(
                        "dimension {axis} is {size} here and {known} in input {other}; give inputs \
                         that agree, or bind each with --shape"
                    );
                    return Err(fail(&input.name, reason));
                }
            }
        }
    }
    for input in inputs {
        let sizes = input.sizes(options).map_err(|reason| fail(&input.name, reason))?;
        if let (true, Some(shape)) = (sizes.contains(&None), given.get(&input.name)) {
            input.admits(shape).map_err(|reason| fail(&input.name, reason))?;
            options.shapes.insert(input.name.clone(), shape.clone());
            told.push(format!("{}={}", input.name, list(shape)));
        }
    }
    Ok(told)
}
