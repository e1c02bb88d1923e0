//! What no kernel serves, and memory that is kept.

use protocol::graph::Operand;

use super::*;

fn engine() -> Engine {
    Engine::new(Isa::detect(), 1).unwrap()
}

fn row(elements: &[f32]) -> Tensor {
    let shape = Shape::new(&[elements.len() as u64]).unwrap();
    Tensor::from_f32(&shape, elements.to_vec()).unwrap()
}

fn map(function: MapFunction, operand: &Tensor) -> Node {
    let kind = operand.kind().clone();
    let operands = vec![Operand { value: 0, kind: kind.clone() }];
    Node { operator: Operator::Map { function }, operands, output: kind }
}

#[test]
fn what_no_kernel_serves_is_computed_by_the_law() {
    cov_mark::check!(law_computes_an_operator);
    let operand = row(&[-2.5, 0.0, 7.0]);
    let node = map(MapFunction::Sign, &operand);
    let output = engine().run(law::check(&node).unwrap(), &[&operand], None).unwrap();
    assert_eq!(output.as_f32(), [-1.0, 0.0, 1.0]);
}

#[test]
fn an_angle_beyond_the_circle_has_no_sine_whatever_stands_beside_it() {
    cov_mark::check!(angle_is_beyond_the_circle);
    let engine = engine();
    let (near, far) = (row(&[0.0, 1.0]), row(&[0.0, 1_048_576.0]));
    assert!(engine.map(&map(MapFunction::Sine, &near), MapFunction::Sine, &[&near]).is_some());
    assert!(engine.map(&map(MapFunction::Sine, &far), MapFunction::Sine, &[&far]).is_none());
    let node = map(MapFunction::Sine, &far);
    let outcome = engine.run(law::check(&node).unwrap(), &[&far], None);
    assert!(matches!(outcome, Err(EngineError::Undefined { .. })), "{outcome:?}");
}

#[test]
fn an_engine_keeps_so_much_memory_and_no_more() {
    cov_mark::check!(spare_memory_is_let_go);
    let engine = engine();
    for _ in 0..=KEPT_MAX {
        engine.give_back(vec![0.0; 8]);
    }
    assert_eq!(engine.memory.lock().unwrap().len(), KEPT_MAX);
}
