//! Attention rewards: who is paid, who cannot be, and that no money is lost on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Toy, Who, address, salt};
use protocol::hash::{Digest, Keccak};
use protocol::settlement::attention::{seal, sealed_id, word};
use protocol::settlement::{
    AttestationStatus, ClaimStatus, ETHER, Parameters, Rejection, SealedStatus,
};
use protocol::transaction::Action;

const ATTENTION_WEI: u128 = ETHER / 25;
const FEE_WEI: i128 = (ETHER / 10) as i128;
const BOND_WEI: i128 = (ETHER / 100) as i128;
const RECORD_WEI: i128 = (ETHER / 10_000) as i128;
const SEAL_MS: u64 = 30_000;
const WINDOW_MS: u64 = 60_000;

/// A game whose job pays for attention.
fn attentive_game() -> Game {
    Game::new().posts(|terms| (terms.salt, terms.attention_wei) = (1, ATTENTION_WEI))
}

/// Sealed by the executor, attested by both challengers, opened.
fn opened() -> Game {
    attentive_game()
        .seals(Who::Executor)
        .attests(Who::Challenger, Who::Executor)
        .attests(Who::Second, Who::Executor)
        .wait(SEAL_MS + 1)
        .opens(Who::Executor)
}

fn collected(game: Game, attester: Who) -> Game {
    game.plays(Who::Stranger, |game| game.collect_attention(attester, Who::Executor))
}

/// An attestation to a root that nobody computed.
fn junk(game: &Game, who: Who, executor: Who) -> Action {
    let word = word::<Keccak>(&address(who), &Digest([7; 32]), &salt(who));
    Action::Attest { sealed: game.sealed(executor), word }
}

#[test]
fn whoever_attested_to_the_right_root_shares_the_attention_money() {
    let twice = Rejection::Exists { kind: "proof of attention" };
    let stands = Rejection::Waiting { what: "the claim" };
    let prove = |who| move |game: &Game| game.prove(who, Who::Executor);
    let game = opened()
        .plays(Who::Challenger, prove(Who::Challenger))
        .plays(Who::Second, prove(Who::Second))
        .refuses(Who::Second, prove(Who::Second), twice)
        .wait(WINDOW_MS + 1)
        .refuses(Who::Second, |game| game.collect_attention(Who::Second, Who::Executor), stands)
        .finalises(Who::Executor);
    assert_eq!(game.delta(Who::Challenger), -BOND_WEI - RECORD_WEI, "paid when it is collected");
    let over = Rejection::Over { kind: "attestation" };
    let game = collected(collected(game, Who::Challenger), Who::Second);
    assert_eq!(game.delta(Who::Challenger), (ATTENTION_WEI / 2) as i128 - RECORD_WEI);
    assert_eq!(game.delta(Who::Second), (ATTENTION_WEI / 2) as i128 - RECORD_WEI);
    assert_eq!(game.delta(Who::Executor), FEE_WEI - RECORD_WEI);
    let game =
        game.refuses(Who::Second, |game| game.collect_attention(Who::Second, Who::Executor), over);
    let unknown = Rejection::Unknown { kind: "attestation" };
    game.refuses(Who::Third, |game| game.collect_attention(Who::Third, Who::Executor), unknown);
}

#[test]
fn attention_money_that_does_not_divide_or_that_nobody_earned_is_the_posters() {
    let posted = -2 * (FEE_WEI + RECORD_WEI) - RECORD_WEI;
    for (proven, rest_wei) in [(0u128, 100u128), (1, 0), (2, 0), (3, 1)] {
        let attesters = [Who::Challenger, Who::Second, Who::Third];
        let mut game = Game::new()
            .posts(|terms| (terms.salt, terms.attention_wei) = (1, 100))
            .seals(Who::Executor);
        for who in attesters {
            game = game.attests(who, Who::Executor);
        }
        game = game.wait(SEAL_MS + 1).opens(Who::Executor);
        for who in &attesters[..proven as usize] {
            game = game.plays(*who, |game| game.prove(*who, Who::Executor));
        }
        game = game.wait(WINDOW_MS + 1).finalises(Who::Executor);
        assert_eq!(game.delta(Who::Client), posted - 100 + rest_wei as i128, "{proven} proven");
        for who in attesters {
            game = collected(game, who);
        }
        let share = (100 - rest_wei).checked_div(proven).unwrap_or(0) as i128;
        let paid = attesters.map(|who| game.delta(who));
        let earned_wei = |place| if place < proven { share } else { -BOND_WEI };
        let wanted = [0, 1, 2].map(|place| earned_wei(place) - RECORD_WEI);
        assert_eq!(paid, wanted, "{proven} proven");
        // What is locked is the first job's fee.
        assert_eq!(game.state.money().locked_wei() as i128, FEE_WEI);
    }
}

#[test]
fn audit_a12_a_word_that_proves_nothing_about_a_final_claim_burns_its_bond() {
    let game = attentive_game().seals(Who::Executor);
    let game = game
        .plays(Who::Challenger, |game| junk(game, Who::Challenger, Who::Executor))
        .attests(Who::Second, Who::Executor)
        .attests(Who::Third, Who::Executor)
        .wait(SEAL_MS + 1)
        .opens(Who::Executor);
    assert_eq!(
        game.delta(Who::Challenger),
        -BOND_WEI - RECORD_WEI,
        "giving one's word locks a bond"
    );
    let not_it = Rejection::NotAllowed { who: "who attested to this claim's sequence root" };
    let end = game.claim_of(Who::Executor).window_end_ms;
    let game = game
        .refuses(Who::Challenger, |game| game.prove(Who::Challenger, Who::Executor), not_it.clone())
        // Nor by the salt of another, nor for one that gave no word.
        .refuses(Who::Second, |game| game.prove(Who::Third, Who::Executor), not_it.clone())
        .refuses(Who::Rival, |game| game.prove(Who::Rival, Who::Executor), not_it)
        .plays(Who::Second, |game| game.prove(Who::Second, Who::Executor))
        .wait(WINDOW_MS + 1)
        // A right word that was not proven in the window counts as none.
        .refuses(
            Who::Third,
            |game| game.prove(Who::Third, Who::Executor),
            Rejection::TooLate { at_ms: end },
        )
        .finalises(Who::Executor);
    let before_wei = game.state.money().burned_wei();
    let game = collected(collected(collected(game, Who::Challenger), Who::Second), Who::Third);
    let lost = [Who::Challenger, Who::Third].map(|who| game.delta(who));
    assert_eq!(lost, [-BOND_WEI - RECORD_WEI; 2]);
    assert_eq!(game.delta(Who::Second), ATTENTION_WEI as i128 - RECORD_WEI);
    let burned_wei = game.state.money().burned_wei() - before_wei;
    assert_eq!(burned_wei as i128, 2 * BOND_WEI);
}

#[test]
fn audit_a12_junk_takes_no_more_than_its_places_and_pays_for_each() {
    let parameters = Parameters { attestations_max: 2, ..Parameters::default() };
    let full = Rejection::Terms { name: "attestations", bounds: "all places are taken" };
    let game = Game::under(parameters)
        .posts(|terms| (terms.salt, terms.attention_wei) = (1, ATTENTION_WEI))
        .seals(Who::Executor)
        .plays(Who::Crowd(0), |game| junk(game, Who::Crowd(0), Who::Executor))
        .plays(Who::Crowd(1), |game| junk(game, Who::Crowd(1), Who::Executor))
        .refuses(Who::Second, |game| game.attest(Who::Second, Who::Executor), full);
    assert_eq!(game.delta(Who::Crowd(0)) + game.delta(Who::Crowd(1)), -2 * (BOND_WEI + RECORD_WEI));
    // Without money there is no word.
    let free_wei = game.state.money().free_wei(&address(Who::Second));
    let game =
        game.accepts(Who::Second, Action::Withdraw { amount_wei: free_wei }).seals(Who::Rival);
    let found = game.state.clone().perform(
        game.now_ms,
        address(Who::Second),
        0,
        &game.attest(Who::Second, Who::Rival),
    );
    assert!(matches!(found, Err(Rejection::Money(_))), "{found:?}");
}

#[test]
fn audit_a12_an_attester_has_its_bond_back_from_a_seal_that_expired() {
    let waiting = Rejection::Waiting { what: "the sealed claim" };
    let game = attentive_game()
        .seals(Who::Executor)
        .attests(Who::Challenger, Who::Executor)
        .wait(2 * SEAL_MS + 1)
        .refuses(
            Who::Challenger,
            |game| game.collect_attention(Who::Challenger, Who::Executor),
            waiting,
        )
        .plays(Who::Stranger, |game| game.expire_seal(Who::Executor));
    assert_eq!(collected(game, Who::Challenger).delta(Who::Challenger), -RECORD_WEI);
}

#[test]
fn audit_a12_an_attester_of_truth_or_of_junk_has_its_bond_back_from_a_claim_that_fell() {
    let game = opened();
    let game = game
        .plays(Who::Challenger, |game| game.prove(Who::Challenger, Who::Executor))
        .challenges(Who::Third, Who::Executor)
        .falls_by_silence(Who::Third);
    let game = collected(collected(game, Who::Challenger), Who::Second);
    assert_eq!([game.delta(Who::Challenger), game.delta(Who::Second)], [-RECORD_WEI; 2]);
}

#[test]
fn audit_a12_an_attester_has_its_bond_back_from_a_claim_that_was_released_or_never_stood() {
    // The rival opens while the executor's claim stands; the third seals in time and opens too late.
    let seal_ms = 40_000;
    let game = Game::under(Parameters { seal_ms, ..Parameters::default() })
        .posts(|terms| (terms.salt, terms.attention_wei) = (1, ATTENTION_WEI))
        .seals(Who::Executor)
        .seals(Who::Rival)
        .attests(Who::Challenger, Who::Rival)
        .attests(Who::Second, Who::Rival)
        .wait(seal_ms)
        .seals(Who::Third)
        .attests(Who::Crowd(0), Who::Third)
        .wait(1)
        .opens(Who::Executor)
        .opens(Who::Rival)
        .plays(Who::Challenger, |game| game.prove(Who::Challenger, Who::Rival))
        .wait(WINDOW_MS + 1)
        .finalises(Who::Executor)
        .wait(1)
        .opens(Who::Third)
        .plays(Who::Stranger, |game| game.release(Who::Rival));
    assert!(matches!(game.claim_of(Who::Rival).status, ClaimStatus::Released { .. }));
    let never = game.state.sealed(&game.sealed(Who::Third)).unwrap();
    assert_eq!(never.status, SealedStatus::Expired);
    let collect =
        |attester, executor| move |game: &Game| game.collect_attention(attester, executor);
    let game = game
        .plays(Who::Stranger, collect(Who::Challenger, Who::Rival))
        .plays(Who::Stranger, collect(Who::Second, Who::Rival))
        .plays(Who::Stranger, collect(Who::Crowd(0), Who::Third));
    for who in [Who::Challenger, Who::Second, Who::Crowd(0)] {
        assert_eq!(game.delta(who), -RECORD_WEI, "{who:?}");
    }
    // Who opens after the job is done has the stake back.
    assert_eq!(game.delta(Who::Third), -RECORD_WEI);
    let sealed = game.sealed(Who::Rival);
    let one = game.state.attestation(&sealed, &address(Who::Challenger)).unwrap();
    assert_eq!((one.bond_wei, one.status), (0, AttestationStatus::Collected));
}

#[test]
fn a_copied_word_proves_nothing() {
    let not_it = Rejection::NotAllowed { who: "who attested to this claim's sequence root" };
    let game = attentive_game().seals(Who::Executor);
    let original = game.attest(Who::Challenger, Who::Executor);
    // The second challenger copies the first one's word from the queue.
    let game = game
        .accepts(Who::Second, original.clone())
        .accepts(Who::Challenger, original)
        .wait(SEAL_MS + 1)
        .opens(Who::Executor);
    let prove = game.prove(Who::Challenger, Who::Executor);
    game.rejects(Who::Second, prove.clone(), not_it).accepts(Who::Challenger, prove);
}

#[test]
fn nobody_attests_after_the_opening_begins_nor_the_executor_nor_twice() {
    let game = attentive_game().seals(Who::Executor);
    let begun = game.now_ms;
    let attest = |who| move |game: &Game| game.attest(who, Who::Executor);
    let own = Rejection::NotAllowed { who: "anybody but the executor" };
    let twice = Rejection::Exists { kind: "attestation" };
    let early = Rejection::TooEarly { at_ms: begun + SEAL_MS + 1 };
    let late = Rejection::TooLate { at_ms: begun + SEAL_MS };
    game.refuses(Who::Executor, attest(Who::Executor), own)
        .plays(Who::Challenger, attest(Who::Challenger))
        .refuses(Who::Challenger, attest(Who::Challenger), twice)
        .wait(SEAL_MS)
        .refuses(Who::Executor, |game| game.opening(Who::Executor), early)
        .plays(Who::Third, attest(Who::Third))
        .wait(1)
        .refuses(Who::Second, attest(Who::Second), late)
        .opens(Who::Executor);
}

#[test]
fn a_seal_that_is_not_opened_burns_the_bond_of_its_stake_and_frees_the_job() {
    for stake_wei in [ETHER, 8 * ETHER] {
        let game = Game::new()
            .posts(|terms| {
                (terms.salt, terms.attention_wei) = (1, ATTENTION_WEI);
                (terms.stake_wei, terms.open_ms) = (stake_wei, 1);
            })
            .seals(Who::Executor);
        let begun = game.now_ms;
        let early = Rejection::TooEarly { at_ms: begun + 2 * SEAL_MS + 1 };
        let expire = |game: &Game| game.expire_seal(Who::Executor);
        let late = Rejection::TooLate { at_ms: begun + 2 * SEAL_MS };
        let over = || Rejection::Over { kind: "sealed claim" };
        let game = game
            .wait(2 * SEAL_MS)
            .refuses(Who::Stranger, expire, early)
            .wait(1)
            .refuses(Who::Executor, |game| game.opening(Who::Executor), late)
            .refuses(
                Who::Client,
                Game::expire_job,
                Rejection::Waiting { what: "a sealed claim on the job" },
            )
            .plays(Who::Stranger, expire)
            .refuses(Who::Stranger, expire, over())
            .refuses(Who::Executor, |game| game.opening(Who::Executor), over())
            .plays(Who::Stranger, Game::expire_job);
        let bond_wei = game.state.parameters().bond_wei(stake_wei);
        assert_eq!(bond_wei, (ETHER / 10).max(stake_wei / 50));
        assert_eq!(game.delta(Who::Executor), -(bond_wei as i128) - RECORD_WEI);
    }
}

#[test]
fn a_seal_opens_for_its_executor_its_job_and_its_root_only() {
    let game = attentive_game().seals(Who::Executor);
    let lie = Toy::new().run(Some((0, 0)));
    let good = game.opening(Who::Executor);
    let with = |change: &dyn Fn(&mut protocol::transaction::Statement, &mut Digest)| {
        let Action::OpenClaim { sealed, mut statement, mut salt } = good.clone() else {
            unreachable!()
        };
        change(&mut statement, &mut salt);
        Action::OpenClaim { sealed, statement, salt }
    };
    let job = game.job;
    let other = Game::new().job;
    let not_mine = Rejection::NotAllowed { who: "the executor that sealed it" };
    let bound = || Rejection::NotBound;
    game.wait(SEAL_MS + 1)
        .rejects(Who::Rival, good.clone(), not_mine)
        .rejects(Who::Executor, with(&|_, salt| *salt = Digest([9; 32])), bound())
        .rejects(Who::Executor, with(&|one, _| *one = lie.statement(job)), bound())
        .rejects(Who::Executor, with(&|one, _| one.terms.job = other), bound())
        .rejects(Who::Executor, with(&|one, _| one.terms.output_root = Digest([9; 32])), bound())
        .accepts(Who::Executor, good);
}

#[test]
fn audit_a16_a_seal_that_is_copied_does_not_open() {
    let game = attentive_game();
    let root = game.toy.run(None).sequence_root();
    // The executor copies the rival's seal from the queue.
    let copied = seal::<Keccak>(&address(Who::Rival), &root, &salt(Who::Rival));
    let job = game.job;
    let game =
        game.accepts(Who::Executor, Action::SealClaim { job, seal: copied }).wait(SEAL_MS + 1);
    let statement = game.toy.run(None).statement(job);
    let sealed = sealed_id::<Keccak>(&address(Who::Executor), &job, &copied);
    let action = Action::OpenClaim { sealed, statement, salt: salt(Who::Rival) };
    game.rejects(Who::Executor, action, Rejection::NotBound);
}

#[test]
fn audit_a16_a_job_takes_sealed_claims_or_open_ones_and_never_both() {
    let bounds = "claims on a job with attention are sealed first";
    let sealed = Rejection::Terms { name: "claim", bounds };
    let open = Rejection::Terms { name: "seal", bounds: "only on a job with attention" };
    let game = attentive_game();
    let statement = game.toy.run(None).statement(game.job);
    game.rejects(Who::Executor, Action::PostClaim { statement }, sealed);
    Game::new().refuses(Who::Executor, |game| game.seal_action(Who::Executor), open);
}

#[test]
fn words_burn_a_record_fee_each_so_that_what_is_kept_for_ever_is_not_free() {
    let mut game = attentive_game().seals(Who::Executor);
    let crowd: Vec<Who> = (0..64).map(Who::Crowd).collect();
    for who in &crowd {
        game = game.attests(*who, Who::Executor);
    }
    let game =
        game.wait(2 * SEAL_MS + 1).plays(Who::Stranger, |game| game.expire_seal(Who::Executor));
    let game = crowd.iter().fold(game, |game, who| collected(game, *who));
    assert!(crowd.iter().all(|who| game.delta(*who) == -RECORD_WEI));
}

#[test]
fn nobody_gives_a_word_or_seals_while_an_opened_claim_shows_its_root() {
    let stands = || Rejection::Waiting { what: "a standing claim on the job" };
    let game = attentive_game()
        .seals(Who::Executor)
        .wait(SEAL_MS - 10_000)
        .seals(Who::Rival)
        .wait(10_001)
        .opens(Who::Executor);
    // The root is read from the ledger.
    let root = game.claim_of(Who::Executor).terms.sequence_root;
    let copied = word::<Keccak>(&address(Who::Second), &root, &salt(Who::Second));
    let attest = Action::Attest { sealed: game.sealed(Who::Rival), word: copied };
    let own = seal::<Keccak>(&address(Who::Third), &root, &salt(Who::Third));
    let again = Action::SealClaim { job: game.job, seal: own };
    let game =
        game.rejects(Who::Second, attest, stands()).rejects(Who::Third, again.clone(), stands());
    // Who sealed before opens beside it; and once it has fallen others seal again.
    game.clone().wait(20_000).opens(Who::Rival);
    let game = game.challenges(Who::Second, Who::Executor).falls_by_silence(Who::Second);
    game.accepts(Who::Third, again);
}
