//! Places of elements, as values: counted along an axis, and found from indices.
//!
//! What an index says at run time is found by comparing it with every place it could name, so that
//! the work grows with their product; a limit keeps it in bounds.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::builder::Builder;
use super::movement::{gather, part};
use super::shapes::{Lowered, stride};
use super::value::Value;

/// Most pairs of places that are compared.
const PAIRS_MAX: u64 = 1 << 25;
/// Most factors of a product: each is an operator.
const FACTORS_MAX: u64 = 1 << 10;

/// 0, 1, 2, … along an axis, broadcast against the others.
pub(super) fn places(builder: &mut Builder, rank: usize, axis: usize, size: u64) -> Lowered<Value> {
    within(size)?;
    let line = builder.integers((0..size as i64).collect())?;
    let mut dimensions = vec![1; rank];
    dimensions[axis] = size;
    builder.reshape(&line, &dimensions)
}

/// Refuses to compare too many places with each other.
pub(super) fn within(pairs: u64) -> Lowered<()> {
    if pairs <= PAIRS_MAX {
        Ok(())
    } else {
        Err(format!("compares more than {PAIRS_MAX} pairs of places; use smaller tensors"))
    }
}

/// Indices from the end made indices from the front.
pub(super) fn from_front(builder: &mut Builder, indices: &Value, size: u64) -> Lowered<Value> {
    let indices = builder.cast(indices, ElementType::I64)?;
    let zero = builder.scalar_of(ElementType::I64, 0.0)?;
    let size = builder.integer(size as i64)?;
    let negative = builder.map(F::Less, &[&indices, &zero])?;
    let moved = builder.map(F::Add, &[&indices, &size])?;
    builder.map(F::Select, &[&negative, &moved, &indices])
}

/// Places of elements that lie further apart: multiplied by a factor.
pub(super) fn scaled(builder: &mut Builder, value: &Value, factor: i64) -> Lowered<Value> {
    let factor = builder.integer(factor)?;
    builder.map(F::Multiply, &[value, &factor])
}

/// Flat places that indices along an axis name: other coordinates are the index's own.
pub(super) fn flat_places(
    builder: &mut Builder,
    dimensions: &[u64],
    indices: &Value,
    axis: usize,
) -> Lowered<Value> {
    if indices.rank() != dimensions.len() {
        return Err("indices and data have different ranks".to_owned());
    }
    let indices = from_front(builder, indices, dimensions[axis])?;
    let mut flat = scaled(builder, &indices, stride(dimensions, axis))?;
    for other in (0..dimensions.len()).filter(|other| *other != axis) {
        let size = indices.dimensions()[other];
        let place = places(builder, dimensions.len(), other, size)?;
        let place = scaled(builder, &place, stride(dimensions, other))?;
        flat = builder.map(F::Add, &[&flat, &place])?;
    }
    Ok(flat)
}

/// The elements that indices along an axis name, one for each index.
pub(super) fn gather_elements(
    builder: &mut Builder,
    x: &Value,
    indices: &Value,
    axis: usize,
) -> Lowered<Value> {
    if indices.rank() != x.rank() {
        return Err("indices and data have different ranks".to_owned());
    }
    let flat = flat_places(builder, x.dimensions(), indices, axis)?;
    let line = builder.reshape(x, &[x.shape().count()])?;
    gather(builder, &line, &flat, 0)
}

/// Flat places of the blocks that tuples of indices name, `[.., depth]` → `[..]`.
pub(super) fn tuple_places(
    builder: &mut Builder,
    dimensions: &[u64],
    indices: &Value,
    first: usize,
) -> Lowered<Value> {
    let (depth, outer) = indices.dimensions().split_last().ok_or("indices have no axis")?;
    let (depth, outer) = (*depth as usize, outer.to_vec());
    if first + depth > dimensions.len() {
        return Err("an index names more axes than there are".to_owned());
    }
    let block: u64 = dimensions[first + depth..].iter().product();
    let mut flat: Option<Value> = None;
    for place in 0..depth {
        let column = part(builder, indices, outer.len(), place as u64, 1)?;
        let column = builder.reshape(&column, &outer)?;
        let column = from_front(builder, &column, dimensions[first + place])?;
        let apart = stride(dimensions, first + place) / block as i64;
        let column = scaled(builder, &column, apart)?;
        flat = Some(match flat {
            Some(sum) => builder.map(F::Add, &[&sum, &column])?,
            None => column,
        });
    }
    flat.ok_or_else(|| "an index names no axis".to_owned())
}

/// The product along the last axis, which goes away: from the first factor on.
pub(super) fn product_last(builder: &mut Builder, value: &Value) -> Lowered<Value> {
    let (count, outer) = value.dimensions().split_last().ok_or("nothing to multiply")?;
    let (count, outer) = (*count, outer.to_vec());
    if count > FACTORS_MAX {
        return Err(format!("a product of more than {FACTORS_MAX} factors"));
    }
    let mut product: Option<Value> = None;
    for factor in 0..count {
        let one = part(builder, value, outer.len(), factor, 1)?;
        product = Some(match product {
            Some(product) => builder.map(F::Multiply, &[&product, &one])?,
            None => one,
        });
    }
    let product = product.ok_or("nothing to multiply")?;
    builder.reshape(&product, &outer)
}
