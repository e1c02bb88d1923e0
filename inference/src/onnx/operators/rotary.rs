//! Rotary positions: pairs of numbers turned by an angle for each position.

use protocol::graph::MapFunction as F;

use super::heads::{by_head, swap_heads};
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::movement::{emit_slice, gather, joined, part};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// RotaryEmbedding.
pub(super) fn rotary(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    // [batch, sequence, heads, depth].
    let split = match x.rank() {
        4 => swap_heads(builder, x)?,
        3 => {
            let split = by_head(builder, x, node.count("num_heads"))?;
            split.ok_or("num_heads does not divide the width")?
        }
        _ => return Err("needs rank 3 or 4".to_owned()),
    };
    let depth = split.dimensions()[3];
    let size = match node.attributes.int("rotary_embedding_dim", 0) {
        0 => depth,
        some => u64::try_from(some).map_err(|_| "rotary_embedding_dim is negative")?,
    };
    let (cosine, sine) = (angles(builder, node, 1)?, angles(builder, node, 2)?);
    let inner = part(builder, &split, 3, 0, size)?;
    let pairs = Pairs { of: &inner, interleaved: node.flag("interleaved", false) };
    let (first, second) = pairs.split(builder)?;
    let (real, imaginary) = turned(builder, [&cosine, &sine], [&first, &second])?;
    let turned = pairs.join(builder, real, imaginary)?;
    let all = if size == depth {
        turned
    } else {
        let rest = part(builder, &split, 3, size, depth - size)?;
        joined(builder, vec![turned, rest], 3)?
    };
    match x.rank() {
        3 => builder.reshape(&all, x.dimensions()),
        _ => swap_heads(builder, &all),
    }
}

/// Cosines or sines, one row for each position, with an axis for heads.
fn angles(builder: &mut Builder, node: &OnnxNode<'_>, index: usize) -> Lowered<Value> {
    let table = node.input(index)?;
    if table.rank() < 2 {
        return Err("the table of angles needs two axes".to_owned());
    }
    let rows = match node.optional(3) {
        Some(positions) => gather(builder, table, positions, 0)?,
        None => table.clone(),
    };
    let mut dimensions = rows.dimensions().to_vec();
    dimensions.insert(rows.rank() - 1, 1);
    builder.reshape(&rows, &dimensions)
}

/// `(a + ib)(cos + i sin)`.
fn turned(
    builder: &mut Builder,
    [cosine, sine]: [&Value; 2],
    [first, second]: [&Value; 2],
) -> Lowered<(Value, Value)> {
    let (a, b) =
        (builder.map(F::Multiply, &[cosine, first])?, builder.map(F::Multiply, &[sine, second])?);
    let real = builder.map(F::Subtract, &[&a, &b])?;
    let (a, b) =
        (builder.map(F::Multiply, &[sine, first])?, builder.map(F::Multiply, &[cosine, second])?);
    Ok((real, builder.map(F::Add, &[&a, &b])?))
}

/// How the two numbers of a pair lie along the last of four axes: beside each other, or half of the
/// axis apart.
struct Pairs<'a> {
    of: &'a Value,
    interleaved: bool,
}

impl Pairs<'_> {
    fn split(&self, builder: &mut Builder) -> Lowered<(Value, Value)> {
        let mut dimensions = self.of.dimensions().to_vec();
        let half = dimensions[3] / 2;
        if !self.interleaved {
            let first = part(builder, self.of, 3, 0, half)?;
            return Ok((first, part(builder, self.of, 3, half, half)?));
        }
        dimensions[3] = half;
        let mut every = |start: i64| {
            let (starts, steps) = (vec![0, 0, 0, start], vec![1, 1, 1, 2]);
            emit_slice(builder, self.of, starts, steps, &dimensions)
        };
        Ok((every(0)?, every(1)?))
    }

    fn join(&self, builder: &mut Builder, real: Value, imaginary: Value) -> Lowered<Value> {
        if !self.interleaved {
            return joined(builder, vec![real, imaginary], 3);
        }
        let mut dimensions = real.dimensions().to_vec();
        dimensions.push(1);
        let real = builder.reshape(&real, &dimensions)?;
        let imaginary = builder.reshape(&imaginary, &dimensions)?;
        let pairs = joined(builder, vec![real, imaginary], 4)?;
        builder.reshape(&pairs, self.of.dimensions())
    }
}
