//! How a world begins: parties, deposits, jobs, runs, publications.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use challenger::{Announcement, ChallengerCore, HonestView};
use executor::{ExecutorCore, statement_of};
use protocol::graph::Profile;
use protocol::hash::{Commitment, Digest};
use protocol::ids::ClaimId;
use protocol::roots::sequence_tree;
use protocol::settlement::{Genesis, Settlement};
use protocol::transaction::{Action, Address, JobTerms, Statement};

use super::{Environment, Happening, Party, PartyCore, World, WorldJob};
use crate::fixtures::{FixtureError, Known};
use crate::invariants::{Audit, AuditedClaim};
use crate::rng::{Purpose, WorldRng};
use crate::scenario::{MILLIETHER, Scenario, ScenarioError, Side};
use crate::strategy::{Plan, Publishing, Unbound};
use dispute::lies::{Lie, parse_lie};

/// The account that credits deposits.
const BANK: usize = 0;

fn address_of(number: usize) -> Address {
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
            environment.fixtures.truth(scenario.model as usize, input)?;
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
            audit: Audit::default(),
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
            for _ in 0..spec.count {
                self.add_party(group, plan.clone(), spec.clock_skew_ms);
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
            if let Err(rejection) = outcome {
                let (field, bounds) = ("capital_milliether".to_owned(), rejection.to_string());
                return Err(ScenarioError::Field { field, bounds });
            }
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
    fn fee_wei(&self) -> u128 {
        (u128::from(self.scenario.fee_milliether) * MILLIETHER).max(1)
    }

    fn client(&self) -> Option<usize> {
        self.parties.iter().position(|party| party.plan.side == Side::Client && party.plan.honest)
    }

    /// The client posts a job. It reaches the ledger without delay: what is studied begins here.
    pub(super) fn post_job(&mut self, number: usize) {
        let Some(job) = self.jobs.get(number).cloned() else {
            return;
        };
        let fixtures = &self.environment.fixtures;
        let model = self.scenario.model as usize;
        let (Ok(shared), Ok(input_root)) =
            (fixtures.model(model), fixtures.input_root(model, job.input))
        else {
            return;
        };
        let parameters = self.settlement.parameters();
        let terms = JobTerms {
            model_root: shared.root(),
            input_root,
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: self.fee_wei(),
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei: parameters.stake_wei_min,
            window_ms: parameters.window_ms_min,
            open_ms: self.scenario.open_ms,
            attention_wei: 0,
            salt: number as u64,
        };
        let record_fee_wei = parameters.record_fee_wei;
        let sender = self
            .client()
            .and_then(|index| self.parties.get(index))
            .map_or(address_of(self.parties.len() + 1), |party| party.address);
        let nonce = self.settlement.nonce(&sender);
        let action = Action::PostJob { terms };
        let settlement = Arc::make_mut(&mut self.settlement);
        let posted = settlement.perform_numbered(self.now_ms, sender, nonce, &action);
        let id = posted.ok().and_then(|events| {
            events.into_iter().find_map(|event| match event {
                protocol::settlement::Event::JobPosted { job } => Some(job),
                _ => None,
            })
        });
        let Some(id) = id else { return };
        self.height += 1;
        self.audit.books.pays_record_fee(sender, record_fee_wei);
        // A job is older than every reorganisation: what is studied are claims and disputes.
        self.history.clear();
        if self.check_replay {
            self.accepted.push((self.now_ms, sender, nonce, Arc::new(action)));
        }
        if let Some(job) = self.jobs.get_mut(number) {
            job.id = Some(id);
        }
        if let Ok(truth) = self.environment.fixtures.truth(model, job.input) {
            self.audit.books.truths.insert(id, truth);
        }
        for party in 0..self.parties.len() {
            let at_ms = self.now_ms + self.delay_ms();
            self.schedule(at_ms, Happening::Heard { party, job: number });
        }
        let client = self.client().and_then(|index| self.parties.get_mut(index));
        if let Some(PartyCore::Client { jobs }) = client.map(|party| &mut party.core) {
            jobs.push(id);
        }
    }

    /// A party that runs models queues the job.
    pub(super) fn heard(&mut self, index: usize, job: usize) {
        if let Some(back_ms) = self.away_until_ms(index) {
            self.schedule(back_ms, Happening::Heard { party: index, job });
            return;
        }
        let now_ms = self.now_ms;
        let Some(party) = self.parties.get_mut(index) else {
            return;
        };
        let computes = match party.plan.side {
            Side::Executor => true,
            Side::Challenger => self.sampling.chance(party.plan.sampling_permille),
            Side::Stranger | Side::Client => false,
        };
        if computes {
            party.busy_until_ms = party.busy_until_ms.max(now_ms) + party.plan.inference_ms;
            let at_ms = party.busy_until_ms;
            self.schedule(at_ms, Happening::Computed { party: index, job });
        } else {
            self.wake(index, now_ms);
        }
    }

    fn known(&self, input: usize, lie: Option<&Lie>) -> Result<Arc<Known<C>>, FixtureError> {
        let (fixtures, model) = (&self.environment.fixtures, self.scenario.model as usize);
        if let Some(known) = fixtures.run(model, input, lie)? {
            return Ok(known);
        }
        // A lie without a place in this model: the last operator is off instead.
        match fixtures.run(model, input, Some(&Lie::Selective))? {
            Some(known) => Ok(known),
            None => fixtures.truth(model, input),
        }
    }

    /// A party has run the model: an executor can claim, a challenger can check.
    pub(super) fn computed(&mut self, index: usize, number: usize) {
        let Some((input, id)) = self.jobs.get(number).and_then(|job| Some((job.input, job.id?)))
        else {
            return;
        };
        let Some((plan, address)) =
            self.parties.get(index).map(|party| (party.plan.clone(), party.address))
        else {
            return;
        };
        let lie = match plan.side {
            Side::Executor => plan.lie.as_ref(),
            _ => plan.lie.as_ref().filter(|_| plan.corrupt_view),
        };
        let Ok(known) = self.known(input, lie) else {
            return;
        };
        let statement = statement_of(id, known.run.model().root(), known.run.trace());
        let statement = statement.map(|statement| self.unbind(&plan, statement, input));
        let arity_log2 = self.settlement.parameters().arity_log2;
        let published = self.published_for(number);
        if let Some(party) = self.parties.get_mut(index) {
            match &mut party.core {
                PartyCore::Executor(core) => {
                    core.remember(Arc::clone(&known.run), arity_log2);
                    if let Some(statement) = statement {
                        core.offer(statement);
                    }
                }
                PartyCore::Challenger(core) => {
                    core.watch(id, HonestView::of_run(Arc::clone(&known.run), published));
                }
                PartyCore::Client { .. } => {}
            }
        }
        if plan.side == Side::Executor {
            self.runs.insert((id, address), known);
            let late_ms = match plan.publishing {
                Publishing::Nothing => None,
                Publishing::Late => Some(20_000),
                Publishing::Everything | Publishing::Roots | Publishing::Wrong => Some(0),
            };
            if let Some(late_ms) = late_ms {
                let happening = Happening::Announcement { party: index, job: number };
                self.schedule(self.now_ms + late_ms, happening);
            }
        }
        self.wake(index, self.now_ms);
    }

    /// What executors have published about a job so far. Without any: nothing.
    fn published_for(&self, number: usize) -> Arc<Announcement<C>> {
        let data = self.parties.iter().find_map(|party| {
            let shown = party.plan.side == Side::Executor
                && party.plan.publishing != Publishing::Nothing
                && party.plan.publishing != Publishing::Late;
            shown.then(|| self.publication(party, number)).flatten()
        });
        data.unwrap_or_default()
    }

    fn publication(&self, party: &Party<C>, number: usize) -> Option<Arc<Announcement<C>>> {
        let job = self.jobs.get(number)?;
        let known = self.known(job.input, party.plan.lie.as_ref()).ok()?;
        Some(match party.plan.publishing {
            Publishing::Nothing => return None,
            Publishing::Everything | Publishing::Late => Arc::clone(&known.published),
            Publishing::Roots => {
                Arc::new(Announcement::of_roots(known.published.state_roots.clone()))
            }
            Publishing::Wrong => {
                let other = self.known(job.input, Some(&Lie::WrongInput)).ok()?;
                Arc::clone(&other.published)
            }
        })
    }

    /// A publication is complete: challengers that already watch get it.
    pub(super) fn published(&mut self, index: usize, number: usize) {
        let Some(id) = self.jobs.get(number).and_then(|job| job.id) else {
            return;
        };
        let data = self.parties.get(index).and_then(|party| self.publication(party, number));
        let Some(data) = data else { return };
        for party in &mut self.parties {
            let PartyCore::Challenger(core) = &mut party.core else {
                continue;
            };
            if let Some(honest_view) = core.honest_view(&id) {
                let honest_view = honest_view.with_announced(Arc::clone(&data));
                core.watch(id, honest_view);
            }
        }
    }

    /// Makes a claim say what it should not.
    fn unbind(&self, plan: &Plan<C>, mut statement: Statement, input: usize) -> Statement {
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
        let truth = self.audit.books.truths.get(&job);
        // Runs of these worlds have one iteration: its trace is all that a claim says.
        let is_true = truth.is_some_and(|truth| {
            claim.terms.iterations == 1 && truth.run.trace().root() == claim.trace_root
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
