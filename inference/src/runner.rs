//! Running a model: the states between layers, committed; the inside of a layer, on demand.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use protocol::graph::{Layer, ValueSource};
use protocol::hash::{Commitment, Keccak};
use protocol::law::{self, LawError};

use crate::boundaries::Boundaries;
use crate::compute_policy::{ComputePolicy, Honest};
use crate::engine::{Engine, EngineError, WholeTensors};
use crate::execute::run_layer;
use crate::fused::LayerPlan;
use crate::model::Model;
use crate::partial::{NoResult, Outcome, PartialTrace};
use crate::state::{State, Subtrace, find};
use crate::tensor::Tensor;
use crate::trace::{RunError, Trace, type_text};

/// When states are hashed.
#[derive(Clone, Copy)]
enum Hashing {
    /// On the engine's threads, while the next layer computes.
    Beside,
    /// Before the next layer begins.
    InTurn,
}

/// The outputs of a layer's operators, up to the first without a result.
pub(crate) struct BegunLayer {
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) no_result: Option<NoResult>,
}

/// Why there are no values after a layer.
enum LayerEnd {
    /// By the law there are none.
    NoResult(NoResult),
    /// The layer could not be run.
    Error(RunError),
}

impl From<RunError> for LayerEnd {
    fn from(error: RunError) -> Self {
        Self::Error(error)
    }
}

impl From<LayerEnd> for RunError {
    fn from(end: LayerEnd) -> Self {
        match end {
            LayerEnd::NoResult(no_result) => no_result.error(),
            LayerEnd::Error(error) => error,
        }
    }
}

/// A model on an engine, computed by somebody.
#[derive(Clone, Copy, Debug)]
pub struct Runner<'a, C: Commitment = Keccak> {
    /// The engine.
    pub engine: &'a Engine,
    /// The model.
    pub model: &'a Model<C>,
    /// How it is computed.
    pub compute_policy: &'a dyn ComputePolicy<C>,
}

impl<'a, C: Commitment> Runner<'a, C> {
    /// An honest runner.
    pub fn honest(engine: &'a Engine, model: &'a Model<C>) -> Self {
        Self { engine, model, compute_policy: &Honest }
    }

    /// The input state made of named tensors.
    ///
    /// # Errors
    /// When an input is missing or of another type.
    pub fn input_state(&self, inputs: &HashMap<String, Tensor>) -> Result<State<C>, RunError> {
        State::new(self.input_values(inputs)?)
            .ok_or_else(|| RunError::NotInModel { what: "input".to_owned() })
    }

    fn input_values(
        &self,
        inputs: &HashMap<String, Tensor>,
    ) -> Result<Vec<(u32, Tensor)>, RunError> {
        let mut values = Vec::new();
        let names = self.model.input_names();
        for (index, (name, wanted)) in names.iter().zip(&self.model.graph().inputs).enumerate() {
            let all = || {
                let texts = names.iter().zip(&self.model.graph().inputs);
                let texts: Vec<String> =
                    texts.map(|(name, kind)| format!("{name}: {}", type_text(kind))).collect();
                texts.join(", ")
            };
            let given = inputs
                .get(name)
                .ok_or_else(|| RunError::MissingInput { name: name.clone(), wanted: all() })?;
            if given.kind() != wanted {
                return Err(RunError::WrongInput {
                    name: name.clone(),
                    found: type_text(given.kind()),
                    wanted: type_text(wanted),
                });
            }
            values.push((index as u32, given.clone()));
        }
        Ok(values)
    }

    /// The named outputs for named inputs, without any commitment.
    ///
    /// # Errors
    /// As [`Runner::input_state`] and [`Runner::run`].
    pub fn infer(
        &self,
        inputs: &HashMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>, RunError> {
        let mut values = self.input_values(inputs)?;
        // From one of the engine's threads to the end: changing threads between layers costs more
        // than a small layer.
        let values = self.engine.install(|| {
            for layer in 0..self.model.header().layer_count {
                values = self.next_values(layer, &values)?;
            }
            Ok::<_, RunError>(values)
        })?;
        Ok(self.named(&values))
    }

    /// The values after the last layer, from those before the first; nothing is hashed.
    pub(crate) fn last_values(
        &self,
        begins: Vec<(u32, Tensor)>,
    ) -> Result<Vec<(u32, Tensor)>, RunError> {
        self.engine.install(|| {
            let mut values = begins;
            for layer in 0..self.model.header().layer_count {
                values = self.next_values(layer, &values)?;
                values = self.compute_policy.commit(layer + 1, values);
            }
            Ok::<_, RunError>(values)
        })
    }

    fn named(&self, values: &[(u32, Tensor)]) -> BTreeMap<String, Tensor> {
        let outputs = self.model.outputs().iter();
        outputs
            .filter_map(|(name, value)| Some((name.clone(), find(values, *value)?.clone())))
            .collect()
    }

    /// Outputs of a layer's operators, from the values of the state before it.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn layer_outputs(
        &self,
        layer: u32,
        before: &[(u32, Tensor)],
    ) -> Result<Vec<Tensor>, RunError> {
        let BegunLayer { outputs, no_result } = self.begin_layer(layer, before)?;
        no_result.map_or(Ok(outputs), |no_result| Err(no_result.error()))
    }

    /// As [`Runner::layer_outputs`], up to the first operator without a result: operator by operator, which is
    /// the order in which everybody finds the same one.
    pub(crate) fn begin_layer(
        &self,
        layer: u32,
        before: &[(u32, Tensor)],
    ) -> Result<BegunLayer, RunError> {
        let definition = self
            .model
            .layer(layer)
            .ok_or_else(|| RunError::NotInModel { what: format!("layer {layer}") })?;
        // From one of the engine's threads to the end: waking one for each operator costs more than a small one.
        self.engine.install(|| {
            let mut outputs: Vec<Tensor> = Vec::new();
            for position in 0..definition.operator_count {
                let operator = definition.first_operator + position;
                let operands =
                    self.operands_of(operator, definition, |value| find(before, value), &outputs)?;
                let name = || self.model.operator_name(operator).to_owned();
                match self.compute_policy.compute(self.engine, self.model, operator, &operands) {
                    Ok(output) => outputs.push(output),
                    Err(EngineError::Undefined { kind, element }) => {
                        let no_result = NoResult { layer, operator, kind, name: name(), element };
                        return Ok(BegunLayer { outputs, no_result: Some(no_result) });
                    }
                    Err(error) => return Err(RunError::Operator { operator, name: name(), error }),
                }
            }
            Ok(BegunLayer { outputs, no_result: None })
        })
    }

    /// The state after a layer, from the state before it.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn next_state(&self, layer: u32, before: &State<C>) -> Result<State<C>, RunError> {
        let values = self.next_values(layer, before.values())?;
        State::after(before, self.compute_policy.commit(layer + 1, values))
            .ok_or_else(|| RunError::NotInModel { what: format!("state {}", layer + 1) })
    }

    fn next_values(
        &self,
        layer: u32,
        before: &[(u32, Tensor)],
    ) -> Result<Vec<(u32, Tensor)>, LayerEnd> {
        let missing = || RunError::NotInModel { what: format!("layer {layer}") };
        let definition = self.model.layer(layer).ok_or_else(missing)?;
        if self.compute_policy.is_plain()
            && let Some(plan) = self.model.plan(layer)
        {
            match self.run_plan(definition, plan, before) {
                // A plan may come to a later operator first: what has no result is decided below.
                Err(RunError::Operator { error: EngineError::Undefined { .. }, .. }) => {}
                outcome => return outcome.map_err(LayerEnd::Error),
            }
        }
        let BegunLayer { outputs, no_result } = self.begin_layer(layer, before)?;
        if let Some(no_result) = no_result {
            return Err(LayerEnd::NoResult(no_result));
        }
        let first = self.model.header().output_of(definition.first_operator);
        let mut values = Vec::new();
        for value in &definition.live_out {
            let written = value.checked_sub(first).and_then(|at| outputs.get(at as usize));
            let tensor = written.or_else(|| find(before, *value)).ok_or_else(missing)?;
            values.push((*value, tensor.clone()));
        }
        Ok(values)
    }

    fn run_plan(
        &self,
        layer: &Layer,
        plan: &LayerPlan,
        before: &[(u32, Tensor)],
    ) -> Result<Vec<(u32, Tensor)>, RunError> {
        let live: Vec<&Tensor> =
            layer.live_in.iter().filter_map(|value| find(before, *value)).collect();
        let lost = || RunError::NotInModel { what: "state before a layer".to_owned() };
        if live.len() != layer.live_in.len() {
            return Err(lost());
        }
        let first = layer.first_operator;
        let nodes = self.model.graph().nodes.get(first as usize..).ok_or_else(lost)?;
        let nodes = nodes.get(..layer.operator_count as usize).ok_or_else(lost)?;
        let run = || run_layer(self.engine, self.model, plan, nodes, first, &live);
        let values = self.engine.install(run).map_err(|(position, error)| {
            let operator = first + position as u32;
            let name = self.model.operator_name(operator).to_owned();
            RunError::Operator { operator, name, error }
        })?;
        Ok(layer.live_out.iter().copied().zip(values).collect())
    }

    /// Runs the model and commits to every state.
    ///
    /// # Errors
    /// When an operator fails or has no result.
    pub fn run(&self, input: State<C>) -> Result<Trace<C>, RunError> {
        self.run_watched(input, &mut |_| {})
    }

    /// As [`Runner::run`]; where an operator has no result, what was committed to before its layer.
    ///
    /// # Errors
    /// When the model cannot be run.
    pub fn outcome(&self, input: State<C>) -> Result<Outcome<C>, RunError> {
        self.run_hashing(input, Hashing::Beside, &mut |_| {})
    }

    /// As [`Runner::run`], telling after each layer.
    ///
    /// A state is hashed on the engine's threads while the next layer computes.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn run_watched(
        &self,
        input: State<C>,
        watch: &mut (dyn FnMut(u32) + Send),
    ) -> Result<Trace<C>, RunError> {
        whole(self.run_hashing(input, Hashing::Beside, watch)?)
    }

    /// As [`Runner::run`], hashing each state before the next layer begins: the same trace, with
    /// the time of either part measured by itself.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn run_in_turn(&self, input: State<C>) -> Result<Trace<C>, RunError> {
        whole(self.run_hashing(input, Hashing::InTurn, &mut |_| {})?)
    }

    fn run_hashing(
        &self,
        input: State<C>,
        hashing: Hashing,
        watch: &mut (dyn FnMut(u32) + Send),
    ) -> Result<Outcome<C>, RunError> {
        let mut inference = Duration::ZERO;
        let mut boundaries = Boundaries::new(input);
        let computed = self.engine.install(|| {
            rayon::in_place_scope(|scope| {
                for layer in 0..self.model.header().layer_count {
                    let started = Instant::now();
                    let values = self.next_values(layer, boundaries.last())?;
                    let values = self.compute_policy.commit(layer + 1, values);
                    inference += started.elapsed();
                    for value in boundaries.push(values) {
                        match hashing {
                            Hashing::Beside => scope.spawn(move |_| value.hash::<C>()),
                            Hashing::InTurn => value.hash::<C>(),
                        }
                    }
                    watch(layer);
                }
                Ok::<_, LayerEnd>(())
            })
        });
        let no_result = match computed {
            Ok(()) => None,
            Err(LayerEnd::NoResult(no_result)) => Some(no_result),
            Err(LayerEnd::Error(error)) => return Err(error),
        };
        let hashed = boundaries.time_of_hashing();
        let started = Instant::now();
        let states = boundaries.into_states();
        let states = states.ok_or_else(|| RunError::NotInModel { what: "state".to_owned() })?;
        let times = (inference, hashed + started.elapsed());
        match no_result {
            None => self.trace_of(states, times).map(Outcome::Whole),
            Some(no_result) => self.partial_of(states, no_result, times).map(Outcome::Partial),
        }
    }

    /// The trace of states that were computed by this compute policy, up to an operator without a result.
    pub(crate) fn partial_of(
        &self,
        states: Vec<State<C>>,
        no_result: NoResult,
        times: (Duration, Duration),
    ) -> Result<PartialTrace<C>, RunError> {
        let state_roots = self.compute_policy.trace(states.iter().map(State::root).collect());
        let count = self.model.header().state_count();
        PartialTrace::new(states, state_roots, count, no_result, times)
            .ok_or_else(|| RunError::NotInModel { what: "state".to_owned() })
    }

    /// The trace of states that were computed by this compute policy.
    pub(crate) fn trace_of(
        &self,
        states: Vec<State<C>>,
        (inference, commit): (Duration, Duration),
    ) -> Result<Trace<C>, RunError> {
        let state_roots = self.compute_policy.trace(states.iter().map(State::root).collect());
        Trace::new(states, state_roots, inference, commit)
            .ok_or_else(|| RunError::NotInModel { what: "state".to_owned() })
    }

    /// The named outputs of a run.
    pub fn outputs(&self, trace: &Trace<C>) -> BTreeMap<String, Tensor> {
        trace.states().last().map(|last| self.named(last.values())).unwrap_or_default()
    }

    /// The inside of a layer, recomputed from the state before it.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn subtrace(&self, layer: u32, before: &State<C>) -> Result<Subtrace<C>, RunError> {
        Subtrace::new(self.layer_outputs(layer, before.values())?)
            .ok_or_else(|| RunError::NotInModel { what: format!("layer {layer}") })
    }

    /// As [`Runner::subtrace`], up to the first operator without a result.
    ///
    /// # Errors
    /// When an operator fails otherwise.
    pub fn begun_subtrace(&self, layer: u32, before: &State<C>) -> Result<Subtrace<C>, RunError> {
        let missing = || RunError::NotInModel { what: format!("layer {layer}") };
        let count = self.model.layer(layer).ok_or_else(missing)?.operator_count;
        let outputs = self.begin_layer(layer, before.values())?.outputs;
        Subtrace::begun(outputs, count as usize).ok_or_else(missing)
    }

    /// Operands of an operator, from the inside of its layer and the state before it.
    ///
    /// # Errors
    /// When the model has no such operator.
    pub fn operands<'t>(
        &self,
        operator: u32,
        before: &'t State<C>,
        subtrace: &'t Subtrace<C>,
    ) -> Result<Vec<&'t Tensor>, RunError>
    where
        'a: 't,
    {
        let lost = || RunError::NotInModel { what: format!("operand of operator {operator}") };
        let layer = self.model.layer_of(operator).and_then(|layer| self.model.layer(layer));
        let layer = layer.ok_or_else(lost)?;
        self.operands_of(operator, layer, |value| before.tensor(value), subtrace.tensors())
    }

    /// Operands of an operator: weights, outputs of its layer before it, and values of the state before
    /// the layer.
    fn operands_of<'t>(
        &self,
        operator: u32,
        layer: &Layer,
        before: impl Fn(u32) -> Option<&'t Tensor>,
        outputs: &'t [Tensor],
    ) -> Result<Vec<&'t Tensor>, RunError>
    where
        'a: 't,
    {
        let lost = || RunError::NotInModel { what: format!("operand of operator {operator}") };
        let node = self.model.node(operator).ok_or_else(lost)?;
        let first = layer.first_operator;
        let found = node.operands.iter().map(|operand| {
            let found = match self.model.header().source(operand.value) {
                Some(ValueSource::Weight(weight)) => self.model.weights().get(weight as usize),
                Some(ValueSource::Operator(from)) if from >= first => {
                    outputs.get((from - first) as usize)
                }
                _ => before(operand.value),
            };
            found.ok_or_else(lost)
        });
        found.collect()
    }

    /// The state after each segment of one element, by the law.
    ///
    /// # Errors
    /// When the operator does not fold or has no result.
    pub fn accumulators(
        &self,
        operator: u32,
        element: u64,
        operands: &[&Tensor],
    ) -> Result<Vec<u64>, RunError> {
        let words = self.begun_accumulators(operator, element, operands)?;
        let lost = || RunError::NotInModel { what: format!("accumulators of operator {operator}") };
        let node = self.model.checked(operator).ok_or_else(lost)?;
        let all = law::segment_count(node).checked_mul(law::state_words(node) as u64);
        if all == Some(words.len() as u64) { Ok(words) } else { Err(lost()) }
    }

    /// As [`Runner::accumulators`], up to the first segment for which the law gives no state.
    pub(crate) fn begun_accumulators(
        &self,
        operator: u32,
        element: u64,
        operands: &[&Tensor],
    ) -> Result<Vec<u64>, RunError> {
        let lost = || RunError::NotInModel { what: format!("accumulators of operator {operator}") };
        let node = self.model.checked(operator).ok_or_else(lost)?;
        let mut states: Vec<Vec<u64>> = Vec::new();
        for number in 0..law::segment_count(node) {
            let before = law::start(node, number, states.last().map(Vec::as_slice));
            match law::segment(node, element, number, before, &mut WholeTensors(operands)) {
                Ok(state) => states.push(state),
                Err(LawError::Undefined) if law::is_folded(node) => break,
                Err(_) => return Err(lost()),
            }
        }
        Ok(self.compute_policy.accumulators(self.model, operator, element, states.concat()))
    }
}

/// The trace of a run that must have a result.
fn whole<C: Commitment>(outcome: Outcome<C>) -> Result<Trace<C>, RunError> {
    match outcome {
        Outcome::Whole(trace) => Ok(trace),
        Outcome::Partial(trace) => Err(trace.no_result().error()),
    }
}
