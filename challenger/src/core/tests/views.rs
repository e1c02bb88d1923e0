//! Which runs are needed, which are let go, and when to look again.

use super::*;

fn next_look_ms(play: &Play) -> Option<u64> {
    play.core.next_look_ms(&play.court.view())
}

fn job_of(play: &Play) -> JobId {
    *play.court.settlement.jobs().next().unwrap().0
}

fn is_in_play(play: &Play) -> bool {
    play.core.is_in_play(&play.court.view(), &job_of(play))
}

#[test]
fn the_next_look_is_just_after_the_first_deadline_of_an_own_challenge() {
    let (play, _) = one_false_claim();
    // Claims alone need no look: whoever watches is woken by what happens.
    assert_eq!(next_look_ms(&play), None);
    let begun_ms = play.court.now_ms;
    let play = play.does(&["challenge claim"]);
    assert_eq!(next_look_ms(&play), Some(begun_ms + CLOCK_MS + 1));
    let play = play.wait(7).does(&[DEMAND_TRACE]);
    assert_eq!(next_look_ms(&play), Some(begun_ms + 7 + CLOCK_MS + 1));
    // At the deadline itself there is something to wait for, after it not.
    let play = play.wait(CLOCK_MS);
    assert_eq!(next_look_ms(&play), Some(play.court.now_ms + 1));
    let play = play.wait(1);
    assert_eq!(next_look_ms(&play), None);
    // Nor when all is over.
    let play = play.does(&["call time on claim"]);
    assert_eq!(next_look_ms(&play), None);
}

/// A false claim on a ledger that serves one challenge at a time; ours waits behind another, and the window
/// is over.
fn queued() -> (Play, ClaimId) {
    let network = ladder(3);
    let mut court = Court::serving(1);
    court.deposit(Who::Challenger, ETHER);
    let job = court.job(&network, ETHER);
    let claim = court.claim("claim", Who::Executor, job, &false_claim(&network));
    let mut core = core(Policy::Differing);
    core.watch(job, honest_view(&network));
    let mut play = court.played_by(core).wait(WINDOW_MS);
    play.court.challenge(Who::Second, claim);
    let play = play.does(&["challenge claim"]).wait(1);
    assert_eq!(*play.challenge_status(), ChallengeStatus::Queued);
    (play, claim)
}

#[test]
fn a_challenge_that_waits_for_its_turn_has_no_clock_and_looks_when_the_one_before_it_may_end() {
    let (play, _) = queued();
    let turn_ms = play.court.now_ms + CLOCK_MS;
    assert_eq!(next_look_ms(&play), Some(turn_ms));
    let play = play.wants(&[]);
    assert!(play.core.stuck().is_empty() && is_in_play(&play));
    let contested = crate::queue::contested(&play.court.view());
    assert_eq!(contested.iter().map(|one| one.job).collect::<Vec<_>>(), [job_of(&play)]);
    // The other is late, and its end is our turn, with all of our time.
    let play = play.wait(CLOCK_MS).does(&["call time on claim"]);
    assert_eq!(next_look_ms(&play), Some(turn_ms + CLOCK_MS + 1));
    play.does(&[DEMAND_TRACE]);
}

#[test]
fn a_watcher_sees_a_dispute_that_waits_without_a_deadline_and_its_collateral() {
    let (play, claim) = queued();
    let truths = play.core.truths();
    let look = crate::monitor::Monitor::default().look(&play.court.view(), &truths, &[]);
    let disputes: Vec<_> = look.disputes.iter().map(|one| (one.turn, one.deadline_ms)).collect();
    let second_ms = play.court.now_ms - 1 + CLOCK_MS;
    assert_eq!(disputes, [("challenger", Some(second_ms)), ("queue", None)]);
    let account = Who::Challenger.address().to_string();
    let ours = look.parties.iter().find(|one| one.account == account).unwrap();
    assert_eq!(ours.locked_wei, BOND_WEI.to_string());
    assert!(look.disputes.iter().all(|one| one.claim == claim.to_string()));
}

#[test]
fn a_watcher_sees_no_dispute_and_no_alert_in_what_is_only_to_be_collected() {
    let (mut play, claim) = one_false_claim();
    let mut watcher = crate::monitor::Monitor::default();
    play.court.challenge(Who::Second, claim);
    play.court.demand_trace(Who::Second, claim);
    let mut play = play.does(&["challenge claim"]).wait(CLOCK_MS + 1);
    let truths = play.core.truths();
    let look = watcher.look(&play.court.view(), &truths, &[]);
    assert_eq!((look.disputes.len(), look.false_claims.len()), (2, 1));
    play.court.perform(Who::Second, call_time(claim, Who::Second));
    let look = watcher.look(&play.court.view(), &truths, &[]);
    assert_eq!((look.claims, look.disputes, look.alerts, watcher.wrong()), (0, vec![], vec![], 0));
    // Our bond is still locked.
    let ours = node::Exposure::of(&play.court.view(), &Who::Challenger.address());
    assert_eq!((ours.bonds_wei, ours.to_collect, ours.deadline_ms), (BOND_WEI, 1, None));
}

#[test]
fn of_two_challenges_the_one_that_ends_first_decides_the_next_look() {
    let play = two_claims();
    let begun_ms = play.court.now_ms;
    let mut play = play.does(&["challenge small", "challenge large"]);
    let mut claims = play.court.settlement.claims();
    let small = *claims.find(|(_, claim)| claim.stake_wei == ETHER).unwrap().0;
    drop(claims);
    play.court.now_ms += 500;
    play.court.demand_trace(Who::Challenger, small);
    assert_eq!(next_look_ms(&play), Some(begun_ms + CLOCK_MS + 1));
}

#[test]
fn a_run_is_needed_while_a_claim_that_differs_can_be_challenged() {
    let (play, _) = one_false_claim();
    assert!(is_in_play(&play));
    let play = play.wait(WINDOW_MS);
    assert!(is_in_play(&play));
    let play = play.wait(1);
    assert!(!is_in_play(&play));
    assert!(!is_in_play(&one_true_claim(Policy::Everything).0));
}

#[test]
fn a_run_is_needed_while_an_own_challenge_is_open() {
    // Beyond the window, and of a claim that agrees.
    for (play, claim) in [one_false_claim(), one_true_claim(Policy::Everything)] {
        let play = play.wait(WINDOW_MS).does(&["challenge claim"]);
        let mut play = play.wait(CLOCK_MS + 1);
        assert!(is_in_play(&play));
        play.court.perform(Who::Executor, call_time(claim, Who::Challenger));
        assert!(!is_in_play(&play));
    }
    // Not for the challenges of others.
    let (mut play, claim) = one_true_claim(Policy::Differing);
    play.court.challenge(Who::Second, claim);
    assert!(!is_in_play(&play));
}

#[test]
fn a_run_is_not_needed_for_a_claim_that_fell_nor_for_a_job_that_is_not_watched() {
    let (mut play, claim) = one_false_claim();
    play.court.challenge(Who::Second, claim);
    play.court.demand_trace(Who::Second, claim);
    assert!(is_in_play(&play));
    play.court.now_ms += CLOCK_MS + 1;
    play.court.perform(Who::Second, call_time(claim, Who::Second));
    assert!(!is_in_play(&play));
    let (mut play, _) = one_false_claim();
    play.core = core(Policy::Everything);
    assert!(!is_in_play(&play));
    assert!(!play.core.is_in_play(&play.court.view(), &JobId::default()));
}

#[test]
fn of_a_run_that_was_let_go_its_root_stays_and_challenges() {
    cov_mark::check!(own_run_is_missing);
    let (mut play, _) = one_false_claim();
    let job = job_of(&play);
    let Truth::Root(root) = HonestView::of_run(ladder(3).honest(), Arc::default()).truth() else {
        panic!("an honest run has a root")
    };
    assert_eq!(play.core.at_hand(), 1);
    play.core.let_go(&job);
    assert_eq!(play.core.at_hand(), 0);
    assert!(play.core.honest_view(&job).is_none());
    assert_eq!(play.core.truth(&job), Some(&Truth::Root(root)));
    assert_eq!(play.core.truths(), HashMap::from([(job, Truth::Root(root))]));
    assert!(is_in_play(&play));
    // What could be challenged has no clock yet.
    assert!(!play.core.is_challenging(&play.court.view(), &job));
    // As long as there is time, the run is made again first: from two moves before the end of the window on it is
    // challenged all the same.
    let view = play.court.view();
    let end_ms = view.settlement.claims().next().unwrap().1.window_end_ms;
    let last_ms = end_ms - 2 * view.settlement.parameters().move_floor_ms;
    assert_eq!(next_look_ms(&play), Some(last_ms));
    let by_ms = last_ms - view.now_ms;
    let play = play.wants(&[]).wait(by_ms - 1).wants(&[]).wait(1);
    // Without the run no move can be made, and the core says so: a clock runs.
    let mut play = play.does(&["challenge claim"]).wants(&[]);
    assert!(play.core.is_challenging(&play.court.view(), &job));
    assert!(!play.core.is_challenging(&play.court.view(), &JobId::default()));
    let why: Vec<&SolveError> = play.core.stuck().values().collect();
    assert_eq!(why, [&SolveError::RunMissing]);
    assert!(is_in_play(&play));
    // Watched again, it is played.
    play.core.watch(job, honest_view(&ladder(3)));
    assert_eq!(play.core.at_hand(), 1);
    play.does(&[DEMAND_TRACE]);
}

#[test]
fn of_a_job_that_was_forgotten_nothing_stays() {
    let (mut play, _) = one_false_claim();
    let job = job_of(&play);
    assert!(play.core.honest_view(&job).is_some());
    play.core.forget(&job);
    assert_eq!((play.core.at_hand(), play.core.truth(&job)), (0, None));
    assert!(play.core.honest_view(&job).is_none());
    assert!(play.core.truths().is_empty());
    assert!(!is_in_play(&play));
    play.wants(&[]);
}

#[test]
fn another_job_of_the_same_input_is_watched_by_itself() {
    let network = ladder(2);
    let mut court = Court::funded();
    let (one, other) = (court.job(&network, ETHER), court.job(&network, ETHER));
    court.claim("one", Who::Executor, one, &false_claim(&network));
    court.claim("other", Who::Executor, other, &false_claim(&network));
    let mut core = core(Policy::Differing);
    core.watch(one, honest_view(&network));
    court.played_by(core).wants(&["challenge one"]);
}

#[test]
fn both_claims_on_a_job_are_compared_with_its_run() {
    let network = ladder(2);
    let mut court = Court::funded();
    let job = court.job(&network, ETHER);
    court.claim("truth", Who::Executor, job, &true_claim(&network));
    court.claim("lie", Who::Rival, job, &false_claim(&network));
    let mut core = core(Policy::Differing);
    core.watch(job, honest_view(&network));
    let play = court.played_by(core);
    assert!(is_in_play(&play));
    play.does(&["challenge lie"]);
}
