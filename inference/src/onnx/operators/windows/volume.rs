//! Windows along three axes: what lies along the first becomes channels (convolutions) or a second
//! window (pools), so that the operators over height and width do the rest.

use protocol::graph::{Fold, MapFunction as F, OPERANDS_MAX, Operator};
use protocol::tensor::ElementType;

use super::reach::{Plane, Reach, numbers, reaches, tap_counts};
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, with_bias};
use crate::onnx::movement::{concat, emit_slice, pad};
use crate::onnx::shapes::{Lowered, make_shape};
use crate::onnx::value::Value;

/// Channels last: `[N, C, D, H, W]` as `[N, D, H, W, C]`.
pub(super) const LAST: [usize; 5] = [0, 2, 3, 4, 1];
/// And back.
pub(super) const FIRST: [usize; 5] = [0, 4, 1, 2, 3];

/// The sizes along the three axes.
pub(super) fn spatial(value: &Value) -> Lowered<[u64; 3]> {
    match *value.dimensions() {
        [_, _, depth, height, width] => Ok([depth, height, width]),
        _ => Err("needs rank 5".to_owned()),
    }
}

fn three(node: &OnnxNode<'_>, kernel: &[u32], size: &[u64]) -> Lowered<[Reach; 3]> {
    let found = reaches(node, kernel, size)?;
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
        whole = pad(builder, &whole, before, &[count, reach, height, width, channels], 0)?;
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
        _ => concat(builder, parts, 4)?,
    };
    builder.reshape(&joined, &[count * deep.output, height, width, taps * channels])
}

/// A convolution of `[N, D, H, W, C]` with `[O, K, KH, KW, C / groups]`.
pub(super) fn convolved(
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
    let plane = Plane { down, right };
    let [height, width] = plane.output();
    let shape = make_shape(&[count * deep.output, height, width, outputs])?;
    let operator = Operator::Convolve { window: plane.window(), groups: groups as u32 };
    let value = builder.emit(operator, vec![planes, kernel], ElementType::F32, shape)?;
    builder.reshape(&value, &[count, deep.output, height, width, outputs])
}

/// How many groups of channels are convolved each by itself.
pub(super) fn groups_of(node: &OnnxNode<'_>, channels: u64) -> Lowered<u64> {
    let groups = u32::try_from(node.attributes.int("group", 1)).map(u64::from);
    match groups {
        Ok(groups) if groups > 0 && channels.is_multiple_of(groups) => Ok(groups),
        _ => Err("the groups do not divide the channels".to_owned()),
    }
}

/// A convolution of `[N, C, D, H, W]`.
pub(super) fn convolution(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    [input, kernel]: [&Value; 2],
    bias: Option<&Value>,
) -> Lowered<Value> {
    let taps: Vec<u32> = spatial(kernel)?.iter().map(|size| *size as u32).collect();
    let reach = three(node, &taps, &spatial(input)?)?;
    let groups = groups_of(node, input.dimensions()[1])?;
    let input = builder.transpose(input, &LAST)?;
    let kernel = builder.transpose(kernel, &LAST)?;
    let value = convolved(builder, &input, &kernel, reach, groups)?;
    let value = with_bias(builder, value, bias)?;
    builder.transpose(&value, &FIRST)
}

/// Folds windows along three axes: over height and width first, then along depth. With `mean`, sums
/// are divided by their number of taps.
pub(super) fn pool(
    builder: &mut Builder,
    input: &Value,
    fold: Fold,
    mean: bool,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    let size = spatial(input)?;
    let kernel = numbers(node.attributes.ints("kernel_shape"), 3, 1, "kernel_shape")?;
    let [deep, down, right] = three(node, &kernel, &size)?;
    let (element, count, channels) =
        (input.element(), input.dimensions()[0], input.dimensions()[1]);
    let input = builder.transpose(input, &LAST)?;
    let [depth, height, width] = size;
    let planes = builder.reshape(&input, &[count * depth, height, width, channels])?;
    let plane = Plane { down, right };
    let [rows, columns] = plane.output();
    let shape = make_shape(&[count * depth, rows, columns, channels])?;
    let operator = Operator::Pool { fold, window: plane.window() };
    let planes = builder.emit(operator, vec![planes], element, shape)?;
    let deeper = builder.reshape(&planes, &[count, depth, rows * columns, channels])?;
    let still = Reach { output: rows * columns, ..Reach::NONE };
    let shape = make_shape(&[count, deep.output, rows * columns, channels])?;
    let operator = Operator::Pool { fold, window: Plane { down: deep, right: still }.window() };
    let value = builder.emit(operator, vec![deeper], element, shape)?;
    let mut value = builder.reshape(&value, &[count, deep.output, rows, columns, channels])?;
    if fold == Fold::Sum && mean {
        let counts = tap_counts(node, &[(deep, depth), (down, height), (right, width)])?;
        value = builder.map(F::Divide, &[&value, &counts])?;
    }
    builder.transpose(&value, &FIRST)
}
