//! What the executor answers, and what becomes known by it.

use alloc::vec::Vec;

use super::{Children, FactError, Facts, Request, Reveal, TreeId};
use crate::hash::{Commitment, Digest};
use crate::law;
use crate::merkle::fold_opening;
use crate::roots::{root_leaf, state_leaf};

impl<C: Commitment> Facts<C> {
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
                    return if said == root {
                        self.open_node(tree, 0, 0, children)
                    } else {
                        Err(FactError::Mismatch)
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
                roots.iter().map(root_leaf::<C>).collect()
            }
            (Children::Values { values }, TreeId::State { .. }, true) => {
                values.iter().map(|(value, root)| state_leaf::<C>(*value, root)).collect()
            }
            _ => return Err(FactError::WrongKind),
        };
        let folded = fold_opening::<C>(&shape, depth, index, self.arity_log2, &hashes)
            .ok_or(FactError::WrongLength)?;
        if !self.is_committed(tree, depth, index, &folded) {
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
    pub(super) fn learn_root(
        &mut self,
        tree: TreeId,
        position: u32,
        root: Digest,
    ) -> Option<(TreeId, bool)> {
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
        let node = law::check(node).map_err(|_| FactError::NotOfModel)?;
        let width = law::state_words(node);
        if words.len() as u64 != law::segment_count(node).saturating_mul(width as u64) {
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
}
