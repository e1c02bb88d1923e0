//! Chance, from one seed: an independent stream for each purpose, so that one more draw in one
//! place does not shift what happens in another.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Making up a scenario.
    Scenario = 1,
    /// Delays, losses and duplicates of messages.
    Network = 2,
    /// Order of transactions and reorganisations.
    Ledger = 3,
    /// What dishonest parties do.
    Attack = 4,
    /// Whether a sampling challenger looks.
    Sampling = 5,
    /// Which checks are repeated.
    Audit = 6,
    /// Search for the best attack.
    Search = 7,
}

/// A stream of chance.
#[derive(Clone, Debug)]
pub struct WorldRng(ChaCha8Rng);

impl WorldRng {
    /// The stream of a purpose under a seed.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(purpose as u64);
        Self(generator)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply and shift: the bias is under 2^-32 for the bounds that occur here.
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least).saturating_add(1))
    }

    /// True in `permille` of a thousand cases.
    pub fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.below(1000) < u64::from(permille)
    }

    /// One of some things; `None` of nothing.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len() as u64) as usize)
    }
}

/// A seed from another seed and an index: different indices give unrelated seeds.
pub fn seed_of(seed: u64, index: u64) -> u64 {
    // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    let mut mixed = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |seed, purpose| WorldRng::new(seed, purpose).below(u64::MAX);
        assert_eq!(draw(1, Purpose::Network), draw(1, Purpose::Network));
        assert_ne!(draw(1, Purpose::Network), draw(1, Purpose::Ledger));
        assert_ne!(draw(1, Purpose::Network), draw(2, Purpose::Network));
    }

    #[test]
    fn bounds_are_kept() {
        let mut rng = WorldRng::new(3, Purpose::Attack);
        for _ in 0..1000 {
            assert!(rng.below(7) < 7);
            assert!((3..=5).contains(&rng.between(3, 5)));
        }
        assert_eq!(rng.below(0), 0);
        assert!(!rng.chance(0));
        assert!(rng.chance(1000));
    }
}
