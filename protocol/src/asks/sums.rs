//! The running sums of one element as the tensor that its executor commits to.

use alloc::vec::Vec;

use super::TreeKind;
use crate::graph::Node;
use crate::hash::{Commitment, Digest, Keccak};
use crate::merkle::Tree;
use crate::tensor::{LeafBytes, TensorType, pack_leaf};

/// The states after each segment of one element: a row of words of the output's element type.
#[derive(Clone, Debug)]
pub struct Sums<C: Commitment = Keccak> {
    kind: TensorType,
    leaves: Vec<LeafBytes>,
    tree: Tree<C>,
}

impl<C: Commitment> Sums<C> {
    /// From the states after each segment, one after the other.
    ///
    /// Returns `None` unless they are as many as the operator has, and for an operator of one segment, which has
    /// none.
    pub fn new(node: &Node, words: &[u64]) -> Option<Self> {
        let Some(TreeKind::Tensor { kind }) = TreeKind::of_accumulators(node) else {
            return None;
        };
        if kind.shape.count() != words.len() as u64 {
            return None;
        }
        let per_leaf = usize::try_from(kind.element.leaf_elements()).ok()?;
        let leaves: Vec<LeafBytes> = words
            .chunks(per_leaf)
            .map(|chunk| pack_leaf(kind.element, chunk.iter().copied()))
            .collect();
        let hashes: Vec<Digest> = leaves.iter().map(|bytes| C::leaf(bytes)).collect();
        let tree = Tree::new(kind.tree_shape()?, &hashes)?;
        Some(Self { kind, leaves, tree })
    }

    /// What they are.
    pub fn kind(&self) -> &TensorType {
        &self.kind
    }

    /// The tree of their leaves.
    pub fn tree(&self) -> &Tree<C> {
        &self.tree
    }

    /// The bytes of a leaf; `None` for padding.
    pub fn leaf(&self, position: u64) -> Option<&LeafBytes> {
        self.leaves.get(usize::try_from(position).ok()?)
    }
}
