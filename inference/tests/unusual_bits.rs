//! Inputs and weights of any bits: committed to as they were given, computed with as the law reads them, on
//! every path of this CPU and on one, two and four threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;

use inference::{Engine, Isa, Model, Runner, State, Tensor};
use protocol::graph::{Fold, Graph, Layer, MapFunction, Node, Operand, Operator, Profile, Window};
use protocol::law::{self, LawError, Operands};
use protocol::tensor::{ElementType, Shape, TensorType};

const F32: ElementType = ElementType::F32;

/// −0, subnormals, numbers under 2^-40, infinities, NaN of other machines, and ordinary numbers between.
const FLOATS: [u32; 18] = [
    0x8000_0000,
    0x3F80_0000,
    0x0000_0001,
    0x8000_0001,
    0xC020_0000,
    0x007F_FFFF,
    0x807F_FFFF,
    0x2B7F_FFFF,
    0xAB7F_FFFF,
    0x2B80_0000,
    0x7F80_0000,
    0x3E80_0000,
    0xFF80_0000,
    0x7FC0_0001,
    0xFFC0_0000,
    0x7F80_0001,
    0xBF00_0000,
    0x0000_0000,
];

const TRUTHS: [u8; 5] = [0, 1, 2, 255, 128];

fn engines() -> Vec<Engine> {
    let kinds = Isa::available().into_iter().flat_map(|isa| [1, 2, 4].map(|count| (isa, count)));
    kinds.map(|(isa, threads)| Engine::new(isa, threads).unwrap()).collect()
}

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

/// A tensor as somebody might give it, beginning at a place of the lists above.
fn given(kind: &TensorType, first: u64) -> Tensor {
    let places = (first..).take(kind.shape.count() as usize);
    match kind.element {
        F32 => {
            let bits = places.map(|place| FLOATS[place as usize % FLOATS.len()]);
            Tensor::given_f32(&kind.shape, bits.map(f32::from_bits).collect()).unwrap()
        }
        ElementType::Bool => {
            let bytes: Vec<u8> =
                places.map(|place| TRUTHS[place as usize % TRUTHS.len()]).collect();
            Tensor::given_truths(&kind.shape, &bytes).unwrap()
        }
        element => {
            let integers: Vec<i64> = places.map(|place| (place % 3) as i64).collect();
            Tensor::from_integers(element, &kind.shape, &integers).unwrap()
        }
    }
}

/// The bits as they lie in the leaves.
struct Leaves<'a>(&'a [Tensor]);

impl Operands for Leaves<'_> {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        let tensor = self.0.get(operand).ok_or(())?;
        let (leaf, place) = tensor.kind().locate(index).ok_or(())?;
        let bytes = tensor.leaf(leaf).ok_or(())?;
        protocol::tensor::leaf_element(tensor.kind().element, &bytes, place).ok_or(())
    }
}

fn compare(operator: Operator, operands: &[TensorType], output: TensorType) {
    let operand = |kind: &TensorType| Operand { value: 0, kind: kind.clone() };
    let node = Node { operator, operands: operands.iter().map(operand).collect(), output };
    let Ok(node) = law::check(&node) else { panic!("{node:?}") };
    for seed in [0, 7] {
        let tensors: Vec<Tensor> =
            operands.iter().zip(0u64..).map(|(kind, at)| given(kind, seed + at * 5)).collect();
        let law: Result<Vec<u64>, _> = (0..node.output.shape.count())
            .map(|index| law::element(node, index, &mut Leaves(&tensors)))
            .collect();
        assert!(!matches!(law, Err(LawError::Operand(()))));
        let references: Vec<&Tensor> = tensors.iter().collect();
        for engine in engines() {
            let found = engine.run(node, &references, None);
            let name = format!("{:?} on {:?}", node.operator, engine.isa());
            match (&law, found) {
                (Ok(bits), Ok(found)) => {
                    let found: Vec<u64> =
                        (0..bits.len() as u64).filter_map(|at| found.given_bits(at)).collect();
                    assert_eq!(*bits, found, "{name}");
                }
                (Err(_), Err(_)) => {}
                (law, found) => panic!("{name}: {law:?}, {found:?}"),
            }
        }
    }
}

#[test]
fn every_function_of_unusual_bits_is_the_law_s() {
    let types = [F32, ElementType::Bool, ElementType::I32];
    for function in MapFunction::ALL.iter().copied() {
        for (first, last) in types.iter().flat_map(|one| types.map(|other| (*one, other))) {
            for output in types {
                let mut operands = vec![kind(last, &[3, 21]); function.operands()];
                operands[0] = kind(first, &[3, 21]);
                let output = kind(output, &[3, 21]);
                let operand = |kind: &TensorType| Operand { value: 0, kind: kind.clone() };
                let node = Node {
                    operator: Operator::Map { function },
                    operands: operands.iter().map(operand).collect(),
                    output: output.clone(),
                };
                if law::check(&node).is_ok() {
                    compare(Operator::Map { function }, &operands, output);
                }
            }
        }
    }
}

#[test]
fn every_product_and_fold_of_unusual_bits_is_the_law_s() {
    let f32s = |dimensions: &[u64]| kind(F32, dimensions);
    let window = Window { kernel: (2, 2), strides: (1, 1), dilations: (1, 1), pads: (1, 1) };
    for depth in [1, 2, 5, 70] {
        let (left, right) = (f32s(&[5, depth]), f32s(&[40, depth]));
        compare(Operator::Contract {}, &[left, right], f32s(&[5, 40]));
    }
    compare(Operator::Contract {}, &[f32s(&[2, 3, 4]), f32s(&[2, 5, 4])], f32s(&[2, 3, 5]));
    let convolve = Operator::Convolve { window, groups: 1 };
    let operands = [f32s(&[1, 4, 4, 3]), f32s(&[5, 2, 2, 3])];
    compare(convolve, &operands, f32s(&[1, 5, 5, 5]));
    for fold in [Fold::Sum, Fold::Maximum, Fold::Minimum] {
        for columns in [1, 3, 40, 70] {
            compare(Operator::Reduce { fold }, &[f32s(&[9, columns])], f32s(&[9]));
        }
        let pool = Operator::Pool { fold, window };
        compare(pool, &[f32s(&[1, 4, 4, 3])], f32s(&[1, 5, 5, 3]));
    }
}

#[test]
fn every_movement_of_unusual_bits_moves_what_the_law_reads() {
    for element in [F32, ElementType::Bool] {
        let of = |dimensions: &[u64]| kind(element, dimensions);
        compare(Operator::Reshape {}, &[of(&[6, 6])], of(&[36]));
        compare(Operator::Reshape {}, &[of(&[6, 6])], of(&[6, 6]));
        let transpose = Operator::Transpose { permutation: vec![1, 0] };
        compare(transpose, &[of(&[4, 9])], of(&[9, 4]));
        for step in [2, -1] {
            let starts = vec![if step > 0 { 0 } else { 19 }];
            compare(Operator::Slice { starts, steps: vec![step] }, &[of(&[20])], of(&[10]));
        }
        compare(Operator::Concat { axis: 0 }, &[of(&[9]), of(&[20])], of(&[29]));
        for before in [2, -2] {
            let fill = if element == F32 { 0x4000_0000 } else { 1 };
            let pad = Operator::Pad { before: vec![before], fill };
            compare(pad, &[of(&[20])], of(&[24]));
        }
        compare(Operator::Expand {}, &[of(&[20])], of(&[3, 20]));
        let indices = kind(ElementType::I64, &[7]);
        compare(Operator::Gather { axis: 0 }, &[of(&[20]), indices], of(&[7]));
    }
}

/// Inputs x (value 0, carried to the end) and truths (1), a weight (2): x as another shape, and a product
/// of it where the truths say so.
fn model() -> Model {
    let (row, truth) = (kind(F32, &[4, 20]), kind(ElementType::Bool, &[4, 20]));
    let of = |value, kind: &TensorType| Operand { value, kind: kind.clone() };
    let map = |function| Operator::Map { function };
    let node = |operator, operands, output: &TensorType| Node {
        operator,
        operands,
        output: output.clone(),
    };
    let flat = kind(F32, &[80]);
    let nodes = vec![
        node(Operator::Reshape {}, vec![of(0, &row)], &flat),
        node(map(MapFunction::Multiply), vec![of(0, &row), of(2, &row)], &row),
        node(map(MapFunction::Select), vec![of(1, &truth), of(4, &row), of(0, &row)], &row),
        node(Operator::Contract {}, vec![of(5, &row), of(2, &row)], &kind(F32, &[4, 4])),
        node(Operator::Reduce { fold: Fold::Maximum }, vec![of(0, &row)], &kind(F32, &[4])),
    ];
    let layer = |first_operator, operator_count, live_in: &[u32], live_out: &[u32]| Layer {
        first_operator,
        operator_count,
        live_in: live_in.to_vec(),
        live_out: live_out.to_vec(),
    };
    let layers =
        vec![layer(0, 3, &[0, 1], &[0, 1, 3, 5]), layer(3, 2, &[0, 1, 3, 5], &[0, 1, 3, 6, 7])];
    let graph = Graph {
        inputs: vec![row.clone(), truth],
        weights: vec![row.clone()],
        nodes,
        layers,
        ..Graph::default()
    };
    let names = vec!["x".to_owned(), "truths".to_owned()];
    let outputs = vec![("all".to_owned(), 6)];
    let operators = vec![String::new(); 5];
    let weights = vec![given(&row, 3)];
    Model::new(graph, weights, names, outputs, operators, Profile::StrictF32).unwrap()
}

#[test]
fn a_run_commits_to_inputs_and_weights_as_given_and_has_the_law_s_bits_everywhere() {
    let model = model();
    let [x, truths] = [0, 1].map(|input| given(&model.graph().inputs[input], 0));
    let weight = model.weights()[0].clone();
    assert_eq!(model.weight_root(0), Some(weight.root()));
    let inputs =
        HashMap::from([("x".to_owned(), x.clone()), ("truths".to_owned(), truths.clone())]);
    // The law over what lies in the leaves.
    let mut values = vec![x.clone(), truths.clone(), weight];
    for node in &model.graph().nodes {
        let node = law::check(node).unwrap();
        let operands: Vec<Tensor> =
            node.operands.iter().map(|operand| values[operand.value as usize].clone()).collect();
        let bits: Vec<u64> = (0..node.output.shape.count())
            .map(|index| law::element(node, index, &mut Leaves(&operands)).unwrap())
            .collect();
        values.push(Tensor::from_bits(&node.output, &bits).unwrap());
    }
    for engine in engines() {
        let runner = Runner::honest(&engine, &model);
        let input = runner.input_state(&inputs).unwrap();
        assert_eq!(input.roots(), [x.root(), truths.root()]);
        let trace = runner.run(input).unwrap();
        for boundary in 0..=2 {
            let state: &State = trace.state(boundary).unwrap();
            for ((value, tensor), root) in state.values().iter().zip(state.roots()) {
                let expected = &values[*value as usize];
                assert_eq!(*root, expected.root(), "value {value} at {boundary}");
                assert!(tensor == expected, "value {value} at {boundary}");
                let tree = state.leaf_tree(*value).unwrap();
                assert_eq!(tensor.kind().root(&tree.root()), *root);
            }
        }
        for layer in 0..2 {
            let before = trace.state(layer).unwrap();
            let inside = runner.subtrace(layer, before).unwrap();
            for (position, tensor) in inside.tensors().iter().enumerate() {
                let operator = model.layer(layer).unwrap().first_operator + position as u32;
                assert!(*tensor == values[model.header().output_of(operator) as usize]);
            }
        }
        // Sums of a product are the law's as well.
        let inside = runner.subtrace(1, trace.state(1).unwrap()).unwrap();
        let operands = runner.operands(3, trace.state(1).unwrap(), &inside).unwrap();
        let sums = runner.accumulators(3, 5, &operands).unwrap();
        let node = model.checked(3).unwrap();
        let leaves: Vec<Tensor> = operands.into_iter().cloned().collect();
        let start = law::start(node, 0, None);
        assert_eq!(sums, law::segment(node, 5, 0, start, &mut Leaves(&leaves)).unwrap());
    }
    // A movement writes what the law reads, not what was given.
    let same = |at: &u64| values[3].given_bits(*at) == x.given_bits(*at);
    assert!(!(0..80).all(|at| same(&at)));
}
