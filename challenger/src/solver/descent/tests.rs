//! Two trees of one shape, of which one is known only as far as it was opened.

use protocol::facts::{Children, Request, Reveal};
use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Keccak, Tag, leaf};
use protocol::merkle::{ListTree, Tree, TreeShape};

use super::*;

/// States of the traces in these tests: a tree of four levels with five leaves of padding.
const STATES: usize = 11;

/// Roots of states, some of which are not what they should be.
fn roots(wrong: &[usize]) -> Vec<Digest> {
    let root = |at: usize| leaf(&[at as u8, u8::from(wrong.contains(&at))]);
    (0..STATES).map(root).collect()
}

fn trace(roots: &[Digest]) -> ListTree {
    let leaves: Vec<Digest> = roots.iter().map(|root| leaf(&root.0)).collect();
    ListTree::new(Tag::Trace, &leaves).unwrap()
}

/// The challenger's tree, the executor's, and what was opened of it.
struct Pair {
    own: ListTree,
    theirs: ListTree,
    roots: Vec<Digest>,
    facts: Facts,
}

const ID: TreeId = TreeId::Trace {};

impl Pair {
    fn new(wrong: &[usize], arity_log2: u32) -> Self {
        let (own, roots) = (trace(&roots(&[])), roots(wrong));
        let theirs = trace(&roots);
        let none = Digest::default();
        let header = ModelHeader {
            graph_root: none,
            weights_root: none,
            layers_root: none,
            operator_count: STATES as u32 - 1,
            weight_count: 1,
            input_count: 1,
            layer_count: STATES as u32 - 1,
            profile: Profile::StrictF32,
        };
        let facts = Facts::new(header, arity_log2, theirs.root(), roots[0], roots[STATES - 1]);
        Self { own, theirs, roots, facts }
    }

    fn compared(&self) -> Compared<'_, Keccak> {
        let equal = self.own.root() == self.theirs.root();
        Compared { facts: &self.facts, id: ID, own: OwnTree::whole(self.own.tree()), equal }
    }

    fn open(&mut self, depth: u32, index: u64) {
        let (tree, arity_log2) = (self.theirs.tree(), self.facts.arity_log2());
        let reached = depth + tree.shape().opening_levels(depth, arity_log2);
        let indices = tree.shape().opened_indices(depth, index, arity_log2);
        let children = if reached == tree.shape().depth() {
            let roots = indices.iter().map(|index| self.roots[*index as usize]).collect();
            Children::Roots { roots }
        } else {
            let hashes = tree.opening(depth, index, arity_log2).unwrap();
            Children::Hashes { hashes }
        };
        let request = Request::Node { tree: ID, depth, index };
        self.facts.reveal(&request, &Reveal::Node { children }).unwrap();
    }

    /// Opens what the comparison asks for until it asks for nothing more.
    fn walk(&mut self) -> (Vec<(u32, u64)>, Descent) {
        let mut opened = Vec::new();
        loop {
            match self.compared().descend() {
                Descent::Open { depth, index } => {
                    assert!(!opened.contains(&(depth, index)), "opened again");
                    opened.push((depth, index));
                    self.open(depth, index);
                }
                end => return (opened, end),
            }
        }
    }
}

#[test]
fn the_first_difference_is_found_wherever_it_is() {
    for arity_log2 in [1, 2, 3, 4, 6] {
        for first in 0..STATES {
            for other in first..STATES {
                let (opened, end) = Pair::new(&[other, first], arity_log2).walk();
                assert_eq!(end, Descent::Leaf(first as u64), "{other}, {arity_log2} levels");
                assert_eq!(opened.len() as u32, 4_u32.div_ceil(arity_log2));
            }
        }
    }
}

#[test]
fn a_descent_goes_by_the_openings_of_the_ledger() {
    let (opened, _) = Pair::new(&[6], 1).walk();
    assert_eq!(opened, [(0, 0), (1, 0), (2, 1), (3, 3)]);
    let (opened, _) = Pair::new(&[6], 3).walk();
    assert_eq!(opened, [(0, 0), (3, 3)]);
    let (opened, _) = Pair::new(&[10], 2).walk();
    assert_eq!(opened, [(0, 0), (2, 2)]);
}

#[test]
fn equal_trees_are_not_opened() {
    assert_eq!(Pair::new(&[], 2).compared().descend(), Descent::Equal);
}

#[test]
fn a_node_that_differs_over_children_that_do_not_ends_the_descent() {
    cov_mark::check!(no_child_differs);
    // Only a broken ledger shows this: the whole is said to differ, and no part does.
    let mut pair = Pair::new(&[], 6);
    pair.open(0, 0);
    let compared = Compared { equal: false, ..pair.compared() };
    assert_eq!(compared.descend(), Descent::Equal);
}

#[test]
fn a_tree_of_one_leaf_is_its_leaf() {
    let pair = Pair::new(&[1], 2);
    let own = Tree::<Keccak>::new(TreeShape::list(1).unwrap(), &[leaf(b"one")]).unwrap();
    let compared = Compared { facts: &pair.facts, id: ID, own: OwnTree::whole(&own), equal: false };
    assert_eq!(compared.descend(), Descent::Leaf(0));
    assert_eq!(compared.path(0), Some(Vec::new()));
}

/// All nodes of the tree, padding too.
fn places() -> impl Iterator<Item = (u32, u64)> {
    (0..=4u32).flat_map(|depth| (0..1u64 << depth).map(move |index| (depth, index)))
}

#[test]
fn whatever_is_resolved_is_the_executors_own_hash() {
    for arity_log2 in [1, 2, 3, 4] {
        for (first, other) in [(0, 10), (3, 4), (7, 8), (10, 10), (5, 6)] {
            let mut pair = Pair::new(&[first, other], arity_log2);
            loop {
                for (depth, index) in places() {
                    let resolved = pair.compared().resolve(depth, index);
                    let truth = pair.theirs.tree().node(depth, index);
                    assert!(resolved.is_none() || resolved == truth, "{depth}, {index}");
                }
                match pair.compared().descend() {
                    Descent::Open { depth, index } => pair.open(depth, index),
                    _ => break,
                }
            }
        }
    }
}

#[test]
fn of_an_unopened_tree_that_differs_only_padding_is_known() {
    let pair = Pair::new(&[3], 2);
    for (depth, index) in places() {
        let padding = pair.own.tree().shape().is_padding(depth, index);
        assert_eq!(pair.compared().resolve(depth, index).is_some(), padding, "{depth}, {index}");
    }
    // Leaves 12 to 15 stand for nothing.
    assert_eq!(pair.compared().resolve(2, 3), Some(empty_subtree::<Keccak>(2)));
}

#[test]
fn of_equal_trees_everything_is_known() {
    let pair = Pair::new(&[], 2);
    for (depth, index) in places() {
        assert_eq!(pair.compared().resolve(depth, index), pair.own.tree().node(depth, index));
    }
}

#[test]
fn an_opening_tells_its_nodes_what_stands_above_them_and_what_stands_below_equal_ones() {
    // Of four nodes at depth 2, the second differs.
    let mut pair = Pair::new(&[6], 2);
    pair.open(0, 0);
    let known = |depth, index| pair.compared().resolve(depth, index).is_some();
    // Opened, and folded from what was opened.
    assert!((0..4).all(|index| known(2, index)));
    assert!(known(1, 0) && known(1, 1) && known(0, 0));
    // Under an equal node all is equal; under the different one nothing is known.
    assert!([0, 1, 4, 5].into_iter().all(|index| known(3, index)));
    assert!([2, 3].into_iter().all(|index| !known(3, index)));
    assert!([0, 1, 2, 3, 8, 9, 10].into_iter().all(|index| known(4, index)));
    assert!([4, 5, 6, 7].into_iter().all(|index| !known(4, index)));
}

#[test]
fn after_a_descent_paths_to_all_leaves_before_the_difference_are_known() {
    for arity_log2 in [1, 2, 3, 6] {
        for first in 0..STATES {
            // The last state differs too, so that the right side is not the challenger's own.
            let mut pair = Pair::new(&[first, STATES - 1], arity_log2);
            pair.walk();
            for before in 0..=first as u64 {
                let path = pair.compared().path(before);
                assert_eq!(path, pair.theirs.tree().path(before), "{before} of {first}");
            }
        }
    }
}

#[test]
fn a_path_through_what_is_not_known_is_not_given() {
    cov_mark::check!(leaf_is_not_known);
    let mut pair = Pair::new(&[2, 9], 1);
    assert_eq!(pair.compared().path(0), None);
    pair.walk();
    // The walk went to leaf 2; what stands beside leaf 9 is hidden under the right half.
    assert!(pair.compared().path(2).is_some());
    assert_eq!(pair.compared().path(8), None);
}
