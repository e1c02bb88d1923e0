//! Asks about runs of several iterations and about batches: whatever can be asked of an honest one has one answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Want;
use common::sequence::{Course, Form, LAYERS, Machine, STOP, SUM};
use protocol::asks::{Ask, AskError, Asking, Proven, Showing, Tree, fits};
use protocol::hash::{Digest, Keccak};
use protocol::knowledge::Knowledge;
use protocol::settlement::Parameters;

const FORMS: [Form; 3] = [Form::Stopping, Form::Endless, Form::Batch];
const ARITIES: [u32; 4] = [1, 2, 4, 6];

fn honest(form: Form) -> Course {
    Machine::new(form, 3).run(3, None)
}

fn asking(arity_log2: u32) -> Asking {
    Asking {
        arity_log2,
        leaf_log2: arity_log2.saturating_sub(3),
        end_log2: arity_log2.saturating_sub(3).max(1),
        end_depth_max: 12,
    }
}

/// Whether it can be asked with these showings.
fn check_with(
    course: &Course,
    arity_log2: u32,
    want: Want,
    showings: &[Showing],
) -> Result<(), AskError> {
    let ask = course.ask(want);
    let proven = Proven::new::<Keccak>(course.context(None, arity_log2), showings)?;
    asking(arity_log2).check::<Keccak>(&proven, &ask, &course.path(&ask))
}

fn check(course: &Course, want: Want) -> Result<(), AskError> {
    check_with(course, 6, want, &course.showings_to(want.tree()))
}

#[test]
fn pending_answerable_in_every_iteration_every_accepted_ask_has_one_accepted_answer() {
    for (form, arity_log2) in FORMS.into_iter().flat_map(|form| ARITIES.map(|one| (form, one))) {
        for course in [honest(form), honest(form).with_all_said()] {
            let mut accepted = [0; 3];
            for want in course.all_wants() {
                let showings = course.showings_to(want.tree());
                let Ok(()) = check_with(&course, arity_log2, want, &showings) else { continue };
                accepted[want.tree().iteration() as usize] += 1;
                check_answer(&course, arity_log2, want);
            }
            assert!(accepted.iter().all(|count| *count > 15), "{form:?}: {accepted:?}");
        }
    }
}

/// The answer of whoever ran it fits, says the root that follows from the run, and another iteration's fits only
/// where it is the same.
fn check_answer(course: &Course, arity_log2: u32, want: Want) {
    let (ask, tree) = (course.ask(want), want.tree());
    let answer = course.answer(&ask, arity_log2);
    let said = fits::<Keccak>(&ask, &answer, arity_log2).unwrap();
    let grown = &course.trees[&tree];
    let root = tree.commit::<Keccak>(&grown.kind, &grown.nodes.root());
    assert_eq!(said, root.filter(|_| matches!(ask, Ask::Say { .. })), "{want:?}");
    for foreign in course.trees.values() {
        if foreign.kind != grown.kind {
            continue;
        }
        let other = foreign.answer(&ask, arity_log2);
        let found = fits::<Keccak>(&ask, &other, arity_log2);
        assert!(other == answer || found.is_err() || found != Ok(said), "{want:?} {other:?}");
    }
}

#[test]
fn with_links_only_the_inputs_of_the_first_iteration_and_the_outputs_of_the_last_are_asked_for() {
    for form in FORMS {
        let course = honest(form);
        for (tree, grown) in &course.trees {
            let allowed = match (form, *tree) {
                (Form::Batch, Tree::Input { .. } | Tree::Output { .. }) => true,
                (_, Tree::Input { iteration, .. }) => iteration == 0,
                (_, Tree::Output { iteration, .. }) => iteration == 2,
                _ => continue,
            };
            let expected = if allowed { Ok(()) } else { Err(AskError::WrongKind) };
            let all = Want::Leaves(*tree, 0, 0);
            assert_eq!(check_with(&course, 4, all, &course.showings_to(*tree)), expected);
            // At the leaves, too.
            let depth = grown.nodes.shape().depth();
            assert_eq!(
                check(&course, Want::Leaves(*tree, depth, 0)),
                expected,
                "{form:?} {tree:?}"
            );
        }
    }
}

#[test]
fn an_input_that_no_operator_reads_can_be_asked_for_and_needs_no_operator() {
    let course = honest(Form::Stopping);
    let unread = Tree::Input { iteration: 0, value: 3 };
    let shows_operator = |one: &Showing| matches!(one, Showing::Operator { .. });
    assert!(!course.showings_to(unread).iter().any(shows_operator));
    assert_eq!(check(&course, Want::Leaves(unread, 0, 0)), Ok(()));
    // As an output as well: it is handed through.
    assert_eq!(check(&course, Want::Leaves(Tree::Output { iteration: 2, value: 3 }, 0, 0)), Ok(()));
    // An operator's output is of no known type until the operator is shown; a weight is neither.
    let stop = Tree::Output { iteration: 2, value: STOP };
    let mut way = course.showings_to(stop);
    way.retain(|one| !shows_operator(one));
    assert_eq!(check_with(&course, 6, Want::Leaves(stop, 0, 0), &way), Err(AskError::Shape));
    for value in [4, STOP] {
        let mut place = course.trees[&unread].place(unread, 0, 0);
        place.tree = Tree::Input { iteration: 0, value };
        let proven = course.proven(&course.showings_to(unread));
        let found = asking(6).check::<Keccak>(&proven, &Ask::Leaves { place }, &[]);
        assert_eq!(found, Err(AskError::OutsideClaim), "{value}");
    }
    let mut place = course.trees[&stop].place(stop, 0, 0);
    place.tree = Tree::Output { iteration: 2, value: 5 };
    let proven = course.proven(&course.showings_to(stop));
    let found = asking(6).check::<Keccak>(&proven, &Ask::Leaves { place }, &[]);
    assert_eq!(found, Err(AskError::Shape));
}

#[test]
fn the_first_state_of_a_batch_is_proven_by_its_entry_or_by_the_trace() {
    let batch = honest(Form::Batch);
    let first = Want::Open(Tree::State { iteration: 0, boundary: 0 }, 0, 0);
    let with = |mut way: Vec<Showing>| {
        way.push(batch.machine.layer(0));
        check_with(&batch, 6, first, &way)
    };
    assert_eq!(with(vec![batch.entry(0)]), Ok(()));
    assert_eq!(with(batch.way_to_state(0, 0)), Ok(()));
    // The input root of the claim is that of the list, and of no state.
    assert_eq!(with(Vec::new()), Err(AskError::UnknownRoot));
    // Of the others only the trace says what the claim has.
    let second = Want::Open(Tree::State { iteration: 1, boundary: 0 }, 0, 0);
    let way = [batch.entry(1), batch.machine.layer(0)];
    assert_eq!(check_with(&batch, 6, second, &way), Err(AskError::UnknownRoot));
    assert_eq!(check(&batch, second), Ok(()));
}

#[test]
fn an_entry_is_shown_where_it_stands_and_of_batches_alone() {
    let batch = honest(Form::Batch);
    let show = |course: &Course, showing: Showing| {
        Proven::new::<Keccak>(course.context(None, 6), &[showing]).map(drop)
    };
    for iteration in 0..3 {
        assert_eq!(show(&batch, batch.entry(iteration)), Ok(()));
        let Showing::Entry { root, path, .. } = batch.entry(iteration) else { panic!() };
        for other in (0..5).filter(|other| *other != iteration) {
            let moved = Showing::Entry { iteration: other, root, path: path.clone() };
            assert_eq!(show(&batch, moved), Err(AskError::Mismatch), "{iteration} as {other}");
        }
        let (changed, short) = (Digest([7; 32]), path[1..].to_vec());
        let changed = Showing::Entry { iteration, root: changed, path };
        assert_eq!(show(&batch, changed), Err(AskError::Mismatch));
        let short = Showing::Entry { iteration, root, path: short };
        assert_eq!(show(&batch, short), Err(AskError::Mismatch));
        for form in [Form::Stopping, Form::Endless] {
            let found = show(&honest(form), batch.entry(iteration));
            assert_eq!(found, Err(AskError::WrongKind));
        }
    }
    let single = Machine::new(Form::Batch, 1).run(1, None);
    assert_eq!(show(&single, batch.entry(0)), Err(AskError::WrongKind));
}

#[test]
fn numbers_beyond_the_claims_iterations_are_outside_of_it() {
    for form in FORMS {
        let course = honest(form).with_all_said();
        for (tree, grown) in &course.trees {
            if *tree == (Tree::Sequence {}) {
                continue;
            }
            for iteration in [3, u32::MAX] {
                let mut place = grown.place(*tree, 0, 0);
                place.tree = at_iteration(*tree, iteration);
                let proven = course.proven(&course.showings_to(*tree));
                for ask in [Ask::Open { place: place.clone() }, Ask::Leaves { place }] {
                    let found = asking(6).check::<Keccak>(&proven, &ask, &[]);
                    assert_eq!(found, Err(AskError::OutsideClaim), "{ask:?}");
                }
            }
        }
    }
}

fn at_iteration(tree: Tree, iteration: u32) -> Tree {
    match tree {
        Tree::Sequence {} => tree,
        Tree::Trace { .. } => Tree::Trace { iteration },
        Tree::State { boundary, .. } => Tree::State { iteration, boundary },
        Tree::Subtrace { layer, .. } => Tree::Subtrace { iteration, layer },
        Tree::Tensor { operator, .. } => Tree::Tensor { iteration, operator },
        Tree::Accumulators { operator, element, .. } => {
            Tree::Accumulators { iteration, operator, element }
        }
        Tree::Input { value, .. } => Tree::Input { iteration, value },
        Tree::Output { value, .. } => Tree::Output { iteration, value },
    }
}

#[test]
fn what_counts_as_an_end_are_the_runs_own_ends_and_of_a_batch_every_first_state() {
    let asking = Parameters::default().asking();
    for form in FORMS {
        let course = honest(form);
        let context = course.context(None, 6);
        for tree in course.trees.keys() {
            let expected = match *tree {
                Tree::Input { .. } | Tree::Output { .. } => true,
                Tree::State { iteration: 0, boundary: 0 } => true,
                Tree::State { boundary: 0, .. } => form == Form::Batch,
                Tree::State { iteration, boundary } => (iteration, boundary) == (2, LAYERS),
                _ => false,
            };
            let cost = asking.cost(&context, &course.ask(Want::Open(*tree, 0, 0)));
            assert_eq!((cost.is_end, cost.fees), (expected, 1), "{form:?} {tree:?}");
        }
        let sums = Want::Say(Tree::Accumulators { iteration: 1, operator: SUM, element: 0 });
        assert!(!asking.cost(&context, &course.ask(sums)).is_end);
    }
}

#[test]
fn what_is_said_of_one_iteration_is_not_said_of_another() {
    let mut course = honest(Form::Stopping);
    let inside = |iteration| Tree::Subtrace { iteration, layer: 0 };
    let root = course.clone().with_all_said().said[&inside(1)];
    course.said.insert(inside(1), root);
    assert_eq!(check(&course, Want::Say(inside(1))), Err(AskError::AlreadyOpen));
    for other in [0, 2] {
        assert_eq!(check(&course, Want::Say(inside(other))), Ok(()));
        let found = check(&course, Want::Open(inside(other), 0, 0));
        assert_eq!(found, Err(AskError::UnknownRoot));
    }
}

#[test]
fn knowledge_of_a_sequence_has_the_paths_of_its_ends_from_the_beginning() {
    for form in FORMS {
        let course = honest(form);
        let header = course.machine.header().clone();
        let known: Knowledge = Knowledge::new(header, course.length, 6, &course.statement);
        for (iteration, boundary) in [(0, 0), (2, LAYERS)] {
            let (trace, state) = (Tree::Trace { iteration }, Tree::State { iteration, boundary });
            for (tree, index) in [(Tree::Sequence {}, iteration), (trace, boundary)] {
                let grown = &course.trees[&tree];
                let (depth, index) = (grown.nodes.shape().depth(), u64::from(index));
                assert_eq!(known.path(&tree, depth, index), Some(grown.leaf_path(index)));
                let place = grown.place(tree, 0, 0);
                assert_eq!(known.root(&tree), Some(place.hash), "{form:?} {tree:?}");
            }
            let place = course.trees[&state].place(state, 0, 0);
            assert_eq!(known.root(&state), Some(place.hash), "{form:?} {state:?}");
        }
        assert_eq!(known.length(), course.length);
    }
}
