//! Inputs for which an operator has no result: plans, engine and law agree on the first operator and element.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeSet, HashMap};

use inference::engine::WholeTensors;
use inference::layers::cut_layers;
use inference::{
    AnyRun, ComputePolicy, Engine, EngineError, Honest, Isa, Model, NoResult, Outcome, RunError,
    Runner, Tensor,
};
use protocol::graph::{Fold, Graph, MapFunction, Node, Operand, Operator, Profile};
use protocol::law::{self, LawError};
use protocol::tensor::{ElementType, Shape, TensorType};

use ElementType::{F32, I8, I32, I64, U8};
use MapFunction as F;

/// Computes as the model says, operator by operator.
#[derive(Clone, Copy, Debug)]
struct OneByOne;

impl ComputePolicy for OneByOne {}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// An element that most operators have a result for, and now and then one that few have.
    fn integer(&mut self, kind: &TensorType) -> i64 {
        let (least, most) = kind.element.integer_range().unwrap();
        match (self.below(500), kind.shape.dimensions()) {
            (0, _) => most,
            (1, _) => least,
            // Numbers of rows.
            (_, [ROWS]) => self.below(ROWS) as i64,
            // A start: there is room for none but the first.
            (roll, [1]) => i64::from(roll <= 60),
            _ => 1 + self.below(9) as i64,
        }
    }

    fn tensor(&mut self, kind: &TensorType) -> Tensor {
        let count = kind.shape.count();
        if kind.element == F32 {
            let floats = (0..count).map(|_| match self.below(500) {
                0 => 3e9,
                1 => f32::NAN,
                _ => self.below(400) as f32 * 0.037 - 6.0,
            });
            return Tensor::from_f32(&kind.shape, floats.collect()).unwrap();
        }
        let integers: Vec<i64> = (0..count).map(|_| self.integer(kind)).collect();
        Tensor::from_integers(kind.element, &kind.shape, &integers).unwrap()
    }
}

const ROWS: u64 = 5;
const COLUMNS: u64 = 7;

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

/// A graph under construction: inputs 0 to 3 are integers, numbers of rows, a start and floats.
struct Sketch {
    kinds: Vec<TensorType>,
    nodes: Vec<(Operator, Vec<usize>)>,
}

const INPUTS: usize = 4;

/// The weight of models that have none.
fn unused() -> Tensor {
    Tensor::from_f32(&Shape::new(&[]).unwrap(), vec![0.0]).unwrap()
}

/// Id of an input or of an operator's output: between them stands a weight.
fn value_of(index: usize) -> u32 {
    (index + usize::from(index >= INPUTS)) as u32
}

impl Sketch {
    fn new() -> Self {
        let kinds = vec![
            kind(I64, &[ROWS, COLUMNS]),
            kind(I64, &[ROWS]),
            kind(I32, &[1]),
            kind(F32, &[ROWS, COLUMNS]),
        ];
        Self { kinds, nodes: Vec::new() }
    }

    fn emit(&mut self, operator: Operator, from: Vec<usize>, to: TensorType) {
        self.nodes.push((operator, from));
        self.kinds.push(to);
    }

    fn table(&self, dice: &mut Dice, fits: impl Fn(ElementType) -> bool) -> Option<usize> {
        let is_table = |value: &usize| {
            let kind = &self.kinds[*value];
            kind.shape.dimensions() == [ROWS, COLUMNS] && fits(kind.element)
        };
        let found: Vec<usize> = (0..self.kinds.len()).filter(is_table).collect();
        (!found.is_empty()).then(|| dice.pick(&found))
    }

    /// One more operator, where there is something for it to read.
    fn grow(&mut self, dice: &mut Dice) -> Option<()> {
        let is_integer = |element: ElementType| element.integer_range().is_some();
        match dice.below(9) {
            0 | 1 => {
                let a = self.table(dice, is_integer)?;
                let to = self.kinds[a].clone();
                let b = self.table(dice, |element| element == to.element)?;
                let all = [F::Add, F::Subtract, F::Multiply, F::Divide, F::Remainder];
                self.emit(Operator::Map { function: dice.pick(&all) }, vec![a, b], to);
            }
            2 => {
                let a = self.table(dice, |element| matches!(element, I64 | I32 | I8))?;
                let function = dice.pick(&[F::Negate, F::Absolute]);
                self.emit(Operator::Map { function }, vec![a], self.kinds[a].clone());
            }
            3 => {
                let a = self.table(dice, |_| true)?;
                let to = kind(dice.pick(&[I64, I32, I8, U8, F32]), &[ROWS, COLUMNS]);
                self.emit(Operator::Map { function: F::Cast }, vec![a], to);
            }
            4 => {
                let a = self.table(dice, |_| true)?;
                let is_index = |value: &usize| self.kinds[*value] == kind(I64, &[ROWS]);
                let indices: Vec<usize> = (0..self.kinds.len()).filter(is_index).collect();
                let operands = vec![a, dice.pick(&indices)];
                self.emit(Operator::Gather { axis: 0 }, operands, self.kinds[a].clone());
            }
            5 => {
                let a = self.table(dice, |_| true)?;
                let b = self.table(dice, |element| element == self.kinds[a].element)?;
                self.emit(Operator::Update {}, vec![a, b, 2], self.kinds[a].clone());
            }
            6 => {
                let a = self.table(dice, |element| element == I64)?;
                let fold = dice.pick(&[Fold::Sum, Fold::Maximum]);
                self.emit(Operator::Reduce { fold }, vec![a], kind(I64, &[ROWS]));
            }
            7 => {
                let a = self.table(dice, |element| element == F32)?;
                let function = dice.pick(&[F::Sine, F::Cosine, F::Tanh, F::Exponential]);
                self.emit(Operator::Map { function }, vec![a], self.kinds[a].clone());
            }
            _ => {
                // What plans put into one pass.
                let a = self.table(dice, |element| element == F32)?;
                let b = self.table(dice, |element| element == F32)?;
                let function = dice.pick(&[F::Add, F::Multiply, F::Maximum]);
                self.emit(Operator::Map { function }, vec![a, b], self.kinds[a].clone());
            }
        }
        Some(())
    }

    fn build(self, layer_operators_max: usize) -> Model {
        let operand =
            |value: &usize| Operand { value: value_of(*value), kind: self.kinds[*value].clone() };
        let nodes: Vec<Node> = self
            .nodes
            .iter()
            .zip(&self.kinds[INPUTS..])
            .map(|((operator, from), to)| Node {
                operator: operator.clone(),
                operands: from.iter().map(operand).collect(),
                output: to.clone(),
            })
            .collect();
        let last = value_of(self.kinds.len() - 1);
        let inputs = self.kinds[..INPUTS].to_vec();
        let layers = cut_layers(&inputs, 1, &nodes, &[last], Some(layer_operators_max));
        let names = (0..nodes.len()).map(|node| format!("node {node}")).collect();
        let weights = vec![unused()];
        let graph = Graph {
            inputs,
            weights: vec![unused().kind().clone()],
            nodes,
            layers,
            ..Graph::default()
        };
        let input_names = (0..INPUTS).map(|input| input.to_string()).collect();
        let outputs = vec![("y".to_owned(), last)];
        Model::new(graph, weights, input_names, outputs, names, Profile::StrictF32).unwrap()
    }
}

/// The first operator and element without a result, by the law alone.
fn by_the_law(model: &Model, inputs: &[Tensor]) -> Option<(u32, u64)> {
    let mut values = [inputs, &[unused()]].concat();
    for operator in 0..model.header().operator_count {
        let node = model.checked(operator).unwrap();
        let operands: Vec<&Tensor> =
            node.operands.iter().map(|operand| &values[operand.value as usize]).collect();
        let mut bits = Vec::new();
        for element in 0..node.output.shape.count() {
            match law::element(node, element, &mut WholeTensors(&operands)) {
                Ok(word) => bits.push(word),
                Err(LawError::Undefined) => return Some((operator, element)),
                Err(LawError::Operand(())) => panic!("operator {operator} reads outside"),
            }
        }
        values.push(Tensor::from_bits(&node.output, &bits).unwrap());
    }
    None
}

fn end_of(outcome: &Outcome) -> Option<(u32, u64)> {
    match outcome {
        Outcome::Whole(_) => None,
        Outcome::Partial(trace) => Some((trace.no_result().operator, trace.no_result().element)),
    }
}

#[test]
fn audit_a2_plans_engine_and_law_agree_on_the_first_operator_and_element_without_a_result() {
    let engines = [1, 2, 4].map(|threads| Engine::new(Isa::detect(), threads).unwrap());
    let (mut partial, mut whole, mut kinds) = (0, 0, BTreeSet::new());
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut sketch = Sketch::new();
        let operators = 3 + dice.below(12) as usize;
        while sketch.nodes.len() < operators {
            let _ = sketch.grow(&mut dice);
        }
        let inputs: Vec<Tensor> =
            sketch.kinds[..INPUTS].to_vec().iter().map(|kind| dice.tensor(kind)).collect();
        let model = sketch.build(1 + dice.below(6) as usize);
        let expected = by_the_law(&model, &inputs);
        let named = (0..).map(|input: usize| input.to_string()).zip(inputs);
        let named: HashMap<String, Tensor> = named.collect();
        let mut outcomes = Vec::new();
        for engine in &engines {
            for runner in [
                Runner::honest(engine, &model),
                Runner { engine, model: &model, compute_policy: &OneByOne },
            ] {
                let outcome = runner.outcome(runner.input_state(&named).unwrap()).unwrap();
                assert_eq!(end_of(&outcome), expected, "seed {seed}");
                // What must have a result says the same.
                let answer = runner.infer(&named);
                if let Outcome::Partial(trace) = &outcome {
                    assert_eq!(answer.unwrap_err(), trace.no_result().error());
                } else {
                    assert!(answer.is_ok());
                }
                outcomes.push(outcome);
            }
        }
        assert!(outcomes.iter().all(|outcome| outcome.is_same(&outcomes[0])), "seed {seed}");
        match &outcomes[0] {
            Outcome::Whole(_) => whole += 1,
            Outcome::Partial(trace) => {
                partial += 1;
                kinds.insert(trace.no_result().kind);
                assert_eq!(trace.states().len() as u32, trace.no_result().layer + 1);
            }
        }
    }
    assert!(partial > 100 && whole > 100, "{partial} without a result, {whole} with one");
    for kind in
        ["gather", "update", "divide", "remainder", "cast", "multiply", "reduce_sum", "sine"]
    {
        assert!(kinds.contains(kind), "no input without a result for {kind}: {kinds:?}");
    }
}

/// `(1 / x) + 1` in one layer, after `x + 1` in another.
fn quotients() -> (Model, HashMap<String, Tensor>) {
    let row = kind(I64, &[4]);
    let operand = |value| Operand { value, kind: row.clone() };
    let map = |function, operands| Node {
        operator: Operator::Map { function },
        operands,
        output: row.clone(),
    };
    let one = Tensor::from_i64(&row.shape, vec![1; 4]).unwrap();
    let nodes = vec![
        map(F::Add, vec![operand(0), operand(1)]),
        map(F::Multiply, vec![operand(2), operand(2)]),
        map(F::Divide, vec![operand(1), operand(3)]),
        map(F::Add, vec![operand(4), operand(1)]),
    ];
    let inputs = vec![row.clone()];
    let mut layers = cut_layers(&inputs, 1, &nodes, &[5], Some(8));
    let all = layers[0].clone();
    layers = vec![
        protocol::graph::Layer { operator_count: 1, live_out: vec![2], ..all.clone() },
        protocol::graph::Layer {
            first_operator: 1,
            operator_count: 3,
            live_in: vec![2],
            live_out: all.live_out,
        },
    ];
    let names = ["add", "square", "quotient", "sum"].map(str::to_owned).to_vec();
    let graph = Graph { inputs, weights: vec![row.clone()], nodes, layers, ..Graph::default() };
    let (x, outputs) = (vec!["x".to_owned()], vec![("y".to_owned(), 5)]);
    let model = Model::new(graph, vec![one], x, outputs, names, Profile::StrictF32).unwrap();
    let input = Tensor::from_i64(&row.shape, vec![3, 1, -1, -1]).unwrap();
    (model, HashMap::from([("x".to_owned(), input)]))
}

#[test]
fn audit_a2_a_run_without_a_result_has_what_was_before_it_and_says_where_it_ends() {
    let (model, input) = quotients();
    let engine = Engine::new(Isa::PORTABLE, 1).unwrap();
    let runner = Runner::honest(&engine, &model);
    let outcome = runner.outcome(runner.input_state(&input).unwrap()).unwrap();
    let Outcome::Partial(trace) = &outcome else { panic!("there is nothing to divide by") };
    let expected =
        NoResult { layer: 1, operator: 2, kind: "divide", name: "quotient".to_owned(), element: 2 };
    assert_eq!(**trace.no_result(), expected);
    assert_eq!((trace.states().len(), trace.state_roots().len()), (2, 2));
    // What asks for a result gets an error that says it all.
    let error = runner.run(runner.input_state(&input).unwrap()).unwrap_err();
    let undefined = EngineError::Undefined { kind: "divide", element: 2 };
    let name = "quotient".to_owned();
    assert_eq!(error, RunError::Operator { operator: 2, name, error: undefined });
    for part in
        ["operator 2", "quotient", "divide", "element 2", "no claim on this input can stand"]
    {
        assert!(error.to_string().contains(part), "{error}");
    }
    // On demand: the outputs before it, and its operands.
    let (model, honest) = (std::sync::Arc::new(model), std::sync::Arc::new(Honest));
    let run: AnyRun = AnyRun::new(engine, model, honest, outcome);
    assert_eq!((run.root(), run.states().len()), (None, 2));
    assert_eq!(run.inside(0).unwrap().tensors().len(), 1);
    assert_eq!(run.inside(1).unwrap().tensors().len(), 1);
    let squares = run.output(1).unwrap();
    assert_eq!(squares.integers().unwrap(), [16, 4, 0, 0]);
    assert_eq!(run.operands(2).unwrap()[1], squares);
    assert!(run.output(2).is_err() && run.operands(3).is_err() && run.inside(2).is_err());
}
