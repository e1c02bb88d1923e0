//! A run of several iterations: of a model whose outputs feed its inputs, or of a batch of inputs.
//!
//! Kept are the trace root of every iteration, and what some of them begin with ([`spacing`]). The rest is computed
//! again when somebody asks about an iteration.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::graph::ModelHeader;
use protocol::hash::{Commitment, Digest, Keccak, Tag};
use protocol::ids::JobId;
use protocol::merkle::{ListTree, TreeShape, empty_subtree, list_root};
use protocol::roots::{batch_tree, sequence_tree};
use protocol::tensor::TensorType;
use protocol::transaction::{RunLength, RunRoots, Statement};

use crate::compute_policy::{ComputePolicy, Honest};
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
/// Iterations whose runs are in memory at once: so many, or as many as have so many bytes of states.
const RECENT_MAX: usize = 16;
const RECENT_BYTES_MAX: u64 = 32 << 20;

/// How an executor computes a run of several iterations. The honest one does what the model says.
pub trait SequencePolicy<C: Commitment = Keccak>: fmt::Debug + Send + Sync {
    /// How an iteration is computed.
    fn iteration(&self, _iteration: u32) -> Arc<dyn ComputePolicy<C>> {
        Arc::new(Honest)
    }

    /// What an iteration begins with; not the first, which begins with what the job says.
    fn begins(&self, _iteration: u32, handed_on: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
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
    /// The list of the trace roots; `None` without iterations.
    list: Option<TraceList<C>>,
}

/// The list of a run's trace roots. Clones share it.
#[derive(Clone, Debug)]
pub struct TraceList<C: Commitment = Keccak> {
    tree: ListTree<C>,
    count: u64,
}

impl<C: Commitment> TraceList<C> {
    /// `None` for no root.
    fn new(trace_roots: &[Digest]) -> Option<Self> {
        Some(Self { tree: sequence_tree(trace_roots)?, count: trace_roots.len() as u64 })
    }

    /// Its tree.
    pub fn tree(&self) -> &ListTree<C> {
        &self.tree
    }

    /// A node of the tree of a list of this shape that begins with this one; `None` where something stands below it
    /// that this one does not have. It takes as many steps as the tree has levels, however long the list is.
    pub fn node(&self, shape: &TreeShape, depth: u32, index: u64) -> Option<Digest> {
        let levels = shape.depth().checked_sub(depth)?;
        if shape.is_padding(depth, index) {
            return Some(empty_subtree::<C>(levels));
        }
        let first = index.checked_shl(levels)?;
        let end = first.checked_add(1u64.checked_shl(levels)?)?;
        if end.min(shape.leaves()) > self.count {
            return None;
        }
        // Where the other list ends within, this one's own nodes hold more than it has.
        if end <= self.count.min(shape.leaves()) {
            let tree = self.tree.tree();
            return tree.node(tree.shape().depth().checked_sub(levels)?, index);
        }
        // What is there ends below this node: all beyond is padding, which the right side has.
        let child =
            |side: u64| self.node(shape, depth.checked_add(1)?, index.checked_mul(2)? | side);
        Some(C::node(&child(0)?, &child(1)?))
    }

    /// Root of the sequence of its first iterations; `None` where it has fewer.
    pub fn root_of_first(&self, iterations: u32) -> Option<Digest> {
        let inner = self.node(&TreeShape::list(u64::from(iterations))?, 0, 0)?;
        Some(list_root::<C>(Tag::Sequence, iterations, &inner))
    }
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
        let root = list.as_ref().map(|list| list.tree.root());
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
            list: None,
        };
        let spacing = spacing(made.model.header(), length.iterations_max);
        let mut state = first;
        for iteration in 0..length.iterations_max {
            if is_batch {
                state = made.begins.get(&iteration).cloned().ok_or_else(|| lost(iteration))?;
            } else if iteration % spacing == 0 {
                made.begins.insert(iteration, state.clone());
            }
            let run = run(iteration, state)?;
            if let (AnyRun::Whole(run), 1) = (&run, length.iterations_max) {
                made.only = Some(Arc::clone(run));
            }
            let Some(next) = made.add(iteration, run)? else { break };
            state = next;
        }
        made.list = TraceList::new(&made.trace_roots);
        let root = made.list.as_ref().map(|list| list.tree.root());
        made.root = root.filter(|_| made.end.is_none());
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

    fn remember(&self, iteration: u32, run: AnyRun<C>) {
        // The list only ever holds finished runs, so that a poisoned lock hides nothing.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.iter().any(|(at, _)| *at == iteration) {
            return;
        }
        let bytes =
            |run: &AnyRun<C>| run.states().iter().map(State::bytes).fold(0, u64::saturating_add);
        recent.push_back((iteration, run));
        while recent.len() > 1 {
            let all = recent.iter().map(|(_, run)| bytes(run)).fold(0, u64::saturating_add);
            if recent.len() <= RECENT_MAX && all <= RECENT_BYTES_MAX {
                break;
            }
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
        let (mut at, kept) = kept.map(|(at, kept)| (*at, kept)).ok_or_else(|| lost(iteration))?;
        let state = if at == iteration {
            kept.clone()
        } else {
            let mut begins = kept.values().to_vec();
            while at < iteration {
                begins = self.pass_on(at, begins)?;
                at = at.checked_add(1).ok_or_else(|| lost(iteration))?;
            }
            State::new(begins).ok_or_else(|| lost(iteration))?
        };
        let compute_policy = self.policy.iteration(iteration);
        let (engine, model) = (&self.engine, &self.model);
        let runner = Runner { engine, model, compute_policy: compute_policy.as_ref() };
        let outcome = runner.outcome(state)?;
        if outcome.root() != self.trace_roots.get(iteration as usize).copied() {
            return Err(RunError::Differs { iteration });
        }
        let run = AnyRun::new(engine.clone(), Arc::clone(model), compute_policy, outcome);
        self.remember(iteration, run.clone());
        Ok(run)
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

#[cfg(test)]
mod tests;
