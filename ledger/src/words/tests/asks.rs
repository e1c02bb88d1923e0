//! Words for every kind of tree, ask, answer and refutation, of the first iteration and of another; and for the
//! evidence that only runs of several iterations can give.

use super::*;

#[test]
fn every_tree_has_its_words_and_says_its_iteration_unless_it_is_the_first() {
    for (iteration, begins) in [(0, ""), (3, "iteration 3: ")] {
        let table = [
            (Tree::Trace { iteration }, "states of the run"),
            (Tree::State { iteration, boundary: 0 }, "state before layer 0"),
            (Tree::State { iteration, boundary: 4 }, "state after layer 3"),
            (Tree::Subtrace { iteration, layer: 1 }, "operators inside layer 1"),
            (Tree::Tensor { iteration, operator: 49 }, "output of operator 49"),
            (
                Tree::Accumulators { iteration, operator: 49, element: 5 },
                "running sums of element 5 of operator 49",
            ),
            (Tree::Input { iteration, value: 2 }, "input 2 of the run"),
            (Tree::Output { iteration, value: 7 }, "output 7 of the run"),
        ];
        for (named, text) in table {
            assert_eq!(tree(&named), format!("{begins}{text}"));
            // What is said is named as the tree is.
            let say = Ask::Say { tree: named, kind: TreeKind::List { count: 2 } };
            assert_eq!(ask(&say), format!("{begins}{text}"));
            // An opening tells how deep it begins, and where unless it is at the edge.
            for (depth, index, place_text) in
                [(0, 0, "level 0"), (6, 0, "level 6"), (6, 3, "level 6, node 3")]
            {
                let open = Ask::Open { place: place(named, depth, index) };
                assert_eq!(ask(&open), format!("{begins}{text}, {place_text}"));
            }
            // Ten rows of eight leaves are a tree of seven levels.
            for (depth, index, leaves) in
                [(7, 9, "leaf 9"), (6, 4, "leaves 8 to 9"), (4, 2, "leaves 16 to 23")]
            {
                let open = Ask::Leaves { place: place(named, depth, index) };
                assert_eq!(ask(&open), format!("{begins}{text}, {leaves}"));
            }
        }
    }
    assert_eq!(tree(&Tree::Sequence {}), "iterations of the run");
}

#[test]
fn a_place_that_no_ledger_accepts_has_words_too() {
    let tree = Tree::Tensor { iteration: u32::MAX, operator: u32::MAX };
    for (depth, index) in [(u32::MAX, u64::MAX), (0, u64::MAX)] {
        let text = ask(&Ask::Leaves { place: place(tree, depth, index) });
        assert!(text.starts_with("iteration 4294967295: output of operator 4294967295"), "{text}");
    }
}

#[test]
fn answers_are_counted_in_singular_and_plural() {
    let table = [
        (Answer::Hashes { hashes: vec![ID] }, "1 hash"),
        (Answer::Hashes { hashes: vec![ID; 64] }, "64 hashes"),
        (Answer::Roots { roots: vec![ID] }, "1 root"),
        (Answer::Roots { roots: vec![ID; 2] }, "2 roots"),
        (Answer::Values { values: vec![(1, ID)] }, "1 value"),
        (Answer::Values { values: vec![(1, ID); 2] }, "2 values"),
        (Answer::Leaves { leaves: vec![[0; LEAF_BYTES]] }, "1 leaf"),
        (Answer::Leaves { leaves: vec![[0; LEAF_BYTES]; 8] }, "8 leaves"),
    ];
    for (given, text) in table {
        assert_eq!(answer(&given), text);
    }
}

#[test]
fn refutations_and_falls_say_what_is_false() {
    for (iteration, begins) in [(0, ""), (3, "iteration 3: ")] {
        let table = [
            (refuted_step(iteration, 0), "operator 49, element 5"),
            (refuted_step(iteration, 2), "operator 49, element 5, running sum 2"),
            (
                Refutation::Binding { iteration, layer: 3, operator: 49 },
                "output of operator 49 differs between layer 3 and the state after layer 3",
            ),
            (
                Refutation::Carry { iteration, layer: 3, value: 8 },
                "value 8 changes while it passes layer 3",
            ),
            (
                Refutation::StateValue { iteration, boundary: 0, position: 2 },
                "state before layer 0, position 2, holds another value",
            ),
            (
                Refutation::Leaf { iteration, operator: 49, leaf: 1 },
                "output of operator 49, leaf 1, holds bits that no value has",
            ),
        ];
        for (said, text) in table {
            assert_eq!(refutation(&said), format!("{begins}{text}"));
        }
    }
    // Of what only runs of several iterations have, the first is named as well.
    for iteration in [0, 3] {
        let table = [
            (
                Refutation::Link { iteration, input: 1 },
                "input 1 is not what the iteration before handed on",
            ),
            (
                Refutation::Entry { iteration },
                "it begins with another state than the job's entry for it",
            ),
            (
                Refutation::Stop { iteration },
                "the run ends here or goes on, against what the model says",
            ),
        ];
        for (said, text) in table {
            assert_eq!(refutation(&said), format!("iteration {iteration}: {text}"));
        }
    }
    let silence = FallReason::Silence(asked(1));
    assert_eq!(fall(&silence, None), "rejected: no answer about operators inside layer 1");
    let found = Evidence::StateValue { iteration: 0, boundary: 0, claimed: 7, expected: 9 };
    let said = "state before layer 0 holds value 7 where the model has value 9";
    assert_eq!(fall(&FallReason::Refuted(found.clone()), None), format!("rejected: {said}"));
    assert_eq!(fallen(&FallReason::Refuted(found), None), said);
}

#[test]
fn evidence_about_several_iterations_names_the_first_as_well() {
    let (input, claimed, expected) = (1, ID, OTHER);
    let roots = (ID.to_string(), OTHER.to_string());
    for iteration in [0, 3] {
        let link = Evidence::Link { iteration, input, claimed, expected };
        let entry = Evidence::Entry { iteration, claimed, expected };
        let stop = |is_last| Evidence::Stop { iteration, is_last, claimed };
        let begins = format!("iteration {iteration} begins with 0x45454545…");
        let table = [
            (
                link,
                format!("{begins} as input 1, and the iteration before it handed on 0xabababab…"),
                ("input 1", roots.0.as_str(), roots.1.as_str()),
            ),
            (
                entry,
                format!("{begins}, and the job's entry for it is 0xabababab…"),
                ("the entry that it begins with", roots.0.as_str(), roots.1.as_str()),
            ),
            (
                stop(true),
                format!("the run ends with iteration {iteration}, where the model does not end it"),
                ("end of the run", "the run ends here", "the run goes on"),
            ),
            (
                stop(false),
                format!("the run goes on after iteration {iteration}, where the model ends it"),
                ("end of the run", "the run goes on", "the run ends here"),
            ),
        ];
        for (found, text, (place, claimed, correct)) in table {
            assert_eq!(evidence(&found, None), text);
            let parts = EvidenceWords {
                place: format!("iteration {iteration}: {place}"),
                claimed: claimed.to_owned(),
                correct: Some(correct.to_owned()),
            };
            assert_eq!(verdict(&found, None), parts);
        }
    }
}
