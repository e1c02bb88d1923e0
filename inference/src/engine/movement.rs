//! Movements, by burn: the same elements elsewhere.

use burn::backend::flex::FlexTensor;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Flex, Slice};
use protocol::graph::{Node, Operator};
use protocol::tensor::{ElementType, Shape};

use super::{EngineError, aligned, whole};
use crate::tensor::{Tensor, burn_shape};

fn integer_burn(operand: &Tensor, axis: usize, indices: Vec<i64>) -> Option<FlexTensor> {
    let indices = Tensor::from_i64(&Shape::new(&[indices.len() as u64])?, indices)?.burn();
    Some(match operand.kind().element {
        ElementType::F32 => Flex::float_select(operand.burn(), axis, indices),
        ElementType::Bool => Flex::bool_select(operand.burn(), axis, indices),
        _ => Flex::int_select(operand.burn(), axis, indices),
    })
}

/// Movements, by burn. `Ok(None)` hands the node to the law.
pub(super) fn movement(node: &Node, operands: &[&Tensor]) -> Result<Option<Tensor>, EngineError> {
    let Some(first) = operands.first() else {
        return Ok(None);
    };
    let shape = &node.output.shape;
    let moved = match &node.operator {
        Operator::Reshape {} => return Ok(first.reshaped(shape)),
        Operator::Expand {} => whole(&aligned(first, shape), node),
        Operator::Transpose { permutation } if !permutation.is_empty() => {
            let axes: Vec<usize> = permutation.iter().map(|axis| *axis as usize).collect();
            first.burn().permute(&axes)
        }
        Operator::Slice { starts, steps } if !starts.is_empty() => {
            if steps.iter().any(|step| *step < 1) {
                return Ok(None);
            }
            let slices: Vec<Slice> = starts
                .iter()
                .zip(steps)
                .zip(shape.dimensions())
                .map(|((start, step), size)| {
                    let end = start + (*size as i64 - 1) * step + 1;
                    Slice::new(*start as isize, Some(end as isize), *step as isize)
                })
                .collect();
            Flex::float_slice(first.burn(), &slices)
        }
        Operator::Concat { axis } => {
            let parts = operands.iter().map(|operand| operand.burn()).collect();
            Flex::float_cat(parts, *axis as usize)
        }
        Operator::Pad { before, fill } => {
            let inside = before.iter().zip(first.shape().dimensions()).zip(shape.dimensions());
            let grows = inside
                .clone()
                .all(|((pad, from), to)| *pad >= 0 && (*pad as u64).saturating_add(*from) <= *to);
            if !grows || before.is_empty() {
                return Ok(None);
            }
            let slices: Vec<Slice> = inside
                .map(|((pad, from), _)| {
                    Slice::new(*pad as isize, Some((*pad + *from as i64) as isize), 1)
                })
                .collect();
            let bits = vec![*fill; shape.count() as usize];
            let Some(base) = Tensor::from_bits(&node.output, &bits) else {
                return Ok(None);
            };
            Flex::float_slice_assign(base.burn(), &slices, first.burn())
        }
        Operator::Gather { axis } => {
            let size = first.shape().dimensions()[*axis as usize] as i64;
            let indices = operands.get(1).and_then(|indices| indices.integers());
            let Some(indices) = indices else {
                return Ok(None);
            };
            let indices: Vec<i64> = indices
                .into_iter()
                .map(|index| if index < 0 { index.saturating_add(size) } else { index })
                .collect();
            if indices.iter().any(|index| !(0..size).contains(index)) {
                return Err(EngineError::Undefined { kind: node.operator.kind() });
            }
            match integer_burn(first, *axis as usize, indices) {
                Some(selected) => selected.reshape(burn_shape(shape)),
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Tensor::from_burn(&node.output, moved))
}
