use protocol::graph::Profile;
use protocol::hash::keccak;
use protocol::merkle::ListTree;
use protocol::roots::sequence_tree;
use protocol::tensor::{ElementType, Shape};

use super::*;

fn roots(count: u8) -> Vec<Digest> {
    (0..count).map(|number| keccak(&[number])).collect()
}

#[test]
fn a_list_is_the_beginning_of_any_longer_or_shorter_one_without_building_it() {
    for own in 1..=20u8 {
        let list = TraceList::<Keccak>::new(&roots(own)).unwrap();
        for claimed in 1..=40u8 {
            let whole: ListTree = sequence_tree(&roots(claimed)).unwrap();
            let shape = TreeShape::list(u64::from(claimed)).unwrap();
            for depth in 0..=shape.depth() {
                for index in 0..1u64 << depth {
                    let end = ((index + 1) << (shape.depth() - depth)).min(u64::from(claimed));
                    let is_padding = shape.is_padding(depth, index);
                    let is_known = is_padding || end <= u64::from(own);
                    let expected = whole.tree().node(depth, index).filter(|_| is_known);
                    let found = list.node(&shape, depth, index);
                    assert_eq!(found, expected, "{own} of {claimed}: {depth} {index}");
                }
            }
            let root = (claimed <= own).then(|| whole.root());
            assert_eq!(list.root_of_first(claimed.into()), root);
        }
        assert_eq!(list.root_of_first(0), None);
        // A list of a million is asked about as fast as one of ten.
        let long = TreeShape::list(1 << 20).unwrap();
        assert_eq!(
            list.node(&long, 20, 0),
            list.tree().tree().node(list.tree().tree().shape().depth(), 0)
        );
        assert_eq!((list.node(&long, 0, 0), list.node(&long, 20, own.into())), (None, None));
        assert_eq!(list.root_of_first(1 << 20), None);
    }
}

fn header(elements: u64) -> ModelHeader {
    let kind = TensorType { element: ElementType::F32, shape: Shape::new(&[elements]).unwrap() };
    ModelHeader {
        graph_root: Digest::default(),
        weights_root: Digest::default(),
        layers_root: Digest::default(),
        operator_count: 1,
        weight_count: 1,
        inputs: vec![kind.clone(), kind],
        layer_count: 1,
        profile: Profile::StrictF32,
        links: vec![0, 1],
        stop: None,
        card: Digest::default(),
    }
}

#[test]
fn beginnings_are_kept_as_densely_as_their_bytes_allow() {
    // Two inputs of four bytes an element.
    for (elements, iterations_max, wanted) in [
        (1, 1, 1),
        (1, 1 << 20, 1),
        (4, 1 << 20, 1),
        (5, 1 << 20, 2),
        (1 << 20, 4, 1),
        (1 << 20, 5, 2),
        (1 << 20, 4_096, 1_024),
        (1 << 22, 1, 1),
        (1 << 30, 1 << 20, 1 << 28),
    ] {
        assert_eq!(spacing(&header(elements), iterations_max), wanted, "{elements}");
    }
}
