//! How a world begins: parties, deposits, jobs, runs, publications.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use challenger::{ChallengerCore, Policy};
use executor::{ExecutorCore, statement_of};
use protocol::hash::{Commitment, Digest};
use protocol::ids::ClaimId;
use protocol::roots::sequence_tree;
use protocol::settlement::{Genesis, Settlement};
use protocol::transaction::{Action, Address, ClaimTerms, Statement};

use super::{Environment, Happening, Party, PartyCore, World, WorldJob};
use crate::invariants::{Audit, AuditedClaim};
use crate::rng::{Purpose, WorldRng};
use crate::scenario::{MILLIETHER, Scenario, ScenarioError, ScriptedMove, Side};
use crate::strategy::behaviours::Script;
use crate::strategy::{Plan, Unbound};
use dispute::lies::{Lie, parse_lie};

/// The account that credits deposits.
const BANK: usize = 0;

pub(super) fn address_of(number: usize) -> Address {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    Address(bytes)
}

impl<C: Commitment> World<C> {
    /// A world at its beginning: everybody has deposited, no job is posted yet.
    ///
    /// # Errors
    /// When the scenario names what does not exist.
    pub fn new(
        environment: &Arc<Environment<C>>,
        scenario: &Scenario,
        seed: u64,
    ) -> Result<Self, ScenarioError> {
        let genesis = Genesis {
            chain_id: 1,
            salt: Digest::default(),
            begun_ms: 0,
            bank: address_of(BANK),
            parameters: scenario.parameters.apply(),
        };
        let model = environment.fixtures.model(scenario.model as usize)?;
        for input in 0..environment.fixtures.inputs(scenario.model as usize) {
            let model = scenario.model as usize;
            if environment.fixtures.run(model, input, None)?.is_none() {
                environment.fixtures.without_result(model, input)?;
            }
        }
        let bounds =
            environment.fixtures.bounds(scenario.model as usize, genesis.parameters.arity_log2)?;
        let rng = |purpose| WorldRng::new(seed, purpose);
        let mut world = Self {
            environment: Arc::clone(environment),
            scenario: Arc::new(scenario.clone()),
            now_ms: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            settlement: Arc::new(Settlement::new_unchecked(genesis)),
            height: 0,
            parties: Vec::new(),
            by_address: BTreeMap::new(),
            allies: Vec::new(),
            jobs: Vec::new(),
            runs: BTreeMap::new(),
            known_runs: BTreeMap::new(),
            jobs_until_ms: 0,
            waiting: Vec::new(),
            block_at_ms: None,
            history: VecDeque::new(),
            accepted: Vec::new(),
            withdrawn: BTreeMap::new(),
            network: rng(Purpose::Network),
            order: rng(Purpose::Ledger),
            attack: rng(Purpose::Attack),
            sampling: rng(Purpose::Sampling),
            audit_dice: rng(Purpose::Audit),
            submissions: 0,
            events: 0,
            disputes: 0,
            bounds,
            slack_ms: slack_ms(scenario),
            check_replay: false,
            log_hash: seed,
            log: None,
            shapes: None,
            audit: Audit::new(scenario.hidden_inputs),
        };
        world.populate()?;
        world.begin(model.header().clone())?;
        Ok(world)
    }

    fn populate(&mut self) -> Result<(), ScenarioError> {
        let scenario = Arc::clone(&self.scenario);
        for (group, spec) in scenario.party.iter().enumerate() {
            let entry = self.environment.catalogue.get(&spec.strategy).ok_or_else(|| {
                let (party, name) = (spec.name.clone(), spec.strategy.clone());
                ScenarioError::UnknownStrategy { party, name }
            })?;
            let mut plan = (entry.plan)(crate::strategy::Numbers::of(&spec.with));
            if let Some(lie) = &spec.lie {
                let lie = parse_lie(lie).map_err(|error| ScenarioError::Field {
                    field: format!("party {}: lie", spec.name),
                    bounds: error.to_string(),
                })?;
                plan.lie = Some(lie);
            }
            plan.capital_milliether = spec.capital_milliether.unwrap_or(plan.capital_milliether);
            plan.inference_ms = spec.inference_ms.unwrap_or(plan.inference_ms);
            plan.slots = spec.slots.unwrap_or(plan.slots);
            for identity in 0..spec.count {
                let plan = match &spec.script {
                    None => plan.clone(),
                    Some(script) => scripted(&plan, script, identity),
                };
                self.add_party(group, plan, spec.clock_skew_ms);
            }
        }
        Ok(())
    }

    fn add_party(&mut self, group: usize, plan: Plan<C>, clock_skew_ms: i64) {
        let index = self.parties.len();
        let address = address_of(index + 1);
        let core = match plan.side {
            Side::Executor => PartyCore::Executor(ExecutorCore::new(address)),
            Side::Challenger | Side::Stranger => {
                let core = ChallengerCore::new(address, plan.policy).in_order(plan.order);
                PartyCore::Challenger(core)
            }
            Side::Client => PartyCore::Client { jobs: Vec::new() },
        };
        if !plan.honest {
            self.allies.push(address);
        }
        if plan.guardian {
            self.audit.add_guardian(address);
        }
        self.by_address.insert(address, index);
        self.parties.push(Party {
            group,
            address,
            plan,
            core,
            clock_skew_ms,
            in_flight: Vec::new(),
            busy_until_ms: 0,
            down_until_ms: 0,
            look_at_ms: None,
            said: Vec::new(),
            gas_wei: 0,
            rejections: 0,
            refused: false,
            transactions: 0,
            patience: Vec::new(),
            choice: None,
            begun: Vec::new(),
        });
    }

    /// Deposits, the model, and when jobs will come.
    fn begin(&mut self, header: protocol::graph::ModelHeader) -> Result<(), ScenarioError> {
        let bank = address_of(BANK);
        let mut actions: Vec<Action> = self
            .parties
            .iter()
            .map(|party| Action::Deposit {
                account: party.address,
                amount_wei: u128::from(party.plan.capital_milliether) * MILLIETHER,
            })
            // Depositing nothing is refused.
            .filter(|action| !matches!(action, Action::Deposit { amount_wei: 0, .. }))
            .collect();
        let (record_fee_wei, least_wei) = {
            let parameters = self.settlement.parameters();
            (parameters.record_fee_wei, parameters.transfer_wei_min)
        };
        // The model's record.
        let amount_wei = record_fee_wei.max(least_wei);
        actions.push(Action::Deposit { account: bank, amount_wei });
        actions.push(Action::RegisterModel { header });
        let job_wei = self.fee_wei().saturating_add(record_fee_wei);
        if self.client().is_none() {
            let account = address_of(self.parties.len() + 1);
            let amount_wei = job_wei.saturating_mul(u128::from(self.scenario.jobs)).max(least_wei);
            actions.push(Action::Deposit { account, amount_wei });
        }
        for action in &actions {
            let nonce = self.settlement.nonce(&bank);
            let settlement = Arc::make_mut(&mut self.settlement);
            let outcome = settlement.perform_numbered(0, bank, nonce, action);
            let events = outcome.map_err(|rejection| {
                let (field, bounds) = ("capital_milliether".to_owned(), rejection.to_string());
                ScenarioError::Field { field, bounds }
            })?;
            self.audit.books.accounts.settle(&self.settlement, bank, action, &events);
            if let Action::Deposit { amount_wei, .. } = action {
                self.audit.books.deposited_wei += amount_wei;
            }
            if let Action::RegisterModel { .. } = action {
                self.audit.books.pays_record_fee(bank, record_fee_wei);
            }
            self.accepted.push((0, bank, nonce, Arc::new(action.clone())));
        }
        let inputs = self.environment.fixtures.inputs(self.scenario.model as usize).max(1);
        for number in 0..self.scenario.jobs as usize {
            let posted_ms = 1_000 + self.scenario.job_every_ms * number as u64;
            let input = (number + self.scenario.seed as usize) % inputs;
            self.jobs.push(WorldJob { input, id: None });
            self.schedule(posted_ms, Happening::Job(number));
        }
        Ok(())
    }

    /// Fee of a job; one for nothing is refused.
    pub(super) fn fee_wei(&self) -> u128 {
        (u128::from(self.scenario.fee_milliether) * MILLIETHER).max(1)
    }

    pub(super) fn client(&self) -> Option<usize> {
        self.parties.iter().position(|party| party.plan.side == Side::Client && party.plan.honest)
    }

    /// Makes a claim say what it should not.
    pub(super) fn unbind(
        &self,
        plan: &Plan<C>,
        mut statement: Statement,
        input: usize,
    ) -> Statement {
        let Some(how) = plan.unbound else {
            return statement;
        };
        let zero = Digest::default();
        let Statement { terms, binding } = &mut statement;
        match how {
            Unbound::Output => terms.output_root.0[0] ^= 1,
            Unbound::Input | Unbound::Replayed => {
                let own_root = terms.input_root;
                let inputs = self.environment.fixtures.inputs(self.scenario.model as usize).max(1);
                let lie = (inputs == 1).then_some(Lie::WrongInput);
                if let Ok(other) = self.known((input + 1) % inputs, lie.as_ref())
                    && let Some(others) =
                        statement_of(terms.job, terms.model_root, other.run.trace())
                {
                    statement = others;
                    // Its own input committed in the place of the job's.
                    if how == Unbound::Input {
                        statement.terms.input_root = own_root;
                    }
                }
            }
            Unbound::Short => drop(binding.output.state_path.pop()),
            Unbound::Long => binding.output.state_path.push(zero),
            Unbound::Naked => {
                let roots = self.runs.values().next().map(|known| known.run.trace().tree());
                let naked = roots.map_or(zero, |tree| tree.tree().root());
                let sequence = sequence_tree::<C>(&[naked]);
                terms.sequence_root = sequence.map_or(zero, |sequence| sequence.root());
                (binding.input.trace_root, binding.output.trace_root) = (naked, naked);
            }
            Unbound::Zero => {
                (terms.sequence_root, terms.output_root) = (zero, zero);
                (binding.input.trace_root, binding.output.trace_root) = (zero, zero);
            }
            Unbound::Paths => binding.input.state_path = vec![zero; 4_096],
        }
        statement
    }

    /// The audit learns which run a claim was made from.
    pub(super) fn audit_claim(&mut self, id: ClaimId) {
        let Some(claim) = self.settlement.claim(&id) else {
            return;
        };
        let job = claim.terms.job;
        let known = self.runs.get(&(job, claim.executor)).cloned();
        let known = known.filter(|known| known.run.trace().root() == claim.trace_root);
        let known = known.or_else(|| self.known_runs.get(&claim.trace_root).cloned());
        let truth = self.audit.books.truths.get(&job);
        // All that a claim says, not its trace alone.
        let is_true = truth.and_then(Option::as_ref).is_some_and(|truth| {
            let own = statement_of(job, truth.run.model().root(), truth.run.trace());
            own.is_some_and(|own| {
                let roots = |terms: &ClaimTerms| {
                    (terms.iterations, terms.input_root, terms.output_root, terms.sequence_root)
                };
                roots(&own.terms) == roots(&claim.terms)
                    && truth.run.trace().root() == claim.trace_root
            })
        });
        let by_honest = self
            .by_address
            .get(&claim.executor)
            .and_then(|index| self.parties.get(*index))
            .is_some_and(|party| party.plan.honest);
        let (opened, shown) = (BTreeSet::new(), BTreeMap::new());
        let entry = AuditedClaim { known, is_true, by_honest, said_truly: true, opened, shown };
        self.audit.books.claims.insert(id, entry);
    }
}

/// A party of the same means that makes an identity's moves of a script, and no others.
fn scripted<C: Commitment>(plan: &Plan<C>, script: &[ScriptedMove], identity: u32) -> Plan<C> {
    let own = script.iter().filter(|one| one.identity == identity);
    let moves = own.filter_map(|one| Some((one.at_ms, one.action()?)));
    let plan = Plan {
        policy: Policy::Nothing,
        capital_milliether: plan.capital_milliether,
        transactions_max: u32::MAX,
        slots: u32::MAX,
        ..Plan::dishonest(Side::Stranger)
    };
    plan.with(Script::new(moves))
}

/// How much later than its printed bound anything may end: somebody has to look and send.
fn slack_ms(scenario: &Scenario) -> u64 {
    const PARTY_MS: u64 = 30_000;
    let outages: u64 = scenario.outage.iter().map(|outage| 2 * outage.for_ms).sum();
    let network = &scenario.network;
    let losses = u64::from(network.loss_permille) * network.resend_ms / 20;
    let reorganised = u64::from(scenario.ledger.reorganisation_permille.min(1))
        * u64::from(scenario.ledger.reorganisation_blocks)
        * scenario.ledger.block_ms;
    PARTY_MS
        + 4 * scenario.ledger.block_ms
        + 4 * network.delay_ms_max
        + outages
        + losses
        + 4 * reorganised
}
