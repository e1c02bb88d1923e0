//! A tree of the challenger's own, of which it may have the first leaves only.

use protocol::hash::{Commitment, Digest};
use protocol::merkle::{Tree, TreeShape};

/// A tree of the challenger's own. Where a run has no result, leaves are missing from some place on: what is
/// above a missing leaf is not known, and differs from whatever somebody claims. Clones share the nodes.
#[derive(Clone, Debug)]
pub(crate) struct OwnTree<C: Commitment> {
    tree: Tree<C>,
    /// Leaves that there are: the first so many.
    known: u64,
}

impl<C: Commitment> OwnTree<C> {
    /// A tree with all its leaves.
    pub(crate) fn whole(tree: &Tree<C>) -> Self {
        Self { tree: tree.clone(), known: u64::MAX }
    }

    /// A tree with its first leaves.
    pub(crate) fn begun(tree: &Tree<C>, known: u64) -> Self {
        Self { tree: tree.clone(), known }
    }

    pub(crate) fn shape(&self) -> &TreeShape {
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
}
