//! Step proofs: operands with the leaves that the step reads.

use std::collections::BTreeSet;

use inference::Tensor;
use inference::engine::WholeTensors;
use protocol::facts::{Facts, LeafProof};
use protocol::graph::ValueSource;
use protocol::hash::Commitment;
use protocol::law::{self, CheckedNode, LawError, Operands};
use protocol::referee::OperandProof;

use crate::honest_view::HonestView;

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

/// Proofs of all operands of a step.
pub(super) fn prove_operands<C: Commitment>(
    honest_view: &HonestView<C>,
    facts: &Facts<C>,
    layer: u32,
    operator: u32,
    leaves: &[BTreeSet<u64>],
) -> Option<Vec<OperandProof>> {
    let model = honest_view.model();
    let definition = model.layer(layer)?;
    let node = model.node(operator)?;
    let (before, subtrace) = (honest_view.own_state(layer)?, honest_view.run().inside(layer).ok()?);
    let tensors = honest_view.run().operands(operator).ok()?;
    let mut proofs = Vec::new();
    for ((operand, tensor), positions) in node.operands.iter().zip(tensors).zip(leaves) {
        let (root, path, tree) = match model.header().source(operand.value)? {
            ValueSource::Weight(weight) => {
                let path = model.committed().weights.tree().path(u64::from(weight))?;
                (model.weight_root(weight)?, path, model.weight_tree(weight)?)
            }
            ValueSource::Operator(from) if definition.position(from).is_some() => {
                let position = definition.position(from)?;
                let compared = honest_view.compared_inside(facts, layer).ok()?;
                let root = subtrace.roots().get(position as usize).copied()?;
                (root, compared.path(u64::from(position))?, subtrace.leaf_tree(position)?)
            }
            ValueSource::Input(_) | ValueSource::Operator(_) => {
                let position = definition.live_in.binary_search(&operand.value).ok()?;
                let root = *before.roots().get(position)?;
                let path = before.tree().tree().path(position as u64)?;
                (root, path, before.leaf_tree(operand.value)?)
            }
        };
        let leaves = positions
            .iter()
            .map(|position| {
                let (bytes, path) = (tensor.leaf(*position)?, tree.path(*position)?);
                Some(LeafProof { position: *position, bytes, path })
            })
            .collect::<Option<Vec<_>>>()?;
        proofs.push(OperandProof { root, path, leaves });
    }
    Some(proofs)
}

#[cfg(test)]
mod tests;
