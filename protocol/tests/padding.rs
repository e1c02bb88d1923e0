//! What stands for padding in a tree is an empty subtree, whatever a prover says: or a tree could be committed to
//! that nobody but its maker can compute, and a claim with it that nobody can dispute.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::cell::Cell;

use common::{Game, Who};
use proptest::prelude::*;
use protocol::hash::{self, Commitment, Digest, Keccak, Tag};
use protocol::merkle::{Tree, TreeShape, list_root, root_of_leaves, root_of_path};
use protocol::roots::{root_leaf, sequence_tree};
use protocol::settlement::Rejection;
use protocol::transaction::Action;

proptest! {
    #[test]
    fn a_path_with_anything_else_in_the_place_of_padding_proves_nothing(
        rows in 1u64..6, columns in 1u64..9, at in any::<u64>(), level in 0usize..6,
    ) {
        let shape = TreeShape::grid(rows, columns).unwrap();
        let leaves: Vec<Digest> =
            (0..shape.leaves()).map(|leaf| hash::leaf(&leaf.to_be_bytes())).collect();
        let tree = Tree::<Keccak>::new(shape, &leaves).unwrap();
        let (row, column) = (at % rows, (at / 7) % columns);
        let index = shape.position(row, column);
        let leaf = tree.node(shape.depth(), index).unwrap();
        let mut path = tree.path(index).unwrap();
        prop_assert_eq!(root_of_path::<Keccak>(&shape, index, leaf, &path), Some(tree.root()));
        if level < path.len() {
            let depth = shape.depth() - level as u32;
            let is_padding = shape.is_padding(depth, (index >> level) ^ 1);
            path[level].0[5] ^= 1;
            let found = root_of_path::<Keccak>(&shape, index, leaf, &path);
            prop_assert_eq!(found.is_none(), is_padding);
        }
    }
}

#[test]
fn a_claim_whose_trace_has_something_in_the_place_of_padding_is_not_bound() {
    let game = Game::new();
    let run = game.toy.run(None);
    let mut statement = run.statement(game.job);
    // Three states in four leaves: the fourth is padding, and beside the last state.
    let leaves: Vec<Digest> =
        run.states.iter().map(|state| root_leaf::<Keccak>(&state.root())).collect();
    let garbage = hash::leaf(b"garbage");
    let (left, right) = (hash::node(&leaves[0], &leaves[1]), hash::node(&leaves[2], &garbage));
    let trace_root = list_root::<Keccak>(Tag::Trace, 3, &hash::node(&left, &right));
    let sequence = sequence_tree::<Keccak>(&[trace_root]).unwrap();
    statement.terms.sequence_root = sequence.root();
    for bound in [&mut statement.binding.input, &mut statement.binding.output] {
        bound.trace_root = trace_root;
    }
    statement.binding.input.state_path = vec![leaves[1], right];
    statement.binding.output.state_path = vec![garbage, left];
    game.rejects(Who::Executor, Action::PostClaim { statement }, Rejection::NotBound);
}

thread_local! {
    static NODES: Cell<u64> = const { Cell::new(0) };
}

/// Counts the nodes that are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Counting;

impl Commitment for Counting {
    const NAME: &'static str = "counting";

    fn node(left: &Digest, right: &Digest) -> Digest {
        NODES.set(NODES.get() + 1);
        Keccak::node(left, right)
    }
    fn tagged(tag: Tag, parts: &[&[u8]]) -> Digest {
        Keccak::tagged(tag, parts)
    }
}

#[test]
fn leaves_at_the_ends_of_many_rows_cost_no_more_than_their_ways_up() {
    // The last leaf of each row, beside which everything is padding.
    let (rows, columns) = (500, 2_049);
    let shape = TreeShape::grid(rows, columns).unwrap();
    let leaves: Vec<(u64, Digest)> =
        (0..rows).map(|row| (shape.position(row, columns - 1), Digest([row as u8; 32]))).collect();
    let siblings = vec![Digest([7; 32]); 500];
    NODES.set(0);
    root_of_leaves::<Counting>(&shape, &leaves, &siblings);
    let most = rows * u64::from(shape.depth()) + u64::from(shape.depth());
    assert!(NODES.get() <= most, "{} of {most}", NODES.get());
}
