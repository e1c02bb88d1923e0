//! Nodes and layers with the paths that place them in a model.

use alloc::vec::Vec;

use super::{Layer, ModelHeader, Node};
use crate::encoding::canonical_struct;
use crate::hash::{Commitment, Digest, Tag};
use crate::merkle;

/// A node with the path that places it in a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeProof {
    /// Index of the operator.
    pub index: u32,
    /// The node.
    pub node: Node,
    /// Path in the graph's tree.
    pub path: Vec<Digest>,
}
canonical_struct!(NodeProof { index, node, path });

impl NodeProof {
    /// Whether the model has this node at this index.
    pub fn verify<C: Commitment>(&self, header: &ModelHeader) -> bool {
        let (root, count) = (&header.graph_root, header.operator_count);
        let leaf = self.node.leaf::<C>();
        merkle::verify_list::<C>(Tag::Graph, root, count, self.index, leaf, &self.path)
    }
}

/// A layer with the path that places it in a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerProof {
    /// Index of the layer.
    pub index: u32,
    /// The layer.
    pub layer: Layer,
    /// Path in the layer table's tree.
    pub path: Vec<Digest>,
}
canonical_struct!(LayerProof { index, layer, path });

impl LayerProof {
    /// Whether the model has this layer at this index.
    pub fn verify<C: Commitment>(&self, header: &ModelHeader) -> bool {
        let (root, count) = (&header.layers_root, header.layer_count);
        let leaf = self.layer.leaf::<C>();
        merkle::verify_list::<C>(Tag::Layers, root, count, self.index, leaf, &self.path)
    }
}
