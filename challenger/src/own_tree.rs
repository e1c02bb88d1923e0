//! A tree of the challenger's own, of which it may have the first leaves only.

use std::sync::Arc;

use inference::SequenceRun;
use protocol::hash::{Commitment, Digest};
use protocol::merkle::{Tree, TreeShape};

/// A tree of the challenger's own. Where a run has no result, leaves are missing from some place on: what is
/// above a missing leaf is not known, and differs from whatever somebody claims. Clones share the nodes.
#[derive(Clone, Debug)]
pub(crate) enum OwnTree<C: Commitment> {
    /// A tree of which there are the first so many leaves.
    Tree(Tree<C>, u64),
    /// A list that begins with the iterations of a run.
    Sequence(Arc<SequenceRun<C>>, TreeShape),
}

impl<C: Commitment> OwnTree<C> {
    /// A tree with all its leaves.
    pub(crate) fn whole(tree: &Tree<C>) -> Self {
        Self::Tree(tree.clone(), u64::MAX)
    }

    /// A tree with its first leaves.
    pub(crate) fn begun(tree: &Tree<C>, known: u64) -> Self {
        Self::Tree(tree.clone(), known)
    }

    /// The list of so many iterations that begins with those of a run. It is never built: a claim may have many more
    /// than the run.
    pub(crate) fn of_sequence(run: &Arc<SequenceRun<C>>, iterations: u32) -> Option<Self> {
        let shape = TreeShape::list(u64::from(iterations))?;
        Some(Self::Sequence(Arc::clone(run), shape))
    }

    pub(crate) fn shape(&self) -> &TreeShape {
        match self {
            Self::Tree(tree, _) => tree.shape(),
            Self::Sequence(_, shape) => shape,
        }
    }

    /// The hash of a node above leaves that there are, or above padding.
    pub(crate) fn node(&self, depth: u32, index: u64) -> Option<Digest> {
        let (tree, known) = match self {
            Self::Tree(tree, known) => (tree, *known),
            Self::Sequence(run, shape) => return run.node(shape, depth, index),
        };
        let levels = tree.shape().depth().checked_sub(depth)?;
        let first = index.checked_shl(levels)?;
        // Padding is everybody's.
        let is_missing = |leaf: &u64| !tree.shape().is_padding(tree.shape().depth(), *leaf);
        let end = first.checked_add(1_u64.checked_shl(levels)?)?;
        let missing = known.max(first)..end;
        if missing.clone().next().is_some_and(|leaf| is_missing(&leaf)) {
            return None;
        }
        tree.node(depth, index)
    }
}
