//! What an executor says of its run, each commitment by itself, so that any of them can be false.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use inference::{ComputePolicy, Engine, EngineError, Model, Run, Tensor, compute_honestly};
use protocol::facts::{Children, Request, Reveal, TreeId};
use protocol::graph::state_leaf;
use protocol::hash::{Digest, Keccak, Tag, leaf};
use protocol::ids::JobId;
use protocol::merkle::{ListTree, Tree};
use protocol::tensor::{ElementType, LeafBytes};
use protocol::transaction;

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

    fn output_tree(&self, operator: u32) -> Tree {
        let shape = self.run.model().node(operator).unwrap().output.tree_shape().unwrap();
        let leaves = self.leaves[operator as usize].iter();
        let leaves: Vec<Digest> = leaves.map(|(_, bytes)| leaf(bytes)).collect();
        Tree::new(shape, &leaves).unwrap()
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

    /// What the executor answers on a ledger of this many levels an opening.
    pub(crate) fn answer(&self, request: &Request, arity_log2: u32) -> Reveal {
        match *request {
            Request::Node { tree, depth, index } => {
                Reveal::Node { children: self.children(tree, depth, index, arity_log2) }
            }
            Request::Subtrace { layer } => {
                let root = list(Tag::Subtrace, &self.insides[layer as usize]).root();
                let children = self.children(TreeId::Subtrace { layer }, 0, 0, arity_log2);
                Reveal::Subtrace { root, children }
            }
            Request::Leaf { operator, leaf } => {
                let mut leaves = self.leaves[operator as usize].iter();
                Reveal::Leaf { bytes: leaves.find(|(at, _)| *at == leaf).unwrap().1 }
            }
            Request::Accumulators { operator, element } => {
                let own = || self.run.accumulators(operator, element).unwrap().to_vec();
                let said = self.sums.get(&(operator, element)).cloned();
                Reveal::Accumulators { words: said.unwrap_or_else(own) }
            }
        }
    }

    fn children(&self, id: TreeId, depth: u32, index: u64, arity_log2: u32) -> Children {
        let (tree, roots) = match id {
            TreeId::Trace {} => (self.trace_tree().tree().clone(), self.state_roots.clone()),
            TreeId::Subtrace { layer } => {
                let roots = self.insides[layer as usize].clone();
                (list(Tag::Subtrace, &roots).tree().clone(), roots)
            }
            TreeId::State { boundary } => (self.state_tree(boundary).tree().clone(), Vec::new()),
            TreeId::Tensor { operator } => (self.output_tree(operator), Vec::new()),
        };
        let shape = *tree.shape();
        let indices = shape.opened_indices(depth, index, arity_log2);
        let at_leaves = depth + shape.opening_levels(depth, arity_log2) == shape.depth();
        match id {
            TreeId::State { boundary } if at_leaves => {
                let entries = &self.entries[boundary as usize];
                let values = indices.iter().map(|index| entries[*index as usize]).collect();
                Children::Values { values }
            }
            TreeId::Trace {} | TreeId::Subtrace { .. } if at_leaves => {
                let roots = indices.iter().map(|index| roots[*index as usize]).collect();
                Children::Roots { roots }
            }
            _ => Children::Hashes { hashes: tree.opening(depth, index, arity_log2).unwrap() },
        }
    }
}
