//! The reductions.

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use super::{Context, Inputs, axes_of, drop_axes, fold_axes};
use crate::onnx::builder::{Builder, Lowered, Value};

pub(super) fn reduction(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let attributes = &context.attributes;
    let keep = attributes.int("keepdims", 1) != 0;
    let given = match inputs.integers(1)? {
        Some(axes) => Some(axes),
        None => attributes.ints("axes"),
    };
    let axes: Vec<usize> = match given.filter(|axes| !axes.is_empty()) {
        Some(axes) => {
            let mut found: Vec<usize> = axes_of(axes, x.rank())?;
            found.sort_unstable();
            found.dedup();
            found
        }
        None if attributes.int("noop_with_empty_axes", 0) != 0 => return Ok(x.clone()),
        None => (0..x.rank()).collect(),
    };
    let fold =
        |builder: &mut Builder, fold, value: &Value| fold_axes(builder, fold, value, &axes, keep);
    match operator {
        "ReduceSum" => fold(builder, Fold::Sum, x),
        "ReduceMax" | "ReduceMin" => {
            let which = if operator == "ReduceMax" { Fold::Maximum } else { Fold::Minimum };
            if x.element() != ElementType::Bool {
                return fold(builder, which, x);
            }
            // Truths are ordered as 0 and 1.
            let numbers = builder.cast(x, ElementType::I64)?;
            let best = fold(builder, which, &numbers)?;
            builder.cast(&best, ElementType::Bool)
        }
        "ReduceMean" => {
            let mean = builder.mean_keep(x, &axes)?;
            if keep { Ok(mean) } else { drop_axes(builder, &mean, &axes) }
        }
        "ReduceL1" => {
            let size = builder.map(F::Absolute, &[x])?;
            fold(builder, Fold::Sum, &size)
        }
        "ReduceL2" | "ReduceSumSquare" => {
            let square = builder.map(F::Multiply, &[x, x])?;
            let sum = fold(builder, Fold::Sum, &square)?;
            match operator {
                "ReduceL2" => builder.map(F::SquareRoot, &[&sum]),
                _ => Ok(sum),
            }
        }
        "ReduceLogSum" => {
            let sum = fold(builder, Fold::Sum, x)?;
            builder.map(F::Logarithm, &[&sum])
        }
        "ReduceLogSumExp" => {
            let largest = builder.reduce_keep(Fold::Maximum, x, &axes)?;
            let shifted = builder.map(F::Subtract, &[x, &largest])?;
            let raised = builder.map(F::Exponential, &[&shifted])?;
            let sum = builder.reduce_keep(Fold::Sum, &raised, &axes)?;
            let log = builder.map(F::Logarithm, &[&sum])?;
            let value = builder.map(F::Add, &[&log, &largest])?;
            if keep { Ok(value) } else { drop_axes(builder, &value, &axes) }
        }
        "ReduceProd" => {
            let kept: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
            let order: Vec<usize> = kept.iter().chain(&axes).copied().collect();
            let moved = builder.transpose(x, &order)?;
            let mut flat: Vec<u64> = kept.iter().map(|axis| x.dimensions()[*axis]).collect();
            flat.push(axes.iter().map(|axis| x.dimensions()[*axis]).product());
            let rows = builder.reshape(&moved, &flat)?;
            let product = super::index::product_last(builder, &rows)?;
            let mut dimensions = x.dimensions().to_vec();
            axes.iter().for_each(|axis| dimensions[*axis] = 1);
            let product = builder.reshape(&product, &dimensions)?;
            if keep { Ok(product) } else { drop_axes(builder, &product, &axes) }
        }
        _ => Err("this reduction is not supported; docs/operators.md lists the others".to_owned()),
    }
}
