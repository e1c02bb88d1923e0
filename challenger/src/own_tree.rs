//! A tree of the challenger's own, of which it may have the first leaves only.

use protocol::hash::{Commitment, Digest};
use protocol::merkle::{Tree, TreeShape};

/// A tree of the challenger's own. Where a run has no result, leaves are missing from some place on: what is
/// above a missing leaf is not known, and differs from whatever somebody claims.
#[derive(Debug)]
pub(crate) struct OwnTree<'a, C: Commitment> {
    tree: &'a Tree<C>,
    /// Leaves that there are: the first so many.
    known: u64,
}

impl<C: Commitment> Clone for OwnTree<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Commitment> Copy for OwnTree<'_, C> {}

impl<'a, C: Commitment> OwnTree<'a, C> {
    /// A tree with all its leaves.
    pub(crate) fn whole(tree: &'a Tree<C>) -> Self {
        Self { tree, known: u64::MAX }
    }

    /// A tree with its first leaves.
    pub(crate) fn begun(tree: &'a Tree<C>, known: u64) -> Self {
        Self { tree, known }
    }

    pub(crate) fn shape(&self) -> &'a TreeShape {
        self.tree.shape()
    }

    /// The hash of a node above leaves that there are, or above padding.
    pub(crate) fn node(&self, depth: u32, index: u64) -> Option<Digest> {
        let levels = self.shape().depth().checked_sub(depth)?;
        let first = index.checked_shl(levels)?;
        // Padding is everybody's.
        let is_missing = |leaf: &u64| !self.shape().is_padding(self.shape().depth(), *leaf);
        let end = first.checked_add(1_u64.checked_shl(levels)?)?;
        let missing = self.known.max(first)..end;
        if missing.clone().next().is_some_and(|leaf| is_missing(&leaf)) {
            return None;
        }
        self.tree.node(depth, index)
    }

    /// The path of a leaf as far up as its siblings are known.
    pub(crate) fn begun_path(&self, leaf: u64) -> Vec<Digest> {
        let depth = self.shape().depth();
        let sibling = |level: u32| self.node(depth.checked_sub(level)?, (leaf >> level) ^ 1);
        (0..depth).map_while(sibling).collect()
    }
}
