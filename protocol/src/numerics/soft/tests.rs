//! Every operation beside the float unit of the host.

use super::*;
use proptest::prelude::*;

/// Patterns where rounding, signs and ranges turn.
const EDGES: [u32; 26] = [
    0,
    SIGN,
    1,
    SIGN | 1,
    0x007F_FFFF,
    0x0080_0000,
    0x0080_0001,
    0x3F80_0000,
    0xBF80_0000,
    0x3F80_0001,
    0x3F7F_FFFF,
    0x4000_0000,
    0x7F7F_FFFF,
    0xFF7F_FFFF,
    INFINITY,
    0xFF80_0000,
    NAN,
    0xFFC0_0001,
    0x7F80_0001,
    STORE_MIN,
    STORE_MIN - 1,
    0x4B80_0000,
    0x4B00_0001,
    0x3300_0000,
    0x3380_0000,
    0x2B80_0001,
];

fn canonical(value: f32) -> u32 {
    // Test the bits: `value.is_nan()` may be folded together with the operation before it.
    let bits = value.to_bits();
    if is_nan(bits) { NAN } else { bits }
}

fn pattern() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => any::<u32>(),
        1 => proptest::sample::select(EDGES.to_vec()),
        // Few significant bits and near exponents: sums and products that tie.
        3 => (0u32..2, 100u32..150, 0u32..16, 0u32..2).prop_map(|(sign, exponent, high, low)| {
            (sign << 31) | (exponent << 23) | (high << 19) | low
        }),
    ]
}

/// The remainder as a division on paper finds it: one step for each power of two between the operands.
fn remainder_step_by_step(a: u32, b: u32) -> u32 {
    if is_nan(a) || is_nan(b) || is_infinite(a) || is_zero(b) {
        return NAN;
    }
    if is_infinite(b) || is_zero(a) {
        return a;
    }
    let ((left, left_exponent), (right, right_exponent)) = (unpack(a), unpack(b));
    let apart = left_exponent - right_exponent;
    if apart < -64 {
        return a;
    }
    if apart < 0 {
        return round(a & SIGN != 0, left % (right << -apart), left_exponent);
    }
    let rest = (0..apart).fold(left % right, |rest, _| rest * 2 % right);
    round(a & SIGN != 0, rest, right_exponent)
}

#[test]
fn remainders_of_edges_are_the_same_in_few_steps() {
    for a in EDGES {
        for b in EDGES {
            assert_eq!(remainder(a, b), remainder_step_by_step(a, b), "{a:08x} {b:08x}");
        }
    }
}

fn check(a: u32, b: u32, c: u32) {
    let (x, y, z) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
    assert_eq!(add(a, b), canonical(x + y), "add {a:08x} {b:08x}");
    assert_eq!(sub(a, b), canonical(x - y), "sub {a:08x} {b:08x}");
    assert_eq!(mul(a, b), canonical(x * y), "mul {a:08x} {b:08x}");
    assert_eq!(div(a, b), canonical(x / y), "div {a:08x} {b:08x}");
    assert_eq!(sqrt(a), canonical(x.sqrt()), "sqrt {a:08x}");
    assert_eq!(fma(a, b, c), canonical(x.mul_add(y, z)), "fma {a:08x} {b:08x} {c:08x}");
    assert_eq!(less(a, b), x < y, "less {a:08x} {b:08x}");
    assert_eq!(equal(a, b), x == y, "equal {a:08x} {b:08x}");
    assert_eq!(round_to_integer(a, Rounding::Floor), canonical(x.floor()), "floor {a:08x}");
    assert_eq!(round_to_integer(a, Rounding::Ceiling), canonical(x.ceil()), "ceil {a:08x}");
    assert_eq!(
        round_to_integer(a, Rounding::NearestEven),
        canonical(x.round_ties_even()),
        "round {a:08x}"
    );
    if let Some(whole) = to_integer(a) {
        assert_eq!(whole, x as i64, "to_integer {a:08x}");
    } else {
        assert!(!x.is_finite() || x.abs() >= 9.2e18, "to_integer {a:08x}");
    }
    let integer = (i64::from(a) << 32 | i64::from(b)) >> (c % 64);
    assert_eq!(from_integer(integer), canonical(integer as f32), "from_integer {integer}");
}

#[test]
fn every_operation_equals_the_float_unit_on_edge_values() {
    for a in EDGES {
        for b in EDGES {
            for c in EDGES {
                check(a, b, c);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_operation_equals_the_float_unit(a in pattern(), b in pattern(), c in pattern()) {
        check(a, b, c);
    }

    #[test]
    fn fused_multiply_add_rounds_constructed_ties_to_even(
        x in 1u32..1 << 12, y in 1u32..1 << 12, shift in 0u32..40, sign in any::<bool>()
    ) {
        // A short product against an addend whose last place is about twice the product.
        let product = f32::from_bits(from_integer(i64::from(x)));
        let factor = f32::from_bits(from_integer(i64::from(y)));
        let addend = f32::from_bits(((127 + shift) << 23) | u32::from(sign) << 31 | (x & 1));
        check(product.to_bits(), factor.to_bits(), addend.to_bits());
    }

    #[test]
    fn remainder_equals_the_hosts(a in pattern(), b in pattern()) {
        let expected = f32::from_bits(a) % f32::from_bits(b);
        prop_assert_eq!(store(remainder(a, b)), store(expected.to_bits()));
    }

    #[test]
    fn remainder_in_few_steps_equals_one_step_for_each_power_of_two(a in pattern(), b in pattern()) {
        prop_assert_eq!(remainder(a, b), remainder_step_by_step(a, b));
    }

    #[test]
    fn store_rule_leaves_no_negative_zero_subnormal_or_foreign_nan(bits in pattern()) {
        let stored = store(bits);
        prop_assert_eq!(store(stored), stored);
        prop_assert!(stored != SIGN && (!is_nan(stored) || stored == NAN));
        prop_assert!(stored == 0 || stored & MAGNITUDE >= STORE_MIN);
    }
}
