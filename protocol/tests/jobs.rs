//! Jobs and the records on them: ids by content, who may claim and until when, expiry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::TRACE;
use common::{Game, Run, Toy, Who, address};
use protocol::hash::{Digest, Keccak};
use protocol::settlement::attention::{seal, sealed_id};
use protocol::settlement::{
    ETHER, Event, JobStatus, MoneyError, Parameters, Rejection, challenge_id, claim_id, job_id,
};
use protocol::transaction::{Action, JobTerms, Statement};

const RECORD_WEI: u128 = ETHER / 10_000;
const ATTENTION_WEI: u128 = ETHER / 25;

fn honest() -> Run {
    Toy::new().run(None)
}

/// A claim of the same run under another number, as an executor that fell would make it anew.
fn salted(game: &Game, run: &Run, salt: u64) -> Statement {
    let mut statement = run.statement(game.job);
    statement.terms.salt = salt;
    statement
}

#[test]
fn ids_are_made_of_content_and_of_no_nonce() {
    let run = honest();
    // Two ledgers begun alike, and the parties of one have sent something before.
    let calm = Game::new();
    let mut busy = Game::new();
    for who in [Who::Client, Who::Executor, Who::Challenger] {
        busy = busy.accepts(who, Action::Withdraw { amount_wei: ETHER });
    }
    for game in [calm, busy] {
        let mut terms = game.job_terms();
        terms.salt = 1;
        terms.attention_wei = ATTENTION_WEI;
        let attentive = job_id(address(Who::Client), &terms);
        let game = game.accepts(Who::Client, Action::PostJob { terms });
        assert_eq!(game.last, [Event::JobPosted { job: attentive }]);
        let statement = run.statement(game.job);
        let claim = claim_id(address(Who::Executor), &statement.terms);
        let game = game.claims(Who::Executor, &run);
        assert!(
            matches!(game.last[..], [Event::ClaimPosted { claim: found, .. }] if found == claim)
        );
        let challenge = challenge_id(claim, address(Who::Challenger));
        let game = game.accepts(Who::Challenger, Action::Challenge { claim });
        assert_eq!(game.last, [Event::Challenged { challenge, claim }]);
        let hidden = seal::<Keccak>(&address(Who::Rival), &run.sequence_root(), &Digest([1; 32]));
        let sealed = sealed_id::<Keccak>(&address(Who::Rival), &attentive, &hidden);
        let game = game.accepts(Who::Rival, Action::SealClaim { job: attentive, seal: hidden });
        assert_eq!(game.last, [Event::ClaimSealed { sealed, job: attentive }]);
    }
}

#[test]
fn what_exists_is_refused_and_a_salt_makes_it_another() {
    let run = honest();
    let exists = |kind| Rejection::Exists { kind };
    let game = Game::new();
    let terms = game.job_terms();
    let again = Action::PostJob { terms: terms.clone() };
    let other = Action::PostJob { terms: JobTerms { salt: 1, ..terms } };
    let header = game.toy.committed.header.clone();
    let game = game
        .rejects(Who::Stranger, Action::RegisterModel { header }, exists("model"))
        .rejects(Who::Client, again.clone(), exists("job"))
        // Another poster's job of the same terms is another job.
        .accepts(Who::Rival, again)
        .accepts(Who::Client, other)
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .falls_by_silence(Who::Challenger);
    // A claim that fell is still the claim of that id.
    let again = Action::PostClaim { statement: run.statement(game.job) };
    let other = Action::PostClaim { statement: salted(&game, &run, 1) };
    let game = game
        .rejects(Who::Executor, again.clone(), exists("claim"))
        .accepts(Who::Executor, other)
        .accepts(Who::Rival, again)
        .posts(|terms| (terms.salt, terms.attention_wei) = (2, ATTENTION_WEI))
        .seals(Who::Executor)
        .refuses(Who::Executor, |game| game.seal_action(Who::Executor), exists("sealed claim"))
        .wait(2 * Parameters::default().seal_ms + 1)
        .plays(Who::Stranger, |game| game.expire_seal(Who::Executor));
    game.refuses(Who::Executor, |game| game.seal_action(Who::Executor), exists("sealed claim"));
}

#[test]
fn audit_a16_a_named_executor_alone_claims_and_seals() {
    let run = honest();
    let only = || Rejection::NotAllowed { who: "the executor that the job names" };
    let named = |terms: &mut JobTerms| {
        (terms.salt, terms.executor) = (1, address(Who::Executor));
    };
    let game = Game::new().posts(named);
    let statement = run.statement(game.job);
    let game = game
        .rejects(Who::Rival, Action::PostClaim { statement }, only())
        .claims(Who::Executor, &run)
        .posts(|terms| {
            named(terms);
            terms.attention_wei = ATTENTION_WEI;
        })
        .refuses(Who::Rival, |game| game.seal_action(Who::Rival), only())
        .seals(Who::Executor);
    assert_eq!(game.job_of().seals_waiting, 1);
}

#[test]
fn claims_and_seals_are_taken_until_a_job_closes_and_openings_also_later() {
    let run = honest();
    let open_ms = 50_000;
    let game = Game::new().posts(|terms| (terms.salt, terms.open_ms) = (1, open_ms));
    let until = game.now_ms + open_ms;
    let late = || Rejection::TooLate { at_ms: until };
    let statement = run.statement(game.job);
    let game = game.wait(open_ms).claims(Who::Executor, &run).wait(1).rejects(
        Who::Rival,
        Action::PostClaim { statement },
        late(),
    );
    let game = game.posts(|terms| {
        (terms.salt, terms.open_ms, terms.attention_wei) = (2, open_ms, ATTENTION_WEI);
    });
    let until = game.now_ms + open_ms;
    let late = Rejection::TooLate { at_ms: until };
    let game = game
        .wait(open_ms)
        .seals(Who::Executor)
        .wait(1)
        .refuses(Who::Rival, |game| game.seal_action(Who::Rival), late)
        .wait(Parameters::default().seal_ms)
        .opens(Who::Executor)
        .wait(Parameters::default().window_ms_min + 1)
        .finalises(Who::Executor);
    assert!(matches!(game.job_of().status, JobStatus::Done { .. }));
}

#[test]
fn audit_a8_a_job_is_over_only_when_its_time_is_and_nothing_stands_or_waits() {
    let run = honest();
    let waiting = |what| Rejection::Waiting { what };
    let game = Game::new().posts(|terms| {
        (terms.salt, terms.fee_wei, terms.fee_iteration_wei) = (1, ETHER, ETHER / 2);
    });
    let poster_wei = game.delta(Who::Client);
    let early = Rejection::TooEarly { at_ms: game.now_ms + 600_001 };
    let game = game
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .wait(600_000)
        // In mid-run the poster cannot take its fee away.
        .refuses(Who::Client, Game::expire_job, early)
        .wait(1)
        .refuses(Who::Client, Game::expire_job, waiting("a standing claim on the job"))
        .calls_time(Who::Challenger)
        .refuses(Who::Client, Game::expire_job, waiting("a standing claim on the job"))
        .finalises(Who::Executor);
    assert_eq!(game.delta(Who::Client), poster_wei);
    // With a claim that falls, and a seal that is not opened: everything goes back, sent by anybody.
    let game = game.posts(|terms| {
        (terms.salt, terms.fee_wei, terms.fee_iteration_wei) = (2, ETHER, ETHER / 2);
        (terms.attention_wei, terms.open_ms) = (ATTENTION_WEI, 31_000);
    });
    let game = game
        .seals(Who::Executor)
        .wait(30_000)
        .seals(Who::Rival)
        .wait(1)
        .opens(Who::Executor)
        .challenges(Who::Challenger, Who::Executor)
        .falls_by_silence(Who::Challenger);
    // The fall gives everybody one clock more to claim.
    let again_ms = Parameters::default().executor_clock_ms + 1;
    let early = Rejection::TooEarly { at_ms: game.now_ms + again_ms };
    let game = game
        .refuses(Who::Stranger, Game::expire_job, early)
        .wait(again_ms)
        .refuses(Who::Stranger, Game::expire_job, waiting("a sealed claim on the job"))
        .plays(Who::Stranger, |game| game.expire_seal(Who::Rival))
        .plays(Who::Stranger, Game::expire_job)
        .refuses(Who::Stranger, Game::expire_job, Rejection::Over { kind: "job" });
    assert_eq!(game.delta(Who::Client), poster_wei - RECORD_WEI as i128);
    assert_eq!(game.job_of().status, JobStatus::Expired);
    let late = game.seal_action(Who::Third);
    game.rejects(Who::Third, late, Rejection::Over { kind: "job" });
}

#[test]
fn a_copy_that_is_let_fall_after_the_time_for_claims_does_not_shut_out_the_true_claim() {
    let run = honest();
    let clock_ms = Parameters::default().executor_clock_ms;
    let game = Game::new()
        .posts(|terms| (terms.salt, terms.open_ms) = (5, 100_000))
        .claims(Who::Executor, &run)
        .wait(50_000)
        .challenges(Who::Second, Who::Executor)
        .demands(Who::Second, TRACE)
        .wait(clock_ms + 1);
    let claim = |game: &Game| Action::PostClaim { statement: honest().statement(game.job) };
    let late = Rejection::TooLate { at_ms: game.job_of().open_until_ms };
    let game = game.refuses(Who::Rival, claim, late).calls_time(Who::Second);
    let open_until_ms = game.job_of().open_until_ms;
    assert_eq!(open_until_ms, game.now_ms + clock_ms);
    // As late as that a claim is taken, and no later.
    game.clone().wait(clock_ms).claims(Who::Rival, &run);
    let late = Rejection::TooLate { at_ms: open_until_ms };
    game.wait(clock_ms + 1).refuses(Who::Rival, claim, late);
}

#[test]
fn audit_a7_each_record_burns_its_fee_and_is_refused_without_it() {
    // The builder checks after every transition that nothing else burns.
    let run = honest();
    let game = Game::new();
    assert_eq!(game.state.money().burned_wei(), 2 * RECORD_WEI, "a model and a job");
    let spend = |game: Game, who: Who, left_wei: u128| {
        let free_wei = game.state.money().free_wei(&address(who));
        game.accepts(who, Action::Withdraw { amount_wei: free_wei - left_wei })
    };
    let short = |free_wei: u128| {
        Rejection::Money(MoneyError::Insufficient { free_wei, needed_wei: free_wei + 1 })
    };
    // A fee less one wei: for the model, the job, the claim, the challenge and the seal.
    let mut header = game.toy.committed.header.clone();
    header.graph_root = protocol::hash::leaf(b"another");
    let fee_wei = RECORD_WEI - 1;
    let game = spend(game, Who::Third, fee_wei);
    let action = Action::RegisterModel { header };
    let game = game.rejects(Who::Third, action, short(fee_wei));
    let mut terms = game.job_terms();
    terms.salt = 1;
    let locked_wei = terms.locked_wei().unwrap() + fee_wei;
    let game = spend(game, Who::Client, locked_wei).rejects(
        Who::Client,
        Action::PostJob { terms },
        short(locked_wei),
    );
    let (stake_wei, bond_wei) = (ETHER + fee_wei, ETHER / 10 + fee_wei);
    let statement = run.statement(game.job);
    let game = spend(game, Who::Rival, stake_wei)
        .rejects(Who::Rival, Action::PostClaim { statement }, short(stake_wei))
        .claims(Who::Executor, &run);
    let claim = game.claim(Who::Executor);
    let game = spend(game, Who::Challenger, bond_wei)
        .rejects(Who::Challenger, Action::Challenge { claim }, short(bond_wei))
        .funds(Who::Client, ETHER)
        .posts(|terms| (terms.salt, terms.attention_wei) = (2, ATTENTION_WEI));
    let game = game.refuses(Who::Rival, |game| game.seal_action(Who::Rival), short(stake_wei));
    assert_eq!(game.state.money().burned_wei(), 4 * RECORD_WEI);
    let game = game.seals(Who::Executor).wait(30_001).opens(Who::Executor);
    assert_eq!(game.state.money().burned_wei(), 5 * RECORD_WEI, "an opened seal burns no second");
}

#[test]
fn terms_outside_the_ledgers_bounds_are_refused() {
    let mut game = Game::new();
    type Change = fn(&mut JobTerms);
    let table: [(&str, Change); 19] = [
        ("iterations_max", |terms| terms.iterations_max = 0),
        ("iterations_max", |terms| terms.iterations_max = (1 << 20) + 1),
        ("may_cut", |terms| terms.may_cut = true),
        ("window_ms", |terms| terms.window_ms = 0),
        ("window_ms", |terms| terms.window_ms -= 1),
        ("window_ms", |terms| terms.window_ms = 30 * 24 * 3_600_000 + 1),
        ("window_ms", |terms| terms.window_ms = u64::MAX),
        ("open_ms", |terms| terms.open_ms = 0),
        ("open_ms", |terms| terms.open_ms = 315_360_000_001),
        ("open_ms", |terms| terms.open_ms = u64::MAX),
        ("stake_wei", |terms| terms.stake_wei -= 1),
        ("stake_wei", |terms| terms.stake_wei = 1_000 * ETHER + 1),
        ("stake_wei", |terms| terms.stake_wei = u128::MAX),
        ("fee_wei", |terms| terms.fee_wei = 0),
        ("fee_wei", |terms| terms.fee_wei = (1 << 100) + 1),
        ("fee_wei", |terms| terms.fee_wei = u128::MAX),
        ("fee_wei", |terms| terms.fee_iteration_wei = u128::MAX),
        ("fee_wei", |terms| terms.attention_wei = (1 << 100) + 1),
        ("fee_wei", |terms| terms.attention_wei = u128::MAX),
    ];
    for (name, change) in table {
        let mut terms = JobTerms { salt: 1, ..game.job_terms() };
        change(&mut terms);
        match game.send(Who::Client, &Action::PostJob { terms: terms.clone() }) {
            Err(Rejection::Terms { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{terms:?}: {other:?}"),
        }
    }
    let longest = |terms: &mut JobTerms| {
        (terms.salt, terms.open_ms, terms.window_ms) = (2, 315_360_000_000, 30 * 24 * 3_600_000);
    };
    game = game.posts(longest).posts(|terms| {
        (terms.salt, terms.fee_wei, terms.attention_wei) = (3, 0, 1);
    });
    let mut terms = JobTerms { salt: 4, ..game.job_terms() };
    terms.model_root = protocol::hash::leaf(b"unknown");
    game.rejects(Who::Client, Action::PostJob { terms }, Rejection::Unknown { kind: "model" });
}

#[test]
fn a_claim_says_what_its_job_asks_for_and_is_bound_to_it() {
    let (game, lie) = (Game::new(), Toy::new().run(Some((2, 0))));
    let good = honest().statement(game.job);
    type Change = fn(&mut Statement);
    let table: [(Option<&str>, Change); 8] = [
        (Some("model_root"), |one| one.terms.model_root = Digest([7; 32])),
        (Some("input_root"), |one| one.terms.input_root = Digest([7; 32])),
        (Some("iterations"), |one| one.terms.iterations = 2),
        (Some("iterations"), |one| one.terms.iterations = 0),
        (None, |one| one.terms.output_root = Digest([7; 32])),
        (None, |one| one.terms.sequence_root = Digest([7; 32])),
        (None, |one| one.binding.output = one.binding.input.clone()),
        (None, |one| one.binding.input.state_path.clear()),
    ];
    let mut game = game;
    for (name, change) in table {
        let mut statement = good.clone();
        change(&mut statement);
        let found = game.send(Who::Executor, &Action::PostClaim { statement });
        match (name, found) {
            (None, Err(Rejection::NotBound)) => {}
            (Some(name), Err(Rejection::Terms { name: found, .. })) => assert_eq!(found, name),
            (_, other) => panic!("{name:?}: {other:?}"),
        }
    }
    // The binding of another run than the claimed one.
    let mut statement = good.clone();
    statement.binding = lie.statement(game.job).binding;
    let action = Action::PostClaim { statement };
    let game = game.rejects(Who::Executor, action, Rejection::NotBound);
    game.accepts(Who::Executor, Action::PostClaim { statement: good });
}
