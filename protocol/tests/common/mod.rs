//! A toy model with its honest run, and a game builder: moves with their expectation inline.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod answers;
mod checks;
mod decisions;
mod game;
pub mod sequence;
pub mod sequence_game;
mod shown;

pub use answers::{Answers, Want};
pub use checks::check_records;
pub use game::{FUNDS_WEI, Game, Who, address, genesis, key, salt};

use protocol::asks::Showing;
use protocol::graph::{
    CommittedGraph, Fold, Graph, Layer, LayerProof, MapFunction, Node, NodeProof, Operand,
    Operator, Profile,
};
use protocol::hash::{self, Digest, Keccak};
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::law::{self, Operands};
use protocol::merkle::{ListTree, Tree};
use protocol::roots::{state_tree, subtrace_tree, trace_tree};
use protocol::tensor::{ElementType, Shape, TensorType, pack_leaf};
use protocol::transaction::Statement;

/// A tensor of bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Bits(pub TensorType, pub Vec<u64>);

impl Bits {
    pub fn leaf(&self, position: u64) -> [u8; 256] {
        let (first, count) = self.0.leaf_range(position).unwrap();
        pack_leaf(self.0.element, self.1[first as usize..first as usize + count].iter().copied())
    }

    pub fn tree(&self) -> Tree {
        let shape = self.0.tree_shape().unwrap();
        let leaves: Vec<Digest> = (0..1 << shape.depth())
            .filter(|position| !shape.is_padding(shape.depth(), *position))
            .map(|position| hash::leaf(&self.leaf(position)))
            .collect();
        Tree::new(shape, &leaves).unwrap()
    }

    pub fn root(&self) -> Digest {
        self.0.root(&self.tree().root())
    }
}

pub struct Held<'a>(pub Vec<&'a Bits>);

impl Operands for Held<'_> {
    type Error = ();
    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.0.get(operand).and_then(|bits| bits.1.get(index as usize)).copied().ok_or(())
    }
}

/// `sum((x + w) · w)` in two layers: the addition; the product and the sum.
#[derive(Clone)]
pub struct Toy {
    pub graph: Graph,
    pub committed: CommittedGraph,
    pub weight: Bits,
}

fn kind(dimensions: &[u64]) -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(dimensions).unwrap() }
}

fn floats(values: &[f32]) -> Vec<u64> {
    values.iter().map(|value| u64::from(value.to_bits())).collect()
}

/// The committed run of the toy, honest or with one bit of one operator's output flipped.
#[derive(Clone)]
pub struct Run {
    pub model_root: Digest,
    pub states: Vec<ListTree>,
    pub entries: Vec<Vec<(u32, Digest)>>,
    pub outputs: Vec<Bits>,
    pub trace: ListTree,
    pub subtraces: Vec<ListTree>,
}

impl Toy {
    pub fn new() -> Self {
        let row = kind(&[100]);
        let of = |value, kind: &TensorType| Operand { value, kind: kind.clone() };
        let map = |function| Operator::Map { function };
        let node = |operator, operands, output: &TensorType| Node {
            operator,
            operands,
            output: output.clone(),
        };
        let nodes = vec![
            node(map(MapFunction::Add), vec![of(0, &row), of(1, &row)], &row),
            node(map(MapFunction::Multiply), vec![of(2, &row), of(1, &row)], &row),
            node(Operator::Reduce { fold: Fold::Sum }, vec![of(3, &row)], &kind(&[])),
        ];
        let layer = |first_operator, operator_count, live_in: &[u32], live_out: &[u32]| Layer {
            first_operator,
            operator_count,
            live_in: live_in.to_vec(),
            live_out: live_out.to_vec(),
        };
        let layers = vec![layer(0, 1, &[0], &[2]), layer(1, 2, &[2], &[4])];
        let weights: Vec<f32> = (0..100).map(|index| index as f32 * 0.25 - 7.0).collect();
        let weight = Bits(row.clone(), floats(&weights));
        let graph = Graph {
            inputs: vec![row.clone()],
            weights: vec![row],
            nodes,
            layers,
            ..Graph::default()
        };
        let committed = graph.commit(&[weight.root()], Profile::StrictF32).unwrap();
        Self { graph, committed, weight }
    }

    pub fn input(&self) -> Bits {
        let values: Vec<f32> = (0..100).map(|index| 1.0 / (index as f32 + 1.0)).collect();
        Bits(kind(&[100]), floats(&values))
    }

    /// Runs the toy; `flip` flips the lowest bit of an element of an operator's output.
    pub fn run(&self, flip: Option<(usize, usize)>) -> Run {
        let input = self.input();
        let mut outputs: Vec<Bits> = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let operands: Vec<&Bits> = node
                .operands
                .iter()
                .map(|operand| match operand.value {
                    0 => &input,
                    1 => &self.weight,
                    value => &outputs[value as usize - 2],
                })
                .collect();
            let checked = law::check(node).unwrap();
            let mut bits: Vec<u64> = (0..node.output.shape.count())
                .map(|element| law::element(checked, element, &mut Held(operands.clone())).unwrap())
                .collect();
            if let Some((operator, element)) = flip
                && operator == index
            {
                bits[element] ^= 1;
            }
            outputs.push(Bits(node.output.clone(), bits));
        }
        let entries = vec![
            vec![(0, input.root())],
            vec![(2, outputs[0].root())],
            vec![(4, outputs[2].root())],
        ];
        let states: Vec<ListTree> =
            entries.iter().map(|entries| state_tree(entries.iter().copied()).unwrap()).collect();
        let state_roots: Vec<Digest> = states.iter().map(ListTree::root).collect();
        let trace = trace_tree(&state_roots).unwrap();
        let output_roots: Vec<Digest> = outputs.iter().map(Bits::root).collect();
        let (first, second) = output_roots.split_at(1);
        let subtraces = vec![subtrace_tree(first).unwrap(), subtrace_tree(second).unwrap()];
        let model_root = self.committed.header.root();
        Run { model_root, states, entries, outputs, trace, subtraces }
    }

    pub fn layer(&self, index: u32) -> Showing {
        let layer = self.graph.layers[index as usize].clone();
        let path = self.committed.layers.path(u64::from(index)).unwrap();
        Showing::Layer { proof: LayerProof { index, layer, path } }
    }

    pub fn operator(&self, index: u32) -> Showing {
        let node = self.graph.nodes[index as usize].clone();
        let path = self.committed.nodes.path(u64::from(index)).unwrap();
        Showing::Operator { proof: NodeProof { index, node, path } }
    }
}

impl Run {
    pub fn statement(&self, job: JobId) -> Statement {
        let state_roots: Vec<Digest> = self.states.iter().map(ListTree::root).collect();
        Statement::of_run::<Keccak>(job, self.model_root, &state_roots).unwrap()
    }

    pub fn sequence_root(&self) -> Digest {
        self.statement(JobId::default()).terms.sequence_root
    }
}
