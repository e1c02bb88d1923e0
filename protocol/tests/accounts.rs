//! Accounts: money in and out, value that comes with an action, signatures, nonces, time, large sums.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{INPUT, OUTPUT, TRACE};
use common::{FUNDS_WEI, Game, Who, address, genesis, key};
use protocol::hash;
use protocol::settlement::{
    ETHER, Event, Genesis, JobStatus, MoneyError, Parameters, Rejection, Settlement,
};
use protocol::transaction::{Action, Address, JobTerms, SignatureError};

const LARGEST_WEI: u128 = 1 << 100;

#[test]
fn only_the_bank_deposits_and_only_free_money_leaves() {
    let account = address(Who::Stranger);
    let bank = Rejection::NotAllowed { who: "the ledger's bank" };
    let short = MoneyError::Insufficient { free_wei: FUNDS_WEI, needed_wei: FUNDS_WEI + 1 };
    Game::new()
        .rejects(Who::Stranger, Action::Deposit { account, amount_wei: ETHER }, bank)
        .rejects(
            Who::Challenger,
            Action::Withdraw { amount_wei: FUNDS_WEI + 1 },
            Rejection::Money(short),
        )
        .accepts(Who::Challenger, Action::Withdraw { amount_wei: FUNDS_WEI });
}

#[test]
fn audit_a7_what_is_put_in_or_taken_out_has_a_least_and_a_largest_amount() {
    let account = address(Who::Stranger);
    let least_wei = Parameters::default().transfer_wei_min;
    let low = "at least the ledger's least transfer";
    let mut game = Game::new();
    for (amount_wei, bounds) in [
        (0, low),
        (least_wei - 1, low),
        (LARGEST_WEI + 1, "at most 2^100"),
        (u128::MAX, "at most 2^100"),
    ] {
        let refused = || Rejection::Terms { name: "amount_wei", bounds };
        game = game.rejects(Who::Bank, Action::Deposit { account, amount_wei }, refused()).rejects(
            Who::Client,
            Action::Withdraw { amount_wei },
            refused(),
        );
        if amount_wei > 0 {
            let withdraw = Action::Withdraw { amount_wei: least_wei };
            let found = game.state.clone().perform(2_000, account, amount_wei, &withdraw);
            assert_eq!(found, Err(refused()));
        }
    }
    assert!(!game.state.money().knows(&account));
    game.funds(Who::Stranger, least_wei)
        .accepts(Who::Stranger, Action::Withdraw { amount_wei: least_wei });
}

#[test]
fn what_is_left_is_taken_out_whole_however_little_it_is() {
    let left_wei = Parameters::default().transfer_wei_min - 1;
    let low = "at least the ledger's least transfer";
    let refused = || Rejection::Terms { name: "amount_wei", bounds: low };
    let withdraw = |amount_wei| Action::Withdraw { amount_wei };
    Game::new()
        .accepts(Who::Second, withdraw(FUNDS_WEI - left_wei))
        .rejects(Who::Second, withdraw(left_wei - 1), refused())
        .accepts(Who::Second, withdraw(left_wei))
        .rejects(Who::Second, withdraw(0), refused());
}

#[test]
fn value_comes_first_and_is_taken_back_when_the_action_is_refused() {
    let game = Game::new();
    let (known, unknown) = (address(Who::Client), Address([9; 20]));
    let mut state = game.state.clone();
    let before = state.clone();
    let too_much = Action::Withdraw { amount_wei: FUNDS_WEI + ETHER + 1 };
    let unheard = Action::ExpireJob { job: protocol::JobId::default() };
    for sender in [known, unknown] {
        for action in [&too_much, &unheard] {
            assert!(state.perform(2_000, sender, ETHER, action).is_err());
            assert_eq!(state, before, "{sender}: nothing is left of it");
        }
        // Before the ledger's time not even the value counts.
        assert!(state.perform(999, sender, ETHER, &unheard).is_err());
        assert_eq!(state, before);
    }
    assert!(!state.money().knows(&unknown));
    // The action uses what comes with it.
    let free_wei = state.money().free_wei(&known);
    let whole = Action::Withdraw { amount_wei: free_wei + ETHER };
    let withdrawn = Event::Withdrawn { account: known, amount_wei: free_wei + ETHER };
    assert_eq!(state.perform(2_000, known, ETHER, &whole), Ok(vec![withdrawn]));
    assert_eq!(state.money().free_wei(&known), 0);
    let terms = JobTerms { salt: 1, ..game.job_terms() };
    state.perform(2_000, unknown, ETHER, &Action::PostJob { terms }).unwrap();
    let spent_wei = ETHER / 10 + Parameters::default().record_fee_wei;
    assert_eq!(state.money().free_wei(&unknown), ETHER - spent_wei);
    assert_eq!(state.nonce(&unknown), 0, "its order is somebody else's business");
    assert!(state.money().is_conserved());
}

/// Every sum as large as any ledger may name it.
fn largest() -> Parameters {
    let parameters = Parameters {
        stake_wei_min: LARGEST_WEI,
        stake_wei_max: LARGEST_WEI,
        bond_permille: 250,
        bond_wei_min: LARGEST_WEI / 4,
        bond_wei_max: LARGEST_WEI / 4,
        demand_fee_wei: LARGEST_WEI / 96,
        reply_cost_wei: LARGEST_WEI / 96,
        work_cost_wei: LARGEST_WEI / 92,
        reward_permille: 500,
        withdraw_permille: 1000,
        record_fee_wei: 2 * (LARGEST_WEI / 92),
        attest_bond_wei: LARGEST_WEI,
        transfer_wei_min: LARGEST_WEI,
        ..Parameters::default()
    };
    parameters.check().unwrap();
    parameters
}

/// A game of the largest sums: both claims are sealed, the executor's attested and opened, the rival's
/// challenged.
fn large_game() -> Game {
    let mut state = Settlement::new(Genesis { parameters: largest(), ..genesis() }).unwrap();
    let parties =
        [Who::Client, Who::Executor, Who::Rival, Who::Challenger, Who::Second, Who::Third];
    for who in parties {
        for _ in 0..40 {
            let deposit = Action::Deposit { account: address(who), amount_wei: LARGEST_WEI };
            state.perform(1_000, address(Who::Bank), 0, &deposit).unwrap();
        }
    }
    let game = Game::on(state);
    let header = game.toy.committed.header.clone();
    game.accepts(Who::Client, Action::RegisterModel { header })
        .posts(|terms| {
            let largest_wei = LARGEST_WEI;
            (terms.fee_wei, terms.fee_iteration_wei) = (largest_wei, largest_wei);
            (terms.attention_wei, terms.stake_wei) = (largest_wei, largest_wei);
        })
        .seals(Who::Executor)
        .seals(Who::Rival)
        .attests(Who::Challenger, Who::Executor)
        .attests(Who::Second, Who::Executor)
        .wait(30_001)
        .opens(Who::Executor)
        .opens(Who::Rival)
        .plays(Who::Challenger, |game| game.prove(Who::Challenger, Who::Executor))
}

#[test]
fn the_largest_sums_move_without_overflow_whoever_wins() {
    // True: upheld, final, attention collected and burned, the rival released.
    let game = large_game().challenges(Who::Third, Who::Executor).opens_up(Who::Third, &[TRACE]);
    let game = game
        .wait(120_001)
        .calls_time(Who::Third)
        .finalises(Who::Executor)
        .plays(Who::Stranger, |game| game.collect_attention(Who::Challenger, Who::Executor))
        .plays(Who::Stranger, |game| game.collect_attention(Who::Second, Who::Executor))
        .plays(Who::Stranger, |game| game.release(Who::Rival));
    assert_eq!(game.state.money().locked_wei(), 0);
    // True as well, and withdrawn from.
    let game = large_game()
        .challenges(Who::Third, Who::Executor)
        .opens_up(Who::Third, &[INPUT, OUTPUT])
        .withdraws(Who::Third)
        .wait(120_001)
        .finalises(Who::Executor)
        .plays(Who::Stranger, |game| game.release(Who::Rival));
    assert!(game.state.money().is_conserved());
    // False: it falls with several challenges.
    let game = large_game()
        .challenges(Who::Third, Who::Executor)
        .challenges(Who::Challenger, Who::Executor)
        .demands(Who::Third, TRACE)
        .falls_by_silence(Who::Challenger)
        .collects(Who::Third)
        .finalises(Who::Rival);
    assert!(matches!(game.job_of().status, JobStatus::Done { .. }));
}

#[test]
fn signatures_count_for_one_sender_one_nonce_and_one_ledger() {
    let game = Game::new();
    let mut state = game.state.clone();
    let key = key(Who::Client);
    let nonce = state.nonce(&key.address());
    let action = Action::Withdraw { amount_wei: ETHER };
    let good = key.sign(&state.domain(), nonce, &action);
    let mut apply = |transaction| state.apply(2_000, &transaction);
    let mut other_sender = good.clone();
    other_sender.sender = Address([9; 20]);
    assert_eq!(apply(other_sender), Err(Rejection::Signature(SignatureError::OtherKey)));
    let foreign = Settlement::new(Genesis { chain_id: 8, ..genesis() });
    let foreign = key.sign(&foreign.unwrap().domain(), nonce, &action);
    assert_eq!(apply(foreign), Err(Rejection::Signature(SignatureError::OtherKey)));
    // The other s of the pair is a signature of the same message, and is refused.
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = hash::parse_hex(&format!("0x{order}")).unwrap();
    let mut malleable = good.clone();
    let mut borrow = 0i16;
    for index in (0..32).rev() {
        let difference = i16::from(order[index]) - i16::from(good.signature[32 + index]) - borrow;
        borrow = i16::from(difference < 0);
        malleable.signature[32 + index] = difference.rem_euclid(256) as u8;
    }
    malleable.signature[64] ^= 1;
    assert_eq!(apply(malleable), Err(Rejection::Signature(SignatureError::Malformed)));
    let mut recovery = good.clone();
    recovery.signature[64] = 27;
    assert_eq!(apply(recovery), Err(Rejection::Signature(SignatureError::Malformed)));
    assert!(apply(good.clone()).is_ok());
    assert_eq!(apply(good), Err(Rejection::Nonce { expected: nonce + 1 }));
}

/// ATTACKS 19: absurd sequence numbers.
#[test]
fn a_nonce_that_is_not_the_next_is_refused_and_a_refused_action_uses_none() {
    let game = Game::new();
    let mut state = game.state.clone();
    let key = key(Who::Client);
    let expected = state.nonce(&key.address());
    let good = Action::Withdraw { amount_wei: ETHER };
    for nonce in [u64::MAX, expected + 1, expected - 1, expected + (1 << 32)] {
        let signed = key.sign(&state.domain(), nonce, &good);
        assert_eq!(state.apply(game.now_ms, &signed), Err(Rejection::Nonce { expected }));
        let found = state.perform_numbered(game.now_ms, key.address(), nonce, &good);
        assert_eq!(found, Err(Rejection::Nonce { expected }));
    }
    let bad = Action::Withdraw { amount_wei: 100 * ETHER };
    assert!(state.perform_numbered(game.now_ms, key.address(), expected, &bad).is_err());
    assert_eq!(state, game.state);
    state.perform_numbered(game.now_ms, key.address(), expected, &good).unwrap();
    assert_eq!(state.nonce(&key.address()), expected + 1);
}

#[test]
fn time_that_goes_back_is_refused() {
    let mut game = Game::new();
    let ledger_ms = game.state.now_ms();
    game.now_ms = ledger_ms - 1;
    let back = Rejection::TimeWentBack { ledger_ms };
    let action = Action::Withdraw { amount_wei: ETHER };
    let nonce = game.state.nonce(&address(Who::Client));
    let mut state = game.state.clone();
    for found in [
        state.perform(game.now_ms, address(Who::Client), 0, &action),
        state.perform_numbered(game.now_ms, address(Who::Client), nonce, &action),
    ] {
        assert_eq!(found, Err(back.clone()));
    }
    game.rejects(Who::Client, action, back);
}

#[test]
fn audit_a13_what_is_signed_for_one_ledger_means_nothing_on_one_begun_alike() {
    let action = Action::Withdraw { amount_wei: ETHER };
    let here = genesis();
    for there in [
        Genesis { salt: hash::leaf(b"another"), ..here.clone() },
        Genesis { begun_ms: here.begun_ms + 1, ..here.clone() },
    ] {
        let mut game = Game::new();
        let nonce = game.state.nonce(&address(Who::Client));
        let foreign = Settlement::new(there).unwrap().domain();
        let signed = key(Who::Client).sign(&foreign, nonce, &action);
        let refused = game.state.apply(game.now_ms, &signed);
        assert_eq!(refused, Err(Rejection::Signature(SignatureError::OtherKey)));
    }
}
