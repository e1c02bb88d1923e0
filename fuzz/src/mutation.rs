//! Bytes that are nearly what is expected, from seeds.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Most bytes of what is made.
const BYTES_MAX: usize = 1 << 16;

/// Makes changed seeds, the same ones for the same number.
///
/// ```
/// let mut mutator = fuzz::mutation::Mutator::new(vec![b"GET / HTTP/1.1".to_vec()], 7);
/// assert_ne!(mutator.next_bytes(), mutator.next_bytes());
/// ```
#[derive(Debug)]
pub struct Mutator {
    rng: ChaCha8Rng,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    /// From seeds, of which there is one at least.
    pub fn new(seeds: Vec<Vec<u8>>, number: u64) -> Self {
        assert!(!seeds.is_empty(), "a target without seeds");
        Self { rng: ChaCha8Rng::seed_from_u64(number), seeds }
    }

    fn below(&mut self, bound: usize) -> usize {
        match u64::try_from(bound) {
            Ok(bound @ 1..) => (self.rng.next_u64() % bound) as usize,
            _ => 0,
        }
    }

    /// A seed with up to eight changes.
    pub fn next_bytes(&mut self) -> Vec<u8> {
        let seed = self.below(self.seeds.len());
        let mut bytes = self.seeds[seed].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes);
        }
        bytes.truncate(BYTES_MAX.max(self.seeds[seed].len()));
        bytes
    }

    /// Where in the bytes, and how many from there on, few rather than many.
    fn part(&mut self, bytes: &[u8]) -> (usize, usize) {
        let at = self.below(bytes.len() + 1);
        let most = 1 << self.below(11);
        (at, self.below((bytes.len() - at).min(most) + 1))
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        /// Numbers at which counts and lengths go wrong.
        const EDGES: [u64; 12] =
            [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0xffff, 1 << 31, u32::MAX as u64, 1 << 63, u64::MAX];
        let (at, length) = self.part(bytes);
        match self.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.rng.next_u32() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + length)),
            // The same again.
            4 => {
                let copy = bytes[at..at + length].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            5 => {
                let random: Vec<u8> =
                    (0..length.min(32)).map(|_| self.rng.next_u32() as u8).collect();
                drop(bytes.splice(at..at, random));
            }
            // A number of one to eight bytes, in either order.
            6 => {
                let (edge, width) = (EDGES[self.below(EDGES.len())], 1 << self.below(4));
                let big = edge.to_be_bytes();
                let mut number = big[8 - width..].to_vec();
                if self.below(2) == 0 {
                    number.reverse();
                }
                let end = (at + width).min(bytes.len());
                drop(bytes.splice(at..end, number));
            }
            // A part of another seed, in place of this one's or between.
            7 => {
                let other = self.below(self.seeds.len());
                let (from, count) = {
                    let seed = self.seeds[other].clone();
                    self.part(&seed)
                };
                let part = self.seeds[other][from..from + count].to_vec();
                let end = if self.below(2) == 0 { at } else { at + length };
                drop(bytes.splice(at..end, part));
            }
            _ => {
                let (other, count) = self.part(bytes);
                for (one, another) in (at..at + length).zip(other..other + count) {
                    bytes.swap(one, another);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn changed_seeds_differ_are_bounded_and_come_again_for_the_same_number() {
        // The last is so long that changes lead beyond the bound.
        let seeds = vec![b"0123456789".to_vec(), Vec::new(), vec![7; BYTES_MAX - 100]];
        let made = |number| {
            let mut mutator = Mutator::new(seeds.clone(), number);
            (0..5_000).map(|_| mutator.next_bytes()).collect::<Vec<_>>()
        };
        let one = made(1);
        assert_eq!(one, made(1));
        assert!(one.iter().all(|bytes| bytes.len() <= BYTES_MAX));
        let different: HashSet<&Vec<u8>> = one.iter().collect();
        assert!(different.len() > 2_500, "{}", different.len());
        assert!(one.iter().any(|bytes| bytes.len() == BYTES_MAX) && one.iter().any(Vec::is_empty));
    }
}
