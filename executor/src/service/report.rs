//! What an executor's daemon tells: those who asked, its operator, its metrics and its status.

use std::sync::Arc;
use std::time::Instant;

use ledger::View;
use node::Exposure;
use node::jobs::Progress;
use protocol::ids::JobId;
use protocol::settlement::{Job, JobStatus};

use super::Service;
use crate::api::ClaimedRun;
use crate::core::Unanswered;
use crate::policy::{Declined, closes_too_soon};
use crate::progress::End;

impl Service {
    /// Answers those who asked, once their claims stand.
    pub(super) fn answer(&self, view: &View) {
        let settlement = &view.settlement;
        for id in self.api.waiting() {
            if self.jobs.ended(&id) == Some(&End::Refused) {
                self.api.give_up(&id);
            }
            // What is asked over HTTP has one iteration.
            let Some(run) = self.runs.get(&id).and_then(|run| run.only()) else {
                continue;
            };
            let mut claims =
                settlement.claims_of(&id).filter_map(|id| Some((id, settlement.claim(id)?)));
            if let Some((claim, found)) = claims.find(|(_, claim)| claim.executor == self.address) {
                let (claim, window_end_ms) = (*claim, found.window_end_ms);
                self.api.answer(ClaimedRun { job: id, claim, window_end_ms, run: Arc::clone(run) });
            }
        }
    }

    /// Claims that are challenged and whose runs do not answer, a line each. A run that is being made is none.
    pub(super) fn undefended(&self) -> Vec<String> {
        let failed = self.agent.core.unanswered().iter();
        let failed = failed.filter(|(_, why)| !matches!(why, Unanswered::RunMissing));
        failed.map(|(claim, why)| why.line(claim)).collect()
    }

    /// Tells what the core cannot answer: each is a clock that runs out.
    pub(super) fn report_unanswered(&self) {
        for (claim, why) in self.agent.core.unanswered() {
            match why {
                Unanswered::RunMissing => {
                    tracing::warn!(event = "executor.run_not_at_hand", %claim,
                        "the run of a challenged claim is made again from its input");
                }
                Unanswered::Failed(error) => {
                    tracing::error!(event = "executor.cannot_answer", %claim, %error);
                }
            }
        }
    }

    /// Tells once of each job that takes claims and is not taken, and why.
    pub(super) fn decline(&mut self, view: &View) {
        let total_wei = Exposure::of(view, &self.address).total_wei();
        let settlement = &view.settlement;
        let takes_claims =
            |job: &Job| job.status == JobStatus::Open && view.now_ms <= job.open_until_ms;
        self.declined.retain(|id, _| settlement.job(id).is_some_and(takes_claims));
        self.quarantine.retain(|id| settlement.job(id).is_some_and(takes_claims));
        for (id, job) in settlement.open_jobs().filter(|(_, job)| takes_claims(job)) {
            if self.jobs.ended(id) == Some(&End::NoResult) {
                // Told when its run ended.
                continue;
            }
            match self.why_declined(view, (id, job), total_wei) {
                None => drop(self.declined.remove(id)),
                // Numbers change with the account's money; that is told once as well.
                Some(why) => {
                    let reason = why.to_string();
                    if self.declined.insert(*id, why).is_none() {
                        metrics::counter!("rebut_executor_declined_total").increment(1);
                        if self.lines.has_room() {
                            tracing::info!(event = "executor.declined", job = %id, %reason);
                        }
                    }
                }
            }
        }
        if let Some(count) = self.lines.left_out(Instant::now()) {
            tracing::info!(
                event = "executor.declined_more",
                count,
                "jobs that were not taken and are not told one by one; /v1/status lists them"
            );
        }
    }

    /// Why a job that takes claims is not run; `None` for one that is, or on which a claim of ours stands.
    fn why_declined(
        &self,
        view: &View,
        (id, job): (&JobId, &Job),
        total_wei: u128,
    ) -> Option<Declined> {
        if self.stands(view, id) {
            return None;
        }
        let too_soon = || closes_too_soon(job, view.now_ms, self.run_ms(job));
        match self.jobs.get(id) {
            // What waits for its input may wait too long.
            Some(Progress::Waiting { .. } | Progress::Ended(End::Kept { .. })) => too_soon(),
            Some(Progress::Running { .. } | Progress::Ended(_)) => None,
            None => match self.api.model_store.model(&job.terms.model_root) {
                None => Some(Declined::Model),
                Some(model) => {
                    let declined = self.settings.policy.declines(job, &self.address, total_wei);
                    let why = || self.why_no_sequence(view, job, model.header());
                    declined.or_else(why).or_else(too_soon)
                }
            },
        }
    }

    pub(super) async fn report(&mut self, view: &View) {
        let (exposure, profit_wei) = self.account.report(&self.api.ledger, view).await;
        let unpublished = self.unclaimed.iter().filter(|one| one.is_refused).count();
        for (name, value) in [
            ("rebut_executor_jobs_waiting", self.jobs.waiting() as f64),
            ("rebut_executor_jobs_running", self.jobs.running() as f64),
            ("rebut_executor_unaffordable", self.unaffordable as f64),
            ("rebut_executor_beyond_clock", self.beyond_clock as f64),
            ("rebut_executor_beyond_long", self.beyond_long as f64),
            ("rebut_executor_unpublished", unpublished as f64),
            ("rebut_executor_runs_kept", self.runs.len() as f64),
            ("rebut_executor_disk_bytes", self.api.inputs.used() as f64),
            ("rebut_executor_disk_budget_bytes", self.settings.disk_budget_bytes as f64),
            ("rebut_executor_declined", self.declined.len() as f64),
            ("rebut_executor_quarantined", self.quarantine.count() as f64),
        ] {
            metrics::gauge!(name).set(value);
        }
        let is_refused = |one: &Progress<_, End>| matches!(one, Progress::Ended(End::Refused));
        let refused = self.jobs.iter().filter(|(_, one)| is_refused(one)).count();
        metrics::gauge!("rebut_executor_refused").set(refused as f64);
        let missing: Vec<&JobId> = self
            .jobs
            .iter()
            .filter(|(_, one)| matches!(one, Progress::Waiting { .. }))
            .map(|(id, _)| id)
            .collect();
        let parameters = view.settlement.parameters();
        let least_wei = node::exposure::claim_takes_wei(parameters, parameters.stake_wei_min);
        let is_poor = exposure.free_wei < least_wei && exposure.claims == 0;
        self.api.health.money(is_poor.then(|| {
            format!(
                "account {} has {} free and a claim takes {} at least: no job is taken; \
                 rebut account deposit",
                self.address,
                ledger::words::ether(exposure.free_wei),
                ledger::words::ether(least_wei)
            )
        }));
        let policy = self.settings.policy;
        self.api.health.say(serde_json::json!({
            "account": self.address.to_string(), "height": view.height,
            "accepts": {
                "fee_wei_min": policy.fee_wei_min.to_string(),
                "fee_ppm_per_hour": policy.fee_ppm_per_hour,
                "stake_percent_max": policy.stake_percent_max,
                "long_percent_max": policy.long_percent_max,
                "window_ms_max": policy.window_ms_max,
                "new_jobs": self.takes_new(),
            },
            "declined": self.declined.iter().map(|(job, why)| {
                serde_json::json!({ "job": job.to_string(), "reason": why.to_string() })
            }).take(100).collect::<Vec<_>>(),
            "declined_count": self.declined.len(), "quarantined_count": self.quarantine.count(),
            "inputs_missing": missing.iter().take(100).map(ToString::to_string).collect::<Vec<_>>(),
            "inputs_missing_count": missing.len(), "unaffordable_count": self.unaffordable,
            "beyond_clock_count": self.beyond_clock, "beyond_long_count": self.beyond_long,
            "unpublished_count": unpublished,
            "refused_count": refused,
            "runs_kept": self.runs.len(), "claims_standing": exposure.claims,
            "to_release_count": exposure.to_release,
            "disputes_open": exposure.disputes, "free_wei": exposure.free_wei.to_string(),
            "stakes_wei": exposure.stakes_wei.to_string(), "profit_wei": profit_wei.to_string(),
        }));
    }
}
