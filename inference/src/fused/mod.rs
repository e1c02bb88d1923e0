//! A layer in few passes over memory.
//!
//! The plan of a layer groups operators that work row by row: a contraction or a convolution with
//! everything behind it that reads only its row (bias, activation, residual, normalisation, softmax)
//! becomes one *stage*, whose intermediate values live in the cache and are never written. Movements
//! become another way of reading the same memory. What is left runs operator by operator.
//!
//! A stage performs, for every element, exactly the primitives of its operators, rule Q after each,
//! so its bits are theirs; `tests/fused_equals_engine.rs` compares them.

mod execute;
mod group;
mod layout;
mod program;
mod window;
mod work;

pub(crate) use execute::{convolve, run_layer};
pub(crate) use window::Convolution;
#[allow(unreachable_pub, reason = "part of a public type of the engine")]
pub use window::PackedKernel;

use protocol::graph::{Layer, ModelHeader, Node};

use group::Grouping;
use layout::Layout;
use program::Stage;

/// Where a value of a layer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A weight of the model.
    Weight(usize),
    /// A cell: the live values first, then the output of each operator.
    Cell(usize),
}

/// One thing to do.
#[derive(Clone, Debug)]
enum Step {
    /// An operator by itself, from and to whole tensors.
    Single {
        /// Index in the layer.
        position: usize,
        /// Where its operands come from.
        operands: Vec<Origin>,
    },
    /// A cell's elements in row-major order, where they lie otherwise so far.
    Gather {
        /// The cell that is filled.
        to: usize,
        /// How its elements are read.
        from: Layout,
    },
    /// A stage.
    Rows(Box<Stage>),
}

/// A value that is live behind the layer.
#[derive(Clone, Debug)]
enum Kept {
    /// A live value of before.
    Passed(usize),
    /// Written in the layer, and how it is read.
    Made(Layout),
}

/// How a layer is run.
#[derive(Clone, Debug)]
pub(crate) struct LayerPlan {
    steps: Vec<Step>,
    /// Cells that nobody reads any more behind each step.
    dead: Vec<Vec<usize>>,
    /// Each value behind the layer.
    results: Vec<Kept>,
    cells: usize,
}

impl LayerPlan {
    /// Plans a layer. `None` when it is not well formed.
    pub(crate) fn new(header: &ModelHeader, nodes: &[Node], layer: &Layer) -> Option<Self> {
        Grouping::new(header, nodes, layer)?.plan()
    }
}
