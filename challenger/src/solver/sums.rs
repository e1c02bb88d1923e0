//! The sums of an element: the first segment whose state differs.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::asks::TreeKind;
use protocol::hash::{Commitment, Digest};
use protocol::law::{self, CheckedNode};
use protocol::merkle;
use protocol::tensor::{LeafBytes, TensorType, leaf_element, pack_leaf};

use super::argument::Argument;
use super::moves::{End, FalseStep, Next, SolveError, reasoned, stuck};
use super::trees;
use crate::honest_view::HonestView;
use crate::own_tree::OwnTree;

/// The states after each segment of an element, as the challenger has them: a row of words, of which there are
/// the first ones only where the run has no result.
#[derive(Debug)]
pub(super) struct OwnSums {
    kind: TensorType,
    words: Arc<[u64]>,
    /// Words of one state.
    width: u64,
}

impl OwnSums {
    pub(super) fn of<C: Commitment>(
        view: &HonestView<C>,
        operator: u32,
        element: u64,
    ) -> Result<Self, SolveError> {
        let TreeKind::Tensor { kind } = view.kind(&trees::sums(operator, element))? else {
            return Err(stuck("the operator has no sums"));
        };
        let node = view.model().checked(operator).ok_or_else(|| stuck("no such operator"))?;
        let words = view.run().accumulators(operator, element)?;
        Ok(Self { kind, words, width: law::state_words(node) as u64 })
    }

    /// States that there are.
    fn states(&self) -> u64 {
        (self.words.len() as u64).checked_div(self.width).unwrap_or(0)
    }

    fn word(&self, index: u64) -> Option<u64> {
        self.words.get(usize::try_from(index).ok()?).copied()
    }

    /// A leaf all of whose words there are.
    fn leaf(&self, position: u64) -> Option<LeafBytes> {
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
    fn first_false(&self, position: u64, theirs: &LeafBytes) -> Option<u64> {
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
    fn leaves_of(&self, segment: u64) -> Option<BTreeSet<u64>> {
        let first = segment.checked_mul(self.width)?;
        let words = first..first.checked_add(self.width)?;
        words.map(|word| Some(self.kind.locate(word)?.0)).collect()
    }
}

impl<C: Commitment> HonestView<C> {
    /// The first step towards an element whose sums differ; `leaf` holds the element.
    pub(super) fn first_step(
        &self,
        argument: &Argument<'_, C>,
        (layer, operator): (u32, u32),
        node: CheckedNode<'_>,
        (element, leaf): (u64, Option<u64>),
    ) -> Result<Next<FalseStep>, SolveError> {
        let is_undefined = self.undefined_element(operator).is_some();
        let plain = |segment: u64, leaf| {
            let (before, sums, has_result) = (None, BTreeSet::new(), !is_undefined);
            FalseStep { layer, operator, element, segment, before, sums, leaf, has_result }
        };
        let segments = law::segment_count(node);
        if segments <= 1 {
            return Ok(Next::Known(plain(0, leaf)));
        }
        let own = OwnSums::of(self, operator, element)?;
        if own.states() == 0 {
            // The first segment has no result: what is claimed of it does not matter.
            return Ok(Next::Known(plain(0, None)));
        }
        let tree = trees::sums(operator, element);
        if argument.root(&tree).is_none() {
            let differs = if is_undefined { "has no result" } else { "differs" };
            let reason = format!("element {element} of operator {operator} {differs}");
            return Ok(Next::Ask(reasoned(End::Say(tree), reason)));
        }
        let reason = |_: Option<u64>| {
            format!("the sums of element {element} of operator {operator} differ below")
        };
        let segment = match self.first_in_tensor(argument, tree, reason)? {
            // Where every sum agrees, the step after the challenger's last is the false one: the first that
            // has no result, or the last one, from the sums to the element.
            None => own.states(),
            Some(Next::Ask(end)) => return Ok(Next::Ask(end)),
            Some(Next::Known(position)) => {
                let bytes = argument.known.leaf(&tree, position);
                let bytes = bytes.ok_or_else(|| stuck("the sums are not open"))?;
                own.first_false(position, bytes).ok_or_else(|| stuck("no such sums"))?
            }
        };
        self.step_of_sums(&own, plain(segment, leaf), segments).map(Next::Known)
    }

    /// The step of a segment, with the leaves of the sums that it needs.
    fn step_of_sums(
        &self,
        own: &OwnSums,
        step: FalseStep,
        segments: u64,
    ) -> Result<FalseStep, SolveError> {
        let lost = || stuck("no such sums");
        let segment = step.segment;
        let (mut before, mut sums) = (None, BTreeSet::new());
        if let Some(last) = segment.checked_sub(1) {
            // Up to here both agree.
            let words = last.checked_mul(own.width).ok_or_else(lost)?..;
            let words = words.take(own.width as usize).map(|index| own.word(index));
            before = Some(words.collect::<Option<Vec<u64>>>().ok_or_else(lost)?);
            sums.extend(own.leaves_of(last).ok_or_else(lost)?);
        }
        // The state after it is shown unless there can be none.
        let has_result = step.has_result || segment < own.states();
        if segment < segments && has_result {
            sums.extend(own.leaves_of(segment).ok_or_else(lost)?);
        }
        let leaf = step.leaf.filter(|_| segment == segments);
        Ok(FalseStep { before, sums, leaf, has_result, ..step })
    }

    /// A leaf of an element's sums as the executor says them, where both agree also if it was not shown.
    pub(super) fn sums_leaf(
        &self,
        argument: &Argument<'_, C>,
        (operator, element): (u32, u64),
        position: u64,
    ) -> Result<LeafBytes, SolveError> {
        let tree = trees::sums(operator, element);
        if let Some(bytes) = argument.known.leaf(&tree, position) {
            return Ok(*bytes);
        }
        let own = self.compared(argument, tree)?.is_own_leaf(position);
        let bytes = OwnSums::of(self, operator, element)?.leaf(position);
        bytes.filter(|_| own).ok_or_else(|| stuck("a leaf of the sums is not known"))
    }
}
