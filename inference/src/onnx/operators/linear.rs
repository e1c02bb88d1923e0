//! Matrix products: both operands with the reduced axis last.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::activation;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

fn floats_only(values: &[&Value]) -> Lowered<()> {
    if values.iter().all(|value| value.element() == ElementType::F32) {
        Ok(())
    } else {
        Err("integer products are not supported; cast to f32".to_owned())
    }
}

/// MatMul.
pub(super) fn matmul(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    product(builder, node.input(0)?, node.input(1)?)
}

/// A matrix product with NumPy's rules for operands of one dimension.
pub(super) fn product(builder: &mut Builder, left: &Value, right: &Value) -> Lowered<Value> {
    floats_only(&[left, right])?;
    let (vector_left, vector_right) = (left.rank() == 1, right.rank() == 1);
    let left =
        if vector_left { builder.reshape(left, &[1, left.dimensions()[0]])? } else { left.clone() };
    let right = if vector_right {
        builder.reshape(right, &[1, right.dimensions()[0]])?
    } else {
        builder.swap_last(right)?
    };
    let product = builder.contract(&left, &right)?;
    let mut dimensions = product.dimensions().to_vec();
    let rank = dimensions.len();
    if vector_right {
        dimensions.remove(rank - 1);
    }
    if vector_left {
        dimensions.remove(rank - 2);
    }
    builder.reshape(&product, &dimensions)
}

/// A value times a number of the node; as it is where that is 1.
fn times(builder: &mut Builder, value: Value, node: &OnnxNode<'_>, name: &str) -> Lowered<Value> {
    let factor = node.attributes.float(name, 1.0);
    if factor == 1.0 {
        return Ok(value);
    }
    let factor = builder.scalar(factor)?;
    builder.map(F::Multiply, &[&value, &factor])
}

/// Gemm: `alpha · A' B' + beta · C`.
pub(super) fn gemm(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (left, right) = (node.input(0)?, node.input(1)?);
    floats_only(&[left, right])?;
    let left = if node.flag("transA", false) { builder.swap_last(left)? } else { left.clone() };
    let right =
        if node.flag("transB", false) { right.clone() } else { builder.swap_last(right)? };
    let value = builder.contract(&left, &right)?;
    let value = times(builder, value, node, "alpha")?;
    match node.optional(2) {
        Some(addend) => {
            let addend = times(builder, addend.clone(), node, "beta")?;
            builder.map(F::Add, &[&value, &addend])
        }
        None => Ok(value),
    }
}

/// FusedGemm: a Gemm and an activation.
pub(super) fn fused_gemm(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let value = gemm(builder, node)?;
    activation::named(builder, value, node)
}

/// FusedMatMul: `alpha · A' B'`, either operand with its last two axes swapped or not.
pub(super) fn fused_matmul(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    if ["transBatchA", "transBatchB"].iter().any(|name| node.flag(name, false)) {
        return Err(
            "transBatchA and transBatchB are not supported; optimise the model less".to_owned()
        );
    }
    let turned = |builder: &mut Builder, index: usize, name: &str| -> Lowered<Value> {
        let value = node.input(index)?;
        if node.flag(name, false) && value.rank() > 1 {
            builder.swap_last(value)
        } else {
            Ok(value.clone())
        }
    };
    let left = turned(builder, 0, "transA")?;
    let right = turned(builder, 1, "transB")?;
    let value = product(builder, &left, &right)?;
    times(builder, value, node, "alpha")
}
