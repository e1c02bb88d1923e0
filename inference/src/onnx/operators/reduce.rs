//! The reductions. Each folds some axes of its input, which stay with size 1 or go away.

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use super::softmax::Exponentials;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axes_of};
use crate::onnx::movement::drop_axes;
use crate::onnx::places::product_last;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// Which axes are folded.
struct Folded {
    axes: Vec<usize>,
    keep: bool,
}

impl Folded {
    /// The axes that a node names, or all; `None` when the input stays as it is.
    fn of(node: &OnnxNode<'_>, x: &Value) -> Lowered<Option<Self>> {
        let keep = node.flag("keepdims", true);
        let given = node.integers_or(1, "axes")?;
        let axes = match given.filter(|axes| !axes.is_empty()) {
            Some(axes) => {
                let mut found = axes_of(axes, x.rank())?;
                found.sort_unstable();
                found.dedup();
                found
            }
            None if node.flag("noop_with_empty_axes", false) => return Ok(None),
            None => (0..x.rank()).collect(),
        };
        Ok(Some(Self { axes, keep }))
    }

    fn fold(&self, builder: &mut Builder, fold: Fold, value: &Value) -> Lowered<Value> {
        let kept = builder.reduce_keep(fold, value, &self.axes)?;
        self.shown(builder, kept)
    }

    /// A folded value, its axes of size 1 as the node wants them.
    fn shown(&self, builder: &mut Builder, kept: Value) -> Lowered<Value> {
        if self.keep { Ok(kept) } else { drop_axes(builder, &kept, &self.axes) }
    }
}

/// Lowers a reduction whose input is folded by `fold`.
fn folded(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    fold: impl FnOnce(&mut Builder, &Folded, &Value) -> Lowered<Value>,
) -> Lowered<Value> {
    let x = node.input(0)?;
    match Folded::of(node, x)? {
        Some(folded) => fold(builder, &folded, x),
        None => Ok(x.clone()),
    }
}

/// ReduceSum.
pub(super) fn sum(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| folded.fold(builder, Fold::Sum, x))
}

/// ReduceMax and ReduceMin.
pub(super) fn extreme(builder: &mut Builder, node: &OnnxNode<'_>, fold: Fold) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| {
        if x.element() != ElementType::Bool {
            return folded.fold(builder, fold, x);
        }
        // Truths are ordered as 0 and 1.
        let numbers = builder.cast(x, ElementType::I64)?;
        let best = folded.fold(builder, fold, &numbers)?;
        builder.cast(&best, ElementType::Bool)
    })
}

/// ReduceMean.
pub(super) fn mean(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| {
        let mean = builder.mean_keep(x, &folded.axes)?;
        folded.shown(builder, mean)
    })
}

/// ReduceL1: the sum of sizes.
pub(super) fn absolute_sum(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| {
        let size = builder.map(F::Absolute, &[x])?;
        folded.fold(builder, Fold::Sum, &size)
    })
}

/// ReduceSumSquare.
pub(super) fn square_sum(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, sum_of_squares)
}

fn sum_of_squares(builder: &mut Builder, folded: &Folded, x: &Value) -> Lowered<Value> {
    let square = builder.map(F::Multiply, &[x, x])?;
    folded.fold(builder, Fold::Sum, &square)
}

/// ReduceL2: the root of the sum of squares.
pub(super) fn square_root_sum(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| {
        let sum = sum_of_squares(builder, folded, x)?;
        builder.map(F::SquareRoot, &[&sum])
    })
}

/// ReduceLogSum.
pub(super) fn log_sum(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| {
        let sum = folded.fold(builder, Fold::Sum, x)?;
        builder.map(F::Logarithm, &[&sum])
    })
}

/// ReduceLogSumExp: the largest is taken off first and added again last.
pub(super) fn log_sum_exponentials(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| {
        let Exponentials { largest, sum, .. } = Exponentials::new(builder, x, &folded.axes)?;
        let log = builder.map(F::Logarithm, &[&sum])?;
        let value = builder.map(F::Add, &[&log, &largest])?;
        folded.shown(builder, value)
    })
}

/// ReduceProd: one product after the other.
pub(super) fn product(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    folded(builder, node, |builder, folded, x| {
        let (rows, kept) = builder.rows_of(x, &folded.axes)?;
        let product = product_last(builder, &rows)?;
        let product = builder.reshape(&product, &kept)?;
        folded.shown(builder, product)
    })
}

/// A reduction that is none of these.
pub(super) fn unknown(_: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    node.input(0)?;
    Err("this reduction is not supported; docs/operators.md lists the others".to_owned())
}
