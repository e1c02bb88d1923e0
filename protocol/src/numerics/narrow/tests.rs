//! Every float of 16 bits, and the neighbours of numbers that are rounded to one.

use super::*;
use crate::numerics::store;
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
