//! Keccak-256 of many short messages side by side: one message in each lane of a vector.
//!
//! The permutation is FIPS 202's Keccak-f[1600], written over lanes of 64 bits; a message is a tag
//! and a body, as the protocol hashes them. The law is `protocol::hash`, the tests compare.

mod lanes;

use protocol::hash::{Commitment as _, Digest, Keccak, Tag};

use self::lanes::{Lanes, PADDED_BYTES, Padded, RATE};
use crate::Isa;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512, Level};

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

#[inline(always)]
fn permute<L: Lanes>(token: L::Token, state: &mut [L; 25]) {
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
        state[0] = state[0].xor(L::splat(token, round));
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
fn hash_lanes<L: Lanes>(token: L::Token, message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
    let mut padded = [Padded([0; PADDED_BYTES]); 8];
    for (body, padded) in bodies.iter().zip(padded.iter_mut()).take(L::COUNT) {
        message.pad(body, padded);
    }
    let mut state = [L::splat(token, 0); 25];
    for block in 0..message.permutations() {
        for first in (0..RATE / 8).step_by(L::COUNT) {
            let words = L::columns(token, &padded, block * (RATE / 8) + first);
            for (state, word) in state[first..RATE / 8].iter_mut().zip(words).take(L::COUNT) {
                *state = state.xor(word);
            }
        }
        permute(token, &mut state);
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
pub fn hash_many(isa: Isa, message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
    assert_eq!(bodies.len(), out.len(), "one digest for each body");
    assert!(message.body <= 2 * RATE - 2, "bodies are as long as a leaf at most");
    assert!([1, 2, 4, 8].contains(&message.element), "elements have 1, 2, 4 or 8 bytes");
    let fits =
        |body: &&[u8]| body.len() <= message.body && body.len().is_multiple_of(message.element);
    assert!(bodies.iter().all(fits), "bodies are of whole elements and not longer than said");
    let done = hash_groups(isa, message, bodies, out);
    for (bytes, out) in bodies.iter().zip(out).skip(done) {
        let mut body = [0; 2 * RATE];
        message.write(bytes, &mut body);
        *out = Keccak::tagged(message.tag, &[&body[..message.body]]);
    }
}

/// Hashes as many as are worth a vector; returns their number.
#[cfg(target_arch = "x86_64")]
fn hash_groups(isa: Isa, message: Message, bodies: &[&[u8]], out: &mut [Digest]) -> usize {
    #[target_feature(enable = "avx2")]
    fn four(token: Avx2, message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
        hash_lanes::<x86::Four>(token, message, bodies, out);
    }
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2")]
    fn eight(token: Avx512, message: Message, bodies: &[&[u8]], out: &mut [Digest]) {
        hash_lanes::<x86::Eight>(token, message, bodies, out);
    }
    let (mut done, count) = (0, out.len());
    // Two messages side by side are cheaper than one after the other already.
    while count - done >= 2 {
        let (bodies, out) = (&bodies[done..], &mut out[done..]);
        let width = match isa.0 {
            Level::Portable => break,
            Level::Avx2(token) => {
                // SAFETY: the token says that this CPU has AVX2.
                unsafe { four(token, message, bodies, out) };
                4
            }
            Level::Avx512(token) => {
                // SAFETY: the token says that this CPU has AVX-512 and AVX2.
                unsafe { eight(token, message, bodies, out) };
                8
            }
        };
        done = (done + width).min(count);
    }
    done
}

/// No vectors here: none.
#[cfg(not(target_arch = "x86_64"))]
fn hash_groups(_: Isa, _: Message, _: &[&[u8]], _: &mut [Digest]) -> usize {
    0
}

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_side_by_side_are_the_protocols() {
        let all = [(1usize, 1), (7, 1), (32, 8), (64, 1), (64, 4), (134, 2), (135, 1), (136, 4)]
            .into_iter()
            .chain([(255, 1), (256, 1), (256, 4), (256, 8)]);
        // A permutation is many steps where each is interpreted.
        let (bodies, counts): (Vec<_>, &[usize]) = if cfg!(miri) {
            (vec![(135, 1), (136, 4)], &[3])
        } else {
            (all.collect(), &[1, 3, 4, 7, 8, 9, 17, 40])
        };
        for isa in Isa::available() {
            for (body, element) in bodies.iter().copied() {
                for count in counts {
                    compare(isa, body, element, *count);
                }
            }
        }
    }

    /// Every third body is shorter than the others.
    fn compare(isa: Isa, body: usize, element: usize, count: usize) {
        let bytes: Vec<u8> = (0..body * count).map(|at| (at * 31 + at / 256) as u8).collect();
        let length = |at: usize| if at % 3 == 2 { body / element / 2 * element } else { body };
        let bodies: Vec<&[u8]> =
            bytes.chunks_exact(body).enumerate().map(|(at, bytes)| &bytes[..length(at)]).collect();
        let mut out = vec![Digest::default(); count];
        hash_many(isa, Message { tag: Tag::Leaf, body, element }, &bodies, &mut out);
        for (bytes, found) in bodies.iter().zip(&out) {
            let mut whole = bytes.to_vec();
            whole.chunks_exact_mut(element).for_each(<[u8]>::reverse);
            whole.resize(body, 0);
            let expected = Keccak::tagged(Tag::Leaf, &[&whole]);
            assert_eq!(*found, expected, "{isa:?} {body} {element}");
        }
    }
}
