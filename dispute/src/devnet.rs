//! A devnet: one ledger, one job, the parties, played to the end in virtual time.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use challenger::{Announcement, ChallengerCore, HonestView, Policy};
use executor::{ExecutorCore, statement_of};
use inference::{
    ComputePolicy, Engine, Honest, Model, Run, RunError, Runner, State, Tensor, Trace,
};
use ledger::{Clock, EmbeddedLedger, Ledger, LedgerError, ManualClock, Receipt, View};
use node::{Agent, Core};
use protocol::graph::Profile;
use protocol::hash::Digest;
use protocol::ids::{ClaimId, JobId};
use protocol::knowledge::Knowledge;
use protocol::settlement::{ClaimStatus, ETHER, Event, Genesis, Parameters};
use protocol::transaction::{Action, Address, JobTerms, Statement};

use crate::roles::{Role, actor_key};
use crate::verdict;

/// Why a devnet cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The ledger failed or refused a setup transaction.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The model could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The play does not come to an end.
    #[error("the dispute did not end by {bound_ms} ms, the bound printed with the claim")]
    Endless {
        /// The bound.
        bound_ms: u64,
    },
    /// Something the setup needs is missing.
    #[error("the stage has no {what}")]
    Missing {
        /// What.
        what: &'static str,
    },
}

/// A role with its agent.
pub type RoleAgent = (Role, Agent<Box<dyn Core>>);

/// A ledger in virtual time with funded parties.
#[derive(Debug)]
pub struct Devnet {
    /// The ledger.
    pub ledger: Arc<EmbeddedLedger>,
    /// Its clock.
    pub clock: ManualClock,
}

/// Time that passes, and time that was skipped.
#[derive(Debug)]
struct LiveClock {
    skipped: ManualClock,
    since: Instant,
}

impl Clock for LiveClock {
    fn now_ms(&self) -> u64 {
        let passed_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.skipped.now_ms().saturating_add(passed_ms)
    }
}

/// Who plays what on a devnet.
#[derive(Debug)]
pub struct Participants {
    /// The engine of all parties.
    pub engine: Engine,
    /// The model.
    pub model: Arc<Model>,
    /// The job's input.
    pub input: HashMap<String, Tensor>,
    /// How the executor computes.
    pub executor: Arc<dyn ComputePolicy>,
    /// How the challenger computes.
    pub challenger: Arc<dyn ComputePolicy>,
    /// What the challenger challenges.
    pub policy: Policy,
    /// Whether the executor's data are published.
    pub publish: bool,
    /// Whether an honest rival claims as well.
    pub rival: bool,
    /// What the executor claims, when it is not simply its run.
    pub statement: Option<Statement>,
}

impl Participants {
    /// An executor of some compute policy against an honest challenger.
    pub fn new(
        engine: Engine,
        model: Arc<Model>,
        input: HashMap<String, Tensor>,
        executor: Arc<dyn ComputePolicy>,
    ) -> Self {
        let challenger = Arc::new(Honest);
        let (policy, publish, rival, statement) = (Policy::Differing, false, false, None);
        Self { engine, model, input, executor, challenger, policy, publish, rival, statement }
    }

    /// The input state.
    ///
    /// # Errors
    /// When the inputs do not fit the model.
    pub fn input_state(&self) -> Result<State, RunError> {
        Runner::honest(&self.engine, &self.model).input_state(&self.input)
    }

    /// A run with what is needed to defend it.
    pub fn run_of(&self, compute_policy: Arc<dyn ComputePolicy>, trace: Trace) -> Arc<Run> {
        Arc::new(Run::new(self.engine.clone(), Arc::clone(&self.model), compute_policy, trace))
    }

    /// A run by some compute policy.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn run(&self, compute_policy: &dyn ComputePolicy) -> Result<Trace, RunError> {
        Runner { engine: &self.engine, model: &self.model, compute_policy }.run(self.input_state()?)
    }
}

/// One performed move, for the story.
#[derive(Clone, Debug)]
pub struct PlayedMove {
    /// Who.
    pub role: Role,
    /// What.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// The ledger's answer.
    pub outcome: Result<Receipt, LedgerError>,
}

/// How a play ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The job.
    pub job: JobId,
    /// The executor's claim; `None` when the ledger refused it.
    pub claim: Option<ClaimId>,
    /// Why the ledger refused the claim.
    pub refused: Option<String>,
    /// Every move after the setup.
    pub played: Vec<PlayedMove>,
    /// The ledger at the end.
    pub view: View,
    /// What was known of the claim when it ended.
    pub known: Option<Knowledge>,
}

fn claim_of(view: &View, executor: Address) -> Option<ClaimId> {
    let mut claims = view.settlement.claims();
    claims.find(|(_, claim)| claim.executor == executor).map(|(id, _)| *id)
}

/// Time in which a job takes claims.
const OPEN_MS: u64 = 24 * 3_600_000;

impl Devnet {
    /// Opens or continues a devnet in a folder.
    ///
    /// # Errors
    /// When the ledger cannot be opened.
    pub async fn open(folder: &Path, parameters: Parameters) -> Result<Self, DevnetError> {
        let clock = ManualClock::default();
        Self::open_at(folder, parameters, Arc::new(clock.clone()), clock).await
    }

    /// As [`Devnet::open`], on a clock on which the time that the parties take passes as well; what they
    /// wait for is still skipped.
    ///
    /// # Errors
    /// As [`Devnet::open`].
    pub async fn open_live(folder: &Path, parameters: Parameters) -> Result<Self, DevnetError> {
        let clock = ManualClock::default();
        let live = LiveClock { skipped: clock.clone(), since: Instant::now() };
        Self::open_at(folder, parameters, Arc::new(live), clock).await
    }

    async fn open_at(
        folder: &Path,
        parameters: Parameters,
        shown: Arc<dyn Clock>,
        clock: ManualClock,
    ) -> Result<Self, DevnetError> {
        // Continued by who knows nothing but the folder; its keys are public knowledge anyway.
        let (salt, begun_ms, bank) = (Digest::default(), 0, actor_key(Role::Bank).address());
        let genesis = Genesis { chain_id: 31_337, salt, begun_ms, bank, parameters };
        let ledger = EmbeddedLedger::open(folder, genesis, shown)?;
        let ledger = Arc::new(ledger);
        clock.advance(ledger.view().await?.now_ms.max(1_000));
        Ok(Self { ledger, clock })
    }

    /// Signs and submits as a role.
    ///
    /// # Errors
    /// When the ledger refuses or fails.
    pub async fn act(&self, role: Role, action: &Action) -> Result<Receipt, LedgerError> {
        let view = self.ledger.view().await?;
        let key = actor_key(role);
        let nonce = view.settlement.nonce(&key.address());
        self.ledger.submit(key.sign(&view.settlement.domain(), nonce, action)).await
    }

    /// What an account has now beyond what it deposited.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn delta_wei(&self, account: Address) -> Result<i128, LedgerError> {
        let receipts = self.ledger.events_after(0, usize::MAX).await?;
        let deposited: u128 = receipts
            .iter()
            .flat_map(|receipt| &receipt.events)
            .map(|event| match event {
                Event::Deposited { account: to, amount_wei } if *to == account => *amount_wei,
                _ => 0,
            })
            .sum();
        let free = self.ledger.view().await?.settlement.money().free_wei(&account);
        Ok(free as i128 - deposited as i128)
    }

    /// Deposits, the model and the job, each unless it is there already.
    ///
    /// # Errors
    /// When the ledger refuses or fails.
    pub async fn prepare(&self, participants: &Participants) -> Result<JobId, DevnetError> {
        let roles = [
            Role::Client,
            Role::Executor,
            Role::Rival,
            Role::Challenger,
            Role::SecondChallenger,
            Role::Watchtower,
        ];
        for role in roles {
            let account = actor_key(role).address();
            if self.ledger.view().await?.settlement.money().free_wei(&account) == 0 {
                let amount_wei = 2 * ETHER;
                self.act(Role::Bank, &Action::Deposit { account, amount_wei }).await?;
            }
        }
        let view = self.ledger.view().await?;
        let model_root = participants.model.root();
        if view.settlement.model(&model_root).is_none() {
            let header = participants.model.header().clone();
            self.act(Role::Client, &Action::RegisterModel { header }).await?;
        }
        if let Some((job, _)) = view.settlement.jobs().next() {
            return Ok(*job);
        }
        let parameters = view.settlement.parameters();
        let terms = JobTerms {
            model_root,
            input_root: participants.input_state()?.root(),
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: ETHER / 20,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei: parameters.stake_wei_min,
            window_ms: parameters.window_ms_of(1),
            open_ms: OPEN_MS,
            attention_wei: 0,
            salt: 0,
        };
        let receipt = self.act(Role::Client, &Action::PostJob { terms }).await?;
        let posted = receipt.events.into_iter().find_map(|event| match event {
            Event::JobPosted { job } => Some(job),
            _ => None,
        });
        posted.ok_or(DevnetError::Missing { what: "job" })
    }

    /// Plays one claim by the executor against one challenger, from wherever the ledger stands.
    ///
    /// # Errors
    /// When the ledger fails, the model cannot be run, or the play does not end in time.
    pub async fn dispute(
        &self,
        participants: &Participants,
        watch: &mut (dyn FnMut(&PlayedMove) + Send),
    ) -> Result<Outcome, DevnetError> {
        self.dispute_with(participants, |executor| Box::new(executor), watch).await
    }

    /// As [`Devnet::dispute`], with the executor's core wrapped.
    ///
    /// # Errors
    /// As [`Devnet::dispute`].
    pub async fn dispute_with(
        &self,
        participants: &Participants,
        wrap: impl FnOnce(ExecutorCore) -> Box<dyn Core>,
        watch: &mut (dyn FnMut(&PlayedMove) + Send),
    ) -> Result<Outcome, DevnetError> {
        let job = self.prepare(participants).await?;
        let trace = participants.run(participants.executor.as_ref())?;
        let mut played = Vec::new();
        let address = actor_key(Role::Executor).address();
        if claim_of(&self.ledger.view().await?, address).is_none() {
            let given = participants.statement.clone().map(|mut statement| {
                statement.terms.job = job;
                statement
            });
            let model_root = participants.model.root();
            let statement = given
                .or_else(|| statement_of(job, model_root, &trace))
                .ok_or(DevnetError::Missing { what: "state" })?;
            let claimed = self.claim_as(Role::Executor, statement, watch).await?;
            let refused = claimed.outcome.as_ref().err().map(ToString::to_string);
            played.push(claimed);
            if refused.is_some() {
                let view = self.ledger.view().await?;
                return Ok(Outcome { job, claim: None, refused, played, view, known: None });
            }
        }
        let rival = actor_key(Role::Rival).address();
        if participants.rival && claim_of(&self.ledger.view().await?, rival).is_none() {
            let honest = participants.run(&Honest)?;
            let statement = statement_of(job, participants.model.root(), &honest)
                .ok_or(DevnetError::Missing { what: "state" })?;
            played.push(self.claim_as(Role::Rival, statement, watch).await?);
        }
        let view = self.ledger.view().await?;
        let claim = claim_of(&view, address).ok_or(DevnetError::Missing { what: "claim" })?;
        let mut agents = self.agents(participants, job, trace, wrap)?;
        self.settle(claim, &mut agents, watch, &mut played).await?;
        let view = self.ledger.view().await?;
        let known = verdict::known(self.ledger.genesis(), &self.ledger.entries()?, &claim);
        Ok(Outcome { job, claim: Some(claim), refused: None, played, view, known })
    }

    async fn claim_as(
        &self,
        role: Role,
        statement: Statement,
        watch: &mut (dyn FnMut(&PlayedMove) + Send),
    ) -> Result<PlayedMove, DevnetError> {
        let action = Action::PostClaim { statement };
        let outcome = self.act(role, &action).await;
        let reason = "the run is done".to_owned();
        let claimed = PlayedMove { role, action, reason, outcome };
        watch(&claimed);
        match &claimed.outcome {
            Ok(_) | Err(LedgerError::Rejected(_)) => Ok(claimed),
            Err(error) => Err(error.clone().into()),
        }
    }

    /// The parties, rebuilt from nothing but their own runs.
    fn agents(
        &self,
        participants: &Participants,
        job: JobId,
        trace: Trace,
        wrap: impl FnOnce(ExecutorCore) -> Box<dyn Core>,
    ) -> Result<Vec<RoleAgent>, DevnetError> {
        let arity_log2 = self.ledger.genesis().parameters.arity_log2;
        let key = actor_key(Role::Executor);
        let mut published = Announcement::default();
        if participants.publish {
            published.state_roots = trace.state_roots().to_vec();
            let runner = Runner {
                engine: &participants.engine,
                model: &participants.model,
                compute_policy: participants.executor.as_ref(),
            };
            for layer in 0..participants.model.header().layer_count {
                let Some(before) = trace.state(layer) else {
                    continue;
                };
                runner
                    .layer_outputs(layer, before.values())?
                    .into_iter()
                    .for_each(|tensor| published.add(tensor));
            }
        }
        let mut core = ExecutorCore::new(key.address());
        core.remember(participants.run_of(Arc::clone(&participants.executor), trace), arity_log2);
        let ledger: Arc<dyn Ledger> = Arc::clone(&self.ledger) as Arc<dyn Ledger>;
        let executor = Agent::new(wrap(core), Arc::clone(&ledger), key);
        let key = actor_key(Role::Challenger);
        let mut core = ChallengerCore::new(key.address(), participants.policy);
        let own = Runner {
            engine: &participants.engine,
            model: &participants.model,
            compute_policy: participants.challenger.as_ref(),
        };
        let own = own.outcome(participants.input_state()?)?;
        let honest_view = HonestView::new(
            participants.engine.clone(),
            Arc::clone(&participants.model),
            Arc::clone(&participants.challenger),
            own,
            published,
        );
        core.watch(job, honest_view);
        let boxed: Box<dyn Core> = Box::new(core);
        let challenger = Agent::new(boxed, ledger, key);
        let mut agents = vec![(Role::Challenger, challenger), (Role::Executor, executor)];
        if participants.rival {
            let key = actor_key(Role::Rival);
            let mut core = ExecutorCore::new(key.address());
            core.remember(
                participants.run_of(Arc::new(Honest), participants.run(&Honest)?),
                arity_log2,
            );
            let boxed: Box<dyn Core> = Box::new(core);
            let ledger: Arc<dyn Ledger> = Arc::clone(&self.ledger) as Arc<dyn Ledger>;
            agents.push((Role::Rival, Agent::new(boxed, ledger, key)));
        }
        Ok(agents)
    }

    /// Lets the agents act until the claim is settled, moving the clock when all are waiting.
    ///
    /// # Errors
    /// When the ledger fails or the claim outlives its printed bound.
    pub async fn settle(
        &self,
        claim: ClaimId,
        agents: &mut [RoleAgent],
        watch: &mut (dyn FnMut(&PlayedMove) + Send),
        played: &mut Vec<PlayedMove>,
    ) -> Result<(), DevnetError> {
        // Each told once, however long it lasts.
        let mut troubles = BTreeSet::new();
        loop {
            let view = self.ledger.view().await?;
            let missing = DevnetError::Missing { what: "claim" };
            let state = view.settlement.claim(&claim).ok_or(missing)?;
            let rivals = view
                .settlement
                .claims()
                .any(|(id, other)| *id != claim && other.status == ClaimStatus::Standing);
            if state.status != ClaimStatus::Standing && !rivals {
                return Ok(());
            }
            let bound_ms = state.last_finality_ms.saturating_add(60_000);
            if view.now_ms > bound_ms {
                return Err(DevnetError::Endless { bound_ms });
            }
            let mut changed = false;
            for (role, agent) in agents.iter_mut() {
                // Each sees what the one before it did.
                let view = self.ledger.view().await?;
                for performed in agent.step(&view).await? {
                    changed |= performed.outcome.is_ok();
                    let one = PlayedMove {
                        role: *role,
                        action: performed.decision.action,
                        reason: performed.decision.reason,
                        outcome: performed.outcome,
                    };
                    watch(&one);
                    played.push(one);
                }
                for trouble in agent.core.troubles() {
                    if troubles.insert((*role, trouble.clone())) {
                        tracing::error!(event = "devnet.trouble", role = role.name(), "{trouble}");
                    }
                }
            }
            if !changed {
                self.clock.advance(1_000);
            }
        }
    }
}
