//! The scalar law: what each element of each operator's output is.
//!
//! One function reads operands through [`Operands`], so the same law serves whoever holds whole
//! tensors, whoever records which leaves a proof must carry, and the referee, who holds only the
//! leaves that were proven. It computes by a [`CheckedNode`] only, whose indices cannot leave a tensor.

mod check;
mod fold;

pub use crate::functions::map_scalar;
pub use check::{CheckedNode, NodeFault, SEGMENT_ELEMENTS, SEGMENTS_MAX, check};
pub use fold::{finish, is_folded, multiply_adds, segment, segment_count, start, state_words};

use alloc::vec::Vec;

use crate::graph::Operator;
use crate::tensor::Shape;

/// Gives the law the elements it asks for.
pub trait Operands {
    /// Why an element cannot be given.
    type Error;

    /// Bits of one element of an operand, by flat index, as they are committed to; the law reads them as the
    /// stored value that they mean ([`ElementType::stored`]).
    ///
    /// [`ElementType::stored`]: crate::tensor::ElementType::stored
    ///
    /// # Errors
    /// When the element is not available; the law stops and passes the error on.
    fn element(&mut self, operand: usize, index: u64) -> Result<u64, Self::Error>;
}

/// Why an element has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LawError<E> {
    /// An operand's element could not be read.
    #[error("an operand is not available: {0}")]
    Operand(E),
    /// The operator gives no result here: integer overflow, division by zero, an index out of range.
    #[error("the operator has no defined result at this element")]
    Undefined,
}

/// An operand's element as the stored value that its bits mean. Every element that the law uses is read here.
fn read<O: Operands>(
    node: CheckedNode<'_>,
    operands: &mut O,
    operand: usize,
    index: u64,
) -> Result<u64, LawError<O::Error>> {
    let bits = operands.element(operand, index).map_err(LawError::Operand)?;
    Ok(node.operands[operand].kind.element.stored(bits))
}

/// One element of a node's output, as stored bits.
///
/// # Errors
/// [`LawError::Operand`] passes on what the operands said; [`LawError::Undefined`] where the
/// operator has no result, so that nobody can claim one.
pub fn element<O: Operands>(
    node: CheckedNode<'_>,
    index: u64,
    operands: &mut O,
) -> Result<u64, LawError<O::Error>> {
    if is_folded(node) {
        let mut state: Option<Vec<u64>> = None;
        for number in 0..segment_count(node) {
            let before = start(node, number, state.as_deref());
            state = Some(segment(node, index, number, before, operands)?);
        }
        return state.and_then(|last| finish(node, &last)).ok_or(LawError::Undefined);
    }
    if let Operator::Map { function } = &node.operator {
        let coordinates = node.output.shape.unravel(index);
        let mut arguments = [0; 3];
        for (place, operand) in node.operands.iter().enumerate().take(3) {
            let at = broadcast_index(&operand.kind.shape, &coordinates);
            arguments[place] = read(node, operands, place, at)?;
        }
        let from = node.operands.last().map_or(node.output.element, |last| last.kind.element);
        return map_scalar(*function, from, node.output.element, arguments)
            .ok_or(LawError::Undefined);
    }
    match movement_source(node, index, operands)? {
        Source::Element { operand, index } => read(node, operands, operand, index),
        Source::Constant(bits) => Ok(bits),
    }
}

/// Where a moved element comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An element of an operand.
    Element {
        /// Index of the operand in the node.
        operand: usize,
        /// Flat index of the element in the operand.
        index: u64,
    },
    /// A constant of the operator.
    Constant(u64),
}

/// Flat index in a broadcast operand of the element at these output coordinates.
///
/// ```
/// use protocol::law::broadcast_index;
/// use protocol::tensor::Shape;
///
/// // A row is read by every row of a matrix.
/// let row = Shape::new(&[3]).unwrap();
/// assert_eq!(broadcast_index(&row, &[5, 2]), 2);
/// ```
pub fn broadcast_index(shape: &Shape, coordinates: &[u64]) -> u64 {
    let skipped = coordinates.len().saturating_sub(shape.rank());
    shape
        .dimensions()
        .iter()
        .zip(coordinates.iter().skip(skipped))
        .fold(0, |index, (size, at)| index * size + if *size == 1 { 0 } else { *at })
}

/// The source of an element of a movement. Only a gather and an update read an operand to find it.
///
/// # Errors
/// As [`element`].
pub fn movement_source<O: Operands>(
    node: CheckedNode<'_>,
    index: u64,
    operands: &mut O,
) -> Result<Source, LawError<O::Error>> {
    let mut at = node.output.shape.unravel(index);
    let first = |index| Ok(Source::Element { operand: 0, index });
    let Some(shape) = node.operands.first().map(|operand| &operand.kind.shape) else {
        return Err(LawError::Undefined);
    };
    match &node.operator {
        Operator::Reshape {} => first(index),
        Operator::Expand {} => first(broadcast_index(shape, &at)),
        Operator::Transpose { permutation } => {
            let mut from = at.clone();
            for (axis, source) in permutation.iter().enumerate() {
                from[*source as usize] = at[axis];
            }
            first(shape.ravel(&from))
        }
        Operator::Slice { starts, steps } => {
            for ((position, start), step) in at.iter_mut().zip(starts).zip(steps) {
                *position = (*start + *position as i64 * *step) as u64;
            }
            first(shape.ravel(&at))
        }
        Operator::Concat { axis } => {
            let axis = *axis as usize;
            for (operand, part) in node.operands.iter().enumerate() {
                let size = part.kind.shape.dimensions()[axis];
                if at[axis] < size {
                    return Ok(Source::Element { operand, index: part.kind.shape.ravel(&at) });
                }
                at[axis] -= size;
            }
            Err(LawError::Undefined)
        }
        Operator::Pad { before, fill } => {
            for ((position, pad), size) in at.iter_mut().zip(before).zip(shape.dimensions()) {
                let moved = *position as i64 - *pad;
                if moved < 0 || moved as u64 >= *size {
                    return Ok(Source::Constant(*fill));
                }
                *position = moved as u64;
            }
            first(shape.ravel(&at))
        }
        Operator::Gather { axis } => {
            let from = looked_up(node, *axis as usize, &at, operands)?;
            first(shape.ravel(&from))
        }
        Operator::Update {} => updated(node, &at, operands),
        // No movement.
        Operator::Map { .. }
        | Operator::Contract {}
        | Operator::Convolve { .. }
        | Operator::Reduce { .. }
        | Operator::Pool { .. } => Err(LawError::Undefined),
    }
}

/// Which operand an updated tensor has its row from.
fn updated<O: Operands>(
    node: CheckedNode<'_>,
    at: &[u64],
    operands: &mut O,
) -> Result<Source, LawError<O::Error>> {
    let [base, rows, start] = [0, 1, 2].map(|operand| &node.operands[operand].kind);
    let start = start.element.to_integer(read(node, operands, 2, 0)?);
    let start = u64::try_from(start).map_err(|_| LawError::Undefined)?;
    let count = rows.shape.dimensions()[0];
    if start > base.shape.dimensions()[0] - count {
        return Err(LawError::Undefined);
    }
    Ok(match at[0].checked_sub(start).filter(|row| *row < count) {
        Some(row) => {
            let mut from = at.to_vec();
            from[0] = row;
            Source::Element { operand: 1, index: rows.shape.ravel(&from) }
        }
        None => Source::Element { operand: 0, index: base.shape.ravel(at) },
    })
}

/// Where a lookup reads its first operand: the output's place, with the number found in the second operand in
/// the place of the axes that index it. A negative number counts from the end.
fn looked_up<O: Operands>(
    node: CheckedNode<'_>,
    axis: usize,
    at: &[u64],
    operands: &mut O,
) -> Result<Vec<u64>, LawError<O::Error>> {
    let (shape, indices) = (&node.operands[0].kind.shape, &node.operands[1].kind);
    let end = axis + indices.shape.rank();
    let bits = read(node, operands, 1, indices.shape.ravel(&at[axis..end]))?;
    let size = shape.dimensions()[axis] as i64;
    let found = indices.element.to_integer(bits);
    let found = if found < 0 { found.saturating_add(size) } else { found };
    if !(0..size).contains(&found) {
        return Err(LawError::Undefined);
    }
    let mut from = at[..axis].to_vec();
    from.push(found as u64);
    from.extend_from_slice(&at[end..]);
    Ok(from)
}
