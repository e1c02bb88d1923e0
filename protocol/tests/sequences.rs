//! Runs of several iterations and batches on the ledger: which jobs and claims are taken, and what is paid.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::sequence::{Course, Form, LAYERS, Lie, committed_root};
use common::sequence_game::{
    FEE_WEI, FORMS, RECORD_WEI, claims, cut, game_of, job_terms, machine, posts,
};
use common::{Game, Who, address, salt};
use protocol::asks::Tree;
use protocol::hash::{Digest, Keccak};
use protocol::merkle::ListTree;
use protocol::roots::{batch_tree, trace_tree};
use protocol::settlement::attention::{seal, sealed_id};
use protocol::settlement::{ETHER, JobStatus, Parameters, Rejection};
use protocol::transaction::{
    Action, Address, BoundEntry, BoundState, JobTerms, RunLength, RunRoots, Statement,
};

#[test]
fn a_claim_has_as_many_iterations_as_its_model_and_its_job_let_it_have() {
    // Form, most iterations, cut allowed, iterations; whether it is taken.
    let table: [(Form, u32, bool, u32, bool); 22] = [
        (Form::Stopping, 3, false, 3, true),
        (Form::Stopping, 3, false, 2, true),
        (Form::Stopping, 3, false, 1, true),
        (Form::Stopping, 3, false, 4, false),
        (Form::Stopping, 1, false, 1, true),
        (Form::Stopping, 1 << 20, false, 2, true),
        (Form::Stopping, 3, true, 1, true),
        (Form::Stopping, 3, true, 4, false),
        (Form::Endless, 3, false, 3, true),
        (Form::Endless, 3, false, 2, false),
        (Form::Endless, 3, false, 1, false),
        (Form::Endless, 3, false, 4, false),
        (Form::Endless, 3, true, 1, true),
        (Form::Endless, 3, true, 3, true),
        (Form::Endless, 3, true, 4, false),
        (Form::Endless, 1, false, 1, true),
        (Form::Batch, 3, false, 3, true),
        (Form::Batch, 3, false, 2, false),
        (Form::Batch, 3, false, 1, false),
        (Form::Batch, 3, false, 4, false),
        (Form::Batch, 1, false, 1, true),
        (Form::Batch, 1, false, 2, false),
    ];
    for row in table {
        let (form, iterations_max, may_cut, iterations, is_taken) = row;
        let course = machine(form).run(iterations, None);
        let game = game_of(&course, Parameters::default(), |terms| {
            terms.iterations_max = iterations_max;
            if may_cut {
                cut(terms);
            }
        });
        let length = RunLength { iterations_max, may_cut };
        assert_eq!(length.admits(course.machine.header(), iterations), is_taken, "{row:?}");
        let mut game = game;
        let found = game
            .send(Who::Executor, &Action::PostClaim { statement: course.claimed(game.job) })
            .map(drop);
        let bounds = "the job's, or fewer where model or job let the run end";
        let refused = Rejection::Terms { name: "iterations", bounds };
        assert_eq!(found, if is_taken { Ok(()) } else { Err(refused) }, "{row:?}");
    }
}

#[test]
fn a_claim_of_no_iterations_is_refused_whatever_the_job_allows() {
    for form in [Form::Stopping, Form::Endless] {
        let course = machine(form).run(3, None);
        let game = game_of(&course, Parameters::default(), cut);
        let mut statement = course.claimed(game.job);
        statement.terms.iterations = 0;
        let bounds = "the job's, or fewer where model or job let the run end";
        let refused = Rejection::Terms { name: "iterations", bounds };
        game.rejects(Who::Executor, Action::PostClaim { statement }, refused);
    }
}

/// The paths that place a state of a run in its sequence.
fn bound(course: &Course, iteration: u32, boundary: u32) -> BoundState {
    let trace = Tree::Trace { iteration };
    BoundState {
        trace_root: course.trees[&trace].place(trace, 0, 0).hash,
        sequence_path: course.trees[&Tree::Sequence {}].leaf_path(u64::from(iteration)),
        state_path: course.trees[&trace].leaf_path(u64::from(boundary)),
    }
}

#[test]
fn a_binding_is_of_the_first_state_of_the_first_and_the_last_state_of_the_last_iteration() {
    for form in FORMS {
        let course = machine(form).run(3, None);
        let mut game = game_of(&course, Parameters::default(), |_| {});
        let good = course.claimed(game.job);
        assert_eq!(good.binding.input, bound(&course, 0, 0));
        assert_eq!(good.binding.output, bound(&course, 2, LAYERS));
        let other =
            machine(form).run(3, Some(Lie::Element { iteration: 2, operator: 1, element: 0 }));
        type Change = Box<dyn Fn(&mut Statement)>;
        let mut changes: Vec<Change> = Vec::new();
        for (iteration, boundary) in (0..3).flat_map(|at| (0..=LAYERS).map(move |one| (at, one))) {
            let place = bound(&course, iteration, boundary);
            if (iteration, boundary) != (0, 0) {
                let place = place.clone();
                changes.push(Box::new(move |one| one.binding.input = place.clone()));
            }
            if (iteration, boundary) != (2, LAYERS) {
                changes.push(Box::new(move |one| one.binding.output = place.clone()));
            }
        }
        // Another run's, in part or as a whole; the paths of another place; too short, too long.
        let foreign = bound(&other, 2, LAYERS);
        changes.push(Box::new(move |one| one.binding.output.trace_root = foreign.trace_root));
        let foreign = bound(&other, 0, 0);
        changes.push(Box::new(move |one| {
            one.binding.input.sequence_path = foreign.sequence_path.clone()
        }));
        changes.push(Box::new(|one| one.binding.input.sequence_path.truncate(1)));
        changes.push(Box::new(|one| one.binding.input.sequence_path.push(Digest::default())));
        changes.push(Box::new(|one| one.binding.output.state_path.clear()));
        changes.push(Box::new(|one| one.terms.sequence_root = Digest([7; 32])));
        changes.push(Box::new(|one| one.terms.output_root = Digest([7; 32])));
        for (number, change) in changes.iter().enumerate() {
            let mut statement = good.clone();
            change(&mut statement);
            let found = game.send(Who::Executor, &Action::PostClaim { statement });
            assert_eq!(found, Err(Rejection::NotBound), "{form:?}, case {number}");
        }
        game.accepts(Who::Executor, Action::PostClaim { statement: good });
    }
}

#[test]
fn a_batch_shows_its_first_entry_at_its_place_and_no_other_claim_shows_one() {
    let course = machine(Form::Batch).run(3, None);
    let mut game = game_of(&course, Parameters::default(), |_| {});
    let good = course.claimed(game.job);
    let list = batch_tree::<Keccak>(&course.entries).unwrap();
    let mut of_second = good.clone();
    let entry = of_second.binding.entry.as_mut().unwrap();
    (entry.root, entry.path) = (course.entries[1], list.path(1).unwrap());
    let mut moved = good.clone();
    moved.binding.entry.as_mut().unwrap().path = list.path(1).unwrap();
    let mut short = good.clone();
    short.binding.entry.as_mut().unwrap().path.pop();
    let mut none = good.clone();
    none.binding.entry = None;
    for statement in [of_second, moved, short, none] {
        let found = game.send(Who::Executor, &Action::PostClaim { statement });
        assert_eq!(found, Err(Rejection::NotBound));
    }
    let entry = good.binding.entry.clone();
    game.accepts(Who::Executor, Action::PostClaim { statement: good });
    for (form, iterations) in [(Form::Stopping, 3), (Form::Endless, 3), (Form::Batch, 1)] {
        let course = machine(form).run(iterations, None);
        let game = game_of(&course, Parameters::default(), |_| {});
        let mut statement = course.claimed(game.job);
        statement.binding.entry.clone_from(&entry);
        game.rejects(Who::Executor, Action::PostClaim { statement }, Rejection::NotBound);
    }
}

#[test]
fn a_list_of_entries_is_the_input_of_nothing_but_a_batch() {
    for (form, iterations) in [(Form::Stopping, 3), (Form::Endless, 3), (Form::Batch, 1)] {
        let course = machine(form).run(iterations, None);
        let mut entries = vec![Digest([1; 32]); iterations as usize];
        entries[0] = course.statement.terms.input_root;
        let list = batch_tree::<Keccak>(&entries).unwrap();
        // A job that can have no claim; it expires.
        let game = game_of(&course, Parameters::default(), |terms| terms.input_root = list.root());
        let mut statement = course.claimed(game.job);
        statement.terms.input_root = list.root();
        let mut with_entry = statement.clone();
        let (root, path) = (entries[0], list.path(0).unwrap());
        with_entry.binding.entry = Some(BoundEntry { root, path });
        game.rejects(Who::Executor, Action::PostClaim { statement }, Rejection::NotBound)
            .rejects(
                Who::Executor,
                Action::PostClaim { statement: with_entry },
                Rejection::NotBound,
            )
            .wait(600_001)
            .plays(Who::Stranger, Game::expire_job);
    }
}

/// Roots of the states of an iteration.
fn states(course: &Course, iteration: u32) -> Vec<Digest> {
    let root = |boundary| {
        let tree = Tree::State { iteration, boundary };
        committed_root(tree, &course.trees[&tree])
    };
    (0..=LAYERS).map(root).collect()
}

#[test]
fn a_batch_that_does_not_begin_with_its_first_entry_is_not_bound() {
    let honest = machine(Form::Batch).run(3, None);
    let game = game_of(&honest, Parameters::default(), |_| {});
    let model_root = honest.machine.header().root();
    let last = states(&honest, 2);
    let begun = |root| [root, states(&honest, 0)[1], states(&honest, 0)[2]];
    let traces_of = |first: &[Digest; 3]| {
        [&first[..], &states(&honest, 1), &last].map(|states| {
            let tree: ListTree = trace_tree(states).unwrap();
            tree.root()
        })
    };
    let claimed_of = |first: &[Digest; 3], traces: &[Digest], entries: &[Digest]| {
        let (first_states, last_states) = (&first[..], &last[..]);
        let roots = RunRoots { traces, first_states, last_states, entries };
        Statement::of_sequence::<Keccak>(game.job, model_root, roots)
    };
    // It begins with the list of all entries, as if that were a state.
    let first = begun(honest.statement.terms.input_root);
    let statement = claimed_of(&first, &traces_of(&first), &[]).unwrap();
    assert_eq!(statement.terms.input_root, honest.statement.terms.input_root);
    let post = |statement| Action::PostClaim { statement };
    game.clone().rejects(Who::Executor, post(statement), Rejection::NotBound);
    let other = Digest([7; 32]);
    let first = begun(other);
    let traces = traces_of(&first);
    let claimed = |traces: &[Digest], entries: &[Digest]| claimed_of(&first, traces, entries);
    // It begins with something else, and shows that, or the entry.
    let mut entries = honest.entries.clone();
    entries[0] = other;
    let mut statement = claimed(&traces, &entries).unwrap();
    statement.terms.input_root = honest.statement.terms.input_root;
    let refused = Rejection::NotBound;
    let mut shows = statement.clone();
    shows.binding.entry.clone_from(&honest.statement.binding.entry);
    game.clone().rejects(Who::Executor, post(statement), refused.clone()).rejects(
        Who::Executor,
        post(shows),
        refused,
    );
    // Nobody makes such a statement by mistake: entries and states fit each other, and one entry is no batch.
    assert_eq!(claimed(&traces, &honest.entries), None);
    assert_eq!(claimed(&traces, &entries[..2]), None);
    assert_eq!(claimed(&traces[..2], &entries), None);
    assert_eq!(claimed(&[traces[0]; 3], &entries), None);
    let (first_states, last_states) = (&first[..], &first[..]);
    for entries in [&entries[..1], &[]] {
        let roots = RunRoots { traces: &traces[..1], first_states, last_states, entries };
        let found = Statement::of_sequence::<Keccak>(game.job, model_root, roots);
        assert_eq!(found.is_some(), entries.is_empty());
    }
}

#[test]
fn a_job_says_how_many_iterations_and_whether_they_may_be_cut() {
    let (max, cut_rule, window) = (Some("iterations_max"), Some("may_cut"), Some("window_ms"));
    let named = || address(Who::Executor);
    type Row = (Form, u32, bool, Address, Option<&'static str>);
    let table: [Row; 14] = [
        (Form::Stopping, 0, false, Address::default(), max),
        (Form::Stopping, (1 << 20) + 1, false, Address::default(), max),
        (Form::Stopping, u32::MAX, false, Address::default(), max),
        (Form::Batch, 0, false, Address::default(), max),
        (Form::Batch, (1 << 20) + 1, false, Address::default(), max),
        (Form::Stopping, 3, true, Address::default(), cut_rule),
        (Form::Endless, 3, true, Address::default(), cut_rule),
        (Form::Batch, 3, true, named(), cut_rule),
        (Form::Batch, 1, true, named(), cut_rule),
        (Form::Stopping, 3, true, named(), None),
        (Form::Endless, 3, true, named(), None),
        (Form::Stopping, 4, false, Address::default(), window),
        (Form::Batch, 4, false, Address::default(), window),
        (Form::Endless, 3, false, Address::default(), None),
    ];
    let parameters = Parameters { window_iteration_ms: 1_000, ..Parameters::default() };
    for (number, (form, iterations_max, may_cut, executor, refused)) in
        table.into_iter().enumerate()
    {
        let course = machine(form).run(3, None);
        let header = course.machine.header().clone();
        let mut game = Game::without_job(parameters.clone())
            .accepts(Who::Client, Action::RegisterModel { header });
        // Long enough for three iterations to the millisecond.
        let window_ms = parameters.window_ms_min + 2_000;
        let terms =
            JobTerms { iterations_max, may_cut, executor, window_ms, ..job_terms(&game, &course) };
        let shorter = JobTerms { window_ms: window_ms - 1, iterations_max: 3, ..terms.clone() };
        let found = game.send(Who::Client, &Action::PostJob { terms });
        match (refused, found) {
            (None, Ok(_)) => {
                let short = game.send(Who::Client, &Action::PostJob { terms: shorter });
                let is_window = matches!(short, Err(Rejection::Terms { name: "window_ms", .. }));
                assert!(is_window, "{short:?}");
            }
            (Some(name), Err(Rejection::Terms { name: found, .. })) => assert_eq!(found, name),
            (_, other) => panic!("case {number}: {other:?}"),
        }
    }
}

fn finalised(course: &Course, change: impl FnOnce(&mut JobTerms)) -> Game {
    claims(game_of(course, Parameters::default(), change), Who::Executor, course)
        .wait(Parameters::default().window_ms_of(1 << 10) + 1)
        .finalises(Who::Executor)
}

#[test]
fn a_fee_is_paid_for_each_iteration_of_the_final_claim_and_the_rest_goes_back() {
    // Form, most iterations, cut allowed, iterations of the claim.
    let iteration_wei = ETHER / 50;
    for (form, iterations_max, may_cut, iterations) in [
        (Form::Stopping, 10, false, 3),
        (Form::Stopping, 3, false, 3),
        (Form::Stopping, 10, true, 2),
        (Form::Endless, 3, false, 3),
        (Form::Endless, 10, true, 1),
        (Form::Batch, 3, false, 3),
        (Form::Batch, 1, false, 1),
    ] {
        let course = machine(form).run(iterations, None);
        let game = finalised(&course, |terms| {
            (terms.iterations_max, terms.fee_iteration_wei) = (iterations_max, iteration_wei);
            if may_cut {
                cut(terms);
            }
        });
        let paid_wei = FEE_WEI + (iteration_wei * u128::from(iterations)) as i128;
        assert_eq!(game.delta(Who::Executor), paid_wei - RECORD_WEI);
        // Two models and a job, and what was paid.
        assert_eq!(game.delta(Who::Client), -paid_wei - 3 * RECORD_WEI);
        assert_eq!(game.state.money().locked_wei(), 0);
        assert!(matches!(game.job_of().status, JobStatus::Done { .. }));
    }
}

#[test]
fn a_job_that_allows_a_cut_has_no_attention_for_no_attester_knows_what_is_claimed() {
    let course = machine(Form::Endless).run(2, None);
    let mut game = game_of(&course, Parameters::default(), |_| {});
    let (executor, may_cut) = (address(Who::Executor), true);
    for (salt, attention_wei, is_taken) in [(1, 0, true), (2, 1, false), (3, ETHER / 25, false)] {
        let terms =
            JobTerms { executor, may_cut, attention_wei, salt, ..job_terms(&game, &course) };
        let window_ms = game.state.parameters().window_ms_of(terms.iterations_max);
        let terms = JobTerms { window_ms, ..terms };
        match game.send(Who::Client, &Action::PostJob { terms }) {
            Ok(_) => assert!(is_taken, "{attention_wei}"),
            Err(Rejection::Terms { name, .. }) => assert!(!is_taken && name == "may_cut"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn of_the_largest_job_everything_that_is_locked_can_be_counted_and_goes_back() {
    let course = machine(Form::Endless).run(1, None);
    let game = game_of(&course, Parameters::default(), |_| {});
    let terms = JobTerms {
        fee_wei: 1 << 100,
        fee_iteration_wei: 1 << 100,
        attention_wei: 1 << 100,
        iterations_max: 1 << 20,
        ..job_terms(&game, &course)
    };
    assert_eq!(terms.locked_wei(), Some((1 << 120) + (1 << 101)));
    // As much as the client has, over a million iterations; nobody claims.
    let many = |terms: &mut JobTerms| {
        (terms.iterations_max, terms.fee_iteration_wei) = (1 << 20, 1_000_000_000_000);
    };
    let before_wei = game.delta(Who::Client);
    let game = posts(game, &course, many);
    let locked_wei = (1i128 << 20) * 1_000_000_000_000 + FEE_WEI;
    assert_eq!(game.delta(Who::Client), before_wei - locked_wei - RECORD_WEI);
    let game = game.wait(600_001).plays(Who::Stranger, Game::expire_job);
    assert_eq!(game.delta(Who::Client), before_wei - RECORD_WEI);
}

#[test]
fn sequences_and_batches_are_sealed_attested_and_opened_like_other_runs() {
    for form in FORMS {
        let course = machine(form).run(3, None);
        let game =
            game_of(&course, Parameters::default(), |terms| terms.attention_wei = ETHER / 25);
        let root = course.statement.terms.sequence_root;
        let (executor, salt) = (address(Who::Executor), salt(Who::Executor));
        let seal = seal::<Keccak>(&executor, &root, &salt);
        let (job, sealed) = (game.job, sealed_id::<Keccak>(&executor, &game.job, &seal));
        let statement = course.claimed(job);
        let mut other = statement.clone();
        other.binding.output = other.binding.input.clone();
        let open = |statement| Action::OpenClaim { sealed, statement, salt };
        // Each iteration after the first gives attesters more time.
        let parameters = Parameters::default();
        let iterations_max = game.job_of().terms.iterations_max;
        let further_ms = parameters.window_ms_of(iterations_max) - parameters.window_ms_min;
        let at_ms = game.now_ms + parameters.seal_ms + further_ms + 1;
        game.accepts(Who::Executor, Action::SealClaim { job, seal })
            .wait(parameters.seal_ms + further_ms)
            .rejects(Who::Executor, open(statement.clone()), Rejection::TooEarly { at_ms })
            .wait(1)
            .rejects(Who::Executor, open(other), Rejection::NotBound)
            .accepts(Who::Executor, open(statement))
            .wait(Parameters::default().window_ms_of(1 << 10) + 1)
            .finalises(Who::Executor);
    }
}
