//! What is computed once and shared by all worlds: models, inputs, and the runs of each lie.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use challenger::Announcement;
use inference::{
    AnyRun, ComputePolicy, Engine, Honest, Model, Outcome, Run, RunError, Runner, State, Tensor,
};
use protocol::hash::{Commitment, Digest};

use crate::bounds::ShapeBounds;
use crate::hostile::{self, Inventing};
use crate::toy::{ToySize, toy_input, toy_model};
use crate::whole::Whole;
use dispute::lies::{Lie, LieError, Lying};

/// Why a library cannot give something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixtureError {
    /// A model cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A lie has no place in the model.
    #[error(transparent)]
    Lie(#[from] LieError),
    /// There is no such model or input.
    #[error("the fixtures have no {what}")]
    Missing {
        /// What.
        what: String,
    },
}

/// One party's run of one input, with what it may publish.
#[derive(Debug)]
pub struct Known<C: Commitment> {
    /// The run.
    pub run: Arc<Run<C>>,
    /// Whether nothing is wrong with it, inside and outside.
    pub honest: bool,
    /// Whether it says the same as the honest run: a lie inside a layer may not reach its end.
    pub is_true: bool,
    /// Everything a dispute can ask for, published.
    pub published: Arc<Announcement<C>>,
    /// Everything that can be shown of it under each number of levels that an opening may span, once somebody asked.
    wholes: RwLock<BTreeMap<u32, Option<Arc<Whole<C>>>>>,
}

impl<C: Commitment> Known<C> {
    /// Everything that can be shown of the run on a ledger whose openings span so many levels.
    pub(crate) fn whole(&self, arity_log2: u32) -> Option<Arc<Whole<C>>> {
        let wholes = self.wholes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole) = wholes.get(&arity_log2) {
            return whole.clone();
        }
        drop(wholes);
        let whole = Whole::new(Arc::clone(&self.run), arity_log2).map(Arc::new);
        let mut wholes = self.wholes.write().unwrap_or_else(PoisonError::into_inner);
        wholes.entry(arity_log2).or_insert(whole).clone()
    }
}

/// A model and some inputs of it, by name.
pub type ModelWithInputs<C> = (Arc<Model<C>>, Vec<HashMap<String, Tensor>>);

/// A model with some inputs.
#[derive(Debug)]
struct RunCache<C: Commitment> {
    model: Arc<Model<C>>,
    inputs: Vec<HashMap<String, Tensor>>,
    /// Roots of the inputs' states.
    input_roots: Vec<OnceLock<Digest>>,
    /// Its bounds under each number of levels that an opening may span, once somebody asked.
    bounds: RwLock<BTreeMap<u32, ShapeBounds>>,
}

/// Which run: model, input, lie (`None` is the truth).
type Key = (usize, usize, Option<Lie>);

/// Honest runs without a result, by model and input.
type WithoutResult<C> = BTreeMap<(usize, usize), Option<AnyRun<C>>>;

/// Models, inputs and runs under one commitment.
#[derive(Debug)]
pub struct Fixtures<C: Commitment> {
    engine: Engine,
    run_caches: Vec<RunCache<C>>,
    /// The first so many are those that worlds are made up of; the others are hostile.
    plain: usize,
    runs: RwLock<BTreeMap<Key, Option<Arc<Known<C>>>>>,
    /// Honest runs without a result.
    without_result: RwLock<WithoutResult<C>>,
}

/// Inputs of each toy model.
const TOY_INPUTS: u64 = 4;

/// The sizes of the toy models: shallow and deep, with and without several segments in a sum.
pub const TOY_SIZES: [ToySize; 4] = [
    ToySize { layers: 1, width: 16 },
    ToySize { layers: 3, width: 150 },
    ToySize { layers: 6, width: 64 },
    ToySize { layers: 20, width: 40 },
];

impl<C: Commitment> Fixtures<C> {
    /// A library of given models, each with its inputs.
    pub fn of_models(engine: Engine, models: Vec<ModelWithInputs<C>>) -> Self {
        let run_cache = |(model, inputs): ModelWithInputs<C>| {
            let input_roots = inputs.iter().map(|_| OnceLock::new()).collect();
            RunCache { model, inputs, input_roots, bounds: RwLock::default() }
        };
        let run_caches: Vec<RunCache<C>> = models.into_iter().map(run_cache).collect();
        let (runs, without_result) = (RwLock::default(), RwLock::default());
        Self { engine, plain: run_caches.len(), run_caches, runs, without_result }
    }

    /// A library of toy models.
    ///
    /// # Errors
    /// When a size is outside the protocol's limits.
    pub fn of_toys(engine: Engine, sizes: &[ToySize]) -> Result<Self, FixtureError> {
        let missing = || FixtureError::Missing { what: "toy model of this size".to_owned() };
        let mut models = Vec::new();
        for size in sizes {
            let model = Arc::new(toy_model(*size).ok_or_else(missing)?);
            let inputs = (0..TOY_INPUTS).map(|index| {
                let tensor = toy_input(*size, index).ok_or_else(missing)?;
                Ok(HashMap::from([("input".to_owned(), tensor)]))
            });
            models.push((model, inputs.collect::<Result<Vec<_>, FixtureError>>()?));
        }
        let plain = models.len();
        for hostile in [hostile::undefined(), hostile::floats()] {
            let (model, inputs) = hostile.ok_or_else(missing)?;
            let inputs =
                inputs.into_iter().map(|tensor| HashMap::from([("input".to_owned(), tensor)]));
            models.push((Arc::new(model), inputs.collect()));
        }
        Ok(Self { plain, ..Self::of_models(engine, models) })
    }

    /// Number of models without the hostile ones, which come after them.
    pub fn plain_models(&self) -> usize {
        self.plain
    }

    /// Number of models.
    pub fn models(&self) -> usize {
        self.run_caches.len()
    }

    /// A model.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn model(&self, model: usize) -> Result<&Arc<Model<C>>, FixtureError> {
        let missing = || FixtureError::Missing { what: format!("model {model}") };
        Ok(&self.run_caches.get(model).ok_or_else(missing)?.model)
    }

    /// What a dispute over a model can need at most, from its shapes.
    ///
    /// # Errors
    /// When there is no model of this number.
    pub fn bounds(&self, model: usize, arity_log2: u32) -> Result<ShapeBounds, FixtureError> {
        let missing = || FixtureError::Missing { what: format!("model {model}") };
        let run_cache = self.run_caches.get(model).ok_or_else(missing)?;
        let known = run_cache.bounds.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(bounds) = known.get(&arity_log2) {
            return Ok(*bounds);
        }
        drop(known);
        let bounds = ShapeBounds::of(&run_cache.model, arity_log2);
        let mut known = run_cache.bounds.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(arity_log2, bounds);
        Ok(bounds)
    }

    /// Number of inputs of a model.
    pub fn inputs(&self, model: usize) -> usize {
        self.run_caches.get(model).map_or(0, |run_cache| run_cache.inputs.len())
    }

    /// Root of the input state.
    ///
    /// # Errors
    /// When there is no such model or input.
    pub fn input_root(&self, model: usize, input: usize) -> Result<Digest, FixtureError> {
        let missing = || FixtureError::Missing { what: format!("input {input} of model {model}") };
        let run_cache = self.run_caches.get(model).ok_or_else(missing)?;
        let known = run_cache.input_roots.get(input).ok_or_else(missing)?;
        if let Some(root) = known.get() {
            return Ok(*root);
        }
        let root = self.input_state(model, input)?.root();
        Ok(*known.get_or_init(|| root))
    }

    /// The honest run of an input for which an operator has no result; `None` where all have.
    ///
    /// # Errors
    /// When there is no such model or input.
    pub fn without_result(
        &self,
        model: usize,
        input: usize,
    ) -> Result<Option<AnyRun<C>>, FixtureError> {
        let known = self.without_result.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = known.get(&(model, input)) {
            return Ok(run.clone());
        }
        drop(known);
        let shared = Arc::clone(self.model(model)?);
        let runner = Runner::honest(&self.engine, &shared);
        let outcome = runner.outcome(self.input_state(model, input)?)?;
        let run = match outcome {
            Outcome::Whole(_) => None,
            partial @ Outcome::Partial(_) => {
                Some(AnyRun::new(self.engine.clone(), shared, Arc::new(Honest), partial))
            }
        };
        let mut known = self.without_result.write().unwrap_or_else(PoisonError::into_inner);
        Ok(known.entry((model, input)).or_insert(run).clone())
    }

    /// The input whose state has this root.
    pub fn input_of(&self, model: usize, root: &Digest) -> Option<usize> {
        (0..self.inputs(model)).find(|input| self.input_root(model, *input).ok() == Some(*root))
    }

    fn input_state(&self, model: usize, input: usize) -> Result<State<C>, FixtureError> {
        let missing = || FixtureError::Missing { what: format!("input {input} of model {model}") };
        let run_cache = self.run_caches.get(model).ok_or_else(missing)?;
        let tensors = run_cache.inputs.get(input).ok_or_else(missing)?;
        Ok(Runner::honest(&self.engine, &run_cache.model).input_state(tensors)?)
    }

    /// The honest run of an input.
    ///
    /// # Errors
    /// When there is no such model or input, or an operator has no result for it.
    pub fn truth(&self, model: usize, input: usize) -> Result<Arc<Known<C>>, FixtureError> {
        let missing = || FixtureError::Missing { what: format!("run of model {model}") };
        self.run(model, input, None)?.ok_or_else(missing)
    }

    /// A run with a lie in it; `None` when the lie has no place in the model, or an operator no result.
    ///
    /// # Errors
    /// When there is no such model or input, or it cannot be run.
    pub fn run(
        &self,
        model: usize,
        input: usize,
        lie: Option<&Lie>,
    ) -> Result<Option<Arc<Known<C>>>, FixtureError> {
        let key = (model, input, lie.cloned());
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = runs.get(&key) {
            return Ok(known.clone());
        }
        drop(runs);
        let known = self.compute(model, input, lie)?.map(Arc::new);
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        Ok(runs.entry(key).or_insert(known).clone())
    }

    fn compute(
        &self,
        model: usize,
        input: usize,
        lie: Option<&Lie>,
    ) -> Result<Option<Known<C>>, FixtureError> {
        let shared = Arc::clone(self.model(model)?);
        let state = self.input_state(model, input)?;
        let compute_policy: Arc<dyn ComputePolicy<C>> = match lie {
            None => Arc::new(Honest),
            Some(lie) => {
                // Of a run without a result all that is claimed is invented, whatever the lie.
                match self.run(model, input, None)? {
                    None => Arc::new(Inventing { lies_at_the_end: *lie == Lie::Selective }),
                    Some(honest) => match Lying::new(lie, &shared, honest.run.trace()) {
                        Ok(lying) => Arc::new(lying),
                        Err(LieError::NoPlace { .. }) => return Ok(None),
                        Err(error) => return Err(error.into()),
                    },
                }
            }
        };
        let runner = Runner {
            engine: &self.engine,
            model: &shared,
            compute_policy: compute_policy.as_ref(),
        };
        let trace = match (runner.run(state), lie) {
            (Ok(trace), _) => trace,
            // A lie that drives the model out of its numbers cannot be told, and what has no result is no run.
            (Err(RunError::Operator { .. }), _) => return Ok(None),
            (Err(error), _) => return Err(error.into()),
        };
        let is_true = match lie {
            None => true,
            Some(_) => {
                let honest = self.run(model, input, None)?;
                honest.is_some_and(|honest| honest.run.trace().root() == trace.root())
            }
        };
        let run = Arc::new(Run::new(self.engine.clone(), shared, compute_policy, trace));
        let mut published = Announcement::of_roots(run.trace().state_roots().to_vec());
        if !is_true {
            for layer in 0..run.model().header().layer_count {
                for tensor in run.inside(layer)?.tensors() {
                    published.add(tensor.clone());
                }
            }
        }
        let (honest, published) = (lie.is_none(), Arc::new(published));
        Ok(Some(Known { run, honest, is_true, published, wholes: RwLock::default() }))
    }
}
