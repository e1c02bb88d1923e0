//! What the executor published saves demands, as far as the claim's commitments confirm it.

use protocol::hash::leaf;

use super::*;
use crate::honest_view::Announcement;
use crate::testing::models::{Sketch, Source, f32s, map};
use crate::testing::statement::{Statement, with_other};
use protocol::graph::{Fold, MapFunction};

/// The state roots alone.
fn roots_of(statement: &Statement) -> Announcement {
    Announcement { state_roots: statement.state_roots().to_vec(), ..Announcement::default() }
}

/// The outputs alone.
fn outputs_of(statement: &Statement) -> Announcement {
    Announcement { state_roots: Vec::new(), ..statement.announced() }
}

#[test]
fn published_state_roots_stand_for_the_opened_trace() {
    for layer in [4, 0, 9] {
        let operator = rung(layer, 0);
        let position = format!("output 0 of layer {layer}");
        game(&ladder(10))
            .computes_wrongly(operator, 0)
            .publishes(roots_of)
            .disputed()
            .expect_demand(inside(layer))
            .showing(&[&format!("layer {layer}")])
            .answered()
            .expect_demand(output_leaves(operator, 0, 0))
            .showing(&[&format!("operator {operator}"), &format!("layer {layer}"), &position]);
    }
}

#[test]
fn a_published_state_root_is_shown_with_its_way_when_a_step_reads_the_state() {
    let (_, refuted) = game(&ladder(10))
        .computes_wrongly(rung(4, 0), 0)
        .publishes(roots_of)
        .disputed()
        .played_out();
    let step = ["layer 4", "operator 12", "leaf 0 of operator 12"];
    refuted.showing(&[&step[..], &["trace", "state 4"]].concat()).fraud();
}

#[test]
fn published_state_roots_that_the_claim_does_not_confirm_are_as_good_as_none() {
    cov_mark::check!(published_trace_is_not_the_claims);
    let network = ladder(10);
    let claim = game(&network).computes_wrongly(rung(4, 0), 0);
    let wrong = |executor: &Statement| {
        let mut announced = roots_of(executor);
        announced.state_roots[7] = leaf(b"nothing");
        announced
    };
    claim.clone().publishes(wrong).disputed().expect_demand(trace(0, 0)).showing(&["trace"]);
    let short = |executor: &Statement| {
        let mut announced = roots_of(executor);
        announced.state_roots.pop();
        announced
    };
    claim.publishes(short).disputed().expect_demand(trace(0, 0)).showing(&["trace"]);
}

#[test]
fn published_roots_of_a_claim_that_agrees_change_nothing() {
    let claim = game(&ladder(3)).publishes(roots_of);
    claim.disputed().expect_error(&SolveError::NothingDiffers);
}

#[test]
fn a_published_output_stands_for_its_openings_and_its_leaf() {
    let operator = rung(4, 1);
    for (element, leaf) in [(0, 0), (63, 0), (64, 1), (100, 1), (149, 2)] {
        game(&ladder(10))
            .computes_wrongly(operator, element)
            .publishes(Statement::announced)
            .disputed()
            .expect_demand(inside(4))
            .answered()
            .expect_step(operator, element, 0)
            .showing(&[
                "layer 4",
                "operator 13",
                "output 1 of layer 4",
                &format!("leaf {leaf} of operator 13"),
            ])
            .parting_at(4, operator, element, 0)
            .fraud();
    }
}

#[test]
fn published_outputs_do_not_stand_for_the_trace() {
    game(&ladder(10))
        .computes_wrongly(rung(4, 1), 100)
        .publishes(outputs_of)
        .disputed()
        .expect_demand(trace(0, 0));
}

#[test]
fn an_output_published_under_another_root_is_not_used() {
    cov_mark::check!(published_output_has_another_shape);
    // What was published is another run's, or of another shape than the model's.
    let operator = rung(4, 1);
    let claim = game(&ladder(10)).computes_wrongly(operator, 100);
    let other_run = |executor: &Statement| {
        let mut announced = roots_of(executor);
        announced.add(with_other(executor.run().output(operator).unwrap(), 3));
        announced
    };
    let other_shape = |executor: &Statement| {
        let mut announced = roots_of(executor);
        announced.tensors.insert(executor.output_root(operator), floats(&[10, 15], 1));
        announced
    };
    for announced in [claim.clone().publishes(other_run), claim.publishes(other_shape)] {
        announced
            .disputed()
            .expect_demand(inside(4))
            .answered()
            .expect_demand(output_leaves(operator, 0, 0))
            .showing(&["operator 13", "layer 4", "output 1 of layer 4"]);
    }
}

#[test]
fn running_sums_are_demanded_though_the_output_is_published() {
    let network = Sketch::new(vec![floats(&[3, 150], 1)], vec![floats(&[3, 150], 2)])
        .layer(vec![
            (map(MapFunction::Add), vec![Source::Input(0), Source::Weight(0)], f32s(&[3, 150])),
            (
                protocol::graph::Operator::Reduce { fold: Fold::Sum },
                vec![Source::Operator(0)],
                f32s(&[3]),
            ),
        ])
        .build();
    game(&network)
        .computes_wrongly(1, 2)
        .publishes(Statement::announced)
        .disputed()
        .expect_demand(inside(0))
        .answered()
        .expect_demand(sums(1, 2))
        .showing(&["operator 1"])
        .because("element 2 of operator 1 differs")
        .answered()
        .expect_step(1, 2, 3)
        .showing(&["layer 0", "operator 1", "output 1 of layer 0", "leaf 0 of operator 1"])
        .fraud();
}
