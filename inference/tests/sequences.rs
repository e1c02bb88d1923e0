//! Runs whose iterations begin with so much that only some beginnings are kept.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use inference::sequence::{Alike, SequenceInput, SequencePolicy, spacing};
use inference::{
    ComputePolicy, Engine, EngineError, Honest, Model, RunError, SequenceRun, State, Tensor,
};
use protocol::graph::{Graph, Layer, MapFunction, Node, Operand, Operator, Profile, Recurrence};
use protocol::hash::Digest;
use protocol::ids::JobId;
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
    run_first(model, policy, ITERATIONS)
}

fn run_first(
    model: &Arc<Model>,
    policy: Arc<dyn SequencePolicy>,
    until: u32,
) -> Result<SequenceRun, RunError> {
    let shape = Shape::new(&[1 << 20]).unwrap();
    let values = (0..1 << 20).map(|at| at as f32 / 1024.0).collect();
    let state = State::new(vec![(0, Tensor::from_f32(&shape, values).unwrap())]).unwrap();
    let engine = Engine::detect().unwrap();
    let extent = (RunLength::exactly(ITERATIONS), until);
    SequenceRun::compute_first(&engine, model, policy, SequenceInput::One(state), extent)
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
struct Forgetful(AtomicU32);

impl SequencePolicy for Forgetful {
    fn begins(&self, _iteration: u32, handed_on: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
        let asked = self.0.fetch_add(1, Ordering::Relaxed);
        // The last iteration hands nothing on.
        if asked + 1 < ITERATIONS {
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

/// Counts the operators that it computes: one an iteration.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicU32>);

impl ComputePolicy for Counting {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        inference::compute_honestly(engine, model, operator, operands)
    }
}

#[test]
fn a_run_made_in_parts_is_the_run_made_at_once_and_no_iteration_is_made_twice() {
    let (model, counting) = (model(), Counting::default());
    let whole = run(&model, Arc::new(Honest)).unwrap();
    assert!(whole.is_whole());
    let mut made = run_first(&model, Arc::new(Alike(Arc::new(counting.clone()))), 1).unwrap();
    for until in [1, 4, 4, 2, 9, 19, ITERATIONS, ITERATIONS + 1] {
        let before = made.iterations();
        made = made.computed_on(until).unwrap();
        let iterations = until.clamp(before, ITERATIONS);
        let own = &whole.trace_roots()[..iterations as usize];
        assert_eq!((made.trace_roots(), made.iterations()), (own, iterations));
        assert_eq!(counting.0.load(Ordering::Relaxed), iterations);
        // What is not whole is no claim, and has the list of what it has.
        let is_whole = iterations == ITERATIONS;
        assert_eq!(made.is_whole(), is_whole);
        assert_eq!(made.root().is_some(), is_whole);
        assert_eq!(made.statement(JobId::default(), Digest::default()).is_some(), is_whole);
        let first = whole.list().unwrap().root_of_first(iterations);
        assert_eq!(made.list().unwrap().root_of_first(iterations), first);
        assert!(made.run(iterations).is_err());
    }
    assert_eq!(made.root(), whole.root());
    // What is kept of the parts is enough to compute each again.
    for iteration in (0..ITERATIONS).rev() {
        let again = made.run(iteration).unwrap();
        assert_eq!(again.root(), Some(whole.trace_roots()[iteration as usize]));
    }
}

#[test]
fn a_run_that_is_stopped_keeps_what_is_made_of_it_and_goes_on_from_there() {
    let model = model();
    let whole = run(&model, Arc::new(Honest)).unwrap();
    let begun = run_first(&model, Arc::new(Honest), 3).unwrap();
    let stopped = begun.continued::<RunError>(ITERATIONS, &mut |iteration, _| {
        whole.run(iteration).map(|run| (iteration < 7).then_some(run))
    });
    let stopped = stopped.unwrap();
    assert_eq!((stopped.iterations(), stopped.is_whole()), (7, false));
    assert_eq!(stopped.computed_on(ITERATIONS).unwrap().root(), whole.root());
    let none = run_first(&model, Arc::new(Honest), 0).unwrap();
    assert_eq!((none.iterations(), none.is_whole(), none.root()), (0, false, None));
    assert_eq!(none.computed_on(ITERATIONS).unwrap().root(), whole.root());
}

#[test]
fn iterations_that_are_asked_about_in_turns_are_passed_on_to_once() {
    let (model, counting) = (model(), Counting::default());
    let sequence = run(&model, Arc::new(Alike(Arc::new(counting.clone())))).unwrap();
    // Each two after what is kept, and more of them than runs are in memory.
    let asked = [14, 11, 8, 5, 2];
    for cost in [3, 1, 1] {
        for iteration in asked {
            assert!(!sequence.is_at_hand(iteration));
            let before = counting.0.load(Ordering::Relaxed);
            sequence.run(iteration).unwrap();
            assert_eq!(counting.0.load(Ordering::Relaxed) - before, cost, "{iteration}");
            assert!(sequence.is_at_hand(iteration));
        }
    }
    // The one after an iteration that is in memory begins with what that handed on.
    let before = counting.0.load(Ordering::Relaxed);
    sequence.run(2).unwrap();
    sequence.run(3).unwrap();
    sequence.run(4).unwrap();
    assert_eq!(counting.0.load(Ordering::Relaxed) - before, 2);
}
