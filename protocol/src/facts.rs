//! What is publicly known of a claim: every opened node, leaf and accumulator list.
//!
//! Facts follow from the claim's own commitments, so each is true for every challenger and is
//! opened once for all. They grow in two ways: the executor *reveals* what was demanded, or a
//! challenger *shows* a path in data that was published.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::defects::{Defect, active};
use crate::graph::{Layer, ModelHeader, Node, state_leaf};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::law;
use crate::merkle::{TreeShape, climb, fold_opening, list_root};
pub use crate::openings::{Children, FactError, LeafProof, Request, Reveal, Showing, TreeId};
use crate::tensor::{LeafBytes, leaf_element};

/// Everything known of one claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts<C: Commitment = Keccak> {
    header: ModelHeader,
    arity_log2: u32,
    roots: BTreeMap<TreeId, Digest>,
    nodes: BTreeMap<(TreeId, u32, u64), Digest>,
    opened: BTreeSet<(TreeId, u32, u64)>,
    values: BTreeMap<(u32, u32), (u32, Digest)>,
    layers: BTreeMap<u32, Layer>,
    operators: BTreeMap<u32, Node>,
    leaves: BTreeMap<(u32, u64), LeafBytes>,
    accumulators: BTreeMap<(u32, u64), Vec<u64>>,
    commitment: PhantomData<C>,
}

/// What one showing added, so that it can be taken back when a later one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It was known already.
    Nothing,
    /// A layer.
    Layer(u32),
    /// An operator.
    Operator(u32),
    /// The root of a tree.
    Root(TreeId),
    /// A value of a state.
    Value(u32, u32),
    /// A leaf of an operator's output.
    Leaf(u32, u64),
}

impl<C: Commitment> Facts<C> {
    /// What is known when a claim is posted: the trace root and its two bound states.
    pub fn new(
        header: ModelHeader,
        arity_log2: u32,
        trace_root: Digest,
        input_root: Digest,
        output_root: Digest,
    ) -> Self {
        let last = header.layer_count;
        let roots = BTreeMap::from([
            (TreeId::Trace {}, trace_root),
            (TreeId::State { boundary: 0 }, input_root),
            (TreeId::State { boundary: last }, output_root),
        ]);
        Self {
            header,
            arity_log2,
            roots,
            nodes: BTreeMap::new(),
            opened: BTreeSet::new(),
            values: BTreeMap::new(),
            layers: BTreeMap::new(),
            operators: BTreeMap::new(),
            leaves: BTreeMap::new(),
            accumulators: BTreeMap::new(),
            commitment: PhantomData,
        }
    }

    /// The model's header.
    pub fn header(&self) -> &ModelHeader {
        &self.header
    }

    /// Levels of one opening.
    pub fn arity_log2(&self) -> u32 {
        self.arity_log2
    }

    /// Committed root of a tree.
    pub fn root(&self, tree: TreeId) -> Option<Digest> {
        self.roots.get(&tree).copied()
    }

    /// Value id and tensor root at a position of a state.
    pub fn value(&self, boundary: u32, position: u32) -> Option<(u32, Digest)> {
        self.values.get(&(boundary, position)).copied()
    }

    /// A layer that was shown.
    pub fn layer(&self, layer: u32) -> Option<&Layer> {
        self.layers.get(&layer)
    }

    /// The shown layer that holds an operator, with its index.
    pub fn layer_of(&self, operator: u32) -> Option<(u32, &Layer)> {
        self.layers
            .iter()
            .find(|(_, layer)| layer.position(operator).is_some())
            .map(|(index, layer)| (*index, layer))
    }

    /// An operator that was shown.
    pub fn operator(&self, operator: u32) -> Option<&Node> {
        self.operators.get(&operator)
    }

    /// Bytes of an opened leaf.
    pub fn leaf(&self, operator: u32, leaf: u64) -> Option<&LeafBytes> {
        self.leaves.get(&(operator, leaf))
    }

    /// Opened accumulators of an element.
    pub fn accumulators(&self, operator: u32, element: u64) -> Option<&[u64]> {
        self.accumulators.get(&(operator, element)).map(Vec::as_slice)
    }

    /// All opened accumulators: operator, element, words.
    pub fn all_accumulators(&self) -> impl Iterator<Item = (u32, u64, &[u64])> {
        self.accumulators
            .iter()
            .map(|((operator, element), words)| (*operator, *element, words.as_slice()))
    }

    /// Hash of a known inner node or leaf.
    pub fn node(&self, tree: TreeId, depth: u32, index: u64) -> Option<Digest> {
        self.nodes.get(&(tree, depth, index)).copied()
    }

    /// Trees of which something beyond the root was opened, in the order of a descent.
    pub fn opened_trees(&self) -> impl Iterator<Item = TreeId> {
        let trees: BTreeSet<TreeId> = self.opened.iter().map(|(tree, ..)| *tree).collect();
        trees.into_iter()
    }

    /// Number of things that were opened or shown about the claim's run.
    pub fn openings(&self) -> usize {
        self.opened.len() + self.leaves.len() + self.accumulators.len()
    }

    /// Shape of a tree, from the model.
    pub fn shape(&self, tree: TreeId) -> Option<TreeShape> {
        match tree {
            TreeId::Trace {} => TreeShape::list(u64::from(self.header.state_count())),
            TreeId::State { boundary } => {
                let before = boundary.checked_sub(1).and_then(|layer| self.layers.get(&layer));
                let live = match (self.layers.get(&boundary), before) {
                    (Some(layer), _) => &layer.live_in,
                    (None, Some(layer)) => &layer.live_out,
                    (None, None) => return None,
                };
                TreeShape::list(live.len() as u64)
            }
            TreeId::Subtrace { layer } => {
                TreeShape::list(u64::from(self.layers.get(&layer)?.operator_count))
            }
            TreeId::Tensor { operator } => self.operators.get(&operator)?.output.tree_shape(),
        }
    }

    /// Whether a node's hash is what was committed.
    fn is_committed(&self, tree: TreeId, depth: u32, index: u64, digest: &Digest) -> bool {
        if depth > 0 {
            return self.nodes.get(&(tree, depth, index)) == Some(digest);
        }
        let Some(shape) = self.shape(tree) else {
            return false;
        };
        let count = u32::try_from(shape.leaves()).unwrap_or(u32::MAX);
        let wrapped = match tree {
            TreeId::Trace {} => list_root::<C>(Tag::Trace, count, digest),
            TreeId::State { .. } => list_root::<C>(Tag::State, count, digest),
            TreeId::Subtrace { .. } => list_root::<C>(Tag::Subtrace, count, digest),
            TreeId::Tensor { operator } => match self.operators.get(&operator) {
                Some(node) => node.output.root_under::<C>(digest),
                None => return false,
            },
        };
        self.roots.get(&tree) == Some(&wrapped)
    }

    /// Whether the executor can be asked this.
    ///
    /// # Errors
    /// When the parent is not known, the index is outside, or the answer is already known.
    pub fn check_request(&self, request: &Request) -> Result<(), FactError> {
        self.check_place(request)?;
        match self.is_known(request) {
            true => Err(FactError::AlreadyOpen),
            false => Ok(()),
        }
    }

    /// Whether the answer to a request is known: it was given, or somebody showed it.
    fn is_known(&self, request: &Request) -> bool {
        match *request {
            Request::Node { tree, depth, index } => {
                self.opened.contains(&(tree, depth, index)) && !active(Defect::OpenedAgain)
            }
            Request::Subtrace { layer } => self.roots.contains_key(&TreeId::Subtrace { layer }),
            Request::Leaf { operator, leaf } => self.leaves.contains_key(&(operator, leaf)),
            Request::Accumulators { operator, element } => {
                self.accumulators.contains_key(&(operator, element))
            }
        }
    }

    /// Whether a request names a place under what is known.
    fn check_place(&self, request: &Request) -> Result<(), FactError> {
        match *request {
            Request::Node { tree, depth, index } => {
                let shape = self.shape(tree).ok_or(FactError::UnknownTree)?;
                self.roots.get(&tree).ok_or(FactError::UnknownTree)?;
                let at_bottom = depth >= shape.depth() && depth > 0;
                if shape.is_padding(depth, index) || at_bottom {
                    return Err(FactError::OutOfRange);
                }
                if depth > 0 && !self.nodes.contains_key(&(tree, depth, index)) {
                    return Err(FactError::UnknownNode);
                }
                Ok(())
            }
            Request::Subtrace { layer } => {
                self.layers.get(&layer).map(|_| ()).ok_or(FactError::UnknownTree)
            }
            Request::Leaf { operator, leaf } => {
                let tree = TreeId::Tensor { operator };
                let shape = self.shape(tree).ok_or(FactError::UnknownTree)?;
                self.roots.get(&tree).ok_or(FactError::UnknownTree)?;
                if shape.is_padding(shape.depth(), leaf) {
                    return Err(FactError::OutOfRange);
                }
                let known = self.nodes.contains_key(&(tree, shape.depth(), leaf));
                if shape.depth() > 0 && !known { Err(FactError::UnknownNode) } else { Ok(()) }
            }
            Request::Accumulators { operator, element } => {
                let node = self.operators.get(&operator).ok_or(FactError::UnknownTree)?;
                law::check(node).map_err(|_| FactError::NotOfModel)?;
                if law::run_count(node) < 2 {
                    return Err(FactError::WrongLength);
                }
                self.claimed_element(operator, element).map(|_| ())
            }
        }
    }

    /// The element that the executor claims, once its leaf is open.
    ///
    /// # Errors
    /// When the operator was not shown or the leaf is not open.
    pub fn claimed_element(&self, operator: u32, element: u64) -> Result<u64, FactError> {
        let node = self.operators.get(&operator).ok_or(FactError::UnknownTree)?;
        let (leaf, place) = node.output.locate(element).ok_or(FactError::OutOfRange)?;
        let bytes = self.leaves.get(&(operator, leaf)).ok_or(FactError::UnknownNode)?;
        leaf_element(node.output.element, bytes, place).ok_or(FactError::OutOfRange)
    }

    /// Records the executor's answer. What is known already may be said again, by the same words: who
    /// was asked must be able to answer, whatever others have shown meanwhile.
    ///
    /// # Errors
    /// When the answer does not fit the request, does not hash to the commitment, or is another one
    /// than was given before; nothing changes.
    pub fn reveal(&mut self, request: &Request, reveal: &Reveal) -> Result<(), FactError> {
        self.check_place(request)?;
        match (*request, reveal) {
            (Request::Node { tree, depth, index }, Reveal::Node { children }) => {
                self.open_node(tree, depth, index, children)
            }
            (Request::Subtrace { layer }, Reveal::Subtrace { root, children }) => {
                let tree = TreeId::Subtrace { layer };
                // The first answer binds.
                if let Some(said) = self.roots.get(&tree) {
                    return match said == root {
                        true => self.open_node(tree, 0, 0, children),
                        false => Err(FactError::Mismatch),
                    };
                }
                self.roots.insert(tree, *root);
                let opened = self.open_node(tree, 0, 0, children);
                if opened.is_err() {
                    self.roots.remove(&tree);
                }
                opened
            }
            (Request::Leaf { operator, leaf }, Reveal::Leaf { bytes }) => {
                let tree = TreeId::Tensor { operator };
                let depth = self.shape(tree).ok_or(FactError::UnknownTree)?.depth();
                if !self.is_committed(tree, depth, leaf, &C::leaf(bytes)) {
                    return Err(FactError::Mismatch);
                }
                self.leaves.insert((operator, leaf), *bytes);
                Ok(())
            }
            (Request::Accumulators { operator, element }, Reveal::Accumulators { words }) => {
                self.open_accumulators(operator, element, words)
            }
            _ => Err(FactError::WrongKind),
        }
    }

    fn open_node(
        &mut self,
        tree: TreeId,
        depth: u32,
        index: u64,
        children: &Children,
    ) -> Result<(), FactError> {
        let shape = self.shape(tree).ok_or(FactError::UnknownTree)?;
        let reached = depth + shape.opening_levels(depth, self.arity_log2);
        let at_leaves = reached == shape.depth() && !matches!(tree, TreeId::Tensor { .. });
        let hashes: Vec<Digest> = match (children, tree, at_leaves) {
            (Children::Hashes { hashes }, _, false) => hashes.clone(),
            (Children::Roots { roots }, TreeId::Trace {} | TreeId::Subtrace { .. }, true) => {
                roots.iter().map(|root| C::leaf(&root.0)).collect()
            }
            (Children::Values { values }, TreeId::State { .. }, true) => {
                values.iter().map(|(value, root)| state_leaf::<C>(*value, root)).collect()
            }
            _ => return Err(FactError::WrongKind),
        };
        let folded = fold_opening::<C>(&shape, depth, index, self.arity_log2, &hashes)
            .ok_or(FactError::WrongLength)?;
        if !self.is_committed(tree, depth, index, &folded) && !active(Defect::OpeningsNotChecked) {
            return Err(FactError::Mismatch);
        }
        self.opened.insert((tree, depth, index));
        let indices = shape.opened_indices(depth, index, self.arity_log2);
        for (place, (child, digest)) in indices.iter().zip(hashes).enumerate() {
            if reached > 0 {
                self.nodes.insert((tree, reached, *child), digest);
            }
            match children {
                Children::Hashes { .. } => {}
                Children::Roots { roots } => {
                    if let Some(root) = roots.get(place) {
                        self.learn_root(tree, *child as u32, *root);
                    }
                }
                Children::Values { values } => {
                    if let (TreeId::State { boundary }, Some(entry)) = (tree, values.get(place)) {
                        self.values.insert((boundary, *child as u32), *entry);
                    }
                }
            }
        }
        Ok(())
    }

    /// A leaf of the trace or of a subtrace is itself the root of another tree: which one, and
    /// whether its root was not known before.
    fn learn_root(&mut self, tree: TreeId, position: u32, root: Digest) -> Option<(TreeId, bool)> {
        let below = match tree {
            TreeId::Trace {} => Some(TreeId::State { boundary: position }),
            TreeId::Subtrace { layer } => self.layers.get(&layer).map(|layer| TreeId::Tensor {
                operator: layer.first_operator.saturating_add(position),
            }),
            TreeId::State { .. } | TreeId::Tensor { .. } => None,
        }?;
        Some((below, self.roots.insert(below, root).is_none()))
    }

    fn open_accumulators(
        &mut self,
        operator: u32,
        element: u64,
        words: &[u64],
    ) -> Result<(), FactError> {
        let node = self.operators.get(&operator).ok_or(FactError::UnknownTree)?;
        let width = law::state_words(node);
        if words.len() as u64 != law::run_count(node).saturating_mul(width as u64) {
            return Err(FactError::WrongLength);
        }
        // Whether they end in the claimed element is a step of its own, for the referee. The first
        // answer binds.
        match self.accumulators.get(&(operator, element)) {
            Some(said) if said.as_slice() != words => Err(FactError::Mismatch),
            Some(_) => Ok(()),
            None => {
                self.accumulators.insert((operator, element), words.to_vec());
                Ok(())
            }
        }
    }

    /// Checks a path from a leaf up to a node that is already known.
    fn check_path(
        &self,
        tree: TreeId,
        index: u64,
        leaf: Digest,
        path: &[Digest],
    ) -> Result<(), FactError> {
        let shape = self.shape(tree).ok_or(FactError::UnknownTree)?;
        if shape.is_padding(shape.depth(), index) {
            return Err(FactError::OutOfRange);
        }
        let (digest, depth, index) =
            climb::<C>(shape.depth(), index, leaf, path).ok_or(FactError::OutOfRange)?;
        match self.is_committed(tree, depth, index, &digest) {
            true => Ok(()),
            false => Err(FactError::Mismatch),
        }
    }

    /// Records what a challenger shows by itself; says what it added.
    ///
    /// # Errors
    /// When the path does not lead to something known; nothing changes.
    pub fn show(&mut self, showing: &Showing) -> Result<Shown, FactError> {
        Ok(match showing {
            Showing::Layer { proof } => {
                if self.layers.get(&proof.index) == Some(&proof.layer) {
                    return Ok(Shown::Nothing);
                }
                if !proof.verify::<C>(&self.header) {
                    return Err(FactError::NotOfModel);
                }
                self.layers.insert(proof.index, proof.layer.clone());
                Shown::Layer(proof.index)
            }
            Showing::Operator { proof } => {
                if self.operators.get(&proof.index) == Some(&proof.node) {
                    return Ok(Shown::Nothing);
                }
                if !proof.verify::<C>(&self.header) || law::check(&proof.node).is_err() {
                    return Err(FactError::NotOfModel);
                }
                self.operators.insert(proof.index, proof.node.clone());
                Shown::Operator(proof.index)
            }
            Showing::TraceLeaf { boundary, root, path } => {
                let (tree, index) = (TreeId::Trace {}, u64::from(*boundary));
                self.check_path(tree, index, C::leaf(&root.0), path)?;
                self.show_root(tree, *boundary, *root)
            }
            Showing::StateLeaf { boundary, position, value, root, path } => {
                let tree = TreeId::State { boundary: *boundary };
                self.check_path(tree, u64::from(*position), state_leaf::<C>(*value, root), path)?;
                match self.values.insert((*boundary, *position), (*value, *root)) {
                    None => Shown::Value(*boundary, *position),
                    Some(_) => Shown::Nothing,
                }
            }
            Showing::SubtraceLeaf { layer, position, root, path } => {
                let tree = TreeId::Subtrace { layer: *layer };
                self.check_path(tree, u64::from(*position), C::leaf(&root.0), path)?;
                self.show_root(tree, *position, *root)
            }
            Showing::TensorLeaf { operator, leaf, bytes, path } => {
                let tree = TreeId::Tensor { operator: *operator };
                self.check_path(tree, *leaf, C::leaf(bytes), path)?;
                match self.leaves.insert((*operator, *leaf), *bytes) {
                    None => Shown::Leaf(*operator, *leaf),
                    Some(_) => Shown::Nothing,
                }
            }
        })
    }

    fn show_root(&mut self, tree: TreeId, position: u32, root: Digest) -> Shown {
        match self.learn_root(tree, position, root) {
            Some((below, true)) => Shown::Root(below),
            Some((_, false)) | None => Shown::Nothing,
        }
    }

    /// Takes back what showings added, the last one first.
    pub fn take_back(&mut self, shown: &[Shown]) {
        for one in shown.iter().rev() {
            match one {
                Shown::Nothing => {}
                Shown::Layer(layer) => drop(self.layers.remove(layer)),
                Shown::Operator(operator) => drop(self.operators.remove(operator)),
                Shown::Root(tree) => drop(self.roots.remove(tree)),
                Shown::Value(boundary, position) => {
                    self.values.remove(&(*boundary, *position));
                }
                Shown::Leaf(operator, leaf) => {
                    self.leaves.remove(&(*operator, *leaf));
                }
            }
        }
    }
}
