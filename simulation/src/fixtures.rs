//! What is computed once and shared by all worlds: models, inputs, and the runs of each lie.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use challenger::Announcement;
use inference::{ComputePolicy, Engine, Honest, Model, Run, RunError, Runner, State, Tensor};
use protocol::hash::{Commitment, Digest};

use crate::bounds::ShapeBounds;
use crate::toy::{ToySize, toy_input, toy_model};
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
}

/// A model and some inputs of it, by name.
pub type ModelWithInputs<C> = (Arc<Model<C>>, Vec<HashMap<String, Tensor>>);

/// A model with some inputs.
#[derive(Debug)]
struct RunCache<C: Commitment> {
    model: Arc<Model<C>>,
    inputs: Vec<HashMap<String, Tensor>>,
    /// Its bounds under each number of levels that an opening may span, once somebody asked.
    bounds: RwLock<BTreeMap<u32, ShapeBounds>>,
}

/// Which run: model, input, lie (`None` is the truth).
type Key = (usize, usize, Option<Lie>);

/// Models, inputs and runs under one commitment.
#[derive(Debug)]
pub struct Fixtures<C: Commitment> {
    engine: Engine,
    run_caches: Vec<RunCache<C>>,
    runs: RwLock<BTreeMap<Key, Option<Arc<Known<C>>>>>,
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
        let run_cache = |(model, inputs)| RunCache { model, inputs, bounds: RwLock::default() };
        let run_caches = models.into_iter().map(run_cache).collect();
        Self { engine, run_caches, runs: RwLock::default() }
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
        Ok(Self::of_models(engine, models))
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
        let honest = self.truth(model, input)?;
        Ok(honest.run.trace().state_roots().first().copied().unwrap_or_default())
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
    /// When there is no such model or input.
    pub fn truth(&self, model: usize, input: usize) -> Result<Arc<Known<C>>, FixtureError> {
        let missing = || FixtureError::Missing { what: format!("run of model {model}") };
        self.run(model, input, None)?.ok_or_else(missing)
    }

    /// A run with a lie in it; `None` when the lie has no place in the model.
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
                let honest = self.truth(model, input)?;
                match Lying::new(lie, &shared, honest.run.trace()) {
                    Ok(lying) => Arc::new(lying),
                    Err(LieError::NoPlace { .. }) => return Ok(None),
                    Err(error) => return Err(error.into()),
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
            // A lie that drives the model out of its numbers cannot be told.
            (Err(RunError::Operator { .. }), Some(_)) => return Ok(None),
            (Err(error), _) => return Err(error.into()),
        };
        let is_true = match lie {
            None => true,
            Some(_) => self.truth(model, input)?.run.trace().root() == trace.root(),
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
        Ok(Some(Known { run, honest: lie.is_none(), is_true, published: Arc::new(published) }))
    }
}
