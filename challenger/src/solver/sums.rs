//! The sums of an element: the first segment whose state differs.

use std::collections::BTreeSet;

use protocol::hash::Commitment;
use protocol::law::{self, CheckedNode};
use protocol::tensor::LeafBytes;

use super::argument::Argument;
use super::moves::{End, FalseStep, Next, SolveError, reasoned, stuck};
use super::own_sums::OwnSums;
use super::trees;
use crate::honest_view::HonestView;

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
        let tree = trees::sums(self.iteration(), operator, element);
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
        let tree = trees::sums(self.iteration(), operator, element);
        if let Some(bytes) = argument.known.leaf(&tree, position) {
            return Ok(*bytes);
        }
        let own = self.compared(argument, tree)?.is_own_leaf(position);
        let bytes = OwnSums::of(self, operator, element)?.leaf(position);
        bytes.filter(|_| own).ok_or_else(|| stuck("a leaf of the sums is not known"))
    }
}
