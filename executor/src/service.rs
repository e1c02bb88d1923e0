//! The executor as a daemon: jobs from the ledger in, claims and answers out.
//!
//! On this machine's disk lie the inputs of the jobs that were taken, and nothing else that matters:
//! after a restart the same runs are made again, and the core goes on where the ledger stands. No move
//! can be made twice with another content, because every answer follows from the committed run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use inference::published::state_bytes;
use inference::worker::{Task, Worker};
use inference::{Run, Shelf};
use ledger::http::{HttpLedger, UploadError, attend};
use ledger::{Agent, Core as _, Ledger as _, LedgerError, View};
use protocol::hash::Digest;
use protocol::settlement::{ClaimStatus, Job, JobStatus};
use protocol::transaction::{Address, Key};
use tokio::sync::Notify;

use crate::core::{ExecutorCore, claim_terms};

/// Choices of an executor's operator.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Look at the ledger at least this often.
    pub idle: Duration,
    /// Take no new job; defend what is claimed.
    pub bail_out: bool,
    /// Runs kept at a time, for jobs that are open.
    pub runs_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { idle: Duration::from_secs(1), bail_out: false, runs_max: 64 }
    }
}

/// How far the daemon is with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Its input was not there; asked for again from this time on.
    Waiting {
        until_ms: u64,
        tries: u32,
    },
    Running {
        tries: u32,
    },
    Ready {
        trace_root: Digest,
    },
    /// It cannot be run, and will not be tried again.
    Refused,
}

/// An executor at a ledger.
#[derive(Debug)]
pub struct Service {
    ledger: Arc<HttpLedger>,
    shelf: Shelf,
    worker: Worker,
    news: Arc<Notify>,
    agent: Agent<ExecutorCore>,
    address: Address,
    settings: Settings,
    jobs: HashMap<Digest, Progress>,
    inputs: Inputs,
    key: Key,
    /// Runs whose outputs are not published yet.
    unclaimed: Vec<(Digest, Arc<Run>)>,
}

/// Inputs of the jobs that were taken, on this machine's disk.
#[derive(Clone, Debug)]
struct Inputs(PathBuf);

impl Inputs {
    fn file(&self, root: &Digest) -> PathBuf {
        self.0.join(format!("{root}.npz"))
    }

    fn read(&self, root: &Digest) -> Option<Vec<u8>> {
        std::fs::read(self.file(root)).ok()
    }

    /// Writes whole or not at all, unless it is there.
    fn write(&self, root: &Digest, bytes: &[u8]) -> std::io::Result<()> {
        use std::io::Write as _;
        let path = self.file(root);
        if path.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.0)?;
        let partial = path.with_extension("partial");
        let mut file = std::fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(partial, path)
    }

    fn remove(&self, root: &Digest) {
        if let Err(error) = std::fs::remove_file(self.file(root)) {
            tracing::debug!(event = "executor.input_stays", %root, %error);
        }
    }
}

impl Service {
    /// A daemon that has looked at nothing yet; `news` is told by the worker, inputs are kept in
    /// `folder`.
    pub fn new(
        ledger: Arc<HttpLedger>,
        key: Key,
        shelf: Shelf,
        worker: Worker,
        news: Arc<Notify>,
        settings: Settings,
        folder: &Path,
    ) -> Self {
        let inputs = Inputs(folder.join("inputs"));
        let address = key.address();
        let core = ExecutorCore::new(address);
        let agent = Agent::new(core, Arc::clone(&ledger) as Arc<_>, key.clone());
        Self {
            ledger,
            shelf,
            worker,
            news,
            agent,
            address,
            settings,
            jobs: HashMap::new(),
            inputs,
            key,
            unclaimed: Vec::new(),
        }
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

    /// Looks once, takes what is to be run, does what the core wants.
    async fn turn(&mut self) -> Result<View, LedgerError> {
        let view = self.ledger.view().await?;
        self.collect(&view);
        self.publish().await?;
        self.forget(&view);
        for (id, job) in self.wanted(&view) {
            self.take(&view, id, &job).await;
        }
        for performed in self.agent.step().await? {
            let action = performed.decision.action.name();
            let reason = &performed.decision.reason;
            match &performed.outcome {
                Ok(receipt) => {
                    tracing::info!(event = "executor.acted", action, %reason, height = receipt.height);
                }
                Err(error) => tracing::warn!(event = "executor.refused", action, %reason, %error),
            }
        }
        Ok(view)
    }

    fn collect(&mut self, view: &View) {
        for finished in self.worker.take() {
            let progress = match finished.outcome {
                Ok(run) => {
                    let trace_root = run.trace().root();
                    let arity = self.ledger.genesis().parameters.arity_log2;
                    self.agent.core.remember(Arc::clone(&run), arity);
                    self.unclaimed.push((finished.job, run));
                    tracing::info!(event = "executor.ran", job = %finished.job, %trace_root);
                    Progress::Ready { trace_root }
                }
                Err(error) => {
                    tracing::error!(event = "executor.cannot_run", job = %finished.job, %error);
                    self.again(view, &finished.job)
                }
            };
            self.jobs.insert(finished.job, progress);
        }
    }

    /// A run that failed: what is kept on disk may be damaged, what was published may be mended. Tried
    /// again from the start, a few times.
    fn again(&self, view: &View, id: &Digest) -> Progress {
        const TRIES_MAX: u32 = 5;
        if let Some(job) = view.settlement.job(id) {
            self.inputs.remove(&job.terms.input_root);
        }
        match self.jobs.get(id) {
            Some(Progress::Running { tries }) if *tries < TRIES_MAX => {
                Progress::Waiting { until_ms: view.now_ms + (500 << tries), tries: tries + 1 }
            }
            _ => Progress::Refused,
        }
    }

    /// Publishes outputs, and offers the claim once they are: a claim whose output nobody can read
    /// earns no second job.
    async fn publish(&mut self) -> Result<(), LedgerError> {
        for (job, run) in std::mem::take(&mut self.unclaimed) {
            let terms = claim_terms(job, run.trace()).filter(|_| !self.settings.bail_out);
            let (Some(terms), Some(output)) = (terms, run.trace().states().last()) else {
                continue;
            };
            let bytes = state_bytes(output).map_err(|reason| LedgerError::Unusable {
                reason: format!("an output: {reason}"),
            })?;
            match self.ledger.upload(&self.key, &terms.output_root, bytes).await {
                Ok(()) => {}
                Err(UploadError::Ledger(error)) => {
                    self.unclaimed.push((job, run));
                    return Err(error);
                }
                Err(error) => tracing::warn!(event = "executor.output_not_published", %job, %error),
            }
            self.agent.core.offer(terms);
        }
        Ok(())
    }

    /// Lets go of runs whose job is over and whose claim nobody can dispute any more.
    fn forget(&mut self, view: &View) {
        let over = |id: &Digest| {
            view.settlement
                .job(id)
                .is_none_or(|job| job.status != JobStatus::Open && !self.stands(view, job))
        };
        let gone: Vec<Digest> = self.jobs.keys().filter(|id| over(id)).copied().collect();
        for id in gone {
            let Some(Progress::Ready { trace_root }) = self.jobs.remove(&id) else {
                continue;
            };
            // The same input asked about twice gives the same run.
            let shared = self.jobs.values().any(|one| *one == Progress::Ready { trace_root });
            self.agent.core.forget(&id, (!shared).then_some(&trace_root));
            if !shared && let Some(job) = view.settlement.job(&id) {
                self.inputs.remove(&job.terms.input_root);
            }
        }
    }

    fn stands(&self, view: &View, job: &Job) -> bool {
        job.claims
            .iter()
            .filter_map(|id| view.settlement.claim(id))
            .any(|claim| claim.executor == self.address && claim.status == ClaimStatus::Standing)
    }

    /// Jobs to run now: own claims first, whatever else is wanted; then new ones while there is room.
    fn wanted(&self, view: &View) -> Vec<(Digest, Job)> {
        let mut wanted: Vec<(bool, Digest, Job)> = view
            .settlement
            .jobs()
            .filter(|(id, job)| {
                let open = job.status == JobStatus::Open && job.terms.attention_wei == 0;
                let untouched = match self.jobs.get(*id) {
                    None => true,
                    Some(Progress::Waiting { until_ms, .. }) => view.now_ms >= *until_ms,
                    Some(_) => false,
                };
                let ours = self.stands(view, job);
                untouched
                    && (ours || open && !self.settings.bail_out)
                    && self.shelf.model(&job.terms.model_root).is_some()
            })
            .map(|(id, job)| (!self.stands(view, job), *id, job.clone()))
            .collect();
        wanted.sort_by_key(|(others, id, job)| (*others, job.posted_ms, *id));
        let kept =
            self.jobs.values().filter(|one| !matches!(one, Progress::Waiting { .. })).count();
        let room = self.settings.runs_max.saturating_sub(kept);
        let ours = wanted.iter().filter(|(others, ..)| !others).count();
        wanted.into_iter().take(ours.max(room)).map(|(_, id, job)| (id, job)).collect()
    }

    async fn take(&mut self, view: &View, id: Digest, job: &Job) {
        let Some(model) = self.shelf.model(&job.terms.model_root).cloned() else {
            return;
        };
        let tries = match self.jobs.get(&id) {
            Some(Progress::Waiting { tries, .. }) => *tries,
            _ => 0,
        };
        let input_root = job.terms.input_root;
        let input = match self.inputs.read(&input_root) {
            Some(kept) => Ok(kept),
            None => self.ledger.download(&input_root, &job.poster).await,
        };
        let progress = match input.and_then(|input| {
            // Before any stake: what defends a claim must survive this process and the poster.
            self.inputs.write(&input_root, &input).map(|()| input).map_err(|error| {
                tracing::error!(event = "executor.disk", %error, "no input is kept and no job taken");
                LedgerError::Unusable { reason: error.to_string() }
            })
        }) {
            Ok(input) => match self.worker.submit(Task { job: id, model, input, input_root }) {
                true => Progress::Running { tries },
                false => {
                    tracing::error!(event = "executor.worker_gone", "restart this process");
                    Progress::Refused
                }
            },
            Err(error) => {
                let pause_ms = 500u64 << tries.min(7);
                tracing::debug!(event = "executor.no_input", job = %id, %error);
                Progress::Waiting { until_ms: view.now_ms + pause_ms, tries: tries + 1 }
            }
        };
        self.jobs.insert(id, progress);
    }
}
