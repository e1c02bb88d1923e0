//! Places of elements: largest, sorted, gathered and scattered by index.
//!
//! What an index says at run time is found by comparing it with every place it could name, so that
//! the work grows with their product; a limit keeps it in bounds.

use protocol::graph::{Fold, MapFunction as F, Operator};
use protocol::tensor::ElementType;

use super::{Context, Inputs, axes_of, axis_of, drop_axes, scatter};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::onnx::fold_shapes::{emit_slice, expand_to, gather};

/// Most pairs of places that are compared.
const PAIRS_MAX: u64 = 1 << 25;

/// Lowers an operator of this family; `Ok(None)` for others.
pub(super) fn lower(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Option<Vec<Value>>> {
    let attributes = &context.attributes;
    let value = match operator {
        "ArgMax" | "ArgMin" => {
            let x = inputs.get(0)?;
            let axis = axis_of(attributes.int("axis", 0), x.rank())?;
            let last = attributes.int("select_last_index", 0) != 0;
            let place = extreme(builder, x, axis, operator == "ArgMax", last)?;
            match attributes.int("keepdims", 1) {
                0 => drop_axes(builder, &place, &[axis])?,
                _ => place,
            }
        }
        "Hardmax" => hardmax(builder, inputs, context)?,
        "OneHot" => one_hot(builder, inputs, context)?,
        "TopK" => return top(builder, inputs, context).map(Some),
        "CumSum" => cumulate(builder, inputs, context)?,
        "Trilu" => triangle(builder, inputs, context)?,
        "EyeLike" => eye(builder, inputs, context)?,
        "GatherElements" => {
            let (x, indices) = (inputs.get(0)?, inputs.get(1)?);
            let axis = axis_of(attributes.int("axis", 0), x.rank())?;
            gather_elements(builder, x, indices, axis)?
        }
        "GatherND" => gather_many(builder, inputs, context)?,
        "ScatterElements" | "Scatter" => scatter::scatter_elements(builder, inputs, context)?,
        "ScatterND" => scatter::scatter_many(builder, inputs, context)?,
        "ReverseSequence" => reverse_sequence(builder, inputs, context)?,
        "CenterCropPad" => centre(builder, inputs, context)?,
        _ => return Ok(None),
    };
    Ok(Some(vec![value]))
}

/// 0, 1, 2, … along an axis, broadcast against the others.
pub(super) fn places(builder: &mut Builder, rank: usize, axis: usize, size: u64) -> Lowered<Value> {
    within(size)?;
    let line = builder.integers((0..size as i64).collect())?;
    let mut dimensions = vec![1; rank];
    dimensions[axis] = size;
    builder.reshape(&line, &dimensions)
}

pub(super) fn within(pairs: u64) -> Lowered<()> {
    match pairs <= PAIRS_MAX {
        true => Ok(()),
        false => {
            Err(format!("compares more than {PAIRS_MAX} pairs of places; use smaller tensors"))
        }
    }
}

/// First (or last) place of the largest (or smallest) element along an axis, kept with size 1.
fn extreme(
    builder: &mut Builder,
    x: &Value,
    axis: usize,
    largest: bool,
    last: bool,
) -> Lowered<Value> {
    let fold = if largest { Fold::Maximum } else { Fold::Minimum };
    let best = builder.reduce_keep(fold, x, &[axis])?;
    let hits = builder.map(F::Equal, &[x, &best])?;
    let size = x.dimensions()[axis];
    let place = places(builder, x.rank(), axis, size)?;
    let (none, fold) = if last { (-1, Fold::Maximum) } else { (size as i64, Fold::Minimum) };
    let none = builder.integers(vec![none])?;
    let none = builder.reshape(&none, &[])?;
    let marked = builder.map(F::Select, &[&hits, &place, &none])?;
    builder.reduce_keep(fold, &marked, &[axis])
}

fn hardmax(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let default = if context.opset < 13 { 1 } else { -1 };
    let axis = axis_of(context.attributes.int("axis", default), x.rank())?;
    let flat = match context.opset < 13 {
        true => {
            let (outer, inner) = x.dimensions().split_at(axis);
            builder.reshape(x, &[outer.iter().product(), inner.iter().product()])?
        }
        false => x.clone(),
    };
    let axis = if context.opset < 13 { 1 } else { axis };
    let best = extreme(builder, &flat, axis, true, false)?;
    let place = places(builder, flat.rank(), axis, flat.dimensions()[axis])?;
    let hits = builder.map(F::Equal, &[&place, &best])?;
    let ones = builder.cast(&hits, x.element())?;
    builder.reshape(&ones, x.dimensions())
}

fn one_hot(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let indices = inputs.get(0)?.clone();
    let depth = match inputs.get(1)?.constant() {
        Some(depth) => match depth.integers() {
            Some(integers) => integers.first().copied().unwrap_or(0),
            None => depth.as_f32().first().copied().unwrap_or(0.0) as i64,
        },
        None => return Err("input 1 depends on data; the depth must be constant".to_owned()),
    };
    let depth = u64::try_from(depth).map_err(|_| "the depth is negative")?;
    let rank = indices.rank() + 1;
    let axis = axis_of(context.attributes.int("axis", -1), rank)?;
    let indices = builder.cast(&indices, ElementType::I64)?;
    let size = builder.integers(vec![depth as i64])?;
    let size = builder.reshape(&size, &[])?;
    let zero = builder.scalar_of(ElementType::I64, 0.0)?;
    let negative = builder.map(F::Less, &[&indices, &zero])?;
    let moved = builder.map(F::Add, &[&indices, &size])?;
    let indices = builder.map(F::Select, &[&negative, &moved, &indices])?;
    let mut dimensions = indices.dimensions().to_vec();
    dimensions.insert(axis, 1);
    let raised = builder.reshape(&indices, &dimensions)?;
    let place = places(builder, rank, axis, depth)?;
    let hits = builder.map(F::Equal, &[&raised, &place])?;
    let values = inputs.get(2)?.clone();
    let off = emit_slice(builder, &values, vec![0], vec![1], &[1])?;
    let on = emit_slice(builder, &values, vec![1], vec![1], &[1])?;
    let (off, on) = (builder.reshape(&off, &[])?, builder.reshape(&on, &[])?);
    builder.map(F::Select, &[&hits, &on, &off])
}

/// The k largest (or smallest) along an axis, in order, and their places. An element's rank is the
/// number of those before it: larger ones, and equal ones that stand before it.
fn top(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Vec<Value>> {
    let x = inputs.get(0)?;
    let attributes = &context.attributes;
    let count = match inputs.integers(1)? {
        Some(count) => count.first().copied().ok_or("k is missing")?,
        None => attributes.int("k", 1),
    };
    let count = u64::try_from(count).map_err(|_| "k is negative")?;
    let axis = axis_of(attributes.int("axis", -1), x.rank())?;
    let size = x.dimensions()[axis];
    if count == 0 || count > size {
        return Err(format!("k is {count} and the axis has {size} elements"));
    }
    within(x.shape().count().saturating_mul(size))?;
    let largest = attributes.int("largest", 1) != 0;
    let rank = x.rank();
    let (rows, back) = builder.axis_last(x, axis)?;
    let (mut across, mut down) = (rows.dimensions().to_vec(), rows.dimensions().to_vec());
    across.insert(rank - 1, 1);
    down.push(1);
    let others = builder.reshape(&rows, &across)?;
    let own = builder.reshape(&rows, &down)?;
    let better = match largest {
        true => builder.map(F::Less, &[&own, &others])?,
        false => builder.map(F::Less, &[&others, &own])?,
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

fn cumulate(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let axis = inputs.integers(1)?.and_then(|axis| axis.first().copied()).ok_or("no axis")?;
    let axis = axis_of(axis, x.rank())?;
    let (size, rank) = (x.dimensions()[axis], x.rank());
    within(x.shape().count().saturating_mul(size))?;
    let attributes = &context.attributes;
    let (exclusive, reverse) =
        (attributes.int("exclusive", 0) != 0, attributes.int("reverse", 0) != 0);
    // A new last axis runs over the terms of each sum.
    let (rows, back) = builder.axis_last(x, axis)?;
    let mut dimensions = rows.dimensions().to_vec();
    dimensions.insert(rank - 1, 1);
    let terms = builder.reshape(&rows, &dimensions)?;
    let (sum, term) =
        (places(builder, rank + 1, rank - 1, size)?, places(builder, rank + 1, rank, size)?);
    let (low, high) = if reverse { (&sum, &term) } else { (&term, &sum) };
    let counts = builder.map(if exclusive { F::Less } else { F::LessOrEqual }, &[low, high])?;
    let zero = builder.scalar_of(x.element(), 0.0)?;
    let kept = builder.map(F::Select, &[&counts, &terms, &zero])?;
    let sums = builder.reduce_last(Fold::Sum, &kept)?;
    builder.transpose(&sums, &back)
}

fn triangle(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let rank = x.rank();
    let (Some(rows), Some(columns)) = (rank.checked_sub(2), rank.checked_sub(1)) else {
        return Err("needs two axes".to_owned());
    };
    let row = places(builder, rank, rows, x.dimensions()[rows])?;
    let column = places(builder, rank, columns, x.dimensions()[columns])?;
    let shift = match inputs.optional(1) {
        Some(shift) => builder.reshape(shift, &[])?,
        None => builder.scalar_of(ElementType::I64, 0.0)?,
    };
    let diagonal = builder.map(F::Add, &[&row, &shift])?;
    let upper = context.attributes.int("upper", 1) != 0;
    let (low, high) = if upper { (&diagonal, &column) } else { (&column, &diagonal) };
    let kept = builder.map(F::LessOrEqual, &[low, high])?;
    let zero = builder.scalar_of(x.element(), 0.0)?;
    builder.map(F::Select, &[&kept, x, &zero])
}

fn eye(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let &[rows, columns] = x.dimensions() else {
        return Err("needs two axes".to_owned());
    };
    let element = match context.attributes.get("dtype") {
        Some(kind) => super::values::element_type(kind.i as i32)?,
        None => x.element(),
    };
    let (row, column) = (places(builder, 2, 0, rows)?, places(builder, 2, 1, columns)?);
    let shift = builder.integers(vec![context.attributes.int("k", 0)])?;
    let diagonal = builder.map(F::Add, &[&row, &shift])?;
    let hits = builder.map(F::Equal, &[&diagonal, &column])?;
    builder.cast(&hits, element)
}

/// Indices from the end made indices from the front.
fn from_front(builder: &mut Builder, indices: &Value, size: u64) -> Lowered<Value> {
    let indices = builder.cast(indices, ElementType::I64)?;
    let zero = builder.scalar_of(ElementType::I64, 0.0)?;
    let size = builder.integers(vec![size as i64])?;
    let size = builder.reshape(&size, &[])?;
    let negative = builder.map(F::Less, &[&indices, &zero])?;
    let moved = builder.map(F::Add, &[&indices, &size])?;
    builder.map(F::Select, &[&negative, &moved, &indices])
}

/// Distance of elements one apart along an axis of a row-major tensor.
fn stride(dimensions: &[u64], axis: usize) -> i64 {
    dimensions[axis + 1..].iter().product::<u64>() as i64
}

fn scaled(builder: &mut Builder, value: &Value, factor: i64) -> Lowered<Value> {
    let factor = builder.integers(vec![factor])?;
    let factor = builder.reshape(&factor, &[])?;
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
    for part in 0..depth {
        let mut starts = vec![0; outer.len() + 1];
        starts[outer.len()] = part as i64;
        let mut size = outer.clone();
        size.push(1);
        let column = emit_slice(builder, indices, starts, vec![1; outer.len() + 1], &size)?;
        let column = builder.reshape(&column, &outer)?;
        let column = from_front(builder, &column, dimensions[first + part])?;
        let apart = stride(dimensions, first + part) / block as i64;
        let column = scaled(builder, &column, apart)?;
        flat = Some(match flat {
            Some(sum) => builder.map(F::Add, &[&sum, &column])?,
            None => column,
        });
    }
    flat.ok_or_else(|| "an index names no axis".to_owned())
}

fn gather_many(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let (x, indices) = (inputs.get(0)?.clone(), inputs.get(1)?.clone());
    let batch = usize::try_from(context.attributes.int("batch_dims", 0)).unwrap_or(usize::MAX);
    if batch >= x.rank() || batch >= indices.rank() {
        return Err("batch_dims is as large as a rank".to_owned());
    }
    let depth = *indices.dimensions().last().ok_or("indices have no axis")? as usize;
    let mut flat = tuple_places(builder, x.dimensions(), &indices, batch)?;
    let behind = batch + depth;
    let named: u64 = x.dimensions()[batch..behind].iter().product();
    // Batches follow each other.
    for axis in 0..batch {
        let place = places(builder, flat.rank(), axis, x.dimensions()[axis])?;
        let apart = x.dimensions()[axis + 1..batch].iter().product::<u64>() * named;
        let place = scaled(builder, &place, apart as i64)?;
        flat = builder.map(F::Add, &[&flat, &place])?;
    }
    let mut blocks = vec![x.dimensions()[..behind].iter().product::<u64>()];
    blocks.extend(&x.dimensions()[behind..]);
    let blocks = builder.reshape(&x, &blocks)?;
    gather(builder, &blocks, &flat, 0)
}

/// Most factors of a product: each is an operator.
const FACTORS_MAX: u64 = 1 << 10;

/// The product along the last axis, which goes away: from the first factor on.
pub(super) fn product_last(builder: &mut Builder, value: &Value) -> Lowered<Value> {
    let (count, outer) = value.dimensions().split_last().ok_or("nothing to multiply")?;
    let (count, outer) = (*count, outer.to_vec());
    if count > FACTORS_MAX {
        return Err(format!("a product of more than {FACTORS_MAX} factors"));
    }
    let mut product: Option<Value> = None;
    for factor in 0..count {
        let mut starts = vec![0; outer.len() + 1];
        starts[outer.len()] = factor as i64;
        let mut size = outer.clone();
        size.push(1);
        let one = emit_slice(builder, value, starts, vec![1; outer.len() + 1], &size)?;
        product = Some(match product {
            Some(product) => builder.map(F::Multiply, &[&product, &one])?,
            None => one,
        });
    }
    let product = product.ok_or("nothing to multiply")?;
    builder.reshape(&product, &outer)
}

fn reverse_sequence(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let (x, lengths) = (inputs.get(0)?.clone(), inputs.get(1)?.clone());
    let batch = axis_of(context.attributes.int("batch_axis", 1), x.rank())?;
    let time = axis_of(context.attributes.int("time_axis", 0), x.rank())?;
    let rank = x.rank();
    let mut dimensions = vec![1; rank];
    dimensions[batch] = x.dimensions()[batch];
    let lengths = builder.cast(&lengths, ElementType::I64)?;
    let lengths = builder.reshape(&lengths, &dimensions)?;
    let place = places(builder, rank, time, x.dimensions()[time])?;
    let inside = builder.map(F::Less, &[&place, &lengths])?;
    let one = builder.scalar_of(ElementType::I64, 1.0)?;
    let mirrored = builder.map(F::Subtract, &[&lengths, &place])?;
    let mirrored = builder.map(F::Subtract, &[&mirrored, &one])?;
    let chosen = builder.map(F::Select, &[&inside, &mirrored, &place])?;
    let chosen = expand_to(builder, &chosen, x.dimensions())?;
    gather_elements(builder, &x, &chosen, time)
}

fn centre(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?.clone();
    let wanted = inputs.integers(1)?.ok_or("the shape is missing")?;
    let axes = match context.attributes.ints("axes") {
        Some(axes) => axes_of(axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    let (mut before, mut dimensions) = (vec![0i64; x.rank()], x.dimensions().to_vec());
    for (axis, wanted) in axes.into_iter().zip(wanted) {
        if !(1..1 << 31).contains(&wanted) {
            return Err(format!("size {wanted} is not a size"));
        }
        let size = dimensions[axis] as i64;
        // Half of what is missing, or of what is too much, rounded down, in front.
        before[axis] = if wanted >= size { (wanted - size) / 2 } else { -((size - wanted) / 2) };
        dimensions[axis] = u64::try_from(wanted).map_err(|_| "a size is negative")?;
    }
    let shape = make_shape(&dimensions)?;
    let element = x.element();
    builder.emit(Operator::Pad { before, fill: 0 }, vec![x], element, shape)
}
