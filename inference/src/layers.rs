//! Where a model is cut into layers: few hashed bytes, few operators between two commitments.

use protocol::graph::{Layer, Node};
use protocol::tensor::TensorType;

/// Most operators of a layer when the model is large.
const OPERATORS_MAX: usize = 64;
/// Fewest operators that are worth a boundary of their own when the model is small.
const OPERATORS_MIN: usize = 8;

/// Cuts a graph so that the bytes hashed at the boundaries are fewest, under a bound on the number
/// of operators of a layer: 64, or a quarter of a model that has no more than 64 (at least 8), unless
/// the caller says.
pub fn cut_layers(
    inputs: &[TensorType],
    weight_count: usize,
    nodes: &[Node],
    outputs: &[u32],
    operators_max: Option<usize>,
) -> Vec<Layer> {
    let small = nodes.len().div_ceil(4).clamp(OPERATORS_MIN, OPERATORS_MAX);
    let bound = if nodes.len() > OPERATORS_MAX { OPERATORS_MAX } else { small };
    let bound = operators_max.unwrap_or(bound).max(1);
    let first_output = inputs.len() + weight_count;
    let live = live_values(inputs, first_output, nodes, outputs);
    let bytes_of = |value: u32| -> u64 {
        let value = value as usize;
        let kind = inputs.get(value).or_else(|| {
            value.checked_sub(first_output).and_then(|at| nodes.get(at)).map(|node| &node.output)
        });
        kind.map_or(0, |kind| kind.shape.count().saturating_mul(kind.element.bytes() as u64))
    };
    // cheapest[j] = (bytes hashed up to the boundary before operator j, boundary before that one)
    let mut cheapest: Vec<(u64, usize)> = vec![(0, 0)];
    for after in 1..=nodes.len() {
        let cost: u64 = live[after].iter().map(|value| bytes_of(*value)).sum();
        let best = (after.saturating_sub(bound)..after)
            .map(|before| (cheapest[before].0.saturating_add(cost), before))
            .min()
            .unwrap_or((cost, after - 1));
        cheapest.push(best);
    }
    let mut boundaries = vec![nodes.len()];
    while let Some(last) = boundaries.last().copied().filter(|last| *last > 0) {
        boundaries.push(cheapest[last].1);
    }
    boundaries.reverse();
    boundaries
        .windows(2)
        .map(|pair| Layer {
            first_operator: pair[0] as u32,
            operator_count: (pair[1] - pair[0]) as u32,
            live_in: live[pair[0]].clone(),
            live_out: live[pair[1]].clone(),
        })
        .collect()
}

/// Values that are live before each operator, and after the last; ascending.
fn live_values(
    inputs: &[TensorType],
    first_output: usize,
    nodes: &[Node],
    outputs: &[u32],
) -> Vec<Vec<u32>> {
    let mut last_use = vec![0usize; first_output + nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for operand in &node.operands {
            last_use[operand.value as usize] = index + 1;
        }
    }
    for output in outputs {
        last_use[*output as usize] = usize::MAX;
    }
    let born = |value: usize| {
        if value < inputs.len() { 0 } else { value - first_output + 1 }
    };
    let candidates: Vec<usize> =
        (0..inputs.len()).chain(first_output..first_output + nodes.len()).collect();
    (0..=nodes.len())
        .map(|boundary| {
            candidates
                .iter()
                .copied()
                .filter(|value| match boundary {
                    // The first state is the whole input, read or not.
                    0 => *value < inputs.len(),
                    _ => born(*value) <= boundary && last_use[*value] > boundary,
                })
                .map(|value| value as u32)
                .collect()
        })
        .collect()
}
