//! What a challenger says is false, and what the referee finds.

use alloc::vec::Vec;

use crate::encoding::{canonical_enum, canonical_struct};
use crate::hash::{Commitment, Digest};
use crate::merkle::root_of_leaves;
use crate::tensor::{LeafBytes, TensorType};

/// A leaf with the siblings up to a root, or to the place that was asked last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeafProof {
    /// Position in the padded leaf tree.
    pub position: u64,
    /// The leaf's bytes.
    pub bytes: LeafBytes,
    /// Siblings, lowest first.
    pub path: Vec<Digest>,
}
canonical_struct!(LeafProof { position, bytes, path });

/// An operand of a step: its root, proven to be committed, and the leaves that the step reads, which share
/// their siblings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperandProof {
    /// The tensor root.
    pub root: Digest,
    /// Path of the root in the list that holds it: subtrace, state or weights.
    pub path: Vec<Digest>,
    /// Positions of the leaves, ascending.
    pub positions: Vec<u64>,
    /// The leaves at these positions.
    pub leaves: Vec<LeafBytes>,
    /// Siblings that cannot be computed from the leaves: level by level from below.
    pub siblings: Vec<Digest>,
}
canonical_struct!(OperandProof { root, path, positions, leaves, siblings });

impl OperandProof {
    /// Whether the leaves are of a tensor of this type with this root.
    pub fn holds<C: Commitment>(&self, kind: &TensorType) -> bool {
        let Some(shape) = kind.tree_shape() else {
            return false;
        };
        let leaves: Vec<(u64, Digest)> = self
            .positions
            .iter()
            .copied()
            .zip(self.leaves.iter().map(|bytes| C::leaf(bytes)))
            .collect();
        self.positions.len() == self.leaves.len()
            && root_of_leaves::<C>(&shape, &leaves, &self.siblings)
                .is_some_and(|inner| kind.root_under::<C>(&inner) == self.root)
    }
}

/// How a challenger ends a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refutation {
    /// The operands are committed, the result is not what the law gives.
    Step {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the layer.
        layer: u32,
        /// Index of the operator in the model.
        operator: u32,
        /// Flat index of the output element.
        element: u64,
        /// The segment of 64 products or elements, 0 for operators of one. With several, their number
        /// stands for the last step: from the last state into the element.
        segment: u64,
        /// The operands that the law reads for it, ascending, no others; each with its index.
        operands: Vec<(u8, OperandProof)>,
        /// Leaves of the element's accumulators.
        states: Vec<LeafProof>,
    },
    /// A value of the state after a layer is not what the layer's subtrace says.
    Binding {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the layer.
        layer: u32,
        /// The operator that writes the value.
        operator: u32,
    },
    /// A value passes through a layer and changes.
    Carry {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the layer.
        layer: u32,
        /// Id of the value.
        value: u32,
    },
    /// A state holds another value id than the model says.
    StateValue {
        /// Index of the iteration.
        iteration: u32,
        /// The boundary: 0 before the first layer, then one after each.
        boundary: u32,
        /// Position in the state.
        position: u32,
    },
    /// A shown leaf holds bits that no stored value has.
    Leaf {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the operator in the model.
        operator: u32,
        /// Position in the padded leaf tree.
        leaf: u64,
    },
    /// An iteration begins with another value than the one before it handed on.
    Link {
        /// Index of the iteration; not the first.
        iteration: u32,
        /// Index of the input.
        input: u32,
    },
    /// An iteration of a batch begins with another state than its entry.
    Entry {
        /// Index of the iteration.
        iteration: u32,
    },
    /// The run goes on after the model says that it ends, or ends before.
    Stop {
        /// Index of the iteration.
        iteration: u32,
    },
}
canonical_enum!(Refutation {
    1 => Step { iteration, layer, operator, element, segment, operands, states },
    2 => Binding { iteration, layer, operator }, 3 => Carry { iteration, layer, value },
    4 => StateValue { iteration, boundary, position }, 5 => Leaf { iteration, operator, leaf },
    6 => Link { iteration, input }, 7 => Entry { iteration }, 8 => Stop { iteration },
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
    /// A step gives another result, or none.
    Step {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the operator in the model.
        operator: u32,
        /// Flat index of the output element.
        element: u64,
        /// The segment; the number of segments for the last step.
        segment: u64,
        /// Words claimed, an element's bits in each: the stored element, or the state after the segment.
        /// Empty where the law gives no result: then it does not matter.
        claimed: Vec<u64>,
        /// Words the law gives; `None` where it gives no result.
        expected: Option<Vec<u64>>,
        /// Multiply-adds (or folded elements) that were recomputed.
        multiply_adds: u64,
    },
    /// Two commitments of the claim contradict each other.
    Contradiction {
        /// Index of the iteration.
        iteration: u32,
        /// Id of the value.
        value: u32,
        /// What the state says.
        claimed: Digest,
        /// What the subtrace or the state before says.
        expected: Digest,
    },
    /// Another value stands in a state than the model says.
    StateValue {
        /// Index of the iteration.
        iteration: u32,
        /// The boundary.
        boundary: u32,
        /// The id found.
        claimed: u32,
        /// The id the model has there.
        expected: u32,
    },
    /// A leaf is not canonical.
    Leaf {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the operator in the model.
        operator: u32,
        /// Position in the padded leaf tree.
        leaf: u64,
    },
    /// An iteration begins with another value than the one before it handed on.
    Link {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the input.
        input: u32,
        /// Root of the value that it begins with.
        claimed: Digest,
        /// Root of the value that was handed on.
        expected: Digest,
    },
    /// An iteration of a batch begins with another state than its entry.
    Entry {
        /// Index of the iteration.
        iteration: u32,
        /// Root of the state that it begins with.
        claimed: Digest,
        /// Root of the entry.
        expected: Digest,
    },
    /// The run goes on after the model says that it ends, or ends before.
    Stop {
        /// Index of the iteration.
        iteration: u32,
        /// Whether the claim ends with this iteration.
        is_last: bool,
        /// Root of what the iteration says about it.
        claimed: Digest,
    },
}
canonical_enum!(Evidence {
    1 => Step { iteration, operator, element, segment, claimed, expected, multiply_adds },
    2 => Contradiction { iteration, value, claimed, expected },
    3 => StateValue { iteration, boundary, claimed, expected },
    4 => Leaf { iteration, operator, leaf }, 5 => Link { iteration, input, claimed, expected },
    6 => Entry { iteration, claimed, expected }, 7 => Stop { iteration, is_last, claimed },
});

/// Why a refutation decides nothing. Nothing changes; send another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefereeError {
    /// Something that the refutation builds on is not shown.
    #[error(
        "the refutation builds on something that it does not show; show it in the same transaction"
    )]
    NotShown,
    /// The operator is not a well-formed node.
    #[error("the operator is not well formed, so nothing can be proven about it")]
    MalformedNode,
    /// An index is outside the operator's output, segments or operands, or names an iteration, input or value for which
    /// the model has none of what is refuted.
    #[error("an index is outside of the model or the operator")]
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
    /// The proof carries an operand, or a leaf of it, that the step does not read.
    #[error(
        "the proof carries leaves of operand {operand} that the step does not read; leave them out"
    )]
    UnreadOperand {
        /// Index of the operand in the node.
        operand: u32,
    },
    /// The states do not lead to the accumulators that were said.
    #[error("the states do not lead to the sums that the executor said; demand them first")]
    BadState,
}
