//! What is kept in memory and on disk, and what is let go.

use std::sync::Arc;
use std::time::Instant;

use inference::SequenceRun;
use ledger::View;
use node::jobs::Progress;
use protocol::hash::Digest;
use protocol::ids::JobId;

use super::{SWEEP, Service};
use crate::progress::End;

impl Service {
    /// Lets go of jobs of whose runs nobody needs more, and stops those that are under way.
    pub(super) fn forget(&mut self, view: &View) {
        let core = &self.agent.core;
        for (id, _) in self.jobs.iter().filter(|(id, _)| self.jobs.is_running(id)) {
            if core.is_over(view, id) {
                self.worker.stop(*id);
            }
        }
        let gone = self.jobs.remove_finished(|id| core.is_over(view, id));
        if gone.is_empty() {
            return;
        }
        let needed = core.inputs_needed(view);
        for (id, progress) in gone {
            if let Progress::Ended(End::Ready { sequence_root } | End::Kept { sequence_root }) =
                progress
            {
                self.let_go(&id, &sequence_root);
            }
            self.api.give_up(&id);
            self.order.retain(|one| *one != id);
            // What another job needs is kept for it, also one that this process has not looked at yet.
            let root = view.settlement.job(&id).map(|job| job.terms.input_root);
            if let Some(root) = root.filter(|root| !needed.contains(root)) {
                self.api.inputs.remove(&root);
            }
        }
        self.unclaimed.retain(|one| self.jobs.get(&one.job).is_some());
    }

    /// Lets go of a run in memory, unless another job needs the same.
    fn let_go(&mut self, id: &JobId, sequence_root: &Digest) {
        let Some(gone) = self.runs.remove(id) else {
            return self.agent.core.forget(id, None);
        };
        let key = (gone.model().root(), *sequence_root);
        let is_same =
            |run: &Arc<SequenceRun>| (run.model().root(), run.root()) == (key.0, Some(key.1));
        if self.runs.values().any(is_same) {
            return self.agent.core.forget(id, None);
        }
        self.agent.core.forget(id, Some(key));
        self.api.hide(&gone);
    }

    /// Lets go of the oldest runs over the limit that are neither disputed nor about to be claimed; their
    /// inputs stay.
    pub(super) fn shrink(&mut self, view: &View) {
        let asked = self.api.waiting();
        let may_stake = !self.settings.bail_out && self.api.health.may_stake();
        for _ in 0..self.order.len() {
            if self.runs.len() <= self.settings.runs_max {
                return;
            }
            let Some(id) = self.order.pop_front() else {
                return;
            };
            let Some(End::Ready { sequence_root }) = self.jobs.ended(&id).copied() else {
                continue;
            };
            let about_to = may_stake && self.agent.core.would_claim(view, &id, &sequence_root);
            if about_to || asked.contains(&id) || self.is_disputed(view, &id) {
                self.order.push_back(id);
                continue;
            }
            self.let_go(&id, &sequence_root);
            self.jobs.end(id, End::Kept { sequence_root });
        }
    }

    /// Removes inputs that no job needs any more, such as those of a process that was killed before it
    /// could.
    pub(super) fn sweep(&mut self, view: &View) {
        if self.swept.elapsed() < SWEEP {
            return;
        }
        self.swept = Instant::now();
        let needed = self.agent.core.inputs_needed(view);
        let swept = self.api.inputs.sweep(&needed, SWEEP);
        if swept > 0 {
            tracing::info!(event = "executor.inputs_swept", swept);
        }
    }
}
