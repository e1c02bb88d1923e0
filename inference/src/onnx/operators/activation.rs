//! Activations: those that are operators, and those that fused operators name.

use core::f32::consts::FRAC_1_SQRT_2;

use protocol::graph::MapFunction as F;

use super::former;
use super::formula::Formula;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, with_bias};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// `x < 0 ? below : x`.
fn where_negative(builder: &mut Builder, x: &Value, below: &Value) -> Lowered<Value> {
    let zero = builder.scalar_of(x.element(), 0.0)?;
    let negative = builder.map(F::Less, &[x, &zero])?;
    builder.map(F::Select, &[&negative, below, x])
}

/// `x < 0 ? x · slope : x`.
fn sloped(builder: &mut Builder, x: &Value, slope: &Value) -> Lowered<Value> {
    let below = builder.map(F::Multiply, &[x, slope])?;
    where_negative(builder, x, &below)
}

/// `x`, and zero where it is negative.
pub(super) fn rectified(builder: &mut Builder, x: &Value) -> Lowered<Value> {
    let zero = builder.scalar_of(x.element(), 0.0)?;
    builder.map(F::Maximum, &[x, &zero])
}

/// `max(0, min(1, alpha · x + beta))`.
fn hard_sigmoid(builder: &mut Builder, x: &Value, alpha: f32, beta: f32) -> Lowered<Value> {
    let (alpha, beta) = (builder.scalar(alpha)?, builder.scalar(beta)?);
    let scaled = builder.map(F::Multiply, &[x, &alpha])?;
    let moved = builder.map(F::Add, &[&scaled, &beta])?;
    let (zero, one) = (builder.scalar(0.0)?, builder.scalar(1.0)?);
    let below = builder.map(F::Minimum, &[&moved, &one])?;
    builder.map(F::Maximum, &[&below, &zero])
}

/// x · 0.5 · (1 + erf(x / √2)), or its approximation by tanh.
pub(super) fn gaussian(builder: &mut Builder, x: &Value, approximate: &str) -> Lowered<Value> {
    let (half, one) = (builder.scalar(0.5)?, builder.scalar(1.0)?);
    let inner = match approximate {
        "none" => {
            let root = builder.scalar(FRAC_1_SQRT_2)?;
            let scaled = builder.map(F::Multiply, &[x, &root])?;
            builder.map(F::Erf, &[&scaled])?
        }
        "tanh" => {
            let (cubic, root) = (builder.scalar(0.044_715)?, builder.scalar(0.797_884_6)?);
            let square = builder.map(F::Multiply, &[x, x])?;
            let cube = builder.map(F::Multiply, &[&square, x])?;
            let cube = builder.map(F::Multiply, &[&cube, &cubic])?;
            let sum = builder.map(F::Add, &[x, &cube])?;
            let scaled = builder.map(F::Multiply, &[&sum, &root])?;
            builder.map(F::Tanh, &[&scaled])?
        }
        other => {
            return Err(format!("approximate {other} is not known; use none or tanh"));
        }
    };
    let sum = builder.map(F::Add, &[&inner, &one])?;
    let halved = builder.map(F::Multiply, &[x, &half])?;
    builder.map(F::Multiply, &[&halved, &sum])
}

/// `x · σ(alpha · x)`.
pub(super) fn sigmoid_gated(builder: &mut Builder, x: &Value, alpha: f32) -> Lowered<Value> {
    let alpha = builder.scalar_of(x.element(), alpha)?;
    let scaled = builder.map(F::Multiply, &[x, &alpha])?;
    let gate = builder.map(F::Sigmoid, &[&scaled])?;
    builder.map(F::Multiply, &[x, &gate])
}

/// A value held between two bounds.
pub(super) fn clipped(
    builder: &mut Builder,
    x: &Value,
    least: Option<&Value>,
    most: Option<&Value>,
) -> Lowered<Value> {
    let mut value = x.clone();
    if let Some(least) = least {
        value = builder.map(F::Maximum, &[&value, least])?;
    }
    if let Some(most) = most {
        value = builder.map(F::Minimum, &[&value, most])?;
    }
    Ok(value)
}

/// Relu.
pub(super) fn relu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    rectified(builder, node.input(0)?)
}

/// LeakyRelu: one slope for all that is negative.
pub(super) fn leaky_relu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let slope = builder.scalar(node.attributes.float("alpha", 0.01))?;
    sloped(builder, x, &slope)
}

/// PRelu: a slope for each element that is negative.
pub(super) fn sloped_relu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let slope = former::slope(builder, x, node.input(1)?, node)?;
    sloped(builder, x, &slope)
}

/// Elu: `alpha · (exp(x) − 1)` where `x` is negative.
pub(super) fn elu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let (alpha, one) = (builder.scalar(node.attributes.float("alpha", 1.0))?, builder.scalar(1.0)?);
    let raised = builder.map(F::Exponential, &[x])?;
    let below = builder.map(F::Subtract, &[&raised, &one])?;
    let below = builder.map(F::Multiply, &[&alpha, &below])?;
    where_negative(builder, x, &below)
}

/// Celu: `max(0, x) + min(0, alpha · (exp(x / alpha) − 1))`.
pub(super) fn celu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let alpha = node.attributes.float("alpha", 1.0);
    let mut f = Formula::of(builder, x);
    let scaled = f.with(F::Divide, x, alpha)?;
    let raised = f.one(F::Exponential, &scaled)?;
    let below = f.with(F::Subtract, &raised, 1.0)?;
    let below = f.with(F::Multiply, &below, alpha)?;
    let (below, above) = (f.with(F::Minimum, &below, 0.0)?, f.with(F::Maximum, x, 0.0)?);
    f.two(F::Add, &above, &below)
}

/// Selu: `gamma · x`, and `gamma · (alpha · exp(x) − alpha)` where `x` is not positive.
pub(super) fn selu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let alpha = node.attributes.float("alpha", 1.673_263_2);
    let gamma = node.attributes.float("gamma", 1.050_701);
    let mut f = Formula::of(builder, x);
    let raised = f.one(F::Exponential, x)?;
    let below = f.with(F::Multiply, &raised, alpha)?;
    let below = f.with(F::Subtract, &below, alpha)?;
    let zero = f.constant(0.0)?;
    let positive = f.two(F::Less, &zero, x)?;
    let chosen = f.choose(&positive, x, &below)?;
    f.with(F::Multiply, &chosen, gamma)
}

/// HardSigmoid.
pub(super) fn hard_sigmoid_of(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (alpha, beta) = (node.attributes.float("alpha", 0.2), node.attributes.float("beta", 0.5));
    hard_sigmoid(builder, node.input(0)?, alpha, beta)
}

/// HardSwish: `x` times its hard sigmoid.
pub(super) fn hard_swish(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let gate = hard_sigmoid(builder, x, 1.0 / 6.0, 0.5)?;
    builder.map(F::Multiply, &[x, &gate])
}

/// Softplus: `ln(exp(x) + 1)`.
pub(super) fn soft_plus(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let one = builder.scalar(1.0)?;
    let raised = builder.map(F::Exponential, &[x])?;
    let sum = builder.map(F::Add, &[&raised, &one])?;
    builder.map(F::Logarithm, &[&sum])
}

/// Softsign: `x / (1 + |x|)`.
pub(super) fn soft_sign(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let one = builder.scalar(1.0)?;
    let size = builder.map(F::Absolute, &[x])?;
    let sum = builder.map(F::Add, &[&one, &size])?;
    builder.map(F::Divide, &[x, &sum])
}

/// Mish: `x · tanh(ln(exp(x) + 1))`.
pub(super) fn mish(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let raised = f.one(F::Exponential, x)?;
    let sum = f.with(F::Add, &raised, 1.0)?;
    let soft = f.one(F::Logarithm, &sum)?;
    let gate = f.one(F::Tanh, &soft)?;
    f.two(F::Multiply, x, &gate)
}

/// ThresholdedRelu: `x` where it is above a threshold, zero elsewhere.
pub(super) fn thresholded_relu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let least = f.constant(node.attributes.float("alpha", 1.0))?;
    let kept = f.two(F::Less, &least, x)?;
    let zero = f.constant(0.0)?;
    f.choose(&kept, x, &zero)
}

/// Shrink: zero between two edges, moved by a bias outside.
pub(super) fn shrink(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let (edge, bias) = (node.attributes.float("lambd", 0.5), node.attributes.float("bias", 0.0));
    let mut f = Formula::of(builder, x);
    let (lower, upper) = (f.constant(-edge)?, f.constant(edge)?);
    let (up, down) = (f.with(F::Add, x, bias)?, f.with(F::Subtract, x, bias)?);
    let (left, right) = (f.two(F::Less, x, &lower)?, f.two(F::Less, &upper, x)?);
    let zero = f.constant(0.0)?;
    let inner = f.choose(&right, &down, &zero)?;
    f.choose(&left, &up, &inner)
}

/// Gelu, exact or by tanh as an attribute says.
pub(super) fn gelu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    gaussian(builder, node.input(0)?, &node.attributes.text("approximate", "none"))
}

/// BiasGelu: of a sum with a bias.
pub(super) fn bias_gelu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let sum = builder.map(F::Add, &[node.input(0)?, node.input(1)?])?;
    gaussian(builder, &sum, "none")
}

/// FastGelu: by tanh, of a sum with a bias where there is one.
pub(super) fn fast_gelu(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let sum = with_bias(builder, node.input(0)?.clone(), node.optional(1))?;
    gaussian(builder, &sum, "tanh")
}

/// Swish and QuickGelu, which differ in the slope that they take without an attribute.
pub(super) fn swish(builder: &mut Builder, node: &OnnxNode<'_>, default: f32) -> Lowered<Value> {
    sigmoid_gated(builder, node.input(0)?, node.attributes.float("alpha", default))
}

/// SwiGLU: the second input times the swish of the first.
pub(super) fn swish_gated(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (gate, value) = (node.input(0)?, node.input(1)?);
    let open = sigmoid_gated(builder, gate, node.attributes.float("alpha", 1.0))?;
    builder.map(F::Multiply, &[&open, value])
}

/// Clip: the bounds are attributes before operator set 11, inputs since.
pub(super) fn clip(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let attribute = |name: &str| node.attributes.get(name).map(|attribute| attribute.f);
    let (least, most) = if node.opset < 11 {
        let make =
            |builder: &Builder, value: Option<f32>| value.map(|v| builder.scalar(v)).transpose();
        (make(builder, attribute("min"))?, make(builder, attribute("max"))?)
    } else {
        (node.optional(1).cloned(), node.optional(2).cloned())
    };
    clipped(builder, x, least.as_ref(), most.as_ref())
}

/// The activation that a fused operator names, with its numbers.
pub(super) fn named(builder: &mut Builder, value: Value, node: &OnnxNode<'_>) -> Lowered<Value> {
    let attributes = &node.attributes;
    let given = attributes.floats("activation_params").unwrap_or_default();
    let named = ["activation_alpha", "activation_beta"];
    let number = |place: usize, default: f32| {
        let other = named.get(place).map_or(default, |name| attributes.float(name, default));
        given.get(place).copied().unwrap_or(other)
    };
    match attributes.text("activation", "").as_str() {
        "" => Ok(value),
        "Relu" => rectified(builder, &value),
        "Tanh" => builder.map(F::Tanh, &[&value]),
        "Sigmoid" => builder.map(F::Sigmoid, &[&value]),
        "LeakyRelu" => {
            let slope = builder.scalar(number(0, 0.01))?;
            sloped(builder, &value, &slope)
        }
        "HardSigmoid" => hard_sigmoid(builder, &value, number(0, 0.2), number(1, 0.5)),
        "Clip" => {
            let (least, most) = (number(0, f32::MIN), number(1, f32::MAX));
            let (least, most) = (builder.scalar(least)?, builder.scalar(most)?);
            clipped(builder, &value, Some(&least), Some(&most))
        }
        other => Err(format!("activation {other} is not supported; optimise the model less")),
    }
}
