//! Inputs of jobs, and moves while they are on the way.

use std::sync::Arc;

use inference::state_transfer::input_head;
use inference::worker::Task;
use ledger::http::DownloadError;
use ledger::{Ledger as _, LedgerError, View};
use node::meanwhile;
use protocol::ids::JobId;
use protocol::transaction::RunLength;

use super::{End, Service, is_missing};
use crate::coverage::Unchecked;
use crate::queue::{Contested, contested};

impl Service {
    /// Moves; and whether another job than the one whose input comes is in play, and its run could be begun.
    pub(super) async fn act_meanwhile(
        &mut self,
        job: &JobId,
        refused: &mut Vec<String>,
    ) -> Result<bool, LedgerError> {
        let view = self.ledger.view().await?;
        self.collect(&view);
        refused.extend(self.act(&view).await?);
        let in_play = |job: &JobId| self.agent.core.is_in_play(&view, job);
        let pressed = |one: &Contested| {
            self.jobs.is_due(&one.job, view.now_ms, is_missing)
                && in_play(&one.job)
                && !self.agent.core.waits_for_input(&view, &one.job)
                && self.model_store.model(&one.model_root).is_some()
        };
        Ok(self.jobs.has_room() && !in_play(job) && contested(&view).iter().any(pressed))
    }

    /// Hands a job to the worker, or says when it is tried again. `None` when something more urgent came up
    /// while its input was on the way.
    pub(super) async fn take(
        &mut self,
        view: &View,
        one: &Contested,
        refused: &mut Vec<String>,
    ) -> Result<Option<()>, LedgerError> {
        let Some(model) = self.model_store.model(&one.model_root).cloned() else {
            return Ok(Some(()));
        };
        let (id, input_root) = (one.job, one.input_root);
        let length = view.settlement.job(&id).map(|job| job.terms.length());
        let length = length.unwrap_or_else(|| RunLength::exactly(1));
        if length.iterations_max > 1 && !model.header().is_recurrent() {
            let entries = length.iterations_max;
            tracing::error!(event = "challenger.batch", job = %id, entries,
                "a claim on a batch of inputs is not checked by this version");
            self.jobs.end(id, End::Left { why: Unchecked::Batch { entries } });
            return Ok(Some(()));
        }
        // What executors have shown in challenges.
        if let Some(input) = self.agent.core.shown_input(view, &id) {
            tracing::info!(event = "challenger.input_shown", job = %id, bytes = input.len());
            self.begin(view, Task { job: id, model, input, input_root, length });
            return Ok(Some(()));
        }
        // Of the model's length and the job's root, or nothing.
        let (head, ledger) = (input_head(&model), Arc::clone(&self.ledger));
        let download = ledger.download(&input_root, &one.poster, &head);
        let health = Arc::clone(&self.health);
        let look = async || self.act_meanwhile(&id, refused).await;
        let Some(downloaded) = meanwhile(&health, download, look).await? else {
            return Ok(None);
        };
        match downloaded {
            Ok(input) => {
                self.agent.core.has_input(&id);
                self.begin(view, Task { job: id, model, input, input_root, length });
            }
            Err(error) => {
                if !matches!(error, DownloadError::Missing) {
                    tracing::warn!(event = "challenger.no_input", job = %id, %error);
                }
                // A ledger that is away, or a connection that breaks, says nothing about what was published: it is
                // missing when the ledger says so twice, a pause apart.
                let was_missing = self.jobs.why(&id).is_some_and(|why| {
                    matches!(why, Unchecked::InputMissing { reason } if *reason == error.to_string())
                });
                let reason = if matches!(error, DownloadError::Missing) && was_missing {
                    match self.agent.core.ask_for_input(view, id, model) {
                        None => error.to_string(),
                        Some(why_not) => format!("{error}; {why_not}"),
                    }
                } else {
                    error.to_string()
                };
                let why = Unchecked::InputMissing { reason };
                self.jobs.wait(id, view.now_ms, self.pace(view, &id), why);
            }
        }
        Ok(Some(()))
    }

    /// Whether a run of many iterations waits until another one is made: one at a time, so that there is room for
    /// short ones. What is in play waits for nobody.
    pub(super) fn waits_for_another(&self, view: &View, one: &Contested) -> bool {
        let job = view.settlement.job(&one.job);
        job.is_some_and(|job| job.terms.iterations_max > 1)
            && self.jobs.runs_sequence(view)
            && !self.agent.core.is_in_play(view, &one.job)
    }

    /// Stops runs of jobs on which nothing stands any more.
    pub(super) fn stop_needless(&self, view: &View) {
        let stands = |job: &JobId| {
            let mut claims =
                view.settlement.claims_of(job).filter_map(|id| view.settlement.claim(id));
            claims.any(|claim| claim.stands())
        };
        for (job, _) in self.jobs.iter().filter(|(job, _)| self.jobs.is_running(job)) {
            if !stands(job) {
                self.worker.cancel(*job);
            }
        }
    }

    /// Hands a run to the worker.
    fn begin(&mut self, view: &View, task: Task) {
        let job = task.job;
        if self.worker.submit(task) {
            self.jobs.begin(job, view.now_ms);
            return;
        }
        self.health.worker_gone();
        tracing::error!(event = "challenger.worker_gone", "restart this process");
        let reason = "the thread for runs is gone; restart this process".to_owned();
        self.jobs.end(job, End::Left { why: Unchecked::NoResult { reason } });
    }
}
