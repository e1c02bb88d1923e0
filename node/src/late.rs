//! Challenges in which a side let its time pass, and who ends them.

use ledger::View;
use protocol::hash::Commitment;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Challenge, Claim};
use protocol::transaction::Action;

/// A challenge of a standing claim whose side to move is late.
#[derive(Clone, Copy, Debug)]
pub struct Late<'a> {
    /// The challenge.
    pub challenge: &'a Challenge,
    /// How long its time has been over.
    pub by_ms: u64,
}

impl Late<'_> {
    /// Whether it is the executor that is late, and not the challenger.
    pub fn is_executor(&self) -> bool {
        self.challenge.pending().is_some()
    }

    /// What ends it; anybody may.
    pub fn call(&self) -> Action {
        let Challenge { claim, challenger, .. } = self.challenge;
        Action::CallTime { claim: *claim, challenger: *challenger }
    }
}

/// The challenges of a claim in which a side is late, in the order of their numbers. Of a claim that does not
/// stand there are none.
pub fn late<'a, C: Commitment>(
    view: &'a View<C>,
    claim: &'a ClaimId,
) -> impl Iterator<Item = Late<'a>> {
    let settlement = &view.settlement;
    let floor_ms = settlement.parameters().move_floor_ms;
    let stands = settlement.claim(claim).is_some_and(Claim::stands);
    let ids = settlement.challenges_of(claim).filter(move |_| stands);
    let challenges = ids.filter_map(|id| settlement.challenge(id));
    challenges.filter_map(move |challenge| {
        let end_ms = challenge.deadline_ms(floor_ms)?;
        let by_ms = view.now_ms.saturating_sub(end_ms);
        (by_ms > 0).then_some(Late { challenge, by_ms })
    })
}

/// What whoever waits for a job's answer calls time on: every challenge of a claim that stands on it in which a
/// side is late, once those whom that costs something had `grace_ms` to do it. A silent executor, or an
/// accomplice that challenges and says nothing, would hold the job up for ever.
///
/// `agrees` says whether a claim is what an own run gives. The executor of a right one has one more move's time:
/// its claim would fall. Where a challenger of a false one is late nothing is done: without its challenge the
/// claim would be nearer to being the answer. One call makes a claim fall, and leaves nothing else to end there.
pub fn calls_for_job<C: Commitment>(
    view: &View<C>,
    job: &JobId,
    grace_ms: u64,
    agrees: impl Fn(&Claim<C>) -> Option<bool>,
) -> Vec<Action> {
    let settlement = &view.settlement;
    let floor_ms = settlement.parameters().move_floor_ms;
    let claims = settlement.claims_of(job).filter_map(|id| Some((id, settlement.claim(id)?)));
    let mut calls = Vec::new();
    for (id, claim) in claims {
        let agrees = agrees(claim);
        let is_due = |late: &Late<'_>| match (late.is_executor(), agrees) {
            (false, Some(false)) => false,
            (true, Some(true)) => late.by_ms > grace_ms.max(floor_ms),
            _ => late.by_ms > grace_ms,
        };
        let due: Vec<Late<'_>> = late(view, id).filter(is_due).collect();
        match due.iter().find(|late| late.is_executor()) {
            Some(silent) => calls.push(silent.call()),
            None => calls.extend(due.iter().map(Late::call)),
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BANK, CHALLENGER, Court, SECOND};
    use protocol::settlement::ClaimStatus;

    const GRACE_MS: u64 = 3_000;

    /// A claim that one account challenges and asks, and another only challenges; and its job.
    fn disputed() -> (Court, JobId, ClaimId) {
        let mut court = Court::new();
        let claim = court.claim();
        for challenger in [CHALLENGER, SECOND] {
            court.does(challenger, &Action::Challenge { claim });
        }
        court.demand(CHALLENGER, claim);
        let job = court.settlement.claim(&claim).unwrap().terms.job;
        (court, job, claim)
    }

    fn calls(court: &Court, job: &JobId, agrees: Option<bool>) -> Vec<Action> {
        calls_for_job(&court.view(), job, GRACE_MS, |_| agrees)
    }

    #[test]
    fn whoever_is_late_is_late_from_the_first_millisecond_after_its_time() {
        let (mut court, _, claim) = disputed();
        let parameters = court.settlement.parameters();
        let clocks_ms = [parameters.executor_clock_ms, parameters.challenger_clock_ms];
        assert_eq!(clocks_ms[0], clocks_ms[1], "both end at once here");
        court.now_ms += clocks_ms[0];
        assert_eq!(late(&court.view(), &claim).count(), 0);
        court.now_ms += 1;
        let view = court.view();
        let found: Vec<_> = late(&view, &claim).map(|one| (one.is_executor(), one.by_ms)).collect();
        assert_eq!(found, [(true, 1), (false, 1)]);
        // The ledger takes what ends them, and of what fell nobody is late any more.
        let moves: Vec<Action> = late(&view, &claim).map(|one| one.call()).collect();
        court.does(BANK, &moves[1]);
        court.does(BANK, &moves[0]);
        let fallen = &court.settlement.claim(&claim).unwrap().status;
        assert!(matches!(fallen, ClaimStatus::Fallen { .. }), "{fallen:?}");
        assert_eq!(late(&court.view(), &claim).count(), 0);
    }

    #[test]
    fn a_job_held_up_by_silence_is_freed_once_others_had_their_time() {
        let (mut court, job, claim) = disputed();
        let parameters = court.settlement.parameters();
        let (clock_ms, floor_ms) = (parameters.executor_clock_ms, parameters.move_floor_ms);
        let call = |challenger| Action::CallTime { claim, challenger };
        court.now_ms += clock_ms + GRACE_MS;
        for agrees in [None, Some(true), Some(false)] {
            assert_eq!(calls(&court, &job, agrees), [], "{agrees:?}");
        }
        court.now_ms += 1;
        // The claim falls, and its other challenge is over with it.
        for agrees in [None, Some(false)] {
            assert_eq!(calls(&court, &job, agrees), [call(CHALLENGER)]);
        }
        // The executor of a right claim has one more move's time.
        assert!(floor_ms > GRACE_MS, "{floor_ms}");
        assert_eq!(calls(&court, &job, Some(true)), [call(SECOND)]);
        court.now_ms += floor_ms - GRACE_MS;
        assert_eq!(calls(&court, &job, Some(true)), [call(CHALLENGER)]);
        // Another's job is another's affair.
        let other = court.job(1);
        assert_eq!(calls(&court, &other, None), []);
        court.does(BANK, &call(CHALLENGER));
        assert_eq!(calls(&court, &job, None), []);
    }

    #[test]
    fn a_silent_challenger_is_ended_unless_its_claim_is_false() {
        let mut court = Court::new();
        let claim = court.claim();
        let job = court.settlement.claim(&claim).unwrap().terms.job;
        for challenger in [CHALLENGER, SECOND] {
            court.does(challenger, &Action::Challenge { claim });
        }
        court.now_ms += court.settlement.parameters().challenger_clock_ms + GRACE_MS + 1;
        let both = [CHALLENGER, SECOND].map(|challenger| Action::CallTime { claim, challenger });
        for agrees in [None, Some(true)] {
            assert_eq!(calls(&court, &job, agrees), both);
        }
        assert_eq!(calls(&court, &job, Some(false)), []);
        for action in &both {
            court.does(BANK, action);
        }
        assert!(court.settlement.claim(&claim).is_some_and(|claim| !claim.is_disputed()));
        assert_eq!(calls(&court, &job, None), []);
    }
}
