//! The step referee: recomputes one step from committed operands, in integers.
//!
//! It is total. Every refutation ends in a [`Finding`] or in a typed rejection, in time and memory
//! bounded by the refutation's size.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use super::refutation::{Evidence, Finding, LeafProof, OperandProof, RefereeError, Refutation};
use super::{Context, Proven, Tree, TreeKind};
use crate::graph::{Layer, ValueSource};
use crate::hash::{Commitment, Digest, Tag};
use crate::law::{self, CheckedNode, LawError, Operands};
use crate::merkle::verify_list;
use crate::roots::{root_leaf, state_leaf};
use crate::tensor::{
    ElementType, LEAF_BYTES, LeafBytes, Shape, TensorType, leaf_element, leaf_is_canonical,
};

/// Judges a refutation by what its transaction proves.
///
/// # Errors
/// When the refutation is incomplete or its proofs are wrong; it then decides nothing.
pub fn judge<C: Commitment>(
    proven: &Proven<'_>,
    refutation: &Refutation,
) -> Result<Finding, RefereeError> {
    match refutation {
        Refutation::Step { iteration, layer, operator, element, segment, operands, states } => {
            let node = proven.operator(*operator).ok_or(RefereeError::NotShown)?;
            let node = law::check(node).map_err(|_| RefereeError::MalformedNode)?;
            let definition = proven.layer(*layer).ok_or(RefereeError::NotShown)?;
            definition.position(*operator).ok_or(RefereeError::OutOfRange)?;
            let is_inside = *element < node.output.shape.count()
                && *iteration < proven.context.terms.iterations;
            if !is_inside {
                return Err(RefereeError::OutOfRange);
            }
            let step = Step {
                proven,
                node,
                place: (*iteration, *operator, *element),
                layer: (*layer, definition),
            };
            step.judge::<C>(*segment, operands, states)
        }
        Refutation::Binding { iteration, layer, operator } => {
            let definition = proven.layer(*layer).ok_or(RefereeError::NotShown)?;
            definition.position(*operator).ok_or(RefereeError::OutOfRange)?;
            let value = proven.context.header.output_of(*operator);
            let written = proven.output(*iteration, *operator).ok_or(RefereeError::NotShown)?;
            judge_state_value(proven, (*iteration, *layer), definition, value, written)
        }
        Refutation::Carry { iteration, layer, value } => {
            let definition = proven.layer(*layer).ok_or(RefereeError::NotShown)?;
            let before = value_of_state(proven, (*iteration, *layer), &definition.live_in, *value)?;
            judge_state_value(proven, (*iteration, *layer), definition, *value, before)
        }
        Refutation::StateValue { iteration, boundary, position } => {
            let (claimed, _) =
                proven.value(*iteration, *boundary, *position).ok_or(RefereeError::NotShown)?;
            let live = proven.live_values(*boundary).ok_or(RefereeError::NotShown)?;
            let expected = *live.get(*position as usize).ok_or(RefereeError::OutOfRange)?;
            Ok(if claimed == expected {
                Finding::Sound
            } else {
                let (iteration, boundary) = (*iteration, *boundary);
                Finding::Fraud(Evidence::StateValue { iteration, boundary, claimed, expected })
            })
        }
        Refutation::Leaf { iteration, operator, leaf } => {
            let node = proven.operator(*operator).ok_or(RefereeError::NotShown)?;
            let bytes = proven.leaf(*iteration, *operator, *leaf).ok_or(RefereeError::NotShown)?;
            let (_, count) = node.output.leaf_range(*leaf).ok_or(RefereeError::OutOfRange)?;
            Ok(if leaf_is_canonical(node.output.element, bytes, count) {
                Finding::Sound
            } else {
                let (iteration, operator, leaf) = (*iteration, *operator, *leaf);
                Finding::Fraud(Evidence::Leaf { iteration, operator, leaf })
            })
        }
        Refutation::Link { iteration, input } => judge_link(proven, *iteration, *input),
        Refutation::Entry { iteration } => {
            let claimed = proven.state(*iteration, 0).ok_or(RefereeError::NotShown)?;
            let expected = proven.entry(*iteration).ok_or(RefereeError::NotShown)?;
            let iteration = *iteration;
            Ok(sound_if(claimed == expected, Evidence::Entry { iteration, claimed, expected }))
        }
        Refutation::Stop { iteration } => judge_stop::<C>(proven, *iteration),
    }
}

fn sound_if(is_sound: bool, evidence: Evidence) -> Finding {
    if is_sound { Finding::Sound } else { Finding::Fraud(evidence) }
}

/// Whether an iteration begins with what the one before it handed on.
fn judge_link(proven: &Proven<'_>, iteration: u32, input: u32) -> Result<Finding, RefereeError> {
    let header = proven.context.header;
    let before = iteration.checked_sub(1).ok_or(RefereeError::OutOfRange)?;
    let value = *header.links.get(input as usize).ok_or(RefereeError::OutOfRange)?;
    let last = header.layer_count;
    let live = proven.live_values(last).ok_or(RefereeError::NotShown)?;
    let expected = value_of_state(proven, (before, last), live, value)?;
    let live = proven.live_values(0).ok_or(RefereeError::NotShown)?;
    let claimed = value_of_state(proven, (iteration, 0), live, input)?;
    Ok(sound_if(claimed == expected, Evidence::Link { iteration, input, claimed, expected }))
}

/// Whether the run ends where an iteration says so, and not before. At the job's most iterations, and where the
/// job allows a cut, the last one need not say that it ends.
fn judge_stop<C: Commitment>(proven: &Proven<'_>, iteration: u32) -> Result<Finding, RefereeError> {
    let Context { terms, header, length, .. } = &proven.context;
    let (value, last) = (header.stop.ok_or(RefereeError::OutOfRange)?, header.layer_count);
    let live = proven.live_values(last).ok_or(RefereeError::NotShown)?;
    let claimed = value_of_state(proven, (iteration, last), live, value)?;
    let is_last = iteration.checked_add(1) == Some(terms.iterations);
    let may_end = terms.iterations == length.iterations_max || length.may_cut;
    let said = root_of_truth::<C>(is_last).ok_or(RefereeError::OutOfRange)?;
    let is_sound = claimed == said || (is_last && may_end);
    Ok(sound_if(is_sound, Evidence::Stop { iteration, is_last, claimed }))
}

/// Root of a bool of one element.
fn root_of_truth<C: Commitment>(truth: bool) -> Option<Digest> {
    let kind = TensorType { element: ElementType::Bool, shape: Shape::new(&[1])? };
    let mut leaf = [0; LEAF_BYTES];
    if let Some(first) = leaf.first_mut() {
        *first = u8::from(truth);
    }
    Some(kind.root_under::<C>(&C::leaf(&leaf)))
}

/// The shown root of a value in a state, where the model says it stands.
fn value_of_state(
    proven: &Proven<'_>,
    (iteration, boundary): (u32, u32),
    live: &[u32],
    value: u32,
) -> Result<Digest, RefereeError> {
    let position = live.binary_search(&value).map_err(|_| RefereeError::OutOfRange)?;
    let (id, root) =
        proven.value(iteration, boundary, position as u32).ok_or(RefereeError::NotShown)?;
    if id == value { Ok(root) } else { Err(RefereeError::NotShown) }
}

fn judge_state_value(
    proven: &Proven<'_>,
    (iteration, layer): (u32, u32),
    definition: &Layer,
    value: u32,
    expected: Digest,
) -> Result<Finding, RefereeError> {
    let after = layer.checked_add(1).ok_or(RefereeError::OutOfRange)?;
    let claimed = value_of_state(proven, (iteration, after), &definition.live_out, value)?;
    Ok(if claimed == expected {
        Finding::Sound
    } else {
        Finding::Fraud(Evidence::Contradiction { iteration, value, claimed, expected })
    })
}

/// Operands of a step: only the leaves that were proven; remembers which were read.
struct ProvenLeaves<'a> {
    operands: BTreeMap<usize, (&'a TensorType, BTreeMap<u64, &'a LeafBytes>)>,
    /// Operand and position of each leaf that was read.
    read: BTreeSet<(usize, u64)>,
}

impl Operands for ProvenLeaves<'_> {
    type Error = RefereeError;

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, RefereeError> {
        let missing = RefereeError::MissingLeaf { operand: operand as u32 };
        let (kind, leaves) = self.operands.get(&operand).ok_or(missing)?;
        let (position, place) = kind.locate(index).ok_or(RefereeError::OutOfRange)?;
        let bytes = leaves.get(&position).ok_or(missing)?;
        self.read.insert((operand, position));
        leaf_element(kind.element, bytes, place).ok_or(RefereeError::OutOfRange)
    }
}

/// A step that is recomputed.
struct Step<'a> {
    proven: &'a Proven<'a>,
    node: CheckedNode<'a>,
    /// Iteration, operator, element.
    place: (u32, u32, u64),
    layer: (u32, &'a Layer),
}

impl Step<'_> {
    fn judge<C: Commitment>(
        &self,
        segment: u64,
        operands: &[(u8, OperandProof)],
        states: &[LeafProof],
    ) -> Result<Finding, RefereeError> {
        let node = self.node;
        let segments = law::segment_count(node);
        let states = self.states::<C>(states)?;
        if segments > 1 && segment == segments {
            if !operands.is_empty() {
                return Err(RefereeError::OutOfRange);
            }
            let last = states.state(segment - 1).ok_or(RefereeError::BadState)?;
            let expected = law::finish(node, &last).map(|bits| vec![bits]);
            return self.finding(segment, expected, 0, || self.claimed_element());
        }
        if segment >= segments {
            return Err(RefereeError::OutOfRange);
        }
        let mut leaves = self.operands::<C>(operands)?;
        let recomputed = if segments == 1 {
            law::element(node, self.place.2, &mut leaves).map(|bits| vec![bits])
        } else {
            let before = match segment.checked_sub(1) {
                Some(number) => Some(states.state(number).ok_or(RefereeError::BadState)?),
                None => None,
            };
            let start = law::start(node, segment, before.as_deref());
            law::segment(node, self.place.2, segment, start, &mut leaves)
        };
        let expected = match recomputed {
            Ok(words) => Some(words),
            Err(LawError::Undefined) => None,
            Err(LawError::Operand(error)) => return Err(error),
        };
        let is_read =
            |operand: u8, position: &u64| leaves.read.contains(&(usize::from(operand), *position));
        let mut proofs = operands.iter();
        if let Some((operand, _)) = proofs.find(|(operand, proof)| {
            proof.positions.is_empty() || !proof.positions.iter().all(|at| is_read(*operand, at))
        }) {
            return Err(RefereeError::UnreadOperand { operand: u32::from(*operand) });
        }
        let multiply_adds = law::multiply_adds(node).min(law::SEGMENT_ELEMENTS);
        self.finding(segment, expected, multiply_adds, || {
            if segments == 1 {
                self.claimed_element()
            } else {
                states.state(segment).ok_or(RefereeError::BadState)
            }
        })
    }

    /// Compares what is claimed with what the law gives. Where it gives nothing, whatever is claimed is false,
    /// and need not be shown.
    fn finding(
        &self,
        segment: u64,
        expected: Option<Vec<u64>>,
        multiply_adds: u64,
        claimed: impl FnOnce() -> Result<Vec<u64>, RefereeError>,
    ) -> Result<Finding, RefereeError> {
        let claimed = match &expected {
            Some(_) => claimed()?,
            None => Vec::new(),
        };
        if expected.as_ref() == Some(&claimed) {
            return Ok(Finding::Sound);
        }
        let (iteration, operator, element) = self.place;
        Ok(Finding::Fraud(Evidence::Step {
            iteration,
            operator,
            element,
            segment,
            claimed,
            expected,
            multiply_adds,
        }))
    }

    /// The element that the executor claims, once its leaf is shown.
    fn claimed_element(&self) -> Result<Vec<u64>, RefereeError> {
        let (iteration, operator, element) = self.place;
        let output = &self.node.output;
        let (leaf, place) = output.locate(element).ok_or(RefereeError::OutOfRange)?;
        let bytes = self.proven.leaf(iteration, operator, leaf).ok_or(RefereeError::NotShown)?;
        let bits = leaf_element(output.element, bytes, place).ok_or(RefereeError::OutOfRange)?;
        Ok(vec![bits])
    }

    /// The states of the element that are proven.
    fn states<C: Commitment>(&self, proofs: &[LeafProof]) -> Result<States, RefereeError> {
        let (iteration, operator, element) = self.place;
        let width = law::state_words(self.node) as u64;
        let mut states = States { kind: None, width, leaves: BTreeMap::new() };
        if proofs.is_empty() {
            return Ok(states);
        }
        let tree = Tree::Accumulators { iteration, operator, element };
        let Some(TreeKind::Tensor { kind }) = TreeKind::of_accumulators(&self.node) else {
            return Err(RefereeError::BadState);
        };
        for proof in proofs {
            self.proven
                .check_leaf::<C>(&tree, proof.position, C::leaf(&proof.bytes), &proof.path)
                .map_err(|_| RefereeError::BadState)?;
            states.leaves.insert(proof.position, proof.bytes);
        }
        states.kind = Some(kind);
        Ok(states)
    }

    /// The operands of the step, once each root is proven to be committed and each leaf to be of its root.
    fn operands<'b, C: Commitment>(
        &'b self,
        proofs: &'b [(u8, OperandProof)],
    ) -> Result<ProvenLeaves<'b>, RefereeError> {
        let mut leaves = ProvenLeaves { operands: BTreeMap::new(), read: BTreeSet::new() };
        let mut next = 0u32;
        for (place, proof) in proofs {
            let bad = RefereeError::BadOperand { operand: u32::from(*place) };
            let operand = self
                .node
                .node()
                .operands
                .get(usize::from(*place))
                .ok_or(RefereeError::OutOfRange)?;
            // Ascending, each once.
            if u32::from(*place) < next {
                return Err(RefereeError::OutOfRange);
            }
            next = u32::from(*place) + 1;
            if !self.is_committed::<C>(operand.value, proof) || !proof.holds::<C>(&operand.kind) {
                return Err(bad);
            }
            let by_position = proof.positions.iter().copied().zip(&proof.leaves).collect();
            leaves.operands.insert(usize::from(*place), (&operand.kind, by_position));
        }
        Ok(leaves)
    }

    /// Whether an operand's root is what the claim (or the model) committed to.
    fn is_committed<C: Commitment>(&self, value: u32, proof: &OperandProof) -> bool {
        let (header, (layer_index, layer)) = (self.proven.context.header, self.layer);
        let iteration = self.place.0;
        let leaf = root_leaf::<C>(&proof.root);
        let in_tree = |tree: &Tree, position: u32, leaf| {
            self.proven.check_leaf::<C>(tree, u64::from(position), leaf, &proof.path).is_ok()
        };
        match header.source(value) {
            Some(ValueSource::Weight(index)) => {
                let (root, count) = (&header.weights_root, header.weight_count);
                verify_list::<C>(Tag::Weights, root, count, index, leaf, &proof.path)
            }
            Some(ValueSource::Operator(operator)) if layer.position(operator).is_some() => {
                let tree = Tree::Subtrace { iteration, layer: layer_index };
                layer.position(operator).is_some_and(|position| in_tree(&tree, position, leaf))
            }
            Some(ValueSource::Input(_) | ValueSource::Operator(_)) => {
                let tree = Tree::State { iteration, boundary: layer_index };
                let position = layer.live_in.binary_search(&value).ok();
                let leaf = state_leaf::<C>(value, &proof.root);
                position.is_some_and(|position| in_tree(&tree, position as u32, leaf))
            }
            None => false,
        }
    }
}

/// States after segments, as far as their leaves are proven.
struct States {
    kind: Option<TensorType>,
    width: u64,
    leaves: BTreeMap<u64, LeafBytes>,
}

impl States {
    /// The words after a segment; `None` unless all of them are proven.
    fn state(&self, segment: u64) -> Option<Vec<u64>> {
        let kind = self.kind.as_ref()?;
        let first = segment.checked_mul(self.width)?;
        (first..first.checked_add(self.width)?)
            .map(|word| {
                let (leaf, place) = kind.locate(word)?;
                leaf_element(kind.element, self.leaves.get(&leaf)?, place)
            })
            .collect()
    }
}
