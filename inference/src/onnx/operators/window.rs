//! Convolution and pooling, in channels-last order between two transposes that usually cancel.

use protocol::graph::{Fold, MapFunction as F, Operator, Window};
use protocol::tensor::ElementType;

use super::{Context, Inputs, fold_axes};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::tensor::Tensor;

mod volume;

/// A window along height and width, with the padding behind and the output size.
struct Extent {
    window: Window,
    behind: [u64; 2],
    output: [u64; 2],
}

/// A window along one axis.
#[derive(Clone, Copy)]
struct Reach {
    kernel: u32,
    stride: u32,
    dilation: u32,
    before: u64,
    behind: u64,
    output: u64,
}

impl Reach {
    /// No window: as along the axis that a 1-d image lacks.
    const NONE: Self = Self { kernel: 1, stride: 1, dilation: 1, before: 0, behind: 0, output: 1 };

    /// Elements from the first tap to the last.
    fn span(&self) -> u64 {
        u64::from(self.dilation) * u64::from(self.kernel - 1) + 1
    }
}

/// Two windows as one over height and width.
fn plane(down: Reach, right: Reach) -> Extent {
    let both = |pick: fn(&Reach) -> u32| (pick(&down), pick(&right));
    Extent {
        window: Window {
            kernel: both(|one| one.kernel),
            strides: both(|one| one.stride),
            dilations: both(|one| one.dilation),
            pads: (down.before as u32, right.before as u32),
        },
        behind: [down.behind, right.behind],
        output: [down.output, right.output],
    }
}

/// One number for each spatial axis.
fn numbers(values: Option<Vec<i64>>, axes: usize, default: i64, name: &str) -> Lowered<Vec<u32>> {
    let values = values.unwrap_or(vec![default; axes]);
    if values.len() != axes {
        return Err(format!("{name} has not one number for each spatial axis"));
    }
    let number = |value: &i64| u32::try_from(*value).map_err(|_| format!("{name} is negative"));
    values.iter().map(number).collect()
}

/// Two numbers from a list of one (1-d) or two.
fn pair(values: Option<Vec<i64>>, flat: bool, default: i64, name: &str) -> Lowered<[u32; 2]> {
    let found = numbers(values, if flat { 1 } else { 2 }, default, name)?;
    let other = u32::try_from(default).map_err(|_| format!("{name} is negative"))?;
    match found[..] {
        [one] => Ok([other, one]),
        [first, second] => Ok([first, second]),
        _ => Err(format!("{name} has not one number for each spatial axis")),
    }
}

/// The window along each spatial axis of these sizes.
fn reaches(context: &Context<'_>, kernel: &[u32], size: &[u64]) -> Lowered<Vec<Reach>> {
    let (attributes, axes) = (&context.attributes, size.len());
    let strides = numbers(attributes.ints("strides"), axes, 1, "strides")?;
    let dilations = numbers(attributes.ints("dilations"), axes, 1, "dilations")?;
    if kernel.len() != axes || [&strides, &dilations, kernel].iter().any(|one| one.contains(&0)) {
        return Err("kernel, strides and dilations must be positive".to_owned());
    }
    let mode = attributes.text("auto_pad", "NOTSET");
    let pads = attributes.ints("pads").unwrap_or(vec![0; 2 * axes]);
    if mode == "NOTSET"
        && (pads.len() != 2 * axes || pads.iter().any(|pad| !(0..1 << 16).contains(pad)))
    {
        return Err("pads must be two small numbers for each spatial axis".to_owned());
    }
    let ceiling = attributes.int("ceil_mode", 0) != 0;
    let mut found = Vec::new();
    for axis in 0..axes {
        let (kernel, stride, dilation) = (kernel[axis], strides[axis], dilations[axis]);
        let mut reach = Reach { kernel, stride, dilation, ..Reach::NONE };
        let (stride, span) = (u64::from(stride), reach.span());
        (reach.before, reach.behind) = match mode.as_str() {
            "NOTSET" => (pads[axis] as u64, pads[axis + axes] as u64),
            "VALID" => (0, 0),
            mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                let outputs = size[axis].div_ceil(stride);
                let total = ((outputs - 1) * stride + span).saturating_sub(size[axis]);
                let (small, large) = (total / 2, total - total / 2);
                if mode == "SAME_UPPER" { (small, large) } else { (large, small) }
            }
            other => return Err(format!("auto_pad {other} is not known")),
        };
        let padded = size[axis] + reach.before + reach.behind;
        let room = padded.checked_sub(span).ok_or("the window is larger than the padded input")?;
        reach.output = if ceiling { room.div_ceil(stride) } else { room / stride } + 1;
        // A window that would start behind the input is dropped.
        if ceiling && (reach.output - 1) * stride >= size[axis] + reach.before {
            reach.output -= 1;
        }
        found.push(reach);
    }
    Ok(found)
}

fn extent(context: &Context<'_>, kernel: [u32; 2], size: [u64; 2], flat: bool) -> Lowered<Extent> {
    let reaches = match flat {
        true => reaches(context, &kernel[1..], &size[1..])?,
        false => reaches(context, &kernel, &size)?,
    };
    match reaches[..] {
        [right] => Ok(plane(Reach::NONE, right)),
        [down, right] => Ok(plane(down, right)),
        _ => Err("only windows along one or two axes are planar".to_owned()),
    }
}

/// `[N, C, L]` as `[N, C, 1, L]`; whether it was flat.
fn planar(builder: &mut Builder, value: &Value) -> Lowered<(Value, bool)> {
    match *value.dimensions() {
        [_, _, _, _] => Ok((value.clone(), false)),
        [first, second, length] => Ok((builder.reshape(value, &[first, second, 1, length])?, true)),
        _ => {
            Err("only windows along one, two or three axes are supported (rank 3, 4 or 5)"
                .to_owned())
        }
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
    if inputs.get(0)?.rank() == 5 {
        return volume::convolution(builder, inputs, context);
    }
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

/// Each channel of `[N, C, L]` convolved with its own row of `[C, 1, K]`, without padding.
pub(super) fn by_channel(builder: &mut Builder, x: &Value, kernel: &Value) -> Lowered<Value> {
    let (&[count, channels, length], &[_, _, taps]) = (x.dimensions(), kernel.dimensions()) else {
        return Err("needs rank 3".to_owned());
    };
    let input = builder.reshape(x, &[count, channels, 1, length])?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let kernel = builder.reshape(kernel, &[channels, 1, taps, 1])?;
    let output = (length + 1).checked_sub(taps).ok_or("the window is larger than the input")?;
    let right = Reach { kernel: taps as u32, output, ..Reach::NONE };
    let shape = make_shape(&[count, 1, output, channels])?;
    let operator =
        Operator::Convolve { window: plane(Reach::NONE, right).window, groups: channels as u32 };
    let value = builder.emit(operator, vec![input, kernel], ElementType::F32, shape)?;
    channels_first(builder, &value, true)
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
    if inputs.get(0)?.rank() == 5 {
        let fold = if operator == "MaxPool" { Fold::Maximum } else { Fold::Sum };
        return volume::pool(builder, inputs.get(0)?, fold, true, context);
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

/// Taps of each window along an axis that count in a mean.
fn taps(reach: &Reach, size: u64, padded: bool) -> Vec<u64> {
    let (stride, dilation) = (u64::from(reach.stride), u64::from(reach.dilation));
    let first = if padded { 0 } else { reach.before };
    let end = reach.before + size + if padded { reach.behind } else { 0 };
    let along = |out: u64| {
        let start = out * stride;
        // Taps below a bound: those t with start + t · dilation < bound.
        let below = |bound: u64| {
            bound.saturating_sub(start).div_ceil(dilation).min(u64::from(reach.kernel))
        };
        below(end).saturating_sub(below(first))
    };
    (0..reach.output).map(along).collect()
}

/// Number of taps that count, for each output pixel.
fn tap_counts(extent: &Extent, size: [u64; 2], padded: bool) -> Lowered<Value> {
    let Window { kernel, strides, dilations, pads } = extent.window;
    let along = |axis: usize| {
        let pick = |pair: (u32, u32)| if axis == 0 { pair.0 } else { pair.1 };
        let reach = Reach {
            kernel: pick(kernel),
            stride: pick(strides),
            dilation: pick(dilations),
            before: u64::from(pick(pads)),
            behind: extent.behind[axis],
            output: extent.output[axis],
        };
        taps(&reach, size[axis], padded)
    };
    let [rows, columns] = extent.output;
    if rows.saturating_mul(columns) > 1 << 24 {
        return Err("the pooled image has more than 2^24 pixels".to_owned());
    }
    let (down, right) = (along(0), along(1));
    let pairs = down.iter().flat_map(|down| right.iter().map(move |right| down * right));
    let counts = pairs.map(|count| count.max(1) as f32).collect();
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
    if inputs.get(0)?.rank() == 5 {
        return volume::transposed(builder, inputs, context);
    }
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
    } else if x.rank() == 5 {
        volume::pool(builder, &raised, Fold::Sum, false, context)?
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
