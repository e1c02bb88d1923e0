//! Challengers whose own run does not fit the claim: they get stuck, or the referee refuses them; no
//! honest claim falls.

use std::sync::Arc;

use inference::{ComputePolicy, Engine, EngineError, Model, Run, RunError, Tensor};
use protocol::graph::MapFunction;

use super::*;
use crate::testing::models::{Network, Sketch, Source, WIDTH, engine, f32s, map};
use crate::testing::statement::Wrong;

/// Three layers of two operators on the input and the weights of [`ladder`].
fn steps(function: MapFunction) -> Network {
    let row = f32s(&[WIDTH]);
    let mut sketch = Sketch::new(vec![floats(&[WIDTH], 1)], vec![floats(&[WIDTH], 2)]);
    for layer in 0..3 {
        let x = if layer == 0 { Source::Input(0) } else { Source::Operator(2 * layer - 1) };
        let weight = Source::Weight(0);
        sketch = sketch.layer(vec![
            (map(MapFunction::Add), vec![x, weight], row.clone()),
            (map(function), vec![Source::Operator(2 * layer), weight], row.clone()),
        ]);
    }
    sketch.build()
}

#[test]
fn another_input_leaves_the_challenger_without_a_move() {
    cov_mark::check!(input_states_differ);
    let network = ladder(3);
    let other = network.with_input(|element| element + 1.0).honest();
    game(&network).against(Arc::clone(&other)).disputed().expect_stuck("the input states differ");
    let network = ladder(1);
    let other = network.with_input(|element| element + 1.0).honest();
    game(&network).against(other).disputed().expect_stuck("the input states differ");
}

#[test]
fn of_a_claim_about_another_model_nothing_is_asked() {
    cov_mark::check!(claim_is_about_another_model);
    // Another layer table; and the same layers over other operators.
    for own in [ladder(3), steps(MapFunction::Maximum)] {
        let claim = game(&steps(MapFunction::Multiply)).against(own.honest());
        claim.disputed().expect_stuck("the claim is about another model");
    }
}

#[test]
fn other_weights_under_the_same_commitment_convict_nobody() {
    cov_mark::check!(the_ledger_would_refuse_the_move);
    // As after a bit that flipped in the challenger's memory.
    let network = ladder(2);
    let weights = network.model.weights();
    let weights = vec![floats(&[WIDTH], 8), weights[1].clone()];
    let model = Arc::new(network.model.with_weights_unlike_commitment(weights).unwrap());
    let other = Network { model, ..network.clone() };
    // The refutation is not sent, for the ledger would not take it.
    let dispute = game(&network).against(other.honest()).disputed();
    let dispute = dispute.expect_demand(trace(0, 0)).answered().expect_demand(inside(0)).answered();
    dispute.expect_demand(output_leaves(0, 0, 0)).answered().expect_stuck(
        "the ledger would refuse it: the proof of operand 1 does not lead to its commitment",
    );
}

#[test]
fn a_true_claim_is_sound_to_the_referee_wherever_a_challenger_errs() {
    let network = ladder(2);
    for operator in 0..2 * RUNGS {
        for element in [0, 64, 149] {
            let own = network.run(Arc::new(Wrong(vec![(operator, element)])));
            let (_, refuted) = game(&network).against(own).disputed().played_out();
            refuted.parting_at(operator / RUNGS, operator, element, 0).sound();
        }
    }
}

#[test]
fn a_true_sum_is_sound_to_the_referee() {
    let reduce = protocol::graph::Operator::Reduce { fold: protocol::graph::Fold::Sum };
    let network = Sketch::new(vec![floats(&[3, 150], 1)], vec![floats(&[], 0)])
        .layer(vec![(reduce, vec![Source::Input(0)], f32s(&[3]))])
        .build();
    let own = network.run(Arc::new(Wrong(vec![(0, 1)])));
    let (questions, refuted) = game(&network).against(own).disputed().played_out();
    assert_eq!(questions.last(), Some(&sums(0, 1)));
    refuted.parting_at(0, 0, 1, 3).sound();
}

/// Cannot compute anything.
#[derive(Debug)]
struct Unable;

impl ComputePolicy for Unable {
    fn compute(&self, _: &Engine, _: &Model, _: u32, _: &[&Tensor]) -> Result<Tensor, EngineError> {
        Err(EngineError::Undefined { kind: "nothing", element: 0 })
    }
}

#[test]
fn a_layer_that_cannot_be_recomputed_is_told() {
    let network = ladder(2);
    let trace_of = network.honest().trace().clone();
    let own = Run::new(engine(), Arc::clone(&network.model), Arc::new(Unable), trace_of);
    game(&network)
        .computes_wrongly(rung(1, 0), 0)
        .against(Arc::new(own))
        .disputed()
        // The layer is needed only once its inside is open.
        .expect_demand(inside(1))
        .answered()
        .expect_error(&SolveError::Run(RunError::Operator {
            operator: rung(1, 0),
            name: "node 3".to_owned(),
            error: EngineError::Undefined { kind: "nothing", element: 0 },
        }));
}

#[test]
fn errors_tell_people_what_to_look_at() {
    assert_eq!(
        SolveError::NothingDiffers.to_string(),
        "the claim equals this challenger's own run; there is nothing to refute"
    );
    assert_eq!(
        stuck("no such layer").to_string(),
        "the next move cannot be built: no such layer; check this challenger's model and engine"
    );
}
