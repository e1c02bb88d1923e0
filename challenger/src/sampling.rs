//! Looking at some layers only: which ones, and how likely a false one is found.
//!
//! With published states every layer can be recomputed by itself, by one machine or by several that
//! know nothing of each other. Whoever draws by a seed of its own gives the executor no layer to
//! feel safe in.

use protocol::hash::{Commitment as _, Keccak, Tag};

/// Layers to recompute, ascending: `wanted` of `count`, drawn by a seed that the executor must not
/// know before it posts its claim. All of them when there are not as many.
pub fn draw(count: u32, wanted: u32, seed: &[u8]) -> Vec<u32> {
    let wanted = wanted.min(count);
    let mut all: Vec<u32> = (0..count).collect();
    let mut drawn = Vec::with_capacity(wanted as usize);
    for number in 0..wanted {
        // Fisher and Yates: one of those that are left. 128 bits leave no bias worth a word.
        let digest = Keccak::tagged(Tag::Leaf, &[b"sample", seed, &number.to_be_bytes()]);
        let bits = digest.0.iter().take(16).fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        let place = (bits % all.len() as u128) as usize;
        drawn.push(all.swap_remove(place));
    }
    drawn.sort_unstable();
    drawn
}

/// Probability that at least one of `machines` finds a false layer, when each draws `wanted` of
/// `count` by itself and `false_layers` are false: `1 − (C(count − false, wanted) / C(count, wanted))^machines`.
pub fn detection_probability(count: u32, wanted: u32, false_layers: u32, machines: u32) -> f64 {
    let false_layers = false_layers.min(count);
    let missed: f64 = (0..wanted.min(count))
        .map(|drawn| {
            let left = f64::from(count - drawn);
            (left - f64::from(false_layers)).max(0.0) / left
        })
        .product();
    1.0 - missed.powi(i32::try_from(machines).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_holds_layers_once_and_follows_from_the_seed() {
        for (count, wanted) in [(1, 1), (7, 3), (7, 7), (7, 9), (200, 50), (3, 0)] {
            let layers = draw(count, wanted, b"a");
            assert_eq!(layers.len() as u32, wanted.min(count));
            assert!(layers.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(layers.iter().all(|layer| *layer < count));
            assert_eq!(layers, draw(count, wanted, b"a"));
        }
        assert_ne!(draw(200, 50, b"a"), draw(200, 50, b"b"));
    }

    #[test]
    fn the_probability_is_that_of_the_draws() {
        assert_eq!(detection_probability(7, 7, 1, 1), 1.0);
        assert_eq!(detection_probability(7, 0, 1, 5), 0.0);
        assert_eq!(detection_probability(7, 3, 0, 5), 0.0);
        assert!((detection_probability(10, 3, 1, 1) - 0.3).abs() < 1e-12);
        assert!((detection_probability(10, 3, 1, 2) - 0.51).abs() < 1e-12);
        // Two of ten false, three drawn: 1 - (8 · 7 · 6) / (10 · 9 · 8).
        assert!((detection_probability(10, 3, 2, 1) - 384.0 / 720.0).abs() < 1e-12);
        // As often as said: 10,000 draws with seeds of their own.
        let draws = 10_000u32;
        let found = (0..draws).filter(|seed| draw(10, 3, &seed.to_be_bytes()).contains(&4)).count();
        assert!((found as f64 / f64::from(draws) - 0.3).abs() < 0.02, "{found}");
    }
}
