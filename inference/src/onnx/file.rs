//! A model file before its import: reading it, what it says of its inputs, what it may not say.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use prost::Message;

use super::binding;
use super::declared::DeclaredInput;
use super::error::ImportError;
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::values;
use crate::model::Halves;

/// Most bytes of a model file.
const MODEL_BYTES_MAX: u64 = 2 << 30;

/// A model file that was read and not imported yet: what it says of its inputs can be asked.
#[derive(Clone, Debug)]
pub struct ModelFile {
    pub(super) proto: ModelProto,
    pub(super) name: String,
    pub(super) folder: Option<PathBuf>,
}

impl ModelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is too large or no ONNX model.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let name = path.display().to_string();
        let fail = |error: std::io::Error| ImportError::Io {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        let bytes = std::fs::metadata(path).map_err(fail)?.len();
        if bytes > MODEL_BYTES_MAX {
            return Err(ImportError::TooLarge { path: name, bytes, limit: MODEL_BYTES_MAX });
        }
        // Weights are large: each form of them goes before the next but one comes.
        let proto = decode(&std::fs::read(path).map_err(fail)?, &name)?;
        let folder = path.parent().map(|folder| {
            if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
        });
        Ok(Self { proto, name, folder })
    }

    /// The inputs as the file has them.
    ///
    /// # Errors
    /// When one is no tensor, or of an element type that is not supported.
    pub fn inputs(&self) -> Result<Vec<DeclaredInput>, ImportError> {
        self.proto.graph.as_ref().map_or(Ok(Vec::new()), binding::inputs)
    }
}

/// The model that bytes hold, if they hold one.
pub(super) fn decode(contents: &[u8], name: &str) -> Result<ModelProto, ImportError> {
    let not_onnx = |reason: String| ImportError::NotOnnx { path: name.to_owned(), reason };
    if contents.is_empty() {
        return Err(not_onnx("the file is empty".to_owned()));
    }
    let proto = ModelProto::decode(contents).map_err(|error| not_onnx(error.to_string()))?;
    // The format lets every field be absent: what is cut off at the right place would be a model
    // without inputs, and the files given for them would be blamed.
    let graph = proto.graph.as_ref().ok_or_else(|| not_onnx("it holds no graph".to_owned()))?;
    match (graph.node.is_empty(), graph.output.is_empty()) {
        (true, _) => Err(not_onnx("its graph has no nodes".to_owned())),
        (_, true) => Err(not_onnx("its graph has no outputs".to_owned())),
        (false, false) => Ok(proto),
    }
}

/// What the file has as 16-bit floats.
pub(super) fn halves(graph: &GraphProto) -> Halves {
    let half = |info: &&ValueInfoProto| {
        let kind = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        kind.is_some_and(|kind| kind.elem_type == values::HALF)
    };
    let constants = graph.node.iter().flat_map(|node| &node.attribute);
    let constants = constants.filter_map(|attribute| attribute.t.as_ref());
    let weights = graph.initializer.iter().chain(constants);
    Halves {
        values: graph
            .input
            .iter()
            .chain(&graph.output)
            .filter(half)
            .map(|info| info.name.clone())
            .collect(),
        weights: weights.filter(|tensor| tensor.data_type == values::HALF).count(),
    }
}

/// Every name is written once: by an input, a weight (which may be listed as an input too), or a node.
pub(super) fn check_names(graph: &GraphProto) -> Result<(), ImportError> {
    let twice = |name: &str, what: &str| ImportError::Value {
        kind: "value",
        name: name.to_owned(),
        reason: format!("is written twice: {what}; export the model with a name for each value"),
    };
    let mut inputs = HashSet::new();
    for info in &graph.input {
        if !inputs.insert(info.name.as_str()) {
            return Err(twice(&info.name, "two inputs have it"));
        }
    }
    let mut written: HashMap<&str, String> = HashMap::new();
    for tensor in &graph.initializer {
        if written.insert(&tensor.name, "an initializer".to_owned()).is_some() {
            return Err(twice(&tensor.name, "two initializers have it"));
        }
    }
    written.extend(inputs.into_iter().map(|name| (name, "an input".to_owned())));
    for (number, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            let label = format!("node {} ({})", label(node, number), node.op_type);
            if let Some(before) = written.insert(name, label.clone()) {
                return Err(twice(name, &format!("by {before} and by {label}")));
            }
        }
    }
    Ok(())
}

/// A node's name, or its number when it has none.
pub(super) fn label(node: &NodeProto, number: usize) -> String {
    if node.name.is_empty() { format!("#{number}") } else { node.name.clone() }
}
