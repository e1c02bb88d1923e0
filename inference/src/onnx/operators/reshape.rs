//! The same elements under another shape or order, and elements repeated.

use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axes_of, axis_of};
use crate::onnx::movement::{drop_axes, expand_to};
use crate::onnx::shapes::{Lowered, sizes};
use crate::onnx::value::Value;

/// Reshape: 0 keeps a size, -1 is what is left.
pub(super) fn reshape(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let wanted = node.integers_or(1, "shape")?;
    let wanted = wanted.ok_or("the shape is missing")?;
    let keep_zero = node.flag("allowzero", false);
    let mut dimensions = Vec::new();
    let mut open = None;
    for (axis, size) in wanted.iter().enumerate() {
        dimensions.push(match *size {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !keep_zero => {
                *x.dimensions().get(axis).ok_or("a 0 in the shape has no input axis")?
            }
            size => u64::try_from(size).map_err(|_| format!("size {size} is not a size"))?,
        });
    }
    if let Some(axis) = open {
        let known: u64 = dimensions.iter().try_fold(1u64, |a, b| a.checked_mul(*b)).unwrap_or(0);
        if known == 0 || !x.shape().count().is_multiple_of(known) {
            return Err(format!("{:?} cannot become {wanted:?}", x.dimensions()));
        }
        dimensions[axis] = x.shape().count() / known;
    }
    builder.reshape(x, &dimensions)
}

/// Flatten: the axes before one, and the axes from it on, as one each.
pub(super) fn flatten(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axis = node.attributes.int("axis", 1);
    let axis = if axis == x.rank() as i64 { x.rank() } else { axis_of(axis, x.rank())? };
    matrix_from(builder, x, axis)
}

/// A value as a matrix: the axes before one as rows, those from it on as columns.
pub(super) fn matrix_from(builder: &mut Builder, x: &Value, axis: usize) -> Lowered<Value> {
    let (outer, inner) = x.dimensions().split_at(axis);
    builder.reshape(x, &[outer.iter().product(), inner.iter().product()])
}

/// Transpose: the axes in another order, turned around without one.
pub(super) fn transpose(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let permutation = match node.attributes.ints("perm") {
        Some(axes) => axes_of(axes, x.rank())?,
        None => (0..x.rank()).rev().collect(),
    };
    builder.transpose(x, &permutation)
}

/// Squeeze: without some axes of size 1, or all of them.
pub(super) fn squeeze(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axes = match node.integers_or(1, "axes")? {
        Some(axes) => axes_of(axes, x.rank())?,
        None => (0..x.rank()).filter(|axis| x.dimensions()[*axis] == 1).collect(),
    };
    if axes.iter().any(|axis| x.dimensions()[*axis] != 1) {
        return Err("an axis to squeeze has not size 1".to_owned());
    }
    drop_axes(builder, x, &axes)
}

/// Unsqueeze: with more axes of size 1.
pub(super) fn unsqueeze(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axes = node.integers_or(1, "axes")?.ok_or("axes are missing")?;
    let rank = x.rank() + axes.len();
    let axes = axes_of(axes, rank)?;
    let mut rest = x.dimensions().iter().copied();
    let size = |axis| if axes.contains(&axis) { 1 } else { rest.next().unwrap_or(1) };
    let dimensions: Vec<u64> = (0..rank).map(size).collect();
    builder.reshape(x, &dimensions)
}

/// Expand: broadcast to a shape.
pub(super) fn expand(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let dimensions = sizes(&node.integers(1)?.ok_or("input 1 is missing")?)?;
    expand_to(builder, node.input(0)?, &dimensions)
}

/// Tile: repeats along each axis: expand a new axis, then merge it.
pub(super) fn tile(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let mut value = node.input(0)?.clone();
    let repeats = sizes(&node.integers(1)?.ok_or("input 1 is missing")?)?;
    if repeats.len() != value.rank() {
        return Err("repeats has not one number for each axis".to_owned());
    }
    for (axis, repeat) in repeats.into_iter().enumerate().filter(|(_, repeat)| *repeat != 1) {
        let mut dimensions = value.dimensions().to_vec();
        let merged = dimensions[axis].saturating_mul(repeat);
        dimensions.insert(axis, 1);
        let raised = builder.reshape(&value, &dimensions)?;
        dimensions[axis] = repeat;
        let repeated = expand_to(builder, &raised, &dimensions)?;
        dimensions.remove(axis);
        dimensions[axis] = merged;
        value = builder.reshape(&repeated, &dimensions)?;
    }
    Ok(value)
}

/// Whether channels stand before the places within a block, and not after them.
fn has_channels_first(node: &OnnxNode<'_>) -> bool {
    node.attributes.text("mode", "DCR") != "DCR"
}

/// Largest side of a block: its places are far from being too many to count.
const BLOCK_MAX: u64 = 1 << 16;

/// The size of a block, and the dimensions of an image of them.
fn block_of(node: &OnnxNode<'_>) -> Lowered<(u64, [u64; 4])> {
    let block = node.count("blocksize");
    if block > BLOCK_MAX {
        return Err(format!("blocksize {block} is over the limit of {BLOCK_MAX}"));
    }
    match (node.input(0)?.dimensions(), block > 0) {
        (&[n, c, h, w], true) => Ok((block, [n, c, h, w])),
        _ => Err("needs rank 4 and a positive blocksize".to_owned()),
    }
}

/// SpaceToDepth: the places of each block become channels.
pub(super) fn space_to_depth(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (block, [n, c, h, w]) = block_of(node)?;
    let split = builder.reshape(node.input(0)?, &[n, c, h / block, block, w / block, block])?;
    let order = if has_channels_first(node) { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    let moved = builder.transpose(&split, &order)?;
    builder.reshape(&moved, &[n, c * block * block, h / block, w / block])
}

/// DepthToSpace: channels become the places of each block.
pub(super) fn depth_to_space(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (block, [n, c, h, w]) = block_of(node)?;
    let depth = c / (block * block);
    let (split, order) = if has_channels_first(node) {
        ([n, depth, block, block, h, w], [0, 1, 4, 2, 5, 3])
    } else {
        ([n, block, block, depth, h, w], [0, 3, 4, 1, 5, 2])
    };
    let split = builder.reshape(node.input(0)?, &split)?;
    let moved = builder.transpose(&split, &order)?;
    builder.reshape(&moved, &[n, depth, h * block, w * block])
}
