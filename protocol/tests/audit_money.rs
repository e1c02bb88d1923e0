//! What an audit of the rules found about money and about inputs that nobody has, each as a game that went wrong
//! before it was mended; the others are in `audit.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{INPUT, SUMS, inside, leaves, state};
use common::{Game, Toy, Who};
use protocol::settlement::{ChallengeStatus, ClaimStatus, FallReason, Parameters};

#[test]
fn audit_a11_who_convicts_has_its_whole_cost_though_sixty_sybils_challenged_first() {
    // All of them are served at once: a crowd can have done as much work as it likes.
    let parameters = Parameters { served_max: 64, reply_ms: 78, ..Parameters::default() };
    assert_eq!(parameters.check(), Ok(()));
    let run = Toy::new().run(Some((2, 0)));
    let sybils: Vec<Who> = (0..60).map(Who::Crowd).collect();
    let game = Game::under(parameters.clone()).claims(Who::Executor, &run);
    let game = sybils.iter().fold(game, |game, who| game.challenges(*who, Who::Executor));
    let game = game
        .challenges(Who::Challenger, Who::Executor)
        .opens_up(Who::Challenger, &[inside(1), leaves(2), SUMS]);
    let proof = game.answers.sum_proof(2);
    let game = game.refutes(Who::Challenger, Who::Challenger, proof);
    let one = game.challenge_of(Who::Challenger);
    let cost_wei = 5 * parameters.work_cost_wei;
    match one.status {
        ChallengeStatus::Won { reward_wei } => assert!(reward_wei >= cost_wei, "{reward_wei}"),
        ref other => panic!("{other:?}"),
    }
    // It ends with more than it began with, the record's fee taken off.
    assert!(game.delta(Who::Challenger) >= (cost_wei - parameters.record_fee_wei) as i128);
    // And what all of them are paid is half of the stake at most.
    let game = sybils.iter().fold(game, |game, who| game.collects(*who));
    let paid: i128 = sybils.iter().map(|who| game.delta(*who)).sum();
    let paid = paid + game.delta(Who::Challenger) + 61 * parameters.record_fee_wei as i128;
    assert!(paid <= (parameters.stake_wei_min / 2) as i128, "{paid}");
}

#[test]
fn audit_a5_a_claim_on_an_input_that_nobody_has_falls_when_it_is_asked_for() {
    // The claim is true, and nobody but the poster could ever know: its executor has no input to show.
    let run = Toy::new().run(None);
    let game = Game::new()
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .opens_up(Who::Challenger, &[state(0)])
        .demands(Who::Challenger, INPUT);
    let asked = game.ask(INPUT);
    let clock_ms = game.state.parameters().executor_clock_ms;
    let game = game.wait(clock_ms + 1).calls_time(Who::Challenger);
    match &game.claim_of(Who::Executor).status {
        ClaimStatus::Fallen { reason: FallReason::Silence(ask), .. } => assert_eq!(*ask, asked),
        other => panic!("{other:?}"),
    }
    assert!(game.delta(Who::Challenger) > 0, "who looked has its cost and a share");
}
