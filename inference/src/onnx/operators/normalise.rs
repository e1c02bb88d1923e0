//! Normalisations, as compositions.

use protocol::graph::{Fold, MapFunction as F};

use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axes_of, with_bias};
use crate::onnx::movement::expand_to;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// A parameter for each channel, against `[N, C, ..]`.
fn per_channel(builder: &mut Builder, value: &Value, rank: usize) -> Lowered<Value> {
    let mut dimensions = vec![1; rank.max(2) - 1];
    dimensions[0] = value.shape().count();
    builder.reshape(value, &dimensions)
}

/// BatchNormalization: `x · s + (b − mean · s)` with `s = scale / √(variance + epsilon)`: two operators at run time.
pub(super) fn batch(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    if node.outputs > 1 || node.flag("training_mode", false) {
        return Err("training mode is not supported; export for inference".to_owned());
    }
    let x = node.input(0)?;
    let epsilon = builder.scalar(node.attributes.float("epsilon", 1e-5))?;
    let [scale, bias, mean, variance] =
        [node.input(1)?, node.input(2)?, node.input(3)?, node.input(4)?];
    let spread = builder.map(F::Add, &[variance, &epsilon])?;
    let spread = builder.map(F::SquareRoot, &[&spread])?;
    let factor = builder.map(F::Divide, &[scale, &spread])?;
    let moved = builder.map(F::Multiply, &[mean, &factor])?;
    let offset = builder.map(F::Subtract, &[bias, &moved])?;
    let factor = per_channel(builder, &factor, x.rank())?;
    let offset = per_channel(builder, &offset, x.rank())?;
    scaled(builder, x, &factor, Some(&offset))
}

/// `√(mean of squares + epsilon)` along some axes, of what lies around the mean where it is `centred`,
/// around zero otherwise.
struct Spread {
    mean: Value,
    difference: Value,
    deviation: Value,
}

impl Spread {
    fn new(
        builder: &mut Builder,
        x: &Value,
        axes: &[usize],
        epsilon: f32,
        centred: bool,
    ) -> Lowered<Self> {
        let (mean, difference) = if centred {
            let mean = builder.mean_keep(x, axes)?;
            let difference = builder.map(F::Subtract, &[x, &mean])?;
            (mean, difference)
        } else {
            (builder.scalar(0.0)?, x.clone())
        };
        let squares = builder.map(F::Multiply, &[&difference, &difference])?;
        let variance = builder.mean_keep(&squares, axes)?;
        let epsilon = builder.scalar(epsilon)?;
        let sum = builder.map(F::Add, &[&variance, &epsilon])?;
        let deviation = builder.map(F::SquareRoot, &[&sum])?;
        Ok(Self { mean, difference, deviation })
    }

    fn standard(&self, builder: &mut Builder) -> Lowered<Value> {
        builder.map(F::Divide, &[&self.difference, &self.deviation])
    }

    /// The mean and the inverse deviation.
    fn moments(self, builder: &mut Builder) -> Lowered<(Value, Value)> {
        let one = builder.scalar(1.0)?;
        let inverse = builder.map(F::Divide, &[&one, &self.deviation])?;
        Ok((self.mean, inverse))
    }
}

/// Mean, difference, mean of squares, `+ epsilon`, square root, quotient.
fn standardise(builder: &mut Builder, x: &Value, axes: &[usize], epsilon: f32) -> Lowered<Value> {
    Spread::new(builder, x, axes, epsilon, true)?.standard(builder)
}

/// A value times a scale and plus a bias, where there is one.
fn scaled(
    builder: &mut Builder,
    value: &Value,
    scale: &Value,
    bias: Option<&Value>,
) -> Lowered<Value> {
    let value = builder.map(F::Multiply, &[value, scale])?;
    with_bias(builder, value, bias)
}

/// A sum to normalise along its last axis, then to scale and to shift.
pub(super) struct NormalisedSum<'a> {
    pub(super) sum: &'a Value,
    pub(super) scale: &'a Value,
    pub(super) shift: Option<&'a Value>,
    /// Around its mean, and not around zero.
    pub(super) centred: bool,
}

impl NormalisedSum<'_> {
    /// The normalised value; mean and inverse deviation where they are asked for.
    pub(super) fn lower(
        &self,
        builder: &mut Builder,
        epsilon: f32,
        with_moments: bool,
    ) -> Lowered<(Value, Option<(Value, Value)>)> {
        let last = self.sum.rank().checked_sub(1).ok_or("the input has no axis")?;
        let spread = Spread::new(builder, self.sum, &[last], epsilon, self.centred)?;
        let standard = spread.standard(builder)?;
        let moments = with_moments.then(|| spread.moments(builder)).transpose()?;
        let value = scaled(builder, &standard, self.scale, self.shift)?;
        Ok((value, moments))
    }
}

/// The axes from the one that a node names to the last.
fn axes_from(node: &OnnxNode<'_>, x: &Value) -> Lowered<Vec<usize>> {
    let axis = node.axis(-1, x.rank())?;
    Ok((axis..x.rank()).collect())
}

/// LayerNormalization, with mean and inverse deviation where they are asked for.
pub(super) fn layer(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Vec<Value>> {
    let x = node.input(0)?;
    let axes = axes_from(node, x)?;
    let epsilon = node.attributes.float("epsilon", 1e-5);
    let standard = standardise(builder, x, &axes, epsilon)?;
    let value = scaled(builder, &standard, node.input(1)?, node.optional(2))?;
    if node.outputs == 1 {
        return Ok(vec![value]);
    }
    // Computed anew: the model root holds these operators.
    let (mean, inverse) = Spread::new(builder, x, &axes, epsilon, true)?.moments(builder)?;
    Ok(vec![value, mean, inverse])
}

/// RMSNormalization: `x / √(mean of squares + epsilon) · scale`.
pub(super) fn root_mean_square(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axes = axes_from(node, x)?;
    let epsilon = node.attributes.float("epsilon", 1e-5);
    let standard = Spread::new(builder, x, &axes, epsilon, false)?.standard(builder)?;
    builder.map(F::Multiply, &[&standard, node.input(1)?])
}

/// GroupNormalization: groups of channels, each standardised by itself.
pub(super) fn group(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let groups = node.count("num_groups");
    let &[count, channels, ..] = x.dimensions() else {
        return Err("needs channels".to_owned());
    };
    if groups == 0 || channels % groups != 0 {
        return Err("num_groups does not divide the channels".to_owned());
    }
    let each = x.shape().count() / (count * groups);
    let rows = builder.reshape(x, &[count, groups, each])?;
    let epsilon = node.attributes.float("epsilon", 1e-5);
    let standard = standardise(builder, &rows, &[2], epsilon)?;
    let standard = builder.reshape(&standard, x.dimensions())?;
    // Before opset 21 scale and bias are those of groups.
    let spread = |builder: &mut Builder, value: &Value| -> Lowered<Value> {
        let one = value.shape().count();
        let column = builder.reshape(value, &[one, 1])?;
        let all = expand_to(builder, &column, &[one, channels / one])?;
        let all = builder.reshape(&all, &[channels])?;
        per_channel(builder, &all, x.rank())
    };
    let (scale, bias) = (spread(builder, node.input(1)?)?, spread(builder, node.input(2)?)?);
    scaled(builder, &standard, &scale, Some(&bias))
}

/// InstanceNormalization: each channel standardised by itself.
pub(super) fn instance(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axes: Vec<usize> = (2..x.rank()).collect();
    let standard = standardise(builder, x, &axes, node.attributes.float("epsilon", 1e-5))?;
    let scale = per_channel(builder, node.input(1)?, x.rank())?;
    let bias = per_channel(builder, node.input(2)?, x.rank())?;
    scaled(builder, &standard, &scale, Some(&bias))
}

/// MeanVarianceNormalization.
pub(super) fn mean_variance(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axes = node.attributes.ints("axes").unwrap_or(vec![0, 2, 3]);
    let axes = axes_of(axes, x.rank())?;
    standardise(builder, x, &axes, 1e-9)
}

/// LpNormalization: a row divided by its norm; a row of norm 0 stays.
pub(super) fn power_norm(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axis = node.axis(-1, x.rank())?;
    let norm = match node.attributes.int("p", 2) {
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

/// LRN: `x / (bias + alpha / size · Σ x²)^beta` over neighbouring channels.
pub(super) fn local_response(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let attributes = &node.attributes;
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
    let near = Value::floats(&[channels as u64, channels as u64], near)?;
    let (moved, back) = builder.axis_last(&squares, 1)?;
    let sums = builder.contract_rows(&moved, &near)?;
    let sums = builder.transpose(&sums, &back)?;
    let (factor, bias) =
        (builder.scalar(alpha / size as f32)?, builder.scalar(attributes.float("bias", 1.0))?);
    let scaled = builder.map(F::Multiply, &[&sums, &factor])?;
    let base = builder.map(F::Add, &[&scaled, &bias])?;
    let beta = builder.scalar(beta)?;
    let divisor = builder.map(F::Power, &[&base, &beta])?;
    builder.map(F::Divide, &[x, &divisor])
}
