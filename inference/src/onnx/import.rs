//! From an ONNX file to a [`Model`].

use std::collections::HashMap;
use std::path::Path;

use protocol::graph::Operator;
use protocol::tensor::TensorType;

use super::assemble::assemble;
use super::attributes::Attributes;
use super::binding;
use super::builder::Builder;
use super::declared::DeclaredInput;
use super::error::ImportError;
use super::file::{ModelFile, check_names, decode, halves, label};
use super::lowering::{Known, OnnxNode};
use super::operators::empty::is_empty;
use super::operators::rule_of;
use super::options::ImportOptions;
use super::order::in_order;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use super::shapes::make_shape;
use super::value::Value;
use super::values;
use crate::engine::Engine;
use crate::files::read_tensors;
use crate::model::Model;
use crate::tensor::Tensor;

/// Most nodes of an ONNX graph.
const NODES_MAX: usize = 1 << 16;

/// What an import gives.
pub type Imported = Result<Model, ImportError>;

/// Imports a model file.
///
/// # Errors
/// [`ImportError`] names the file, node or value, and what would help.
pub fn import_file(path: &Path, engine: &Engine, options: &ImportOptions) -> Imported {
    ModelFile::read(path)?.import(engine, options)
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

impl ModelFile {
    /// Imports it.
    ///
    /// # Errors
    /// [`ImportError`] names the node or value, and what would help.
    pub fn import(self, engine: &Engine, options: &ImportOptions) -> Imported {
        import_proto(self.proto, &self.name, self.folder.as_deref(), engine, options)
    }
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
    if !(6..=28).contains(&opset) {
        return Err(ImportError::Opset { version: opset });
    }
    let graph = proto.graph.ok_or_else(|| not_onnx("it holds no graph".to_owned()))?;
    if graph.node.len() > NODES_MAX {
        return Err(not_onnx(format!("more than {NODES_MAX} nodes")));
    }
    let halves = halves(&graph);
    let (builder, outputs, input_names) = lower_graph(graph, opset, folder, engine, options)?;
    assemble(builder, outputs, input_names, options).map(|model| model.with_halves(halves))
}

fn value_error(kind: &'static str, name: &str, reason: impl Into<String>) -> ImportError {
    ImportError::Value { kind, name: name.to_owned(), reason: reason.into() }
}

fn constant(tensor: Tensor) -> Known {
    Known::Value(Value::Constant(tensor))
}

/// What the names of a graph stand for, while its nodes are lowered.
type Names = HashMap<String, Known>;

type LoweredGraph = (Builder, Vec<(String, Value)>, Vec<String>);

fn lower_graph(
    mut graph: GraphProto,
    opset: i64,
    folder: Option<&Path>,
    engine: &Engine,
    options: &ImportOptions,
) -> Result<LoweredGraph, ImportError> {
    check_names(&graph)?;
    let mut declared = binding::inputs(&graph)?;
    binding::check_options(&declared, options)?;
    let fixed = fixed_inputs(&declared, options)?;
    declared.retain(|input| !options.fixed.contains_key(&input.name));
    let shapes = binding::shapes(&declared, options)?;
    let kinds = declared.iter().zip(shapes);
    let input_types = kinds.map(|(input, shape)| TensorType { element: input.element, shape });
    let input_types: Vec<TensorType> = input_types.collect();
    let input_names: Vec<String> = declared.into_iter().map(|input| input.name).collect();
    let mut known = Names::new();
    for proto in std::mem::take(&mut graph.initializer) {
        let weight = initializer(&proto, folder)?;
        known.insert(proto.name, weight);
    }
    known.extend(fixed);
    in_order(&mut graph);
    // Who reads a constant last lets go of it.
    let last_use = last_uses(&graph);
    let mut builder = Builder::new(engine.clone(), input_types);
    for (index, name) in input_names.iter().enumerate() {
        if let Some(value) = builder.input(index) {
            known.insert(name.clone(), Known::Value(value));
        }
    }
    for (number, node) in graph.node.iter().enumerate() {
        lower_node(&mut builder, &mut known, node, number, opset)
            .map_err(|error| error.with_bound(options))?;
        for name in &node.input {
            if last_use.get(name) == Some(&number) {
                known.remove(name);
            }
        }
    }
    let outputs = outputs(&mut builder, &known, &graph, input_names.len())?;
    Ok((builder, outputs, input_names))
}

/// A tensor of the file as a constant, or a list without elements.
fn initializer(proto: &TensorProto, folder: Option<&Path>) -> Result<Known, ImportError> {
    if is_empty(proto) {
        return Ok(Known::Empty);
    }
    values::tensor(proto, folder)
        .map(constant)
        .map_err(|reason| value_error("initializer", &proto.name, reason))
}

/// The graph's outputs, each written by an operator, so that a layer stands before it.
fn outputs(
    builder: &mut Builder,
    known: &Names,
    graph: &GraphProto,
    input_count: usize,
) -> Result<Vec<(String, Value)>, ImportError> {
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
        let value = if *id < input_count {
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
        Err(ImportError::Graph { reason: "it has no output".to_owned() })
    } else {
        Ok(outputs)
    }
}

/// Inputs that are fixed, read from their files.
fn fixed_inputs(
    declared: &[DeclaredInput],
    options: &ImportOptions,
) -> Result<Vec<(String, Known)>, ImportError> {
    let mut fixed = Vec::new();
    for (name, path) in &options.fixed {
        let missing = || value_error("input", name, "is to be fixed and not an input of the model");
        let input = declared.iter().find(|input| input.name == *name).ok_or_else(missing)?;
        // Only its element type says how a file is read.
        let kind = TensorType {
            element: input.element,
            shape: make_shape(&[]).map_err(|reason| value_error("input", name, reason))?,
        };
        let mut read = read_tensors(path, &[(name.clone(), kind)])
            .map_err(|error| value_error("input", name, error.to_string()))?;
        let absent = || value_error("input", name, format!("is not in {}", path.display()));
        let tensor = read.remove(name).ok_or_else(absent)?;
        if tensor.kind().element != input.element {
            let (found, wanted) = (tensor.kind().element.name(), input.element.name());
            let reason = format!("{} holds {found} and the model takes {wanted}", path.display());
            return Err(value_error("input", name, reason));
        }
        input
            .admits(tensor.shape().dimensions())
            .map_err(|reason| value_error("input", name, reason))?;
        fixed.push((name.clone(), constant(tensor)));
    }
    Ok(fixed)
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
    known: &mut Names,
    node: &NodeProto,
    number: usize,
    opset: i64,
) -> Result<(), ImportError> {
    let label = label(node, number);
    let fail = |reason: String| ImportError::Node {
        node: label.clone(),
        operator: node.op_type.clone(),
        reason,
    };
    let rule = rule_of(&node.domain, &node.op_type).map_err(fail)?;
    let mut inputs = Vec::new();
    for name in &node.input {
        let written = known.get(name);
        inputs.push(match (name.is_empty(), written) {
            (true, _) => None,
            (false, Some(value)) => Some(value.clone()),
            (false, None) => {
                return Err(fail(format!("input {name} is not written before this node")));
            }
        });
    }
    if rule.is_branch() {
        let condition = inputs.first().and_then(Option::as_ref).and_then(Known::value);
        return lower_branch(builder, known, node, condition, opset).map_err(|error| match error {
            ImportError::Graph { reason } => fail(reason),
            other => other,
        });
    }
    builder.set_origin(&label);
    let outputs = node.output.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    let given = OnnxNode::new(&inputs, Attributes(node), opset, outputs);
    let list = rule.empty(builder, &given).map_err(fail)?;
    if let (Some(list), Some(name)) = (list, node.output.first()) {
        known.insert(name.clone(), list);
        return Ok(());
    }
    let values = rule.lower(builder, &given).map_err(fail)?;
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
    known: &mut Names,
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
    check_names(branch)?;
    let mut inner = known.clone();
    for proto in &branch.initializer {
        inner.insert(proto.name.clone(), initializer(proto, None)?);
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
