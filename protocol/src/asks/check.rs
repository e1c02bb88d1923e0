//! Whether something can be asked.

use super::{Ask, AskError, Place, Proven, Tree, TreeKind};
use crate::hash::{Commitment, Digest};

/// What an ask counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Whether it is about an input or output of the run, or the states that hold them.
    pub is_end: bool,
    /// Demand fees that it costs.
    pub fees: u64,
}

/// Limits of what can be asked, from a ledger's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Levels of one opening.
    pub arity_log2: u32,
    /// Levels of leaves of an operator's output that one ask shows.
    pub leaf_log2: u32,
    /// Levels of leaves of an input or output that one ask shows.
    pub end_log2: u32,
    /// Deepest tree of an input or output that can be asked for.
    pub end_depth_max: u32,
}

impl Asking {
    /// Whether the executor can be asked this, given what the transaction proves; `path` leads from the
    /// asked place up to a root or to the place that was asked last. Says what it counts as.
    ///
    /// # Errors
    /// What the challenger must show or change.
    pub fn check<C: Commitment>(
        &self,
        proven: &Proven<'_>,
        ask: &Ask,
        path: &[Digest],
    ) -> Result<Cost, AskError> {
        match ask {
            Ask::Open { place } => {
                let depth = self.check_place::<C>(proven, place, path)?;
                let is_list = match place.kind {
                    TreeKind::List { .. } => true,
                    TreeKind::Tensor { .. } => false,
                };
                if place.depth < depth || (depth == 0 && is_list) {
                    Ok(Cost { is_end: self.is_end(proven, &place.tree), fees: 1 })
                } else {
                    Err(AskError::OutOfRange)
                }
            }
            Ask::Leaves { place } => self.check_leaves::<C>(proven, place, path),
            Ask::Say { tree, kind } => {
                proven.check_bounds(tree)?;
                if !path.is_empty() {
                    return Err(AskError::WrongLength);
                }
                if !tree.is_said() {
                    return Err(AskError::WrongKind);
                }
                if proven.kind(tree).as_ref() != Some(kind) {
                    return Err(AskError::Shape);
                }
                // The operator tells how many elements there are.
                if let Tree::Accumulators { operator, .. } = tree
                    && proven.operator(*operator).is_none()
                {
                    return Err(AskError::Shape);
                }
                match proven.root(tree) {
                    Some(_) => Err(AskError::AlreadyOpen),
                    None => Ok(Cost { is_end: false, fees: 1 }),
                }
            }
        }
    }

    fn check_leaves<C: Commitment>(
        &self,
        proven: &Proven<'_>,
        place: &Place,
        path: &[Digest],
    ) -> Result<Cost, AskError> {
        let depth = self.check_place::<C>(proven, place, path)?;
        if let TreeKind::List { .. } = place.kind {
            return Err(AskError::WrongKind);
        }
        let is_end = place.tree.is_end();
        let levels = depth.saturating_sub(place.depth);
        let most = if is_end { self.end_log2 } else { self.leaf_log2 };
        if levels > most {
            return Err(AskError::OutOfRange);
        }
        let fees = 1u64.checked_shl(levels.saturating_sub(self.leaf_log2)).unwrap_or(u64::MAX);
        Ok(Cost { is_end, fees: if is_end { fees } else { 1 } })
    }

    /// Whether a place is what was committed; returns the depth of its tree.
    fn check_place<C: Commitment>(
        &self,
        proven: &Proven<'_>,
        place: &Place,
        path: &[Digest],
    ) -> Result<u32, AskError> {
        let Place { tree, kind, depth, index, hash } = place;
        proven.check_bounds(tree)?;
        if proven.kind(tree).as_ref() != Some(kind) {
            return Err(AskError::Shape);
        }
        proven.check_path::<C>(tree, (*depth, *index), *hash, path)?;
        let total = kind.shape().ok_or(AskError::Shape)?.depth();
        if tree.is_end() && total > self.end_depth_max {
            return Err(AskError::OutOfRange);
        }
        Ok(total)
    }

    /// Whether an opening counts as one for an end: inputs and outputs, and the states that hold them.
    fn is_end(&self, proven: &Proven<'_>, tree: &Tree) -> bool {
        let (terms, header) = (proven.context.terms, proven.context.header);
        let last = terms.iterations.saturating_sub(1);
        match *tree {
            Tree::Input { .. } | Tree::Output { .. } => true,
            Tree::State { iteration, boundary } => {
                (iteration, boundary) == (0, 0)
                    || (iteration, boundary) == (last, header.layer_count)
            }
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::Subtrace { .. }
            | Tree::Tensor { .. }
            | Tree::Accumulators { .. } => false,
        }
    }
}
