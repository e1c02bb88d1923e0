//! Disputes from the challenge to the money, as games with their expectations inline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Run, TRACE, Toy, Who, address, inside};
use protocol::facts::{FactError, LeafProof, Request, Reveal, TreeId};
use protocol::hash::Digest;
use protocol::referee::{Evidence, OperandProof, RefereeError, Refutation};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, ETHER, FallReason, JobStatus, Parameters, Rejection,
};
use protocol::transaction::Action;

const CLOCK_MS: u64 = 120_000;
const STAKE_WEI: u128 = ETHER;
const RECORD_WEI: u128 = ETHER / 10_000;

/// A claim, true or with one flipped bit, and a challenge of it.
fn disputed(flip: Option<(usize, usize)>) -> (Game, Run) {
    let run = Toy::new().run(flip);
    let game = Game::new().claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor);
    (game, run)
}

fn demand_of_operator(game: &Game, operator: u32, request: Request) -> Action {
    game.demand_showing(vec![game.toy.operator(operator)], request)
}

/// The product's lie, opened down to the leaf with element 70; and the proof of its step.
fn opened_to_the_lie() -> (Game, Refutation, u64) {
    let (game, run) = disputed(Some((1, 70)));
    let honest = game.toy.run(None);
    // Operator 1 has two leaves of 64 floats; element 70 stands in the second.
    let tensor = Request::Node { tree: TreeId::Tensor { operator: 1 }, depth: 0, index: 0 };
    let leaf = Request::Leaf { operator: 1, leaf: 1 };
    let only = &[Who::Challenger];
    let game = game
        .demands(Who::Challenger, &[], TRACE)
        .reveals(only, TRACE, run.open_trace())
        .demands(Who::Challenger, &[1], inside(1))
        .reveals(only, inside(1), run.open_subtrace(1))
        .plays(Who::Challenger, |game| demand_of_operator(game, 1, tensor))
        .reveals(only, tensor, run.open_tensor(1))
        .demands(Who::Challenger, &[], leaf)
        .reveals(only, leaf, run.open_leaf(1, 1));
    let proof = |bits: &common::Bits, path: Vec<Digest>| OperandProof {
        root: bits.root(),
        path,
        leaves: vec![LeafProof {
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
    (game, refutation, honest.outputs[1].1[70])
}

#[test]
fn a_flipped_bit_is_convicted_and_the_money_moves() {
    let (game, refutation, truth) = opened_to_the_lie();
    // A proof with a leaf left out decides nothing.
    let mut broken = refutation.clone();
    if let Refutation::Step { operands, .. } = &mut broken {
        operands[0].leaves.clear();
    }
    let missing = Rejection::Referee(RefereeError::MissingLeaf { operand: 0 });
    // Anyone may send the proof; the reward is the challenger's.
    let game = game
        .refuses(Who::Challenger, |game| game.refute(Who::Challenger, broken), missing)
        .plays(Who::Stranger, |game| game.refute(Who::Challenger, refutation));
    match &game.claim_of(Who::Executor).status {
        ClaimStatus::Fallen {
            reason: FallReason::Refuted(Evidence::Step { element, claimed, expected, .. }),
            ..
        } => {
            assert_eq!((*element, claimed, expected), (70, &vec![truth ^ 1], &Some(vec![truth])));
        }
        other => panic!("{other:?}"),
    }
    // Its cost, six pieces of work, and the pool of two fifths; both records are paid.
    let reward_wei = 6 * Parameters::default().work_cost_wei + STAKE_WEI * 2 / 5;
    assert_eq!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Won { reward_wei });
    assert_eq!(game.delta(Who::Executor), -((STAKE_WEI + RECORD_WEI) as i128));
    assert_eq!(game.delta(Who::Challenger), (reward_wei - RECORD_WEI) as i128);
    // The model's and the job's record beside.
    assert_eq!(game.state.money().burned_wei(), STAKE_WEI - reward_wei + 4 * RECORD_WEI);
}

#[test]
fn a_sum_of_two_runs_is_refuted_by_its_running_sums() {
    let (game, run) = disputed(Some((2, 0)));
    let leaf = Request::Leaf { operator: 2, leaf: 0 };
    let sums = Request::Accumulators { operator: 2, element: 0 };
    let words = |count| Reveal::Accumulators { words: vec![0; count] };
    let only = &[Who::Challenger];
    let refutation = Refutation::Step { operator: 2, element: 0, segment: 2, operands: Vec::new() };
    let short = Rejection::Fact(FactError::WrongLength);
    let game = game
        .demands(Who::Challenger, &[1], inside(1))
        .reveals(only, inside(1), run.open_subtrace(1))
        .plays(Who::Challenger, |game| demand_of_operator(game, 2, leaf))
        .reveals(only, leaf, run.open_leaf(2, 0))
        .demands(Who::Challenger, &[], sums)
        .refuses(Who::Executor, |game| game.reveal(only, sums, words(5)), short)
        .reveals(only, sums, words(64))
        .plays(Who::Challenger, |game| game.refute(Who::Challenger, refutation));
    assert!(game.has_fallen(Who::Executor));
}

#[test]
fn a_refutation_that_refutes_nothing_costs_only_who_sends_it_for_itself() {
    let (game, run) = disputed(None);
    let leaf = Request::Leaf { operator: 0, leaf: 0 };
    let only = &[Who::Challenger];
    let tensor = Request::Node { tree: TreeId::Tensor { operator: 0 }, depth: 0, index: 0 };
    let sound = || Refutation::Leaf { operator: 0, leaf: 0 };
    let game = game
        .demands(Who::Challenger, &[0], inside(0))
        .reveals(only, inside(0), run.open_subtrace(0))
        .plays(Who::Challenger, |game| demand_of_operator(game, 0, tensor))
        .reveals(only, tensor, run.open_tensor(0))
        .demands(Who::Challenger, &[], leaf)
        // While the executor is to answer, nobody refutes: neither the challenger nor a stranger.
        .refuses(
            Who::Challenger,
            |game| game.refute(Who::Challenger, sound()),
            Rejection::NotYourMove,
        )
        .refuses(
            Who::Stranger,
            |game| game.refute(Who::Challenger, sound()),
            Rejection::NotYourMove,
        )
        .reveals(only, leaf, run.open_leaf(0, 0))
        .refuses(
            Who::Stranger,
            |game| game.refute(Who::Challenger, sound()),
            Rejection::NothingRefuted,
        )
        .plays(Who::Challenger, |game| game.refute(Who::Challenger, sound()));
    assert_eq!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Lost);
    assert!(game.claim_of(Who::Executor).stands());
}

#[test]
fn an_upheld_claim_costs_the_challenger_and_pays_the_replies() {
    let (game, run) = disputed(None);
    let game = game
        .demands(Who::Challenger, &[], TRACE)
        .reveals(&[Who::Challenger], TRACE, run.open_trace())
        .wait(CLOCK_MS + 1)
        .calls_time(Who::Challenger);
    let parameters = Parameters::default();
    let cost_wei = parameters.demand_fee_wei + parameters.reply_cost_wei;
    let locked_wei = (STAKE_WEI + RECORD_WEI) as i128;
    assert_eq!(game.delta(Who::Executor), cost_wei as i128 - locked_wei, "the stake is locked");
    let lost_wei = parameters.bond_wei_min + parameters.demand_fee_wei + RECORD_WEI;
    assert_eq!(game.delta(Who::Challenger), -(lost_wei as i128));
    let game = game.finalises(Who::Executor);
    assert_eq!(game.delta(Who::Executor), (cost_wei + ETHER / 10 - RECORD_WEI) as i128);
}

#[test]
fn demands_are_counted_and_the_last_one_leaves_only_a_refutation() {
    let parameters = Parameters { demands_max: 2, ..Parameters::default() };
    let run = Toy::new().run(None);
    let only = &[Who::Challenger];
    Game::under(parameters)
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .demands(Who::Challenger, &[], TRACE)
        .reveals(only, TRACE, run.open_trace())
        .demands(Who::Challenger, &[0], inside(0))
        .reveals(only, inside(0), run.open_subtrace(0))
        .refuses(Who::Challenger, |game| game.demand(&[1], inside(1)), Rejection::DemandsUsed);
}

#[test]
fn one_answer_serves_every_named_challenger_that_waits_and_skips_the_others() {
    let (game, run) = disputed(None);
    let game = game
        .challenges(Who::Second, Who::Executor)
        .challenges(Who::Third, Who::Executor)
        .demands(Who::Challenger, &[], TRACE)
        .demands(Who::Second, &[0], inside(0))
        .demands(Who::Third, &[], TRACE);
    let nobody = address(Who::Stranger);
    let everybody = [Who::Second, Who::Stranger, Who::Third, Who::Challenger, Who::Third];
    let game = game
        // Whoever waits for something else, or has no challenge, does not hinder the others.
        .reveals(&everybody, TRACE, run.open_trace())
        .refuses(
            Who::Executor,
            |game| game.reveal(&everybody, TRACE, run.open_trace()),
            Rejection::NotYourMove,
        );
    assert_eq!(game.claim_of(Who::Executor).reveals, 1);
    for (who, replies) in [(Who::Challenger, 1), (Who::Third, 1), (Who::Second, 0)] {
        assert_eq!(game.challenge_of(who).replies, replies, "{who:?}");
    }
    let bounds = Rejection::Terms { name: "challengers", bounds: "1 to 16" };
    let claim = game.claim(Who::Executor);
    for count in [0, 17] {
        let (challengers, request, reveal) = (vec![nobody; count], inside(0), run.open_subtrace(0));
        let action = Action::Reveal { claim, challengers, request, reveal };
        assert_eq!(game.state.clone().perform(game.now_ms, address(Who::Executor), 0, &action), {
            Err(bounds.clone())
        });
    }
    game.refuses(
        Who::Third,
        |game| game.demand(&[], TRACE),
        Rejection::Fact(FactError::AlreadyOpen),
    );
}

#[test]
fn a_challenge_that_is_late_is_skipped_by_an_answer_that_others_wait_for() {
    let (game, run) = disputed(None);
    let game = game
        .demands(Who::Challenger, &[], TRACE)
        .wait(30_000)
        .challenges(Who::Second, Who::Executor)
        .demands(Who::Second, &[], TRACE)
        .wait(CLOCK_MS - 30_000 + 1);
    let late = game.deadline_ms(Who::Challenger);
    assert_eq!(late + 1, game.now_ms);
    let game = game.reveals(&[Who::Challenger, Who::Second], TRACE, run.open_trace());
    assert_eq!(game.challenge_of(Who::Challenger).pending(), Some(&TRACE));
    assert_eq!(game.challenge_of(Who::Second).pending(), None);
    assert!(game.calls_time(Who::Challenger).has_fallen(Who::Executor));
}

#[test]
fn windows_close_for_challengers_and_open_for_finality_at_their_millisecond() {
    let game = Game::new().claims(Who::Executor, &Toy::new().run(None));
    let (job, claim) = (game.job, game.claim(Who::Executor));
    let end = game.claim_of(Who::Executor).window_end_ms;
    let late = Rejection::TooLate { at_ms: end };
    let early = Rejection::TooEarly { at_ms: end + 1 };
    let over = |kind| Rejection::Over { kind };
    let game = game
        .wait(60_000)
        .refuses(Who::Stranger, |game| game.finalise(Who::Executor), early)
        .wait(1)
        .rejects(Who::Challenger, Action::Challenge { claim }, late)
        .finalises(Who::Executor)
        .refuses(Who::Stranger, |game| game.finalise(Who::Executor), over("claim"))
        .refuses(Who::Client, Game::expire_job, over("job"));
    assert_eq!(game.state.job(&job).unwrap().status, JobStatus::Done { claim });
}

#[test]
fn a_standing_claim_has_its_stake_back_once_its_job_is_over_and_nobody_disputes_it() {
    let run = Toy::new().run(None);
    let waiting = |what| Rejection::Waiting { what };
    let game = Game::new()
        .claims(Who::Executor, &run)
        .claims(Who::Rival, &run)
        .refuses(Who::Rival, |game| game.release(Who::Rival), waiting("the job"))
        .wait(60_000)
        .challenges(Who::Challenger, Who::Rival)
        .wait(1)
        .finalises(Who::Executor)
        .refuses(Who::Rival, |game| game.release(Who::Rival), waiting("a challenge of the claim"))
        .wait(CLOCK_MS);
    let (claim, challenger) = (game.claim(Who::Rival), address(Who::Challenger));
    let game = game
        .accepts(Who::Rival, Action::CallTime { claim, challenger })
        .plays(Who::Stranger, |game| game.release(Who::Rival))
        .refuses(Who::Rival, |game| game.release(Who::Rival), Rejection::Over { kind: "claim" });
    assert_eq!(game.delta(Who::Rival), -(RECORD_WEI as i128));
    let released = &game.claim_of(Who::Rival).status;
    assert!(matches!(released, ClaimStatus::Released { .. }), "{released:?}");
}
