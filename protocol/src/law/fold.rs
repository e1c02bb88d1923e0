//! Operators that fold many products or elements into one: contraction, convolution, reduction,
//! pooling. They are computed in *segments* of 64, and a segment is the largest step that a referee
//! recomputes.

use alloc::vec;
use alloc::vec::Vec;

use super::{CheckedNode, LawError, Operands, SEGMENT_ELEMENTS, read};
use crate::graph::{Fold, Node, Operator, Window};
use crate::numerics::{soft, store};
use crate::tensor::ElementType;

/// Segments of one chunk: a contraction's chain starts again from +0 after each 256 products.
const CHUNK_SEGMENTS: u64 = 4;
/// Lanes of a row reduction.
const LANES: usize = 32;

/// How an operator folds many values into one element.
enum Folding {
    /// Not at all.
    Nothing,
    /// Chains of products: the state is the accumulator and the sum of the chunks before.
    Products,
    /// The exact sum of products of integers: the state is the sum so far.
    IntegerProducts,
    /// Lanes of elements, a word of state for each.
    Lanes(Fold),
}

fn folding(node: &Node) -> Folding {
    match &node.operator {
        Operator::Contract {} | Operator::Convolve { .. } => {
            if node.output.element == ElementType::F32 {
                Folding::Products
            } else {
                Folding::IntegerProducts
            }
        }
        Operator::Reduce { fold } | Operator::Pool { fold, .. } => Folding::Lanes(*fold),
        Operator::Map { .. }
        | Operator::Reshape {}
        | Operator::Transpose { .. }
        | Operator::Slice { .. }
        | Operator::Concat { .. }
        | Operator::Pad { .. }
        | Operator::Expand {}
        | Operator::Gather { .. }
        | Operator::Update {} => Folding::Nothing,
    }
}

/// Whether the node is computed in segments.
pub fn is_folded(node: CheckedNode<'_>) -> bool {
    match folding(node.node()) {
        Folding::Products | Folding::IntegerProducts | Folding::Lanes(_) => true,
        Folding::Nothing => false,
    }
}

/// Products or elements that go into one output element.
fn length(node: CheckedNode<'_>) -> u64 {
    let columns = |operand: usize| {
        node.operands.get(operand).map_or(1, |operand| operand.kind.shape.columns())
    };
    match &node.operator {
        Operator::Contract {} | Operator::Reduce { .. } => columns(0),
        Operator::Convolve { window, .. } => taps(window) * columns(1),
        Operator::Pool { window, .. } => taps(window),
        Operator::Map { .. }
        | Operator::Reshape {}
        | Operator::Transpose { .. }
        | Operator::Slice { .. }
        | Operator::Concat { .. }
        | Operator::Pad { .. }
        | Operator::Expand {}
        | Operator::Gather { .. }
        | Operator::Update {} => 1,
    }
}

fn taps(window: &Window) -> u64 {
    u64::from(window.kernel.0) * u64::from(window.kernel.1)
}

/// Number of segments of one output element; 1 for operators that do not fold.
pub fn segment_count(node: CheckedNode<'_>) -> u64 {
    length(node).div_ceil(SEGMENT_ELEMENTS)
}

/// Words of the state that a segment takes over and hands on: 2 for a chain of products (the accumulator,
/// and the sum of the chunks before), 1 for a sum of integer products, 32 for lanes.
pub fn state_words(node: CheckedNode<'_>) -> usize {
    match folding(node.node()) {
        Folding::Lanes(_) => LANES,
        Folding::Products => 2,
        Folding::IntegerProducts | Folding::Nothing => 1,
    }
}

/// Multiply-adds (or folded elements) of one output element.
pub fn multiply_adds(node: CheckedNode<'_>) -> u64 {
    length(node)
}

fn neutral(fold: Fold, kind: ElementType) -> u64 {
    match (fold, kind) {
        (Fold::Sum, _) => 0,
        (Fold::Maximum, ElementType::F32) => u64::from(soft::INFINITY | 0x8000_0000),
        (Fold::Minimum, ElementType::F32) => u64::from(soft::INFINITY),
        (fold, kind) => {
            let (least, most) = kind.integer_range().unwrap_or_default();
            kind.from_integer(if fold == Fold::Maximum { least } else { most }).unwrap_or_default()
        }
    }
}

fn combine(fold: Fold, kind: ElementType, a: u64, b: u64) -> Option<u64> {
    if kind == ElementType::F32 {
        let (a, b) = (a as u32, b as u32);
        return Some(u64::from(match fold {
            Fold::Sum => soft::add(a, b),
            Fold::Maximum => soft::max(a, b),
            Fold::Minimum => soft::min(a, b),
        }));
    }
    let (a, b) = (kind.to_integer(a), kind.to_integer(b));
    kind.from_integer(match fold {
        Fold::Sum => a.checked_add(b)?,
        Fold::Maximum => a.max(b),
        Fold::Minimum => a.min(b),
    })
}

/// The state that segment `number` starts from, given the state that the segment before it ended with.
pub fn start(node: CheckedNode<'_>, number: u64, before: Option<&[u64]>) -> Vec<u64> {
    match (folding(node.node()), before) {
        (Folding::Lanes(_), Some(state)) => state.to_vec(),
        (Folding::Lanes(fold), None) => vec![neutral(fold, node.output.element); LANES],
        (Folding::Products, Some(state)) => {
            let (accumulator, sum) = chain(state);
            if number.is_multiple_of(CHUNK_SEGMENTS) {
                of_chain(0, soft::add(sum, accumulator))
            } else {
                of_chain(accumulator, sum)
            }
        }
        (Folding::Products, None) => of_chain(0, 0),
        (Folding::IntegerProducts, Some(state)) => state.to_vec(),
        (Folding::IntegerProducts | Folding::Nothing, _) => vec![0],
    }
}

/// Accumulator and sum of a state of products.
fn chain(state: &[u64]) -> (u32, u32) {
    let word = |place: usize| state.get(place).copied().unwrap_or(0) as u32;
    (word(0), word(1))
}

fn of_chain(accumulator: u32, sum: u32) -> Vec<u64> {
    vec![u64::from(accumulator), u64::from(sum)]
}

/// Computes segment `number` of output element `index`: state in, state out, each of [`state_words`]
/// words that hold an element's bits.
///
/// # Errors
/// As [`super::element`].
pub fn segment<O: Operands>(
    node: CheckedNode<'_>,
    index: u64,
    number: u64,
    state: Vec<u64>,
    operands: &mut O,
) -> Result<Vec<u64>, LawError<O::Error>> {
    let at = node.output.shape.unravel(index);
    let first = number * SEGMENT_ELEMENTS;
    let end = (first + SEGMENT_ELEMENTS).min(length(node));
    match &node.operator {
        Operator::Contract {} => contract(node, &at, first..end, state, operands),
        Operator::Convolve { window, groups } => {
            convolve(node, window, *groups, &at, first..end, state, operands)
        }
        Operator::Reduce { fold } => {
            let row = index * length(node);
            lanes(node, *fold, first..end, state, operands, |place| Some(row + place))
        }
        Operator::Pool { fold, window } => {
            let shape = node.operands[0].kind.shape.clone();
            lanes(node, *fold, first..end, state, operands, |place| {
                let (row, column) = tap(window, &at, place, shape.dimensions())?;
                Some(shape.ravel(&[at[0], row, column, at[3]]))
            })
        }
        Operator::Map { .. }
        | Operator::Reshape {}
        | Operator::Transpose { .. }
        | Operator::Slice { .. }
        | Operator::Concat { .. }
        | Operator::Pad { .. }
        | Operator::Expand {}
        | Operator::Gather { .. }
        | Operator::Update {} => Err(LawError::Undefined),
    }
}

fn contract<O: Operands>(
    node: CheckedNode<'_>,
    at: &[u64],
    range: core::ops::Range<u64>,
    state: Vec<u64>,
    operands: &mut O,
) -> Result<Vec<u64>, LawError<O::Error>> {
    let depth = length(node);
    let (batch, cell) = at.split_at(at.len() - 2);
    let row_start = |operand: usize, row: u64| {
        let shape = &node.operands[operand].kind.shape;
        let dimensions = shape.dimensions();
        let (outer, inner) = dimensions.split_at(dimensions.len() - 2);
        // The operand's batch axes broadcast against the output's.
        let skipped = batch.len() - outer.len();
        let block = outer
            .iter()
            .zip(&batch[skipped..])
            .fold(0, |index, (size, at)| index * size + if *size == 1 { 0 } else { *at });
        (block * inner[0] + row) * depth
    };
    let (left, right) = (row_start(0, cell[0]), row_start(1, cell[1]));
    let mut products = Products::new(node, &state);
    for k in range {
        let a = read(node, operands, 0, left + k)?;
        let b = read(node, operands, 1, right + k)?;
        products.add(a, b).ok_or(LawError::Undefined)?;
    }
    products.state().ok_or(LawError::Undefined)
}

/// Products that are added to a state.
struct Products {
    left: ElementType,
    right: ElementType,
    sum: Sum,
}

enum Sum {
    /// Accumulator, and sum of the chunks before.
    Chain(u32, u32),
    /// The exact sum so far, of the output's type.
    Exact(i64, ElementType),
}

impl Products {
    fn new(node: CheckedNode<'_>, state: &[u64]) -> Self {
        let [left, right] = [0, 1].map(|operand: usize| node.operands[operand].kind.element);
        let kind = node.output.element;
        let sum = if kind == ElementType::F32 {
            let (accumulator, sum) = chain(state);
            Sum::Chain(accumulator, sum)
        } else {
            Sum::Exact(kind.to_integer(state.first().copied().unwrap_or(0)), kind)
        };
        Self { left, right, sum }
    }

    /// `None` where an exact sum leaves 64 bits, as only a state can make it that nobody computed.
    fn add(&mut self, left: u64, right: u64) -> Option<()> {
        match &mut self.sum {
            Sum::Chain(accumulator, _) => {
                *accumulator =
                    soft::fma(self.left.to_f32(left), self.right.to_f32(right), *accumulator);
            }
            Sum::Exact(sum, _) => {
                let product = self.left.to_integer(left).checked_mul(self.right.to_integer(right));
                *sum = sum.checked_add(product?)?;
            }
        }
        Some(())
    }

    fn state(self) -> Option<Vec<u64>> {
        match self.sum {
            Sum::Chain(accumulator, sum) => Some(of_chain(accumulator, sum)),
            Sum::Exact(sum, kind) => Some(vec![kind.from_integer(sum)?]),
        }
    }
}

/// Row and column of the operand under a tap; `None` outside it.
fn tap(window: &Window, at: &[u64], place: u64, dimensions: &[u64]) -> Option<(u64, u64)> {
    let width = u64::from(window.kernel.1);
    let along = |out: u64, stride: u32, tap: u64, dilation: u32, pad: u32, size: u64| {
        let position =
            (out * u64::from(stride) + tap * u64::from(dilation)).checked_sub(u64::from(pad))?;
        (position < size).then_some(position)
    };
    let (strides, dilations, pads) = (window.strides, window.dilations, window.pads);
    let row = along(at[1], strides.0, place / width, dilations.0, pads.0, dimensions[1])?;
    let column = along(at[2], strides.1, place % width, dilations.1, pads.1, dimensions[2])?;
    Some((row, column))
}

fn convolve<O: Operands>(
    node: CheckedNode<'_>,
    window: &Window,
    groups: u32,
    at: &[u64],
    range: core::ops::Range<u64>,
    state: Vec<u64>,
    operands: &mut O,
) -> Result<Vec<u64>, LawError<O::Error>> {
    let input = &node.operands[0].kind.shape;
    let channels = node.operands[1].kind.shape.columns();
    let outputs_per_group = node.output.shape.columns() / u64::from(groups);
    let first_channel = at[3] / outputs_per_group * channels;
    let kernel_start = at[3] * length(node);
    let mut products = Products::new(node, &state);
    for k in range {
        let weight = read(node, operands, 1, kernel_start + k)?;
        let value = match tap(window, at, k / channels, input.dimensions()) {
            Some((row, column)) => {
                let from = input.ravel(&[at[0], row, column, first_channel + k % channels]);
                read(node, operands, 0, from)?
            }
            None => 0,
        };
        products.add(value, weight).ok_or(LawError::Undefined)?;
    }
    products.state().ok_or(LawError::Undefined)
}

fn lanes<O: Operands>(
    node: CheckedNode<'_>,
    fold: Fold,
    range: core::ops::Range<u64>,
    mut state: Vec<u64>,
    operands: &mut O,
    position: impl Fn(u64) -> Option<u64>,
) -> Result<Vec<u64>, LawError<O::Error>> {
    state.resize(LANES, 0);
    for place in range {
        let Some(index) = position(place) else {
            continue;
        };
        let value = read(node, operands, 0, index)?;
        let lane = &mut state[(place % LANES as u64) as usize];
        *lane = combine(fold, node.output.element, *lane, value).ok_or(LawError::Undefined)?;
    }
    Ok(state)
}

/// The output element, from the state after the last segment. `None` without a result.
pub fn finish(node: CheckedNode<'_>, last: &[u64]) -> Option<u64> {
    let kind = node.output.element;
    let fold = match folding(node.node()) {
        Folding::Lanes(fold) => fold,
        Folding::Products => {
            let (accumulator, sum) = chain(last);
            return Some(u64::from(store(soft::add(sum, accumulator))));
        }
        // The last sum is the element.
        Folding::IntegerProducts => return last.first().copied(),
        Folding::Nothing => return None,
    };
    let mut lanes = last.to_vec();
    lanes.resize(LANES, 0);
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(fold, kind, lanes[lane], lanes[lane + half])?;
        }
        half /= 2;
    }
    Some(match kind {
        ElementType::F32 => u64::from(store(lanes[0] as u32)),
        _ => lanes[0],
    })
}
