//! Windows along three axes: what lies along the first becomes channels (convolutions) or a second
//! window (pools), so that the operators over height and width do the rest.

use protocol::graph::{Fold, MapFunction as F, OPERANDS_MAX, Operator};
use protocol::tensor::ElementType;

use super::{Context, Inputs, Reach, numbers, plane, reaches, taps};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::onnx::fold_shapes::emit_slice;
use crate::tensor::Tensor;

/// Channels behind: `[N, C, D, H, W]` as `[N, D, H, W, C]`.
const LAST: [usize; 5] = [0, 2, 3, 4, 1];
/// And back.
const FIRST: [usize; 5] = [0, 4, 1, 2, 3];

/// The sizes along the three axes.
fn spatial(value: &Value) -> Lowered<[u64; 3]> {
    match *value.dimensions() {
        [_, _, depth, height, width] => Ok([depth, height, width]),
        _ => Err("needs rank 5".to_owned()),
    }
}

fn three(context: &Context<'_>, kernel: &[u32], size: &[u64]) -> Lowered<[Reach; 3]> {
    let found = reaches(context, kernel, size)?;
    found.try_into().map_err(|_| "needs a window along three axes".to_owned())
}

/// What each tap along the first axis sees, its channels side by side: `[N · D', H, W, G · K · C/G]`
/// from `[N, D, H, W, C]`.
fn unfolded(builder: &mut Builder, input: &Value, deep: &Reach, groups: u64) -> Lowered<Value> {
    let &[count, depth, height, width, channels] = input.dimensions() else {
        return Err("needs rank 5".to_owned());
    };
    if deep.kernel as usize > OPERANDS_MAX {
        return Err(format!("a window of more than {OPERANDS_MAX} taps along its first axis"));
    }
    let stride = u64::from(deep.stride);
    // Everything that a window reads, with zeros outside.
    let reach = (deep.output - 1) * stride + deep.span();
    let mut whole = input.clone();
    if deep.before > 0 || reach > depth {
        let before = vec![0, deep.before as i64, 0, 0, 0];
        let shape = make_shape(&[count, reach, height, width, channels])?;
        let pad = Operator::Pad { before, fill: 0 };
        whole = builder.emit(pad, vec![whole], ElementType::F32, shape)?;
    }
    let mut parts = Vec::new();
    for tap in 0..deep.kernel {
        let start = i64::from(tap) * i64::from(deep.dilation);
        let sizes = [count, deep.output, height, width, channels];
        let (starts, steps) = (vec![0, start, 0, 0, 0], vec![1, stride as i64, 1, 1, 1]);
        let part = emit_slice(builder, &whole, starts, steps, &sizes)?;
        let rows = [count * deep.output, height, width, groups, 1, channels / groups];
        parts.push(builder.reshape(&part, &rows)?);
    }
    let taps = u64::from(deep.kernel);
    let joined = match parts.len() {
        1 => parts.swap_remove(0),
        _ => {
            let rows = [count * deep.output, height, width, groups, taps, channels / groups];
            let shape = make_shape(&rows)?;
            builder.emit(Operator::Concat { axis: 4 }, parts, ElementType::F32, shape)?
        }
    };
    builder.reshape(&joined, &[count * deep.output, height, width, taps * channels])
}

/// A convolution of `[N, D, H, W, C]` with `[O, K, KH, KW, C / groups]`.
fn convolved(
    builder: &mut Builder,
    input: &Value,
    kernel: &Value,
    [deep, down, right]: [Reach; 3],
    groups: u64,
) -> Lowered<Value> {
    let (&[count, ..], &[outputs, taps, rows, columns, each]) =
        (input.dimensions(), kernel.dimensions())
    else {
        return Err("needs rank 5".to_owned());
    };
    let planes = unfolded(builder, input, &deep, groups)?;
    let kernel = builder.transpose(kernel, &[0, 2, 3, 1, 4])?;
    let kernel = builder.reshape(&kernel, &[outputs, rows, columns, taps * each])?;
    let extent = plane(down, right);
    let [height, width] = extent.output;
    let shape = make_shape(&[count * deep.output, height, width, outputs])?;
    let operator = Operator::Convolve { window: extent.window, groups: groups as u32 };
    let value = builder.emit(operator, vec![planes, kernel], ElementType::F32, shape)?;
    builder.reshape(&value, &[count, deep.output, height, width, outputs])
}

fn groups_of(context: &Context<'_>, channels: u64) -> Lowered<u64> {
    let groups = u32::try_from(context.attributes.int("group", 1)).map(u64::from);
    match groups {
        Ok(groups) if groups > 0 && channels.is_multiple_of(groups) => Ok(groups),
        _ => Err("the groups do not divide the channels".to_owned()),
    }
}

fn with_bias(builder: &mut Builder, value: Value, bias: Option<&Value>) -> Lowered<Value> {
    match bias {
        Some(bias) => builder.map(F::Add, &[&value, bias]),
        None => Ok(value),
    }
}

pub(super) fn convolution(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let (input, kernel) = (inputs.get(0)?, inputs.get(1)?);
    let taps: Vec<u32> = spatial(kernel)?.iter().map(|size| *size as u32).collect();
    let reach = three(context, &taps, &spatial(input)?)?;
    let groups = groups_of(context, input.dimensions()[1])?;
    let input = builder.transpose(input, &LAST)?;
    let kernel = builder.transpose(kernel, &LAST)?;
    let value = convolved(builder, &input, &kernel, reach, groups)?;
    let value = with_bias(builder, value, inputs.optional(2))?;
    builder.transpose(&value, &FIRST)
}

/// Folds windows along three axes: over height and width first, then along depth. With `mean`, sums
/// are divided by their number of taps.
pub(super) fn pool(
    builder: &mut Builder,
    input: &Value,
    fold: Fold,
    mean: bool,
    context: &Context<'_>,
) -> Lowered<Value> {
    let size = spatial(input)?;
    let kernel = numbers(context.attributes.ints("kernel_shape"), 3, 1, "kernel_shape")?;
    let [deep, down, right] = three(context, &kernel, &size)?;
    let (element, count, channels) =
        (input.element(), input.dimensions()[0], input.dimensions()[1]);
    let input = builder.transpose(input, &LAST)?;
    let [depth, height, width] = size;
    let planes = builder.reshape(&input, &[count * depth, height, width, channels])?;
    let extent = plane(down, right);
    let [rows, columns] = extent.output;
    let shape = make_shape(&[count * depth, rows, columns, channels])?;
    let operator = Operator::Pool { fold, window: extent.window };
    let planes = builder.emit(operator, vec![planes], element, shape)?;
    let deeper = builder.reshape(&planes, &[count, depth, rows * columns, channels])?;
    let still = Reach { output: rows * columns, ..Reach::NONE };
    let shape = make_shape(&[count, deep.output, rows * columns, channels])?;
    let operator = Operator::Pool { fold, window: plane(deep, still).window };
    let value = builder.emit(operator, vec![deeper], element, shape)?;
    let mut value = builder.reshape(&value, &[count, deep.output, rows, columns, channels])?;
    if fold == Fold::Sum && mean {
        let padded = context.attributes.int("count_include_pad", 0) != 0;
        let mut along = [deep, down, right].into_iter().zip(size);
        let mut counts = |_: usize| along.next().map(|(reach, size)| taps(&reach, size, padded));
        let counts = counts_of([counts(0), counts(1), counts(2)])?;
        value = builder.map(F::Divide, &[&value, &counts])?;
    }
    builder.transpose(&value, &FIRST)
}

/// Number of taps that count, for each output place.
fn counts_of(along: [Option<Vec<u64>>; 3]) -> Lowered<Value> {
    let [Some(deep), Some(down), Some(right)] = along else {
        return Err("needs a window along three axes".to_owned());
    };
    let shape = make_shape(&[1, deep.len() as u64, down.len() as u64, right.len() as u64, 1])?;
    if shape.count() > 1 << 24 {
        return Err("the pooled volume has more than 2^24 places".to_owned());
    }
    let mut counts = Vec::new();
    for a in &deep {
        for b in &down {
            counts.extend(right.iter().map(|c| (a * b * c).max(1) as f32));
        }
    }
    let counts = Tensor::from_f32(&shape, counts).map(Value::Constant);
    counts.ok_or_else(|| "one count for each place".to_owned())
}

/// A transposed convolution: zeros between the places, then a convolution with the kernel turned
/// around.
pub(super) fn transposed(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let attributes = &context.attributes;
    let (input, kernel) = (inputs.get(0)?, inputs.get(1)?);
    let (size, taps) = (spatial(input)?, spatial(kernel)?);
    let (count, channels) = (input.dimensions()[0], input.dimensions()[1]);
    let outputs = kernel.dimensions()[1];
    let groups = groups_of(context, channels)?;
    let list = |name: &str, default: i64| numbers(attributes.ints(name), 3, default, name);
    let (strides, dilations) = (list("strides", 1)?, list("dilations", 1)?);
    let extra = list("output_padding", 0)?;
    let pads = numbers(attributes.ints("pads"), 6, 0, "pads")?;
    if strides.contains(&0) || dilations.contains(&0) || kernel.dimensions()[0] != channels {
        return Err("strides, dilations and kernel must be positive and fit".to_owned());
    }
    if attributes.get("output_shape").is_some() || attributes.text("auto_pad", "NOTSET") != "NOTSET"
    {
        return Err(
            "along three axes neither output_shape nor auto_pad is supported; use pads".to_owned()
        );
    }
    let [depth, height, width] = size;
    let [a, b, c] = [strides[0], strides[1], strides[2]].map(u64::from);
    let input = builder.transpose(input, &LAST)?;
    let raised = builder.reshape(&input, &[count, depth, 1, height, 1, width, 1, channels])?;
    let pad = |builder: &mut Builder, value: Value, before: Vec<i64>, to: &[u64]| {
        if value.dimensions() == to && before.iter().all(|pad| *pad == 0) {
            return Ok(value);
        }
        let shape = make_shape(to)?;
        builder.emit(Operator::Pad { before, fill: 0 }, vec![value], ElementType::F32, shape)
    };
    let apart = [count, depth, a, height, b, width, c, channels];
    let spread = pad(builder, raised, vec![0; 8], &apart)?;
    let spread = builder.reshape(&spread, &[count, depth * a, height * b, width * c, channels])?;
    let (mut fronts, mut to) = (vec![0i64; 5], vec![count, 0, 0, 0, channels]);
    let mut reach = [Reach::NONE; 3];
    for axis in 0..3 {
        let (kernel, dilation) = (taps[axis] as u32, dilations[axis]);
        let mut one = Reach { kernel, dilation, ..Reach::NONE };
        let full = (size[axis] - 1) * u64::from(strides[axis]) + u64::from(extra[axis]);
        let cut = u64::from(pads[axis]) + u64::from(pads[axis + 3]);
        let left = (full + one.span()).checked_sub(cut).filter(|left| *left > 0);
        one.output = left.ok_or("no output is left")?;
        fronts[axis + 1] = one.span() as i64 - 1 - i64::from(pads[axis]);
        to[axis + 1] = one.output + one.span() - 1;
        reach[axis] = one;
    }
    let padded = pad(builder, spread, fronts, &to)?;
    // [C, O / groups, K, KH, KW] turned around, as [O, K, KH, KW, C / groups].
    let each = channels / groups;
    let [k, rows, columns] = taps;
    let split = builder.reshape(kernel, &[groups, each, outputs, k, rows, columns])?;
    let moved = builder.transpose(&split, &[0, 2, 3, 4, 5, 1])?;
    let moved = builder.reshape(&moved, &[groups * outputs, k, rows, columns, each])?;
    let starts = vec![0, k as i64 - 1, rows as i64 - 1, columns as i64 - 1, 0];
    let shape = moved.shape().clone();
    let slice = Operator::Slice { starts, steps: vec![1, -1, -1, -1, 1] };
    let turned = builder.emit(slice, vec![moved], ElementType::F32, shape)?;
    let value = convolved(builder, &padded, &turned, reach, groups)?;
    let value = with_bias(builder, value, inputs.optional(2))?;
    builder.transpose(&value, &FIRST)
}
