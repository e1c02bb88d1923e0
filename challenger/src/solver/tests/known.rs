//! What others opened or showed already is not demanded again; each move shows by itself what it builds on.

use super::*;
use crate::testing::game::Dispute;

/// Layer 4 of ten has an error in the second leaf of its second operator.
fn dispute() -> (u32, Dispute) {
    let operator = rung(4, 1);
    (operator, game(&ladder(10)).computes_wrongly(operator, 100).with_levels(2).disputed())
}

/// The state root at a boundary, with its whole path.
fn state_leaf(dispute: &Dispute, boundary: u32) -> Showing {
    dispute.statement.state_showing(boundary)
}

/// States with their whole paths, and the trace that has them.
fn shown_states(dispute: &Dispute, boundaries: &[u32]) -> Vec<Showing> {
    let states = boundaries.iter().map(|boundary| state_leaf(dispute, *boundary));
    std::iter::once(dispute.statement.trace_showing()).chain(states).collect()
}

#[test]
fn a_trace_that_others_opened_is_not_opened_again() {
    let (_, dispute) = dispute();
    dispute.knowing(&[trace(0, 0)]).expect_demand(trace(2, 1));
    let (_, dispute) = self::dispute();
    dispute.knowing(&[trace(0, 0), trace(2, 1)]).expect_demand(inside(4)).showing(&["layer 4"]);
}

#[test]
fn openings_beside_the_way_change_nothing() {
    let (_, dispute) = dispute();
    dispute
        .knowing(&[trace(0, 0), trace(2, 0), trace(2, 2)])
        .expect_demand(trace(2, 1))
        .showing(&["trace"]);
}

#[test]
fn two_states_that_others_showed_stand_for_the_opened_trace() {
    let (_, dispute) = dispute();
    let shown = shown_states(&dispute, &[4, 5]);
    dispute.shown_by_others(&shown).expect_demand(inside(4)).showing(&["layer 4"]);
}

#[test]
fn a_shown_state_tells_no_more_than_what_stands_beside_its_way() {
    for (boundary, next) in [
        // That state 5 differs is seen beside it, its root is not.
        (4, trace(2, 1)),
        // That state 4 agrees is seen beside it.
        (5, inside(4)),
        // State 8 differs; whether it is the first is not known.
        (8, trace(2, 1)),
    ] {
        let (_, dispute) = dispute();
        let shown = shown_states(&dispute, &[boundary]);
        dispute.shown_by_others(&shown).expect_demand(next);
    }
}

#[test]
fn what_an_accomplice_asked_deep_in_a_tree_is_of_use_to_everybody() {
    // It asks for a node deep in the trace and must show its way up; the answer shows two states below it, between
    // which the run goes wrong.
    let nothing = protocol::hash::leaf(b"nothing");
    let claim = game(&ladder(20)).with_levels(1).says(|executor| {
        executor.state_root(3, nothing);
        executor.state_root(9, nothing);
        executor.state_root(17, nothing);
    });
    let dispute = claim.disputed().knowing(&[trace(4, 4)]);
    let states = [8, 9].map(|boundary| dispute.known.root(&trees::state(0, boundary)));
    assert!(states.iter().all(Option::is_some));
    dispute.expect_demand(inside(8)).showing(&["layer 8"]);
}

#[test]
fn the_first_of_the_shown_divergences_is_taken() {
    // State 3 is wrong, state 4 right again, state 6 wrong: others showed the pairs.
    let nothing = protocol::hash::leaf(b"nothing");
    let dispute = game(&ladder(7))
        .says(|executor| {
            executor.state_root(3, nothing);
            executor.state_root(6, nothing);
        })
        .disputed();
    let late = dispute.clone().shown_by_others(&shown_states(&dispute, &[5, 6]));
    late.expect_demand(inside(5)).showing(&["layer 5"]);
    let both = dispute.clone().shown_by_others(&shown_states(&dispute, &[6, 5, 3, 2]));
    both.expect_demand(inside(2)).showing(&["layer 2"]);
}

#[test]
fn of_the_differences_that_are_begun_the_one_nearest_to_its_end_is_taken() {
    // The last operators of layers 1 and 5 are wrong, each in a state of its own.
    let network = ladder(7);
    let dispute = game(&network)
        .says(|executor| {
            for operator in [rung(1, 2), rung(5, 2)] {
                let output = executor.run().output(operator).unwrap().clone();
                executor.output(operator, &crate::testing::statement::with_other(&output, 0));
                executor.write_to_states(operator);
            }
        })
        .disputed();
    let dispute = dispute.clone().shown_by_others(&shown_states(&dispute, &[1, 2, 5, 6]));
    // Where none is begun, or both are as far, the first is taken.
    dispute.clone().expect_demand(inside(1));
    let both = dispute.clone().knowing(&[inside(1), inside(5)]);
    both.clone().expect_demand(output_leaves(rung(1, 2), 0, 0));
    dispute.knowing(&[inside(5)]).expect_demand(output_leaves(rung(5, 2), 0, 0));
    let nearer = both.knowing(&[output_leaves(rung(5, 2), 0, 0)]);
    nearer.expect_step(rung(5, 2), 0, 0).fraud();
}

#[test]
fn a_layer_and_an_operator_that_others_showed_are_shown_again() {
    let (operator, dispute) = dispute();
    let model = std::sync::Arc::clone(dispute.honest_view.model());
    let layer = Showing::Layer { proof: model.layer_proof(4).unwrap() };
    let node = Showing::Operator { proof: model.node_proof(operator).unwrap() };
    dispute
        .shown_by_others(&[layer, node])
        .knowing(&[trace(0, 0), trace(2, 1)])
        .expect_demand(inside(4))
        .showing(&["layer 4"])
        .answered()
        .expect_demand(output(operator, 0, 0))
        .showing(&["operator 13", "layer 4", "output 1 of layer 4"]);
}

#[test]
fn an_opened_inside_leads_to_the_operator_at_once() {
    let (operator, dispute) = dispute();
    let layer = Showing::Layer { proof: dispute.honest_view.model().layer_proof(4).unwrap() };
    dispute
        .shown_by_others(&[layer])
        .knowing(&[trace(0, 0), trace(2, 1), inside(4)])
        .expect_demand(output(operator, 0, 0))
        .showing(&["operator 13", "layer 4", "output 1 of layer 4"]);
}

#[test]
fn with_everything_open_the_solver_refutes_without_a_demand() {
    let (operator, dispute) = dispute();
    let (_, refuted) = dispute.played_out();
    let known = refuted.dispute;
    let ways = ["layer 4", "operator 13", "leaf 1 of operator 13"];
    known.clone().expect_step(operator, 100, 0).showing(&ways).building_on_asked().fraud();
    // Who has asked for nothing itself proves the whole way.
    let other = known.of_another_challenger();
    let ways = ["layer 4", "operator 13", "output 1 of layer 4", "leaf 1 of operator 13"];
    other.expect_step(operator, 100, 0).showing(&ways).fraud();
}

#[test]
fn a_challenger_goes_on_where_another_stopped() {
    // After each move of one, another with the same run goes on: the rest is the same.
    let (_, dispute) = dispute();
    let (questions, _) = dispute.clone().played_out();
    let mut first = dispute;
    for (number, question) in questions.iter().enumerate() {
        // It has asked for nothing itself.
        let other = first.clone().of_another_challenger();
        let (rest, refuted) = other.played_out();
        assert_eq!(rest, questions[number..], "after {number} moves");
        refuted.fraud();
        first = first.expect_demand(*question).answered();
    }
}
