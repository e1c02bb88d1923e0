//! Whether a node is well formed: after this, the law cannot index outside a tensor.

use core::ops::Deref;

use crate::functions::Types;
use crate::graph::{MapFunction, Node, OPERANDS_MAX, Operator, Window};
use crate::tensor::{ElementType, Shape};

/// Products or elements of one segment.
pub const SEGMENT_ELEMENTS: u64 = 64;
/// Most segments of one element, so that the list of accumulators stays small.
pub const SEGMENTS_MAX: u64 = 4096;
/// Largest stride, dilation, pad or kernel side.
const WINDOW_MAX: u32 = 1 << 16;

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    /// Too many or too few operands.
    #[error("the operator takes another number of operands")]
    Operands,
    /// Element types do not fit the operator.
    #[error("the element types do not fit the operator")]
    Elements,
    /// Shapes do not fit the operator.
    #[error("the shapes do not fit the operator")]
    Shapes,
    /// An attribute is outside its range.
    #[error("an attribute is outside its range")]
    Attributes,
    /// More products or elements go into one output element than the protocol accepts.
    #[error("an element folds more than {} values", SEGMENTS_MAX * SEGMENT_ELEMENTS)]
    TooLong,
    /// So many products of these integers may leave the output's type.
    #[error(
        "so many products of these integers may overflow the output's type; fold fewer, or sum in i64"
    )]
    Overflow,
}

fn broadcasts(from: &Shape, to: &Shape) -> bool {
    let Some(skipped) = to.rank().checked_sub(from.rank()) else {
        return false;
    };
    from.dimensions()
        .iter()
        .zip(&to.dimensions()[skipped..])
        .all(|(size, target)| size == target || *size == 1)
}

fn ensure(condition: bool, fault: NodeFault) -> Result<(), NodeFault> {
    if condition { Ok(()) } else { Err(fault) }
}

/// A node that passed [`check`]: what the law computes by.
///
/// It proves what every index expression of the law rests on: the operator has as many operands as it
/// takes; their ranks and sizes and the output's fit the operator and each other, so that coordinates of
/// one can be mapped into the other axis by axis; axes, permutations, starts and steps lie inside the
/// shapes that they are about; and no element folds more than the protocol accepts. So for an element
/// inside the output no axis is missing from a shape, and no index leaves its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedNode<'a>(&'a Node);

impl<'a> CheckedNode<'a> {
    /// The node, for as long as it was lent.
    pub const fn node(self) -> &'a Node {
        self.0
    }
}

impl Deref for CheckedNode<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.0
    }
}

/// Checks operand counts, element types, shapes and attributes.
///
/// # Errors
/// The first fault found. A model with such a node is not a model: nobody can claim on it.
pub fn check(node: &Node) -> Result<CheckedNode<'_>, NodeFault> {
    fits(node).map(|()| CheckedNode(node))
}

fn fits(node: &Node) -> Result<(), NodeFault> {
    use NodeFault::{Elements, Operands, Shapes};
    let operands = &node.operands;
    ensure((1..=OPERANDS_MAX).contains(&operands.len()), Operands)?;
    let wanted = match &node.operator {
        Operator::Map { function } => function.operands(),
        Operator::Contract {} | Operator::Convolve { .. } | Operator::Gather { .. } => 2,
        Operator::Update {} => 3,
        Operator::Concat { .. } => operands.len(),
        Operator::Reduce { .. }
        | Operator::Pool { .. }
        | Operator::Reshape {}
        | Operator::Transpose { .. }
        | Operator::Slice { .. }
        | Operator::Pad { .. }
        | Operator::Expand {} => 1,
    };
    ensure(operands.len() == wanted, Operands)?;
    match &node.operator {
        Operator::Map { function } => {
            ensure(map_elements_fit(*function, node), Elements)?;
            let fits = |operand: &crate::graph::Operand| {
                broadcasts(&operand.kind.shape, &node.output.shape)
            };
            ensure(operands.iter().all(fits), Shapes)
        }
        Operator::Contract {} => contract(node),
        Operator::Convolve { window, groups } => convolve(node, window, *groups),
        Operator::Reduce { .. } => {
            let shape = &operands[0].kind.shape;
            ensure(folds(node), Elements)?;
            ensure(shape.rank() >= 1, Shapes)?;
            let kept = &shape.dimensions()[..shape.rank() - 1];
            ensure(kept == node.output.shape.dimensions(), Shapes)?;
            long_enough(shape.columns())
        }
        Operator::Pool { fold: _, window } => {
            let (shape, output) = (&operands[0].kind.shape, &node.output.shape);
            ensure(folds(node), Elements)?;
            ensure(shape.rank() == 4 && output.rank() == 4, Shapes)?;
            let (from, to) = (shape.dimensions(), output.dimensions());
            ensure(from[0] == to[0] && from[3] == to[3], Shapes)?;
            window_fits(window)?;
            long_enough(u64::from(window.kernel.0) * u64::from(window.kernel.1))
        }
        Operator::Reshape {}
        | Operator::Transpose { .. }
        | Operator::Slice { .. }
        | Operator::Concat { .. }
        | Operator::Pad { .. }
        | Operator::Expand {}
        | Operator::Gather { .. }
        | Operator::Update {} => movement(node),
    }
}

/// Whether a fold is of numbers and gives their type.
fn folds(node: &Node) -> bool {
    let element = node.output.element;
    node.operands[0].kind.element == element
        && (element == ElementType::F32 || element.is_integer())
}

fn long_enough(length: u64) -> Result<(), NodeFault> {
    ensure(length <= SEGMENTS_MAX * SEGMENT_ELEMENTS, NodeFault::TooLong)
}

fn window_fits(window: &Window) -> Result<(), NodeFault> {
    let inside = |pair: (u32, u32), least: u32| {
        (least..=WINDOW_MAX).contains(&pair.0) && (least..=WINDOW_MAX).contains(&pair.1)
    };
    let fits = inside(window.kernel, 1)
        && inside(window.strides, 1)
        && inside(window.dilations, 1)
        && inside(window.pads, 0);
    ensure(fits, NodeFault::Attributes)
}

fn map_elements_fit(function: MapFunction, node: &Node) -> bool {
    use ElementType::{Bool, F32};
    let output = node.output.element;
    let first = node.operands[0].kind.element;
    let same = node.operands.iter().all(|operand| operand.kind.element == first);
    // Floats of 16 bits are widened before anything is computed with them.
    let narrow = [output].into_iter().chain(node.operands.iter().map(|one| one.kind.element));
    let narrow = narrow.into_iter().any(ElementType::is_narrow);
    if narrow && function.types() != Types::Conversion {
        return false;
    }
    match function.types() {
        Types::Conversion => !narrow || first == F32 || output == F32,
        Types::Choice => {
            first == Bool && node.operands[1..].iter().all(|part| part.kind.element == output)
        }
        Types::Random => same && first == ElementType::I64 && output == ElementType::U32,
        Types::Equality => same && output == Bool,
        Types::Order => same && output == Bool && first != Bool,
        Types::FloatTest => first == F32 && output == Bool,
        // Of integers, bit by bit.
        Types::Bits => same && first != F32 && output == first,
        Types::Numbers => same && first == output && first != Bool,
        Types::Floats => first == F32 && output == F32,
    }
}

fn contract(node: &Node) -> Result<(), NodeFault> {
    use NodeFault::{Elements, Shapes};
    let (left, right) = (&node.operands[0].kind, &node.operands[1].kind);
    let output = &node.output;
    let elements = (left.element, right.element, output.element);
    ensure(widens(elements) || sums_exactly(elements), Elements)?;
    let ranks = [left, right, output].map(|kind| kind.shape.rank());
    ensure(ranks.iter().all(|rank| *rank >= 2), Shapes)?;
    let split = |kind: &crate::tensor::TensorType| {
        let dimensions = kind.shape.dimensions();
        let (outer, inner) = dimensions.split_at(dimensions.len() - 2);
        (Shape::new(outer), inner[0], inner[1])
    };
    let ((a, m, k), (b, n, depth), (o, rows, columns)) = (split(left), split(right), split(output));
    ensure(k == depth && m == rows && n == columns, Shapes)?;
    let (Some(a), Some(b), Some(o)) = (a, b, o) else {
        return Err(Shapes);
    };
    ensure(broadcasts(&a, &o) && broadcasts(&b, &o), Shapes)?;
    long_enough(k)?;
    cannot_overflow(elements, k)
}

fn convolve(node: &Node, window: &Window, groups: u32) -> Result<(), NodeFault> {
    use NodeFault::{Attributes, Elements, Shapes};
    let (input, kernel) = (&node.operands[0].kind, &node.operands[1].kind);
    let output = &node.output;
    let elements = (input.element, kernel.element, output.element);
    let floats = elements == (ElementType::F32, ElementType::F32, ElementType::F32);
    ensure(floats || sums_exactly(elements), Elements)?;
    ensure([input, kernel, output].iter().all(|kind| kind.shape.rank() == 4), Shapes)?;
    window_fits(window)?;
    let groups = u64::from(groups);
    let (i, w, o) =
        (input.shape.dimensions(), kernel.shape.dimensions(), output.shape.dimensions());
    ensure(groups >= 1 && o[3].is_multiple_of(groups), Attributes)?;
    ensure(w[3].checked_mul(groups) == Some(i[3]), Shapes)?;
    ensure(i[0] == o[0] && w[0] == o[3], Shapes)?;
    ensure(w[1] == u64::from(window.kernel.0) && w[2] == u64::from(window.kernel.1), Shapes)?;
    let length = w[1].saturating_mul(w[2]).saturating_mul(w[3]);
    long_enough(length)?;
    cannot_overflow(elements, length)
}

/// Element types of a left side, a right side and their products' sum.
type Elements = (ElementType, ElementType, ElementType);

/// Whether a right side is widened to the left side's binary32.
fn widens((left, right, output): Elements) -> bool {
    use ElementType::{Bf16, F16, F32, I8, U8};
    (left, output) == (F32, F32) && matches!(right, F32 | Bf16 | F16 | I8 | U8)
}

/// Whether products of integers are summed without rounding.
fn sums_exactly((left, right, output): Elements) -> bool {
    use ElementType::{I8, I16, I32, I64, U8};
    matches!(left, I8 | U8 | I16) && matches!(right, I8 | U8) && matches!(output, I32 | I64)
}

/// Whether so many products of integers stay inside the sum's type, whatever the elements are.
fn cannot_overflow((left, right, output): Elements, length: u64) -> Result<(), NodeFault> {
    let largest = |element: ElementType| {
        element.integer_range().map(|(least, most)| least.unsigned_abs().max(most.unsigned_abs()))
    };
    let (Some(left), Some(right), Some((_, most))) =
        (largest(left), largest(right), output.integer_range())
    else {
        return Ok(());
    };
    let sum = u128::from(length) * u128::from(left) * u128::from(right);
    ensure(sum <= u128::from(most.unsigned_abs()), NodeFault::Overflow)
}

fn movement(node: &Node) -> Result<(), NodeFault> {
    use NodeFault::{Attributes, Elements, Shapes};
    let (shape, output) = (&node.operands[0].kind.shape, &node.output.shape);
    let (from, to) = (shape.dimensions(), output.dimensions());
    ensure(node.operands[0].kind.element == node.output.element, Elements)?;
    match &node.operator {
        Operator::Reshape {} => ensure(shape.count() == output.count(), Shapes),
        Operator::Expand {} => ensure(broadcasts(shape, output), Shapes),
        Operator::Transpose { permutation } => {
            ensure(permutation.len() == from.len() && to.len() == from.len(), Shapes)?;
            for (axis, source) in permutation.iter().enumerate() {
                let source = *source as usize;
                ensure(from.get(source) == Some(&to[axis]), Shapes)?;
                ensure(!permutation[..axis].contains(&permutation[axis]), Attributes)?;
            }
            Ok(())
        }
        Operator::Slice { starts, steps } => {
            ensure(starts.len() == from.len() && steps.len() == from.len(), Attributes)?;
            ensure(to.len() == from.len(), Shapes)?;
            for axis in 0..from.len() {
                let (start, step) = (i128::from(starts[axis]), i128::from(steps[axis]));
                let last = start + (i128::from(to[axis]) - 1) * step;
                let inside = 0..i128::from(from[axis]);
                ensure(step != 0 && inside.contains(&start) && inside.contains(&last), Attributes)?;
            }
            Ok(())
        }
        Operator::Concat { axis } => {
            let axis = *axis as usize;
            ensure(axis < to.len(), Attributes)?;
            let mut total = 0u64;
            for part in &node.operands {
                ensure(part.kind.element == node.output.element, Elements)?;
                let dimensions = part.kind.shape.dimensions();
                ensure(dimensions.len() == to.len(), Shapes)?;
                let same = (0..to.len()).all(|at| at == axis || dimensions[at] == to[at]);
                ensure(same, Shapes)?;
                total = total.saturating_add(dimensions[axis]);
            }
            ensure(total == to[axis], Shapes)
        }
        Operator::Pad { before, fill } => {
            ensure(before.len() == from.len() && to.len() == from.len(), Shapes)?;
            let small = before.iter().all(|pad| pad.unsigned_abs() <= 1 << 31);
            ensure(small && node.output.element.is_canonical(*fill), Attributes)
        }
        Operator::Gather { axis } => {
            let axis = *axis as usize;
            let indices = &node.operands[1].kind;
            ensure(indices.element.is_integer(), Elements)?;
            ensure(axis < from.len(), Attributes)?;
            let wanted =
                from[..axis].iter().chain(indices.shape.dimensions()).chain(&from[axis + 1..]);
            ensure(wanted.eq(to.iter()), Shapes)
        }
        Operator::Update {} => update(node),
        // No movement.
        Operator::Map { .. }
        | Operator::Contract {}
        | Operator::Convolve { .. }
        | Operator::Reduce { .. }
        | Operator::Pool { .. } => Err(Attributes),
    }
}

fn update(node: &Node) -> Result<(), NodeFault> {
    use NodeFault::{Elements, Shapes};
    let [base, rows, start] = [0, 1, 2].map(|operand: usize| &node.operands[operand].kind);
    ensure(rows.element == base.element && start.element.is_integer(), Elements)?;
    ensure(start.shape.count() == 1 && base.shape == node.output.shape, Shapes)?;
    let split = |kind: &crate::tensor::TensorType| {
        kind.shape.dimensions().split_first().map(|(count, row)| (*count, row.to_vec()))
    };
    let (Some((count, row)), Some((most, whole))) = (split(rows), split(base)) else {
        return Err(Shapes);
    };
    ensure(row == whole && count <= most, Shapes)
}
