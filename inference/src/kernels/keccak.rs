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
    /// From `COUNT` words at `first` of each message: the vector of first words, of second words, ….
    fn columns(messages: &[Padded; 8], first: usize) -> [Self; 8];
    fn zero() -> Self;
    fn splat(word: u64) -> Self;
    fn word(self, lane: usize) -> u64;
    fn xor(self, other: Self) -> Self;
    /// `self ^ b ^ c`.
    fn xor_both(self, b: Self, c: Self) -> Self;
    /// `self ^ (!b & c)`.
    fn chi(self, b: Self, c: Self) -> Self;
    fn rotated(self, left: u32) -> Self;
}

/// What two permutations absorb, and what a vector reads behind it.
const PADDED_BYTES: usize = 2 * RATE + 64;

/// A message as it is absorbed: the tag, the body, 0x01, zeros, and 0x80 in the last byte.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Padded([u8; PADDED_BYTES]);

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

/// What many messages have in common.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The byte before the body.
    pub tag: Tag,
    /// Bytes of a body; a shorter one is followed by zeros.
    pub body: usize,
    /// Bytes of the elements a body consists of, which are hashed last byte first: 1, 2, 4 or 8.
    pub element: usize,
}

impl Message {
    fn permutations(self) -> usize {
        (self.body + 1) / RATE + 1
    }

    #[inline(always)]
    fn write(self, body: &[u8], to: &mut [u8]) {
        match self.element {
            2 => reverse::<2>(body, to),
            4 => reverse::<4>(body, to),
            8 => reverse::<8>(body, to),
            _ => to[..body.len()].copy_from_slice(body),
        }
    }

    /// Writes the padded message of a body into zeros.
    #[inline(always)]
    fn pad(self, body: &[u8], to: &mut Padded) {
        to.0[0] = self.tag as u8;
        self.write(body, &mut to.0[1..]);
        to.0[1 + self.body] = 1;
        to.0[self.permutations() * RATE - 1] ^= 0x80;
    }
}

#[inline(always)]
fn reverse<const WIDTH: usize>(from: &[u8], to: &mut [u8]) {
    let (from, to) = (from.as_chunks::<WIDTH>().0, to.as_chunks_mut::<WIDTH>().0);
    for (from, to) in from.iter().zip(to) {
        *to = *from;
        to.reverse();
    }
}

/// Hashes up to `L::COUNT` messages.
#[inline(always)]
fn hash_lanes<L: Lanes>(message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
    let mut padded = [Padded([0; PADDED_BYTES]); 8];
    for (body, padded) in bodies.iter().zip(padded.iter_mut()).take(L::COUNT) {
        message.pad(body, padded);
    }
    let mut state = [L::zero(); 25];
    for block in 0..message.permutations() {
        for first in (0..RATE / 8).step_by(L::COUNT) {
            let words = L::columns(&padded, block * (RATE / 8) + first);
            for (state, word) in state[first..RATE / 8].iter_mut().zip(words).take(L::COUNT) {
                *state = state.xor(word);
            }
        }
        permute(&mut state);
    }
    for (lane, out) in out.iter_mut().take(L::COUNT).enumerate() {
        for (word, bytes) in out.0.chunks_exact_mut(8).enumerate() {
            bytes.copy_from_slice(&state[word].word(lane).to_le_bytes());
        }
    }
}

/// Hash of each body under a tag.
///
/// # Panics
/// When there is not one digest for each body, or a body is longer than said or than a leaf.
pub fn hash_many(path: Path, message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
    assert_eq!(bodies.len(), out.len(), "one digest for each body");
    assert!(message.body + 2 <= 2 * RATE, "bodies are as long as a leaf at most");
    let fits =
        |body: &&[u8]| body.len() <= message.body && body.len().is_multiple_of(message.element);
    assert!(bodies.iter().all(fits), "bodies are of whole elements and not longer than said");
    let (mut done, count) = (0, out.len());
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn four(message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
            hash_lanes::<x86::Four>(message, bodies, out);
        }
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2")]
        fn eight(message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
            hash_lanes::<x86::Eight>(message, bodies, out);
        }
        let width = match path {
            Path::Avx512 => 8,
            Path::Avx2 => 4,
            Path::Portable => usize::MAX,
        };
        // Two messages side by side are cheaper than one behind the other already.
        while width <= 8 && out.len() - done >= 2 {
            let (bodies, out) = (&bodies[done..], &mut out[done..]);
            match path {
                // SAFETY: the CPU was asked for these features when the path was chosen.
                Path::Avx512 => unsafe { eight(message, bodies, out) },
                // SAFETY: as above.
                _ => unsafe { four(message, bodies, out) },
            }
            done = (done + width).min(count);
        }
    }
    let _ = (path, count);
    for (bytes, out) in bodies.iter().zip(out).skip(done) {
        let mut body = [0; 2 * RATE];
        message.write(bytes, &mut body);
        *out = Keccak::tagged(message.tag, &[&body[..message.body]]);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, Padded};

    #[derive(Clone, Copy)]
    pub(super) struct Eight(__m512i);

    // SAFETY of all methods: only used in code compiled for AVX-512 (see `hash_many`).
    impl Lanes for Eight {
        const COUNT: usize = 8;

        #[inline(always)]
        fn columns(messages: &[Padded; 8], first: usize) -> [Self; 8] {
            let rows: [__m512i; 8] = core::array::from_fn(|lane| {
                let words = &messages[lane].0[8 * first..][..64];
                // SAFETY: 64 bytes are there.
                unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
            });
            // Words of two messages side by side, then pairs of them, then fours.
            let pairs: [__m512i; 8] = core::array::from_fn(|at| unsafe {
                let (a, b) = (rows[at & !1], rows[at | 1]);
                if at % 2 == 0 { _mm512_unpacklo_epi64(a, b) } else { _mm512_unpackhi_epi64(a, b) }
            });
            // fours[h][p]: messages 4h to 4h + 3, words p and p + 4 (h picks the messages).
            let four = |half: usize, parity: usize, high: bool| unsafe {
                let (a, b) = (pairs[4 * half + parity], pairs[4 * half + 2 + parity]);
                match high {
                    false => _mm512_shuffle_i64x2::<0x88>(a, b),
                    true => _mm512_shuffle_i64x2::<0xDD>(a, b),
                }
            };
            core::array::from_fn(|word| unsafe {
                let (parity, high, last) = (word % 2, word / 2 % 2 == 1, word / 4 == 1);
                let (a, b) = (four(0, parity, high), four(1, parity, high));
                Self(match last {
                    false => _mm512_shuffle_i64x2::<0x88>(a, b),
                    true => _mm512_shuffle_i64x2::<0xDD>(a, b),
                })
            })
        }

        #[inline(always)]
        fn zero() -> Self {
            Self(unsafe { _mm512_setzero_si512() })
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
        fn columns(messages: &[Padded; 8], first: usize) -> [Self; 8] {
            let rows: [__m256i; 4] = core::array::from_fn(|lane| {
                let words = &messages[lane].0[8 * first..][..32];
                // SAFETY: 32 bytes are there.
                unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
            });
            core::array::from_fn(|word| unsafe {
                let (a, b) = match word % 2 {
                    0 => (
                        _mm256_unpacklo_epi64(rows[0], rows[1]),
                        _mm256_unpacklo_epi64(rows[2], rows[3]),
                    ),
                    _ => (
                        _mm256_unpackhi_epi64(rows[0], rows[1]),
                        _mm256_unpackhi_epi64(rows[2], rows[3]),
                    ),
                };
                Self(match word / 2 % 2 {
                    0 => _mm256_permute2x128_si256::<0x20>(a, b),
                    _ => _mm256_permute2x128_si256::<0x31>(a, b),
                })
            })
        }

        #[inline(always)]
        fn zero() -> Self {
            Self(unsafe { _mm256_setzero_si256() })
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
            for (body, element) in
                [(1usize, 1), (7, 1), (32, 8), (64, 1), (64, 4), (134, 2), (135, 1), (136, 4)]
                    .into_iter()
                    .chain([(255, 1), (256, 1), (256, 4), (256, 8)])
            {
                for count in [1usize, 3, 4, 7, 8, 9, 17, 40] {
                    compare(path, body, element, count);
                }
            }
        }
    }

    /// Every third body is shorter than the others.
    fn compare(path: Path, body: usize, element: usize, count: usize) {
        let bytes: Vec<u8> = (0..body * count).map(|at| (at * 31 + at / 256) as u8).collect();
        let length = |at: usize| if at % 3 == 2 { body / element / 2 * element } else { body };
        let bodies: Vec<&[u8]> =
            bytes.chunks_exact(body).enumerate().map(|(at, bytes)| &bytes[..length(at)]).collect();
        let mut out = vec![Digest::default(); count];
        hash_many(path, Message { tag: Tag::Leaf, body, element }, &bodies, &mut out);
        for (bytes, found) in bodies.iter().zip(&out) {
            let mut whole = bytes.to_vec();
            whole.chunks_exact_mut(element).for_each(<[u8]>::reverse);
            whole.resize(body, 0);
            let expected = Keccak::tagged(Tag::Leaf, &[&whole]);
            assert_eq!(*found, expected, "{path:?} {body} {element}");
        }
    }
}
