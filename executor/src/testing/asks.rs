//! What can be asked of a run of the model, and the showings and paths that lead to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use inference::Run;
use protocol::asks::{Ask, Context, Place, Showing, Sums, Tree, TreeKind};
use protocol::hash::{Digest, Keccak};
use protocol::ids::JobId;
use protocol::merkle;
use protocol::roots::sequence_tree;
use protocol::transaction::{RunLength, Statement};

use super::{FOLD, FOLDED};
use crate::core::statement_of;

/// A claim on a run, as those see it who ask.
pub(crate) struct Claimed {
    pub(crate) run: Arc<Run>,
    statement: Statement,
    /// What its executor said so far.
    said: BTreeMap<Tree, Digest>,
}

impl Claimed {
    /// A claim whose executor has said nothing yet.
    pub(crate) fn new(run: Arc<Run>) -> Self {
        let statement = statement_of(JobId::default(), run.model().root(), run.trace()).unwrap();
        Self { run, statement, said: BTreeMap::new() }
    }

    /// Everything that its executor can say is said.
    pub(crate) fn all_said(mut self) -> Self {
        let said = self.trees().into_iter().filter(Tree::is_said);
        self.said = said.map(|tree| (tree, self.root(tree))).collect();
        self
    }

    pub(crate) fn context(&self, arity_log2: u32) -> Context<'_> {
        let (terms, header) = (&self.statement.terms, self.run.model().header());
        let length = RunLength::exactly(terms.iterations);
        Context { terms, header, length, said: &self.said, from: None, arity_log2 }
    }

    /// All trees of the run.
    pub(crate) fn trees(&self) -> Vec<Tree> {
        let (header, iteration) = (self.run.model().header(), 0);
        let states = 0..header.state_count();
        let mut trees = vec![Tree::Sequence {}, Tree::Trace { iteration }];
        trees.extend(states.map(|boundary| Tree::State { iteration, boundary }));
        trees.extend((0..header.layer_count).map(|layer| Tree::Subtrace { iteration, layer }));
        trees.extend(
            (0..header.operator_count).map(|operator| Tree::Tensor { iteration, operator }),
        );
        let sums = |element| Tree::Accumulators { iteration, operator: FOLD, element };
        trees.extend((0..FOLDED).map(sums));
        trees.extend([0, 1].map(|value| Tree::Input { iteration, value }));
        trees.push(Tree::Output { iteration, value: 6 });
        trees
    }

    /// What a tree is of, and its nodes.
    pub(crate) fn grown(&self, tree: Tree) -> (TreeKind, merkle::Tree) {
        let trace = self.run.trace();
        let list = |nodes: &merkle::Tree| {
            let count = nodes.shape().leaves() as u32;
            (TreeKind::List { count }, nodes.clone())
        };
        let end = |boundary: u32, value: u32| {
            let state = trace.state(boundary).unwrap();
            let kind = state.tensor(value).unwrap().kind().clone();
            (TreeKind::Tensor { kind }, state.leaf_tree(value).unwrap().clone())
        };
        match tree {
            Tree::Sequence {} => list(sequence_tree::<Keccak>(&[trace.root()]).unwrap().tree()),
            Tree::Trace { .. } => list(trace.tree().tree()),
            Tree::State { boundary, .. } => list(trace.state(boundary).unwrap().tree().tree()),
            Tree::Subtrace { layer, .. } => list(self.run.inside(layer).unwrap().tree().tree()),
            Tree::Tensor { operator, .. } => {
                let kind = self.run.output(operator).unwrap().kind().clone();
                (TreeKind::Tensor { kind }, self.run.output_tree(operator).unwrap().clone())
            }
            Tree::Accumulators { operator, element, .. } => {
                let words = self.run.accumulators(operator, element).unwrap();
                let sums: Sums =
                    Sums::new(self.run.model().node(operator).unwrap(), &words).unwrap();
                (TreeKind::Tensor { kind: sums.kind().clone() }, sums.tree().clone())
            }
            Tree::Input { value, .. } => end(0, value),
            Tree::Output { value, .. } => end(self.run.model().header().layer_count, value),
        }
    }

    /// The committed root of a tree.
    pub(crate) fn root(&self, tree: Tree) -> Digest {
        let (kind, nodes) = self.grown(tree);
        tree.commit::<Keccak>(&kind, &nodes.root()).unwrap()
    }

    /// A node of a tree; at depth 0 the hash is the committed root.
    pub(crate) fn place(&self, tree: Tree, depth: u32, index: u64) -> Place {
        let (kind, nodes) = self.grown(tree);
        let hash = match depth {
            0 => self.root(tree),
            _ => nodes.node(depth, index).unwrap_or_default(),
        };
        Place { tree, kind, depth, index, hash }
    }

    pub(crate) fn say(&self, tree: Tree) -> Ask {
        Ask::Say { tree, kind: self.grown(tree).0 }
    }

    /// Siblings from a node of a tree up to its root.
    pub(crate) fn path(&self, tree: Tree, depth: u32, index: u64) -> Vec<Digest> {
        let (_, nodes) = self.grown(tree);
        let at = |level: u32| nodes.node(depth - level, index.checked_shr(level)? ^ 1);
        (0..depth).map(|level| at(level).unwrap_or_default()).collect()
    }

    /// What proves a tree's kind and root.
    pub(crate) fn showings(&self, tree: Tree) -> Vec<Showing> {
        let last = self.run.model().header().layer_count;
        match tree {
            Tree::Sequence {} => Vec::new(),
            Tree::Trace { .. } => vec![self.sequence()],
            Tree::State { boundary, .. } => {
                vec![self.sequence(), self.trace(boundary), self.layer(boundary.min(last - 1))]
            }
            Tree::Subtrace { layer, .. } => vec![self.layer(layer)],
            Tree::Tensor { operator, .. } => {
                let layer = self.run.model().layer_of(operator).unwrap();
                let mut all = vec![self.layer(layer), self.operator(operator)];
                // Its root is shown once the layer's inside was said.
                if self.said.contains_key(&Tree::Subtrace { iteration: 0, layer }) {
                    all.push(self.output(operator));
                }
                all
            }
            Tree::Accumulators { operator, .. } => vec![self.operator(operator)],
            // The operators that read the values tell of what types they are.
            Tree::Input { value, .. } => {
                let reader = if value == 0 { 0 } else { 3 };
                vec![self.layer(0), self.value(0, value), self.operator(reader)]
            }
            Tree::Output { value, .. } => {
                vec![self.layer(last - 1), self.value(last, value), self.operator(3)]
            }
        }
    }

    fn layer(&self, layer: u32) -> Showing {
        Showing::Layer { proof: self.run.model().layer_proof(layer).unwrap() }
    }

    fn operator(&self, operator: u32) -> Showing {
        Showing::Operator { proof: self.run.model().node_proof(operator).unwrap() }
    }

    fn sequence(&self) -> Showing {
        Showing::SequenceLeaf { iteration: 0, root: self.run.trace().root(), path: Vec::new() }
    }

    fn trace(&self, boundary: u32) -> Showing {
        let path = self.run.trace().tree().path(u64::from(boundary)).unwrap();
        let root = self.run.trace().state_roots()[boundary as usize];
        Showing::TraceLeaf { iteration: 0, boundary, root, path }
    }

    fn value(&self, boundary: u32, value: u32) -> Showing {
        let state = self.run.trace().state(boundary).unwrap();
        let entries = state.entries();
        let position = entries.iter().position(|(id, _)| *id == value).unwrap();
        let (root, path) = (entries[position].1, state.tree().path(position as u64).unwrap());
        let position = position as u32;
        Showing::StateLeaf { iteration: 0, boundary, position, value, root, path }
    }

    fn output(&self, operator: u32) -> Showing {
        let layer = self.run.model().layer_of(operator).unwrap();
        let position = self.run.model().layer(layer).unwrap().position(operator).unwrap();
        let inside = self.run.inside(layer).unwrap();
        let (root, path) =
            (inside.roots()[position as usize], inside.tree().path(u64::from(position)).unwrap());
        Showing::SubtraceLeaf { iteration: 0, layer, position, root, path }
    }
}
