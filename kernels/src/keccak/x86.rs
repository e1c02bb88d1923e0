//! The lanes of x86-64, by intrinsics.

use std::arch::x86_64::*;

use super::lanes::{Lanes, Padded};
use crate::isa::{Avx2, Avx512, instructions};

#[derive(Clone, Copy)]
pub(super) struct Eight(__m512i);

impl Lanes for Eight {
    type Token = Avx512;

    const COUNT: usize = 8;

    #[inline(always)]
    fn columns(_: Avx512, messages: &[Padded; 8], first: usize) -> [Self; 8] {
        let rows: [__m512i; 8] = core::array::from_fn(|lane| {
            let words = &messages[lane].0[8 * first..][..64];
            // SAFETY: the token stands for the instructions, and the slice has 64 bytes.
            unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
        });
        // Words of two messages side by side, then pairs of them, then fours.
        let pairs: [__m512i; 8] = core::array::from_fn(|at| {
            let (a, b) = (rows[at & !1], rows[at | 1]);
            match at % 2 {
                0 => instructions!(_mm512_unpacklo_epi64(a, b)),
                _ => instructions!(_mm512_unpackhi_epi64(a, b)),
            }
        });
        // fours[h][p]: messages 4h to 4h + 3, words p and p + 4 (h picks the messages).
        let shuffled = |a: __m512i, b: __m512i, high: bool| {
            if high {
                instructions!(_mm512_shuffle_i64x2::<0xDD>(a, b))
            } else {
                instructions!(_mm512_shuffle_i64x2::<0x88>(a, b))
            }
        };
        let four = |half: usize, parity: usize, high: bool| {
            shuffled(pairs[4 * half + parity], pairs[4 * half + 2 + parity], high)
        };
        core::array::from_fn(|word| {
            let (parity, high, last) = (word % 2, word / 2 % 2 == 1, word / 4 == 1);
            Self(shuffled(four(0, parity, high), four(1, parity, high), last))
        })
    }

    #[inline(always)]
    fn splat(_: Avx512, word: u64) -> Self {
        Self(instructions!(_mm512_set1_epi64(word as i64)))
    }

    #[inline(always)]
    fn word(self, lane: usize) -> u64 {
        let mut words = [0u64; 8];
        // SAFETY: a vector was made from a token, and `words` has its 64 bytes.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) };
        words[lane]
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(instructions!(_mm512_xor_si512(self.0, other.0)))
    }

    #[inline(always)]
    fn xor_both(self, b: Self, c: Self) -> Self {
        Self(instructions!(_mm512_ternarylogic_epi64::<0x96>(self.0, b.0, c.0)))
    }

    #[inline(always)]
    fn chi(self, b: Self, c: Self) -> Self {
        Self(instructions!(_mm512_ternarylogic_epi64::<0xD2>(self.0, b.0, c.0)))
    }

    #[inline(always)]
    fn rotated(self, left: u32) -> Self {
        Self(instructions!(_mm512_rolv_epi64(self.0, _mm512_set1_epi64(i64::from(left)))))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Four(__m256i);

impl Lanes for Four {
    type Token = Avx2;

    const COUNT: usize = 4;

    #[inline(always)]
    fn columns(_: Avx2, messages: &[Padded; 8], first: usize) -> [Self; 8] {
        let rows: [__m256i; 4] = core::array::from_fn(|lane| {
            let words = &messages[lane].0[8 * first..][..32];
            // SAFETY: the token stands for the instructions, and the slice has 32 bytes.
            unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
        });
        let pair = |a: __m256i, b: __m256i, high: bool| {
            if high {
                instructions!(_mm256_unpackhi_epi64(a, b))
            } else {
                instructions!(_mm256_unpacklo_epi64(a, b))
            }
        };
        core::array::from_fn(|word| {
            let high = word % 2 == 1;
            let (a, b) = (pair(rows[0], rows[1], high), pair(rows[2], rows[3], high));
            Self(match word / 2 % 2 {
                0 => instructions!(_mm256_permute2x128_si256::<0x20>(a, b)),
                _ => instructions!(_mm256_permute2x128_si256::<0x31>(a, b)),
            })
        })
    }

    #[inline(always)]
    fn splat(_: Avx2, word: u64) -> Self {
        Self(instructions!(_mm256_set1_epi64x(word as i64)))
    }

    #[inline(always)]
    fn word(self, lane: usize) -> u64 {
        let mut words = [0u64; 4];
        // SAFETY: a vector was made from a token, and `words` has its 32 bytes.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) };
        words[lane]
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(instructions!(_mm256_xor_si256(self.0, other.0)))
    }

    #[inline(always)]
    fn xor_both(self, b: Self, c: Self) -> Self {
        self.xor(b).xor(c)
    }

    #[inline(always)]
    fn chi(self, b: Self, c: Self) -> Self {
        Self(instructions!(_mm256_xor_si256(self.0, _mm256_andnot_si256(b.0, c.0))))
    }

    #[inline(always)]
    fn rotated(self, left: u32) -> Self {
        instructions!({
            let left = _mm256_set1_epi64x(i64::from(left));
            let right = _mm256_sub_epi64(_mm256_set1_epi64x(64), left);
            let high = _mm256_sllv_epi64(self.0, left);
            Self(_mm256_or_si256(high, _mm256_srlv_epi64(self.0, right)))
        })
    }
}
