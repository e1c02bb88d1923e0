//! Attention as a composition: products, mask, softmax, product; and rotary positions.

use protocol::graph::{Fold, MapFunction as F, Operator};
use protocol::tensor::ElementType;

use super::index::places;
use super::{Context, Inputs};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::onnx::fold_shapes::{emit_slice, expand_to, gather, part};

/// A bias of masked places: far below every score, and yet finite, so that no row is undefined.
const MASKED: f32 = -1.0e30;
/// What is below this is masked.
const MASKED_BELOW: f32 = -1.0e29;

fn concat(builder: &mut Builder, parts: Vec<Value>, axis: usize) -> Lowered<Value> {
    let first = parts.first().ok_or("nothing to put together")?;
    if parts.iter().any(|part| part.rank() != first.rank()) || axis >= first.rank() {
        return Err("parts have different ranks".to_owned());
    }
    let mut dimensions = first.dimensions().to_vec();
    dimensions[axis] = parts.iter().map(|part| part.dimensions()[axis]).sum();
    let (shape, element) = (make_shape(&dimensions)?, first.element());
    builder.emit(Operator::Concat { axis: axis as u32 }, parts, element, shape)
}

/// `[batch, sequence, heads · depth]` as `[batch, heads, sequence, depth]`.
fn heads_of(builder: &mut Builder, value: &Value, heads: u64) -> Lowered<Value> {
    match *value.dimensions() {
        [_, _, _, _] => Ok(value.clone()),
        [batch, sequence, width] if heads > 0 && width % heads == 0 => {
            let split = builder.reshape(value, &[batch, sequence, heads, width / heads])?;
            builder.transpose(&split, &[0, 2, 1, 3])
        }
        _ => Err("needs rank 3 or 4, and heads that divide the width".to_owned()),
    }
}

/// Each head as often as queries share it.
fn repeated(builder: &mut Builder, value: &Value, times: u64) -> Lowered<Value> {
    let &[batch, heads, sequence, depth] = value.dimensions() else {
        return Err("needs rank 4".to_owned());
    };
    if times == 1 {
        return Ok(value.clone());
    }
    let raised = builder.reshape(value, &[batch, heads, 1, sequence, depth])?;
    let all = expand_to(builder, &raised, &[batch, heads, times, sequence, depth])?;
    builder.reshape(&all, &[batch, heads * times, sequence, depth])
}

/// What must be seen by nobody, as truths, and what is added to scores.
struct Bias {
    added: Option<Value>,
    hidden: Option<Value>,
}

impl Bias {
    fn hide(&mut self, builder: &mut Builder, hidden: Value) -> Lowered<()> {
        self.hidden = Some(match self.hidden.take() {
            Some(before) => builder.map(F::Or, &[&before, &hidden])?,
            None => hidden,
        });
        Ok(())
    }
}

fn mask_bias(builder: &mut Builder, mask: &Value, keys: u64, bias: &mut Bias) -> Lowered<()> {
    let axis = mask.rank().checked_sub(1).ok_or("the mask has no axis")?;
    let missing = keys.saturating_sub(mask.dimensions()[axis]);
    let mask = match (missing, mask.element()) {
        (0, _) => mask.clone(),
        (_, element) => {
            let mut dimensions = mask.dimensions().to_vec();
            dimensions[axis] = keys;
            let fill = match element {
                ElementType::Bool => 0,
                _ => u64::from(MASKED.to_bits()),
            };
            let (shape, before) = (make_shape(&dimensions)?, vec![0; mask.rank()]);
            builder.emit(Operator::Pad { before, fill }, vec![mask.clone()], element, shape)?
        }
    };
    if mask.element() == ElementType::Bool {
        let hidden = builder.map(F::Not, &[&mask])?;
        return bias.hide(builder, hidden);
    }
    let edge = builder.scalar(MASKED_BELOW)?;
    let hidden = builder.map(F::Less, &[&mask, &edge])?;
    bias.added = Some(mask);
    bias.hide(builder, hidden)
}

pub(super) fn attention(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Vec<Value>> {
    let attributes = &context.attributes;
    let flat = inputs.get(0)?.rank() == 3;
    let count = |name: &str| u64::try_from(attributes.int(name, 0)).unwrap_or(0);
    let query = heads_of(builder, inputs.get(0)?, count("q_num_heads"))?;
    let mut key = heads_of(builder, inputs.get(1)?, count("kv_num_heads"))?;
    let mut value = heads_of(builder, inputs.get(2)?, count("kv_num_heads"))?;
    let past = inputs.optional(4).map_or(0, |past| past.dimensions().get(2).copied().unwrap_or(0));
    if let (Some(past_key), Some(past_value)) = (inputs.optional(4), inputs.optional(5)) {
        key = concat(builder, vec![past_key.clone(), key], 2)?;
        value = concat(builder, vec![past_value.clone(), value], 2)?;
    }
    let (present_key, present_value) = (key.clone(), value.clone());
    let (&[batch, heads, queries, depth], &[_, key_heads, keys, _]) =
        (query.dimensions(), key.dimensions())
    else {
        return Err("queries and keys need rank 4".to_owned());
    };
    if key_heads == 0 || heads % key_heads != 0 {
        return Err("the queries' heads are no multiple of the keys'".to_owned());
    }
    let (key, value) = (
        repeated(builder, &key, heads / key_heads)?,
        repeated(builder, &value, heads / key_heads)?,
    );
    let product = builder.contract(&query, &key)?;
    let scale = attributes.get("scale").map(|scale| scale.f);
    let scale = builder.scalar(scale.unwrap_or(1.0 / (depth as f32).sqrt()))?;
    let mut scores = builder.map(F::Multiply, &[&product, &scale])?;
    let raw = scores.clone();
    let cap = attributes.float("softcap", 0.0);
    if cap > 0.0 {
        let cap = builder.scalar(cap)?;
        let bent = builder.map(F::Divide, &[&scores, &cap])?;
        let bent = builder.map(F::Tanh, &[&bent])?;
        scores = builder.map(F::Multiply, &[&bent, &cap])?;
    }
    let capped = scores.clone();
    let mut bias = Bias { added: None, hidden: None };
    if let Some(mask) = inputs.optional(3) {
        mask_bias(builder, mask, keys, &mut bias)?;
    }
    let lengths = inputs.optional(6).cloned();
    windows(builder, context, [batch, queries, keys, past], lengths.as_ref(), &mut bias)?;
    if let Some(added) = &bias.added {
        scores = builder.map(F::Add, &[&scores, added])?;
    }
    if let Some(hidden) = &bias.hidden {
        let low = builder.scalar(MASKED)?;
        scores = builder.map(F::Select, &[hidden, &low, &scores])?;
    }
    let biased = scores.clone();
    let axis = [scores.rank() - 1];
    let largest = builder.reduce_keep(Fold::Maximum, &scores, &axis)?;
    let shifted = builder.map(F::Subtract, &[&scores, &largest])?;
    let raised = builder.map(F::Exponential, &[&shifted])?;
    let sum = builder.reduce_keep(Fold::Sum, &raised, &axis)?;
    let mut weights = builder.map(F::Divide, &[&raised, &sum])?;
    if bias.hidden.is_some() {
        // A row that may see nothing gives nothing.
        let edge = builder.scalar(MASKED_BELOW)?;
        let blind = builder.map(F::Less, &[&largest, &edge])?;
        let zero = builder.scalar(0.0)?;
        weights = builder.map(F::Select, &[&blind, &zero, &weights])?;
    }
    let columns = builder.swap_last(&value)?;
    let mut mixed = builder.contract(&weights, &columns)?;
    if flat {
        let width = mixed.dimensions()[1] * mixed.dimensions()[3];
        mixed = builder.transpose(&mixed, &[0, 2, 1, 3])?;
        mixed = builder.reshape(&mixed, &[batch, queries, width])?;
    }
    let shown = match attributes.int("qk_matmul_output_mode", 0) {
        0 => raw,
        1 => capped,
        2 if context.outputs > 3 && bias.hidden.is_some() => {
            return Err("scores with masked places are not finite; ask for another \
                        qk_matmul_output_mode"
                .to_owned());
        }
        2 => biased,
        _ => weights,
    };
    Ok(vec![mixed, present_key, present_value, shown])
}

/// Hides what comes later, what lies outside a window, and what is padding.
fn windows(
    builder: &mut Builder,
    context: &Context<'_>,
    [batch, queries, keys, past]: [u64; 4],
    lengths: Option<&Value>,
    bias: &mut Bias,
) -> Lowered<()> {
    let attributes = &context.attributes;
    let causal = attributes.int("is_causal", 0) != 0;
    let left = attributes.int("left_window_size", -1);
    let right = attributes.int("right_window_size", -1);
    let key = places(builder, 4, 3, keys)?;
    let lengths = match lengths {
        Some(lengths) => {
            let lengths = builder.cast(lengths, ElementType::I64)?;
            Some(builder.reshape(&lengths, &[batch, 1, 1, 1])?)
        }
        None => None,
    };
    if causal || left >= 0 || right >= 0 {
        let offset = match &lengths {
            Some(lengths) if past == 0 => {
                let queries = builder.integers(vec![queries as i64])?;
                builder.map(F::Subtract, &[lengths, &queries])?
            }
            _ => builder.integers(vec![past as i64])?,
        };
        let query = places(builder, 4, 2, queries)?;
        let at = builder.map(F::Add, &[&query, &offset])?;
        if causal {
            let hidden = builder.map(F::Less, &[&at, &key])?;
            bias.hide(builder, hidden)?;
        }
        if left >= 0 {
            let reach = builder.integers(vec![left])?;
            let first = builder.map(F::Subtract, &[&at, &reach])?;
            let hidden = builder.map(F::Less, &[&key, &first])?;
            bias.hide(builder, hidden)?;
        }
        if right >= 0 {
            let reach = builder.integers(vec![right])?;
            let last = builder.map(F::Add, &[&at, &reach])?;
            let hidden = builder.map(F::Less, &[&last, &key])?;
            bias.hide(builder, hidden)?;
        }
    }
    if let Some(lengths) = &lengths {
        let hidden = builder.map(F::LessOrEqual, &[lengths, &key])?;
        bias.hide(builder, hidden)?;
    }
    Ok(())
}

pub(super) fn rotary(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let attributes = &context.attributes;
    // [batch, sequence, heads, depth].
    let (split, flat) = match *x.dimensions() {
        [_, _, _, _] => (builder.transpose(x, &[0, 2, 1, 3])?, false),
        [batch, sequence, width] => {
            let heads = u64::try_from(attributes.int("num_heads", 0)).unwrap_or(0);
            if heads == 0 || width % heads != 0 {
                return Err("num_heads does not divide the width".to_owned());
            }
            (builder.reshape(x, &[batch, sequence, heads, width / heads])?, true)
        }
        _ => return Err("needs rank 3 or 4".to_owned()),
    };
    let depth = split.dimensions()[3];
    let turned = match attributes.int("rotary_embedding_dim", 0) {
        0 => depth,
        some => u64::try_from(some).map_err(|_| "rotary_embedding_dim is negative")?,
    };
    let cache = |builder: &mut Builder, index: usize| -> Lowered<Value> {
        let table = inputs.get(index)?;
        if table.rank() < 2 {
            return Err("the table of angles needs two axes".to_owned());
        }
        let rows = match inputs.optional(3) {
            Some(positions) => gather(builder, table, positions, 0)?,
            None => table.clone(),
        };
        let mut dimensions = rows.dimensions().to_vec();
        dimensions.insert(rows.rank() - 1, 1);
        builder.reshape(&rows, &dimensions)
    };
    let (cosine, sine) = (cache(builder, 1)?, cache(builder, 2)?);
    let inner = part(builder, &split, 3, 0, turned)?;
    let half = turned / 2;
    let interleaved = attributes.int("interleaved", 0) != 0;
    let (first, second) = match interleaved {
        true => {
            let mut dimensions = inner.dimensions().to_vec();
            dimensions[3] = half;
            let every = |builder: &mut Builder, start: i64| {
                let (starts, steps) = (vec![0, 0, 0, start], vec![1, 1, 1, 2]);
                emit_slice(builder, &inner, starts, steps, &dimensions)
            };
            (every(builder, 0)?, every(builder, 1)?)
        }
        false => (part(builder, &inner, 3, 0, half)?, part(builder, &inner, 3, half, half)?),
    };
    let (a, b) = (
        builder.map(F::Multiply, &[&cosine, &first])?,
        builder.map(F::Multiply, &[&sine, &second])?,
    );
    let real = builder.map(F::Subtract, &[&a, &b])?;
    let (a, b) = (
        builder.map(F::Multiply, &[&sine, &first])?,
        builder.map(F::Multiply, &[&cosine, &second])?,
    );
    let imaginary = builder.map(F::Add, &[&a, &b])?;
    let joined = match interleaved {
        true => {
            let mut dimensions = real.dimensions().to_vec();
            dimensions.push(1);
            let real = builder.reshape(&real, &dimensions)?;
            let imaginary = builder.reshape(&imaginary, &dimensions)?;
            let pairs = concat(builder, vec![real, imaginary], 4)?;
            builder.reshape(&pairs, inner.dimensions())?
        }
        false => concat(builder, vec![real, imaginary], 3)?,
    };
    let all = match turned == depth {
        true => joined,
        false => {
            let rest = part(builder, &split, 3, turned, depth - turned)?;
            concat(builder, vec![joined, rest], 3)?
        }
    };
    match flat {
        true => builder.reshape(&all, x.dimensions()),
        false => builder.transpose(&all, &[0, 2, 1, 3]),
    }
}
