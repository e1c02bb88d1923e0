//! Operators of the domain com.microsoft that onnxruntime's optimiser writes, as compositions.

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use super::index::places;
use super::{Context, Inputs, clipped, gelu, hard_sigmoid, linear, normalise, sloped, window};
use crate::onnx::builder::{Builder, Lowered, Value};
use crate::onnx::fold_shapes::{gather, part};

/// How the importer names an operator of this domain.
pub(in crate::onnx) const PREFIX: &str = "com.microsoft.";

/// Lowers an operator of the domain; its name comes without the domain.
pub(super) fn lower(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Vec<Value>> {
    let attributes = &context.attributes;
    let value = match operator {
        "Gelu" => gelu(builder, inputs.get(0)?, "none")?,
        "BiasGelu" => {
            let sum = builder.map(F::Add, &[inputs.get(0)?, inputs.get(1)?])?;
            gelu(builder, &sum, "none")?
        }
        "FastGelu" => {
            let sum = with_bias(builder, inputs.get(0)?.clone(), inputs.optional(1))?;
            gelu(builder, &sum, "tanh")?
        }
        "QuickGelu" => {
            let x = inputs.get(0)?;
            let alpha = builder.scalar(attributes.float("alpha", 1.702))?;
            let scaled = builder.map(F::Multiply, &[x, &alpha])?;
            let gate = builder.map(F::Sigmoid, &[&scaled])?;
            builder.map(F::Multiply, &[x, &gate])?
        }
        "FusedMatMul" | "TransposeMatMul" => fused_product(builder, inputs, context)?,
        "FusedGemm" => {
            let value = linear::gemm(builder, inputs, context)?;
            activated(builder, value, context)?
        }
        "FusedConv" => {
            let value = window::convolution(builder, inputs, context)?;
            let value = with_bias(builder, value, inputs.optional(3))?;
            activated(builder, value, context)?
        }
        "LayerNormalization" => return normalise::layer(builder, inputs, context),
        "SimplifiedLayerNormalization" => normalise::root_mean_square(builder, inputs, context)?,
        "SkipLayerNormalization" => return skip_layer(builder, inputs, context, true),
        "SkipSimplifiedLayerNormalization" => return skip_layer(builder, inputs, context, false),
        "EmbedLayerNormalization" => return embed(builder, inputs, context),
        "Attention" => attention(builder, inputs, context)?,
        "MultiHeadAttention" => many_heads(builder, inputs, context)?,
        _ => {
            return Err(
                "this operator of the domain com.microsoft is not supported; optimise the \
                        model less, or export with standard operators only"
                    .to_owned(),
            );
        }
    };
    Ok(vec![value])
}

fn with_bias(builder: &mut Builder, value: Value, bias: Option<&Value>) -> Lowered<Value> {
    match bias {
        Some(bias) => builder.map(F::Add, &[&value, bias]),
        None => Ok(value),
    }
}

/// The function that a fused operator names, with its numbers.
fn activated(builder: &mut Builder, value: Value, context: &Context<'_>) -> Lowered<Value> {
    let attributes = &context.attributes;
    let given = attributes.floats("activation_params").unwrap_or_default();
    let named = ["activation_alpha", "activation_beta"];
    let number = |place: usize, default: f32| {
        let other = named.get(place).map_or(default, |name| attributes.float(name, default));
        given.get(place).copied().unwrap_or(other)
    };
    match attributes.text("activation", "").as_str() {
        "" => Ok(value),
        "Relu" => {
            let zero = builder.scalar(0.0)?;
            builder.map(F::Maximum, &[&value, &zero])
        }
        "Tanh" => builder.map(F::Tanh, &[&value]),
        "Sigmoid" => builder.map(F::Sigmoid, &[&value]),
        "LeakyRelu" => {
            let slope = builder.scalar(number(0, 0.01))?;
            sloped(builder, &value, &slope)
        }
        "HardSigmoid" => hard_sigmoid(builder, &value, number(0, 0.2), number(1, 0.5)),
        "Clip" => {
            let (least, most) = (number(0, f32::MIN), number(1, f32::MAX));
            let (least, most) = (builder.scalar(least)?, builder.scalar(most)?);
            clipped(builder, &value, Some(&least), Some(&most))
        }
        other => Err(format!("activation {other} is not supported; optimise the model less")),
    }
}

/// `alpha · A' B'`, either operand with its last two axes swapped or not.
fn fused_product(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let attributes = &context.attributes;
    if ["transBatchA", "transBatchB"].iter().any(|name| attributes.int(name, 0) != 0) {
        return Err(
            "transBatchA and transBatchB are not supported; optimise the model less".to_owned()
        );
    }
    let turned = |builder: &mut Builder, index: usize, name: &str| -> Lowered<Value> {
        let value = inputs.get(index)?;
        match attributes.int(name, 0) != 0 && value.rank() > 1 {
            true => builder.swap_last(value),
            false => Ok(value.clone()),
        }
    };
    let left = turned(builder, 0, "transA")?;
    let right = turned(builder, 1, "transB")?;
    let value = linear::product(builder, &left, &right)?;
    let alpha = attributes.float("alpha", 1.0);
    if alpha == 1.0 {
        return Ok(value);
    }
    let alpha = builder.scalar(alpha)?;
    builder.map(F::Multiply, &[&value, &alpha])
}

/// The normalised sum of input, skip and bias; the sum itself is the fourth output.
fn skip_layer(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
    centred: bool,
) -> Lowered<Vec<Value>> {
    let (shift, bias) = if centred { (inputs.optional(3), 4) } else { (None, 3) };
    let mut sum = builder.map(F::Add, &[inputs.get(0)?, inputs.get(1)?])?;
    if sum.shape() != inputs.get(0)?.shape() {
        return Err("the skipped input has another shape than the input".to_owned());
    }
    sum = with_bias(builder, sum, inputs.optional(bias))?;
    let epsilon = context.attributes.float("epsilon", 1e-12);
    let axes = [sum.rank().checked_sub(1).ok_or("the input has no axis")?];
    let parts =
        normalise::layer_parts(builder, &sum, &axes, epsilon, centred, context.outputs > 1)?;
    let value = scaled(builder, &parts.standard, inputs.get(2)?, shift)?;
    let mut outputs = vec![value];
    if context.outputs > 1 {
        let (mean, inverse) = parts.moments.ok_or("mean and deviation are not known")?;
        outputs.extend([mean, inverse, sum]);
    }
    Ok(outputs)
}

fn scaled(
    builder: &mut Builder,
    value: &Value,
    scale: &Value,
    shift: Option<&Value>,
) -> Lowered<Value> {
    let value = builder.map(F::Multiply, &[value, scale])?;
    with_bias(builder, value, shift)
}

/// Rows of a table.
fn looked_up(builder: &mut Builder, table: &Value, rows: &Value) -> Lowered<Value> {
    match table.rank() {
        2 => gather(builder, table, rows, 0),
        _ => Err("a table of embeddings needs two axes".to_owned()),
    }
}

/// The normalised sum of the embeddings of words, places and segments; how many places the mask shows.
fn embed(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Vec<Value>> {
    let ids = inputs.get(0)?;
    let &[batch, sequence] = ids.dimensions() else {
        return Err("the tokens need the shape [batch, sequence]".to_owned());
    };
    let words = looked_up(builder, inputs.get(2)?, ids)?;
    let table = inputs.get(3)?;
    let position = match inputs.optional(8) {
        Some(positions) => looked_up(builder, table, positions)?,
        None => {
            let first = part(builder, table, 0, 0, sequence)?;
            let width = first.shape().columns();
            builder.reshape(&first, &[1, sequence, width])?
        }
    };
    let mut sum = builder.map(F::Add, &[&words, &position])?;
    if let (Some(segments), Some(table)) = (inputs.optional(1), inputs.optional(4)) {
        let segments = looked_up(builder, table, segments)?;
        sum = builder.map(F::Add, &[&sum, &segments])?;
    }
    let axes = [sum.rank() - 1];
    let epsilon = context.attributes.float("epsilon", 1e-12);
    let parts = normalise::layer_parts(builder, &sum, &axes, epsilon, true, false)?;
    let value = scaled(builder, &parts.standard, inputs.get(5)?, inputs.optional(6))?;
    let mut outputs = vec![value];
    if context.outputs > 1 {
        outputs.push(match inputs.optional(7) {
            Some(mask) => {
                let one = builder.scalar_of(mask.element(), 1.0)?;
                let shown = builder.map(F::Equal, &[mask, &one])?;
                let shown = builder.cast(&shown, ElementType::I32)?;
                builder.reduce_last(Fold::Sum, &shown)?
            }
            None => {
                let zero = builder.scalar_of(ElementType::I32, 0.0)?;
                crate::onnx::fold_shapes::expand_to(builder, &zero, &[batch])?
            }
        });
        outputs.push(sum);
    }
    Ok(outputs)
}

/// What is added to scores where the mask hides a key. The mask is `[batch]` (how many keys are
/// shown), `[2 · batch]` (and from which on), or truths for each key.
fn mask_bias(
    builder: &mut Builder,
    mask: &Value,
    [batch, queries, keys]: [u64; 3],
    filter: f32,
) -> Lowered<Value> {
    let key = places(builder, 4, 3, keys)?;
    let hidden = match *mask.dimensions() {
        [count] if count == batch || count == 2 * batch => {
            let mask = builder.cast(mask, ElementType::I64)?;
            let ends = part(builder, &mask, 0, 0, batch)?;
            let ends = builder.reshape(&ends, &[batch, 1, 1, 1])?;
            let behind = builder.map(F::LessOrEqual, &[&ends, &key])?;
            if count == batch {
                behind
            } else {
                let starts = part(builder, &mask, 0, batch, batch)?;
                let starts = builder.reshape(&starts, &[batch, 1, 1, 1])?;
                let before = builder.map(F::Less, &[&key, &starts])?;
                builder.map(F::Or, &[&behind, &before])?
            }
        }
        [rows, columns] if rows == batch && columns == keys => {
            raw(builder, mask, &[batch, 1, 1, keys])?
        }
        [rows, lines, columns] if rows == batch && lines == queries && columns == keys => {
            raw(builder, mask, &[batch, 1, queries, keys])?
        }
        _ => {
            return Err(format!(
                "a mask of shape {:?} is not supported; use [batch], [2 · batch], [batch, keys] or \
                 [batch, queries, keys]",
                mask.dimensions()
            ));
        }
    };
    let (low, zero) = (builder.scalar(filter)?, builder.scalar(0.0)?);
    builder.map(F::Select, &[&hidden, &low, &zero])
}

/// Where a mask of truths, as integers, hides a key.
fn raw(builder: &mut Builder, mask: &Value, dimensions: &[u64]) -> Lowered<Value> {
    let mask = match mask.element() {
        ElementType::Bool => builder.cast(mask, ElementType::I32)?,
        _ => mask.clone(),
    };
    let zero = builder.scalar_of(mask.element(), 0.0)?;
    let hidden = builder.map(F::LessOrEqual, &[&mask, &zero])?;
    builder.reshape(&hidden, dimensions)
}

/// Queries, keys and values by heads: `[batch, heads, sequence, depth]`.
struct Heads {
    query: Value,
    key: Value,
    value: Value,
}

fn split_heads(builder: &mut Builder, value: &Value, heads: u64) -> Lowered<Value> {
    match *value.dimensions() {
        [batch, sequence, width] if heads > 0 && width % heads == 0 => {
            let split = builder.reshape(value, &[batch, sequence, heads, width / heads])?;
            builder.transpose(&split, &[0, 2, 1, 3])
        }
        _ => Err("needs [batch, sequence, width], and num_heads that divides the width".to_owned()),
    }
}

/// Scores, mask, softmax, product; heads side by side again.
fn attend(
    builder: &mut Builder,
    Heads { query, key, value }: &Heads,
    bias: &[Option<Value>],
    context: &Context<'_>,
) -> Lowered<Value> {
    let (&[batch, heads, queries, depth], &[.., keys, _]) = (query.dimensions(), key.dimensions())
    else {
        return Err("queries and keys need rank 4".to_owned());
    };
    let scale = context.attributes.float("scale", 0.0);
    let scale = if scale == 0.0 { 1.0 / (depth as f32).sqrt() } else { scale };
    let scale = builder.scalar(scale)?;
    let mut scores = builder.contract(query, key)?;
    scores = builder.map(F::Multiply, &[&scores, &scale])?;
    for added in bias.iter().flatten() {
        scores = builder.map(F::Add, &[&scores, added])?;
    }
    if context.attributes.int("unidirectional", 0) != 0 {
        let (line, key) = (places(builder, 4, 2, queries)?, places(builder, 4, 3, keys)?);
        let later = builder.map(F::Less, &[&line, &key])?;
        let low = builder.scalar(f32::MIN)?;
        scores = builder.map(F::Select, &[&later, &low, &scores])?;
    }
    let axis = [3];
    let largest = builder.reduce_keep(Fold::Maximum, &scores, &axis)?;
    let shifted = builder.map(F::Subtract, &[&scores, &largest])?;
    let raised = builder.map(F::Exponential, &[&shifted])?;
    let sum = builder.reduce_keep(Fold::Sum, &raised, &axis)?;
    let weights = builder.map(F::Divide, &[&raised, &sum])?;
    let columns = builder.swap_last(value)?;
    let mixed = builder.contract(&weights, &columns)?;
    let width = mixed.dimensions()[3];
    let mixed = builder.transpose(&mixed, &[0, 2, 1, 3])?;
    builder.reshape(&mixed, &[batch, queries, heads * width])
}

fn heads_of(context: &Context<'_>) -> u64 {
    u64::try_from(context.attributes.int("num_heads", 0)).unwrap_or(0)
}

fn refuse_caches(inputs: &Inputs<'_>, context: &Context<'_>, at: &[usize]) -> Lowered<()> {
    let rotary = context.attributes.int("do_rotary", 0) != 0;
    match at.iter().any(|index| inputs.optional(*index).is_some()) || context.outputs > 1 || rotary
    {
        true => Err("past keys and values, presents and rotary positions are not supported here; \
                     optimise the model less"
            .to_owned()),
        false => Ok(()),
    }
}

/// Attention of an encoder: one product gives queries, keys and values of the input.
fn attention(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    refuse_caches(inputs, context, &[4, 6])?;
    let (input, weights) = (inputs.get(0)?, inputs.get(1)?);
    let heads = heads_of(context);
    let all = linear::product(builder, input, weights)?;
    let all = with_bias(builder, all, inputs.optional(2))?;
    let &[batch, sequence, width] = all.dimensions() else {
        return Err("needs [batch, sequence, width]".to_owned());
    };
    let sizes = match context.attributes.ints("qkv_hidden_sizes").as_deref() {
        None | Some([]) => vec![width / 3; 3],
        Some(sizes) => crate::onnx::fold_shapes::sizes(sizes)?,
    };
    let sum = sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size));
    let (&[query, key, value], true) = (sizes.as_slice(), sum == Some(width)) else {
        return Err("the weights do not split into queries, keys and values".to_owned());
    };
    let cut = |builder: &mut Builder, start: u64, size: u64| {
        let one = part(builder, &all, 2, start, size)?;
        split_heads(builder, &one, heads)
    };
    let parts = Heads {
        query: cut(builder, 0, query)?,
        key: cut(builder, query, key)?,
        value: cut(builder, query + key, value)?,
    };
    let filter = context.attributes.float("mask_filter_value", -10_000.0);
    let sizes = [batch, sequence, sequence];
    let mask =
        inputs.optional(3).map(|mask| mask_bias(builder, mask, sizes, filter)).transpose()?;
    attend(builder, &parts, &[mask, inputs.optional(5).cloned()], context)
}

/// Attention whose queries, keys and values are inputs of their own.
fn many_heads(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    refuse_caches(inputs, context, &[6, 7, 8])?;
    let heads = heads_of(context);
    let (query, key, value) = (inputs.get(0)?, inputs.get(1)?, inputs.get(2)?);
    let widths = [query, key, value].map(|one| one.shape().columns());
    let mut start = 0;
    let mut biased = |builder: &mut Builder, one: &Value, width: u64| -> Lowered<Value> {
        let first = start;
        start += width;
        match inputs.optional(3) {
            Some(bias) => {
                let own = part(builder, bias, 0, first, width)?;
                let sum = builder.map(F::Add, &[one, &own])?;
                split_heads(builder, &sum, heads)
            }
            None => split_heads(builder, one, heads),
        }
    };
    let parts = Heads {
        query: biased(builder, query, widths[0])?,
        key: biased(builder, key, widths[1])?,
        value: biased(builder, value, widths[2])?,
    };
    let (&[batch, queries, _], &[_, keys, _]) = (query.dimensions(), key.dimensions()) else {
        return Err("needs [batch, sequence, width]".to_owned());
    };
    let filter = context.attributes.float("mask_filter_value", -10_000.0);
    let sizes = [batch, queries, keys];
    let mask =
        inputs.optional(4).map(|mask| mask_bias(builder, mask, sizes, filter)).transpose()?;
    attend(builder, &parts, &[mask, inputs.optional(5).cloned()], context)
}
