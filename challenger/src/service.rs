//! The challenger as a daemon: every claim on a known model is compared with a run of its own.

mod jobs;
mod plan;
mod report;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use inference::worker::{Finished, RunFailure, Worker};
use inference::{ModelStore, SequenceRun};
use ledger::http::HttpLedger;
use ledger::{Ledger as _, LedgerError, View};
use node::jobs::{LOOKS_MAX, Pace};
use node::{Account, Health, take_turns};
use node::{Agent, Core as _};
use protocol::encoding::Canonical as _;
use protocol::hash::{Digest, keccak};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::ClaimStatus;
use protocol::transaction::{Action, Key};
use tokio::sync::Notify;

use crate::core::{ChallengerCore, Policy};
use crate::coverage::{Gap, Unchecked};
use crate::honest_view::{Announcement, HonestView};
use crate::truth::Truth;
pub use crate::wanted_inputs::INPUT_PERMILLE;

/// Own moves of one look: so many are computed before the first is sent.
const MOVES_AT_ONCE: usize = 4;

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

impl Mode {
    /// Name, as operators write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Defend => "defend",
            Self::Full => "full",
        }
    }
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
    /// Thousandths of a claim's stake that asking its executor for an input may cost which nobody published;
    /// 0 asks nobody.
    pub input_permille: u32,
    /// Look at the ledger at least this often.
    pub idle: Duration,
    /// Runs kept in memory beside those of open challenges; of others it is kept what they commit to, and
    /// the run is made again when a claim differs.
    pub runs_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let idle = Duration::from_secs(1);
        Self {
            mode: Mode::Full,
            dry_run: false,
            sample_permille: 1_000,
            input_permille: INPUT_PERMILLE,
            idle,
            runs_max: 64,
        }
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// Its run is in memory.
    Ready,
    /// Its run was compared and let go.
    Compared,
    /// Not drawn, or quarantined.
    Left { why: Unchecked },
}

/// The jobs of a challenger.
type Jobs = node::jobs::Jobs<Unchecked, End>;

/// Why a job is not checked; `None` when it is.
fn unchecked<'a>(jobs: &'a Jobs, job: &JobId) -> Option<&'a Unchecked> {
    match jobs.ended(job) {
        Some(End::Left { why }) => Some(why),
        Some(End::Ready | End::Compared) => None,
        // That it waited for another run is over once it is made itself.
        None => jobs.why(job).filter(|why| **why != Unchecked::LongRun || !jobs.is_running(job)),
    }
}

/// Whether a job's run, or more of it, may be made again after it ended so: what was left on purpose, only to play.
fn may_begin(end: &End, in_play: bool) -> bool {
    match end {
        End::Ready | End::Compared => true,
        End::Left { why: Unchecked::NotDrawn } => in_play,
        End::Left { .. } => false,
    }
}

/// What the worker has of a job.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// The iterations of the run are made up to this one.
    until: u32,
    /// So many of them were not made before.
    left: u32,
}

/// The claim that an action is about.
fn subject(action: &Action) -> Option<ClaimId> {
    match action {
        Action::Challenge { claim }
        | Action::Reveal { claim, .. }
        | Action::Demand { claim, .. }
        | Action::Refute { claim, .. }
        | Action::WithdrawChallenge { claim }
        | Action::CallTime { claim, .. }
        | Action::Collect { claim, .. } => Some(*claim),
        _ => None,
    }
}

/// What one look found, for those who watch.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Which claims are true by this machine's runs, by job.
    pub truths: &'a HashMap<JobId, Truth>,
    /// Standing claims that are not checked.
    pub gaps: &'a [Gap],
    /// Contested jobs that may still be run.
    pub waiting: usize,
}

/// Is shown every look.
pub type Observer = Box<dyn FnMut(&View, &Seen<'_>) + Send>;

/// A challenger at a ledger.
pub struct Service {
    ledger: Arc<HttpLedger>,
    model_store: ModelStore,
    worker: Worker,
    wake_ups: Arc<Notify>,
    agent: Agent<ChallengerCore>,
    account: Account,
    health: Arc<Health>,
    settings: Settings,
    /// By what jobs are drawn; no executor may know it.
    seed: [u8; 32],
    jobs: Jobs,
    /// How far the runs are made that the worker has.
    stages: HashMap<JobId, Stage>,
    told: HashSet<ClaimId>,
    /// Jobs whose runs are in memory, the oldest first.
    order: VecDeque<JobId>,
    /// Claims for which there is no money, each told once.
    unaffordable: HashSet<ClaimId>,
    /// Actions that a dry run has told of.
    supposed: HashSet<Digest>,
    /// Contested jobs that are not checked, each told once.
    unchecked: BTreeMap<JobId, Unchecked>,
    saturated: bool,
    /// Time of the last look, by the ledger's clock.
    looked_ms: Option<u64>,
    /// Claims that could be challenged no more before this machine had run their jobs.
    too_late: u64,
    /// Time of a run, a moving mean.
    run_ms: u64,
    observer: Option<Observer>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = formatter.debug_struct("Service");
        parts.field("settings", &self.settings).field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

impl Service {
    /// A daemon that has looked at nothing yet; `wake_ups` is told by the worker.
    pub fn new(
        ledger: Arc<HttpLedger>,
        key: Key,
        model_store: ModelStore,
        worker: Worker,
        wake_ups: Arc<Notify>,
        settings: Settings,
        seed: [u8; 32],
    ) -> Self {
        let policy = match settings.mode {
            Mode::Full => Policy::Differing,
            Mode::Watch | Mode::Defend => Policy::Nothing,
        };
        let account = Account::new(key.address());
        let mut core = ChallengerCore::new(key.address(), policy);
        if settings.dry_run {
            core.suppose_funded();
        }
        core.set_input_permille(settings.input_permille);
        core.set_moves_at_once(MOVES_AT_ONCE);
        let agent = Agent::new(core, Arc::clone(&ledger) as Arc<_>, key);
        let (jobs, told, health) = (Jobs::default(), HashSet::new(), Arc::default());
        Self {
            ledger,
            model_store,
            worker,
            wake_ups,
            agent,
            account,
            health,
            settings,
            seed,
            jobs,
            stages: HashMap::new(),
            told,
            order: VecDeque::new(),
            unaffordable: HashSet::new(),
            supposed: HashSet::new(),
            unchecked: BTreeMap::new(),
            saturated: false,
            looked_ms: None,
            too_late: 0,
            run_ms: 0,
            observer: None,
        }
    }

    /// Health of the daemon.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Shows every look to somebody, with what this machine knows of the contested jobs.
    pub fn observed(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Works until `stop` is over. A ledger that is not reached is waited for.
    ///
    /// # Errors
    /// When the ledger cannot be believed any more, or this machine failed.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), LedgerError> {
        let (ledger, wake_ups) = (Arc::clone(&self.ledger), Arc::clone(&self.wake_ups));
        let health = Arc::clone(&self.health);
        take_turns(&ledger, &wake_ups, &health, stop, async || {
            let view = self.turn().await?;
            Ok((view.height, self.agent.until_next(&view, self.settings.idle)))
        })
        .await
    }

    async fn turn(&mut self) -> Result<View, LedgerError> {
        let view = self.ledger.view().await?;
        self.health.looked();
        self.collect(&view);
        // Moves first, and between transfers: a large or slow input must not eat a clock.
        let mut refused = self.act(&view).await?;
        self.report_late(&view);
        self.forget(&view);
        self.stop_needless(&view);
        let waiting = self.wanted(&view);
        self.warn_if_saturated(&view, &waiting);
        for contested in waiting.iter().take(LOOKS_MAX) {
            if !self.jobs.has_room() {
                break;
            }
            if self.waits_for_another(&view, contested) {
                continue;
            }
            let taken = self.take(&view, contested, &mut refused).await?;
            let pressed = self.act_meanwhile(&contested.job, &mut refused).await?;
            if taken.is_none() || pressed {
                // Something more urgent came up.
                self.wake_ups.notify_one();
                break;
            }
        }
        // Transfers take time.
        let view = self.ledger.view().await?;
        self.report(&view);
        self.report_money(&view);
        self.shrink(&view);
        let (exposure, _) = self.account.report(&self.ledger, &view).await;
        self.report_if_poor(&view, exposure.free_wei);
        metrics::gauge!("rebut_challenger_jobs_waiting").set(waiting.len() as f64);
        self.cover(&view, waiting.len());
        if self.settings.mode == Mode::Watch {
            return Ok(view);
        }
        if self.settings.dry_run {
            for decision in self.agent.core.decide(&view) {
                // The same at every look; told once.
                let told = keccak(&decision.action.to_canonical());
                if !self.supposed.insert(told) {
                    continue;
                }
                let action = decision.action.name();
                let claim = subject(&decision.action).unwrap_or_default();
                tracing::info!(event = "challenger.would_act", action, %claim,
                    reason = %decision.reason, deadline_ms = decision.deadline_ms);
            }
            return Ok(view);
        }
        refused.extend(self.act(&view).await?);
        self.report_stuck(&view, refused);
        Ok(view)
    }

    /// Does what the core wants, in modes that act; gives what the ledger refused.
    async fn act(&mut self, view: &View) -> Result<Vec<String>, LedgerError> {
        if self.settings.mode == Mode::Watch || self.settings.dry_run {
            return Ok(Vec::new());
        }
        if !self.health.may_stake() {
            // What is open is still played: to be silent loses as well.
            self.agent.core.set_policy(Policy::Nothing);
        }
        self.agent.step_reported(view, "challenger").await
    }

    /// Lets go of jobs on which nothing can be disputed any more.
    fn forget(&mut self, view: &View) {
        let is_contested = |id: &JobId| {
            let mut claims =
                view.settlement.claims_of(id).filter_map(|id| view.settlement.claim(id));
            claims.any(|claim| claim.stands())
        };
        for (id, _) in self.jobs.remove_finished(|id| !is_contested(id)) {
            self.order.retain(|one| *one != id);
            self.agent.core.forget(&id);
        }
        self.told.retain(|id| {
            view.settlement.claim(id).is_some_and(|claim| claim.status == ClaimStatus::Standing)
        });
    }

    fn collect(&mut self, view: &View) {
        for Finished { job, took, iterations, outcome } in self.worker.take() {
            let stage = self.stages.remove(&job);
            if let Err(RunFailure::Stopped) = outcome {
                tracing::info!(event = "challenger.run_stopped", %job, "nobody needs this run now");
                let core = &self.agent.core;
                match (core.honest_view(&job), core.truth(&job)) {
                    (Some(_), _) => self.jobs.end(job, End::Ready),
                    (None, Some(_)) => self.jobs.end(job, End::Compared),
                    (None, None) => self.jobs.forget(&job),
                }
                continue;
            }
            // Of one iteration: a run of many says nothing about others.
            let took_ms = u64::try_from((took / iterations).as_millis()).unwrap_or(u64::MAX);
            self.run_ms = match self.run_ms {
                0 => took_ms,
                before => (before.saturating_mul(7).saturating_add(took_ms)) / 8,
            };
            match outcome {
                Ok(run) => {
                    let is_stopped = stage.is_some_and(|stage| run.iterations() < stage.until);
                    if is_stopped && !run.is_whole() {
                        tracing::info!(event = "challenger.run_stopped", %job,
                            iterations = run.iterations(), "nobody needs more of this run now");
                    }
                    metrics::histogram!("rebut_challenger_run_seconds").record(took);
                    self.made(view, job, run);
                }
                Err(failure) => {
                    metrics::counter!("rebut_challenger_runs_failed_total").increment(1);
                    tracing::error!(event = "challenger.cannot_run", %job, %failure);
                    self.health.no_process(matches!(failure, RunFailure::NoProcess { .. }));
                    self.failed(view, job, &failure);
                }
            }
        }
    }

    /// A run was made, or its beginning.
    fn made(&mut self, view: &View, job: JobId, run: Arc<SequenceRun>) {
        self.health.no_process(false);
        metrics::counter!("rebut_challenger_runs_total").increment(1);
        if let Some(end) = run.no_result() {
            metrics::counter!("rebut_challenger_no_result_total").increment(1);
            tracing::warn!(event = "challenger.no_result", %job,
                operator = end.operator, element = end.element, reason = %end,
                "this job has no result: any claim on it is false, whatever it says");
        }
        let may_cut = view.settlement.job(&job).is_some_and(|job| job.terms.may_cut);
        let before = self.agent.core.honest_view(&job);
        let longer = before.and_then(|before| before.of_longer(Arc::clone(&run)));
        let made = longer.map_or_else(
            || HonestView::of_sequence(run, may_cut, Arc::new(Announcement::default())),
            Ok,
        );
        match made {
            Ok(honest_view) => {
                self.agent.core.watch(job, honest_view);
                self.order.retain(|one| *one != job);
                self.order.push_back(job);
                self.jobs.end(job, End::Ready);
            }
            Err(error) => self.failed(view, job, &error.into()),
        }
    }

    /// How soon a job is tried again: sooner where a clock of ours runs.
    fn pace(&self, view: &View, job: &JobId) -> Pace {
        if self.agent.core.is_challenging(view, job) { Pace::Disputed } else { Pace::Usual }
    }

    /// What was published may be corrected while the claim stands: never let go of it, unless it kills
    /// whatever runs it and no bond of ours is lost with it.
    fn failed(&mut self, view: &View, job: JobId, failure: &RunFailure) {
        if matches!(failure, RunFailure::Wrong { .. }) {
            self.health.tested(false);
        }
        let reason = failure.to_string();
        let is_killed = matches!(failure, RunFailure::Killed { .. });
        let pace = self.pace(view, &job);
        if is_killed && self.jobs.killed(&job) && pace == Pace::Usual {
            self.jobs.end(job, End::Left { why: Unchecked::Quarantined { reason } })
        } else {
            self.jobs.wait(job, view.now_ms, pace, Unchecked::NoResult { reason })
        }
    }

    /// Lets go of the oldest runs over the limit, unless a dispute needs them: what they commit to stays,
    /// and is compared with every later claim.
    fn shrink(&mut self, view: &View) {
        for _ in 0..self.order.len() {
            if self.agent.core.at_hand() <= self.settings.runs_max {
                break;
            }
            let Some(id) = self.order.pop_front() else {
                break;
            };
            if self.agent.core.is_in_play(view, &id) || self.jobs.is_running(&id) {
                self.order.push_back(id);
                continue;
            }
            self.agent.core.let_go(&id);
            // One that waits to be made longer goes on waiting.
            if self.jobs.ended(&id) == Some(&End::Ready) {
                self.jobs.end(id, End::Compared);
            }
        }
        metrics::gauge!("rebut_challenger_runs_kept").set(self.agent.core.at_hand() as f64);
    }
}
