//! Claims on inputs for which an operator has no result: each is followed to the element without one, or to an
//! earlier lie.

use super::*;
use crate::testing::game::{End, Game, game_without_result};
use crate::testing::statement::Statement;
use crate::testing::undefined::{UNDEFINED, Undefined, all, token_outside};

/// The layer of the operator without a result.
const LAYER: u32 = 1;

/// An executor that invents ones, for an operator's sums too: the true ones as long as there are some.
fn invents(case: &Undefined, places: &[(u32, u64)]) -> Game {
    let game = game_without_result(&case.network, places);
    let words = match game.own().accumulators(UNDEFINED, case.element) {
        Ok(begun) => begun.to_vec(),
        Err(_) => return game,
    };
    game.says(|executor| {
        let mut words = words;
        // Three segments of 32 lanes.
        words.resize(96, 1);
        executor.sums(UNDEFINED, case.element, words);
    })
}

/// The claim falls at the element without a result, for which the referee expects nothing.
fn falls_there(case: &Undefined, game: Game) {
    let (requests, refuted) = game.disputed().played_out();
    let place = (UNDEFINED, case.element, case.segment);
    let refuted = refuted.parting_at(LAYER, place.0, place.1, place.2);
    let Evidence::Step { operator, element, segment, expected, .. } = refuted.fraud() else {
        panic!("{}: {requests:?}", case.name)
    };
    assert_eq!((operator, element, segment), place, "{}", case.name);
    assert_eq!(expected, None, "{}", case.name);
}

#[test]
fn audit_a2_invented_states_fall_at_the_element_without_a_result() {
    for case in all() {
        for levels in [1, 2, 6] {
            falls_there(&case, invents(&case, &[]).with_levels(levels));
            // Whatever it says of the elements before, and of the operators after.
            let others = [(UNDEFINED, 0), (UNDEFINED + 1, 0), (UNDEFINED + 2, 1)];
            falls_there(&case, invents(&case, &others).with_levels(levels));
        }
    }
}

#[test]
fn audit_a2_a_lie_before_the_undefined_element_is_followed_first() {
    for case in all() {
        for (places, layer) in [(vec![(0, 0)], 0), (vec![(1, 0)], LAYER), (vec![(1, 0), (0, 0)], 0)]
        {
            for levels in [1, 6] {
                let game = invents(&case, &places).with_levels(levels);
                let (_, refuted) = game.disputed().played_out();
                let refuted = refuted.parting_at(layer, layer, 0, 0);
                let Evidence::Step { expected: Some(_), .. } = refuted.fraud() else {
                    panic!("{}: the earlier step has a result", case.name)
                };
            }
        }
    }
}

#[test]
fn audit_a2_honest_states_before_and_anything_after_fall_as_well() {
    for case in all() {
        let garbage = |executor: &mut Statement| {
            for boundary in [2, 3] {
                executor.state_root(boundary, protocol::hash::leaf(&[boundary as u8]));
            }
        };
        falls_there(&case, invents(&case, &[]).says(garbage));
        // A state before that nobody can open: the executor has no answer.
        let before = |executor: &mut Statement| {
            executor.state_root(1, protocol::hash::leaf(b"another"));
        };
        let End::Silent = invents(&case, &[]).says(before).disputed().lost() else {
            panic!("{}", case.name)
        };
    }
}

#[test]
fn audit_a2_what_was_published_of_an_invented_run_is_used() {
    for case in all() {
        let game = invents(&case, &[]).publishes(|executor| executor.announced());
        let (requests, _) = game.clone().disputed().played_out();
        // Neither the states nor the outputs are asked for; of a sum, its sums are.
        let asks_little = requests.iter().all(|question| {
            let is_said = matches!(question, crate::testing::questions::Question::Say(_));
            is_said && requests.len() <= 2
        });
        assert!(asks_little, "{}: {requests:?}", case.name);
        falls_there(&case, game);
    }
}

#[test]
fn audit_a2_sums_that_lie_before_they_have_no_result_fall_where_they_lie() {
    let case = all().into_iter().find(|case| case.name == "sum in a lane").unwrap();
    let game = invents(&case, &[]).says(|executor| {
        executor.sums(UNDEFINED, case.element, vec![3; 96]);
    });
    let (requests, refuted) = game.disputed().played_out();
    assert_eq!(requests.last(), Some(&sums(UNDEFINED, case.element)));
    let Evidence::Step { segment: 0, expected: Some(_), .. } = refuted.fraud() else { panic!() };
}

#[test]
fn audit_a2_a_token_outside_the_vocabulary_is_asked_for_at_once() {
    let case = token_outside();
    let game = game_without_result(&case.network, &[]).with_levels(1);
    let refuted = game
        .disputed()
        // The state before the first layer is the job's input: no state needs to be opened.
        .expect_demand(inside(0))
        .showing(&["layer 0"])
        .parting_at(Some(0), None, None, None)
        .answered()
        // What the executor invented instead does not matter, and is not looked at.
        .expect_step(0, 210, 0)
        .showing(&["layer 0", "operator 0"])
        .parting_at(0, 0, 210, 0)
        .because("gather has no result for element 210 (segment 0)");
    let Evidence::Step { expected: None, .. } = refuted.fraud() else { panic!() };
}

#[test]
fn audit_a2_every_claim_on_a_job_without_a_result_differs() {
    let case = token_outside();
    for places in [vec![], vec![(0, 0)], vec![(1, 69)], vec![(0, 210), (1, 0)]] {
        for levels in [1, 6] {
            let game = game_without_result(&case.network, &places).with_levels(levels);
            let (_, refuted) = game.disputed().played_out();
            refuted.parting_at(0, 0, 210, 0).fraud();
        }
    }
}
