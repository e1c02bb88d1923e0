//! The challenger as a daemon: every claim on a known model is compared with a run of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use inference::Shelf;
use inference::worker::{Task, Worker};
use ledger::http::{HttpLedger, attend};
use ledger::{Agent, Core as _, Ledger as _, LedgerError, View};
use protocol::hash::{Digest, keccak};
use protocol::settlement::{ClaimStatus, Job};
use protocol::transaction::Key;
use tokio::sync::Notify;

use crate::case::{Case, Published};
use crate::core::{ChallengerCore, Policy};

/// What a challenger does about what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Looks and tells; needs no key.
    Watch,
    /// Plays the challenges that are open, opens none.
    Defend,
    /// Challenges what differs.
    #[default]
    Full,
}

/// Choices of a challenger's operator.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What to do.
    pub mode: Mode,
    /// Print what would be done and do nothing.
    pub dry_run: bool,
    /// Thousandths of the jobs that are run; the others are believed.
    pub sample_permille: u32,
    /// Look at the ledger at least this often.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let idle = Duration::from_secs(1);
        Self { mode: Mode::Full, dry_run: false, sample_permille: 1_000, idle }
    }
}

/// How far the daemon is with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting {
        until_ms: u64,
        tries: u32,
    },
    Running {
        tries: u32,
    },
    Ready,
    /// Not drawn.
    Skipped,
}

/// A challenger at a ledger.
#[derive(Debug)]
pub struct Service {
    ledger: Arc<HttpLedger>,
    shelf: Shelf,
    worker: Worker,
    news: Arc<Notify>,
    agent: Agent<ChallengerCore>,
    settings: Settings,
    /// By what jobs are drawn; no executor may know it.
    seed: [u8; 32],
    jobs: HashMap<Digest, Progress>,
    told: HashSet<Digest>,
}

impl Service {
    /// A daemon that has looked at nothing yet; `news` is told by the worker.
    pub fn new(
        ledger: Arc<HttpLedger>,
        key: Key,
        shelf: Shelf,
        worker: Worker,
        news: Arc<Notify>,
        settings: Settings,
        seed: [u8; 32],
    ) -> Self {
        let policy = match settings.mode {
            Mode::Full => Policy::Differing,
            Mode::Watch | Mode::Defend => Policy::Nothing,
        };
        let core = ChallengerCore::new(key.address(), policy);
        let agent = Agent::new(core, Arc::clone(&ledger) as Arc<_>, key);
        let (jobs, told) = (HashMap::new(), HashSet::new());
        Self { ledger, shelf, worker, news, agent, settings, seed, jobs, told }
    }

    /// Works until `stop` is over. A ledger that is not reached is waited for.
    ///
    /// # Errors
    /// When the ledger cannot be believed any more, or this machine failed.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), LedgerError> {
        let (ledger, news) = (Arc::clone(&self.ledger), Arc::clone(&self.news));
        attend(&ledger, &news, stop, async || {
            let view = self.turn().await?;
            Ok((view.height, self.until_next(&view)))
        })
        .await
    }

    fn until_next(&self, view: &View) -> Duration {
        let next = self.agent.core.next_look_ms(view);
        let wait = next.map(|at| Duration::from_millis(at.saturating_sub(view.now_ms) + 1));
        wait.map_or(self.settings.idle, |wait| wait.min(self.settings.idle))
    }

    async fn turn(&mut self) -> Result<View, LedgerError> {
        let view = self.ledger.view().await?;
        self.collect(&view);
        self.jobs.retain(|id, _| is_contested(&view, id));
        for (id, job) in self.wanted(&view) {
            self.take(&view, id, &job).await;
        }
        self.tell(&view);
        if self.settings.mode == Mode::Watch {
            return Ok(view);
        }
        if self.settings.dry_run {
            for decision in self.agent.core.decide(&view) {
                let action = decision.action.name();
                tracing::info!(event = "challenger.would_act", action, reason = %decision.reason,
                    deadline_ms = decision.deadline_ms);
            }
            return Ok(view);
        }
        for performed in self.agent.step().await? {
            let action = performed.decision.action.name();
            let reason = &performed.decision.reason;
            match &performed.outcome {
                Ok(receipt) => {
                    tracing::info!(event = "challenger.acted", action, %reason, height = receipt.height);
                }
                Err(error) => tracing::warn!(event = "challenger.refused", action, %reason, %error),
            }
        }
        Ok(view)
    }

    fn collect(&mut self, view: &View) {
        for finished in self.worker.take() {
            let progress = match finished.outcome {
                Ok(run) => {
                    let case = Case::of_run(run, Arc::new(Published::default()));
                    self.agent.core.watch(finished.job, case);
                    Progress::Ready
                }
                Err(error) => {
                    // What was published may be mended while the claim stands: never let go of it.
                    tracing::error!(event = "challenger.cannot_run", job = %finished.job, %error);
                    let tries = match self.jobs.get(&finished.job) {
                        Some(Progress::Running { tries }) => *tries,
                        _ => 0,
                    };
                    let until_ms = view.now_ms + (500u64 << tries.min(7));
                    Progress::Waiting { until_ms, tries: tries + 1 }
                }
            };
            self.jobs.insert(finished.job, progress);
        }
    }

    /// Tells of each standing claim once whether it is that of this machine.
    fn tell(&mut self, view: &View) {
        for (id, claim) in view.settlement.claims() {
            let Some(case) = self.agent.core.case(&claim.terms.job) else {
                continue;
            };
            if claim.status != ClaimStatus::Standing || !self.told.insert(*id) {
                continue;
            }
            let own = case.trace().root();
            match own == claim.terms.trace_root {
                true => tracing::info!(event = "challenger.agrees", claim = %id),
                false => tracing::warn!(event = "challenger.differs", claim = %id,
                    executor = %claim.executor, claimed = %claim.terms.trace_root, %own),
            }
        }
    }

    fn wanted(&self, view: &View) -> Vec<(Digest, Job)> {
        let fits = |(id, job): &(&Digest, &Job)| {
            let untouched = match self.jobs.get(*id) {
                None => true,
                Some(Progress::Waiting { until_ms, .. }) => view.now_ms >= *until_ms,
                Some(_) => false,
            };
            untouched && is_contested(view, id) && self.shelf.model(&job.terms.model_root).is_some()
        };
        view.settlement.jobs().filter(fits).map(|(id, job)| (*id, job.clone())).collect()
    }

    fn is_drawn(&self, job: &Digest) -> bool {
        let draw = keccak(&[&self.seed[..], &job.0].concat());
        let [a, b, c, d, ..] = draw.0;
        u32::from_be_bytes([a, b, c, d]) % 1_000 < self.settings.sample_permille
    }

    async fn take(&mut self, view: &View, id: Digest, job: &Job) {
        let Some(model) = self.shelf.model(&job.terms.model_root).cloned() else {
            return;
        };
        if !self.is_drawn(&id) {
            tracing::info!(event = "challenger.not_drawn", job = %id);
            self.jobs.insert(id, Progress::Skipped);
            return;
        }
        let tries = match self.jobs.get(&id) {
            Some(Progress::Waiting { tries, .. }) => *tries,
            _ => 0,
        };
        let input_root = job.terms.input_root;
        let progress = match self.ledger.download(&input_root, &job.poster).await {
            Ok(input) => match self.worker.submit(Task { job: id, model, input, input_root }) {
                true => Progress::Running { tries },
                false => {
                    tracing::error!(event = "challenger.worker_gone", "restart this process");
                    Progress::Skipped
                }
            },
            Err(error) => {
                tracing::warn!(event = "challenger.no_input", job = %id, %error,
                    "a claim on an input that nobody published cannot be checked");
                let until_ms = view.now_ms + (500u64 << tries.min(7));
                Progress::Waiting { until_ms, tries: tries + 1 }
            }
        };
        self.jobs.insert(id, progress);
    }
}

/// Whether a claim stands on a job.
fn is_contested(view: &View, job: &Digest) -> bool {
    view.settlement.job(job).is_some_and(|job| {
        let mut claims = job.claims.iter().filter_map(|id| view.settlement.claim(id));
        claims.any(|claim| claim.status == ClaimStatus::Standing)
    })
}
