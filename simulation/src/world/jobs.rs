//! What happens about a job: it is posted, heard of, run, published.

use std::sync::Arc;

use challenger::{Announcement, HonestView};
use executor::statement_of;
use ledger::View;
use protocol::graph::Profile;
use protocol::hash::Commitment;
use protocol::ids::JobId;
use protocol::settlement::Event;
use protocol::transaction::{Action, Address, JobTerms};

use super::setup::address_of;
use super::{Happening, Party, PartyCore, World, WorldJob};
use crate::fixtures::{FixtureError, Known};
use crate::invariants::Sometimes;
use crate::scenario::Side;
use crate::strategy::Publishing;
use dispute::lies::Lie;

impl<C: Commitment> World<C> {
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
        let Ok(events) = posted else { return };
        let id = events.iter().find_map(|event| match event {
            Event::JobPosted { job } => Some(*job),
            _ => None,
        });
        let Some(id) = id else { return };
        self.height += 1;
        self.audit.books.accounts.settle(&self.settlement, sender, &action, &events);
        self.audit.books.pays_record_fee(sender, record_fee_wei);
        // A job is older than every reorganisation: what is studied are claims and disputes.
        self.history.clear();
        if self.check_replay {
            self.accepted.push((self.now_ms, sender, nonce, Arc::new(action)));
        }
        if let Some(job) = self.jobs.get_mut(number) {
            job.id = Some(id);
        }
        self.tell_of_job(number, id);
        let client = self.client().and_then(|index| self.parties.get_mut(index));
        if let Some(PartyCore::Client { jobs }) = client.map(|party| &mut party.core) {
            jobs.push(id);
        }
    }

    /// A job of somebody else: whoever runs models hears of it like of the client's.
    pub(super) fn adopt_job(&mut self, id: JobId) {
        let Some(terms) = self.settlement.job(&id).map(|job| job.terms.clone()) else {
            return;
        };
        let model = self.scenario.model as usize;
        let fixtures = &self.environment.fixtures;
        let is_known = fixtures.model(model).is_ok_and(|model| model.root() == terms.model_root);
        let Some(input) = fixtures.input_of(model, &terms.input_root).filter(|_| is_known) else {
            return;
        };
        let until_ms = self.now_ms.saturating_add(terms.open_ms).saturating_add(terms.window_ms);
        self.jobs_until_ms = self.jobs_until_ms.max(until_ms);
        // After a reorganisation it may come again.
        let known = self.jobs.iter().position(|job| job.id == Some(id));
        let number = known.unwrap_or(self.jobs.len());
        if known.is_none() {
            self.jobs.push(WorldJob { input, id: Some(id) });
        }
        self.tell_of_job(number, id);
    }

    /// The audit learns the truth about a job, and all parties that there is one.
    fn tell_of_job(&mut self, number: usize, id: JobId) {
        let input = self.jobs.get(number).map_or(0, |job| job.input);
        let model = self.scenario.model as usize;
        if let Ok(truth) = self.environment.fixtures.truth(model, input) {
            self.known_runs.entry(truth.run.trace().root()).or_insert_with(|| Arc::clone(&truth));
            self.audit.books.truths.insert(id, Some(truth));
        } else {
            self.audit.books.truths.insert(id, None);
        }
        for party in 0..self.parties.len() {
            let at_ms = self.now_ms + self.delay_ms();
            self.schedule(at_ms, Happening::Heard { party, job: number });
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
        // An executor's admission rules decline jobs with attention.
        let terms = self.jobs.get(job).and_then(|job| self.settlement.job(&job.id?));
        let is_sealed = terms.is_some_and(|job| job.terms.attention_wei > 0);
        let computes = match party.plan.side {
            Side::Executor => !is_sealed,
            Side::Challenger => self.sampling.chance(party.plan.sampling_permille),
            Side::Stranger | Side::Client => false,
        };
        if computes && self.scenario.hidden_inputs && party.plan.side == Side::Challenger {
            self.want_input(index, job);
        } else if computes {
            self.begin_run(index, job);
        } else {
            self.wake(index, now_ms);
        }
    }

    /// Only executors were given the input: it is to be asked for.
    fn want_input(&mut self, index: usize, number: usize) {
        let model = self.environment.fixtures.model(self.scenario.model as usize).map(Arc::clone);
        let id = self.jobs.get(number).and_then(|job| job.id);
        let view = self.view(index);
        let core = self.parties.get_mut(index).map(|party| &mut party.core);
        if let (Ok(model), Some(id), Some(PartyCore::Challenger(core))) = (model, id, core) {
            // Every stake is worth it in these worlds.
            core.set_input_permille(1_000);
            core.ask_for_input(&view, id, model);
        }
        self.wake(index, self.now_ms);
    }

    pub(super) fn known(
        &self,
        input: usize,
        lie: Option<&Lie>,
    ) -> Result<Arc<Known<C>>, FixtureError> {
        let (fixtures, model) = (&self.environment.fixtures, self.scenario.model as usize);
        if lie.is_none() {
            return fixtures.truth(model, input);
        }
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
        if lie.is_none() && self.has_no_result(index, (input, id), number) {
            return;
        }
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
            let root = known.run.trace().root();
            self.known_runs.entry(root).or_insert_with(|| Arc::clone(&known));
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

    /// Whether an honest run of a job ends at an operator without a result: nobody honest claims it then, and who
    /// checks knows that every claim is false.
    fn has_no_result(&mut self, index: usize, (input, id): (usize, JobId), number: usize) -> bool {
        let model = self.scenario.model as usize;
        let Ok(Some(run)) = self.environment.fixtures.without_result(model, input) else {
            return false;
        };
        let published = self.published_for(number);
        if let Some(PartyCore::Challenger(core)) =
            self.parties.get_mut(index).map(|party| &mut party.core)
        {
            core.watch(id, HonestView::of_any_run(run, published));
        }
        self.wake(index, self.now_ms);
        true
    }

    /// A party that could not have the input of a job asks for it, and runs the model once executors have shown it.
    pub(super) fn take_shown_inputs(&mut self, index: usize, view: &View<C>) {
        if !self.scenario.hidden_inputs {
            return;
        }
        for number in 0..self.jobs.len() {
            let id = self.jobs.get(number).and_then(|job| job.id);
            let (Some(id), Some(party)) = (id, self.parties.get_mut(index)) else { continue };
            let PartyCore::Challenger(core) = &party.core else { return };
            if party.begun.contains(&id) || core.shown_input(view, &id).is_none() {
                continue;
            }
            self.audit.saw(Sometimes::InputShown);
            party.begun.push(id);
            self.begin_run(index, number);
        }
    }

    /// A party runs a job's model, after what it runs already. One whose queue is longer than half of the shortest
    /// window is overloaded: whoever posts jobs faster than challengers can run them is not held off by these worlds
    /// (`docs/simulation.md`, capacity).
    fn begin_run(&mut self, index: usize, number: usize) {
        let half_ms = self.settlement.parameters().window_ms_min / 2;
        let Some(party) = self.parties.get_mut(index) else { return };
        let from_ms = party.busy_until_ms.max(self.now_ms);
        party.busy_until_ms = from_ms.saturating_add(party.plan.inference_ms);
        let (at_ms, address) = (party.busy_until_ms, party.address);
        if at_ms > self.now_ms.saturating_add(half_ms) {
            self.audit.overloaded(&address, self.now_ms, at_ms);
        }
        self.schedule(at_ms, Happening::Computed { party: index, job: number });
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
}
