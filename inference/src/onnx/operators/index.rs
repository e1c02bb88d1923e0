//! Places of elements: largest, sorted, gathered by index.

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use super::reshape::matrix_from;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axis_of};
use crate::onnx::movement::{self, drop_axes, emit_slice, expand_to};
use crate::onnx::places::{from_front, gather_elements, places, scaled, tuple_places, within};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// ArgMax and ArgMin: the place of the largest or smallest along an axis.
pub(super) fn place_of(builder: &mut Builder, node: &OnnxNode<'_>, fold: Fold) -> Lowered<Value> {
    let x = node.input(0)?;
    let axis = node.axis(0, x.rank())?;
    let last = node.flag("select_last_index", false);
    let place = extreme(builder, x, axis, fold, last)?;
    if node.flag("keepdims", true) { Ok(place) } else { drop_axes(builder, &place, &[axis]) }
}

/// First (or last) place of the largest (or smallest) element along an axis, kept with size 1.
fn extreme(
    builder: &mut Builder,
    x: &Value,
    axis: usize,
    best: Fold,
    last: bool,
) -> Lowered<Value> {
    let best = builder.reduce_keep(best, x, &[axis])?;
    let hits = builder.map(F::Equal, &[x, &best])?;
    let size = x.dimensions()[axis];
    let place = places(builder, x.rank(), axis, size)?;
    let (none, fold) = if last { (-1, Fold::Maximum) } else { (size as i64, Fold::Minimum) };
    let none = builder.integer(none)?;
    let marked = builder.map(F::Select, &[&hits, &place, &none])?;
    builder.reduce_keep(fold, &marked, &[axis])
}

/// Hardmax: one where the largest is, zero elsewhere; before operator set 13 over all axes from the
/// given one on.
pub(super) fn hardmax(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let default = if node.opset < 13 { 1 } else { -1 };
    let axis = node.axis(default, x.rank())?;
    let flat = if node.opset < 13 { matrix_from(builder, x, axis)? } else { x.clone() };
    let axis = if node.opset < 13 { 1 } else { axis };
    let best = extreme(builder, &flat, axis, Fold::Maximum, false)?;
    let place = places(builder, flat.rank(), axis, flat.dimensions()[axis])?;
    let hits = builder.map(F::Equal, &[&place, &best])?;
    let ones = builder.cast(&hits, x.element())?;
    builder.reshape(&ones, x.dimensions())
}

/// OneHot: one of two values, as an index says.
pub(super) fn one_hot(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let indices = node.input(0)?;
    let depth = match node.input(1)?.constant() {
        Some(depth) => match depth.integers() {
            Some(integers) => integers.first().copied().unwrap_or(0),
            None => depth.as_f32().first().copied().unwrap_or(0.0) as i64,
        },
        None => return Err("input 1 depends on data; the depth must be constant".to_owned()),
    };
    let depth = u64::try_from(depth).map_err(|_| "the depth is negative")?;
    let rank = indices.rank() + 1;
    let axis = node.axis(-1, rank)?;
    let indices = from_front(builder, indices, depth)?;
    let mut dimensions = indices.dimensions().to_vec();
    dimensions.insert(axis, 1);
    let raised = builder.reshape(&indices, &dimensions)?;
    let place = places(builder, rank, axis, depth)?;
    let hits = builder.map(F::Equal, &[&raised, &place])?;
    let values = node.input(2)?;
    let off = emit_slice(builder, values, vec![0], vec![1], &[1])?;
    let on = emit_slice(builder, values, vec![1], vec![1], &[1])?;
    let (off, on) = (builder.reshape(&off, &[])?, builder.reshape(&on, &[])?);
    builder.map(F::Select, &[&hits, &on, &off])
}

/// TopK: the k largest (or smallest) along an axis, in order, and their places. An element's rank is the
/// number of those before it: larger ones, and equal ones that stand before it.
pub(super) fn top(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Vec<Value>> {
    let x = node.input(0)?;
    let count = match node.integers(1)? {
        Some(count) => count.first().copied().ok_or("k is missing")?,
        None => node.attributes.int("k", 1),
    };
    let count = u64::try_from(count).map_err(|_| "k is negative")?;
    let axis = node.axis(-1, x.rank())?;
    let size = x.dimensions()[axis];
    if count == 0 || count > size {
        return Err(format!("k is {count} and the axis has {size} elements"));
    }
    within(x.shape().count().saturating_mul(size))?;
    let largest = node.flag("largest", true);
    let rank = x.rank();
    let (rows, back) = builder.axis_last(x, axis)?;
    let (mut across, mut down) = (rows.dimensions().to_vec(), rows.dimensions().to_vec());
    across.insert(rank - 1, 1);
    down.push(1);
    let others = builder.reshape(&rows, &across)?;
    let own = builder.reshape(&rows, &down)?;
    let better = if largest {
        builder.map(F::Less, &[&own, &others])?
    } else {
        builder.map(F::Less, &[&others, &own])?
    };
    let equal = builder.map(F::Equal, &[&own, &others])?;
    let (mine, theirs) =
        (places(builder, rank + 1, rank - 1, size)?, places(builder, rank + 1, rank, size)?);
    let earlier = builder.map(F::Less, &[&theirs, &mine])?;
    let tie = builder.map(F::And, &[&equal, &earlier])?;
    let before = builder.map(F::Or, &[&better, &tie])?;
    let before = builder.cast(&before, ElementType::I64)?;
    // [.., size]: the rank of each.
    let ranks = builder.reduce_last(Fold::Sum, &before)?;
    let mut wide = ranks.dimensions().to_vec();
    wide.insert(rank - 1, 1);
    let ranks = builder.reshape(&ranks, &wide)?;
    let wanted = places(builder, rank + 1, rank - 1, count)?;
    let hits = builder.map(F::Equal, &[&ranks, &wanted])?;
    let zero = builder.scalar_of(ElementType::I64, 0.0)?;
    let marked = builder.map(F::Select, &[&hits, &theirs, &zero])?;
    let found = builder.reduce_last(Fold::Sum, &marked)?;
    let indices = builder.transpose(&found, &back)?;
    let values = gather_elements(builder, x, &indices, axis)?;
    Ok(vec![values, indices])
}

/// Trilu: zero on one side of a diagonal.
pub(super) fn triangle(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let rank = x.rank();
    let (Some(rows), Some(columns)) = (rank.checked_sub(2), rank.checked_sub(1)) else {
        return Err("needs two axes".to_owned());
    };
    let row = places(builder, rank, rows, x.dimensions()[rows])?;
    let column = places(builder, rank, columns, x.dimensions()[columns])?;
    let shift = match node.optional(1) {
        Some(shift) => builder.reshape(shift, &[])?,
        None => builder.scalar_of(ElementType::I64, 0.0)?,
    };
    let diagonal = builder.map(F::Add, &[&row, &shift])?;
    let upper = node.flag("upper", true);
    let (low, high) = if upper { (&diagonal, &column) } else { (&column, &diagonal) };
    let kept = builder.map(F::LessOrEqual, &[low, high])?;
    let zero = builder.scalar_of(x.element(), 0.0)?;
    builder.map(F::Select, &[&kept, x, &zero])
}

/// Gather: the parts along an axis that indices name.
pub(super) fn gather(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let axis = node.axis(0, x.rank())?;
    movement::gather(builder, x, indices, axis)
}

/// GatherElements: one element for each index.
pub(super) fn gather_each(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let axis = node.axis(0, x.rank())?;
    gather_elements(builder, x, indices, axis)
}

/// GatherND: the blocks that tuples of indices name.
pub(super) fn gather_many(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let batch = usize::try_from(node.attributes.int("batch_dims", 0)).unwrap_or(usize::MAX);
    if batch >= x.rank() || batch >= indices.rank() {
        return Err("batch_dims is as large as a rank".to_owned());
    }
    let depth = *indices.dimensions().last().ok_or("indices have no axis")? as usize;
    let mut flat = tuple_places(builder, x.dimensions(), indices, batch)?;
    let after = batch + depth;
    let named: u64 = x.dimensions()[batch..after].iter().product();
    // Batches follow each other.
    for axis in 0..batch {
        let place = places(builder, flat.rank(), axis, x.dimensions()[axis])?;
        let apart = x.dimensions()[axis + 1..batch].iter().product::<u64>() * named;
        let place = scaled(builder, &place, apart as i64)?;
        flat = builder.map(F::Add, &[&flat, &place])?;
    }
    let mut blocks = vec![x.dimensions()[..after].iter().product::<u64>()];
    blocks.extend(&x.dimensions()[after..]);
    let blocks = builder.reshape(x, &blocks)?;
    movement::gather(builder, &blocks, &flat, 0)
}

/// ReverseSequence: the beginning of each row turned around.
pub(super) fn reverse_sequence(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, lengths) = (node.input(0)?, node.input(1)?);
    let batch = axis_of(node.attributes.int("batch_axis", 1), x.rank())?;
    let time = axis_of(node.attributes.int("time_axis", 0), x.rank())?;
    let rank = x.rank();
    let mut dimensions = vec![1; rank];
    dimensions[batch] = x.dimensions()[batch];
    let lengths = builder.cast(lengths, ElementType::I64)?;
    let lengths = builder.reshape(&lengths, &dimensions)?;
    let place = places(builder, rank, time, x.dimensions()[time])?;
    let inside = builder.map(F::Less, &[&place, &lengths])?;
    let one = builder.scalar_of(ElementType::I64, 1.0)?;
    let mirrored = builder.map(F::Subtract, &[&lengths, &place])?;
    let mirrored = builder.map(F::Subtract, &[&mirrored, &one])?;
    let chosen = builder.map(F::Select, &[&inside, &mirrored, &place])?;
    let chosen = expand_to(builder, &chosen, x.dimensions())?;
    gather_elements(builder, x, &chosen, time)
}
