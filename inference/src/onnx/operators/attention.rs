//! Attention of the standard as a composition: products, mask, softmax, product.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::heads::{by_head, side_by_side, swap_heads};
use super::softmax::Exponentials;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::movement::{expand_to, joined, pad};
use crate::onnx::places::places;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// A bias of masked places: far below every score, and yet finite, so that no row is undefined.
const MASKED: f32 = -1.0e30;
/// What is below this is masked.
const MASKED_BELOW: f32 = -1.0e29;

/// Heads of a value that may have them already: `[batch, heads, sequence, depth]`.
fn heads_of(builder: &mut Builder, value: &Value, heads: u64) -> Lowered<Value> {
    if value.rank() == 4 {
        return Ok(value.clone());
    }
    let split = by_head(builder, value, heads)?;
    swap_heads(builder, &split.ok_or("needs rank 3 or 4, and heads that divide the width")?)
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

    /// Scores with what is added, and far below all others where they are hidden.
    fn apply(&self, builder: &mut Builder, mut scores: Value) -> Lowered<Value> {
        if let Some(added) = &self.added {
            scores = builder.map(F::Add, &[&scores, added])?;
        }
        if let Some(hidden) = &self.hidden {
            let low = builder.scalar(MASKED)?;
            scores = builder.map(F::Select, &[hidden, &low, &scores])?;
        }
        Ok(scores)
    }

    /// The softmax of scores; a row that may see nothing gives nothing.
    fn weights(&self, builder: &mut Builder, scores: &Value) -> Lowered<Value> {
        let exponentials = Exponentials::new(builder, scores, &[scores.rank() - 1])?;
        let weights = exponentials.shares(builder)?;
        if self.hidden.is_none() {
            return Ok(weights);
        }
        let edge = builder.scalar(MASKED_BELOW)?;
        let blind = builder.map(F::Less, &[&exponentials.largest, &edge])?;
        let zero = builder.scalar(0.0)?;
        builder.map(F::Select, &[&blind, &zero, &weights])
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
            pad(builder, mask, vec![0; mask.rank()], &dimensions, fill)?
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

/// Queries by head, keys and values by head and as often as queries share them, and the keys and
/// values that later steps take as past ones.
struct Heads {
    query: Value,
    key: Value,
    value: Value,
    present: [Value; 2],
    /// Batch, queries, keys, and how many of the keys are past ones.
    sizes: [u64; 4],
    depth: u64,
}

impl Heads {
    fn of(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Self> {
        let query = heads_of(builder, node.input(0)?, node.count("q_num_heads"))?;
        let mut key = heads_of(builder, node.input(1)?, node.count("kv_num_heads"))?;
        let mut value = heads_of(builder, node.input(2)?, node.count("kv_num_heads"))?;
        let past = node.optional(4).and_then(|past| past.dimensions().get(2).copied());
        if let (Some(past_key), Some(past_value)) = (node.optional(4), node.optional(5)) {
            key = joined(builder, vec![past_key.clone(), key], 2)?;
            value = joined(builder, vec![past_value.clone(), value], 2)?;
        }
        let present = [key.clone(), value.clone()];
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
        let sizes = [batch, queries, keys, past.unwrap_or(0)];
        Ok(Self { query, key, value, present, sizes, depth })
    }
}

/// Scores on their way to weights, as outputs may show them.
struct Scores {
    raw: Value,
    capped: Value,
    biased: Value,
    weights: Value,
}

/// Attention: products, cap, mask, softmax, product.
pub(super) fn attention(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Vec<Value>> {
    let heads = Heads::of(builder, node)?;
    let [batch, queries, keys, _] = heads.sizes;
    let raw = raw_scores(builder, node, &heads)?;
    let capped = capped(builder, node, &raw)?;
    let mut bias = Bias { added: None, hidden: None };
    if let Some(mask) = node.optional(3) {
        mask_bias(builder, mask, keys, &mut bias)?;
    }
    windows(builder, node, heads.sizes, node.optional(6), &mut bias)?;
    let biased = bias.apply(builder, capped.clone())?;
    let weights = bias.weights(builder, &biased)?;
    let columns = builder.swap_last(&heads.value)?;
    let mut mixed = builder.contract(&weights, &columns)?;
    if node.input(0)?.rank() == 3 {
        mixed = side_by_side(builder, &mixed, [batch, queries])?;
    }
    let scores = Scores { raw, capped, biased, weights };
    let shown = scores.shown(node, bias.hidden.is_some())?;
    let [present_key, present_value] = heads.present;
    Ok(vec![mixed, present_key, present_value, shown])
}

/// Products of queries and keys, scaled.
fn raw_scores(builder: &mut Builder, node: &OnnxNode<'_>, heads: &Heads) -> Lowered<Value> {
    let product = builder.contract(&heads.query, &heads.key)?;
    let scale = node.attributes.get("scale").map(|scale| scale.f);
    let scale = builder.scalar(scale.unwrap_or(1.0 / (heads.depth as f32).sqrt()))?;
    builder.map(F::Multiply, &[&product, &scale])
}

/// Scores bent towards a cap, where there is one.
fn capped(builder: &mut Builder, node: &OnnxNode<'_>, scores: &Value) -> Lowered<Value> {
    let cap = node.attributes.float("softcap", 0.0);
    if cap > 0.0 {
        let cap = builder.scalar(cap)?;
        let bent = builder.map(F::Divide, &[scores, &cap])?;
        let bent = builder.map(F::Tanh, &[&bent])?;
        return builder.map(F::Multiply, &[&bent, &cap]);
    }
    Ok(scores.clone())
}

impl Scores {
    /// Those that the fourth output asks for.
    fn shown(self, node: &OnnxNode<'_>, is_masked: bool) -> Lowered<Value> {
        match node.attributes.int("qk_matmul_output_mode", 0) {
            0 => Ok(self.raw),
            1 => Ok(self.capped),
            2 if node.outputs > 3 && is_masked => {
                Err("scores with masked places are not finite; ask for another \
                     qk_matmul_output_mode"
                    .to_owned())
            }
            2 => Ok(self.biased),
            _ => Ok(self.weights),
        }
    }
}

/// Hides what comes later, what lies outside a window, and what is padding.
fn windows(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    [batch, queries, keys, past]: [u64; 4],
    lengths: Option<&Value>,
    bias: &mut Bias,
) -> Lowered<()> {
    let attributes = &node.attributes;
    let causal = node.flag("is_causal", false);
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
