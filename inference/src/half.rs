//! 16-bit floats of files: they widen to binary32 exactly, and everything is computed in that.

/// The binary32 number that equals a 16-bit float (IEEE-754 binary16, by its bits).
pub(crate) fn widen(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let (exponent, fraction) = (u32::from(half >> 10) & 0x1F, u32::from(half & 0x3FF));
    match exponent {
        // A multiple of 2^-24 below 2^-14: a product of two binary32 numbers without rounding.
        0 => f32::from_bits((fraction as f32 / 16_777_216.0).to_bits() | sign),
        0x1F => f32::from_bits(sign | 0x7F80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

#[cfg(test)]
mod tests {
    use super::widen;

    #[test]
    fn every_16_bit_float_widens_to_the_number_that_its_bits_say() {
        for half in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(half >> 10) & 0x1F, f64::from(half & 0x3FF));
            let sign = if half >> 15 == 0 { 1.0 } else { -1.0 };
            let expected = match exponent {
                0 => sign * fraction * 2f64.powi(-24),
                0x1F if fraction == 0.0 => sign * f64::INFINITY,
                0x1F => f64::NAN,
                _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
            };
            let found = f64::from(widen(half));
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{half:#06x}");
            assert!(found.is_nan() || found.is_sign_negative() == (half >> 15 == 1), "{half:#06x}");
        }
    }
}
