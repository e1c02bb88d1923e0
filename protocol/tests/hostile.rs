//! Hostile bytes and proofs: every decoder and verifier ends in a value or a typed error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{Answers, inside, leaves};
use common::sequence::{Form, Machine};
use common::{Game, Toy, Who, address, genesis, key};
use proptest::prelude::*;
use protocol::asks::{
    Answer, Ask, AskError, Finding, Proven, Refutation, Showing, Tree as ClaimTree, fits, judge,
};
use protocol::encoding::{Canonical, DecodeError};
use protocol::graph::{Layer, ModelHeader, Node};
use protocol::hash::{self, Digest, Keccak};
use protocol::merkle::{Tree, TreeShape, climb, fold_opening, root_of_path};
use protocol::settlement::{Genesis, Record, Settlement, SnapshotHead};
use protocol::tensor::{Shape, TensorType};
use protocol::transaction::{Action, JobTerms, SignedTransaction, Statement};
use protocol::{ClaimId, JobId};

/// Decodes as everything; whatever decodes must encode to the same bytes.
fn decode_as_everything(bytes: &[u8]) {
    fn check<T: Canonical>(bytes: &[u8]) {
        if let Ok(value) = T::from_canonical(bytes) {
            assert_eq!(value.to_canonical(), bytes, "a second encoding was accepted");
        }
    }
    check::<SignedTransaction>(bytes);
    check::<Action>(bytes);
    check::<Refutation>(bytes);
    check::<Answer>(bytes);
    check::<Ask>(bytes);
    check::<Showing>(bytes);
    check::<Node>(bytes);
    check::<Layer>(bytes);
    check::<ModelHeader>(bytes);
    check::<TensorType>(bytes);
    check::<Genesis>(bytes);
    check::<JobTerms>(bytes);
    check::<Statement>(bytes);
    check::<Record>(bytes);
    check::<SnapshotHead>(bytes);
}

fn seeds() -> Vec<Vec<u8>> {
    let toy = Toy::new();
    let run = toy.run(None);
    let (job, claim) = (JobId::default(), ClaimId::default());
    let challengers = vec![address(Who::Challenger), address(Who::Second)];
    let answers = Answers::of(&toy, &run);
    let ask = answers.ask(inside(1));
    let answer = answers.answer(&ask, 6);
    let batch = Machine::new(Form::Batch, 3).run(3, None);
    let sequence = Machine::new(Form::Stopping, 3).run(3, None);
    let actions = [
        Action::RegisterModel { header: toy.committed.header.clone() },
        Action::PostClaim { statement: run.statement(job) },
        Action::PostJob { terms: Game::new().job_terms() },
        answers.demand(claim, leaves(1)),
        Action::Reveal { claim, challengers, ask, answer },
        Action::Pass { job, claims: vec![claim; 3] },
        answers.refute(claim, address(Who::Challenger), answers.product_proof(70)),
        Action::RegisterModel { header: Machine::new(Form::Stopping, 3).header().clone() },
        Action::PostClaim { statement: batch.claimed(job) },
        batch.refute(claim, address(Who::Challenger), batch.entry_proof(2)),
        sequence.refute(claim, address(Who::Challenger), sequence.link_proof(2, 1)),
    ];
    let mut seeds: Vec<Vec<u8>> = actions.iter().map(Canonical::to_canonical).collect();
    let signed = key(Who::Client).sign(&genesis().domain(), 0, &actions[1]);
    seeds.push(signed.to_canonical());
    seeds.push(toy.graph.nodes[0].to_canonical());
    seeds.push(genesis().to_canonical());
    let kept = Game::new()
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .opens_up(Who::Challenger, &[inside(1)])
        .falls_by_silence(Who::Challenger);
    seeds.extend(kept.state.records().map(|record| record.to_canonical()));
    seeds.push(kept.state.snapshot_head().to_canonical());
    seeds
}

std::thread_local! {
    static SEEDS: Vec<Vec<u8>> = seeds();
    static HELD: Answers = Answers::new(Some((1, 3))).with_all_said();
    static HONEST: Answers = Answers::new(None).with_all_said();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_decode_to_a_value_or_an_error(bytes: Vec<u8>) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn mutants_of_good_encodings_decode_to_a_value_or_an_error(
        seed: prop::sample::Index, at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        extra in 0u8..3
    ) {
        let mut bytes = SEEDS.with(|seeds| seed.get(seeds).clone());
        decode_as_everything(&bytes);
        *at.get_mut(&mut bytes) = byte;
        decode_as_everything(&bytes);
        let settlement = Settlement::new(genesis()).unwrap();
        if let Ok(transaction) = SignedTransaction::from_canonical(&bytes) {
            let _ = settlement.clone().apply(1, &transaction);
        }
        bytes.extend(std::iter::repeat_n(0, usize::from(extra)));
        decode_as_everything(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        decode_as_everything(&bytes);
    }

    #[test]
    fn trees_prove_what_they_hold_and_nothing_else(
        rows in 1u64..6, columns in 1u64..6, index in 0u64..64, other in 0u64..64, arity in 1u32..5
    ) {
        let shape = TreeShape::grid(rows, columns).unwrap();
        let leaves: Vec<Digest> =
            (0..rows * columns).map(|leaf| hash::leaf(&leaf.to_be_bytes())).collect();
        let tree: Tree = Tree::new(shape, &leaves).unwrap();
        let size = 1u64 << shape.depth();
        let (index, other) = (index % size, other % size);
        let leaf = tree.node(shape.depth(), index).unwrap();
        let path = tree.path(index).unwrap();
        let proven = root_of_path::<protocol::hash::Keccak>(&shape, index, leaf, &path);
        let padding = shape.is_padding(shape.depth(), index);
        prop_assert_eq!(proven == Some(tree.root()), !padding, "padding proves nothing");
        if other != index {
            prop_assert_ne!(root_of_path::<protocol::hash::Keccak>(&shape, other, leaf, &path), Some(tree.root()));
        }
        // Attack 18: an inner node is no leaf, and a longer or shorter path is no path.
        let inner = tree.node(shape.depth().saturating_sub(1), index / 2).unwrap();
        if shape.depth() > 0 {
            prop_assert_ne!(root_of_path::<protocol::hash::Keccak>(&shape, index, inner, &path[1..]), Some(tree.root()));
            prop_assert_eq!(root_of_path::<protocol::hash::Keccak>(&shape, index, leaf, &path[1..]), None);
        }
        let mut long = path.clone();
        long.push(Digest::default());
        prop_assert_eq!(root_of_path::<protocol::hash::Keccak>(&shape, index, leaf, &long), None);
        prop_assert_eq!(climb::<protocol::hash::Keccak>(shape.depth(), size, leaf, &path), None);
        // Openings fold back, with neither fewer nor more children.
        for depth in 0..=shape.depth() {
            let node = index >> (shape.depth() - depth);
            if shape.is_padding(depth, node) {
                continue;
            }
            let children = tree.opening(depth, node, arity).unwrap();
            let folded = fold_opening::<protocol::hash::Keccak>(&shape, depth, node, arity, &children);
            prop_assert_eq!(folded, tree.node(depth, node));
            prop_assert_eq!(fold_opening::<protocol::hash::Keccak>(&shape, depth, node, arity, &children[1..]), None);
            let more = [&children[..], &[Digest::default()]].concat();
            prop_assert_eq!(fold_opening::<protocol::hash::Keccak>(&shape, depth, node, arity, &more), None);
        }
    }

    #[test]
    fn the_referee_is_total(kind in 0u8..8, numbers: [u32; 5], shown: [bool; 8]) {
        HELD.with(|held| {
            let [a, b, c, d, e] = numbers.map(|one| if one % 3 == 0 { one } else { one % 4 });
            let iteration = e.saturating_sub(3);
            let (operands, states) = (Vec::new(), Vec::new());
            let refutation = match kind {
                0 => Refutation::Step {
                    iteration, layer: d, operator: a, element: u64::from(b),
                    segment: u64::from(c), operands, states,
                },
                1 => Refutation::Binding { iteration, layer: a, operator: b },
                2 => Refutation::Carry { iteration, layer: a, value: b },
                3 => Refutation::StateValue { iteration, boundary: a, position: b },
                4 => Refutation::Leaf { iteration, operator: c, leaf: u64::from(d) },
                5 => Refutation::Link { iteration, input: a },
                6 => Refutation::Entry { iteration },
                _ => Refutation::Stop { iteration },
            };
            let all = [held.product_proof(3).0, held.sum_proof(0).0].concat();
            let shown: Vec<Showing> = all.into_iter().zip(shown.into_iter().cycle())
                .filter_map(|(one, is_shown)| is_shown.then_some(one)).collect();
            if let Ok(proven) = Proven::new::<Keccak>(held.context(None, 6), &shown) {
                let _ = judge::<Keccak>(&proven, &refutation);
            }
            let decoded = Refutation::from_canonical(&refutation.to_canonical());
            prop_assert_eq!(decoded, Ok(refutation));
            Ok(())
        })?;
    }

    /// Of a refutation that convicts, whatever byte is changed: the claim falls by a proof or by none.
    #[test]
    fn a_changed_proof_convicts_an_honest_claim_of_nothing(
        seed in 0usize..3, at: prop::sample::Index, byte: u8
    ) {
        HONEST.with(|honest| {
            let (showings, refutation) = match seed {
                0 => honest.product_proof(70),
                1 => honest.sum_proof(1),
                _ => honest.leaf_proof(1, 0),
            };
            let mut bytes = refutation.to_canonical();
            *at.get_mut(&mut bytes) = byte;
            if let Ok(changed) = Refutation::from_canonical(&bytes) {
                let context = honest.context(None, 6);
                let proven = Proven::new::<Keccak>(context, &showings).unwrap();
                let found = judge::<Keccak>(&proven, &changed);
                prop_assert!(!matches!(found, Ok(Finding::Fraud(_))), "{:?}", found);
            }
            Ok(())
        })?;
    }
}

#[test]
fn absurd_counts_and_dimensions_cost_no_memory() {
    // A list of 2^32 − 1 items in eight bytes.
    for tag in 1..=4u8 {
        let bomb = [&[tag][..], &u32::MAX.to_be_bytes(), &[0; 3]].concat();
        let found = Answer::from_canonical(&bomb);
        assert!(matches!(found, Err(DecodeError::TooLong { .. })), "{found:?}");
    }
    let mut shape = vec![8u8];
    shape.extend((0..8).flat_map(|_| u64::MAX.to_be_bytes()));
    assert_eq!(Shape::from_canonical(&shape), Err(DecodeError::NotCanonical { kind: "shape" }));
    let zero = [&[1u8][..], &0u64.to_be_bytes()].concat();
    assert!(Shape::from_canonical(&zero).is_err());
    assert!(TreeShape::grid(1 << 30, 1 << 30).is_none());
    // Nodes outside a tree, as far outside as numbers go.
    let shape = TreeShape::list(9).unwrap();
    for (depth, index) in [(2, u64::MAX), (2, 4), (shape.depth() + 1, 0), (u32::MAX, u64::MAX)] {
        assert!(shape.is_padding(depth, index) && !shape.has_node(depth, index));
        assert!(shape.opened_indices(depth, index, 4).is_empty());
        assert_eq!(fold_opening::<protocol::hash::Keccak>(&shape, depth, index, 4, &[]), None);
    }
}

#[test]
fn what_does_not_belong_to_the_claim_or_its_model_is_neither_shown_nor_answered() {
    let toy = Toy::new();
    let (held, other) = (Answers::new(None).with_all_said(), Answers::new(Some((0, 0))));
    for want in held.all_wants() {
        let (ask, tree) = (held.ask(want), want.tree());
        let (mine, foreign) = (&held.trees[&tree].nodes, &other.trees[&tree].nodes);
        // At the bottom and beside the lie both runs are the same.
        let (depth, index) = ask.node();
        let is_same = mine.node(depth, index) == foreign.node(depth, index);
        if mine.shape().is_padding(depth, index) || is_same || tree.is_said() {
            continue;
        }
        let found = fits::<Keccak>(&ask, &other.answer(&ask, 6), 6);
        assert!(found.is_err(), "{want:?}");
    }
    let show =
        |showing: Showing| Proven::new::<Keccak>(held.context(None, 6), &[showing]).map(drop);
    let mut wrong = toy.layer(1);
    if let Showing::Layer { proof } = &mut wrong {
        proof.layer.operator_count = 3;
    }
    assert_eq!(show(wrong), Err(AskError::NotOfModel));
    let mut moved = toy.layer(1);
    if let Showing::Layer { proof } = &mut moved {
        proof.index = 0;
    }
    assert_eq!(show(moved), Err(AskError::NotOfModel));
    let mut moved = toy.operator(1);
    if let Showing::Operator { proof } = &mut moved {
        proof.index = 2;
    }
    assert_eq!(show(moved), Err(AskError::NotOfModel));
    // Another run's roots are not this claim's.
    let way = other.showings_to(ClaimTree::State { iteration: 0, boundary: 1 });
    assert_eq!(show(way[0].clone()), Err(AskError::Mismatch));
}
