//! Running sums and products along an axis.

use protocol::graph::{Fold, MapFunction as F};

use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axis_of};
use crate::onnx::movement::{expand_to, joined, part};
use crate::onnx::places::{places, within};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// Most factors of a running product: each is an operator.
const FACTORS_MAX: u64 = 256;

/// The axis that the second input names.
fn axis_along(node: &OnnxNode<'_>, x: &Value) -> Lowered<usize> {
    let axis = node.integers(1)?.and_then(|axis| axis.first().copied()).ok_or("no axis")?;
    axis_of(axis, x.rank())
}

/// CumSum: each sum compares the place of every term with its own.
pub(super) fn sum(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axis = axis_along(node, x)?;
    let (size, rank) = (x.dimensions()[axis], x.rank());
    within(x.shape().count().saturating_mul(size))?;
    let (exclusive, reverse) = (node.flag("exclusive", false), node.flag("reverse", false));
    // A new last axis runs over the terms of each sum.
    let (rows, back) = builder.axis_last(x, axis)?;
    let mut dimensions = rows.dimensions().to_vec();
    dimensions.insert(rank - 1, 1);
    let terms = builder.reshape(&rows, &dimensions)?;
    let (sum, term) =
        (places(builder, rank + 1, rank - 1, size)?, places(builder, rank + 1, rank, size)?);
    let (low, high) = if reverse { (&sum, &term) } else { (&term, &sum) };
    let counts = builder.map(if exclusive { F::Less } else { F::LessOrEqual }, &[low, high])?;
    let zero = builder.scalar_of(x.element(), 0.0)?;
    let kept = builder.map(F::Select, &[&counts, &terms, &zero])?;
    let sums = builder.reduce_last(Fold::Sum, &kept)?;
    builder.transpose(&sums, &back)
}

/// CumProd: one product after the other.
pub(super) fn product(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let axis = axis_along(node, x)?;
    let size = x.dimensions()[axis];
    if size > FACTORS_MAX {
        return Err(format!("a running product of more than {FACTORS_MAX} factors"));
    }
    let (exclusive, reverse) = (node.flag("exclusive", false), node.flag("reverse", false));
    let mut dimensions = x.dimensions().to_vec();
    dimensions[axis] = 1;
    let one = builder.scalar_of(x.element(), 1.0)?;
    let mut product = expand_to(builder, &one, &dimensions)?;
    let mut products = Vec::new();
    for place in 0..size {
        let place = if reverse { size - 1 - place } else { place };
        let factor = part(builder, x, axis, place, 1)?;
        let next = if products.is_empty() && !exclusive {
            factor
        } else {
            builder.map(F::Multiply, &[&product, &factor])?
        };
        products.push(if exclusive { product.clone() } else { next.clone() });
        product = next;
    }
    if reverse {
        products.reverse();
    }
    joined(builder, products, axis)
}
