//! Asks and answers: whatever can be asked of an honest run has one answer, and paths lead where they say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{Answers, Want};
use protocol::asks::{
    Answer, Ask, AskError, Asking, Evidence, Finding, Proven, RefereeError, Refutation, Showing,
    Tree, TreeKind, fits, judge,
};
use protocol::encoding::Canonical as _;
use protocol::hash::{Digest, Keccak};
use protocol::knowledge::Knowledge;
use protocol::transaction::RunLength;

const ARITIES: [u32; 4] = [1, 2, 4, 6];

fn asking(arity_log2: u32) -> Asking {
    Asking {
        arity_log2,
        leaf_log2: arity_log2.saturating_sub(3),
        end_log2: arity_log2.saturating_sub(3).max(1),
        end_depth_max: 12,
    }
}

/// Every ask about every node of every tree, with the path from the node to the root.
fn asks(answers: &Answers) -> Vec<(Ask, Vec<Digest>)> {
    let with_path = |want: Want| {
        let ask = answers.ask(want);
        let (depth, index) = ask.node();
        (ask, answers.path(want.tree(), depth, index, 0))
    };
    answers.all_wants().into_iter().map(with_path).collect()
}

#[test]
fn pending_answerable_every_accepted_ask_has_one_accepted_answer_and_the_executor_knows_it() {
    let mut accepted = 0;
    for arity_log2 in ARITIES {
        for answers in [Answers::new(None), Answers::new(None).with_all_said()] {
            for (ask, path) in asks(&answers) {
                let showings = answers.showings_to(*ask.tree());
                let Ok(proven) =
                    Proven::new::<Keccak>(answers.context(None, arity_log2), &showings)
                else {
                    continue;
                };
                if asking(arity_log2).check::<Keccak>(&proven, &ask, &path).is_err() {
                    continue;
                }
                accepted += 1;
                let answer = answers.answer(&ask, arity_log2);
                let said = fits::<Keccak>(&ask, &answer, arity_log2).unwrap();
                let grown = &answers.trees[ask.tree()];
                let root = ask.tree().commit::<Keccak>(&grown.kind, &grown.nodes.root());
                match &ask {
                    Ask::Say { .. } => assert_eq!(said, root),
                    Ask::Open { .. } | Ask::Leaves { .. } => assert_eq!(said, None),
                }
                for other in mutants(&answer) {
                    let found = fits::<Keccak>(&ask, &other, arity_log2);
                    assert!(found.is_err() || found != Ok(said), "{ask:?} {other:?}");
                }
            }
        }
    }
    assert!(accepted > 150, "{accepted}");
}

/// Other answers: shorter, longer, with one changed item, of other kinds.
fn mutants(answer: &Answer) -> Vec<Answer> {
    let mut found = Vec::new();
    let hashes = answer.hashes::<Keccak>();
    let changed = |list: &[Digest]| {
        let mut changed = list.to_vec();
        changed[0].0[7] ^= 1;
        changed
    };
    match answer {
        Answer::Hashes { hashes } => {
            found.push(Answer::Hashes { hashes: hashes[1..].to_vec() });
            found.push(Answer::Hashes { hashes: changed(hashes) });
            found.push(Answer::Roots { roots: hashes.clone() });
        }
        Answer::Roots { roots } => {
            found.push(Answer::Roots { roots: [roots.clone(), changed(roots)].concat() });
            found.push(Answer::Roots { roots: changed(roots) });
            found.push(Answer::Hashes { hashes: hashes.clone() });
        }
        Answer::Values { values } => {
            let mut other = values.clone();
            other[0].0 ^= 1;
            found.push(Answer::Values { values: other });
            found.push(Answer::Values { values: Vec::new() });
            found.push(Answer::Hashes { hashes: hashes.clone() });
        }
        Answer::Leaves { leaves } => {
            let mut other = leaves.clone();
            other[0][0] ^= 1;
            found.push(Answer::Leaves { leaves: other });
            found.push(Answer::Leaves { leaves: leaves[1..].to_vec() });
            found.push(Answer::Hashes { hashes: hashes.clone() });
        }
    }
    found
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason() {
    let answers = Answers::new(None).with_all_said();
    let arity_log2 = 6;
    let check = |ask: &Ask, path: &[Digest], showings: &[Showing]| {
        let proven = Proven::new::<Keccak>(answers.context(None, arity_log2), showings)?;
        asking(arity_log2).check::<Keccak>(&proven, ask, path).map(drop)
    };
    let tensor = Tree::Tensor { iteration: 0, operator: 1 };
    let shown = answers.showings_to(tensor);
    let open = |tree, depth, index| Ask::Open { place: answers.place(tree, depth, index) };
    let path = answers.path(tensor, 1, 0, 0);
    assert_eq!(check(&open(tensor, 0, 0), &[], &shown), Ok(()));
    // At the bottom nothing can be opened; padding and places outside are no places.
    assert_eq!(check(&open(tensor, 1, 0), &path, &shown), Err(AskError::OutOfRange));
    let mut outside = answers.place(tensor, 1, 0);
    outside.index = 2;
    let ask = Ask::Open { place: outside };
    assert_eq!(check(&ask, &path, &shown), Err(AskError::OutOfRange));
    // Another hash, another kind, no showing, another length of the path.
    let mut other = answers.place(tensor, 0, 0);
    other.hash.0[0] ^= 1;
    assert_eq!(check(&Ask::Open { place: other }, &[], &shown), Err(AskError::Mismatch));
    let mut other = answers.place(tensor, 0, 0);
    other.kind = TreeKind::List { count: 2 };
    assert_eq!(check(&Ask::Open { place: other }, &[], &shown), Err(AskError::Shape));
    assert_eq!(check(&open(tensor, 0, 0), &[], &[]), Err(AskError::Shape));
    assert_eq!(check(&open(tensor, 0, 0), &[], &shown[..2]), Err(AskError::UnknownRoot));
    assert_eq!(check(&open(tensor, 0, 0), &path, &shown), Err(AskError::WrongLength));
    // Said once, it is not said again; and only what is said can be asked to be said.
    let inside = Tree::Subtrace { iteration: 0, layer: 1 };
    let say = |tree: Tree| Ask::Say { tree, kind: answers.trees[&tree].kind.clone() };
    let layer = answers.showings_to(inside);
    assert_eq!(check(&say(inside), &[], &layer), Err(AskError::AlreadyOpen));
    let trace = Tree::Trace { iteration: 0 };
    let way = answers.showings_to(trace);
    assert_eq!(check(&say(trace), &[], &way), Err(AskError::WrongKind));
    let list = Ask::Leaves { place: answers.place(trace, 0, 0) };
    assert_eq!(check(&list, &[], &way), Err(AskError::WrongKind));
    // Numbers beyond the claim.
    for tree in [
        Tree::Trace { iteration: 1 },
        Tree::State { iteration: 0, boundary: 3 },
        Tree::Subtrace { iteration: 0, layer: 2 },
        Tree::Tensor { iteration: 0, operator: 3 },
        Tree::Tensor { iteration: u32::MAX, operator: 0 },
        Tree::Input { iteration: 0, value: 5 },
    ] {
        let mut place = answers.place(tensor, 0, 0);
        place.tree = tree;
        let found = check(&Ask::Open { place }, &[], &shown);
        assert_eq!(found, Err(AskError::OutsideClaim), "{tree:?}");
    }
    let beyond = Tree::Accumulators { iteration: 0, operator: 2, element: 1 };
    let kind =
        answers.trees[&Tree::Accumulators { iteration: 0, operator: 2, element: 0 }].kind.clone();
    let ask = Ask::Say { tree: beyond, kind };
    assert_eq!(check(&ask, &[], &[answers.operator(2)]), Err(AskError::OutsideClaim));
}

#[test]
fn a_path_ends_at_the_root_or_at_the_place_that_was_asked_last() {
    let answers = Answers::new(None);
    let arity_log2 = 1;
    let trace = Tree::Trace { iteration: 0 };
    let from = Ask::Open { place: answers.place(trace, 1, 0) };
    // From the place asked last no way to the root is needed.
    let below = Ask::Open { place: answers.place(trace, 1, 0) };
    let proven = answers.proven(&[], Some(&from), arity_log2);
    let check = |ask: &Ask, path: &[Digest]| {
        asking(arity_log2).check::<Keccak>(&proven, ask, path).map(drop)
    };
    assert_eq!(check(&below, &[]), Ok(()));
    let beside = Ask::Open { place: answers.place(trace, 1, 1) };
    assert_eq!(check(&beside, &[]), Err(AskError::WrongLength));
    // A leaf of it, shown by the path from there.
    let leaf = |boundary: u32, path: Vec<Digest>| Showing::TraceLeaf {
        iteration: 0,
        boundary,
        root: answers.run.states.get(boundary as usize).map_or(Digest::default(), |s| s.root()),
        path,
    };
    let show = |showing: Showing| {
        Proven::new::<Keccak>(answers.context(Some(&from), arity_log2), &[showing]).map(drop)
    };
    assert_eq!(show(leaf(1, answers.path(trace, 2, 1, 1))), Ok(()));
    assert_eq!(show(leaf(2, answers.path(trace, 2, 2, 1))), Err(AskError::WrongLength));
    assert_eq!(show(leaf(1, answers.path(trace, 2, 0, 1))), Err(AskError::Mismatch));
    assert_eq!(show(leaf(1, answers.path(trace, 2, 1, 0))), Err(AskError::UnknownRoot));
    assert_eq!(show(leaf(3, answers.path(trace, 2, 3, 1))), Err(AskError::OutOfRange));
}

#[test]
fn a_showing_that_is_changed_anywhere_is_refused() {
    let answers = Answers::new(None).with_all_said();
    for tree in answers.trees.keys() {
        let mut showings = answers.showings_to(*tree);
        if let Tree::Tensor { operator, .. } = tree {
            showings.push(answers.leaf(*operator, 0));
        }
        let context = answers.context(None, 6);
        Proven::new::<Keccak>(context, &showings).unwrap();
        for at in 0..showings.len() {
            let bytes = showings[at].to_canonical();
            for place in (0..bytes.len()).step_by(5) {
                let mut other = bytes.clone();
                other[place] ^= 1;
                let Ok(other) = Showing::from_canonical(&other) else {
                    continue;
                };
                let mut changed = showings[..at].to_vec();
                changed.push(other);
                assert!(Proven::new::<Keccak>(context, &changed).is_err(), "{changed:?}");
            }
        }
    }
}

fn judged(
    answers: &Answers,
    showings: &[Showing],
    refutation: &Refutation,
) -> Result<Finding, RefereeError> {
    let proven = Proven::new::<Keccak>(answers.context(None, 6), showings).unwrap();
    judge::<Keccak>(&proven, refutation)
}

#[test]
fn a_flipped_bit_is_convicted_by_its_step_and_an_honest_one_is_not() {
    let lie = Answers::new(Some((1, 70))).with_all_said();
    let (showings, refutation) = lie.product_proof(70);
    match judged(&lie, &showings, &refutation) {
        Ok(Finding::Fraud(Evidence::Step { element: 70, claimed, expected, .. })) => {
            assert_eq!(claimed[0] ^ 1, expected.unwrap()[0]);
        }
        other => panic!("{other:?}"),
    }
    let (showings, refutation) = lie.product_proof(71);
    assert_eq!(judged(&lie, &showings, &refutation), Ok(Finding::Sound));
    let honest = Answers::new(None).with_all_said();
    let (showings, refutation) = honest.product_proof(70);
    assert_eq!(judged(&honest, &showings, &refutation), Ok(Finding::Sound));
    // Whatever is left out decides nothing.
    for missing in 0..showings.len() {
        let mut fewer = showings.clone();
        fewer.remove(missing);
        let context = honest.context(None, 6);
        if let Ok(proven) = Proven::new::<Keccak>(context, &fewer) {
            assert!(judge::<Keccak>(&proven, &refutation).is_err(), "{missing}");
        }
    }
    let Refutation::Step { operands, .. } = &refutation else { panic!() };
    for changed in [
        operands[..1].to_vec(),
        vec![operands[1].clone(), operands[0].clone()],
        vec![operands[0].clone(), operands[0].clone(), operands[1].clone()],
    ] {
        let mut other = refutation.clone();
        if let Refutation::Step { operands, .. } = &mut other {
            *operands = changed;
        }
        assert!(judged(&honest, &showings, &other).is_err());
    }
}

#[test]
fn a_step_carries_the_leaves_that_it_reads_and_no_others() {
    let lie = Answers::new(Some((1, 70))).with_all_said();
    let (showings, mut refutation) = lie.product_proof(70);
    assert!(matches!(judged(&lie, &showings, &refutation), Ok(Finding::Fraud(_))));
    let both = [0, 1];
    if let Refutation::Step { operands, .. } = &mut refutation {
        let weight = &lie.toy.weight;
        let operand = &mut operands[1].1;
        operand.positions = both.to_vec();
        operand.leaves = both.map(|position| weight.leaf(position)).to_vec();
        operand.siblings = weight.tree().siblings_of(&both).unwrap();
    }
    let unread = RefereeError::UnreadOperand { operand: 1 };
    assert_eq!(judged(&lie, &showings, &refutation), Err(unread));
}

#[test]
fn sums_are_judged_by_their_states_and_the_last_step_by_the_element() {
    let honest = Answers::new(None).with_all_said();
    for segment in 0..3 {
        let (showings, refutation) = honest.sum_proof(segment);
        assert_eq!(judged(&honest, &showings, &refutation), Ok(Finding::Sound), "{segment}");
    }
    // The element is not what its sums give.
    let lie = Answers::new(Some((2, 0))).with_all_said();
    let (showings, refutation) = lie.sum_proof(2);
    match judged(&lie, &showings, &refutation) {
        Ok(Finding::Fraud(Evidence::Step { segment: 2, claimed, expected, .. })) => {
            assert_eq!(claimed[0] ^ 1, expected.unwrap()[0]);
        }
        other => panic!("{other:?}"),
    }
    let (showings, mut refutation) = lie.sum_proof(1);
    if let Refutation::Step { states, .. } = &mut refutation {
        states.clear();
    }
    assert_eq!(judged(&lie, &showings, &refutation), Err(RefereeError::BadState));
}

#[test]
fn knowledge_has_the_paths_of_what_was_opened() {
    for arity_log2 in ARITIES {
        let answers = Answers::new(None).with_all_said();
        let header = answers.toy.committed.header.clone();
        let mut known: Knowledge =
            Knowledge::new(header, RunLength::exactly(1), arity_log2, &answers.statement);
        for (tree, grown) in &answers.trees {
            for showing in answers.showings_to(*tree) {
                known.learn_showing(&showing);
            }
            let depth = grown.nodes.shape().depth();
            known.learn_ask(&Ask::Open { place: answers.place(*tree, 0, 0) });
            let mut at = 0;
            while at < depth {
                for index in 0..1u64 << at {
                    if grown.nodes.shape().is_padding(at, index) {
                        continue;
                    }
                    let ask = Ask::Open { place: answers.place(*tree, at, index) };
                    let answer = answers.answer(&ask, arity_log2);
                    let said = fits::<Keccak>(&ask, &answer, arity_log2).unwrap();
                    known.learn_answer(&ask, &answer, said);
                }
                at += arity_log2;
            }
            for leaf in 0..1u64 << depth {
                let path = answers.path(*tree, depth, leaf, 0);
                assert_eq!(known.path(tree, depth, leaf), Some(path), "{tree:?} {leaf}");
            }
            let root = tree.commit::<Keccak>(&grown.kind, &grown.nodes.root());
            if !tree.is_end() {
                assert!(known.root(tree).is_none_or(|known| Some(known) == root), "{tree:?}");
            }
        }
    }
}

#[test]
fn the_place_that_was_asked_last_counts_in_a_tree_of_its_own_shape_only() {
    let answers = Answers::new(None).with_all_said();
    let tensor = Tree::Tensor { iteration: 0, operator: 1 };
    let ask = Ask::Leaves { place: answers.place(tensor, 1, 0) };
    let mut other = answers.place(tensor, 1, 0);
    if let TreeKind::Tensor { kind } = &mut other.kind {
        kind.element = protocol::tensor::ElementType::I32;
    }
    // The operator says what the tensor is, whatever the last ask took it for.
    let shown = [answers.operator(1)];
    for (from, expected) in
        [(ask.clone(), Ok(())), (Ask::Leaves { place: other }, Err(AskError::WrongLength))]
    {
        let proven = answers.proven(&shown, Some(&from), 1);
        assert_eq!(asking(1).check::<Keccak>(&proven, &ask, &[]), expected);
    }
}
