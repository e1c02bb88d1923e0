//! Several claims on one job: which one answers it, and how those that fell are passed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::TRACE;
use common::{Answers, Game, Toy, Who, address};
use protocol::ClaimId;
use protocol::settlement::{ETHER, JobStatus, Parameters, Rejection};
use protocol::transaction::Action;

const RECORD_WEI: u128 = ETHER / 10_000;

/// Five claims, lies but for the fourth; of each lie the challenger demands something.
fn five_claims() -> (Game, [ClaimId; 5]) {
    let (run, lie) = (Toy::new().run(None), Toy::new().run(Some((0, 1))));
    let executors = [Who::Executor, Who::Rival, Who::Second, Who::Third, Who::Client];
    let runs = [&lie, &lie, &lie, &run, &lie];
    let mut game = Game::new();
    for (who, run) in executors.into_iter().zip(runs) {
        game = game.claims(who, run);
    }
    let claims = executors.map(|who| game.claim(who));
    let lie = Answers::of(&game.toy, &lie);
    for claim in [claims[0], claims[1], claims[2], claims[4]] {
        game = game
            .accepts(Who::Challenger, Action::Challenge { claim })
            .accepts(Who::Challenger, lie.demand(claim, TRACE));
    }
    (game.wait(Parameters::default().executor_clock_ms + 1), claims)
}

fn falls(game: Game, claim: ClaimId) -> Game {
    let challenger = address(Who::Challenger);
    game.accepts(Who::Stranger, Action::CallTime { claim, challenger })
}

fn order() -> Rejection {
    let bounds =
        "the job's claims in the order of their numbers, from the first that is not passed";
    Rejection::Terms { name: "claims", bounds }
}

#[test]
fn pass_in_parts() {
    let (game, [first, second, third, fourth, fifth]) = five_claims();
    let job = game.job;
    let pass = |claims: &[ClaimId]| Action::Pass { job, claims: claims.to_vec() };
    let stands = || Rejection::Waiting { what: "a standing claim on the job" };
    let earlier = || Rejection::Waiting { what: "an earlier claim on the job" };
    let game = falls(game, second);
    assert_eq!(game.job_of().first_standing, 0);
    // The first still stands: it is not passed, nor is anything after it.
    let game = game.rejects(Who::Stranger, pass(&[first]), stands()).rejects(
        Who::Stranger,
        pass(&[second]),
        order(),
    );
    assert_eq!(game.state.to_pass(&job, 3), None);
    let game = falls(falls(falls(game, fifth), third), first);
    assert_eq!(game.job_of().first_standing, 1, "the fall of the first moves it on by one");
    assert_eq!(game.state.to_pass(&job, 3), Some(vec![second, third]));
    // A true claim waits until those before it are passed, by anybody, in as many parts as one likes.
    let game = game
        .rejects(Who::Stranger, Action::Finalise { claim: fourth }, earlier())
        .rejects(Who::Stranger, pass(&[third]), order())
        .rejects(Who::Stranger, pass(&[second, third, fourth]), stands())
        .accepts(Who::Stranger, pass(&[second]));
    assert_eq!(game.state.to_pass(&job, 3), Some(vec![third]));
    let game = game
        .rejects(Who::Stranger, Action::Finalise { claim: fourth }, earlier())
        .accepts(Who::Challenger, pass(&[third]))
        .rejects(Who::Stranger, pass(&[fifth]), order())
        .accepts(Who::Stranger, Action::Finalise { claim: fourth })
        .rejects(Who::Stranger, pass(&[fifth]), Rejection::Over { kind: "job" });
    assert_eq!(game.job_of().status, JobStatus::Done { claim: fourth });
}

#[test]
fn only_the_jobs_own_fallen_claims_are_passed_each_once_and_in_order() {
    let (game, [first, second, third, fourth, fifth]) = five_claims();
    let (job, run) = (game.job, game.toy.run(None));
    let mut game = [second, third, first].into_iter().fold(game, falls);
    // A fallen claim of another job, with the number that is next.
    game = game
        .posts(|terms| terms.salt = 1)
        .claims(Who::Executor, &run)
        .claims(Who::Rival, &run)
        .challenges(Who::Challenger, Who::Executor)
        .falls_by_silence(Who::Challenger);
    let foreign = game.claim(Who::Rival);
    assert_eq!(game.claim_of(Who::Rival).number, 1);
    game.job = job;
    let pass = |claims: &[ClaimId]| Action::Pass { job, claims: claims.to_vec() };
    let bounds = || Rejection::Terms { name: "claims", bounds: "1 to 256" };
    let unknown = |kind| Rejection::Unknown { kind };
    let nowhere = Action::Pass { job: protocol::JobId::default(), claims: vec![second] };
    let game = game
        .rejects(Who::Stranger, pass(&[]), bounds())
        .rejects(Who::Stranger, pass(&[second; 257]), bounds())
        .rejects(Who::Stranger, pass(&[first]), order())
        .rejects(Who::Stranger, pass(&[third, second]), order())
        .rejects(Who::Stranger, pass(&[second, second]), order())
        .rejects(Who::Stranger, pass(&[second, fifth]), order())
        .rejects(Who::Stranger, pass(&[foreign]), order())
        .rejects(Who::Stranger, pass(&[ClaimId::default()]), unknown("claim"))
        .rejects(Who::Stranger, nowhere, unknown("job"))
        .accepts(Who::Stranger, pass(&[second, third]));
    assert_eq!(game.job_of().first_standing, 3);
    game.accepts(Who::Stranger, Action::Finalise { claim: fourth });
}

#[test]
fn rival_claims_run_their_windows_at_once_and_the_earliest_that_stands_wins() {
    let (lie, truth) = (Toy::new().run(Some((0, 1))), Toy::new().run(None));
    let window = Parameters::default().window_ms_min;
    let game = Game::new()
        .claims(Who::Executor, &lie)
        .wait(10_000)
        .claims(Who::Rival, &truth)
        .challenges(Who::Challenger, Who::Executor)
        .wait(window - 9_999)
        .refuses(
            Who::Rival,
            |game| game.finalise(Who::Executor),
            Rejection::Waiting { what: "a challenge of the claim" },
        )
        // The liar is silent; its fall costs the rival no time beyond its own window.
        .falls_by_silence(Who::Challenger)
        .finalises(Who::Rival);
    let claim = game.claim(Who::Rival);
    assert_eq!(game.job_of().status, JobStatus::Done { claim });
    assert_eq!(game.delta(Who::Rival), (ETHER / 10 - RECORD_WEI) as i128);
}
