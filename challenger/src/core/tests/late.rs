//! Whoever is late in a challenge of others is told so: no job waits for ever because two accomplices are silent.

use super::*;

const CALL: &str = "call time on claim";

/// The second challenger's challenge of the claim, in the executor's turn.
fn asked_by_another(mut play: Play, claim: ClaimId) -> Play {
    play.court.challenge(Who::Second, claim);
    play.court.demand_trace(Who::Second, claim);
    play
}

/// The moment after which the side to move in the second challenger's challenge is late.
fn end_ms(play: &Play, claim: ClaimId) -> u64 {
    let challenge = play.court.settlement.challenge_by(&claim, &Who::Second.address()).unwrap();
    challenge.deadline_ms(FLOOR_MS).unwrap()
}

fn until(mut play: Play, at_ms: u64) -> Play {
    assert!(at_ms >= play.court.now_ms);
    play.court.now_ms = at_ms;
    play
}

fn next_look_ms(play: &Play) -> Option<u64> {
    play.core.next_look_ms(&play.court.view())
}

#[test]
fn the_silent_executor_of_a_false_claim_is_late_in_anybody_s_challenge() {
    // Also where no challenge is begun: this one costs nothing.
    let (play, claim) = one_claim(Policy::Nothing, &false_claim(&ladder(3)));
    let play = asked_by_another(play, claim);
    let end_ms = end_ms(&play, claim);
    assert_eq!(next_look_ms(&play), Some(end_ms + 1));
    let mut play = until(play, end_ms).wants(&[]);
    play = until(play, end_ms + 1).wants(&[CALL]);
    let [decision] = play.decisions().try_into().unwrap();
    assert_eq!(decision.reason, "the executor is late, and the claim's job waits for the end");
    assert_eq!(decision.deadline_ms, None);
    let play = play.does(&[CALL]).wants(&[]);
    let fallen = play.court.status(claim);
    assert!(matches!(fallen, ClaimStatus::Fallen { reason: FallReason::Silence(_), .. }));
    assert_eq!(next_look_ms(&play), None);
}

#[test]
fn the_silent_executor_of_a_true_claim_has_one_more_move_s_time() {
    let (play, claim) = one_true_claim(Policy::Differing);
    let play = asked_by_another(play, claim);
    let end_ms = end_ms(&play, claim) + FLOOR_MS;
    assert_eq!(next_look_ms(&play), Some(end_ms + 1));
    let play = until(play, end_ms).wants(&[]);
    let play = until(play, end_ms + 1).does(&[CALL]).wants(&[]);
    // Claim and challenge are both over: the job waits for neither.
    assert!(matches!(play.court.status(claim), ClaimStatus::Fallen { .. }));
}

#[test]
fn a_silent_challenger_is_late_whatever_the_claim() {
    for (mut play, claim) in
        [one_true_claim(Policy::Differing), one_claim(Policy::Nothing, &false_claim(&ladder(3)))]
    {
        play.court.challenge(Who::Second, claim);
        let end_ms = end_ms(&play, claim);
        assert_eq!(next_look_ms(&play), Some(end_ms + 1));
        let mut play = until(until(play, end_ms).wants(&[]), end_ms + 1);
        let [decision] = play.decisions().try_into().unwrap();
        assert_eq!(
            decision.reason,
            "its challenger is late, and the claim's job waits for the end"
        );
        let play = play.does(&[CALL]).wants(&[]);
        assert_eq!(*play.court.status(claim), ClaimStatus::Standing);
        let second = play.court.settlement.challenge_by(&claim, &Who::Second.address());
        assert_eq!(second.unwrap().status, ChallengeStatus::Lost);
        assert_eq!(next_look_ms(&play), None);
    }
}

#[test]
fn nobody_calls_time_on_itself() {
    let (play, claim) = one_false_claim();
    let mut play = play.does(&["challenge claim"]);
    play.court.challenge(Who::Second, claim);
    // Both challengers were silent: one is called, ours is not.
    let play = play.wait(CLOCK_MS + 1).does(&[CALL]).wants(&[]);
    assert!(matches!(play.challenge_status(), ChallengeStatus::Open { .. }));
}

#[test]
fn what_another_has_called_is_not_called_again() {
    // The executor of a true claim, whose challenger is late.
    let (mut play, claim) = one_true_claim(Policy::Differing);
    play.court.challenge(Who::Second, claim);
    let mut play = play.wait(CLOCK_MS + 1).wants(&[CALL]);
    play.court.perform(Who::Executor, call_time(claim, Who::Second));
    let mut play = play.wants(&[]);
    // What was on its way at the same time is refused, and changes nothing.
    assert!(play.court.submit(Who::Challenger, &call_time(claim, Who::Second)).is_err());
    let play = play.wants(&[]);
    assert_eq!(next_look_ms(&play), None);
    // The other challenger of a false claim, whose executor is late.
    let (play, claim) = one_claim(Policy::Nothing, &false_claim(&ladder(3)));
    let mut play = asked_by_another(play, claim).wait(CLOCK_MS + 1).wants(&[CALL]);
    play.court.perform(Who::Second, call_time(claim, Who::Second));
    let mut play = play.wants(&[]);
    assert!(play.court.submit(Who::Challenger, &call_time(claim, Who::Second)).is_err());
    play.wants(&[]);
    // An answer in the last moment ends it as well.
    let (play, claim) = one_claim(Policy::Nothing, &false_claim(&ladder(3)));
    asked_by_another(play, claim).wait(CLOCK_MS).answered().wait(1).wants(&[]);
}

#[test]
fn each_late_challenge_is_called_once() {
    // Ours and another's are both unanswered.
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    let mut play = play.does(&["challenge claim"]).does(&[DEMAND_TRACE]);
    play.court.demand_trace(Who::Second, claim);
    let mut play = play.wait(CLOCK_MS + 1).wants(&[CALL, CALL]);
    let mut named: Vec<Address> =
        play.decisions().iter().filter_map(called_on).map(|on| on.1).collect();
    named.sort();
    let mut both = [Who::Challenger.address(), Who::Second.address()];
    both.sort();
    assert_eq!(named, both);
}

#[test]
fn in_jobs_that_were_not_run_nobody_is_called() {
    let (play, claim) = one_false_claim();
    let mut play = asked_by_another(play, claim);
    play.core = core(Policy::Differing);
    let play = play.wait(CLOCK_MS + FLOOR_MS + 1).wants(&[]);
    assert_eq!(next_look_ms(&play), None);
}

#[test]
fn of_a_run_that_was_let_go_what_is_true_is_still_known() {
    let (play, claim) = one_claim(Policy::Nothing, &false_claim(&ladder(3)));
    let mut play = asked_by_another(play, claim);
    let job = *play.court.settlement.jobs().next().unwrap().0;
    play.core.let_go(&job);
    play.wait(CLOCK_MS + 1).wants(&[CALL]);
}
