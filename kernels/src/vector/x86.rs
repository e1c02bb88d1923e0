//! The vectors of x86-64: what [`Vector`] says, by intrinsics.

use std::arch::x86_64::*;

use protocol::numerics::soft;

use super::Vector;
use crate::isa::{Avx2, Avx512, instructions};

/// Smallest stored magnitude: 2^-40.
const STORE_MIN: i32 = 0x2B80_0000;
const MAGNITUDE: i32 = 0x7FFF_FFFF;
const INFINITY: i32 = soft::INFINITY as i32;
const NAN: i32 = soft::NAN as i32;

/// Sixteen floats of AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Sixteen(__m512);

impl Vector for Sixteen {
    type Token = Avx512;

    const WIDTH: usize = 16;

    #[inline(always)]
    fn splat(_: Avx512, value: f32) -> Self {
        Self(instructions!(_mm512_set1_ps(value)))
    }

    #[inline(always)]
    unsafe fn load(_: Avx512, from: *const f32) -> Self {
        // SAFETY: the token stands for the instructions; the caller says that sixteen floats are there.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: a vector was made from a token; the caller says that there is room for sixteen floats.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn prefetch(place: *const f32) {
        // SAFETY: every CPU of this architecture has SSE; a prefetch reads nothing, whatever the address.
        #[allow(unused_unsafe, reason = "safe in itself in newer versions")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(place.cast());
        }
    }

    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        Self(instructions!(_mm512_fmadd_ps(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(instructions!(_mm512_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        instructions!({
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, other.0);
            let most = _mm512_max_ps(self.0, other.0);
            Self(_mm512_mask_mov_ps(most, nan, _mm512_set1_ps(f32::NAN)))
        })
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        instructions!({
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, other.0);
            let least = _mm512_min_ps(self.0, other.0);
            Self(_mm512_mask_mov_ps(least, nan, _mm512_set1_ps(f32::NAN)))
        })
    }

    #[inline(always)]
    fn stored(self) -> Self {
        instructions!({
            let bits = _mm512_castps_si512(self.0);
            let magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(MAGNITUDE));
            let kept = _mm512_cmpge_epi32_mask(magnitude, _mm512_set1_epi32(STORE_MIN));
            let nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(INFINITY));
            let bits = _mm512_maskz_mov_epi32(kept, bits);
            let bits = _mm512_mask_mov_epi32(bits, nan, _mm512_set1_epi32(NAN));
            Self(_mm512_castsi512_ps(bits))
        })
    }
}

/// Eight floats of AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Eight(__m256);

impl Vector for Eight {
    type Token = Avx2;

    const WIDTH: usize = 8;

    #[inline(always)]
    fn splat(_: Avx2, value: f32) -> Self {
        Self(instructions!(_mm256_set1_ps(value)))
    }

    #[inline(always)]
    unsafe fn load(_: Avx2, from: *const f32) -> Self {
        // SAFETY: the token stands for the instructions; the caller says that eight floats are there.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: a vector was made from a token; the caller says that there is room for eight floats.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn prefetch(place: *const f32) {
        // SAFETY: every CPU of this architecture has SSE; a prefetch reads nothing, whatever the address.
        #[allow(unused_unsafe, reason = "safe in itself in newer versions")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(place.cast());
        }
    }

    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        Self(instructions!(_mm256_fmadd_ps(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(instructions!(_mm256_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        instructions!({
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, other.0);
            let most = _mm256_max_ps(self.0, other.0);
            Self(_mm256_blendv_ps(most, _mm256_set1_ps(f32::NAN), nan))
        })
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        instructions!({
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, other.0);
            let least = _mm256_min_ps(self.0, other.0);
            Self(_mm256_blendv_ps(least, _mm256_set1_ps(f32::NAN), nan))
        })
    }

    #[inline(always)]
    fn stored(self) -> Self {
        instructions!({
            let bits = _mm256_castps_si256(self.0);
            let magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(MAGNITUDE));
            let small = _mm256_cmpgt_epi32(_mm256_set1_epi32(STORE_MIN), magnitude);
            let nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(INFINITY));
            let bits = _mm256_andnot_si256(small, bits);
            let bits = _mm256_blendv_epi8(bits, _mm256_set1_epi32(NAN), nan);
            Self(_mm256_castsi256_ps(bits))
        })
    }
}
