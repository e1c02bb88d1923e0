//! The same elements elsewhere: parts of a tensor, several side by side, elements repeated.

use protocol::graph::{OPERANDS_MAX, Operator};

use super::builder::Builder;
use super::shapes::{Lowered, broadcast, make_shape};
use super::value::Value;

/// A value expanded to a shape that it broadcasts to.
pub(super) fn expand_to(
    builder: &mut Builder,
    value: &Value,
    dimensions: &[u64],
) -> Lowered<Value> {
    let shape = broadcast(value.shape(), &make_shape(dimensions)?)?;
    if shape == *value.shape() {
        return Ok(value.clone());
    }
    builder.emit(Operator::Expand {}, vec![value.clone()], value.element(), shape)
}

/// Removes axes of size 1.
pub(super) fn drop_axes(builder: &mut Builder, value: &Value, axes: &[usize]) -> Lowered<Value> {
    let dimensions: Vec<u64> = value
        .dimensions()
        .iter()
        .enumerate()
        .filter(|(axis, _)| !axes.contains(axis))
        .map(|(_, size)| *size)
        .collect();
    builder.reshape(value, &dimensions)
}

/// A contiguous part along one axis.
pub(super) fn part(
    builder: &mut Builder,
    x: &Value,
    axis: usize,
    start: u64,
    size: u64,
) -> Lowered<Value> {
    if axis >= x.rank() {
        return Err(format!("there is no axis {axis}"));
    }
    let mut starts = vec![0; x.rank()];
    starts[axis] = start as i64;
    let mut dimensions = x.dimensions().to_vec();
    dimensions[axis] = size;
    emit_slice(builder, x, starts, vec![1; x.rank()], &dimensions)
}

/// Every so many elements along each axis, from a start on: one start, step and size for each axis.
pub(super) fn emit_slice(
    builder: &mut Builder,
    x: &Value,
    starts: Vec<i64>,
    steps: Vec<i64>,
    dimensions: &[u64],
) -> Lowered<Value> {
    if dimensions == x.dimensions() && steps.iter().all(|step| *step == 1) {
        return Ok(x.clone());
    }
    let shape = make_shape(dimensions)?;
    builder.emit(Operator::Slice { starts, steps }, vec![x.clone()], x.element(), shape)
}

/// The parts along an axis that indices name: `[.., axis, ..]` becomes `[.., indices.., ..]`.
pub(super) fn gather(
    builder: &mut Builder,
    x: &Value,
    indices: &Value,
    axis: usize,
) -> Lowered<Value> {
    let mut dimensions = x.dimensions()[..axis].to_vec();
    dimensions.extend(indices.dimensions());
    dimensions.extend(&x.dimensions()[axis + 1..]);
    let shape = make_shape(&dimensions)?;
    let operands = vec![x.clone(), indices.clone()];
    builder.emit(Operator::Gather { axis: axis as u32 }, operands, x.element(), shape)
}

/// Adds elements on both sides of each axis, or takes some away: as many as `before` says at the start,
/// and at the end as many as the dimensions ask for. `fill` is what is added, as stored bits.
pub(super) fn pad(
    builder: &mut Builder,
    value: &Value,
    before: Vec<i64>,
    dimensions: &[u64],
    fill: u64,
) -> Lowered<Value> {
    let shape = make_shape(dimensions)?;
    builder.emit(Operator::Pad { before, fill }, vec![value.clone()], value.element(), shape)
}

/// Values side by side along an axis, by one operator, which takes only so many of them.
pub(super) fn concat(builder: &mut Builder, parts: Vec<Value>, axis: usize) -> Lowered<Value> {
    let first = parts.first().ok_or("no inputs")?;
    let element = first.element();
    let mut dimensions = first.dimensions().to_vec();
    let size = parts.iter().map(|part| part.dimensions().get(axis).copied());
    let size: Option<u64> = size.sum();
    *dimensions.get_mut(axis).ok_or("ranks differ")? = size.ok_or("ranks differ")?;
    let shape = make_shape(&dimensions)?;
    builder.emit(Operator::Concat { axis: axis as u32 }, parts, element, shape)
}

/// Any number of values of one rank side by side along an axis, in bundles that one operator may take.
pub(super) fn joined(builder: &mut Builder, mut parts: Vec<Value>, axis: usize) -> Lowered<Value> {
    let rank = parts.first().map_or(0, Value::rank);
    if axis >= rank || parts.iter().any(|part| part.rank() != rank) {
        return Err("parts have different ranks".to_owned());
    }
    while parts.len() > 1 {
        let mut bundles = Vec::new();
        for bundle in parts.chunks(OPERANDS_MAX) {
            bundles.push(match bundle {
                [one] => one.clone(),
                several => concat(builder, several.to_vec(), axis)?,
            });
        }
        parts = bundles;
    }
    parts.pop().ok_or_else(|| "nothing to put together".to_owned())
}
