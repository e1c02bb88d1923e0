//! Disputes of others on jobs that this executor ran or posted.

use super::*;

#[test]
fn a_true_claim_of_another_that_an_accomplice_holds_does_not_keep_a_job_that_was_run_from_ending() {
    // With an offer that the claim answers already, or with nothing but the run.
    for is_offered in [true, false] {
        let mut court = Court::funded();
        let (mut core, job) = offering(&mut court, 1, ETHER);
        if !is_offered {
            core.forget(&job, None);
        }
        let claim = court.claim(Who::Rival, job, &honest(1));
        court.challenge(Who::Second, claim);
        let deadline_ms = court.now_ms + CLOCK_MS;
        assert_eq!(core.next_look_ms(&court.view()), Some(deadline_ms + 1), "not at its window");
        court.now_ms = deadline_ms;
        assert_eq!(actions(&mut core, &court), []);
        court.now_ms += 1;
        let [decision] = decisions(&mut core, &court).try_into().unwrap();
        assert_eq!(decision.action, call_time(claim, Who::Second));
        assert_eq!(decision.reason, "the challenger's time is over");
        perform(&mut core, &mut court);
        // Nothing holds it any more: whoever gains by it ends the job.
        assert_eq!(actions(&mut core, &court), []);
        assert_eq!(core.next_look_ms(&court.view()), None);
        court.does(Who::Rival, &Action::Finalise { claim });
    }
}

#[test]
fn a_silent_executor_of_a_job_that_was_run_is_called_and_its_job_claimed() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let claim = court.claim(Who::Rival, job, &honest(1));
    court.challenge(Who::Second, claim);
    demand(&mut court, Who::Second, claim, TRACE);
    court.now_ms += CLOCK_MS + 1;
    assert_eq!(actions(&mut core, &court), [call_time(claim, Who::Second)]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), [post(job, 1)]);
}

#[test]
fn the_disputes_of_jobs_that_were_not_run_are_not_looked_after() {
    let mut court = Court::funded();
    let job = court.job(1, ETHER);
    let claim = court.claim(Who::Rival, job, &honest(1));
    court.challenge(Who::Second, claim);
    court.now_ms += CLOCK_MS + 1;
    // Of another input.
    let mut core = ExecutorCore::new(Who::Executor.address());
    core.remember(honest(2), arity_log2());
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), None);
    core.remember(wrong(1), arity_log2());
    assert_eq!(actions(&mut core, &court), [call_time(claim, Who::Second)]);
}

#[test]
fn the_disputes_of_a_job_that_was_run_and_is_over_are_not_looked_after() {
    let mut court = Court::funded();
    let (mut core, job) = offering(&mut court, 1, ETHER);
    let (first, second) =
        (court.claim(Who::Rival, job, &honest(1)), court.claim(Who::Second, job, &wrong(1)));
    court.challenge(Who::Challenger, second);
    court.now_ms += WINDOW_MS + 1;
    court.does(Who::Rival, &Action::Finalise { claim: first });
    court.now_ms += CLOCK_MS;
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), None);
}

#[test]
fn claims_on_a_job_of_its_own_are_looked_after_and_settled() {
    cov_mark::check!(claim_on_a_job_of_its_own_is_awaited);
    let mut court = Court::funded();
    let job = court.job_of(Who::Executor, 1, ETHER);
    // It ran nothing.
    let mut core = ExecutorCore::new(Who::Executor.address());
    let first = court.claim(Who::Rival, job, &honest(1));
    let second = court.claim(Who::Second, job, &wrong(1));
    let window_end_ms = court.now_ms + WINDOW_MS;
    assert_eq!(core.next_look_ms(&court.view()), Some(window_end_ms + 1));
    court.challenge(Who::Second, first);
    court.challenge(Who::Challenger, second);
    demand(&mut court, Who::Challenger, second, TRACE);
    court.now_ms += CLOCK_MS + 1;
    let mut calls = actions(&mut core, &court);
    calls.sort_by_key(|call| *call == call_time(second, Who::Challenger));
    assert_eq!(calls, [call_time(first, Who::Second), call_time(second, Who::Challenger)]);
    perform(&mut core, &mut court);
    assert_eq!(actions(&mut core, &court), [Action::Finalise { claim: first }]);
    perform(&mut core, &mut court);
    assert_eq!(court.settlement.job(&job).unwrap().status, JobStatus::Done { claim: first });
    assert_eq!(actions(&mut core, &court), []);
    assert_eq!(core.next_look_ms(&court.view()), None);
}
