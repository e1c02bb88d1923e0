//! The scalar functions of `map`, for every element type.

use crate::graph::MapFunction;
use crate::numerics::soft::{self, Rounding, SoftFloat};
use crate::numerics::{elementary, store};
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
        MapFunction::Select => Some(if a != 0 { b } else { c }),
        MapFunction::Cast => cast(from, to, a),
        _ if from == ElementType::F32 => Some(u64::from(float(function, a as u32, b as u32)?)),
        _ => integer(function, from, to, from.to_integer(a), from.to_integer(b)),
    }
}

fn cast(from: ElementType, to: ElementType, bits: u64) -> Option<u64> {
    use ElementType::{Bool, F32};
    match (from, to) {
        (F32, F32) => Some(bits),
        (F32, Bool) => Some(u64::from(!soft::equal(bits as u32, 0))),
        (F32, _) => to.from_integer(soft::to_integer(bits as u32)?),
        (_, F32) => Some(u64::from(store(soft::from_integer(from.to_integer(bits))))),
        (_, Bool) => Some(u64::from(bits != 0)),
        _ => to.from_integer(from.to_integer(bits)),
    }
}

fn float(function: MapFunction, a: u32, b: u32) -> Option<u32> {
    use MapFunction as F;
    let unary = |function: fn(SoftFloat) -> SoftFloat| function(SoftFloat(a)).0;
    let truth = |condition: bool| Some(u32::from(condition));
    let value = match function {
        F::Add => soft::add(a, b),
        F::Subtract => soft::sub(a, b),
        F::Multiply => soft::mul(a, b),
        F::Divide => soft::div(a, b),
        F::Power => elementary::pow(SoftFloat(a), SoftFloat(b)).0,
        F::Maximum => soft::max(a, b),
        F::Minimum => soft::min(a, b),
        F::Equal => return truth(soft::equal(a, b)),
        F::Less => return truth(soft::less(a, b)),
        F::LessOrEqual => return truth(soft::less(a, b) || soft::equal(a, b)),
        F::IsNan => return truth(soft::is_nan(a)),
        F::Negate => a ^ 0x8000_0000,
        F::Absolute => a & 0x7FFF_FFFF,
        F::SquareRoot => soft::sqrt(a),
        F::Exponential => unary(elementary::exp),
        F::Logarithm => unary(elementary::log),
        F::Tanh => unary(elementary::tanh),
        F::Erf => unary(elementary::erf),
        F::Sigmoid => unary(elementary::sigmoid),
        F::Floor => soft::round_to_integer(a, Rounding::Floor),
        F::Ceiling => soft::round_to_integer(a, Rounding::Ceiling),
        F::Round => soft::round_to_integer(a, Rounding::NearestEven),
        F::Sign => {
            let one = 0x3F80_0000 | (a & 0x8000_0000);
            if soft::is_nan(a) || soft::equal(a, 0) { a } else { one }
        }
        F::Sine | F::Cosine if elementary::is_beyond_circle(a) => return None,
        F::Sine => unary(elementary::sin),
        F::Cosine => unary(elementary::cos),
        F::ArcTangent => unary(elementary::atan),
        F::Remainder => soft::remainder(a, b),
        F::And | F::Or | F::ExclusiveOr | F::Not | F::Select | F::Cast => return None,
    };
    Some(store(value))
}

fn integer(
    function: MapFunction,
    from: ElementType,
    to: ElementType,
    a: i64,
    b: i64,
) -> Option<u64> {
    use MapFunction as F;
    let logical = from == ElementType::Bool;
    let truth = |condition: bool| Some(u64::from(condition));
    let value = match function {
        F::Equal => return truth(a == b),
        F::And if logical => return truth(a != 0 && b != 0),
        F::Or if logical => return truth(a != 0 || b != 0),
        F::ExclusiveOr if logical => return truth((a != 0) != (b != 0)),
        F::Not if logical => return truth(a == 0),
        _ if logical => return None,
        F::Less => return truth(a < b),
        F::LessOrEqual => return truth(a <= b),
        F::And => a & b,
        F::Or => a | b,
        F::ExclusiveOr => a ^ b,
        // Of a type without sign, every bit it has.
        F::Not => match from.integer_range()? {
            (0, most) => most ^ a,
            _ => !a,
        },
        F::Remainder => a.checked_rem(b)?,
        F::Add => a.checked_add(b)?,
        F::Subtract => a.checked_sub(b)?,
        F::Multiply => a.checked_mul(b)?,
        F::Divide => a.checked_div(b)?,
        F::Power => a.checked_pow(u32::try_from(b).ok()?)?,
        F::Maximum => a.max(b),
        F::Minimum => a.min(b),
        F::Negate => a.checked_neg()?,
        F::Absolute => a.checked_abs()?,
        F::Sign => a.signum(),
        _ => return None,
    };
    to.from_integer(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_overflow_and_division_by_zero_have_no_result() {
        let wide = ElementType::I64;
        let narrow = ElementType::I32;
        let minimum = i64::MIN as u64;
        for (function, kind, a, b) in [
            (MapFunction::Add, wide, i64::MAX as u64, 1),
            (MapFunction::Multiply, narrow, 1 << 30, 2),
            (MapFunction::Divide, wide, 1, 0),
            (MapFunction::Divide, wide, minimum, u64::MAX),
            (MapFunction::Negate, wide, minimum, 0),
            (MapFunction::Power, wide, 2, u64::MAX),
        ] {
            assert_eq!(map_scalar(function, kind, kind, [a, b, 0]), None, "{function:?}");
        }
    }

    #[test]
    fn casts_follow_the_table() {
        use ElementType::{Bool, F32, I32, I64};
        let one = u64::from(1f32.to_bits());
        for (from, to, bits, expected) in [
            (F32, I64, u64::from((-2.75f32).to_bits()), Some((-2i64) as u64)),
            (F32, I32, u64::from(3e9f32.to_bits()), None),
            (F32, I64, u64::from(f32::NAN.to_bits()), None),
            (F32, Bool, u64::from(f32::NAN.to_bits()), Some(1)),
            (F32, Bool, 0, Some(0)),
            (Bool, F32, 1, Some(one)),
            (I32, I64, u64::from(-5i32 as u32), Some((-5i64) as u64)),
            (I64, F32, 16_777_217, Some(u64::from(16_777_216f32.to_bits()))),
            (I64, I32, 1 << 40, None),
        ] {
            let found = map_scalar(MapFunction::Cast, from, to, [bits, 0, 0]);
            assert_eq!(found, expected, "{from:?} {to:?} {bits:x}");
        }
    }
}
