//! Runs whose iterations begin with so much that only some beginnings are kept.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use inference::sequence::{Alike, SequenceInput, SequencePolicy, spacing};
use inference::{Engine, Honest, Model, RunError, SequenceRun, State, Tensor};
use protocol::graph::{Graph, Layer, MapFunction, Node, Operand, Operator, Profile, Recurrence};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::RunLength;

const ITERATIONS: u32 = 20;

/// Adds a weight again and again.
fn model() -> Arc<Model> {
    let kind = TensorType { element: ElementType::F32, shape: Shape::new(&[1 << 20]).unwrap() };
    let one = TensorType { element: ElementType::F32, shape: Shape::new(&[1]).unwrap() };
    let operands =
        [(0, &kind), (1, &one)].map(|(value, kind)| Operand { value, kind: kind.clone() });
    let function = MapFunction::Add;
    let add = Node {
        operator: Operator::Map { function },
        operands: operands.to_vec(),
        output: kind.clone(),
    };
    let layer = Layer { first_operator: 0, operator_count: 1, live_in: vec![0], live_out: vec![2] };
    let graph = Graph {
        inputs: vec![kind],
        weights: vec![one.clone()],
        nodes: vec![add],
        layers: vec![layer],
        recurrence: Recurrence { links: vec![2], stop: None },
        ..Graph::default()
    };
    let weights = vec![Tensor::from_f32(&one.shape, vec![0.25]).unwrap()];
    let (inputs, outputs) = (vec!["x".to_owned()], vec![("y".to_owned(), 2)]);
    let names = vec!["add".to_owned()];
    Arc::new(Model::new(graph, weights, inputs, outputs, names, Profile::StrictF32).unwrap())
}

fn run(model: &Arc<Model>, policy: Arc<dyn SequencePolicy>) -> Result<SequenceRun, RunError> {
    let shape = Shape::new(&[1 << 20]).unwrap();
    let values = (0..1 << 20).map(|at| at as f32 / 1024.0).collect();
    let state = State::new(vec![(0, Tensor::from_f32(&shape, values).unwrap())]).unwrap();
    let engine = Engine::detect().unwrap();
    let length = RunLength::exactly(ITERATIONS);
    SequenceRun::compute(&engine, model, policy, SequenceInput::One(state), length)
}

#[test]
fn an_iteration_that_is_not_kept_is_computed_again_to_the_same_trace() {
    let model = model();
    assert_eq!(spacing(model.header(), ITERATIONS), 3);
    let sequence = run(&model, Arc::new(Alike(Arc::new(Honest)))).unwrap();
    // From the end, so that nothing is still in memory from the iteration before.
    for iteration in (0..ITERATIONS).rev() {
        let again = sequence.run(iteration).unwrap();
        assert_eq!(again.root(), Some(sequence.trace_roots()[iteration as usize]));
        let first = again.state(0).unwrap().tensor(0).unwrap();
        assert_eq!(first.as_f32()[4], 4.0 / 1024.0 + 0.25 * iteration as f32);
    }
    assert!(sequence.run(ITERATIONS).is_err());
    assert_eq!(sequence.output().unwrap().tensor(2).unwrap().as_f32()[0], 0.25 * ITERATIONS as f32);
}

/// Begins with something else the second time that it is asked.
#[derive(Debug, Default)]
struct Forgetful(std::sync::atomic::AtomicU32);

impl SequencePolicy for Forgetful {
    fn begins(&self, _iteration: u32, handed_on: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
        let asked = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if asked < ITERATIONS {
            return handed_on;
        }
        handed_on
            .into_iter()
            .map(|(id, tensor)| {
                let mut values = tensor.as_f32().to_vec();
                values[7] += 1.0;
                (id, Tensor::from_f32(tensor.shape(), values).unwrap())
            })
            .collect()
    }
}

#[test]
fn a_machine_that_computes_something_else_the_second_time_says_so_and_answers_nothing() {
    let model = model();
    let sequence = run(&model, Arc::new(Forgetful::default())).unwrap();
    assert!(sequence.run(3).is_ok(), "what is kept needs nothing to be passed on");
    assert_eq!(sequence.run(4).unwrap_err(), RunError::Differs { iteration: 4 });
}
