//! How disputes about runs of several iterations and about batches end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::Proof;
use common::sequence::{Course, Form, LAYERS, Lie, STOP};
use common::sequence_game::{FEE_WEI, FORMS, RECORD_WEI, cut, disputed, machine, refute};
use common::{Game, Want, Who, address};
use proptest::prelude::*;
use protocol::ClaimId;
use protocol::asks::{AskError, Evidence, RefereeError, Refutation, Tree};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, Event, FallReason, Parameters, Rejection,
};
use protocol::transaction::{Action, JobTerms};

fn fell_by(game: &Game) -> Evidence {
    match &game.claim_of(Who::Executor).status {
        ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } => evidence.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_false_step_in_the_third_iteration_makes_the_claim_fall_at_its_place() {
    for form in FORMS {
        let lie = Lie::Element { iteration: 2, operator: 1, element: 70 };
        let course = machine(form).run(3, Some(lie));
        let claim = |game: &Game| game.claim(Who::Executor);
        let inside = Want::Say(Tree::Subtrace { iteration: 2, layer: 0 });
        let challengers = || vec![address(Who::Challenger)];
        let game = disputed(&course, |_| {});
        // Only the executor can say what is inside.
        let game = game
            .refuses(
                Who::Challenger,
                |game| refute(game, &course, course.memory_proof(2, 70)),
                Rejection::Ask(AskError::UnknownRoot),
            )
            .plays(Who::Challenger, |game| course.demand(claim(game), inside))
            .plays(Who::Executor, |game| course.reveal(claim(game), challengers(), inside))
            .plays(Who::Challenger, |game| refute(game, &course, course.memory_proof(2, 70)));
        match fell_by(&game) {
            Evidence::Step { iteration: 2, operator: 1, element: 70, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Each lie about several iterations, how long its job lets the run be, and what convicts it.
fn lies() -> Vec<(Course, u32, Proof)> {
    let begins = |form| machine(form).run(3, Some(Lie::Begins { iteration: 2, input: 1 }));
    let (link, entry) = (begins(Form::Stopping), begins(Form::Batch));
    let (short, long) =
        (machine(Form::Stopping).run(2, None), machine(Form::Stopping).run(5, None));
    let proofs = [
        (3, link.link_proof(2, 1)),
        (3, entry.entry_proof(2)),
        (9, short.stop_proof(1)),
        (5, long.stop_proof(2)),
    ];
    let courses = [link, entry, short, long];
    courses.into_iter().zip(proofs).map(|(one, (most, proof))| (one, most, proof)).collect()
}

#[test]
fn a_lie_about_several_iterations_falls_without_a_single_ask() {
    for (course, iterations_max, proof) in lies() {
        let game = disputed(&course, |terms| terms.iterations_max = iterations_max)
            // By anybody: a proof that convicts is taken from strangers, and pays the challenger.
            .plays(Who::Stranger, |game| refute(game, &course, proof.clone()));
        let found = fell_by(&game);
        match proof.1 {
            Refutation::Link { .. } => assert!(matches!(found, Evidence::Link { .. })),
            Refutation::Entry { .. } => assert!(matches!(found, Evidence::Entry { .. })),
            Refutation::Stop { .. } => assert!(matches!(found, Evidence::Stop { .. })),
            other => panic!("{other:?}"),
        }
        assert!(matches!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Won { .. }));
    }
}

#[test]
fn an_honest_claim_of_several_iterations_is_upheld_against_every_refutation_of_its_kind() {
    let honest = |form| machine(form).run(3, None);
    let (stopping, batch) = (honest(Form::Stopping), honest(Form::Batch));
    for (course, proof) in [
        (&stopping, stopping.link_proof(2, 1)),
        (&stopping, stopping.stop_proof(1)),
        (&stopping, stopping.stop_proof(2)),
        (&batch, batch.entry_proof(0)),
        (&batch, batch.entry_proof(2)),
    ] {
        let nothing = Rejection::NothingRefuted;
        let game = disputed(course, |_| {})
            .refuses(Who::Stranger, |game| refute(game, course, proof.clone()), nothing)
            .plays(Who::Challenger, |game| refute(game, course, proof.clone()));
        assert_eq!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Lost);
        let game =
            game.wait(Parameters::default().window_ms_of(1 << 10) + 1).finalises(Who::Executor);
        assert!(matches!(game.claim_of(Who::Executor).status, ClaimStatus::Final { .. }));
    }
}

#[test]
fn a_refutation_that_shows_too_little_or_is_of_another_kind_changes_nothing() {
    let course = machine(Form::Stopping).run(3, None);
    let not_shown = Rejection::Referee(RefereeError::NotShown);
    let outside = Rejection::Referee(RefereeError::OutOfRange);
    let mut game = disputed(&course, |_| {});
    let bare = |refutation| (Vec::new(), refutation);
    for (proof, rejection) in [
        (bare(Refutation::Link { iteration: 1, input: 0 }), not_shown.clone()),
        (bare(Refutation::Stop { iteration: 0 }), not_shown.clone()),
        (bare(Refutation::Entry { iteration: 0 }), not_shown),
        (bare(Refutation::Link { iteration: 0, input: 0 }), outside.clone()),
        (bare(Refutation::Link { iteration: 1, input: 4 }), outside),
    ] {
        game = game.refuses(Who::Challenger, |game| refute(game, &course, proof), rejection);
    }
}

/// How a cut claim of two iterations is judged, of a model whose run has three.
#[test]
fn a_cut_that_the_job_allows_stands_and_one_that_goes_past_the_end_does_not() {
    let short = machine(Form::Stopping).run(2, None);
    let long = |terms: &mut JobTerms| {
        cut(terms);
        terms.iterations_max = 9;
    };
    let game = disputed(&short, long)
        .plays(Who::Challenger, |game| refute(game, &short, short.stop_proof(1)));
    assert_eq!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Lost);
    let past = machine(Form::Stopping).run(4, None);
    let game = disputed(&past, long)
        .plays(Who::Challenger, |game| refute(game, &past, past.stop_proof(2)));
    assert!(matches!(fell_by(&game), Evidence::Stop { iteration: 2, is_last: false, .. }));
}

#[test]
fn ends_of_a_sequence_are_counted_as_ends_and_let_the_challenge_be_withdrawn() {
    for form in FORMS {
        let course = machine(form).run(3, None);
        let claim = |game: &Game| -> ClaimId { game.claim(Who::Executor) };
        let mut game = disputed(&course, |_| {});
        for tree in [
            Tree::State { iteration: 0, boundary: 0 },
            Tree::Input { iteration: 0, value: 1 },
            Tree::State { iteration: 2, boundary: LAYERS },
            Tree::Output { iteration: 2, value: STOP },
        ] {
            let want = match tree {
                Tree::State { .. } => Want::Open(tree, 0, 0),
                _ => Want::Leaves(tree, 0, 0),
            };
            game = game
                .plays(Who::Challenger, |game| course.demand(claim(game), want))
                .plays(Who::Executor, |game| {
                    course.reveal(claim(game), vec![address(Who::Challenger)], want)
                });
        }
        let one = game.challenge_of(Who::Challenger);
        assert_eq!((one.demands, one.end_asks, one.end_replies), (0, 4, 4));
        let game = game.withdraws(Who::Challenger);
        assert!(matches!(game.last[..], [Event::ChallengeWithdrawn { .. }]));
    }
}

/// A demand of what is asked: with the whole way, or from the place that was asked last.
fn demand(game: &Game, course: &Course, want: Want, is_below: bool) -> Action {
    let (claim, ask) = (game.claim(Who::Executor), course.ask(want));
    let (depth, index) = ask.node();
    let last = game.challenge_of(Who::Challenger).last_ask().filter(|last| {
        let (from, above) = last.node();
        *last.tree() == want.tree() && depth >= from && index >> (depth - from) == above
    });
    match last.filter(|_| is_below) {
        Some(from) => {
            let path = course.trees[&want.tree()].path(depth, index, from.node().0);
            Action::Demand { claim, showings: Vec::new(), ask, path, from: Some(from.clone()) }
        }
        None => course.demand(claim, want),
    }
}

/// Something that refutes nothing of an honest run.
fn any_proof(course: &Course, [a, b, _]: [u32; 3]) -> Proof {
    let iteration = a % 3;
    match (b % 4, course.entries.is_empty()) {
        (0, true) => course.link_proof(iteration.max(1), a / 3 % 4),
        (0, false) => course.entry_proof(iteration),
        (1, true) if course.machine.header().stop.is_some() => course.stop_proof(iteration),
        (2, _) => (Vec::new(), Refutation::Stop { iteration: a % 5 }),
        (3, _) => (course.way_to_state(iteration, 0), Refutation::Entry { iteration }),
        _ => course.memory_proof(iteration, u64::from(a % 100)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a challenger asks of it and says against it, in whatever order: the honest executor answers all
    /// that is accepted, its claim becomes final, and it is paid.
    #[test]
    fn an_honest_claim_of_several_iterations_comes_through_whatever_is_asked_and_said(
        form in 0usize..3, moves in prop::collection::vec((0u8..8, any::<[u32; 3]>()), 1..60),
    ) {
        let course = machine(FORMS[form]).run(3, None);
        let wants = course.all_wants();
        let mut game = disputed(&course, |_| {});
        let claim = game.claim(Who::Executor);
        for (kind, numbers) in moves {
            let [a, b, c] = numbers;
            if kind > 5 {
                let who = if c % 16 == 0 { Who::Challenger } else { Who::Stranger };
                let action = refute(&game, &course, any_proof(&course, numbers));
                let _ = game.send(who, &action);
                continue;
            }
            let want = wants[a as usize % wants.len()];
            if game.send(Who::Challenger, &demand(&game, &course, want, b % 2 == 0)).is_ok() {
                let challengers = vec![address(Who::Challenger)];
                game = game.accepts(Who::Executor, course.reveal(claim, challengers, want));
            }
            game.now_ms += u64::from(c % 4);
        }
        game.now_ms += game.state.parameters().challenge_ms_max();
        if game.challenge_of(Who::Challenger).is_open() {
            game = game.calls_time(Who::Challenger);
        }
        let game = game.finalises(Who::Executor);
        prop_assert!(game.delta(Who::Executor) >= FEE_WEI - RECORD_WEI);
        prop_assert_eq!(game.state.money().locked_wei(), 0);
    }
}
