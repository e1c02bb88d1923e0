//! Normalisations and softmax, as compositions.

use protocol::graph::{Fold, MapFunction as F};

use super::{Context, Inputs, axis_of};
use crate::onnx::builder::{Builder, Lowered, Value};

/// A parameter for each channel, against `[N, C, ..]`.
fn per_channel(builder: &mut Builder, value: &Value, rank: usize) -> Lowered<Value> {
    let mut dimensions = vec![1; rank.max(2) - 1];
    dimensions[0] = value.shape().count();
    builder.reshape(value, &dimensions)
}

/// `x · s + (b − mean · s)` with `s = scale / √(variance + epsilon)`: two operators at run time.
pub(super) fn batch(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    if context.outputs > 1 || context.attributes.int("training_mode", 0) != 0 {
        return Err("training mode is not supported; export for inference".to_owned());
    }
    let x = inputs.get(0)?;
    let epsilon = builder.scalar(context.attributes.float("epsilon", 1e-5))?;
    let [scale, bias, mean, variance] =
        [inputs.get(1)?, inputs.get(2)?, inputs.get(3)?, inputs.get(4)?];
    let spread = builder.map(F::Add, &[variance, &epsilon])?;
    let spread = builder.map(F::SquareRoot, &[&spread])?;
    let factor = builder.map(F::Divide, &[scale, &spread])?;
    let moved = builder.map(F::Multiply, &[mean, &factor])?;
    let offset = builder.map(F::Subtract, &[bias, &moved])?;
    let factor = per_channel(builder, &factor, x.rank())?;
    let offset = per_channel(builder, &offset, x.rank())?;
    let scaled = builder.map(F::Multiply, &[x, &factor])?;
    builder.map(F::Add, &[&scaled, &offset])
}

/// Mean, difference, mean of squares, `+ epsilon`, square root, quotient.
fn standardise(builder: &mut Builder, x: &Value, axes: &[usize], epsilon: f32) -> Lowered<Value> {
    let mean = builder.mean_keep(x, axes)?;
    let difference = builder.map(F::Subtract, &[x, &mean])?;
    let squares = builder.map(F::Multiply, &[&difference, &difference])?;
    let variance = builder.mean_keep(&squares, axes)?;
    let epsilon = builder.scalar(epsilon)?;
    let spread = builder.map(F::Add, &[&variance, &epsilon])?;
    let spread = builder.map(F::SquareRoot, &[&spread])?;
    builder.map(F::Divide, &[&difference, &spread])
}

pub(super) fn layer(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    if context.outputs > 1 {
        return Err("mean and deviation outputs are not supported; use only the first".to_owned());
    }
    let x = inputs.get(0)?;
    let axis = axis_of(context.attributes.int("axis", -1), x.rank())?;
    let axes: Vec<usize> = (axis..x.rank()).collect();
    let standard = standardise(builder, x, &axes, context.attributes.float("epsilon", 1e-5))?;
    let mut value = builder.map(F::Multiply, &[&standard, inputs.get(1)?])?;
    if let Some(bias) = inputs.optional(2) {
        value = builder.map(F::Add, &[&value, bias])?;
    }
    Ok(value)
}

pub(super) fn instance(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let axes: Vec<usize> = (2..x.rank()).collect();
    let standard = standardise(builder, x, &axes, context.attributes.float("epsilon", 1e-5))?;
    let scale = per_channel(builder, inputs.get(1)?, x.rank())?;
    let bias = per_channel(builder, inputs.get(2)?, x.rank())?;
    let scaled = builder.map(F::Multiply, &[&standard, &scale])?;
    builder.map(F::Add, &[&scaled, &bias])
}

/// max, sub, exp, sum, div; before opset 13 over all axes from the given one on.
pub(super) fn softmax(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let default = if context.opset < 13 { 1 } else { -1 };
    let axis = axis_of(context.attributes.int("axis", default), x.rank())?;
    let axes: Vec<usize> = if context.opset < 13 { (axis..x.rank()).collect() } else { vec![axis] };
    let largest = builder.reduce_keep(Fold::Maximum, x, &axes)?;
    let shifted = builder.map(F::Subtract, &[x, &largest])?;
    let raised = builder.map(F::Exponential, &[&shifted])?;
    let sum = builder.reduce_keep(Fold::Sum, &raised, &axes)?;
    if operator == "LogSoftmax" {
        let log = builder.map(F::Logarithm, &[&sum])?;
        return builder.map(F::Subtract, &[&shifted, &log]);
    }
    builder.map(F::Divide, &[&raised, &sum])
}
