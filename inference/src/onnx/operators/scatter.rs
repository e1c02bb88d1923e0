//! Writing to places that are known at run time.

use protocol::graph::{Fold, MapFunction as F};

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::movement::{concat, expand_to, gather};
use crate::onnx::places::{flat_places, places, product_last, tuple_places, within};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// How several updates of one place combine.
fn reduction_of(node: &OnnxNode<'_>) -> Lowered<Option<F>> {
    Ok(match node.attributes.text("reduction", "none").as_str() {
        "none" => None,
        "add" => Some(F::Add),
        "mul" => Some(F::Multiply),
        "max" => Some(F::Maximum),
        "min" => Some(F::Minimum),
        other => return Err(format!("reduction {other} is not known")),
    })
}

/// Writes blocks of updates over blocks of data, at places known at run time: each place compares
/// itself with every index.
fn scatter_blocks(
    builder: &mut Builder,
    data: &Value,
    places_of: &Value,
    updates: &Value,
    reduction: Option<F>,
) -> Lowered<Value> {
    let (&[count, block], &[writes]) = (data.dimensions(), places_of.dimensions()) else {
        return Err("blocks are not flat".to_owned());
    };
    within(count.saturating_mul(writes))?;
    let index = builder.reshape(places_of, &[1, writes])?;
    let own = places(builder, 2, 0, count)?;
    let hits = builder.map(F::Equal, &[&own, &index])?;
    if let Some(function) = reduction {
        within(count.saturating_mul(writes).saturating_mul(block))?;
        let (neutral, fold) = match function {
            F::Add => (builder.scalar_of(data.element(), 0.0)?, Fold::Sum),
            F::Maximum | F::Minimum => {
                let fold = if function == F::Maximum { Fold::Maximum } else { Fold::Minimum };
                return scatter_extreme(builder, data, &hits, updates, function, fold);
            }
            _ => return scatter_product(builder, data, &hits, updates),
        };
        let terms = masked(builder, &hits, updates, &neutral)?;
        let sums = builder.reduce_last(fold, &terms)?;
        return builder.map(function, &[data, &sums]);
    }
    // The last write counts: its number, or that of the data.
    let number = places(builder, 2, 1, writes)?;
    let shift = builder.integers(vec![count as i64])?;
    let number = builder.map(F::Add, &[&number, &shift])?;
    let marked = builder.map(F::Select, &[&hits, &number, &own])?;
    let chosen = builder.reduce_last(Fold::Maximum, &marked)?;
    let all = concat(builder, vec![data.clone(), updates.clone()], 0)?;
    gather(builder, &all, &chosen, 0)
}

/// `[count, block, writes]`: updates where they hit, something neutral elsewhere.
fn masked(builder: &mut Builder, hits: &Value, updates: &Value, neutral: &Value) -> Lowered<Value> {
    let (&[count, writes], &[_, block]) = (hits.dimensions(), updates.dimensions()) else {
        return Err("blocks are not flat".to_owned());
    };
    let hits = builder.reshape(hits, &[count, 1, writes])?;
    let turned = builder.transpose(updates, &[1, 0])?;
    let turned = builder.reshape(&turned, &[1, block, writes])?;
    builder.map(F::Select, &[&hits, &turned, neutral])
}

/// The largest or smallest of the data and its updates.
fn scatter_extreme(
    builder: &mut Builder,
    data: &Value,
    hits: &Value,
    updates: &Value,
    function: F,
    fold: Fold,
) -> Lowered<Value> {
    // The data's own value is neutral: it takes part anyway.
    let (&[count, block], &[_, writes]) = (data.dimensions(), hits.dimensions()) else {
        return Err("blocks are not flat".to_owned());
    };
    let own = builder.reshape(data, &[count, block, 1])?;
    let own = expand_to(builder, &own, &[count, block, writes])?;
    let terms = masked(builder, hits, updates, &own)?;
    let best = builder.reduce_last(fold, &terms)?;
    builder.map(function, &[data, &best])
}

/// The product of the data and its updates.
fn scatter_product(
    builder: &mut Builder,
    data: &Value,
    hits: &Value,
    updates: &Value,
) -> Lowered<Value> {
    let one = builder.scalar_of(data.element(), 1.0)?;
    let terms = masked(builder, hits, updates, &one)?;
    let product = product_last(builder, &terms)?;
    builder.map(F::Multiply, &[data, &product])
}

/// ScatterElements: one update for each index.
pub(super) fn scatter_elements(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, indices, updates) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let axis = node.axis(0, x.rank())?;
    let flat = flat_places(builder, x.dimensions(), indices, axis)?;
    let writes = flat.shape().count();
    let flat = builder.reshape(&flat, &[writes])?;
    let data = builder.reshape(x, &[x.shape().count(), 1])?;
    let updates = builder.reshape(updates, &[writes, 1])?;
    let done = scatter_blocks(builder, &data, &flat, &updates, reduction_of(node)?)?;
    builder.reshape(&done, x.dimensions())
}

/// ScatterND: a block of updates for each tuple of indices.
pub(super) fn scatter_many(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (x, indices, updates) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let depth = *indices.dimensions().last().ok_or("indices have no axis")? as usize;
    let flat = tuple_places(builder, x.dimensions(), indices, 0)?;
    let writes = flat.shape().count();
    let flat = builder.reshape(&flat, &[writes])?;
    let block: u64 = x.dimensions()[depth..].iter().product();
    let data = builder.reshape(x, &[x.shape().count() / block, block])?;
    let updates = builder.reshape(updates, &[writes, block])?;
    let done = scatter_blocks(builder, &data, &flat, &updates, reduction_of(node)?)?;
    builder.reshape(&done, x.dimensions())
}
