//! The executor's trees, as far as facts and the challenger's own trees tell.

use protocol::facts::{Facts, TreeId};
use protocol::hash::{Commitment, Digest};
use protocol::merkle::empty_subtree;

use crate::own_tree::OwnTree;

/// A tree of the executor next to the challenger's own of the same shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared<'a, C: Commitment> {
    pub(super) facts: &'a Facts<C>,
    pub(super) id: TreeId,
    /// What it does not have differs.
    pub(super) own: OwnTree<'a, C>,
    /// Whether the whole trees are known to be equal.
    pub(super) equal: bool,
}

/// Where a comparison has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descent {
    /// This node differs and must be opened.
    Open {
        /// Depth of the node.
        depth: u32,
        /// Index of the node.
        index: u64,
    },
    /// This leaf is the first that differs.
    Leaf(u64),
    /// Nothing differs.
    Equal,
}

impl<C: Commitment> Compared<'_, C> {
    /// Walks down the opened nodes to the first difference.
    pub(super) fn descend(&self) -> Descent {
        if self.equal {
            return Descent::Equal;
        }
        let shape = self.own.shape();
        let (mut depth, mut index) = (0, 0);
        while depth < shape.depth() {
            let levels = shape.opening_levels(depth, self.facts.arity_log2());
            let reached = depth + levels;
            let children = shape.opened_indices(depth, index, self.facts.arity_log2());
            let opened = children
                .first()
                .is_some_and(|first| self.facts.node(self.id, reached, *first).is_some());
            if !opened {
                return Descent::Open { depth, index };
            }
            let differs = children.into_iter().find(|child| {
                self.facts.node(self.id, reached, *child) != self.own.node(reached, *child)
            });
            match differs {
                Some(child) => (depth, index) = (reached, child),
                // The parent differs and no child does: only a broken ledger shows this.
                None => {
                    #[cfg(test)]
                    cov_mark::hit!(no_child_differs);
                    return Descent::Equal;
                }
            }
        }
        Descent::Leaf(index)
    }

    /// The executor's hash at a node, if it follows from what is known.
    pub(super) fn resolve(&self, depth: u32, index: u64) -> Option<Digest> {
        let shape = self.own.shape();
        if shape.is_padding(depth, index) {
            return Some(empty_subtree::<C>(shape.depth().checked_sub(depth)?));
        }
        if let Some(known) = self.facts.node(self.id, depth, index) {
            return Some(known);
        }
        if self.equal || self.below_equal_node(depth, index) {
            return self.own.node(depth, index);
        }
        if depth >= shape.depth() {
            #[cfg(test)]
            cov_mark::hit!(leaf_is_not_known);
            return None;
        }
        let left = self.resolve(depth + 1, index << 1)?;
        let right = self.resolve(depth + 1, (index << 1) | 1)?;
        Some(C::node(&left, &right))
    }

    /// Whether an ancestor is known and equal to the challenger's own, so that all below is.
    fn below_equal_node(&self, depth: u32, index: u64) -> bool {
        (1..=depth).any(|above| {
            let ancestor = index >> (depth - above);
            let known = self.facts.node(self.id, above, ancestor);
            known.is_some() && known == self.own.node(above, ancestor)
        })
    }

    /// The executor's full path from a leaf to the root.
    pub(super) fn path(&self, leaf: u64) -> Option<Vec<Digest>> {
        let depth = self.own.shape().depth();
        (0..depth).map(|level| self.resolve(depth - level, (leaf >> level) ^ 1)).collect()
    }
}

#[cfg(test)]
mod tests;
