//! From a differing operator output to its leaf, element, segment and step.

use inference::Tensor;
use protocol::hash::Commitment;
use protocol::law::{self, CheckedNode};
use protocol::tensor::{LeafBytes, leaf_element, leaf_is_canonical};

use super::argument::Argument;
use super::moves::{Divergence, FalseStep, Fault, Next, Reasoned, SolveError, refute, stuck};
use super::trees;
use crate::honest_view::HonestView;

impl<C: Commitment> HonestView<C> {
    /// From a differing operator output to its leaf, element, segment and step. Where the operator has no
    /// result, whatever is claimed of it is false, and the way leads to the step for which the law gives none.
    pub(super) fn inside_operator(
        &self,
        argument: &Argument<'_, C>,
        layer: u32,
        operator: u32,
        found: &mut Divergence,
    ) -> Result<Reasoned, SolveError> {
        let node = self.model().checked(operator).ok_or_else(|| stuck("no such operator"))?;
        let (element, leaf) = match self.undefined_element(operator) {
            Some(element) => (element, None),
            None => match self.first_element(argument, operator, node)? {
                Next::Known((element, leaf)) => (element, Some(leaf)),
                Next::Ask(end) => return Ok(end),
            },
        };
        found.element = Some(element);
        let step = match self.first_step(argument, (layer, operator), node, (element, leaf))? {
            Next::Known(step) => step,
            Next::Ask(end) => return Ok(end),
        };
        found.segment = Some(step.segment);
        Ok(false_step(node, step))
    }

    /// The output of an operator as the executor published it under the root that it claims.
    pub(super) fn published_output(
        &self,
        argument: &Argument<'_, C>,
        operator: u32,
    ) -> Option<&Tensor> {
        let claimed_root = argument.root(&trees::output(self.iteration(), operator))?;
        let published = self.announced.tensors.get(&claimed_root)?;
        let kind = &self.model().node(operator)?.output;
        #[cfg(test)]
        if published.kind() != kind {
            cov_mark::hit!(published_output_has_another_shape);
        }
        (published.kind() == kind).then_some(published)
    }

    /// A leaf of what the executor says an operator wrote, from what was shown or published.
    pub(super) fn output_leaf(
        &self,
        argument: &Argument<'_, C>,
        operator: u32,
        leaf: u64,
    ) -> Option<LeafBytes> {
        let shown = argument.known.leaf(&trees::output(self.iteration(), operator), leaf).copied();
        shown.or_else(|| self.published_output(argument, operator)?.leaf(leaf))
    }

    /// The first element of an operator's output that differs, with the leaf that holds it.
    fn first_element(
        &self,
        argument: &Argument<'_, C>,
        operator: u32,
        node: CheckedNode<'_>,
    ) -> Result<Next<(u64, u64)>, SolveError> {
        let own = self.run().output(operator)?;
        let leaf = match self.published_output(argument, operator) {
            Some(theirs) => {
                first_differing_leaf(own, theirs).ok_or_else(|| stuck("the outputs agree"))?
            }
            None => {
                let reason = |leaf: Option<u64>| match leaf {
                    None => format!("the outputs of operator {operator} differ below"),
                    Some(leaf) => {
                        format!("leaf {leaf} of operator {operator} is the first that differs")
                    }
                };
                let first = self.first_in_tensor(
                    argument,
                    trees::output(self.iteration(), operator),
                    reason,
                )?;
                match first.ok_or_else(|| stuck("the outputs agree"))? {
                    Next::Known(leaf) => leaf,
                    Next::Ask(end) => return Ok(Next::Ask(end)),
                }
            }
        };
        let bytes = self.output_leaf(argument, operator, leaf);
        let bytes = bytes.ok_or_else(|| stuck("no such leaf"))?;
        let (first, count) = node.output.leaf_range(leaf).ok_or_else(|| stuck("no such leaf"))?;
        if !leaf_is_canonical(node.output.element, &bytes, count) {
            #[cfg(test)]
            cov_mark::hit!(leaf_holds_what_no_value_has);
            let reason = format!("leaf {leaf} holds bits that no stored value has");
            return Ok(Next::Ask(refute(Fault::Leaf { operator, leaf }, reason)));
        }
        let differs = (0..count).find(|place| {
            let own = own.given_bits(first + *place as u64);
            leaf_element(node.output.element, &bytes, *place) != own
        });
        let place = differs.ok_or_else(|| stuck("the leaves agree"))?;
        Ok(Next::Known((first + place as u64, leaf)))
    }
}

/// Refutes a step.
fn false_step(node: CheckedNode<'_>, step: FalseStep) -> Reasoned {
    let FalseStep { element, segment, has_result, .. } = step;
    let segments = law::segment_count(node);
    let reason = if segments > 1 && segment == segments {
        #[cfg(test)]
        cov_mark::hit!(sums_do_not_end_in_the_element);
        let end = if has_result { "do not end in it" } else { "have no end" };
        format!("the sums of element {element} {end}")
    } else {
        let kind = node.operator.kind();
        let gives = if has_result { "gives another" } else { "has no result for" };
        format!("{kind} {gives} element {element} (segment {segment})")
    };
    refute(Fault::Step(step), reason)
}

fn first_differing_leaf(own: &Tensor, theirs: &Tensor) -> Option<u64> {
    let differs = |index: &u64| own.given_bits(*index) != theirs.given_bits(*index);
    let element = (0..own.shape().count()).find(differs)?;
    own.kind().locate(element).map(|(leaf, _)| leaf)
}
