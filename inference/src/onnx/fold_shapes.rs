//! Shapes, constants and movements.

use protocol::graph::Operator;
use protocol::tensor::ElementType;

use super::builder::{Builder, Lowered, Value, broadcast, make_shape};
use super::operators::{Context, Inputs, axes_of, axis_of, drop_axes};
use super::values;
use crate::tensor::Tensor;

/// Lowers an operator of this family; `Ok(None)` for others.
pub(super) fn lower(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Option<Vec<Value>>> {
    let attributes = &context.attributes;
    let value = match operator {
        "Constant" => constant(builder, context)?,
        "ConstantOfShape" => {
            let dimensions = sizes(&inputs.integers(0)?.ok_or("input 0 is missing")?)?;
            let fill = match attributes.tensor("value") {
                Some(tensor) => Value::Constant(values::tensor(tensor, None)?),
                None => builder.scalar(0.0)?,
            };
            let fill = builder.reshape(&fill, &[])?;
            expand_to(builder, &fill, &dimensions)?
        }
        "Shape" => {
            let dimensions: Vec<i64> =
                inputs.get(0)?.dimensions().iter().map(|size| *size as i64).collect();
            let rank = dimensions.len() as i64;
            let bound = |at: i64| if at < 0 { at + rank } else { at }.clamp(0, rank) as usize;
            let (start, end) =
                (bound(attributes.int("start", 0)), bound(attributes.int("end", rank)));
            builder.integers(dimensions.get(start..end).unwrap_or_default().to_vec())?
        }
        "Size" => {
            let count = builder.integers(vec![inputs.get(0)?.shape().count() as i64])?;
            builder.reshape(&count, &[])?
        }
        "Range" => range(builder, inputs)?,
        "Reshape" => reshape(builder, inputs, context)?,
        "Flatten" => {
            let x = inputs.get(0)?;
            let axis = attributes.int("axis", 1);
            let axis = if axis == x.rank() as i64 { x.rank() } else { axis_of(axis, x.rank())? };
            let (outer, inner) = x.dimensions().split_at(axis);
            builder.reshape(x, &[outer.iter().product(), inner.iter().product()])?
        }
        "Transpose" => {
            let x = inputs.get(0)?;
            let permutation = match attributes.ints("perm") {
                Some(axes) => axes_of(axes, x.rank())?,
                None => (0..x.rank()).rev().collect(),
            };
            builder.transpose(x, &permutation)?
        }
        "Squeeze" => {
            let x = inputs.get(0)?;
            let axes = match given_axes(inputs, context, 1)? {
                Some(axes) => axes_of(axes, x.rank())?,
                None => (0..x.rank()).filter(|axis| x.dimensions()[*axis] == 1).collect(),
            };
            let axes: Vec<usize> = axes;
            if axes.iter().any(|axis| x.dimensions()[*axis] != 1) {
                return Err("an axis to squeeze has not size 1".to_owned());
            }
            drop_axes(builder, x, &axes)?
        }
        "Unsqueeze" => {
            let x = inputs.get(0)?;
            let axes = given_axes(inputs, context, 1)?.ok_or("axes are missing")?;
            let rank = x.rank() + axes.len();
            let axes: Vec<usize> = axes_of(axes, rank)?;
            let mut rest = x.dimensions().iter();
            let dimensions: Vec<u64> = (0..rank)
                .map(
                    |axis| {
                        if axes.contains(&axis) { 1 } else { rest.next().copied().unwrap_or(1) }
                    },
                )
                .collect();
            builder.reshape(x, &dimensions)?
        }
        "Concat" => concat(builder, inputs, context)?,
        "Split" => return split(builder, inputs, context).map(Some),
        "Slice" => slice(builder, inputs, context)?,
        "Gather" => {
            let (x, indices) = (inputs.get(0)?, inputs.get(1)?);
            let axis = axis_of(attributes.int("axis", 0), x.rank())?;
            gather(builder, x, indices, axis)?
        }
        "Expand" => {
            let dimensions = sizes(&inputs.integers(1)?.ok_or("input 1 is missing")?)?;
            expand_to(builder, inputs.get(0)?, &dimensions)?
        }
        "Tile" => tile(builder, inputs)?,
        "Pad" => pad(builder, inputs, context)?,
        "DepthToSpace" | "SpaceToDepth" => depth_space(builder, operator, inputs, context)?,
        _ => return Ok(None),
    };
    Ok(Some(vec![value]))
}

pub(super) fn sizes(values: &[i64]) -> Lowered<Vec<u64>> {
    values
        .iter()
        .map(|size| u64::try_from(*size).map_err(|_| format!("size {size} is negative")))
        .collect()
}

fn given_axes(
    inputs: &Inputs<'_>,
    context: &Context<'_>,
    index: usize,
) -> Lowered<Option<Vec<i64>>> {
    Ok(inputs.integers(index)?.or_else(|| context.attributes.ints("axes")))
}

fn constant(builder: &Builder, context: &Context<'_>) -> Lowered<Value> {
    let attributes = &context.attributes;
    if let Some(tensor) = attributes.tensor("value") {
        return values::tensor(tensor, None).map(Value::Constant);
    }
    let floats = attributes
        .floats("value_floats")
        .or_else(|| attributes.get("value_float").map(|attribute| vec![attribute.f]));
    if let Some(floats) = floats {
        let shape: &[u64] =
            if attributes.get("value_float").is_some() { &[] } else { &[floats.len() as u64] };
        return Tensor::from_f32(&make_shape(shape)?, floats)
            .map(Value::Constant)
            .ok_or_else(|| "one element for each place".to_owned());
    }
    if let Some(integers) = attributes.ints("value_ints") {
        return builder.integers(integers);
    }
    match attributes.get("value_int") {
        Some(attribute) => Tensor::from_i64(&make_shape(&[])?, vec![attribute.i])
            .map(Value::Constant)
            .ok_or_else(|| "one element".to_owned()),
        None => Err("a constant of this kind is not supported; use a tensor".to_owned()),
    }
}

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

fn range(builder: &Builder, inputs: &Inputs<'_>) -> Lowered<Value> {
    let floats: Option<Vec<f32>> =
        (0..3).map(|index| inputs.optional(index)?.constant()?.as_f32().first().copied()).collect();
    if let Some([start, limit, step]) = floats.as_deref() {
        let count = ((limit - start) / step).ceil();
        if !(1.0..1e6).contains(&count) {
            return Err("the range is empty or has more than a million elements".to_owned());
        }
        let values = (0..count as u64).map(|index| start + index as f32 * step).collect();
        return Tensor::from_f32(&make_shape(&[count as u64])?, values)
            .map(Value::Constant)
            .ok_or_else(|| "one element for each place".to_owned());
    }
    let one = |index: usize| -> Lowered<i64> {
        let values = inputs.integers(index)?;
        values.and_then(|values| values.first().copied()).ok_or_else(|| "needs integers".to_owned())
    };
    let (start, limit, step) = (one(0)?, one(1)?, one(2)?);
    let distance = i128::from(limit) - i128::from(start);
    if step == 0 || distance.signum() != i128::from(step.signum()) {
        return Err("the range is empty".to_owned());
    }
    let count = distance.unsigned_abs().div_ceil(i128::from(step).unsigned_abs());
    if count > 1 << 20 {
        return Err("the range has more than 2^20 elements".to_owned());
    }
    builder.integers((0..count as i64).map(|index| start + index * step).collect())
}

fn reshape(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let wanted = inputs.integers(1)?.or_else(|| context.attributes.ints("shape"));
    let wanted = wanted.ok_or("the shape is missing")?;
    let keep_zero = context.attributes.int("allowzero", 0) != 0;
    let mut dimensions = Vec::new();
    let mut open = None;
    for (axis, size) in wanted.iter().enumerate() {
        dimensions.push(match *size {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !keep_zero => {
                *x.dimensions().get(axis).ok_or("a 0 in the shape has no input axis")?
            }
            size => u64::try_from(size).map_err(|_| format!("size {size} is not a size"))?,
        });
    }
    if let Some(axis) = open {
        let known: u64 = dimensions.iter().try_fold(1u64, |a, b| a.checked_mul(*b)).unwrap_or(0);
        if known == 0 || !x.shape().count().is_multiple_of(known) {
            return Err(format!("{:?} cannot become {wanted:?}", x.dimensions()));
        }
        dimensions[axis] = x.shape().count() / known;
    }
    builder.reshape(x, &dimensions)
}

fn concat(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let parts: Vec<Value> = inputs.all().cloned().collect();
    let first = parts.first().ok_or("no inputs")?.clone();
    if parts.len() == 1 {
        return Ok(first);
    }
    let axis = axis_of(context.attributes.int("axis", 0), first.rank())?;
    let mut dimensions = first.dimensions().to_vec();
    dimensions[axis] = 0;
    for part in &parts {
        dimensions[axis] += part.dimensions().get(axis).copied().ok_or("ranks differ")?;
    }
    let shape = make_shape(&dimensions)?;
    builder.emit(Operator::Concat { axis: axis as u32 }, parts, first.element(), shape)
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

fn split(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Vec<Value>> {
    let x = inputs.get(0)?;
    let axis = axis_of(context.attributes.int("axis", 0), x.rank())?;
    let size = x.dimensions()[axis];
    let given = inputs.integers(1)?.or_else(|| context.attributes.ints("split"));
    let parts = match given {
        Some(given) => sizes(&given)?,
        None => {
            let count = context.outputs.max(1) as u64;
            let each = size.div_ceil(count);
            (0..count).map(|index| each.min(size.saturating_sub(index * each))).collect()
        }
    };
    if parts.iter().sum::<u64>() != size {
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

fn slice(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let (starts, steps, dimensions) = slice_of(inputs, context)?.ok_or("the slice is empty")?;
    emit_slice(builder, inputs.get(0)?, starts, steps, &dimensions)
}

/// Starts, steps and sizes of a slice, one for each axis.
type Cut = (Vec<i64>, Vec<i64>, Vec<u64>);

/// A node's slice; `None` when nothing is left.
pub(super) fn slice_of(inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Option<Cut>> {
    let x = inputs.get(0)?;
    let attributes = &context.attributes;
    let list = |index: usize, name: &str| -> Lowered<Option<Vec<i64>>> {
        Ok(inputs.integers(index)?.or_else(|| attributes.ints(name)))
    };
    let given_starts = list(1, "starts")?.ok_or("starts are missing")?;
    let given_ends = list(2, "ends")?.ok_or("ends are missing")?;
    let count = given_starts.len();
    let axes = list(3, "axes")?.unwrap_or((0..count as i64).collect());
    let given_steps = list(4, "steps")?.unwrap_or(vec![1; count]);
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

/// Repeats along each axis: expand a new axis, then merge it.
fn tile(builder: &mut Builder, inputs: &Inputs<'_>) -> Lowered<Value> {
    let mut value = inputs.get(0)?.clone();
    let repeats = sizes(&inputs.integers(1)?.ok_or("input 1 is missing")?)?;
    if repeats.len() != value.rank() {
        return Err("repeats has not one number for each axis".to_owned());
    }
    for (axis, repeat) in repeats.into_iter().enumerate().filter(|(_, repeat)| *repeat != 1) {
        let mut dimensions = value.dimensions().to_vec();
        let merged = dimensions[axis].saturating_mul(repeat);
        dimensions.insert(axis, 1);
        let raised = builder.reshape(&value, &dimensions)?;
        dimensions[axis] = repeat;
        let repeated = expand_to(builder, &raised, &dimensions)?;
        dimensions.remove(axis);
        dimensions[axis] = merged;
        value = builder.reshape(&repeated, &dimensions)?;
    }
    Ok(value)
}

fn pad(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let attributes = &context.attributes;
    let pads = inputs.integers(1)?.or_else(|| attributes.ints("pads")).ok_or("pads are missing")?;
    let axes: Vec<usize> = match inputs.integers(3)? {
        Some(axes) => axes_of(axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|pad| pad.unsigned_abs() > 1 << 20) {
        return Err("pads must be two small numbers for each axis".to_owned());
    }
    let (mut before, mut dimensions) = (vec![0i64; x.rank()], x.dimensions().to_vec());
    for (place, axis) in axes.iter().enumerate() {
        let (front, back) = (pads[place], pads[place + axes.len()]);
        before[*axis] = front;
        let size = dimensions[*axis] as i64 + front + back;
        dimensions[*axis] = u64::try_from(size).map_err(|_| "the pads crop everything away")?;
    }
    let mode = attributes.text("mode", "constant");
    if mode != "constant" {
        return pad_by_gather(builder, x, &mode, &before, &dimensions);
    }
    let fill = match inputs.optional(2) {
        Some(value) => {
            let tensor = value.constant().ok_or("the padding value must be constant")?;
            tensor.bits(0).ok_or("the padding value is empty")?
        }
        None if x.element() == ElementType::F32 => {
            let value = builder.scalar(attributes.float("value", 0.0))?;
            value.constant().and_then(|tensor| tensor.bits(0)).unwrap_or(0)
        }
        None => 0,
    };
    let shape = make_shape(&dimensions)?;
    builder.emit(Operator::Pad { before, fill }, vec![x.clone()], x.element(), shape)
}

/// Reflected, edge and wrapped padding: a gather with constant indices for each axis.
fn pad_by_gather(
    builder: &mut Builder,
    x: &Value,
    mode: &str,
    before: &[i64],
    dimensions: &[u64],
) -> Lowered<Value> {
    let mut value = x.clone();
    for axis in 0..x.rank() {
        let size = x.dimensions()[axis] as i64;
        if before[axis] == 0 && dimensions[axis] as i64 == size {
            continue;
        }
        if dimensions[axis] > 1 << 24 {
            return Err("an axis is padded to more than 2^24 elements".to_owned());
        }
        let indices = (0..dimensions[axis] as i64)
            .map(|index| {
                let at = index - before[axis];
                match mode {
                    "edge" => Ok(at.clamp(0, size - 1)),
                    "wrap" => Ok(at.rem_euclid(size)),
                    "reflect" if size == 1 => Ok(0),
                    "reflect" => {
                        let period = 2 * (size - 1);
                        let folded = at.rem_euclid(period);
                        Ok(if folded < size { folded } else { period - folded })
                    }
                    other => Err(format!("padding mode {other} is not known")),
                }
            })
            .collect::<Lowered<Vec<i64>>>()?;
        let indices = builder.integers(indices)?;
        value = gather(builder, &value, &indices, axis)?;
    }
    Ok(value)
}

fn depth_space(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let block = u64::try_from(context.attributes.int("blocksize", 0)).unwrap_or(0);
    let (&[n, c, h, w], true) = (x.dimensions(), block > 0) else {
        return Err("needs rank 4 and a positive blocksize".to_owned());
    };
    if operator == "SpaceToDepth" {
        let split = builder.reshape(x, &[n, c, h / block, block, w / block, block])?;
        let order = match context.attributes.text("mode", "DCR").as_str() {
            "DCR" => [0, 3, 5, 1, 2, 4],
            _ => [0, 1, 3, 5, 2, 4],
        };
        let moved = builder.transpose(&split, &order)?;
        return builder.reshape(&moved, &[n, c * block * block, h / block, w / block]);
    }
    let depth = c / (block * block);
    let (split, order) = match context.attributes.text("mode", "DCR").as_str() {
        "DCR" => ([n, block, block, depth, h, w], [0, 3, 4, 1, 5, 2]),
        _ => ([n, depth, block, block, h, w], [0, 1, 4, 2, 5, 3]),
    };
    let split = builder.reshape(x, &split)?;
    let moved = builder.transpose(&split, &order)?;
    builder.reshape(&moved, &[n, depth, h * block, w * block])
}
