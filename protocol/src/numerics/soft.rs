//! IEEE-754 binary32 in integer arithmetic: round to nearest even, one NaN.
//!
//! A finite number is unpacked to `significand × 2^exponent`, the exact result of the operation is
//! formed (or truncated with a sticky bit far below the last place), and `round` packs it. Every
//! operation returns the one canonical NaN `0x7FC0_0000`.

use super::elementary::Arithmetic;

/// The only NaN.
pub const NAN: u32 = 0x7FC0_0000;
/// Positive infinity.
pub const INFINITY: u32 = 0x7F80_0000;
/// 2^-40: magnitudes below it are stored as +0.
pub const STORE_MIN: u32 = 0x2B80_0000;

const SIGN: u32 = 0x8000_0000;
const MAGNITUDE: u32 = 0x7FFF_FFFF;

/// Store rule Q: NaN becomes the one NaN, a magnitude under 2^-40 (−0 included) becomes +0.
pub const fn store(bits: u32) -> u32 {
    let magnitude = bits & MAGNITUDE;
    if magnitude > INFINITY {
        NAN
    } else if magnitude < STORE_MIN {
        0
    } else {
        bits
    }
}

/// Whether the pattern is a NaN of any kind.
pub const fn is_nan(bits: u32) -> bool {
    bits & MAGNITUDE > INFINITY
}

const fn is_infinite(bits: u32) -> bool {
    bits & MAGNITUDE == INFINITY
}

const fn is_zero(bits: u32) -> bool {
    bits & MAGNITUDE == 0
}

/// Significand and exponent of a finite number: its magnitude is `significand × 2^exponent`.
const fn unpack(bits: u32) -> (u128, i32) {
    let exponent = ((bits >> 23) & 0xFF) as i32;
    let fraction = (bits & 0x007F_FFFF) as u128;
    if exponent == 0 { (fraction, -149) } else { (fraction | 0x0080_0000, exponent - 150) }
}

/// Rounds `significand × 2^exponent` to the nearest binary32, ties to even.
///
/// A sticky bit may be folded into bit 0 of the significand when at least 26 bits stand above it.
const fn round(negative: bool, significand: u128, exponent: i32) -> u32 {
    let sign = if negative { SIGN } else { 0 };
    if significand == 0 {
        return sign;
    }
    let bits = 128 - significand.leading_zeros() as i32;
    let lowest = exponent + bits - 24;
    let mut quantum = if lowest < -149 { -149 } else { lowest };
    let shift = quantum - exponent;
    let mut rounded = if shift <= 0 {
        significand << -shift
    } else if shift > 127 {
        0
    } else {
        let kept = significand >> shift;
        let rest = significand & ((1 << shift) - 1);
        let half = 1 << (shift - 1);
        if rest > half || (rest == half && kept & 1 == 1) { kept + 1 } else { kept }
    };
    if rounded == 1 << 24 {
        rounded >>= 1;
        quantum += 1;
    }
    if rounded < 1 << 23 {
        return sign | rounded as u32;
    }
    if quantum + 150 >= 255 {
        return sign | INFINITY;
    }
    sign | (((quantum + 150) as u32) << 23) | (rounded as u32 & 0x007F_FFFF)
}

/// `a × b`.
pub const fn mul(a: u32, b: u32) -> u32 {
    let negative = (a ^ b) & SIGN != 0;
    if is_nan(a) || is_nan(b) {
        return NAN;
    }
    if is_infinite(a) || is_infinite(b) {
        return if is_zero(a) || is_zero(b) {
            NAN
        } else {
            INFINITY | if negative { SIGN } else { 0 }
        };
    }
    let (left, left_exponent) = unpack(a);
    let (right, right_exponent) = unpack(b);
    round(negative, left * right, left_exponent + right_exponent)
}

/// `a × b + c`, rounded once.
pub const fn fma(a: u32, b: u32, c: u32) -> u32 {
    let product_negative = (a ^ b) & SIGN != 0;
    let addend_negative = c & SIGN != 0;
    if is_nan(a) || is_nan(b) || is_nan(c) {
        return NAN;
    }
    if is_infinite(a) || is_infinite(b) {
        if is_zero(a) || is_zero(b) || (is_infinite(c) && product_negative != addend_negative) {
            return NAN;
        }
        return INFINITY | if product_negative { SIGN } else { 0 };
    }
    if is_infinite(c) {
        return c;
    }
    let (left, left_exponent) = unpack(a);
    let (right, right_exponent) = unpack(b);
    let (addend, addend_exponent) = unpack(c);
    let product = left * right;
    let product_exponent = left_exponent + right_exponent;
    if product == 0 || addend == 0 {
        return if product != 0 {
            round(product_negative, product, product_exponent)
        } else if addend != 0 {
            c
        } else if product_negative && addend_negative {
            SIGN
        } else {
            0
        };
    }
    // `upper` has the larger exponent; bring both to one exponent, with a sticky bit if far apart.
    let product_is_upper = product_exponent >= addend_exponent;
    let (upper, lower, distance, exponent) = if product_is_upper {
        (product, addend, product_exponent - addend_exponent, addend_exponent)
    } else {
        (addend, product, addend_exponent - product_exponent, product_exponent)
    };
    let (upper, lower, exponent) = if distance <= 72 {
        (upper << distance, lower, exponent)
    } else {
        let dropped = distance - 72;
        let kept = if dropped > 127 { 0 } else { lower >> dropped };
        // One guard place keeps "a little more than" apart from "exactly".
        ((upper << 72) << 1, (kept << 1) | 1, exponent + dropped - 1)
    };
    let (product, addend) = if product_is_upper { (upper, lower) } else { (lower, upper) };
    if product_negative == addend_negative {
        round(product_negative, product + addend, exponent)
    } else if product > addend {
        round(product_negative, product - addend, exponent)
    } else if addend > product {
        round(addend_negative, addend - product, exponent)
    } else {
        0
    }
}

/// `a + b`.
pub const fn add(a: u32, b: u32) -> u32 {
    fma(a, 0x3F80_0000, b)
}

/// `a − b`.
pub const fn sub(a: u32, b: u32) -> u32 {
    if is_nan(b) { NAN } else { add(a, b ^ SIGN) }
}

/// `a ÷ b`.
pub const fn div(a: u32, b: u32) -> u32 {
    let negative = (a ^ b) & SIGN != 0;
    let sign = if negative { SIGN } else { 0 };
    if is_nan(a) || is_nan(b) || (is_infinite(a) && is_infinite(b)) || (is_zero(a) && is_zero(b)) {
        return NAN;
    }
    if is_infinite(a) || is_zero(b) {
        return sign | INFINITY;
    }
    if is_infinite(b) || is_zero(a) {
        return sign;
    }
    let (left, left_exponent) = unpack(a);
    let (right, right_exponent) = unpack(b);
    let numerator = left << 64;
    let quotient = numerator / right;
    let sticky = if numerator % right != 0 { 1 } else { 0 };
    round(negative, (quotient << 1) | sticky, left_exponent - right_exponent - 65)
}

/// What is left of `a ÷ b` when the quotient is rounded towards zero: exact, with the sign of `a`.
pub const fn remainder(a: u32, b: u32) -> u32 {
    if is_nan(a) || is_nan(b) || is_infinite(a) || is_zero(b) {
        return NAN;
    }
    if is_infinite(b) || is_zero(a) {
        return a;
    }
    let (left, left_exponent) = unpack(a);
    let (right, right_exponent) = unpack(b);
    let negative = a & SIGN != 0;
    let apart = left_exponent - right_exponent;
    if apart < -64 {
        return a;
    }
    if apart < 0 {
        return round(negative, left % (right << -apart), left_exponent);
    }
    let (mut rest, mut step) = (left % right, 0);
    while step < apart {
        rest = rest * 2 % right;
        step += 1;
    }
    round(negative, rest, right_exponent)
}

/// `√a`.
pub const fn sqrt(a: u32) -> u32 {
    if is_nan(a) {
        return NAN;
    }
    if is_zero(a) {
        return a;
    }
    if a & SIGN != 0 {
        return NAN;
    }
    if is_infinite(a) {
        return a;
    }
    let (significand, exponent) = unpack(a);
    let (radicand, exponent) = if exponent & 1 == 0 {
        (significand << 64, exponent - 64)
    } else {
        (significand << 65, exponent - 65)
    };
    let root = radicand.isqrt();
    let sticky = if root * root != radicand { 1 } else { 0 };
    round(false, (root << 1) | sticky, exponent / 2 - 1)
}

/// Order of two numbers that are not NaN; −0 equals +0.
const fn ordered(bits: u32) -> i32 {
    let magnitude = (bits & MAGNITUDE) as i32;
    if bits & SIGN != 0 { -magnitude } else { magnitude }
}

/// `a < b`; false when either is NaN.
pub const fn less(a: u32, b: u32) -> bool {
    !is_nan(a) && !is_nan(b) && ordered(a) < ordered(b)
}

/// `a = b`; false when either is NaN.
pub const fn equal(a: u32, b: u32) -> bool {
    !is_nan(a) && !is_nan(b) && ordered(a) == ordered(b)
}

/// The larger number; NaN if either is NaN.
pub const fn max(a: u32, b: u32) -> u32 {
    if is_nan(a) || is_nan(b) {
        NAN
    } else if less(a, b) {
        b
    } else {
        a
    }
}

/// The smaller number; NaN if either is NaN.
pub const fn min(a: u32, b: u32) -> u32 {
    if is_nan(a) || is_nan(b) {
        NAN
    } else if less(b, a) {
        b
    } else {
        a
    }
}

/// The nearest binary32 to an integer.
pub const fn from_integer(value: i64) -> u32 {
    round(value < 0, value.unsigned_abs() as u128, 0)
}

/// The integer towards zero; `None` for NaN, infinities and what an `i64` cannot hold.
pub const fn to_integer(bits: u32) -> Option<i64> {
    if bits & MAGNITUDE >= INFINITY {
        return None;
    }
    let (significand, exponent) = unpack(bits);
    let magnitude = if exponent >= 0 {
        if exponent > 64 {
            return None;
        }
        significand << exponent
    } else if exponent < -127 {
        0
    } else {
        significand >> -exponent
    };
    if bits & SIGN != 0 {
        if magnitude > 1 << 63 { None } else { Some((-(magnitude as i128)) as i64) }
    } else if magnitude >= 1 << 63 {
        None
    } else {
        Some(magnitude as i64)
    }
}

/// How a number is brought to an integer value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards −∞.
    Floor,
    /// Towards +∞.
    Ceiling,
    /// To the nearest, ties to even.
    NearestEven,
}

/// Rounds to an integer value, as a binary32.
pub const fn round_to_integer(bits: u32, rounding: Rounding) -> u32 {
    if is_nan(bits) {
        return NAN;
    }
    let (significand, exponent) = unpack(bits);
    if is_infinite(bits) || exponent >= 0 {
        return bits;
    }
    let negative = bits & SIGN != 0;
    let (whole, rest, half) = if exponent <= -127 {
        (0, if significand == 0 { 0 } else { 1 }, 2)
    } else {
        let mask = (1u128 << -exponent) - 1;
        (significand >> -exponent, significand & mask, 1u128 << (-exponent - 1))
    };
    let up = match rounding {
        Rounding::Floor => negative && rest != 0,
        Rounding::Ceiling => !negative && rest != 0,
        Rounding::NearestEven => rest > half || (rest == half && whole & 1 == 1),
    };
    round(negative, if up { whole + 1 } else { whole }, 0)
}

/// A binary32 computed in integers: the law's instance of [`Arithmetic`].
///
/// ```
/// use protocol::numerics::{Arithmetic as _, SoftFloat};
///
/// let [one, three] = [1f32, 3.0].map(|value| SoftFloat::from_bits(value.to_bits()));
/// // The same bits as a float unit gives, without one.
/// assert_eq!(one.div(three).to_bits(), (1f32 / 3.0).to_bits());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftFloat(pub u32);

impl Arithmetic for SoftFloat {
    fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
    fn to_bits(self) -> u32 {
        self.0
    }
    fn add(self, other: Self) -> Self {
        Self(add(self.0, other.0))
    }
    fn sub(self, other: Self) -> Self {
        Self(sub(self.0, other.0))
    }
    fn mul(self, other: Self) -> Self {
        Self(mul(self.0, other.0))
    }
    fn div(self, other: Self) -> Self {
        Self(div(self.0, other.0))
    }
    fn fma(self, factor: Self, addend: Self) -> Self {
        Self(fma(self.0, factor.0, addend.0))
    }
    fn less(self, other: Self) -> bool {
        less(self.0, other.0)
    }
}

#[cfg(test)]
mod tests {
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
        fn store_rule_leaves_no_negative_zero_subnormal_or_foreign_nan(bits in pattern()) {
            let stored = store(bits);
            prop_assert_eq!(store(stored), stored);
            prop_assert!(stored != SIGN && (!is_nan(stored) || stored == NAN));
            prop_assert!(stored == 0 || stored & MAGNITUDE >= STORE_MIN);
        }
    }
}
