//! What is publicly known of a claim: every opened node, leaf and accumulator list.
//!
//! Facts follow from the claim's own commitments, so each is true for every challenger and is
//! opened once for all. They grow in two ways: the executor *reveals* what was demanded, or a
//! challenger *shows* a path in data that was published.

mod request;
mod reveal;
mod show;

pub use show::Shown;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::graph::{Layer, ModelHeader, Node};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::merkle::{TreeShape, list_root};
pub use crate::openings::{Children, FactError, LeafProof, Request, Reveal, Showing, TreeId};
use crate::tensor::LeafBytes;

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

    /// Levels of one opening: 6 show 64 children.
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

    /// The values that the model has live at a boundary, ascending, once the layer after it or the one
    /// before it was shown.
    pub fn live_values(&self, boundary: u32) -> Option<&[u32]> {
        if let Some(after) = self.layers.get(&boundary) {
            return Some(&after.live_in);
        }
        let before = self.layers.get(&boundary.checked_sub(1)?)?;
        Some(&before.live_out)
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

    /// Number of nodes, leaves and accumulator lists of the claim's run that were opened or shown.
    pub fn openings(&self) -> usize {
        self.opened.len() + self.leaves.len() + self.accumulators.len()
    }

    /// Shape of a tree, from the model.
    pub fn shape(&self, tree: TreeId) -> Option<TreeShape> {
        match tree {
            TreeId::Trace {} => TreeShape::list(u64::from(self.header.state_count())),
            TreeId::State { boundary } => TreeShape::list(self.live_values(boundary)?.len() as u64),
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
}
