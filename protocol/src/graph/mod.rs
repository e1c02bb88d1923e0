//! The canonical graph: operators, layers, models, and what their roots commit to.

mod model;
mod node;
mod operator;
mod proof;

pub use model::{CommittedGraph, Graph, ModelHeader, Profile, Recurrence, ValueSource};
pub use node::{Layer, Node, Operand};
pub use operator::{Fold, Operator, Window};
pub use proof::{LayerProof, NodeProof};

pub use crate::functions::MapFunction;
pub use crate::roots::state_leaf;

/// Most operators of a model.
pub const OPERATORS_MAX: u32 = 1 << 16;
/// Most operands of one operator.
pub const OPERANDS_MAX: usize = 64;
/// Most inputs of a model.
pub const INPUTS_MAX: usize = 256;
/// Most iterations of a run.
pub const ITERATIONS_MAX: u32 = 1 << 20;
/// Most live values at a layer boundary.
pub const STATE_VALUES_MAX: usize = 4096;
