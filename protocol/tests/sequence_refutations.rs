//! What refutes runs of several iterations and batches: each refutation convicts the lie that it is for, finds an
//! honest run sound, and decides nothing where something is not shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::Proof;
use common::sequence::{Course, Form, INPUTS, LAYERS, Lie, Machine, RENAMED, committed_root, kind};
use common::{Bits, Toy};
use proptest::prelude::*;
use protocol::asks::{
    AskError, Evidence, Finding, Proven, RefereeError, Refutation, Showing, Tree, judge,
};
use protocol::encoding::Canonical;
use protocol::hash::{Digest, Keccak};
use protocol::tensor::ElementType;

const FORMS: [Form; 3] = [Form::Stopping, Form::Endless, Form::Batch];

fn honest(form: Form) -> Course {
    Machine::new(form, 3).run(3, None).with_all_said()
}

fn lying(form: Form, lie: Lie) -> Course {
    Machine::new(form, 3).run(3, Some(lie)).with_all_said()
}

fn judged(course: &Course, (showings, refutation): &Proof) -> Result<Finding, RefereeError> {
    judge::<Keccak>(&course.proven(showings), refutation)
}

fn evidence(course: &Course, proof: &Proof) -> Evidence {
    match judged(course, proof) {
        Ok(Finding::Fraud(evidence)) => evidence,
        other => panic!("{other:?}: {:?}", proof.1),
    }
}

fn truth(value: bool) -> Digest {
    Bits(kind(ElementType::Bool, &[1]), vec![u64::from(value)]).root()
}

#[test]
fn nothing_refutes_an_honest_run_of_several_iterations() {
    for form in FORMS {
        let course = honest(form);
        for iteration in 0..3 {
            let mut proofs = vec![course.memory_proof(iteration, 70)];
            if form == Form::Batch {
                proofs.push(course.entry_proof(iteration));
            } else if iteration > 0 {
                proofs.extend((0..INPUTS).map(|input| course.link_proof(iteration, input)));
            }
            if form == Form::Stopping {
                proofs.push(course.stop_proof(iteration));
            }
            for proof in proofs {
                assert_eq!(judged(&course, &proof), Ok(Finding::Sound), "{form:?} {:?}", proof.1);
            }
        }
    }
}

#[test]
fn a_false_step_is_convicted_in_the_iteration_in_which_it_is() {
    for (form, at) in FORMS.into_iter().flat_map(|form| [0, 1, 2].map(|at| (form, at))) {
        let lie = Lie::Element { iteration: at, operator: 1, element: 70 };
        let course = lying(form, lie);
        for iteration in 0..3 {
            let proof = course.memory_proof(iteration, 70);
            if iteration as usize != at {
                assert_eq!(judged(&course, &proof), Ok(Finding::Sound), "{form:?} {iteration}");
                continue;
            }
            match evidence(&course, &proof) {
                Evidence::Step {
                    iteration: found,
                    operator: 1,
                    element: 70,
                    claimed,
                    expected,
                    ..
                } => {
                    assert_eq!(found, iteration);
                    assert_eq!(claimed[0] ^ 1, expected.unwrap()[0]);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn an_iteration_that_begins_with_another_value_than_was_handed_on_is_convicted_by_its_link() {
    for form in [Form::Stopping, Form::Endless] {
        for (iteration, input) in (1..3u32).flat_map(|at| (0..INPUTS).map(move |one| (at, one))) {
            let (at, changed) = (iteration as usize, input as usize);
            let course = lying(form, Lie::Begins { iteration: at, input: changed });
            for (other, value) in (1..3).flat_map(|at| (0..INPUTS).map(move |one| (at, one))) {
                let proof = course.link_proof(other, value);
                if (other, value) != (iteration, input) {
                    assert_eq!(judged(&course, &proof), Ok(Finding::Sound), "{:?}", proof.1);
                    continue;
                }
                let before = &course.passes[at - 1];
                let link = course.machine.graph.recurrence.links[changed];
                let claimed = course.passes[at].inputs[changed].root();
                let expected = before.value(link).root();
                let found = evidence(&course, &proof);
                assert_eq!(found, Evidence::Link { iteration, input, claimed, expected });
            }
        }
    }
}

#[test]
fn an_iteration_of_a_batch_that_begins_with_another_state_than_its_entry_is_convicted() {
    for (iteration, input) in (1..3u32).flat_map(|at| (0..INPUTS).map(move |one| (at, one))) {
        let lie = Lie::Begins { iteration: iteration as usize, input: input as usize };
        let course = lying(Form::Batch, lie);
        let state = Tree::State { iteration, boundary: 0 };
        let (claimed, expected) =
            (committed_root(state, &course.trees[&state]), course.entries[iteration as usize]);
        let found = evidence(&course, &course.entry_proof(iteration));
        assert_eq!(found, Evidence::Entry { iteration, claimed, expected });
        for other in (0..3).filter(|other| *other != iteration) {
            assert_eq!(judged(&course, &course.entry_proof(other)), Ok(Finding::Sound));
        }
    }
}

#[test]
fn an_iteration_that_begins_with_a_value_of_another_id_is_convicted_by_its_state() {
    for (form, iteration) in FORMS.into_iter().flat_map(|form| [1, 2].map(|at| (form, at))) {
        let course = lying(form, Lie::Renames { iteration: iteration as usize });
        let root = course.passes[iteration as usize].inputs[1].root();
        let path = course.trees[&Tree::State { iteration, boundary: 0 }].leaf_path(1);
        let (boundary, position, value) = (0, 1, RENAMED);
        let leaf = Showing::StateLeaf { iteration, boundary, position, value, root, path };
        let mut showings = course.way_to_state(iteration, 0);
        showings.extend([course.machine.layer(0), leaf.clone()]);
        let proof = (showings, Refutation::StateValue { iteration, boundary, position });
        let expected = Evidence::StateValue { iteration, boundary, claimed: RENAMED, expected: 1 };
        assert_eq!(evidence(&course, &proof), expected);
        // The link has nothing to say of it: the value of the model is not shown.
        if form == Form::Batch {
            assert!(matches!(
                evidence(&course, &course.entry_proof(iteration)),
                Evidence::Entry { .. }
            ));
            continue;
        }
        let (mut showings, refutation) = course.link_proof(iteration, 1);
        showings.pop();
        showings.push(leaf);
        assert_eq!(judged(&course, &(showings, refutation)), Err(RefereeError::NotShown));
    }
}

/// What the referee says of each iteration of a run of so many, of a model that ends after three: the flags say
/// false, false, true, true, true.
#[test]
fn a_run_ends_where_its_model_says_so_or_where_its_job_lets_it() {
    const ENDS: Option<bool> = Some(true);
    const GOES_ON: Option<bool> = Some(false);
    // Iterations of the run, most of the job, cut allowed; of each iteration whether it is convicted, as the last?
    type Row = (u32, u32, bool, &'static [Option<bool>]);
    let table: [Row; 10] = [
        (3, 3, false, &[None, None, None]),
        (3, 9, false, &[None, None, None]),
        (3, 9, true, &[None, None, None]),
        // Too early: only the last is false.
        (2, 9, false, &[None, ENDS]),
        (1, 9, false, &[ENDS]),
        // A cut, or the job's most.
        (2, 9, true, &[None, None]),
        (1, 1, false, &[None]),
        (2, 2, false, &[None, None]),
        // Too late, whatever the job allows: each that said so and was not the last.
        (5, 5, false, &[None, None, GOES_ON, GOES_ON, None]),
        (4, 9, true, &[None, None, GOES_ON, None]),
    ];
    for (iterations, iterations_max, may_cut, found) in table {
        let machine = Machine::new(Form::Stopping, 3);
        let course = machine.run(iterations, None).within(iterations_max, may_cut);
        for (iteration, expected) in (0u32..).zip(found) {
            let proof = course.stop_proof(iteration);
            let claimed = truth(iteration >= 2);
            let expected = expected.map_or(Finding::Sound, |is_last| {
                Finding::Fraud(Evidence::Stop { iteration, is_last, claimed })
            });
            let row = (iterations, iterations_max, may_cut, iteration);
            assert_eq!(judged(&course, &proof), Ok(expected), "{row:?}");
        }
    }
}

#[test]
fn a_false_word_about_the_end_is_a_false_step_and_convicted_by_what_it_says_too() {
    // The second of three iterations says that it is the last, or the last says that it is none.
    for (iteration, is_last) in [(1, false), (2, true)] {
        let lie = Lie::Element { iteration, operator: 3, element: 0 };
        let course = lying(Form::Stopping, lie).within(9, false);
        let iteration = iteration as u32;
        let expected = Evidence::Stop { iteration, is_last, claimed: truth(!is_last) };
        assert_eq!(evidence(&course, &course.stop_proof(iteration)), expected);
    }
    // Where the last may say what it likes, only the step convicts it.
    let lie = Lie::Element { iteration: 2, operator: 3, element: 0 };
    let course = lying(Form::Stopping, lie).within(3, false);
    assert_eq!(judged(&course, &course.stop_proof(2)), Ok(Finding::Sound));
}

#[test]
fn refutations_of_another_kind_of_model_or_of_no_iteration_are_outside() {
    let (outside, not_shown) = (RefereeError::OutOfRange, RefereeError::NotShown);
    let link = |iteration, input| Refutation::Link { iteration, input };
    let stop = |iteration| Refutation::Stop { iteration };
    let entry = |iteration| Refutation::Entry { iteration };
    let table: [(Form, Refutation, RefereeError); 13] = [
        (Form::Stopping, link(0, 0), outside),
        (Form::Stopping, link(1, INPUTS), outside),
        (Form::Stopping, link(3, 0), not_shown),
        (Form::Stopping, link(u32::MAX, 0), not_shown),
        (Form::Stopping, stop(3), not_shown),
        (Form::Stopping, stop(u32::MAX), not_shown),
        (Form::Stopping, entry(0), not_shown),
        (Form::Endless, entry(1), not_shown),
        (Form::Endless, stop(2), outside),
        (Form::Batch, link(1, 0), outside),
        (Form::Batch, stop(2), outside),
        (Form::Batch, entry(3), not_shown),
        (Form::Batch, entry(u32::MAX), not_shown),
    ];
    for (form, refutation, expected) in table {
        let course = honest(form);
        let found = judged(&course, &(everything(&course), refutation.clone()));
        assert_eq!(found, Err(expected), "{form:?} {refutation:?}");
    }
    // An ordinary run has one iteration and nothing to hand on.
    let single = Machine::new(Form::Batch, 1).run(1, None).with_all_said();
    let all = everything(&single);
    for refutation in [link(0, 0), link(1, 0), stop(0)] {
        assert_eq!(judged(&single, &(all.clone(), refutation)), Err(outside));
    }
    assert_eq!(judged(&single, &(all, entry(0))), Err(not_shown));
}

/// Everything that can be shown of a run but bytes.
fn everything(course: &Course) -> Vec<Showing> {
    let machine = &course.machine;
    let mut all: Vec<Showing> = (0..2).map(|layer| machine.layer(layer)).collect();
    all.extend((0..4).map(|operator| machine.operator(operator)));
    for iteration in 0..course.iterations() {
        all.push(course.sequence_leaf(iteration));
        for boundary in 0..=LAYERS {
            all.push(course.trace_leaf(iteration, boundary));
            let live = machine.live(boundary).iter();
            all.extend(live.map(|value| course.state_leaf(iteration, boundary, *value)));
        }
        all.extend((0..4).map(|operator| course.output_leaf(iteration, operator)));
        if !course.entries.is_empty() {
            all.push(course.entry(iteration));
        }
    }
    all
}

#[test]
fn whatever_is_left_out_of_what_is_shown_makes_a_refutation_decide_nothing() {
    let begins = |iteration| Lie::Begins { iteration, input: 1 };
    let (link, entry) = (lying(Form::Stopping, begins(2)), lying(Form::Batch, begins(2)));
    let short = Machine::new(Form::Stopping, 3).run(2, None).within(9, false);
    let long = Machine::new(Form::Stopping, 3).run(5, None).within(9, false);
    for (course, proof) in [
        (&link, link.link_proof(2, 1)),
        (&entry, entry.entry_proof(2)),
        (&short, short.stop_proof(1)),
        (&long, long.stop_proof(2)),
    ] {
        evidence(course, &proof);
        let (showings, refutation) = proof;
        assert!(showings.len() <= 16, "one transaction shows it");
        for missing in 0..showings.len() {
            let mut fewer = showings.clone();
            let left_out = fewer.remove(missing);
            match Proven::new::<Keccak>(course.context(None, 6), &fewer) {
                Ok(proven) => {
                    let found = judge::<Keccak>(&proven, &refutation);
                    assert_eq!(found, Err(RefereeError::NotShown), "{left_out:?}");
                }
                // What builds on it does not hold.
                Err(error) => {
                    assert!(matches!(error, AskError::UnknownRoot | AskError::Shape), "{error:?}");
                }
            }
        }
    }
}

#[test]
fn what_another_run_has_is_not_shown_of_this_one() {
    let (mine, other) = (honest(Form::Stopping), honest(Form::Batch));
    let lie = lying(Form::Stopping, Lie::Begins { iteration: 2, input: 0 });
    for (showings, _) in [lie.link_proof(2, 0), other.entry_proof(1)] {
        assert!(Proven::new::<Keccak>(mine.context(None, 6), &showings).is_err());
    }
    // Another toy's layer is not of this model.
    let foreign = Proven::new::<Keccak>(mine.context(None, 6), &[Toy::new().layer(0)]);
    assert_eq!(foreign.map(drop), Err(AskError::NotOfModel));
}

std::thread_local! {
    static HONEST: [(Course, Vec<Showing>); 3] = FORMS.map(|form| {
        let course = honest(form);
        let all = everything(&course);
        (course, all)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Chosen freely among all that can be said and shown of it.
    #[test]
    fn no_refutation_convicts_an_honest_run(
        form in 0usize..3, kind in 0u8..7, numbers in prop::array::uniform3(0u32..11),
        left_out in prop::collection::vec(prop::sample::select(&[0u8, 0, 0, 0, 0, 0, 0, 1][..]), 90),
    ) {
        HONEST.with(|all| {
            let (course, all) = &all[form];
            let [a, b, c] = numbers;
            let iteration = a % 4;
            let refutation = match kind {
                0 => Refutation::Link { iteration, input: b % 5 },
                1 => Refutation::Entry { iteration },
                2 => Refutation::Stop { iteration },
                3 => Refutation::Binding { iteration, layer: b % 3, operator: c % 5 },
                4 => Refutation::Carry { iteration, layer: b % 3, value: c },
                5 => Refutation::StateValue { iteration, boundary: b % 4, position: c % 7 },
                _ => Refutation::Leaf { iteration, operator: b % 5, leaf: u64::from(c % 3) },
            };
            let shown: Vec<Showing> = all.iter().zip(left_out.iter().cycle())
                .filter(|(_, out)| **out == 0).map(|(one, _)| one.clone()).collect();
            if let Ok(proven) = Proven::new::<Keccak>(course.context(None, 6), &shown) {
                let found = judge::<Keccak>(&proven, &refutation);
                prop_assert!(!matches!(found, Ok(Finding::Fraud(_))), "{:?}", found);
            }
            // With all of it, too, which always holds.
            let found = judge::<Keccak>(&course.proven(all), &refutation);
            prop_assert!(!matches!(found, Ok(Finding::Fraud(_))), "{:?}", found);
            prop_assert_eq!(Refutation::from_canonical(&refutation.to_canonical()), Ok(refutation));
            Ok(())
        })?;
    }

    /// Whatever byte of a proof is changed, an honest run is convicted of nothing.
    #[test]
    fn a_changed_proof_convicts_an_honest_run_of_nothing(
        form in 0usize..3, at: prop::sample::Index, of: prop::sample::Index, byte: u8
    ) {
        HONEST.with(|all| {
            let (course, _) = &all[form];
            let (showings, refutation) = match FORMS[form] {
                Form::Stopping => course.stop_proof(1),
                Form::Endless => course.link_proof(2, 1),
                Form::Batch => course.entry_proof(2),
            };
            let mut showings = showings;
            let changed = of.get_mut(&mut showings);
            let mut bytes = changed.to_canonical();
            *at.get_mut(&mut bytes) = byte;
            let Ok(other) = Showing::from_canonical(&bytes) else { return Ok(()) };
            *changed = other;
            if let Ok(proven) = Proven::new::<Keccak>(course.context(None, 6), &showings) {
                let found = judge::<Keccak>(&proven, &refutation);
                prop_assert!(!matches!(found, Ok(Finding::Fraud(_))), "{:?}", found);
            }
            Ok(())
        })?;
    }
}
