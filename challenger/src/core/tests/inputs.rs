//! An input that nobody published: its executor is asked, and what it shows is enough for a run.

use inference::state_transfer::state_bytes;
use protocol::graph::MapFunction;

use super::*;
use crate::ends::{InputError, NextOfInput, cost_of_input, next_of_input};
use crate::testing::models::{Sketch, Source, f32s, floats, map};

const STAKE_WEI: u128 = 20 * ETHER;

/// The sum of two inputs, the larger of which has 300 leaves in two pieces.
fn large() -> Network {
    let (rows, columns) = (100, 150);
    let row = f32s(&[columns]);
    let inputs = vec![floats(&[rows, columns], 1), floats(&[columns], 2)];
    let all = f32s(&[rows, columns]);
    Sketch::new(inputs, vec![floats(&[columns], 3)])
        .layer(vec![
            (map(MapFunction::Add), vec![Source::Input(1), Source::Weight(0)], row),
            (map(MapFunction::Add), vec![Source::Input(0), Source::Operator(0)], all),
        ])
        .build()
}

/// A job of which this challenger has the model and not the input, with one claim.
fn without_input(
    statement: &Statement,
    network: &Network,
    stake_wei: u128,
) -> (Play, JobId, ClaimId) {
    let mut court = Court::funded();
    let job = court.job_on(network, statement.input_root(), stake_wei);
    let claim = court.claim("claim", Who::Executor, job, statement);
    let mut core = core(Policy::Differing);
    core.set_input_permille(25);
    (court.played_by(core), job, claim)
}

/// Another challenger asks for the whole input, and is answered.
fn asked_by_another(mut play: Play, network: &Network, claim: ClaimId) -> (Play, Vec<u8>) {
    let asking = play.court.settlement.parameters().asking();
    play.court.challenge(Who::Second, claim);
    loop {
        let known = play.court.settlement.claim(&claim).unwrap().knowledge.run().unwrap();
        let next = match next_of_input(&network.model, known, &asking).unwrap() {
            NextOfInput::Ask(next) => *next,
            NextOfInput::Whole(input) => return (play, input),
        };
        let (showings, ask, path, from) = (next.showings, next.ask, next.path, None);
        play.court.perform(Who::Second, Action::Demand { claim, showings, ask, path, from });
        play = play.answered();
    }
}

/// Asks until the input is there, and gives it.
fn asked_for(mut play: Play, job: JobId) -> (Play, Vec<u8>) {
    for _ in 0..30 {
        if let Some(input) = play.core.shown_input(&play.court.view(), &job) {
            return (play, input);
        }
        let decisions = play.decisions();
        assert_eq!(decisions.len(), 1, "{decisions:?}");
        for Decision { action, .. } in decisions {
            play.court.perform(Who::Challenger, action);
        }
        if play.court.pending() > 0 {
            play = play.answered();
        }
    }
    panic!("the input never came");
}

#[test]
fn an_input_is_asked_of_the_executor_and_the_challenge_withdrawn_when_the_claim_is_right() {
    cov_mark::check!(challenge_for_the_input_is_withdrawn);
    let network = large();
    let statement = true_claim(&network);
    let (mut play, job, claim) = without_input(&statement, &network, STAKE_WEI);
    play = play.wants(&[]);
    assert_eq!(play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model)), None);
    let before_wei = play.court.free_wei(Who::Challenger);
    let (mut play, input) = asked_for(play.does(&["challenge claim"]), job);
    assert_eq!(input, state_bytes(statement.input()));
    // While the run is made nothing can be done, and that is said.
    play = play.wants(&[]);
    assert_eq!(play.core.troubles().len(), 1);
    play.core.watch(job, honest_view(&network));
    let play = play.does(&["withdraw-challenge"]).wants(&[]);
    assert_eq!(*play.challenge_status(), ChallengeStatus::Withdrawn);
    assert_eq!(*play.court.status(claim), ClaimStatus::Standing);
    // What was planned is what was paid: fees, the record, and a tenth of the bond.
    let parameters = play.court.settlement.parameters();
    let cost = cost_of_input(&network.model, &parameters.asking()).unwrap();
    let challenge = play.court.settlement.challenge(&play.challenge()).unwrap();
    assert_eq!((challenge.demands, challenge.end_asks), (0, cost.asks));
    let fees_wei = u128::from(cost.fees) * parameters.demand_fee_wei;
    let lost_wei = fees_wei + parameters.record_fee_wei + parameters.bond_wei(STAKE_WEI) / 10;
    assert_eq!(before_wei - play.court.free_wei(Who::Challenger), lost_wei);
}

#[test]
fn a_lie_about_a_hidden_input_falls_by_the_same_challenge() {
    let network = large();
    let (mut play, job, claim) = without_input(&false_claim(&network), &network, STAKE_WEI);
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    let before_wei = play.court.free_wei(Who::Challenger);
    let (mut play, _) = asked_for(play, job);
    play.core.watch(job, honest_view(&network));
    for _ in 0..10 {
        for decision in play.decisions() {
            play.court.perform(Who::Challenger, decision.action);
        }
        play.court.answer_all();
    }
    let fallen = play.court.status(claim);
    assert!(matches!(fallen, ClaimStatus::Fallen { reason: FallReason::Refuted(_), .. }));
    assert!(play.court.free_wei(Who::Challenger) > before_wei);
}

#[test]
fn an_executor_that_keeps_the_input_to_itself_loses_by_silence() {
    let network = large();
    let (mut play, job, claim) = without_input(&true_claim(&network), &network, STAKE_WEI);
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    let play = play
        .does(&["challenge claim"])
        .does(&["demand of claim: state before layer 0, level 0"])
        .wait(CLOCK_MS + 1)
        .does(&["call time on claim"]);
    let fallen = play.court.status(claim);
    assert!(matches!(fallen, ClaimStatus::Fallen { reason: FallReason::Silence(_), .. }));
}

#[test]
fn nobody_is_asked_where_it_costs_more_than_the_operator_s_share_of_the_stake() {
    let network = large();
    let (mut play, job, _) = without_input(&true_claim(&network), &network, ETHER);
    let view = play.court.view();
    let why = play.core.ask_for_input(&view, job, Arc::clone(&network.model)).unwrap();
    assert!(why.contains("permille of the stake"), "{why}");
    let mut play = play.wants(&[]);
    play.core.set_input_permille(1_000);
    let mut play = play.wants(&["challenge claim"]);
    play.core.set_input_permille(0);
    let mut play = play.wants(&[]);
    // Nor by a machine that begins nothing.
    play.core.set_input_permille(1_000);
    play.core.set_policy(Policy::Nothing);
    play.wants(&[]);
}

#[test]
fn what_others_were_shown_is_not_asked_again() {
    let network = large();
    let (play, job, claim) = without_input(&true_claim(&network), &network, STAKE_WEI);
    let (mut play, input) = asked_by_another(play, &network, claim);
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    let play = play.wants(&[]);
    assert_eq!(play.core.shown_input(&play.court.view(), &job), Some(input));
}

#[test]
fn a_challenge_that_others_made_needless_asks_once_and_is_withdrawn() {
    cov_mark::check!(answer_is_asked_for_to_withdraw);
    let network = large();
    let (mut play, job, claim) = without_input(&true_claim(&network), &network, STAKE_WEI);
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    let (mut play, _) = asked_by_another(play.does(&["challenge claim"]), &network, claim);
    play.core.watch(job, honest_view(&network));
    let play = play
        .does(&["demand of claim: state before layer 0, level 0"])
        .answered()
        .does(&["withdraw-challenge"])
        .wants(&[]);
    assert_eq!(*play.challenge_status(), ChallengeStatus::Withdrawn);
}

#[test]
fn an_input_state_of_other_values_than_the_models_is_refuted_at_once() {
    let network = large();
    let mut statement = true_claim(&network);
    statement.entry(0, 1, (7, statement.input_root()));
    let (mut play, job, claim) = without_input(&statement, &network, STAKE_WEI);
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    let mut play = play
        .does(&["challenge claim"])
        .does(&["demand of claim: state before layer 0, level 0"])
        .answered();
    // The first value is as the model says, and is asked for before the second is looked at.
    while *play.court.status(claim) == ClaimStatus::Standing {
        for decision in play.decisions() {
            play.court.perform(Who::Challenger, decision.action);
        }
        play.court.answer_all();
    }
    let fallen = play.court.status(claim);
    assert!(matches!(fallen, ClaimStatus::Fallen { reason: FallReason::Refuted(_), .. }));
}

#[test]
fn an_input_that_no_run_can_begin_with_costs_no_bond() {
    cov_mark::check!(challenge_for_an_unusable_input_is_withdrawn);
    let network = large();
    let mut statement = true_claim(&network);
    statement.input_tail(1);
    let (mut play, job, _) = without_input(&statement, &network, STAKE_WEI);
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    for _ in 0..20 {
        for decision in play.decisions() {
            play.court.perform(Who::Challenger, decision.action);
        }
        play.court.answer_all();
    }
    assert_eq!(*play.challenge_status(), ChallengeStatus::Withdrawn);
    assert_eq!(play.core.shown_input(&play.court.view(), &job), None);
}

#[test]
fn each_claim_on_a_hidden_input_is_asked_also_after_another_one_fell() {
    let network = large();
    let (mut play, job, claim) = without_input(&false_claim(&network), &network, STAKE_WEI);
    play.court.claim("second", Who::Rival, job, &true_claim(&network));
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    let mut play = play.wants(&["challenge second", "challenge claim"]);
    play.court.challenge(Who::Challenger, claim);
    let play = play.wants(&["demand of claim: state before layer 0, level 0", "challenge second"]);
    let mut play =
        play.does(&["demand of claim: state before layer 0, level 0", "challenge second"]);
    play.court.now_ms += CLOCK_MS + 1;
    play.court.perform(Who::Second, call_time(claim, Who::Challenger));
    assert!(matches!(play.court.status(claim), ClaimStatus::Fallen { .. }));
}

#[test]
fn what_an_input_cost_is_no_part_of_what_a_dispute_may_still_cost() {
    let network = large();
    let (mut play, job, _) = without_input(&false_claim(&network), &network, STAKE_WEI);
    play.core.ask_for_input(&play.court.view(), job, Arc::clone(&network.model));
    let (mut play, _) = asked_for(play, job);
    play.core.watch(job, honest_view(&network));
    // Another lie, and money for its bond but not for the demands of both.
    let other = ladder(3);
    let job = play.court.job(&other, ETHER);
    play.court.claim("other", Who::Executor, job, &false_claim(&other));
    play.core.watch(job, honest_view(&other));
    let takes_wei = node::exposure::challenge_takes_wei(&Parameters::default(), ETHER);
    let reserve_wei = node::exposure::demands_reserve_wei(&Parameters::default());
    for (left_wei, wanted) in
        [(takes_wei + reserve_wei, true), (takes_wei + reserve_wei - 1, false)]
    {
        let mut play = play.clone();
        let free_wei = play.court.free_wei(Who::Challenger);
        let amount_wei = free_wei - left_wei;
        play.court.perform(Who::Challenger, Action::Withdraw { amount_wei });
        let opens = |one: &Decision| matches!(one.action, Action::Challenge { .. });
        assert_eq!(play.decisions().iter().any(opens), wanted, "{left_wei}");
    }
}

#[test]
fn an_input_that_no_ledger_lets_one_ask_for_is_told() {
    let network = large();
    let mut asking = Parameters::default().asking();
    asking.end_depth_max = 8;
    assert_eq!(cost_of_input(&network.model, &asking), Err(InputError::TooLarge { value: 0 }));
    let unread = Sketch::new(vec![floats(&[10], 1), floats(&[10], 2)], vec![floats(&[10], 3)])
        .layer(vec![(map(MapFunction::Negate), vec![Source::Input(1)], f32s(&[10]))])
        .build();
    let (mut play, job, _) = without_input(&true_claim(&unread), &unread, STAKE_WEI);
    // What the header says of an input is enough: no operator needs to read it.
    play.core.set_input_permille(1_000);
    let why = play.core.ask_for_input(&play.court.view(), job, Arc::clone(&unread.model));
    assert_eq!(why, None);
    play.wants(&["challenge claim"]);
}
