//! The canonical graph: operators, layers, models, and what their roots commit to.

use alloc::vec::Vec;

use crate::encoding::{Canonical, canonical_enum, canonical_struct};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::merkle::{self, ListTree};
use crate::tensor::TensorType;

/// Most operators of a model.
pub const OPERATORS_MAX: u32 = 1 << 16;
/// Most operands of one operator.
pub const OPERANDS_MAX: usize = 64;
/// Most live values at a layer boundary.
pub const STATE_VALUES_MAX: usize = 4096;

/// A scalar function over broadcast operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the functions")]
pub enum MapFunction {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Maximum,
    Minimum,
    Equal,
    Less,
    LessOrEqual,
    And,
    Or,
    ExclusiveOr,
    Not,
    Negate,
    Absolute,
    SquareRoot,
    Exponential,
    Logarithm,
    Tanh,
    Erf,
    Sigmoid,
    Floor,
    Ceiling,
    Round,
    Sign,
    IsNan,
    /// `operand 0 ? operand 1 : operand 2`.
    Select,
    /// To the output's element type.
    Cast,
    Sine,
    Cosine,
    ArcTangent,
    /// What is left of a division that rounds towards zero; the sign of operand 0.
    Remainder,
}
canonical_enum!(MapFunction {
    1 => Add {}, 2 => Subtract {}, 3 => Multiply {}, 4 => Divide {}, 5 => Power {},
    6 => Maximum {}, 7 => Minimum {}, 8 => Equal {}, 9 => Less {}, 10 => LessOrEqual {},
    11 => And {}, 12 => Or {}, 13 => ExclusiveOr {}, 14 => Not {}, 15 => Negate {},
    16 => Absolute {}, 17 => SquareRoot {}, 18 => Exponential {}, 19 => Logarithm {},
    20 => Tanh {}, 21 => Erf {}, 22 => Sigmoid {}, 23 => Floor {}, 24 => Ceiling {},
    25 => Round {}, 26 => Sign {}, 27 => IsNan {}, 28 => Select {}, 29 => Cast {},
    30 => Sine {}, 31 => Cosine {}, 32 => ArcTangent {}, 33 => Remainder {},
});

/// How a row is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// 32 lanes, then halves; see "Row reductions" in `docs/protocol.md`.
    Sum,
    /// Largest value; NaN wins.
    Maximum,
    /// Smallest value; NaN wins.
    Minimum,
}
canonical_enum!(Fold { 1 => Sum {}, 2 => Maximum {}, 3 => Minimum {} });

/// A sliding window over height and width of an `[N, H, W, C]` tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Taps along height and width.
    pub kernel: (u32, u32),
    /// Distance between windows.
    pub strides: (u32, u32),
    /// Distance between taps.
    pub dilations: (u32, u32),
    /// Padding before height and width; what lies behind follows from the output's shape.
    pub pads: (u32, u32),
}
canonical_struct!(Window { kernel, strides, dilations, pads });

/// An operator of the canonical graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// One scalar function of broadcast operands.
    Map {
        /// The function.
        function: MapFunction,
    },
    /// `[.., M, K] × [.., N, K] → [.., M, N]`, leading axes broadcast.
    Contract {},
    /// `[N, H, W, C] × [O, KH, KW, C / groups] → [N, H', W', O]`.
    Convolve {
        /// The window; its kernel equals the weight's.
        window: Window,
        /// Channel groups.
        groups: u32,
    },
    /// Folds the last axis: `[.., K] → [..]`.
    Reduce {
        /// The fold.
        fold: Fold,
    },
    /// Folds a window of an `[N, H, W, C]` tensor; taps outside it are left out.
    Pool {
        /// The fold.
        fold: Fold,
        /// The window.
        window: Window,
    },
    /// Same elements in row-major order, another shape.
    Reshape {},
    /// Output axis `i` is input axis `permutation[i]`.
    Transpose {
        /// A permutation of the axes.
        permutation: Vec<u32>,
    },
    /// Element `start + i · step` along each axis.
    Slice {
        /// First index along each axis.
        starts: Vec<i64>,
        /// Step along each axis; may be negative, not zero.
        steps: Vec<i64>,
    },
    /// Operands one after the other along an axis.
    Concat {
        /// The axis.
        axis: u32,
    },
    /// A constant around the operand.
    Pad {
        /// Elements before the operand along each axis; negative crops.
        before: Vec<i64>,
        /// The constant, as stored bits.
        fill: u64,
    },
    /// Broadcasts to the output's shape.
    Expand {},
    /// Operand 1 holds indices along `axis` of operand 0; negative counts from the end.
    Gather {
        /// The axis.
        axis: u32,
    },
}
canonical_enum!(Operator {
    1 => Map { function }, 2 => Contract {}, 3 => Convolve { window, groups }, 4 => Reduce { fold },
    5 => Pool { fold, window }, 6 => Reshape {}, 7 => Transpose { permutation },
    8 => Slice { starts, steps }, 9 => Concat { axis }, 10 => Pad { before, fill }, 11 => Expand {},
    12 => Gather { axis },
});

impl Operator {
    /// Name of the kind, as users read it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Map { function } => function.name(),
            Self::Contract {} => "contract",
            Self::Convolve { .. } => "convolve",
            Self::Reduce { fold } => match fold {
                Fold::Sum => "reduce_sum",
                Fold::Maximum => "reduce_maximum",
                Fold::Minimum => "reduce_minimum",
            },
            Self::Pool { fold, .. } => match fold {
                Fold::Sum => "pool_sum",
                Fold::Maximum => "pool_maximum",
                Fold::Minimum => "pool_minimum",
            },
            Self::Reshape {} => "reshape",
            Self::Transpose { .. } => "transpose",
            Self::Slice { .. } => "slice",
            Self::Concat { .. } => "concat",
            Self::Pad { .. } => "pad",
            Self::Expand {} => "expand",
            Self::Gather { .. } => "gather",
        }
    }
}

impl MapFunction {
    /// Name of the function, as users read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Power => "power",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Equal => "equal",
            Self::Less => "less",
            Self::LessOrEqual => "less_or_equal",
            Self::And => "and",
            Self::Or => "or",
            Self::ExclusiveOr => "exclusive_or",
            Self::Not => "not",
            Self::Negate => "negate",
            Self::Absolute => "absolute",
            Self::SquareRoot => "square_root",
            Self::Exponential => "exponential",
            Self::Logarithm => "logarithm",
            Self::Tanh => "tanh",
            Self::Erf => "erf",
            Self::Sigmoid => "sigmoid",
            Self::Floor => "floor",
            Self::Ceiling => "ceiling",
            Self::Round => "round",
            Self::Sign => "sign",
            Self::IsNan => "is_nan",
            Self::Select => "select",
            Self::Cast => "cast",
            Self::Sine => "sine",
            Self::Cosine => "cosine",
            Self::ArcTangent => "arc_tangent",
            Self::Remainder => "remainder",
        }
    }

    /// Number of operands.
    pub const fn operands(self) -> usize {
        match self {
            Self::Add
            | Self::Subtract
            | Self::Multiply
            | Self::Divide
            | Self::Power
            | Self::Maximum
            | Self::Minimum
            | Self::Equal
            | Self::Less
            | Self::LessOrEqual
            | Self::And
            | Self::Or
            | Self::ExclusiveOr
            | Self::Remainder => 2,
            Self::Select => 3,
            _ => 1,
        }
    }
}

/// An operand of a node: which value, and its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// The value.
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

/// A run of operators between two committed states: a leaf of the layer table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// Index of the first operator.
    pub first_operator: u32,
    /// Number of operators.
    pub operator_count: u32,
    /// Values that are live at the boundary before the layer, ascending.
    pub live_in: Vec<u32>,
    /// Values that are live at the boundary behind it, ascending.
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
            && self.input_count as usize <= STATE_VALUES_MAX
            && (1..=self.operator_count).contains(&self.layer_count)
    }

    /// Number of states of a trace: one before the first layer and one behind each.
    pub fn state_count(&self) -> u32 {
        self.layer_count.saturating_add(1)
    }

    /// Where a value comes from; `None` when the model has no such value.
    pub fn source(&self, value: u32) -> Option<ValueSource> {
        let Some(behind_inputs) = value.checked_sub(self.input_count) else {
            return Some(ValueSource::Input(value));
        };
        let Some(operator) = behind_inputs.checked_sub(self.weight_count) else {
            return Some(ValueSource::Weight(behind_inputs));
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
        let weights: Vec<_> = weight_roots.iter().map(|root| C::leaf(&root.0)).collect();
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

/// The trees behind a model root, for those who prove.
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

/// Leaf of a state: the value's id, then its tensor root.
pub fn state_leaf<C: Commitment>(value: u32, tensor_root: &Digest) -> Digest {
    C::tagged(Tag::Leaf, &[&value.to_be_bytes(), &tensor_root.0])
}
