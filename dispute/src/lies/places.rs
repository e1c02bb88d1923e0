//! Where in a model a lie is told, and what it makes of a tensor.

use inference::{Model, Tensor};
use protocol::graph::{MapFunction, Operator, ValueSource};
use protocol::hash::Commitment;
use protocol::law::{self, CheckedNode};
use protocol::numerics::store;
use protocol::tensor::ElementType;

use super::plan::Plan;

/// Moves stored bits by steps in the order of stored values.
pub(super) fn step_bits(element: ElementType, bits: u64, steps: i64) -> u64 {
    const LEAST: i64 = 0x2B80_0000;
    match element {
        ElementType::F32 => {
            let magnitude = (bits & 0x7FFF_FFFF) as i64;
            // Stored magnitudes without the gap under 2^-40: 0, then 1 for 2^-40, and so on.
            let rank = if magnitude == 0 { 0 } else { magnitude - LEAST + 1 };
            let rank = if bits & 0x8000_0000 != 0 { -rank } else { rank };
            let moved = (rank + steps).clamp(LEAST - 1 - 0x7F80_0000, 0x7F80_0000 - LEAST + 1);
            let magnitude = if moved == 0 { 0 } else { moved.abs() + LEAST - 1 };
            let sign = if moved < 0 { 0x8000_0000 } else { 0 };
            u64::from(store(magnitude as u32 | sign))
        }
        ElementType::Bool => bits ^ 1,
        _ => {
            let moved = bits.wrapping_add(steps as u64);
            element.stored(moved & (u64::MAX >> (64 - 8 * element.bytes())))
        }
    }
}

/// Bends the first word of the last state until the sums end in the false element, so that only
/// the last run of products gives the lie away. Leaves the sums as they are when no near word does.
pub(super) fn forge_last_state(node: CheckedNode<'_>, words: &mut [u64], steps: i64) {
    const REACH: i64 = 64;
    let (width, kind) = (law::state_words(node), node.output.element);
    let ends = |words: &[u64]| law::finish(node, words.rchunks(width).next()?);
    let Some(truth) = ends(words) else { return };
    let claimed = step_bits(kind, truth, steps);
    let Some(place) = words.len().checked_sub(width) else {
        return;
    };
    let Some(honest) = words.get(place).copied() else {
        return;
    };
    let set = |words: &mut [u64], word: u64| {
        if let Some(place) = words.get_mut(place) {
            *place = word;
        }
    };
    for reach in 1..=REACH {
        for bend in [reach, -reach] {
            set(words, step_bits(kind, honest, bend));
            if ends(words) == Some(claimed) {
                return;
            }
        }
    }
    set(words, honest);
}

pub(super) fn with_element(tensor: &Tensor, element: u64, change: impl Fn(u64) -> u64) -> Tensor {
    let mut bits = tensor.all_bits();
    if let Some(bits) = bits.get_mut(element as usize) {
        *bits = change(*bits);
    }
    Tensor::from_bits(tensor.kind(), &bits).unwrap_or_else(|| tensor.clone())
}

/// One weight with one bit flipped: of the last bias, which no activation can hide, or of the
/// largest tensor when there is none.
pub(super) fn weight_bit<C: Commitment>(model: &Model<C>) -> Option<Model<C>> {
    let mut weights = model.weights().to_vec();
    let bias = model.graph().nodes.iter().rev().find_map(|node| {
        let adds = matches!(node.operator, Operator::Map { function: MapFunction::Add });
        let weight =
            node.operands.iter().find_map(|operand| match model.header().source(operand.value) {
                Some(ValueSource::Weight(weight)) => Some(weight as usize),
                _ => None,
            });
        weight.filter(|_| adds)
    });
    let is_number = |tensor: &Tensor| tensor.kind().element != ElementType::Bool;
    let largest = || {
        let numbers = model.weights().iter().enumerate().filter(|(_, tensor)| is_number(tensor));
        numbers.max_by_key(|(_, tensor)| tensor.shape().count()).map(|(index, _)| index)
    };
    let bias = bias.filter(|index| model.weights().get(*index).is_some_and(is_number));
    let chosen = bias.or_else(largest)?;
    let tensor = weights.get_mut(chosen)?;
    let bit = if tensor.kind().element == ElementType::F32 { 22 } else { 0 };
    *tensor = with_element(tensor, tensor.shape().count() / 2, |bits| bits ^ (1 << bit));
    model.with_weights_unlike_commitment(weights)
}

/// Every weight of a matrix or kernel that is small is dropped: a cheaper model under the same id.
pub(super) fn pruned<C: Commitment>(model: &Model<C>) -> Option<Model<C>> {
    let weights = model.weights().iter().map(|tensor| {
        if let Some(integers) = tensor.integers() {
            let kept: Vec<u64> = integers
                .iter()
                .map(|value| if value.unsigned_abs() < 3 { 0 } else { *value as u64 })
                .collect();
            return Tensor::from_bits(tensor.kind(), &kept).unwrap_or_else(|| tensor.clone());
        }
        if tensor.kind().element != ElementType::F32 || tensor.shape().rank() < 2 {
            return tensor.clone();
        }
        let kept =
            tensor.as_f32().iter().map(|value| if value.abs() < 0.02 { 0.0 } else { *value });
        Tensor::from_f32(tensor.shape(), kept.collect()).unwrap_or_else(|| tensor.clone())
    });
    model.with_weights_unlike_commitment(weights.collect())
}

/// Two products of one type with other weights, or two functions in a row.
pub(super) fn swap<C: Commitment>(model: &Model<C>) -> Option<Plan<C>> {
    let nodes = &model.graph().nodes;
    let weight = |value: u32| matches!(model.header().source(value), Some(ValueSource::Weight(_)));
    for (first, left) in nodes.iter().enumerate() {
        for (second, right) in nodes.iter().enumerate().skip(first + 1) {
            let ([_, own], [_, other]) = (left.operands.as_slice(), right.operands.as_slice())
            else {
                continue;
            };
            let alike = left.operator == right.operator
                && left.output == right.output
                && left.operands.iter().zip(&right.operands).all(|(a, b)| a.kind == b.kind)
                && matches!(left.operator, Operator::Contract {} | Operator::Convolve { .. })
                && weight(own.value)
                && weight(other.value)
                && own != other;
            if alike {
                return Some(Plan::Swap(first as u32, second as u32));
            }
        }
    }
    let header = model.header();
    nodes.windows(2).enumerate().find_map(|(first, pair)| {
        let [before, after] = pair else { return None };
        let maps = [before, after].iter().all(|node| matches!(node.operator, Operator::Map { .. }));
        let chained = after.operands.first()?.value == header.output_of(first as u32);
        let alike = before.operands.first()?.kind == after.operands.first()?.kind
            && before.output == after.output
            && before.operator != after.operator;
        (maps && chained && alike).then_some(Plan::Reorder(first as u32))
    })
}

/// The first operator in the second half that could be its own operand.
pub(super) fn skip<C: Commitment>(model: &Model<C>) -> Option<Plan<C>> {
    let nodes = &model.graph().nodes;
    (nodes.len() / 2..nodes.len()).chain(0..nodes.len()).find_map(|index| {
        let node = nodes.get(index)?;
        let operand = node.operands.iter().position(|operand| {
            let weight =
                matches!(model.header().source(operand.value), Some(ValueSource::Weight(_)));
            operand.kind == node.output && !weight
        })?;
        let worth = !matches!(node.operator, Operator::Reshape {});
        worth.then_some(Plan::Skip { operator: index as u32, operand })
    })
}

/// Products as a plain loop gives them: multiply, round, add, from the last to the first.
pub(super) fn in_other_order<C: Commitment>(
    model: &Model<C>,
    operator: u32,
    operands: &[&Tensor],
    honest: Tensor,
) -> Tensor {
    let Some(node) = model.checked(operator) else {
        return honest;
    };
    if !matches!(node.operator, Operator::Contract {}) {
        return honest;
    }
    let depth = law::multiply_adds(node) as usize;
    let (Some(left), Some(right)) = (operands.first(), operands.get(1)) else {
        return honest;
    };
    let columns = node.output.shape.columns() as usize;
    if right.shape().count() as usize != columns * depth {
        return honest;
    }
    let mut out = Vec::new();
    for row in left.as_f32().chunks(depth) {
        for column in right.as_f32().chunks(depth) {
            out.push(row.iter().zip(column).rev().fold(0.0, |sum, (a, b)| sum + a * b));
        }
    }
    Tensor::from_f32(&node.output.shape, out).unwrap_or(honest)
}
