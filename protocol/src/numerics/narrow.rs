//! Floats of 16 bits: binary16 and the upper half of a binary32. They are stored only; what computes with
//! them widens them first, which is exact.

use super::soft::{INFINITY, STORE_MIN};

const SIGN: u32 = 0x8000_0000;
const MAGNITUDE: u32 = 0x7FFF_FFFF;

/// The NaN of binary16.
pub const F16_NAN: u16 = 0x7E00;
/// The NaN of the upper half of a binary32.
pub const BF16_NAN: u16 = 0x7FC0;

/// The binary32 whose upper half these bits are.
pub const fn widen_bf16(bits: u16) -> u32 {
    (bits as u32) << 16
}

/// The binary32 that equals a binary16. The bits of a NaN are kept.
///
/// ```
/// use protocol::numerics::widen_f16;
///
/// assert_eq!(widen_f16(0x3C00), 1f32.to_bits());
/// assert_eq!(widen_f16(0x0001), (1f32 / 16_777_216.0).to_bits());
/// ```
pub const fn widen_f16(bits: u16) -> u32 {
    let sign = ((bits >> 15) as u32) << 31;
    let (exponent, fraction) = ((bits >> 10) as u32 & 0x1F, bits as u32 & 0x3FF);
    if exponent == 0x1F {
        return sign | INFINITY | (fraction << 13);
    }
    if exponent > 0 {
        return sign | ((exponent + 112) << 23) | (fraction << 13);
    }
    if fraction == 0 {
        return sign;
    }
    // A multiple of 2^-24 below 2^-14: normal in binary32, once its first bit stands before the point.
    let shift = fraction.leading_zeros() - 21;
    sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3FF) << 13)
}

/// The nearest upper half of a binary32, ties to even, under rule Q.
pub const fn narrow_bf16(bits: u32) -> u16 {
    if bits & MAGNITUDE > INFINITY {
        return BF16_NAN;
    }
    // Ties to even: half of a unit, less one where the kept part is even. A carry moves into the exponent.
    let kept = bits >> 16;
    let rounded = (bits + 0x7FFF + (kept & 1)) >> 16;
    stored_bf16(rounded as u16)
}

/// The nearest binary16, ties to even, under rule Q.
pub const fn narrow_f16(bits: u32) -> u16 {
    let magnitude = bits & MAGNITUDE;
    if magnitude > INFINITY {
        return F16_NAN;
    }
    let sign = ((bits & SIGN) >> 16) as u16;
    // From 65,520 on, half a unit over the largest number, it is infinite.
    if magnitude >= 0x477F_F000 {
        return sign | 0x7C00;
    }
    let exponent = (magnitude >> 23) as i32 - 127;
    // Units of 2^-24 under 2^-14, of 2^(exponent − 10) above it.
    let significand = (magnitude & 0x007F_FFFF) | 0x0080_0000;
    let dropped = if exponent < -14 { -1 - exponent } else { 13 };
    if dropped > 24 {
        return 0;
    }
    let (kept, rest) = (significand >> dropped, significand & ((1 << dropped) - 1));
    let half = 1u32 << (dropped - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    let kept = if up { kept + 1 } else { kept };
    // The first bit of a number that is not subnormal counts one into the exponent, and so does a carry.
    let base = if exponent < -14 { 0 } else { ((exponent + 14) as u32) << 10 };
    stored_f16(sign | (base + kept) as u16)
}

/// Rule Q over the upper half of a binary32.
pub const fn stored_bf16(bits: u16) -> u16 {
    let magnitude = widen_bf16(bits) & MAGNITUDE;
    if magnitude > INFINITY {
        BF16_NAN
    } else if magnitude < STORE_MIN {
        0
    } else {
        bits
    }
}

/// Rule Q over a binary16, whose smallest number is over 2^-40.
pub const fn stored_f16(bits: u16) -> u16 {
    let magnitude = bits & 0x7FFF;
    if magnitude > 0x7C00 {
        F16_NAN
    } else if magnitude == 0 {
        0
    } else {
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::super::soft::store;
    use super::*;
    use proptest::prelude::*;

    fn f16_as_f64(bits: u16) -> f64 {
        let (exponent, fraction) = (i32::from(bits >> 10) & 0x1F, f64::from(bits & 0x3FF));
        let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
        match exponent {
            0 => sign * fraction * 2f64.powi(-24),
            0x1F if fraction == 0.0 => sign * f64::INFINITY,
            0x1F => f64::NAN,
            _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
        }
    }

    #[test]
    fn every_float_of_16_bits_widens_to_its_number_and_comes_back() {
        for bits in 0..=u16::MAX {
            let (wide, expected) = (f64::from(f32::from_bits(widen_f16(bits))), f16_as_f64(bits));
            assert!(wide == expected || wide.is_nan() && expected.is_nan(), "{bits:#06x}");
            assert!(wide.is_nan() || wide.is_sign_negative() == (bits >> 15 == 1), "{bits:#06x}");
            assert_eq!(narrow_f16(widen_f16(bits)), stored_f16(bits), "{bits:#06x}");
            assert_eq!(narrow_bf16(widen_bf16(bits)), stored_bf16(bits), "{bits:#06x}");
            // Rule Q before or after widening is the same.
            let stored = |narrow: u32| store(narrow);
            assert_eq!(widen_f16(stored_f16(bits)), stored(widen_f16(bits)), "{bits:#06x}");
            assert_eq!(widen_bf16(stored_bf16(bits)), stored(widen_bf16(bits)), "{bits:#06x}");
        }
    }

    /// The nearest of two neighbours, ties to the even one, by exact comparison.
    fn is_nearest(bits: u32, found: u16, widen: fn(u16) -> u32) -> bool {
        let number = |bits: u32| f64::from(f32::from_bits(bits));
        let (exact, own) = (number(bits).abs(), number(widen(found & 0x7FFF)));
        // One beyond the largest number stands for infinity where it rounds.
        let top = |bits: u16| -> f64 {
            let value = number(widen(bits));
            if value.is_infinite() {
                let below = (number(widen(bits - 1)), number(widen(bits - 2)));
                2.0 * below.0 - below.1
            } else {
                value
            }
        };
        let own = if own.is_infinite() { top(found & 0x7FFF) } else { own };
        let distance = (exact - own).abs();
        let magnitude = found & 0x7FFF;
        let closer = |other: u16| {
            let apart = (exact - top(other)).abs();
            apart < distance || (apart == distance && magnitude & 1 == 1)
        };
        let above = !number(widen(magnitude)).is_infinite() && closer(magnitude + 1);
        !(above || magnitude > 0 && closer(magnitude - 1))
    }

    proptest! {
        #[test]
        fn narrowing_takes_the_nearest_and_of_two_the_even(bits: u32, near in 0u32..0x2000) {
            // As they come, and beside the middles between two floats of 16 bits.
            let around = [
                bits,
                (bits & 0xFFFF_0000) | 0x8000,
                (bits & 0xFFFF_0000) + 0x7F00 + (near & 0x1FF),
                (bits & 0xFFFF_E000) + 0xFF0 + (near & 0x1F),
                (0x3300_0000 + (bits % 0x1480_0000)) & 0xFFFF_F000,
                0x477F_E000 + near,
                0x3280_0000 + near,
            ];
            for bits in around {
                if bits & MAGNITUDE >= INFINITY {
                    continue;
                }
                let half = narrow_f16(bits);
                prop_assert!(half == 0 || half >> 15 == (bits >> 31) as u16);
                prop_assert!(is_nearest(bits, half, widen_f16), "{bits:08x} {half:04x}");
                let upper = narrow_bf16(bits);
                let tiny = upper == 0 && bits & MAGNITUDE < STORE_MIN;
                prop_assert!(tiny || is_nearest(bits, upper, widen_bf16), "{bits:08x} {upper:04x}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for (bits, half, upper) in [
            (0x7F80_0000, 0x7C00, 0x7F80),
            (0xFF80_0000, 0xFC00, 0xFF80),
            (0xFFC0_0001, F16_NAN, BF16_NAN),
            (0x7F80_0001, F16_NAN, BF16_NAN),
            (0x7F7F_FFFF, 0x7C00, 0x7F80),
            (0x8000_0000, 0, 0),
            (0x3300_0000, 0, 0x3300),
            (0x3300_0001, 1, 0x3300),
        ] {
            assert_eq!((narrow_f16(bits), narrow_bf16(bits)), (half, upper), "{bits:08x}");
        }
    }
}
