//! Everything that can be asked of a claim is answered, and the answer fits; nothing else is made up.

use protocol::asks::{Asking, Proven, TreeKind, fits, leaf_log2};
use protocol::hash::leaf;
use protocol::settlement::Parameters;

use super::*;
use crate::testing::asks::Claimed;
use crate::testing::{FOLD, honest, lost};

const ITERATION: u32 = 0;
const TRACE: asks::Tree = asks::Tree::Trace { iteration: ITERATION };

fn asking(arity_log2: u32) -> Asking {
    Parameters { arity_log2, ..Parameters::default() }.asking()
}

/// All nodes of a tree and some beside it: padding, one past the last of each level, and a level too deep.
fn nodes(claimed: &Claimed, tree: asks::Tree) -> Vec<(u32, u64)> {
    let depth = claimed.grown(tree).1.shape().depth();
    let level = |depth: u32| (0..=1u64 << depth).map(move |index| (depth, index));
    (0..=depth + 1).flat_map(level).collect()
}

/// Everything that can be asked about a tree, and more than that.
fn asks_about(claimed: &Claimed, tree: asks::Tree) -> Vec<Ask> {
    let places =
        nodes(claimed, tree).into_iter().map(|(depth, index)| claimed.place(tree, depth, index));
    let both = |place: Place| [Ask::Open { place: place.clone() }, Ask::Leaves { place }];
    places.flat_map(both).chain([claimed.say(tree)]).collect()
}

/// Whether the ledger takes an ask, with all that leads to it shown.
fn is_accepted(claimed: &Claimed, ask: &Ask, arity_log2: u32) -> bool {
    let showings = claimed.showings(*ask.tree());
    let proven = Proven::new::<Keccak>(claimed.context(arity_log2), &showings).unwrap();
    let (depth, index) = ask.node();
    let path = claimed.path(*ask.tree(), depth, index);
    asking(arity_log2).check::<Keccak>(&proven, ask, &path).is_ok()
}

/// Whether the table of the protocol takes an ask about the run.
fn is_in_the_table(claimed: &Claimed, ask: &Ask, arity_log2: u32) -> bool {
    let asking = asking(arity_log2);
    let (kind, nodes) = claimed.grown(*ask.tree());
    let (shape, is_list) = (nodes.shape(), matches!(kind, TreeKind::List { .. }));
    let (depth, index) = ask.node();
    let is_real = !shape.is_padding(depth, index);
    match ask {
        Ask::Open { .. } => is_real && (depth < shape.depth() || (shape.depth() == 0 && is_list)),
        Ask::Leaves { .. } => {
            let most = if ask.tree().is_end() { asking.end_log2 } else { asking.leaf_log2 };
            is_real && !is_list && shape.depth() - depth <= most
        }
        Ask::Say { tree, .. } => tree.is_said(),
    }
}

#[test]
fn every_ask_that_the_ledger_accepts_is_answered_and_the_answer_fits() {
    for arity_log2 in [1, 2, 4, 6] {
        let run = honest(1);
        let defender = Defender::of_run(Arc::clone(&run), arity_log2);
        // What is said already is not asked for again; what is inside of it is asked for only then.
        for claimed in [Claimed::new(Arc::clone(&run)), Claimed::new(Arc::clone(&run)).all_said()] {
            let mut accepted = 0;
            for tree in claimed.trees() {
                for ask in asks_about(&claimed, tree) {
                    if !is_accepted(&claimed, &ask, arity_log2) {
                        continue;
                    }
                    accepted += 1;
                    let answer = defender.answer(&ask).unwrap();
                    let said = fits::<Keccak>(&ask, &answer, arity_log2);
                    let root = matches!(ask, Ask::Say { .. }).then(|| claimed.root(tree));
                    assert_eq!(said, Ok(root), "{arity_log2}: {ask:?}");
                }
            }
            assert!(accepted > 20, "{arity_log2}: {accepted}");
        }
    }
}

#[test]
fn what_the_ledger_accepts_is_what_the_protocol_says() {
    for arity_log2 in [1, 2, 4, 6] {
        let (fresh, said) = (Claimed::new(honest(1)), Claimed::new(honest(1)).all_said());
        for tree in said.trees() {
            for ask in asks_about(&said, tree) {
                let wanted = is_in_the_table(&said, &ask, arity_log2);
                let claimed = if matches!(ask, Ask::Say { .. }) { &fresh } else { &said };
                assert_eq!(is_accepted(claimed, &ask, arity_log2), wanted, "{arity_log2}: {ask:?}");
            }
            assert!(!is_accepted(&said, &said.say(tree), arity_log2), "{tree:?} is said already");
        }
    }
}

#[test]
fn sums_are_said_by_their_leaves_where_one_opening_holds_them_and_by_hashes_otherwise() {
    let (claimed, tree) = (
        Claimed::new(honest(1)),
        asks::Tree::Accumulators { iteration: ITERATION, operator: FOLD, element: 1 },
    );
    // Three segments of 32 lanes: two leaves.
    let words = claimed.run.accumulators(FOLD, 1).unwrap();
    assert_eq!(words.len(), 96);
    for arity_log2 in [1, 2, 3, 4, 6] {
        let answer =
            Defender::of_run(Arc::clone(&claimed.run), arity_log2).answer(&claimed.say(tree));
        let (is_leaves, count) = match answer.unwrap() {
            Answer::Leaves { leaves } => (true, leaves.len()),
            Answer::Hashes { hashes } => (false, hashes.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!((is_leaves, count), (leaf_log2(arity_log2) >= 1, 2), "{arity_log2}");
    }
}

#[test]
fn nodes_are_opened_as_far_as_the_ledger_says() {
    let claimed = Claimed::new(honest(1));
    let roots = claimed.run.trace().state_roots();
    let ask = Ask::Open { place: claimed.place(TRACE, 0, 0) };
    let answer = |arity_log2| Defender::of_run(Arc::clone(&claimed.run), arity_log2).answer(&ask);
    assert_eq!(answer(2), Ok(Answer::Roots { roots: roots.to_vec() }));
    let leaves: Vec<Digest> = roots.iter().map(|root| leaf(&root.0)).collect();
    let hashes = leaves.chunks(2).map(|pair| protocol::hash::node(&pair[0], &pair[1])).collect();
    assert_eq!(answer(1), Ok(Answer::Hashes { hashes }));
}

#[test]
fn states_are_opened_by_their_values_and_insides_by_their_roots() {
    let (claimed, iteration) = (Claimed::new(honest(1)), ITERATION);
    let (run, defender) = (&claimed.run, Defender::of_run(Arc::clone(&claimed.run), 6));
    let open = |tree| defender.answer(&Ask::Open { place: claimed.place(tree, 0, 0) });
    let values = run.trace().state(1).unwrap().entries();
    assert_eq!(values.iter().map(|(value, _)| *value).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(open(asks::Tree::State { iteration, boundary: 1 }), Ok(Answer::Values { values }));
    let roots = run.inside(1).unwrap().roots().to_vec();
    let inside = asks::Tree::Subtrace { iteration, layer: 1 };
    assert_eq!(open(inside), Ok(Answer::Roots { roots: roots.clone() }));
    assert_eq!(defender.answer(&claimed.say(inside)), Ok(Answer::Roots { roots }));
    let hashes = run.output_tree(0).unwrap().opening(0, 0, 6).unwrap();
    assert_eq!(open(asks::Tree::Tensor { iteration, operator: 0 }), Ok(Answer::Hashes { hashes }));
    let roots = vec![run.trace().root()];
    assert_eq!(open(asks::Tree::Sequence {}), Ok(Answer::Roots { roots }));
}

#[test]
fn leaves_are_those_below_the_place_without_padding() {
    let (claimed, iteration) = (Claimed::new(honest(1)), ITERATION);
    let defender = Defender::of_run(Arc::clone(&claimed.run), 6);
    let output = claimed.run.output(0).unwrap();
    let input = claimed.run.trace().state(0).unwrap().tensor(0).unwrap();
    // Two rows of three leaves, padded to four each.
    for (tree, tensor) in [
        (asks::Tree::Tensor { iteration, operator: 0 }, output),
        (asks::Tree::Input { iteration, value: 0 }, input),
    ] {
        for (depth, index, positions) in [
            (3, 6, vec![6]),
            (2, 1, vec![2]),
            (1, 1, vec![4, 5, 6]),
            (0, 0, vec![0, 1, 2, 4, 5, 6]),
        ] {
            let place = claimed.place(tree, depth, index);
            let leaves = positions.into_iter().map(|leaf| tensor.leaf(leaf).unwrap()).collect();
            assert_eq!(defender.answer(&Ask::Leaves { place }), Ok(Answer::Leaves { leaves }));
        }
    }
}

#[test]
fn what_the_run_does_not_have_is_an_error_that_names_it() {
    cov_mark::check!(no_such_state);
    cov_mark::check!(no_such_values_of_a_state);
    let (claimed, iteration) = (Claimed::new(honest(1)), ITERATION);
    let defender = Defender::of_run(Arc::clone(&claimed.run), 6);
    let like = |tree, depth, index, of| Place { tree, ..claimed.place(of, depth, index) };
    let place = |tree, depth, index| claimed.place(tree, depth, index);
    let state = |boundary| asks::Tree::State { iteration, boundary };
    let tensor = asks::Tree::Tensor { iteration, operator: 0 };
    let input = |value| asks::Tree::Input { iteration, value };
    let output = |value| asks::Tree::Output { iteration, value };
    let places = [
        // Beyond the states, and values that are no input or output.
        like(state(4), 0, 0, state(1)),
        like(input(3), 0, 0, input(0)),
        like(output(0), 0, 0, input(0)),
        // Nodes outside of trees that are there.
        place(asks::Tree::Sequence {}, 0, 1),
        place(asks::Tree::Sequence {}, 1, 0),
        place(TRACE, 9, 0),
        place(TRACE, 0, 1),
        place(state(1), 0, 1),
        Place { depth: u32::MAX, index: u64::MAX, ..place(TRACE, 0, 0) },
        Place { depth: u32::MAX, index: u64::MAX, ..place(tensor, 0, 0) },
        // Padding after a row of three leaves, and after the last row.
        place(tensor, 3, 3),
        place(tensor, 3, 8),
        place(input(0), 3, 7),
        // Other iterations than the first.
        like(asks::Tree::Trace { iteration: 1 }, 0, 0, TRACE),
        like(asks::Tree::Tensor { iteration: 1, operator: 0 }, 0, 0, tensor),
    ];
    let both = |place: Place| [Ask::Open { place: place.clone() }, Ask::Leaves { place }];
    for ask in places.into_iter().flat_map(both) {
        let error = defender.answer(&ask).unwrap_err();
        assert!(error.to_string().starts_with("the run has nothing at "), "{error}");
        assert!(error.to_string().contains(&ledger::words::ask(&ask)), "{error}");
        assert_eq!(error, AnswerError::NotInRun { ask: Box::new(ask) });
    }
}

#[test]
fn leaves_of_a_list_and_roots_that_follow_from_the_claim_are_not_answered() {
    let (claimed, iteration) = (Claimed::new(honest(1)), ITERATION);
    let defender = Defender::of_run(Arc::clone(&claimed.run), 6);
    for tree in claimed.trees() {
        let (leaves, say) = (Ask::Leaves { place: claimed.place(tree, 0, 0) }, claimed.say(tree));
        let is_list = matches!(claimed.grown(tree).0, TreeKind::List { .. });
        assert_eq!(defender.answer(&leaves).is_err(), is_list, "{tree:?}");
        assert_eq!(defender.answer(&say).is_err(), !tree.is_said(), "{tree:?}");
    }
    let other = claimed.say(asks::Tree::Subtrace { iteration, layer: 0 });
    let Ask::Say { kind, .. } = other else { unreachable!() };
    let ask = Ask::Say { tree: asks::Tree::Subtrace { iteration: 1, layer: 0 }, kind };
    assert_eq!(defender.answer(&ask), Err(AnswerError::NotInRun { ask: Box::new(ask) }));
}

#[test]
fn what_the_model_does_not_have_is_an_error_of_the_run() {
    let (claimed, iteration) = (Claimed::new(honest(1)), ITERATION);
    let defender = Defender::of_run(Arc::clone(&claimed.run), 6);
    let (inside, tensor) = (
        asks::Tree::Subtrace { iteration, layer: 0 },
        asks::Tree::Tensor { iteration, operator: 0 },
    );
    let open = |tree, of| Ask::Open { place: Place { tree, ..claimed.place(of, 0, 0) } };
    let leaves = |tree, of| Ask::Leaves { place: Place { tree, ..claimed.place(of, 0, 0) } };
    let say = |tree, of| Ask::Say { tree, kind: claimed.grown(of).0 };
    let (no_layer, no_operator) = (
        asks::Tree::Subtrace { iteration, layer: 3 },
        asks::Tree::Tensor { iteration, operator: 4 },
    );
    let sums = |operator, element| asks::Tree::Accumulators { iteration, operator, element };
    for (ask, what) in [
        (say(no_layer, inside), "layer 3"),
        (open(no_layer, inside), "layer 3"),
        (open(no_operator, tensor), "operator 4"),
        (leaves(no_operator, tensor), "operator 4"),
        (say(sums(4, 0), tensor), "operator 4"),
        // An operator that folds nothing has no sums, and a fold none beyond its elements.
        (say(sums(0, 0), tensor), "accumulators of operator 0"),
        (open(sums(0, 0), tensor), "accumulators of operator 0"),
        (leaves(sums(FOLD, 2), tensor), "accumulators of operator 2"),
        (say(sums(FOLD, 2), tensor), "accumulators of operator 2"),
    ] {
        let error = RunError::NotInModel { what: what.to_owned() };
        assert_eq!(defender.answer(&ask), Err(AnswerError::Run(error)), "{ask:?}");
    }
}

#[test]
fn a_layer_that_cannot_be_recomputed_is_told_and_states_are_answered_all_the_same() {
    let (claimed, iteration) = (Claimed::new(honest(1)), ITERATION);
    let defender = Defender::of_run(lost(1), 6);
    let error = RunError::Operator {
        operator: 0,
        name: "node 0".to_owned(),
        error: inference::EngineError::Undefined { kind: "nothing", element: 0 },
    };
    let outcome = defender.answer(&claimed.say(asks::Tree::Subtrace { iteration, layer: 0 }));
    assert_eq!(outcome, Err(AnswerError::Run(error)));
    let text = outcome.unwrap_err().to_string();
    assert!(text.starts_with("the layer could not be recomputed: operator 0"), "{text}");
    for tree in [
        TRACE,
        asks::Tree::State { iteration, boundary: 2 },
        asks::Tree::Input { iteration, value: 0 },
    ] {
        assert!(defender.answer(&Ask::Open { place: claimed.place(tree, 0, 0) }).is_ok());
    }
}

#[test]
fn clones_share_the_run() {
    let defender = Defender::of_run(honest(1), 6);
    assert!(Arc::ptr_eq(defender.sequence(), defender.clone().sequence()));
}
