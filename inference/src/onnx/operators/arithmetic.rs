//! Arithmetic, comparisons and casts that are more than one scalar function.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::formula::Formula;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;
use crate::onnx::values;

/// A scalar function of the second operand and the first, in this order.
pub(super) fn swapped(builder: &mut Builder, node: &OnnxNode<'_>, function: F) -> Lowered<Value> {
    let x = node.input(0)?;
    builder.map(function, &[node.input(1)?, x])
}

/// Max, Min and Sum: a scalar function over all inputs, from the first on.
pub(super) fn fold_inputs(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    function: F,
) -> Lowered<Value> {
    let mut result = node.input(0)?.clone();
    for value in node.all().skip(1) {
        result = builder.map(function, &[&result, value])?;
    }
    Ok(result)
}

/// Mean: the sum of all inputs, divided by their number.
pub(super) fn mean(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let sum = fold_inputs(builder, node, F::Add)?;
    let count = builder.scalar(node.all().count() as f32)?;
    builder.map(F::Divide, &[&sum, &count])
}

/// Reciprocal: `1 / x`.
pub(super) fn reciprocal(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let one = builder.scalar(1.0)?;
    builder.map(F::Divide, &[&one, x])
}

/// Pow: powers with a small constant exponent are products; others go by the law of `power`.
pub(super) fn power(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, exponent) = (node.input(0)?, node.input(1)?);
    let float = x.element() == ElementType::F32;
    let known = exponent.constant().filter(|tensor| tensor.shape().count() == 1);
    let known = match known {
        Some(tensor) if exponent.rank() <= x.rank() => {
            builder.cast(&Value::Constant(tensor.clone()), ElementType::F32)?.constant().cloned()
        }
        _ => None,
    };
    let known = known.and_then(|tensor| tensor.as_f32().first().copied());
    match known {
        Some(1.0) => Ok(x.clone()),
        Some(2.0) => builder.map(F::Multiply, &[x, x]),
        Some(3.0) => {
            let square = builder.map(F::Multiply, &[x, x])?;
            builder.map(F::Multiply, &[&square, x])
        }
        Some(0.5) if float => builder.map(F::SquareRoot, &[x]),
        _ => {
            let exponent = builder.cast(exponent, x.element())?;
            builder.map(F::Power, &[x, &exponent])
        }
    }
}

/// Mod: the remainder with the sign of the divisor; with the dividend's under `fmod`.
pub(super) fn modulo(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, y) = (node.input(0)?, node.input(1)?);
    let mut f = Formula::of(builder, x);
    let rest = f.two(F::Remainder, x, y)?;
    if node.flag("fmod", false) {
        return Ok(rest);
    }
    let zero = f.constant(0.0)?;
    let (negative, divisor_negative) = (f.two(F::Less, &rest, &zero)?, f.two(F::Less, y, &zero)?);
    let differs = f.two(F::ExclusiveOr, &negative, &divisor_negative)?;
    let whole = f.two(F::Equal, &rest, &zero)?;
    let broken = f.one(F::Not, &whole)?;
    let wrong = f.two(F::And, &differs, &broken)?;
    let moved = f.two(F::Add, &rest, y)?;
    f.choose(&wrong, &moved, &rest)
}

/// IsInf: beyond the largest finite number, on either side or both.
pub(super) fn is_infinite(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let mut f = Formula::of(builder, x);
    let (below, above) = (node.flag("detect_negative", true), node.flag("detect_positive", true));
    let most = f.constant(f32::MAX)?;
    let least = f.constant(f32::MIN)?;
    let (high, low) = (f.two(F::Less, &most, x)?, f.two(F::Less, x, &least)?);
    match (below, above) {
        (true, true) => f.two(F::Or, &high, &low),
        (false, true) => Ok(high),
        (true, false) => Ok(low),
        (false, false) => f.two(F::And, &high, &low),
    }
}

/// Cast: to the element type that an attribute names.
pub(super) fn cast(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let to = node.attributes.get("to").ok_or("attribute to is missing")?.i;
    builder.cast(x, values::element_type(to as i32)?)
}

/// CastLike: to the element type of the second input.
pub(super) fn cast_like(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let element = node.input(1)?.element();
    builder.cast(x, element)
}

/// Identity: the input itself.
pub(super) fn identity(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    node.input(0).cloned()
}

/// Dropout as it is in inference: the input itself.
pub(super) fn dropout(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let training = node
        .optional(2)
        .is_some_and(|mode| mode.constant().is_none_or(|mode| mode.bits(0) != Some(0)));
    match node.outputs {
        1 if !training => Ok(x.clone()),
        _ => Err("dropout masks and training are not supported; export for inference".to_owned()),
    }
}
