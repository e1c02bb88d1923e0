//! Movements, by burn: the same elements elsewhere.

use burn::backend::flex::FlexTensor;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Flex, Slice};
use protocol::graph::{Node, Operator};
use protocol::tensor::{ElementType, Shape};

use super::burn::{aligned, whole};
use crate::tensor::{Tensor, burn_shape};

/// Movements, by burn. `None` hands the node to the law, which says also where there is no result.
pub(super) fn movement(node: &Node, operands: &[&Tensor]) -> Option<Tensor> {
    let first = operands.first()?;
    let shape = &node.output.shape;
    let moved = match &node.operator {
        Operator::Reshape {} => return first.reshaped(shape),
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
        Operator::Gather { axis } => gather(node, operands, *axis as usize),
        Operator::Update {} => update(operands),
        _ => None,
    };
    moved.and_then(|moved| Tensor::from_burn(&node.output, moved))
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

fn update(operands: &[&Tensor]) -> Option<FlexTensor> {
    let &[base, rows, start] = operands else {
        return None;
    };
    let start = start.integers()?.first().copied()?;
    let (sizes, counts) = (base.shape().dimensions(), rows.shape().dimensions());
    let most = sizes.first()?.saturating_sub(*counts.first()?);
    let start = u64::try_from(start).ok().filter(|start| *start <= most)?;
    let slices: Vec<Slice> = counts
        .iter()
        .enumerate()
        .map(|(axis, count)| {
            let first = if axis == 0 { start } else { 0 };
            Slice::new(first as isize, Some((first + count) as isize), 1)
        })
        .collect();
    Some(Flex::float_slice_assign(base.burn(), &slices, rows.burn()))
}

fn gather(node: &Node, operands: &[&Tensor], axis: usize) -> Option<FlexTensor> {
    let &[first, indices] = operands else {
        return None;
    };
    let indices = indices.integers()?;
    let size = first.shape().dimensions()[axis] as i64;
    let indices: Vec<i64> = indices
        .into_iter()
        .map(|index| if index < 0 { index.saturating_add(size) } else { index })
        .collect();
    if indices.iter().any(|index| !(0..size).contains(index)) {
        return None;
    }
    let selected = select(first, axis, indices)?;
    Some(selected.reshape(burn_shape(&node.output.shape)))
}

fn select(operand: &Tensor, axis: usize, indices: Vec<i64>) -> Option<FlexTensor> {
    let indices = Tensor::from_i64(&Shape::new(&[indices.len() as u64])?, indices)?.burn();
    Some(match operand.kind().element {
        ElementType::F32 => Flex::float_select(operand.burn(), axis, indices),
        ElementType::Bool => Flex::bool_select(operand.burn(), axis, indices),
        _ => Flex::int_select(operand.burn(), axis, indices),
    })
}
