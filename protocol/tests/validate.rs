//! Audit A6: every rule that makes a graph a model, broken once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Toy;
use protocol::graph::{Graph, MapFunction, OPERATORS_MAX, Operator};
use protocol::law::NodeFault;
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::validate::{ModelFault, validate};

type Change = fn(&mut Graph);

fn kind(dimensions: &[u64]) -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(dimensions).unwrap() }
}

/// The toy: input 0, weight 1, operators 0 (value 2) in layer 0, 1 and 2 (values 3 and 4) in layer 1.
const CASES: [(ModelFault, Change); 25] = [
    (ModelFault::Counts, |graph| graph.inputs.clear()),
    (ModelFault::Counts, |graph| graph.inputs = vec![kind(&[1]); 257]),
    (ModelFault::Counts, |graph| graph.weights.clear()),
    (ModelFault::Counts, |graph| graph.weights = vec![kind(&[1]); OPERATORS_MAX as usize + 1]),
    (ModelFault::Counts, |graph| graph.nodes.clear()),
    (ModelFault::Counts, |graph| graph.layers.clear()),
    (ModelFault::Counts, |graph| {
        let layer = graph.layers[0].clone();
        graph.layers.extend([layer.clone(), layer]);
    }),
    (ModelFault::Node { operator: 1, fault: NodeFault::Operands }, |graph| {
        graph.nodes[1].operator = Operator::Map { function: MapFunction::Negate };
    }),
    (ModelFault::Operand { operator: 0, operand: 1 }, |graph| graph.nodes[0].operands[1].value = 5),
    (ModelFault::Operand { operator: 0, operand: 0 }, |graph| graph.nodes[0].operands[0].value = 2),
    (ModelFault::Operand { operator: 1, operand: 0 }, |graph| graph.nodes[1].operands[0].value = 4),
    (ModelFault::OperandType { operator: 0, operand: 0 }, |graph| graph.inputs[0] = kind(&[101])),
    (ModelFault::OperandType { operator: 0, operand: 1 }, |graph| {
        graph.weights[0].element = ElementType::I32;
    }),
    (ModelFault::OperandType { operator: 2, operand: 0 }, |graph| {
        graph.nodes[2].operands[0].kind = kind(&[64]);
    }),
    (ModelFault::TooDeep { value: 2 }, |graph| {
        graph.weights.push(kind(&[1 << 31, 1]));
        for value in graph.nodes.iter_mut().flat_map(|node| &mut node.operands) {
            value.value += u32::from(value.value > 1);
        }
    }),
    (ModelFault::Layers { layer: 1 }, |graph| graph.layers[1].first_operator = 2),
    (ModelFault::Layers { layer: 0 }, |graph| graph.layers[0].operator_count = 0),
    (ModelFault::Layers { layer: 1 }, |graph| graph.layers[1].operator_count = u32::MAX),
    (ModelFault::Layers { layer: 2 }, |graph| graph.layers[1].operator_count = 1),
    (ModelFault::LiveList { layer: 0 }, |graph| graph.layers[0].live_out.clear()),
    (ModelFault::LiveList { layer: 1 }, |graph| graph.layers[1].live_out = vec![4, 3]),
    (ModelFault::LiveList { layer: 1 }, |graph| graph.layers[1].live_in = vec![1, 2]),
    (ModelFault::Boundary { layer: 1 }, |graph| graph.layers[1].live_in = vec![0, 2]),
    (ModelFault::LiveOut { layer: 1, value: 0 }, |graph| graph.layers[1].live_out = vec![0, 4]),
    (ModelFault::NotLive { operator: 1, operand: 0 }, |graph| {
        // The first operator's output is handed on under the name of the input.
        graph.layers[0].live_out = vec![0];
        graph.layers[1].live_in = vec![0];
    }),
];

#[test]
fn audit_a6_a_graph_that_breaks_a_rule_is_no_model() {
    let good = Toy::new().graph;
    assert_eq!(validate(&good), Ok(()));
    for (number, (fault, change)) in CASES.into_iter().enumerate() {
        let mut graph = good.clone();
        change(&mut graph);
        assert_eq!(validate(&graph), Err(fault), "case {number}");
        assert!(fault.to_string().starts_with('V'), "{fault}");
    }
}

#[test]
fn an_input_that_not_all_of_a_model_reads_is_in_its_first_state_all_the_same() {
    let mut graph = Toy::new().graph;
    // A second input that nothing reads.
    graph.inputs.push(kind(&[1]));
    for value in graph.nodes.iter_mut().flat_map(|node| &mut node.operands) {
        value.value += u32::from(value.value > 0);
    }
    graph.layers[0].live_out = vec![3];
    graph.layers[1].live_in = vec![3];
    graph.layers[1].live_out = vec![5];
    assert_eq!(validate(&graph), Err(ModelFault::Boundary { layer: 0 }));
    graph.layers[0].live_in = vec![0, 1];
    assert_eq!(validate(&graph), Ok(()));
}
