//! From a differing operator output to its leaf, element, segment and step.

use inference::Tensor;
use protocol::facts::{Request, Showing, TreeId};
use protocol::graph::Operator;
use protocol::hash::Commitment;
use protocol::law::{self, CheckedNode};
use protocol::referee::Refutation;
use protocol::tensor::{leaf_element, leaf_is_canonical};

use super::argument::Argument;
use super::descent::{Compared, Descent};
use super::moves::{Divergence, Next, Reasoned, SolveError, demand, refute, stuck};
use super::proof::{leaves_of_step, prove_operands};
use crate::honest_view::HonestView;

/// The step that is false.
struct FalseStep {
    segment: u64,
    /// The claimed words before it; `None` at the first.
    before: Option<Vec<u64>>,
}

impl<C: Commitment> HonestView<C> {
    /// From a differing operator output to its leaf, element, segment and step.
    pub(super) fn inside_operator(
        &self,
        argument: &mut Argument<'_, C>,
        layer: u32,
        operator: u32,
        found: &mut Divergence,
    ) -> Result<Reasoned, SolveError> {
        if argument.known().operator(operator).is_none() {
            let proof = self.model().node_proof(operator).ok_or(stuck("no such operator"))?;
            if !argument.show(Showing::Operator { proof }) {
                #[cfg(test)]
                cov_mark::hit!(operator_is_of_another_model);
                return Err(stuck("the claim is about another model"));
            }
        }
        let node = self.model().checked(operator).ok_or(stuck("no such operator"))?;
        let leaf = match self.first_leaf(argument, operator)? {
            Next::Known(leaf) => leaf,
            Next::Ask(end) => return Ok(end),
        };
        let element = match self.first_element(argument, operator, node, leaf)? {
            Next::Known(element) => element,
            Next::Ask(end) => return Ok(end),
        };
        found.element = Some(element);
        let step = match self.first_step(argument, operator, node, element)? {
            Next::Known(step) => step,
            Next::Ask(end) => return Ok(end),
        };
        found.segment = Some(step.segment);
        self.false_step(argument, layer, operator, node, element, &step)
    }

    /// The first leaf of an operator's output that differs, shown from what was published or asked for.
    fn first_leaf(
        &self,
        argument: &mut Argument<'_, C>,
        operator: u32,
    ) -> Result<Next<u64>, SolveError> {
        let (facts, id) = (argument.known(), TreeId::Tensor { operator });
        let claimed_root = facts.root(id).ok_or(stuck("the output's root is not open"))?;
        let own = self.run().output(operator)?;
        let announced = self.announced.tensors.get(&claimed_root);
        if let Some(theirs) = announced.filter(|theirs| theirs.kind() == own.kind()) {
            let leaf = first_differing_leaf(own, theirs).ok_or(stuck("the outputs agree"))?;
            let (bytes, tree) = (theirs.leaf(leaf), theirs.tree::<C>());
            let path = tree.and_then(|tree| tree.path(leaf));
            let (Some(bytes), Some(path)) = (bytes, path) else {
                return Err(stuck("no such leaf"));
            };
            argument.show(Showing::TensorLeaf { operator, leaf, bytes, path });
            return Ok(Next::Known(leaf));
        }
        #[cfg(test)]
        if announced.is_some() {
            cov_mark::hit!(published_output_has_another_shape);
        }
        let own = self.output_tree(operator).ok_or(stuck("no output"))?;
        match (Compared { facts, id, own, equal: false }).descend() {
            Descent::Leaf(leaf) => Ok(Next::Known(leaf)),
            Descent::Equal => Err(stuck("the outputs agree")),
            Descent::Open { depth, index } => {
                let request = Request::Node { tree: id, depth, index };
                let reason = format!("the outputs of operator {operator} differ below");
                Ok(Next::Ask(demand(request, reason)))
            }
        }
    }

    /// Flat index of the first element of a leaf that differs.
    fn first_element(
        &self,
        argument: &Argument<'_, C>,
        operator: u32,
        node: CheckedNode<'_>,
        leaf: u64,
    ) -> Result<Next<u64>, SolveError> {
        let Some(bytes) = argument.known().leaf(operator, leaf) else {
            let reason = format!("leaf {leaf} of operator {operator} is the first that differs");
            return Ok(Next::Ask(demand(Request::Leaf { operator, leaf }, reason)));
        };
        let (first, count) = node.output.leaf_range(leaf).ok_or(stuck("no such leaf"))?;
        if !leaf_is_canonical(node.output.element, bytes, count) {
            #[cfg(test)]
            cov_mark::hit!(leaf_holds_what_no_value_has);
            let reason = format!("leaf {leaf} holds bits that no stored value has");
            return Ok(Next::Ask(refute(Refutation::Leaf { operator, leaf }, reason)));
        }
        let own = self.run().output(operator)?;
        let differs = (0..count).find(|place| {
            let own = own.given_bits(first + *place as u64);
            leaf_element(node.output.element, bytes, *place) != own
        });
        Ok(Next::Known(first + differs.ok_or(stuck("the leaves agree"))? as u64))
    }

    /// The first step towards an element whose sums differ.
    fn first_step(
        &self,
        argument: &Argument<'_, C>,
        operator: u32,
        node: CheckedNode<'_>,
        element: u64,
    ) -> Result<Next<FalseStep>, SolveError> {
        let segments = law::segment_count(node);
        if segments <= 1 {
            return Ok(Next::Known(FalseStep { segment: 0, before: None }));
        }
        let Some(theirs) = argument.known().accumulators(operator, element) else {
            let reason = format!("element {element} of operator {operator} differs");
            return Ok(Next::Ask(demand(Request::Accumulators { operator, element }, reason)));
        };
        let ours = self.run().accumulators(operator, element)?;
        let width = law::state_words(node);
        let mut pairs = theirs.chunks(width).zip(ours.chunks(width));
        let differs = pairs.position(|(theirs, ours)| theirs != ours);
        // Where every sum agrees, the last step from the sums to the element is the false one.
        let segment = differs.map_or(segments, |at| at as u64);
        let last = segment.checked_sub(1).and_then(|at| theirs.chunks(width).nth(at as usize));
        Ok(Next::Known(FalseStep { segment, before: last.map(<[u64]>::to_vec) }))
    }

    /// Refutes a step, with the operands that it reads.
    fn false_step(
        &self,
        argument: &Argument<'_, C>,
        layer: u32,
        operator: u32,
        node: CheckedNode<'_>,
        element: u64,
        step: &FalseStep,
    ) -> Result<Reasoned, SolveError> {
        let (segment, segments) = (step.segment, law::segment_count(node));
        if segments > 1 && segment == segments {
            #[cfg(test)]
            cov_mark::hit!(sums_do_not_end_in_the_element);
            let step = Refutation::Step { operator, element, segment, operands: Vec::new() };
            return Ok(refute(step, format!("the sums of element {element} do not end in it")));
        }
        let operands = self.run().operands(operator)?;
        let leaves = leaves_of_step(node, element, segment, step.before.as_deref(), &operands)
            .ok_or(stuck("the step reads outside its operands"))?;
        let operands = prove_operands(self, argument.known(), layer, operator, &leaves)
            .ok_or(stuck("an operand cannot be proven"))?;
        let kind = match &node.operator {
            Operator::Map { function } => function.name(),
            other => other.kind(),
        };
        let reason = format!("{kind} gives another element {element} (segment {segment})");
        Ok(refute(Refutation::Step { operator, element, segment, operands }, reason))
    }
}

fn first_differing_leaf(own: &Tensor, theirs: &Tensor) -> Option<u64> {
    let differs = |index: &u64| own.given_bits(*index) != theirs.given_bits(*index);
    let element = (0..own.shape().count()).find(differs)?;
    own.kind().locate(element).map(|(leaf, _)| leaf)
}
