//! The challenger's core at a ledger whose time passes by hand.

mod accomplice;
mod ends;
mod inputs;
mod late;
mod money;
mod no_result;
mod views;

use std::sync::Arc;

use protocol::settlement::{ClaimStatus, ETHER, FallReason, Parameters};

use super::*;
use crate::honest_view::Announcement;
use crate::testing::court::{BOND_WEI, Court, Play, WINDOW_MS, Who, call_time};
use crate::testing::models::{Network, ladder};
use crate::testing::questions::{Question, trace};
use crate::testing::statement::{Statement, Wrong};

/// Budget of either side, and what each move has at least.
const CLOCK_MS: u64 = 120_000;
const FLOOR_MS: u64 = 5_000;

/// A claim that is true.
fn true_claim(network: &Network) -> Statement {
    Statement::of(&network.honest())
}

/// A claim with an error in the first layer.
fn false_claim(network: &Network) -> Statement {
    Statement::of(&network.run(Arc::new(Wrong(vec![(0, 0)]))))
}

fn honest_view(network: &Network) -> HonestView {
    HonestView::of_run(network.honest(), Arc::new(Announcement::default()))
}

fn core(policy: Policy) -> ChallengerCore {
    ChallengerCore::new(Who::Challenger.address(), policy)
}

/// One job with one claim, by the name of "claim", and a challenger that watches the job.
fn one_claim(policy: Policy, statement: &Statement) -> (Play, ClaimId) {
    let network = ladder(3);
    let mut court = Court::funded();
    let job = court.job(&network, ETHER);
    let claim = court.claim("claim", Who::Executor, job, statement);
    let mut core = core(policy);
    core.watch(job, honest_view(&network));
    (court.played_by(core), claim)
}

fn one_false_claim() -> (Play, ClaimId) {
    one_claim(Policy::Differing, &false_claim(&ladder(3)))
}

fn one_true_claim(policy: Policy) -> (Play, ClaimId) {
    one_claim(policy, &true_claim(&ladder(3)))
}

const DEMAND_TRACE: &str = "demand of claim: states of the run, level 0";

#[test]
fn a_false_claim_is_challenged_and_falls() {
    let (play, claim) = one_false_claim();
    let before_wei = play.court.free_wei(Who::Challenger);
    let play = play
        .does(&["challenge claim"])
        .does(&[DEMAND_TRACE])
        // While the executor has the move, nothing is left to do.
        .wants(&[])
        .answered()
        .does(&["demand of claim: operators inside layer 0"])
        .answered()
        .does(&["demand of claim: output of operator 0, leaves 0 to 3"])
        .answered()
        .does(&["refute claim"])
        .wants(&[]);
    let fallen = play.court.status(claim);
    assert!(matches!(fallen, ClaimStatus::Fallen { reason: FallReason::Refuted(_), .. }));
    assert!(matches!(play.challenge_status(), ChallengeStatus::Won { .. }));
    assert!(play.court.free_wei(Who::Challenger) > before_wei);
    assert!(play.core.stuck().is_empty());
}

#[test]
fn decisions_say_why_and_until_when() {
    let (mut play, claim) = one_false_claim();
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.reason, "the claim's trace root is not ours");
    assert_eq!(decision.deadline_ms, Some(play.court.now_ms + WINDOW_MS));
    let mut play = play.does(&["challenge claim"]).wait(10);
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.reason, "the traces differ below this node");
    // The challenger's clock runs since the challenge was opened.
    assert_eq!(decision.deadline_ms, Some(play.court.now_ms - 10 + CLOCK_MS));
    let Action::Demand { claim: of, ask, .. } = decision.action else { panic!() };
    assert_eq!((of, Question::of(&ask)), (claim, trace(0, 0)));
}

#[test]
fn a_true_claim_is_challenged_by_no_policy_but_everything() {
    for policy in [Policy::Differing, Policy::Nothing] {
        one_true_claim(policy).0.wants(&[]);
    }
    let (mut play, _) = one_true_claim(Policy::Everything);
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.reason, "policy: challenge everything");
    play.does(&["challenge claim"]);
}

#[test]
fn a_false_claim_is_challenged_under_everything_as_what_it_is() {
    let (mut play, _) = one_claim(Policy::Everything, &false_claim(&ladder(3)));
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.reason, "the claim's trace root is not ours");
}

#[test]
fn under_nothing_only_what_is_open_is_played() {
    let (mut play, claim) = one_claim(Policy::Nothing, &false_claim(&ladder(3)));
    play = play.wants(&[]);
    play.court.challenge(Who::Challenger, claim);
    play.does(&[DEMAND_TRACE]);
    // A policy can change while the core lives.
    let (mut play, _) = one_claim(Policy::Nothing, &false_claim(&ladder(3)));
    play.core.set_policy(Policy::Differing);
    play.does(&["challenge claim"]);
}

#[test]
fn a_claim_can_be_challenged_until_its_window_ends() {
    let (play, _) = one_false_claim();
    play.wait(WINDOW_MS).wants(&["challenge claim"]).wait(1).wants(&[]);
}

#[test]
fn a_claim_that_no_longer_stands_is_not_challenged() {
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    play.court.demand_trace(Who::Second, claim);
    let expected = ["challenge claim", "call time on claim"];
    let mut play = play.wait(CLOCK_MS + 1).wants(&expected);
    play.court.perform(Who::Second, call_time(claim, Who::Second));
    // Its window is still open.
    play.wants(&[]);
}

#[test]
fn a_claim_is_challenged_though_somebody_else_has_challenged_it_but_only_once() {
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    play.does(&["challenge claim"]).does(&[DEMAND_TRACE]).wants(&[]);
    // Nor again when the challenge was lost.
    let (play, claim) = one_false_claim();
    let mut play = play.does(&["challenge claim"]).wait(CLOCK_MS + 1);
    play.court.perform(Who::Executor, call_time(claim, Who::Challenger));
    assert_eq!(*play.challenge_status(), ChallengeStatus::Lost);
    assert!(play.court.submit(Who::Challenger, &Action::Challenge { claim }).is_err());
    play.wants(&[]);
}

/// A false claim that fell because the second challenger got no answer, while ours waited for one.
fn fallen_by_another() -> (Play, ClaimId) {
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    play.court.demand_trace(Who::Second, claim);
    let mut play = play.does(&["challenge claim"]).wait(10).does(&[DEMAND_TRACE]);
    play = play.wait(CLOCK_MS - 9).wants(&["call time on claim"]);
    play.court.perform(Who::Second, call_time(claim, Who::Second));
    (play, claim)
}

#[test]
fn what_another_s_conviction_left_for_ours_is_collected_once() {
    let (mut play, claim) = fallen_by_another();
    let before_wei = play.court.free_wei(Who::Challenger);
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.reason, "the claim was rejected by another challenge");
    assert_eq!(decision.deadline_ms, None);
    let play = play.does(&["collect from claim"]).wants(&[]);
    let &ChallengeStatus::Won { reward_wei } = play.challenge_status() else {
        panic!("{:?}", play.challenge_status());
    };
    // Bond and fee, and what the ledger grants.
    let locked_wei = BOND_WEI + ETHER / 1_000;
    assert!(reward_wei > 0);
    assert_eq!(play.court.free_wei(Who::Challenger) - before_wei, locked_wei + reward_wei);
    assert_eq!(play.court.settlement.claim(&claim).unwrap().owed_wei, 0);
    // Whoever collected for us has done it.
    let (mut play, claim) = fallen_by_another();
    let challenger = Who::Challenger.address();
    play.court.perform(Who::Client, Action::Collect { claim, challenger });
    play.wants(&[]);
}

#[test]
fn an_open_challenge_of_a_fallen_claim_has_no_clock_no_move_and_no_need_of_a_run() {
    let (mut play, _) = fallen_by_another();
    let (view, job) = (play.court.view(), *play.court.settlement.jobs().next().unwrap().0);
    assert_eq!(play.core.next_look_ms(&view), None);
    assert!(!play.core.is_challenging(&view, &job) && !play.core.is_in_play(&view, &job));
    // The run is gone, and nobody misses it.
    play.core.forget(&job);
    let play = play.wants(&["collect from claim"]);
    assert!(play.core.stuck().is_empty());
    assert!(node::Core::troubles(&play.core).is_empty());
}

#[test]
fn an_open_challenge_of_a_fallen_claim_is_played_no_further_in_our_own_turn() {
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    play.court.demand_trace(Who::Second, claim);
    let mut play = play.wait(CLOCK_MS).does(&["challenge claim"]).wants(&[DEMAND_TRACE]).wait(1);
    play.court.perform(Who::Second, call_time(claim, Who::Second));
    play.wants(&["collect from claim"]);
}

#[test]
fn collecting_comes_after_what_can_be_too_late() {
    for order in [Order::EarliestDeadline, Order::LargestStake] {
        let (mut play, _) = fallen_by_another();
        let second = ladder(2);
        let job = play.court.job(&second, ETHER);
        play.court.claim("new", Who::Rival, job, &false_claim(&second));
        play.core = play.core.in_order(order);
        play.core.watch(job, honest_view(&second));
        play.wants(&["challenge new", "collect from claim"]);
    }
}

#[test]
fn a_job_that_nobody_watches_is_left_alone() {
    let (mut play, _) = one_false_claim();
    play.core = core(Policy::Everything);
    play.wants(&[]);
}

#[test]
fn a_silent_executor_loses_after_its_deadline_and_not_at_it() {
    let (play, claim) = one_false_claim();
    let mut play = play
        .does(&["challenge claim"])
        .does(&[DEMAND_TRACE])
        .wait(CLOCK_MS)
        .wants(&[])
        .wait(1)
        .wants(&["call time on claim"]);
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.reason, "the executor's time is over");
    assert_eq!(decision.deadline_ms, None);
    let play = play.does(&["call time on claim"]).wants(&[]);
    let fallen = play.court.status(claim);
    assert!(matches!(fallen, ClaimStatus::Fallen { reason: FallReason::Silence(_), .. }));
}

#[test]
fn a_challenger_that_is_late_itself_does_not_move_any_more() {
    cov_mark::check!(own_time_is_over);
    let (play, _) = one_false_claim();
    let play = play.does(&["challenge claim"]).wait(CLOCK_MS).wants(&[DEMAND_TRACE]);
    let play = play.wait(1).wants(&[]);
    // It has a move, and no time for it.
    assert!(play.core.stuck().is_empty());
}

#[test]
fn a_spent_budget_leaves_the_floor() {
    let (play, _) = one_false_claim();
    let mut play = play
        .does(&["challenge claim"])
        .wait(CLOCK_MS)
        .does(&[DEMAND_TRACE])
        .answered()
        .wait(FLOOR_MS)
        .wants(&["demand of claim: operators inside layer 0"]);
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.deadline_ms, Some(play.court.now_ms));
    play.wait(1).wants(&[]);
}

#[test]
fn the_challenges_of_others_are_not_played() {
    let (mut play, claim) = one_claim(Policy::Nothing, &false_claim(&ladder(3)));
    play.court.challenge(Who::Second, claim);
    play = play.wants(&[]);
    play.court.demand_trace(Who::Second, claim);
    // Until somebody is late in them.
    play.wait(CLOCK_MS).wants(&[]);
}

#[test]
fn what_others_opened_is_not_demanded_again() {
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    play.court.demand_trace(Who::Second, claim);
    play.answered().does(&["challenge claim"]).does(&["demand of claim: operators inside layer 0"]);
}

#[test]
fn one_answer_serves_two_challengers() {
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    play = play.does(&["challenge claim"]).does(&[DEMAND_TRACE]);
    play.court.demand_trace(Who::Second, claim);
    play.answered().does(&["demand of claim: operators inside layer 0"]);
}

#[test]
fn a_challenge_without_a_move_is_told_and_blocks_nothing() {
    cov_mark::check!(challenge_has_no_move);
    // A frivolous challenge of a true claim, beside a false claim.
    let (network, other) = (ladder(3), ladder(2));
    let mut court = Court::funded();
    let (job, other_job) = (court.job(&network, ETHER), court.job(&other, ETHER));
    court.claim("truth", Who::Executor, job, &true_claim(&network));
    court.claim("lie", Who::Executor, other_job, &false_claim(&other));
    let mut core = core(Policy::Everything);
    core.watch(job, honest_view(&network));
    core.watch(other_job, honest_view(&other));
    let mut play = court.played_by(core);
    assert_eq!(play.decisions().len(), 2);
    for decision in play.decisions() {
        play.court.perform(Who::Challenger, decision.action);
    }
    let play = play.wants(&["demand of lie: states of the run, level 0"]);
    let errors: Vec<_> = play.core.stuck().values().cloned().collect();
    assert_eq!(errors, [SolveError::NothingDiffers]);
    // Who challenges everything meant it; for anybody else it is a bond that will be lost.
    let mut other = play.core.clone();
    assert!(node::Core::troubles(&other).is_empty());
    other.set_policy(Policy::Differing);
    assert_eq!(node::Core::troubles(&other).len(), 1);
    let (id, _) = play.core.stuck().first_key_value().unwrap();
    let claim = play.court.settlement.challenge(id).unwrap().claim;
    assert_eq!(play.court.settlement.claim(&claim).unwrap().terms.job, job);
    // Once it is lost, it is stuck no more.
    let mut play = play.wait(CLOCK_MS + 1);
    play.court.perform(Who::Executor, call_time(claim, Who::Challenger));
    let play = play.wants(&[]);
    assert!(play.core.stuck().is_empty());
}

#[test]
fn a_case_that_does_not_fit_the_claim_is_told() {
    let (mut play, _) = one_false_claim();
    let (job, _) = play.court.settlement.jobs().next().unwrap();
    let other = ladder(3).with_input(|element| element + 1.0);
    play.core.watch(*job, honest_view(&other));
    // The claim's posting shows the input's state: nothing needs to be asked.
    let play = play.does(&["challenge claim"]).wants(&[]);
    let stuck = SolveError::Stuck { what: "the input states differ".to_owned() };
    assert_eq!(play.core.stuck().get(&play.challenge()), Some(&stuck));
}

/// Two claims: "small" with one ether's stake, posted first, and "large" with three, later.
fn two_claims() -> Play {
    let (first, second) = (ladder(2), ladder(3));
    let mut court = Court::funded();
    let (small, large) = (court.job(&first, ETHER), court.job(&second, 3 * ETHER));
    court.claim("small", Who::Executor, small, &false_claim(&first));
    court.now_ms += 1_000;
    court.claim("large", Who::Rival, large, &false_claim(&second));
    let mut core = core(Policy::Differing);
    core.watch(small, honest_view(&first));
    core.watch(large, honest_view(&second));
    court.played_by(core)
}

#[test]
fn what_ends_first_comes_first() {
    let mut play = two_claims().wants(&["challenge small", "challenge large"]);
    // Challenged one after the other, so that the clocks end one after the other too.
    for decision in play.decisions() {
        play.court.perform(Who::Challenger, decision.action);
        play.court.now_ms += 10;
    }
    let mut play = play
        .does(&[
            "demand of small: states of the run, level 0",
            "demand of large: states of the run, level 0",
        ])
        .wait(CLOCK_MS + 1);
    // Calling time can wait, so that nothing comes before a claim that can still be challenged.
    let decisions = play.decisions();
    let waits =
        |one: &Decision| matches!(one.action, Action::CallTime { .. }) && one.deadline_ms.is_none();
    assert!(decisions.len() == 2 && decisions.iter().all(waits), "{decisions:?}");
}

#[test]
fn what_has_more_at_stake_comes_first_where_that_is_the_order() {
    let mut play = two_claims();
    play.core = play.core.in_order(Order::LargestStake);
    play.does(&["challenge large", "challenge small"]).does(&[
        "demand of large: states of the run, level 0",
        "demand of small: states of the run, level 0",
    ]);
}

#[test]
fn of_one_stake_what_ends_first_comes_first() {
    let (mut court, network) = (Court::funded(), ladder(2));
    let mut core = core(Policy::Differing).in_order(Order::LargestStake);
    for name in ["first", "second", "third", "fourth"] {
        let job = court.job(&network, ETHER);
        court.claim(name, Who::Executor, job, &false_claim(&network));
        court.now_ms += 10;
        core.watch(job, honest_view(&network));
    }
    court.played_by(core).wants(&[
        "challenge first",
        "challenge second",
        "challenge third",
        "challenge fourth",
    ]);
}

#[test]
fn what_can_wait_comes_last() {
    for order in [Order::EarliestDeadline, Order::LargestStake] {
        // The first claim's executor is late while the second claim, of the same stake, is new.
        let (first, second) = (ladder(2), ladder(3));
        let mut court = Court::funded();
        let job = court.job(&first, ETHER);
        court.claim("old", Who::Executor, job, &false_claim(&first));
        let mut core = core(Policy::Differing).in_order(order);
        core.watch(job, honest_view(&first));
        let play = court.played_by(core);
        let play = play.does(&["challenge old"]);
        let mut play = play.does(&["demand of old: states of the run, level 0"]);
        play.court.now_ms += CLOCK_MS + 1;
        let job = play.court.job(&second, ETHER);
        play.court.claim("new", Who::Rival, job, &false_claim(&second));
        play.core.watch(job, honest_view(&second));
        play.wants(&["challenge new", "call time on old"]);
    }
}

#[test]
fn the_parameters_of_these_tests_are_the_ledgers() {
    let parameters = Parameters::default();
    assert_eq!(parameters.executor_clock_ms, CLOCK_MS);
    assert_eq!(parameters.challenger_clock_ms, CLOCK_MS);
    assert_eq!(parameters.move_floor_ms, FLOOR_MS);
}
