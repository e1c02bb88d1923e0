//! Lists without elements: what operators make of them, and which operators make them.
//!
//! Each function is the way of one operator with such lists: `None` leaves the node to the operator's
//! lowering, for which an input without elements is a list of integers of length zero, or absent where
//! it is optional.

use super::constant::asked_dimensions;
use super::pieces::slice_of;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{Known, OnnxNode};
use crate::onnx::proto::TensorProto;
use crate::onnx::shapes::Lowered;

/// Whether a tensor of the file has no elements.
pub(in crate::onnx) fn is_empty(tensor: &TensorProto) -> bool {
    tensor.dims.contains(&0)
}

fn empty_if(condition: bool) -> Lowered<Option<Known>> {
    Ok(condition.then_some(Known::Empty))
}

/// Cast, Identity, Unsqueeze: an empty list stays one.
pub(super) fn passed(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    empty_if(node.is_empty(0))
}

/// Concat: of empty lists only.
pub(super) fn concat(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    empty_if(node.is_empty(0) && node.all().next().is_none())
}

/// Slice: of an empty list, or nothing of a list.
pub(super) fn slice(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    empty_if(node.is_empty(0) || node.input(0)?.rank() == 1 && slice_of(node)?.is_none())
}

/// Gather: from an empty list, or no places.
pub(super) fn gather(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    empty_if(node.is_empty(0) || node.is_empty(1))
}

/// Shape: that of an empty list is [0]; no dimensions are an empty list.
pub(super) fn shape(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    if node.is_empty(0) {
        return builder.integers(vec![0]).map(Known::Value).map(Some);
    }
    let (start, end) = asked_dimensions(node, node.input(0)?.rank());
    empty_if(start >= end)
}

/// Size: that of an empty list is 0.
pub(super) fn size(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    if node.is_empty(0) { builder.integer(0).map(Known::Value).map(Some) } else { Ok(None) }
}

/// ReduceProd: the product of no factors is 1.
pub(super) fn product(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    let product = match (node.is_empty(0), node.flag("keepdims", true)) {
        (false, _) => return Ok(None),
        (true, true) => builder.integers(vec![1])?,
        (true, false) => builder.integer(1)?,
    };
    Ok(Some(Known::Value(product)))
}

/// Constant: a tensor or list without elements.
pub(super) fn constant(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    let attributes = &node.attributes;
    let without_elements = attributes.tensor("value").is_some_and(is_empty)
        || attributes.get("value_ints").is_some_and(|list| list.ints.is_empty())
        || attributes.get("value_floats").is_some_and(|list| list.floats.is_empty());
    empty_if(!node.is_empty(0) && without_elements)
}

/// ConstantOfShape: of a shape with a size of 0.
pub(super) fn constant_of_shape(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Option<Known>> {
    if node.is_empty(0) {
        Ok(None)
    } else {
        empty_if(node.integers(0)?.is_some_and(|sizes| sizes.contains(&0)))
    }
}
