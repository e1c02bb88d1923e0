//! Models: what their root commits to, and the trees under it.

use alloc::vec::Vec;

use super::{Layer, Node, OPERATORS_MAX, STATE_VALUES_MAX};
use crate::encoding::{canonical_enum, canonical_struct};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::merkle::ListTree;
use crate::roots::root_leaf;
use crate::tensor::TensorType;

/// Which arithmetic a model runs under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Bit-exact binary32.
    #[default]
    StrictF32,
}
canonical_enum!(Profile { 1 => StrictF32 {} });

/// What the model root commits to.
///
/// Values are numbered: graph inputs first, then weights, then the output of each operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelHeader {
    /// Root of the list of nodes.
    pub graph_root: Digest,
    /// Root of the list of weight tensors.
    pub weights_root: Digest,
    /// Root of the layer table.
    pub layers_root: Digest,
    /// Number of operators.
    pub operator_count: u32,
    /// Number of weight tensors; at least one.
    pub weight_count: u32,
    /// Number of graph inputs.
    pub input_count: u32,
    /// Number of layers.
    pub layer_count: u32,
    /// Arithmetic.
    pub profile: Profile,
}
canonical_struct!(ModelHeader {
    graph_root,
    weights_root,
    layers_root,
    operator_count,
    weight_count,
    input_count,
    layer_count,
    profile,
});

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueSource {
    /// Input of the graph, by index.
    Input(u32),
    /// Weight, by index.
    Weight(u32),
    /// Output of an operator, by index.
    Operator(u32),
}

impl ModelHeader {
    /// The model root.
    pub fn root(&self) -> Digest {
        self.root_under::<Keccak>()
    }

    /// As [`ModelHeader::root`], under any commitment.
    pub fn root_under<C: Commitment>(&self) -> Digest {
        C::tagged_value(Tag::Model, self)
    }

    /// Whether the counts are inside the limits.
    pub fn is_within_limits(&self) -> bool {
        (1..=OPERATORS_MAX).contains(&self.operator_count)
            && (1..=OPERATORS_MAX).contains(&self.weight_count)
            && (1..=STATE_VALUES_MAX).contains(&(self.input_count as usize))
            && (1..=self.operator_count).contains(&self.layer_count)
    }

    /// Number of states of a trace: one before the first layer and one after each.
    pub fn state_count(&self) -> u32 {
        self.layer_count.saturating_add(1)
    }

    /// Where a value comes from; `None` when the model has no such value.
    pub fn source(&self, value: u32) -> Option<ValueSource> {
        let Some(after_inputs) = value.checked_sub(self.input_count) else {
            return Some(ValueSource::Input(value));
        };
        let Some(operator) = after_inputs.checked_sub(self.weight_count) else {
            return Some(ValueSource::Weight(after_inputs));
        };
        (operator < self.operator_count).then_some(ValueSource::Operator(operator))
    }

    /// The value that an operator writes.
    pub fn output_of(&self, operator: u32) -> u32 {
        self.input_count.saturating_add(self.weight_count).saturating_add(operator)
    }
}

/// A whole canonical model without its weights' contents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Graph {
    /// Types of the inputs.
    pub inputs: Vec<TensorType>,
    /// Types of the weights; never empty (a model without weights carries one unused scalar).
    pub weights: Vec<TensorType>,
    /// Operators in topological order.
    pub nodes: Vec<Node>,
    /// The layers, in order, covering all operators.
    pub layers: Vec<Layer>,
}

impl Graph {
    /// Commits to the graph; `None` when a list is empty or over its limit.
    pub fn commit<C: Commitment>(
        &self,
        weight_roots: &[Digest],
        profile: Profile,
    ) -> Option<CommittedGraph<C>> {
        let nodes: Vec<_> = self.nodes.iter().map(Node::leaf::<C>).collect();
        let layers: Vec<_> = self.layers.iter().map(Layer::leaf::<C>).collect();
        let weights: Vec<_> = weight_roots.iter().map(root_leaf::<C>).collect();
        let nodes = ListTree::new(Tag::Graph, &nodes)?;
        let layers = ListTree::new(Tag::Layers, &layers)?;
        let weights = ListTree::new(Tag::Weights, &weights)?;
        let header = ModelHeader {
            graph_root: nodes.root(),
            weights_root: weights.root(),
            layers_root: layers.root(),
            operator_count: u32::try_from(self.nodes.len()).ok()?,
            weight_count: u32::try_from(weight_roots.len()).ok()?,
            input_count: u32::try_from(self.inputs.len()).ok()?,
            layer_count: u32::try_from(self.layers.len()).ok()?,
            profile,
        };
        header.is_within_limits().then_some(CommittedGraph { header, nodes, layers, weights })
    }
}

/// The trees under a model root, for those who prove.
#[derive(Clone, Debug)]
pub struct CommittedGraph<C: Commitment = Keccak> {
    /// The header.
    pub header: ModelHeader,
    /// Tree of the nodes.
    pub nodes: ListTree<C>,
    /// Tree of the layer table.
    pub layers: ListTree<C>,
    /// Tree of the weights' tensor roots.
    pub weights: ListTree<C>,
}
