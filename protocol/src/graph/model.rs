//! Models: what their root commits to, and the trees under it.

use alloc::vec::Vec;

use super::{INPUTS_MAX, Layer, Node, OPERATORS_MAX};
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
    /// Types of the graph's inputs.
    pub inputs: Vec<TensorType>,
    /// Number of layers.
    pub layer_count: u32,
    /// Arithmetic.
    pub profile: Profile,
    /// As [`Recurrence::links`].
    pub links: Vec<u32>,
    /// As [`Recurrence::stop`].
    pub stop: Option<u32>,
    /// Hash of the model's card, which says how inputs are made and outputs are read; zeros where there is
    /// none. No rule reads it.
    pub card: Digest,
}
canonical_struct!(ModelHeader {
    graph_root,
    weights_root,
    layers_root,
    operator_count,
    weight_count,
    inputs,
    layer_count,
    profile,
    links,
    stop,
    card,
});

/// What one iteration hands to the next. An ordinary model has neither: each of its iterations stands by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recurrence {
    /// Empty, or for each input, in their order, the id of the value that the next iteration takes: an input or
    /// the output of an operator, of the input's type, live after the last layer.
    pub links: Vec<u32>,
    /// The value that says whether an iteration is the last: a bool of one element that an operator writes, live
    /// after the last layer. Without it a run has as many iterations as its job says.
    pub stop: Option<u32>,
}

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

    /// Whether the counts are inside the limits, and links and stop name values that can be handed on.
    ///
    /// The types of what operators write are not in the header: [`validate`](crate::validate::validate) compares
    /// them.
    pub fn is_within_limits(&self) -> bool {
        (1..=OPERATORS_MAX).contains(&self.operator_count)
            && (1..=OPERATORS_MAX).contains(&self.weight_count)
            && (1..=INPUTS_MAX).contains(&self.inputs.len())
            && (1..=self.operator_count).contains(&self.layer_count)
            && self.links_are_values()
    }

    fn links_are_values(&self) -> bool {
        let mut links = self.links.iter().zip(&self.inputs);
        let are_sources = links.all(|(value, kind)| match self.source(*value) {
            Some(ValueSource::Input(input)) => self.inputs.get(input as usize) == Some(kind),
            Some(ValueSource::Operator(_)) => true,
            Some(ValueSource::Weight(_)) | None => false,
        });
        let is_operator = |value: u32| matches!(self.source(value), Some(ValueSource::Operator(_)));
        if self.links.is_empty() {
            return self.stop.is_none();
        }
        self.links.len() == self.inputs.len() && are_sources && self.stop.is_none_or(is_operator)
    }

    /// Whether iterations follow from one another.
    pub fn is_recurrent(&self) -> bool {
        !self.links.is_empty()
    }

    /// Number of graph inputs.
    pub fn input_count(&self) -> u32 {
        u32::try_from(self.inputs.len()).unwrap_or(u32::MAX)
    }

    /// Number of states of a trace: one before the first layer and one after each.
    pub fn state_count(&self) -> u32 {
        self.layer_count.saturating_add(1)
    }

    /// Where a value comes from; `None` when the model has no such value.
    pub fn source(&self, value: u32) -> Option<ValueSource> {
        let Some(after_inputs) = value.checked_sub(self.input_count()) else {
            return Some(ValueSource::Input(value));
        };
        let Some(operator) = after_inputs.checked_sub(self.weight_count) else {
            return Some(ValueSource::Weight(after_inputs));
        };
        (operator < self.operator_count).then_some(ValueSource::Operator(operator))
    }

    /// The value that an operator writes.
    pub fn output_of(&self, operator: u32) -> u32 {
        self.input_count().saturating_add(self.weight_count).saturating_add(operator)
    }
}

/// A whole canonical model without its weights' contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Graph {
    /// Types of the inputs.
    pub inputs: Vec<TensorType>,
    /// Types of the weights; never empty (a model without weights carries one unused scalar).
    pub weights: Vec<TensorType>,
    /// Operators in topological order.
    pub nodes: Vec<Node>,
    /// The layers, in order, covering all operators.
    pub layers: Vec<Layer>,
    /// What one iteration hands to the next.
    pub recurrence: Recurrence,
    /// Hash of the model's card; zeros where there is none.
    pub card: Digest,
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
            inputs: self.inputs.clone(),
            layer_count: u32::try_from(self.layers.len()).ok()?,
            profile,
            links: self.recurrence.links.clone(),
            stop: self.recurrence.stop,
            card: self.card,
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
