//! Attention of encoders, as onnxruntime's optimiser writes it: masks as lengths, ranges or truths, and
//! no past.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::heads::{by_head, side_by_side, swap_heads};
use super::linear;
use super::softmax::Exponentials;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, with_bias};
use crate::onnx::movement::part;
use crate::onnx::places::places;
use crate::onnx::shapes::{Lowered, sizes};
use crate::onnx::value::Value;

/// What is added to scores where the mask hides a key. The mask is `[batch]` (how many keys are
/// shown), `[2 · batch]` (and from which on), or truths for each key.
fn mask_bias(
    builder: &mut Builder,
    mask: &Value,
    [batch, queries, keys]: [u64; 3],
    filter: f32,
) -> Lowered<Value> {
    let key = places(builder, 4, 3, keys)?;
    let hidden = match *mask.dimensions() {
        [count] if count == batch || count == 2 * batch => {
            let mask = builder.cast(mask, ElementType::I64)?;
            let ends = part(builder, &mask, 0, 0, batch)?;
            let ends = builder.reshape(&ends, &[batch, 1, 1, 1])?;
            let after = builder.map(F::LessOrEqual, &[&ends, &key])?;
            if count == batch {
                after
            } else {
                let starts = part(builder, &mask, 0, batch, batch)?;
                let starts = builder.reshape(&starts, &[batch, 1, 1, 1])?;
                let before = builder.map(F::Less, &[&key, &starts])?;
                builder.map(F::Or, &[&after, &before])?
            }
        }
        [rows, columns] if rows == batch && columns == keys => {
            raw(builder, mask, &[batch, 1, 1, keys])?
        }
        [rows, lines, columns] if rows == batch && lines == queries && columns == keys => {
            raw(builder, mask, &[batch, 1, queries, keys])?
        }
        _ => {
            return Err(format!(
                "a mask of shape {:?} is not supported; use [batch], [2 · batch], [batch, keys] or \
                 [batch, queries, keys]",
                mask.dimensions()
            ));
        }
    };
    let (low, zero) = (builder.scalar(filter)?, builder.scalar(0.0)?);
    builder.map(F::Select, &[&hidden, &low, &zero])
}

/// Where a mask of truths, as integers, hides a key.
fn raw(builder: &mut Builder, mask: &Value, dimensions: &[u64]) -> Lowered<Value> {
    let mask = match mask.element() {
        ElementType::Bool => builder.cast(mask, ElementType::I32)?,
        _ => mask.clone(),
    };
    let zero = builder.scalar_of(mask.element(), 0.0)?;
    let hidden = builder.map(F::LessOrEqual, &[&mask, &zero])?;
    builder.reshape(&hidden, dimensions)
}

/// Queries, keys and values by heads: `[batch, heads, sequence, depth]`.
struct Heads {
    query: Value,
    key: Value,
    value: Value,
}

fn split_heads(builder: &mut Builder, value: &Value, heads: u64) -> Lowered<Value> {
    let split = by_head(builder, value, heads)?;
    let help = "needs [batch, sequence, width], and num_heads that divides the width";
    swap_heads(builder, &split.ok_or(help)?)
}

/// Scores, mask, softmax, product; heads side by side again. `sizes` are batch, queries and keys; the
/// node has the mask and the added bias as the inputs `mask` and 5.
fn attend(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    Heads { query, key, value }: &Heads,
    sizes: [u64; 3],
    mask: usize,
) -> Lowered<Value> {
    let filter = node.attributes.float("mask_filter_value", -10_000.0);
    let mask =
        node.optional(mask).map(|mask| mask_bias(builder, mask, sizes, filter)).transpose()?;
    let (&[batch, _, queries, depth], &[.., keys, _]) = (query.dimensions(), key.dimensions())
    else {
        return Err("queries and keys need rank 4".to_owned());
    };
    let scale = node.attributes.float("scale", 0.0);
    let scale = if scale == 0.0 { 1.0 / (depth as f32).sqrt() } else { scale };
    let scale = builder.scalar(scale)?;
    let mut scores = builder.contract(query, key)?;
    scores = builder.map(F::Multiply, &[&scores, &scale])?;
    for added in [mask.as_ref(), node.optional(5)].into_iter().flatten() {
        scores = builder.map(F::Add, &[&scores, added])?;
    }
    if node.flag("unidirectional", false) {
        let (line, key) = (places(builder, 4, 2, queries)?, places(builder, 4, 3, keys)?);
        let later = builder.map(F::Less, &[&line, &key])?;
        let low = builder.scalar(f32::MIN)?;
        scores = builder.map(F::Select, &[&later, &low, &scores])?;
    }
    let weights = Exponentials::new(builder, &scores, &[3])?.shares(builder)?;
    let columns = builder.swap_last(value)?;
    let mixed = builder.contract(&weights, &columns)?;
    side_by_side(builder, &mixed, [batch, queries])
}

fn refuse_caches(node: &OnnxNode<'_>, at: &[usize]) -> Lowered<()> {
    let rotary = node.flag("do_rotary", false);
    if at.iter().any(|index| node.optional(*index).is_some()) || node.outputs > 1 || rotary {
        Err("past keys and values, presents and rotary positions are not supported here; \
                     optimise the model less"
            .to_owned())
    } else {
        Ok(())
    }
}

/// Attention: one product gives queries, keys and values of the input.
pub(super) fn attention(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    refuse_caches(node, &[4, 6])?;
    let (input, weights) = (node.input(0)?, node.input(1)?);
    let heads = node.count("num_heads");
    let all = linear::product(builder, input, weights)?;
    let all = with_bias(builder, all, node.optional(2))?;
    let &[batch, sequence, width] = all.dimensions() else {
        return Err("needs [batch, sequence, width]".to_owned());
    };
    let widths = match node.attributes.ints("qkv_hidden_sizes").as_deref() {
        None | Some([]) => vec![width / 3; 3],
        Some(widths) => sizes(widths)?,
    };
    let sum = widths.iter().try_fold(0u64, |sum, size| sum.checked_add(*size));
    let (&[query, key, value], true) = (widths.as_slice(), sum == Some(width)) else {
        return Err("the weights do not split into queries, keys and values".to_owned());
    };
    let cut = |builder: &mut Builder, start: u64, size: u64| {
        let one = part(builder, &all, 2, start, size)?;
        split_heads(builder, &one, heads)
    };
    let parts = Heads {
        query: cut(builder, 0, query)?,
        key: cut(builder, query, key)?,
        value: cut(builder, query + key, value)?,
    };
    attend(builder, node, &parts, [batch, sequence, sequence], 3)
}

/// MultiHeadAttention: queries, keys and values are inputs of their own.
pub(super) fn many_heads(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    refuse_caches(node, &[6, 7, 8])?;
    let heads = node.count("num_heads");
    let (query, key, value) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let mut start = 0;
    let mut biased = |builder: &mut Builder, one: &Value| -> Lowered<Value> {
        let (first, width) = (start, one.shape().columns());
        start += width;
        match node.optional(3) {
            Some(bias) => {
                let own = part(builder, bias, 0, first, width)?;
                let sum = builder.map(F::Add, &[one, &own])?;
                split_heads(builder, &sum, heads)
            }
            None => split_heads(builder, one, heads),
        }
    };
    let parts = Heads {
        query: biased(builder, query)?,
        key: biased(builder, key)?,
        value: biased(builder, value)?,
    };
    let (&[batch, queries, _], &[_, keys, _]) = (query.dimensions(), key.dimensions()) else {
        return Err("needs [batch, sequence, width]".to_owned());
    };
    attend(builder, node, &parts, [batch, queries, keys], 4)
}
