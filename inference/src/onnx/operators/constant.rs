//! Constants, and what is known of shapes.

use protocol::graph::MapFunction as F;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::movement::expand_to;
use crate::onnx::places::places;
use crate::onnx::shapes::{Lowered, make_shape, sizes};
use crate::onnx::value::Value;
use crate::onnx::values;
use crate::tensor::Tensor;

/// Constant: a tensor, a number, or a list of numbers.
pub(super) fn constant(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let attributes = &node.attributes;
    if let Some(tensor) = attributes.tensor("value") {
        return values::tensor(tensor, None).map(Value::Constant);
    }
    let floats = attributes
        .floats("value_floats")
        .or_else(|| attributes.get("value_float").map(|attribute| vec![attribute.f]));
    if let Some(floats) = floats {
        let shape: &[u64] =
            if attributes.get("value_float").is_some() { &[] } else { &[floats.len() as u64] };
        return Value::floats(shape, floats);
    }
    if let Some(integers) = attributes.ints("value_ints") {
        return builder.integers(integers);
    }
    match attributes.get("value_int") {
        Some(attribute) => Tensor::from_i64(&make_shape(&[])?, vec![attribute.i])
            .map(Value::Constant)
            .ok_or_else(|| "one element".to_owned()),
        None => Err("a constant of this kind is not supported; use a tensor".to_owned()),
    }
}

/// ConstantOfShape: one element, repeated.
pub(super) fn constant_of_shape(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let dimensions = sizes(&node.integers(0)?.ok_or("input 0 is missing")?)?;
    let fill = match node.attributes.tensor("value") {
        Some(tensor) => Value::Constant(values::tensor(tensor, None)?),
        None => builder.scalar(0.0)?,
    };
    let fill = builder.reshape(&fill, &[])?;
    expand_to(builder, &fill, &dimensions)
}

/// Which dimensions of an input of this rank a Shape asks for: from one axis to another.
pub(super) fn asked_dimensions(node: &OnnxNode<'_>, rank: usize) -> (usize, usize) {
    let rank = rank as i64;
    let bound = |at: i64| if at < 0 { at + rank } else { at }.clamp(0, rank) as usize;
    let (start, end) = (node.attributes.int("start", 0), node.attributes.int("end", rank));
    (bound(start), bound(end))
}

/// Shape: the dimensions, or some of them.
pub(super) fn shape(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let dimensions: Vec<i64> =
        node.input(0)?.dimensions().iter().map(|size| *size as i64).collect();
    let (start, end) = asked_dimensions(node, dimensions.len());
    builder.integers(dimensions.get(start..end).unwrap_or_default().to_vec())
}

/// Size: the number of elements.
pub(super) fn size(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    builder.integer(node.input(0)?.shape().count() as i64)
}

/// Range: numbers from a start up to a limit, a step apart.
pub(super) fn range(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let floats: Option<Vec<f32>> =
        (0..3).map(|index| node.optional(index)?.constant()?.as_f32().first().copied()).collect();
    if let Some([start, limit, step]) = floats.as_deref() {
        let count = ((limit - start) / step).ceil();
        if !(1.0..1e6).contains(&count) {
            return Err("the range is empty or has more than a million elements".to_owned());
        }
        let values = (0..count as u64).map(|index| start + index as f32 * step).collect();
        return Value::floats(&[count as u64], values);
    }
    let one = |index: usize| -> Lowered<i64> {
        let values = node.integers(index)?;
        values.and_then(|values| values.first().copied()).ok_or_else(|| "needs integers".to_owned())
    };
    let (start, limit, step) = (one(0)?, one(1)?, one(2)?);
    let distance = i128::from(limit) - i128::from(start);
    if step == 0 || distance.signum() != i128::from(step.signum()) {
        return Err("the range is empty".to_owned());
    }
    let count = distance.unsigned_abs().div_ceil(i128::from(step).unsigned_abs());
    if count > 1 << 20 {
        return Err("the range has more than 2^20 elements".to_owned());
    }
    builder.integers((0..count as i64).map(|index| start + index * step).collect())
}

/// EyeLike: ones along a diagonal.
pub(super) fn eye(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let &[rows, columns] = x.dimensions() else {
        return Err("needs two axes".to_owned());
    };
    let element = match node.attributes.get("dtype") {
        Some(kind) => values::element_type(kind.i as i32)?,
        None => x.element(),
    };
    let (row, column) = (places(builder, 2, 0, rows)?, places(builder, 2, 1, columns)?);
    let shift = builder.integers(vec![node.attributes.int("k", 0)])?;
    let diagonal = builder.map(F::Add, &[&row, &shift])?;
    let hits = builder.map(F::Equal, &[&diagonal, &column])?;
    builder.cast(&hits, element)
}
