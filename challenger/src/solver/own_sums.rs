//! The sums of an element as the challenger has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::asks::TreeKind;
use protocol::hash::{Commitment, Digest};
use protocol::law;
use protocol::merkle;
use protocol::tensor::{LeafBytes, TensorType, leaf_element, pack_leaf};

use super::moves::{SolveError, stuck};
use super::trees;
use crate::honest_view::HonestView;
use crate::own_tree::OwnTree;

/// The states after each segment of an element, as the challenger has them: a row of words, of which there are
/// the first ones only where the run has no result.
#[derive(Debug)]
pub(super) struct OwnSums {
    pub(super) kind: TensorType,
    pub(super) words: Arc<[u64]>,
    /// Words of one state.
    pub(super) width: u64,
}

impl OwnSums {
    pub(super) fn of<C: Commitment>(
        view: &HonestView<C>,
        operator: u32,
        element: u64,
    ) -> Result<Self, SolveError> {
        let TreeKind::Tensor { kind } =
            view.kind(&trees::sums(view.iteration(), operator, element))?
        else {
            return Err(stuck("the operator has no sums"));
        };
        let node = view.model().checked(operator).ok_or_else(|| stuck("no such operator"))?;
        let words = view.run().accumulators(operator, element)?;
        Ok(Self { kind, words, width: law::state_words(node) as u64 })
    }

    /// States that there are.
    pub(super) fn states(&self) -> u64 {
        (self.words.len() as u64).checked_div(self.width).unwrap_or(0)
    }

    pub(super) fn word(&self, index: u64) -> Option<u64> {
        self.words.get(usize::try_from(index).ok()?).copied()
    }

    /// A leaf all of whose words there are.
    pub(super) fn leaf(&self, position: u64) -> Option<LeafBytes> {
        let (first, count) = self.kind.leaf_range(position)?;
        let words = (first..first.checked_add(count as u64)?).map(|index| self.word(index));
        let words = words.collect::<Option<Vec<u64>>>()?;
        Some(pack_leaf(self.kind.element, words))
    }

    /// The tree of the words, as far as there are words.
    pub(super) fn tree<C: Commitment>(&self) -> Result<OwnTree<C>, SolveError> {
        let shape = self.kind.tree_shape().ok_or_else(|| stuck("the sums are too many"))?;
        let leaves = (0..shape.leaves()).map(|position| self.leaf(position));
        let hashes: Vec<Option<Digest>> = leaves.map(|leaf| Some(C::leaf(&leaf?))).collect();
        let known = hashes.iter().take_while(|hash| hash.is_some()).count() as u64;
        // What stands in the place of the others does not matter: no node above them is looked at.
        let hashes: Vec<Digest> = hashes.into_iter().map(Option::unwrap_or_default).collect();
        let tree =
            merkle::Tree::new(shape, &hashes).ok_or_else(|| stuck("the sums are too many"))?;
        Ok(OwnTree::begun(&tree, known))
    }

    /// The segment whose state is the first to differ in a leaf of the executor's. Where every word that there
    /// is agrees, it is the segment after the challenger's last state.
    pub(super) fn first_false(&self, position: u64, theirs: &LeafBytes) -> Option<u64> {
        let (first, count) = self.kind.leaf_range(position)?;
        let differs = (0..count).find_map(|place| {
            let index = first.checked_add(place as u64)?;
            let own = self.word(index)?;
            (leaf_element(self.kind.element, theirs, place) != Some(own)).then_some(index)
        });
        match differs {
            Some(index) => index.checked_div(self.width),
            None => Some(self.states()),
        }
    }

    /// Leaves that hold the state after a segment.
    pub(super) fn leaves_of(&self, segment: u64) -> Option<BTreeSet<u64>> {
        let first = segment.checked_mul(self.width)?;
        let words = first..first.checked_add(self.width)?;
        words.map(|word| Some(self.kind.locate(word)?.0)).collect()
    }
}
