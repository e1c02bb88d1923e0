//! The executor as a daemon: jobs from the ledger in, claims and answers out.
//!
//! On this machine's disk lie the inputs of the jobs that were taken, and nothing else that matters:
//! after a restart the same runs are made again, and the core goes on where the ledger stands. No move
//! can be made twice with another content, because every answer follows from the committed run.

mod jobs;
mod keeping;
mod report;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inference::state_transfer::state_bytes;
use inference::worker::{Finished, RunFailure, Worker};
use inference::{Engine, ModelStore, NoResult, SequenceRun};
use ledger::http::HttpLedger;
use ledger::{Ledger as _, LedgerError, View};
use node::jobs::Pace;
use node::{Account, LogLimit, take_turns};
use node::{Agent, Signer};
use protocol::hash::Digest;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::Claim;
use protocol::transaction::{Address, Key};
use tokio::sync::Notify;

use crate::api::Api;
use crate::core::ExecutorCore;
use crate::inputs::Inputs;
use crate::policy::Declined;
use crate::progress::{End, Input, Jobs};
use crate::quarantine::Quarantine;
use crate::settings::Settings;

/// Inputs that nobody needs are looked for this often, and must be this old.
const SWEEP: Duration = Duration::from_secs(600);

/// Pause before an output is published again that the ledger did not take.
const PUBLISH_PAUSE_MS: u64 = 5_000;

/// Jobs that are not taken, told one by one in a minute.
const DECLINED_LINES: u32 = 20;

/// Runs of a model whose times are remembered: one that took long for once is forgotten after so many.
const RUNS_SEEN: usize = 8;

/// A run whose output is not published yet.
#[derive(Debug)]
struct Unclaimed {
    job: JobId,
    run: Arc<SequenceRun>,
    until_ms: u64,
    /// The ledger did not take it, and that was told.
    is_refused: bool,
}

/// An executor at a ledger.
#[derive(Debug)]
pub struct Service {
    api: Arc<Api>,
    worker: Worker,
    agent: Agent<ExecutorCore>,
    account: Account,
    address: Address,
    settings: Settings,
    jobs: Jobs,
    /// Runs in memory, by job.
    runs: HashMap<JobId, Arc<SequenceRun>>,
    /// Jobs whose runs are in memory, the oldest first.
    order: VecDeque<JobId>,
    /// Runs whose outputs are not published yet.
    unclaimed: VecDeque<Unclaimed>,
    /// New jobs for whose stakes there is no money.
    unaffordable: usize,
    /// New jobs whose runs would not be made again in time after a restart.
    beyond_clock: usize,
    /// New jobs whose stakes would be locked for long beyond what may be.
    beyond_long: usize,
    /// Times of the last runs, by the model's root.
    run_ms: HashMap<Digest, VecDeque<u64>>,
    /// What the ledger refused at this look.
    refused: Vec<String>,
    /// Open jobs that are not taken, each told once.
    declined: HashMap<JobId, Declined>,
    lines: LogLimit,
    quarantine: Quarantine,
    swept: Instant,
}

impl Service {
    /// A daemon that has looked at nothing yet; `wake_ups` is told by the worker, inputs are kept in
    /// `folder`.
    pub fn new(
        ledger: Arc<HttpLedger>,
        key: Key,
        engine: Engine,
        model_store: ModelStore,
        worker: Worker,
        wake_ups: Arc<Notify>,
        settings: Settings,
        folder: &Path,
    ) -> Self {
        let inputs = Inputs::new(folder, settings.disk_budget_bytes);
        let address = key.address();
        let signer = Arc::new(Signer::new(Arc::clone(&ledger) as Arc<_>, key));
        let agent = Agent::signing(ExecutorCore::new(address), Arc::clone(&signer));
        let api =
            Arc::new(Api::new(ledger, signer, engine, model_store, inputs, wake_ups, &settings));
        Self {
            api,
            worker,
            agent,
            account: Account::new(address),
            address,
            settings,
            jobs: Jobs::default(),
            runs: HashMap::new(),
            order: VecDeque::new(),
            unclaimed: VecDeque::new(),
            unaffordable: 0,
            beyond_clock: 0,
            beyond_long: 0,
            refused: Vec::new(),
            run_ms: HashMap::new(),
            declined: HashMap::new(),
            lines: LogLimit::new(DECLINED_LINES),
            quarantine: Quarantine::read(folder),
            swept: Instant::now(),
        }
    }

    /// Where those who ask over HTTP come in.
    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// Learns how long a run of a model took on this machine: the pre-flight check's, before any job is taken.
    pub fn took(&mut self, model_root: Digest, took: Duration) {
        let took_ms = u64::try_from(took.as_millis() + 1).unwrap_or(u64::MAX);
        let seen = self.run_ms.entry(model_root).or_default();
        seen.push_back(took_ms);
        if seen.len() > RUNS_SEEN {
            seen.pop_front();
        }
    }

    /// Works until `stop` is over. A ledger that is not reached is waited for.
    ///
    /// # Errors
    /// When the ledger cannot be believed any more, or this machine failed.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), LedgerError> {
        let (ledger, wake_ups) = (Arc::clone(&self.api.ledger), Arc::clone(&self.api.wake_ups));
        let health = Arc::clone(&self.api.health);
        take_turns(&ledger, &wake_ups, &health, stop, async || {
            let view = self.turn().await?;
            Ok((view.height, self.agent.until_next(&view, self.settings.idle)))
        })
        .await
    }

    /// Looks once, takes what is to be run, does what the core wants.
    async fn turn(&mut self) -> Result<View, LedgerError> {
        let view = self.api.ledger.view().await?;
        self.api.health.looked();
        self.collect(&view);
        // Answers first: transfers of large states must not eat a clock.
        self.act(&view).await?;
        self.forget(&view);
        self.publish(&view).await?;
        // Transfers take time.
        let view = self.api.ledger.view().await?;
        self.decline(&view);
        self.take_wanted(&view).await?;
        let view = self.api.ledger.view().await?;
        self.act(&view).await?;
        // With what was done just now; what came since is decided on at the next look, which the view that was
        // decided on brings at once.
        let after = self.api.ledger.view().await?;
        self.api.health.hindered(&std::mem::take(&mut self.refused));
        self.answer(&after);
        self.sweep(&after);
        self.shrink(&after);
        self.report(&after).await;
        Ok(view)
    }

    /// Does what the core wants; keeps what was refused for the end of the look.
    async fn act(&mut self, view: &View) -> Result<(), LedgerError> {
        let refused = self.agent.step_reported(view, "executor").await;
        // Also when the ledger was lost in the middle of it.
        self.report_unanswered();
        for line in refused?.into_iter().chain(self.undefended()) {
            if !self.refused.contains(&line) {
                self.refused.push(line);
            }
        }
        Ok(())
    }

    fn collect(&mut self, view: &View) {
        for Finished { job, took, outcome, .. } in self.worker.take() {
            match outcome {
                Ok(run) if !run.is_whole() => self.stopped(job),
                Err(RunFailure::Stopped) => self.stopped(job),
                Ok(run) => match (run.root(), run.no_result()) {
                    (_, Some(no_result)) => self.without_result(view, job, no_result),
                    (Some(root), None) => self.ran(view, job, root, run, took),
                    (None, None) => {
                        let reason = "its run has no iteration".to_owned();
                        self.again(view, job, &RunFailure::Refused { reason });
                    }
                },
                Err(failure) => {
                    metrics::counter!("rebut_executor_runs_failed_total").increment(1);
                    tracing::error!(event = "executor.cannot_run", %job, %failure);
                    let no_process = matches!(failure, RunFailure::NoProcess { .. });
                    self.api.health.no_process(no_process);
                    if matches!(failure, RunFailure::Wrong { .. }) {
                        self.api.health.tested(false);
                    }
                    self.again(view, job, &failure);
                }
            }
        }
    }

    /// A run was stopped because nobody needed it: nothing failed, and its job is forgotten unless it is wanted again.
    fn stopped(&mut self, job: JobId) {
        tracing::info!(event = "executor.run_stopped", %job, "nobody needs this run now");
        self.jobs.end(job, End::Stopped);
    }

    /// A run is there.
    fn ran(
        &mut self,
        view: &View,
        job: JobId,
        sequence_root: Digest,
        run: Arc<SequenceRun>,
        took: Duration,
    ) {
        self.api.health.no_process(false);
        let (iterations, first) = (run.iterations(), run.trace_roots().first().copied());
        let trace_root = first.unwrap_or_default();
        let arity = self.api.ledger.genesis().parameters.arity_log2;
        self.agent.core.remember_sequence(Arc::clone(&run), arity);
        self.api.show(&run);
        self.runs.insert(job, Arc::clone(&run));
        self.order.push_back(job);
        self.took(run.model().root(), took / iterations.max(1));
        // What is claimed is published: such a run is made again to defend it.
        if !self.stands(view, &job) {
            self.unclaimed.push_back(Unclaimed { job, run, until_ms: 0, is_refused: false });
        }
        metrics::counter!("rebut_executor_runs_total").increment(1);
        metrics::histogram!("rebut_executor_run_seconds").record(took);
        tracing::info!(event = "executor.ran", %job, %trace_root, iterations);
        self.jobs.end(job, End::Ready { sequence_root });
    }

    /// A run without a result: nothing is claimed, and nobody's claim can stand.
    fn without_result(&mut self, view: &View, job: JobId, no_result: &Arc<NoResult>) {
        self.api.health.no_process(false);
        metrics::counter!("rebut_executor_no_result_total").increment(1);
        tracing::warn!(event = "executor.no_result", %job, operator = no_result.operator,
            element = no_result.element, reason = %no_result,
            "this job is declined: no claim on its input can stand");
        let at_risk_wei: u128 = self.own_claims(view, &job).map(|(_, claim)| claim.stake_wei).sum();
        if at_risk_wei > 0 {
            tracing::error!(event = "executor.cannot_defend", %job, at_risk_wei, reason = %no_result,
                "a claim of ours stands on a job without a result: a challenge wins");
        }
        self.declined.insert(job, Declined::NoResult(Arc::clone(no_result)));
        self.api.refuse(job, no_result.to_string());
        self.jobs.end(job, End::NoResult);
    }

    /// A run that failed. What is kept on disk may be damaged, what was published may be corrected: tried
    /// again, a few times for a new job, for ever while a claim of ours stands on it. What killed its run
    /// twice is not tried again unless a claim stands.
    fn again(&mut self, view: &View, id: JobId, failure: &RunFailure) {
        const TRIES_MAX: u32 = 5;
        let at_risk_wei: u128 = self.own_claims(view, &id).map(|(_, claim)| claim.stake_wei).sum();
        if at_risk_wei > 0 {
            tracing::error!(event = "executor.cannot_defend", job = %id, at_risk_wei, %failure,
                "a claim of ours stands on a run that cannot be made again: a challenge would win");
        } else if let RunFailure::Killed { .. } = failure
            && self.jobs.killed(&id)
        {
            self.quarantine.add(id);
            tracing::error!(event = "executor.quarantined", job = %id, %failure,
                "this job is not run again; if the machine was to blame, delete its line from the \
                 file `quarantine` in the executor's folder and restart");
            return self.jobs.end(id, End::Refused);
        } else if self.jobs.tries(&id) >= TRIES_MAX
            && !matches!(failure, RunFailure::NoProcess { .. })
        {
            // That no process can be started says nothing about the job.
            return self.jobs.end(id, End::Refused);
        }
        // A process that died says nothing about its input.
        let input = match failure {
            RunFailure::Refused { .. } => Input::Damaged,
            _ => Input::Usable,
        };
        // Only what is not there may take an hour.
        let pace = match self.pace(view, &id) {
            Pace::Stranger | Pace::Usual => Pace::Usual,
            Pace::Disputed => Pace::Disputed,
        };
        self.jobs.wait(id, view.now_ms, pace, input);
    }

    /// How soon a job is tried again: sooner where a clock runs, later where nobody is bound to run it.
    fn pace(&self, view: &View, id: &JobId) -> Pace {
        let stands = self.stands(view, id);
        match (self.is_disputed(view, id), stands) {
            (true, _) => Pace::Disputed,
            (false, true) => Pace::Usual,
            (false, false) => Pace::Stranger,
        }
    }

    /// Publishes outputs, and offers the claim once they are: nobody could read a claim's output
    /// otherwise. What the ledger does not take is told once, and tried again.
    async fn publish(&mut self, view: &View) -> Result<(), LedgerError> {
        for _ in 0..self.unclaimed.len() {
            // Whatever ends this look, the others wait where they are.
            let Some(mut one) = self.unclaimed.pop_front() else {
                break;
            };
            if view.now_ms < one.until_ms {
                self.unclaimed.push_back(one);
                continue;
            }
            let may_stake = !self.settings.bail_out && self.api.health.may_stake();
            let model_root = one.run.model().root();
            let statement = one.run.statement(one.job, model_root).filter(|_| may_stake);
            let Some(statement) = statement else {
                continue;
            };
            let output = match one.run.output() {
                Ok(output) => output,
                Err(error) => {
                    tracing::error!(event = "executor.output_lost", job = %one.job, %error,
                        "this run is not claimed: its output cannot be computed again");
                    self.api.health.tested(false);
                    continue;
                }
            };
            let (bytes, api) = (state_bytes(&output), Arc::clone(&self.api));
            let output_root = statement.terms.output_root;
            let upload = api.ledger.upload(api.signer.key(), &output_root, bytes);
            match self.meanwhile(false, upload).await {
                Ok(Some(Ok(()))) => self.agent.core.offer(statement),
                // Of one that is not reached the next look says more; the others are not kept waiting.
                Ok(Some(Err(error))) => {
                    if !one.is_refused {
                        tracing::error!(event = "executor.output_not_published", job = %one.job, %error,
                            "this run is not claimed until the ledger takes its output");
                    }
                    one.is_refused = true;
                    one.until_ms = view.now_ms.saturating_add(PUBLISH_PAUSE_MS);
                    self.unclaimed.push_back(one);
                }
                // Something more urgent came up, or this ledger can be believed no more.
                other => {
                    self.unclaimed.push_back(one);
                    self.api.wake_ups.notify_one();
                    return other.map(drop);
                }
            }
            // With what was published while others were on the way.
            let view = self.api.ledger.view().await?;
            self.act(&view).await?;
        }
        Ok(())
    }

    /// Whether a claim of ours stands on a job.
    fn stands(&self, view: &View, job: &JobId) -> bool {
        self.own_claims(view, job).next().is_some()
    }

    fn own_claims<'a>(
        &self,
        view: &'a View,
        job: &JobId,
    ) -> impl Iterator<Item = (&'a ClaimId, &'a Claim)> {
        standing_of(view, job, self.address)
    }

    fn is_disputed(&self, view: &View, id: &JobId) -> bool {
        self.own_claims(view, id).any(|(_, claim)| claim.is_disputed())
    }
}

/// Standing claims of an account on a job.
fn standing_of<'a>(
    view: &'a View,
    job: &JobId,
    address: Address,
) -> impl Iterator<Item = (&'a ClaimId, &'a Claim)> {
    let settlement = &view.settlement;
    settlement
        .claims_of(job)
        .filter_map(|id| Some((id, settlement.claim(id)?)))
        .filter(move |(_, claim)| claim.executor == address && claim.stands())
}
