//! Every tree of a run of the toy with its honest answers, and the showings that lead to it.

use protocol::asks::{Answer, Ask, Context, Place, Proven, Showing, Tree, TreeKind, shown_places};
use protocol::hash::{self, Digest, Keccak};
use protocol::law;
use protocol::merkle::{self, TreeShape};
use protocol::roots::sequence_tree;
use protocol::tensor::{TensorType, pack_leaf};
use protocol::transaction::Statement;
use protocol::{JobId, ids};
use std::collections::BTreeMap;

use super::{Bits, Run, Toy};

/// A tree with what stands at its leaves.
pub struct Grown {
    pub kind: TreeKind,
    pub nodes: merkle::Tree,
    roots: Vec<Digest>,
    values: Vec<(u32, Digest)>,
    bits: Option<Bits>,
}

pub struct Answers {
    pub toy: Toy,
    pub run: Run,
    pub statement: Statement,
    pub trees: BTreeMap<Tree, Grown>,
    pub said: BTreeMap<Tree, Digest>,
}

fn list(leaves: &[Digest]) -> (TreeKind, merkle::Tree) {
    let count = leaves.len() as u32;
    let shape = TreeShape::list(u64::from(count)).unwrap();
    (TreeKind::List { count }, merkle::Tree::new(shape, leaves).unwrap())
}

fn of_roots(roots: &[Digest]) -> Grown {
    let leaves: Vec<Digest> = roots.iter().map(|root| hash::leaf(&root.0)).collect();
    let (kind, nodes) = list(&leaves);
    Grown { kind, nodes, roots: roots.to_vec(), values: Vec::new(), bits: None }
}

fn of_values(values: &[(u32, Digest)]) -> Grown {
    let leaves: Vec<Digest> = values
        .iter()
        .map(|(value, root)| protocol::graph::state_leaf::<Keccak>(*value, root))
        .collect();
    let (kind, nodes) = list(&leaves);
    Grown { kind, nodes, roots: Vec::new(), values: values.to_vec(), bits: None }
}

fn of_bits(bits: &Bits) -> Grown {
    let kind = TreeKind::Tensor { kind: bits.0.clone() };
    let (roots, values) = (Vec::new(), Vec::new());
    Grown { kind, nodes: bits.tree(), roots, values, bits: Some(bits.clone()) }
}

impl Answers {
    /// Of the toy's run, honest or with a flipped bit.
    pub fn new(flip: Option<(usize, usize)>) -> Self {
        let toy = Toy::new();
        let run = toy.run(flip);
        let statement = run.statement(JobId::default());
        let mut trees = BTreeMap::from([
            (Tree::Sequence {}, of_roots(&[run.trace.root()])),
            (
                Tree::Trace { iteration: 0 },
                of_roots(&run.states.iter().map(|state| state.root()).collect::<Vec<_>>()),
            ),
            (Tree::Input { iteration: 0, value: 0 }, of_bits(&toy.input())),
            (Tree::Output { iteration: 0, value: 4 }, of_bits(&run.outputs[2])),
        ]);
        for (boundary, entries) in run.entries.iter().enumerate() {
            let tree = Tree::State { iteration: 0, boundary: boundary as u32 };
            trees.insert(tree, of_values(entries));
        }
        for (layer, operators) in [(0u32, 0..1), (1, 1..3)] {
            let roots: Vec<Digest> =
                operators.map(|operator: usize| run.outputs[operator].root()).collect();
            trees.insert(Tree::Subtrace { iteration: 0, layer }, of_roots(&roots));
        }
        for (operator, bits) in run.outputs.iter().enumerate() {
            trees.insert(Tree::Tensor { iteration: 0, operator: operator as u32 }, of_bits(bits));
        }
        let sums = Tree::Accumulators { iteration: 0, operator: 2, element: 0 };
        trees.insert(sums, of_bits(&accumulators(&toy, &run)));
        let said = BTreeMap::new();
        Self { toy, run, statement, trees, said }
    }

    /// Everything that can be said is said.
    pub fn with_all_said(mut self) -> Self {
        for (tree, grown) in self.trees.iter().filter(|(tree, _)| tree.is_said()) {
            let root = tree.commit::<Keccak>(&grown.kind, &grown.nodes.root()).unwrap();
            self.said.insert(*tree, root);
        }
        self
    }

    pub fn context<'a>(&'a self, from: Option<&'a Ask>, arity_log2: u32) -> Context<'a> {
        let header = &self.toy.committed.header;
        Context { terms: &self.statement.terms, header, said: &self.said, from, arity_log2 }
    }

    pub fn proven(&self, showings: &[Showing], from: Option<&Ask>, arity_log2: u32) -> Proven<'_> {
        // The last ask lives as long as the answers in these tests.
        let from = from.map(|ask| &*Box::leak(Box::new(ask.clone())));
        Proven::new::<Keccak>(self.context(from, arity_log2), showings).unwrap()
    }

    /// A node of a tree; its hash at depth 0 is the committed root.
    pub fn place(&self, tree: Tree, depth: u32, index: u64) -> Place {
        let grown = &self.trees[&tree];
        let node = grown.nodes.node(depth, index).unwrap();
        let hash = match depth {
            0 => tree.commit::<Keccak>(&grown.kind, &node).unwrap(),
            _ => node,
        };
        Place { tree, kind: grown.kind.clone(), depth, index, hash }
    }

    /// Siblings of a node up to its ancestor at a depth.
    pub fn path(&self, tree: Tree, depth: u32, index: u64, until: u32) -> Vec<Digest> {
        let nodes = &self.trees[&tree].nodes;
        (0..depth - until)
            .map(|level| nodes.node(depth - level, (index >> level) ^ 1).unwrap())
            .collect()
    }

    /// Siblings of a leaf up to the root.
    fn leaf_path(&self, tree: Tree, index: u64) -> Vec<Digest> {
        self.path(tree, self.trees[&tree].nodes.shape().depth(), index, 0)
    }

    /// What proves a tree's kind and root.
    pub fn showings_to(&self, tree: Tree) -> Vec<Showing> {
        let iteration = 0;
        let sequence = || Showing::SequenceLeaf {
            iteration,
            root: self.run.trace.root(),
            path: sequence_tree::<Keccak>(&[self.run.trace.root()]).unwrap().path(0).unwrap(),
        };
        let trace = |boundary: u32| Showing::TraceLeaf {
            iteration,
            boundary,
            root: self.run.states[boundary as usize].root(),
            path: self.leaf_path(Tree::Trace { iteration }, u64::from(boundary)),
        };
        let value = |boundary: u32| {
            let (value, root) = self.run.entries[boundary as usize][0];
            let path = self.leaf_path(Tree::State { iteration, boundary }, 0);
            Showing::StateLeaf { iteration, boundary, position: 0, value, root, path }
        };
        let layer_of = |operator: u32| u32::from(operator > 0);
        let layer = |index| self.layer(index);
        match tree {
            Tree::Sequence {} => Vec::new(),
            Tree::Trace { .. } => vec![sequence()],
            Tree::State { boundary: 0, .. } => vec![layer(0)],
            Tree::State { boundary: 2, .. } => vec![layer(1)],
            Tree::State { boundary, .. } => vec![sequence(), trace(boundary), layer(boundary)],
            Tree::Subtrace { layer: index, .. } => vec![layer(index)],
            Tree::Tensor { operator, .. } => {
                let index = layer_of(operator);
                vec![layer(index), self.operator(operator), self.output(operator)]
            }
            Tree::Accumulators { operator, .. } => vec![self.operator(operator)],
            Tree::Input { .. } => vec![layer(0), self.operator(0), value(0)],
            Tree::Output { .. } => vec![layer(1), self.operator(2), value(2)],
        }
    }

    pub fn layer(&self, index: u32) -> Showing {
        match self.toy.layer(index) {
            protocol::facts::Showing::Layer { proof } => Showing::Layer { proof },
            other => panic!("{other:?}"),
        }
    }

    pub fn operator(&self, index: u32) -> Showing {
        match self.toy.operator(index) {
            protocol::facts::Showing::Operator { proof } => Showing::Operator { proof },
            other => panic!("{other:?}"),
        }
    }

    /// The output root of an operator in its layer's subtrace.
    pub fn output(&self, operator: u32) -> Showing {
        let layer = u32::from(operator > 0);
        let position = operator - layer;
        Showing::SubtraceLeaf {
            iteration: 0,
            layer,
            position,
            root: self.run.outputs[operator as usize].root(),
            path: self.leaf_path(Tree::Subtrace { iteration: 0, layer }, u64::from(position)),
        }
    }

    /// A leaf of an operator's output, up to the root of the tensor.
    pub fn leaf(&self, operator: u32, leaf: u64) -> Showing {
        Showing::TensorLeaf {
            iteration: 0,
            operator,
            leaf,
            bytes: self.run.outputs[operator as usize].leaf(leaf),
            path: self.leaf_path(Tree::Tensor { iteration: 0, operator }, leaf),
        }
    }

    /// What an executor of this run answers.
    pub fn answer(&self, ask: &Ask, arity_log2: u32) -> Answer {
        let grown = &self.trees[ask.tree()];
        let (depth, places) = shown_places(ask, arity_log2).unwrap();
        let at_leaves = depth == grown.nodes.shape().depth();
        let says_leaves = match ask {
            Ask::Open { .. } => false,
            Ask::Leaves { .. } => true,
            Ask::Say { tree, .. } => {
                matches!(tree, Tree::Accumulators { .. })
                    && grown.nodes.shape().depth() <= arity_log2.saturating_sub(3)
            }
        };
        let at = |place: &u64| *place as usize;
        match &grown.bits {
            Some(bits) if says_leaves => {
                Answer::Leaves { leaves: places.iter().map(|place| bits.leaf(*place)).collect() }
            }
            None if at_leaves && !grown.values.is_empty() => {
                Answer::Values { values: places.iter().map(|p| grown.values[at(p)]).collect() }
            }
            None if at_leaves => {
                Answer::Roots { roots: places.iter().map(|p| grown.roots[at(p)]).collect() }
            }
            _ => Answer::Hashes {
                hashes: places.iter().map(|p| grown.nodes.node(depth, *p).unwrap()).collect(),
            },
        }
    }
}

/// The states after each segment of the toy's sum.
pub fn accumulators(toy: &Toy, run: &Run) -> Bits {
    let node = law::check(&toy.graph.nodes[2]).unwrap();
    let mut operands = super::Held(vec![&run.outputs[1]]);
    let (mut words, mut state): (Vec<u64>, Option<Vec<u64>>) = (Vec::new(), None);
    for segment in 0..law::segment_count(node) {
        let start = law::start(node, segment, state.as_deref());
        let after = law::segment(node, 0, segment, start, &mut operands).unwrap();
        words.extend(&after);
        state = Some(after);
    }
    let Some(TreeKind::Tensor { kind }) = TreeKind::of_accumulators(&toy.graph.nodes[2]) else {
        panic!("the sum has two segments");
    };
    Bits(kind, words)
}

/// A leaf of a tensor of this type that holds these bits.
pub fn packed(kind: &TensorType, bits: &[u64]) -> [u8; 256] {
    pack_leaf(kind.element, bits.iter().copied())
}

/// The claim of the statement, for those who need an id.
pub fn claim() -> ids::ClaimId {
    ids::ClaimId::default()
}
