//! What the executor can be asked, given what is known.

use super::{FactError, Facts, Request, TreeId};
use crate::hash::Commitment;
use crate::law;
use crate::tensor::leaf_element;

impl<C: Commitment> Facts<C> {
    /// Whether the executor can be asked this.
    ///
    /// # Errors
    /// When the parent is not known, the index is outside, or the answer is already known.
    pub fn check_request(&self, request: &Request) -> Result<(), FactError> {
        self.check_place(request)?;
        if self.is_known(request) { Err(FactError::AlreadyOpen) } else { Ok(()) }
    }

    /// Whether the answer to a request is known: it was given, or somebody showed it.
    fn is_known(&self, request: &Request) -> bool {
        match *request {
            Request::Node { tree, depth, index } => self.opened.contains(&(tree, depth, index)),
            Request::Subtrace { layer } => self.roots.contains_key(&TreeId::Subtrace { layer }),
            Request::Leaf { operator, leaf } => self.leaves.contains_key(&(operator, leaf)),
            Request::Accumulators { operator, element } => {
                self.accumulators.contains_key(&(operator, element))
            }
        }
    }

    /// Whether a request names a place under what is known.
    pub(super) fn check_place(&self, request: &Request) -> Result<(), FactError> {
        match *request {
            Request::Node { tree, depth, index } => {
                let shape = self.shape(tree).ok_or(FactError::UnknownTree)?;
                self.roots.get(&tree).ok_or(FactError::UnknownTree)?;
                let at_bottom = depth >= shape.depth() && depth > 0;
                if shape.is_padding(depth, index) || at_bottom {
                    return Err(FactError::OutOfRange);
                }
                if depth > 0 && !self.nodes.contains_key(&(tree, depth, index)) {
                    return Err(FactError::UnknownNode);
                }
                Ok(())
            }
            Request::Subtrace { layer } => {
                self.layers.get(&layer).map(|_| ()).ok_or(FactError::UnknownTree)
            }
            Request::Leaf { operator, leaf } => {
                let tree = TreeId::Tensor { operator };
                let shape = self.shape(tree).ok_or(FactError::UnknownTree)?;
                self.roots.get(&tree).ok_or(FactError::UnknownTree)?;
                if shape.is_padding(shape.depth(), leaf) {
                    return Err(FactError::OutOfRange);
                }
                let known = self.nodes.contains_key(&(tree, shape.depth(), leaf));
                if shape.depth() > 0 && !known { Err(FactError::UnknownNode) } else { Ok(()) }
            }
            Request::Accumulators { operator, element } => {
                let node = self.operators.get(&operator).ok_or(FactError::UnknownTree)?;
                let node = law::check(node).map_err(|_| FactError::NotOfModel)?;
                if law::segment_count(node) < 2 {
                    return Err(FactError::WrongLength);
                }
                self.claimed_element(operator, element).map(|_| ())
            }
        }
    }

    /// The element that the executor claims, once its leaf is open.
    ///
    /// # Errors
    /// When the operator was not shown, the leaf is not open, or the output has no such element.
    pub fn claimed_element(&self, operator: u32, element: u64) -> Result<u64, FactError> {
        let node = self.operators.get(&operator).ok_or(FactError::UnknownTree)?;
        let (leaf, place) = node.output.locate(element).ok_or(FactError::OutOfRange)?;
        let bytes = self.leaves.get(&(operator, leaf)).ok_or(FactError::UnknownNode)?;
        leaf_element(node.output.element, bytes, place).ok_or(FactError::OutOfRange)
    }
}
