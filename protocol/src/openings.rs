//! What is asked of an executor and what is said: requests, reveals, showings.

use alloc::vec::Vec;

use crate::encoding::{canonical_enum, canonical_struct};
use crate::graph::{LayerProof, NodeProof};
use crate::hash::Digest;
use crate::tensor::LeafBytes;

/// A tree that belongs to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TreeId {
    /// The states of the run.
    Trace {},
    /// The live values at a boundary.
    State {
        /// 0 before the first layer, then one after each.
        boundary: u32,
    },
    /// The operator outputs of a layer.
    Subtrace {
        /// Index of the layer.
        layer: u32,
    },
    /// The leaves of the output an operator wrote, according to the subtrace.
    Tensor {
        /// Index of the operator in the model.
        operator: u32,
    },
}
canonical_enum!(TreeId {
    1 => Trace {}, 2 => State { boundary }, 3 => Subtrace { layer }, 4 => Tensor { operator },
});

/// Something that only the executor can say, and must say when it is demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// The descendants of a known node, one opening further down.
    Node {
        /// Which tree.
        tree: TreeId,
        /// Depth of the node; the root is 0.
        depth: u32,
        /// Index at that depth.
        index: u64,
    },
    /// A commitment to the operator outputs of a layer, with its first opening.
    Subtrace {
        /// Index of the layer.
        layer: u32,
    },
    /// The bytes of a known leaf of an operator's output.
    Leaf {
        /// Index of the operator in the model.
        operator: u32,
        /// Position in the padded leaf tree.
        leaf: u64,
    },
    /// The state after each segment (64 products or elements) of one element of a known leaf.
    Accumulators {
        /// Index of the operator in the model.
        operator: u32,
        /// Flat index of the element.
        element: u64,
    },
}
canonical_enum!(Request {
    1 => Node { tree, depth, index }, 2 => Subtrace { layer }, 3 => Leaf { operator, leaf },
    4 => Accumulators { operator, element },
});

/// The descendants that an opening shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Children {
    /// Hashes of inner nodes, or of the leaves of a tensor.
    Hashes {
        /// Padding left out, in order.
        hashes: Vec<Digest>,
    },
    /// Leaves of the trace (state roots) or of a subtrace (tensor roots).
    Roots {
        /// In the order of their positions.
        roots: Vec<Digest>,
    },
    /// Leaves of a state: value id and tensor root.
    Values {
        /// In the order of their positions: value id and tensor root.
        values: Vec<(u32, Digest)>,
    },
}
canonical_enum!(Children {
    1 => Hashes { hashes }, 2 => Roots { roots }, 3 => Values { values },
});

/// The executor's answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reveal {
    /// Answers [`Request::Node`].
    Node {
        /// The descendants.
        children: Children,
    },
    /// Answers [`Request::Subtrace`].
    Subtrace {
        /// The commitment.
        root: Digest,
        /// Its first opening.
        children: Children,
    },
    /// Answers [`Request::Leaf`].
    Leaf {
        /// The leaf's bytes.
        bytes: LeafBytes,
    },
    /// Answers [`Request::Accumulators`].
    Accumulators {
        /// The states after each segment, one after the other.
        words: Vec<u64>,
    },
}
canonical_enum!(Reveal {
    1 => Node { children }, 2 => Subtrace { root, children }, 3 => Leaf { bytes },
    4 => Accumulators { words },
});

/// Something a challenger proves by itself, from the model or from published data.
///
/// A `path` leads from the leaf up to any node that is already known; its length says how far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Showing {
    /// A layer of the model.
    Layer {
        /// The layer and its place.
        proof: LayerProof,
    },
    /// An operator of the model.
    Operator {
        /// The node and its place.
        proof: NodeProof,
    },
    /// A state root of the trace.
    TraceLeaf {
        /// The boundary: 0 before the first layer, then one after each.
        boundary: u32,
        /// Its root.
        root: Digest,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// A value of a state.
    StateLeaf {
        /// The boundary: 0 before the first layer, then one after each.
        boundary: u32,
        /// Position in the state.
        position: u32,
        /// Id of the value.
        value: u32,
        /// Its tensor root.
        root: Digest,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// An output root of a subtrace.
    SubtraceLeaf {
        /// Index of the layer.
        layer: u32,
        /// Position in the layer.
        position: u32,
        /// The tensor root.
        root: Digest,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// The bytes of a leaf of an operator's output.
    TensorLeaf {
        /// Index of the operator in the model.
        operator: u32,
        /// Position in the padded leaf tree.
        leaf: u64,
        /// The leaf's bytes.
        bytes: LeafBytes,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
}
canonical_enum!(Showing {
    1 => Layer { proof }, 2 => Operator { proof }, 3 => TraceLeaf { boundary, root, path },
    4 => StateLeaf { boundary, position, value, root, path },
    5 => SubtraceLeaf { layer, position, root, path },
    6 => TensorLeaf { operator, leaf, bytes, path },
});

/// Why a request, a reveal or a showing is not accepted. Nothing changes; send another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// The tree's root or shape is not known yet.
    #[error("the tree is not known yet; show the layer or operator and open its parent first")]
    UnknownTree,
    /// The node is not known yet.
    #[error("the node is not known yet; open its parent first")]
    UnknownNode,
    /// The index is outside the tree or stands for padding.
    #[error("the index is outside the tree")]
    OutOfRange,
    /// The fact is already known, so that demanding it again would only cost.
    #[error("this is already open; read it from the claim")]
    AlreadyOpen,
    /// The answer is of another kind than the request.
    #[error("the answer is of another kind than the request")]
    WrongKind,
    /// The answer does not hash to the commitment.
    #[error("the answer does not hash to what was committed")]
    Mismatch,
    /// A proof does not lead to the model root.
    #[error("the proof does not lead to the model root")]
    NotOfModel,
    /// The operator's output has no accumulators, or they are not as many as the model says.
    #[error("the number of accumulators is not what the operator has")]
    WrongLength,
}

/// A leaf of a tensor with its full path to the tensor's leaf root.
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
