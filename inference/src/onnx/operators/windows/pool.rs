//! Pools: windows folded into one number each.

use protocol::graph::{Fold, MapFunction as F, Operator, Window};
use protocol::tensor::ElementType;

use super::reach::{Extent, Reach, channels_first, extent, pair, planar, taps};
use super::volume;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::{Lowered, make_shape};
use crate::onnx::value::Value;

/// A pool over height and width, in channels-last order.
struct Planar {
    /// `[N, rows, columns, C]`.
    value: Value,
    extent: Extent,
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
    let extent = extent(node, kernel, size, flat)?;
    let input = builder.transpose(&input, &[0, 2, 3, 1])?;
    let [rows, columns] = extent.output;
    let shape = make_shape(&[input.dimensions()[0], rows, columns, input.dimensions()[3]])?;
    let operator = Operator::Pool { fold, window: extent.window };
    let value = builder.emit(operator, vec![input], element, shape)?;
    Ok(Planar { value, extent, size, flat })
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
    let Planar { mut value, extent, size, flat } =
        planar_pool(builder, node, x, (fold, x.element()))?;
    if fold == Fold::Sum {
        let counts = tap_counts(&extent, size, node.flag("count_include_pad", false))?;
        value = builder.map(F::Divide, &[&value, &counts])?;
    }
    channels_first(builder, &value, flat)
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
    Value::floats(&[1, rows, columns, 1], counts)
}

/// The axes behind batch and channels.
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
