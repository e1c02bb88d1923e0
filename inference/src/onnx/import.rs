//! From an ONNX file to a [`Model`].

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use prost::Message;
use protocol::graph::{Graph, Node, Operand, Operator, Profile};
use protocol::hash::Digest;
use protocol::tensor::TensorType;

use super::attributes::Attributes;
use super::builder::{Builder, Draft, Value, make_shape};
use super::empty::{self, Known};
use super::error::ImportError;
use super::operators::{Context, Inputs, lower};
use super::order::in_order;
use super::proto::{DimensionValue, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::values;
use crate::engine::Engine;
use crate::files::read_tensors;
use crate::layers::cut_layers;
use crate::model::Model;
use crate::tensor::Tensor;

/// Most bytes of a model file.
const MODEL_BYTES_MAX: u64 = 2 << 30;
/// Most nodes of an ONNX graph.
const NODES_MAX: usize = 1 << 16;

/// Choices of the caller.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Sizes of symbolic dimensions, by name.
    pub dimensions: BTreeMap<String, u64>,
    /// Inputs that are fixed, by name, and the files that hold them: they become weights, so that
    /// shapes may depend on them.
    pub fixed: BTreeMap<String, PathBuf>,
    /// Most operators of a layer; `None` leaves it to the importer.
    pub layer_operators_max: Option<usize>,
}

/// What an import gives.
pub type Imported = Result<Model, ImportError>;

/// Imports a model file.
///
/// # Errors
/// [`ImportError`] names the file, node or value, and what would help.
pub fn import_file(path: &Path, engine: &Engine, options: &ImportOptions) -> Imported {
    let name = path.display().to_string();
    let fail = |error: std::io::Error| ImportError::Io {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let bytes = std::fs::metadata(path).map_err(fail)?.len();
    if bytes > MODEL_BYTES_MAX {
        return Err(ImportError::TooLarge { path: name, bytes, limit: MODEL_BYTES_MAX });
    }
    let contents = std::fs::read(path).map_err(fail)?;
    let proto = decode(&contents, &name)?;
    // Weights are large: each form of them goes before the next but one comes.
    drop(contents);
    import_proto(proto, &name, path.parent(), engine, options)
}

fn decode(contents: &[u8], name: &str) -> Result<ModelProto, ImportError> {
    ModelProto::decode(contents)
        .map_err(|error| ImportError::NotOnnx { path: name.to_owned(), reason: error.to_string() })
}

/// Imports a model from memory; `folder` is where external data lie.
///
/// # Errors
/// As [`import_file`].
pub fn import_bytes(
    contents: &[u8],
    name: &str,
    folder: Option<&Path>,
    engine: &Engine,
    options: &ImportOptions,
) -> Imported {
    import_proto(decode(contents, name)?, name, folder, engine, options)
}

fn import_proto(
    proto: ModelProto,
    name: &str,
    folder: Option<&Path>,
    engine: &Engine,
    options: &ImportOptions,
) -> Imported {
    let not_onnx = |reason: String| ImportError::NotOnnx { path: name.to_owned(), reason };
    let opset = proto
        .opset_import
        .iter()
        .find(|entry| entry.domain.is_empty() || entry.domain == "ai.onnx")
        .map(|entry| entry.version)
        .ok_or_else(|| not_onnx("it names no operator set".to_owned()))?;
    if !(7..=28).contains(&opset) {
        return Err(ImportError::Opset { version: opset });
    }
    let graph = proto.graph.ok_or_else(|| not_onnx("it holds no graph".to_owned()))?;
    if graph.node.len() > NODES_MAX {
        return Err(not_onnx(format!("more than {NODES_MAX} nodes")));
    }
    let (builder, outputs, input_names) = lower_graph(graph, opset, folder, engine, options)?;
    assemble(builder, outputs, input_names, options)
}

fn value_error(kind: &'static str, name: &str, reason: impl Into<String>) -> ImportError {
    ImportError::Value { kind, name: name.to_owned(), reason: reason.into() }
}

/// Type of a graph input, its symbolic dimensions bound.
fn input_type(info: &ValueInfoProto, options: &ImportOptions) -> Result<TensorType, ImportError> {
    let fail = |reason: String| value_error("input", &info.name, reason);
    let kind = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let kind = kind.ok_or_else(|| fail("only tensors are supported".to_owned()))?;
    let element = values::element_type(kind.elem_type).map_err(fail)?;
    let shape = kind.shape.as_ref();
    let shape = shape.ok_or_else(|| fail("has no shape; export it with one".to_owned()))?;
    let mut dimensions = Vec::new();
    for (axis, dimension) in shape.dim.iter().enumerate() {
        let size = match &dimension.value {
            Some(DimensionValue::DimValue(size)) => u64::try_from(*size).ok(),
            Some(DimensionValue::DimParam(symbol)) => {
                let bound = options.dimensions.get(symbol).copied();
                Some(bound.ok_or_else(|| {
                    fail(format!(
                        "dimension {symbol} is symbolic; bind it with --dim {symbol}=SIZE"
                    ))
                })?)
            }
            None => None,
        };
        let missing = || fail(format!("axis {axis} has no size; export the model with one"));
        dimensions.push(size.ok_or_else(missing)?);
    }
    let shape = make_shape(&dimensions).map_err(fail)?;
    Ok(TensorType { element, shape })
}

fn constant(tensor: Tensor) -> Known {
    Known::Value(Value::Constant(tensor))
}

type LoweredGraph = (Builder, Vec<(String, Value)>, Vec<String>);

fn lower_graph(
    mut graph: GraphProto,
    opset: i64,
    folder: Option<&Path>,
    engine: &Engine,
    options: &ImportOptions,
) -> Result<LoweredGraph, ImportError> {
    let mut known: HashMap<String, Known> = HashMap::new();
    for proto in std::mem::take(&mut graph.initializer) {
        if empty::is_empty(&proto) {
            known.insert(proto.name, Known::Empty);
            continue;
        }
        let tensor = values::tensor(&proto, folder)
            .map_err(|reason| value_error("initializer", &proto.name, reason))?;
        if tensor.as_f32().iter().any(|value| !value.is_finite()) {
            return Err(value_error("initializer", &proto.name, "weights must be finite"));
        }
        known.insert(proto.name, constant(tensor));
    }
    in_order(&mut graph);
    // Who reads a constant last lets go of it.
    let last_use = last_uses(&graph);
    for (name, path) in &options.fixed {
        let missing = || value_error("input", name, "is to be fixed and not an input of the model");
        let info = graph.input.iter().find(|info| info.name == *name).ok_or_else(missing)?;
        let wanted = [(name.clone(), input_type(info, options)?)];
        let read = read_tensors(path, &wanted)
            .map_err(|error| value_error("input", name, error.to_string()))?;
        known.extend(read.into_iter().map(|(name, tensor)| (name, constant(tensor))));
    }
    let mut input_names = Vec::new();
    let mut input_types = Vec::new();
    for info in graph.input.iter().filter(|info| !known.contains_key(&info.name)) {
        input_types.push(input_type(info, options)?);
        input_names.push(info.name.clone());
    }
    let mut builder = Builder::new(engine.clone(), input_types);
    for (index, name) in input_names.iter().enumerate() {
        if let Some(value) = builder.input(index) {
            known.insert(name.clone(), Known::Value(value));
        }
    }
    for (number, node) in graph.node.iter().enumerate() {
        lower_node(&mut builder, &mut known, node, number, opset)?;
        for name in &node.input {
            if last_use.get(name) == Some(&number) {
                known.remove(name);
            }
        }
    }
    let mut outputs = Vec::new();
    for info in &graph.output {
        let fail = |reason: &str| value_error("output", &info.name, reason);
        let value = known.get(&info.name).ok_or_else(|| fail("no node writes it"))?;
        let value = value.value().ok_or_else(|| fail("has no elements"))?.clone();
        builder.set_origin(&info.name);
        let value = match value {
            Value::Constant(_) => builder.at_run_time(&value).map_err(|reason| fail(&reason))?,
            Value::Runtime { .. } => value,
        };
        let Value::Runtime { id, .. } = &value else {
            return Err(fail("is lost"));
        };
        // An output must be written by an operator, so that a layer stands before it.
        let value = if *id < input_names.len() {
            let (kind, shape) = (value.element(), value.shape().clone());
            builder
                .emit(Operator::Reshape {}, vec![value], kind, shape)
                .map_err(|reason| fail(&reason))?
        } else {
            value
        };
        outputs.push((info.name.clone(), value));
    }
    if outputs.is_empty() {
        return Err(ImportError::Graph { reason: "it has no output".to_owned() });
    }
    Ok((builder, outputs, input_names))
}

/// The last node that reads each value; those that a branch may read, or that are outputs, are kept.
fn last_uses(graph: &GraphProto) -> HashMap<String, usize> {
    let branches =
        graph.node.iter().any(|node| node.attribute.iter().any(|attribute| attribute.g.is_some()));
    let mut last = HashMap::new();
    if branches {
        return last;
    }
    for (number, node) in graph.node.iter().enumerate() {
        last.extend(node.input.iter().map(|name| (name.clone(), number)));
    }
    for output in &graph.output {
        last.remove(&output.name);
    }
    last
}

fn lower_node(
    builder: &mut Builder,
    known: &mut HashMap<String, Known>,
    node: &NodeProto,
    number: usize,
    opset: i64,
) -> Result<(), ImportError> {
    let label = if node.name.is_empty() { format!("#{number}") } else { node.name.clone() };
    let fail = |reason: String| ImportError::Node {
        node: label.clone(),
        operator: node.op_type.clone(),
        reason,
    };
    // The exporters' own names of standard functions are understood; other domains are not.
    let standard = matches!(node.domain.as_str(), "" | "ai.onnx")
        || (node.domain == "com.microsoft" && node.op_type == "Gelu");
    if !standard {
        return Err(fail(format!(
            "domain {} is not supported; export with standard operators only",
            node.domain
        )));
    }
    let mut inputs = Vec::new();
    for name in &node.input {
        inputs.push(match name.is_empty() {
            true => None,
            false => Some(
                known
                    .get(name)
                    .ok_or_else(|| fail(format!("input {name} is not written before this node")))?
                    .clone(),
            ),
        });
    }
    if node.op_type == "If" {
        let condition = inputs.first().and_then(Option::as_ref).and_then(Known::value);
        return lower_branch(builder, known, node, condition, opset).map_err(|error| match error {
            ImportError::Graph { reason } => fail(reason),
            other => other,
        });
    }
    builder.set_origin(&label);
    let outputs = node.output.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    let context = Context { attributes: Attributes(node), opset, outputs };
    let inputs = Inputs::new(&inputs);
    let list = empty::lower(builder, &node.op_type, &inputs, &context).map_err(fail)?;
    if let (Some(list), Some(name)) = (list, node.output.first()) {
        known.insert(name.clone(), list);
        return Ok(());
    }
    let values = lower(builder, &node.op_type, &inputs, &context).map_err(fail)?;
    if values.len() < outputs {
        return Err(fail(format!("only {} of its outputs are supported", values.len())));
    }
    for (name, value) in node.output.iter().zip(values) {
        known.insert(name.clone(), Known::Value(value));
    }
    Ok(())
}

/// A condition that is known now leaves one branch, which sees everything around it.
fn lower_branch(
    builder: &mut Builder,
    known: &mut HashMap<String, Known>,
    node: &NodeProto,
    condition: Option<&Value>,
    opset: i64,
) -> Result<(), ImportError> {
    let fail = |reason: &str| ImportError::Graph { reason: reason.to_owned() };
    let condition = condition.and_then(Value::constant).and_then(|truth| truth.bits(0));
    let condition = condition.ok_or_else(|| {
        fail("the condition depends on data; only one that is constant leaves a fixed graph")
    })?;
    let name = if condition != 0 { "then_branch" } else { "else_branch" };
    let branch = Attributes(node).get(name).and_then(|attribute| attribute.g.as_deref());
    let branch = branch.ok_or_else(|| fail("a branch is missing"))?;
    let mut inner = known.clone();
    for proto in &branch.initializer {
        if empty::is_empty(proto) {
            inner.insert(proto.name.clone(), Known::Empty);
            continue;
        }
        let tensor = values::tensor(proto, None)
            .map_err(|reason| value_error("initializer", &proto.name, reason))?;
        inner.insert(proto.name.clone(), constant(tensor));
    }
    for (number, node) in branch.node.iter().enumerate() {
        lower_node(builder, &mut inner, node, number, opset)?;
    }
    for (outer, info) in node.output.iter().zip(&branch.output) {
        let value = inner.get(&info.name).ok_or_else(|| fail("an output is not written"))?;
        known.insert(outer.clone(), value.clone());
    }
    Ok(())
}

/// Drops what no output needs, numbers values, collects weights, cuts layers, commits.
fn assemble(
    builder: Builder,
    outputs: Vec<(String, Value)>,
    input_names: Vec<String>,
    options: &ImportOptions,
) -> Imported {
    let (inputs, drafts) = builder.finish();
    let input_count = inputs.len();
    let mut needed = vec![false; input_count + drafts.len()];
    let runtime = |value: &Value| match value {
        Value::Runtime { id, .. } => Some(*id),
        Value::Constant(_) => None,
    };
    for (_, value) in &outputs {
        runtime(value).into_iter().for_each(|id| needed[id] = true);
    }
    for (index, draft) in drafts.iter().enumerate().rev() {
        if needed[input_count + index] {
            draft.operands.iter().filter_map(runtime).for_each(|id| needed[id] = true);
        }
    }
    let kept: Vec<(usize, &Draft)> = drafts
        .iter()
        .enumerate()
        .map(|(index, draft)| (input_count + index, draft))
        .filter(|(id, _)| needed[*id])
        .collect();
    let (weights, weight_of) = collect_weights(&kept)?;
    let first_output = input_count + weights.len();
    let mut number: HashMap<usize, u32> = (0..input_count).map(|id| (id, id as u32)).collect();
    for (place, (id, _)) in kept.iter().enumerate() {
        number.insert(*id, (first_output + place) as u32);
    }
    let value_of = |value: &Value| match value {
        Value::Runtime { id, .. } => number.get(id).copied(),
        Value::Constant(tensor) => {
            weight_of.get(&tensor.root()).map(|index| (input_count + index) as u32)
        }
    };
    let lost = || ImportError::Graph { reason: "a value lost its number".to_owned() };
    let mut nodes = Vec::new();
    for (_, draft) in &kept {
        let mut operands = Vec::new();
        for operand in &draft.operands {
            let value = value_of(operand).ok_or_else(lost)?;
            operands.push(Operand { value, kind: operand.kind().clone() });
        }
        let (operator, output) = (draft.operator.clone(), draft.output.clone());
        nodes.push(Node { operator, operands, output });
    }
    let mut output_values = Vec::new();
    for (name, value) in outputs {
        output_values.push((name, value_of(&value).ok_or_else(lost)?));
    }
    let output_ids: Vec<u32> = output_values.iter().map(|(_, value)| *value).collect();
    let layers =
        cut_layers(&inputs, weights.len(), &nodes, &output_ids, options.layer_operators_max);
    let graph = Graph {
        inputs,
        weights: weights.iter().map(|tensor| tensor.kind().clone()).collect(),
        nodes,
        layers,
    };
    let names = kept.iter().map(|(_, draft)| draft.origin.clone()).collect();
    Model::new(graph, weights, input_names, output_values, names, Profile::StrictF32)
        .ok_or_else(|| ImportError::Graph { reason: "it is empty or over a limit".to_owned() })
}

type Weights = (Vec<Tensor>, HashMap<Digest, usize>);

/// Each constant once, by its root. A model without any carries one unused scalar.
fn collect_weights(kept: &[(usize, &Draft)]) -> Result<Weights, ImportError> {
    let mut weights = Vec::new();
    let mut weight_of = HashMap::new();
    for (_, draft) in kept {
        for operand in &draft.operands {
            let Value::Constant(tensor) = operand else {
                continue;
            };
            if tensor.as_f32().iter().any(|value| value.is_nan()) {
                return Err(ImportError::Node {
                    node: draft.origin.clone(),
                    operator: draft.operator.kind().to_owned(),
                    reason: "a constant of it is not a number; weights must be finite".to_owned(),
                });
            }
            weight_of.entry(tensor.root()).or_insert_with(|| {
                weights.push(tensor.clone());
                weights.len() - 1
            });
        }
    }
    if weights.is_empty() {
        let unused = make_shape(&[]).ok().and_then(|shape| Tensor::from_f32(&shape, vec![0.0]));
        weights.extend(unused);
    }
    Ok((weights, weight_of))
}
