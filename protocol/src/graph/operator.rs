//! Operators of the canonical graph.

use alloc::vec::Vec;

use super::MapFunction;
use crate::encoding::{canonical_enum, canonical_struct};

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
    /// Padding before height and width; the padding after them follows from the output's shape.
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
    /// `[.., M, K] × [.., N, K] → [.., M, N]`, leading axes broadcast: binary32 with a right side that is
    /// widened, or an exact sum of integers.
    Contract {},
    /// `[N, H, W, C] × [O, KH, KW, C / groups] → [N, H', W', O]`, of binary32 or an exact sum of integers.
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
        /// The axis, 0 for the outermost.
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
        /// The axis, 0 for the outermost.
        axis: u32,
    },
    /// Rows of operand 1 in the place of as many rows of operand 0, from the row on that operand 2 says.
    Update {},
}
canonical_enum!(Operator {
    1 => Map { function }, 2 => Contract {}, 3 => Convolve { window, groups }, 4 => Reduce { fold },
    5 => Pool { fold, window }, 6 => Reshape {}, 7 => Transpose { permutation },
    8 => Slice { starts, steps }, 9 => Concat { axis }, 10 => Pad { before, fill }, 11 => Expand {},
    12 => Gather { axis }, 13 => Update {},
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
            Self::Update {} => "update",
        }
    }
}
