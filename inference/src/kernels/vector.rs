//! Vectors of floats, for the one kernel that must not depend on what a compiler makes of a loop.

use protocol::numerics::{Arithmetic, store};

use super::Portable;

/// Floats side by side. Every operation is the law's, place by place.
///
/// The vectors of a path may only be used in code compiled for its instructions, and inlined there.
pub(super) trait Vector: Copy {
    /// Floats of one vector.
    const WIDTH: usize;

    /// The same float everywhere.
    fn splat(value: f32) -> Self;

    /// Reads `WIDTH` floats.
    ///
    /// # Safety
    /// There must be as many behind `from`.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes `WIDTH` floats.
    ///
    /// # Safety
    /// There must be room for as many behind `to`.
    unsafe fn write(self, to: *mut f32);

    /// Says that what lies at `place` will be read soon. Any address is allowed.
    fn prefetch(place: *const f32);

    /// `self × factor + addend`, rounded once.
    fn fma(self, factor: Self, addend: Self) -> Self;

    /// `self + other`.
    fn add(self, other: Self) -> Self;

    /// The larger value; NaN where either is one.
    fn larger(self, other: Self) -> Self;

    /// The smaller value; NaN where either is one.
    fn smaller(self, other: Self) -> Self;

    /// Store rule Q.
    fn stored(self) -> Self;
}

/// Four floats by plain loops.
#[derive(Clone, Copy)]
pub(super) struct Four([f32; 4]);

impl Vector for Four {
    const WIDTH: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller says that four floats are there.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: the caller says that there is room for four floats.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}

    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        Self(core::array::from_fn(|place| {
            let [a, b, c] = [self.0[place], factor.0[place], addend.0[place]]
                .map(|value| Portable::from_bits(value.to_bits()));
            f32::from_bits(a.fma(b, c).to_bits())
        }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(core::array::from_fn(|place| self.0[place] + other.0[place]))
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        Self(core::array::from_fn(|place| keep(self.0[place], other.0[place], f32::lt)))
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        Self(core::array::from_fn(|place| keep(self.0[place], other.0[place], f32::gt)))
    }

    #[inline(always)]
    fn stored(self) -> Self {
        Self(self.0.map(|value| f32::from_bits(store(value.to_bits()))))
    }
}

/// `b` where `a` yields to it, else `a`; NaN if either is one.
#[inline(always)]
fn keep(a: f32, b: f32, yields: impl Fn(&f32, &f32) -> bool) -> f32 {
    match (a.is_nan() || b.is_nan(), yields(&a, &b)) {
        (true, _) => f32::NAN,
        (false, true) => b,
        (false, false) => a,
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Eight, Sixteen};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use protocol::numerics::soft;

    use super::Vector;

    /// Smallest stored magnitude: 2^-40.
    const STORE_MIN: i32 = 0x2B80_0000;
    const MAGNITUDE: i32 = 0x7FFF_FFFF;
    const INFINITY: i32 = soft::INFINITY as i32;
    const NAN: i32 = soft::NAN as i32;

    /// Sixteen floats of AVX-512.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Sixteen(__m512);

    // SAFETY of all methods: the trait is only used in code compiled for AVX-512 (see `contract`),
    // so that the CPU has every instruction used here; pointers are as the trait demands.
    impl Vector for Sixteen {
        const WIDTH: usize = 16;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn write(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        fn prefetch(place: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) }
        }

        #[inline(always)]
        fn fma(self, factor: Self, addend: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            unsafe {
                let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, other.0);
                let most = _mm512_max_ps(self.0, other.0);
                Self(_mm512_mask_mov_ps(most, nan, _mm512_set1_ps(f32::NAN)))
            }
        }

        #[inline(always)]
        fn smaller(self, other: Self) -> Self {
            unsafe {
                let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, other.0);
                let least = _mm512_min_ps(self.0, other.0);
                Self(_mm512_mask_mov_ps(least, nan, _mm512_set1_ps(f32::NAN)))
            }
        }

        #[inline(always)]
        fn stored(self) -> Self {
            unsafe {
                let bits = _mm512_castps_si512(self.0);
                let magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(MAGNITUDE));
                let kept = _mm512_cmpge_epi32_mask(magnitude, _mm512_set1_epi32(STORE_MIN));
                let nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(INFINITY));
                let bits = _mm512_maskz_mov_epi32(kept, bits);
                let bits = _mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(NAN));
                Self(_mm512_castsi512_ps(bits))
            }
        }
    }

    /// Eight floats of AVX2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Eight(__m256);

    // SAFETY of all methods: as above, for AVX2 and FMA.
    impl Vector for Eight {
        const WIDTH: usize = 8;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn write(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        fn prefetch(place: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) }
        }

        #[inline(always)]
        fn fma(self, factor: Self, addend: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            unsafe {
                let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, other.0);
                let most = _mm256_max_ps(self.0, other.0);
                Self(_mm256_blendv_ps(most, _mm256_set1_ps(f32::NAN), nan))
            }
        }

        #[inline(always)]
        fn smaller(self, other: Self) -> Self {
            unsafe {
                let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, other.0);
                let least = _mm256_min_ps(self.0, other.0);
                Self(_mm256_blendv_ps(least, _mm256_set1_ps(f32::NAN), nan))
            }
        }

        #[inline(always)]
        fn stored(self) -> Self {
            unsafe {
                let bits = _mm256_castps_si256(self.0);
                let magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(MAGNITUDE));
                let small = _mm256_cmpgt_epi32(_mm256_set1_epi32(STORE_MIN), magnitude);
                let nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(INFINITY));
                let bits = _mm256_andnot_si256(small, bits);
                let bits = _mm256_blendv_epi8(bits, _mm256_set1_epi32(NAN), nan);
                Self(_mm256_castsi256_ps(bits))
            }
        }
    }
}
