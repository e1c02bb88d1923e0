//! An error in each operator of the law, found and convicted.

use std::collections::BTreeSet;

use inference::Tensor;
use protocol::encoding::Canonical;
use protocol::graph::{Fold, MapFunction, Operator, Window};
use protocol::law;
use protocol::numerics::{narrow_bf16, narrow_f16};
use protocol::tensor::{Shape, TensorType};

use super::*;
use crate::testing::game::Game;
use crate::testing::models::{Network, Sketch, Source, f32s, kind, map};

/// The operator under test: the second of its model, in a layer of its own kind of company.
const TESTED: u32 = 1;

/// A model in three layers: a copy of the first operand; the tested operator and a copy of its
/// output; another copy. Operands come from the state, and the last `weights` of them from weights.
fn model_of(operator: Operator, operands: Vec<Tensor>, weights: usize, to: TensorType) -> Network {
    let from_state = operands.len() - weights;
    let (inputs, mut rest) = (operands[..from_state].to_vec(), operands[from_state..].to_vec());
    if rest.is_empty() {
        rest.push(floats(&[], 0));
    }
    let first = inputs[0].kind().clone();
    let mut sources = vec![Source::Operator(0)];
    sources.extend((1..from_state).map(|index| Source::Input(index as u32)));
    sources.extend((0..weights).map(|index| Source::Weight(index as u32)));
    Sketch::new(inputs, rest)
        .layer(vec![(Operator::Reshape {}, vec![Source::Input(0)], first)])
        .layer(vec![
            (operator, sources, to.clone()),
            (Operator::Reshape {}, vec![Source::Operator(TESTED)], to.clone()),
        ])
        .layer(vec![(Operator::Reshape {}, vec![Source::Operator(2)], to)])
        .build()
}

/// The executor errs at an element of the tested operator, and is convicted by the given segment of it.
fn convicted(network: &Network, element: u64, segment: u64, name: &str) {
    let game = game(network).computes_wrongly(TESTED, element);
    let (truth, claimed) = claimed(&game, element);
    let (_, refuted) = game.disputed().played_out();
    let reason = match segment {
        0 => format!("{name} gives another element {element} (segment 0)"),
        _ => format!("the sums of element {element} do not end in it"),
    };
    let evidence = refuted.because(&reason).parting_at(1, TESTED, element, segment).fraud();
    let Evidence::Step { claimed: said, expected, .. } = evidence else { panic!("{evidence:?}") };
    assert_eq!((said, expected), (vec![claimed], Some(vec![truth])), "{name}");
}

/// Bits of an element of the tested operator, in truth and as the executor has them.
fn claimed(game: &Game, element: u64) -> (u64, u64) {
    let truth = game.own().output(TESTED).unwrap().bits(element).unwrap();
    (truth, other_bits(game.own().output(TESTED).unwrap().kind().element, truth))
}

fn integers(element: ElementType, dimensions: &[u64], values: &[i64]) -> Tensor {
    let shape = Shape::new(dimensions).unwrap();
    let values: Vec<i64> = values.iter().cycle().take(shape.count() as usize).copied().collect();
    Tensor::from_integers(element, &shape, &values).unwrap()
}

/// The numbers of [`floats`] in 16 bits.
fn narrow(element: ElementType, dimensions: &[u64]) -> Tensor {
    let kind = kind(element, dimensions);
    let short = if element == ElementType::F16 { narrow_f16 } else { narrow_bf16 };
    let floats = floats(dimensions, 3);
    let bits: Vec<u16> = floats.as_f32().iter().map(|one| short(one.to_bits())).collect();
    Tensor::given_narrow(&kind, &bits).unwrap()
}

fn truths(dimensions: &[u64]) -> Tensor {
    let shape = Shape::new(dimensions).unwrap();
    Tensor::from_bool(&shape, (0..shape.count()).map(|at| at % 3 == 0).collect()).unwrap()
}

/// Every function of the law.
fn functions() -> Vec<MapFunction> {
    let all: Vec<_> =
        (0..=u8::MAX).filter_map(|code| MapFunction::from_canonical(&[code]).ok()).collect();
    assert_eq!(all.len(), 34);
    all
}

/// Element type of the operands that a function is tried with, and of its output.
fn elements(function: MapFunction) -> (ElementType, ElementType) {
    use ElementType::{Bool, F32, I64};
    use MapFunction as F;
    match function {
        F::Equal | F::Less | F::LessOrEqual | F::IsNan => (F32, Bool),
        F::And | F::Or | F::ExclusiveOr | F::Not => (I64, I64),
        F::Cast => (F32, I64),
        F::Random => (I64, ElementType::U32),
        F::Add
        | F::Subtract
        | F::Multiply
        | F::Divide
        | F::Power
        | F::Maximum
        | F::Minimum
        | F::Negate
        | F::Absolute
        | F::SquareRoot
        | F::Exponential
        | F::Logarithm
        | F::Tanh
        | F::Erf
        | F::Sigmoid
        | F::Floor
        | F::Ceiling
        | F::Round
        | F::Sign
        | F::Select
        | F::Sine
        | F::Cosine
        | F::ArcTangent
        | F::Remainder => (F32, F32),
    }
}

#[test]
fn an_error_in_any_function_is_convicted() {
    // 70 elements of 4 bytes stand in two leaves.
    let (row, element) = ([70], 65);
    for function in functions() {
        let (from, to) = elements(function);
        let operand = |salt: u64| match from {
            ElementType::F32 => floats(&row, salt),
            other => integers(other, &row, &[5, -3, 12, 7, salt as i64]),
        };
        let mut operands: Vec<Tensor> = (0..function.operands() as u64).map(operand).collect();
        if function == MapFunction::Select {
            operands[0] = truths(&row);
        }
        let weights = usize::from(function.operands() > 1);
        let network = model_of(map(function), operands, weights, kind(to, &row));
        convicted(&network, element, 0, function.name());
    }
}

#[test]
fn an_error_in_a_function_of_any_element_type_is_convicted() {
    use ElementType::{Bool, I8, I16, I32, I64, U8, U16, U32};
    for element in [I64, I32, I16, I8, U32, U16, U8] {
        let row = integers(element, &[2, 40], &[1, 2, 3, 4, 5]);
        let to = row.kind().clone();
        let network = model_of(map(MapFunction::Add), vec![row.clone(), row], 1, to);
        convicted(&network, 79, 0, "add");
    }
    for element in [ElementType::Bf16, ElementType::F16] {
        let (short, wide) = (narrow(element, &[200]), f32s(&[200]));
        let to = short.kind().clone();
        convicted(&model_of(map(MapFunction::Cast), vec![short], 0, wide), 199, 0, "cast");
        let network = model_of(map(MapFunction::Cast), vec![floats(&[200], 1)], 0, to);
        convicted(&network, 130, 0, "cast");
    }
    let network = model_of(map(MapFunction::Not), vec![truths(&[300])], 0, kind(Bool, &[300]));
    convicted(&network, 299, 0, "not");
}

#[test]
fn operands_that_broadcast_are_proven_where_they_are_read() {
    let column = floats(&[3, 1], 1);
    let row = floats(&[130], 2);
    let network = model_of(map(MapFunction::Multiply), vec![column, row], 1, f32s(&[3, 130]));
    for element in [0, 129, 130, 389] {
        convicted(&network, element, 0, "multiply");
    }
}

/// Each movement with its operands, how many of them are weights, its output, and an element.
fn movements() -> Vec<(Operator, Vec<Tensor>, usize, TensorType, u64)> {
    let wide = || floats(&[3, 70], 1);
    let indices = integers(ElementType::I64, &[4], &[2, 0, -1, 1]);
    let start = || integers(ElementType::U8, &[1], &[1]);
    let updated = || vec![wide(), floats(&[1, 70], 2), start()];
    let halves = kind(ElementType::F16, &[130, 3]);
    vec![
        (Operator::Reshape {}, vec![wide()], 0, f32s(&[70, 3]), 209),
        (Operator::Transpose { permutation: vec![1, 0] }, vec![wide()], 0, f32s(&[70, 3]), 100),
        (
            Operator::Slice { starts: vec![2, 69], steps: vec![-1, -2] },
            vec![wide()],
            0,
            f32s(&[2, 30]),
            59,
        ),
        (
            Operator::Concat { axis: 1 },
            vec![wide(), floats(&[3, 5], 2), floats(&[3, 2], 3)],
            1,
            f32s(&[3, 77]),
            // The first row's elements of the second and the third part.
            72,
        ),
        (Operator::Concat { axis: 0 }, vec![wide(), wide()], 1, f32s(&[6, 70]), 419),
        // Inside the operand, and in the constant around it, for which no leaf is read.
        (Operator::Pad { before: vec![1, -1], fill: 0 }, vec![wide()], 0, f32s(&[5, 71]), 100),
        (Operator::Pad { before: vec![1, -1], fill: 0 }, vec![wide()], 0, f32s(&[5, 71]), 3),
        (Operator::Expand {}, vec![floats(&[3, 1], 1)], 0, f32s(&[2, 3, 70]), 400),
        (
            Operator::Gather { axis: 0 },
            vec![wide(), indices.clone()],
            1,
            f32s(&[4, 70]),
            // By the negative index.
            150,
        ),
        (Operator::Gather { axis: 1 }, vec![wide(), indices], 0, f32s(&[3, 4]), 11),
        // A row of the base, and one that was updated.
        (Operator::Update {}, updated(), 2, f32s(&[3, 70]), 209),
        (Operator::Update {}, updated(), 1, f32s(&[3, 70]), 100),
        (Operator::Reshape {}, vec![narrow(ElementType::F16, &[3, 130])], 0, halves, 389),
    ]
}

#[test]
fn an_error_in_any_movement_is_convicted() {
    for (operator, operands, weights, to, element) in movements() {
        let name = operator.kind();
        convicted(&model_of(operator, operands, weights, to), element, 0, name);
    }
}

fn window(kernel: (u32, u32)) -> Window {
    Window { kernel, strides: (1, 2), dilations: (1, 1), pads: (1, 1) }
}

/// Each folding operator, short and long, with its operands, their weights, its output, and an
/// element; and how many segments it takes.
fn folds() -> Vec<(Operator, Vec<Tensor>, usize, TensorType, u64, u64)> {
    let image = || floats(&[1, 6, 8, 20], 1);
    let mut all = vec![
        (
            Operator::Contract {},
            vec![floats(&[2, 50], 1), floats(&[3, 50], 2)],
            1,
            f32s(&[2, 3]),
            4,
            1,
        ),
        // A chain starts again after four segments.
        (
            Operator::Contract {},
            vec![floats(&[2, 2, 300], 1), floats(&[3, 300], 2)],
            1,
            f32s(&[2, 2, 3]),
            7,
            5,
        ),
        (
            Operator::Convolve { window: window((3, 3)), groups: 2 },
            vec![floats(&[1, 4, 6, 4], 1), floats(&[4, 3, 3, 2], 2)],
            1,
            f32s(&[1, 4, 3, 4]),
            0,
            1,
        ),
        (
            Operator::Convolve { window: window((3, 3)), groups: 1 },
            vec![image(), floats(&[2, 3, 3, 20], 2)],
            1,
            f32s(&[1, 6, 4, 2]),
            13,
            3,
        ),
    ];
    for right in [ElementType::Bf16, ElementType::F16] {
        let operands = vec![floats(&[2, 300], 1), narrow(right, &[3, 300])];
        all.push((Operator::Contract {}, operands, 1, f32s(&[2, 3]), 4, 5));
    }
    let (bytes, sums) = (ElementType::I8, kind(ElementType::I32, &[2, 3]));
    let rows = |depth: u64| {
        let right = integers(bytes, &[3, depth], &[7, -128, 127, 5]);
        vec![integers(ElementType::U8, &[2, depth], &[255, 3, 200]), right]
    };
    all.push((Operator::Contract {}, rows(50), 1, sums.clone(), 5, 1));
    all.push((Operator::Contract {}, rows(300), 1, sums, 4, 5));
    all.push((
        Operator::Convolve { window: window((3, 3)), groups: 1 },
        vec![
            integers(ElementType::I16, &[1, 6, 8, 20], &[300, -9, 32_767]),
            integers(bytes, &[2, 3, 3, 20], &[3, -128, 1, 0, 9]),
        ],
        1,
        kind(ElementType::I64, &[1, 6, 4, 2]),
        13,
        3,
    ));
    for fold in [Fold::Sum, Fold::Maximum, Fold::Minimum] {
        let short = Operator::Pool { fold, window: window((2, 2)) };
        let long = Operator::Pool { fold, window: window((6, 12)) };
        let wide = integers(ElementType::I64, &[3, 140], &[3, -8, 20, 1, 4]);
        all.extend([
            (Operator::Reduce { fold }, vec![floats(&[3, 20], 1)], 0, f32s(&[3]), 2, 1),
            (Operator::Reduce { fold }, vec![floats(&[3, 150], 1)], 0, f32s(&[3]), 1, 3),
            (Operator::Reduce { fold }, vec![wide], 0, kind(ElementType::I64, &[3]), 2, 3),
            (short, vec![image()], 0, f32s(&[1, 7, 5, 20]), 699, 1),
            (long, vec![image()], 0, f32s(&[1, 3, 2, 20]), 0, 2),
        ]);
    }
    all
}

#[test]
fn an_error_in_any_fold_is_convicted_in_one_run_or_after_the_last() {
    cov_mark::check!(sums_do_not_end_in_the_element);
    for (operator, operands, weights, to, element, segments) in folds() {
        let name = operator.kind();
        let network = model_of(operator, operands, weights, to);
        assert_eq!(law::segment_count(network.model.checked(TESTED).unwrap()), segments, "{name}");
        // Where all sums are true, the step after them is the false one.
        convicted(&network, element, if segments == 1 { 0 } else { segments }, name);
    }
}

#[test]
fn a_false_running_sum_is_convicted_by_its_run() {
    for (operator, operands, weights, to, element, segments) in folds() {
        if segments == 1 {
            continue;
        }
        let name = operator.kind();
        let network = model_of(operator, operands, weights, to);
        let node = network.model.checked(TESTED).unwrap();
        let width = law::state_words(node);
        let truth = network.honest().accumulators(TESTED, element).unwrap().to_vec();
        assert_eq!(truth.len(), segments as usize * width);
        for segment in 0..segments {
            // The first word of a state and the last, from this segment on.
            for word in BTreeSet::from([0, width - 1]) {
                let mut words = truth.clone();
                for later in segment..segments {
                    words[later as usize * width + word] ^= 1 << 20;
                }
                let (claimed, expected) = (words.clone(), truth.clone());
                let (questions, refuted) = game(&network)
                    .computes_wrongly(TESTED, element)
                    .says(|executor| executor.sums(TESTED, element, words))
                    .disputed()
                    .played_out();
                assert_eq!(questions.last(), Some(&sums(TESTED, element)));
                let reason = format!("{name} gives another element {element} (segment {segment})");
                let evidence =
                    refuted.because(&reason).parting_at(1, TESTED, element, segment).fraud();
                let of_segment = segment as usize * width..(segment as usize + 1) * width;
                let Evidence::Step { claimed: said, expected: law, .. } = evidence else {
                    panic!("{evidence:?}");
                };
                assert_eq!(said, claimed[of_segment.clone()], "{name}, segment {segment}");
                assert_eq!(
                    law.as_deref(),
                    Some(&expected[of_segment]),
                    "{name}, segment {segment}"
                );
            }
        }
    }
}

/// A row that is folded in 24 segments, whose states stand in twelve leaves.
fn long_row() -> Network {
    let reduce = Operator::Reduce { fold: Fold::Sum };
    model_of(reduce, vec![floats(&[2, 1_500], 1)], 0, f32s(&[2]))
}

/// The sums of an element of [`long_row`], false from a segment on.
fn false_from(network: &Network, element: u64, segment: usize) -> Vec<u64> {
    let mut words = network.honest().accumulators(TESTED, element).unwrap().to_vec();
    assert_eq!(words.len(), 24 * 32);
    words[segment * 32..].iter_mut().for_each(|word| *word ^= 1 << 20);
    words
}

#[test]
fn sums_in_many_leaves_are_opened_down_to_the_first_that_differs() {
    let network = long_row();
    let words = false_from(&network, 1, 13);
    let disputed = |levels: u32, words: &[u64]| {
        let claim = game(&network).computes_wrongly(TESTED, 1).with_levels(levels);
        let claim = claim.says(|executor| executor.sums(TESTED, 1, words.to_vec()));
        claim.disputed().played_out()
    };
    for (levels, last) in [
        // Of the four levels of the tree an answer shows the lowest ones at once.
        (6, &[sums(TESTED, 1), sums_leaves(TESTED, 1, 1, 0)][..]),
        (4, &[sums(TESTED, 1), sums_leaves(TESTED, 1, 3, 3)]),
        (2, &[sums(TESTED, 1), sums_node(TESTED, 1, 2, 1), sums_leaves(TESTED, 1, 4, 6)]),
    ] {
        let (questions, refuted) = disputed(levels, &words);
        assert!(questions.ends_with(last), "{levels} levels: {questions:?}");
        let refuted = refuted.parting_at(1, TESTED, 1, 13).building_on_asked();
        // The state before is in the leaf as well.
        let Refutation::Step { states, .. } = &refuted.refutation else { panic!() };
        assert_eq!(states.iter().map(|state| state.position).collect::<Vec<_>>(), [6]);
        refuted.fraud();
    }
}

#[test]
fn the_state_before_a_leaf_of_sums_is_the_challenger_s_own() {
    let network = long_row();
    for levels in [1, 2, 4, 6] {
        // The first segment of a leaf, the last before the element, and the step into the element.
        for (segment, leaves) in [(14, &[6, 7][..]), (0, &[0]), (23, &[11]), (24, &[11])] {
            let words = false_from(&network, 1, segment.min(24));
            let claim = game(&network).computes_wrongly(TESTED, 1).with_levels(levels);
            let claim = claim.says(|executor| executor.sums(TESTED, 1, words));
            let (_, refuted) = claim.disputed().played_out();
            let refuted = refuted.parting_at(1, TESTED, 1, segment as u64);
            let Refutation::Step { states, .. } = &refuted.refutation else { panic!() };
            let positions: Vec<u64> = states.iter().map(|state| state.position).collect();
            assert_eq!(positions, leaves, "segment {segment}, {levels} levels");
            refuted.fraud();
        }
    }
}

#[test]
fn all_kinds_of_operators_are_tried() {
    let mut kinds: BTreeSet<&str> = functions().into_iter().map(MapFunction::name).collect();
    kinds.extend(movements().iter().map(|honest_view| honest_view.0.kind()));
    kinds.extend(folds().iter().map(|honest_view| honest_view.0.kind()));
    // Eight movements, two products, and two operators with three folds each.
    assert_eq!(kinds.len(), functions().len() + 8 + 2 + 2 * 3, "{kinds:?}");
}
