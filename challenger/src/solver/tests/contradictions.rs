//! Layers whose inside is right while a state after them is not: the commitments contradict each
//! other, and nothing is recomputed.

use protocol::hash::{Digest, leaf};

use super::*;
use crate::testing::game::Game;
use crate::testing::models::{FIRST_OUTPUT, PASSING};

/// The root of something that nobody wrote.
fn nothing() -> Digest {
    leaf(b"nothing")
}

fn contradiction(value: u32, expected: Digest) -> Evidence {
    Evidence::Contradiction { iteration: 0, value, claimed: nothing(), expected }
}

/// The honest root at a place of a state.
fn root_at(game: &Game, boundary: u32, position: usize) -> Digest {
    game.own().state(boundary).unwrap().roots()[position]
}

#[test]
fn a_state_without_what_an_operator_wrote_contradicts_the_inside() {
    let game = game(&carried());
    let truth = root_at(&game, 1, 1);
    let evidence = game
        .says(|executor| executor.entry(1, 1, (FIRST_OUTPUT, nothing())))
        .disputed()
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(0))
        .showing(&["layer 0"])
        .answered()
        .expect_demand(state(1, 0, 0))
        .showing(&["layer 0", "trace", "state 1"])
        .because("the state after the layer differs")
        .parting_at(Some(0), None, None, None)
        .answered()
        .expect_refute(&Refutation::Binding { iteration: 0, layer: 0, operator: 0 })
        .showing(&["layer 0", "output 0 of layer 0", "value at 1 of state 1"])
        .building_on_asked()
        .because("the state does not hold what operator 0 wrote")
        .fraud();
    assert_eq!(evidence, contradiction(FIRST_OUTPUT, truth));
}

#[test]
fn an_operators_root_is_shown_when_no_opening_of_the_inside_shows_it() {
    // Of three operators, an opening of one level shows no output; the whole inside agrees.
    let game = game(&ladder(3)).with_levels(1);
    let (operator, truth) = (rung(1, 2), root_at(&game, 2, 0));
    let value = game.own().model().header().output_of(operator);
    let evidence = game
        .says(|executor| executor.entry(2, 0, (value, nothing())))
        .disputed()
        // That state 2 differs is seen beside the way of the last state; its root is not.
        .expect_demand(trace(1, 1))
        .answered()
        .expect_demand(inside(1))
        .showing(&["layer 1"])
        .answered()
        // A state of one value has its root for a leaf: the value itself is opened.
        .expect_demand(state(2, 0, 0))
        .because("the state after the layer differs")
        .answered()
        .expect_refute(&Refutation::Binding { iteration: 0, layer: 1, operator })
        .showing(&["layer 1", "output 2 of layer 1", "value at 0 of state 2"])
        .fraud();
    assert_eq!(evidence, contradiction(value, truth));
}

#[test]
fn the_output_state_is_held_to_the_last_layer() {
    let game = game(&carried());
    let value = game.own().model().header().output_of(3);
    let truth = root_at(&game, 3, 0);
    let evidence = game
        .says(|executor| executor.entry(3, 0, (value, nothing())))
        .disputed()
        // Its root is in the claim's terms.
        .expect_demand(inside(2))
        .answered()
        .expect_demand(state(3, 0, 0))
        .answered()
        .expect_refute(&Refutation::Binding { iteration: 0, layer: 2, operator: 3 })
        .fraud();
    assert_eq!(evidence, contradiction(value, truth));
}

#[test]
fn an_input_that_changes_on_its_way_contradicts_the_state_before() {
    let game = game(&carried());
    let truth = root_at(&game, 0, 1);
    let evidence = game
        .says(|executor| executor.entry(1, 0, (PASSING, nothing())))
        .disputed()
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(0))
        .answered()
        .expect_demand(state(1, 0, 0))
        .answered()
        .expect_refute(&Refutation::Carry { iteration: 0, layer: 0, value: PASSING })
        .showing(&["layer 0", "value at 1 of state 0", "value at 0 of state 1"])
        .because("value 1 passes through layer 0 and changes")
        .fraud();
    assert_eq!(evidence, contradiction(PASSING, truth));
}

#[test]
fn an_output_that_changes_in_a_later_layer_contradicts_the_state_before() {
    // Operator 0 wrote the value before layer 1; in its layer nothing is wrong.
    let game = game(&carried());
    let truth = root_at(&game, 1, 1);
    let evidence = game
        .says(|executor| executor.entry(2, 1, (FIRST_OUTPUT, nothing())))
        .disputed()
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(1))
        .answered()
        .expect_demand(state(2, 0, 0))
        .answered()
        .expect_refute(&Refutation::Carry { iteration: 0, layer: 1, value: FIRST_OUTPUT })
        .showing(&["layer 1", "trace", "state 1", "value at 1 of state 1", "value at 1 of state 2"])
        .fraud();
    assert_eq!(evidence, contradiction(FIRST_OUTPUT, truth));
}

#[test]
fn the_state_before_is_shown_also_when_others_opened_it() {
    game(&carried())
        .says(|executor| executor.entry(1, 0, (PASSING, nothing())))
        .disputed()
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(0))
        .knowing(&[state(0, 0, 0)])
        .answered()
        .expect_demand(state(1, 0, 0))
        .answered()
        .expect_refute(&Refutation::Carry { iteration: 0, layer: 0, value: PASSING })
        .showing(&["layer 0", "value at 1 of state 0", "value at 0 of state 1"])
        .fraud();
}

#[test]
fn another_value_than_the_models_is_refuted_by_its_id() {
    for (boundary, position, found, value) in [(1, 0, 0, PASSING), (2, 2, 99, 4), (3, 0, 5, 6)] {
        let claim = game(&carried())
            .says(|executor| executor.entry(boundary, position, (found, nothing())));
        let mut dispute = claim.disputed();
        if boundary < 3 {
            dispute = dispute.expect_demand(trace(0, 0)).answered();
        }
        let evidence = dispute
            .expect_demand(inside(boundary - 1))
            .answered()
            .expect_demand(state(boundary, 0, 0))
            .answered()
            .expect_refute(&Refutation::StateValue { iteration: 0, boundary, position })
            .showing(&[
                &format!("layer {}", boundary - 1),
                &format!("value at {position} of state {boundary}"),
            ])
            .building_on_asked()
            .because(&format!("value {found} stands where {value} must"))
            .fraud();
        assert_eq!(
            evidence,
            Evidence::StateValue { iteration: 0, boundary, claimed: found, expected: value }
        );
    }
}

#[test]
fn a_state_is_opened_as_deep_as_it_is() {
    // Three values, one level an opening: the last stands under the right half.
    let value = game(&carried()).own().model().header().output_of(1);
    for (position, value, node, refutation) in [
        (0, PASSING, 0, Refutation::Carry { iteration: 0, layer: 1, value: PASSING }),
        (1, FIRST_OUTPUT, 0, Refutation::Carry { iteration: 0, layer: 1, value: FIRST_OUTPUT }),
        (2, value, 1, Refutation::Binding { iteration: 0, layer: 1, operator: 1 }),
    ] {
        game(&carried())
            .with_levels(1)
            .says(|executor| executor.entry(2, position, (value, nothing())))
            .disputed()
            .expect_demand(trace(1, 1))
            .answered()
            .expect_demand(inside(1))
            .answered()
            .expect_demand(state(2, 0, 0))
            .answered()
            .expect_demand(state(2, 1, node))
            .because("the state after the layer differs")
            .answered()
            .expect_refute(&refutation)
            .fraud();
    }
}

#[test]
fn of_two_false_values_the_first_is_refuted() {
    game(&carried())
        .says(|executor| {
            executor.entry(2, 2, (4, nothing()));
            executor.entry(2, 1, (FIRST_OUTPUT, nothing()));
        })
        .disputed()
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(1))
        .answered()
        .expect_demand(state(2, 0, 0))
        .answered()
        .expect_refute(&Refutation::Carry { iteration: 0, layer: 1, value: FIRST_OUTPUT })
        .fraud();
}

#[test]
fn a_state_that_nobody_can_open_is_demanded_for_ever() {
    // A root out of the air, as of states that were never computed: only silence is left.
    let dispute = game(&carried())
        .says(|executor| executor.state_root(1, nothing()))
        .disputed()
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(0))
        .answered()
        .expect_demand(state(1, 0, 0));
    let honest = dispute.statement.answer(dispute.asked.as_ref().unwrap(), 6);
    dispute.rejects_answer(&honest).expect_demand(state(1, 0, 0));
}

#[test]
fn of_several_false_states_the_first_is_followed() {
    let network = ladder(7);
    for (first, others) in [(1, vec![2, 3]), (3, vec![7]), (4, vec![5, 6]), (7, vec![])] {
        for levels in [1, 2, 6] {
            let game = game(&network).with_levels(levels).says(|executor| {
                others.iter().for_each(|at| executor.state_root(*at, nothing()));
                let value = executor.run().model().live_values(first).unwrap()[0];
                executor.entry(first, 0, (value, nothing()));
            });
            let (_, refuted) = game.disputed().played_out();
            let (layer, operator) = (first - 1, rung(first - 1, 2));
            assert_eq!(refuted.refutation, Refutation::Binding { iteration: 0, layer, operator });
            refuted.fraud();
        }
    }
}

#[test]
fn an_error_inside_is_followed_before_a_state_that_contradicts_it() {
    // Layer 1 is wrong inside, and its state holds something else again.
    let network = ladder(3);
    let operator = rung(1, 1);
    let (_, refuted) = game(&network)
        .computes_wrongly(operator, 70)
        .says(|executor| {
            let value = executor.run().model().header().output_of(rung(1, 2));
            executor.entry(2, 0, (value, nothing()));
        })
        .disputed()
        .played_out();
    refuted.parting_at(1, operator, 70, 0).fraud();
}
