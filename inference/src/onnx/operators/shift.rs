//! Shifts of integers, as products and quotients of powers of two.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// BitShift: bits that leave the type are lost; to the right, the sign stays. What would leave 64 bits
/// with a sign has no result.
pub(super) fn shift(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let value = node.input(0)?;
    let element = value.element();
    if matches!(element, ElementType::F32 | ElementType::Bool) {
        return Err("only integers are shifted".to_owned());
    }
    let width = 8 * element.bytes() as i64;
    let wide = builder.cast(value, ElementType::I64)?;
    let places = builder.cast(node.input(1)?, ElementType::I64)?;
    let (none, one, two) = (builder.integer(0)?, builder.integer(1)?, builder.integer(2)?);
    // 2^62 is the last power that 64 bits with a sign hold.
    let (bits, last) = (builder.integer(width)?, builder.integer((width - 1).min(62))?);
    let stays = builder.map(F::Less, &[&places, &bits])?;
    let places = builder.map(F::Minimum, &[&places, &last])?;
    let factor = builder.map(F::Power, &[&two, &places])?;
    let moved = match node.attributes.text("direction", "").as_str() {
        "RIGHT" => {
            // Without the bits that fall out, the quotient is exact, also of negative numbers.
            let below = builder.map(F::Subtract, &[&factor, &one])?;
            let lost = builder.map(F::And, &[&wide, &below])?;
            let kept = builder.map(F::Subtract, &[&wide, &lost])?;
            return right(builder, &kept, &factor, &stays, element);
        }
        "LEFT" if element == ElementType::I64 => builder.map(F::Multiply, &[&wide, &factor])?,
        "LEFT" => {
            let room = builder.map(F::Subtract, &[&bits, &places])?;
            let room = builder.map(F::Power, &[&two, &room])?;
            let mask = builder.map(F::Subtract, &[&room, &one])?;
            let kept = builder.map(F::And, &[&wide, &mask])?;
            let moved = builder.map(F::Multiply, &[&kept, &factor])?;
            wrapped(builder, &moved, element, width)?
        }
        other => return Err(format!("direction {other} is not known")),
    };
    let moved = builder.map(F::Select, &[&stays, &moved, &none])?;
    builder.cast(&moved, element)
}

fn right(
    builder: &mut Builder,
    kept: &Value,
    factor: &Value,
    stays: &Value,
    element: ElementType,
) -> Lowered<Value> {
    let (none, minus) = (builder.integer(0)?, builder.integer(-1)?);
    let quotient = builder.map(F::Divide, &[kept, factor])?;
    let negative = builder.map(F::Less, &[kept, &none])?;
    let emptied = builder.map(F::Select, &[&negative, &minus, &none])?;
    let moved = builder.map(F::Select, &[stays, &quotient, &emptied])?;
    builder.cast(&moved, element)
}

/// Bits of a type as a number: the highest counts as negative where the type has a sign.
fn wrapped(
    builder: &mut Builder,
    bits: &Value,
    element: ElementType,
    width: i64,
) -> Lowered<Value> {
    let (least, most) = element.integer_range().ok_or("only integers are shifted")?;
    if least == 0 {
        return Ok(bits.clone());
    }
    let (most, whole) = (builder.integer(most)?, builder.integer(1 << width)?);
    let positive = builder.map(F::LessOrEqual, &[bits, &most])?;
    let turned = builder.map(F::Subtract, &[bits, &whole])?;
    builder.map(F::Select, &[&positive, bits, &turned])
}
