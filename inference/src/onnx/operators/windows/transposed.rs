//! Transposed convolutions: the input with zeros between its pixels, convolved with the kernel turned
//! around.

use protocol::graph::{Operator, Window};
use protocol::tensor::ElementType;

use super::reach::{Reach, channels_first, numbers, pair, planar};
use super::volume::{self, FIRST, LAST, groups_of, spatial};
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, with_bias};
use crate::onnx::movement::{emit_slice, pad};
use crate::onnx::shapes::{Lowered, make_shape};
use crate::onnx::value::Value;

/// The input along one spatial axis.
#[derive(Clone, Copy)]
struct Along {
    size: u64,
    taps: u64,
    stride: u32,
    dilation: u32,
    /// Outputs that are added at the end.
    extra: u32,
    /// Outputs that are cut away at the start; negative where some are added.
    before: i64,
    /// And at the end.
    after: i64,
}

impl Along {
    /// Elements from the first tap to the last.
    fn span(&self) -> u64 {
        (self.taps - 1) * u64::from(self.dilation) + 1
    }

    /// Outputs before anything is cut away.
    fn full(&self) -> u64 {
        (self.size - 1) * u64::from(self.stride) + u64::from(self.extra) + self.span()
    }

    fn output(&self) -> Lowered<u64> {
        let size = self.full() as i64 - self.before - self.after;
        let size = u64::try_from(size).ok().filter(|size| *size > 0);
        size.ok_or_else(|| "no output is left".to_owned())
    }
}

/// ConvTranspose.
pub(in crate::onnx::operators) fn convolution(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    if node.input(0)?.rank() == 5 {
        return voluminous(builder, node);
    }
    let (input, flat) = planar(builder, node.input(0)?)?;
    let (kernel, _) = planar(builder, node.input(1)?)?;
    let (&[_, channels, height, width], &[_, outputs, rows, columns]) =
        (input.dimensions(), kernel.dimensions())
    else {
        return Err("needs rank 3 or 4".to_owned());
    };
    let attributes = &node.attributes;
    let groups = u64::try_from(attributes.int("group", 1)).unwrap_or(0);
    let strides = pair(attributes.ints("strides"), flat, 1, "strides")?;
    let dilations = pair(attributes.ints("dilations"), flat, 1, "dilations")?;
    let extra = pair(attributes.ints("output_padding"), flat, 0, "output_padding")?;
    if groups == 0 || channels % groups != 0 || strides.contains(&0) || dilations.contains(&0) {
        return Err("groups, strides and dilations must be positive and fit".to_owned());
    }
    let (size, taps) = ([height, width], [rows, columns]);
    let mut axes = [0, 1].map(|axis| Along {
        size: size[axis],
        taps: taps[axis],
        stride: strides[axis],
        dilation: dilations[axis],
        extra: extra[axis],
        before: 0,
        after: 0,
    });
    let first = usize::from(flat);
    cut(node, &mut axes[first..])?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let padded = spread(builder, &input, &axes)?;
    let turned = turned(builder, &kernel, groups)?;
    let window = Window {
        kernel: (rows as u32, columns as u32),
        strides: (1, 1),
        dilations: (dilations[0], dilations[1]),
        pads: (0, 0),
    };
    let [down, right] = axes;
    let count = input.dimensions()[0];
    let shape = make_shape(&[count, down.output()?, right.output()?, groups * outputs])?;
    let operator = Operator::Convolve { window, groups: groups as u32 };
    let value = builder.emit(operator, vec![padded, turned], ElementType::F32, shape)?;
    let value = with_bias(builder, value, node.optional(2))?;
    channels_first(builder, &value, flat)
}

/// What is cut away along the spatial axes, so that the output has the size that is asked for, or by
/// the pads.
fn cut(node: &OnnxNode<'_>, axes: &mut [Along]) -> Lowered<()> {
    let spatial = axes.len();
    let mode = node.attributes.text("auto_pad", "NOTSET");
    let wanted = node.attributes.ints("output_shape");
    for (place, along) in axes.iter_mut().enumerate() {
        let same = mode.starts_with("SAME").then(|| (along.size * u64::from(along.stride)) as i64);
        let asked =
            wanted.as_ref().and_then(|list| list.get(list.len().checked_sub(spatial)? + place));
        match asked.copied().or(same) {
            Some(size) => {
                if !(1..1 << 31).contains(&size) {
                    return Err(format!("size {size} is not a size"));
                }
                let total = along.full() as i64 - size;
                // What is missing is added at the end.
                let small = total.max(0) / 2;
                let front = if mode == "SAME_UPPER" { small } else { total.max(0) - small };
                (along.before, along.after) = (front, total - front);
            }
            None => {
                let pads = node.attributes.ints("pads").unwrap_or(vec![0; 2 * spatial]);
                if pads.len() != 2 * spatial || pads.iter().any(|pad| pad.unsigned_abs() > 1 << 20)
                {
                    return Err("pads must be two small numbers for each spatial axis".to_owned());
                }
                (along.before, along.after) = (pads[place], pads[place + spatial]);
            }
        }
    }
    Ok(())
}

/// A transposed convolution along three axes.
fn voluminous(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (input, kernel) = (node.input(0)?, node.input(1)?);
    spatial(kernel)?;
    let groups = groups_of(node, input.dimensions()[1])?;
    let axes = along_three(node, input, kernel)?;
    let input = builder.transpose(input, &LAST)?;
    let padded = spread(builder, &input, &axes)?;
    let turned = turned(builder, kernel, groups)?;
    let mut reaches = [Reach::NONE; 3];
    for (reach, along) in reaches.iter_mut().zip(&axes) {
        let (kernel, dilation) = (along.taps as u32, along.dilation);
        *reach = Reach { kernel, dilation, output: along.output()?, ..Reach::NONE };
    }
    let value = volume::convolved(builder, &padded, &turned, reaches, groups)?;
    let value = with_bias(builder, value, node.optional(2))?;
    builder.transpose(&value, &FIRST)
}

fn along_three(node: &OnnxNode<'_>, input: &Value, kernel: &Value) -> Lowered<[Along; 3]> {
    let (size, taps) = (spatial(input)?, spatial(kernel)?);
    let (attributes, channels) = (&node.attributes, input.dimensions()[1]);
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
    Ok([0, 1, 2].map(|axis| Along {
        size: size[axis],
        taps: taps[axis],
        stride: strides[axis],
        dilation: dilations[axis],
        extra: extra[axis],
        before: i64::from(pads[axis]),
        after: i64::from(pads[axis + 3]),
    }))
}

/// A padding that may be none at all.
fn padded(
    builder: &mut Builder,
    value: Value,
    before: Vec<i64>,
    dimensions: &[u64],
) -> Lowered<Value> {
    if value.dimensions() == dimensions && before.iter().all(|pad| *pad == 0) {
        Ok(value)
    } else {
        pad(builder, &value, before, dimensions, 0)
    }
}

/// `[N, spatial.., C]` with zeros between its elements, and as many around it as a window of stride 1
/// needs: a new axis after each spatial one is padded and merged.
fn spread(builder: &mut Builder, input: &Value, axes: &[Along]) -> Lowered<Value> {
    let (Some(count), Some(channels)) = (input.dimensions().first(), input.dimensions().last())
    else {
        return Err("needs a batch and channels".to_owned());
    };
    let framed = |inner: Vec<u64>| -> Vec<u64> {
        [*count].into_iter().chain(inner).chain([*channels]).collect()
    };
    let raised = framed(axes.iter().flat_map(|one| [one.size, 1]).collect());
    let apart = framed(axes.iter().flat_map(|one| [one.size, u64::from(one.stride)]).collect());
    let merged = framed(axes.iter().map(|one| one.size * u64::from(one.stride)).collect());
    let raised = builder.reshape(input, &raised)?;
    let spread = padded(builder, raised, vec![0; apart.len()], &apart)?;
    let spread = builder.reshape(&spread, &merged)?;
    // As much at the start as a window reaches into; the size follows from the output's.
    let mut fronts = vec![0i64; merged.len()];
    let mut to = Vec::new();
    for (front, along) in fronts.iter_mut().skip(1).zip(axes) {
        *front = along.span() as i64 - 1 - along.before;
        to.push(along.output()? + along.span() - 1);
    }
    let to = framed(to);
    padded(builder, spread, fronts, &to)
}

/// A kernel `[C, O / groups, spatial..]` turned around, as `[O, spatial.., C / groups]`.
fn turned(builder: &mut Builder, kernel: &Value, groups: u64) -> Lowered<Value> {
    let [channels, outputs, taps @ ..] = kernel.dimensions() else {
        return Err("the kernel has no channels".to_owned());
    };
    let each = channels / groups;
    let split: Vec<u64> = [groups, each, *outputs].iter().chain(taps).copied().collect();
    let split = builder.reshape(kernel, &split)?;
    let order: Vec<usize> = [0].into_iter().chain(2..split.rank()).chain([1]).collect();
    let moved = builder.transpose(&split, &order)?;
    let merged: Vec<u64> = [groups * outputs].iter().chain(taps).chain([&each]).copied().collect();
    let moved = builder.reshape(&moved, &merged)?;
    let backwards = taps.iter().map(|taps| *taps as i64 - 1);
    let starts = [0].into_iter().chain(backwards).chain([0]).collect();
    let steps = [1].into_iter().chain(taps.iter().map(|_| -1)).chain([1]).collect();
    emit_slice(builder, &moved, starts, steps, &merged)
}
