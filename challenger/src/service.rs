//! The challenger as a daemon: every claim on a known model is compared with a run of its own.

mod jobs;
mod report;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use inference::ModelStore;
use inference::worker::{RunFailure, Worker};
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
use crate::queue::{Contested, contested, most_useful_first, standing};
use crate::truth::Truth;
pub use crate::wanted_inputs::INPUT_PERMILLE;

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
        None => jobs.why(job),
    }
}

/// Whether a job's run must be made once it is in play.
fn is_missing(end: &End) -> bool {
    matches!(end, End::Compared | End::Left { why: Unchecked::NotDrawn })
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
    /// Jobs that were contested at the last look.
    contested: HashSet<JobId>,
    /// Jobs whose claims could be challenged no more before this machine had run them.
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
            told,
            order: VecDeque::new(),
            unaffordable: HashSet::new(),
            supposed: HashSet::new(),
            unchecked: BTreeMap::new(),
            saturated: false,
            contested: HashSet::new(),
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
        for finished in self.worker.take() {
            // Of one iteration: a run of many says nothing about others.
            let iterations = finished.outcome.as_ref().map_or(1, |run| run.iterations().max(1));
            let took = finished.took / iterations;
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.run_ms = match self.run_ms {
                0 => took_ms,
                before => (before.saturating_mul(7).saturating_add(took_ms)) / 8,
            };
            match finished.outcome {
                Ok(run) => {
                    self.health.no_process(false);
                    metrics::counter!("rebut_challenger_runs_total").increment(1);
                    metrics::histogram!("rebut_challenger_run_seconds").record(finished.took);
                    if let Some(end) = run.no_result() {
                        metrics::counter!("rebut_challenger_no_result_total").increment(1);
                        tracing::warn!(event = "challenger.no_result", job = %finished.job,
                            operator = end.operator, element = end.element, reason = %end,
                            "this job has no result: any claim on it is false, whatever it says");
                    }
                    let announced = Arc::new(Announcement::default());
                    let job = view.settlement.job(&finished.job);
                    let may_cut = job.is_some_and(|job| job.terms.may_cut);
                    match HonestView::of_sequence(run, may_cut, announced) {
                        Ok(honest_view) => {
                            self.agent.core.watch(finished.job, honest_view);
                            self.order.push_back(finished.job);
                            self.jobs.end(finished.job, End::Ready);
                        }
                        Err(error) => self.failed(view, finished.job, &error.into()),
                    }
                }
                Err(failure) => {
                    metrics::counter!("rebut_challenger_runs_failed_total").increment(1);
                    tracing::error!(event = "challenger.cannot_run", job = %finished.job, %failure);
                    self.health.no_process(matches!(failure, RunFailure::NoProcess { .. }));
                    self.failed(view, finished.job, &failure);
                }
            }
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
            if self.agent.core.is_in_play(view, &id) {
                self.order.push_back(id);
                continue;
            }
            self.agent.core.let_go(&id);
            self.jobs.end(id, End::Compared);
        }
        metrics::gauge!("rebut_challenger_runs_kept").set(self.agent.core.at_hand() as f64);
    }

    /// Jobs whose claims are to be compared: who only watches wants to know of all that stand.
    fn to_check(&self, view: &View) -> Vec<Contested> {
        match self.settings.mode {
            Mode::Watch => standing(view),
            Mode::Defend | Mode::Full => contested(view),
        }
    }

    /// Jobs that are to be run and can be, the most urgent first.
    fn wanted(&mut self, view: &View) -> Vec<Contested> {
        let known = self.jobs.iter().map(|(id, _)| *id);
        let core = &self.agent.core;
        let challenged: Vec<JobId> = known.filter(|id| core.is_challenging(view, id)).collect();
        for id in challenged {
            self.jobs.hurry(&id, view.now_ms);
            if self.agent.core.shown_input(view, &id).is_some() {
                self.jobs.wake(&id, view.now_ms);
            }
        }
        let mut wanted = self.to_check(view);
        wanted.retain(|one| {
            let is_due = self.jobs.is_due(&one.job, view.now_ms, |end| {
                is_missing(end) && self.agent.core.is_in_play(view, &one.job)
            });
            is_due && self.model_store.model(&one.model_root).is_some()
        });
        wanted.retain(|one| {
            // What this account disputes already is played, whatever this process would have drawn.
            let in_play = self.agent.core.is_in_play(view, &one.job);
            let drawn = in_play || self.is_drawn(&one.job);
            if !drawn {
                metrics::counter!("rebut_challenger_not_drawn_total").increment(1);
                tracing::info!(event = "challenger.not_drawn", job = %one.job);
                self.jobs.end(one.job, End::Left { why: Unchecked::NotDrawn });
            }
            drawn
        });
        wanted.retain(|one| {
            let waits = self.waits_for_another(view, one);
            if waits {
                self.jobs.wait(one.job, view.now_ms, Pace::Disputed, Unchecked::LongRun);
            }
            !waits
        });
        // By the end of the time for challenges as far as there is time, and before all where a clock of ours
        // runs.
        let mut wanted = most_useful_first(wanted, self.jobs.running(), self.run_ms, view.now_ms);
        wanted.sort_by_key(|one| !self.agent.core.is_in_play(view, &one.job));
        wanted
    }

    fn is_drawn(&self, job: &JobId) -> bool {
        let draw = keccak(&[&self.seed[..], &job.0.0].concat());
        let [a, b, c, d, ..] = draw.0;
        u32::from_be_bytes([a, b, c, d]) % 1_000 < self.settings.sample_permille
    }
}
