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
mod tests;
