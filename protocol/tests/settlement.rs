//! The settlement state machine, as games with their expectations inline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{FUNDS_WEI, Game, Toy, Who, address, genesis, key};
use protocol::facts::{FactError, Request, Reveal, TreeId};
use protocol::hash::{self, Digest};
use protocol::ids::JobId;
use protocol::referee::{Evidence, OperandProof, Refutation};
use protocol::settlement::{
    ClaimStatus, ETHER, FallReason, JobStatus, MoneyError, Parameters, Rejection, Settlement,
};
use protocol::transaction::{Action, Address, SignatureError};

/// The budget of either side.
const CLOCK_MS: u64 = 120_000;

const TRACE: Request = Request::Node { tree: TreeId::Trace {}, depth: 0, index: 0 };

/// A claim with a flipped bit in the product, challenged and opened down to the trace.
fn disputed(flip: Option<(usize, usize)>) -> (Game, common::Run) {
    let run = Toy::new().run(flip);
    let game = Game::new().claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor);
    (game, run)
}

fn demand(game: &Game, who: Who, layers: &[u32], request: Request) -> Action {
    let showings = layers.iter().map(|layer| game.toy.layer(*layer)).collect();
    Action::Demand { challenge: game.challenge(who), showings, request }
}

fn reveal(game: &Game, request: Request, reveal: Reveal) -> Action {
    Action::Reveal { claim: game.claim(Who::Executor), request, reveal }
}

#[test]
fn a_flipped_bit_is_convicted_and_the_money_moves() {
    let (game, run) = disputed(Some((1, 70)));
    let honest = game.toy.run(None);
    let action = demand(&game, Who::Challenger, &[], TRACE);
    let game = game.accepts(Who::Challenger, action);
    let action = reveal(&game, TRACE, run.open_trace());
    let game = game.accepts(Who::Executor, action);
    let inside = Request::Subtrace { layer: 1 };
    let action = demand(&game, Who::Challenger, &[1], inside);
    let game = game.accepts(Who::Challenger, action);
    let action = reveal(&game, inside, run.open_subtrace(1));
    let game = game.accepts(Who::Executor, action);
    // Operator 1 has two leaves of 64 floats; element 70 stands in the second.
    let tensor = Request::Node { tree: TreeId::Tensor { operator: 1 }, depth: 0, index: 0 };
    let mut action = demand(&game, Who::Challenger, &[], tensor);
    if let Action::Demand { showings, .. } = &mut action {
        showings.push(game.toy.operator(1));
    }
    let game = game.accepts(Who::Challenger, action);
    let hashes = run.outputs[1].tree().opening(0, 0, 4).unwrap();
    let children = protocol::facts::Children::Hashes { hashes };
    let action = reveal(&game, tensor, Reveal::Node { children });
    let game = game.accepts(Who::Executor, action);
    let leaf = Request::Leaf { operator: 1, leaf: 1 };
    let action = demand(&game, Who::Challenger, &[], leaf);
    let game = game.accepts(Who::Challenger, action);
    let action = reveal(&game, leaf, Reveal::Leaf { bytes: run.outputs[1].leaf(1) });
    let game = game.accepts(Who::Executor, action);
    let proof = |bits: &common::Bits, path: Vec<Digest>| OperandProof {
        root: bits.root(),
        path,
        leaves: vec![protocol::facts::LeafProof {
            position: 1,
            bytes: bits.leaf(1),
            path: bits.tree().path(1).unwrap(),
        }],
    };
    let state_path = honest.states[1].path(0).unwrap();
    let weight_path = game.toy.committed.weights.path(0).unwrap();
    let operands =
        vec![proof(&honest.outputs[0], state_path), proof(&game.toy.weight, weight_path)];
    let refutation = Refutation::Step { operator: 1, element: 70, segment: 0, operands };
    let challenge = game.challenge(Who::Challenger);
    // A proof with a leaf left out decides nothing.
    let mut broken = refutation.clone();
    if let Refutation::Step { operands, .. } = &mut broken {
        operands[0].leaves.clear();
    }
    let missing = protocol::referee::RefereeError::MissingLeaf { operand: 0 };
    let game = game.rejects(
        Who::Challenger,
        Action::Refute { challenge, showings: Vec::new(), refutation: broken },
        Rejection::Referee(missing),
    );
    // Anyone may send the proof; the reward is the challenger's.
    let game =
        game.accepts(Who::Stranger, Action::Refute { challenge, showings: Vec::new(), refutation });
    let claim = game.state.claim(&game.claim(Who::Executor)).unwrap();
    let truth = honest.outputs[1].1[70];
    match &claim.status {
        ClaimStatus::Fallen {
            reason: FallReason::Refuted(Evidence::Step { element, claimed, expected, .. }),
            ..
        } => {
            assert_eq!((*element, claimed, expected), (70, &vec![truth ^ 1], &Some(vec![truth])));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(game.delta(Who::Executor), -(ETHER as i128));
    assert!(game.delta(Who::Challenger) > 0);
    assert!(game.state.money().burned_wei() >= ETHER / 2);
}

#[test]
fn a_sum_of_two_runs_is_refuted_by_its_running_sums() {
    let (game, run) = disputed(Some((2, 0)));
    let action = demand(&game, Who::Challenger, &[1], Request::Subtrace { layer: 1 });
    let game = game.accepts(Who::Challenger, action);
    let inside = Request::Subtrace { layer: 1 };
    let action = reveal(&game, inside, run.open_subtrace(1));
    let game = game.accepts(Who::Executor, action);
    let leaf = Request::Leaf { operator: 2, leaf: 0 };
    let mut action = demand(&game, Who::Challenger, &[], leaf);
    if let Action::Demand { showings, .. } = &mut action {
        showings.push(game.toy.operator(2));
    }
    let game = game.accepts(Who::Challenger, action);
    let action = reveal(&game, leaf, Reveal::Leaf { bytes: run.outputs[2].leaf(0) });
    let game = game.accepts(Who::Executor, action);
    let sums = Request::Accumulators { operator: 2, element: 0 };
    let action = demand(&game, Who::Challenger, &[], sums);
    let game = game.accepts(Who::Challenger, action);
    let short = reveal(&game, sums, Reveal::Accumulators { words: vec![0; 5] });
    let game = game.rejects(Who::Executor, short, Rejection::Fact(FactError::WrongLength));
    let action = reveal(&game, sums, Reveal::Accumulators { words: vec![0; 64] });
    let game = game.accepts(Who::Executor, action);
    let challenge = game.challenge(Who::Challenger);
    let refutation = Refutation::Step { operator: 2, element: 0, segment: 2, operands: Vec::new() };
    let game = game
        .accepts(Who::Challenger, Action::Refute { challenge, showings: Vec::new(), refutation });
    assert_eq!(game.delta(Who::Executor), -(ETHER as i128));
}

#[test]
fn time_is_called_neither_early_nor_twice_and_silence_loses() {
    let (game, _) = disputed(None);
    let challenge = game.challenge(Who::Challenger);
    let action = demand(&game, Who::Challenger, &[], TRACE);
    let game = game.accepts(Who::Challenger, action);
    let deadline = game.now_ms + Parameters::default().executor_clock_ms;
    let call = Action::CallTime { challenge };
    let game = game
        .rejects(Who::Stranger, call.clone(), Rejection::TooEarly { at_ms: deadline + 1 })
        .wait(CLOCK_MS)
        // At the deadline itself the executor is still in time, and nobody may call it.
        .rejects(Who::Stranger, call.clone(), Rejection::TooEarly { at_ms: deadline + 1 })
        .wait(1);
    let run = game.toy.run(None);
    let late = reveal(&game, TRACE, run.open_trace());
    let game = game
        .rejects(Who::Executor, late, Rejection::NotYourMove)
        .accepts(Who::Stranger, call.clone())
        .rejects(Who::Stranger, call, Rejection::Over { kind: "challenge" });
    let claim = game.state.claim(&game.claim(Who::Executor)).unwrap();
    let silent =
        ClaimStatus::Fallen { reason: FallReason::Silence(TRACE), challenge, at_ms: deadline + 1 };
    assert_eq!(claim.status, silent);
}

#[test]
fn a_spent_budget_still_leaves_the_floor_for_each_move() {
    let (game, run) = disputed(None);
    let action = demand(&game, Who::Challenger, &[], TRACE);
    let game = game.accepts(Who::Challenger, action).wait(CLOCK_MS);
    let action = reveal(&game, TRACE, run.open_trace());
    let game = game.accepts(Who::Executor, action);
    let inside = Request::Subtrace { layer: 0 };
    let action = demand(&game, Who::Challenger, &[0], inside);
    let game = game.accepts(Who::Challenger, action);
    let challenge = game.state.challenge(&game.challenge(Who::Challenger)).unwrap();
    assert_eq!(challenge.executor_clock_ms, 0);
    let floor = Parameters::default().move_floor_ms;
    assert_eq!(challenge.deadline_ms(floor), Some(game.now_ms + floor));
    let game = game.wait(floor);
    let action = reveal(&game, inside, run.open_subtrace(0));
    game.accepts(Who::Executor, action);
}

#[test]
fn an_upheld_claim_costs_the_challenger_and_pays_the_replies() {
    let (game, run) = disputed(None);
    let action = demand(&game, Who::Challenger, &[], TRACE);
    let game = game.accepts(Who::Challenger, action);
    let action = reveal(&game, TRACE, run.open_trace());
    let game = game.accepts(Who::Executor, action).wait(CLOCK_MS + 1);
    let challenge = game.challenge(Who::Challenger);
    let game = game.accepts(Who::Stranger, Action::CallTime { challenge });
    let parameters = Parameters::default();
    let cost = parameters.demand_fee_wei + parameters.reply_cost_wei;
    assert_eq!(game.delta(Who::Executor), cost as i128 - ETHER as i128, "the stake is locked");
    let lost = parameters.bond_wei_min + parameters.demand_fee_wei;
    assert_eq!(game.delta(Who::Challenger), -(lost as i128));
    let job = game.job;
    let game = game.wait(1).accepts(Who::Stranger, Action::Finalise { job });
    assert_eq!(game.delta(Who::Executor), (cost + ETHER / 10) as i128);
}

#[test]
fn rival_claims_run_their_windows_at_once_and_the_earliest_that_stands_wins() {
    let toy = Toy::new();
    let (lie, truth) = (toy.run(Some((0, 1))), toy.run(None));
    let game = Game::new()
        .claims(Who::Executor, &lie)
        .wait(10_000)
        .claims(Who::Rival, &truth)
        .challenges(Who::Challenger, Who::Executor);
    let job = game.job;
    let window = Parameters::default().window_ms_min;
    let game = game.wait(window - 9_999);
    let game = game.rejects(
        Who::Rival,
        Action::Finalise { job },
        Rejection::Waiting { what: "a challenge of the claim" },
    );
    // The liar is silent; its fall costs the rival no time beyond its own window.
    let action = demand(&game, Who::Challenger, &[], TRACE);
    let game = game.accepts(Who::Challenger, action).wait(CLOCK_MS + 1);
    let challenge = game.challenge(Who::Challenger);
    let game = game
        .accepts(Who::Stranger, Action::CallTime { challenge })
        .accepts(Who::Stranger, Action::Finalise { job });
    let claim = game.claim(Who::Rival);
    assert_eq!(game.state.job(&job).unwrap().status, JobStatus::Done { claim });
    assert_eq!(game.delta(Who::Rival), (ETHER / 10) as i128);
}

#[test]
fn challengers_share_and_challenging_oneself_loses_half_the_stake_or_more() {
    let (game, _) = disputed(Some((0, 1)));
    let game = game.challenges(Who::Second, Who::Executor);
    let action = demand(&game, Who::Challenger, &[], TRACE);
    let game = game.accepts(Who::Challenger, action).wait(CLOCK_MS + 1);
    let challenge = game.challenge(Who::Challenger);
    let game = game.accepts(Who::Stranger, Action::CallTime { challenge });
    assert_eq!(game.delta(Who::Challenger), game.delta(Who::Second), "no single winner");
    assert!(game.delta(Who::Challenger) > 0);
    let coalition =
        game.delta(Who::Executor) + game.delta(Who::Challenger) + game.delta(Who::Second);
    assert!(coalition <= -((ETHER / 2) as i128), "{coalition}");
}

#[test]
fn half_the_stake_burns_however_many_challengers_claim_their_costs() {
    let (mut game, _) = disputed(Some((0, 1)));
    // Eighty challenges: their costs alone would be four fifths of the stake.
    for _ in 1..80 {
        game = game.challenges(Who::Challenger, Who::Executor);
    }
    let action = demand(&game, Who::Challenger, &[], TRACE);
    let game = game.accepts(Who::Challenger, action).wait(CLOCK_MS + 1);
    let pending = game.state.challenges().find(|(_, one)| one.pending().is_some());
    let challenge = *pending.unwrap().0;
    let game = game.accepts(Who::Stranger, Action::CallTime { challenge });
    assert_eq!(game.state.money().burned_wei(), ETHER / 2);
}

#[test]
fn one_answer_serves_every_challenger_that_waits() {
    let (game, run) = disputed(None);
    let game = game.challenges(Who::Second, Who::Executor);
    let first = demand(&game, Who::Challenger, &[], TRACE);
    let second = demand(&game, Who::Second, &[], TRACE);
    let game = game.accepts(Who::Challenger, first).accepts(Who::Second, second.clone());
    let action = reveal(&game, TRACE, run.open_trace());
    let game = game.accepts(Who::Executor, action);
    assert_eq!(game.state.claim(&game.claim(Who::Executor)).unwrap().reveals, 1);
    game.rejects(Who::Second, second, Rejection::Fact(FactError::AlreadyOpen));
}

#[test]
fn terms_outside_the_ledgers_bounds_are_refused() {
    let mut game = Game::new();
    type Change = fn(&mut protocol::transaction::JobTerms);
    let table: [(&str, Change); 4] = [
        ("window_ms", |terms| terms.window_ms = 0),
        ("window_ms", |terms| terms.window_ms = u64::MAX),
        ("stake_wei", |terms| terms.stake_wei -= 1),
        ("bond_wei", |terms| terms.bond_wei = 0),
    ];
    for (name, change) in table {
        let mut terms = game.job_terms();
        change(&mut terms);
        match game.send(Who::Client, &Action::PostJob { terms }) {
            Err(Rejection::Terms { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    for broken in [
        Parameters { reward_permille: 501, ..Parameters::default() },
        Parameters { demand_fee_wei: 0, ..Parameters::default() },
        Parameters { move_floor_ms: 0, ..Parameters::default() },
        Parameters { arity_log2: 9, ..Parameters::default() },
        Parameters { window_ms_min: 0, ..Parameters::default() },
    ] {
        assert!(broken.check().is_err(), "{broken:?}");
    }
}

#[test]
fn windows_close_for_challengers_and_open_for_finality_at_their_millisecond() {
    let toy = Toy::new();
    let game = Game::new().claims(Who::Executor, &toy.run(None));
    let (job, claim) = (game.job, game.claim(Who::Executor));
    let end = game.state.claim(&claim).unwrap().window_end_ms;
    let game = game
        .wait(60_000)
        .rejects(Who::Stranger, Action::Finalise { job }, Rejection::TooEarly { at_ms: end + 1 })
        .wait(1)
        .rejects(Who::Challenger, Action::Challenge { claim }, Rejection::TooLate { at_ms: end })
        .accepts(Who::Stranger, Action::Finalise { job })
        .rejects(Who::Stranger, Action::Finalise { job }, Rejection::Over { kind: "job" });
    game.rejects(Who::Client, Action::CancelJob { job }, Rejection::Over { kind: "job" });
}

#[test]
fn only_the_bank_deposits_and_only_free_money_leaves() {
    let account = address(Who::Stranger);
    Game::new()
        .rejects(
            Who::Stranger,
            Action::Deposit { account, amount_wei: 1 },
            Rejection::NotAllowed { who: "the ledger's bank" },
        )
        .rejects(
            Who::Bank,
            Action::Deposit { account, amount_wei: u128::MAX },
            Rejection::Money(MoneyError::Overflow),
        )
        .rejects(
            Who::Challenger,
            Action::Withdraw { amount_wei: FUNDS_WEI + 1 },
            Rejection::Money(MoneyError::Insufficient {
                free_wei: FUNDS_WEI,
                needed_wei: FUNDS_WEI + 1,
            }),
        )
        .accepts(Who::Challenger, Action::Withdraw { amount_wei: FUNDS_WEI });
}

#[test]
fn signatures_count_for_one_sender_one_nonce_and_one_ledger() {
    let game = Game::new();
    let mut state = game.state.clone();
    let key = key(Who::Client);
    let nonce = state.nonce(&key.address());
    let action = Action::Withdraw { amount_wei: 1 };
    let good = key.sign(&state.domain(), nonce, &action);
    let mut apply = |transaction| state.apply(2_000, &transaction);
    let mut other_sender = good.clone();
    other_sender.sender = Address([9; 20]);
    assert_eq!(apply(other_sender), Err(Rejection::Signature(SignatureError::OtherKey)));
    let foreign = Settlement::new(protocol::settlement::Genesis { chain_id: 8, ..genesis() });
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

/// ATTACKS 19: absurd sequence numbers, and ids that could compare equal.
#[test]
fn equal_terms_make_different_jobs_and_absurd_nonces_are_refused() {
    let game = Game::new();
    let (first, terms) = (game.job, game.job_terms());
    let game = game.accepts(Who::Client, Action::PostJob { terms: terms.clone() });
    let jobs: Vec<JobId> = game.state.jobs().map(|(id, _)| *id).collect();
    assert_eq!(jobs.len(), 2);
    assert!(jobs.contains(&first) && jobs[0] != jobs[1]);
    let mut state = game.state.clone();
    let key = key(Who::Client);
    let expected = state.nonce(&key.address());
    for nonce in [u64::MAX, expected + 1, expected - 1, expected + (1 << 32)] {
        let signed = key.sign(&state.domain(), nonce, &Action::PostJob { terms: terms.clone() });
        assert_eq!(state.apply(game.now_ms, &signed), Err(Rejection::Nonce { expected }));
    }
}

#[test]
fn time_that_goes_back_is_refused() {
    let mut game = Game::new();
    let ledger_ms = game.state.now_ms();
    game.now_ms = ledger_ms - 1;
    let back = Rejection::TimeWentBack { ledger_ms };
    game.rejects(Who::Client, Action::Withdraw { amount_wei: 1 }, back);
}

#[test]
fn everything_ends_by_the_printed_bound_whatever_the_players_do() {
    // Both sides use every second of every move, and the challenger every demand it can make.
    let (mut game, run) = disputed(None);
    let claim = game.claim(Who::Executor);
    let bound = game.state.claim(&claim).unwrap().last_finality_ms;
    let requests = [TRACE, Request::Subtrace { layer: 0 }, Request::Subtrace { layer: 1 }];
    let answers = [run.open_trace(), run.open_subtrace(0), run.open_subtrace(1)];
    for (request, answer) in requests.into_iter().zip(answers) {
        for turn in 0..2 {
            let floor = Parameters::default().move_floor_ms;
            let challenge = game.state.challenge(&game.challenge(Who::Challenger)).unwrap();
            game.now_ms = challenge.deadline_ms(floor).unwrap();
            game = match turn {
                0 => {
                    let action = demand(&game, Who::Challenger, &[0, 1], request);
                    game.accepts(Who::Challenger, action)
                }
                _ => {
                    let action = reveal(&game, request, answer.clone());
                    game.accepts(Who::Executor, action)
                }
            };
        }
    }
    let challenge = game.challenge(Who::Challenger);
    let floor = Parameters::default().move_floor_ms;
    game.now_ms = game.state.challenge(&challenge).unwrap().deadline_ms(floor).unwrap() + 1;
    let job = game.job;
    let mut game = game.accepts(Who::Stranger, Action::CallTime { challenge });
    game.now_ms = game.now_ms.max(game.state.claim(&claim).unwrap().window_end_ms + 1);
    assert!(game.now_ms <= bound, "{} {bound}", game.now_ms);
    game.accepts(Who::Stranger, Action::Finalise { job });
}
