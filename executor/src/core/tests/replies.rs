//! Answers to demands: once for all who wait, in time, and of the claim's own run.

use super::*;
use crate::testing::lost;

/// What was asked for, of answers in their order.
fn asks(decisions: &[Decision]) -> Vec<Ask> {
    let ask = |decision: &Decision| match &decision.action {
        Action::Reveal { ask, .. } => ask.clone(),
        other => panic!("{other:?}"),
    };
    decisions.iter().map(ask).collect()
}

/// A claim with two open challenges.
fn challenged_twice() -> (Court, ExecutorCore, ClaimId) {
    let (mut court, core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    court.challenge(Who::Second, claim);
    (court, core, claim)
}

#[test]
fn a_demand_is_answered_with_what_the_run_has() {
    let (mut court, mut core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    assert_eq!(actions(&mut core, &court), []);
    demand(&mut court, Who::Challenger, claim, TRACE);
    let deadline_ms = court.now_ms + CLOCK_MS;
    court.now_ms += 10;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    let (ask, _) = ask(&court, claim, TRACE);
    let answer = Defender::of_run(honest(1), arity_log2()).answer(&ask).unwrap();
    let challengers = vec![Who::Challenger.address()];
    let reason = format!("a challenger demands {}", ledger::words::ask(&ask));
    assert_eq!(decision.action, Action::Reveal { claim, challengers, ask, answer });
    assert_eq!(decision.reason, reason);
    assert_eq!(decision.deadline_ms, Some(deadline_ms));
}

#[test]
fn one_answer_serves_all_who_wait_and_its_deadline_is_the_earliest() {
    // Whoever asked first: the earliest deadline counts, not the last one seen.
    for order in [[0, 1], [1, 0]] {
        let (mut court, mut core, claim) = challenged_twice();
        let who = order.map(|place| [Who::Challenger, Who::Second][place]);
        demand(&mut court, who[0], claim, TRACE);
        let deadline_ms = court.now_ms + CLOCK_MS;
        court.now_ms += 500;
        demand(&mut court, who[1], claim, TRACE);
        let [decision] = decisions(&mut core, &court).try_into().unwrap();
        let Action::Reveal { claim: of, challengers, .. } = decision.action else {
            panic!("{:?}", decision.action);
        };
        // The most urgent is named first.
        assert_eq!((of, challengers), (claim, who.map(Who::address).to_vec()));
        assert_eq!(decision.deadline_ms, Some(deadline_ms));
        perform(&mut core, &mut court);
        assert_eq!(actions(&mut core, &court), []);
    }
}

#[test]
fn different_demands_are_answered_in_the_order_of_their_deadlines() {
    let inside = Wanted::Inside { layer: 1 };
    for wanted in [[TRACE, inside], [inside, TRACE]] {
        let (mut court, mut core, claim) = challenged_twice();
        demand(&mut court, Who::Challenger, claim, wanted[0]);
        court.now_ms += 500;
        demand(&mut court, Who::Second, claim, wanted[1]);
        let answered = asks(&decisions(&mut core, &court));
        assert_eq!(answered, wanted.map(|wanted| ask(&court, claim, wanted).0));
    }
}

#[test]
fn demands_of_two_claims_are_answered_from_their_own_runs() {
    let mut court = Court::funded();
    let (mut core, _) = offering(&mut court, 1, ETHER);
    let other = court.job(2, ETHER);
    offer(&mut core, other, 2);
    perform(&mut core, &mut court);
    let claims: Vec<ClaimId> = court.settlement.claims().map(|(id, _)| *id).collect();
    for claim in claims {
        court.challenge(Who::Challenger, claim);
        demand(&mut court, Who::Challenger, claim, TRACE);
    }
    let answers = actions(&mut core, &court);
    assert_eq!(answers.len(), 2);
    // The ledger checks them against the claims' commitments.
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_claim_without_its_run_keeps_no_other_from_being_answered() {
    let mut court = Court::funded();
    let (mut core, _) = offering(&mut court, 1, ETHER);
    let other = court.job(2, ETHER);
    offer(&mut core, other, 2);
    perform(&mut core, &mut court);
    let claims: Vec<ClaimId> = court.settlement.claims().map(|(id, _)| *id).collect();
    for claim in claims {
        court.challenge(Who::Challenger, claim);
        demand(&mut court, Who::Challenger, claim, TRACE);
    }
    for kept in [1, 2] {
        let mut core = ExecutorCore::new(Who::Executor.address());
        core.remember(honest(kept), arity_log2());
        let [Action::Reveal { claim, .. }] = actions(&mut core, &court)[..] else {
            panic!("one answer was expected");
        };
        let root = court.settlement.claim(&claim).unwrap().trace_root;
        assert_eq!(root, honest(kept).trace().root());
    }
}

#[test]
fn an_answer_is_given_until_its_deadline() {
    let (mut court, mut core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
    court.now_ms += CLOCK_MS;
    assert_eq!(actions(&mut core, &court).len(), 1);
    court.now_ms += 1;
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn who_asked_too_long_ago_does_not_set_the_deadline_of_who_still_waits() {
    let (mut court, mut core, claim) = challenged_twice();
    demand(&mut court, Who::Challenger, claim, TRACE);
    court.now_ms += 1_000;
    demand(&mut court, Who::Second, claim, TRACE);
    let deadline_ms = court.now_ms + CLOCK_MS;
    court.now_ms += CLOCK_MS;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.deadline_ms, Some(deadline_ms));
}

#[test]
fn the_claims_of_others_are_not_defended() {
    let mut court = Court::funded();
    let job = court.job(1, ETHER);
    let claim = court.claim(Who::Rival, job, &honest(1));
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
    // Though the run is there.
    let mut core = ExecutorCore::new(Who::Executor.address());
    core.remember(honest(1), arity_log2());
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_claim_that_fell_is_not_defended() {
    let (mut court, mut core, claim) = challenged_twice();
    demand(&mut court, Who::Challenger, claim, TRACE);
    court.now_ms += CLOCK_MS - 10;
    demand(&mut court, Who::Second, claim, TRACE);
    assert_eq!(actions(&mut core, &court).len(), 1);
    court.now_ms += 11;
    court.does(Who::Client, &call_time(claim, Who::Challenger));
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn without_its_run_a_claim_waits_until_it_is_made_again() {
    cov_mark::check!(run_of_a_claim_is_missing);
    let (mut court, core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
    drop(core);
    let mut core = ExecutorCore::new(Who::Executor.address());
    assert_eq!(actions(&mut core, &court), []);
    // Another run is no help.
    core.remember(honest(2), arity_log2());
    assert_eq!(actions(&mut core, &court), []);
    core.remember(honest(1), arity_log2());
    let [Action::Reveal { ask, .. }] = &actions(&mut core, &court)[..] else {
        panic!("an answer was expected");
    };
    assert!(is_to(ask, TRACE));
}

#[test]
fn what_cannot_be_answered_does_not_hinder_what_can() {
    cov_mark::check!(demand_cannot_be_answered);
    // No layer can be computed again; the states are there.
    let (mut court, mut core, claim) = challenged_twice();
    core.remember(lost(1), arity_log2());
    demand(&mut court, Who::Challenger, claim, Wanted::Inside { layer: 0 });
    demand(&mut court, Who::Second, claim, TRACE);
    let [Action::Reveal { ask, .. }] = &actions(&mut core, &court)[..] else {
        panic!("one answer was expected");
    };
    assert!(is_to(ask, TRACE));
}

#[test]
fn audit_a16_answers_come_before_claims_and_both_before_what_can_wait() {
    let (mut court, mut core, claim) = claiming();
    // A first claim whose window is over, a second that is disputed, a third to be made.
    court.now_ms += WINDOW_MS + 1;
    let (disputed, offered) = (court.job(2, ETHER), court.job(3, ETHER));
    offer(&mut core, disputed, 2);
    let second = court.claim(Who::Executor, disputed, &honest(2));
    court.challenge(Who::Challenger, second);
    demand(&mut court, Who::Challenger, second, TRACE);
    offer(&mut core, offered, 3);
    let wanted = actions(&mut core, &court);
    let [Action::Reveal { claim: answered, .. }, post_claim, finalise] = wanted.as_slice() else {
        panic!("{wanted:?}");
    };
    assert_eq!(*answered, second);
    assert_eq!(*post_claim, post(offered, 3));
    assert_eq!(*finalise, Action::Finalise { claim });
}

/// Who demanded the states of a run, in the order in which each of these named.
fn named(decisions: &[Decision]) -> Vec<Vec<protocol::transaction::Address>> {
    let challengers = |decision: &Decision| match &decision.action {
        Action::Reveal { challengers, ask, .. } if is_to(ask, TRACE) => challengers.clone(),
        other => panic!("{other:?}"),
    };
    decisions.iter().map(challengers).collect()
}

#[test]
fn seventeen_who_wait_for_one_answer_are_served_by_two_that_name_the_most_urgent_first() {
    // On a ledger that serves so many at once.
    let (mut court, mut core, claim) = claiming_on(Court::serving(20));
    let crowd: Vec<_> = (0..17).map(|number| court.crowd(number, claim)).collect();
    let mut deadlines_ms = Vec::new();
    // The last of them asks first.
    for key in crowd.iter().rev() {
        let demand = demanding(&court, claim, TRACE);
        court.signed(key, &demand);
        deadlines_ms.push(court.now_ms + CLOCK_MS);
        court.now_ms += 10;
    }
    let decided = decisions(&mut core, &court);
    let order: Vec<_> = crowd.iter().rev().map(|key| key.address()).collect();
    assert_eq!(named(&decided), [order[..16].to_vec(), order[16..].to_vec()]);
    let found: Vec<_> = decided.iter().map(|decision| decision.deadline_ms.unwrap()).collect();
    assert_eq!(found, [deadlines_ms[0], deadlines_ms[16]]);
    // The ledger takes both, and nobody waits any more.
    perform(&mut core, &mut court);
    assert!(court.settlement.challenges().all(|(_, challenge)| challenge.pending().is_none()));
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn who_waits_for_something_else_or_is_late_is_not_named() {
    let (mut court, mut core, claim) = challenged_twice();
    let late = court.crowd(0, claim);
    let demanded = demanding(&court, claim, TRACE);
    court.signed(&late, &demanded);
    court.now_ms += CLOCK_MS - 10;
    demand(&mut court, Who::Challenger, claim, TRACE);
    demand(&mut court, Who::Second, claim, Wanted::Inside { layer: 1 });
    court.now_ms += 11;
    let answers = decisions(&mut core, &court);
    let both: Vec<_> = answers
        .iter()
        .map(|decision| match &decision.action {
            Action::Reveal { challengers, .. } => challengers.as_slice(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(both, [&[Who::Challenger.address()], &[Who::Second.address()]]);
}

#[test]
fn a_challenge_that_waits_for_its_turn_asks_for_nothing_and_keeps_the_claim_from_being_settled() {
    let (mut court, mut core, claim) = claiming_on(Court::serving(1));
    court.challenge(Who::Challenger, claim);
    court.challenge(Who::Second, claim);
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += CLOCK_MS + 1;
    // The first is silent; the second has its turn, and all of its time, only then.
    assert_eq!(actions(&mut core, &court), [call_time(claim, Who::Challenger)]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), Some(court.now_ms + CLOCK_MS + 1));
    demand(&mut court, Who::Second, claim, TRACE);
    assert_eq!(named(&decisions(&mut core, &court)), [[Who::Second.address()]]);
}

/// Claims on so many jobs.
fn many_claims(count: usize) -> (Court, ExecutorCore, Vec<ClaimId>) {
    let mut court = Court::funded();
    let mut core = ExecutorCore::new(Who::Executor.address());
    for input in 1..=count as u64 {
        let job = court.job(input, ETHER);
        offer(&mut core, job, input);
    }
    perform(&mut core, &mut court);
    let claims: Vec<ClaimId> = court.settlement.claims().map(|(id, _)| *id).collect();
    assert_eq!(claims.len(), count);
    (court, core, claims)
}

/// Each is demanded a second after the one before it.
fn demand_all(court: &mut Court, claims: &[ClaimId]) {
    for claim in claims {
        court.challenge(Who::Challenger, *claim);
        demand(court, Who::Challenger, *claim, TRACE);
        court.now_ms += 1_000;
    }
}

fn answered(decisions: &[Decision]) -> Vec<ClaimId> {
    let claim = |decision: &Decision| match &decision.action {
        Action::Reveal { claim, .. } => *claim,
        other => panic!("{other:?}"),
    };
    decisions.iter().map(claim).collect()
}

#[test]
fn audit_a9_a_look_answers_the_most_urgent_and_the_next_one_the_rest() {
    cov_mark::check!(less_urgent_reply_waits);
    let (mut court, mut core, mut claims) = many_claims(REPLIES_AT_ONCE + 3);
    // Not in the order of their ids.
    claims.reverse();
    demand_all(&mut court, &claims);
    let first = decisions(&mut core, &court);
    assert_eq!(answered(&first), claims[..REPLIES_AT_ONCE]);
    assert_eq!(core.unanswered(), [], "who waits for the next look is not given up");
    perform(&mut core, &mut court);
    assert_eq!(answered(&decisions(&mut core, &court)), claims[REPLIES_AT_ONCE..]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_run_that_is_missing_or_does_not_answer_takes_no_place_of_a_reply() {
    let (mut court, mut core, claims) = many_claims(REPLIES_AT_ONCE + 2);
    let (missing, lame) = (claims[0], claims[1]);
    // The most urgent is of a layer that its run cannot make again; then one without a run.
    court.challenge(Who::Second, lame);
    demand(&mut court, Who::Second, lame, Wanted::Inside { layer: 0 });
    court.now_ms += 1_000;
    demand_all(&mut court, &claims);
    let root = |claim: &ClaimId| court.settlement.claim(claim).unwrap().terms.sequence_root;
    let of = |input: &u64| sequence_root(&honest(*input)) == root(&lame);
    let input = (1..=claims.len() as u64).find(of).unwrap();
    core.remember(lost(input), arity_log2());
    core.forget(
        &court.settlement.claim(&missing).unwrap().terms.job,
        Some((model().root(), root(&missing))),
    );
    let decided = decisions(&mut core, &court);
    assert_eq!(answered(&decided), claims[1..=REPLIES_AT_ONCE]);
    let [(first, Unanswered::Failed(_)), (second, Unanswered::RunMissing)] = core.unanswered()
    else {
        panic!("{:?}", core.unanswered());
    };
    assert_eq!((*first, *second), (lame, missing));
}
