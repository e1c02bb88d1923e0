//! Convolutions.

use protocol::graph::Operator;
use protocol::tensor::ElementType;

use super::reach::{Plane, Reach, channels_first, planar, planar_window};
use super::volume;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, with_bias};
use crate::onnx::movement::{joined, pad, part};
use crate::onnx::operators::activation::{self, sigmoid_gated};
use crate::onnx::shapes::{Lowered, make_shape};
use crate::onnx::value::Value;

/// Conv.
pub(in crate::onnx::operators) fn convolution(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    convolved(builder, node, node.input(0)?, node.input(1)?, node.optional(2))
}

/// FusedConv: a convolution, an addend and an activation.
pub(in crate::onnx::operators) fn fused(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    let value = convolution(builder, node)?;
    let value = with_bias(builder, value, node.optional(3))?;
    activation::named(builder, value, node)
}

/// A convolution of these operands, with the window that a node describes.
pub(in crate::onnx::operators) fn convolved(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    input: &Value,
    kernel: &Value,
    bias: Option<&Value>,
) -> Lowered<Value> {
    if input.rank() == 5 {
        return volume::convolution(builder, node, [input, kernel], bias);
    }
    let (input, flat) = planar(builder, input)?;
    let (kernel, _) = planar(builder, kernel)?;
    let groups = u32::try_from(node.attributes.int("group", 1))
        .map_err(|_| "group is negative".to_owned())?;
    let size = [input.dimensions()[2], input.dimensions()[3]];
    let taps = [kernel.dimensions()[2] as u32, kernel.dimensions()[3] as u32];
    let plane = planar_window(node, taps, size, flat)?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let kernel = builder.transpose(&kernel, &[0, 2, 3, 1])?;
    let [rows, columns] = plane.output();
    let shape = make_shape(&[input.dimensions()[0], rows, columns, kernel.dimensions()[0]])?;
    let operator = Operator::Convolve { window: plane.window(), groups };
    let value = builder.emit(operator, vec![input, kernel], ElementType::F32, shape)?;
    let value = with_bias(builder, value, bias)?;
    channels_first(builder, &value, flat)
}

/// Each channel of `[N, C, L]` convolved with its own row of `[C, 1, K]`, without padding.
fn by_channel(builder: &mut Builder, x: &Value, kernel: &Value) -> Lowered<Value> {
    let (&[count, channels, length], &[_, _, taps]) = (x.dimensions(), kernel.dimensions()) else {
        return Err("needs rank 3".to_owned());
    };
    let input = builder.reshape(x, &[count, channels, 1, length])?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let kernel = builder.reshape(kernel, &[channels, 1, taps, 1])?;
    let output = (length + 1).checked_sub(taps).ok_or("the window is larger than the input")?;
    let right = Reach { kernel: taps as u32, output, ..Reach::NONE };
    let shape = make_shape(&[count, 1, output, channels])?;
    let window = Plane { down: Reach::NONE, right }.window();
    let operator = Operator::Convolve { window, groups: channels as u32 };
    let value = builder.emit(operator, vec![input, kernel], ElementType::F32, shape)?;
    channels_first(builder, &value, true)
}

/// CausalConvWithState: a convolution of each channel over the present and what came before; what is carried on.
pub(in crate::onnx::operators) fn causal(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Vec<Value>> {
    let (x, kernel) = (node.input(0)?, node.input(1)?);
    let (&[batch, channels, length], &[outputs, 1, taps]) = (x.dimensions(), kernel.dimensions())
    else {
        return Err("needs an input of rank 3 and a kernel [channels, 1, taps]".to_owned());
    };
    if outputs != channels {
        return Err("the kernel has not one row for each channel".to_owned());
    }
    let carried = taps - 1;
    let whole = match node.optional(3) {
        Some(past) if carried > 0 => joined(builder, vec![past.clone(), x.clone()], 2)?,
        _ if carried > 0 => {
            let before = vec![0, 0, carried as i64];
            pad(builder, x, before, &[batch, channels, carried + length], 0)?
        }
        _ => x.clone(),
    };
    if whole.dimensions() != [batch, channels, carried + length] {
        return Err("past_state has another shape than [batch, channels, taps - 1]".to_owned());
    }
    let value = by_channel(builder, &whole, kernel)?;
    let bias = node.optional(2).map(|bias| builder.reshape(bias, &[channels, 1])).transpose()?;
    let value = with_bias(builder, value, bias.as_ref())?;
    let value = match node.attributes.text("activation", "none").as_str() {
        "none" => value,
        "silu" | "swish" => sigmoid_gated(builder, &value, 1.0)?,
        other => return Err(format!("activation {other} is not known")),
    };
    if node.outputs < 2 {
        return Ok(vec![value]);
    }
    if carried == 0 {
        return Err(
            "a state without elements is not supported; use only the first output".to_owned()
        );
    }
    Ok(vec![value, part(builder, &whole, 2, length, carried)?])
}
