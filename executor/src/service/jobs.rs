//! Which jobs an executor takes: what is wanted, what there is money and time for, and how it is begun.

use std::collections::VecDeque;
use std::sync::Arc;

use inference::sequence::spacing;
use inference::state_transfer::input_head;
use inference::worker::Task;
use ledger::http::DownloadError;
use ledger::{Ledger as _, LedgerError, View};
use node::Exposure;
use node::meanwhile;
use protocol::graph::ModelHeader;
use protocol::ids::JobId;
use protocol::settlement::Job;

use super::Service;
use crate::core::takes_claims_of;
use crate::inputs::KeepError;
use crate::policy::{Declined, is_long};
use crate::progress::{End, Input, Means, Urgency, Wanted, choose, left_ms};
use node::jobs::{HANDED_MAX, Progress};

impl Service {
    /// Hands the most urgent of what is wanted to the worker, as far as there is room and money. What has
    /// no input takes neither.
    pub(super) async fn take_wanted(&mut self, view: &View) -> Result<(), LedgerError> {
        let (mut wanted, mut means) = self.wanted(view);
        if !wanted.is_empty() && !self.api.inputs.has_room() {
            tracing::warn!(
                event = "executor.disk_budget",
                "no new job is taken: inputs are at their budget"
            );
            wanted.retain(|one| one.urgency != Urgency::New);
        }
        for one in wanted {
            let Some(job) = view.settlement.job(&one.job).cloned() else {
                continue;
            };
            let Some(left) = means.less(&one) else {
                continue;
            };
            if !self.jobs.has_room() {
                return Ok(());
            }
            let is_sequence = job.terms.iterations_max > 1 && one.urgency != Urgency::Disputed;
            if is_sequence && self.jobs.runs_sequence(view) {
                continue;
            }
            let Some(()) = self.take(view, one.job, &job).await? else {
                // Something more urgent came up.
                self.api.wake_ups.notify_one();
                return Ok(());
            };
            if self.jobs.is_running(&one.job) {
                means = left;
            }
            // Answers between transfers; a dispute that came meanwhile goes first.
            let view = self.api.ledger.view().await?;
            self.act(&view).await?;
            if one.urgency == Urgency::New && self.is_pressed(&view) {
                self.api.wake_ups.notify_one();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Jobs whose runs are under way and will lock their stakes.
    fn promised<'a>(&self, view: &'a View) -> Vec<&'a Job> {
        let promised =
            self.jobs.iter().filter_map(|(id, progress)| {
                let job = view.settlement.job(id)?;
                let will_claim = match progress {
                    Progress::Running { .. } => {
                        takes_claims_of(job, &self.address, view.now_ms) && !self.stands(view, id)
                    }
                    Progress::Ended(End::Ready { sequence_root }) => {
                        self.agent.core.would_claim(view, id, sequence_root)
                    }
                    Progress::Waiting { .. }
                    | Progress::Ended(
                        End::Kept { .. } | End::Refused | End::NoResult | End::Stopped,
                    ) => false,
                };
                will_claim.then_some(job)
            });
        promised.collect()
    }

    /// New jobs are taken while claims may be staked and the outputs of other runs are published.
    pub(super) fn takes_new(&self) -> bool {
        !self.settings.bail_out && self.api.health.may_stake() && self.unclaimed.len() < HANDED_MAX
    }

    /// Time of a run of a job, of as many iterations as it lets it have: by the longest of the last ones of its
    /// model, the rehearsal among them.
    pub(super) fn run_ms(&self, job: &Job) -> u64 {
        self.iteration_ms(job).saturating_mul(u64::from(job.terms.iterations_max))
    }

    fn iteration_ms(&self, job: &Job) -> u64 {
        let seen = self.run_ms.get(&job.terms.model_root);
        seen.and_then(|seen| seen.iter().max().copied()).unwrap_or(0)
    }

    /// Why a job of several iterations is not run: answers about them would come too late, or it is a batch.
    pub(super) fn why_no_sequence(
        &self,
        view: &View,
        job: &Job,
        header: &ModelHeader,
    ) -> Option<Declined> {
        let iterations_max = job.terms.iterations_max;
        if iterations_max == 1 {
            return None;
        }
        if !header.is_recurrent() {
            return Some(Declined::Batch { entries: iterations_max });
        }
        let again = u64::from(spacing(header, iterations_max));
        let answer_ms = again.saturating_mul(self.iteration_ms(job));
        let reply_ms = view.settlement.parameters().reply_ms;
        (answer_ms > reply_ms).then_some(Declined::Answers { answer_ms, reply_ms })
    }

    /// Time for runs of new jobs: half a clock, less the runs of all claims in play and of what will be
    /// claimed. After a restart all of these are made again one after the other, and each of them may
    /// be disputed by then.
    fn left_ms(&self, view: &View) -> u64 {
        let clock_ms = view.settlement.parameters().executor_clock_ms;
        let stands =
            view.settlement.jobs().filter(|(id, _)| self.stands(view, id)).map(|(_, job)| job);
        let mut in_play = stands.chain(self.promised(view)).map(|job| self.run_ms(job)).peekable();
        match in_play.peek() {
            // One is taken though a run took long for once: what it takes now is seen then.
            None => left_ms(clock_ms, in_play).max(self.longest_ms(clock_ms)),
            Some(_) => left_ms(clock_ms, in_play),
        }
    }

    /// The longest run seen of the models that can be run within a clock.
    fn longest_ms(&self, clock_ms: u64) -> u64 {
        let fits = |seen: &&VecDeque<u64>| seen.iter().min().is_some_and(|ms| *ms < clock_ms);
        self.run_ms.values().filter(fits).flatten().max().copied().unwrap_or(0)
    }

    /// Jobs to look at now: disputed claims of ours first, then our other claims, then new ones; and the
    /// means for new ones.
    fn wanted(&mut self, view: &View) -> (Vec<Wanted>, Means) {
        let known = self.jobs.iter().map(|(id, _)| *id);
        let disputed: Vec<JobId> = known.filter(|id| self.is_disputed(view, id)).collect();
        for id in disputed {
            self.jobs.hurry(&id, view.now_ms);
        }
        let takes_new = self.takes_new();
        let wanted = view.settlement.jobs().filter_map(|(id, job)| {
            let stands = self.stands(view, id);
            let disputed = stands && self.is_disputed(view, id);
            let is_due = self.jobs.is_due(id, view.now_ms, |end| match end {
                End::Kept { sequence_root } => {
                    disputed || self.agent.core.would_claim(view, id, sequence_root)
                }
                End::Stopped => true,
                End::Ready { .. } | End::Refused | End::NoResult => false,
            });
            let is_new = takes_new
                && takes_claims_of(job, &self.address, view.now_ms)
                && !self.declined.contains_key(id)
                && !self.quarantine.holds(id);
            let runs = is_due
                && (stands || is_new)
                && self.api.model_store.model(&job.terms.model_root).is_some();
            let (urgency, stake_wei) = match (stands, disputed) {
                (true, true) => (Urgency::Disputed, 0),
                (true, false) => (Urgency::Own, 0),
                (false, _) => (Urgency::New, job.terms.stake_wei),
            };
            let tries = match urgency {
                Urgency::New => self.jobs.tries(id),
                Urgency::Disputed | Urgency::Own => 0,
            };
            let (posted_ms, run_ms) = (job.posted_ms, self.run_ms(job));
            let (is_long, poster, job) = (self.is_long(view, job), job.poster, *id);
            let one = Wanted { urgency, tries, job, poster, posted_ms, stake_wei, is_long, run_ms };
            runs.then_some(one)
        });
        let means = self.means(view);
        let choice = choose(wanted.collect(), means);
        if choice.unaffordable > 0 && self.unaffordable == 0 {
            tracing::warn!(
                event = "executor.out_of_money",
                jobs = choice.unaffordable,
                free_wei = means.free_wei,
                "jobs are not taken: free money does not reach for their stakes and record fees; deposit \
                 more, or wait for claims to become final"
            );
        }
        self.unaffordable = choice.unaffordable;
        if choice.beyond_clock > 0 && self.beyond_clock == 0 {
            tracing::warn!(
                event = "executor.clock_full",
                jobs = choice.beyond_clock,
                "jobs are not taken: after a restart the runs of all claims in play would not be made \
                 again in half a clock; wait for claims to become final, or use a faster machine"
            );
        }
        self.beyond_clock = choice.beyond_clock;
        if choice.beyond_long > 0 && self.beyond_long == 0 {
            tracing::warn!(
                event = "executor.locked_for_long",
                jobs = choice.beyond_long,
                "jobs are not taken: --long-percent-max of the money is locked for long already; wait \
                 for claims to become final, or allow more"
            );
        }
        self.beyond_long = choice.beyond_long;
        (choice.jobs, means)
    }

    fn is_long(&self, view: &View, job: &Job) -> bool {
        is_long(job, view.settlement.parameters().window_ms_min)
    }

    /// What new jobs may take.
    fn means(&self, view: &View) -> Means {
        let free_wei = view.settlement.money().free_wei(&self.address);
        let promised = self.promised(view);
        let record_fee_wei = view.settlement.parameters().record_fee_wei;
        let promised_wei = promised.iter().fold(0, |sum: u128, job| {
            sum.saturating_add(job.terms.stake_wei).saturating_add(record_fee_wei)
        });
        let stands =
            view.settlement.jobs().filter(|(id, _)| self.stands(view, id)).map(|(_, job)| job);
        let long = stands.chain(promised).filter(|job| self.is_long(view, job));
        let long_wei = long.fold(0, |sum: u128, job| sum.saturating_add(job.terms.stake_wei));
        let total_wei = Exposure::of(view, &self.address).total_wei();
        Means {
            free_wei: free_wei.saturating_sub(promised_wei),
            record_fee_wei,
            long_wei: self.settings.policy.long_left_wei(total_wei, long_wei),
            left_ms: self.left_ms(view),
        }
    }

    /// Waits for a transfer and answers meanwhile. `None` when a disputed claim's run must be made again
    /// first, unless the transfer is for a claim itself.
    pub(super) async fn meanwhile<T>(
        &mut self,
        is_claimed: bool,
        transfer: impl Future<Output = T>,
    ) -> Result<Option<T>, LedgerError> {
        let health = Arc::clone(&self.api.health);
        let look = async || Ok(self.act_meanwhile().await? && !is_claimed);
        meanwhile(&health, transfer, look).await
    }

    async fn act_meanwhile(&mut self) -> Result<bool, LedgerError> {
        let view = self.api.ledger.view().await?;
        self.collect(&view);
        self.act(&view).await?;
        Ok(self.is_pressed(&view))
    }

    /// Whether a claim of ours is disputed whose run is not in memory and could be begun.
    fn is_pressed(&self, view: &View) -> bool {
        let mut jobs = view.settlement.jobs();
        self.jobs.has_room()
            && jobs.any(|(id, job)| {
                self.jobs.is_due(id, view.now_ms, |end| matches!(end, End::Kept { .. }))
                    && self.api.model_store.model(&job.terms.model_root).is_some()
                    && self.stands(view, id)
                    && self.is_disputed(view, id)
            })
    }

    /// Hands a job to the worker, or says when it is tried again. `None` when something more urgent came up
    /// while its input was on the way.
    async fn take(&mut self, view: &View, id: JobId, job: &Job) -> Result<Option<()>, LedgerError> {
        let Some(model) = self.api.model_store.model(&job.terms.model_root).cloned() else {
            return Ok(Some(()));
        };
        let kept = self.jobs.why(&id).copied().unwrap_or(Input::Usable);
        let (input_root, is_claimed) = (job.terms.input_root, self.stands(view, &id));
        let inputs = self.api.inputs.clone();
        let input = match inputs.read(&input_root).filter(|_| kept == Input::Usable) {
            Some(kept) => Ok(kept),
            None => {
                // Of the model's length and the job's root, or nothing.
                let (head, api) = (input_head(&model), Arc::clone(&self.api));
                let download = api.ledger.download(&input_root, &job.poster, &head);
                match self.meanwhile(is_claimed, download).await? {
                    Some(downloaded) => downloaded,
                    None => return Ok(None),
                }
            }
        };
        let input = input.and_then(|input| {
            // Before any stake: what defends a claim must survive this process and the poster.
            let written = match kept {
                Input::Damaged => inputs.replace(&input_root, &input),
                Input::Usable => inputs.keep(&input_root, &input, is_claimed),
            };
            written.map(|()| input).map_err(|error| {
                if matches!(error, KeepError::Disk { .. }) {
                    tracing::error!(event = "executor.disk", %error);
                }
                DownloadError::Wrong { reason: error.to_string() }
            })
        });
        match input {
            Ok(input) => {
                let length = job.terms.length();
                let (iterations, begun) = (length.iterations_max, None);
                let task = Task { job: id, model, input, input_root, length, iterations, begun };
                if self.worker.submit(task) {
                    self.jobs.begin(id, view.now_ms);
                } else {
                    self.api.health.worker_gone();
                    tracing::error!(event = "executor.worker_gone", "restart this process");
                    self.jobs.end(id, End::Refused);
                }
            }
            Err(error) => {
                let tries = self.jobs.tries(&id);
                match (is_claimed, tries) {
                    (true, _) => tracing::error!(event = "executor.no_input", job = %id, %error,
                        "a claim of ours stands on an input that is not to be had"),
                    (false, 3) => tracing::info!(event = "executor.no_input", job = %id, %error,
                        "this job is not run until its poster publishes its input"),
                    (false, _) => tracing::debug!(event = "executor.no_input", job = %id, %error),
                }
                self.jobs.wait(id, view.now_ms, self.pace(view, &id), kept);
            }
        }
        Ok(Some(()))
    }
}
