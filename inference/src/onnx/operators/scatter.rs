//! Writing to places that are known at run time.

use protocol::graph::{Fold, MapFunction as F, Operator};

use super::index::{flat_places, places, product_last, tuple_places, within};
use super::{Context, Inputs, axis_of};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::onnx::fold_shapes::{expand_to, gather};

/// How several updates of one place combine.
fn reduction_of(context: &Context<'_>) -> Lowered<Option<F>> {
    Ok(match context.attributes.text("reduction", "none").as_str() {
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
    let shape = make_shape(&[count + writes, block])?;
    let parts = vec![data.clone(), updates.clone()];
    let all = builder.emit(Operator::Concat { axis: 0 }, parts, data.element(), shape)?;
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

pub(super) fn scatter_elements(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let (x, indices, updates) = (inputs.get(0)?.clone(), inputs.get(1)?, inputs.get(2)?.clone());
    let axis = axis_of(context.attributes.int("axis", 0), x.rank())?;
    let flat = flat_places(builder, x.dimensions(), indices, axis)?;
    let writes = flat.shape().count();
    let flat = builder.reshape(&flat, &[writes])?;
    let data = builder.reshape(&x, &[x.shape().count(), 1])?;
    let updates = builder.reshape(&updates, &[writes, 1])?;
    let done = scatter_blocks(builder, &data, &flat, &updates, reduction_of(context)?)?;
    builder.reshape(&done, x.dimensions())
}

pub(super) fn scatter_many(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let (x, indices, updates) =
        (inputs.get(0)?.clone(), inputs.get(1)?.clone(), inputs.get(2)?.clone());
    let depth = *indices.dimensions().last().ok_or("indices have no axis")? as usize;
    let flat = tuple_places(builder, x.dimensions(), &indices, 0)?;
    let writes = flat.shape().count();
    let flat = builder.reshape(&flat, &[writes])?;
    let block: u64 = x.dimensions()[depth..].iter().product();
    let data = builder.reshape(&x, &[x.shape().count() / block, block])?;
    let updates = builder.reshape(&updates, &[writes, block])?;
    let done = scatter_blocks(builder, &data, &flat, &updates, reduction_of(context)?)?;
    builder.reshape(&done, x.dimensions())
}
