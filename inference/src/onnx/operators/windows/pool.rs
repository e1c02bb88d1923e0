//! Pools: windows folded into one number each.

use protocol::graph::{Fold, MapFunction as F, Operator};
use protocol::tensor::ElementType;

use super::reach::{Plane, channels_first, pair, planar, planar_window, tap_counts};
use super::volume;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::{Lowered, make_shape};
use crate::onnx::value::Value;

/// A pool over height and width, in channels-last order.
struct Planar {
    /// `[N, rows, columns, C]`.
    value: Value,
    plane: Plane,
    /// Height and width of the input.
    size: [u64; 2],
    flat: bool,
}

fn planar_pool(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    x: &Value,
    (fold, element): (Fold, ElementType),
) -> Lowered<Planar> {
    let (input, flat) = planar(builder, x)?;
    let kernel = pair(node.attributes.ints("kernel_shape"), flat, 1, "kernel_shape")?;
    let size = [input.dimensions()[2], input.dimensions()[3]];
    let plane = planar_window(node, kernel, size, flat)?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let [rows, columns] = plane.output();
    let shape = make_shape(&[input.dimensions()[0], rows, columns, input.dimensions()[3]])?;
    let operator = Operator::Pool { fold, window: plane.window() };
    let value = builder.emit(operator, vec![input], element, shape)?;
    Ok(Planar { value, plane, size, flat })
}

/// MaxPool and AveragePool: the largest, or the sum divided by the number of taps.
pub(in crate::onnx::operators) fn pool(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    fold: Fold,
) -> Lowered<Value> {
    if node.outputs > 1 {
        return Err("the indices output is not supported; use only the first".to_owned());
    }
    let x = node.input(0)?;
    if x.rank() == 5 {
        return volume::pool(builder, x, fold, true, node);
    }
    let Planar { mut value, plane, size: [height, width], flat } =
        planar_pool(builder, node, x, (fold, x.element()))?;
    if fold == Fold::Sum {
        let counts = tap_counts(node, &[(plane.down, height), (plane.right, width)])?;
        value = builder.map(F::Divide, &[&value, &counts])?;
    }
    channels_first(builder, &value, flat)
}

/// The axes after batch and channels.
fn spatial_axes(x: &Value) -> Vec<usize> {
    (2..x.rank()).collect()
}

/// GlobalAveragePool.
pub(in crate::onnx::operators) fn global_mean(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    let x = node.input(0)?;
    builder.mean_keep(x, &spatial_axes(x))
}

/// GlobalMaxPool.
pub(in crate::onnx::operators) fn global_maximum(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    let x = node.input(0)?;
    builder.reduce_keep(Fold::Maximum, x, &spatial_axes(x))
}

/// LpPool: `(Σ |x|^p)^(1/p)` over windows.
pub(in crate::onnx::operators) fn power(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    powered(builder, node, |builder, raised| {
        if raised.rank() == 5 {
            return volume::pool(builder, raised, Fold::Sum, false, node);
        }
        let Planar { value, flat, .. } =
            planar_pool(builder, node, raised, (Fold::Sum, ElementType::F32))?;
        channels_first(builder, &value, flat)
    })
}

/// GlobalLpPool: the same over everything.
pub(in crate::onnx::operators) fn global_power(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    powered(builder, node, |builder, raised| {
        builder.reduce_keep(Fold::Sum, raised, &spatial_axes(raised))
    })
}

/// The root of a sum of powers.
fn powered(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    sum: impl FnOnce(&mut Builder, &Value) -> Lowered<Value>,
) -> Lowered<Value> {
    let x = node.input(0)?;
    let power = node.attributes.int("p", 2);
    let size = builder.map(F::Absolute, &[x])?;
    let exponent = builder.scalar(power as f32)?;
    let raised = match power {
        1 => size,
        2 => builder.map(F::Multiply, &[x, x])?,
        _ => builder.map(F::Power, &[&size, &exponent])?,
    };
    let sum = sum(builder, &raised)?;
    match power {
        1 => Ok(sum),
        2 => builder.map(F::SquareRoot, &[&sum]),
        _ => {
            let root = builder.scalar(1.0 / power as f32)?;
            builder.map(F::Power, &[&sum, &root])
        }
    }
}
