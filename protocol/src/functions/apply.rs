//! A function of the table, applied.

use super::MapFunction;
use super::scalar::{OfFloats, OfIntegers, OfTruths};
use crate::numerics::soft::{self, SoftFloat};
use crate::numerics::{elementary, narrow_bf16, narrow_f16, store};
use crate::tensor::ElementType;

/// One scalar function.
///
/// `from` is the element type of the last operand (the first of a `select` is a truth value);
/// unused arguments are ignored. `None` where the function has no result for these arguments.
pub fn map_scalar(
    function: MapFunction,
    from: ElementType,
    to: ElementType,
    arguments: [u64; 3],
) -> Option<u64> {
    let [a, b, c] = arguments;
    match function {
        MapFunction::Select => return Some(if a != 0 { b } else { c }),
        MapFunction::Cast => return cast(from, to, a),
        _ => {}
    }
    let scalar = function.scalar();
    match from {
        ElementType::F32 => of_floats(scalar.floats, a as u32, b as u32),
        ElementType::Bool => of_truths(scalar.truths, from.to_integer(a), from.to_integer(b)),
        ElementType::I64
        | ElementType::I32
        | ElementType::I8
        | ElementType::U8
        | ElementType::I16
        | ElementType::U16
        | ElementType::U32 => {
            of_integers(scalar.integers, from, to, arguments.map(|bits| from.to_integer(bits)))
        }
        // Only moved and cast.
        ElementType::Bf16 | ElementType::F16 => None,
    }
}

fn cast(from: ElementType, to: ElementType, bits: u64) -> Option<u64> {
    use ElementType::{Bf16, Bool, F16, F32};
    match (from, to) {
        (F32, F32) => Some(bits),
        (F32, Bool) => Some(u64::from(!soft::equal(bits as u32, 0))),
        (F32, Bf16) => Some(u64::from(narrow_bf16(bits as u32))),
        (F32, F16) => Some(u64::from(narrow_f16(bits as u32))),
        (F32, _) => to.from_integer(soft::to_integer(bits as u32)?),
        (_, F32) => Some(u64::from(from.to_f32(bits))),
        // Floats of 16 bits go by way of binary32.
        (Bf16 | F16, _) | (_, Bf16 | F16) => None,
        (_, Bool) => Some(u64::from(bits != 0)),
        _ => to.from_integer(from.to_integer(bits)),
    }
}

fn of_floats(function: OfFloats, a: u32, b: u32) -> Option<u64> {
    let value = match function {
        OfFloats::Nothing => return None,
        OfFloats::One(function) => function(a),
        OfFloats::Two(function) => function(a, b),
        OfFloats::Elementary(function) => function(SoftFloat(a)).0,
        OfFloats::Circular(_) if elementary::is_beyond_circle(a) => return None,
        OfFloats::Circular(function) => function(SoftFloat(a)).0,
        OfFloats::Truth(function) => return Some(u64::from(function(a, b))),
    };
    Some(u64::from(store(value)))
}

fn of_integers(
    function: OfIntegers,
    from: ElementType,
    to: ElementType,
    [a, b, c]: [i64; 3],
) -> Option<u64> {
    let value = match function {
        OfIntegers::Nothing => return None,
        OfIntegers::One(function) => function(a),
        OfIntegers::Two(function) => function(a, b),
        OfIntegers::Three(function) => function(a, b, c),
        OfIntegers::OfType(function) => function(from, a),
        OfIntegers::Truth(function) => return Some(u64::from(function(a, b))),
    };
    to.from_integer(value?)
}

fn of_truths(function: OfTruths, a: i64, b: i64) -> Option<u64> {
    match function {
        OfTruths::Nothing => None,
        OfTruths::Truth(function) => Some(u64::from(function(a, b))),
    }
}
