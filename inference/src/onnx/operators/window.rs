//! Convolution and pooling, in channels-last order between two transposes that usually cancel.

use protocol::graph::{Fold, MapFunction as F, Operator, Window};
use protocol::tensor::ElementType;

use super::{Context, Inputs, fold_axes};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::tensor::Tensor;

/// A window along height and width, with the padding behind and the output size.
struct Extent {
    window: Window,
    behind: [u64; 2],
    output: [u64; 2],
}

/// Two numbers from a list of one (1-d) or two.
fn pair(values: Option<Vec<i64>>, flat: bool, default: i64, name: &str) -> Lowered<[u32; 2]> {
    let values = match (values, flat) {
        (None, _) => vec![default; 2],
        (Some(one), true) if one.len() == 1 => vec![default, one[0]],
        (Some(two), false) if two.len() == 2 => two,
        _ => return Err(format!("{name} has not one number for each spatial axis")),
    };
    let number = |value: i64| u32::try_from(value).map_err(|_| format!("{name} is negative"));
    Ok([number(values[0])?, number(values[1])?])
}

fn extent(context: &Context<'_>, kernel: [u32; 2], size: [u64; 2], flat: bool) -> Lowered<Extent> {
    let attributes = &context.attributes;
    let strides = pair(attributes.ints("strides"), flat, 1, "strides")?;
    let dilations = pair(attributes.ints("dilations"), flat, 1, "dilations")?;
    if strides.contains(&0) || dilations.contains(&0) || kernel.contains(&0) {
        return Err("kernel, strides and dilations must be positive".to_owned());
    }
    let span = |axis: usize| u64::from(dilations[axis]) * u64::from(kernel[axis] - 1) + 1;
    let (mut before, mut behind) = ([0u64; 2], [0u64; 2]);
    match attributes.text("auto_pad", "NOTSET").as_str() {
        "NOTSET" => {
            let pads = attributes.ints("pads").unwrap_or(vec![0; if flat { 2 } else { 4 }]);
            let spatial = if flat { 1 } else { 2 };
            if pads.len() != 2 * spatial || pads.iter().any(|pad| !(0..1 << 16).contains(pad)) {
                return Err("pads must be two small numbers for each spatial axis".to_owned());
            }
            for axis in 0..spatial {
                before[axis + 2 - spatial] = pads[axis] as u64;
                behind[axis + 2 - spatial] = pads[axis + spatial] as u64;
            }
        }
        "VALID" => {}
        mode @ ("SAME_UPPER" | "SAME_LOWER") => {
            for axis in 0..2 {
                let stride = u64::from(strides[axis]);
                let outputs = size[axis].div_ceil(stride);
                let total = ((outputs - 1) * stride + span(axis)).saturating_sub(size[axis]);
                let small = total / 2;
                before[axis] = if mode == "SAME_UPPER" { small } else { total - small };
                behind[axis] = total - before[axis];
            }
        }
        other => return Err(format!("auto_pad {other} is not known")),
    }
    let ceiling = attributes.int("ceil_mode", 0) != 0;
    let mut output = [0; 2];
    for axis in 0..2 {
        let padded = size[axis] + before[axis] + behind[axis];
        let room =
            padded.checked_sub(span(axis)).ok_or("the window is larger than the padded input")?;
        let stride = u64::from(strides[axis]);
        output[axis] = if ceiling { room.div_ceil(stride) } else { room / stride } + 1;
        // A window that would start behind the input is dropped.
        if ceiling && (output[axis] - 1) * stride >= size[axis] + before[axis] {
            output[axis] -= 1;
        }
    }
    let pads = (before[0] as u32, before[1] as u32);
    let both = |pair: [u32; 2]| (pair[0], pair[1]);
    let window =
        Window { kernel: both(kernel), strides: both(strides), dilations: both(dilations), pads };
    Ok(Extent { window, behind, output })
}

/// `[N, C, L]` as `[N, C, 1, L]`; whether it was flat.
fn planar(builder: &mut Builder, value: &Value) -> Lowered<(Value, bool)> {
    match *value.dimensions() {
        [_, _, _, _] => Ok((value.clone(), false)),
        [first, second, length] => Ok((builder.reshape(value, &[first, second, 1, length])?, true)),
        _ => Err("only 1-d and 2-d windows are supported (rank 3 or 4)".to_owned()),
    }
}

/// Back to channels first, and to rank 3 when it was flat.
fn channels_first(builder: &mut Builder, value: &Value, flat: bool) -> Lowered<Value> {
    let value = builder.transpose(value, &[0, 3, 1, 2])?;
    match (flat, value.dimensions()) {
        (true, &[n, c, _, length]) => builder.reshape(&value, &[n, c, length]),
        _ => Ok(value),
    }
}

pub(super) fn convolution(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let (input, flat) = planar(builder, inputs.get(0)?)?;
    let (kernel, _) = planar(builder, inputs.get(1)?)?;
    let groups = u32::try_from(context.attributes.int("group", 1))
        .map_err(|_| "group is negative".to_owned())?;
    let size = [input.dimensions()[2], input.dimensions()[3]];
    let taps = [kernel.dimensions()[2] as u32, kernel.dimensions()[3] as u32];
    let extent = extent(context, taps, size, flat)?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let kernel = builder.transpose(&kernel, &[0, 2, 3, 1])?;
    let shape = make_shape(&[
        input.dimensions()[0],
        extent.output[0],
        extent.output[1],
        kernel.dimensions()[0],
    ])?;
    let operator = Operator::Convolve { window: extent.window, groups };
    let mut value = builder.emit(operator, vec![input, kernel], ElementType::F32, shape)?;
    if let Some(bias) = inputs.optional(2) {
        value = builder.map(F::Add, &[&value, bias])?;
    }
    channels_first(builder, &value, flat)
}

pub(super) fn pool(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    if context.outputs > 1 {
        return Err("the indices output is not supported; use only the first".to_owned());
    }
    let (input, flat) = planar(builder, inputs.get(0)?)?;
    let kernel = pair(context.attributes.ints("kernel_shape"), flat, 1, "kernel_shape")?;
    let size = [input.dimensions()[2], input.dimensions()[3]];
    let extent = extent(context, kernel, size, flat)?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let [rows, columns] = extent.output;
    let shape = make_shape(&[input.dimensions()[0], rows, columns, input.dimensions()[3]])?;
    let fold = if operator == "MaxPool" { Fold::Maximum } else { Fold::Sum };
    let pooled = Operator::Pool { fold, window: extent.window };
    let element = input.element();
    let mut value = builder.emit(pooled, vec![input], element, shape)?;
    if fold == Fold::Sum {
        let padded = context.attributes.int("count_include_pad", 0) != 0;
        let counts = tap_counts(&extent, size, padded)?;
        value = builder.map(F::Divide, &[&value, &counts])?;
    }
    channels_first(builder, &value, flat)
}

/// Number of taps that count, for each output pixel.
fn tap_counts(extent: &Extent, size: [u64; 2], padded: bool) -> Lowered<Value> {
    let Window { kernel, strides, dilations, pads } = extent.window;
    let along = |out: u64, axis: usize| -> u64 {
        let pick = |pair: (u32, u32)| u64::from(if axis == 0 { pair.0 } else { pair.1 });
        let first = if padded { 0 } else { pick(pads) };
        let end = pick(pads) + size[axis] + if padded { extent.behind[axis] } else { 0 };
        let start = out * pick(strides);
        // Taps below a bound: those t with start + t · dilation < bound.
        let below =
            |bound: u64| bound.saturating_sub(start).div_ceil(pick(dilations)).min(pick(kernel));
        below(end).saturating_sub(below(first))
    };
    let [rows, columns] = extent.output;
    if rows.saturating_mul(columns) > 1 << 24 {
        return Err("the pooled image has more than 2^24 pixels".to_owned());
    }
    let mut counts = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            counts.push((along(row, 0) * along(column, 1)).max(1) as f32);
        }
    }
    Tensor::from_f32(&make_shape(&[1, rows, columns, 1])?, counts)
        .map(Value::Constant)
        .ok_or_else(|| "one count for each pixel".to_owned())
}

pub(super) fn global_pool(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let axes: Vec<usize> = (2..x.rank()).collect();
    match operator {
        "GlobalAveragePool" => builder.mean_keep(x, &axes),
        _ => fold_axes(builder, Fold::Maximum, x, &axes, true),
    }
}

/// A transposed convolution: the input with zeros between its pixels, convolved with the kernel
/// turned around.
pub(super) fn transposed(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let attributes = &context.attributes;
    let (input, flat) = planar(builder, inputs.get(0)?)?;
    let (kernel, _) = planar(builder, inputs.get(1)?)?;
    let &[count, channels, height, width] = input.dimensions() else {
        return Err("needs rank 3 or 4".to_owned());
    };
    let &[_, outputs, tap_rows, tap_columns] = kernel.dimensions() else {
        return Err("needs rank 3 or 4".to_owned());
    };
    let groups = u64::try_from(attributes.int("group", 1)).unwrap_or(0);
    let strides = pair(attributes.ints("strides"), flat, 1, "strides")?;
    let dilations = pair(attributes.ints("dilations"), flat, 1, "dilations")?;
    let extra = pair(attributes.ints("output_padding"), flat, 0, "output_padding")?;
    if groups == 0 || channels % groups != 0 || strides.contains(&0) || dilations.contains(&0) {
        return Err("groups, strides and dilations must be positive and fit".to_owned());
    }
    let (sizes, taps) = ([height, width], [tap_rows, tap_columns]);
    let span = |axis: usize| (taps[axis] - 1) * u64::from(dilations[axis]) + 1;
    let full = |axis: usize| {
        (sizes[axis] - 1) * u64::from(strides[axis]) + u64::from(extra[axis]) + span(axis)
    };
    let spatial = if flat { 1 } else { 2 };
    let (mut before, mut behind) = ([0i64; 2], [0i64; 2]);
    let mode = attributes.text("auto_pad", "NOTSET");
    let wanted = attributes.ints("output_shape");
    for place in 0..spatial {
        let axis = place + 2 - spatial;
        let same =
            mode.starts_with("SAME").then(|| (sizes[axis] * u64::from(strides[axis])) as i64);
        let asked =
            wanted.as_ref().and_then(|list| list.get(list.len().checked_sub(spatial)? + place));
        match asked.copied().or(same) {
            Some(size) => {
                if !(1..1 << 31).contains(&size) {
                    return Err(format!("size {size} is not a size"));
                }
                let total = full(axis) as i64 - size;
                // What is missing is added behind.
                let small = total.max(0) / 2;
                let front = if mode == "SAME_UPPER" { small } else { total.max(0) - small };
                (before[axis], behind[axis]) = (front, total - front);
            }
            None => {
                let pads = attributes.ints("pads").unwrap_or(vec![0; 2 * spatial]);
                if pads.len() != 2 * spatial || pads.iter().any(|pad| pad.unsigned_abs() > 1 << 20)
                {
                    return Err("pads must be two small numbers for each spatial axis".to_owned());
                }
                (before[axis], behind[axis]) = (pads[place], pads[place + spatial]);
            }
        }
    }
    // Zeros between pixels: a new axis behind each spatial one, padded and merged.
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let (down, right) = (u64::from(strides[0]), u64::from(strides[1]));
    let raised = builder.reshape(&input, &[count, height, 1, width, 1, channels])?;
    let pad = |builder: &mut Builder, value: Value, before: Vec<i64>, to: &[u64]| {
        if value.dimensions() == to && before.iter().all(|pad| *pad == 0) {
            return Ok(value);
        }
        let shape = make_shape(to)?;
        builder.emit(Operator::Pad { before, fill: 0 }, vec![value], ElementType::F32, shape)
    };
    let spread = pad(builder, raised, vec![0; 6], &[count, height, down, width, right, channels])?;
    let spread = builder.reshape(&spread, &[count, height * down, width * right, channels])?;
    // What a window reaches into in front, and the output's size behind.
    let mut fronts = vec![0i64; 4];
    let mut to = vec![count, 0, 0, channels];
    let mut output = [0u64; 2];
    for axis in 0..2 {
        let size = full(axis) as i64 - before[axis] - behind[axis];
        output[axis] =
            u64::try_from(size).ok().filter(|size| *size > 0).ok_or("no output is left")?;
        fronts[axis + 1] = span(axis) as i64 - 1 - before[axis];
        to[axis + 1] = output[axis] + span(axis) - 1;
    }
    let padded = pad(builder, spread, fronts, &to)?;
    // [C, O / groups, KH, KW] turned around, as [O, KH, KW, C / groups].
    let each = channels / groups;
    let split = builder.reshape(&kernel, &[groups, each, outputs, tap_rows, tap_columns])?;
    let moved = builder.transpose(&split, &[0, 2, 3, 4, 1])?;
    let moved = builder.reshape(&moved, &[groups * outputs, tap_rows, tap_columns, each])?;
    let (starts, steps) =
        (vec![0, tap_rows as i64 - 1, tap_columns as i64 - 1, 0], vec![1, -1, -1, 1]);
    let shape = moved.shape().clone();
    let slice = Operator::Slice { starts, steps };
    let turned = builder.emit(slice, vec![moved], ElementType::F32, shape)?;
    let window = Window {
        kernel: (tap_rows as u32, tap_columns as u32),
        strides: (1, 1),
        dilations: (dilations[0], dilations[1]),
        pads: (0, 0),
    };
    let shape = make_shape(&[count, output[0], output[1], groups * outputs])?;
    let operator = Operator::Convolve { window, groups: groups as u32 };
    let mut value = builder.emit(operator, vec![padded, turned], ElementType::F32, shape)?;
    if let Some(bias) = inputs.optional(2) {
        value = builder.map(F::Add, &[&value, bias])?;
    }
    channels_first(builder, &value, flat)
}

/// `(Σ |x|^p)^(1/p)` over windows, or over everything.
pub(super) fn power_pool(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let power = context.attributes.int("p", 2);
    let size = builder.map(F::Absolute, &[x])?;
    let exponent = builder.scalar(power as f32)?;
    let raised = match power {
        1 => size,
        2 => builder.map(F::Multiply, &[x, x])?,
        _ => builder.map(F::Power, &[&size, &exponent])?,
    };
    let sum = if operator == "GlobalLpPool" {
        let axes: Vec<usize> = (2..x.rank()).collect();
        builder.reduce_keep(Fold::Sum, &raised, &axes)?
    } else {
        let (input, flat) = planar(builder, &raised)?;
        let kernel = pair(context.attributes.ints("kernel_shape"), flat, 1, "kernel_shape")?;
        let size = [input.dimensions()[2], input.dimensions()[3]];
        let extent = extent(context, kernel, size, flat)?;
        let input = builder.transpose(&input, &[0, 2, 3, 1])?;
        let [rows, columns] = extent.output;
        let shape = make_shape(&[input.dimensions()[0], rows, columns, input.dimensions()[3]])?;
        let pooled = Operator::Pool { fold: Fold::Sum, window: extent.window };
        let value = builder.emit(pooled, vec![input], ElementType::F32, shape)?;
        channels_first(builder, &value, flat)?
    };
    match power {
        1 => Ok(sum),
        2 => builder.map(F::SquareRoot, &[&sum]),
        _ => {
            let root = builder.scalar(1.0 / power as f32)?;
            builder.map(F::Power, &[&sum, &root])
        }
    }
}
