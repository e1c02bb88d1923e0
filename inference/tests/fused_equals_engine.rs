//! Layers in few passes give the bits of their operators, one by one: on random graphs of everything
//! that stages are made of, on every path, with one to four threads, for any cut into layers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;

use inference::layers::cut_layers;
use inference::{ComputePolicy, Engine, Isa, Model, Runner, Tensor};
use proptest::prelude::*;
use protocol::graph::{Fold, Graph, MapFunction as F, Node, Operand, Operator, Profile, Window};
use protocol::tensor::{ElementType, Shape, TensorType};

#[derive(Debug)]
struct OneByOne;
impl ComputePolicy for OneByOne {}

/// A small generator.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Floats of all kinds: plain, tiny, huge, exact ties, zeros.
    fn float(&mut self) -> f32 {
        let plain = self.below(2001) as f32 / 250.0 - 4.0;
        match self.below(12) {
            0 => 0.0,
            1 => plain * 1e-13,
            2 => plain * 1e18,
            3 => self.below(9) as f32 - 4.0,
            4 => 1.0 + f32::EPSILON * self.below(4) as f32,
            _ => plain,
        }
    }

    fn tensor(&mut self, dimensions: &[u64]) -> Tensor {
        let shape = Shape::new(dimensions).unwrap();
        let elements = (0..shape.count()).map(|_| self.float()).collect();
        Tensor::from_f32(&shape, elements).unwrap()
    }
}

/// An operator, its operands (a value or, as an error, a weight), and the type of its result.
type Step = (Operator, Vec<Result<usize, usize>>, TensorType);

struct Network {
    input: TensorType,
    weights: Vec<Tensor>,
    /// Nodes whose operands are `Err(weight)` or `Ok(value)`: 0 is the input.
    nodes: Vec<Step>,
    kinds: Vec<TensorType>,
    /// Infinities and NaN among the weights, as masks have them.
    wild: bool,
}

fn float(dimensions: &[u64]) -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(dimensions).unwrap() }
}

/// Every third element or so replaced by what is not finite, mostly by what masks hold, or by bits that no
/// operator stores: −0, a subnormal, the NaN of another machine.
fn masked(tensor: &Tensor, seed: usize) -> Tensor {
    let mut dice = Dice(seed as u64 * 77 + tensor.shape().count());
    let odd = [0xFFC0_1234, 0x8000_0000, 0x8000_0001].map(f32::from_bits);
    let mask = [f32::NEG_INFINITY; 3];
    let kinds = [&mask[..], &[f32::INFINITY], &odd].concat();
    let elements = tensor.as_f32().iter();
    let elements = elements.map(|one| if dice.below(3) == 0 { *dice.pick(&kinds) } else { *one });
    Tensor::given_f32(tensor.shape(), elements.collect()).unwrap()
}

impl Network {
    fn new(dimensions: &[u64]) -> Self {
        let input = float(dimensions);
        Self {
            kinds: vec![input.clone()],
            input,
            weights: Vec::new(),
            nodes: Vec::new(),
            wild: false,
        }
    }

    fn emit(
        &mut self,
        operator: Operator,
        from: Vec<Result<usize, usize>>,
        to: TensorType,
    ) -> usize {
        self.nodes.push((operator, from, to.clone()));
        self.kinds.push(to);
        self.kinds.len() - 1
    }

    fn weight(&mut self, tensor: Tensor) -> Result<usize, usize> {
        let tensor = if self.wild { masked(&tensor, self.weights.len()) } else { tensor };
        self.weights.push(tensor);
        Err(self.weights.len() - 1)
    }

    fn dimensions(&self, value: usize) -> Vec<u64> {
        self.kinds[value].shape.dimensions().to_vec()
    }

    /// Adds something random after a random float value.
    fn grow(&mut self, dice: &mut Dice) {
        let floats: Vec<usize> = (0..self.kinds.len())
            // What was folded out of a vector has no rows.
            .filter(|at| {
                self.kinds[*at].element == ElementType::F32 && !self.dimensions(*at).is_empty()
            })
            .collect();
        // Mostly the newest value, so that chains form.
        let from = match dice.below(4) {
            0 => *dice.pick(&floats),
            _ => *floats.last().unwrap(),
        };
        let dimensions = self.dimensions(from);
        let rank = dimensions.len();
        match dice.below(14) {
            0..4 => {
                let unary = [
                    F::Exponential,
                    F::Tanh,
                    F::Erf,
                    F::Sigmoid,
                    F::Negate,
                    F::Absolute,
                    F::SquareRoot,
                    F::Floor,
                    F::Round,
                    F::Ceiling,
                    F::Logarithm,
                    F::ArcTangent,
                    F::Sine,
                ];
                let function = *dice.pick(&unary);
                let function = if function == F::Sine { F::Tanh } else { function };
                self.emit(Operator::Map { function }, vec![Ok(from)], float(&dimensions));
            }
            4..7 => {
                let binary = [F::Add, F::Subtract, F::Multiply, F::Divide, F::Maximum, F::Minimum];
                let function = *dice.pick(&binary);
                let other = match dice.below(4) {
                    0 => Ok(from),
                    1 => {
                        let shape = dice.tensor(&dimensions[rank - 1..]);
                        self.weight(shape)
                    }
                    2 => {
                        let mut part = dimensions.clone();
                        for size in &mut part {
                            if dice.below(2) == 0 {
                                *size = 1;
                            }
                        }
                        let tensor = dice.tensor(&part);
                        self.weight(tensor)
                    }
                    _ => {
                        let tensor = dice.tensor(&[]);
                        self.weight(tensor)
                    }
                };
                let operands =
                    if dice.below(2) == 0 { vec![Ok(from), other] } else { vec![other, Ok(from)] };
                self.emit(Operator::Map { function }, operands, float(&dimensions));
            }
            7 => {
                // Normalised by something folded from each row.
                let fold = *dice.pick(&[Fold::Sum, Fold::Maximum, Fold::Minimum]);
                let mut kept = dimensions.clone();
                let folded =
                    self.emit(Operator::Reduce { fold }, vec![Ok(from)], float(&kept[..rank - 1]));
                *kept.last_mut().unwrap() = 1;
                let kept = self.emit(Operator::Reshape {}, vec![Ok(folded)], float(&kept));
                let function = *dice.pick(&[F::Subtract, F::Divide]);
                let operands = vec![Ok(from), Ok(kept)];
                self.emit(Operator::Map { function }, operands, float(&dimensions));
            }
            8 => {
                let mut truth = float(&dimensions);
                truth.element = ElementType::Bool;
                let edge = dice.tensor(&[]);
                let edge = self.weight(edge);
                let less =
                    self.emit(Operator::Map { function: F::Less }, vec![Ok(from), edge], truth);
                let other = dice.tensor(&[]);
                let other = self.weight(other);
                let operands = vec![Ok(less), Ok(from), other];
                self.emit(Operator::Map { function: F::Select }, operands, float(&dimensions));
            }
            9 if rank >= 2 => {
                let depth = dimensions[rank - 1];
                let columns = *dice.pick(&[1, 3, 31, 32, 33, 64, 70]);
                let right = dice.tensor(&[columns, depth]);
                let right = self.weight(right);
                let mut to = dimensions.clone();
                to[rank - 1] = columns;
                self.emit(Operator::Contract {}, vec![Ok(from), right], float(&to));
            }
            10 if rank >= 2 && dimensions[rank - 2] <= 64 => {
                // With itself: a product of two values of run time.
                let mut to = dimensions.clone();
                to[rank - 1] = dimensions[rank - 2];
                self.emit(Operator::Contract {}, vec![Ok(from), Ok(from)], float(&to));
            }
            11 if rank >= 2 => {
                let mut order: Vec<u32> = (0..rank as u32).collect();
                for at in (1..rank).rev() {
                    order.swap(at, dice.below(at as u64 + 1) as usize);
                }
                let to: Vec<u64> = order.iter().map(|axis| dimensions[*axis as usize]).collect();
                self.emit(Operator::Transpose { permutation: order }, vec![Ok(from)], float(&to));
            }
            12 => {
                let (starts, steps) = (vec![0; rank], vec![1; rank]);
                let (mut starts, mut to) = (starts, dimensions.clone());
                let axis = dice.below(rank as u64) as usize;
                to[axis] = 1 + dice.below(dimensions[axis]);
                starts[axis] = dice.below(dimensions[axis] - to[axis] + 1) as i64;
                self.emit(Operator::Slice { starts, steps }, vec![Ok(from)], float(&to));
            }
            13 => {
                let count: u64 = dimensions.iter().product();
                let split = (1..=12).rev().find(|part| count.is_multiple_of(*part)).unwrap();
                let to = [split, count / split];
                self.emit(Operator::Reshape {}, vec![Ok(from)], float(&to));
            }
            _ => {}
        }
    }

    fn convolution(dice: &mut Dice, wild: bool) -> Self {
        let groups = *dice.pick(&[1, 1, 2, 6]);
        let channels = 6;
        let (height, width) = (4 + dice.below(9), 4 + dice.below(9));
        let mut network = Self::new(&[1 + dice.below(2), height, width, channels]);
        network.wild = wild;
        let each = if groups == 6 { 1 } else { *dice.pick(&[1, 5, 16, 33]) };
        let outputs = each * groups;
        let kernel = (1 + dice.below(3) as u32, 1 + dice.below(3) as u32);
        let strides = (1 + dice.below(2) as u32, 1 + dice.below(2) as u32);
        let dilations = (1 + dice.below(2) as u32, 1 + dice.below(2) as u32);
        let pads = (dice.below(3) as u32, dice.below(3) as u32);
        let after = (dice.below(2), dice.below(2));
        let room = |size: u64, pad: u32, after: u64, kernel: u32, stride: u32, dilation: u32| {
            let span = u64::from((kernel - 1) * dilation) + 1;
            (size + u64::from(pad) + after)
                .checked_sub(span)
                .map_or(0, |left| left / u64::from(stride) + 1)
        };
        let rows = room(height, pads.0, after.0, kernel.0, strides.0, dilations.0).max(1);
        let columns = room(width, pads.1, after.1, kernel.1, strides.1, dilations.1).max(1);
        let weights =
            dice.tensor(&[outputs, u64::from(kernel.0), u64::from(kernel.1), channels / groups]);
        let weights = network.weight(weights);
        let window = Window { kernel, strides, dilations, pads };
        let count = network.dimensions(0)[0];
        let operator = Operator::Convolve { window, groups: groups as u32 };
        network.emit(operator, vec![Ok(0), weights], float(&[count, rows, columns, outputs]));
        network
    }

    fn build(self, layer_operators_max: usize) -> Option<Model> {
        let first = 1 + self.weights.len();
        let value_of = |from: &Result<usize, usize>| match from {
            Ok(0) => 0,
            Ok(value) => (first + value - 1) as u32,
            Err(weight) => (1 + weight) as u32,
        };
        let kind_of = |from: &Result<usize, usize>| match from {
            Ok(value) => self.kinds[*value].clone(),
            Err(weight) => self.weights[*weight].kind().clone(),
        };
        let operand = |from| Operand { value: value_of(from), kind: kind_of(from) };
        let nodes: Vec<Node> = self
            .nodes
            .iter()
            .map(|(operator, from, to)| Node {
                operator: operator.clone(),
                operands: from.iter().map(operand).collect(),
                output: to.clone(),
            })
            .collect();
        for node in &nodes {
            protocol::law::check(node).unwrap();
        }
        // Several outputs, so that not everything inside a stage stays there.
        let last = (first + nodes.len() - 1) as u32;
        let outputs: Vec<u32> = (first as u32..=last).rev().step_by(3).collect();
        let inputs = vec![self.input.clone()];
        let layers =
            cut_layers(&inputs, self.weights.len(), &nodes, &outputs, Some(layer_operators_max));
        let names = nodes.iter().map(|_| String::new()).collect();
        let graph = Graph {
            inputs,
            weights: self.weights.iter().map(|tensor| tensor.kind().clone()).collect(),
            nodes,
            layers,
            ..Graph::default()
        };
        let outputs = outputs.into_iter().map(|value| (value.to_string(), value)).collect();
        let weights = self.weights;
        Model::new(graph, weights, vec!["x".to_owned()], outputs, names, Profile::StrictF32).ok()
    }
}

fn engines() -> Vec<Engine> {
    let paths = Isa::available();
    let kinds = paths.into_iter().flat_map(|path| [1, 2, 4].map(|threads| (path, threads)));
    kinds.map(|(path, threads)| Engine::new(path, threads).unwrap()).collect()
}

fn compare(engines: &[Engine], network: Network, dice: &mut Dice) {
    let cut = 1 + dice.below(30) as usize;
    let dimensions = network.input.shape.dimensions().to_vec();
    let text = format!("{:?}", network.nodes);
    let wild = network.wild;
    let Some(model) = network.build(cut) else { return };
    let input = dice.tensor(&dimensions);
    let input = if wild { masked(&input, 99) } else { input };
    let inputs = HashMap::from([("x".to_owned(), input)]);
    let mut roots = Vec::new();
    for engine in engines {
        for plain in [true, false] {
            let compute_policy: &dyn ComputePolicy =
                if plain { &inference::Honest } else { &OneByOne };
            let runner = Runner { engine, model: &model, compute_policy };
            let trace = runner.run(runner.input_state(&inputs).unwrap()).unwrap();
            let turn = runner.run_in_turn(runner.input_state(&inputs).unwrap()).unwrap();
            assert_eq!(trace.root(), turn.root(), "hashed beside and between layers");
            roots.push((engine.isa(), engine.threads(), plain, trace.root()));
        }
    }
    let first = roots[0].3;
    assert!(roots.iter().all(|(.., root)| *root == first), "{text}\n{roots:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_chains_have_the_bits_of_their_operators(seed: u64, wild: bool) {
        let mut dice = Dice(seed);
        let sizes = [1, 2, 3, 5, 12, 16, 31, 32, 33, 65];
        let rank = 2 + dice.below(3) as usize;
        let mut dimensions: Vec<u64> = (0..rank).map(|_| *dice.pick(&sizes)).collect();
        while dimensions.iter().product::<u64>() > 6000 {
            let largest = (0..rank).max_by_key(|at| dimensions[*at]).unwrap();
            dimensions[largest] = dimensions[largest].div_ceil(2);
        }
        let mut network = Network::new(&dimensions);
        network.wild = wild;
        for _ in 0..3 + dice.below(20) {
            network.grow(&mut dice);
        }
        if !network.nodes.is_empty() {
            compare(&engines(), network, &mut dice);
        }
    }

    #[test]
    fn convolutions_and_what_follows_have_the_bits_of_their_operators(seed: u64, wild: bool) {
        let mut dice = Dice(seed);
        let mut network = Network::convolution(&mut dice, wild);
        for _ in 0..dice.below(8) {
            network.grow(&mut dice);
        }
        compare(&engines(), network, &mut dice);
    }
}

#[test]
fn products_deeper_than_a_chain_and_wider_than_a_cache_way_have_the_same_bits() {
    let mut dice = Dice(5);
    for (rows, depth, columns) in [(3, 1024, 70), (65, 1024, 64), (130, 257, 96), (1, 2048, 100)] {
        let mut network = Network::new(&[rows, depth]);
        let right = dice.tensor(&[columns, depth]);
        let right = network.weight(right);
        let product =
            network.emit(Operator::Contract {}, vec![Ok(0), right], float(&[rows, columns]));
        let bias = dice.tensor(&[columns]);
        let bias = network.weight(bias);
        let operands = vec![Ok(product), bias];
        network.emit(Operator::Map { function: F::Add }, operands, float(&[rows, columns]));
        compare(&engines(), network, &mut dice);
    }
}

#[test]
fn a_mask_of_infinities_before_a_softmax_gives_the_bits_of_its_operators() {
    let mut dice = Dice(21);
    let (rows, columns) = (70, 70);
    let mut network = Network::new(&[rows, 33]);
    let right = dice.tensor(&[columns, 33]);
    let right = network.weight(right);
    let square = [rows, columns];
    let scores = network.emit(Operator::Contract {}, vec![Ok(0), right], float(&square));
    // One row sees nothing: what the law gives there, NaN, is given on every path.
    let hidden = |at: u64| at % columns > at / columns || at / columns == 5;
    let mask = (0..rows * columns).map(|at| if hidden(at) { f32::NEG_INFINITY } else { 0.0 });
    let mask = Tensor::from_f32(&Shape::new(&square).unwrap(), mask.collect()).unwrap();
    let mask = network.weight(mask);
    let map = |function| Operator::Map { function };
    let fold = |fold| Operator::Reduce { fold };
    let masked = network.emit(map(F::Add), vec![Ok(scores), mask], float(&square));
    let largest = network.emit(fold(Fold::Maximum), vec![Ok(masked)], float(&[rows]));
    let largest = network.emit(Operator::Reshape {}, vec![Ok(largest)], float(&[rows, 1]));
    let apart = network.emit(map(F::Subtract), vec![Ok(masked), Ok(largest)], float(&square));
    let raised = network.emit(map(F::Exponential), vec![Ok(apart)], float(&square));
    let sum = network.emit(fold(Fold::Sum), vec![Ok(raised)], float(&[rows]));
    let sum = network.emit(Operator::Reshape {}, vec![Ok(sum)], float(&[rows, 1]));
    network.emit(map(F::Divide), vec![Ok(raised), Ok(sum)], float(&square));
    compare(&engines(), network, &mut dice);
}

/// One block of an encoder, for any batch: product, bias, attention with itself, normalisation.
fn encoder(batch: u64, weights: &mut Dice) -> Network {
    let (rows, width) = (20, 48);
    let whole = [batch, rows, width];
    let mut network = Network::new(&whole);
    let right = weights.tensor(&[width, width]);
    let right = network.weight(right);
    let bias = weights.tensor(&[width]);
    let bias = network.weight(bias);
    let product = network.emit(Operator::Contract {}, vec![Ok(0), right], float(&whole));
    let map = |function| Operator::Map { function };
    let moved = network.emit(map(F::Add), vec![Ok(product), bias], float(&whole));
    let bent = network.emit(map(F::Tanh), vec![Ok(moved)], float(&whole));
    let square = [batch, rows, rows];
    let scores = network.emit(Operator::Contract {}, vec![Ok(bent), Ok(bent)], float(&square));
    let fold = |fold| Operator::Reduce { fold };
    let largest = network.emit(fold(Fold::Maximum), vec![Ok(scores)], float(&[batch, rows]));
    let largest = network.emit(Operator::Reshape {}, vec![Ok(largest)], float(&[batch, rows, 1]));
    let apart = network.emit(map(F::Subtract), vec![Ok(scores), Ok(largest)], float(&square));
    let raised = network.emit(map(F::Exponential), vec![Ok(apart)], float(&square));
    let sum = network.emit(fold(Fold::Sum), vec![Ok(raised)], float(&[batch, rows]));
    let sum = network.emit(Operator::Reshape {}, vec![Ok(sum)], float(&[batch, rows, 1]));
    let shares = network.emit(map(F::Divide), vec![Ok(raised), Ok(sum)], float(&square));
    let turned = Operator::Transpose { permutation: vec![0, 2, 1] };
    let turned = network.emit(turned, vec![Ok(bent)], float(&[batch, width, rows]));
    network.emit(Operator::Contract {}, vec![Ok(shares), Ok(turned)], float(&whole));
    network
}

#[test]
fn one_element_for_each_row_beside_rows_that_are_cut_by_columns_is_written_once_and_right() {
    // Nothing folds, so that threads share the columns; the narrow values are outputs too.
    let mut dice = Dice(8);
    let (rows, columns) = (40, 3000);
    let mut network = Network::new(&[rows, 64]);
    let right = dice.tensor(&[columns, 64]);
    let right = network.weight(right);
    let product = network.emit(Operator::Contract {}, vec![Ok(0), right], float(&[rows, columns]));
    let map = |function| Operator::Map { function };
    let column = dice.tensor(&[rows, 1]);
    let column = network.weight(column);
    let slice = Operator::Slice { starts: vec![0, 5], steps: vec![1, 1] };
    let own = network.emit(slice, vec![Ok(0)], float(&[rows, 1]));
    let moved = network.emit(map(F::Add), vec![Ok(product), column], float(&[rows, columns]));
    let bent = network.emit(map(F::Tanh), vec![Ok(own)], float(&[rows, 1]));
    network.emit(map(F::Multiply), vec![Ok(moved), Ok(bent)], float(&[rows, columns]));
    network.emit(map(F::Exponential), vec![Ok(bent)], float(&[rows, 1]));
    compare(&engines(), network, &mut dice);
}

#[test]
fn an_example_has_the_same_bits_alone_and_in_a_batch() {
    for engine in engines() {
        let input = Dice(9).tensor(&[8, 20, 48]);
        let run = |batch: u64, elements: Vec<f32>| {
            let model = encoder(batch, &mut Dice(3)).build(64).unwrap();
            let input = Tensor::from_f32(&Shape::new(&[batch, 20, 48]).unwrap(), elements).unwrap();
            let runner = Runner::honest(&engine, &model);
            let outputs = runner.infer(&HashMap::from([("x".to_owned(), input)])).unwrap();
            let last = model.outputs().iter().map(|(_, value)| *value).max().unwrap();
            outputs[&last.to_string()].as_f32().to_vec()
        };
        let together = run(8, input.as_f32().to_vec());
        for (number, expected) in together.chunks(20 * 48).enumerate() {
            let alone = run(1, input.as_f32()[number * 960..][..960].to_vec());
            let bits = |list: &[f32]| list.iter().map(|one| one.to_bits()).collect::<Vec<u32>>();
            assert_eq!(bits(&alone), bits(expected), "example {number}");
        }
    }
}
