//! A small recurrent model: a memory of eight rows, of which each iteration writes one; and lies about its runs.

use std::sync::Arc;

use inference::sequence::{SequenceInput, SequencePolicy};
use inference::{ComputePolicy, Engine, EngineError, Honest, Model, SequenceRun, State, Tensor};
use protocol::graph::{
    Fold, Graph, Layer, MapFunction, Node, Operand, Operator, Profile, Recurrence,
};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::RunLength;

/// Rows of the memory, and their width.
const ROWS: u64 = 8;
const WIDTH: u64 = 70;
/// Values: inputs, weights, then outputs of operators.
const POSITION: u32 = 0;
const MEMORY: u32 = 1;
const ROW: u32 = 2;
const FIRST_OUTPUT: u32 = 7;
/// Operators.
pub const NEXT_ROW: u32 = 1;
pub const NEXT_MEMORY: u32 = 2;
pub const NEXT_POSITION: u32 = 3;
pub const ENDS: u32 = 4;
pub const SUMS: u32 = 5;

fn kind(element: ElementType, sizes: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(sizes).unwrap() }
}

/// What one iteration hands to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Links, and a value that says when the run ends.
    Stopping,
    /// Links alone.
    Endless,
    /// Links alone; rows are written at the position itself, so that there is no ninth.
    Short,
    /// Nothing: of many iterations it is a batch.
    Batch,
}

fn number(value: i64) -> Tensor {
    Tensor::from_i64(&Shape::new(&[1]).unwrap(), vec![value]).unwrap()
}

fn floats(sizes: &[u64], of: impl Fn(u64) -> f32) -> Tensor {
    let shape = Shape::new(sizes).unwrap();
    let values = (0..shape.count()).map(of).collect();
    Tensor::from_f32(&shape, values).unwrap()
}

/// The model; its run ends after so many iterations, where it says when.
pub fn model(form: Form, iterations: u32) -> Arc<Model> {
    let (one, memory) = (kind(ElementType::I64, &[1]), kind(ElementType::F32, &[ROWS, WIDTH]));
    let (row, truth) = (kind(ElementType::F32, &[1, WIDTH]), kind(ElementType::Bool, &[1]));
    let weights = vec![
        number(1),
        number(if form == Form::Short { i64::MAX } else { ROWS as i64 }),
        number(i64::from(iterations) - 1),
        floats(&[1, WIDTH], |at| 1.0 + (at as f32 - 35.0) / 262_144.0),
    ];
    let map = |function| Operator::Map { function };
    let output = |operator: u32| FIRST_OUTPUT + operator;
    let node = |operator, operands: &[(u32, &TensorType)], output: &TensorType| Node {
        operator,
        operands: operands
            .iter()
            .map(|(value, kind)| Operand { value: *value, kind: (*kind).clone() })
            .collect(),
        output: output.clone(),
    };
    let nodes = vec![
        node(map(MapFunction::Remainder), &[(POSITION, &one), (4, &one)], &one),
        node(map(MapFunction::Multiply), &[(ROW, &row), (6, &row)], &row),
        node(
            Operator::Update {},
            &[(MEMORY, &memory), (output(NEXT_ROW), &row), (output(0), &one)],
            &memory,
        ),
        node(map(MapFunction::Add), &[(POSITION, &one), (3, &one)], &one),
        node(map(MapFunction::Less), &[(5, &one), (output(NEXT_POSITION), &one)], &truth),
        node(
            Operator::Reduce { fold: Fold::Sum },
            &[(output(NEXT_MEMORY), &memory)],
            &kind(ElementType::F32, &[ROWS]),
        ),
    ];
    let layer = |first_operator, operator_count, live_in: &[u32], live_out: &[u32]| Layer {
        first_operator,
        operator_count,
        live_in: live_in.to_vec(),
        live_out: live_out.to_vec(),
    };
    let (between, last) = ([0, 1, output(0), output(1)], [1, 2, 3, 4, 5].map(output));
    let layers = vec![layer(0, 2, &[0, 1, 2], &between), layer(2, 4, &between, &last)];
    let links = vec![output(NEXT_POSITION), output(NEXT_MEMORY), output(NEXT_ROW)];
    let recurrence = match form {
        Form::Stopping => Recurrence { links, stop: Some(output(ENDS)) },
        Form::Endless | Form::Short => Recurrence { links, stop: None },
        Form::Batch => Recurrence::default(),
    };
    let graph = Graph {
        inputs: vec![one, memory, row],
        weights: weights.iter().map(|weight| weight.kind().clone()).collect(),
        nodes,
        layers,
        recurrence,
        ..Graph::default()
    };
    let inputs = ["position", "memory", "row"].map(str::to_owned).to_vec();
    let outputs = vec![("sums".to_owned(), output(SUMS))];
    let names = (0..6).map(|operator| format!("node {operator}")).collect();
    Arc::new(Model::new(graph, weights, inputs, outputs, names, Profile::StrictF32).unwrap())
}

/// What a run begins with; of a batch, an entry.
pub fn begins(entry: u32) -> State {
    let values = vec![
        (POSITION, number(i64::from(entry % 5))),
        (MEMORY, floats(&[ROWS, WIDTH], |at| at as f32 / 8.0 - f32::from(entry as u16))),
        (ROW, floats(&[1, WIDTH], |at| 1.0 / (at as f32 + 1.0))),
    ];
    State::new(values).unwrap()
}

/// The values with the lowest bit of an element of one flipped.
fn flipped(values: &[(u32, Tensor)], value: u32, element: usize) -> Vec<(u32, Tensor)> {
    let changed = values.iter().map(|(id, tensor)| {
        (*id, if *id == value { flipped_tensor(tensor, element) } else { tensor.clone() })
    });
    changed.collect()
}

fn flipped_tensor(tensor: &Tensor, element: usize) -> Tensor {
    let mut bits = tensor.all_bits();
    bits[element] ^= 1;
    Tensor::from_bits(tensor.kind(), &bits).unwrap()
}

/// Flips the lowest bit of an element of an operator's output.
#[derive(Debug)]
struct Flip {
    operator: u32,
    element: usize,
}

impl ComputePolicy for Flip {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let honest = inference::compute_honestly(engine, model, operator, operands)?;
        let is_it = operator == self.operator;
        Ok(if is_it { flipped_tensor(&honest, self.element) } else { honest })
    }
}

/// Invents what has no result: the memory as it was.
#[derive(Debug)]
struct Invents;

impl ComputePolicy for Invents {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let honest = inference::compute_honestly(engine, model, operator, operands);
        honest.or_else(|_| Ok(operands[0].clone()))
    }
}

/// Where a run is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// An element of an operator's output.
    Element { iteration: u32, operator: u32, element: usize },
    /// What an iteration begins with.
    Begins { iteration: u32, input: u32, element: usize },
    /// The run ends after so many iterations, whatever the model says.
    Iterations(u32),
    /// What has no result is invented.
    Invents,
}

impl SequencePolicy for Lie {
    fn iteration(&self, iteration: u32) -> Arc<dyn ComputePolicy> {
        match *self {
            Self::Element { iteration: at, operator, element } if at == iteration => {
                Arc::new(Flip { operator, element })
            }
            Self::Invents => Arc::new(Invents),
            Self::Element { .. } | Self::Begins { .. } | Self::Iterations(_) => Arc::new(Honest),
        }
    }

    fn begins(&self, iteration: u32, handed_on: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
        match *self {
            Self::Begins { iteration: at, input, element } if at == iteration => {
                flipped(&handed_on, input, element)
            }
            _ => handed_on,
        }
    }

    fn ends(&self, iteration: u32, said: bool) -> bool {
        match *self {
            Self::Iterations(count) => iteration + 1 == count,
            _ => said,
        }
    }
}

/// The run of a model, honest or not.
pub fn run(model: &Arc<Model>, lie: Option<Lie>, length: RunLength) -> Arc<SequenceRun> {
    run_first(model, lie, length, length.iterations_max)
}

/// The first so many iterations of the run of a model.
pub fn run_first(
    model: &Arc<Model>,
    lie: Option<Lie>,
    length: RunLength,
    until: u32,
) -> Arc<SequenceRun> {
    let policy: Arc<dyn SequencePolicy> = match lie {
        None => Arc::new(Honest),
        Some(lie) => Arc::new(lie),
    };
    let (engine, input) = (Engine::detect().unwrap(), SequenceInput::One(begins(0)));
    let run = SequenceRun::compute_first(&engine, model, policy, input, (length, until));
    Arc::new(run.unwrap())
}

/// The run of a batch, with the lie in one of its iterations.
pub fn batch(model: &Arc<Model>, lie: Option<Lie>, entries: u32) -> Arc<SequenceRun> {
    let states = (0..entries).map(|entry| match lie {
        Some(Lie::Begins { iteration, input, element }) if iteration == entry => {
            State::new(flipped(begins(entry).values(), input, element)).unwrap()
        }
        _ => begins(entry),
    });
    let policy: Arc<dyn SequencePolicy> = match lie {
        None => Arc::new(Honest),
        Some(lie) => Arc::new(lie),
    };
    let (engine, input) = (Engine::detect().unwrap(), SequenceInput::Batch(states.collect()));
    let length = RunLength::exactly(entries);
    Arc::new(SequenceRun::compute(&engine, model, policy, input, length).unwrap())
}
