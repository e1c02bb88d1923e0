//! The executor's trees, as far as what is known and the challenger's own trees tell.

use protocol::asks::{Tree, TreeKind};
use protocol::hash::{Commitment, Digest};
use protocol::knowledge::Knowledge;
use protocol::merkle::{self, TreeShape, empty_subtree};

use crate::own_tree::OwnTree;

/// A tree of the executor next to the challenger's own of the same shape.
#[derive(Clone, Debug)]
pub(super) struct Compared<'a, C: Commitment> {
    known: &'a Knowledge<C>,
    tree: Tree,
    /// What it does not have differs.
    own: OwnTree<C>,
    /// The executor's whole tree, where it was published.
    published: Option<merkle::Tree<C>>,
    /// Whether the whole trees are known to be equal.
    equal: bool,
}

/// Where a comparison has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descent {
    /// This node differs, and what is below it is not known.
    Below {
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

impl<'a, C: Commitment> Compared<'a, C> {
    /// The executor's tree with this committed root next to the challenger's own.
    pub(super) fn new(
        known: &'a Knowledge<C>,
        (tree, kind): (Tree, &TreeKind),
        claimed: Option<Digest>,
        own: OwnTree<C>,
    ) -> Self {
        let own_root = own.node(0, 0).and_then(|inner| tree.commit::<C>(kind, &inner));
        let equal = own_root.is_some() && own_root == claimed;
        Self { known, tree, own, published: None, equal }
    }

    /// With the executor's whole tree, if it was published under the claimed root.
    pub(super) fn published(self, published: Option<merkle::Tree<C>>) -> Self {
        Self { published, ..self }
    }

    pub(super) fn shape(&self) -> &TreeShape {
        self.own.shape()
    }

    /// Walks down what is known to the first difference. It only goes where both children of a node are known,
    /// so that a path leads back from wherever it gets to.
    pub(super) fn descend(&self) -> Descent {
        if self.equal {
            return Descent::Equal;
        }
        let (mut depth, mut index) = (0, 0);
        while depth < self.shape().depth() {
            let children = [index << 1, (index << 1) | 1];
            let [Some(left), Some(right)] = children.map(|child| self.node(depth + 1, child))
            else {
                return Descent::Below { depth, index };
            };
            let mut pairs = children.into_iter().zip([left, right]);
            let differs =
                pairs.find(|(child, hash)| self.own.node(depth + 1, *child) != Some(*hash));
            match differs {
                Some((child, _)) => (depth, index) = (depth + 1, child),
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

    /// The executor's hash at a node below the root, if it follows from what is known.
    pub(super) fn node(&self, depth: u32, index: u64) -> Option<Digest> {
        let shape = self.shape();
        if shape.is_padding(depth, index) {
            return Some(empty_subtree::<C>(shape.depth().checked_sub(depth)?));
        }
        if let Some(published) = &self.published {
            return published.node(depth, index);
        }
        if let Some(known) = self.known.node(&self.tree, depth, index) {
            return Some(known);
        }
        if self.equal || self.is_below_equal_node(depth, index) {
            return self.own.node(depth, index);
        }
        None
    }

    /// Whether an ancestor is known and equal to the challenger's own, so that all below is.
    fn is_below_equal_node(&self, depth: u32, index: u64) -> bool {
        (1..=depth).any(|above| {
            let ancestor = index >> (depth - above);
            let known = self.known.node(&self.tree, above, ancestor);
            known.is_some() && known == self.own.node(above, ancestor)
        })
    }

    /// Whether a leaf is known to be the challenger's own.
    pub(super) fn is_own_leaf(&self, leaf: u64) -> bool {
        let depth = self.shape().depth();
        let own = self.own.node(depth, leaf);
        // A tree of one leaf is its leaf.
        own.is_some() && (self.equal || (depth > 0 && own == self.node(depth, leaf)))
    }

    /// The executor's siblings from a node up to its ancestor at a depth, lowest first.
    pub(super) fn path(&self, depth: u32, index: u64, until: u32) -> Option<Vec<Digest>> {
        (0..depth.checked_sub(until)?)
            .map(|level| self.node(depth - level, (index >> level) ^ 1))
            .collect()
    }
}

#[cfg(test)]
mod tests;
