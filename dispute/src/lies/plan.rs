//! A lie with its place found.

use inference::{Model, Trace};
use protocol::hash::Commitment;

/// A lie with its place found in a model.
#[derive(Debug)]
pub(super) enum Plan<C: Commitment> {
    Element { operator: u32, element: u64, steps: i64 },
    Weights(Box<Model<C>>),
    Swap(u32, u32),
    Reorder(u32),
    Skip { operator: u32, operand: usize },
    Commit { boundary: u32 },
    Input,
    ZeroTrace,
    Precision,
    OtherOrder,
    Surfing,
    Washed { boundary: u32, honest: Box<Trace<C>> },
}
