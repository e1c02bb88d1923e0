//! The table's codes, and scalar functions at their borders.

use super::*;
use crate::encoding::Canonical;
use crate::tensor::ElementType;

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
fn a_power_of_integers_is_as_many_products() {
    for kind in [ElementType::I64, ElementType::I32, ElementType::U8] {
        for base in [0i64, 1, -1, 2, -2, 3, 7, -10, 181, 3_037_000_499] {
            for exponent in 0..70u32 {
                let product = (0..exponent).try_fold(1i64, |product, _| product.checked_mul(base));
                let expected = product.and_then(|product| kind.from_integer(product));
                let arguments = [base as u64, u64::from(exponent), 0];
                let Some(stored) = kind.from_integer(base) else { continue };
                assert_eq!(kind.to_integer(stored), base);
                let found = map_scalar(MapFunction::Power, kind, kind, arguments);
                assert_eq!(found, expected, "{base} to the {exponent}");
            }
        }
    }
    // However large the exponent, it takes no longer.
    let power = |base: i64, exponent: i64| {
        let arguments = [base as u64, exponent as u64, 0];
        map_scalar(MapFunction::Power, ElementType::I64, ElementType::I64, arguments)
    };
    let largest = i64::from(u32::MAX);
    assert_eq!(power(-1, largest), Some(u64::MAX));
    assert_eq!((power(2, largest), power(1, largest + 1), power(1, -1)), (None, None, None));
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

/// The names in the order of their codes, from 1 on: part of the protocol.
const NAMES: [&str; 34] = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "equal",
    "less",
    "less_or_equal",
    "and",
    "or",
    "exclusive_or",
    "not",
    "negate",
    "absolute",
    "square_root",
    "exponential",
    "logarithm",
    "tanh",
    "erf",
    "sigmoid",
    "floor",
    "ceiling",
    "round",
    "sign",
    "is_nan",
    "select",
    "cast",
    "sine",
    "cosine",
    "arc_tangent",
    "remainder",
    "random",
];

#[test]
fn codes_and_names_stay_what_they_are() {
    assert_eq!(MapFunction::ALL.len(), NAMES.len());
    for ((function, name), code) in MapFunction::ALL.iter().zip(NAMES).zip(1u8..) {
        assert_eq!((function.code(), function.name()), (code, name));
        assert_eq!(function.to_canonical(), [code]);
        assert_eq!(MapFunction::from_canonical(&[code]).as_ref(), Ok(function));
        assert_eq!(MapFunction::named(name).as_ref(), Some(function));
    }
    for unknown in [0, NAMES.len() as u8 + 1, 255] {
        assert!(MapFunction::from_canonical(&[unknown]).is_err(), "{unknown}");
    }
}

#[test]
fn a_function_has_a_result_of_no_kind_that_its_types_leave_out() {
    use ElementType::{Bool, F32, I64};
    for function in MapFunction::ALL {
        let has = |kind| map_scalar(*function, kind, kind, [1, 1, 1]).is_some();
        let wanted = match function.types() {
            Types::Numbers | Types::Order => [true, true, false],
            Types::Floats | Types::FloatTest => [true, false, false],
            Types::Bits => [false, true, true],
            Types::Random => [false, true, false],
            Types::Equality | Types::Choice | Types::Conversion => [true; 3],
        };
        assert_eq!([F32, I64, Bool].map(has), wanted, "{function:?}");
    }
}
