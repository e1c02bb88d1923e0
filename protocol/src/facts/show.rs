//! What a challenger shows by itself, and how it is taken back.

use super::{FactError, Facts, Showing, TreeId};
use crate::hash::{Commitment, Digest};
use crate::law;
use crate::merkle::climb;
use crate::roots::{root_leaf, state_leaf};

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
        if self.is_committed(tree, depth, index, &digest) {
            Ok(())
        } else {
            Err(FactError::Mismatch)
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
                self.check_path(tree, index, root_leaf::<C>(root), path)?;
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
                self.check_path(tree, u64::from(*position), root_leaf::<C>(root), path)?;
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
