//! Attention heads: tensors of all heads side by side, and split by head.

use crate::onnx::builder::Builder;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// `[batch, sequence, heads · depth]` as `[batch, sequence, heads, depth]`; `None` where it has another
/// rank, or heads do not divide the width.
pub(super) fn by_head(builder: &mut Builder, value: &Value, heads: u64) -> Lowered<Option<Value>> {
    match *value.dimensions() {
        [batch, sequence, width] if heads > 0 && width % heads == 0 => {
            builder.reshape(value, &[batch, sequence, heads, width / heads]).map(Some)
        }
        _ => Ok(None),
    }
}

/// `[batch, sequence, heads, depth]` as `[batch, heads, sequence, depth]`, and the other way round.
pub(super) fn swap_heads(builder: &mut Builder, value: &Value) -> Lowered<Value> {
    builder.transpose(value, &[0, 2, 1, 3])
}

/// `[batch, heads, sequence, depth]` as `[batch, sequence, heads · depth]`.
pub(super) fn side_by_side(
    builder: &mut Builder,
    value: &Value,
    [batch, sequence]: [u64; 2],
) -> Lowered<Value> {
    let &[_, heads, _, depth] = value.dimensions() else {
        return Err("needs rank 4".to_owned());
    };
    let moved = swap_heads(builder, value)?;
    builder.reshape(&moved, &[batch, sequence, heads * depth])
}
