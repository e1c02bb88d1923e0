//! Times: clocks run down only, and disputes end by the bound printed with their claim.

use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId};
use protocol::settlement::{Challenge, ClaimStatus, Settlement};

use super::{Audit, Invariant, Surroundings};

impl<C: Commitment> Audit<C> {
    /// Whether no clock of a challenge gained time.
    pub(super) fn clocks(&mut self, now_ms: u64, state: &Settlement<C>, id: &ChallengeId) {
        let Some(challenge) = state.challenge(id) else {
            return;
        };
        let now = (challenge.executor_clock_ms, challenge.challenger_clock_ms);
        let before = self.books.clocks.insert(*id, now).unwrap_or((
            state.parameters().executor_clock_ms,
            state.parameters().challenger_clock_ms,
        ));
        let holds = now.0 <= before.0 && now.1 <= before.1;
        self.hold(Invariant::ClocksMonotone, now_ms, holds, || {
            let ((one, other), (now_one, now_other)) = (before, now);
            format!(
                "the clocks of {id} went from {one} and {other} ms to {now_one} and {now_other} ms"
            )
        });
    }

    /// Whether a claim ended by its printed bound.
    pub(super) fn in_time(&mut self, around: &Surroundings<'_>, last_ms: u64, id: &ClaimId) {
        let bound_ms = last_ms.saturating_add(around.slack_ms);
        self.hold(Invariant::DisputesEnd, around.now_ms, around.now_ms <= bound_ms, || {
            format!("{id} ended after its printed bound {last_ms} ms and {} ms", around.slack_ms)
        });
    }

    /// A dispute in which somebody honest takes part, or for which an honest claim waits, is over
    /// by the bound printed with its claim. Nobody is bound to end what only strangers play.
    pub(super) fn dispute_ended(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        challenge: &Challenge,
    ) {
        let Some(claim) = state.claim(&challenge.claim) else {
            return;
        };
        let honest_waits = state.job(&claim.terms.job).is_some_and(|job| {
            // The honest claim itself, or one that stands after the disputed one.
            job.claims.iter().skip_while(|id| **id != challenge.claim).any(|id| {
                let standing =
                    state.claim(id).is_some_and(|one| one.status == ClaimStatus::Standing);
                standing && self.books.claims.get(id).is_some_and(|entry| entry.by_honest)
            })
        });
        let cared_for = honest_waits || (around.honest)(&challenge.challenger);
        let over = around.now_ms > claim.last_finality_ms.saturating_add(around.slack_ms);
        let late = challenge.is_open() && over && cared_for;
        self.hold(Invariant::DisputesEnd, around.now_ms, !late, || {
            let bound_ms = claim.last_finality_ms;
            format!("a challenge of {} is open after {bound_ms} ms", challenge.claim)
        });
    }
}
