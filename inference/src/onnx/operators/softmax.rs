//! Softmax, by itself and as a part of others.

use protocol::graph::{Fold, MapFunction as F};

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// Exponentials of what lies below the largest along some axes, which stay with size 1.
pub(super) struct Exponentials {
    /// The largest along the axes.
    pub(super) largest: Value,
    /// The values, less the largest.
    pub(super) shifted: Value,
    /// Their exponentials.
    pub(super) raised: Value,
    /// The sum of these.
    pub(super) sum: Value,
}

impl Exponentials {
    /// Along these axes.
    pub(super) fn new(builder: &mut Builder, x: &Value, axes: &[usize]) -> Lowered<Self> {
        let largest = builder.reduce_keep(Fold::Maximum, x, axes)?;
        let shifted = builder.map(F::Subtract, &[x, &largest])?;
        let raised = builder.map(F::Exponential, &[&shifted])?;
        let sum = builder.reduce_keep(Fold::Sum, &raised, axes)?;
        Ok(Self { largest, shifted, raised, sum })
    }

    /// Each one's share of the sum.
    pub(super) fn shares(&self, builder: &mut Builder) -> Lowered<Value> {
        builder.map(F::Divide, &[&self.raised, &self.sum])
    }
}

/// Along one axis; before operator set 13 along all axes from the given one on.
fn exponentials(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Exponentials> {
    let x = node.input(0)?;
    let flat = node.opset < 13;
    let axis = node.axis(if flat { 1 } else { -1 }, x.rank())?;
    let axes: Vec<usize> = if flat { (axis..x.rank()).collect() } else { vec![axis] };
    Exponentials::new(builder, x, &axes)
}

/// Softmax: max, sub, exp, sum, div.
pub(super) fn softmax(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    exponentials(builder, node)?.shares(builder)
}

/// LogSoftmax: max, sub, exp, sum, log, sub.
pub(super) fn log_softmax(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let Exponentials { shifted, sum, .. } = exponentials(builder, node)?;
    let log = builder.map(F::Logarithm, &[&sum])?;
    builder.map(F::Subtract, &[&shifted, &log])
}
