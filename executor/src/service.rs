//! The executor as a daemon: jobs from the ledger in, claims and answers out.
//!
//! On this machine's disk lie the inputs of the jobs that were taken, and nothing else that matters:
//! after a restart the same runs are made again, and the core goes on where the ledger stands. No move
//! can be made twice with another content, because every answer follows from the committed run.

mod report;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inference::published::{input_head, state_bytes};
use inference::worker::{RunFailure, Task, Worker};
use inference::{Engine, Run, Shelf};
use ledger::http::{Books, DownloadError, HttpLedger, UploadError, attend};
use ledger::{Agent, Ledger as _, LedgerError, Signer, View};
use protocol::hash::Digest;
use protocol::settlement::{Challenge, Claim, ClaimStatus, Job, JobStatus};
use protocol::transaction::{Address, Key};
use tokio::sync::Notify;

use crate::core::{ExecutorCore, claim_terms};
use crate::desk::Desk;
use crate::inputs::{Inputs, KeepError};
use crate::policy::{Declined, Policy};
use crate::progress::{HANDED_MAX, Means, Progress, Urgency, Wanted, choose, left_ms};
use crate::quarantine::Quarantine;

/// Choices of an executor's operator.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Look at the ledger at least this often.
    pub idle: Duration,
    /// Take no new job; defend what is claimed.
    pub bail_out: bool,
    /// Runs kept in memory; of others the input is kept on disk, and the run is made again when
    /// somebody challenges it.
    pub runs_max: usize,
    /// Most bytes of inputs on disk; at it no job is taken.
    pub disk_budget_bytes: u64,
    /// Which jobs are taken.
    pub policy: Policy,
    /// Stake of claims on what is asked over HTTP; the ledger's least unless given.
    pub http_stake_wei: Option<u128>,
}

impl Default for Settings {
    fn default() -> Self {
        let idle = Duration::from_secs(1);
        Self {
            idle,
            bail_out: false,
            runs_max: 64,
            disk_budget_bytes: 8 << 30,
            policy: Policy::default(),
            http_stake_wei: None,
        }
    }
}

/// Inputs that nobody needs are looked for this often, and must be this old.
const SWEEP: Duration = Duration::from_secs(600);

/// Pause before an output is published again that the ledger did not take.
const PUBLISH_PAUSE_MS: u64 = 5_000;

/// A run whose output is not published yet.
#[derive(Debug)]
struct Unclaimed {
    job: Digest,
    run: Arc<Run>,
    until_ms: u64,
    /// The ledger did not take it, and that was told.
    is_refused: bool,
}

/// An executor at a ledger.
#[derive(Debug)]
pub struct Service {
    desk: Arc<Desk>,
    worker: Worker,
    agent: Agent<ExecutorCore>,
    books: Books,
    address: Address,
    settings: Settings,
    jobs: HashMap<Digest, Progress>,
    /// Runs in memory, by job.
    runs: HashMap<Digest, Arc<Run>>,
    /// Jobs whose runs are in memory, the oldest first.
    order: VecDeque<Digest>,
    /// Runs whose outputs are not published yet.
    unclaimed: VecDeque<Unclaimed>,
    /// New jobs for whose stakes there is no money.
    unaffordable: usize,
    /// New jobs whose runs would not be made again in time after a restart.
    beyond_clock: usize,
    /// Time of a run, the longest seen, by the model's root.
    run_ms: HashMap<Digest, u64>,
    /// What the ledger refused at this look.
    refused: Vec<String>,
    /// Open jobs that are not taken, each told once.
    declined: HashMap<Digest, Declined>,
    quarantine: Quarantine,
    swept: Instant,
}

impl Service {
    /// A daemon that has looked at nothing yet; `news` is told by the worker, inputs are kept in
    /// `folder`.
    pub fn new(
        ledger: Arc<HttpLedger>,
        key: Key,
        engine: Engine,
        shelf: Shelf,
        worker: Worker,
        news: Arc<Notify>,
        settings: Settings,
        folder: &Path,
    ) -> Self {
        let inputs = Inputs::new(folder, settings.disk_budget_bytes);
        let address = key.address();
        let signer = Arc::new(Signer::new(Arc::clone(&ledger) as Arc<_>, key));
        let agent = Agent::signing(ExecutorCore::new(address), Arc::clone(&signer));
        let desk = Arc::new(Desk::new(ledger, signer, engine, shelf, inputs, news, &settings));
        Self {
            desk,
            worker,
            agent,
            books: Books::new(address),
            address,
            settings,
            jobs: HashMap::new(),
            runs: HashMap::new(),
            order: VecDeque::new(),
            unclaimed: VecDeque::new(),
            unaffordable: 0,
            beyond_clock: 0,
            refused: Vec::new(),
            run_ms: HashMap::new(),
            declined: HashMap::new(),
            quarantine: Quarantine::read(folder),
            swept: Instant::now(),
        }
    }

    /// Where those who ask over HTTP come in.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Works until `stop` is over. A ledger that is not reached is waited for.
    ///
    /// # Errors
    /// When the ledger cannot be believed any more, or this machine failed.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), LedgerError> {
        let (ledger, news) = (Arc::clone(&self.desk.ledger), Arc::clone(&self.desk.news));
        attend(&ledger, &news, stop, async || {
            let view = self.turn().await?;
            Ok((view.height, self.agent.until_next(&view, self.settings.idle)))
        })
        .await
    }

    /// Looks once, takes what is to be run, does what the core wants.
    async fn turn(&mut self) -> Result<View, LedgerError> {
        let view = self.desk.ledger.view().await?;
        self.desk.health.looked();
        self.collect(&view);
        // Answers first: transfers of large states must not eat a clock.
        self.act().await?;
        self.forget(&view);
        self.publish(&view).await?;
        self.decline(&view);
        self.take_wanted(&view).await?;
        self.act().await?;
        self.desk.health.hindered(&std::mem::take(&mut self.refused));
        self.answer(&view);
        self.sweep(&view);
        self.shrink(&view);
        self.tell(&view).await?;
        Ok(view)
    }

    /// Does what the core wants; keeps what was refused for the end of the look.
    async fn act(&mut self) -> Result<(), LedgerError> {
        for line in self.agent.step_told("executor").await? {
            if !self.refused.contains(&line) {
                self.refused.push(line);
            }
        }
        Ok(())
    }

    /// Hands the most urgent of what is wanted to the worker, as far as there is room and money. What has
    /// no input takes neither.
    async fn take_wanted(&mut self, view: &View) -> Result<(), LedgerError> {
        let (mut wanted, mut means) = self.wanted(view);
        if !wanted.is_empty() && !self.desk.inputs.has_room() {
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
            if self.running() >= HANDED_MAX {
                return Ok(());
            }
            self.take(view, one.job, &job).await;
            if matches!(self.jobs.get(&one.job), Some(Progress::Running { .. })) {
                means = left;
            }
            // Answers between transfers.
            self.act().await?;
        }
        Ok(())
    }

    fn running(&self) -> usize {
        self.jobs.values().filter(|one| matches!(one, Progress::Running { .. })).count()
    }

    fn collect(&mut self, view: &View) {
        for finished in self.worker.take() {
            let progress = match finished.outcome {
                Ok(run) => {
                    self.desk.health.no_process(false);
                    let trace_root = run.trace().root();
                    let arity = self.desk.ledger.genesis().parameters.arity_log2;
                    self.agent.core.remember(Arc::clone(&run), arity);
                    self.desk.show(&run);
                    self.runs.insert(finished.job, Arc::clone(&run));
                    self.order.push_back(finished.job);
                    let took_ms = u64::try_from(finished.took.as_millis() + 1).unwrap_or(u64::MAX);
                    let longest = self.run_ms.entry(run.model().root()).or_default();
                    *longest = took_ms.max(*longest);
                    let (job, until_ms, is_refused) = (finished.job, 0, false);
                    self.unclaimed.push_back(Unclaimed { job, run, until_ms, is_refused });
                    metrics::counter!("rebut_executor_runs_total").increment(1);
                    metrics::histogram!("rebut_executor_run_seconds").record(finished.took);
                    tracing::info!(event = "executor.ran", job = %finished.job, %trace_root);
                    Progress::Ready { trace_root }
                }
                Err(failure) => {
                    metrics::counter!("rebut_executor_runs_failed_total").increment(1);
                    tracing::error!(event = "executor.cannot_run", job = %finished.job, %failure);
                    let no_process = matches!(failure, RunFailure::NoProcess { .. });
                    self.desk.health.no_process(no_process);
                    if matches!(failure, RunFailure::Wrong { .. }) {
                        self.desk.health.tested(false);
                    }
                    self.again(view, &finished.job, &failure)
                }
            };
            self.jobs.insert(finished.job, progress);
        }
    }

    /// A run that failed. What is kept on disk may be damaged, what was published may be corrected: tried
    /// again, a few times for a new job, for ever while a claim of ours stands on it. What killed its run
    /// twice is not tried again unless a claim stands.
    fn again(&mut self, view: &View, id: &Digest, failure: &RunFailure) -> Progress {
        const TRIES_MAX: u32 = 5;
        let tries = match self.jobs.get(id) {
            Some(Progress::Running { tries }) => *tries,
            _ => 0,
        };
        let job = view.settlement.job(id);
        let at_risk_wei: u128 =
            job.map_or(0, |job| self.own_claims(view, job).map(|claim| claim.stake_wei).sum());
        if at_risk_wei > 0 {
            tracing::error!(event = "executor.cannot_defend", job = %id, at_risk_wei, %failure,
                "a claim of ours stands on a run that cannot be made again: a challenge would win");
        } else if let RunFailure::Killed { .. } = failure
            && self.quarantine.killed(*id)
        {
            tracing::error!(event = "executor.quarantined", job = %id, %failure,
                "this job is not run again; if the machine was to blame, delete its line from the \
                 file `quarantine` in the executor's folder and restart");
            return Progress::Refused;
        } else if tries >= TRIES_MAX && !matches!(failure, RunFailure::NoProcess { .. }) {
            // That no process can be started says nothing about the job.
            return Progress::Refused;
        }
        Progress::Waiting {
            until_ms: view.now_ms.saturating_add(500u64 << tries.min(7)),
            tries: tries.saturating_add(1),
            // A process that died says nothing about its input.
            is_damaged: matches!(failure, RunFailure::Refused { .. }),
        }
    }

    /// Publishes outputs, and offers the claim once they are: nobody could read a claim's output
    /// otherwise. What the ledger does not take is told once, and tried again.
    async fn publish(&mut self, view: &View) -> Result<(), LedgerError> {
        let mut waiting = std::mem::take(&mut self.unclaimed);
        while let Some(mut one) = waiting.pop_front() {
            if view.now_ms < one.until_ms {
                self.unclaimed.push_back(one);
                continue;
            }
            let may_stake = !self.settings.bail_out && self.desk.health.may_stake();
            let terms = claim_terms(one.job, one.run.trace()).filter(|_| may_stake);
            let (Some(terms), Some(output)) = (terms, one.run.trace().states().last()) else {
                continue;
            };
            let (bytes, desk) = (state_bytes(output), &self.desk);
            match desk.ledger.upload(desk.signer.key(), &terms.output_root, bytes).await {
                Ok(()) => self.agent.core.offer(terms),
                Err(UploadError::Ledger(error)) => {
                    // Nothing of what waits is lost with it.
                    self.unclaimed.push_back(one);
                    self.unclaimed.extend(waiting);
                    return Err(error);
                }
                Err(error) => {
                    if !one.is_refused {
                        tracing::error!(event = "executor.output_not_published", job = %one.job, %error,
                            "this run is not claimed until the ledger takes its output");
                    }
                    one.is_refused = true;
                    one.until_ms = view.now_ms.saturating_add(PUBLISH_PAUSE_MS);
                    self.unclaimed.push_back(one);
                }
            }
            self.act().await?;
        }
        Ok(())
    }

    /// Lets go of jobs that are over and whose claim nobody can dispute any more.
    fn forget(&mut self, view: &View) {
        let over = |id: &Digest| {
            view.settlement
                .job(id)
                .is_none_or(|job| job.status != JobStatus::Open && !self.stands(view, job))
        };
        // What is being run comes back first: until then it has its place with the worker.
        let mut gone = Vec::new();
        for (id, progress) in &self.jobs {
            if !matches!(progress, Progress::Running { .. }) && over(id) {
                gone.push(*id);
            }
        }
        if gone.is_empty() {
            return;
        }
        let needed = self.inputs_needed(view);
        for id in gone {
            if let Some(Progress::Ready { trace_root } | Progress::Kept { trace_root }) =
                self.jobs.remove(&id)
            {
                self.let_go(&id, &trace_root);
            }
            self.desk.give_up(&id);
            self.order.retain(|one| *one != id);
            // What another job needs is kept for it, also one that this process has not looked at yet.
            let root = view.settlement.job(&id).map(|job| job.terms.input_root);
            if let Some(root) = root.filter(|root| !needed.contains(root)) {
                self.desk.inputs.remove(&root);
            }
        }
        self.unclaimed.retain(|one| self.jobs.contains_key(&one.job));
    }

    /// Lets go of a run in memory, unless another job needs the same.
    fn let_go(&mut self, id: &Digest, trace_root: &Digest) {
        self.runs.remove(id);
        let shared = self.runs.values().any(|run| run.trace().root() == *trace_root);
        self.agent.core.forget(id, (!shared).then_some(trace_root));
        if !shared {
            self.desk.hide(trace_root);
        }
    }

    /// Lets go of the oldest runs over the limit that are neither disputed nor about to be claimed; their
    /// inputs stay.
    fn shrink(&mut self, view: &View) {
        let asked = self.desk.waiting();
        let may_stake = !self.settings.bail_out && self.desk.health.may_stake();
        for _ in 0..self.order.len() {
            if self.runs.len() <= self.settings.runs_max {
                return;
            }
            let Some(id) = self.order.pop_front() else {
                return;
            };
            let Some(Progress::Ready { trace_root }) = self.jobs.get(&id).copied() else {
                continue;
            };
            let about_to = may_stake && self.agent.core.would_claim(view, &id, &trace_root);
            if about_to || asked.contains(&id) || self.is_disputed(view, &id) {
                self.order.push_back(id);
                continue;
            }
            self.let_go(&id, &trace_root);
            self.jobs.insert(id, Progress::Kept { trace_root });
        }
    }

    /// Inputs of jobs that are open or on which a claim of ours stands.
    fn inputs_needed(&self, view: &View) -> HashSet<Digest> {
        let open = |job: &&Job| job.status == JobStatus::Open || self.stands(view, job);
        let jobs = view.settlement.jobs().map(|(_, job)| job).filter(open);
        jobs.map(|job| job.terms.input_root).collect()
    }

    /// Removes inputs that no job needs any more, such as those of a process that was killed before it
    /// could.
    fn sweep(&mut self, view: &View) {
        if self.swept.elapsed() < SWEEP {
            return;
        }
        self.swept = Instant::now();
        let needed = self.inputs_needed(view);
        let swept = self.desk.inputs.sweep(&needed, SWEEP);
        if swept > 0 {
            tracing::info!(event = "executor.inputs_swept", swept);
        }
    }

    /// Whether a claim of ours stands on a job.
    fn stands(&self, view: &View, job: &Job) -> bool {
        self.own_claims(view, job).next().is_some()
    }

    fn own_claims<'a>(&self, view: &'a View, job: &'a Job) -> impl Iterator<Item = &'a Claim> {
        let address = self.address;
        job.claims
            .iter()
            .filter_map(|id| view.settlement.claim(id))
            .filter(move |claim| claim.executor == address && claim.status == ClaimStatus::Standing)
    }

    fn is_disputed(&self, view: &View, id: &Digest) -> bool {
        let settlement = &view.settlement;
        settlement.job(id).is_some_and(|job| {
            let mut challenges = self.own_claims(view, job).flat_map(|claim| &claim.challenges);
            challenges.any(|id| settlement.challenge(id).is_some_and(Challenge::is_open))
        })
    }

    /// Money that runs under way will lock.
    fn promised_wei(&self, view: &View) -> u128 {
        let promised = self.jobs.iter().filter_map(|(id, progress)| {
            let job = view.settlement.job(id)?;
            let will_claim = match progress {
                Progress::Running { .. } => {
                    job.status == JobStatus::Open && !self.stands(view, job)
                }
                Progress::Ready { trace_root } => self.agent.core.would_claim(view, id, trace_root),
                Progress::Waiting { .. } | Progress::Kept { .. } | Progress::Refused => false,
            };
            will_claim.then_some(job.terms.stake_wei)
        });
        promised.fold(0, u128::saturating_add)
    }

    /// New jobs are taken while claims may be staked and the outputs of other runs are published.
    fn takes_new(&self) -> bool {
        !self.settings.bail_out && self.desk.health.may_stake() && self.unclaimed.len() < HANDED_MAX
    }

    /// Time of a run of a model, as far as it was seen.
    fn run_ms(&self, job: &Job) -> u64 {
        self.run_ms.get(&job.terms.model_root).copied().unwrap_or(0)
    }

    /// Time for runs of new jobs: half a clock, less the runs of all claims in play and of what will be
    /// claimed. After a restart all of these are made again one after the other, and each of them may
    /// be disputed by then.
    fn left_ms(&self, view: &View) -> u64 {
        let in_play = view.settlement.jobs().filter(|(id, job)| {
            let runs = matches!(self.jobs.get(id), Some(Progress::Running { .. }));
            self.stands(view, job) || (runs && job.status == JobStatus::Open)
        });
        let clock_ms = view.settlement.parameters().executor_clock_ms;
        left_ms(clock_ms, in_play.map(|(_, job)| self.run_ms(job)))
    }

    /// Jobs to look at now: disputed claims of ours first, then our other claims, then new ones; and the
    /// means for new ones.
    fn wanted(&mut self, view: &View) -> (Vec<Wanted>, Means) {
        let takes_new = self.takes_new();
        let wanted = view.settlement.jobs().filter_map(|(id, job)| {
            let stands = self.stands(view, job);
            let disputed = stands && self.is_disputed(view, id);
            let untouched = match self.jobs.get(id) {
                None => true,
                Some(Progress::Waiting { until_ms, .. }) => view.now_ms >= *until_ms,
                Some(Progress::Kept { trace_root }) => {
                    disputed || self.agent.core.would_claim(view, id, trace_root)
                }
                Some(Progress::Running { .. } | Progress::Ready { .. } | Progress::Refused) => {
                    false
                }
            };
            let is_new = takes_new
                && job.status == JobStatus::Open
                && !self.declined.contains_key(id)
                && !self.quarantine.holds(id);
            let runs = untouched
                && (stands || is_new)
                && self.desk.shelf.model(&job.terms.model_root).is_some();
            let (urgency, stake_wei) = match (stands, disputed) {
                (true, true) => (Urgency::Disputed, 0),
                (true, false) => (Urgency::Own, 0),
                (false, _) => (Urgency::New, job.terms.stake_wei),
            };
            let tries = match self.jobs.get(id) {
                Some(Progress::Waiting { tries, .. }) if urgency == Urgency::New => *tries,
                _ => 0,
            };
            let (posted_ms, run_ms) = (job.posted_ms, self.run_ms(job));
            let (job, poster) = (*id, job.poster);
            runs.then_some(Wanted { urgency, tries, job, poster, posted_ms, stake_wei, run_ms })
        });
        let free_wei = view.settlement.money().free_wei(&self.address);
        let free_wei = free_wei.saturating_sub(self.promised_wei(view));
        let means = Means { free_wei, left_ms: self.left_ms(view) };
        let choice = choose(wanted.collect(), means);
        if choice.unaffordable > 0 && self.unaffordable == 0 {
            tracing::warn!(
                event = "executor.out_of_money",
                jobs = choice.unaffordable,
                free_wei,
                "jobs are not taken: free money does not reach for their stakes; deposit more, or \
                 wait for claims to become final"
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
        (choice.jobs, means)
    }

    async fn take(&mut self, view: &View, id: Digest, job: &Job) {
        let Some(model) = self.desk.shelf.model(&job.terms.model_root).cloned() else {
            return;
        };
        let (tries, is_damaged) = match self.jobs.get(&id) {
            Some(Progress::Waiting { tries, is_damaged, .. }) => (*tries, *is_damaged),
            _ => (0, false),
        };
        let (input_root, is_claimed) = (job.terms.input_root, self.stands(view, job));
        let inputs = self.desk.inputs.clone();
        let input = match inputs.read(&input_root).filter(|_| !is_damaged) {
            Some(kept) => Ok(kept),
            None => {
                // Of the model's length and the job's root, or nothing.
                let head = input_head(&model);
                self.desk.ledger.download(&input_root, &job.poster, &head).await
            }
        };
        let progress = match input.and_then(|input| {
            // Before any stake: what defends a claim must survive this process and the poster.
            let kept = match is_damaged {
                true => inputs.replace(&input_root, &input),
                false => inputs.keep(&input_root, &input, is_claimed),
            };
            kept.map(|()| input).map_err(|error| {
                if matches!(error, KeepError::Disk { .. }) {
                    tracing::error!(event = "executor.disk", %error);
                }
                DownloadError::Wrong { reason: error.to_string() }
            })
        }) {
            Ok(input) => match self.worker.submit(Task { job: id, model, input, input_root }) {
                true => Progress::Running { tries },
                false => {
                    self.desk.health.worker_gone();
                    tracing::error!(event = "executor.worker_gone", "restart this process");
                    Progress::Refused
                }
            },
            Err(error) => {
                // Up to a minute where a claim stands, up to an hour for a stranger's job.
                let doublings = if is_claimed { tries.min(7) } else { tries.min(13) };
                let until_ms = view.now_ms.saturating_add(500u64 << doublings);
                match (is_claimed, tries) {
                    (true, _) => tracing::error!(event = "executor.no_input", job = %id, %error,
                        "a claim of ours stands on an input that is not to be had"),
                    (false, 3) => tracing::info!(event = "executor.no_input", job = %id, %error,
                        "this job is not run until its poster publishes its input"),
                    (false, _) => tracing::debug!(event = "executor.no_input", job = %id, %error),
                }
                Progress::Waiting { until_ms, tries: tries.saturating_add(1), is_damaged }
            }
        };
        self.jobs.insert(id, progress);
    }
}
