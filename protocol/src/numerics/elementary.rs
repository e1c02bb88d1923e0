//! Elementary functions as fixed sequences of correctly rounded primitives.
//!
//! Each is written once, over [`Arithmetic`], and instantiated by the law (integer arithmetic) and
//! by every engine (float units, vectors). The sequences are *contraction-proof*: no rounded
//! product is ever an operand of an addition, so a compiler that contracts still gives the same
//! bits. They are branch-free, so that a plain loop over them becomes vector code.
//!
//! The polynomials are our own fits (weighted least squares with Lawson's reweighting at Chebyshev
//! points, coefficients rounded from the lowest order up, each time refitting the rest).

use super::arithmetic::Arithmetic;
use super::soft::{INFINITY, NAN};

const ONE: u32 = 0x3F80_0000;
const TWO: u32 = 0x4000_0000;
const SIGN: u32 = 0x8000_0000;
const MAGNITUDE: u32 = 0x7FFF_FFFF;

/// 1.5 × 2^23: adding it leaves the nearest integer in the low bits.
const ROUNDER: u32 = 0x4B40_0000;
const LOG2_E: u32 = 0x3FB8_AA3B;
/// ln 2 in two parts; the upper has 12 trailing zero bits, so that a small integer times it is exact.
const LN2_HIGH: u32 = 0x3F31_7000;
const LN2_LOW: u32 = 0x3805_FDF4;
/// Largest argument whose exponential is finite: 88.72283.
const EXP_MAX: u32 = 0x42B1_7217;
/// ln 2^-40 = −27.725887: below it the exponential is +0.
const EXP_MIN: u32 = 0xC1DD_CE9E;

/// (e^r − 1 − r) / r² on |r| ≤ ln 2 / 2.
const EXP: [u32; 6] =
    [0x3F00_0000, 0x3E2A_AAAA, 0x3D2A_AA73, 0x3C08_8982, 0x3AB6_A7AD, 0x394F_0A41];
/// (ln(1+f) − f + f²/2) / f³ on [√½ − 1, √2 − 1].
const LOG: [u32; 9] = [
    0x3EAA_AAA4,
    0xBE80_0003,
    0x3E4C_D23C,
    0xBE2A_AE27,
    0x3E11_9DBC,
    0xBDFE_1356,
    0x3DF3_601F,
    0xBDEF_0802,
    0x3D8A_4274,
];
/// (tanh(x)/x − 1) / s for s = x² ≤ 0.4.
const TANH: [u32; 6] =
    [0xBEAA_AAAA, 0x3E08_883A, 0xBD5C_F7D6, 0x3CB1_C606, 0xBC05_E82C, 0x3B0B_F698];
/// erf(x)/x − 1 for s = x² ≤ 1.
const ERF: [u32; 7] =
    [0x3E03_75D4, 0xBEC0_939F, 0x3DE7_1673, 0xBCDB_FB8D, 0x3BA9_F912, 0xBA51_A8AF, 0x38A3_B8FE];
/// ln erfc(a) for 1 ≤ a ≤ 4.
const ERFC: [u32; 8] = [
    0x3945_A0B2,
    0xBF90_9617,
    0xBF22_1A74,
    0xBDDE_0CA3,
    0x3CCE_86C5,
    0xBB89_CE3C,
    0x39E7_7CEB,
    0xB7B6_103F,
];

/// (sin(x)/x − 1) / s for s = x² ≤ (π/4)².
const SINE: [u32; 4] = [0xBE2A_AAAB, 0x3C08_88BA, 0xB950_2C72, 0x363D_F8D6];
/// (cos(x) − 1 + s/2) / s² for s = x² ≤ (π/4)².
const COSINE: [u32; 3] = [0x3D2A_AAA5, 0xBAB6_060E, 0x37CC_F0EC];
/// (atan(x)/x − 1) / s for s = x² ≤ 1.
const ARC_TANGENT: [u32; 9] = [
    0xBEAA_AAA0,
    0x3E4C_C935,
    0xBE12_133D,
    0x3DE0_66C6,
    0xBDAC_6733,
    0x3D6E_700C,
    0xBD00_C116,
    0x3C35_1839,
    0xBAEF_2C17,
];
/// 2 / π, and π / 2 in three parts.
const TWO_OVER_PI: u32 = 0x3F22_F983;
const HALF_PI: [u32; 3] = [0x3FC9_0FDB, 0xB33B_BD2E, 0xA6F7_2CED];
/// 2^20: from here on the reduction to one eighth of a turn would lose too much.
const CIRCLE_MAX: u32 = 0x4980_0000;

#[inline(always)]
fn select<A: Arithmetic>(condition: bool, yes: A, no: A) -> A {
    A::from_bits(if condition { yes.to_bits() } else { no.to_bits() })
}

#[inline(always)]
fn is_nan(bits: u32) -> bool {
    bits & MAGNITUDE > INFINITY
}

#[inline(always)]
fn magnitude<A: Arithmetic>(x: A) -> A {
    A::from_bits(x.to_bits() & MAGNITUDE)
}

#[inline(always)]
fn negate<A: Arithmetic>(x: A) -> A {
    A::from_bits(x.to_bits() ^ SIGN)
}

#[inline(always)]
fn with_sign_of<A: Arithmetic>(x: A, sign: A) -> A {
    A::from_bits(x.to_bits() | (sign.to_bits() & SIGN))
}

/// Horner's rule, highest coefficient first, each step one fused multiply-add.
#[inline(always)]
fn polynomial<A: Arithmetic, const N: usize>(coefficients: &[u32; N], x: A) -> A {
    let mut value = A::from_bits(coefficients[N - 1]);
    for index in (0..N - 1).rev() {
        value = value.fma(x, A::from_bits(coefficients[index]));
    }
    value
}

/// e^x. +0 below ln 2^-40, +∞ above 88.72283.
///
/// ```
/// use protocol::numerics::{Arithmetic as _, SoftFloat, elementary};
///
/// let zero = SoftFloat::from_bits(0);
/// assert_eq!(elementary::exp(zero).to_bits(), 1f32.to_bits());
/// ```
#[inline(always)]
pub fn exp<A: Arithmetic>(x: A) -> A {
    let one = A::from_bits(ONE);
    let shifted = x.fma(A::from_bits(LOG2_E), A::from_bits(ROUNDER));
    let whole = shifted.sub(A::from_bits(ROUNDER));
    let rest = negate(whole).fma(A::from_bits(LN2_HIGH), x);
    let rest = negate(whole).fma(A::from_bits(LN2_LOW), rest);
    let tail = polynomial(&EXP, rest).fma(rest, one).fma(rest, one);
    let power = shifted.to_bits().wrapping_sub(ROUNDER);
    let scaled = A::from_bits(tail.to_bits().wrapping_add(power << 23));
    let scaled = select(A::from_bits(EXP_MAX).less(x), A::from_bits(INFINITY), scaled);
    let scaled = select(x.less(A::from_bits(EXP_MIN)), A::from_bits(0), scaled);
    select(is_nan(x.to_bits()), A::from_bits(NAN), scaled)
}

/// Natural logarithm of a stored value: −∞ at zero, NaN below.
#[inline(always)]
pub fn log<A: Arithmetic>(x: A) -> A {
    let bits = x.to_bits();
    // Split x = m · 2^e with m in [√½, √2).
    let exponent = (bits.wrapping_sub(0x3F35_04F3) as i32) >> 23;
    let fraction = A::from_bits(bits.wrapping_sub((exponent as u32) << 23));
    let f = fraction.sub(A::from_bits(ONE));
    let square = f.mul(f);
    let inner = polynomial(&LOG, f).fma(f, A::from_bits(0xBF00_0000));
    // The exponent as a float: integer bits under the rounder, exact for |e| < 2^22.
    let scale = A::from_bits((exponent as u32).wrapping_add(ROUNDER)).sub(A::from_bits(ROUNDER));
    let value = scale.fma(A::from_bits(LN2_LOW), square_sum(square, inner, f));
    let value = scale.fma(A::from_bits(LN2_HIGH), value);
    let value = select(bits == INFINITY, A::from_bits(INFINITY), value);
    let value = select(bits & MAGNITUDE == 0, A::from_bits(INFINITY | SIGN), value);
    let negative = bits & SIGN != 0 && bits & MAGNITUDE != 0;
    select(negative || is_nan(bits), A::from_bits(NAN), value)
}

/// `square × inner + f`.
#[inline(always)]
fn square_sum<A: Arithmetic>(square: A, inner: A, f: A) -> A {
    square.fma(inner, f)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<A: Arithmetic>(x: A) -> A {
    let one = A::from_bits(ONE);
    let a = magnitude(x);
    let square = a.mul(a);
    let small = polynomial(&TANH, square).mul(square).fma(a, a);
    let large = one.sub(A::from_bits(TWO).div(exp(a.add(a)).add(one)));
    let value = select(a.less(A::from_bits(0x3F20_0000)), small, large);
    select(is_nan(x.to_bits()), A::from_bits(NAN), with_sign_of(value, x))
}

/// Whether sine and cosine have no result: a finite or infinite magnitude of 2^20 or more.
#[inline(always)]
pub const fn is_beyond_circle(bits: u32) -> bool {
    let magnitude = bits & MAGNITUDE;
    magnitude >= CIRCLE_MAX && magnitude <= INFINITY
}

/// Sine and cosine of the rest after a whole number of quarter turns, and that number.
///
/// The rest is x − q·π/2 in three fused steps (Cody and Waite, "Software Manual for the Elementary
/// Functions", 1980); the first is exact.
#[inline(always)]
fn quarter_turns<A: Arithmetic>(x: A) -> (A, A, u32) {
    let shifted = x.fma(A::from_bits(TWO_OVER_PI), A::from_bits(ROUNDER));
    let quarters = negate(shifted.sub(A::from_bits(ROUNDER)));
    let rest = quarters.fma(A::from_bits(HALF_PI[0]), x);
    let rest = quarters.fma(A::from_bits(HALF_PI[1]), rest);
    let rest = quarters.fma(A::from_bits(HALF_PI[2]), rest);
    let square = rest.mul(rest);
    let sine = polynomial(&SINE, square).mul(square).fma(rest, rest);
    let half = A::from_bits(0xBF00_0000);
    let cosine = polynomial(&COSINE, square).fma(square, half).fma(square, A::from_bits(ONE));
    (sine, cosine, shifted.to_bits().wrapping_sub(ROUNDER))
}

/// The sine of a magnitude under 2^20.
#[inline(always)]
pub fn sin<A: Arithmetic>(x: A) -> A {
    let (sine, cosine, turn) = quarter_turns(x);
    let value = select(turn & 1 != 0, cosine, sine);
    let value = select(turn & 2 != 0, negate(value), value);
    select(is_nan(x.to_bits()), A::from_bits(NAN), value)
}

/// The cosine of a magnitude under 2^20.
#[inline(always)]
pub fn cos<A: Arithmetic>(x: A) -> A {
    let (sine, cosine, turn) = quarter_turns(x);
    let value = select(turn & 1 != 0, sine, cosine);
    let value = select(turn.wrapping_add(1) & 2 != 0, negate(value), value);
    select(is_nan(x.to_bits()), A::from_bits(NAN), value)
}

/// The arc tangent: of 1/x, from a quarter turn down, where |x| > 1.
#[inline(always)]
pub fn atan<A: Arithmetic>(x: A) -> A {
    let one = A::from_bits(ONE);
    let a = magnitude(x);
    let large = one.less(a);
    let reduced = select(large, one.div(a), a);
    let square = reduced.mul(reduced);
    let small = polynomial(&ARC_TANGENT, square).mul(square).fma(reduced, reduced);
    let value = select(large, A::from_bits(HALF_PI[0]).sub(small), small);
    select(is_nan(x.to_bits()), A::from_bits(NAN), with_sign_of(value, x))
}

/// The error function.
#[inline(always)]
pub fn erf<A: Arithmetic>(x: A) -> A {
    let one = A::from_bits(ONE);
    let a = magnitude(x);
    let square = a.mul(a);
    let small = polynomial(&ERF, square).fma(a, a);
    // From 3.92 on, erf rounds to one; below, 1 − e^(ln erfc).
    let bounded = select(a.less(A::from_bits(0x407A_E148)), a, A::from_bits(0x407A_E148));
    let large = one.sub(exp(polynomial(&ERFC, bounded)));
    let value = select(a.less(one), small, large);
    select(is_nan(x.to_bits()), A::from_bits(NAN), with_sign_of(value, x))
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub fn sigmoid<A: Arithmetic>(x: A) -> A {
    let one = A::from_bits(ONE);
    one.div(one.add(exp(negate(x))))
}

/// x^y as e^(y · ln |x|) with the sign and the exact cases of IEEE-754 `pow`.
#[inline(always)]
pub fn pow<A: Arithmetic>(x: A, y: A) -> A {
    let (base, exponent) = (x.to_bits(), y.to_bits());
    let one = A::from_bits(ONE);
    let value = exp(log(magnitude(x)).mul(y));
    let (whole, odd) = integer_parity(exponent);
    let negative_base = base & SIGN != 0 && base & MAGNITUDE != 0;
    let signed = A::from_bits(value.to_bits() ^ if negative_base && odd { SIGN } else { 0 });
    let value = select(negative_base && !whole, A::from_bits(NAN), signed);
    let value = select(exponent == ONE, x, value);
    let value = select(is_nan(base) || is_nan(exponent), A::from_bits(NAN), value);
    select(exponent & MAGNITUDE == 0 || base == ONE, one, value)
}

/// Whether a number is an integer, and an odd one.
#[inline(always)]
fn integer_parity(bits: u32) -> (bool, bool) {
    let magnitude = bits & MAGNITUDE;
    let exponent = magnitude >> 23;
    // Bits of the significand that stand for fractions: 24 or more below 1, none from 2^23 on.
    let fraction_bits = 150u32.saturating_sub(exponent).min(31);
    let significand = (magnitude & 0x007F_FFFF) | 0x0080_0000;
    let whole = magnitude == 0 || significand & ((1u32 << fraction_bits) - 1) == 0;
    let odd = whole && (127..=150).contains(&exponent) && (significand >> fraction_bits) & 1 == 1;
    (whole, odd)
}

#[cfg(test)]
mod tests {
    use super::super::soft::SoftFloat;
    use super::*;

    #[test]
    fn known_values_are_exact() {
        let soft = |value: f32| SoftFloat(value.to_bits());
        let cases: [(SoftFloat, f32); 12] = [
            (exp(soft(0.0)), 1.0),
            (exp(soft(f32::NEG_INFINITY)), 0.0),
            (exp(soft(100.0)), f32::INFINITY),
            (log(soft(1.0)), 0.0),
            (log(soft(0.0)), f32::NEG_INFINITY),
            (tanh(soft(20.0)), 1.0),
            (tanh(soft(-20.0)), -1.0),
            (erf(soft(5.0)), 1.0),
            (sigmoid(soft(0.0)), 0.5),
            (pow(soft(2.0), soft(0.0)), 1.0),
            (pow(soft(-3.0), soft(1.0)), -3.0),
            (pow(soft(0.0), soft(2.0)), 0.0),
        ];
        for (index, (found, expected)) in cases.into_iter().enumerate() {
            assert_eq!(found.0, expected.to_bits(), "case {index}");
        }
        assert_eq!(log(soft(-1.0)).0, NAN);
        assert_eq!(pow(soft(-2.0), soft(0.5)).0, NAN);
        let nan = SoftFloat(0xFFC0_0001);
        for found in [exp(nan), log(nan), tanh(nan), erf(nan), sigmoid(nan)] {
            assert_eq!(found.0, NAN);
        }
    }

    #[test]
    fn errors_stay_within_a_few_units_in_the_last_place() {
        // f64 functions of the host serve as the reference here; the full scan over all patterns
        // is the example `elementary_scan` of the inference crate.
        type Pair = (fn(SoftFloat) -> SoftFloat, fn(f64) -> f64, f64);
        let functions: [Pair; 4] = [
            (exp, f64::exp, 1.0),
            (log, f64::ln, 2.0),
            (tanh, f64::tanh, 1.5),
            (atan, f64::atan, 2.0),
        ];
        for (index, (ours, reference, bound)) in functions.into_iter().enumerate() {
            for step in 1..4000u32 {
                let x = f64::from(step) * 0.005 + 1e-4;
                let input = SoftFloat((x as f32).to_bits());
                let exact = reference(f64::from(x as f32));
                let found = f64::from(f32::from_bits(ours(input).0));
                let unit = f64::from(f32::from_bits((exact as f32).to_bits() + 1))
                    - f64::from(exact as f32);
                assert!((found - exact).abs() <= bound * unit.abs(), "{index}: {x}");
            }
        }
    }

    #[test]
    fn sine_and_cosine_stay_within_a_unit_of_their_largest_value() {
        for step in 0..8000u32 {
            let x = (f64::from(step) * 0.0137 - 50.0) * if step % 7 == 0 { 900.0 } else { 1.0 };
            let input = SoftFloat((x as f32).to_bits());
            let x = f64::from(x as f32);
            for (ours, exact) in [(sin(input), x.sin()), (cos(input), x.cos())] {
                let found = f64::from(f32::from_bits(ours.0));
                assert!(
                    (found - exact).abs() <= 1.2e-7 * exact.abs() + 1e-10,
                    "{x}: {found} {exact}"
                );
            }
        }
    }
}
