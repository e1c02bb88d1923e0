//! Movements, by burn: the same elements elsewhere.

use burn::backend::flex::FlexTensor;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Flex, Slice};
use protocol::graph::{Node, Operator};
use protocol::tensor::{ElementType, Shape};

use super::burn::{aligned, whole};
use super::error::EngineError;
use crate::tensor::{Tensor, burn_shape};

/// Movements, by burn. `Ok(None)` hands the node to the law.
pub(super) fn movement(node: &Node, operands: &[&Tensor]) -> Result<Option<Tensor>, EngineError> {
    let Some(first) = operands.first() else {
        return Ok(None);
    };
    let shape = &node.output.shape;
    let moved = match &node.operator {
        Operator::Reshape {} => return Ok(first.reshaped(shape)),
        Operator::Expand {} => Some(whole(&aligned(first, shape), node)),
        Operator::Transpose { permutation } if !permutation.is_empty() => {
            let axes: Vec<usize> = permutation.iter().map(|axis| *axis as usize).collect();
            Some(first.burn().permute(&axes))
        }
        Operator::Slice { starts, steps } if !starts.is_empty() => {
            slice(first, starts, steps, shape)
        }
        Operator::Concat { axis } => {
            let parts = operands.iter().map(|operand| operand.burn()).collect();
            Some(Flex::float_cat(parts, *axis as usize))
        }
        Operator::Pad { before, fill } => pad(node, first, before, *fill),
        Operator::Gather { axis } => gather(node, operands, *axis as usize)?,
        Operator::Update {} => update(node, operands)?,
        _ => None,
    };
    Ok(moved.and_then(|moved| Tensor::from_burn(&node.output, moved)))
}

fn slice(first: &Tensor, starts: &[i64], steps: &[i64], shape: &Shape) -> Option<FlexTensor> {
    if steps.iter().any(|step| *step < 1) {
        return None;
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
    Some(Flex::float_slice(first.burn(), &slices))
}

fn pad(node: &Node, first: &Tensor, before: &[i64], fill: u64) -> Option<FlexTensor> {
    let shape = &node.output.shape;
    let inside = before.iter().zip(first.shape().dimensions()).zip(shape.dimensions());
    let grows = inside
        .clone()
        .all(|((pad, from), to)| *pad >= 0 && (*pad as u64).saturating_add(*from) <= *to);
    if !grows || before.is_empty() {
        return None;
    }
    let slices: Vec<Slice> = inside
        .map(|((pad, from), _)| Slice::new(*pad as isize, Some((*pad + *from as i64) as isize), 1))
        .collect();
    let base = Tensor::from_bits(&node.output, &vec![fill; shape.count() as usize])?;
    Some(Flex::float_slice_assign(base.burn(), &slices, first.burn()))
}

fn update(node: &Node, operands: &[&Tensor]) -> Result<Option<FlexTensor>, EngineError> {
    let &[base, rows, start] = operands else {
        return Ok(None);
    };
    let start = start.integers().and_then(|start| start.first().copied());
    let (sizes, counts) = (base.shape().dimensions(), rows.shape().dimensions());
    let (Some(start), Some(size), Some(count)) = (start, sizes.first(), counts.first()) else {
        return Ok(None);
    };
    let most = size.saturating_sub(*count);
    let start = u64::try_from(start).ok().filter(|start| *start <= most);
    let start = start.ok_or(EngineError::Undefined { kind: node.operator.kind() })?;
    let slices: Vec<Slice> = counts
        .iter()
        .enumerate()
        .map(|(axis, count)| {
            let first = if axis == 0 { start } else { 0 };
            Slice::new(first as isize, Some((first + count) as isize), 1)
        })
        .collect();
    Ok(Some(Flex::float_slice_assign(base.burn(), &slices, rows.burn())))
}

fn gather(
    node: &Node,
    operands: &[&Tensor],
    axis: usize,
) -> Result<Option<FlexTensor>, EngineError> {
    let &[first, indices] = operands else {
        return Ok(None);
    };
    let Some(indices) = indices.integers() else {
        return Ok(None);
    };
    let size = first.shape().dimensions()[axis] as i64;
    let indices: Vec<i64> = indices
        .into_iter()
        .map(|index| if index < 0 { index.saturating_add(size) } else { index })
        .collect();
    if indices.iter().any(|index| !(0..size).contains(index)) {
        return Err(EngineError::Undefined { kind: node.operator.kind() });
    }
    let selected = select(first, axis, indices);
    Ok(selected.map(|selected| selected.reshape(burn_shape(&node.output.shape))))
}

fn select(operand: &Tensor, axis: usize, indices: Vec<i64>) -> Option<FlexTensor> {
    let indices = Tensor::from_i64(&Shape::new(&[indices.len() as u64])?, indices)?.burn();
    Some(match operand.kind().element {
        ElementType::F32 => Flex::float_select(operand.burn(), axis, indices),
        ElementType::Bool => Flex::bool_select(operand.burn(), axis, indices),
        _ => Flex::int_select(operand.burn(), axis, indices),
    })
}
