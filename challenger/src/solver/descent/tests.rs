//! Two trees of one shape, of which one is known only as far as it was opened.

use protocol::asks::{Answer, Ask, Place, Showing, TreeKind, fits, shown_places};
use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Keccak, Tag, leaf};
use protocol::ids::JobId;
use protocol::merkle::{ListTree, Tree as Nodes, TreeShape};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{RunLength, Statement};

use super::super::trees;
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
    known: Knowledge,
}

const KIND: TreeKind = TreeKind::List { count: STATES as u32 };

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
            inputs: vec![TensorType {
                element: ElementType::F32,
                shape: Shape::new(&[1]).unwrap(),
            }],
            layer_count: STATES as u32 - 1,
            profile: Profile::StrictF32,
            links: Vec::new(),
            stop: None,
            card: none,
        };
        let statement = Statement::of_run::<Keccak>(JobId::default(), none, &roots).unwrap();
        let known = Knowledge::new(header, RunLength::exactly(1), arity_log2, &statement);
        Self { own, theirs, roots, known }
    }

    fn compared(&self) -> Compared<'_, Keccak> {
        let own = OwnTree::whole(self.own.tree());
        Compared::new(&self.known, (trees::trace(0), &KIND), Some(self.theirs.root()), own)
    }

    fn open(&mut self, depth: u32, index: u64) {
        let (tree, arity_log2) = (self.theirs.tree(), self.known.arity_log2());
        let hash = match depth {
            0 => self.theirs.root(),
            _ => tree.node(depth, index).unwrap(),
        };
        let place = Place { tree: trees::trace(0), kind: KIND, depth, index, hash };
        let ask = Ask::Open { place };
        let (reached, indices) = shown_places(&ask, arity_log2).unwrap();
        let answer = if reached == tree.shape().depth() {
            let roots = indices.iter().map(|index| self.roots[*index as usize]).collect();
            Answer::Roots { roots }
        } else {
            let hashes = tree.opening(depth, index, arity_log2).unwrap();
            Answer::Hashes { hashes }
        };
        let said = fits::<Keccak>(&ask, &answer, arity_log2).unwrap();
        self.known.learn_answer(&ask, &answer, said);
    }

    fn path(&self, leaf: u64) -> Option<Vec<Digest>> {
        self.compared().path(4, leaf, 0)
    }

    /// Opens what the comparison asks for until it asks for nothing more.
    fn walk(&mut self) -> (Vec<(u32, u64)>, Descent) {
        let mut opened = Vec::new();
        loop {
            match self.compared().descend() {
                Descent::Below { depth, index } => {
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
                // The posting of the claim shows the ways of the first and of the last state, and what
                // stands beside them.
                let openings = match first {
                    0 | 1 | 10 => 0,
                    2 | 3 | 8 | 9 => 1,
                    _ => 2_usize.div_ceil(arity_log2 as usize),
                };
                assert_eq!(opened.len(), openings);
            }
        }
    }
}

#[test]
fn a_descent_begins_where_nothing_more_is_known() {
    let (opened, _) = Pair::new(&[6], 1).walk();
    assert_eq!(opened, [(2, 1), (3, 3)]);
    let (opened, _) = Pair::new(&[6], 3).walk();
    assert_eq!(opened, [(2, 1)]);
    let (opened, _) = Pair::new(&[9], 2).walk();
    assert_eq!(opened, [(3, 4)]);
}

#[test]
fn an_opening_is_one_that_others_ask_for_too_where_it_leads_as_far() {
    let of = |total, depth, index, arity_log2| {
        let at = trees::opening(trees::trace(0), total, (depth, index), arity_log2);
        (at.depth, at.index)
    };
    // Everything is one opening away from the root.
    assert_eq!((of(4, 0, 0, 6), of(4, 3, 7, 6), of(6, 5, 31, 6)), ((0, 0), (0, 0), (0, 0)));
    assert_eq!((of(4, 2, 3, 2), of(4, 3, 7, 2), of(4, 1, 1, 2)), ((2, 3), (2, 3), (0, 0)));
    // From the node itself it is one opening, from the root it would be two.
    assert_eq!(of(7, 1, 1, 6), (1, 1));
    assert_eq!((of(4, 3, 7, 1), of(0, 0, 0, 0)), ((3, 7), (0, 0)));
}

#[test]
fn what_is_known_without_a_way_up_is_not_walked_to() {
    // Somebody showed leaf 6 from a place above it; leaf 5 differs before.
    let mut pair = Pair::new(&[5, 6], 1);
    let path = vec![pair.theirs.tree().node(4, 7).unwrap()];
    let root = pair.roots[6];
    pair.known.learn_showing(&Showing::TraceLeaf { iteration: 0, boundary: 6, root, path });
    assert!(pair.compared().node(4, 6).is_some());
    assert_eq!(pair.compared().descend(), Descent::Below { depth: 2, index: 1 });
    assert_eq!(pair.path(6), None);
    let (opened, end) = pair.walk();
    assert_eq!((opened, end), (vec![(2, 1), (3, 2)], Descent::Leaf(5)));
}

#[test]
fn a_published_tree_is_walked_to_the_end() {
    let pair = Pair::new(&[5, 7], 1);
    let theirs = pair.theirs.tree().clone();
    let compared = pair.compared().published(Some(theirs));
    assert_eq!(compared.descend(), Descent::Leaf(5));
    assert_eq!(compared.path(4, 5, 0), pair.theirs.tree().path(5));
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
    let own = Nodes::<Keccak>::new(TreeShape::list(1).unwrap(), &[leaf(b"one")]).unwrap();
    let of = |claimed| {
        let tree = (trees::state(0, 0), &TreeKind::List { count: 1 });
        Compared::new(&pair.known, tree, claimed, OwnTree::whole(&own))
    };
    let compared = of(Some(leaf(b"another")));
    assert_eq!(compared.descend(), Descent::Leaf(0));
    assert_eq!(compared.path(0, 0, 0), Some(Vec::new()));
    assert!(!compared.is_own_leaf(0));
    let same = of(Some(protocol::merkle::list_root::<Keccak>(Tag::State, 1, &own.root())));
    assert_eq!(same.descend(), Descent::Equal);
    assert!(same.is_own_leaf(0));
}

/// All nodes of the tree below its root, padding too.
fn places() -> impl Iterator<Item = (u32, u64)> {
    (1..=4u32).flat_map(|depth| (0..1u64 << depth).map(move |index| (depth, index)))
}

#[test]
fn whatever_is_known_is_the_executors_own_hash() {
    for arity_log2 in [1, 2, 3, 4] {
        for (first, other) in [(0, 10), (3, 4), (7, 8), (10, 10), (5, 6)] {
            let mut pair = Pair::new(&[first, other], arity_log2);
            loop {
                for (depth, index) in places() {
                    let known = pair.compared().node(depth, index);
                    let truth = pair.theirs.tree().node(depth, index);
                    assert!(known.is_none() || known == truth, "{depth}, {index}");
                }
                match pair.compared().descend() {
                    Descent::Below { depth, index } => pair.open(depth, index),
                    Descent::Leaf(_) | Descent::Equal => break,
                }
            }
        }
    }
}

#[test]
fn of_an_unopened_tree_what_the_posting_shows_is_known_and_what_stands_below_equal_nodes() {
    let pair = Pair::new(&[3, 6, 9], 2);
    let unknown: Vec<(u32, u64)> =
        places().filter(|(depth, index)| pair.compared().node(*depth, *index).is_none()).collect();
    let leaves = [2, 3, 4, 5, 6, 7, 8, 9].map(|leaf| (4, leaf));
    assert_eq!(unknown, [&[(3, 2), (3, 3)][..], &leaves].concat());
    // Leaves 12 to 15 stand for nothing.
    assert_eq!(pair.compared().node(2, 3), Some(empty_subtree::<Keccak>(2)));
}

#[test]
fn of_equal_trees_everything_is_known() {
    let pair = Pair::new(&[], 2);
    for (depth, index) in places() {
        assert_eq!(pair.compared().node(depth, index), pair.own.tree().node(depth, index));
    }
}

#[test]
fn an_opening_tells_its_nodes_and_what_stands_below_equal_ones() {
    let mut pair = Pair::new(&[6, 9], 1);
    pair.open(2, 1);
    let known = |depth, index| pair.compared().node(depth, index).is_some();
    assert!(known(3, 2) && known(3, 3));
    // Under an equal node all is equal; under a different one nothing is known.
    assert!([0, 1, 2, 3, 4, 5, 10].into_iter().all(|leaf| known(4, leaf)));
    assert!([6, 7, 8, 9].into_iter().all(|leaf| !known(4, leaf)));
    assert!([4, 5].into_iter().all(|leaf| pair.compared().is_own_leaf(leaf)));
    assert!([6, 8].into_iter().all(|leaf| !pair.compared().is_own_leaf(leaf)));
}

#[test]
fn after_a_descent_paths_to_all_leaves_before_the_difference_are_known() {
    for arity_log2 in [1, 2, 3, 6] {
        for first in 0..STATES {
            // The last state differs too, so that the right side is not the challenger's own.
            let mut pair = Pair::new(&[first, STATES - 1], arity_log2);
            pair.walk();
            for before in 0..=first as u64 {
                assert_eq!(
                    pair.path(before),
                    pair.theirs.tree().path(before),
                    "{before} of {first}"
                );
            }
        }
    }
}

#[test]
fn a_path_through_what_is_not_known_is_not_given() {
    let mut pair = Pair::new(&[2, 9], 1);
    assert!(pair.path(0).is_some());
    assert_eq!(pair.path(2), None);
    pair.walk();
    // The walk went to leaf 2; what stands beside leaf 8 is not known.
    let full = pair.path(2).unwrap();
    assert_eq!(full.len(), 4);
    assert_eq!(pair.path(8), None);
    // Up to a place on the way the path is shorter.
    assert_eq!(pair.compared().path(4, 2, 2).as_deref(), Some(&full[..2]));
}
