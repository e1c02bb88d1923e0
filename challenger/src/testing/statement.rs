//! What an executor says of its run, each commitment by itself, so that any of them can be false.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use inference::{ComputePolicy, Engine, EngineError, Model, Run, State, Tensor, compute_honestly};
use protocol::asks::{Answer, Ask, Place, Showing, Tree, TreeKind, shown_places};
use protocol::graph::state_leaf;
use protocol::hash::{Digest, Keccak, Tag, leaf};
use protocol::ids::JobId;
use protocol::merkle::{self, ListTree};
use protocol::tensor::{ElementType, LeafBytes, pack_leaf};
use protocol::transaction;

use super::questions::Question;

use crate::honest_view::Announcement;

/// Computes as the model says, except for some elements: the error spreads from there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wrong(pub(crate) Vec<(u32, u64)>);

/// Stored bits that differ from the given ones.
pub(crate) fn other_bits(element: ElementType, bits: u64) -> u64 {
    let (one, two) = (u64::from(1f32.to_bits()), u64::from(2f32.to_bits()));
    match element {
        ElementType::F32 if bits == one => two,
        ElementType::F32 => one,
        _ => bits ^ 1,
    }
}

/// The tensor with another value at one element.
pub(crate) fn with_other(tensor: &Tensor, element: u64) -> Tensor {
    let mut bits = tensor.all_bits();
    let place = &mut bits[element as usize];
    *place = other_bits(tensor.kind().element, *place);
    Tensor::from_bits(tensor.kind(), &bits).unwrap()
}

impl ComputePolicy for Wrong {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let output = compute_honestly(engine, model, operator, operands)?;
        let here = self.0.iter().filter(|(at, _)| *at == operator);
        Ok(here.fold(output, |output, (_, element)| with_other(&output, *element)))
    }
}

/// As [`Wrong`], and invents ones where an operator has no result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventing(pub(crate) Vec<(u32, u64)>);

impl ComputePolicy for Inventing {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let output = match compute_honestly(engine, model, operator, operands) {
            Err(EngineError::Undefined { .. }) => {
                let kind = &model.node(operator).unwrap().output;
                let one = if kind.element == ElementType::F32 { 0x3F80_0000 } else { 1 };
                Tensor::from_bits(kind, &vec![one; kind.shape.count() as usize]).unwrap()
            }
            output => output?,
        };
        let here = self.0.iter().filter(|(at, _)| *at == operator);
        Ok(here.fold(output, |output, (_, element)| with_other(&output, *element)))
    }
}

/// Everything an executor committed to, and what it says when it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    run: Arc<Run>,
    state_roots: Vec<Digest>,
    entries: Vec<Vec<(u32, Digest)>>,
    insides: Vec<Vec<Digest>>,
    leaves: Vec<Vec<(u64, LeafBytes)>>,
    sums: BTreeMap<(u32, u64), Vec<u64>>,
    /// Inputs with a byte after the end of their rows.
    tails: BTreeSet<u32>,
}

fn leaves_of(tensor: &Tensor) -> Vec<(u64, LeafBytes)> {
    let depth = tensor.kind().tree_shape().unwrap().depth();
    (0..1 << depth).filter_map(|at| Some((at, tensor.leaf(at)?))).collect()
}

fn list(tag: Tag, roots: &[Digest]) -> ListTree {
    let leaves: Vec<Digest> = roots.iter().map(|root| leaf(&root.0)).collect();
    ListTree::new(tag, &leaves).unwrap()
}

impl Statement {
    /// All that follows from a run.
    pub(crate) fn of(run: &Arc<Run>) -> Self {
        let header = run.model().header();
        let trace = run.trace();
        let inside = |layer| run.inside(layer).unwrap().roots().to_vec();
        Self {
            run: Arc::clone(run),
            state_roots: trace.state_roots().to_vec(),
            entries: trace.states().iter().map(|state| state.entries()).collect(),
            insides: (0..header.layer_count).map(inside).collect(),
            leaves: (0..header.operator_count)
                .map(|operator| leaves_of(run.output(operator).unwrap()))
                .collect(),
            sums: BTreeMap::new(),
            tails: BTreeSet::new(),
        }
    }

    /// Commits to another root for a state, of which nothing is known.
    pub(crate) fn state_root(&mut self, boundary: u32, root: Digest) {
        self.state_roots[boundary as usize] = root;
    }

    /// Says that another value, or another tensor, stands at a place of a state.
    pub(crate) fn entry(&mut self, boundary: u32, position: u32, entry: (u32, Digest)) {
        self.entries[boundary as usize][position as usize] = entry;
        self.state_roots[boundary as usize] = self.state_tree(boundary).root();
    }

    /// Says that an operator wrote another tensor; the states stay as they are.
    pub(crate) fn output(&mut self, operator: u32, tensor: &Tensor) {
        self.leaves[operator as usize] = leaves_of(tensor);
        self.commit_output(operator);
    }

    /// Puts any bytes in the place of a leaf; the states stay as they are.
    pub(crate) fn leaf(&mut self, operator: u32, at: u64, bytes: LeafBytes) {
        for leaf in &mut self.leaves[operator as usize] {
            if leaf.0 == at {
                leaf.1 = bytes;
            }
        }
        self.commit_output(operator);
    }

    /// Commits to another root for an operator's output, of which nothing is known.
    pub(crate) fn output_root_of_nothing(&mut self, operator: u32, root: Digest) {
        let (layer, position) = self.run.place(operator).unwrap();
        self.insides[layer as usize][position as usize] = root;
    }

    /// Lets every state hold what the operator is said to have written.
    pub(crate) fn write_to_states(&mut self, operator: u32) {
        let value = self.run.model().header().output_of(operator);
        let root = self.output_root(operator);
        for boundary in 0..self.entries.len() {
            for position in 0..self.entries[boundary].len() {
                if self.entries[boundary][position].0 == value {
                    self.entry(boundary as u32, position as u32, (value, root));
                }
            }
        }
    }

    /// Answers with these words when the running sums of an element are demanded.
    pub(crate) fn sums(&mut self, operator: u32, element: u64, words: Vec<u64>) {
        self.sums.insert((operator, element), words);
    }

    fn commit_output(&mut self, operator: u32) {
        let (layer, position) = self.run.place(operator).unwrap();
        self.insides[layer as usize][position as usize] = self.output_root(operator);
    }

    fn output_tree(&self, operator: u32) -> merkle::Tree {
        let shape = self.run.model().node(operator).unwrap().output.tree_shape().unwrap();
        let leaves = self.leaves[operator as usize].iter();
        let leaves: Vec<Digest> = leaves.map(|(_, bytes)| leaf(bytes)).collect();
        merkle::Tree::new(shape, &leaves).unwrap()
    }

    /// Root of what an operator is said to have written.
    pub(crate) fn output_root(&self, operator: u32) -> Digest {
        let kind = &self.run.model().node(operator).unwrap().output;
        kind.root(&self.output_tree(operator).root())
    }

    fn state_tree(&self, boundary: u32) -> ListTree {
        let entries = self.entries[boundary as usize].iter();
        let leaves: Vec<Digest> =
            entries.map(|(value, root)| state_leaf::<Keccak>(*value, root)).collect();
        ListTree::new(Tag::State, &leaves).unwrap()
    }

    fn trace_tree(&self) -> ListTree {
        list(Tag::Trace, &self.state_roots)
    }

    /// The claimed state roots.
    pub(crate) fn state_roots(&self) -> &[Digest] {
        &self.state_roots
    }

    /// The run that the statement began with.
    pub(crate) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// The claim on a job.
    pub(crate) fn claimed(&self, job: JobId) -> transaction::Statement {
        let model_root = self.run.model().root();
        transaction::Statement::of_run::<Keccak>(job, model_root, &self.state_roots).unwrap()
    }

    /// The state roots, and every output, published.
    pub(crate) fn announced(&self) -> Announcement {
        let mut published =
            Announcement { state_roots: self.state_roots.clone(), ..Announcement::default() };
        let operators = 0..self.run.model().header().operator_count;
        operators.for_each(|operator| published.add(self.run.output(operator).unwrap().clone()));
        published
    }

    /// What a tree is of.
    fn kind(&self, tree: Tree) -> TreeKind {
        let model = self.run.model();
        let list = |count: usize| TreeKind::List { count: count as u32 };
        match tree {
            Tree::Sequence {} => list(1),
            Tree::Trace { .. } => list(self.state_roots.len()),
            Tree::State { boundary, .. } => list(self.entries[boundary as usize].len()),
            Tree::Subtrace { layer, .. } => list(self.insides[layer as usize].len()),
            Tree::Tensor { operator, .. } => {
                TreeKind::Tensor { kind: model.node(operator).unwrap().output.clone() }
            }
            Tree::Accumulators { operator, .. } => {
                TreeKind::of_accumulators(model.node(operator).unwrap()).unwrap()
            }
            Tree::Input { .. } | Tree::Output { .. } => panic!("nobody asks for {tree:?}"),
        }
    }

    /// The input of the run.
    pub(crate) fn input(&self) -> &State {
        self.run.trace().state(0).unwrap()
    }

    fn input_leaves(&self, value: u32) -> BTreeMap<u64, LeafBytes> {
        let mut leaves: BTreeMap<u64, LeafBytes> =
            leaves_of(self.input().tensor(value).unwrap()).into_iter().collect();
        if self.tails.contains(&value)
            && let Some(mut last) = leaves.last_entry()
        {
            last.get_mut()[255] = 1;
        }
        leaves
    }

    /// Commits to an input with a byte after the end of its last row.
    pub(crate) fn input_tail(&mut self, value: u32) {
        self.tails.insert(value);
        let root = self.nodes(Tree::Input { iteration: 0, value }).root();
        let kind = self.input().tensor(value).unwrap().kind().clone();
        self.entry(0, value, (value, kind.root(&root)));
    }

    /// The claimed root of the input.
    pub(crate) fn input_root(&self) -> Digest {
        self.state_roots[0]
    }

    /// The leaves of the sums of an element.
    fn sums_leaves(&self, operator: u32, element: u64) -> Vec<LeafBytes> {
        let own = || self.run.accumulators(operator, element).unwrap().to_vec();
        let words = self.sums.get(&(operator, element)).cloned().unwrap_or_else(own);
        let tree = Tree::Accumulators { iteration: 0, operator, element };
        let TreeKind::Tensor { kind } = self.kind(tree) else { panic!("{tree:?}") };
        assert_eq!(words.len() as u64, kind.shape.count());
        let leaves = words.chunks(kind.element.leaf_elements() as usize);
        leaves.map(|leaf| pack_leaf(kind.element, leaf.iter().copied())).collect()
    }

    /// The nodes of a tree.
    fn nodes(&self, tree: Tree) -> merkle::Tree {
        match tree {
            Tree::Sequence {} => list(Tag::Sequence, &[self.trace_tree().root()]).tree().clone(),
            Tree::Trace { .. } => self.trace_tree().tree().clone(),
            Tree::State { boundary, .. } => self.state_tree(boundary).tree().clone(),
            Tree::Subtrace { layer, .. } => {
                list(Tag::Subtrace, &self.insides[layer as usize]).tree().clone()
            }
            Tree::Tensor { operator, .. } => self.output_tree(operator),
            Tree::Accumulators { operator, element, .. } => {
                let leaves = self.sums_leaves(operator, element);
                let hashes: Vec<Digest> = leaves.iter().map(|bytes| leaf(bytes)).collect();
                merkle::Tree::new(self.kind(tree).shape().unwrap(), &hashes).unwrap()
            }
            Tree::Input { value, .. } => {
                let leaves = self.input_leaves(value);
                let hashes: Vec<Digest> = leaves.values().map(|bytes| leaf(bytes)).collect();
                let kind = self.input().tensor(value).unwrap().kind().clone();
                merkle::Tree::new(kind.tree_shape().unwrap(), &hashes).unwrap()
            }
            Tree::Output { .. } => panic!("nobody asks for {tree:?}"),
        }
    }

    /// Siblings from a node up to the root.
    pub(crate) fn path(&self, tree: Tree, depth: u32, index: u64) -> Vec<Digest> {
        let nodes = self.nodes(tree);
        (0..depth).map(|level| nodes.node(depth - level, (index >> level) ^ 1).unwrap()).collect()
    }

    fn leaf_path(&self, tree: Tree, index: u64) -> Vec<Digest> {
        self.path(tree, self.nodes(tree).shape().depth(), index)
    }

    /// The ask of a question to this executor; `None` where it has no such node.
    pub(crate) fn ask(&self, question: Question) -> Option<Ask> {
        let place = |tree: Tree, depth: u32, index: u64| {
            let kind = self.kind(tree);
            let node = self.nodes(tree).node(depth, index)?;
            // At depth 0 stands what was committed, which is another thing where the executor lies about it.
            let hash = match (depth, tree) {
                (0, Tree::State { boundary, .. }) => self.state_roots[boundary as usize],
                (0, Tree::Tensor { operator, .. }) => {
                    let (layer, position) = self.run.place(operator).unwrap();
                    self.insides[layer as usize][position as usize]
                }
                (0, _) => tree.commit::<Keccak>(&kind, &node)?,
                _ => node,
            };
            Some(Place { tree, kind, depth, index, hash })
        };
        Some(match question {
            Question::Open(tree, depth, index) => Ask::Open { place: place(tree, depth, index)? },
            Question::Leaves(tree, depth, index) => {
                Ask::Leaves { place: place(tree, depth, index)? }
            }
            Question::Say(tree) => Ask::Say { tree, kind: self.kind(tree) },
        })
    }

    /// What shows a tree's kind and root, by full paths.
    pub(crate) fn showings_to(&self, tree: Tree) -> Vec<Showing> {
        let model = self.run.model();
        let layer = |index: u32| Showing::Layer { proof: model.layer_proof(index).unwrap() };
        let operator = |index: u32| Showing::Operator { proof: model.node_proof(index).unwrap() };
        match tree {
            Tree::Sequence {} => Vec::new(),
            Tree::Trace { .. } => vec![self.trace_showing()],
            Tree::State { boundary, .. } => {
                let kind = layer(boundary.saturating_sub(1));
                vec![self.trace_showing(), self.state_showing(boundary), kind]
            }
            Tree::Subtrace { layer: index, .. } => vec![layer(index)],
            Tree::Tensor { operator: index, .. } => {
                let (of, _) = self.run.place(index).unwrap();
                vec![layer(of), operator(index), self.output_showing(index)]
            }
            Tree::Accumulators { operator: index, .. } => vec![operator(index)],
            Tree::Input { .. } | Tree::Output { .. } => panic!("nobody asks for {tree:?}"),
        }
    }

    /// The trace root in the sequence.
    pub(crate) fn trace_showing(&self) -> Showing {
        let path = self.leaf_path(Tree::Sequence {}, 0);
        Showing::SequenceLeaf { iteration: 0, root: self.trace_tree().root(), path }
    }

    /// A state root in the trace.
    pub(crate) fn state_showing(&self, boundary: u32) -> Showing {
        let root = self.state_roots[boundary as usize];
        let path = self.leaf_path(Tree::Trace { iteration: 0 }, u64::from(boundary));
        Showing::TraceLeaf { iteration: 0, boundary, root, path }
    }

    /// An output root in the inside of its layer.
    pub(crate) fn output_showing(&self, operator: u32) -> Showing {
        let (layer, position) = self.run.place(operator).unwrap();
        let root = self.insides[layer as usize][position as usize];
        let path = self.leaf_path(Tree::Subtrace { iteration: 0, layer }, u64::from(position));
        Showing::SubtraceLeaf { iteration: 0, layer, position, root, path }
    }

    /// What the executor answers on a ledger of this many levels an opening.
    pub(crate) fn answer(&self, ask: &Ask, arity_log2: u32) -> Answer {
        let (tree, nodes) = (*ask.tree(), self.nodes(*ask.tree()));
        let (depth, places) = shown_places(ask, arity_log2).unwrap();
        let at_leaves = depth == nodes.shape().depth();
        let says_leaves = match ask {
            Ask::Open { .. } => false,
            Ask::Leaves { .. } => true,
            Ask::Say { .. } => {
                let is_short = nodes.shape().depth() <= arity_log2.saturating_sub(3);
                is_short && matches!(tree, Tree::Accumulators { .. })
            }
        };
        let roots = |roots: &[Digest]| Answer::Roots {
            roots: places.iter().map(|place| roots[*place as usize]).collect(),
        };
        match tree {
            Tree::Sequence {} if at_leaves => roots(&[self.trace_tree().root()]),
            Tree::Trace { .. } if at_leaves => roots(&self.state_roots),
            Tree::Subtrace { layer, .. } if at_leaves => roots(&self.insides[layer as usize]),
            Tree::State { boundary, .. } if at_leaves => {
                let entries = &self.entries[boundary as usize];
                let values = places.iter().map(|place| entries[*place as usize]).collect();
                Answer::Values { values }
            }
            Tree::Tensor { operator, .. } if says_leaves => {
                let leaves: BTreeMap<u64, LeafBytes> =
                    self.leaves[operator as usize].iter().copied().collect();
                Answer::Leaves { leaves: places.iter().map(|place| leaves[place]).collect() }
            }
            Tree::Input { value, .. } if says_leaves => {
                let leaves = self.input_leaves(value);
                Answer::Leaves { leaves: places.iter().map(|place| leaves[place]).collect() }
            }
            Tree::Accumulators { operator, element, .. } if says_leaves => {
                let leaves = self.sums_leaves(operator, element);
                Answer::Leaves {
                    leaves: places.iter().map(|place| leaves[*place as usize]).collect(),
                }
            }
            _ => Answer::Hashes {
                hashes: places.iter().map(|place| nodes.node(depth, *place).unwrap()).collect(),
            },
        }
    }
}
