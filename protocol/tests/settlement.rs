//! Disputes from the challenge to the money, as games with their expectations inline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{INPUT, SUMS, TRACE, inside, leaves, tensor};
use common::{Game, Toy, Who, address};
use protocol::asks::{Answer, AskError, Evidence, RefereeError, Refutation};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, ETHER, FallReason, JobStatus, Parameters, Rejection,
};
use protocol::transaction::Action;

const CLOCK_MS: u64 = 120_000;
const STAKE_WEI: u128 = ETHER;
const RECORD_WEI: u128 = ETHER / 10_000;

/// A claim, true or with one flipped bit, and a challenge of it.
fn disputed(flip: Option<(usize, usize)>) -> Game {
    let run = Toy::new().run(flip);
    Game::new().claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor)
}

#[test]
fn a_flipped_bit_is_convicted_and_the_money_moves() {
    // The product's lie, opened down to the leaf with element 70, the second of two.
    let game = disputed(Some((1, 70)));
    let game = game.opens_up(Who::Challenger, &[TRACE, inside(1), tensor(1), leaves(1)]);
    let proof = game.answers.product_proof(70);
    let truth = game.toy.run(None).outputs[1].1[70];
    // A proof with a leaf left out decides nothing.
    let mut broken = proof.clone();
    if let Refutation::Step { operands, .. } = &mut broken.1 {
        operands[0].1.leaves.clear();
    }
    let bad = Rejection::Referee(RefereeError::BadOperand { operand: 0 });
    // Anyone may send the proof; the reward is the challenger's.
    let game = game
        .refuses(Who::Challenger, |game| game.refute(Who::Challenger, broken), bad)
        .refutes(Who::Stranger, Who::Challenger, proof);
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
    let game = disputed(Some((2, 0)));
    let only = &[Who::Challenger];
    let refused = Rejection::Ask;
    let words = |leaves: usize| Answer::Leaves { leaves: vec![[0; 256]; leaves] };
    let game = game
        .opens_up(Who::Challenger, &[inside(1), leaves(2)])
        .demands(Who::Challenger, SUMS)
        .refuses(
            Who::Executor,
            |game| game.reveal_with(only, SUMS, words(2)),
            refused(AskError::WrongLength),
        )
        .refuses(
            Who::Executor,
            |game| game.reveal_with(only, SUMS, Answer::Hashes { hashes: Vec::new() }),
            refused(AskError::WrongKind),
        );
    // Whatever words it says: those of the run, or others.
    for word in [None, Some(0)] {
        let mut game =
            Game { answers: game.answers.clone(), state: game.state.clone(), ..disputed(None) };
        if let Some(word) = word {
            game.answers = game.answers.with_sums(word);
        }
        let game = game.answers(only, SUMS);
        let proof = game.answers.sum_proof(2);
        let game = game.refutes(Who::Challenger, Who::Challenger, proof);
        assert!(game.has_fallen(Who::Executor), "{word:?}");
    }
}

#[test]
fn a_refutation_that_refutes_nothing_costs_only_who_sends_it_for_itself() {
    let game = disputed(None);
    let sound = |game: &Game| game.refute(Who::Challenger, game.answers.leaf_proof(0, 0));
    let game = game
        .opens_up(Who::Challenger, &[inside(0), tensor(0)])
        .demands(Who::Challenger, leaves(0))
        // While the executor is to answer, nobody refutes: neither the challenger nor a stranger.
        .refuses(Who::Challenger, sound, Rejection::NotYourMove)
        .refuses(Who::Stranger, sound, Rejection::NotYourMove)
        .answers(&[Who::Challenger], leaves(0))
        .refuses(Who::Stranger, sound, Rejection::NothingRefuted)
        .plays(Who::Challenger, sound);
    assert_eq!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Lost);
    assert!(game.claim_of(Who::Executor).stands());
}

#[test]
fn an_upheld_claim_costs_the_challenger_and_pays_the_replies() {
    let game = disputed(None)
        .opens_up(Who::Challenger, &[TRACE])
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
    let parameters = Parameters { demands_max: 2, end_asks_max: 1, ..Parameters::default() };
    let run = Toy::new().run(None);
    let used = || Rejection::DemandsUsed;
    Game::under(parameters)
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .opens_up(Who::Challenger, &[TRACE, inside(0)])
        .refuses(Who::Challenger, |game| game.demand(inside(1)), used())
        // Of inputs and outputs there are as many beside.
        .opens_up(Who::Challenger, &[INPUT])
        .refuses(Who::Challenger, |game| game.demand(INPUT), used());
}

#[test]
fn one_answer_serves_every_named_challenger_that_waits_and_skips_the_others() {
    let game = disputed(None)
        .challenges(Who::Second, Who::Executor)
        .challenges(Who::Third, Who::Executor)
        .demands(Who::Challenger, TRACE)
        .demands(Who::Second, inside(0))
        .demands(Who::Third, TRACE);
    let nobody = address(Who::Stranger);
    let everybody = [Who::Second, Who::Stranger, Who::Third, Who::Challenger, Who::Third];
    let game = game
        // Whoever waits for something else, or has no challenge, does not hinder the others.
        .answers(&everybody, TRACE)
        .refuses(Who::Executor, |game| game.reveal(&everybody, TRACE), Rejection::NotYourMove);
    assert_eq!(game.claim_of(Who::Executor).reveals, 1);
    for (who, replies) in [(Who::Challenger, 1), (Who::Third, 1), (Who::Second, 0)] {
        assert_eq!(game.challenge_of(who).replies, replies, "{who:?}");
    }
    let bounds = Rejection::Terms { name: "challengers", bounds: "1 to 16" };
    for count in [0, 17] {
        let Action::Reveal { claim, ask, answer, .. } = game.reveal(&[Who::Second], inside(0))
        else {
            unreachable!()
        };
        let action = Action::Reveal { claim, challengers: vec![nobody; count], ask, answer };
        assert_eq!(game.state.clone().perform(game.now_ms, address(Who::Executor), 0, &action), {
            Err(bounds.clone())
        });
    }
    // What is open may be asked again: it costs who asks.
    game.opens_up(Who::Third, &[TRACE, TRACE]);
}

#[test]
fn a_challenge_that_is_late_is_skipped_by_an_answer_that_others_wait_for() {
    let game = disputed(None)
        .demands(Who::Challenger, TRACE)
        .wait(30_000)
        .challenges(Who::Second, Who::Executor)
        .demands(Who::Second, TRACE)
        .wait(CLOCK_MS - 30_000 + 1);
    let late = game.deadline_ms(Who::Challenger);
    assert_eq!(late + 1, game.now_ms);
    let game = game.answers(&[Who::Challenger, Who::Second], TRACE);
    assert_eq!(game.challenge_of(Who::Challenger).pending(), Some(&game.ask(TRACE)));
    assert_eq!(game.challenge_of(Who::Second).pending(), None);
    assert!(game.calls_time(Who::Challenger).has_fallen(Who::Executor));
}

#[test]
fn a_transaction_shows_sixteen_things_at_most() {
    let game = disputed(None);
    let with = |count: usize| {
        let Action::Demand { claim, ask, path, from, .. } = game.demand(inside(0)) else {
            unreachable!()
        };
        let showings = vec![game.toy.layer(0); count];
        Action::Demand { claim, showings, ask, path, from }
    };
    let bounds = Rejection::Terms { name: "showings", bounds: "at most 16" };
    let (most, more) = (with(16), with(17));
    game.rejects(Who::Challenger, more, bounds).accepts(Who::Challenger, most);
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
