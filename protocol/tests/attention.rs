//! Attention rewards: who is paid, who cannot be, and that no money is lost on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Who, address};
use protocol::hash::{Digest, Keccak};
use protocol::ids::{JobId, SealedId};
use protocol::settlement::attention::{seal, word};
use protocol::settlement::{ETHER, Event, Parameters, Rejection};
use protocol::transaction::Action;

const ATTENTION_WEI: u128 = ETHER / 25;

fn salt(number: u8) -> Digest {
    Digest([number; 32])
}

/// A game whose job pays for attention.
fn attentive_game() -> Game {
    let mut game = Game::new();
    let mut terms = game.job_terms();
    terms.attention_wei = ATTENTION_WEI;
    game = game.accepts(Who::Client, Action::PostJob { terms });
    game.job = posted(&game);
    game
}

fn posted(game: &Game) -> JobId {
    let job = game.last.iter().find_map(|event| match event {
        Event::JobPosted { job } => Some(*job),
        _ => None,
    });
    job.unwrap()
}

fn sealed(game: &Game) -> SealedId {
    let sealed = game.last.iter().find_map(|event| match event {
        Event::ClaimSealed { sealed, .. } => Some(*sealed),
        _ => None,
    });
    sealed.unwrap()
}

fn seal_of(game: &Game, who: Who) -> Action {
    let root = game.toy.run(None).trace.root();
    Action::SealClaim { job: game.job, seal: seal::<Keccak>(&address(who), &root, &salt(1)) }
}

fn attest(game: &Game, who: Who, sealed: SealedId) -> Action {
    let root = game.toy.run(None).trace.root();
    Action::Attest { sealed, word: word::<Keccak>(&address(who), &root, &salt(who as u8)) }
}

fn opening(game: &Game, sealed: SealedId) -> Action {
    let terms = game.toy.run(None).terms(game.job);
    Action::OpenClaim { sealed, terms, salt: salt(1) }
}

/// Sealed by the executor, attested by both challengers, opened.
fn opened() -> (Game, SealedId) {
    let game = attentive_game();
    let action = seal_of(&game, Who::Executor);
    let game = game.accepts(Who::Executor, action);
    let id = sealed(&game);
    let (first, second) = (attest(&game, Who::Challenger, id), attest(&game, Who::Second, id));
    let game = game
        .accepts(Who::Challenger, first)
        .accepts(Who::Second, second)
        .wait(Parameters::default().seal_ms + 1);
    let action = opening(&game, id);
    (game.accepts(Who::Executor, action), id)
}

#[test]
fn whoever_attested_to_the_right_root_shares_the_attention_money() {
    let (game, _) = opened();
    let claim = game.claim(Who::Executor);
    let prove = |who: Who| Action::ProveAttention { claim, salt: salt(who as u8) };
    let game = game
        .accepts(Who::Challenger, prove(Who::Challenger))
        .accepts(Who::Second, prove(Who::Second))
        .rejects(Who::Second, prove(Who::Second), Rejection::Exists { kind: "proof of attention" })
        .wait(Parameters::default().window_ms_min + 1);
    let job = game.job;
    let game = game.accepts(Who::Stranger, Action::Finalise { job });
    assert_eq!(game.delta(Who::Challenger), (ATTENTION_WEI / 2) as i128);
    assert_eq!(game.delta(Who::Second), (ATTENTION_WEI / 2) as i128);
    assert_eq!(game.delta(Who::Executor), (ETHER / 10) as i128);
}

#[test]
fn without_attesters_the_attention_money_goes_back() {
    let (game, _) = opened();
    let (job, fee) = (game.job, (ETHER / 10) as i128);
    let game = game
        .wait(Parameters::default().window_ms_min + 1)
        .accepts(Who::Stranger, Action::Finalise { job });
    // Two jobs were posted: one is still open and holds its fee.
    assert_eq!(game.delta(Who::Client), -2 * fee);
}

#[test]
fn a_copied_word_proves_nothing() {
    let game = attentive_game();
    let action = seal_of(&game, Who::Executor);
    let game = game.accepts(Who::Executor, action);
    let id = sealed(&game);
    let original = attest(&game, Who::Challenger, id);
    // The second challenger copies the first one's word from the queue.
    let game = game
        .accepts(Who::Second, original.clone())
        .accepts(Who::Challenger, original)
        .wait(Parameters::default().seal_ms + 1);
    let action = opening(&game, id);
    let game = game.accepts(Who::Executor, action);
    let claim = game.claim(Who::Executor);
    let prove = Action::ProveAttention { claim, salt: salt(Who::Challenger as u8) };
    let rejected = Rejection::NotAllowed { who: "who attested to this claim's trace root" };
    game.rejects(Who::Second, prove.clone(), rejected).accepts(Who::Challenger, prove);
}

#[test]
fn nobody_attests_after_the_opening_begins_nor_the_executor_nor_twice() {
    let seal_ms = Parameters::default().seal_ms;
    let game = attentive_game();
    let action = seal_of(&game, Who::Executor);
    let game = game.accepts(Who::Executor, action);
    let (id, begun) = (sealed(&game), game.now_ms);
    let own = attest(&game, Who::Executor, id);
    let twice = attest(&game, Who::Challenger, id);
    let late = attest(&game, Who::Second, id);
    let early = opening(&game, id);
    game.rejects(Who::Executor, own, Rejection::NotAllowed { who: "anybody but the executor" })
        .accepts(Who::Challenger, twice.clone())
        .rejects(Who::Challenger, twice, Rejection::Exists { kind: "attestation" })
        .wait(seal_ms)
        .rejects(Who::Executor, early, Rejection::TooEarly { at_ms: begun + seal_ms + 1 })
        .wait(1)
        .rejects(Who::Second, late, Rejection::TooLate { at_ms: begun + seal_ms });
}

#[test]
fn a_seal_that_is_not_opened_burns_its_stake_and_frees_the_job() {
    let seal_ms = Parameters::default().seal_ms;
    let game = attentive_game();
    let action = seal_of(&game, Who::Executor);
    let game = game.accepts(Who::Executor, action);
    let (id, begun, job) = (sealed(&game), game.now_ms, game.job);
    let expire = Action::ExpireSeal { sealed: id };
    let game = game
        .rejects(
            Who::Client,
            Action::CancelJob { job },
            Rejection::Waiting { what: "a sealed claim on the job" },
        )
        .wait(2 * seal_ms)
        .rejects(
            Who::Stranger,
            expire.clone(),
            Rejection::TooEarly { at_ms: begun + 2 * seal_ms + 1 },
        )
        .wait(1)
        .accepts(Who::Stranger, expire)
        .accepts(Who::Client, Action::CancelJob { job });
    assert_eq!(game.delta(Who::Executor), -(Parameters::default().stake_wei_min as i128));
}

#[test]
fn a_seal_of_another_root_or_for_another_address_does_not_open() {
    let game = attentive_game();
    let action = seal_of(&game, Who::Rival);
    let game = game.accepts(Who::Executor, action);
    let id = sealed(&game);
    let action = opening(&game, id);
    game.wait(Parameters::default().seal_ms + 1).rejects(
        Who::Executor,
        action,
        Rejection::NotBound,
    );
}

#[test]
fn who_opens_after_the_job_is_done_gets_the_stake_back() {
    let game = attentive_game();
    let (first, second) = (seal_of(&game, Who::Executor), seal_of(&game, Who::Rival));
    let game = game.accepts(Who::Executor, first);
    let id = sealed(&game);
    let game = game.wait(Parameters::default().seal_ms + 1);
    let action = opening(&game, id);
    let game = game.accepts(Who::Executor, action);
    let window_ms = Parameters::default().window_ms_min;
    let game = game.wait(window_ms - 10_000).accepts(Who::Rival, second);
    let late = sealed(&game);
    let job = game.job;
    let game = game
        .wait(10_001)
        .accepts(Who::Stranger, Action::Finalise { job })
        .wait(Parameters::default().seal_ms);
    let action = opening(&game, late);
    let game = game.accepts(Who::Rival, action);
    assert_eq!(game.delta(Who::Rival), 0);
}

#[test]
fn a_job_with_attention_takes_no_claim_that_was_not_sealed() {
    let game = attentive_game();
    let terms = game.toy.run(None).terms(game.job);
    let bounds = "claims on a job with attention are sealed first";
    let rejected = Rejection::Terms { name: "claim", bounds };
    game.rejects(Who::Executor, Action::PostClaim { terms }, rejected);
}
