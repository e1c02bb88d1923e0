//! The float unit as an instance of the law's primitives.

use protocol::numerics::Arithmetic;

/// A float whose multiply-add is one instruction. Only [`crate::on_isa`] names it, where a token says that
/// this CPU has the instruction.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fused(f32);

/// A float whose multiply-add needs no instruction beyond binary64 addition and multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Portable(f32);

macro_rules! float_unit {
    ($name:ident, $fma:expr) => {
        impl Arithmetic for $name {
            #[inline(always)]
            fn from_bits(bits: u32) -> Self {
                Self(f32::from_bits(bits))
            }
            #[inline(always)]
            fn to_bits(self) -> u32 {
                self.0.to_bits()
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(self.0 * other.0)
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                Self(self.0 / other.0)
            }
            #[inline(always)]
            fn fma(self, factor: Self, addend: Self) -> Self {
                Self($fma(self.0, factor.0, addend.0))
            }
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self.0 < other.0
            }
        }
    };
}

/// Inlined into code that is compiled for the instruction, it is the instruction. Nothing is inlined without
/// optimisation, where it would be the C library's function, which some platforms round wrongly: there it is
/// computed.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(unoptimised) { through_binary64(a, b, c) } else { a.mul_add(b, c) }
}

/// Correctly rounded `a × b + c` through binary64 and rounding to odd.
///
/// The product is exact in binary64. The sum is rounded to odd, which keeps enough of what lies
/// below to make the last rounding right (Boldo and Melquiond, "Emulation of FMA and correctly
/// rounded sums", IEEE Transactions on Computers 57(4), 2008).
#[inline(always)]
fn through_binary64(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        return a.mul_add(b, c);
    }
    let product = f64::from(a) * f64::from(b);
    let addend = f64::from(c);
    let sum = product + addend;
    // Knuth's exact error of the sum.
    let other = sum - product;
    let error = (product - (sum - other)) + (addend - other);
    let bits = sum.to_bits();
    let inexact = error != 0.0 && sum.is_finite();
    let away = (error > 0.0) == (sum > 0.0);
    let odd = if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    let rounded = if inexact && bits & 1 == 0 { odd } else { bits };
    f64::from_bits(rounded) as f32
}

#[cfg(target_arch = "x86_64")]
float_unit!(Fused, fused);
float_unit!(Portable, through_binary64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::numerics::soft;

    fn canonical(bits: u32) -> u32 {
        if soft::is_nan(bits) { soft::NAN } else { bits }
    }

    fn check(a: u32, b: u32, c: u32) {
        let expected = soft::fma(a, b, c);
        let [x, y, z] = [a, b, c].map(f32::from_bits);
        assert_eq!(canonical(through_binary64(x, y, z).to_bits()), expected, "{a:x} {b:x} {c:x}");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 20 } else { 50_000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn portable_fused_multiply_add_equals_the_law(a: u32, b: u32, c: u32) {
            check(a, b, c);
        }

        #[test]
        fn portable_fused_multiply_add_equals_the_law_where_sums_tie(
            a in 1u32..4096, b in 1u32..4096, exponent in 80u32..150, low in 0u32..4,
            signs in 0u32..4
        ) {
            let number = |value: u32| (value as f32).to_bits();
            let addend = (exponent << 23) | low | (signs & 1) << 31;
            check(number(a) | (signs & 2) << 30, number(b), addend);
        }
    }
}
