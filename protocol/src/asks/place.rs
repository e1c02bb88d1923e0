//! Places in the trees of a claim.

use crate::encoding::{Canonical, canonical_enum, canonical_struct};
use crate::graph::Node;
use crate::hash::{Commitment, Digest, Tag};
use crate::law;
use crate::merkle::{TreeShape, list_root};
use crate::tensor::{Shape, TensorType};

/// A tree that belongs to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// The traces of the run's iterations.
    Sequence {},
    /// The states of an iteration.
    Trace {
        /// Index of the iteration.
        iteration: u32,
    },
    /// The live values at a boundary.
    State {
        /// Index of the iteration.
        iteration: u32,
        /// 0 before the first layer, then one after each.
        boundary: u32,
    },
    /// The operator outputs of a layer.
    Subtrace {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the layer.
        layer: u32,
    },
    /// The leaves of the output that an operator wrote, according to the subtrace.
    Tensor {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the operator in the model.
        operator: u32,
    },
    /// The states after each segment of one element.
    Accumulators {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the operator in the model.
        operator: u32,
        /// Flat index of the element.
        element: u64,
    },
    /// The leaves of an input, according to the first state of an iteration.
    Input {
        /// Index of the iteration.
        iteration: u32,
        /// Id of the value.
        value: u32,
    },
    /// The leaves of an output, according to the last state of an iteration.
    Output {
        /// Index of the iteration.
        iteration: u32,
        /// Id of the value.
        value: u32,
    },
}
canonical_enum!(Tree {
    1 => Sequence {}, 2 => Trace { iteration }, 3 => State { iteration, boundary },
    4 => Subtrace { iteration, layer }, 5 => Tensor { iteration, operator },
    6 => Accumulators { iteration, operator, element }, 7 => Input { iteration, value },
    8 => Output { iteration, value },
});

impl Tree {
    /// Iteration that the tree belongs to; 0 for the sequence.
    pub fn iteration(&self) -> u32 {
        match *self {
            Self::Sequence {} => 0,
            Self::Trace { iteration }
            | Self::State { iteration, .. }
            | Self::Subtrace { iteration, .. }
            | Self::Tensor { iteration, .. }
            | Self::Accumulators { iteration, .. }
            | Self::Input { iteration, .. }
            | Self::Output { iteration, .. } => iteration,
        }
    }

    /// Whether it is an input or an output of the run.
    pub fn is_end(&self) -> bool {
        match self {
            Self::Input { .. } | Self::Output { .. } => true,
            Self::Sequence {}
            | Self::Trace { .. }
            | Self::State { .. }
            | Self::Subtrace { .. }
            | Self::Tensor { .. }
            | Self::Accumulators { .. } => false,
        }
    }

    /// Whether only the executor can say its root.
    pub fn is_said(&self) -> bool {
        match self {
            Self::Subtrace { .. } | Self::Accumulators { .. } => true,
            Self::Sequence {}
            | Self::Trace { .. }
            | Self::State { .. }
            | Self::Tensor { .. }
            | Self::Input { .. }
            | Self::Output { .. } => false,
        }
    }

    /// The committed root of this tree, from its shape and the root of its leaves.
    ///
    /// Returns `None` when the shape is not of a kind that this tree has.
    pub fn commit<C: Commitment>(&self, kind: &TreeKind, inner: &Digest) -> Option<Digest> {
        let list = |tag| match kind {
            TreeKind::List { count } => Some(list_root::<C>(tag, *count, inner)),
            TreeKind::Tensor { .. } => None,
        };
        let tensor = |tag| match kind {
            TreeKind::Tensor { kind } => Some(C::tagged(tag, &[&kind.to_canonical(), &inner.0])),
            TreeKind::List { .. } => None,
        };
        match self {
            Self::Sequence {} => list(Tag::Sequence),
            Self::Trace { .. } => list(Tag::Trace),
            Self::State { .. } => list(Tag::State),
            Self::Subtrace { .. } => list(Tag::Subtrace),
            Self::Tensor { .. } | Self::Input { .. } | Self::Output { .. } => tensor(Tag::Tensor),
            Self::Accumulators { .. } => tensor(Tag::Accumulators),
        }
    }
}

/// What a tree is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TreeKind {
    /// A list of roots or values.
    List {
        /// Number of its items.
        count: u32,
    },
    /// The leaves of a tensor.
    Tensor {
        /// Its type.
        kind: TensorType,
    },
}
canonical_enum!(TreeKind { 1 => List { count }, 2 => Tensor { kind } });

impl TreeKind {
    /// The grid of leaves; `None` when it has none or is too deep.
    pub fn shape(&self) -> Option<TreeShape> {
        match self {
            Self::List { count } => TreeShape::list(u64::from(*count)),
            Self::Tensor { kind } => kind.tree_shape(),
        }
    }

    /// What the states after each segment of one element of an operator's output are: a row of words of the
    /// output's element type.
    ///
    /// Returns `None` for an operator of less than two segments, which has none.
    pub fn of_accumulators(node: &Node) -> Option<Self> {
        let node = law::check(node).ok()?;
        let segments = law::segment_count(node);
        if segments < 2 {
            return None;
        }
        let words = segments.checked_mul(law::state_words(node) as u64)?;
        let shape = Shape::new(&[words])?;
        Some(Self::Tensor { kind: TensorType { element: node.output.element, shape } })
    }
}

/// A node of a tree, with its hash. At depth 0 the hash is the committed root: who lies about a trace is the
/// only one to know what is inside of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which tree.
    pub tree: Tree,
    /// What it is of.
    pub kind: TreeKind,
    /// Depth of the node; the root is 0.
    pub depth: u32,
    /// Index at that depth.
    pub index: u64,
    /// Its hash.
    pub hash: Digest,
}
canonical_struct!(Place { tree, kind, depth, index, hash });

/// What an executor is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// The descendants of a node, one opening further down.
    Open {
        /// The node.
        place: Place,
    },
    /// All leaves below a node of a tensor.
    Leaves {
        /// The node.
        place: Place,
    },
    /// A root that only the executor can say, with its first opening.
    Say {
        /// Which tree: a subtrace or accumulators.
        tree: Tree,
        /// What it is of.
        kind: TreeKind,
    },
}
canonical_enum!(Ask { 1 => Open { place }, 2 => Leaves { place }, 3 => Say { tree, kind } });

impl Ask {
    /// What a challenge keeps of it.
    pub fn hash<C: Commitment>(&self) -> Digest {
        C::tagged_value(Tag::Ask, self)
    }

    /// The tree that is asked about.
    pub fn tree(&self) -> &Tree {
        match self {
            Self::Open { place } | Self::Leaves { place } => &place.tree,
            Self::Say { tree, .. } => tree,
        }
    }

    /// What the tree is of.
    pub fn kind(&self) -> &TreeKind {
        match self {
            Self::Open { place } | Self::Leaves { place } => &place.kind,
            Self::Say { kind, .. } => kind,
        }
    }

    /// Depth and index of the node that is asked about; the root for what is said.
    pub fn node(&self) -> (u32, u64) {
        match self {
            Self::Open { place } | Self::Leaves { place } => (place.depth, place.index),
            Self::Say { .. } => (0, 0),
        }
    }
}
