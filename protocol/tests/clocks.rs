//! Clocks: budgets, floors, the time for waiting, and the last moment of everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Run, TRACE, Toy, Who, inside};
use protocol::settlement::{ClaimStatus, FallReason, Parameters, Rejection};

/// The budget of either side.
const CLOCK_MS: u64 = 120_000;

fn disputed() -> (Game, Run) {
    let run = Toy::new().run(None);
    let game = Game::new().claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor);
    (game, run)
}

/// A true claim that this many challenge at once.
fn challenged_by_a_crowd(count: u8) -> (Game, Run, Vec<Who>) {
    let run = Toy::new().run(None);
    let crowd: Vec<Who> = (0..count).map(Who::Crowd).collect();
    let game = Game::new().claims(Who::Executor, &run);
    let game = crowd.iter().fold(game, |game, who| game.challenges(*who, Who::Executor));
    (game, run, crowd)
}

#[test]
fn time_is_called_neither_early_nor_twice_and_silence_loses() {
    let (game, run) = disputed();
    let game = game.demands(Who::Challenger, &[], TRACE);
    let deadline = game.now_ms + CLOCK_MS;
    let early = || Rejection::TooEarly { at_ms: deadline + 1 };
    let call = |game: &Game| game.call_time(Who::Challenger);
    let only = &[Who::Challenger];
    let over = Rejection::Over { kind: "challenge" };
    let game = game
        .refuses(Who::Stranger, call, early())
        .wait(CLOCK_MS)
        // At the deadline itself the executor is still in time, and nobody may call it.
        .refuses(Who::Stranger, call, early())
        .wait(1)
        .refuses(
            Who::Executor,
            |game| game.reveal(only, TRACE, run.open_trace()),
            Rejection::NotYourMove,
        )
        .calls_time(Who::Challenger)
        .refuses(Who::Stranger, call, over);
    match &game.claim_of(Who::Executor).status {
        ClaimStatus::Fallen { reason, challenge, at_ms, .. } => {
            assert_eq!(*reason, FallReason::Silence(TRACE));
            assert_eq!((*challenge, *at_ms), (game.challenge(Who::Challenger), deadline + 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_spent_budget_still_leaves_the_floor_for_each_move() {
    let (game, run) = disputed();
    let only = &[Who::Challenger];
    let game = game
        .demands(Who::Challenger, &[], TRACE)
        .wait(CLOCK_MS)
        .reveals(only, TRACE, run.open_trace())
        .wait(CLOCK_MS)
        .demands(Who::Challenger, &[0], inside(0));
    let challenge = game.challenge_of(Who::Challenger);
    assert_eq!((challenge.executor_clock_ms, challenge.challenger_clock_ms), (0, 0));
    let floor_ms = Parameters::default().move_floor_ms;
    assert_eq!(game.deadline_ms(Who::Challenger), game.now_ms + floor_ms);
    let game = game.wait(floor_ms).reveals(only, inside(0), run.open_subtrace(0));
    assert_eq!(game.deadline_ms(Who::Challenger), game.now_ms + floor_ms);
    game.wait(floor_ms).demands(Who::Challenger, &[1], inside(1));
}

#[test]
fn audit_a9_an_executor_that_answers_one_after_the_other_is_in_time_for_a_crowd() {
    let (mut game, run, crowd) = challenged_by_a_crowd(20);
    let parameters = Parameters::default();
    // All demand at once, and the executor is as late as it can be: its budgets are spent.
    let since = game.now_ms;
    game = crowd.iter().fold(game, |game, who| game.demands(*who, &[], TRACE));
    for (place, who) in (0..).zip(&crowd) {
        game.now_ms = since + CLOCK_MS + place * parameters.reply_ms;
        assert_eq!(game.deadline_ms(*who), game.now_ms, "one reply later for each before it");
        game = game.reveals(&[*who], TRACE, run.open_trace());
        assert_eq!(game.challenge_of(*who).executor_clock_ms, 0);
    }
    // They demand at once again. It answers one each reply's time, and is in time for all of them, though
    // there are more than fit into the floor.
    game = crowd.iter().fold(game, |game, who| game.demands(*who, &[0], inside(0)));
    let deadlines: Vec<u64> = crowd.iter().map(|who| game.deadline_ms(*who)).collect();
    assert!(parameters.reply_ms * crowd.len() as u64 > parameters.move_floor_ms);
    for (who, deadline) in crowd.iter().zip(deadlines) {
        game = game.wait(parameters.reply_ms);
        assert_eq!(game.deadline_ms(*who), deadline, "fixed when it was demanded");
        game = game.reveals(&[*who], inside(0), run.open_subtrace(0));
    }
    assert!(game.claim_of(Who::Executor).stands());
    assert_eq!(game.claim_of(Who::Executor).waiting, 0);
}

#[test]
fn audit_a9_a_deadline_is_fixed_at_the_demand_and_waiting_pays_no_budget() {
    let (game, run, crowd) = challenged_by_a_crowd(3);
    let [first, second, third] = [crowd[0], crowd[1], crowd[2]];
    let parameters = Parameters::default();
    let game = game.demands(first, &[], TRACE).demands(second, &[], TRACE);
    let fixed = [game.deadline_ms(first), game.deadline_ms(second)];
    assert_eq!(fixed, [game.now_ms + CLOCK_MS, game.now_ms + CLOCK_MS + parameters.reply_ms]);
    // Neither a later demand nor an answer to another moves them.
    let game = game.demands(third, &[], TRACE);
    assert_eq!([game.deadline_ms(first), game.deadline_ms(second)], fixed);
    let game = game.wait(700).reveals(&[first], TRACE, run.open_trace());
    assert_eq!(game.deadline_ms(second), fixed[1]);
    // What is spent is the time beyond the extension; nothing comes back for being faster.
    let game = game.wait(800).reveals(&[second, third], TRACE, run.open_trace());
    let left = |who| game.challenge_of(who).executor_clock_ms;
    assert_eq!(
        [left(first), left(second), left(third)],
        [CLOCK_MS - 700, CLOCK_MS - 1_500 + parameters.reply_ms, CLOCK_MS]
    );
    assert_eq!(game.challenge_of(third).delay_ms, parameters.delay_ms_max - 2_000);
}

#[test]
fn audit_a9_the_time_for_waiting_ends_with_its_budget() {
    let (mut game, run, crowd) = challenged_by_a_crowd(50);
    let last = crowd[49];
    let requests = [TRACE, inside(0), inside(1)];
    let answers = [run.open_trace(), run.open_subtrace(0), run.open_subtrace(1)];
    // 49 wait before it each time: 49 seconds of its minute, then the eleven that are left, then none.
    for (round, (request, answer)) in requests.into_iter().zip(answers).enumerate() {
        game = crowd.iter().fold(game, |game, who| game.demands(*who, &[0, 1], request));
        let challenge = game.challenge_of(last);
        let wanted = [(49_000, 11_000), (11_000, 0), (0, 0)][round];
        assert_eq!((challenge.extension_ms, challenge.delay_ms), wanted);
        assert_eq!(game.deadline_ms(last), game.now_ms + CLOCK_MS + wanted.0);
        let parts = crowd.chunks(16);
        game = parts.fold(game, |game, part| game.reveals(part, request, answer.clone()));
        assert_eq!(game.challenge_of(last).extension_ms, 0);
    }
}

#[test]
fn everything_ends_by_the_printed_bound_whatever_the_players_do() {
    // Floors are next to nothing, so that the bound is little more than window, clocks and waiting.
    let parameters = Parameters {
        move_floor_ms: 1,
        reply_ms: 60_000,
        delay_ms_max: 60_000,
        ..Parameters::default()
    };
    let run = Toy::new().run(None);
    let mut game = Game::under(parameters.clone()).claims(Who::Executor, &run);
    let bound = game.claim_of(Who::Executor).last_finality_ms;
    game.now_ms = game.claim_of(Who::Executor).window_end_ms;
    game = game
        .challenges(Who::Second, Who::Executor)
        .demands(Who::Second, &[], TRACE)
        .challenges(Who::Challenger, Who::Executor);
    // Both sides use every millisecond of every move; the first answer waits for another challenge's.
    let requests = [TRACE, inside(0), inside(1)];
    let answers = [run.open_trace(), run.open_subtrace(0), run.open_subtrace(1)];
    for (round, (request, answer)) in requests.into_iter().zip(answers).enumerate() {
        if round > 0 {
            game.now_ms = game.deadline_ms(Who::Challenger);
        }
        game = game.demands(Who::Challenger, &[0, 1], request);
        if round == 0 {
            game = game.wait(1).reveals(&[Who::Second], TRACE, run.open_trace());
        }
        game.now_ms = game.deadline_ms(Who::Challenger);
        game = game.reveals(&[Who::Challenger], request, answer);
    }
    game.now_ms = game.deadline_ms(Who::Challenger) + 1;
    game = game.calls_time(Who::Challenger).calls_time(Who::Second);
    let moves_ms = parameters.move_floor_ms * (2 * u64::from(24u32 + 20) + 2);
    let least_ms = bound - moves_ms;
    assert!((least_ms..=bound).contains(&game.now_ms), "{} of {bound}", game.now_ms);
    game.finalises(Who::Executor);
}
