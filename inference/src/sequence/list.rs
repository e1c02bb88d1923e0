//! The list of a run's trace roots.

use protocol::hash::{Commitment, Digest, Keccak, Tag};
use protocol::merkle::{ListTree, TreeShape, empty_subtree, list_root};
use protocol::roots::sequence_tree;

/// The list of a run's trace roots. Clones share it.
#[derive(Clone, Debug)]
pub struct TraceList<C: Commitment = Keccak> {
    tree: ListTree<C>,
    count: u64,
}

impl<C: Commitment> TraceList<C> {
    /// `None` for no root.
    pub(super) fn new(trace_roots: &[Digest]) -> Option<Self> {
        Some(Self { tree: sequence_tree(trace_roots)?, count: trace_roots.len() as u64 })
    }

    /// Its tree.
    pub fn tree(&self) -> &ListTree<C> {
        &self.tree
    }

    /// A node of the tree of a list of this shape that begins with this one; `None` where something stands below it
    /// that this one does not have. It takes as many steps as the tree has levels, however long the list is.
    pub fn node(&self, shape: &TreeShape, depth: u32, index: u64) -> Option<Digest> {
        let levels = shape.depth().checked_sub(depth)?;
        if shape.is_padding(depth, index) {
            return Some(empty_subtree::<C>(levels));
        }
        let first = index.checked_shl(levels)?;
        let end = first.checked_add(1u64.checked_shl(levels)?)?;
        if end.min(shape.leaves()) > self.count {
            return None;
        }
        // Where the other list ends within, this one's own nodes hold more than it has.
        if end <= self.count.min(shape.leaves()) {
            let tree = self.tree.tree();
            return tree.node(tree.shape().depth().checked_sub(levels)?, index);
        }
        // What is there ends below this node: all beyond is padding, which the right side has.
        let child =
            |side: u64| self.node(shape, depth.checked_add(1)?, index.checked_mul(2)? | side);
        Some(C::node(&child(0)?, &child(1)?))
    }

    /// Root of the sequence of its first iterations; `None` where it has fewer.
    pub fn root_of_first(&self, iterations: u32) -> Option<Digest> {
        let inner = self.node(&TreeShape::list(u64::from(iterations))?, 0, 0)?;
        Some(list_root::<C>(Tag::Sequence, iterations, &inner))
    }
}
