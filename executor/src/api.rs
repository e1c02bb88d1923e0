//! Where those who ask over HTTP and the daemon's loop meet.
//!
//! Who asks becomes a job like any other: the executor posts it in its own name, its loop runs and claims
//! it, and the one who asked gets output and claim as soon as the claim stands.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inference::state_transfer::state_bytes;
use inference::{Engine, Model, ModelStore, Run, RunError, Runner, SequenceRun, Tensor};
use ledger::http::{HttpLedger, UploadError};
use ledger::{Ledger as _, LedgerError, View};
use node::Health;
use node::Signer;
use protocol::graph::Profile;
use protocol::hash::Digest;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Ether, Parameters, job_id};
use protocol::transaction::{Action, Address, JobTerms};
use tokio::sync::{Notify, oneshot};

use crate::inputs::{Inputs, KeepError};
use crate::settings::Settings;

/// A run with the claim on it.
#[derive(Clone, Debug)]
pub struct ClaimedRun {
    /// The job.
    pub job: JobId,
    /// The claim.
    pub claim: ClaimId,
    /// End of the time for challenges, on the ledger's clock.
    pub window_end_ms: u64,
    /// The run.
    pub run: Arc<Run>,
}

impl ClaimedRun {
    /// Outputs by their names.
    pub fn outputs(&self) -> BTreeMap<String, Tensor> {
        self.run.runner().outputs(self.run.trace())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The inputs do not fit the model.
    #[error("the inputs do not fit the model: {reason}")]
    Inputs {
        /// What is wrong.
        reason: String,
    },
    /// The model refuses the inputs.
    #[error(transparent)]
    Run(#[from] RunError),
    /// This executor takes no more work now.
    #[error("this executor takes no work now: {reason}")]
    Busy {
        /// Why.
        reason: String,
    },
    /// The ledger failed, or refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The run has no result.
    #[error("job {job} is posted and cannot be answered: {reason}")]
    NoResult {
        /// The job.
        job: JobId,
        /// Which operator and element has none.
        reason: String,
    },
    /// The job is on the ledger and was not answered in time.
    #[error("job {job} is posted and not answered yet; look for its claims on the ledger")]
    Late {
        /// The job.
        job: JobId,
    },
}

/// What who asked gets in the end.
type Answered = Result<ClaimedRun, AskError>;

/// Most requests that wait at a time.
const WAITING_MAX: usize = 256;

/// What the HTTP side and the loop share.
#[derive(Debug)]
pub struct Api {
    pub(crate) ledger: Arc<HttpLedger>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) engine: Engine,
    pub(crate) model_store: ModelStore,
    pub(crate) inputs: Inputs,
    pub(crate) wake_ups: Arc<Notify>,
    /// Health of the daemon.
    pub health: Arc<Health>,
    bail_out: bool,
    stake_wei: Option<u128>,
    /// Salt of the last job in this executor's name.
    last_salt: Mutex<u64>,
    waiting: Mutex<HashMap<JobId, oneshot::Sender<Answered>>>,
    /// Runs in memory, by trace root, for those who look into a claim.
    runs: Mutex<HashMap<Digest, Arc<Run>>>,
}

/// The maps hold whole entries at any time: what a panic left can be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time in which an executor claims a job in its own name.
const OWN_JOB_OPEN_MS: u64 = 3_600_000;

/// Terms of a job in the executor's own name: it pays itself one wei, and nobody else may claim. The salt
/// tells jobs of the same input apart.
fn own_terms(
    parameters: &Parameters,
    stake_wei: Option<u128>,
    (model_root, input_root): (Digest, Digest),
    executor: Address,
    salt: u64,
) -> JobTerms {
    JobTerms {
        model_root,
        input_root,
        profile: Profile::StrictF32,
        executor,
        fee_wei: 1,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: stake_wei.unwrap_or(0).clamp(parameters.stake_wei_min, parameters.stake_wei_max),
        window_ms: parameters.window_ms_of(1),
        open_ms: OWN_JOB_OPEN_MS,
        attention_wei: 0,
        salt,
    }
}

impl Api {
    pub(crate) fn new(
        ledger: Arc<HttpLedger>,
        signer: Arc<Signer>,
        engine: Engine,
        model_store: ModelStore,
        inputs: Inputs,
        wake_ups: Arc<Notify>,
        settings: &Settings,
    ) -> Self {
        let (waiting, runs, health) = (Mutex::default(), Mutex::default(), Arc::default());
        let (bail_out, stake_wei) = (settings.bail_out, settings.http_stake_wei);
        Self {
            ledger,
            signer,
            engine,
            model_store,
            inputs,
            wake_ups,
            health,
            bail_out,
            stake_wei,
            last_salt: Mutex::default(),
            waiting,
            runs,
        }
    }

    /// A model by name, or by root.
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        let by_root =
            protocol::hash::parse_digest(name).and_then(|root| self.model_store.model(&root));
        by_root.or_else(|| self.model_store.named(name))
    }

    /// Names and roots of the models.
    pub fn models(&self) -> Vec<(String, Digest)> {
        self.model_store.names()
    }

    /// Runs a model and claims the result.
    ///
    /// # Errors
    /// When the inputs do not fit, the ledger fails, or it takes too long.
    pub async fn ask(
        &self,
        model: &Arc<Model>,
        inputs: HashMap<String, Tensor>,
        patience: std::time::Duration,
    ) -> Result<ClaimedRun, AskError> {
        if lock(&self.waiting).len() >= WAITING_MAX {
            let reason = format!("{WAITING_MAX} requests wait already");
            return Err(AskError::Busy { reason });
        }
        if self.bail_out || !self.health.may_stake() {
            let reason = if self.bail_out {
                "it was started with --bail-out"
            } else {
                "its self-test failed"
            };
            return Err(AskError::Busy { reason: reason.to_owned() });
        }
        let input = Runner::honest(&self.engine, model).input_state(&inputs)?;
        let (input_root, bytes) = (input.root(), state_bytes(&input));
        self.inputs.keep(&input_root, &bytes, false).map_err(|error| {
            if matches!(error, KeepError::Disk { .. }) {
                tracing::error!(event = "executor.disk", %error);
            }
            AskError::Busy { reason: error.to_string() }
        })?;
        // A claim that nobody can check would be worth nothing.
        let uploaded = self.ledger.upload(self.signer.key(), &input_root, bytes).await;
        uploaded.map_err(|error| match error {
            UploadError::Ledger(error) => AskError::Ledger(error),
            refused => AskError::Busy { reason: refused.to_string() },
        })?;
        let (view, terms) = self.own_job(model, input_root).await?;
        let job = job_id(self.signer.key().address(), &terms);
        let (sender, receiver) = oneshot::channel();
        // Before it is posted: its run may end before the ledger's word is back here.
        lock(&self.waiting).insert(job, sender);
        if let Err(error) = self.signer.perform(&view, &Action::PostJob { terms }).await {
            lock(&self.waiting).remove(&job);
            return Err(error.into());
        }
        self.wake_ups.notify_one();
        match tokio::time::timeout(patience, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => {
                lock(&self.waiting).remove(&job);
                Err(AskError::Late { job })
            }
        }
    }

    /// The terms of a job on the model, which is made known, and the state by which they can be paid.
    async fn own_job(
        &self,
        model: &Model,
        input_root: Digest,
    ) -> Result<(View, JobTerms), AskError> {
        let view = self.ledger.view().await?;
        if view.settlement.model(&model.root()).is_none() {
            let header = model.header().clone();
            match self.signer.perform(&view, &Action::RegisterModel { header }).await {
                // Somebody else made it known meanwhile.
                Ok(_) | Err(LedgerError::Rejected(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (address, parameters) = (self.signer.key().address(), view.settlement.parameters());
        let salt = self.salt(view.settlement.nonce(&address));
        let roots = (model.root(), input_root);
        let terms = own_terms(parameters, self.stake_wei, roots, address, salt);
        let free_wei = view.settlement.money().free_wei(&address);
        let fees_wei = parameters.record_fee_wei.saturating_mul(2).saturating_add(1);
        let needed_wei = terms.stake_wei.saturating_add(fees_wei);
        if free_wei < needed_wei {
            let reason = format!(
                "its account has {} free and a claim takes {}; deposit more, or wait for \
                 claims to become final",
                Ether(free_wei),
                Ether(needed_wei)
            );
            return Err(AskError::Busy { reason });
        }
        Ok((view, terms))
    }

    /// A salt that no job of this account has: equal requests at one time are jobs of their own.
    fn salt(&self, nonce: u64) -> u64 {
        let mut last = lock(&self.last_salt);
        *last = nonce.max(last.saturating_add(1));
        *last
    }

    /// Jobs whose askers wait.
    pub(crate) fn waiting(&self) -> Vec<JobId> {
        lock(&self.waiting).keys().copied().collect()
    }

    pub(crate) fn answer(&self, answer: ClaimedRun) {
        if let Some(sender) = lock(&self.waiting).remove(&answer.job) {
            // Who asked may be gone; the claim stands all the same.
            let _ = sender.send(Ok(answer));
        }
    }

    /// Nobody can answer, for this reason.
    pub(crate) fn refuse(&self, job: JobId, reason: String) {
        if let Some(sender) = lock(&self.waiting).remove(&job) {
            let _ = sender.send(Err(AskError::NoResult { job, reason }));
        }
    }

    /// Nobody will answer: who asked is told at once instead of later.
    pub(crate) fn give_up(&self, job: &JobId) {
        lock(&self.waiting).remove(job);
    }

    /// Shows a run to those who look into its claim. Of one with several iterations they have the ledger.
    pub(crate) fn show(&self, run: &SequenceRun) {
        if let Some(only) = run.only() {
            lock(&self.runs).insert(only.trace().root(), Arc::clone(only));
        }
    }

    pub(crate) fn hide(&self, run: &SequenceRun) {
        if let Some(only) = run.only() {
            lock(&self.runs).remove(&only.trace().root());
        }
    }

    /// The run of a claim, if it is in memory.
    pub fn run(&self, trace_root: &Digest) -> Option<Arc<Run>> {
        lock(&self.runs).get(trace_root).cloned()
    }
}
