//! Disputes as games: what the executor claims, and move by move what the solver does about it.

mod announced;
mod any_claim;
mod contradictions;
mod known;
mod misfits;
mod no_result;
mod operators;
mod sizes;

use protocol::asks::{Answer, Evidence, Refutation, Showing};
use protocol::tensor::{ElementType, leaf_element, pack_leaf};

use super::*;
use crate::testing::game::game;
use crate::testing::models::{RUNGS, carried, floats, ladder};
use crate::testing::questions::{
    inside, inside_node, output, output_leaves, state, sums, sums_leaves, sums_node, trace,
};
use crate::testing::statement::other_bits;

/// The operator at a position of a layer of a ladder.
fn rung(layer: u32, position: u32) -> u32 {
    layer * RUNGS + position
}

#[test]
fn a_wrong_element_is_followed_from_the_trace_down_to_its_step() {
    let operator = rung(20, 1);
    let game = game(&ladder(40)).computes_wrongly(operator, 100).with_levels(2);
    let truth = game.own().output(operator).unwrap().bits(100).unwrap();
    let evidence = game
        .disputed()
        // The ways of the first and of the last state were shown when the claim was posted.
        .expect_demand(trace(2, 1))
        .showing(&["trace"])
        .because("the traces differ below this node")
        .parting_at(None, None, None, None)
        .answered()
        .expect_demand(trace(4, 5))
        .showing(&[])
        .building_on_asked()
        .answered()
        .expect_demand(inside(20))
        .showing(&["layer 20"])
        .because("layer 20 is the first whose result differs")
        .parting_at(Some(20), None, None, None)
        .answered()
        .expect_demand(output(operator, 0, 0))
        .showing(&["operator 61", "layer 20", "output 1 of layer 20"])
        .building_on_asked()
        .because("the outputs of operator 61 differ below")
        .parting_at(Some(20), Some(operator), None, None)
        .answered()
        .expect_demand(output_leaves(operator, 2, 1))
        .showing(&[])
        .building_on_asked()
        .because("leaf 1 of operator 61 is the first that differs")
        .answered()
        .expect_step(operator, 100, 0)
        .showing(&["layer 20", "operator 61", "leaf 1 of operator 61"])
        .building_on_asked()
        .because("multiply gives another element 100 (segment 0)")
        .parting_at(20, operator, 100, 0)
        .fraud();
    assert_eq!(
        evidence,
        Evidence::Step {
            iteration: 0,
            operator,
            element: 100,
            segment: 0,
            claimed: vec![other_bits(ElementType::F32, truth)],
            expected: Some(vec![truth]),
            multiply_adds: 1,
        }
    );
}

#[test]
fn each_opening_goes_down_as_many_levels_as_the_ledger_says() {
    let operator = rung(4, 1);
    for (levels, expected) in [
        (
            1,
            vec![
                trace(2, 1),
                trace(3, 2),
                inside(4),
                inside_node(4, 1, 0),
                output(operator, 0, 0),
                output(operator, 1, 0),
                output_leaves(operator, 2, 1),
            ],
        ),
        (3, vec![trace(2, 1), inside(4), output(operator, 0, 0), output_leaves(operator, 2, 1)]),
        // From four levels on an answer shows several leaves: here all of the output.
        (4, vec![trace(0, 0), inside(4), output(operator, 0, 0), output_leaves(operator, 1, 0)]),
        (6, vec![trace(0, 0), inside(4), output_leaves(operator, 0, 0)]),
    ] {
        let game = game(&ladder(10)).computes_wrongly(operator, 100).with_levels(levels);
        let (requests, refuted) = game.disputed().played_out();
        assert_eq!(requests, expected, "{levels} levels");
        refuted.parting_at(4, operator, 100, 0).fraud();
    }
}

#[test]
fn a_wrong_element_is_found_at_every_place_of_a_run() {
    let network = ladder(4);
    for layer in 0..4 {
        for position in 0..RUNGS {
            for (element, levels) in [(0, 1), (63, 2), (64, 6), (149, 1)] {
                let operator = rung(layer, position);
                let (_, refuted) = game(&network)
                    .computes_wrongly(operator, element)
                    .with_levels(levels)
                    .disputed()
                    .played_out();
                refuted.parting_at(layer, operator, element, 0).fraud();
            }
        }
    }
}

#[test]
fn of_several_errors_the_first_is_followed() {
    let network = ladder(6);
    for (places, first) in [
        // In two layers, the later one given first.
        (vec![(rung(4, 0), 0), (rung(2, 2), 7)], (rung(2, 2), 7)),
        // In two operators of a layer.
        (vec![(rung(3, 2), 0), (rung(3, 1), 149)], (rung(3, 1), 149)),
        // In two leaves of an output.
        (vec![(rung(1, 1), 140), (rung(1, 1), 70)], (rung(1, 1), 70)),
        // In two elements of a leaf.
        (vec![(rung(5, 2), 12), (rung(5, 2), 11)], (rung(5, 2), 11)),
    ] {
        for levels in [1, 6] {
            let game = game(&network).computes_all_wrongly(&places).with_levels(levels);
            let (_, refuted) = game.disputed().played_out();
            refuted.parting_at(first.0 / RUNGS, first.0, first.1, 0).fraud();
        }
    }
}

#[test]
fn nothing_is_demanded_of_a_claim_that_agrees() {
    game(&ladder(3)).disputed().expect_error(&SolveError::NothingDiffers);
    // Nor when others have demanded openings of it.
    let requests = [trace(0, 0)];
    let dispute = game(&ladder(3)).disputed().knowing(&requests);
    dispute.expect_error(&SolveError::NothingDiffers);
}

#[test]
fn between_a_single_layer_and_the_bound_states_the_trace_is_not_opened() {
    // Input and output are bound by the claim itself: with one layer the inside is next.
    game(&ladder(1))
        .computes_wrongly(1, 3)
        .disputed()
        .expect_demand(inside(0))
        .showing(&["layer 0"])
        .answered()
        .expect_demand(output_leaves(1, 0, 0))
        .showing(&["operator 1", "layer 0", "output 1 of layer 0"])
        .answered()
        .expect_step(1, 3, 0)
        .fraud();
}

#[test]
fn the_state_before_a_layer_is_shown_when_the_step_reads_it() {
    for levels in [1, 2, 6] {
        for (layer, position, shown) in [
            (7, 0, &["trace", "state 7"][..]),
            // Both operands are inside the layer, or weights.
            (7, 1, &[]),
            // The input state is in the claim's terms.
            (0, 0, &[]),
        ] {
            let operator = rung(layer, position);
            let dispute = game(&ladder(15)).computes_wrongly(operator, 0).with_levels(levels);
            let (_, refuted) = dispute.disputed().played_out();
            let step = [
                format!("layer {layer}"),
                format!("operator {operator}"),
                format!("leaf 0 of operator {operator}"),
            ];
            let mut expected: Vec<&str> = step.iter().map(String::as_str).collect();
            expected.extend(shown);
            refuted.showing(&expected).building_on_asked().fraud();
        }
    }
}

#[test]
fn every_move_proves_itself_though_the_ledger_saw_the_same_before() {
    let operator = rung(1, 0);
    let ways = ["operator 3", "layer 1", "output 0 of layer 1"];
    game(&ladder(3))
        .computes_wrongly(operator, 0)
        .with_levels(1)
        .disputed()
        .knowing(&[trace(0, 0), trace(1, 0), trace(1, 1), inside(1), inside_node(1, 1, 0)])
        .expect_demand(output(operator, 0, 0))
        .showing(&ways)
        .answered()
        // From what was asked last the way is short.
        .expect_demand(output(operator, 1, 0))
        .showing(&[])
        .building_on_asked();
}

#[test]
fn a_silent_executor_is_asked_the_same_again() {
    let operator = rung(1, 0);
    game(&ladder(3))
        .computes_wrongly(operator, 0)
        .disputed()
        .expect_demand(trace(0, 0))
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(1))
        .expect_demand(inside(1))
        .answered()
        .expect_demand(output_leaves(operator, 0, 0))
        .expect_demand(output_leaves(operator, 0, 0));
}

#[test]
fn an_answer_that_is_not_what_was_committed_changes_nothing() {
    let network = ladder(3);
    let operator = rung(1, 0);
    let honest = game(&network).disputed().statement;
    let roots = honest.state_roots().to_vec();
    let true_roots = Answer::Roots { roots };
    let ask = honest.ask(output_leaves(operator, 0, 0)).unwrap();
    let true_leaves = honest.answer(&ask, 6);
    game(&network)
        .computes_wrongly(operator, 0)
        .disputed()
        .expect_demand(trace(0, 0))
        // What the challenger knows to be true was not committed.
        .rejects_answer(&true_roots)
        .rejects_answer(&Answer::Leaves { leaves: vec![[0; 256]; 4] })
        .expect_demand(trace(0, 0))
        .answered()
        .expect_demand(inside(1))
        .answered()
        .expect_demand(output_leaves(operator, 0, 0))
        .rejects_answer(&true_leaves)
        .expect_demand(output_leaves(operator, 0, 0));
}

#[test]
fn an_inside_that_has_nothing_to_do_with_the_states_is_refuted_by_itself() {
    // The executor shows other outputs than those that led to its state.
    let network = ladder(3);
    let (written, shown) = (rung(1, 2), rung(1, 1));
    let (_, refuted) = game(&network)
        .computes_wrongly(written, 5)
        .says(|executor| {
            let other = floats(&[150], 9);
            executor.output(shown, &other);
        })
        .disputed()
        .played_out();
    let Refutation::Step { operator, .. } = refuted.refutation else { panic!("{refuted:?}") };
    assert_eq!(operator, shown);
    refuted.fraud();
}

#[test]
fn bits_that_no_stored_value_has_are_refuted_as_they_are() {
    cov_mark::check!(leaf_holds_what_no_value_has);
    let network = ladder(2);
    let operator = rung(1, 2);
    let honest = game(&network).disputed().statement;
    let ask = honest.ask(output_leaves(operator, 2, 2)).unwrap();
    let Answer::Leaves { leaves } = honest.answer(&ask, 6) else { panic!() };
    let bytes = leaves[0];
    // The last leaf of a row of 150 holds 22 floats.
    for (place, bits) in [(3, 0x8000_0000), (21, 1), (22, 0x3F80_0000), (63, 1)] {
        let elements = (0..64).map(|at| leaf_element(ElementType::F32, &bytes, at).unwrap());
        let mut elements: Vec<u64> = elements.collect();
        elements[place] = bits;
        game(&network)
            .says(|executor| {
                executor.leaf(operator, 2, pack_leaf(ElementType::F32, elements.clone()));
                executor.write_to_states(operator);
            })
            .disputed()
            .expect_demand(inside(1))
            .answered()
            .expect_demand(output_leaves(operator, 0, 0))
            .answered()
            .expect_refute(&Refutation::Leaf { iteration: 0, operator, leaf: 2 })
            .showing(&["operator 5", "leaf 2 of operator 5"])
            .building_on_asked()
            .because("leaf 2 holds bits that no stored value has")
            .fraud();
    }
}

#[test]
fn an_error_inside_a_layer_that_does_not_reach_its_end_differs_in_nothing() {
    // What is wrong inside a layer and right after it is not claimed.
    let dispute = game(&ladder(2)).says(|executor| {
        executor.output(rung(0, 1), &floats(&[150], 9));
    });
    dispute.disputed().expect_error(&SolveError::NothingDiffers);
}
