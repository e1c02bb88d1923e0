//! What an executor answers, and whether it fits what was asked.

use alloc::vec::Vec;

use super::{Ask, AskError, Place, Tree, leaf_log2};
use crate::encoding::canonical_enum;
use crate::hash::{Commitment, Digest};
use crate::merkle::{TreeShape, fold_opening};
use crate::roots::{root_leaf, state_leaf};
use crate::tensor::LeafBytes;

/// The answer to an [`Ask`]. Padding is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Hashes of inner nodes, or of the leaves of a tensor.
    Hashes {
        /// In the order of their places.
        hashes: Vec<Digest>,
    },
    /// Leaves of a sequence, a trace or a subtrace: the roots that stand there.
    Roots {
        /// In the order of their places.
        roots: Vec<Digest>,
    },
    /// Leaves of a state: value id and tensor root.
    Values {
        /// In the order of their places.
        values: Vec<(u32, Digest)>,
    },
    /// Leaves of a tensor.
    Leaves {
        /// In the order of their places.
        leaves: Vec<LeafBytes>,
    },
}
canonical_enum!(Answer {
    1 => Hashes { hashes }, 2 => Roots { roots }, 3 => Values { values }, 4 => Leaves { leaves },
});

/// What the items of an answer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Items {
    Hashes,
    Roots,
    Values,
    Leaves,
}

impl Answer {
    fn items(&self) -> Items {
        match self {
            Self::Hashes { .. } => Items::Hashes,
            Self::Roots { .. } => Items::Roots,
            Self::Values { .. } => Items::Values,
            Self::Leaves { .. } => Items::Leaves,
        }
    }

    /// The hashes of the nodes that the answer shows, in the order of their places.
    pub fn hashes<C: Commitment>(&self) -> Vec<Digest> {
        match self {
            Self::Hashes { hashes } => hashes.clone(),
            Self::Roots { roots } => roots.iter().map(root_leaf::<C>).collect(),
            Self::Values { values } => {
                values.iter().map(|(value, root)| state_leaf::<C>(*value, root)).collect()
            }
            Self::Leaves { leaves } => leaves.iter().map(|bytes| C::leaf(bytes)).collect(),
        }
    }
}

/// Levels that the answer to an ask goes down, and what it is made of.
fn wanted(ask: &Ask, shape: &TreeShape, arity_log2: u32) -> (u32, Items) {
    let opened = |tree: &Tree, depth: u32| {
        let levels = shape.opening_levels(depth, arity_log2);
        let items = match tree {
            _ if depth + levels < shape.depth() => Items::Hashes,
            Tree::Sequence {} | Tree::Trace { .. } | Tree::Subtrace { .. } => Items::Roots,
            Tree::State { .. } => Items::Values,
            Tree::Tensor { .. }
            | Tree::Accumulators { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => Items::Hashes,
        };
        (levels, items)
    };
    match ask {
        Ask::Open { place } => opened(&place.tree, place.depth),
        Ask::Leaves { place } => (shape.depth().saturating_sub(place.depth), Items::Leaves),
        Ask::Say { tree, .. } => match tree {
            Tree::Accumulators { .. } if shape.depth() <= leaf_log2(arity_log2) => {
                (shape.depth(), Items::Leaves)
            }
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Subtrace { .. }
            | Tree::Tensor { .. }
            | Tree::Accumulators { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => opened(tree, 0),
        },
    }
}

/// Depth at which the nodes of an ask's answer stand, with their indices, padding left out.
///
/// Returns `None` for an ask of no tree.
pub fn shown_places(ask: &Ask, arity_log2: u32) -> Option<(u32, Vec<u64>)> {
    let shape = ask.kind().shape()?;
    let (levels, _) = wanted(ask, &shape, arity_log2);
    let (depth, index) = ask.node();
    Some((depth.checked_add(levels)?, shape.opened_indices(depth, index, levels)))
}

/// Whether an answer fits an ask that was accepted. Returns the root that it says, of an ask to say one.
///
/// # Errors
/// When the answer is of another kind or length, or does not hash to the place's hash.
pub fn fits<C: Commitment>(
    ask: &Ask,
    answer: &Answer,
    arity_log2: u32,
) -> Result<Option<Digest>, AskError> {
    let (tree, kind) = (ask.tree(), ask.kind());
    let shape = kind.shape().ok_or(AskError::Shape)?;
    let (levels, items) = wanted(ask, &shape, arity_log2);
    if answer.items() != items {
        return Err(AskError::WrongKind);
    }
    let (depth, index) = ask.node();
    let hashes = answer.hashes::<C>();
    let folded =
        fold_opening::<C>(&shape, depth, index, levels, &hashes).ok_or(AskError::WrongLength)?;
    let commit = |inner: &Digest| tree.commit::<C>(kind, inner).ok_or(AskError::Shape);
    match ask {
        Ask::Say { .. } => commit(&folded).map(Some),
        Ask::Open { place: Place { hash, .. } } | Ask::Leaves { place: Place { hash, .. } } => {
            let found = if depth == 0 { commit(&folded)? } else { folded };
            if found == *hash { Ok(None) } else { Err(AskError::Mismatch) }
        }
    }
}
