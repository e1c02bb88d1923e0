//! How a layer is run in few passes.

use super::layout::{Layout, Origin};
use super::program::Stage;

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Step {
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

/// A value that is live after the layer.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// A live value of before.
    Passed(usize),
    /// Written in the layer, and how it is read.
    Made(Layout),
}

/// How a layer is run.
#[derive(Clone, Debug)]
pub(crate) struct LayerPlan {
    pub(crate) steps: Vec<Step>,
    /// Cells that nobody reads any more after each step.
    pub(crate) dead: Vec<Vec<usize>>,
    /// Each value after the layer.
    pub(crate) results: Vec<Kept>,
    pub(crate) cells: usize,
}
