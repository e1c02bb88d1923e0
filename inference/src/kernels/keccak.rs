//! Keccak-256 of many short messages side by side: one message in each lane of a vector.
//!
//! The permutation is FIPS 202's Keccak-f[1600], written over lanes of 64 bits; a message is a tag
//! and a body, as the protocol hashes them. The law is `protocol::hash`, the tests compare.

use protocol::hash::{Commitment as _, Digest, Keccak, Tag};

use super::Path;

/// Bytes that one permutation absorbs.
const RATE: usize = 136;

/// Rotations of the rho step, by x + 5y.
const ROTATIONS: [u32; 25] =
    [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

/// Constants of the iota step.
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Words of 64 bits side by side.
trait Lanes: Copy {
    /// Words of one vector.
    const COUNT: usize;
    /// The words of several messages at the same place.
    fn gather(word: impl Fn(usize) -> u64) -> Self;
    fn splat(word: u64) -> Self;
    fn word(self, lane: usize) -> u64;
    fn xor(self, other: Self) -> Self;
    /// `self ^ b ^ c`.
    fn xor_both(self, b: Self, c: Self) -> Self;
    /// `self ^ (!b & c)`.
    fn chi(self, b: Self, c: Self) -> Self;
    fn rotated(self, left: u32) -> Self;
}

#[inline(always)]
fn permute<L: Lanes>(state: &mut [L; 25]) {
    for round in ROUNDS {
        let parity: [L; 5] = core::array::from_fn(|x| {
            state[x].xor_both(state[x + 5], state[x + 10]).xor_both(state[x + 15], state[x + 20])
        });
        let spread: [L; 5] =
            core::array::from_fn(|x| parity[(x + 4) % 5].xor(parity[(x + 1) % 5].rotated(1)));
        let mut moved = *state;
        for y in 0..5 {
            for x in 0..5 {
                // pi: what stands at (x, y) goes to (y, 2x + 3y).
                let to = y + 5 * ((2 * x + 3 * y) % 5);
                let place = x + 5 * y;
                moved[to] = state[place].xor(spread[x]).rotated(ROTATIONS[place]);
            }
        }
        for y in 0..5 {
            for x in 0..5 {
                let row = 5 * y;
                let (next, second) = (moved[row + (x + 1) % 5], moved[row + (x + 2) % 5]);
                state[row + x] = moved[row + x].chi(next, second);
            }
        }
        state[0] = state[0].xor(L::splat(round));
    }
}

/// A word of a padded message: the tag, the body, 0x01, zeros, and 0x80 in the last byte.
/// As [`word_of`], byte by byte: where the body begins or ends.
#[inline(never)]
fn edge_word(tag: Tag, body: &[u8], word: usize, words: usize) -> u64 {
    let first = word * 8;
    let byte = |at: usize| match at.checked_sub(1) {
        None => tag as u8,
        Some(at) if at < body.len() => body[at],
        Some(at) => u8::from(at == body.len()),
    };
    let bytes: [u8; 8] = core::array::from_fn(|place| byte(first + place));
    let end = if word + 1 == words { 0x80 << 56 } else { 0 };
    u64::from_le_bytes(bytes) ^ end
}

#[inline(always)]
fn word_of(tag: Tag, body: &[u8], word: usize, words: usize) -> u64 {
    let first = word * 8;
    if first > 0
        && let Some(whole) = body.get(first - 1..first + 7).and_then(|part| part.first_chunk())
    {
        return u64::from_le_bytes(*whole);
    }
    if first == 0
        && let Some(start) = body.first_chunk::<8>()
    {
        return u64::from_le_bytes(*start) << 8 | u64::from(tag as u8);
    }
    if first > body.len() + 1 {
        return if word + 1 == words { 0x80 << 56 } else { 0 };
    }
    edge_word(tag, body, word, words)
}

/// Hashes up to `L::COUNT` messages of a tag and `body` bytes each.
#[inline(always)]
fn hash_lanes<L: Lanes>(tag: Tag, bodies: &[u8], body: usize, out: &mut [Digest]) {
    let blocks = (body + 1) / RATE + 1;
    let last = out.len().min(L::COUNT) - 1;
    let message = |lane: usize| &bodies[lane.min(last) * body..][..body];
    let messages: [&[u8]; 8] = core::array::from_fn(message);
    let mut state = [L::splat(0); 25];
    for block in 0..blocks {
        for word in 0..RATE / 8 {
            let at = block * (RATE / 8) + word;
            let words = L::gather(|lane| word_of(tag, messages[lane], at, blocks * (RATE / 8)));
            state[word] = state[word].xor(words);
        }
        permute(&mut state);
    }
    for (lane, out) in out.iter_mut().take(L::COUNT).enumerate() {
        for (word, bytes) in out.0.chunks_exact_mut(8).enumerate() {
            bytes.copy_from_slice(&state[word].word(lane).to_le_bytes());
        }
    }
}

/// Hash of each body of `body` bytes under a tag.
///
/// # Panics
/// When there is not one digest for each body, or a body is longer than a leaf.
pub fn hash_many(path: Path, tag: Tag, bodies: &[u8], body: usize, out: &mut [Digest]) {
    assert_eq!(bodies.len(), body * out.len(), "one digest for each body");
    assert!(body + 2 <= 2 * RATE, "bodies are as long as a leaf at most");
    let (mut done, count) = (0, out.len());
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn four(tag: Tag, bodies: &[u8], body: usize, out: &mut [Digest]) {
            hash_lanes::<x86::Four>(tag, bodies, body, out);
        }
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2")]
        fn eight(tag: Tag, bodies: &[u8], body: usize, out: &mut [Digest]) {
            hash_lanes::<x86::Eight>(tag, bodies, body, out);
        }
        let width = match path {
            Path::Avx512 => 8,
            Path::Avx2 => 4,
            Path::Portable => usize::MAX,
        };
        // Two messages side by side are cheaper than one behind the other already.
        while width <= 8 && out.len() - done >= 2 {
            let (bodies, out) = (&bodies[done * body..], &mut out[done..]);
            match path {
                // SAFETY: the CPU was asked for these features when the path was chosen.
                Path::Avx512 => unsafe { eight(tag, bodies, body, out) },
                // SAFETY: as above.
                _ => unsafe { four(tag, bodies, body, out) },
            }
            done = (done + width).min(count);
        }
    }
    let _ = (path, count);
    for (bytes, out) in bodies.chunks_exact(body).zip(out).skip(done) {
        *out = Keccak::tagged(tag, &[bytes]);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    #[derive(Clone, Copy)]
    pub(super) struct Eight(__m512i);

    // SAFETY of all methods: only used in code compiled for AVX-512 (see `hash_many`).
    impl Lanes for Eight {
        const COUNT: usize = 8;

        #[inline(always)]
        fn gather(word: impl Fn(usize) -> u64) -> Self {
            let words: [u64; 8] = core::array::from_fn(word);
            Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
        }

        #[inline(always)]
        fn splat(word: u64) -> Self {
            Self(unsafe { _mm512_set1_epi64(word as i64) })
        }

        #[inline(always)]
        fn word(self, lane: usize) -> u64 {
            let mut words = [0u64; 8];
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) };
            words[lane]
        }

        #[inline(always)]
        fn xor(self, other: Self) -> Self {
            Self(unsafe { _mm512_xor_si512(self.0, other.0) })
        }

        #[inline(always)]
        fn xor_both(self, b: Self, c: Self) -> Self {
            Self(unsafe { _mm512_ternarylogic_epi64::<0x96>(self.0, b.0, c.0) })
        }

        #[inline(always)]
        fn chi(self, b: Self, c: Self) -> Self {
            Self(unsafe { _mm512_ternarylogic_epi64::<0xD2>(self.0, b.0, c.0) })
        }

        #[inline(always)]
        fn rotated(self, left: u32) -> Self {
            Self(unsafe { _mm512_rolv_epi64(self.0, _mm512_set1_epi64(i64::from(left))) })
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct Four(__m256i);

    // SAFETY of all methods: only used in code compiled for AVX2 (see `hash_many`).
    impl Lanes for Four {
        const COUNT: usize = 4;

        #[inline(always)]
        fn gather(word: impl Fn(usize) -> u64) -> Self {
            let words: [u64; 4] = core::array::from_fn(word);
            Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
        }

        #[inline(always)]
        fn splat(word: u64) -> Self {
            Self(unsafe { _mm256_set1_epi64x(word as i64) })
        }

        #[inline(always)]
        fn word(self, lane: usize) -> u64 {
            let mut words = [0u64; 4];
            unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) };
            words[lane]
        }

        #[inline(always)]
        fn xor(self, other: Self) -> Self {
            Self(unsafe { _mm256_xor_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn xor_both(self, b: Self, c: Self) -> Self {
            self.xor(b).xor(c)
        }

        #[inline(always)]
        fn chi(self, b: Self, c: Self) -> Self {
            Self(unsafe { _mm256_xor_si256(self.0, _mm256_andnot_si256(b.0, c.0)) })
        }

        #[inline(always)]
        fn rotated(self, left: u32) -> Self {
            unsafe {
                let left = _mm256_set1_epi64x(i64::from(left));
                let right = _mm256_sub_epi64(_mm256_set1_epi64x(64), left);
                let high = _mm256_sllv_epi64(self.0, left);
                Self(_mm256_or_si256(high, _mm256_srlv_epi64(self.0, right)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_side_by_side_are_the_protocols() {
        for path in Path::available() {
            for body in [0usize, 1, 7, 32, 64, 134, 135, 136, 255, 256] {
                for count in [1usize, 3, 4, 7, 8, 9, 17, 40] {
                    let bodies: Vec<u8> =
                        (0..body * count).map(|at| (at * 31 + at / 256) as u8).collect();
                    let mut out = vec![Digest::default(); count];
                    if body > 0 {
                        hash_many(path, Tag::Leaf, &bodies, body, &mut out);
                        for (bytes, found) in bodies.chunks_exact(body).zip(&out) {
                            assert_eq!(
                                *found,
                                Keccak::tagged(Tag::Leaf, &[bytes]),
                                "{path:?} {body}"
                            );
                        }
                    }
                }
            }
        }
    }
}
