//! Tensors as operands of burn, and what burn computes exactly: single IEEE operations.

use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{BoolDType, Flex};
use protocol::graph::{MapFunction, Node};
use protocol::numerics::store;
use protocol::tensor::{ElementType, Shape};

use crate::tensor::{Tensor, burn_shape};

/// A computed number as rule Q stores it.
pub(super) fn stored(value: f32) -> f32 {
    f32::from_bits(store(value.to_bits()))
}

/// An operand under the output's rank.
pub(super) fn aligned(operand: &Tensor, output: &Shape) -> FlexTensor {
    let missing = output.rank().max(1).saturating_sub(operand.shape().rank());
    let mut dimensions = vec![1; missing];
    dimensions.extend(operand.shape().dimensions().iter().map(|size| *size as usize));
    operand.burn_as(dimensions.into())
}

/// An aligned operand, expanded to the output's shape.
pub(super) fn whole(part: &FlexTensor, node: &Node) -> FlexTensor {
    let shape = burn_shape(&node.output.shape);
    if *part.layout().shape() == shape {
        part.clone()
    } else {
        Flex::float_expand(part.clone(), shape)
    }
}

/// Single IEEE operations, by burn, then rule Q.
pub(super) fn exact_by_burn(
    node: &Node,
    function: MapFunction,
    parts: &[FlexTensor],
) -> Option<Tensor> {
    use MapFunction as F;
    let first = whole(parts.first()?, node);
    let second = || parts.get(1).cloned();
    let result = match function {
        F::Add => Flex::float_add(first, second()?),
        F::Subtract => Flex::float_sub(first, second()?),
        F::Multiply => Flex::float_mul(first, second()?),
        F::Divide => Flex::float_div(first, second()?),
        F::SquareRoot => Flex::float_sqrt(first),
        F::Absolute => Flex::float_abs(first),
        F::Negate => Flex::float_neg(first),
        F::Equal => Flex::float_equal(first, second()?, BoolDType::Native),
        F::Less => Flex::float_lower(first, second()?, BoolDType::Native),
        F::LessOrEqual => Flex::float_lower_equal(first, second()?, BoolDType::Native),
        F::Select => {
            let (yes, no) = (whole(parts.get(1)?, node), whole(parts.get(2)?, node));
            Flex::float_mask_where(no, first, yes)
        }
        _ => return None,
    };
    let tensor = Tensor::from_burn(&node.output, result)?;
    match node.output.element {
        ElementType::F32 => Some(requantised(tensor)),
        _ => Some(tensor),
    }
}

/// Rule Q over a tensor that was just computed, in place when nobody else holds it.
fn requantised(tensor: Tensor) -> Tensor {
    let kind = tensor.kind().clone();
    let mut data = tensor.burn();
    drop(tensor);
    for value in data.storage_mut::<f32>() {
        *value = stored(*value);
    }
    match Tensor::from_burn(&kind, data) {
        Some(tensor) => tensor,
        None => unreachable!("the type did not change"),
    }
}
