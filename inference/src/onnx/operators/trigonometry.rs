//! Angles and hyperbolic functions.

use core::f32::consts::FRAC_PI_2;

use protocol::graph::MapFunction as F;

use super::formula::Formula;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// Tan: sine by cosine.
pub(super) fn tangent(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let (sine, cosine) = (f.one(F::Sine, x)?, f.one(F::Cosine, x)?);
    f.two(F::Divide, &sine, &cosine)
}

/// Asin: `atan(x / √((1 − x)(1 + x)))`.
pub(super) fn arc_sine(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let one = f.constant(1.0)?;
    let (below, above) = (f.two(F::Subtract, &one, x)?, f.two(F::Add, &one, x)?);
    let product = f.two(F::Multiply, &below, &above)?;
    let root = f.one(F::SquareRoot, &product)?;
    let ratio = f.two(F::Divide, x, &root)?;
    f.one(F::ArcTangent, &ratio)
}

/// Acos: `π/2 − asin x`.
pub(super) fn arc_cosine(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let angle = arc_sine(builder, node)?;
    let mut f = Formula::of(builder, node.input(0)?);
    let quarter = f.constant(FRAC_PI_2)?;
    f.two(F::Subtract, &quarter, &angle)
}

/// Sinh and Cosh: half the difference or the sum of `exp(x)` and `exp(−x)`.
pub(super) fn hyperbolic(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    function: F,
) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let minus = f.one(F::Negate, x)?;
    let (up, down) = (f.one(F::Exponential, x)?, f.one(F::Exponential, &minus)?);
    let sum = f.two(function, &up, &down)?;
    f.with(F::Multiply, &sum, 0.5)
}

/// Asinh: `sign(x) · ln(|x| + √(x² + 1))`, so that large negatives do not cancel.
pub(super) fn area_sine(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let size = f.one(F::Absolute, x)?;
    let square = f.two(F::Multiply, x, x)?;
    let sum = f.with(F::Add, &square, 1.0)?;
    let root = f.one(F::SquareRoot, &sum)?;
    let sum = f.two(F::Add, &size, &root)?;
    let log = f.one(F::Logarithm, &sum)?;
    let sign = f.one(F::Sign, x)?;
    f.two(F::Multiply, &sign, &log)
}

/// Acosh: `ln(x + √(x² − 1))`.
pub(super) fn area_cosine(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let square = f.two(F::Multiply, x, x)?;
    let difference = f.with(F::Subtract, &square, 1.0)?;
    let root = f.one(F::SquareRoot, &difference)?;
    let sum = f.two(F::Add, x, &root)?;
    f.one(F::Logarithm, &sum)
}

/// Atanh: `½ · ln((1 + x) / (1 − x))`.
pub(super) fn area_tangent(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let one = f.constant(1.0)?;
    let (above, below) = (f.two(F::Add, &one, x)?, f.two(F::Subtract, &one, x)?);
    let ratio = f.two(F::Divide, &above, &below)?;
    let log = f.one(F::Logarithm, &ratio)?;
    f.with(F::Multiply, &log, 0.5)
}
