//! The step referee: recomputes one step from committed operands, in integers.
//!
//! It is total. Every refutation ends in a [`Finding`] or in a typed rejection, in time and memory
//! bounded by the refutation's size.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::encoding::{canonical_enum, canonical_struct};
use crate::facts::{Facts, LeafProof, TreeId};
use crate::graph::{Layer, Node, ValueSource};
use crate::hash::{Commitment, Digest, Tag};
use crate::law::{self, CheckedNode, LawError, Operands};
use crate::merkle::{root_of_path, verify_list};
use crate::roots::{root_leaf, state_leaf};
use crate::tensor::{TensorType, leaf_element, leaf_is_canonical};

/// An operand of a step: its root, proven to be committed, and the leaves the step reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperandProof {
    /// The tensor root.
    pub root: Digest,
    /// Path of the root in the list that holds it: subtrace, state or weights.
    pub path: Vec<Digest>,
    /// The leaves that the step reads.
    pub leaves: Vec<LeafProof>,
}
canonical_struct!(OperandProof { root, path, leaves });

/// How a challenger ends a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refutation {
    /// The operands are committed, the result is not what the law gives.
    Step {
        /// Index of the operator in the model.
        operator: u32,
        /// Flat index of the output element.
        element: u64,
        /// The segment of 64 products or elements, 0 for operators of one. With several, their number
        /// stands for the last step: the last chunk joins the sum (or the lanes are folded) into the element.
        segment: u64,
        /// One proof for each operand; none for the last step.
        operands: Vec<OperandProof>,
    },
    /// A value of the state after a layer is not what the layer's subtrace says.
    Binding {
        /// Index of the layer.
        layer: u32,
        /// The operator that writes the value.
        operator: u32,
    },
    /// A value passes through a layer and changes.
    Carry {
        /// Index of the layer.
        layer: u32,
        /// Id of the value.
        value: u32,
    },
    /// A state holds another value id than the model says.
    StateValue {
        /// The boundary: 0 before the first layer, then one after each.
        boundary: u32,
        /// Position in the state.
        position: u32,
    },
    /// An opened leaf holds bits that no stored value has.
    Leaf {
        /// Index of the operator in the model.
        operator: u32,
        /// Position in the padded leaf tree.
        leaf: u64,
    },
}
canonical_enum!(Refutation {
    1 => Step { operator, element, segment, operands }, 2 => Binding { layer, operator },
    3 => Carry { layer, value }, 4 => StateValue { boundary, position },
    5 => Leaf { operator, leaf },
});

/// What the referee found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The claim is false here.
    Fraud(Evidence),
    /// The claim is right here: the refutation refutes nothing.
    Sound,
}

/// What was claimed and what is true.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// A step gives another result.
    Step {
        /// Index of the operator in the model.
        operator: u32,
        /// Flat index of the output element.
        element: u64,
        /// The segment; the number of segments for the last step.
        segment: u64,
        /// Words claimed, an element's bits in each: the stored element, or the state after the segment.
        claimed: Vec<u64>,
        /// Words the law gives; `None` where it gives no result.
        expected: Option<Vec<u64>>,
        /// Multiply-adds (or folded elements) that were recomputed.
        multiply_adds: u64,
    },
    /// Two commitments of the claim contradict each other.
    Contradiction {
        /// Id of the value.
        value: u32,
        /// What the state says.
        claimed: Digest,
        /// What the subtrace or the state before says.
        expected: Digest,
    },
    /// Another value stands in a state than the model says.
    StateValue {
        /// The id found.
        claimed: u32,
        /// The id the model has there.
        expected: u32,
    },
    /// A leaf is not canonical.
    Leaf {
        /// Index of the operator in the model.
        operator: u32,
        /// Position in the padded leaf tree.
        leaf: u64,
    },
}

/// Why a refutation decides nothing. Nothing changes; send another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefereeError {
    /// A fact that the refutation builds on is not open.
    #[error("the refutation builds on something that is not open; demand or show it first")]
    NotOpen,
    /// The operator is not a well-formed node.
    #[error("the operator is not well formed, so nothing can be proven about it")]
    MalformedNode,
    /// An index is outside the operator's output, segments or operands.
    #[error("an index is outside the operator")]
    OutOfRange,
    /// A path does not lead to the committed root.
    #[error("the proof of operand {operand} does not lead to its commitment")]
    BadOperand {
        /// Index of the operand in the node.
        operand: u32,
    },
    /// The step reads an element whose leaf is not in the proof.
    #[error("the step reads a leaf of operand {operand} that the proof does not carry")]
    MissingLeaf {
        /// Index of the operand in the node.
        operand: u32,
    },
}

/// Judges a refutation against the facts of a claim.
///
/// # Errors
/// When the refutation is incomplete or its proofs are wrong; it then decides nothing.
pub fn judge<C: Commitment>(
    facts: &Facts<C>,
    refutation: &Refutation,
) -> Result<Finding, RefereeError> {
    match refutation {
        Refutation::Step { operator, element, segment, operands } => {
            judge_step(facts, *operator, *element, *segment, operands)
        }
        Refutation::Binding { layer, operator } => {
            let definition = facts.layer(*layer).ok_or(RefereeError::NotOpen)?;
            definition.position(*operator).ok_or(RefereeError::OutOfRange)?;
            let value = facts.header().output_of(*operator);
            let written =
                facts.root(TreeId::Tensor { operator: *operator }).ok_or(RefereeError::NotOpen)?;
            judge_state_value(facts, *layer, definition, value, written)
        }
        Refutation::Carry { layer, value } => {
            let definition = facts.layer(*layer).ok_or(RefereeError::NotOpen)?;
            let before = value_of_state(facts, *layer, &definition.live_in, *value)?;
            judge_state_value(facts, *layer, definition, *value, before)
        }
        Refutation::StateValue { boundary, position } => {
            let (claimed, _) = facts.value(*boundary, *position).ok_or(RefereeError::NotOpen)?;
            let live = facts.live_values(*boundary).ok_or(RefereeError::NotOpen)?;
            let expected = *live.get(*position as usize).ok_or(RefereeError::OutOfRange)?;
            Ok(if claimed == expected {
                Finding::Sound
            } else {
                Finding::Fraud(Evidence::StateValue { claimed, expected })
            })
        }
        Refutation::Leaf { operator, leaf } => {
            let node = facts.operator(*operator).ok_or(RefereeError::NotOpen)?;
            let bytes = facts.leaf(*operator, *leaf).ok_or(RefereeError::NotOpen)?;
            let (_, count) = node.output.leaf_range(*leaf).ok_or(RefereeError::OutOfRange)?;
            Ok(if leaf_is_canonical(node.output.element, bytes, count) {
                Finding::Sound
            } else {
                Finding::Fraud(Evidence::Leaf { operator: *operator, leaf: *leaf })
            })
        }
    }
}

/// The opened root of a value in a state, where the model says it stands.
fn value_of_state<C: Commitment>(
    facts: &Facts<C>,
    boundary: u32,
    live: &[u32],
    value: u32,
) -> Result<Digest, RefereeError> {
    let position = live.binary_search(&value).map_err(|_| RefereeError::OutOfRange)?;
    let (id, root) = facts.value(boundary, position as u32).ok_or(RefereeError::NotOpen)?;
    if id == value { Ok(root) } else { Err(RefereeError::NotOpen) }
}

fn judge_state_value<C: Commitment>(
    facts: &Facts<C>,
    layer: u32,
    definition: &Layer,
    value: u32,
    expected: Digest,
) -> Result<Finding, RefereeError> {
    let after = layer.checked_add(1).ok_or(RefereeError::OutOfRange)?;
    let claimed = value_of_state(facts, after, &definition.live_out, value)?;
    Ok(if claimed == expected {
        Finding::Sound
    } else {
        Finding::Fraud(Evidence::Contradiction { value, claimed, expected })
    })
}

/// Operands of a step: only the leaves that were proven.
struct ProvenLeaves<'a> {
    operands: Vec<(&'a TensorType, BTreeMap<u64, &'a LeafProof>)>,
}

impl Operands for ProvenLeaves<'_> {
    type Error = RefereeError;

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, RefereeError> {
        let missing = RefereeError::MissingLeaf { operand: operand as u32 };
        let (kind, leaves) = self.operands.get(operand).ok_or(missing)?;
        let (position, place) = kind.locate(index).ok_or(RefereeError::OutOfRange)?;
        let leaf = leaves.get(&position).ok_or(missing)?;
        leaf_element(kind.element, &leaf.bytes, place).ok_or(RefereeError::OutOfRange)
    }
}

fn judge_step<C: Commitment>(
    facts: &Facts<C>,
    operator: u32,
    element: u64,
    segment: u64,
    proofs: &[OperandProof],
) -> Result<Finding, RefereeError> {
    let node = facts.operator(operator).ok_or(RefereeError::NotOpen)?;
    let node = law::check(node).map_err(|_| RefereeError::MalformedNode)?;
    let (layer_index, layer) = facts.layer_of(operator).ok_or(RefereeError::NotOpen)?;
    let segments = law::segment_count(node);
    if element >= node.output.shape.count() {
        return Err(RefereeError::OutOfRange);
    }
    if segments > 1 && segment == segments {
        return judge_last_step(facts, node, operator, element, segments);
    }
    if segment >= segments || proofs.len() != node.operands.len() {
        return Err(RefereeError::OutOfRange);
    }
    let mut proven = proven_leaves(facts, (layer_index, layer), node.node(), proofs)?;
    let (claimed, recomputed) = if segments == 1 {
        let claimed =
            facts.claimed_element(operator, element).map_err(|_| RefereeError::NotOpen)?;
        let recomputed = law::element(node, element, &mut proven).map(|bits| alloc::vec![bits]);
        (alloc::vec![claimed], recomputed)
    } else {
        let words = facts.accumulators(operator, element).ok_or(RefereeError::NotOpen)?;
        let width = law::state_words(node);
        let state = |number: u64| {
            let first = usize::try_from(number).ok()?.checked_mul(width)?;
            words.get(first..first.checked_add(width)?)
        };
        let claimed = state(segment).ok_or(RefereeError::OutOfRange)?.to_vec();
        let before = law::start(node, segment, segment.checked_sub(1).and_then(state));
        (claimed, law::segment(node, element, segment, before, &mut proven))
    };
    let expected = match recomputed {
        Ok(words) => Some(words),
        Err(LawError::Undefined) => None,
        Err(LawError::Operand(error)) => return Err(error),
    };
    if expected.as_ref() == Some(&claimed) {
        return Ok(Finding::Sound);
    }
    let multiply_adds = law::multiply_adds(node).min(law::SEGMENT_ELEMENTS);
    let evidence = Evidence::Step { operator, element, segment, claimed, expected, multiply_adds };
    Ok(Finding::Fraud(evidence))
}

/// The operands of a step, once each root is proven to be committed and each leaf to be of its root.
fn proven_leaves<'a, C: Commitment>(
    facts: &Facts<C>,
    (layer_index, layer): (u32, &Layer),
    node: &'a Node,
    proofs: &'a [OperandProof],
) -> Result<ProvenLeaves<'a>, RefereeError> {
    let mut proven = ProvenLeaves { operands: Vec::new() };
    for (place, (operand, proof)) in node.operands.iter().zip(proofs).enumerate() {
        let bad = RefereeError::BadOperand { operand: place as u32 };
        if !operand_is_committed(facts, layer_index, layer, operand.value, proof) {
            return Err(bad);
        }
        let shape = operand.kind.tree_shape().ok_or(RefereeError::MalformedNode)?;
        let mut leaves = BTreeMap::new();
        for leaf in &proof.leaves {
            let tree_root =
                root_of_path::<C>(&shape, leaf.position, C::leaf(&leaf.bytes), &leaf.path);
            if tree_root.map(|root| operand.kind.root_under::<C>(&root)) != Some(proof.root) {
                return Err(bad);
            }
            leaves.insert(leaf.position, leaf);
        }
        proven.operands.push((&operand.kind, leaves));
    }
    Ok(proven)
}

/// The step after the segments: from the last state to the element.
fn judge_last_step<C: Commitment>(
    facts: &Facts<C>,
    node: CheckedNode<'_>,
    operator: u32,
    element: u64,
    segments: u64,
) -> Result<Finding, RefereeError> {
    let words = facts.accumulators(operator, element).ok_or(RefereeError::NotOpen)?;
    let claimed = facts.claimed_element(operator, element).map_err(|_| RefereeError::NotOpen)?;
    let last = words.rchunks(law::state_words(node)).next().ok_or(RefereeError::NotOpen)?;
    let expected = law::finish(node, last);
    if expected == Some(claimed) {
        return Ok(Finding::Sound);
    }
    Ok(Finding::Fraud(Evidence::Step {
        operator,
        element,
        segment: segments,
        claimed: alloc::vec![claimed],
        expected: expected.map(|bits| alloc::vec![bits]),
        multiply_adds: 0,
    }))
}

/// Whether an operand's root is what the claim (or the model) committed to.
fn operand_is_committed<C: Commitment>(
    facts: &Facts<C>,
    layer_index: u32,
    layer: &Layer,
    value: u32,
    proof: &OperandProof,
) -> bool {
    let header = facts.header();
    let in_list = |tag, root: Option<Digest>, count: usize, index: u32, leaf| {
        root.is_some_and(|root| {
            verify_list::<C>(tag, &root, count as u32, index, leaf, &proof.path)
        })
    };
    let leaf = root_leaf::<C>(&proof.root);
    match header.source(value) {
        Some(ValueSource::Weight(index)) => {
            let root = Some(header.weights_root);
            in_list(Tag::Weights, root, header.weight_count as usize, index, leaf)
        }
        Some(ValueSource::Operator(operator)) if layer.position(operator).is_some() => {
            let root = facts.root(TreeId::Subtrace { layer: layer_index });
            let position = layer.position(operator).unwrap_or(u32::MAX);
            in_list(Tag::Subtrace, root, layer.operator_count as usize, position, leaf)
        }
        Some(ValueSource::Input(_) | ValueSource::Operator(_)) => {
            let Ok(position) = layer.live_in.binary_search(&value) else {
                return false;
            };
            let root = facts.root(TreeId::State { boundary: layer_index });
            let leaf = state_leaf::<C>(value, &proof.root);
            in_list(Tag::State, root, layer.live_in.len(), position as u32, leaf)
        }
        None => false,
    }
}

/// The operator's definition as the facts hold it; for reports.
pub fn operator_of<'a, C: Commitment>(
    facts: &'a Facts<C>,
    evidence: &Evidence,
) -> Option<&'a Node> {
    match evidence {
        Evidence::Step { operator, .. } | Evidence::Leaf { operator, .. } => {
            facts.operator(*operator)
        }
        Evidence::Contradiction { .. } | Evidence::StateValue { .. } => None,
    }
}
