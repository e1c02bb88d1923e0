//! Runs of many iterations and batches: every lie falls at its place, every true claim stands, with the cores
//! that play in production.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod game;
mod looks;
mod short;
mod toy;

use std::sync::Arc;

use challenger::Policy;
use inference::SequenceRun;
use protocol::asks::Evidence;
use protocol::hash::Keccak;
use protocol::transaction::{RunLength, RunRoots, Statement};

use self::game::{Ended, Game};
use self::toy::{ENDS, Form, Lie, NEXT_MEMORY, NEXT_POSITION, NEXT_ROW, SUMS, batch, model, run};

/// Openings that a dispute may take.
const OPENINGS_MAX: u32 = 10;

fn length(iterations_max: u32) -> RunLength {
    RunLength { iterations_max, may_cut: false }
}

/// The dispute over a claim on a run.
fn disputed(honest: &Arc<SequenceRun>, claimed: &Arc<SequenceRun>, length: RunLength) -> Ended {
    let mut game = Game::new(honest, length);
    let statement = claimed.statement(game.job, claimed.model().root()).unwrap();
    let claim = game.claims(statement);
    let ended = game.plays(claim, claimed, honest, Policy::Differing);
    game.money_is_whole();
    ended
}

/// Iterations of a run in which lies are told.
fn places(iterations: u32) -> Vec<u32> {
    let mut places = vec![0, iterations / 2, iterations - 1];
    places.dedup();
    places
}

fn step_at(evidence: &Evidence) -> (u32, u32, u64) {
    match evidence {
        Evidence::Step { iteration, operator, element, .. } => (*iteration, *operator, *element),
        other => panic!("{other:?}"),
    }
}

fn lies_of_runs_fall(iterations: u32, form: Form) {
    let (model, length) = (model(form, iterations), length(iterations));
    let honest = run(&model, None, length);
    assert_eq!(honest.iterations(), iterations);
    for iteration in places(iterations) {
        // The fourth row was written earlier, or given: an old row of the memory changes.
        for (operator, element) in
            [(NEXT_ROW, 69), (NEXT_MEMORY, 3 * 70 + 1), (NEXT_POSITION, 0), (ENDS, 0), (SUMS, 5)]
        {
            let lie = Lie::Element { iteration, operator, element };
            // Who says too early that the run ends, or goes on, lies about the rest as well.
            let claimed = run(&model, Some(lie), length);
            let ended = disputed(&honest, &claimed, length);
            let evidence = ended.evidence.unwrap_or_else(|| panic!("{lie:?} is final"));
            assert_eq!(step_at(&evidence), (iteration, operator, element as u64), "{lie:?}");
            assert!(ended.demands <= OPENINGS_MAX, "{lie:?} takes {} demands", ended.demands);
        }
        for (input, element) in [(0, 0), (1, 5 * 70 + 69), (2, 3)] {
            let lie = Lie::Begins { iteration, input, element };
            let claimed = run(&model, Some(lie), length);
            let ended = disputed(&honest, &claimed, length);
            match (iteration, ended.evidence) {
                // The first begins with what the job says.
                (0, evidence) => assert_eq!(evidence, None),
                (_, Some(Evidence::Link { iteration: at, input: of, .. })) => {
                    assert_eq!((at, of), (iteration, input));
                }
                (_, other) => panic!("{lie:?}: {other:?}"),
            }
            assert!(ended.demands <= OPENINGS_MAX, "{lie:?} takes {} demands", ended.demands);
        }
    }
}

#[test]
fn lies_in_runs_of_few_iterations_fall_at_their_place() {
    for iterations in [1, 2] {
        lies_of_runs_fall(iterations, Form::Stopping);
        lies_of_runs_fall(iterations, Form::Endless);
    }
}

#[test]
fn lies_in_runs_about_as_long_as_an_opening_is_wide_fall_at_their_place() {
    for iterations in [63, 64, 65] {
        lies_of_runs_fall(iterations, Form::Stopping);
    }
}

#[test]
fn lies_in_a_run_of_4097_iterations_fall_at_their_place() {
    lies_of_runs_fall(4_097, Form::Endless);
}

#[test]
fn a_true_claim_becomes_final_and_is_paid_by_its_iterations() {
    for (iterations, most) in [(1, 1), (1, 9), (2, 2), (64, 100), (65, 65)] {
        let model = model(Form::Stopping, iterations);
        let honest = run(&model, None, length(most));
        assert_eq!(honest.iterations(), iterations);
        let ended = disputed(&honest, &honest, length(most));
        assert_eq!(ended, Ended { evidence: None, demands: 0 });
    }
}

#[test]
fn who_challenges_a_true_run_of_many_iterations_gains_nothing_and_is_answered() {
    let (model, length) = (model(Form::Stopping, 66), length(66));
    let honest = run(&model, None, length);
    let lie = Lie::Element { iteration: 40, operator: SUMS, element: 2 };
    let wrong = run(&model, Some(lie), length);
    let mut game = Game::new(&honest, length);
    let claim = game.claims(honest.statement(game.job, model.root()).unwrap());
    // Its own run is wrong: it asks until it refutes what is right.
    let ended = game.plays(claim, &honest, &wrong, Policy::Everything);
    assert_eq!(ended.evidence, None);
    assert!(ended.demands > 0);
    game.money_is_whole();
}

#[test]
fn a_run_that_ends_too_early_or_too_late_falls_by_what_its_model_says() {
    for (iterations, most) in [(2, 5), (63, 100), (64, 200), (65, 70)] {
        let (model, length) = (model(Form::Stopping, iterations), length(most));
        let honest = run(&model, None, length);
        for claimed in [1, iterations - 1, iterations + 1, most] {
            let false_run = run(&model, Some(Lie::Iterations(claimed)), length);
            assert_eq!(false_run.iterations(), claimed);
            let ended = disputed(&honest, &false_run, length);
            let Some(Evidence::Stop { iteration, is_last, .. }) = ended.evidence else {
                panic!("{claimed} of {iterations}: {ended:?}")
            };
            let expected =
                if claimed < iterations { (claimed - 1, true) } else { (iterations - 1, false) };
            assert_eq!((iteration, is_last), expected);
            assert!(ended.demands <= OPENINGS_MAX);
        }
    }
}

#[test]
fn a_cut_run_is_true_where_its_job_allows_it_and_a_lie_in_it_falls() {
    let length = RunLength { iterations_max: 90, may_cut: true };
    for form in [Form::Stopping, Form::Endless] {
        let model = model(form, 80);
        let honest = run(&model, None, length);
        for claimed in [1, 33, 79] {
            let cut = run(&model, Some(Lie::Iterations(claimed)), length);
            assert_eq!(disputed(&honest, &cut, length).evidence, None);
        }
        let lie = Lie::Element { iteration: 20, operator: SUMS, element: 0 };
        let claimed = run(&model, Some(lie), RunLength { iterations_max: 40, may_cut: true });
        let mut game = Game::new(&honest, length);
        let claim = game.claims(claimed.statement(game.job, model.root()).unwrap());
        let ended = game.plays(claim, &claimed, &honest, Policy::Differing);
        assert_eq!(step_at(&ended.evidence.unwrap()), (20, SUMS, 0));
    }
}

#[test]
fn an_iteration_without_a_result_convicts_whatever_is_claimed_of_it() {
    let (model, length) = (model(Form::Short, 20), length(20));
    let honest = run(&model, None, length);
    assert_eq!((honest.iterations(), honest.root()), (8, None));
    let invented = run(&model, Some(Lie::Invents), length);
    let ended = disputed(&honest, &invented, length);
    let evidence = ended.evidence.unwrap();
    assert!(matches!(evidence, Evidence::Step { expected: None, .. }), "{evidence:?}");
    assert_eq!(step_at(&evidence).0, 8);
    // An earlier lie falls where it is.
    let lie = Lie::Element { iteration: 3, operator: SUMS, element: 1 };
    let both = run(&model, Some(lie), RunLength::exactly(8));
    let mut game = Game::new(&honest, RunLength { iterations_max: 20, may_cut: true });
    let claim = game.claims(both.statement(game.job, model.root()).unwrap());
    let ended = game.plays(claim, &both, &honest, Policy::Differing);
    assert_eq!(step_at(&ended.evidence.unwrap()), (3, SUMS, 1));
}

/// A claim on a batch: these iterations, on the entries of the job.
fn batch_statement(game: &Game, honest: &SequenceRun, claimed: &SequenceRun) -> Statement {
    let states = |run: &SequenceRun, iteration| run.run(iteration).unwrap().state_roots().to_vec();
    let last = claimed.iterations() - 1;
    let (first_states, last_states) = (states(claimed, 0), states(claimed, last));
    let roots = RunRoots {
        traces: claimed.trace_roots(),
        first_states: &first_states,
        last_states: &last_states,
        entries: honest.entries(),
    };
    Statement::of_sequence::<Keccak>(game.job, claimed.model().root(), roots).unwrap()
}

#[test]
fn a_lie_in_one_of_a_thousand_inputs_of_a_batch_falls_at_its_place() {
    const ENTRIES: u32 = 1_000;
    let model = model(Form::Batch, 1);
    let honest = batch(&model, None, ENTRIES);
    for iteration in [0, 1, 511, 998, 999] {
        for (operator, element) in [(NEXT_ROW, 7), (SUMS, 0)] {
            let lie = Lie::Element { iteration, operator, element };
            let claimed = batch(&model, Some(lie), ENTRIES);
            let mut game = Game::new(&honest, RunLength::exactly(ENTRIES));
            let claim = game.claims(batch_statement(&game, &honest, &claimed));
            let ended = game.plays(claim, &claimed, &honest, Policy::Differing);
            let evidence = ended.evidence.unwrap_or_else(|| panic!("{lie:?} is final"));
            assert_eq!(step_at(&evidence), (iteration, operator, element as u64));
            assert!(ended.demands <= OPENINGS_MAX, "{lie:?} takes {} demands", ended.demands);
        }
        let lie = Lie::Begins { iteration, input: 1, element: 9 };
        let claimed = batch(&model, Some(lie), ENTRIES);
        if iteration == 0 {
            // The claim's own paths show that the first is the job's.
            continue;
        }
        let mut game = Game::new(&honest, RunLength::exactly(ENTRIES));
        let claim = game.claims(batch_statement(&game, &honest, &claimed));
        let ended = game.plays(claim, &claimed, &honest, Policy::Differing);
        let is_it = matches!(ended.evidence, Some(Evidence::Entry { iteration: at, .. }) if at == iteration);
        assert!(is_it, "{lie:?}: {ended:?}");
        game.money_is_whole();
    }
    let mut game = Game::new(&honest, RunLength::exactly(ENTRIES));
    let claim = game.claims(honest.statement(game.job, model.root()).unwrap());
    let ended = game.plays(claim, &honest, &honest, Policy::Differing);
    assert_eq!(ended, Ended { evidence: None, demands: 0 });
}
