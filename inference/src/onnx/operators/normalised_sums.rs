//! Normalised sums, as onnxruntime's optimiser writes them: of an input and what skipped a block, of
//! embeddings.

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use super::normalise::NormalisedSum;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, with_bias};
use crate::onnx::movement::{expand_to, gather, part};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// SkipLayerNormalization: the normalised sum of input, skip and bias; the sum itself is the fourth
/// output.
pub(super) fn skip_layer(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Vec<Value>> {
    skipped(builder, node, node.optional(3), node.optional(4), true)
}

/// SkipSimplifiedLayerNormalization: the same around zero, without a shift.
pub(super) fn skip_root_mean_square(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Vec<Value>> {
    skipped(builder, node, None, node.optional(3), false)
}

fn skipped(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    shift: Option<&Value>,
    bias: Option<&Value>,
    centred: bool,
) -> Lowered<Vec<Value>> {
    let sum = builder.map(F::Add, &[node.input(0)?, node.input(1)?])?;
    if sum.shape() != node.input(0)?.shape() {
        return Err("the skipped input has another shape than the input".to_owned());
    }
    let sum = with_bias(builder, sum, bias)?;
    let epsilon = node.attributes.float("epsilon", 1e-12);
    let normalised = NormalisedSum { sum: &sum, scale: node.input(2)?, shift, centred };
    let (value, moments) = normalised.lower(builder, epsilon, node.outputs > 1)?;
    let mut outputs = vec![value];
    if let Some((mean, inverse)) = moments {
        outputs.extend([mean, inverse, sum]);
    }
    Ok(outputs)
}

/// Rows of a table.
fn looked_up(builder: &mut Builder, table: &Value, rows: &Value) -> Lowered<Value> {
    match table.rank() {
        2 => gather(builder, table, rows, 0),
        _ => Err("a table of embeddings needs two axes".to_owned()),
    }
}

/// EmbedLayerNormalization: the normalised sum of the embeddings of words, places and segments; how
/// many places the mask shows; the sum.
pub(super) fn embed(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Vec<Value>> {
    let sum = embeddings(builder, node)?;
    let epsilon = node.attributes.float("epsilon", 1e-12);
    let (scale, shift) = (node.input(5)?, node.optional(6));
    let normalised = NormalisedSum { sum: &sum, scale, shift, centred: true };
    let (value, _) = normalised.lower(builder, epsilon, false)?;
    let mut outputs = vec![value];
    if node.outputs > 1 {
        outputs.extend([shown_places(builder, node)?, sum]);
    }
    Ok(outputs)
}

/// Batch and sequence of the tokens.
fn tokens(node: &OnnxNode<'_>) -> Lowered<[u64; 2]> {
    match *node.input(0)?.dimensions() {
        [batch, sequence] => Ok([batch, sequence]),
        _ => Err("the tokens need the shape [batch, sequence]".to_owned()),
    }
}

fn embeddings(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let [_, sequence] = tokens(node)?;
    let words = looked_up(builder, node.input(2)?, node.input(0)?)?;
    let table = node.input(3)?;
    let position = match node.optional(8) {
        Some(positions) => looked_up(builder, table, positions)?,
        None => {
            let first = part(builder, table, 0, 0, sequence)?;
            let width = first.shape().columns();
            builder.reshape(&first, &[1, sequence, width])?
        }
    };
    let sum = builder.map(F::Add, &[&words, &position])?;
    match (node.optional(1), node.optional(4)) {
        (Some(segments), Some(table)) => {
            let segments = looked_up(builder, table, segments)?;
            builder.map(F::Add, &[&sum, &segments])
        }
        _ => Ok(sum),
    }
}

/// How many places of each row the mask shows; none without a mask.
fn shown_places(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let [batch, _] = tokens(node)?;
    match node.optional(7) {
        Some(mask) => {
            let one = builder.scalar_of(mask.element(), 1.0)?;
            let shown = builder.map(F::Equal, &[mask, &one])?;
            let shown = builder.cast(&shown, ElementType::I32)?;
            builder.reduce_last(Fold::Sum, &shown)
        }
        None => {
            let zero = builder.scalar_of(ElementType::I32, 0.0)?;
            expand_to(builder, &zero, &[batch])
        }
    }
}
