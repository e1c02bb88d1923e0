//! Tensors put together and cut apart.

use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axis_of};
use crate::onnx::movement::{self, emit_slice, part};
use crate::onnx::shapes::{Lowered, sizes};
use crate::onnx::value::Value;

/// Concat: all inputs side by side.
pub(super) fn concat(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let parts: Vec<Value> = node.all().cloned().collect();
    let first = parts.first().ok_or("no inputs")?;
    if parts.len() == 1 {
        return Ok(first.clone());
    }
    let axis = node.axis(0, first.rank())?;
    movement::concat(builder, parts, axis)
}

/// Split: parts along an axis, of sizes that are given or of equal ones.
pub(super) fn split(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Vec<Value>> {
    let x = node.input(0)?;
    let axis = node.axis(0, x.rank())?;
    let size = x.dimensions()[axis];
    let given = node.integers_or(1, "split")?;
    let parts = match given {
        Some(given) => sizes(&given)?,
        None => {
            let count = node.outputs.max(1) as u64;
            let each = size.div_ceil(count);
            (0..count).map(|index| each.min(size.saturating_sub(index * each))).collect()
        }
    };
    let sum = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(*part));
    if sum != Some(size) {
        return Err(format!("parts {parts:?} do not add up to {size}"));
    }
    let mut start = 0;
    let mut values = Vec::new();
    for length in parts {
        values.push(part(builder, x, axis, start, length)?);
        start += length;
    }
    Ok(values)
}

/// Slice: every so many elements from a start to an end, along some axes.
pub(super) fn slice(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (starts, steps, dimensions) = slice_of(node)?.ok_or("the slice is empty")?;
    emit_slice(builder, node.input(0)?, starts, steps, &dimensions)
}

/// Starts, steps and sizes of a slice, one for each axis.
type Cut = (Vec<i64>, Vec<i64>, Vec<u64>);

/// A node's slice; `None` when nothing is left.
pub(super) fn slice_of(node: &OnnxNode<'_>) -> Lowered<Option<Cut>> {
    let x = node.input(0)?;
    let given_starts = node.integers_or(1, "starts")?.ok_or("starts are missing")?;
    let given_ends = node.integers_or(2, "ends")?.ok_or("ends are missing")?;
    let count = given_starts.len();
    let axes = node.integers_or(3, "axes")?.unwrap_or((0..count as i64).collect());
    let given_steps = node.integers_or(4, "steps")?.unwrap_or(vec![1; count]);
    if [given_ends.len(), axes.len(), given_steps.len()].iter().any(|length| *length != count) {
        return Err("starts, ends, axes and steps differ in length".to_owned());
    }
    let (mut starts, mut steps) = (vec![0; x.rank()], vec![1; x.rank()]);
    let mut dimensions = x.dimensions().to_vec();
    for index in 0..count {
        let axis = axis_of(axes[index], x.rank())?;
        let (size, step) = (x.dimensions()[axis] as i64, given_steps[index]);
        let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (start, end) = (from_end(given_starts[index]), from_end(given_ends[index]));
        let (start, end) = match step {
            0 => return Err("a step of 0".to_owned()),
            1.. => (start.clamp(0, size), end.clamp(0, size)),
            _ => (start.clamp(0, size - 1), end.clamp(-1, size - 1)),
        };
        let distance = if step > 0 { end - start } else { start - end };
        if distance <= 0 {
            return Ok(None);
        }
        (starts[axis], steps[axis]) = (start, step);
        dimensions[axis] = (distance as u64).div_ceil(step.unsigned_abs());
    }
    Ok(Some((starts, steps, dimensions)))
}
