//! Lies in shipped models, played to the end: convicted at exactly their place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{MODELS, fall_reason, honest_cast, model, play};
use dispute::{Lie, Lying};
use protocol::asks::Evidence;
use protocol::settlement::FallReason;
use std::sync::Arc;

/// A small generator, so that every run plays the same places.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[tokio::test]
async fn a_lie_of_one_ulp_anywhere_is_convicted_at_exactly_that_place() {
    // REBUT_PLACES plays more than the suite does.
    let places =
        std::env::var("REBUT_PLACES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let mut seed = 11;
    for common::Fixture { name, model, inputs } in common::cases() {
        let (mut played, mut reveals_max, mut tried) = (0, 0, 0);
        while played < places {
            tried += 1;
            assert!(tried < 50 * places, "{name}: hardly any lie changes a committed bit");
            let layer = (next(&mut seed) % u64::from(model.header().layer_count)) as u32;
            let definition = model.layer(layer).unwrap().clone();
            let position = (next(&mut seed) % u64::from(definition.operator_count)) as u32;
            let operator = definition.first_operator + position;
            let count = model.node(operator).unwrap().output.shape.count();
            let element = next(&mut seed) % count;
            let ulps = if next(&mut seed).is_multiple_of(2) { 1 } else { -1 };
            let lie = Lie::Ulps { layer, operator: position, element, ulps };
            let Some(_) = simulation_place(&model, &lie) else { continue };
            let (mut participants, honest, false_run) =
                common::lying(common::cast_with(&model, &inputs), &lie);
            if honest.root() == false_run.root() {
                continue;
            }
            played += 1;
            participants.publish = played % 3 == 0;
            let (_stage, _folder, outcome) = play(&participants).await;
            let Some(FallReason::Refuted(evidence)) = fall_reason(&outcome) else {
                panic!("{name} {lie}: {}", common::story(&outcome));
            };
            let Evidence::Step { operator: at, element: found, multiply_adds, .. } = evidence
            else {
                panic!("{name} {lie}: {evidence:?}");
            };
            assert_eq!((at, found), (operator, element), "{name} {lie}");
            assert!(multiply_adds <= 512, "{name} {lie}: {multiply_adds}");
            let claim = outcome.view.settlement.claim(&outcome.claim.unwrap()).unwrap();
            assert!(claim.reveals <= 6, "{name} {lie}: {} reveals", claim.reveals);
            reveals_max = reveals_max.max(claim.reveals);
        }
        println!("{name}: {played} lies convicted at their place, at most {reveals_max} reveals");
    }
}

/// Lies of one unit in the last place are about floats.
fn simulation_place(model: &inference::Model, lie: &Lie) -> Option<()> {
    let Lie::Ulps { layer, operator, .. } = lie else { return None };
    let first = model.layer(*layer)?.first_operator;
    let kind = model.node(first + operator)?.output.element;
    (kind == protocol::tensor::ElementType::F32).then_some(())
}

#[tokio::test]
async fn an_honest_claim_challenged_by_a_corrupt_view_is_upheld_and_the_challenger_pays() {
    for name in MODELS {
        let model = model(name);
        let operators = model.header().operator_count;
        for operator in (0..operators).step_by(5) {
            let layer = model.layer_of(operator).unwrap();
            let position = model.layer(layer).unwrap().position(operator).unwrap();
            let lie = Lie::Ulps { layer, operator: position, element: 0, ulps: 1 };
            let mut participants = honest_cast(&model);
            let honest = participants.run(&inference::Honest).unwrap();
            participants.challenger = Arc::new(Lying::new(&lie, &model, &honest).unwrap());
            participants.policy = challenger::Policy::Everything;
            let (devnet, _folder, outcome) = play(&participants).await;
            assert_eq!(fall_reason(&outcome), None, "{name} {lie}");
            let key = dispute::actor_key(dispute::Role::Challenger);
            let lost = devnet.delta_wei(key.address()).await.unwrap();
            assert!(lost < 0, "{name} {lie}: the challenger paid {lost}");
            let key = dispute::actor_key(dispute::Role::Executor);
            let gained = devnet.delta_wei(key.address()).await.unwrap();
            assert!(gained > 0, "{name} {lie}: the executor got {gained}");
        }
    }
}
