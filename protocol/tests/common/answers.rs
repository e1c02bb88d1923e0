//! Every tree of a run of the toy with its honest answers, the showings that lead to it, and proofs about it.

use protocol::asks::{
    Answer, Ask, Context, LeafProof, OperandProof, Place, Proven, Refutation, Showing, Tree,
    TreeKind, shown_places,
};
use protocol::hash::{self, Digest, Keccak};
use protocol::law;
use protocol::merkle::{self, TreeShape};
use protocol::roots::{sequence_tree, state_leaf};
use protocol::transaction::{Action, Address, RunLength, Statement};
use protocol::{ClaimId, JobId};
use std::collections::BTreeMap;

use super::{Bits, Run, Toy};

/// An ask by its place alone; the run that it is about gives the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Open(Tree, u32, u64),
    Leaves(Tree, u32, u64),
    Say(Tree),
}

impl Want {
    pub fn tree(self) -> Tree {
        match self {
            Self::Open(tree, ..) | Self::Leaves(tree, ..) | Self::Say(tree) => tree,
        }
    }
}

/// The first opening of the trace.
pub const TRACE: Want = Want::Open(Tree::Trace { iteration: 0 }, 0, 0);
/// All leaves of the input.
pub const INPUT: Want = Want::Leaves(Tree::Input { iteration: 0, value: 0 }, 0, 0);
/// The leaf of the output.
pub const OUTPUT: Want = Want::Leaves(Tree::Output { iteration: 0, value: 4 }, 0, 0);
/// The states of the sum.
pub const SUMS: Want = Want::Say(Tree::Accumulators { iteration: 0, operator: 2, element: 0 });

/// The outputs inside a layer.
pub const fn inside(layer: u32) -> Want {
    Want::Say(Tree::Subtrace { iteration: 0, layer })
}

/// The first opening of a state.
pub const fn state(boundary: u32) -> Want {
    Want::Open(Tree::State { iteration: 0, boundary }, 0, 0)
}

/// The first opening of an output's tree.
pub const fn tensor(operator: u32) -> Want {
    Want::Open(Tree::Tensor { iteration: 0, operator }, 0, 0)
}

/// All leaves of an output.
pub const fn leaves(operator: u32) -> Want {
    Want::Leaves(Tree::Tensor { iteration: 0, operator }, 0, 0)
}

/// What is shown first, and what it then refutes.
pub type Proof = (Vec<Showing>, Refutation);

/// A tree with what stands at its leaves.
#[derive(Clone)]
pub struct Grown {
    pub kind: TreeKind,
    pub nodes: merkle::Tree,
    roots: Vec<Digest>,
    values: Vec<(u32, Digest)>,
    bits: Option<Bits>,
}

/// A run with all its trees.
#[derive(Clone)]
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

pub fn of_roots(roots: &[Digest]) -> Grown {
    let leaves: Vec<Digest> = roots.iter().map(|root| hash::leaf(&root.0)).collect();
    let (kind, nodes) = list(&leaves);
    Grown { kind, nodes, roots: roots.to_vec(), values: Vec::new(), bits: None }
}

pub fn of_values(values: &[(u32, Digest)]) -> Grown {
    let leaves: Vec<Digest> =
        values.iter().map(|(value, root)| state_leaf::<Keccak>(*value, root)).collect();
    let (kind, nodes) = list(&leaves);
    Grown { kind, nodes, roots: Vec::new(), values: values.to_vec(), bits: None }
}

pub fn of_bits(bits: &Bits) -> Grown {
    let kind = TreeKind::Tensor { kind: bits.0.clone() };
    let (roots, values) = (Vec::new(), Vec::new());
    Grown { kind, nodes: bits.tree(), roots, values, bits: Some(bits.clone()) }
}

impl Grown {
    /// A node; its hash at depth 0 is the committed root.
    pub fn place(&self, tree: Tree, depth: u32, index: u64) -> Place {
        let node = self.nodes.node(depth, index).unwrap();
        let hash = match depth {
            0 => tree.commit::<Keccak>(&self.kind, &node).unwrap(),
            _ => node,
        };
        Place { tree, kind: self.kind.clone(), depth, index, hash }
    }

    /// Siblings of a node up to its ancestor at a depth.
    pub fn path(&self, depth: u32, index: u64, until: u32) -> Vec<Digest> {
        (0..depth - until)
            .map(|level| self.nodes.node(depth - level, (index >> level) ^ 1).unwrap())
            .collect()
    }

    /// Siblings of a leaf up to the root.
    pub fn leaf_path(&self, index: u64) -> Vec<Digest> {
        self.path(self.nodes.shape().depth(), index, 0)
    }

    /// Every ask about every node.
    pub fn all_wants(&self, tree: Tree) -> Vec<Want> {
        let mut all = Vec::new();
        if tree.is_said() {
            all.push(Want::Say(tree));
        }
        for depth in 0..=self.nodes.shape().depth() {
            for index in 0..1u64 << depth {
                all.push(Want::Open(tree, depth, index));
                all.push(Want::Leaves(tree, depth, index));
            }
        }
        all
    }

    pub fn ask(&self, want: Want) -> Ask {
        match want {
            Want::Open(tree, depth, index) => Ask::Open { place: self.place(tree, depth, index) },
            Want::Leaves(tree, depth, index) => {
                Ask::Leaves { place: self.place(tree, depth, index) }
            }
            Want::Say(tree) => Ask::Say { tree, kind: self.kind.clone() },
        }
    }

    /// What an executor answers who has this tree.
    pub fn answer(&self, ask: &Ask, arity_log2: u32) -> Answer {
        let (depth, places) = shown_places(ask, arity_log2).unwrap();
        let at_leaves = depth == self.nodes.shape().depth();
        let says_leaves = match ask {
            Ask::Open { .. } => false,
            Ask::Leaves { .. } => true,
            Ask::Say { tree, .. } => {
                matches!(tree, Tree::Accumulators { .. })
                    && self.nodes.shape().depth() <= arity_log2.saturating_sub(3)
            }
        };
        let at = |place: &u64| *place as usize;
        match &self.bits {
            Some(bits) if says_leaves => {
                Answer::Leaves { leaves: places.iter().map(|place| bits.leaf(*place)).collect() }
            }
            None if at_leaves && !self.values.is_empty() => {
                Answer::Values { values: places.iter().map(|p| self.values[at(p)]).collect() }
            }
            None if at_leaves => {
                Answer::Roots { roots: places.iter().map(|p| self.roots[at(p)]).collect() }
            }
            _ => Answer::Hashes {
                hashes: places.iter().map(|p| self.nodes.node(depth, *p).unwrap()).collect(),
            },
        }
    }
}

impl Answers {
    /// Of the toy's run, honest or with a flipped bit.
    pub fn new(flip: Option<(usize, usize)>) -> Self {
        let toy = Toy::new();
        Self::of(&toy, &toy.run(flip))
    }

    pub fn of(toy: &Toy, run: &Run) -> Self {
        let (toy, run) = (toy.clone(), run.clone());
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
        let (terms, said) = (&self.statement.terms, &self.said);
        let length = RunLength::exactly(terms.iterations);
        Context { terms, header, length, said, from, arity_log2 }
    }

    pub fn proven(&self, showings: &[Showing], from: Option<&Ask>, arity_log2: u32) -> Proven<'_> {
        // The last ask lives as long as the answers in these tests.
        let from = from.map(|ask| &*Box::leak(Box::new(ask.clone())));
        Proven::new::<Keccak>(self.context(from, arity_log2), showings).unwrap()
    }

    /// A node of a tree; its hash at depth 0 is the committed root.
    pub fn place(&self, tree: Tree, depth: u32, index: u64) -> Place {
        self.trees[&tree].place(tree, depth, index)
    }

    /// Siblings of a node up to its ancestor at a depth.
    pub fn path(&self, tree: Tree, depth: u32, index: u64, until: u32) -> Vec<Digest> {
        self.trees[&tree].path(depth, index, until)
    }

    /// Siblings of a leaf up to the root.
    fn leaf_path(&self, tree: Tree, index: u64) -> Vec<Digest> {
        self.trees[&tree].leaf_path(index)
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
            Tree::Input { .. } => vec![layer(0), value(0)],
            Tree::Output { .. } => vec![layer(1), self.operator(2), value(2)],
        }
    }

    pub fn layer(&self, index: u32) -> Showing {
        self.toy.layer(index)
    }

    pub fn operator(&self, index: u32) -> Showing {
        self.toy.operator(index)
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
        self.trees[ask.tree()].answer(ask, arity_log2)
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

/// Asks and proofs about the run.
impl Answers {
    /// Other words as the states of the sum.
    pub fn with_sums(mut self, word: u64) -> Self {
        let tree = SUMS.tree();
        let Some(TreeKind::Tensor { kind }) = TreeKind::of_accumulators(&self.toy.graph.nodes[2])
        else {
            panic!("the sum has two segments");
        };
        let count = kind.shape.count() as usize;
        self.trees.insert(tree, of_bits(&Bits(kind, vec![word; count])));
        self
    }

    pub fn ask(&self, want: Want) -> Ask {
        self.trees[&want.tree()].ask(want)
    }

    /// Every ask about every node of every tree.
    pub fn all_wants(&self) -> Vec<Want> {
        self.trees.iter().flat_map(|(tree, grown)| grown.all_wants(*tree)).collect()
    }

    /// A demand that shows the whole way to what is asked.
    pub fn demand(&self, claim: ClaimId, want: Want) -> Action {
        let ask = self.ask(want);
        let (depth, index) = ask.node();
        let path = self.path(want.tree(), depth, index, 0);
        let showings = self.showings_to(want.tree());
        Action::Demand { claim, showings, ask, path, from: None }
    }

    /// A demand that shows nothing but the way to the place that was asked last.
    pub fn demand_below(&self, claim: ClaimId, want: Want, from: &Ask) -> Action {
        let ask = self.ask(want);
        let (depth, index) = ask.node();
        let path = self.path(want.tree(), depth, index, from.node().0);
        Action::Demand { claim, showings: Vec::new(), ask, path, from: Some(from.clone()) }
    }

    pub fn refute(&self, claim: ClaimId, challenger: Address, proof: Proof) -> Action {
        let (showings, refutation) = proof;
        Action::Refute { claim, challenger, showings, refutation, from: None }
    }

    /// That a leaf holds bits which are never stored.
    pub fn leaf_proof(&self, operator: u32, leaf: u64) -> Proof {
        let mut showings = self.showings_to(leaves(operator).tree());
        showings.push(self.leaf(operator, leaf));
        (showings, Refutation::Leaf { iteration: 0, operator, leaf })
    }

    /// That an element of the product is not what the law gives, with everything that this must show.
    pub fn product_proof(&self, element: u64) -> Proof {
        let leaf = element / 64;
        let state = Tree::State { iteration: 0, boundary: 1 };
        let way = self.showings_to(state);
        let showings = vec![
            self.layer(1),
            self.operator(1),
            self.output(1),
            self.leaf(1, leaf),
            way[0].clone(),
            way[1].clone(),
        ];
        let operand = |bits: &Bits, path: Vec<Digest>| OperandProof {
            root: bits.root(),
            path,
            positions: vec![leaf],
            leaves: vec![bits.leaf(leaf)],
            siblings: bits.tree().siblings_of(&[leaf]).unwrap(),
        };
        let operands = vec![
            (0, operand(&self.run.outputs[0], self.path(state, 0, 0, 0))),
            (1, operand(&self.toy.weight, self.toy.committed.weights.path(0).unwrap())),
        ];
        let (iteration, layer, operator, segment, states) = (0, 1, 1, 0, Vec::new());
        let refutation =
            Refutation::Step { iteration, layer, operator, element, segment, operands, states };
        (showings, refutation)
    }

    /// That a step of the sum is not what the law gives; the second is the last, into the element.
    pub fn sum_proof(&self, segment: u64) -> Proof {
        let showings = vec![
            self.layer(1),
            self.operator(1),
            self.operator(2),
            self.output(1),
            self.output(2),
            self.leaf(2, 0),
        ];
        let Some(sums) = &self.trees[&SUMS.tree()].bits else { panic!("sums are a tensor") };
        let path = self.path(SUMS.tree(), 0, 0, 0);
        let states = vec![LeafProof { position: 0, bytes: sums.leaf(0), path }];
        let product = &self.run.outputs[1];
        let operand = OperandProof {
            root: product.root(),
            path: self.path(inside(1).tree(), 1, 0, 0),
            positions: vec![segment],
            leaves: if segment < 2 { vec![product.leaf(segment)] } else { Vec::new() },
            siblings: product.tree().siblings_of(&[segment.min(1)]).unwrap(),
        };
        let operands = if segment < 2 { vec![(0, operand)] } else { Vec::new() };
        let (iteration, layer, operator, element) = (0, 1, 2, 0);
        let refutation =
            Refutation::Step { iteration, layer, operator, element, segment, operands, states };
        (showings, refutation)
    }
}
