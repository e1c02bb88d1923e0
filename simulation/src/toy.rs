//! A cheap commitment and small integer models, so that whole disputes take microseconds.
//!
//! Referee, settlement and parties are the real ones; only the hash and the model are small.

use inference::{Model, Tensor};
use protocol::graph::{Fold, Graph, Layer, MapFunction, Node, Operand, Operator, Profile};
use protocol::hash::{Commitment, Digest, Tag};
use protocol::tensor::{ElementType, Shape, TensorType};

/// A 64-bit mix. Collisions are easy to find on purpose and do not happen by chance: no party of
/// the simulation searches for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Toy;

fn mix(state: u64, word: u64) -> u64 {
    let wide = u128::from(state ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    (wide >> 64) as u64 ^ (wide as u64).rotate_left(23)
}

impl Commitment for Toy {
    const NAME: &'static str = "toy";

    fn tagged(tag: Tag, parts: &[&[u8]]) -> Digest {
        let mut state = 0x243F_6A88_85A3_08D3 ^ ((tag as u64) << 56);
        let mut length = 0;
        for part in parts {
            length += part.len() as u64;
            let mut words = part.chunks_exact(8);
            for word in &mut words {
                let word = word.try_into().map_or(0, u64::from_le_bytes);
                state = mix(state, word);
            }
            let mut last = 0;
            for byte in words.remainder() {
                last = (last << 8) | u64::from(*byte);
            }
            state = mix(state, last ^ 0xFF00_0000_0000_0000);
        }
        state = mix(state, length);
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&state.to_be_bytes());
        Digest(digest)
    }
}

/// Size of a toy model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToySize {
    /// Number of layers.
    pub layers: u32,
    /// Elements of a row. Over 64, every sum is folded in several segments.
    pub width: u64,
}

/// Every this many layers one spreads the sum of its row to all elements.
const SPREAD_EVERY: u32 = 5;

/// A model of integer rows, in which every element of every layer reaches the output and no sum
/// leaves 64 bits. Each layer adds a weight row and multiplies by another; then some add the sum of
/// the row to every element, the others take the larger of the two and subtract the first row
/// again. `None` when a size is 0 or over the protocol's limits.
pub fn toy_model<C: Commitment>(size: ToySize) -> Option<Model<C>> {
    let shape = Shape::new(&[size.width])?;
    let row = TensorType { element: ElementType::I64, shape: shape.clone() };
    let scalar = TensorType { element: ElementType::I64, shape: Shape::new(&[])? };
    let of = |value: u32, kind: &TensorType| Operand { value, kind: kind.clone() };
    let node = |operator, operands, output: &TensorType| Node {
        operator,
        operands,
        output: output.clone(),
    };
    let map = |function| Operator::Map { function };
    let first_output = 1 + 2 * size.layers;
    let (mut nodes, mut layers, mut weights, mut names) = (vec![], vec![], vec![], vec![]);
    for layer in 0..size.layers {
        let input = if layer == 0 { 0 } else { first_output + 4 * layer - 1 };
        let (added, factor) = (1 + 2 * layer, 2 + 2 * layer);
        let sum = first_output + 4 * layer;
        let product = sum + 1;
        let spreads = layer % SPREAD_EVERY == 0;
        nodes.push(node(map(MapFunction::Add), vec![of(input, &row), of(added, &row)], &row));
        nodes.push(node(map(MapFunction::Multiply), vec![of(sum, &row), of(factor, &row)], &row));
        if spreads {
            let reduce = Operator::Reduce { fold: Fold::Sum };
            nodes.push(node(reduce, vec![of(product, &row)], &scalar));
            let operands = vec![of(product, &row), of(product + 1, &scalar)];
            nodes.push(node(map(MapFunction::Add), operands, &row));
        } else {
            let operands = vec![of(sum, &row), of(product, &row)];
            nodes.push(node(map(MapFunction::Maximum), operands, &row));
            let operands = vec![of(product + 1, &row), of(added, &row)];
            nodes.push(node(map(MapFunction::Subtract), operands, &row));
        }
        layers.push(Layer {
            first_operator: 4 * layer,
            operator_count: 4,
            live_in: vec![input],
            live_out: vec![product + 2],
        });
        let addend = |at: u64| ((at * 7 + u64::from(layer) * 13) % 23) as i64 - 11;
        // 1, 2, 4 or 5 where rows are spread, never 0: nothing may be lost.
        let multiplier = |at: u64| match (spreads, at % 4) {
            (_, 0) => 1,
            (_, 1) | (false, _) => 2,
            (true, 2) => 4,
            (true, _) => 5,
        };
        weights.push(Tensor::from_i64(&shape, (0..size.width).map(addend).collect())?);
        weights.push(Tensor::from_i64(&shape, (0..size.width).map(multiplier).collect())?);
        names.extend(["add", "multiply", "fold", "spread"].map(|name| format!("{layer}/{name}")));
    }
    let graph = Graph {
        inputs: vec![row.clone()],
        weights: vec![row; weights.len()],
        nodes,
        layers,
        ..Graph::default()
    };
    let last = first_output + 4 * size.layers - 1;
    let outputs = vec![("output".to_owned(), last)];
    Model::new(graph, weights, vec!["input".to_owned()], outputs, names, Profile::StrictF32).ok()
}

/// The toy's input number `index`. `None` when the width is over the protocol's limits.
pub fn toy_input(size: ToySize, index: u64) -> Option<Tensor> {
    let element = |at: u64| ((at * 31 + index * 17) % 101) as i64 - 50;
    Tensor::from_i64(&Shape::new(&[size.width])?, (0..size.width).map(element).collect())
}
