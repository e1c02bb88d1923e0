//! What one look computes, where an iteration of a long run is computed again first.

use std::sync::Arc;

use challenger::{ChallengerCore, HonestView, Policy};
use executor::ExecutorCore;
use node::{Core, Decision};
use protocol::ids::ClaimId;
use protocol::transaction::Action;

use crate::game::{CHALLENGER, EXECUTOR, Game, key};
use crate::length;
use crate::toy::{Form, Lie, SUMS, model, run};

const ITERATIONS: u32 = 60;

/// Who moves in which claims.
fn claims_of(decisions: &[Decision]) -> Vec<ClaimId> {
    let of = |decision: &Decision| match &decision.action {
        Action::Demand { claim, .. }
        | Action::Refute { claim, .. }
        | Action::Reveal { claim, .. } => Some(*claim),
        _ => None,
    };
    decisions.iter().filter_map(of).collect()
}

/// A game with claims on one job, each with a lie in another iteration, all challenged and asked which iteration it
/// is; and both sides, the first challenge with the first claim.
struct Lies {
    game: Game,
    claims: Vec<ClaimId>,
    challenger: ChallengerCore,
    executor: ExecutorCore,
}

fn lies(iterations: &[u32]) -> Lies {
    let (model, length) = (model(Form::Endless, ITERATIONS), length(ITERATIONS));
    let honest = run(&model, None, length);
    let mut game = Game::new(&honest, length);
    let mut executor = ExecutorCore::new(key(EXECUTOR).address());
    let mut challenger = ChallengerCore::new(key(CHALLENGER).address(), Policy::Differing);
    let view = HonestView::of_sequence(Arc::clone(&honest), false, Arc::default()).unwrap();
    challenger.watch(game.job, view);
    let arity_log2 = game.settlement.parameters().arity_log2;
    let mut claims = Vec::new();
    for iteration in iterations {
        let lie = Lie::Element { iteration: *iteration, operator: SUMS, element: 0 };
        let claimed = run(&model, Some(lie), length);
        let claim = game.claims(claimed.statement(game.job, model.root()).unwrap());
        executor.remember_sequence(claimed, arity_log2);
        game.perform(CHALLENGER, &Action::Challenge { claim });
        claims.push(claim);
    }
    let mut lies = Lies { game, claims, challenger, executor };
    // What is asked first needs no iteration: it is about the list of all.
    let decided = lies.challenger.decide(&lies.game.view());
    assert_eq!(claims_of(&decided), lies.claims);
    for decision in decided {
        lies.game.perform(CHALLENGER, &decision.action);
    }
    lies
}

#[test]
fn a_look_of_a_challenger_makes_all_quick_moves_or_computes_one_iteration_again() {
    // The last three are in memory, as those that were run last.
    let iterations = [30, 20, 10, 57, 58, 59];
    let Lies { mut game, claims, mut challenger, mut executor } = lies(&iterations);
    for _ in &iterations {
        for decision in executor.decide(&game.view()) {
            game.perform(EXECUTOR, &decision.action);
        }
    }
    // A slow move that was put off once is put off no more, whatever quick ones there are; once its iteration is in
    // memory it is a quick one.
    let mut hindered = challenger.clone();
    let quick = [&claims[..1], &claims[3..]].concat();
    for expected in [&claims[3..], &claims[..1], &quick] {
        assert_eq!(claims_of(&hindered.decide(&game.view())), expected);
    }
    // So many moves at once, the most urgent first.
    let mut slower = challenger.clone();
    slower.set_moves_at_once(2);
    assert_eq!(claims_of(&slower.decide(&game.view())), quick[..2]);
    for expected in [&quick[..], &claims[1..2], &claims[2..3], &[]] {
        let decided = challenger.decide(&game.view());
        assert_eq!(claims_of(&decided), expected);
        assert!(challenger.stuck().is_empty());
        for decision in decided {
            game.perform(CHALLENGER, &decision.action);
        }
    }
}

#[test]
fn a_look_of_an_executor_gives_one_answer_about_a_run_of_many_iterations() {
    let Lies { mut game, claims, mut executor, .. } = lies(&[30, 20, 10]);
    for claim in &claims {
        let decided = executor.decide(&game.view());
        assert_eq!(claims_of(&decided), [*claim], "the most urgent answer first, alone");
        for decision in decided {
            game.perform(EXECUTOR, &decision.action);
        }
    }
    assert_eq!(claims_of(&executor.decide(&game.view())), []);
}
