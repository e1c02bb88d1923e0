//! What a conviction takes: demands, and bytes of the transaction that ends it.

use super::*;
use crate::testing::game::Game;
use crate::testing::models::{FIRST_OUTPUT, PASSING, summed};
use crate::testing::questions::Question;

/// Demands, and bytes of the refutation.
fn taken(claim: Game) -> (usize, usize) {
    let (questions, refuted) = claim.disputed().played_out();
    let taken = (questions.len(), refuted.bytes);
    let said = |question: &&Question| matches!(question, Question::Say(_));
    // The inside of a layer, and the sums of an element, are said once each.
    assert!(questions.iter().filter(said).count() <= 2);
    refuted.fraud();
    taken
}

#[test]
fn a_conviction_takes_few_demands_and_bytes() {
    let nothing = protocol::hash::leaf(b"nothing");
    let (ladder, carried, summed) = (ladder(10), carried(), summed());
    let false_sums: Vec<u64> = {
        let words = summed.honest().accumulators(2, 1).unwrap().to_vec();
        words.iter().map(|word| word ^ (1 << 20)).collect()
    };
    let claims = [
        ("a step", game(&ladder).computes_wrongly(rung(4, 1), 100), 3, 1_800),
        (
            "a step that reads the state before",
            game(&ladder).computes_wrongly(rung(4, 0), 100),
            3,
            2_000,
        ),
        ("the end of a sum", game(&summed).computes_wrongly(2, 1), 4, 1_100),
        (
            "a false sum",
            game(&summed).computes_wrongly(2, 1).says(|executor| executor.sums(2, 1, false_sums)),
            4,
            1_200,
        ),
        (
            "a binding",
            game(&carried).says(|executor| executor.entry(1, 1, (FIRST_OUTPUT, nothing))),
            3,
            450,
        ),
        (
            "a value that passes",
            game(&carried).says(|executor| executor.entry(1, 0, (PASSING, nothing))),
            3,
            450,
        ),
    ];
    for (name, claim, demands, bytes_max) in claims {
        let (found, bytes) = taken(claim);
        assert_eq!(found, demands, "{name}");
        assert!(bytes <= bytes_max, "{name}: {bytes} bytes");
    }
}
