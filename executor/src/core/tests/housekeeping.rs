//! Challenges whose challengers are silent, jobs that are ripe, and the claims of others before ours.

use super::*;

fn call_time(challenge: ChallengeId) -> Action {
    Action::CallTime { challenge }
}

fn job_of(court: &Court, claim: ClaimId) -> JobId {
    court.settlement.claim(&claim).unwrap().terms.job
}

#[test]
fn a_claim_is_settled_after_its_window_and_not_at_its_end() {
    let (mut court, mut core, claim) = claiming();
    court.now_ms += WINDOW_MS;
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    let job = job_of(&court, claim);
    assert_eq!(decision.action, Action::Finalise { job });
    assert_eq!(decision.reason, "the window is over and nobody disputes the claim");
    assert_eq!(decision.deadline_ms, None);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_disputed_claim_is_not_settled_until_the_dispute_is_over() {
    let (mut court, mut core, claim) = claiming();
    let challenge = court.challenge(Who::Challenger, claim);
    court.now_ms += CLOCK_MS;
    // The window is over; the challenger has its last moment.
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, call_time(challenge));
    assert_eq!(decision.reason, "the challenger's time is over");
    assert_eq!(decision.deadline_ms, None);
    perform(&mut core, &mut court);
    let job = job_of(&court, claim);
    assert_eq!(actions(&mut core, &court), [Action::Finalise { job }]);
}

#[test]
fn one_open_challenge_of_several_keeps_a_claim_from_being_settled() {
    let (mut court, mut core, claim) = claiming();
    let first = court.challenge(Who::Challenger, claim);
    court.now_ms += 50_000;
    let second = court.challenge(Who::Second, claim);
    court.now_ms += CLOCK_MS - 50_000 + 1;
    assert_eq!(actions(&mut core, &court), [call_time(first)]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 50_000;
    assert_eq!(actions(&mut core, &court), [call_time(second)]);
}

#[test]
fn a_challenge_that_is_over_does_not_hide_an_earlier_one_that_is_open() {
    let (mut court, mut core, claim) = claiming();
    let first = court.challenge(Who::Challenger, claim);
    let second = court.challenge(Who::Second, claim);
    // An answer starts the challenger's clock again.
    demand(&mut court, Who::Challenger, first, TRACE);
    court.now_ms += 10;
    perform(&mut core, &mut court);
    court.now_ms += CLOCK_MS - 9;
    assert_eq!(actions(&mut core, &court), [call_time(second)]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn nobody_calls_time_on_himself() {
    let (mut court, mut core, claim) = claiming();
    let challenge = court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, challenge, TRACE);
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), []);
}

/// A rival's claim with an error, and after it the executor's.
fn after_a_rival() -> (Court, ExecutorCore, ClaimId, ClaimId) {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let before = court.claim(Who::Rival, job, &wrong(1));
    court.now_ms += 10_000;
    perform(&mut core, &mut court);
    let own = court.settlement.claims().map(|(id, _)| *id).find(|id| *id != before).unwrap();
    (court, core, before, own)
}

#[test]
fn time_is_called_on_a_silent_executor_whose_claim_stands_before_ours() {
    let (mut court, mut core, before, _) = after_a_rival();
    let challenge = court.challenge(Who::Challenger, before);
    demand(&mut court, Who::Challenger, challenge, TRACE);
    court.now_ms += CLOCK_MS;
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, call_time(challenge));
    assert_eq!(decision.reason, "the executor's time is over");
    perform(&mut core, &mut court);
    // The rival's claim fell: ours is the first now.
    let job = court.settlement.jobs().next().unwrap().0;
    assert_eq!(actions(&mut core, &court), [Action::Finalise { job: *job }]);
}

#[test]
fn time_is_called_on_a_silent_challenger_of_a_claim_before_ours() {
    let (mut court, mut core, before, _) = after_a_rival();
    let challenge = court.challenge(Who::Challenger, before);
    court.now_ms += CLOCK_MS + 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, call_time(challenge));
    assert_eq!(decision.reason, "the challenger's time is over");
}

#[test]
fn a_claim_before_ours_is_settled_when_it_is_ripe_though_ours_loses_by_it() {
    let (mut court, mut core, before, own) = after_a_rival();
    let job = job_of(&court, before);
    // The rival's window ends ten seconds before ours.
    court.now_ms += WINDOW_MS - 10_000;
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 1;
    assert_eq!(actions(&mut core, &court), [Action::Finalise { job }]);
    perform(&mut core, &mut court);
    assert_eq!(court.settlement.job(&job).unwrap().status, JobStatus::Done { claim: before });
    // Ours is released, and nothing is left to do.
    let status = &court.settlement.claim(&own).unwrap().status;
    assert!(matches!(status, ClaimStatus::Released { .. }));
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn when_ours_has_fallen_the_claims_before_it_are_others_to_look_after() {
    let (mut court, mut core, before, own) = after_a_rival();
    let challenge = court.challenge(Who::Challenger, own);
    demand(&mut court, Who::Challenger, challenge, TRACE);
    court.now_ms += CLOCK_MS + 1;
    // Ripe, and settled by us while ours waits for it.
    let job = job_of(&court, before);
    assert_eq!(actions(&mut core, &court), [Action::Finalise { job }]);
    court.does(Who::Challenger, &call_time(challenge));
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), None);
}

#[test]
fn when_the_job_is_done_the_disputes_of_others_are_not_ours() {
    let (mut court, mut core, first) = {
        let mut court = Court::funded();
        let (mut core, job) = offering(&mut court, 1, ETHER);
        let first = court.claim(Who::Rival, job, &wrong(1));
        court.claim(Who::Second, job, &wrong(1));
        perform(&mut core, &mut court);
        (court, core, first)
    };
    let others: Vec<ClaimId> =
        court.settlement.claims().map(|(id, _)| *id).filter(|id| *id != first).collect();
    let challenges = others.iter().map(|claim| court.challenge(Who::Challenger, *claim));
    let challenges: Vec<ChallengeId> = challenges.collect();
    court.now_ms += WINDOW_MS + 1;
    let job = job_of(&court, first);
    assert_eq!(actions(&mut core, &court), [Action::Finalise { job }]);
    perform(&mut core, &mut court);
    court.now_ms += CLOCK_MS;
    let own = others.iter().zip(challenges).find(|(claim, _)| {
        court.settlement.claim(claim).unwrap().executor == Who::Executor.address()
    });
    assert_eq!(actions(&mut core, &court), [call_time(own.unwrap().1)]);
}

#[test]
fn our_own_window_does_not_settle_a_job_whose_first_claim_is_disputed() {
    let (mut court, mut core, before, _) = after_a_rival();
    court.now_ms += WINDOW_MS - 10_000;
    court.challenge(Who::Challenger, before);
    court.now_ms += 10_001;
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn claims_after_ours_are_not_looked_after() {
    let (mut court, mut core, own) = claiming();
    let job = job_of(&court, own);
    let after = court.claim(Who::Rival, job, &wrong(1));
    let challenge = court.challenge(Who::Challenger, after);
    demand(&mut court, Who::Challenger, challenge, TRACE);
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), [Action::Finalise { job }]);
    perform(&mut core, &mut court);
    // The job is done; the rival's dispute is not ours.
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), None);
}

#[test]
fn a_job_without_our_claim_is_not_settled_by_us() {
    let mut court = Court::funded();
    let job = court.job(1, ETHER);
    court.claim(Who::Rival, job, &honest(1));
    let mut core = ExecutorCore::new(Who::Executor.address());
    court.now_ms += WINDOW_MS + 1;
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), None);
}

#[test]
fn a_disputed_claim_of_ours_on_a_job_that_is_done_is_still_looked_after() {
    let (mut court, mut core, before, own) = after_a_rival();
    let job = job_of(&court, before);
    let challenge = court.challenge(Who::Challenger, own);
    court.now_ms += WINDOW_MS;
    court.does(Who::Rival, &Action::Finalise { job });
    demand(&mut court, Who::Challenger, challenge, TRACE);
    assert_eq!(actions(&mut core, &court).len(), 1, "the demand is answered");
    perform(&mut core, &mut court);
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), [call_time(challenge)]);
    perform(&mut core, &mut court);
    let status = &court.settlement.claim(&own).unwrap().status;
    assert!(matches!(status, ClaimStatus::Released { .. }));
}

#[test]
fn the_next_look_is_just_after_the_window_or_the_first_deadline() {
    let (mut court, core, claim) = claiming();
    let next = |court: &Court| core.next_look_ms(&court.view());
    let window_end_ms = court.now_ms + WINDOW_MS;
    assert_eq!(next(&court), Some(window_end_ms + 1));
    court.now_ms += 20_000;
    let challenge = court.challenge(Who::Challenger, claim);
    let deadline_ms = court.now_ms + CLOCK_MS;
    assert_eq!(next(&court), Some(window_end_ms + 1));
    court.now_ms = window_end_ms;
    assert_eq!(next(&court), Some(window_end_ms + 1));
    court.now_ms += 1;
    assert_eq!(next(&court), Some(deadline_ms + 1));
    // A demand starts the executor's clock.
    demand(&mut court, Who::Challenger, challenge, TRACE);
    assert_eq!(next(&court), Some(court.now_ms + CLOCK_MS + 1));
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(next(&court), None);
}

#[test]
fn a_claim_before_ours_sets_the_next_look_too() {
    cov_mark::check!(claim_before_ours_is_awaited);
    let (mut court, core, before, _) = after_a_rival();
    let next = |court: &Court| core.next_look_ms(&court.view());
    let window_end_ms = court.settlement.claim(&before).unwrap().window_end_ms;
    assert_eq!(next(&court), Some(window_end_ms + 1));
    court.now_ms = window_end_ms + 1;
    // Then our own window.
    assert_eq!(next(&court), Some(window_end_ms + 10_001));
    court.now_ms = window_end_ms;
    court.challenge(Who::Challenger, before);
    court.now_ms += 20_000;
    assert_eq!(next(&court), Some(window_end_ms + CLOCK_MS + 1));
}

#[test]
fn a_claim_before_ours_that_fell_sets_no_look() {
    let mut court = Court::funded();
    court.window_ms = 2 * CLOCK_MS;
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let before = court.claim(Who::Rival, job, &wrong(1));
    let challenge = court.challenge(Who::Challenger, before);
    demand(&mut court, Who::Challenger, challenge, TRACE);
    court.now_ms += 10_000;
    perform(&mut core, &mut court);
    let window_end_ms = court.now_ms + 2 * CLOCK_MS;
    court.now_ms += CLOCK_MS;
    perform(&mut core, &mut court);
    assert!(matches!(court.settlement.claim(&before).unwrap().status, ClaimStatus::Fallen { .. }));
    assert_eq!(core.next_look_ms(&court.view()), Some(window_end_ms + 1));
}

#[test]
fn an_executor_without_claims_need_not_look() {
    let court = Court::funded();
    assert_eq!(ExecutorCore::new(Who::Executor.address()).next_look_ms(&court.view()), None);
}
