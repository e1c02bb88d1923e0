//! Small models, made by hand, with an input and the honest run of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use inference::{AnyRun, ComputePolicy, Engine, Honest, Isa, Model, Run, Runner, Tensor};
use protocol::graph::{Fold, Graph, Layer, MapFunction, Node, Operand, Operator, Profile};
use protocol::hash::Digest;
use protocol::tensor::{ElementType, Shape, TensorType};

/// Where an operand comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// An input of the model.
    Input(u32),
    /// A weight.
    Weight(u32),
    /// The output of an earlier operator, counted over all layers.
    Operator(u32),
}

/// An operator with its operands and the type of its output.
pub(crate) type Step = (Operator, Vec<Source>, TensorType);

/// A model under construction. Inputs come with their contents.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    inputs: Vec<Tensor>,
    weights: Vec<Tensor>,
    layers: Vec<Vec<Step>>,
}

/// A model with one input of it.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) model: Arc<Model>,
    pub(crate) input: HashMap<String, Tensor>,
}

impl Sketch {
    pub(crate) fn new(inputs: Vec<Tensor>, weights: Vec<Tensor>) -> Self {
        Self { inputs, weights, layers: Vec::new() }
    }

    pub(crate) fn layer(mut self, steps: Vec<Step>) -> Self {
        self.layers.push(steps);
        self
    }

    fn value(&self, source: Source) -> u32 {
        let (inputs, weights) = (self.inputs.len() as u32, self.weights.len() as u32);
        match source {
            Source::Input(index) => index,
            Source::Weight(index) => inputs + index,
            Source::Operator(index) => inputs + weights + index,
        }
    }

    /// The values that the last operator needs after this many layers, ascending.
    fn live(&self, boundary: usize) -> Vec<u32> {
        let inputs = self.inputs.len() as u32;
        if boundary == 0 {
            return (0..inputs).collect();
        }
        let operators: usize = self.layers.iter().map(Vec::len).sum();
        let done: usize = self.layers[..boundary].iter().map(Vec::len).sum();
        let mut live = BTreeSet::from([self.value(Source::Operator(operators as u32 - 1))]);
        for step in self.layers[boundary..].iter().flatten() {
            live.extend(step.1.iter().map(|source| self.value(*source)));
        }
        let first = inputs + self.weights.len() as u32;
        let written = |value: &u32| *value < inputs || (first..first + done as u32).contains(value);
        live.into_iter().filter(written).collect()
    }

    fn kind(&self, source: Source) -> TensorType {
        match source {
            Source::Input(index) => self.inputs[index as usize].kind().clone(),
            Source::Weight(index) => self.weights[index as usize].kind().clone(),
            Source::Operator(index) => {
                self.layers.iter().flatten().nth(index as usize).unwrap().2.clone()
            }
        }
    }

    /// The model, whose output is what its last operator writes.
    pub(crate) fn build(self) -> Network {
        let (mut nodes, mut layers) = (Vec::new(), Vec::new());
        for (index, steps) in self.layers.iter().enumerate() {
            layers.push(Layer {
                first_operator: nodes.len() as u32,
                operator_count: steps.len() as u32,
                live_in: self.live(index),
                live_out: self.live(index + 1),
            });
            for (operator, sources, output) in steps {
                let operand =
                    |source| Operand { value: self.value(source), kind: self.kind(source) };
                let operands = sources.iter().map(|source| operand(*source)).collect();
                nodes.push(Node { operator: operator.clone(), operands, output: output.clone() });
            }
        }
        let output = self.value(Source::Operator(nodes.len() as u32 - 1));
        let operator_names = (0..nodes.len()).map(|index| format!("node {index}")).collect();
        let kinds = |tensors: &[Tensor]| tensors.iter().map(|one| one.kind().clone()).collect();
        let (inputs, weights) = (kinds(&self.inputs), kinds(&self.weights));
        let names: Vec<String> =
            (0..self.inputs.len()).map(|index| format!("input {index}")).collect();
        let outputs = vec![("output".to_owned(), output)];
        let graph = Graph { inputs, weights, nodes, layers, ..Graph::default() };
        let model = Model::new(
            graph,
            self.weights,
            names.clone(),
            outputs,
            operator_names,
            Profile::StrictF32,
        );
        let input = names.into_iter().zip(self.inputs).collect();
        Network { model: Arc::new(model.unwrap()), input }
    }
}

/// One engine for all tests.
pub(crate) fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(Isa::PORTABLE, 1).unwrap()).clone()
}

impl Network {
    /// A run of the input, computed in some way.
    pub(crate) fn run(&self, compute_policy: Arc<dyn ComputePolicy>) -> Arc<Run> {
        let engine = engine();
        let runner =
            Runner { engine: &engine, model: &self.model, compute_policy: compute_policy.as_ref() };
        let trace = runner.run(runner.input_state(&self.input).unwrap()).unwrap();
        Arc::new(Run::new(engine, Arc::clone(&self.model), compute_policy, trace))
    }

    /// As [`Network::run`], of an input that may have no result.
    pub(crate) fn any_run(&self, compute_policy: Arc<dyn ComputePolicy>) -> AnyRun {
        let engine = engine();
        let runner =
            Runner { engine: &engine, model: &self.model, compute_policy: compute_policy.as_ref() };
        let outcome = runner.outcome(runner.input_state(&self.input).unwrap()).unwrap();
        AnyRun::new(engine, Arc::clone(&self.model), compute_policy, outcome)
    }

    /// Root of the input state.
    pub(crate) fn input_root(&self) -> Digest {
        Runner::honest(&engine(), &self.model).input_state(&self.input).unwrap().root()
    }

    /// The run as the model says.
    pub(crate) fn honest(&self) -> Arc<Run> {
        self.run(Arc::new(Honest))
    }

    /// The same model with another input of the same shapes.
    pub(crate) fn with_input(&self, change: impl Fn(f32) -> f32) -> Self {
        let other = |tensor: &Tensor| {
            let elements = tensor.as_f32().iter().map(|element| change(*element)).collect();
            Tensor::from_f32(tensor.shape(), elements).unwrap()
        };
        let input = self.input.iter().map(|(name, tensor)| (name.clone(), other(tensor)));
        Self { model: Arc::clone(&self.model), input: input.collect() }
    }
}

pub(crate) fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

pub(crate) fn f32s(dimensions: &[u64]) -> TensorType {
    kind(ElementType::F32, dimensions)
}

pub(crate) fn map(function: MapFunction) -> Operator {
    Operator::Map { function }
}

/// Floats between 0.5 and 2.5 whose sums and products are exact for long; no two neighbours equal.
pub(crate) fn floats(dimensions: &[u64], salt: u64) -> Tensor {
    let shape = Shape::new(dimensions).unwrap();
    let element = |at: u64| ((at * 7 + salt * 5) % 17) as f32 * 0.125 + 0.5;
    let elements = (0..shape.count()).map(element).collect();
    Tensor::from_f32(&shape, elements).unwrap()
}

/// Elements per row of [`ladder`]: three leaves.
pub(crate) const WIDTH: u64 = 150;
/// Operators of each layer of [`ladder`].
pub(crate) const RUNGS: u32 = 3;

/// Layers in a row, each with three operators on rows of [`WIDTH`] floats: `(x + w) · v + x`. Every
/// state holds one value.
pub(crate) fn ladder(layers: u32) -> Network {
    use Source::{Input, Operator, Weight};
    let row = f32s(&[WIDTH]);
    let halves = Tensor::from_f32(&row.shape, vec![0.5; WIDTH as usize]).unwrap();
    let mut sketch = Sketch::new(vec![floats(&[WIDTH], 1)], vec![floats(&[WIDTH], 2), halves]);
    for layer in 0..layers {
        let first = layer * RUNGS;
        let x = if layer == 0 { Input(0) } else { Operator(first - 1) };
        sketch = sketch.layer(vec![
            (map(MapFunction::Add), vec![x, Weight(0)], row.clone()),
            (map(MapFunction::Multiply), vec![Operator(first), Weight(1)], row.clone()),
            (map(MapFunction::Add), vec![Operator(first + 1), x], row.clone()),
        ]);
    }
    sketch.build()
}

/// Values of [`carried`]: inputs 0 and 1, weight 2, then the outputs of operators 0 to 3.
pub(crate) const PASSING: u32 = 1;
pub(crate) const FIRST_OUTPUT: u32 = 3;

/// Three layers in which values pass: input 1 through the first two, the output of operator 0
/// through the second. The states hold values (0, 1), (1, 3), (1, 3, 4) and (6).
pub(crate) fn carried() -> Network {
    use Source::{Input, Operator, Weight};
    let row = f32s(&[10]);
    let inputs = vec![floats(&[10], 1), floats(&[10], 2)];
    Sketch::new(inputs, vec![floats(&[10], 3)])
        .layer(vec![(map(MapFunction::Add), vec![Input(0), Weight(0)], row.clone())])
        .layer(vec![(map(MapFunction::Multiply), vec![Operator(0), Weight(0)], row.clone())])
        .layer(vec![
            (map(MapFunction::Add), vec![Operator(1), Input(1)], row.clone()),
            (map(MapFunction::Add), vec![Operator(2), Operator(0)], row),
        ])
        .build()
}

/// `sum((x + w) · w) + y`: rows are summed in three runs, in a layer between two others.
pub(crate) fn summed() -> Network {
    use Source::{Input, Operator as Output, Weight};
    let (rows, sums) = (f32s(&[3, 150]), f32s(&[3]));
    let reduce = Operator::Reduce { fold: Fold::Sum };
    Sketch::new(vec![floats(&[3, 150], 1), floats(&[3], 2)], vec![floats(&[150], 3)])
        .layer(vec![(map(MapFunction::Add), vec![Input(0), Weight(0)], rows.clone())])
        .layer(vec![
            (map(MapFunction::Multiply), vec![Output(0), Weight(0)], rows),
            (reduce, vec![Output(1)], sums.clone()),
        ])
        .layer(vec![(map(MapFunction::Add), vec![Output(2), Input(1)], sums)])
        .build()
}
