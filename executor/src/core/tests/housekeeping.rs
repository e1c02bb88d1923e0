//! Challenges whose challengers are silent, jobs that are ripe, and the claims of others before ours.

use protocol::settlement::ClaimStatus;

use super::*;

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
    assert_eq!(decision.action, Action::Finalise { claim });
    assert_eq!(decision.reason, "the window is over and nobody disputes the claim");
    assert_eq!(decision.deadline_ms, None);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn a_disputed_claim_is_not_settled_until_the_dispute_is_over() {
    let (mut court, mut core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    court.now_ms += CLOCK_MS;
    // The window is over; the challenger has its last moment.
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, call_time(claim, Who::Challenger));
    assert_eq!(decision.reason, "the challenger's time is over");
    assert_eq!(decision.deadline_ms, None);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim }]);
}

#[test]
fn one_open_challenge_of_several_keeps_a_claim_from_being_settled() {
    let (mut court, mut core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    court.now_ms += 50_000;
    court.challenge(Who::Second, claim);
    court.now_ms += CLOCK_MS - 50_000 + 1;
    assert_eq!(actions(&mut core, &court), [call_time(claim, Who::Challenger)]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 50_000;
    assert_eq!(actions(&mut core, &court), [call_time(claim, Who::Second)]);
}

#[test]
fn a_challenge_that_is_over_does_not_hide_an_earlier_one_that_is_open() {
    let (mut court, mut core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    court.challenge(Who::Second, claim);
    // An answer starts the challenger's clock again.
    demand(&mut court, Who::Challenger, claim, TRACE);
    court.now_ms += 10;
    perform(&mut core, &mut court);
    court.now_ms += CLOCK_MS - 9;
    assert_eq!(actions(&mut core, &court), [call_time(claim, Who::Second)]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn nobody_calls_time_on_himself() {
    let (mut court, mut core, claim) = claiming();
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
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
    let (mut court, mut core, before, own) = after_a_rival();
    court.challenge(Who::Challenger, before);
    demand(&mut court, Who::Challenger, before, TRACE);
    court.now_ms += CLOCK_MS;
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, call_time(before, Who::Challenger));
    assert_eq!(decision.reason, "the executor's time is over");
    perform(&mut core, &mut court);
    // The rival's claim fell: ours is the first now.
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: own }]);
}

#[test]
fn time_is_called_on_a_silent_challenger_of_a_claim_before_ours() {
    let (mut court, mut core, before, _) = after_a_rival();
    court.challenge(Who::Challenger, before);
    court.now_ms += CLOCK_MS + 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, call_time(before, Who::Challenger));
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
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: before }]);
    perform(&mut core, &mut court);
    assert_eq!(court.settlement.job(&job).unwrap().status, JobStatus::Done { claim: before });
    // Ours stands, and takes its stake back though its window is not over; nothing is left to do.
    let before_wei = court.settlement.money().free_wei(&Who::Executor.address());
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, Action::Release { claim: own });
    assert_eq!(decision.reason, "the job is over and nobody disputes the claim");
    perform(&mut core, &mut court);
    let after_wei = court.settlement.money().free_wei(&Who::Executor.address());
    assert_eq!(after_wei - before_wei, ETHER);
    let status = &court.settlement.claim(&own).unwrap().status;
    assert!(matches!(status, ClaimStatus::Released { .. }));
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn when_ours_has_fallen_the_claims_before_it_are_others_to_look_after() {
    let (mut court, mut core, before, own) = after_a_rival();
    court.challenge(Who::Challenger, own);
    demand(&mut court, Who::Challenger, own, TRACE);
    court.now_ms += CLOCK_MS + 1;
    // Ripe, and settled by us while ours waits for it.
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: before }]);
    court.does(Who::Challenger, &call_time(own, Who::Challenger));
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
    for claim in &others {
        court.challenge(Who::Challenger, *claim);
    }
    court.now_ms += WINDOW_MS + 1;
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: first }]);
    perform(&mut core, &mut court);
    court.now_ms += CLOCK_MS;
    let is_ours = |claim: &&ClaimId| {
        court.settlement.claim(claim).unwrap().executor == Who::Executor.address()
    };
    let own = *others.iter().find(is_ours).unwrap();
    assert_eq!(actions(&mut core, &court), [call_time(own, Who::Challenger)]);
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
    court.challenge(Who::Challenger, after);
    demand(&mut court, Who::Challenger, after, TRACE);
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: own }]);
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
    court.challenge(Who::Challenger, own);
    court.now_ms += WINDOW_MS;
    court.does(Who::Rival, &Action::Finalise { claim: before });
    demand(&mut court, Who::Challenger, own, TRACE);
    assert_eq!(actions(&mut core, &court).len(), 1, "the demand is answered");
    perform(&mut core, &mut court);
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), [call_time(own, Who::Challenger)]);
    perform(&mut core, &mut court);
    // Nobody disputes it any more.
    assert_eq!(actions(&mut core, &court), [Action::Release { claim: own }]);
    perform(&mut core, &mut court);
    let status = &court.settlement.claim(&own).unwrap().status;
    assert!(matches!(status, ClaimStatus::Released { .. }));
    assert_eq!(actions(&mut core, &court), []);
}

#[test]
fn the_next_look_is_just_after_the_window_or_the_first_deadline() {
    let (mut court, core, claim) = claiming();
    let next = |court: &Court| core.next_look_ms(&court.view());
    let window_end_ms = court.now_ms + WINDOW_MS;
    assert_eq!(next(&court), Some(window_end_ms + 1));
    court.now_ms += 20_000;
    court.challenge(Who::Challenger, claim);
    let deadline_ms = court.now_ms + CLOCK_MS;
    assert_eq!(next(&court), Some(window_end_ms + 1));
    court.now_ms = window_end_ms;
    assert_eq!(next(&court), Some(window_end_ms + 1));
    court.now_ms += 1;
    assert_eq!(next(&court), Some(deadline_ms + 1));
    // A demand starts the executor's clock.
    demand(&mut court, Who::Challenger, claim, TRACE);
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
    court.challenge(Who::Challenger, before);
    demand(&mut court, Who::Challenger, before, TRACE);
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

/// Rivals' claims with errors, and after them the executor's; all but it fall, the last one first.
fn after_fallen_rivals(count: u64) -> (Court, ExecutorCore, ClaimId, Vec<ClaimId>) {
    let mut court = Court::funded();
    court.window_ms = 4 * CLOCK_MS;
    court.deposit(Who::Rival, u128::from(count) * 2 * ETHER);
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let rivals: Vec<ClaimId> =
        (0..count).map(|salt| court.claim_salted(Who::Rival, job, &wrong(1), salt)).collect();
    perform(&mut core, &mut court);
    for rival in &rivals {
        court.challenge(Who::Challenger, *rival);
        demand(&mut court, Who::Challenger, *rival, TRACE);
    }
    court.now_ms += CLOCK_MS + 1;
    for rival in rivals.iter().rev() {
        court.does(Who::Challenger, &call_time(*rival, Who::Challenger));
    }
    let own = court.settlement.claims().find(|(_, claim)| claim.stands()).map(|(id, _)| *id);
    let own = own.unwrap();
    (court, core, own, rivals)
}

#[test]
fn claims_that_fell_before_ours_are_passed_before_ours_is_settled() {
    let (mut court, mut core, own, rivals) = after_fallen_rivals(3);
    let job = job_of(&court, own);
    // The first one moved the number on as it fell; the others fell before it and are passed.
    assert_eq!(court.settlement.job(&job).unwrap().first_standing, 1);
    assert_eq!(actions(&mut core, &court), [], "the window is not over");
    court.now_ms += 4 * CLOCK_MS;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, Action::Pass { job, claims: rivals[1..].to_vec() });
    assert_eq!(decision.reason, "claims before this one were rejected");
    assert!(court.submit(Who::Executor, &Action::Finalise { claim: own }).is_err());
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: own }]);
    perform(&mut core, &mut court);
    assert_eq!(court.settlement.job(&job).unwrap().status, JobStatus::Done { claim: own });
}

#[test]
fn more_fallen_claims_than_one_transaction_takes_are_passed_in_parts() {
    let most = PASSED_MAX as u64;
    let (mut court, mut core, own, rivals) = after_fallen_rivals(most + 2);
    let job = job_of(&court, own);
    court.now_ms += 4 * CLOCK_MS;
    for claims in [&rivals[1..=PASSED_MAX], &rivals[PASSED_MAX + 1..]] {
        assert_eq!(actions(&mut core, &court), [Action::Pass { job, claims: claims.to_vec() }]);
        perform(&mut core, &mut court);
    }
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: own }]);
}

#[test]
fn a_disputed_claim_of_ours_is_not_released() {
    let (mut court, mut core, before, own) = after_a_rival();
    court.challenge(Who::Challenger, own);
    court.now_ms += WINDOW_MS;
    court.does(Who::Rival, &Action::Finalise { claim: before });
    assert_eq!(actions(&mut core, &court), []);
    // The ledger would refuse it.
    assert!(court.submit(Who::Executor, &Action::Release { claim: own }).is_err());
}

#[test]
fn claims_of_others_are_not_released_by_us() {
    let (mut court, mut core, before, own) = after_a_rival();
    let job = job_of(&court, own);
    court.claim_salted(Who::Rival, job, &wrong(1), 7);
    court.now_ms += WINDOW_MS + 1;
    perform(&mut core, &mut court);
    assert_eq!(court.settlement.job(&job).unwrap().status, JobStatus::Done { claim: before });
    assert_eq!(actions(&mut core, &court), [Action::Release { claim: own }]);
}

#[test]
fn a_job_of_its_own_that_nobody_claimed_ends_after_its_time_for_claims() {
    let mut court = Court::funded();
    let job = court.job_of(Who::Executor, 1, ETHER);
    court.job(2, ETHER);
    let mut core = ExecutorCore::new(Who::Executor.address());
    let until_ms = court.now_ms + OPEN_MS;
    assert_eq!(core.next_look_ms(&court.view()), Some(until_ms + 1));
    court.now_ms = until_ms;
    assert_eq!(actions(&mut core, &court), []);
    court.now_ms += 1;
    let [decision] = decisions(&mut core, &court).try_into().unwrap();
    assert_eq!(decision.action, Action::ExpireJob { job });
    assert_eq!(decision.reason, "its time for claims is over and nobody claimed it");
    perform(&mut core, &mut court);
    assert_eq!(court.settlement.job(&job).unwrap().status, JobStatus::Expired);
    assert_eq!(actions(&mut core, &court), [], "the client's job is the client's to end");
    assert_eq!(core.next_look_ms(&court.view()), None);
}

#[test]
fn a_job_of_its_own_with_a_standing_claim_does_not_end_before_it() {
    let mut court = Court::funded();
    court.window_ms = 2 * OPEN_MS;
    let job = court.job_of(Who::Executor, 1, ETHER);
    let mut core = ExecutorCore::new(Who::Executor.address());
    let claim = court.claim(Who::Rival, job, &wrong(1));
    court.now_ms += OPEN_MS + 1;
    assert_eq!(actions(&mut core, &court), []);
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), [call_time(claim, Who::Challenger)]);
    perform(&mut core, &mut court);
    // Whoever held back because of that claim has an executor's clock to claim.
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), Some(court.now_ms + CLOCK_MS + 1));
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), [Action::ExpireJob { job }]);
}

#[test]
fn a_run_is_needed_while_its_job_takes_our_claims_or_one_of_ours_stands_and_no_longer() {
    let core: ExecutorCore = ExecutorCore::new(Who::Executor.address());
    // Nobody claims it, and its time for claims passes.
    let mut court = Court::funded();
    let job = court.job(1, ETHER);
    court.now_ms += OPEN_MS;
    assert!(!core.is_over(&court.view(), &job));
    court.now_ms += 1;
    assert!(core.is_over(&court.view(), &job) && core.is_over(&court.view(), &JobId::default()));
    // Another's claim may fall, until it is the job's answer.
    let mut court = Court::funded();
    let job = court.job(1, ETHER);
    let claim = court.claim(Who::Rival, job, &honest(1));
    court.now_ms += OPEN_MS + 1;
    assert!(!core.is_over(&court.view(), &job));
    court.does(Who::Rival, &Action::Finalise { claim });
    assert!(core.is_over(&court.view(), &job));
    // One of ours is defended whatever became of its job.
    let mut court = Court::funded();
    let job = court.job(1, ETHER);
    let claim = court.claim(Who::Rival, job, &wrong(1));
    court.claim(Who::Executor, job, &honest(1));
    court.now_ms += OPEN_MS + 1;
    court.does(Who::Rival, &Action::Finalise { claim });
    assert!(!core.is_over(&court.view(), &job));
    // A job that names another was never ours.
    let mut court = Court::funded();
    court.named = Who::Rival.address();
    let job = court.job(1, ETHER);
    assert!(core.is_over(&court.view(), &job));
}

#[test]
fn the_input_of_a_job_that_may_open_again_is_needed_though_another_job_on_it_is_over() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let idle = court.job(1, ETHER);
    // The same said by another, so that there is nothing to claim until it falls.
    let claim = court.claim(Who::Rival, job, &honest(1));
    court.challenge(Who::Challenger, claim);
    demand(&mut court, Who::Challenger, claim, TRACE);
    court.now_ms += OPEN_MS + 1;
    let view = court.view();
    assert!(core.is_over(&view, &idle) && !core.is_over(&view, &job));
    let input_root = honest(1).trace().state_roots()[0];
    assert_eq!(core.inputs_needed(&view), HashSet::from([input_root]));
    // It opens again, and is claimed at once.
    let mut reopened = court.clone();
    reopened.does(Who::Challenger, &call_time(claim, Who::Challenger));
    assert_eq!(actions(&mut core, &reopened), [post(job, 1)]);
    assert_eq!(core.inputs_needed(&reopened.view()), HashSet::from([input_root]));
    // Once nobody claimed it, nobody needs its input.
    reopened.now_ms += OPEN_MS;
    assert_eq!(core.inputs_needed(&reopened.view()), HashSet::new());
}
