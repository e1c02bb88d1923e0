//! Jobs without a result: every claim on them is challenged and falls.

use inference::Honest;

use super::*;
use crate::monitor::{Alert, Forecast, Monitor};
use crate::testing::statement::Inventing;
use crate::testing::undefined::{Undefined, all, token_outside};
use crate::truth::Truth;

fn without_result(case: &Undefined) -> HonestView {
    HonestView::of_any_run(case.network.any_run(Arc::new(Honest)), Arc::default())
}

/// A claim that invents what there is not, and has another value here.
fn invented(case: &Undefined, place: Option<(u32, u64)>) -> Statement {
    let policy = Inventing(place.into_iter().collect());
    Statement::of(&case.network.run(Arc::new(policy)))
}

/// A job without a result with two claims, "one" and "other", and a challenger that watches it.
fn two_inventions(
    case: &Undefined,
    policy: Policy,
    mut court: Court,
) -> (Play, JobId, [ClaimId; 2]) {
    let job = court.job(&case.network, ETHER);
    let one = court.claim("one", Who::Executor, job, &invented(case, None));
    // Later, so that the order in which they are challenged is known.
    court.now_ms += 1_000;
    let other = court.claim("other", Who::Rival, job, &invented(case, Some((1, 0))));
    let mut core = core(policy);
    core.watch(job, without_result(case));
    (court.played_by(core), job, [one, other])
}

#[test]
fn audit_a2_every_claim_on_a_job_without_a_result_is_challenged_and_falls() {
    for case in all().into_iter().filter(|case| case.segment == 0).chain([token_outside()]) {
        let (mut play, job, claims) = two_inventions(&case, Policy::Differing, Court::funded());
        let before_wei = play.court.free_wei(Who::Challenger);
        let decisions = play.decisions();
        assert!(decisions.iter().all(|one| one.reason.contains("the job has no result")));
        play = play.does(&["challenge one", "challenge other"]);
        for _ in 0..20 {
            for decision in play.decisions() {
                play.court.perform(Who::Challenger, decision.action);
            }
            play.court.answer_all();
        }
        for claim in claims {
            let fallen = play.court.status(claim);
            let is_refuted =
                matches!(fallen, ClaimStatus::Fallen { reason: FallReason::Refuted(_), .. });
            assert!(is_refuted, "{}: {fallen:?}", case.name);
        }
        assert!(play.court.free_wei(Who::Challenger) > before_wei);
        assert!(play.core.stuck().is_empty());
        assert!(play.core.truth(&job).unwrap().no_result().is_some());
    }
}

#[test]
fn audit_a2_money_and_policy_rule_over_jobs_without_a_result_as_over_others() {
    let case = token_outside();
    two_inventions(&case, Policy::Nothing, Court::funded()).0.wants(&[]);
    let (mut play, _, claims) = two_inventions(&case, Policy::Differing, Court::new());
    play = play.wants(&[]);
    assert_eq!(play.core.unaffordable(&play.court.view()).len(), claims.len());
    play.core.suppose_funded();
    play.wants(&["challenge one", "challenge other"]);
}

#[test]
fn audit_a2_that_a_job_has_no_result_is_known_also_when_its_run_is_let_go() {
    let (mut play, job, _) = two_inventions(&token_outside(), Policy::Differing, Court::funded());
    play.core.let_go(&job);
    assert!(play.core.is_in_play(&play.court.view(), &job));
    let Some(Truth::NoResult(no_result)) = play.core.truth(&job) else { panic!() };
    assert_eq!((no_result.operator, no_result.element), (0, 210));
    // A clock runs from a challenge on: the run is made again first, as long as there is time.
    let view = play.court.view();
    let last_ms = play.core.next_look_ms(&view).unwrap();
    let by_ms = last_ms - view.now_ms;
    let play = play.wants(&[]).wait(by_ms - 1).wants(&[]).wait(1);
    // The other was posted a moment later.
    play.wants(&["challenge one"]).wait(1_000).wants(&["challenge one", "challenge other"]);
}

#[test]
fn audit_a2_a_watcher_forecasts_that_every_claim_without_a_result_falls() {
    let (mut play, _, _) = two_inventions(&token_outside(), Policy::Differing, Court::funded());
    let (mut watcher, truths) = (Monitor::default(), play.core.truths());
    let look = watcher.look(&play.court.view(), &truths, &[]);
    assert_eq!((look.claims, look.false_claims.len(), look.unknown_claims), (2, 2, 0));
    let unchallenged = |alert: &&Alert| matches!(alert, Alert::Unchallenged { .. });
    assert_eq!(look.alerts.iter().filter(unchallenged).count(), 2);
    play = play.does(&["challenge one", "challenge other"]);
    let look = watcher.look(&play.court.view(), &truths, &[]);
    let forecasts: Vec<Forecast> = look.disputes.iter().map(|one| one.forecast).collect();
    assert_eq!(forecasts, [Forecast::Falls, Forecast::Falls]);
    assert_eq!(look.alerts.iter().filter(unchallenged).count(), 0);
}
