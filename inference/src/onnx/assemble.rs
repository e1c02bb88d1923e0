//! From the builder's operators to the committed model.

use std::collections::HashMap;

use protocol::graph::{Graph, Node, Operand, Profile};
use protocol::hash::Digest;

use super::builder::{Builder, Draft};
use super::error::ImportError;
use super::options::ImportOptions;
use super::shapes::make_shape;
use super::value::Value;
use crate::layers::cut_layers;
use crate::model::Model;
use crate::tensor::Tensor;

/// Drops what no output needs, numbers values, collects weights, cuts layers, commits.
pub(super) fn assemble(
    builder: Builder,
    outputs: Vec<(String, Value)>,
    input_names: Vec<String>,
    options: &ImportOptions,
) -> Result<Model, ImportError> {
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
        ..Graph::default()
    };
    let names = kept.iter().map(|(_, draft)| draft.origin.clone()).collect();
    Model::new(graph, weights, input_names, output_values, names, Profile::StrictF32)
        .map_err(|fault| ImportError::Graph { reason: fault.to_string() })
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
