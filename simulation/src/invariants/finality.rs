//! What becomes final: nothing false that somebody guards, everything true that is honest.

use ledger::words;
use protocol::hash::Commitment;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{ClaimStatus, JobStatus, SealedStatus, Settlement};

use super::{Audit, HonestEnd, Invariant, Sometimes, Surroundings};
use crate::bounds::last_finality_ms;
use crate::scenario::Side;
use crate::worst_cases::{Formula, signed};

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
        let guarded = self.is_guarded(around.now_ms, state, id);
        if !is_true && !guarded {
            self.saw(Sometimes::FalseFinalUnwatched);
        }
        // The window that the poster paid for, not the one that the ledger says.
        let asked_ms = state.job(job).map_or(0, |job| job.terms.window_ms);
        let until_ms = claim.posted_ms.saturating_add(asked_ms);
        let early = around.now_ms <= until_ms;
        self.hold(Invariant::WindowRespected, around.now_ms, !early, || {
            format!("{id} became final before its window ended at {until_ms} ms")
        });
        let no_run = self.books.truths.get(&claim.terms.job).is_some_and(Option::is_none);
        let passed = no_run && guarded && !early;
        self.hold(Invariant::NoRunNoPass, around.now_ms, !passed, || {
            format!(
                "{id} became final though its job has no run, with an honest challenger in funds"
            )
        });
        let false_final = !is_true && guarded && !early && !no_run;
        self.hold(Invariant::NoFalseFinal, around.now_ms, !false_final, || {
            format!("the false claim {id} became final with an honest challenger in funds at hand")
        });
        self.saw(if claim.challenges == 0 {
            Sometimes::ClaimFinal
        } else {
            Sometimes::FinalAfterDispute
        });
        let Some(job) = state.job(job) else { return };
        if claim.number > 0 {
            self.saw(Sometimes::RivalFinal);
        }
        self.in_time(around, state.final_by_ms(claim), id);
        // Written out here rather than asked of the ledger: claims that came no later delay this one by
        // their own disputes at most, all of which ran at once. Their number does not matter, but how many
        // challenges of one claim wait for their turn.
        let (parameters, window_ms) = (state.parameters(), job.terms.window_ms);
        let earlier = state.claims_of(&claim.terms.job).filter_map(|id| state.claim(id));
        let bounds_ms = earlier.filter(|one| one.number <= claim.number).map(|one| {
            let served_after = one.challenges.saturating_sub(1) / parameters.served_max.max(1);
            last_finality_ms(parameters, one.posted_ms, window_ms, served_after)
        });
        let bound_ms = bounds_ms.fold(0, u64::max).saturating_add(around.slack_ms);
        let [found_ms, allowed_ms] =
            [around.now_ms, bound_ms].map(|at_ms| i128::from(at_ms) - i128::from(claim.posted_ms));
        self.note(Formula::Delay, found_ms, allowed_ms);
        self.hold(Invariant::DelayIndependent, around.now_ms, around.now_ms <= bound_ms, || {
            format!("{} claims delayed the job beyond {bound_ms} ms", job.claims)
        });
    }

    /// Whether a claim's printed bound is what follows from the parameters.
    pub(super) fn posted(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ClaimId,
        printed_ms: u64,
    ) {
        let Some(claim) = state.claim(id) else { return };
        let Some(job) = state.job(&claim.terms.job) else { return };
        let window_ms = job.terms.window_ms;
        let bound_ms = last_finality_ms(state.parameters(), claim.posted_ms, window_ms, 0);
        let holds = printed_ms == bound_ms && claim.last_finality_ms == bound_ms;
        self.hold(Invariant::DelayIndependent, around.now_ms, holds, || {
            format!("{id} prints {printed_ms} ms as its last finality, not {bound_ms} ms")
        });
    }

    /// Whether a stake went back although its claim was disputed, or its job not over.
    pub(super) fn released(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ClaimId,
    ) {
        self.saw(Sometimes::StakeReleased);
        let open = state
            .challenges_of(id)
            .filter_map(|id| state.challenge(id))
            .filter(|challenge| challenge.is_open())
            .count();
        let job = state.claim(id).and_then(|claim| state.job(&claim.terms.job));
        let over = job.is_some_and(|job| job.status != JobStatus::Open);
        self.hold(Invariant::EndsRightly, around.now_ms, over && open == 0, || {
            format!("{id} was released: {open} challenges are open, its job is over: {over}")
        });
    }

    /// Whether a job expired in its time, or although something stands or waits.
    pub(super) fn expired(&mut self, around: &Surroundings<'_>, state: &Settlement<C>, id: &JobId) {
        self.saw(Sometimes::JobExpired);
        let Some(job) = state.job(id) else { return };
        let standing =
            state.claims().filter(|(_, one)| one.terms.job == *id && one.stands()).count();
        let waits = state
            .all_sealed()
            .any(|(_, one)| one.job == *id && one.status == SealedStatus::Waiting);
        // Whatever falls leaves others the time of an executor's clock to claim.
        let clock_ms = state.parameters().executor_clock_ms;
        let falls = state.claims_of(id).filter_map(|id| match state.claim(id)?.status {
            ClaimStatus::Fallen { at_ms, .. } => Some(at_ms.saturating_add(clock_ms)),
            ClaimStatus::Standing | ClaimStatus::Final { .. } | ClaimStatus::Released { .. } => {
                None
            }
        });
        let opened_ms = job.posted_ms.saturating_add(job.terms.open_ms);
        let until_ms = falls.fold(opened_ms, u64::max);
        let rightly = standing == 0 && !waits && around.now_ms > until_ms;
        self.hold(Invariant::EndsRightly, around.now_ms, rightly, || {
            format!("{id} expired: {standing} claims stand, a seal waits: {waits}, it was open until {until_ms} ms")
        });
    }

    /// Whether all that are dishonest have together no more than they had, less what the rules burn of it, but for the
    /// fees of honest posters' jobs that their claims answered, and what honest challengers paid for looking at inputs
    /// that nobody published. In wei: won, earned, burned.
    pub(crate) fn coalition(&mut self, now_ms: u64, [won, earned, burned]: [i128; 3]) {
        let holds = won.saturating_add(burned) <= earned;
        self.note(Formula::Coalition, won.saturating_add(burned), earned);
        self.hold(Invariant::NoCoalitionProfit, now_ms, holds, || {
            format!(
                "all attackers won {won} wei together, they earned {earned} wei and {burned} wei of theirs burn"
            )
        });
    }

    /// Looks at the whole state when everything is over.
    pub(crate) fn ended(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        honest: &[HonestEnd],
    ) {
        self.all_counters(around, state);
        self.all_paid(around, state);
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
            let job = state.job(&claim.terms.job);
            let answered = job.is_some_and(|job| matches!(job.status, JobStatus::Done { .. }));
            let done = match claim.status {
                ClaimStatus::Final { .. } => true,
                ClaimStatus::Released { .. } => answered,
                ClaimStatus::Standing | ClaimStatus::Fallen { .. } => false,
            };
            if is_true && by_honest {
                self.hold(Invariant::TrueFinal, around.now_ms, done, || {
                    format!("the true claim {id} ended as {}", words::claim_status(&claim.status))
                });
            }
        }
        if !self.violations.is_empty() {
            return;
        }
        for HonestEnd { name, address, side, delta_wei } in honest {
            let fees_wei = self.books.record_fees_wei.get(address).copied().unwrap_or_default();
            let back_wei = self.books.withdrawals_wei.get(address).copied().unwrap_or_default();
            let allowed_wei = fees_wei.saturating_add(back_wei);
            let allowed_wei = signed(allowed_wei);
            let formula = match side {
                Side::Executor => Formula::Executor,
                Side::Challenger | Side::Stranger => Formula::Challenger,
                Side::Client => Formula::Poster,
            };
            self.note(formula, -delta_wei, allowed_wei);
            self.hold(Invariant::NoHonestLoss, around.now_ms, *delta_wei >= -allowed_wei, || {
                format!(
                    "{name} lost {} wei, and may lose its record fees of {fees_wei} wei",
                    -delta_wei
                )
            });
        }
    }
}
