//! IEEE-754 binary32 in integer arithmetic: round to nearest even, one NaN.
//!
//! A finite number is unpacked to `significand × 2^exponent`, the exact result of the operation is
//! formed (or truncated with a sticky bit far below the last place), and `round` packs it. Every
//! operation returns the one canonical NaN `0x7FC0_0000`.

use super::arithmetic::Arithmetic;

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
    let rest = (left % right) * power_of_two(apart as u32, right) % right;
    round(negative, rest, right_exponent)
}

/// What is left of 2^`power` when it is divided by a significand, in as many steps as the power has bits.
const fn power_of_two(power: u32, divisor: u128) -> u128 {
    let (mut rest, mut base, mut left) = (1 % divisor, 2 % divisor, power);
    while left > 0 {
        if left & 1 == 1 {
            rest = rest * base % divisor;
        }
        base = base * base % divisor;
        left >>= 1;
    }
    rest
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
mod tests;
