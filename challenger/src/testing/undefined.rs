//! Models with an operator in their middle that has no result for the input given.

use inference::Tensor;
use protocol::graph::{Fold, MapFunction, Operator};
use protocol::tensor::{ElementType, Shape, TensorType};

use super::models::{Network, Sketch, Source, f32s, floats, kind, map};

/// The operator without a result: the second of the second layer.
pub(crate) const UNDEFINED: u32 = 2;

/// A network without a result, and where it has none.
#[derive(Clone, Debug)]
pub(crate) struct Undefined {
    pub(crate) name: &'static str,
    pub(crate) network: Network,
    pub(crate) element: u64,
    pub(crate) segment: u64,
}

fn integers(dimensions: &[u64], others: &[(usize, i64)]) -> Tensor {
    let shape = Shape::new(dimensions).unwrap();
    let mut elements: Vec<i64> = (0..shape.count() as i64).map(|at| at % 3).collect();
    others.iter().for_each(|(at, value)| elements[*at] = *value);
    Tensor::from_i64(&shape, elements).unwrap()
}

fn zeros(like: &Tensor) -> Tensor {
    let count = like.shape().count() as usize;
    Tensor::from_bits(like.kind(), &vec![0; count]).unwrap()
}

/// `x + 0`, then in a layer of its own `y + 0`, the operator, and what it wrote; then that once more.
fn around(
    name: &'static str,
    (operator, operands, output): (Operator, Vec<Source>, TensorType),
    x: Tensor,
    weights: Vec<Tensor>,
    (element, segment): (u64, u64),
) -> Undefined {
    use Source::{Input, Operator as Output, Weight};
    let same = x.kind().clone();
    let weights = [vec![zeros(&x)], weights].concat();
    let add = || map(MapFunction::Add);
    let network = Sketch::new(vec![x], weights)
        .layer(vec![(add(), vec![Input(0), Weight(0)], same.clone())])
        .layer(vec![
            (add(), vec![Output(0), Weight(0)], same),
            (operator, operands, output.clone()),
            (Operator::Reshape {}, vec![Output(UNDEFINED)], output.clone()),
        ])
        .layer(vec![(Operator::Reshape {}, vec![Output(UNDEFINED + 1)], output)])
        .build();
    Undefined { name, network, element, segment }
}

/// A token outside the vocabulary of five, in the first layer: the state before it is the input.
pub(crate) fn token_outside() -> Undefined {
    use Source::{Input, Operator as Output, Weight};
    let (ids, rows) = (integers(&[4], &[(3, -6)]), f32s(&[4, 70]));
    let network = Sketch::new(vec![ids], vec![floats(&[5, 70], 1)])
        .layer(vec![(Operator::Gather { axis: 0 }, vec![Weight(0), Input(0)], rows.clone())])
        .layer(vec![(map(MapFunction::Tanh), vec![Output(0)], rows)])
        .build();
    Undefined { name: "token outside", network, element: 210, segment: 0 }
}

/// One network for each kind of result that there can be none of.
pub(crate) fn all() -> Vec<Undefined> {
    use Source::{Operator as Output, Weight};
    let (y, row) = (Output(UNDEFINED - 1), kind(ElementType::I64, &[150]));
    let sums = || {
        let reduce = Operator::Reduce { fold: Fold::Sum };
        (reduce, vec![y], kind(ElementType::I64, &[3]))
    };
    // Of the second row: a lane that leaves 64 bits in the third segment, and two that do so together.
    let in_lane = [(154, i64::MAX), (218, 0), (250, 0), (282, 5)];
    let in_fold = [(151, i64::MAX - 100), (167, i64::MAX - 100)];
    vec![
        around(
            "gather",
            (Operator::Gather { axis: 0 }, vec![Weight(1), y], f32s(&[4, 70])),
            integers(&[4], &[(2, 5)]),
            vec![floats(&[5, 70], 1)],
            (140, 0),
        ),
        around(
            "update",
            (Operator::Update {}, vec![Weight(1), Weight(2), y], f32s(&[5, 70])),
            integers(&[1], &[(0, 4)]),
            vec![floats(&[5, 70], 1), floats(&[2, 70], 2)],
            (0, 0),
        ),
        around(
            "overflow",
            (map(MapFunction::Add), vec![y, Weight(1)], row.clone()),
            integers(&[150], &[(133, i64::MAX), (149, i64::MAX)]),
            vec![integers(&[150], &[])],
            (133, 0),
        ),
        around(
            "division by zero",
            (map(MapFunction::Divide), vec![Weight(1), y], row),
            integers(&[150], &(0..100).map(|at| (at, 7)).collect::<Vec<_>>()),
            vec![integers(&[150], &[])],
            (102, 0),
        ),
        around(
            "cast",
            (map(MapFunction::Cast), vec![y], kind(ElementType::I32, &[4])),
            Tensor::from_f32(&Shape::new(&[4]).unwrap(), vec![1.0, 2e9, 3e9, f32::NAN]).unwrap(),
            Vec::new(),
            (2, 0),
        ),
        around(
            "sine",
            (map(MapFunction::Sine), vec![y], f32s(&[4])),
            Tensor::from_f32(&Shape::new(&[4]).unwrap(), vec![1.0, 2.0, 3.0, 4e9]).unwrap(),
            Vec::new(),
            (3, 0),
        ),
        around("sum in a lane", sums(), integers(&[3, 150], &in_lane), Vec::new(), (1, 2)),
        around("sum of lanes", sums(), integers(&[3, 150], &in_fold), Vec::new(), (1, 3)),
    ]
}
