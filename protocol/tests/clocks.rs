//! Clocks: budgets, floors, turns in a crowd, and the last moment of everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{TRACE, inside};
use common::{Game, Toy, Who};
use protocol::settlement::{ChallengeStatus, ClaimStatus, FallReason, Parameters, Rejection};

/// The budget of either side.
const CLOCK_MS: u64 = 120_000;

fn disputed() -> Game {
    let run = Toy::new().run(None);
    Game::new().claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor)
}

/// A true claim that this many challenge at once.
fn challenged_by_a_crowd(count: u8) -> (Game, Vec<Who>) {
    let run = Toy::new().run(None);
    let crowd: Vec<Who> = (0..count).map(Who::Crowd).collect();
    let game = Game::new().claims(Who::Executor, &run);
    let game = crowd.iter().fold(game, |game, who| game.challenges(*who, Who::Executor));
    (game, crowd)
}

#[test]
fn time_is_called_neither_early_nor_twice_and_silence_loses() {
    let game = disputed().demands(Who::Challenger, TRACE);
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
        .refuses(Who::Executor, |game| game.reveal(only, TRACE), Rejection::NotYourMove)
        .calls_time(Who::Challenger)
        .refuses(Who::Stranger, call, over);
    match &game.claim_of(Who::Executor).status {
        ClaimStatus::Fallen { reason, challenge, at_ms, .. } => {
            assert_eq!(*reason, FallReason::Silence(game.ask(TRACE)));
            assert_eq!((*challenge, *at_ms), (game.challenge(Who::Challenger), deadline + 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_spent_budget_still_leaves_the_floor_for_each_move() {
    let only = &[Who::Challenger];
    let game = disputed()
        .demands(Who::Challenger, TRACE)
        .wait(CLOCK_MS)
        .answers(only, TRACE)
        .wait(CLOCK_MS)
        .demands(Who::Challenger, inside(0));
    let challenge = game.challenge_of(Who::Challenger);
    assert_eq!((challenge.executor_clock_ms, challenge.challenger_clock_ms), (0, 0));
    let floor_ms = Parameters::default().move_floor_ms;
    assert_eq!(game.deadline_ms(Who::Challenger), game.now_ms + floor_ms);
    let game = game.wait(floor_ms).answers(only, inside(0));
    assert_eq!(game.deadline_ms(Who::Challenger), game.now_ms + floor_ms);
    game.wait(floor_ms).demands(Who::Challenger, inside(1));
}

#[test]
fn audit_a9_an_executor_that_answers_one_after_the_other_is_in_time_for_any_crowd() {
    let (mut game, crowd) = challenged_by_a_crowd(40);
    let parameters = Parameters::default();
    let served = parameters.served_max as usize;
    // The first are served; it is as late as it can be, so that their budgets are spent.
    game = crowd[..served].iter().fold(game, |game, who| game.demands(*who, TRACE));
    game = game.wait(CLOCK_MS);
    for part in crowd[..served].chunks(16) {
        game = game.answers(part, TRACE);
    }
    // All of them demand at once, again and again; it answers one in each reply's time. What was said already
    // cannot be asked again, so each round asks for something else.
    for want in [inside(0), inside(1)] {
        let asking = &crowd[..served];
        game = asking.iter().fold(game, |game, who| game.demands(*who, want));
        for who in asking.iter().rev() {
            game = game.wait(parameters.reply_ms);
            assert_eq!(game.challenge_of(*who).executor_clock_ms, 0);
            game = game.answers(&[*who], want);
        }
    }
    // Who waits cannot demand, and nobody's time runs out for it.
    let queued = crowd[served];
    let waiting = Rejection::Waiting { what: "an earlier challenge of the claim" };
    game = game.refuses(queued, |game| game.demand(TRACE), waiting.clone()).refuses(
        Who::Stranger,
        |game| game.call_time(queued),
        waiting,
    );
    assert_eq!(game.challenge_of(queued).deadline_ms(parameters.move_floor_ms), None);
    assert!(game.claim_of(Who::Executor).stands());
}

#[test]
fn audit_a9_a_place_that_is_free_goes_to_the_challenge_that_waited_longest() {
    let (mut game, crowd) = challenged_by_a_crowd(40);
    let parameters = Parameters::default();
    let served = parameters.served_max as usize;
    let is_served = |game: &Game, place: usize| {
        game.challenge_of(crowd[place]).deadline_ms(parameters.move_floor_ms).is_some()
    };
    // The first are silent; one after the other is called, the last first.
    game = game.wait(CLOCK_MS + 1);
    for ended in 1..=served {
        assert!(!is_served(&game, served + ended - 1));
        game = game.calls_time(crowd[served - ended]);
        assert!(is_served(&game, served + ended - 1));
        assert!(!is_served(&game, served + ended));
        // Its clock begins with its turn.
        assert_eq!(game.deadline_ms(crowd[served + ended - 1]), game.now_ms + CLOCK_MS);
    }
    assert!(game.claim_of(Who::Executor).stands());
    assert_eq!(game.challenge_of(crowd[39]).status, ChallengeStatus::Queued);
}

#[test]
fn everything_ends_by_the_printed_bound_whatever_the_players_do() {
    // Floors are next to nothing, so that the bound is little more than window and clocks; one challenge is
    // served at a time.
    let parameters =
        Parameters { move_floor_ms: 1, reply_ms: 1, served_max: 1, ..Parameters::default() };
    let run = Toy::new().run(None);
    let mut game = Game::under(parameters.clone()).claims(Who::Executor, &run);
    let alone = game.claim_of(Who::Executor).last_finality_ms;
    game.now_ms = game.claim_of(Who::Executor).window_end_ms;
    game = game.challenges(Who::Second, Who::Executor).challenges(Who::Challenger, Who::Executor);
    let bound = game.claim_of(Who::Executor).last_finality_ms;
    assert_eq!(bound - alone, parameters.challenge_ms_max(), "one more that waits its turn");
    // Both sides use every millisecond of every move, in one challenge after the other.
    let mut wants = [TRACE, inside(0), inside(1)].into_iter();
    for (who, count) in [(Who::Second, 1), (Who::Challenger, 2)] {
        for want in wants.by_ref().take(count) {
            game.now_ms = game.deadline_ms(who);
            game = game.demands(who, want);
            game.now_ms = game.deadline_ms(who);
            game = game.answers(&[who], want);
        }
        game.now_ms = game.deadline_ms(who) + 1;
        game = game.calls_time(who);
    }
    let moves_ms = 2 * parameters.move_floor_ms * (2 * u64::from(24u32 + 20) + 2);
    let least_ms = bound - moves_ms;
    assert!((least_ms..=bound).contains(&game.now_ms), "{} of {bound}", game.now_ms);
    game.finalises(Who::Executor);
}
