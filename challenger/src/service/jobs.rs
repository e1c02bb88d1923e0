//! Inputs of jobs, and moves while they are on the way.

use std::sync::Arc;

use inference::published::input_head;
use inference::worker::Task;
use ledger::http::{DownloadError, meanwhile};
use ledger::{Ledger as _, LedgerError, View};
use protocol::hash::Digest;

use super::{HANDED_MAX, Progress, Service};
use crate::coverage::Unchecked;
use crate::queue::{Contested, contested};

impl Service {
    /// Moves; and whether another job than the one whose input comes is in play, and its run could be begun.
    pub(super) async fn act_meanwhile(
        &mut self,
        job: &Digest,
        refused: &mut Vec<String>,
    ) -> Result<bool, LedgerError> {
        let view = self.ledger.view().await?;
        self.collect(&view);
        refused.extend(self.act().await?);
        let in_play = |job: &Digest| self.agent.core.is_in_play(&view, job);
        let is_missing = |job: &Digest| match self.jobs.get(job) {
            None | Some(Progress::Compared | Progress::Left { why: Unchecked::NotDrawn }) => true,
            Some(Progress::Waiting { until_ms, .. }) => view.now_ms >= *until_ms,
            Some(Progress::Running { .. } | Progress::Ready | Progress::Left { .. }) => false,
        };
        let pressed = |one: &Contested| {
            is_missing(&one.job) && in_play(&one.job) && self.shelf.model(&one.model_root).is_some()
        };
        let has_room = self.handed() < HANDED_MAX;
        Ok(has_room && !in_play(job) && contested(&view).iter().any(pressed))
    }

    /// Hands a job to the worker, or says when it is tried again. `None` when something more urgent came up
    /// while its input was on the way.
    pub(super) async fn take(
        &mut self,
        view: &View,
        one: &Contested,
        refused: &mut Vec<String>,
    ) -> Result<Option<()>, LedgerError> {
        let Some(model) = self.shelf.model(&one.model_root).cloned() else {
            return Ok(Some(()));
        };
        let (id, input_root) = (one.job, one.input_root);
        let (tries, kills, before) = match self.jobs.get(&id) {
            Some(Progress::Waiting { tries, kills, why, .. }) => {
                (*tries, *kills, Some(why.clone()))
            }
            _ => (0, 0, None),
        };
        // Of the model's length and the job's root, or nothing.
        let (head, ledger) = (input_head(&model), Arc::clone(&self.ledger));
        let download = ledger.download(&input_root, &one.poster, &head);
        let health = Arc::clone(&self.health);
        let look = async || self.act_meanwhile(&id, refused).await;
        let Some(downloaded) = meanwhile(&health, download, look).await? else {
            return Ok(None);
        };
        let progress = match downloaded {
            Ok(input) => match self.worker.submit(Task { job: id, model, input, input_root }) {
                true => Progress::Running { since_ms: view.now_ms, tries, kills, why: before },
                false => {
                    self.health.worker_gone();
                    tracing::error!(event = "challenger.worker_gone", "restart this process");
                    let reason = "the thread for runs is gone; restart this process".to_owned();
                    Progress::Left { why: Unchecked::NoResult { reason } }
                }
            },
            Err(error) => {
                if !matches!(error, DownloadError::Missing) {
                    tracing::warn!(event = "challenger.no_input", job = %id, %error);
                }
                let until_ms = view.now_ms.saturating_add(500u64 << tries.min(7));
                let why = Unchecked::InputMissing { reason: error.to_string() };
                Progress::Waiting { until_ms, tries: tries.saturating_add(1), kills, why }
            }
        };
        self.jobs.insert(id, progress);
        Ok(Some(()))
    }
}
