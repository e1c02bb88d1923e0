//! One party's run of one job, with the insides of its layers as far as a dispute asked for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use protocol::hash::{Commitment, Digest, Keccak};
use protocol::merkle::{ListTree, Tree};

use crate::compute_policy::ComputePolicy;
use crate::engine::Engine;
use crate::model::Model;
use crate::partial::{NoResult, Outcome, PartialTrace};
use crate::runner::Runner;
use crate::state::{State, Subtrace};
use crate::tensor::Tensor;
use crate::trace::{RunError, Trace};

/// Running sums by operator and element.
type Sums = HashMap<(u32, u64), Arc<[u64]>>;

/// What is recomputed of a run when somebody asks: a cache of what follows from model, compute policy and
/// states.
#[derive(Debug)]
struct Insides<C: Commitment> {
    engine: Engine,
    model: Arc<Model<C>>,
    compute_policy: Arc<dyn ComputePolicy<C>>,
    layers: Vec<OnceLock<Subtrace<C>>>,
    sums: Mutex<Sums>,
    /// Where the run ends before its time.
    end: Option<Arc<NoResult>>,
}

impl<C: Commitment> Insides<C> {
    fn new(
        engine: Engine,
        model: Arc<Model<C>>,
        compute_policy: Arc<dyn ComputePolicy<C>>,
        end: Option<Arc<NoResult>>,
    ) -> Self {
        let layers = vec![OnceLock::new(); model.header().layer_count as usize];
        Self { engine, model, compute_policy, layers, sums: Mutex::default(), end }
    }

    fn runner(&self) -> Runner<'_, C> {
        Runner {
            engine: &self.engine,
            model: &self.model,
            compute_policy: self.compute_policy.as_ref(),
        }
    }

    fn place(&self, operator: u32) -> Result<(u32, u32), RunError> {
        let missing = || RunError::NotInModel { what: format!("operator {operator}") };
        let layer = self.model.layer_of(operator).ok_or_else(missing)?;
        let definition = self.model.layer(layer).ok_or_else(missing)?;
        Ok((layer, definition.position(operator).ok_or_else(missing)?))
    }

    fn layer(&self, states: &[State<C>], layer: u32) -> Result<&Subtrace<C>, RunError> {
        let missing = || RunError::NotInModel { what: format!("layer {layer}") };
        let cell = self.layers.get(layer as usize).ok_or_else(missing)?;
        if let Some(inside) = cell.get() {
            return Ok(inside);
        }
        let before = states.get(layer as usize).ok_or_else(missing)?;
        let begun = self.runner().begin_layer(layer, before.values())?;
        let expected = self.end.as_deref().filter(|end| end.layer == layer);
        if begun.no_result.as_ref() != expected {
            // The run and this machine do not agree: nothing can be built on it.
            let found = begun.no_result.as_ref().or(expected);
            return Err(found.map_or_else(missing, NoResult::error));
        }
        let count = self.model.layer(layer).ok_or_else(missing)?.operator_count;
        let inside = Subtrace::begun(begun.outputs, count as usize).ok_or_else(missing)?;
        Ok(cell.get_or_init(|| inside))
    }

    fn output(&self, states: &[State<C>], operator: u32) -> Result<&Tensor, RunError> {
        let (layer, position) = self.place(operator)?;
        let missing = || RunError::NotInModel { what: format!("output of operator {operator}") };
        self.layer(states, layer)?.tensors().get(position as usize).ok_or_else(missing)
    }

    fn output_tree(&self, states: &[State<C>], operator: u32) -> Result<&Tree<C>, RunError> {
        let (layer, position) = self.place(operator)?;
        let missing = || RunError::NotInModel { what: format!("output of operator {operator}") };
        self.layer(states, layer)?.leaf_tree(position).ok_or_else(missing)
    }

    fn operands<'t>(
        &'t self,
        states: &'t [State<C>],
        operator: u32,
    ) -> Result<Vec<&'t Tensor>, RunError> {
        let (layer, _) = self.place(operator)?;
        let missing = || RunError::NotInModel { what: format!("state {layer}") };
        let before = states.get(layer as usize).ok_or_else(missing)?;
        let inside = self.layer(states, layer)?;
        self.runner().operands(operator, before, inside)
    }

    fn accumulators(
        &self,
        states: &[State<C>],
        operator: u32,
        element: u64,
    ) -> Result<Arc<[u64]>, RunError> {
        let known = |sums: &Sums| sums.get(&(operator, element)).cloned();
        // The map only ever grows by finished entries, so that a poisoned lock hides nothing.
        if let Some(words) = known(&self.sums.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(words);
        }
        let operands = self.operands(states, operator)?;
        let is_end = self.end.as_ref().is_some_and(|end| end.operator == operator);
        let runner = self.runner();
        let words: Arc<[u64]> = if is_end {
            runner.begun_accumulators(operator, element, &operands)?.into()
        } else {
            runner.accumulators(operator, element, &operands)?.into()
        };
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.insert((operator, element), Arc::clone(&words));
        Ok(words)
    }
}

/// A committed run and what can be recomputed from it: shared by all who defend or check with it.
///
/// Everything in it follows from model, compute policy and input; what is filled in later is a cache.
#[derive(Debug)]
pub struct Run<C: Commitment = Keccak> {
    trace: Trace<C>,
    insides: Insides<C>,
}

/// As [`Run`], of a run that ends before an operator without a result: of that operator's layer there are the
/// outputs before it.
#[derive(Debug)]
pub struct PartialRun<C: Commitment = Keccak> {
    trace: PartialTrace<C>,
    insides: Insides<C>,
}

/// A run, whole or partial. Clones share it.
#[derive(Clone, Debug)]
pub enum AnyRun<C: Commitment = Keccak> {
    /// Every operator has a result.
    Whole(Arc<Run<C>>),
    /// One has none.
    Partial(Arc<PartialRun<C>>),
}

impl<C: Commitment> Run<C> {
    /// The run of a trace that this compute policy computed.
    pub fn new(
        engine: Engine,
        model: Arc<Model<C>>,
        compute_policy: Arc<dyn ComputePolicy<C>>,
        trace: Trace<C>,
    ) -> Self {
        Self { trace, insides: Insides::new(engine, model, compute_policy, None) }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<C>> {
        &self.insides.model
    }

    /// The committed states.
    pub fn trace(&self) -> &Trace<C> {
        &self.trace
    }

    /// How it was computed.
    pub fn runner(&self) -> Runner<'_, C> {
        self.insides.runner()
    }

    /// The inside of a layer, recomputed at the first call.
    ///
    /// # Errors
    /// When the layer is not in the model or cannot be recomputed.
    pub fn inside(&self, layer: u32) -> Result<&Subtrace<C>, RunError> {
        self.insides.layer(self.trace.states(), layer)
    }

    /// Layer of an operator and its position in it.
    ///
    /// # Errors
    /// When the model has no such operator.
    pub fn place(&self, operator: u32) -> Result<(u32, u32), RunError> {
        self.insides.place(operator)
    }

    /// Output of an operator, its layer recomputed at the first call.
    ///
    /// # Errors
    /// When the model has no such operator or its layer cannot be recomputed.
    pub fn output(&self, operator: u32) -> Result<&Tensor, RunError> {
        self.insides.output(self.trace.states(), operator)
    }

    /// Leaf tree of an operator's output.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub fn output_tree(&self, operator: u32) -> Result<&Tree<C>, RunError> {
        self.insides.output_tree(self.trace.states(), operator)
    }

    /// Operands of an operator.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub fn operands(&self, operator: u32) -> Result<Vec<&Tensor>, RunError> {
        self.insides.operands(self.trace.states(), operator)
    }

    /// The running sums of an element, as this compute policy would reveal them.
    ///
    /// # Errors
    /// When the operator does not fold or has no result.
    pub fn accumulators(&self, operator: u32, element: u64) -> Result<Arc<[u64]>, RunError> {
        self.insides.accumulators(self.trace.states(), operator, element)
    }
}

impl<C: Commitment> PartialRun<C> {
    /// The run of a partial trace that this compute policy computed.
    pub fn new(
        engine: Engine,
        model: Arc<Model<C>>,
        compute_policy: Arc<dyn ComputePolicy<C>>,
        trace: PartialTrace<C>,
    ) -> Self {
        let end = Some(Arc::clone(trace.no_result()));
        Self { trace, insides: Insides::new(engine, model, compute_policy, end) }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<C>> {
        &self.insides.model
    }

    /// The committed states.
    pub fn trace(&self) -> &PartialTrace<C> {
        &self.trace
    }
}

impl<C: Commitment> AnyRun<C> {
    /// The run of what a run gave.
    pub fn new(
        engine: Engine,
        model: Arc<Model<C>>,
        compute_policy: Arc<dyn ComputePolicy<C>>,
        outcome: Outcome<C>,
    ) -> Self {
        match outcome {
            Outcome::Whole(trace) => {
                Self::Whole(Arc::new(Run::new(engine, model, compute_policy, trace)))
            }
            Outcome::Partial(trace) => {
                Self::Partial(Arc::new(PartialRun::new(engine, model, compute_policy, trace)))
            }
        }
    }

    fn insides(&self) -> &Insides<C> {
        match self {
            Self::Whole(run) => &run.insides,
            Self::Partial(run) => &run.insides,
        }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<C>> {
        &self.insides().model
    }

    /// How it was computed.
    pub fn runner(&self) -> Runner<'_, C> {
        self.insides().runner()
    }

    /// Where it ends before its last layer, and why.
    pub fn no_result(&self) -> Option<&Arc<NoResult>> {
        self.insides().end.as_ref()
    }

    /// The trace root; `None` where no claim is true.
    pub fn root(&self) -> Option<Digest> {
        match self {
            Self::Whole(run) => Some(run.trace.root()),
            Self::Partial(_) => None,
        }
    }

    /// The states that there are, the input's first.
    pub fn states(&self) -> &[State<C>] {
        match self {
            Self::Whole(run) => run.trace.states(),
            Self::Partial(run) => run.trace.states(),
        }
    }

    /// Their roots.
    pub fn state_roots(&self) -> &[Digest] {
        match self {
            Self::Whole(run) => run.trace.state_roots(),
            Self::Partial(run) => run.trace.state_roots(),
        }
    }

    /// The tree of the state roots, in which those that there are not stand empty.
    pub fn tree(&self) -> &ListTree<C> {
        match self {
            Self::Whole(run) => run.trace.tree(),
            Self::Partial(run) => run.trace.tree(),
        }
    }

    /// The state at a boundary.
    pub fn state(&self, boundary: u32) -> Option<&State<C>> {
        self.states().get(boundary as usize)
    }

    /// The inside of a layer, recomputed at the first call; in the last layer of a partial run, the outputs
    /// before the operator without a result.
    ///
    /// # Errors
    /// When the run has no such layer or it cannot be recomputed.
    pub fn inside(&self, layer: u32) -> Result<&Subtrace<C>, RunError> {
        self.insides().layer(self.states(), layer)
    }

    /// Output of an operator, its layer recomputed at the first call.
    ///
    /// # Errors
    /// When the run has no such output or its layer cannot be recomputed.
    pub fn output(&self, operator: u32) -> Result<&Tensor, RunError> {
        self.insides().output(self.states(), operator)
    }

    /// Leaf tree of an operator's output.
    ///
    /// # Errors
    /// As [`AnyRun::output`].
    pub fn output_tree(&self, operator: u32) -> Result<&Tree<C>, RunError> {
        self.insides().output_tree(self.states(), operator)
    }

    /// Operands of an operator: also of the one without a result.
    ///
    /// # Errors
    /// When the run does not come to this operator or its layer cannot be recomputed.
    pub fn operands(&self, operator: u32) -> Result<Vec<&Tensor>, RunError> {
        self.insides().operands(self.states(), operator)
    }

    /// The running sums of an element; of the operator without a result, those before the first that there is
    /// none for.
    ///
    /// # Errors
    /// As [`AnyRun::operands`], or when the operator does not fold.
    pub fn accumulators(&self, operator: u32, element: u64) -> Result<Arc<[u64]>, RunError> {
        self.insides().accumulators(self.states(), operator, element)
    }
}
