//! Nodes and layers: the leaves of a model's trees.

use alloc::vec::Vec;

use super::Operator;
use crate::encoding::{Canonical, canonical_struct};
use crate::hash::{Commitment, Digest};
use crate::tensor::TensorType;

/// An operand of a node: which value, and its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Id of the value.
    pub value: u32,
    /// Its type.
    pub kind: TensorType,
}
canonical_struct!(Operand { value, kind });

/// One operator with its operands and its output: a leaf of the graph's tree.
///
/// A node carries all its types, so that it can be proven to a referee by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// What it computes.
    pub operator: Operator,
    /// From what.
    pub operands: Vec<Operand>,
    /// Type of the result.
    pub output: TensorType,
}
canonical_struct!(Node { operator, operands, output });

impl Node {
    /// Hash of the node as a leaf of the graph's tree.
    pub fn leaf<C: Commitment>(&self) -> Digest {
        C::leaf(&self.to_canonical())
    }
}

/// Consecutive operators between two committed states: a leaf of the layer table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// Index of the first operator.
    pub first_operator: u32,
    /// Number of operators.
    pub operator_count: u32,
    /// Values that are live at the boundary before the layer, ascending.
    pub live_in: Vec<u32>,
    /// Values that are live at the boundary after it, ascending.
    pub live_out: Vec<u32>,
}
canonical_struct!(Layer { first_operator, operator_count, live_in, live_out });

impl Layer {
    /// Hash of the layer as a leaf of the layer table.
    pub fn leaf<C: Commitment>(&self) -> Digest {
        C::leaf(&self.to_canonical())
    }

    /// Position of an operator in the layer's subtrace.
    pub fn position(&self, operator: u32) -> Option<u32> {
        let position = operator.checked_sub(self.first_operator)?;
        (position < self.operator_count).then_some(position)
    }
}
