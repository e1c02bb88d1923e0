//! `rebut inspect`: a model as the protocol sees it.

use inference::Model;
use inference::trace::type_text;
use ledger::words;
use protocol::graph::Node;
use protocol::hash::Digest;
use protocol::tensor::TensorType;
use serde_json::{Value as Json, json};

use crate::arguments::Inspect;
use crate::ending::Ending;
use crate::error::CommandError;
use crate::{load, print};

/// Inputs or outputs: names with their types, and whether the file has them as 16-bit floats.
fn listed<'a>(
    model: &'a Model,
    values: impl Iterator<Item = (&'a String, &'a TensorType)>,
) -> Vec<Json> {
    let each = |(name, kind): (&String, &TensorType)| {
        json!({
            "name": name,
            "element_type": kind.element.name(),
            "shape": kind.shape.dimensions(),
            "f16_in_file": model.halves().values.contains(name),
        })
    };
    values.map(each).collect()
}

/// A type for people; 16-bit floats of the file are told.
fn described(model: &Model, name: &String, kind: &TensorType) -> String {
    if model.halves().values.contains(name) {
        format!("{} (f16 in the file; given and computed as f32)", type_text(kind))
    } else {
        type_text(kind)
    }
}

/// Bytes hashed for the state at a boundary.
fn state_bytes(model: &Model, boundary: u32) -> u64 {
    let live = model.live_values(boundary).unwrap_or_default();
    let graph = model.graph();
    let first = graph.inputs.len() + graph.weights.len();
    live.iter()
        .filter_map(|value| {
            let value = *value as usize;
            let written = || value.checked_sub(first).and_then(|at| graph.nodes.get(at));
            graph.inputs.get(value).or_else(|| written().map(|node| &node.output))
        })
        .map(|kind| kind.shape.count() * kind.element.bytes() as u64)
        .sum()
}

/// The operators of a layer with their indices in the graph.
fn operators_of(model: &Model, layer: u32) -> impl Iterator<Item = (u32, &Node)> {
    let range = model
        .layer(layer)
        .map_or(0..0, |layer| layer.first_operator..layer.first_operator + layer.operator_count);
    range.filter_map(|operator| Some((operator, model.node(operator)?)))
}

/// Outputs of the model with their types.
fn outputs(model: &Model) -> impl Iterator<Item = (&String, &TensorType)> {
    let outputs = model.outputs().iter();
    outputs.filter_map(|(name, value)| Some((name, model.value_type(*value)?)))
}

pub(crate) fn run(arguments: &Inspect, as_json: bool) -> Result<Ending, CommandError> {
    let engine = load::engine(&arguments.engine)?;
    let model = load::model(&arguments.model, &arguments.import, &engine)?;
    if as_json {
        print::json(&document(&model))?;
    } else {
        tell(&model);
    }
    Ok(Ending::Done)
}

/// Hash of the model's card, if it has one.
fn card(model: &Model) -> Option<String> {
    let card = model.header().card;
    (card != Digest::default()).then(|| card.to_string())
}

fn document(model: &Model) -> Json {
    let operator = |(index, node): (u32, &Node)| {
        json!({
            "index": index,
            "name": model.operator_name(index),
            "kind": node.operator.kind(),
            "element_type": node.output.element.name(),
            "shape": node.output.shape.dimensions(),
        })
    };
    let layers = (0..model.header().layer_count).map(|layer| {
        let operators: Vec<Json> = operators_of(model, layer).map(operator).collect();
        json!({ "operators": operators, "state_bytes": state_bytes(model, layer + 1) })
    });
    json!({
        "model_root": model.root().to_string(),
        "inputs": listed(model, model.input_names().iter().zip(&model.graph().inputs)),
        "outputs": listed(model, outputs(model)),
        "f16_weights": model.halves().weights,
        "links": model.header().links,
        "stop": model.header().stop,
        "card": card(model),
        "layers": layers.collect::<Vec<Json>>(),
        "operators": model.header().operator_count,
        "parameters": model.parameters(),
        "multiply_adds": model.multiply_adds(),
    })
}

fn tell(model: &Model) {
    println!("model root     {}", model.root());
    for (name, kind) in load::input_types(model) {
        println!("input          {name}: {}", described(model, &name, &kind));
    }
    for (name, kind) in outputs(model) {
        println!("output         {name}: {}", described(model, name, kind));
    }
    let header = model.header();
    if header.is_recurrent() {
        let links: Vec<String> = header.links.iter().map(ToString::to_string).collect();
        println!("links          values {}, the inputs of the next iteration", links.join(", "));
    }
    if let Some(stop) = header.stop {
        println!("stop           value {stop} ends a run");
    }
    if let Some(card) = card(model) {
        println!("card           {card}");
    }
    if model.halves().weights > 0 {
        println!("f16 weights    {}, computed as f32", model.halves().weights);
    }
    println!("operators      {}", model.header().operator_count);
    println!("parameters     {}", model.parameters());
    println!("multiply-adds  {}", model.multiply_adds());
    for layer in 0..model.header().layer_count {
        println!("\nlayer {layer}: {} bytes hashed after it", state_bytes(model, layer + 1));
        let rows = operators_of(model, layer)
            .enumerate()
            .map(|(position, (index, node))| {
                vec![
                    format!("{layer}:{position}"),
                    index.to_string(),
                    node.operator.kind().to_owned(),
                    type_text(&node.output),
                    words::printable(model.operator_name(index)),
                ]
            })
            .collect();
        print::table(&["place", "operator", "kind", "output", "ONNX node"], rows);
    }
}
