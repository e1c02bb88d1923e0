//! What was said binds, and what was asked last is what the next move may build on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{INPUT, SUMS, TRACE, inside, leaves, state, tensor};
use common::{Answers, Game, Toy, Want, Who};
use protocol::asks::{Answer, Ask, AskError, Showing, Tree, TreeKind};
use protocol::settlement::{Parameters, Rejection};
use protocol::transaction::Action;

const TRACE_TREE: Tree = Tree::Trace { iteration: 0 };
/// The node above the first two states.
const LEFT: Want = Want::Open(TRACE_TREE, 1, 0);

/// A claim, true or with one flipped bit, with two challenges.
fn disputed(parameters: Parameters, flip: Option<(usize, usize)>) -> Game {
    let run = Toy::new().run(flip);
    Game::under(parameters)
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .challenges(Who::Second, Who::Executor)
}

/// Openings of one level.
fn narrow() -> Parameters {
    Parameters { arity_log2: 1, end_log2: 1, ..Parameters::default() }
}

fn refused(error: AskError) -> Rejection {
    Rejection::Ask(error)
}

#[test]
fn two_asks_one_saying() {
    // audit_a1: two wait for the same root. The first answer binds: another one is refused, the same accepted.
    let honest = Answers::new(None);
    let lie = Answers::new(Some((1, 3)));
    let sums = honest.clone().with_sums(7);
    let said = |answers: &Answers, want: Want| answers.answer(&answers.ask(want), 6);
    for (want, true_words, other_words) in [
        (inside(1), said(&honest, inside(1)), said(&lie, inside(1))),
        (SUMS, said(&honest, SUMS), said(&sums, SUMS)),
    ] {
        assert_ne!(true_words, other_words);
        // Whether the truth comes first or not: nothing but the first words says which they are.
        for [first, second] in [[&true_words, &other_words], [&other_words, &true_words]] {
            let (one, two) = (&[Who::Challenger], &[Who::Second]);
            let game = disputed(Parameters::default(), None)
                .demands(Who::Challenger, want)
                .demands(Who::Second, want)
                .plays(Who::Executor, |game| game.reveal_with(one, want, first.clone()))
                .refuses(
                    Who::Executor,
                    |game| game.reveal_with(two, want, second.clone()),
                    refused(AskError::Mismatch),
                )
                // It waits still: for the same words.
                .plays(Who::Executor, |game| game.reveal_with(two, want, first.clone()))
                .refuses(Who::Second, |game| game.demand(want), refused(AskError::AlreadyOpen));
            assert_eq!(game.claim_of(Who::Executor).said.len(), 1);
            let before = game.claim_of(Who::Executor).said.clone();
            let game = game.challenges(Who::Third, Who::Executor).refuses(
                Who::Third,
                |game| game.demand(want),
                refused(AskError::AlreadyOpen),
            );
            assert_eq!(game.claim_of(Who::Executor).said, before);
        }
    }
}

#[test]
fn say_of_other_kind() {
    let game = disputed(Parameters::default(), None);
    let with = |game: &Game, change: &dyn Fn(&mut Ask)| {
        let Action::Demand { claim, showings, mut ask, path, from } = game.demand(inside(1)) else {
            unreachable!()
        };
        change(&mut ask);
        Action::Demand { claim, showings, ask, path, from }
    };
    let longer = with(&game, &|ask| {
        let Ask::Say { kind, .. } = ask else { unreachable!() };
        *kind = TreeKind::List { count: 3 };
    });
    let other = with(&game, &|ask| {
        let Ask::Say { kind, .. } = ask else { unreachable!() };
        let Ask::Say { kind: of_sums, .. } = Answers::new(None).ask(SUMS) else { unreachable!() };
        *kind = of_sums;
    });
    let trace = with(&game, &|ask| {
        let Ask::Say { tree, kind } = ask else { unreachable!() };
        (*tree, *kind) = (TRACE_TREE, TreeKind::List { count: 3 });
    });
    // Nor are there sums of an operator that has none.
    let none = with(&game, &|ask| {
        let Ask::Say { tree, .. } = ask else { unreachable!() };
        *tree = Tree::Accumulators { iteration: 0, operator: 1, element: 0 };
    });
    let Action::Demand { claim, ask, showings, from, .. } = game.demand(inside(1)) else {
        unreachable!()
    };
    let path = vec![protocol::Digest::default()];
    let way = Action::Demand { claim, showings, ask, path, from };
    game.rejects(Who::Challenger, longer, refused(AskError::Shape))
        .rejects(Who::Challenger, other, refused(AskError::Shape))
        .rejects(Who::Challenger, trace, refused(AskError::WrongKind))
        .rejects(Who::Challenger, none, refused(AskError::Shape))
        .rejects(Who::Challenger, way, refused(AskError::WrongLength))
        .demands(Who::Challenger, inside(1));
}

#[test]
fn a_demand_may_build_on_the_place_that_the_challenge_asked_last() {
    let game = disputed(narrow(), None)
        .opens_up(Who::Challenger, &[TRACE])
        // One level down with one sibling, then the same place again with none.
        .demands_below(Who::Challenger, LEFT)
        .answers(&[Who::Challenger], LEFT)
        .demands_below(Who::Challenger, LEFT)
        .answers(&[Who::Challenger], LEFT);
    let beside = Want::Open(TRACE_TREE, 1, 1);
    let claim = game.claim(Who::Executor);
    let from = game.challenge_of(Who::Challenger).last_ask().unwrap().clone();
    let with = |want: Want, length: usize| {
        let ask = game.ask(want);
        let (depth, index) = ask.node();
        let mut path = game.answers.path(want.tree(), depth, index, 0);
        path.truncate(length);
        Action::Demand { claim, showings: Vec::new(), ask, path, from: Some(from.clone()) }
    };
    let (away, above) = (with(beside, 0), with(TRACE, 0));
    // What is not below it, or not of its tree, needs the way to its own root.
    let elsewhere = with(state(1), 0);
    game.rejects(Who::Challenger, away, refused(AskError::WrongLength))
        .rejects(Who::Challenger, above, refused(AskError::UnknownRoot))
        .rejects(Who::Challenger, elsewhere, refused(AskError::Shape))
        .demands(Who::Challenger, beside);
}

#[test]
fn a_showing_may_build_on_the_place_that_the_challenge_asked_last() {
    let game = disputed(narrow(), None).opens_up(Who::Challenger, &[TRACE, LEFT]);
    let answers = game.answers.clone();
    let leaf = |path| Showing::TraceLeaf {
        iteration: 0,
        boundary: 1,
        root: answers.run.states[1].root(),
        path,
    };
    let Action::Demand { claim, ask, path, .. } = game.demand(state(1)) else { unreachable!() };
    let from = game.challenge_of(Who::Challenger).last_ask().cloned();
    let demand = |showing, from| {
        let (showings, ask, path) = (vec![answers.layer(1), showing], ask.clone(), path.clone());
        Action::Demand { claim, showings, ask, path, from }
    };
    let short = || leaf(answers.path(TRACE_TREE, 2, 1, 1));
    let long = leaf(answers.path(TRACE_TREE, 2, 1, 0));
    game.rejects(Who::Challenger, demand(short(), None), refused(AskError::WrongLength))
        .rejects(Who::Challenger, demand(long, from.clone()), refused(AskError::UnknownRoot))
        .accepts(Who::Challenger, demand(short(), from));
}

/// The demand of the node above the first two states, as if this had been asked last.
fn built_on(game: &Game, from: Ask) -> Action {
    game.answers.demand_below(game.claim(Who::Executor), LEFT, &from)
}

#[test]
fn nobody_builds_on_what_its_own_challenge_did_not_ask_last() {
    let not_asked = || refused(AskError::NotAsked);
    let game = disputed(narrow(), None);
    let trace = game.ask(TRACE);
    // Before the first ask there is no last one.
    let game = game
        .refuses(Who::Second, |game| built_on(game, trace.clone()), not_asked())
        .opens_up(Who::Challenger, &[TRACE])
        // Another challenge's ask, be it the same for all.
        .refuses(Who::Second, |game| built_on(game, trace.clone()), not_asked())
        .opens_up(Who::Second, &[inside(0)])
        .refuses(Who::Second, |game| built_on(game, trace.clone()), not_asked());
    // A changed one: hash, kind, place, or what is asked of it.
    let changed = |change: &dyn Fn(&mut protocol::asks::Place)| {
        let Ask::Open { mut place } = trace.clone() else { unreachable!() };
        change(&mut place);
        Ask::Open { place }
    };
    let Ask::Open { place } = trace.clone() else { unreachable!() };
    for from in [
        changed(&|place| place.hash.0[0] ^= 1),
        changed(&|place| place.kind = TreeKind::List { count: 4 }),
        changed(&|place| place.tree = Tree::Trace { iteration: 1 }),
        changed(&|place| place.index = 1),
        Ask::Leaves { place },
        Ask::Say { tree: TRACE_TREE, kind: TreeKind::List { count: 3 } },
        game.ask(LEFT),
    ] {
        let found = game.clone().send(Who::Challenger, &built_on(&game, from.clone()));
        assert_eq!(found, Err(not_asked()), "{from:?}");
    }
    // An older one of its own.
    let game = game
        .opens_up(Who::Challenger, &[INPUT])
        .refuses(Who::Challenger, |game| built_on(game, trace.clone()), not_asked())
        .opens_up(Who::Challenger, &[TRACE])
        .plays(Who::Challenger, |game| built_on(game, trace.clone()));
    // While the executor is to answer, nobody moves, whatever it builds on.
    game.refuses(Who::Challenger, |game| built_on(game, trace.clone()), Rejection::NotYourMove);
}

#[test]
fn a_refutation_may_build_on_what_the_challenge_asked_last_and_on_nothing_else() {
    let game = disputed(Parameters::default(), Some((1, 70)))
        .opens_up(Who::Challenger, &[inside(1), leaves(1)])
        .opens_up(Who::Second, &[tensor(1)]);
    // The leaf by the place of the tensor that was asked for; its root needs no way of its own.
    let answers = game.answers.clone();
    let (mut showings, refutation) = answers.product_proof(70);
    showings.retain(|showing| !matches!(showing, Showing::SubtraceLeaf { .. }));
    let claim = game.claim(Who::Executor);
    let challenger = common::address(Who::Challenger);
    let with = |from: Option<Ask>| {
        let (showings, refutation) = (showings.clone(), refutation.clone());
        Action::Refute { claim, challenger, showings, refutation, from }
    };
    let (own, foreign) = (game.ask(leaves(1)), game.ask(tensor(1)));
    let game = game
        .rejects(Who::Challenger, with(None), refused(AskError::UnknownRoot))
        .rejects(Who::Challenger, with(Some(foreign)), refused(AskError::NotAsked))
        .accepts(Who::Stranger, with(Some(own)));
    assert!(game.has_fallen(Who::Executor));
}

#[test]
fn sums_of_many_leaves_are_said_by_their_first_opening() {
    // Under openings of one level no leaf is said with the root, unless there is only one.
    let game = disputed(narrow(), None).demands(Who::Challenger, SUMS);
    let only = &[Who::Challenger];
    let wrong = refused(AskError::WrongKind);
    game.refuses(
        Who::Executor,
        |game| game.reveal_with(only, SUMS, Answer::Hashes { hashes: Vec::new() }),
        wrong,
    )
    .answers(only, SUMS);
    let kind = TreeKind::Tensor {
        kind: protocol::tensor::TensorType {
            element: protocol::tensor::ElementType::F32,
            shape: protocol::tensor::Shape::new(&[64 * 16]).unwrap(),
        },
    };
    let ask = Ask::Say { tree: SUMS.tree(), kind };
    for (arity_log2, levels, is_leaves) in
        [(1, 1, false), (3, 3, false), (4, 4, false), (6, 4, false), (7, 4, true), (8, 4, true)]
    {
        let (depth, places) = protocol::asks::shown_places(&ask, arity_log2).unwrap();
        assert_eq!((depth, places.len()), (levels, 1 << levels), "{arity_log2}");
        let leaves = Answer::Leaves { leaves: vec![[0; 256]; 1 << levels] };
        let found = protocol::asks::fits::<protocol::Keccak>(&ask, &leaves, arity_log2);
        assert_eq!(found.is_ok(), is_leaves, "{arity_log2}");
        let hashes = Answer::Hashes { hashes: leaves.hashes::<protocol::Keccak>() };
        let other = protocol::asks::fits::<protocol::Keccak>(&ask, &hashes, arity_log2);
        assert_eq!(other.is_ok(), !is_leaves, "{arity_log2}");
        // Where both give a root it is the same.
        if let (Ok(one), Ok(two)) = (found, other) {
            assert_eq!(one, two);
        }
    }
}
