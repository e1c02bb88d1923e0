//! A run of several iterations: of a model whose outputs feed its inputs, or of a batch of inputs.
//!
//! Kept are the trace root of every iteration, and what some of them begin with ([`spacing`]). The rest is computed
//! again when somebody asks about an iteration. A run may be made up to some iteration only, and be made longer later
//! ([`SequenceRun::continued`]).

mod beginning;
mod list;
mod policy;
mod recent;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::graph::ModelHeader;
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::ids::JobId;
use protocol::merkle::{TreeShape, empty_subtree};
use protocol::roots::batch_tree;
use protocol::tensor::TensorType;
use protocol::transaction::{RunLength, RunRoots, Statement};

pub use self::beginning::SequenceInput;
use self::beginning::{begun, in_this_process};
pub use self::list::TraceList;
pub use self::policy::{Alike, SequencePolicy};
use self::recent::Recent;

use crate::compute_policy::Honest;
use crate::engine::Engine;
use crate::model::Model;
use crate::partial::NoResult;
use crate::run::{AnyRun, Run};
use crate::runner::Runner;
use crate::state::{State, find};
use crate::tensor::Tensor;
use crate::trace::RunError;

/// What iterations begin with is kept up to so many bytes: of all iterations where they are small, of one in so many
/// where they are large.
const KEPT_BYTES_MAX: u64 = 32 << 20;

/// A run of one or more iterations, and what can be recomputed from it.
#[derive(Debug)]
pub struct SequenceRun<C: Commitment = Keccak> {
    engine: Engine,
    model: Arc<Model<C>>,
    policy: Arc<dyn SequencePolicy<C>>,
    /// Trace roots of the iterations that have a result.
    trace_roots: Vec<Digest>,
    /// Roots of the entries of a batch.
    entries: Vec<Digest>,
    first_states: Vec<Digest>,
    last_states: Vec<Digest>,
    /// What iterations begin with: of a batch all, of others one of `spacing`.
    begins: BTreeMap<u32, State<C>>,
    spacing: u32,
    /// Most iterations that the run may have.
    iterations_max: u32,
    /// What the first iteration begins with that is not made yet; `None` of a run that is whole.
    next: Option<State<C>>,
    /// The iteration that has no result, if there is one: after all others.
    end: Option<AnyRun<C>>,
    /// The run of one iteration.
    only: Option<Arc<Run<C>>>,
    root: Option<Digest>,
    recent: Recent<C>,
    /// The list of the trace roots; `None` without iterations.
    list: Option<TraceList<C>>,
}

/// Of so many iterations of a run that may have `iterations_max` of them, the beginning of one is kept: an answer about
/// an iteration may take the time of so many.
pub fn spacing(header: &ModelHeader, iterations_max: u32) -> u32 {
    let bytes = |kind: &TensorType| kind.shape.count().saturating_mul(kind.element.bytes() as u64);
    let each: u64 = header.inputs.iter().map(bytes).fold(0, u64::saturating_add);
    let all = each.saturating_mul(u64::from(iterations_max));
    u32::try_from(all.div_ceil(KEPT_BYTES_MAX)).unwrap_or(u32::MAX).max(1)
}

impl<C: Commitment> SequenceRun<C> {
    /// The run of one iteration that was made already.
    pub fn of_run(run: AnyRun<C>) -> Self {
        let (engine, model) = (run.runner().engine.clone(), Arc::clone(run.model()));
        let states = run.state_roots().to_vec();
        let (only, end) = match &run {
            AnyRun::Whole(whole) => (Some(Arc::clone(whole)), None),
            AnyRun::Partial(_) => (None, Some(run.clone())),
        };
        let trace_roots: Vec<Digest> = run.root().into_iter().collect();
        let list = TraceList::new(&trace_roots);
        let root = list.as_ref().map(|list| list.tree().root());
        Self {
            engine,
            model,
            policy: Arc::new(Honest),
            trace_roots,
            entries: Vec::new(),
            first_states: states.clone(),
            last_states: states,
            begins: BTreeMap::new(),
            spacing: 1,
            iterations_max: 1,
            next: None,
            end,
            only,
            root,
            recent: Recent::default(),
            list,
        }
    }

    /// Runs a model until it says that it ends, or as often as the job lets it; a batch as often as it has entries.
    ///
    /// # Errors
    /// When the model cannot be run, or the batch has another number of entries than the job's iterations.
    pub fn compute(
        engine: &Engine,
        model: &Arc<Model<C>>,
        policy: Arc<dyn SequencePolicy<C>>,
        input: SequenceInput<C>,
        length: RunLength,
    ) -> Result<Self, RunError> {
        let extent = (length, length.iterations_max);
        Self::compute_first(engine, model, policy, input, extent)
    }

    /// As [`SequenceRun::compute`], but the first `until` iterations at most.
    ///
    /// # Errors
    /// As [`SequenceRun::compute`].
    pub fn compute_first(
        engine: &Engine,
        model: &Arc<Model<C>>,
        policy: Arc<dyn SequencePolicy<C>>,
        input: SequenceInput<C>,
        extent: (RunLength, u32),
    ) -> Result<Self, RunError> {
        let mut run = in_this_process(engine, model, &policy);
        let (engine, model) = (engine.clone(), Arc::clone(model));
        Self::compute_with((engine, model), policy, input, extent, &mut run)
    }

    /// As [`SequenceRun::continued`], computed in this process.
    ///
    /// # Errors
    /// When the model cannot be run.
    pub fn computed_on(&self, until: u32) -> Result<Self, RunError> {
        self.continued(until, &mut in_this_process(&self.engine, &self.model, &self.policy))
    }

    /// As [`SequenceRun::compute`], each iteration run by `run`: in another process, say. No more than the first
    /// `until` are made, and none from where `run` gives `None`.
    ///
    /// # Errors
    /// Those of `run`, and as [`SequenceRun::compute`].
    pub fn compute_with<E: From<RunError>>(
        (engine, model): (Engine, Arc<Model<C>>),
        policy: Arc<dyn SequencePolicy<C>>,
        input: SequenceInput<C>,
        (length, until): (RunLength, u32),
        run: &mut dyn FnMut(u32, State<C>) -> Result<Option<AnyRun<C>>, E>,
    ) -> Result<Self, E> {
        let (begins, is_batch, first) = begun(&model, input, length)?;
        let entries =
            if is_batch { begins.values().map(State::root).collect() } else { Vec::new() };
        let iterations_max = length.iterations_max;
        let spacing = spacing(model.header(), until.min(iterations_max));
        let made = Self {
            engine,
            model,
            policy,
            trace_roots: Vec::new(),
            entries,
            first_states: Vec::new(),
            last_states: Vec::new(),
            begins,
            spacing,
            iterations_max,
            next: Some(first),
            end: None,
            only: None,
            root: None,
            recent: Recent::default(),
            list: None,
        };
        made.gone_on(until, run)
    }

    /// This run made longer: its first `until` iterations, or as many as there are until it ends, or until `run` gives
    /// `None`. What is made already is not made again.
    ///
    /// # Errors
    /// Those of `run`, and as [`SequenceRun::compute`].
    pub fn continued<E: From<RunError>>(
        &self,
        until: u32,
        run: &mut dyn FnMut(u32, State<C>) -> Result<Option<AnyRun<C>>, E>,
    ) -> Result<Self, E> {
        let mut longer = Self {
            engine: self.engine.clone(),
            model: Arc::clone(&self.model),
            policy: Arc::clone(&self.policy),
            trace_roots: self.trace_roots.clone(),
            entries: self.entries.clone(),
            first_states: self.first_states.clone(),
            last_states: self.last_states.clone(),
            begins: self.begins.clone(),
            spacing: self.spacing,
            iterations_max: self.iterations_max,
            next: self.next.clone(),
            end: self.end.clone(),
            only: self.only.clone(),
            root: self.root,
            recent: self.recent.clone(),
            list: self.list.clone(),
        };
        if longer.entries.is_empty() {
            // Of what is kept more sparsely now, a part is kept already.
            let wanted = spacing(longer.model.header(), until.min(longer.iterations_max));
            let times = wanted.div_ceil(longer.spacing.max(1)).max(1);
            longer.spacing = longer.spacing.max(1).saturating_mul(times);
            let spacing = longer.spacing;
            longer.begins.retain(|at, _| at.is_multiple_of(spacing));
        }
        longer.gone_on(until, run)
    }

    /// With the iterations up to `until`.
    fn gone_on<E: From<RunError>>(
        mut self,
        until: u32,
        run: &mut dyn FnMut(u32, State<C>) -> Result<Option<AnyRun<C>>, E>,
    ) -> Result<Self, E> {
        while self.iterations() < until
            && let Some(state) = self.next.take()
        {
            let iteration = self.iterations();
            if self.entries.is_empty() && iteration.is_multiple_of(self.spacing.max(1)) {
                self.begins.insert(iteration, state.clone());
            }
            let Some(run) = run(iteration, state.clone())? else {
                self.next = Some(state);
                break;
            };
            if let (AnyRun::Whole(run), 1) = (&run, self.iterations_max) {
                self.only = Some(Arc::clone(run));
            }
            self.next = self.add(iteration, run)?;
        }
        self.list = TraceList::new(&self.trace_roots);
        let root = self.list.as_ref().map(|list| list.tree().root());
        self.root = root.filter(|_| self.end.is_none() && self.is_whole());
        Ok(self)
    }

    /// Takes the run of the next iteration; gives what the one after it begins with, or `None` after the last.
    fn add(&mut self, iteration: u32, run: AnyRun<C>) -> Result<Option<State<C>>, RunError> {
        let last = run.states().last().cloned().ok_or_else(|| lost(iteration))?;
        if iteration == 0 {
            self.first_states = run.state_roots().to_vec();
        }
        let AnyRun::Whole(_) = &run else {
            self.end = Some(run);
            return Ok(None);
        };
        self.trace_roots.extend(run.root());
        self.last_states = run.state_roots().to_vec();
        self.recent.remember(iteration, run);
        let next = iteration.checked_add(1).ok_or_else(|| lost(iteration))?;
        if !self.model.header().is_recurrent() {
            return Ok(self.begins.get(&next).filter(|_| !self.entries.is_empty()).cloned());
        }
        let is_last = self.policy.ends(iteration, self.says_end(&last));
        if is_last || next >= self.iterations_max {
            return Ok(None);
        }
        self.next_begins(next, &last).map(Some)
    }

    /// Whether the state after an iteration says that the run ends.
    fn says_end(&self, last: &State<C>) -> bool {
        let stop = self.model.header().stop.and_then(|value| last.tensor(value));
        stop.and_then(|said| said.bits(0)).is_some_and(|bits| bits != 0)
    }

    /// What an iteration begins with, from the last state of the one before it.
    fn next_begins(&self, iteration: u32, last: &State<C>) -> Result<State<C>, RunError> {
        let handed_on = last.handed_on(&self.model.header().links);
        let handed_on = handed_on.ok_or_else(|| lost(iteration))?;
        let begins = self.policy.begins(iteration, handed_on.values().to_vec());
        State::after(&handed_on, begins).ok_or_else(|| lost(iteration))
    }

    /// What an iteration begins with, from what the one before it began with; nothing is hashed.
    fn pass_on(
        &self,
        iteration: u32,
        begins: Vec<(u32, Tensor)>,
    ) -> Result<Vec<(u32, Tensor)>, RunError> {
        let compute_policy = self.policy.iteration(iteration);
        let (engine, model) = (&self.engine, self.model.as_ref());
        let runner = Runner { engine, model, compute_policy: compute_policy.as_ref() };
        let last = runner.last_values(begins)?;
        let next = iteration.checked_add(1).ok_or_else(|| lost(iteration))?;
        let links = (0u32..).zip(&model.header().links);
        let handed_on = links.map(|(input, value)| Some((input, find(&last, *value)?.clone())));
        let handed_on: Option<Vec<(u32, Tensor)>> = handed_on.collect();
        Ok(self.policy.begins(next, handed_on.ok_or_else(|| lost(next))?))
    }

    /// The run of an iteration, computed again unless it is in memory. The one after the last that has a result is
    /// that of the iteration without one, if the run ends there.
    ///
    /// # Errors
    /// When the run has no such iteration, or this machine computes something else than when it was run first.
    pub fn run(&self, iteration: u32) -> Result<AnyRun<C>, RunError> {
        let whole = self.trace_roots.len();
        if iteration as usize >= whole {
            let is_end = iteration as usize == whole;
            return self.end.clone().filter(|_| is_end).ok_or_else(|| lost(iteration));
        }
        if let Some(only) = &self.only {
            return Ok(AnyRun::Whole(Arc::clone(only)));
        }
        if let Some(run) = self.recent.run(iteration) {
            return Ok(run);
        }
        let state = self.beginning(iteration)?;
        let compute_policy = self.policy.iteration(iteration);
        let (engine, model) = (&self.engine, &self.model);
        let runner = Runner { engine, model, compute_policy: compute_policy.as_ref() };
        let outcome = runner.outcome(state)?;
        if outcome.root() != self.trace_roots.get(iteration as usize).copied() {
            return Err(RunError::Differs { iteration });
        }
        let run = AnyRun::new(engine.clone(), Arc::clone(model), compute_policy, outcome);
        self.recent.remember(iteration, run.clone());
        Ok(run)
    }

    /// What an iteration begins with: as it is kept, or passed on from the nearest iteration of which that is known.
    fn beginning(&self, iteration: u32) -> Result<State<C>, RunError> {
        let kept = self.begins.range(..=iteration).next_back();
        let (mut at, mut state) =
            kept.map(|(at, kept)| (*at, kept.clone())).ok_or_else(|| lost(iteration))?;
        if let Some((nearer, begins)) = self.recent.beginning(iteration)
            && nearer > at
        {
            (at, state) = (nearer, begins);
        }
        if let Some((before, last)) = self.recent.end_before(iteration)
            && before >= at
        {
            let next = before.checked_add(1).ok_or_else(|| lost(iteration))?;
            (at, state) = (next, self.next_begins(next, &last)?);
        }
        if at < iteration {
            let mut begins = state.values().to_vec();
            while at < iteration {
                begins = self.pass_on(at, begins)?;
                at = at.checked_add(1).ok_or_else(|| lost(iteration))?;
            }
            state = State::new(begins).ok_or_else(|| lost(iteration))?;
            self.recent.remember_beginning(iteration, &state);
        }
        Ok(state)
    }

    /// Whether the run of an iteration is in memory: nothing must be computed again to look at it.
    pub fn is_at_hand(&self, iteration: u32) -> bool {
        iteration >= self.iterations() || self.only.is_some() || self.recent.has(iteration)
    }

    /// Whether the run ended: by its model's word, at as many iterations as its job allows, or where an iteration has
    /// no result. One that is not whole says nothing about what comes after its iterations, nor that it does not end
    /// with the next.
    pub fn is_whole(&self) -> bool {
        self.next.is_none()
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<C>> {
        &self.model
    }

    /// Trace roots of the iterations that have a result, in their order.
    pub fn trace_roots(&self) -> &[Digest] {
        &self.trace_roots
    }

    /// Number of iterations that have a result.
    pub fn iterations(&self) -> u32 {
        u32::try_from(self.trace_roots.len()).unwrap_or(u32::MAX)
    }

    /// Roots of the entries of a batch; none of other runs.
    pub fn entries(&self) -> &[Digest] {
        &self.entries
    }

    /// Root of the job's input: of the first state, or of the list of a batch's entries.
    pub fn input_root(&self) -> Option<Digest> {
        match self.entries.is_empty() {
            true => self.first_states.first().copied(),
            false => Some(batch_tree::<C>(&self.entries)?.root()),
        }
    }

    /// Why the run ends before its time, where it does.
    pub fn no_result(&self) -> Option<&Arc<NoResult>> {
        self.end.as_ref().and_then(AnyRun::no_result)
    }

    /// The list of the trace roots; `None` without iterations that have a result.
    pub fn list(&self) -> Option<&TraceList<C>> {
        self.list.as_ref()
    }

    /// A node of the tree of a list of this shape that begins with this run's trace roots; `None` where something
    /// stands below it that this run does not have.
    pub fn node(&self, shape: &TreeShape, depth: u32, index: u64) -> Option<Digest> {
        match &self.list {
            Some(list) => list.node(shape, depth, index),
            None if shape.is_padding(depth, index) => {
                Some(empty_subtree::<C>(shape.depth().checked_sub(depth)?))
            }
            None => None,
        }
    }

    /// Root of the sequence; `None` where no claim on all of the run is true, and of a run that is not whole.
    pub fn root(&self) -> Option<Digest> {
        self.root
    }

    /// The run of its only iteration; `None` of a run of several, or without a result.
    pub fn only(&self) -> Option<&Arc<Run<C>>> {
        self.only.as_ref()
    }

    /// The last state of the last iteration: the output of the run.
    ///
    /// # Errors
    /// When there is no iteration with a result, or it cannot be computed again.
    pub fn output(&self) -> Result<State<C>, RunError> {
        let last = self.iterations().checked_sub(1).ok_or_else(|| lost(0))?;
        self.run(last)?.states().last().cloned().ok_or_else(|| lost(last))
    }

    /// The claim on this run; `None` where an iteration has no result, and of a run that is not whole.
    pub fn statement(&self, job: JobId, model_root: Digest) -> Option<Statement> {
        if self.end.is_some() || !self.is_whole() {
            return None;
        }
        let (first_states, last_states) = (&self.first_states, &self.last_states);
        let (traces, entries) = (&self.trace_roots, &self.entries);
        let roots = RunRoots { traces, first_states, last_states, entries };
        Statement::of_sequence::<C>(job, model_root, roots)
    }
}

fn lost(iteration: u32) -> RunError {
    RunError::NotInModel { what: format!("iteration {iteration} in this run") }
}

#[cfg(test)]
mod tests;
