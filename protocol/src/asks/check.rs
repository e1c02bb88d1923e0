//! Whether something can be asked.

use super::{Ask, AskError, Context, Place, Proven, Tree, TreeKind};
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

/// Levels of leaves of an operator's output that one ask shows, where one opening goes down `arity_log2` levels:
/// as many bytes as 2^`arity_log2` hashes.
pub const fn leaf_log2(arity_log2: u32) -> u32 {
    arity_log2.saturating_sub(3)
}

impl Asking {
    /// What an ask counts as, were it accepted. It reads the ask alone, not what is shown for it.
    pub fn cost(&self, context: &Context<'_>, ask: &Ask) -> Cost {
        let is_end = match ask {
            Ask::Open { place } | Ask::Leaves { place } => is_end(context, &place.tree),
            Ask::Say { .. } => false,
        };
        let fees = match ask {
            Ask::Leaves { place } if place.tree.is_end() => {
                let depth = place.kind.shape().map_or(0, |shape| shape.depth());
                let levels = depth.saturating_sub(place.depth).saturating_sub(self.leaf_log2);
                1u64.checked_shl(levels).unwrap_or(u64::MAX)
            }
            Ask::Open { .. } | Ask::Leaves { .. } | Ask::Say { .. } => 1,
        };
        Cost { is_end, fees }
    }

    /// Whether the executor can be asked this, given what the transaction proves; `path` leads from the
    /// asked place up to a root or to the place that was asked last.
    ///
    /// # Errors
    /// What the challenger must show or change.
    pub fn check<C: Commitment>(
        &self,
        proven: &Proven<'_>,
        ask: &Ask,
        path: &[Digest],
    ) -> Result<(), AskError> {
        match ask {
            Ask::Open { place } => {
                let depth = self.check_place::<C>(proven, place, path)?;
                let is_list = match place.kind {
                    TreeKind::List { .. } => true,
                    TreeKind::Tensor { .. } => false,
                };
                if place.depth < depth || (depth == 0 && is_list) {
                    Ok(())
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
                    None => Ok(()),
                }
            }
        }
    }

    fn check_leaves<C: Commitment>(
        &self,
        proven: &Proven<'_>,
        place: &Place,
        path: &[Digest],
    ) -> Result<(), AskError> {
        let depth = self.check_place::<C>(proven, place, path)?;
        if let TreeKind::List { .. } = place.kind {
            return Err(AskError::WrongKind);
        }
        let most = if place.tree.is_end() { self.end_log2 } else { self.leaf_log2 };
        if depth.saturating_sub(place.depth) > most {
            return Err(AskError::OutOfRange);
        }
        Ok(())
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
        if is_between(&proven.context, tree) {
            return Err(AskError::WrongKind);
        }
        Ok(total)
    }
}

/// Whether a tree is of what one iteration hands to another: no input or output of the run.
fn is_between(context: &Context<'_>, tree: &Tree) -> bool {
    let last = context.terms.iterations.saturating_sub(1);
    context.header.is_recurrent()
        && match *tree {
            Tree::Input { iteration, .. } => iteration > 0,
            Tree::Output { iteration, .. } => iteration < last,
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Subtrace { .. }
            | Tree::Tensor { .. }
            | Tree::Accumulators { .. } => false,
        }
}

/// Whether an opening counts as one for an end: inputs and outputs, and the states that hold them.
fn is_end(context: &Context<'_>, tree: &Tree) -> bool {
    let last = context.terms.iterations.saturating_sub(1);
    match *tree {
        Tree::Input { .. } | Tree::Output { .. } => true,
        Tree::State { iteration, boundary } => {
            let is_first = iteration == 0 || context.terms.is_batch(context.header);
            (is_first && boundary == 0)
                || (iteration, boundary) == (last, context.header.layer_count)
        }
        Tree::Sequence {}
        | Tree::Trace { .. }
        | Tree::Subtrace { .. }
        | Tree::Tensor { .. }
        | Tree::Accumulators { .. } => false,
    }
}
