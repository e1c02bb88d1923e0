//! What becomes final: nothing false that somebody guards, everything true that is honest.

use ledger::words;
use protocol::hash::Commitment;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{ClaimStatus, Settlement};

use super::{Audit, Invariant, Sometimes, Surroundings};

impl<C: Commitment> Audit<C> {
    /// Whether a claim became final rightly and in time.
    pub(super) fn is_final(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ClaimId,
        job: &JobId,
    ) {
        let Some(claim) = state.claim(id) else { return };
        let entry = self.books.claims.get(id);
        let is_true = entry.is_some_and(|entry| entry.is_true);
        let guarded = self.is_guarded(claim);
        if !is_true && !guarded {
            self.saw(Sometimes::FalseFinalUnwatched);
        }
        let early = around.now_ms <= claim.window_end_ms;
        self.hold(Invariant::WindowRespected, around.now_ms, !early, || {
            format!("{id} became final before its window ended at {} ms", claim.window_end_ms)
        });
        let false_final = !is_true && guarded && !early;
        self.hold(Invariant::NoFalseFinal, around.now_ms, !false_final, || {
            format!("the false claim {id} became final with an honest challenger in funds at hand")
        });
        self.saw(if claim.challenges.is_empty() {
            Sometimes::ClaimFinal
        } else {
            Sometimes::FinalAfterDispute
        });
        let Some(job) = state.job(job) else { return };
        if job.claims.first() != Some(id) {
            self.saw(Sometimes::RivalFinal);
        }
        self.in_time(around, claim.last_finality_ms, id);
        // Claims that came no later than this one delay it by their own disputes at most, all of
        // which ran at once: their number does not matter.
        let window_ms = job.terms.window_ms;
        let bound_ms = claim
            .posted_ms
            .saturating_add(window_ms)
            .saturating_add(state.parameters().challenge_ms_max())
            .saturating_add(around.slack_ms);
        self.hold(Invariant::DelayIndependent, around.now_ms, around.now_ms <= bound_ms, || {
            format!("{} claims delayed the job beyond {bound_ms} ms", job.claims.len())
        });
    }

    /// Looks at the whole state when everything is over.
    pub(crate) fn ended(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        honest_deltas: &[(String, i128)],
    ) {
        // One thing that went wrong brings the others with it: only the first is reported.
        for (_, challenge) in state.challenges() {
            self.dispute_ended(around, state, challenge);
        }
        if !self.violations.is_empty() {
            return;
        }
        for (id, claim) in state.claims() {
            let Some(entry) = self.books.claims.get(id) else {
                continue;
            };
            let (is_true, by_honest) = (entry.is_true, entry.by_honest);
            let done =
                matches!(claim.status, ClaimStatus::Final { .. } | ClaimStatus::Released { .. });
            if is_true && by_honest {
                self.hold(Invariant::TrueFinal, around.now_ms, done, || {
                    format!("the true claim {id} ended as {}", words::claim_status(&claim.status))
                });
            }
        }
        if !self.violations.is_empty() {
            return;
        }
        for (name, delta_wei) in honest_deltas {
            self.hold(Invariant::NoHonestLoss, around.now_ms, *delta_wei >= 0, || {
                format!("{name} lost {} wei", -delta_wei)
            });
        }
    }
}
