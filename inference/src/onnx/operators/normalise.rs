//! Normalisations and softmax, as compositions.

use protocol::graph::{Fold, MapFunction as F};

use super::{Context, Inputs, axes_of, axis_of};
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
    layer_parts(builder, x, axes, epsilon, true, false).map(|parts| parts.standard)
}

/// A normalised value, with mean and inverse deviation where they are asked for.
pub(super) struct LayerParts {
    pub(super) standard: Value,
    pub(super) moments: Option<(Value, Value)>,
}

/// Normalises along some axes: around the mean where it is `centred`, around zero otherwise.
pub(super) fn layer_parts(
    builder: &mut Builder,
    x: &Value,
    axes: &[usize],
    epsilon: f32,
    centred: bool,
    moments: bool,
) -> Lowered<LayerParts> {
    let (mean, difference) = match centred {
        true => {
            let mean = builder.mean_keep(x, axes)?;
            let difference = builder.map(F::Subtract, &[x, &mean])?;
            (mean, difference)
        }
        false => (builder.scalar(0.0)?, x.clone()),
    };
    let squares = builder.map(F::Multiply, &[&difference, &difference])?;
    let variance = builder.mean_keep(&squares, axes)?;
    let epsilon = builder.scalar(epsilon)?;
    let spread = builder.map(F::Add, &[&variance, &epsilon])?;
    let spread = builder.map(F::SquareRoot, &[&spread])?;
    let standard = builder.map(F::Divide, &[&difference, &spread])?;
    let moments = match moments {
        true => {
            let one = builder.scalar(1.0)?;
            Some((mean, builder.map(F::Divide, &[&one, &spread])?))
        }
        false => None,
    };
    Ok(LayerParts { standard, moments })
}

/// LayerNormalization, with mean and inverse deviation where they are asked for.
pub(super) fn layer(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Vec<Value>> {
    let x = inputs.get(0)?;
    let axis = axis_of(context.attributes.int("axis", -1), x.rank())?;
    let axes: Vec<usize> = (axis..x.rank()).collect();
    let epsilon = context.attributes.float("epsilon", 1e-5);
    let standard = standardise(builder, x, &axes, epsilon)?;
    let mut value = builder.map(F::Multiply, &[&standard, inputs.get(1)?])?;
    if let Some(bias) = inputs.optional(2) {
        value = builder.map(F::Add, &[&value, bias])?;
    }
    if context.outputs == 1 {
        return Ok(vec![value]);
    }
    let mean = builder.mean_keep(x, &axes)?;
    let difference = builder.map(F::Subtract, &[x, &mean])?;
    let squares = builder.map(F::Multiply, &[&difference, &difference])?;
    let variance = builder.mean_keep(&squares, &axes)?;
    let (epsilon, one) = (builder.scalar(epsilon)?, builder.scalar(1.0)?);
    let spread = builder.map(F::Add, &[&variance, &epsilon])?;
    let spread = builder.map(F::SquareRoot, &[&spread])?;
    let inverse = builder.map(F::Divide, &[&one, &spread])?;
    Ok(vec![value, mean, inverse])
}

/// `x / √(mean of squares + epsilon) · scale`.
pub(super) fn root_mean_square(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let axis = axis_of(context.attributes.int("axis", -1), x.rank())?;
    let axes: Vec<usize> = (axis..x.rank()).collect();
    let squares = builder.map(F::Multiply, &[x, x])?;
    let mean = builder.mean_keep(&squares, &axes)?;
    let epsilon = builder.scalar(context.attributes.float("epsilon", 1e-5))?;
    let sum = builder.map(F::Add, &[&mean, &epsilon])?;
    let root = builder.map(F::SquareRoot, &[&sum])?;
    let standard = builder.map(F::Divide, &[x, &root])?;
    builder.map(F::Multiply, &[&standard, inputs.get(1)?])
}

/// Groups of channels, each standardised by itself.
pub(super) fn group(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let groups = u64::try_from(context.attributes.int("num_groups", 0)).unwrap_or(0);
    let &[count, channels, ..] = x.dimensions() else {
        return Err("needs channels".to_owned());
    };
    if groups == 0 || channels % groups != 0 {
        return Err("num_groups does not divide the channels".to_owned());
    }
    let each = x.shape().count() / (count * groups);
    let rows = builder.reshape(x, &[count, groups, each])?;
    let epsilon = context.attributes.float("epsilon", 1e-5);
    let standard = standardise(builder, &rows, &[2], epsilon)?;
    let standard = builder.reshape(&standard, x.dimensions())?;
    // Before opset 21 scale and bias are those of groups.
    let spread = |builder: &mut Builder, value: &Value| -> Lowered<Value> {
        let one = value.shape().count();
        let column = builder.reshape(value, &[one, 1])?;
        let all = crate::onnx::fold_shapes::expand_to(builder, &column, &[one, channels / one])?;
        let all = builder.reshape(&all, &[channels])?;
        per_channel(builder, &all, x.rank())
    };
    let (scale, bias) = (spread(builder, inputs.get(1)?)?, spread(builder, inputs.get(2)?)?);
    let scaled = builder.map(F::Multiply, &[&standard, &scale])?;
    builder.map(F::Add, &[&scaled, &bias])
}

pub(super) fn mean_variance(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let axes = context.attributes.ints("axes").unwrap_or(vec![0, 2, 3]);
    let axes: Vec<usize> = axes_of(axes, x.rank())?;
    standardise(builder, x, &axes, 1e-9)
}

/// A row divided by its norm; a row of norm 0 stays.
pub(super) fn power_norm(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let axis = axis_of(context.attributes.int("axis", -1), x.rank())?;
    let norm = match context.attributes.int("p", 2) {
        1 => {
            let size = builder.map(F::Absolute, &[x])?;
            builder.reduce_keep(Fold::Sum, &size, &[axis])?
        }
        _ => {
            let squares = builder.map(F::Multiply, &[x, x])?;
            let sum = builder.reduce_keep(Fold::Sum, &squares, &[axis])?;
            builder.map(F::SquareRoot, &[&sum])?
        }
    };
    let (zero, one) = (builder.scalar(0.0)?, builder.scalar(1.0)?);
    let empty = builder.map(F::Equal, &[&norm, &zero])?;
    let divisor = builder.map(F::Select, &[&empty, &one, &norm])?;
    builder.map(F::Divide, &[x, &divisor])
}

/// `x / (bias + alpha / size · Σ x²)^beta` over neighbouring channels.
pub(super) fn local_response(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let attributes = &context.attributes;
    let size = attributes.int("size", 1).clamp(1, 1 << 10);
    let (alpha, beta) = (attributes.float("alpha", 1e-4), attributes.float("beta", 0.75));
    let channels = x.dimensions().get(1).copied().ok_or("needs channels")? as i64;
    if channels > 1 << 12 {
        return Err("more than 4096 channels".to_owned());
    }
    let squares = builder.map(F::Multiply, &[x, x])?;
    // Which channels are neighbours, as a matrix of zeros and ones.
    let mut near = Vec::new();
    for to in 0..channels {
        let (first, last) = (to - (size - 1) / 2, to + size / 2);
        near.extend(
            (0..channels).map(|from| if (first..=last).contains(&from) { 1.0 } else { 0.0 }),
        );
    }
    let shape = crate::onnx::builder::make_shape(&[channels as u64, channels as u64])?;
    let near = crate::tensor::Tensor::from_f32(&shape, near).map(Value::Constant);
    let near = near.ok_or("one number for each pair of channels")?;
    let (moved, back) = builder.axis_last(&squares, 1)?;
    let rows = builder.reshape(&moved, &[x.shape().count() / channels as u64, channels as u64])?;
    let sums = builder.contract(&rows, &near)?;
    let sums = builder.reshape(&sums, moved.dimensions())?;
    let sums = builder.transpose(&sums, &back)?;
    let (factor, bias) =
        (builder.scalar(alpha / size as f32)?, builder.scalar(attributes.float("bias", 1.0))?);
    let scaled = builder.map(F::Multiply, &[&sums, &factor])?;
    let base = builder.map(F::Add, &[&scaled, &bias])?;
    let beta = builder.scalar(beta)?;
    let divisor = builder.map(F::Power, &[&base, &beta])?;
    builder.map(F::Divide, &[x, &divisor])
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
