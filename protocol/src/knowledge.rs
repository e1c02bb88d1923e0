//! What everybody can know of a claim: folded from the log by all clients alike.
//!
//! It has no part in any decision of the settlement. A challenger's solver reads it to find its next ask, and
//! takes from it the paths that its showings carry.

mod facts;
mod known;

pub use facts::Fact;
pub use known::{DESCENT_MAX, Descent, Known};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::asks::{Answer, Ask, Context, Evidence, Showing, Tree, TreeKind, shown_places};
use crate::graph::{Layer, ModelHeader, Node};
use crate::hash::{Commitment, Digest, Keccak};
use crate::merkle::{TreeShape, empty_subtree};
use crate::persistent::Map;
use crate::roots::{root_leaf, state_leaf};
use crate::tensor::{LeafBytes, TensorType, leaf_element};
use crate::transaction::{BoundState, ClaimTerms, RunLength, Statement};

/// Everything that was shown, said and answered about one claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Knowledge<C: Commitment = Keccak> {
    header: ModelHeader,
    terms: ClaimTerms,
    length: RunLength,
    arity_log2: u32,
    roots: Map<Tree, Digest>,
    said: BTreeMap<Tree, Digest>,
    kinds: Map<Tree, TreeKind>,
    nodes: Map<(Tree, u32, u64), Digest>,
    opened: Map<(Tree, u32, u64), ()>,
    values: Map<(u32, u32, u32), (u32, Digest)>,
    layers: Map<u32, Layer>,
    operators: Map<u32, Node>,
    leaves: Map<(Tree, u64), LeafBytes>,
    commitment: PhantomData<C>,
}

/// One leaf of the running sums of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSums<'a> {
    /// Index of the iteration.
    pub iteration: u32,
    /// Index of the operator in the model.
    pub operator: u32,
    /// Flat index of the element.
    pub element: u64,
    /// What the sums are: a row of words.
    pub kind: TensorType,
    /// Position of the leaf.
    pub leaf: u64,
    /// Its bytes.
    pub bytes: &'a LeafBytes,
}

impl<C: Commitment> Knowledge<C> {
    /// What is known when a claim is posted: its roots and what its paths show.
    pub fn new(
        header: ModelHeader,
        length: RunLength,
        arity_log2: u32,
        statement: &Statement,
    ) -> Self {
        let Statement { terms, binding } = statement;
        let (last, layers) = (terms.iterations.saturating_sub(1), header.layer_count);
        let mut known = Self::bare(header, length, arity_log2, terms);
        known.learn_bound((0, 0), &statement.first_input_root(), &binding.input);
        known.learn_bound((last, layers), &terms.output_root, &binding.output);
        known
    }

    fn learn_bound(&mut self, (iteration, boundary): (u32, u32), root: &Digest, at: &BoundState) {
        let BoundState { trace_root, sequence_path, state_path } = at;
        let trace = Tree::Trace { iteration };
        self.roots.insert(trace, *trace_root);
        self.roots.insert(Tree::State { iteration, boundary }, *root);
        let index = u64::from(iteration);
        self.learn_path(&Tree::Sequence {}, index, root_leaf::<C>(trace_root), sequence_path);
        self.learn_path(&trace, u64::from(boundary), root_leaf::<C>(root), state_path);
    }

    /// The model's header.
    pub fn header(&self) -> &ModelHeader {
        &self.header
    }

    /// Levels of one opening: 6 show 64 children.
    pub fn arity_log2(&self) -> u32 {
        self.arity_log2
    }

    /// The claim's terms.
    pub fn terms(&self) -> &ClaimTerms {
        &self.terms
    }

    /// How long the job lets the run be.
    pub fn length(&self) -> RunLength {
        self.length
    }

    /// The claim as a transaction's showings are checked against it, which builds on `from` if it says so.
    pub fn context<'a>(&'a self, from: Option<&'a Ask>) -> Context<'a> {
        let Self { terms, header, said, .. } = self;
        let (length, arity_log2) = (self.length, self.arity_log2);
        Context { terms, header, length, said, from, arity_log2 }
    }

    /// Committed root of a tree.
    pub fn root(&self, tree: &Tree) -> Option<Digest> {
        self.roots.get(tree).copied()
    }

    /// Hash of a known inner node or leaf.
    pub fn node(&self, tree: &Tree, depth: u32, index: u64) -> Option<Digest> {
        self.nodes.get(&(*tree, depth, index)).copied()
    }

    /// Whether a node was opened.
    pub fn is_opened(&self, tree: &Tree, depth: u32, index: u64) -> bool {
        self.opened.contains_key(&(*tree, depth, index))
    }

    /// Value id and tensor root at a position of a state.
    pub fn value(&self, iteration: u32, boundary: u32, position: u32) -> Option<(u32, Digest)> {
        self.values.get(&(iteration, boundary, position)).copied()
    }

    /// A layer that was shown.
    pub fn layer(&self, layer: u32) -> Option<&Layer> {
        self.layers.get(&layer)
    }

    /// An operator that was shown.
    pub fn operator(&self, operator: u32) -> Option<&Node> {
        self.operators.get(&operator)
    }

    /// A leaf of a tensor or of accumulators.
    pub fn leaf(&self, tree: &Tree, leaf: u64) -> Option<&LeafBytes> {
        self.leaves.get(&(*tree, leaf))
    }

    /// The shown layer that holds an operator, with its index.
    pub fn layer_of(&self, operator: u32) -> Option<(u32, &Layer)> {
        let mut layers = self.layers.iter();
        let (index, layer) = layers.find(|(_, layer)| layer.position(operator).is_some())?;
        Some((*index, layer))
    }

    /// Bits that the executor claims for an element, once its leaf is known.
    pub fn claimed_element(&self, iteration: u32, operator: u32, element: u64) -> Option<u64> {
        let output = &self.operator(operator)?.output;
        let (leaf, place) = output.locate(element)?;
        let bytes = self.leaf(&Tree::Tensor { iteration, operator }, leaf)?;
        leaf_element(output.element, bytes, place)
    }

    /// Leaves of running sums that were shown.
    pub fn shown_sums(&self) -> impl Iterator<Item = ShownSums<'_>> {
        self.leaves.iter().filter_map(|((tree, leaf), bytes)| {
            let Tree::Accumulators { iteration, operator, element } = *tree else {
                return None;
            };
            let Some(TreeKind::Tensor { kind }) = self.kind(tree) else {
                return None;
            };
            Some(ShownSums { iteration, operator, element, kind, leaf: *leaf, bytes })
        })
    }

    /// The operator that evidence is about, if it was shown.
    pub fn operator_of(&self, evidence: &Evidence) -> Option<&Node> {
        match evidence {
            Evidence::Step { operator, .. } | Evidence::Leaf { operator, .. } => {
                self.operator(*operator)
            }
            Evidence::Contradiction { .. }
            | Evidence::StateValue { .. }
            | Evidence::Link { .. }
            | Evidence::Entry { .. }
            | Evidence::Stop { .. } => None,
        }
    }

    /// Trees of which something beyond the root was opened, in the order of a descent.
    pub fn opened_trees(&self) -> impl Iterator<Item = Tree> {
        let trees: BTreeSet<Tree> = self.opened.keys().map(|(tree, ..)| *tree).collect();
        trees.into_iter()
    }

    /// Number of nodes that were opened.
    pub fn openings(&self) -> usize {
        self.opened.len()
    }

    /// The values that the model has live at a boundary, ascending, once the layer after it or the one
    /// before it was shown.
    pub fn live_values(&self, boundary: u32) -> Option<&[u32]> {
        if let Some(after) = self.layers.get(&boundary) {
            return Some(&after.live_in);
        }
        let before = self.layers.get(&boundary.checked_sub(1)?)?;
        Some(&before.live_out)
    }

    /// What a tree is of.
    pub fn kind(&self, tree: &Tree) -> Option<TreeKind> {
        let list = |count: usize| Some(TreeKind::List { count: u32::try_from(count).ok()? });
        let shown = match *tree {
            Tree::Sequence {} => Some(TreeKind::List { count: self.terms.iterations }),
            Tree::Trace { .. } => Some(TreeKind::List { count: self.header.state_count() }),
            Tree::State { boundary, .. } => {
                self.live_values(boundary).and_then(|live| list(live.len()))
            }
            Tree::Subtrace { layer, .. } => {
                self.layers.get(&layer).and_then(|layer| list(layer.operator_count as usize))
            }
            Tree::Tensor { operator, .. } => self
                .operators
                .get(&operator)
                .map(|node| TreeKind::Tensor { kind: node.output.clone() }),
            Tree::Accumulators { operator, .. } => {
                self.operators.get(&operator).and_then(TreeKind::of_accumulators)
            }
            Tree::Input { value, .. } => {
                let kind = self.header.inputs.get(value as usize);
                kind.map(|kind| TreeKind::Tensor { kind: kind.clone() })
            }
            Tree::Output { .. } => None,
        };
        shown.or_else(|| self.kinds.get(tree).cloned())
    }

    /// Siblings from a node up to the root of its tree, lowest first; `None` while one is not known.
    pub fn path(&self, tree: &Tree, depth: u32, index: u64) -> Option<Vec<Digest>> {
        self.path_to(tree, (depth, index), 0)
    }

    /// Siblings from a node up to its ancestor at a depth, lowest first; `None` while one is not known.
    pub fn path_to(
        &self,
        tree: &Tree,
        (depth, index): (u32, u64),
        until: u32,
    ) -> Option<Vec<Digest>> {
        let shape = self.kind(tree)?.shape()?;
        (0..depth.checked_sub(until)?)
            .map(|level| self.known_node(tree, &shape, depth - level, (index >> level) ^ 1))
            .collect()
    }

    /// Hash of a node that was shown, or that is padding.
    fn known_node(&self, tree: &Tree, shape: &TreeShape, depth: u32, index: u64) -> Option<Digest> {
        if shape.is_padding(depth, index) {
            return Some(empty_subtree::<C>(shape.depth().checked_sub(depth)?));
        }
        self.node(tree, depth, index)
    }

    /// Learns what a showing of an accepted transaction says.
    pub fn learn_showing(&mut self, showing: &Showing) {
        match showing {
            Showing::Layer { proof } => {
                self.layers.insert(proof.index, proof.layer.clone());
            }
            Showing::Operator { proof } => {
                self.operators.insert(proof.index, proof.node.clone());
            }
            Showing::SequenceLeaf { iteration, root, path } => {
                let tree = Tree::Sequence {};
                self.learn_path(&tree, u64::from(*iteration), root_leaf::<C>(root), path);
                self.learn_root(&tree, u64::from(*iteration), *root);
            }
            Showing::TraceLeaf { iteration, boundary, root, path } => {
                let tree = Tree::Trace { iteration: *iteration };
                self.learn_path(&tree, u64::from(*boundary), root_leaf::<C>(root), path);
                self.learn_root(&tree, u64::from(*boundary), *root);
            }
            Showing::StateLeaf { iteration, boundary, position, value, root, path } => {
                let tree = Tree::State { iteration: *iteration, boundary: *boundary };
                let leaf = state_leaf::<C>(*value, root);
                self.learn_path(&tree, u64::from(*position), leaf, path);
                self.values.insert((*iteration, *boundary, *position), (*value, *root));
            }
            Showing::SubtraceLeaf { iteration, layer, position, root, path } => {
                let tree = Tree::Subtrace { iteration: *iteration, layer: *layer };
                self.learn_path(&tree, u64::from(*position), root_leaf::<C>(root), path);
                self.learn_root(&tree, u64::from(*position), *root);
            }
            Showing::TensorLeaf { iteration, operator, leaf, bytes, path } => {
                let tree = Tree::Tensor { iteration: *iteration, operator: *operator };
                self.learn_path(&tree, *leaf, C::leaf(bytes), path);
                self.leaves.insert((tree, *leaf), *bytes);
            }
            // Of the job, not of the claim.
            Showing::Entry { .. } => {}
        }
    }

    /// Learns what an accepted ask was about.
    pub fn learn_ask(&mut self, ask: &Ask) {
        self.kinds.insert_first(*ask.tree(), || ask.kind().clone());
        if let Ask::Open { place } | Ask::Leaves { place } = ask {
            if place.depth == 0 {
                self.roots.insert(place.tree, place.hash);
            } else {
                self.nodes.insert((place.tree, place.depth, place.index), place.hash);
            }
        }
    }

    /// Learns what several showings of an accepted transaction say.
    pub fn learn_showings(&mut self, showings: &[Showing]) {
        showings.iter().for_each(|showing| self.learn_showing(showing));
    }

    /// Learns an accepted demand: what it shows, what it asks for, and the way up from there.
    pub fn learn_demand(&mut self, showings: &[Showing], ask: &Ask, path: &[Digest]) {
        self.learn_showings(showings);
        self.learn_ask(ask);
        if let (Ask::Open { place } | Ask::Leaves { place }, Some(shape)) =
            (ask, ask.kind().shape())
        {
            let node = (place.depth, place.index);
            self.learn_way(&place.tree, &shape, node, place.hash, path);
        }
    }

    /// Learns an accepted answer, and the root that it says, if the ask was to say one.
    pub fn learn_answer(&mut self, ask: &Ask, answer: &Answer, said: Option<Digest>) {
        self.learn_ask(ask);
        let tree = *ask.tree();
        if let Some(root) = said {
            self.said.entry(tree).or_insert(root);
            self.roots.insert(tree, root);
        }
        let Some((depth, indices)) = shown_places(ask, self.arity_log2) else {
            return;
        };
        let (from, index) = ask.node();
        self.opened.insert((tree, from, index), ());
        let hashes = answer.hashes::<C>();
        for (place, hash) in indices.iter().zip(&hashes) {
            self.nodes.insert((tree, depth, *place), *hash);
        }
        self.learn_inner(&tree, ask.kind(), (from, index), depth);
        for (position, place) in indices.iter().enumerate() {
            match answer {
                Answer::Hashes { .. } => {}
                Answer::Roots { roots } => {
                    if let Some(root) = roots.get(position) {
                        self.learn_root(&tree, *place, *root);
                    }
                }
                Answer::Values { values } => {
                    if let (Tree::State { iteration, boundary }, Some(entry)) =
                        (tree, values.get(position))
                    {
                        let at = u32::try_from(*place).unwrap_or(u32::MAX);
                        self.values.insert((iteration, boundary, at), *entry);
                    }
                }
                Answer::Leaves { leaves } => {
                    if let Some(bytes) = leaves.get(position) {
                        self.leaves.insert((tree, *place), *bytes);
                    }
                }
            }
        }
    }

    /// Computes the nodes between a node and a lower depth from those at the lower one.
    fn learn_inner(
        &mut self,
        tree: &Tree,
        kind: &TreeKind,
        (from, index): (u32, u64),
        reached: u32,
    ) {
        let Some(shape) = kind.shape() else {
            return;
        };
        for depth in (from..reached).rev() {
            // Below the node only, so that each answer costs its own size.
            let levels = depth + 1 - from;
            let first = index << levels;
            let last = first + ((1 << levels) - 1);
            let below = (*tree, depth + 1, first)..=(*tree, depth + 1, last);
            let parents: BTreeSet<u64> =
                self.nodes.range(below).map(|((.., index), _)| index >> 1).collect();
            for parent in parents {
                let child = |side| self.known_node(tree, &shape, depth + 1, 2 * parent + side);
                if let (Some(left), Some(right)) = (child(0), child(1))
                    && depth > 0
                {
                    self.nodes.insert((*tree, depth, parent), C::node(&left, &right));
                }
            }
        }
    }

    /// Learns the nodes on a path from a leaf up.
    fn learn_path(&mut self, tree: &Tree, index: u64, leaf: Digest, path: &[Digest]) {
        if let Some(shape) = self.kind(tree).and_then(|kind| kind.shape()) {
            self.learn_way(tree, &shape, (shape.depth(), index), leaf, path);
        }
    }

    /// Learns the nodes on the way from a node up.
    fn learn_way(
        &mut self,
        tree: &Tree,
        shape: &TreeShape,
        (depth, index): (u32, u64),
        node: Digest,
        path: &[Digest],
    ) {
        let (mut hash, mut at) = (node, index);
        for (level, sibling) in path.iter().enumerate() {
            let level = u32::try_from(level).ok();
            let Some(depth) = level.and_then(|level| depth.checked_sub(level)) else {
                return;
            };
            self.nodes.insert((*tree, depth, at), hash);
            if !shape.is_padding(depth, at ^ 1) {
                self.nodes.insert((*tree, depth, at ^ 1), *sibling);
            }
            hash = match at & 1 {
                0 => C::node(&hash, sibling),
                _ => C::node(sibling, &hash),
            };
            at >>= 1;
        }
    }

    /// A leaf of a sequence, trace or subtrace is itself the root of another tree.
    fn learn_root(&mut self, tree: &Tree, position: u64, root: Digest) {
        let Ok(position) = u32::try_from(position) else {
            return;
        };
        let below = match *tree {
            Tree::Sequence {} => Some(Tree::Trace { iteration: position }),
            Tree::Trace { iteration } => Some(Tree::State { iteration, boundary: position }),
            Tree::Subtrace { iteration, layer } => self.layers.get(&layer).map(|layer| {
                let operator = layer.first_operator.saturating_add(position);
                Tree::Tensor { iteration, operator }
            }),
            Tree::State { .. }
            | Tree::Tensor { .. }
            | Tree::Accumulators { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => None,
        };
        if let Some(below) = below {
            self.roots.insert(below, root);
        }
    }
}
