//! What a stage does not take in, and the bits that are the same all the same. Layers run on the test's own
//! thread: marks are seen by the thread that checks them.

use protocol::graph::{Fold, Graph, Layer, MapFunction, Node, Operand, Operator, Profile, Window};
use protocol::tensor::{ElementType, Shape, TensorType};

use crate::engine::{Engine, by_law};
use crate::execute::run_layer;
use crate::layers::cut_layers;
use crate::model::Model;
use crate::tensor::Tensor;
use kernels::Isa;

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

fn floats(dimensions: &[u64]) -> TensorType {
    kind(ElementType::F32, dimensions)
}

/// Fractions of both signs.
fn tensor(dimensions: &[u64], salt: u64) -> Tensor {
    let shape = Shape::new(dimensions).unwrap();
    let element = |at: u64| ((at * 37 + salt * 11) % 101) as f32 / 64.0 - 0.75;
    Tensor::from_f32(&shape, (0..shape.count()).map(element).collect()).unwrap()
}

fn map(function: MapFunction) -> Operator {
    Operator::Map { function }
}

/// A layer of one input, value 0; then come the weights, then what each operator gives.
struct Sketch {
    weights: Vec<Tensor>,
    nodes: Vec<Node>,
    kinds: Vec<TensorType>,
}

impl Sketch {
    fn new(input: &[u64], weights: Vec<Tensor>) -> Self {
        let kinds = [floats(input)].into_iter().chain(weights.iter().map(|one| one.kind().clone()));
        Self { kinds: kinds.collect(), weights, nodes: Vec::new() }
    }

    /// Adds an operator; gives its value.
    fn then(&mut self, operator: Operator, operands: &[u32], output: TensorType) -> u32 {
        let operand =
            |value: &u32| Operand { value: *value, kind: self.kinds[*value as usize].clone() };
        let operands = operands.iter().map(operand).collect();
        let node = Node { operator, operands, output: output.clone() };
        protocol::law::check(&node).unwrap();
        self.nodes.push(node);
        self.kinds.push(output);
        self.kinds.len() as u32 - 1
    }

    /// Plans it as one layer, runs it, and compares each output with the law's.
    fn compare(self, outputs: &[u32]) {
        let input = self.kinds[0].clone();
        let given = tensor(input.shape.dimensions(), 5);
        let mut values: Vec<Tensor> =
            [given.clone()].into_iter().chain(self.weights.clone()).collect();
        for node in &self.nodes {
            let operands: Vec<&Tensor> =
                node.operands.iter().map(|one| &values[one.value as usize]).collect();
            let output = by_law(protocol::law::check(node).unwrap(), &operands).unwrap();
            values.push(output);
        }
        let count = self.nodes.len();
        let inputs = std::slice::from_ref(&input);
        let layers: Vec<Layer> =
            cut_layers(inputs, self.weights.len(), &self.nodes, outputs, Some(count));
        assert_eq!(layers.len(), 1);
        let graph = Graph {
            inputs: vec![input],
            weights: self.weights.iter().map(|one| one.kind().clone()).collect(),
            nodes: self.nodes,
            layers,
            ..Graph::default()
        };
        let named = outputs.iter().map(|value| (value.to_string(), *value)).collect();
        let names = vec![String::new(); count];
        let inputs = vec!["x".to_owned()];
        let model: Model =
            Model::new(graph, self.weights, inputs, named, names, Profile::StrictF32).unwrap();
        let engine = Engine::new(Isa::detect(), 1).unwrap();
        let (plan, layer) = (model.plan(0).unwrap(), model.layer(0).unwrap());
        let given = [&given];
        let live = &given[..layer.live_in.len()];
        let found = run_layer(&engine, &model, plan, &model.graph().nodes, 0, live).unwrap();
        for (value, found) in layer.live_out.iter().zip(&found) {
            assert_eq!(found.all_bits(), values[*value as usize].all_bits(), "value {value}");
        }
    }
}

#[test]
fn what_lies_across_is_put_in_line_before_a_product() {
    cov_mark::check!(left_rows_are_put_in_line);
    cov_mark::check!(elements_are_gathered);
    let mut sketch = Sketch::new(&[5, 9], vec![tensor(&[4, 5], 1)]);
    let turned =
        sketch.then(Operator::Transpose { permutation: vec![1, 0] }, &[0], floats(&[9, 5]));
    let product = sketch.then(Operator::Contract {}, &[turned, 1], floats(&[9, 4]));
    sketch.compare(&[product]);
}

#[test]
fn left_rows_whole_pages_apart_are_copied_beside_each_other() {
    cov_mark::check!(rows_would_evict_each_other);
    let mut sketch = Sketch::new(&[3, 1024], vec![tensor(&[70, 1024], 1)]);
    let product = sketch.then(Operator::Contract {}, &[0, 1], floats(&[3, 70]));
    sketch.compare(&[product]);
}

#[test]
fn few_rows_of_a_product_are_folded_after_it() {
    cov_mark::check!(rows_are_too_few_to_be_folded);
    let mut sketch = Sketch::new(&[3, 8], vec![tensor(&[5, 8], 1)]);
    let product = sketch.then(Operator::Contract {}, &[0, 1], floats(&[3, 5]));
    let sums = sketch.then(Operator::Reduce { fold: Fold::Sum }, &[product], floats(&[3]));
    sketch.compare(&[sums]);
}

#[test]
fn a_chain_longer_than_a_stage_goes_on_in_the_next() {
    cov_mark::check!(stage_is_full);
    let mut sketch = Sketch::new(&[4, 6], vec![tensor(&[6], 1)]);
    let mut last = 0;
    for _ in 0..40 {
        last = sketch.then(map(MapFunction::Add), &[last, 1], floats(&[4, 6]));
    }
    sketch.compare(&[last]);
}

#[test]
fn a_truth_that_is_wanted_outside_is_an_operator_of_its_own() {
    cov_mark::check!(truth_is_wanted_outside_a_stage);
    let mut sketch = Sketch::new(&[4, 6], vec![tensor(&[6], 1)]);
    let negated = sketch.then(map(MapFunction::Negate), &[0], floats(&[4, 6]));
    let truth = kind(ElementType::Bool, &[4, 6]);
    let less = sketch.then(map(MapFunction::Less), &[negated, 1], truth);
    sketch.compare(&[negated, less]);
}

#[test]
fn a_window_whose_border_would_take_too_much_memory_is_left_to_the_law() {
    cov_mark::check!(border_takes_too_much_memory);
    cov_mark::check!(law_computes_an_operator);
    let mut sketch = Sketch::new(&[1, 2, 2, 3], vec![tensor(&[2, 1, 1, 3], 1)]);
    // All windows but the first lie far outside.
    let (strides, pads) = ((5_000, 5_000), (0, 0));
    let window = Window { kernel: (1, 1), strides, dilations: (1, 1), pads };
    let convolve = Operator::Convolve { window, groups: 1 };
    let convolved = sketch.then(convolve, &[0, 1], floats(&[1, 2, 2, 2]));
    sketch.compare(&[convolved]);
}
