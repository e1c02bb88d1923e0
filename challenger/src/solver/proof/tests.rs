//! Which leaves a step reads, and how each operand is proven.

use protocol::graph::{Fold, MapFunction, Node, Operand, Operator, Window};
use protocol::hash::{Keccak, Tag};
use protocol::merkle::verify_list;
use protocol::tensor::{ElementType, Shape};

use super::*;
use crate::testing::game::{Dispute, Game, game};
use crate::testing::models::{Network, Sketch, Source, f32s, floats, kind, ladder, map};
use crate::testing::questions::inside;

fn node(operator: Operator, operands: &[&Tensor], output: protocol::tensor::TensorType) -> Node {
    let operand = |tensor: &&Tensor| Operand { value: 0, kind: tensor.kind().clone() };
    Node { operator, operands: operands.iter().map(operand).collect(), output }
}

/// Leaves of each operand that a step reads.
fn read(
    operator: Operator,
    operands: &[&Tensor],
    output: protocol::tensor::TensorType,
    element: u64,
    segment: u64,
) -> Vec<Vec<u64>> {
    let node = node(operator, operands, output);
    let node = law::check(&node).unwrap();
    let leaves = leaves_of_step(node, element, segment, None, operands).unwrap();
    leaves.into_iter().map(|leaves| leaves.into_iter().collect()).collect()
}

#[test]
fn a_function_reads_one_leaf_of_each_operand() {
    // Rows of 70 floats have two leaves, so that row 1 begins with leaf 2.
    let (matrix, row) = (floats(&[3, 70], 1), floats(&[70], 2));
    let add = || map(MapFunction::Add);
    assert_eq!(read(add(), &[&matrix, &row], f32s(&[3, 70]), 0, 0), [[0], [0]]);
    assert_eq!(read(add(), &[&matrix, &row], f32s(&[3, 70]), 69, 0), [[1], [1]]);
    assert_eq!(read(add(), &[&matrix, &row], f32s(&[3, 70]), 70, 0), [[2], [0]]);
    assert_eq!(read(add(), &[&matrix, &row], f32s(&[3, 70]), 209, 0), [[5], [1]]);
}

#[test]
fn a_run_of_a_contraction_reads_its_own_products_only() {
    // 300 products in five segments; a segment of 64 floats is a leaf.
    let (left, right) = (floats(&[2, 300], 1), floats(&[3, 300], 2));
    for segment in 0..5 {
        // Rows have eight places for leaves.
        let leaves = read(Operator::Contract {}, &[&left, &right], f32s(&[2, 3]), 5, segment);
        assert_eq!(leaves, [[8 + segment], [16 + segment]], "segment {segment}");
    }
}

#[test]
fn a_run_of_a_reduction_reads_its_own_part_of_the_row() {
    let row = floats(&[3, 150], 1);
    for segment in 0..3 {
        let reduce = Operator::Reduce { fold: Fold::Sum };
        assert_eq!(read(reduce, &[&row], f32s(&[3]), 2, segment), [[8 + segment]]);
    }
}

#[test]
fn a_fold_of_one_run_reads_all_it_folds() {
    // Two channels of four pixels each; the window begins one pixel before the image.
    let image = floats(&[1, 2, 2, 70], 1);
    let window = Window { kernel: (2, 2), strides: (1, 1), dilations: (1, 1), pads: (1, 1) };
    let pool = |element| {
        let pool = Operator::Pool { fold: Fold::Maximum, window };
        read(pool, &[&image], f32s(&[1, 3, 3, 70]), element, 0)
    };
    // In the corner only one tap is inside; in the middle all four are.
    assert_eq!(pool(0), [[0]]);
    assert_eq!(pool(69), [[1]]);
    assert_eq!(pool(4 * 70), [[0, 2, 4, 6]]);
}

#[test]
fn a_gather_reads_its_index_and_where_that_points() {
    let data = floats(&[3, 70], 1);
    let shape = Shape::new(&[2]).unwrap();
    let indices = Tensor::from_integers(ElementType::I64, &shape, &[2, -3]).unwrap();
    let gather = || Operator::Gather { axis: 0 };
    assert_eq!(read(gather(), &[&data, &indices], f32s(&[2, 70]), 69, 0), [[5], [0]]);
    assert_eq!(read(gather(), &[&data, &indices], f32s(&[2, 70]), 70, 0), [[0], [0]]);
}

#[test]
fn a_constant_reads_nothing() {
    let data = floats(&[3], 1);
    let pad = || Operator::Pad { before: vec![1], fill: 0 };
    assert_eq!(read(pad(), &[&data], f32s(&[5]), 0, 0), [[0; 0]]);
    assert_eq!(read(pad(), &[&data], f32s(&[5]), 1, 0), [[0]]);
}

#[test]
fn a_step_without_a_result_still_says_what_it_read() {
    cov_mark::check!(step_has_no_result);
    let shape = Shape::new(&[40]).unwrap();
    let most = Tensor::from_i64(&shape, vec![i64::MAX; 40]).unwrap();
    // The sum has no 64 bits, and neither has that of the lanes.
    let integers = kind(ElementType::I64, &[40]);
    assert_eq!(read(map(MapFunction::Add), &[&most, &most], integers, 39, 0), [[1], [1]]);
    let reduce = Operator::Reduce { fold: Fold::Sum };
    assert_eq!(read(reduce, &[&most], kind(ElementType::I64, &[]), 0, 0), [[0, 1]]);
    // An index that points nowhere leads to no leaf of the data.
    let shape = Shape::new(&[1]).unwrap();
    let far = Tensor::from_i64(&shape, vec![7]).unwrap();
    let data = floats(&[3], 1);
    let gather = Operator::Gather { axis: 0 };
    let leaves = read(gather, &[&data, &far], f32s(&[1]), 0, 0);
    assert_eq!(leaves, [vec![], vec![0]]);
}

#[test]
fn the_state_that_a_run_goes_on_from_decides_whether_it_has_a_result() {
    let shape = Shape::new(&[100]).unwrap();
    let ones = Tensor::from_i64(&shape, vec![1; 100]).unwrap();
    let node = node(Operator::Reduce { fold: Fold::Sum }, &[&ones], kind(ElementType::I64, &[]));
    // Lanes that are full overflow at the first element of the second segment: its second leaf of 32
    // elements is not read any more.
    let full = [i64::MAX as u64; 32];
    let node = law::check(&node).unwrap();
    let leaves = |before| leaves_of_step(node, 0, 1, before, &[&ones]).unwrap();
    assert_eq!(leaves(Some(&full)), [BTreeSet::from([2])]);
    assert_eq!(leaves(Some(&[0; 32])), [BTreeSet::from([2, 3])]);
    assert_eq!(leaves(None), [BTreeSet::from([2, 3])]);
}

#[test]
fn a_step_that_reads_outside_its_operands_is_none() {
    cov_mark::check!(step_reads_outside_its_operands);
    let (row, short) = (floats(&[70], 1), floats(&[3], 1));
    let node = node(map(MapFunction::Add), &[&row, &row], f32s(&[70]));
    let node = law::check(&node).unwrap();
    assert!(leaves_of_step(node, 69, 0, None, &[&row, &row]).is_some());
    assert_eq!(leaves_of_step(node, 69, 0, None, &[&row, &short]), None);
    assert_eq!(leaves_of_step(node, 69, 0, None, &[&row]), None);
    assert_eq!(leaves_of_step(node, 69, 0, None, &[]), None);
}

/// In layer 1 an operator reads an output of the layer, a value of the state before, and a weight.
fn mixed() -> Network {
    let wide = f32s(&[70]);
    let add = || map(MapFunction::Add);
    Sketch::new(vec![floats(&[70], 1)], vec![floats(&[70], 2), floats(&[70], 3)])
        .layer(vec![(add(), vec![Source::Input(0), Source::Weight(0)], wide.clone())])
        .layer(vec![
            (add(), vec![Source::Operator(0), Source::Weight(0)], wide.clone()),
            (
                Operator::Concat { axis: 0 },
                (1..2)
                    .map(Source::Operator)
                    .chain([Source::Operator(0), Source::Weight(1)])
                    .collect(),
                f32s(&[210]),
            ),
        ])
        .build()
}

const LAYER: u32 = 1;
const CONCAT: u32 = 2;

fn opened(game: Game) -> Dispute {
    game.disputed().expect_demand(inside(LAYER)).answered()
}

/// Proofs of operands, each with its place, and what they must show.
type Proofs = (Vec<(u8, OperandProof)>, Vec<Showing>);

/// The proofs of an operator's operands, with what they must show.
fn proofs_of(
    dispute: &Dispute,
    (layer, operator): (u32, u32),
    leaves: &[BTreeSet<u64>],
) -> Result<Proofs, SolveError> {
    let view = &dispute.honest_view;
    let argument = Argument::new(&dispute.known, None, &view.announced);
    let mut support = Support::new(view, &argument);
    let proofs = prove_operands(view, &mut support, (layer, operator), leaves)?;
    Ok((proofs, support.showings))
}

fn set(positions: &[u64]) -> BTreeSet<u64> {
    positions.iter().copied().collect()
}

#[test]
fn each_operand_is_proven_in_the_list_that_holds_it() {
    let network = mixed();
    let dispute = opened(game(&network).computes_wrongly(CONCAT, 0));
    let leaves = [set(&[0, 1]), set(&[1]), set(&[0])];
    let (proofs, showings) = proofs_of(&dispute, (LAYER, CONCAT), &leaves).unwrap();
    let shown: Vec<String> = showings.iter().map(crate::testing::questions::shown).collect();
    assert_eq!(shown, ["layer 1", "trace", "state 1"]);
    let header = network.model.header();
    let held = |tag, root, count, index, leaf, path: &[Digest]| {
        verify_list::<Keccak>(tag, &root, count, index, leaf, path)
    };
    let [(0, of_layer), (1, of_state), (2, of_weights)] = proofs.as_slice() else {
        panic!("{proofs:?}")
    };
    let inside_root = dispute.known.root(&trees::inside(0, LAYER)).unwrap();
    let root_leaf = |proof: &OperandProof| protocol::hash::leaf(&proof.root.0);
    assert!(held(Tag::Subtrace, inside_root, 2, 0, root_leaf(of_layer), &of_layer.path));
    let state_root = dispute.statement.state_roots()[LAYER as usize];
    let value = header.output_of(0);
    let state_leaf = protocol::graph::state_leaf::<Keccak>(value, &of_state.root);
    assert!(held(Tag::State, state_root, 1, 0, state_leaf, &of_state.path));
    let weights_root = header.weights_root;
    assert!(held(Tag::Weights, weights_root, 2, 1, root_leaf(of_weights), &of_weights.path));
    // Exactly the leaves that were asked for, all under their operand's root.
    let node = network.model.node(CONCAT).unwrap();
    for (((_, proof), positions), operand) in proofs.iter().zip(&leaves).zip(&node.operands) {
        assert_eq!(set(&proof.positions), *positions);
        assert!(proof.holds::<Keccak>(&operand.kind));
    }
}

#[test]
fn an_operand_that_is_not_read_is_left_out() {
    let dispute = opened(game(&mixed()).computes_wrongly(CONCAT, 0));
    let leaves = [set(&[]), set(&[]), set(&[1])];
    let (proofs, showings) = proofs_of(&dispute, (LAYER, CONCAT), &leaves).unwrap();
    assert!(matches!(proofs.as_slice(), [(2, _)]));
    // Nor is anything shown for it.
    assert!(showings.is_empty());
}

#[test]
fn leaves_of_an_operand_share_their_siblings() {
    let dispute = opened(game(&mixed()).computes_wrongly(CONCAT, 0));
    for (positions, siblings) in [(&[0, 1][..], 0), (&[1], 1)] {
        let leaves = [set(positions), set(&[]), set(&[])];
        let (proofs, _) = proofs_of(&dispute, (LAYER, CONCAT), &leaves).unwrap();
        assert_eq!(proofs[0].1.siblings.len(), siblings);
    }
}

#[test]
fn an_operand_before_a_wrong_output_is_proven_under_the_executors_root() {
    // The inside differs from the challenger's own, so that its own path would not do.
    let dispute = opened(game(&mixed()).computes_wrongly(CONCAT, 0));
    let leaves = [set(&[0]), set(&[]), set(&[])];
    let (proofs, _) = proofs_of(&dispute, (LAYER, CONCAT), &leaves).unwrap();
    let theirs = dispute.statement.output_root(CONCAT);
    assert_eq!(proofs[0].1.path, [protocol::hash::leaf(&theirs.0)]);
    assert_ne!(dispute.honest_view.run().inside(LAYER).unwrap().roots()[1], theirs);
}

#[test]
fn what_cannot_be_proven_is_told() {
    let dispute = opened(game(&mixed()).computes_wrongly(CONCAT, 0));
    let none = [set(&[]), set(&[]), set(&[])];
    let first = [set(&[0]), set(&[]), set(&[])];
    let far = [set(&[2]), set(&[]), set(&[])];
    assert_eq!(proofs_of(&dispute, (LAYER, CONCAT), &none), Ok((Vec::new(), Vec::new())));
    // No such layer, no such operator, no such leaf, a state without the value.
    assert!(proofs_of(&dispute, (2, CONCAT), &first).is_err());
    assert!(proofs_of(&dispute, (LAYER, 3), &first).is_err());
    assert!(proofs_of(&dispute, (LAYER, CONCAT), &far).is_err());
    assert!(proofs_of(&dispute, (0, CONCAT), &first).is_err());
}

#[test]
fn an_operand_beside_an_inside_that_is_not_open_is_told() {
    // Three operators: the path of the second leads past a node that nobody opened.
    let dispute = game(&ladder(1)).computes_wrongly(1, 0).with_levels(1).disputed();
    let error = proofs_of(&dispute, (0, 2), &[set(&[0]), set(&[])]).unwrap_err();
    assert!(error.to_string().contains("is not known"), "{error}");
}

#[test]
fn an_operand_of_an_inside_that_agrees_is_proven_by_the_challengers_own_path() {
    // With openings of one level no output of the three is open; the whole is the same.
    let nothing = protocol::hash::leaf(b"nothing");
    let dispute = game(&ladder(1))
        .with_levels(1)
        .says(|executor| {
            let value = executor.run().model().header().output_of(2);
            executor.entry(1, 0, (value, nothing));
        })
        .disputed()
        .expect_demand(inside(0))
        .answered();
    let (proofs, _) = proofs_of(&dispute, (0, 2), &[set(&[0]), set(&[])]).unwrap();
    let own = dispute.honest_view.run().inside(0).unwrap().tree().tree();
    assert_eq!(Some(&proofs[0].1.path), own.path(1).as_ref());
}
