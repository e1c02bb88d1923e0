//! Many challengers of one claim that falls: who is paid what, once, and what is left to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{SUMS, TRACE, inside, leaves};
use common::{Game, Toy, Who, address};
use protocol::settlement::{ChallengeStatus, ClaimStatus, ETHER, Parameters, Rejection};
use protocol::transaction::Action;

const STAKE_WEI: u128 = ETHER;
const RECORD_WEI: u128 = ETHER / 10_000;

/// A claim with a lie in its sum.
fn lie() -> Game {
    Game::new().claims(Who::Executor, &Toy::new().run(Some((2, 0))))
}

/// The challenger convicts the lie, with three demands: five pieces of work.
fn convicted(game: Game) -> Game {
    let game = game.opens_up(Who::Challenger, &[inside(1), leaves(2), SUMS]);
    let proof = game.answers.sum_proof(2);
    game.refutes(Who::Challenger, Who::Challenger, proof)
}

#[test]
fn sixty_sybils_one_winner() {
    // audit_a11: the liar opens sixty challenges of its own beside an honest one.
    let mut game = lie();
    let sybils: Vec<Who> = (0..60).map(Who::Crowd).collect();
    game = game.challenges(Who::Challenger, Who::Executor);
    game = sybils.iter().fold(game, |game, who| game.challenges(*who, Who::Executor));
    game = convicted(game);
    let ClaimStatus::Fallen { unit_wei, share_wei, .. } = game.claim_of(Who::Executor).status
    else {
        panic!("it stands")
    };
    // Who convicts has the whole cost of its five pieces of work, at once.
    let cost_wei = 5 * Parameters::default().work_cost_wei;
    let reward_wei = cost_wei + share_wei;
    assert_eq!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Won { reward_wei });
    assert_eq!(game.delta(Who::Challenger), (reward_wei - RECORD_WEI) as i128);
    // Those that are served divide what half of the stake leaves, by their work; who waits has done none.
    let served = Parameters::default().served_max as usize - 1;
    let work_wei = Parameters::default().work_cost_wei;
    assert_eq!(unit_wei, work_wei.min((STAKE_WEI / 2 - cost_wei) / (2 * served as u128)));
    let before_wei = game.state.money().burned_wei();
    for (place, who) in sybils.iter().enumerate() {
        game = game.collects(*who);
        let work = if place < served { 2 } else { 0 };
        let paid_wei = work * unit_wei + share_wei;
        assert_eq!(game.delta(*who), (paid_wei - RECORD_WEI) as i128);
    }
    assert_eq!(game.state.money().burned_wei(), before_wei, "collecting burns nothing");
    let records_wei = (3 + 61) * RECORD_WEI;
    assert!(before_wei - records_wei >= STAKE_WEI / 2, "half of the stake burns");
    let claim = game.claim_of(Who::Executor);
    assert_eq!((claim.open, claim.work, claim.owed_wei), (61, 5 + 2 * served as u64, 0));
    // Nothing is locked but the job's fee.
    assert_eq!(game.state.money().locked_wei(), ETHER / 10);
    let liars = sybils.iter().map(|who| game.delta(*who)).sum::<i128>();
    let liars = liars + game.delta(Who::Executor);
    assert!(liars <= -((STAKE_WEI / 2 + cost_wei) as i128), "{liars}");
}

#[test]
fn sixty_sybils_in_front_lose_their_bonds_before_an_honest_challenge_is_served_and_convicts() {
    let mut game = lie();
    let parameters = Parameters::default();
    let sybils: Vec<Who> = (0..60).map(Who::Crowd).collect();
    game = sybils.iter().fold(game, |game, who| game.challenges(*who, Who::Executor));
    game = game.challenges(Who::Challenger, Who::Executor);
    // They are silent; whoever waits behind them calls their time.
    for served in sybils.chunks(parameters.served_max as usize) {
        let waits =
            |game: &Game| game.challenge_of(Who::Challenger).status == ChallengeStatus::Queued;
        if waits(&game) {
            game = game.wait(parameters.challenger_clock_ms + 1);
        }
        for who in served {
            if waits(&game) {
                game = game.calls_time(*who);
            }
        }
    }
    game = convicted(game);
    let lost = sybils.iter().filter(|who| game.challenge_of(**who).status == ChallengeStatus::Lost);
    let lost = lost.count() as u128;
    assert_eq!(lost, u128::from(61 - parameters.served_max));
    let of_sybils = sybils.iter().map(|who| game.delta(*who)).sum::<i128>();
    let bonds_wei = lost * parameters.bond_wei(STAKE_WEI);
    assert!(of_sybils <= -(bonds_wei as i128), "{of_sybils}");
    let cost_wei = 5 * parameters.work_cost_wei;
    assert!(game.delta(Who::Challenger) >= (cost_wei - RECORD_WEI) as i128, "its whole cost");
}

#[test]
fn collect_twice() {
    let game = lie()
        .challenges(Who::Second, Who::Executor)
        .challenges(Who::Challenger, Who::Executor)
        .refuses(
            Who::Second,
            |game| game.collect(Who::Second),
            Rejection::Waiting { what: "the claim" },
        );
    let game = convicted(game).collects(Who::Second);
    let over = || Rejection::Over { kind: "challenge" };
    let unknown = Rejection::Unknown { kind: "challenge" };
    // The one that was collected, the one that was paid at once, and one that never was.
    game.refuses(Who::Second, |game| game.collect(Who::Second), over())
        .refuses(Who::Challenger, |game| game.collect(Who::Challenger), over())
        .refuses(Who::Third, |game| game.collect(Who::Third), unknown);
}

#[test]
fn a_challenge_that_lost_before_the_fall_collects_nothing() {
    let game = lie()
        .challenges(Who::Second, Who::Executor)
        .wait(60_000)
        .challenges(Who::Challenger, Who::Executor)
        .wait(Parameters::default().challenger_clock_ms - 60_000 + 1)
        .calls_time(Who::Second);
    assert_eq!(game.claim_of(Who::Executor).open, 1);
    let game = convicted(game);
    let lost_wei = Parameters::default().bond_wei_min + RECORD_WEI;
    assert_eq!(game.delta(Who::Second), -(lost_wei as i128));
    let over = Rejection::Over { kind: "challenge" };
    game.refuses(Who::Second, |game| game.collect(Who::Second), over);
}

#[test]
fn time_called_after_fall() {
    // Two challenges stay open, one on each side's turn, and their clocks run out: the fallen executor
    // would call time on them and take their bonds.
    let game = lie()
        .challenges(Who::Second, Who::Executor)
        .challenges(Who::Third, Who::Executor)
        .challenges(Who::Challenger, Who::Executor)
        .demands(Who::Third, TRACE);
    let game = convicted(game);
    let sound = || game.answers.leaf_proof(2, 0);
    let over = || Rejection::Over { kind: "challenge" };
    let claim_over = || Rejection::Over { kind: "claim" };
    for wait_ms in [0, 10 * Parameters::default().challenger_clock_ms] {
        let now_ms = game.now_ms + wait_ms;
        let refused = |who: Who, action: Action, wanted: Rejection| {
            let found = game.state.clone().perform(now_ms, address(who), 0, &action);
            assert_eq!(found, Err(wanted), "{who:?} {action:?}");
        };
        for challenger in [Who::Second, Who::Third] {
            refused(Who::Executor, game.call_time(challenger), over());
            refused(challenger, game.call_time(challenger), over());
            refused(challenger, game.refute(challenger, sound()), over());
            refused(challenger, game.demand(inside(0)), over());
            let answer = game.reveal(&[challenger], TRACE);
            refused(Who::Executor, answer, claim_over());
        }
        let claim = game.claim(Who::Executor);
        refused(Who::Stranger, Action::Challenge { claim }, claim_over());
        refused(Who::Stranger, game.finalise(Who::Executor), claim_over());
        refused(Who::Executor, game.release(Who::Executor), claim_over());
    }
    let game = game.wait(1_000_000).collects(Who::Second).collects(Who::Third);
    assert!(game.delta(Who::Second) > 0 && game.delta(Who::Third) > game.delta(Who::Second));
}

#[test]
fn challengers_share_and_challenging_oneself_loses_half_the_stake_or_more() {
    let run = Toy::new().run(Some((0, 1)));
    let game = Game::new()
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .challenges(Who::Second, Who::Executor)
        .demands(Who::Second, inside(0))
        .falls_by_silence(Who::Challenger)
        .collects(Who::Second);
    let (first, second) = (game.delta(Who::Challenger), game.delta(Who::Second));
    assert_eq!(first, second, "equal work is paid alike, whoever was the first");
    assert!(first > 0);
    let coalition = game.delta(Who::Executor) + first + second;
    assert!(coalition <= -((STAKE_WEI / 2) as i128), "{coalition}");
}

#[test]
fn half_the_stake_burns_however_many_challengers_claim_their_costs() {
    // Eighty challenges: their costs alone would be more than one and a half stakes.
    let mut game = lie();
    let crowd: Vec<Who> = (0..80).map(Who::Crowd).collect();
    game = crowd.iter().fold(game, |game, who| game.challenges(*who, Who::Executor));
    let before_wei = game.state.money().burned_wei();
    game = game.falls_by_silence(crowd[0]);
    let burned_wei = game.state.money().burned_wei() - before_wei;
    // Half, and what does not divide.
    assert!((STAKE_WEI / 2..STAKE_WEI / 2 + 1_000).contains(&burned_wei), "{burned_wei}");
    for who in &crowd[1..] {
        game = game.collects(*who);
    }
    assert_eq!(game.claim_of(Who::Executor).owed_wei, 0);
}

#[test]
fn one_account_challenges_a_claim_once_also_when_it_lost() {
    let game = lie();
    let exists = || Rejection::Exists { kind: "challenge" };
    let game = game.challenges(Who::Challenger, Who::Executor);
    let claim = game.claim(Who::Executor);
    let game = game.rejects(Who::Challenger, Action::Challenge { claim }, exists());
    // Under a shorter clock the challenge loses while the window is still open.
    let short =
        Parameters { challenger_clock_ms: 20_000, move_floor_ms: 1, ..Parameters::default() };
    let run = game.toy.run(None);
    let game = Game::under(short)
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .wait(20_001)
        .calls_time(Who::Challenger);
    let claim = game.claim(Who::Executor);
    game.rejects(Who::Challenger, Action::Challenge { claim }, exists())
        .challenges(Who::Second, Who::Executor);
}
