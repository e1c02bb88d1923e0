//! A run of several iterations: of a model whose outputs feed its inputs, or of a batch of inputs.
//!
//! Kept are the trace root of every iteration, and what some of them begin with. The rest is computed again
//! when somebody asks about an iteration.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::hash::{Commitment, Digest, Keccak};
use protocol::ids::JobId;
use protocol::merkle::ListTree;
use protocol::roots::{batch_tree, sequence_tree};
use protocol::transaction::{RunLength, RunRoots, Statement};

use crate::compute_policy::{ComputePolicy, Honest};
use crate::engine::Engine;
use crate::model::Model;
use crate::partial::NoResult;
use crate::run::{AnyRun, Run};
use crate::runner::Runner;
use crate::state::State;
use crate::trace::RunError;

/// Of so many iterations that follow from one another, the beginning of one is kept, whatever its size.
const KEPT_EVERY: u32 = 64;
/// Beginnings of other iterations are kept up to so many bytes.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// Iterations whose runs are in memory at once.
const RECENT_MAX: usize = 4;

/// How an executor computes a run of several iterations. The honest one does what the model says.
pub trait SequencePolicy<C: Commitment = Keccak>: fmt::Debug + Send + Sync {
    /// How an iteration is computed.
    fn iteration(&self, _iteration: u32) -> Arc<dyn ComputePolicy<C>> {
        Arc::new(Honest)
    }

    /// The state that an iteration begins with; not the first, whose state is the job's.
    fn begins(&self, _iteration: u32, handed_on: State<C>) -> State<C> {
        handed_on
    }

    /// Whether the run ends with an iteration, and what the model says about it.
    fn ends(&self, _iteration: u32, said: bool) -> bool {
        said
    }
}

impl<C: Commitment> SequencePolicy<C> for Honest {}

/// All iterations computed in one way.
#[derive(Clone, Debug)]
pub struct Alike<C: Commitment>(pub Arc<dyn ComputePolicy<C>>);

impl<C: Commitment> SequencePolicy<C> for Alike<C> {
    fn iteration(&self, _iteration: u32) -> Arc<dyn ComputePolicy<C>> {
        Arc::clone(&self.0)
    }
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub enum SequenceInput<C: Commitment = Keccak> {
    /// The first state: of an ordinary run, or of one whose iterations follow from one another.
    One(State<C>),
    /// The first states of the iterations of a batch, in their order.
    Batch(Vec<State<C>>),
}

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
    /// What iterations begin with: of a batch all, of others some.
    begins: BTreeMap<u32, State<C>>,
    /// The iteration that has no result, if there is one: after all others.
    end: Option<AnyRun<C>>,
    /// The run of one iteration.
    only: Option<Arc<Run<C>>>,
    root: Option<Digest>,
    recent: Mutex<VecDeque<(u32, AnyRun<C>)>>,
    /// The last tree that was built, by the number of its iterations.
    tree: Mutex<Option<(u32, ListTree<C>)>>,
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
        let root = sequence_tree::<C>(&trace_roots).map(|tree| tree.root());
        Self {
            engine,
            model,
            policy: Arc::new(Honest),
            trace_roots,
            entries: Vec::new(),
            first_states: states.clone(),
            last_states: states,
            begins: BTreeMap::new(),
            end,
            only,
            root,
            recent: Mutex::default(),
            tree: Mutex::default(),
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
        let (engine, model) = (engine.clone(), Arc::clone(model));
        let computing = Arc::clone(&policy);
        let (apart, of) = (engine.clone(), Arc::clone(&model));
        Self::compute_with((engine, model), policy, input, length, &mut |iteration, state| {
            let compute_policy = computing.iteration(iteration);
            let runner =
                Runner { engine: &apart, model: &of, compute_policy: compute_policy.as_ref() };
            let outcome = runner.outcome(state)?;
            Ok::<_, RunError>(AnyRun::new(apart.clone(), Arc::clone(&of), compute_policy, outcome))
        })
    }

    /// As [`SequenceRun::compute`], each iteration run by `run`: in another process, say.
    ///
    /// # Errors
    /// Those of `run`, and as [`SequenceRun::compute`].
    pub fn compute_with<E: From<RunError>>(
        (engine, model): (Engine, Arc<Model<C>>),
        policy: Arc<dyn SequencePolicy<C>>,
        input: SequenceInput<C>,
        length: RunLength,
        run: &mut dyn FnMut(u32, State<C>) -> Result<AnyRun<C>, E>,
    ) -> Result<Self, E> {
        let (begins, is_batch, first) = begun(&model, input, length)?;
        let entries =
            if is_batch { begins.values().map(State::root).collect() } else { Vec::new() };
        let mut made = Self {
            engine,
            model,
            policy,
            trace_roots: Vec::new(),
            entries,
            first_states: Vec::new(),
            last_states: Vec::new(),
            begins,
            end: None,
            only: None,
            root: None,
            recent: Mutex::default(),
            tree: Mutex::default(),
        };
        let (mut state, mut kept_bytes) = (first, 0u64);
        for iteration in 0..length.iterations_max {
            if is_batch {
                state = made.begins.get(&iteration).cloned().ok_or_else(|| lost(iteration))?;
            } else {
                kept_bytes = kept_bytes.saturating_add(state.bytes());
                if iteration % KEPT_EVERY == 0 || kept_bytes <= KEPT_BYTES_MAX {
                    made.begins.insert(iteration, state.clone());
                }
            }
            let run = run(iteration, state)?;
            if let (AnyRun::Whole(run), 1) = (&run, length.iterations_max) {
                made.only = Some(Arc::clone(run));
            }
            let Some(next) = made.add(iteration, run)? else { break };
            state = next;
        }
        made.root = made.root_of_first(made.iterations()).filter(|_| made.end.is_none());
        Ok(made)
    }

    /// Takes the run of the next iteration; gives the state of the one after it, or `None` after the last.
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
        self.remember(iteration, run);
        if !self.model.header().is_recurrent() {
            return Ok(Some(last));
        }
        if self.policy.ends(iteration, self.says_end(&last)) {
            return Ok(None);
        }
        let next = iteration.checked_add(1).ok_or_else(|| lost(iteration))?;
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
        Ok(self.policy.begins(iteration, handed_on.ok_or_else(|| lost(iteration))?))
    }

    fn remember(&self, iteration: u32, run: AnyRun<C>) {
        // The list only ever holds finished runs, so that a poisoned lock hides nothing.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.iter().any(|(at, _)| *at == iteration) {
            return;
        }
        recent.push_back((iteration, run));
        if recent.len() > RECENT_MAX {
            recent.pop_front();
        }
    }

    fn recent(&self, iteration: u32) -> Option<AnyRun<C>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|(at, _)| *at == iteration).map(|(_, run)| run.clone())
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
        if let Some(run) = self.recent(iteration) {
            return Ok(run);
        }
        let kept = self.begins.range(..=iteration).next_back();
        let (mut at, mut state) =
            kept.map(|(at, state)| (*at, state.clone())).ok_or_else(|| lost(iteration))?;
        loop {
            let compute_policy = self.policy.iteration(at);
            let (engine, model) = (&self.engine, &self.model);
            let runner = Runner { engine, model, compute_policy: compute_policy.as_ref() };
            let outcome = runner.outcome(state)?;
            let last = outcome.last_state().cloned().ok_or_else(|| lost(at))?;
            if outcome.root() != self.trace_roots.get(at as usize).copied() {
                return Err(RunError::Differs { iteration: at });
            }
            let run = AnyRun::new(engine.clone(), Arc::clone(model), compute_policy, outcome);
            if at == iteration {
                self.remember(iteration, run.clone());
                return Ok(run);
            }
            at = at.checked_add(1).ok_or_else(|| lost(iteration))?;
            state = self.next_begins(at, &last)?;
        }
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

    /// The tree of a sequence of so many iterations that begins with this run's, and the number of those that it
    /// has. The others stand empty: what is above them is nobody's commitment.
    pub fn tree(&self, iterations: u32) -> Option<(ListTree<C>, u64)> {
        let known = u64::from(self.iterations().min(iterations));
        // Either a whole tree or none is in it, so that a poisoned lock hides nothing.
        let mut last = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, tree)) = &*last
            && *count == iterations
        {
            return Some((tree.clone(), known));
        }
        let mut roots = self.trace_roots.clone();
        roots.resize(iterations as usize, Digest::default());
        let tree: ListTree<C> = sequence_tree(&roots)?;
        *last = Some((iterations, tree.clone()));
        Some((tree, known))
    }

    /// Root of the sequence of the first iterations of this run; `None` where it has fewer with a result.
    pub fn root_of_first(&self, iterations: u32) -> Option<Digest> {
        let first = self.trace_roots.get(..iterations as usize)?;
        Some(sequence_tree::<C>(first)?.root())
    }

    /// Root of the sequence; `None` where no claim on all of the run is true.
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

    /// The claim on this run; `None` where an iteration has no result.
    pub fn statement(&self, job: JobId, model_root: Digest) -> Option<Statement> {
        if self.end.is_some() {
            return None;
        }
        let (first_states, last_states) = (&self.first_states, &self.last_states);
        let (traces, entries) = (&self.trace_roots, &self.entries);
        let roots = RunRoots { traces, first_states, last_states, entries };
        Statement::of_sequence::<C>(job, model_root, roots)
    }
}

/// What iterations begin with as far as it is given, whether they are of a batch, and the first of them.
type Begun<C> = (BTreeMap<u32, State<C>>, bool, State<C>);

fn begun<C: Commitment>(
    model: &Model<C>,
    input: SequenceInput<C>,
    length: RunLength,
) -> Result<Begun<C>, RunError> {
    let is_recurrent = model.header().is_recurrent();
    let fits = match &input {
        SequenceInput::One(_) => is_recurrent || length.iterations_max == 1,
        SequenceInput::Batch(entries) => {
            !is_recurrent && entries.len() == length.iterations_max as usize
        }
    };
    let what = || "run of as many iterations from this input".to_owned();
    if !fits {
        return Err(RunError::NotInModel { what: what() });
    }
    match input {
        SequenceInput::One(state) => Ok((BTreeMap::new(), false, state)),
        SequenceInput::Batch(entries) => {
            let first = entries.first().cloned();
            let first = first.ok_or_else(|| RunError::NotInModel { what: what() })?;
            let is_batch = entries.len() > 1;
            Ok(((0u32..).zip(entries).collect(), is_batch, first))
        }
    }
}

fn lost(iteration: u32) -> RunError {
    RunError::NotInModel { what: format!("iteration {iteration} in this run") }
}
