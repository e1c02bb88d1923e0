//! Running a model: the states between layers, committed; the inside of a layer, on demand.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use protocol::graph::{Layer, ValueSource};
use protocol::hash::{Commitment, Digest, Keccak, Tag};
use protocol::law;
use protocol::merkle::ListTree;
use protocol::tensor::TensorType;

use crate::engine::{Engine, EngineError, WholeTensors};
use crate::execute::run_layer;
use crate::fused::LayerPlan;
use crate::model::Model;
use crate::state::{State, Subtrace, find};
use crate::tensor::Tensor;

/// Why a model cannot be run on these inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// An input is missing.
    #[error("input {name} is missing; the model needs {wanted}")]
    MissingInput {
        /// Its name.
        name: String,
        /// All inputs of the model.
        wanted: String,
    },
    /// An input has another type.
    #[error("input {name} is {found} and must be {wanted}")]
    WrongInput {
        /// Its name.
        name: String,
        /// Type given.
        found: String,
        /// Type of the model.
        wanted: String,
    },
    /// An input holds NaN or infinity.
    #[error("input {name} holds {value} at element {element}; inputs must be finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// The first such element.
        element: usize,
        /// NaN or infinity.
        value: String,
    },
    /// An operator failed.
    #[error("operator {operator} ({name}): {error}")]
    Operator {
        /// Index of the operator.
        operator: u32,
        /// ONNX node it came from.
        name: String,
        /// What happened.
        error: EngineError,
    },
    /// Something that the model does not have was asked for.
    #[error("the model has no {what}")]
    NotInModel {
        /// What was asked for.
        what: String,
    },
}

/// Text of a type, as users write it.
pub fn type_text(kind: &TensorType) -> String {
    format!("{}{:?}", kind.element.name(), kind.shape.dimensions())
}

/// How an executor computes. The honest one does what the model says; dishonest ones, in the
/// simulation, do something else *here*, so that a lie spreads as a real fault would.
pub trait Conduct<C: Commitment = Keccak>: fmt::Debug + Send + Sync {
    /// Whether every operator is computed as the model says, so that whole layers may be run in
    /// few passes without asking for each.
    fn is_plain(&self) -> bool {
        false
    }

    /// Output of an operator.
    ///
    /// # Errors
    /// When the operator has no result for these operands.
    fn compute(
        &self,
        engine: &Engine,
        model: &Model<C>,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        compute_honestly(engine, model, operator, operands)
    }

    /// The values that are committed at a boundary (the first one is given by the job).
    fn commit(&self, _boundary: u32, values: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
        values
    }

    /// The state roots that the trace commits to.
    fn trace(&self, state_roots: Vec<Digest>) -> Vec<Digest> {
        state_roots
    }

    /// The accumulators that are revealed for an element.
    fn accumulators(
        &self,
        _model: &Model<C>,
        _operator: u32,
        _element: u64,
        words: Vec<u64>,
    ) -> Vec<u64> {
        words
    }
}

/// Does what the model says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl<C: Commitment> Conduct<C> for Honest {
    fn is_plain(&self) -> bool {
        true
    }
}

/// Output of an operator as the model defines it.
///
/// # Errors
/// When the operator has no result for these operands.
pub fn compute_honestly<C: Commitment>(
    engine: &Engine,
    model: &Model<C>,
    operator: u32,
    operands: &[&Tensor],
) -> Result<Tensor, EngineError> {
    let node = model.node(operator).ok_or(EngineError::Operands { kind: "unknown" })?;
    engine.run(node, operands, model.packed(operator))
}

/// A committed run.
#[derive(Clone, Debug)]
pub struct Trace<C: Commitment = Keccak> {
    states: Vec<State<C>>,
    state_roots: Vec<Digest>,
    tree: ListTree<C>,
    /// Time of the operators, as it passed; hashing beside them may have slowed them.
    pub inference: Duration,
    /// Time of hashing the states, as it passed in the threads that hashed.
    pub commit: Duration,
}

impl<C: Commitment> Trace<C> {
    /// The trace root.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The tree of the state roots.
    pub fn tree(&self) -> &ListTree<C> {
        &self.tree
    }

    /// The state at a boundary.
    pub fn state(&self, boundary: u32) -> Option<&State<C>> {
        self.states.get(boundary as usize)
    }

    /// All states.
    pub fn states(&self) -> &[State<C>] {
        &self.states
    }

    /// The state roots, as the trace commits to them.
    pub fn state_roots(&self) -> &[Digest] {
        &self.state_roots
    }

    /// Bytes of all states. What passes a layer counts in each and is hashed once.
    pub fn hashed_bytes(&self) -> u64 {
        self.states.iter().map(State::bytes).sum()
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
    pub conduct: &'a dyn Conduct<C>,
}

impl<'a, C: Commitment> Runner<'a, C> {
    /// An honest runner.
    pub fn honest(engine: &'a Engine, model: &'a Model<C>) -> Self {
        Self { engine, model, conduct: &Honest }
    }

    /// The input state made of named tensors.
    ///
    /// # Errors
    /// When an input is missing, of another type, or not finite.
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
            if let Some(element) = given.as_f32().iter().position(|value| !value.is_finite()) {
                let value = given.as_f32()[element].to_string();
                return Err(RunError::NotFinite { name: name.clone(), element, value });
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
            Ok(values)
        })?;
        Ok(self.named(&values))
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
        let definition = self
            .model
            .layer(layer)
            .ok_or_else(|| RunError::NotInModel { what: format!("layer {layer}") })?;
        let mut outputs: Vec<Tensor> = Vec::new();
        for position in 0..definition.operator_count {
            let operator = definition.first_operator + position;
            let lost = || RunError::NotInModel { what: format!("operand of operator {operator}") };
            let node = self.model.node(operator).ok_or_else(lost)?;
            let mut operands = Vec::new();
            for operand in &node.operands {
                let found = match self.model.header().source(operand.value) {
                    Some(ValueSource::Weight(weight)) => self.model.weights().get(weight as usize),
                    Some(ValueSource::Operator(from)) if from >= definition.first_operator => {
                        outputs.get((from - definition.first_operator) as usize)
                    }
                    _ => find(before, operand.value),
                };
                operands.push(found.ok_or_else(lost)?);
            }
            let output = self
                .conduct
                .compute(self.engine, self.model, operator, &operands)
                .map_err(|error| RunError::Operator {
                    operator,
                    name: self.model.operator_name(operator).to_owned(),
                    error,
                })?;
            outputs.push(output);
        }
        Ok(outputs)
    }

    /// The state behind a layer, from the state before it.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn next_state(&self, layer: u32, before: &State<C>) -> Result<State<C>, RunError> {
        let values = self.next_values(layer, before.values())?;
        State::behind(before, self.conduct.commit(layer + 1, values))
            .ok_or_else(|| RunError::NotInModel { what: format!("state {}", layer + 1) })
    }

    fn next_values(
        &self,
        layer: u32,
        before: &[(u32, Tensor)],
    ) -> Result<Vec<(u32, Tensor)>, RunError> {
        let missing = || RunError::NotInModel { what: format!("layer {layer}") };
        let definition = self.model.layer(layer).ok_or_else(missing)?;
        if self.conduct.is_plain()
            && let Some(plan) = self.model.plan(layer)
        {
            return self.run_plan(definition, plan, before);
        }
        let outputs = self.layer_outputs(layer, before)?;
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
    /// When an operator fails.
    pub fn run(&self, input: State<C>) -> Result<Trace<C>, RunError> {
        self.run_watched(input, &mut |_| {})
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
        let layers = self.model.header().layer_count;
        let mut inference = Duration::ZERO;
        // A cell for each value that was written, filled while later layers compute; values that
        // pass a layer keep theirs.
        type Hashed = Arc<OnceLock<(Digest, Duration)>>;
        type Behind = (Vec<(u32, Tensor)>, Vec<Hashed>);
        let mut written: Vec<Hashed> = Vec::new();
        let mut behind: Vec<Behind> = Vec::new();
        let computed = self.engine.install(|| {
            rayon::in_place_scope(|scope| {
                let mut before = input.values().to_vec();
                let known = input.roots().iter();
                let mut cells: Vec<Hashed> =
                    known.map(|root| Arc::new(OnceLock::from((*root, Duration::ZERO)))).collect();
                for layer in 0..layers {
                    let started = Instant::now();
                    let values = self.next_values(layer, &before)?;
                    let values = self.conduct.commit(layer + 1, values);
                    inference += started.elapsed();
                    let hash = |(value, tensor): &(u32, Tensor)| {
                        let known = before
                            .iter()
                            .zip(&cells)
                            .find(|((other, old), _)| other == value && old.is_same_memory(tensor));
                        if let Some((_, cell)) = known {
                            return Arc::clone(cell);
                        }
                        let (cell, tensor) = (Hashed::default(), tensor.clone());
                        let filled = Arc::clone(&cell);
                        scope.spawn(move |_| {
                            let started = Instant::now();
                            let root = tensor.root_under::<C>();
                            let _ = filled.set((root, started.elapsed()));
                        });
                        written.push(Arc::clone(&cell));
                        cell
                    };
                    cells = values.iter().map(hash).collect();
                    behind.push((values.clone(), cells.clone()));
                    before = values;
                    watch(layer);
                }
                Ok(())
            })
        });
        computed?;
        let missing = || RunError::NotInModel { what: "state".to_owned() };
        let mut commit: Duration =
            written.iter().filter_map(|cell| cell.get()).map(|(_, took)| *took).sum();
        let started = Instant::now();
        let mut states = vec![input];
        for (values, cells) in behind {
            let roots: Option<Vec<Digest>> =
                cells.iter().map(|cell| cell.get().map(|(root, _)| *root)).collect();
            let state = roots.and_then(|roots| State::with_roots(values, roots));
            states.push(state.ok_or_else(missing)?);
        }
        commit += started.elapsed();
        self.trace_of(states, inference, commit)
    }

    /// As [`Runner::run`], hashing each state before the next layer begins: the same trace, with
    /// the time of either part measured by itself.
    ///
    /// # Errors
    /// When an operator fails.
    pub fn run_in_turn(&self, input: State<C>) -> Result<Trace<C>, RunError> {
        self.engine.install(|| self.run_in_turn_here(input))
    }

    fn run_in_turn_here(&self, input: State<C>) -> Result<Trace<C>, RunError> {
        let (mut inference, mut commit) = (Duration::ZERO, Duration::ZERO);
        let mut states = vec![input];
        for layer in 0..self.model.header().layer_count {
            let started = Instant::now();
            let missing = || RunError::NotInModel { what: format!("state {layer}") };
            let before = states.last().ok_or_else(missing)?;
            let values = self.next_values(layer, before.values())?;
            let values = self.conduct.commit(layer + 1, values);
            inference += started.elapsed();
            let started = Instant::now();
            let state = State::behind(before, values);
            states.push(state.ok_or_else(missing)?);
            commit += started.elapsed();
        }
        self.trace_of(states, inference, commit)
    }

    pub(crate) fn trace_of(
        &self,
        states: Vec<State<C>>,
        inference: Duration,
        commit: Duration,
    ) -> Result<Trace<C>, RunError> {
        let started = Instant::now();
        let state_roots = self.conduct.trace(states.iter().map(State::root).collect());
        let leaves: Vec<Digest> = state_roots.iter().map(|root| C::leaf(&root.0)).collect();
        let tree = ListTree::new(Tag::Trace, &leaves)
            .ok_or_else(|| RunError::NotInModel { what: "state".to_owned() })?;
        let commit = commit + started.elapsed();
        Ok(Trace { states, state_roots, tree, inference, commit })
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
        let node = self.model.node(operator).ok_or_else(lost)?;
        let layer = self.model.layer_of(operator).and_then(|layer| self.model.layer(layer));
        let first = layer.ok_or_else(lost)?.first_operator;
        node.operands
            .iter()
            .map(|operand| {
                match self.model.header().source(operand.value) {
                    Some(ValueSource::Weight(weight)) => self.model.weights().get(weight as usize),
                    Some(ValueSource::Operator(from)) if from >= first => {
                        subtrace.tensors().get((from - first) as usize)
                    }
                    _ => before.tensor(operand.value),
                }
                .ok_or_else(lost)
            })
            .collect()
    }

    /// The state after each run behind one element, by the law.
    ///
    /// # Errors
    /// When the operator does not fold or has no result.
    pub fn accumulators(
        &self,
        operator: u32,
        element: u64,
        operands: &[&Tensor],
    ) -> Result<Vec<u64>, RunError> {
        let lost = || RunError::NotInModel { what: format!("accumulators of operator {operator}") };
        let node = self.model.node(operator).ok_or_else(lost)?;
        let mut states: Vec<Vec<u64>> = Vec::new();
        for number in 0..law::run_count(node) {
            let before = law::start(node, number, states.last().map(Vec::as_slice));
            let state = law::run(node, element, number, before, &mut WholeTensors(operands));
            states.push(state.map_err(|_| lost())?);
        }
        Ok(self.conduct.accumulators(self.model, operator, element, states.concat()))
    }
}
