//! From a differing operator output to its leaf, element, segment and step.

use inference::Tensor;
use protocol::facts::{Request, Showing, TreeId};
use protocol::hash::Commitment;
use protocol::law::{self, CheckedNode};
use protocol::referee::Refutation;
use protocol::tensor::{leaf_element, leaf_is_canonical};

use super::argument::Argument;
use super::descent::{Compared, Descent};
use super::moves::{Divergence, Next, Reasoned, SolveError, demand, refute, stuck};
use super::proof::{leaves_of_step, prove_operands};
use crate::honest_view::HonestView;
use crate::own_tree::OwnTree;

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
        let undefined = self.undefined_element(operator);
        let leaf = match undefined {
            None => self.first_leaf(argument, operator)?,
            Some(element) => self.leaf_of(argument, operator, node, element)?,
        };
        let leaf = match leaf {
            Next::Known(leaf) => leaf,
            Next::Ask(end) => return Ok(end),
        };
        let element = match self.first_element(argument, operator, node, (leaf, undefined))? {
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
            return show_leaf(argument, operator, theirs, leaf);
        }
        #[cfg(test)]
        if announced.is_some() {
            cov_mark::hit!(published_output_has_another_shape);
        }
        let own = OwnTree::whole(self.output_tree(operator).ok_or(stuck("no output"))?);
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

    /// The leaf that holds an element which has no result, shown from what was published or asked for.
    fn leaf_of(
        &self,
        argument: &mut Argument<'_, C>,
        operator: u32,
        node: CheckedNode<'_>,
        element: u64,
    ) -> Result<Next<u64>, SolveError> {
        let (leaf, _) = node.output.locate(element).ok_or(stuck("no such element"))?;
        let shape = node.output.tree_shape().ok_or(stuck("no such output"))?;
        let (facts, id) = (argument.known(), TreeId::Tensor { operator });
        let claimed_root = facts.root(id).ok_or(stuck("the output's root is not open"))?;
        let announced = self.announced.tensors.get(&claimed_root);
        if let Some(theirs) = announced.filter(|theirs| *theirs.kind() == node.output) {
            return show_leaf(argument, operator, theirs, leaf);
        }
        let (mut depth, mut index) = (0, 0);
        while depth < shape.depth() {
            let reached = depth + shape.opening_levels(depth, facts.arity_log2());
            let child = leaf >> (shape.depth() - reached);
            if facts.node(id, reached, child).is_none() {
                let request = Request::Node { tree: id, depth, index };
                let reason = format!("operator {operator} has no result for element {element}");
                return Ok(Next::Ask(demand(request, reason)));
            }
            (depth, index) = (reached, child);
        }
        Ok(Next::Known(leaf))
    }

    /// Flat index of the element of a leaf that has no result, or else of the first that differs.
    fn first_element(
        &self,
        argument: &Argument<'_, C>,
        operator: u32,
        node: CheckedNode<'_>,
        (leaf, undefined): (u64, Option<u64>),
    ) -> Result<Next<u64>, SolveError> {
        let Some(bytes) = argument.known().leaf(operator, leaf) else {
            let reason = match undefined {
                None => format!("leaf {leaf} of operator {operator} is the first that differs"),
                Some(element) => {
                    format!(
                        "leaf {leaf} of operator {operator} holds element {element}, which has no result"
                    )
                }
            };
            return Ok(Next::Ask(demand(Request::Leaf { operator, leaf }, reason)));
        };
        let (first, count) = node.output.leaf_range(leaf).ok_or(stuck("no such leaf"))?;
        if !leaf_is_canonical(node.output.element, bytes, count) {
            #[cfg(test)]
            cov_mark::hit!(leaf_holds_what_no_value_has);
            let reason = format!("leaf {leaf} holds bits that no stored value has");
            return Ok(Next::Ask(refute(Refutation::Leaf { operator, leaf }, reason)));
        }
        if let Some(element) = undefined {
            return Ok(Next::Known(element));
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
        // Where every sum agrees, the step after the challenger's last is the false one: the first that has no
        // result, or the last one, from the sums to the element.
        let segment = differs.unwrap_or(ours.len() / width) as u64;
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
        let is_undefined = self.undefined_element(operator).is_some();
        if segments > 1 && segment == segments {
            #[cfg(test)]
            cov_mark::hit!(sums_do_not_end_in_the_element);
            let step = Refutation::Step { operator, element, segment, operands: Vec::new() };
            let end = if is_undefined { "have no end" } else { "do not end in it" };
            return Ok(refute(step, format!("the sums of element {element} {end}")));
        }
        let operands = self.run().operands(operator)?;
        let leaves = leaves_of_step(node, element, segment, step.before.as_deref(), &operands)
            .ok_or(stuck("the step reads outside its operands"))?;
        let operands = prove_operands(self, argument.known(), layer, operator, &leaves)
            .ok_or(stuck("an operand cannot be proven"))?;
        let kind = node.operator.kind();
        let gives = if is_undefined { "has no result for" } else { "gives another" };
        let reason = format!("{kind} {gives} element {element} (segment {segment})");
        Ok(refute(Refutation::Step { operator, element, segment, operands }, reason))
    }
}

/// Shows a leaf of an output that the executor published.
fn show_leaf<C: Commitment>(
    argument: &mut Argument<'_, C>,
    operator: u32,
    theirs: &Tensor,
    leaf: u64,
) -> Result<Next<u64>, SolveError> {
    if argument.known().leaf(operator, leaf).is_some() {
        return Ok(Next::Known(leaf));
    }
    let path = theirs.tree::<C>().and_then(|tree| tree.path(leaf));
    let (Some(bytes), Some(path)) = (theirs.leaf(leaf), path) else {
        return Err(stuck("no such leaf"));
    };
    argument.show(Showing::TensorLeaf { operator, leaf, bytes, path });
    Ok(Next::Known(leaf))
}

fn first_differing_leaf(own: &Tensor, theirs: &Tensor) -> Option<u64> {
    let differs = |index: &u64| own.given_bits(*index) != theirs.given_bits(*index);
    let element = (0..own.shape().count()).find(differs)?;
    own.kind().locate(element).map(|(leaf, _)| leaf)
}
