//! Inputs of jobs, and moves while they are on the way.

use std::sync::Arc;

use inference::Model;
use inference::state_transfer::input_head;
use inference::worker::Task;
use ledger::http::DownloadError;
use ledger::{Ledger as _, LedgerError, View};
use node::meanwhile;
use protocol::ids::JobId;
use protocol::transaction::RunLength;

use super::{End, Service, Stage};
use crate::coverage::Unchecked;
use crate::queue::{Contested, contested};

impl Service {
    /// Moves; and whether another job goes before the one whose input comes, and its run could be begun.
    pub(super) async fn act_meanwhile(
        &mut self,
        job: &JobId,
        refused: &mut Vec<String>,
    ) -> Result<bool, LedgerError> {
        let view = self.ledger.view().await?;
        self.collect(&view);
        refused.extend(self.act(&view).await?);
        self.report_late(&view);
        let in_play = |job: &JobId| self.is_needed_to_play(&view, job);
        let jobs = contested(&view);
        let coming = jobs.iter().find(|one| one.job == *job);
        let goes_first = |one: &Contested| {
            // One for which there is no time any more would only begin this transfer again and again.
            let is_in_time = view.now_ms.saturating_add(self.run_ms) <= one.urgent_ms;
            let goes_before = || coming.is_none_or(|coming| one.goes_before(coming));
            in_play(&one.job) || (is_in_time && goes_before())
        };
        let pressed = |one: &Contested| {
            self.is_due(&view, &one.job)
                && goes_first(one)
                && !self.agent.core.waits_for_input(&view, &one.job)
                && self.model_store.model(&one.model_root).is_some()
        };
        Ok(self.jobs.has_room() && !in_play(job) && jobs.iter().any(pressed))
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
        let Some(needed) = self.needed(view, &id) else {
            return Ok(Some(()));
        };
        let (iterations, begun) = (needed.next, self.agent.core.begun(&id).cloned());
        let task = |input| {
            let (model, begun) = (Arc::clone(&model), None);
            Task { job: id, model, input, input_root, length, iterations, begun }
        };
        if begun.is_some() {
            self.begin(view, Task { begun, ..task(Vec::new()) });
            return Ok(Some(()));
        }
        // What executors have shown in challenges.
        if let Some(input) = self.agent.core.shown_input(view, &id) {
            tracing::info!(event = "challenger.input_shown", job = %id, bytes = input.len());
            self.begin(view, task(input));
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
                self.begin(view, task(input));
            }
            Err(error) => {
                if !matches!(error, DownloadError::Missing) {
                    tracing::warn!(event = "challenger.no_input", job = %id, %error);
                }
                let reason = self.why_no_input(view, (id, model), &error);
                let why = Unchecked::InputMissing { reason };
                self.jobs.wait(id, view.now_ms, self.pace(view, &id), why);
            }
        }
        Ok(Some(()))
    }

    /// Why a job has no input, and why nobody is asked for it.
    fn why_no_input(
        &mut self,
        view: &View,
        (id, model): (JobId, Arc<Model>),
        error: &DownloadError,
    ) -> String {
        let told = error.to_string();
        // A ledger that is away, or a connection that breaks, says nothing about what was published: it is missing
        // when the ledger says so twice, a pause apart.
        let was_missing = self.jobs.why(&id).is_some_and(
            |why| matches!(why, Unchecked::InputMissing { reason } if *reason == told),
        );
        if !matches!(error, DownloadError::Missing) || !was_missing {
            return told;
        }
        match self.agent.core.ask_for_input(view, id, model) {
            None => told,
            Some(why_not) => format!("{told}; {why_not}"),
        }
    }

    /// Hands a run to the worker.
    fn begin(&mut self, view: &View, task: Task) {
        let job = task.job;
        let (until, left) = (task.iterations, task.left());
        if self.worker.submit(task) {
            self.stages.insert(job, Stage { until, left });
            self.jobs.begin(job, view.now_ms);
            return;
        }
        self.health.worker_gone();
        tracing::error!(event = "challenger.worker_gone", "restart this process");
        let reason = "the thread for runs is gone; restart this process".to_owned();
        self.jobs.end(job, End::Left { why: Unchecked::NoResult { reason } });
    }
}
