//! Matrix products: both operands with the reduced axis last.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::{Context, Inputs};
use crate::onnx::builder::{Builder, Lowered, Value};

fn floats_only(values: &[&Value]) -> Lowered<()> {
    match values.iter().all(|value| value.element() == ElementType::F32) {
        true => Ok(()),
        false => Err("integer products are not supported; cast to f32".to_owned()),
    }
}

/// MatMul with NumPy's rules for operands of one dimension.
pub(super) fn matmul(builder: &mut Builder, inputs: &Inputs<'_>) -> Lowered<Value> {
    product(builder, inputs.get(0)?, inputs.get(1)?)
}

/// As [`matmul`], of two values.
pub(super) fn product(builder: &mut Builder, left: &Value, right: &Value) -> Lowered<Value> {
    floats_only(&[left, right])?;
    let (vector_left, vector_right) = (left.rank() == 1, right.rank() == 1);
    let left = match vector_left {
        true => builder.reshape(left, &[1, left.dimensions()[0]])?,
        false => left.clone(),
    };
    let right = match vector_right {
        true => builder.reshape(right, &[1, right.dimensions()[0]])?,
        false => builder.swap_last(right)?,
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

/// Gemm: `alpha · A' B' + beta · C`.
pub(super) fn gemm(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let attributes = &context.attributes;
    let (left, right) = (inputs.get(0)?, inputs.get(1)?);
    floats_only(&[left, right])?;
    let left = match attributes.int("transA", 0) {
        0 => left.clone(),
        _ => builder.swap_last(left)?,
    };
    let right = match attributes.int("transB", 0) {
        0 => builder.swap_last(right)?,
        _ => right.clone(),
    };
    let mut value = builder.contract(&left, &right)?;
    let alpha = attributes.float("alpha", 1.0);
    if alpha != 1.0 {
        let alpha = builder.scalar(alpha)?;
        value = builder.map(F::Multiply, &[&value, &alpha])?;
    }
    if let Some(addend) = inputs.optional(2) {
        let beta = attributes.float("beta", 1.0);
        let addend = match beta == 1.0 {
            true => addend.clone(),
            false => {
                let beta = builder.scalar(beta)?;
                builder.map(F::Multiply, &[addend, &beta])?
            }
        };
        value = builder.map(F::Add, &[&value, &addend])?;
    }
    Ok(value)
}
