//! From what a move asks for or refutes to the move, with the proofs that the ledger checks.

use std::collections::BTreeSet;

use inference::Tensor;
use inference::engine::WholeTensors;
use protocol::asks::{
    Ask, LeafProof, OperandProof, Place, Proven, Refutation, Showing, Tree, judge,
};
use protocol::graph::ValueSource;
use protocol::hash::{Commitment, Digest};
use protocol::law::{self, CheckedNode, LawError, Operands};
use protocol::merkle;

use super::argument::Argument;
use super::moves::{At, End, FalseStep, Fault, Move, Reasoned, SolveError, stuck};
use super::support::Support;
use super::trees;
use crate::honest_view::HonestView;

/// Showings that one transaction may carry.
const SHOWINGS_MAX: usize = 16;

impl<C: Commitment> HonestView<C> {
    /// The move, with all that it must show. It is checked as the ledger will check it, so that nothing is sent
    /// that the ledger refuses.
    pub(super) fn prove(
        &self,
        argument: &Argument<'_, C>,
        Reasoned { end, reason }: Reasoned,
    ) -> Result<Move, SolveError> {
        match end {
            End::Open(at) => self.demand(argument, at, |place| Ask::Open { place }, reason),
            End::Leaves(at) => self.demand(argument, at, |place| Ask::Leaves { place }, reason),
            End::Say(tree) => self.say(argument, tree, reason),
            End::Refute(fault) => self.refutation(argument, fault, reason),
        }
    }

    fn demand(
        &self,
        argument: &Argument<'_, C>,
        at: At,
        ask: impl FnOnce(Place) -> Ask,
        reason: String,
    ) -> Result<Move, SolveError> {
        let At { tree, depth, index } = at;
        let mut support = Support::new(self, argument);
        let path = support.path(at)?;
        let hash = match depth {
            0 => self.claimed_root(argument, &tree),
            _ => self.compared(argument, tree)?.node(depth, index),
        };
        let hash = hash.ok_or_else(|| stuck("what is to be opened is not known"))?;
        let kind = self.kind_in(argument, &tree)?;
        let ask = ask(Place { tree, kind, depth, index, hash });
        checked_demand(argument, support, ask, path, reason)
    }

    fn say(
        &self,
        argument: &Argument<'_, C>,
        tree: Tree,
        reason: String,
    ) -> Result<Move, SolveError> {
        let mut support = Support::new(self, argument);
        match tree {
            Tree::Subtrace { layer, .. } => support.layer(layer)?,
            Tree::Accumulators { operator, .. } => support.operator(operator)?,
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Tensor { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => return Err(stuck("its root is committed, not said")),
        }
        let ask = Ask::Say { tree, kind: self.kind(&tree)? };
        checked_demand(argument, support, ask, Vec::new(), reason)
    }

    fn refutation(
        &self,
        argument: &Argument<'_, C>,
        fault: Fault,
        reason: String,
    ) -> Result<Move, SolveError> {
        let iteration = self.iteration();
        let before = self.before(&fault)?;
        let support = Support::new(self, argument);
        let mut support = match &before {
            Some(before) => support.beside(before),
            None => support,
        };
        let refutation = match fault {
            Fault::Step(step) => self.step(argument, &mut support, &step)?,
            Fault::Binding { layer, operator } => {
                support.layer(layer)?;
                let value = self.model().header().output_of(operator);
                support.subtrace_leaf(operator)?;
                self.value_after(&mut support, layer, value)?;
                Refutation::Binding { iteration, layer, operator }
            }
            Fault::Carry { layer, value } => {
                support.layer(layer)?;
                let definition = self.model().layer(layer);
                let live_in = definition.map(|layer| layer.live_in.as_slice()).unwrap_or_default();
                let before = live_in.binary_search(&value).map_err(|_| stuck("no such value"))?;
                support.state_leaf(iteration, layer, before as u32)?;
                self.value_after(&mut support, layer, value)?;
                Refutation::Carry { iteration, layer, value }
            }
            Fault::StateValue { boundary, position } => {
                support.live_values(boundary)?;
                support.state_leaf(iteration, boundary, position)?;
                Refutation::StateValue { iteration, boundary, position }
            }
            Fault::Leaf { operator, leaf } => {
                support.operator(operator)?;
                support.tensor_leaf(operator, leaf)?;
                Refutation::Leaf { iteration, operator, leaf }
            }
            Fault::Link { input } => {
                self.link(&mut support, input)?;
                Refutation::Link { iteration, input }
            }
            Fault::Entry => {
                support.sequence_leaf(iteration)?;
                support.trace_leaf(iteration, 0)?;
                support.entry(iteration)?;
                Refutation::Entry { iteration }
            }
            Fault::Stop { iteration } => {
                let stop = self.model().header().stop.ok_or_else(|| stuck("no such stop"))?;
                self.value_at_end(&mut support, iteration, stop)?;
                Refutation::Stop { iteration }
            }
        };
        let from = support.from();
        let proven = proven(argument, from, &support.showings)?;
        // That nothing is refuted is the ledger's to say: the challenge is lost either way, and sooner.
        judge::<C>(&proven, &refutation).map_err(refused)?;
        Ok(Move::Refute { showings: support.showings, refutation, from: from.cloned(), reason })
    }

    /// Shows a value of the state after a layer.
    fn value_after(
        &self,
        support: &mut Support<'_, C>,
        layer: u32,
        value: u32,
    ) -> Result<(), SolveError> {
        let definition = self.model().layer(layer).ok_or_else(|| stuck("no such layer"))?;
        let found = definition.live_out.binary_search(&value);
        let position = found.map_err(|_| stuck("no such value"))?;
        let after = layer.checked_add(1).ok_or_else(|| stuck("no such layer"))?;
        support.state_leaf(self.iteration(), after, position as u32)
    }

    /// The view of the iteration before this one, where a fault is about both.
    fn before(&self, fault: &Fault) -> Result<Option<Self>, SolveError> {
        match (fault, self.iteration().checked_sub(1)) {
            (Fault::Link { .. }, Some(before)) => Ok(Some(self.at(before)?)),
            _ => Ok(None),
        }
    }

    /// Shows what an iteration begins with as an input, and what the one before it handed on.
    fn link(&self, support: &mut Support<'_, C>, input: u32) -> Result<(), SolveError> {
        let lost = || stuck("no such link");
        let before = self.iteration().checked_sub(1).ok_or_else(lost)?;
        let value = self.model().header().links.get(input as usize).ok_or_else(lost)?;
        support.live_values(0)?;
        support.state_leaf(self.iteration(), 0, input)?;
        self.value_at_end(support, before, *value)
    }

    /// Shows a value of the last state of an iteration.
    fn value_at_end(
        &self,
        support: &mut Support<'_, C>,
        iteration: u32,
        value: u32,
    ) -> Result<(), SolveError> {
        let last = self.model().header().layer_count;
        let live = self.model().live_values(last).ok_or_else(|| stuck("no such state"))?;
        let position = live.binary_search(&value).map_err(|_| stuck("no such value"))?;
        support.live_values(last)?;
        support.state_leaf(iteration, last, position as u32)
    }

    fn step(
        &self,
        argument: &Argument<'_, C>,
        support: &mut Support<'_, C>,
        step: &FalseStep,
    ) -> Result<Refutation, SolveError> {
        let FalseStep { layer, operator, element, segment, .. } = *step;
        support.layer(layer)?;
        support.operator(operator)?;
        let tree = trees::sums(self.iteration(), operator, element);
        let mut states = Vec::new();
        for position in &step.sums {
            let bytes = self.sums_leaf(argument, (operator, element), *position)?;
            let path = support.leaf_path(tree, *position)?;
            states.push(LeafProof { position: *position, bytes, path });
        }
        if let Some(leaf) = step.leaf {
            support.tensor_leaf(operator, leaf)?;
        }
        let node = self.model().checked(operator).ok_or_else(|| stuck("no such operator"))?;
        let segments = law::segment_count(node);
        let operands = if segments > 1 && segment == segments {
            Vec::new()
        } else {
            let operands = self.run().operands(operator)?;
            let leaves = leaves_of_step(node, element, segment, step.before.as_deref(), &operands);
            let leaves = leaves.ok_or_else(|| stuck("the step reads outside its operands"))?;
            prove_operands(self, support, (layer, operator), &leaves)?
        };
        let iteration = self.iteration();
        Ok(Refutation::Step { iteration, layer, operator, element, segment, operands, states })
    }
}

fn refused(error: impl std::fmt::Display) -> SolveError {
    #[cfg(test)]
    cov_mark::hit!(the_ledger_would_refuse_the_move);
    stuck(format!("the ledger would refuse it: {error}"))
}

/// What the showings prove, as the ledger sees it.
fn proven<'a, C: Commitment>(
    argument: &Argument<'a, C>,
    from: Option<&'a Ask>,
    showings: &[Showing],
) -> Result<Proven<'a>, SolveError> {
    if showings.len() > SHOWINGS_MAX {
        return Err(stuck("it takes more showings than a transaction carries"));
    }
    Proven::new::<C>(argument.known.context(from), showings).map_err(refused)
}

fn checked_demand<C: Commitment>(
    argument: &Argument<'_, C>,
    support: Support<'_, C>,
    ask: Ask,
    path: Vec<Digest>,
    reason: String,
) -> Result<Move, SolveError> {
    let from = support.from();
    let proven = proven(argument, from, &support.showings)?;
    argument.asking().check::<C>(&proven, &ask, &path).map_err(refused)?;
    Ok(Move::Demand { showings: support.showings, ask, path, from: from.cloned(), reason })
}

/// Operands that remember which elements the law asked for.
struct Recording<'a> {
    tensors: WholeTensors<'a>,
    kinds: &'a [&'a Tensor],
    leaves: Vec<BTreeSet<u64>>,
}

impl Operands for Recording<'_> {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        let leaf = self.kinds.get(operand).and_then(|tensor| tensor.kind().locate(index));
        let (leaf, _) = leaf.ok_or(())?;
        self.leaves.get_mut(operand).ok_or(())?.insert(leaf);
        self.tensors.element(operand, index)
    }
}

/// Positions of the leaves that a step reads, for each operand; also where the law gives no result.
///
/// `None` when the step asks for an element that an operand does not have.
pub(super) fn leaves_of_step(
    node: CheckedNode<'_>,
    element: u64,
    segment: u64,
    before: Option<&[u64]>,
    operands: &[&Tensor],
) -> Option<Vec<BTreeSet<u64>>> {
    let mut recording = Recording {
        tensors: WholeTensors(operands),
        kinds: operands,
        leaves: vec![BTreeSet::new(); operands.len()],
    };
    let outcome = match law::segment_count(node) {
        1 => law::element(node, element, &mut recording).map(|_| ()),
        _ => {
            let state = law::start(node, segment, before);
            law::segment(node, element, segment, state, &mut recording).map(|_| ())
        }
    };
    #[cfg(test)]
    if matches!(outcome, Err(LawError::Undefined)) {
        cov_mark::hit!(step_has_no_result);
    }
    match outcome {
        Ok(()) | Err(LawError::Undefined) => Some(recording.leaves),
        Err(LawError::Operand(())) => {
            #[cfg(test)]
            cov_mark::hit!(step_reads_outside_its_operands);
            None
        }
    }
}

/// Proofs of the operands that a step reads; those of which it reads no leaf are left out.
pub(super) fn prove_operands<C: Commitment>(
    view: &HonestView<C>,
    support: &mut Support<'_, C>,
    (layer, operator): (u32, u32),
    leaves: &[BTreeSet<u64>],
) -> Result<Vec<(u8, OperandProof)>, SolveError> {
    let tensors = view.run().operands(operator)?;
    let node = view.model().node(operator).ok_or_else(|| stuck("no such operator"))?;
    let mut proofs = Vec::new();
    let operands = node.operands.iter().zip(tensors).zip(leaves).enumerate();
    for (place, ((operand, tensor), read)) in operands.filter(|(_, (_, read))| !read.is_empty()) {
        let place = u8::try_from(place).map_err(|_| stuck("no such operand"))?;
        let found = operand_of(view, layer, operand.value);
        let Found { root, tree, at } = found.ok_or_else(|| stuck("an operand cannot be proven"))?;
        let path = match at {
            Held::Weights(path) => path,
            Held::Claim(list, position) => support.leaf_path(list, position)?,
        };
        let positions: Vec<u64> = read.iter().copied().collect();
        let leaves = positions.iter().map(|position| tensor.leaf(*position)).collect();
        let (Some(leaves), Some(siblings)) = (leaves, tree.siblings_of(&positions)) else {
            return Err(stuck("an operand has no such leaf"));
        };
        proofs.push((place, OperandProof { root, path, positions, leaves, siblings }));
    }
    Ok(proofs)
}

/// An operand in the list that holds it.
struct Found<'a, C: Commitment> {
    root: Digest,
    tree: &'a merkle::Tree<C>,
    at: Held,
}

/// The list that holds an operand's root.
enum Held {
    /// The model's weights: with the path.
    Weights(Vec<Digest>),
    /// A list of the claim: the position in it.
    Claim(Tree, u64),
}

fn operand_of<C: Commitment>(view: &HonestView<C>, layer: u32, value: u32) -> Option<Found<'_, C>> {
    let model = view.model();
    let definition = model.layer(layer)?;
    Some(match model.header().source(value)? {
        ValueSource::Weight(weight) => {
            let path = model.committed().weights.tree().path(u64::from(weight))?;
            let (root, tree) = (model.weight_root(weight)?, model.weight_tree(weight)?);
            Found { root, tree, at: Held::Weights(path) }
        }
        ValueSource::Operator(from) if definition.position(from).is_some() => {
            let position = definition.position(from)?;
            let subtrace = view.run().inside(layer).ok()?;
            let root = subtrace.roots().get(position as usize).copied()?;
            let at = Held::Claim(trees::inside(view.iteration(), layer), u64::from(position));
            Found { root, tree: subtrace.leaf_tree(position)?, at }
        }
        ValueSource::Input(_) | ValueSource::Operator(_) => {
            let position = definition.live_in.binary_search(&value).ok()?;
            let before = view.own_state(layer)?;
            let root = *before.roots().get(position)?;
            let at = Held::Claim(trees::state(view.iteration(), layer), position as u64);
            Found { root, tree: before.leaf_tree(value)?, at }
        }
    })
}

#[cfg(test)]
mod tests;
