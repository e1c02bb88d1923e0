//! Runs in a process of their own: what crosses the pipe, and processes that die, hang or answer nonsense.

use super::*;
use crate::state_transfer::state_bytes;
use kernels::Isa;
use std::path::Path as FilePath;

fn engine() -> Engine {
    Engine::new(Isa::detect(), 1).unwrap()
}

fn model_store() -> ModelStore {
    let models = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    ModelStore::read(&models, &engine()).unwrap()
}

fn program(script: &str) -> Program {
    Program {
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        start_max: Duration::from_millis(500),
        run_max: Duration::from_millis(500),
    }
}

fn input(model: &Model) -> (Vec<u8>, Digest) {
    let values = (0..).zip(&model.graph().inputs).map(|(value, kind)| {
        let bits = vec![0x3F00_0000; kind.shape.count() as usize];
        (value, Tensor::from_bits(kind, &bits).unwrap())
    });
    let state: State = State::new(values.collect()).unwrap();
    (state_bytes(&state), state.root())
}

#[test]
fn states_that_crossed_the_pipe_are_those_of_a_run_here() {
    let (engine, model_store) = (engine(), model_store());
    for (name, root) in model_store.names() {
        let model = model_store.named(&name).unwrap();
        let (input, input_root) = input(model);
        let mut asked = Vec::new();
        write_frame(&mut asked, RUN, &[&root.0, &input_root.0, &input]).unwrap();
        let mut answered = Vec::new();
        serve(&model_store, &engine, asked.as_slice(), &mut answered).unwrap();
        let mut answered = answered.as_slice();
        assert_eq!(read_frame(&mut answered).unwrap(), Some((READY, vec![])));
        let (kind, body) = read_frame(&mut answered).unwrap().unwrap();
        assert_eq!((kind, read_frame(&mut answered).unwrap()), (STATES, None));
        let state = published_input(model, &input, input_root).unwrap();
        let states = states_from(model, state.clone(), model.header().layer_count, &body).unwrap();
        let own = Runner::honest(&engine, model).run(state.clone()).unwrap();
        assert_eq!(states.len(), own.states().len());
        for (found, expected) in states.iter().zip(own.states()) {
            assert_eq!(found.root(), expected.root());
            assert_eq!(found.values(), expected.values());
        }
        for cut in [1, 4, body.len() / 2] {
            let (cut, layers) = (&body[..body.len() - cut], model.header().layer_count);
            assert!(states_from(model, state.clone(), layers, cut).is_none());
        }
    }
}

/// `x / x` after `x + x`, in two layers.
fn quotient() -> (Model, State) {
    use protocol::graph::{Graph, Layer, MapFunction, Node, Operand, Operator, Profile};
    use protocol::tensor::{ElementType, Shape, TensorType};
    let row = TensorType { element: ElementType::I64, shape: Shape::new(&[3]).unwrap() };
    let node = |function, value| {
        let operand = Operand { value, kind: row.clone() };
        let operands = vec![operand.clone(), operand];
        Node { operator: Operator::Map { function }, operands, output: row.clone() }
    };
    let layer = |index, before, after| Layer {
        first_operator: index,
        operator_count: 1,
        live_in: vec![before],
        live_out: vec![after],
    };
    let nodes = vec![node(MapFunction::Add, 0), node(MapFunction::Divide, 2)];
    let (inputs, layers) = (vec![row.clone()], vec![layer(0, 0, 2), layer(1, 2, 3)]);
    // A model without weights carries one that nobody reads.
    let unused = Tensor::from_f32(&Shape::new(&[]).unwrap(), vec![0.0]).unwrap();
    let kinds = vec![unused.kind().clone()];
    let graph = Graph { inputs, weights: kinds, nodes, layers, ..Graph::default() };
    let names = vec!["sum".to_owned(), "quotient".to_owned()];
    let outputs = vec![("y".to_owned(), 3)];
    let inputs = vec!["x".to_owned()];
    let model =
        Model::new(graph, vec![unused], inputs, outputs, names, Profile::StrictF32).unwrap();
    let input = Tensor::from_i64(&row.shape, vec![2, 0, 0]).unwrap();
    (model, State::new(vec![(0, input)]).unwrap())
}

#[test]
fn audit_a2_a_run_without_a_result_crosses_the_pipe_as_what_it_is() {
    let (engine, (model, input)) = (engine(), quotient());
    let own = Runner::honest(&engine, &model).outcome(input.clone()).unwrap();
    let Outcome::Partial(trace) = &own else { panic!("there is nothing to divide by") };
    assert_eq!((trace.no_result().operator, trace.no_result().element), (1, 1));
    let mut body = Vec::new();
    let kind = outcome_into(&own, &mut body);
    let from = |kind, body: &[u8]| outcome_from(&engine, &model, input.clone(), kind, body);
    assert!(from(kind, &body).unwrap().is_same(&own));
    for cut in [1, 20, body.len() - 8] {
        assert!(from(kind, &body[..body.len() - cut]).is_none());
    }
    // An operator, or an element, that the model does not have; and as many states as a whole run has.
    for (operator, element) in [(2u32, 1u64), (1, 3), (0, 0)] {
        let other = [&operator.to_be_bytes()[..], &element.to_be_bytes(), &body[12..]].concat();
        assert!(from(kind, &other).is_none());
    }
    assert!(from(STATES, &body).is_none() && from(STATES, &body[12..]).is_none());
}

#[test]
fn an_input_that_passes_the_first_layer_unchanged_crosses_the_pipe_as_well() {
    // The mask of every encoder does: it is used again in each layer.
    let engine = engine();
    let model_store = model_store();
    let model = model_store.named("digits-cnn").unwrap();
    let (input, input_root) = input(model);
    let input = published_input(model, &input, input_root).unwrap();
    let own = Runner::honest(&engine, model).run(input.clone()).unwrap();
    let (value, tensor, root) =
        (input.values()[0].0, input.values()[0].1.clone(), input.roots()[0]);
    let with_input = |state: &State| {
        let mut values = state.values().to_vec();
        let mut roots = state.roots().to_vec();
        values.insert(0, (value, tensor.clone()));
        roots.insert(0, root);
        State::with_roots(values, roots).unwrap()
    };
    let mut states = own.states().to_vec();
    states[1] = with_input(&states[1]);
    let mut body = Vec::new();
    states_into(&states, &mut body);
    let found = states_from(model, input, model.header().layer_count, &body).unwrap();
    assert_eq!(found.len(), states.len());
    for (found, sent) in found.iter().zip(&states) {
        assert_eq!((found.root(), found.values()), (sent.root(), sent.values()));
    }
}

#[test]
fn audit_a3_a_run_that_dies_or_never_ends_is_killed_and_the_next_one_has_a_new_process() {
    cov_mark::check!(process_ended_during_a_run);
    cov_mark::check!(run_takes_too_long);
    cov_mark::check!(run_is_not_taken_in);
    cov_mark::check!(run_is_refused);
    cov_mark::check!(idle_process_has_ended);
    cov_mark::check!(process_did_not_get_ready);
    let (engine, model_store) = (engine(), model_store());
    let model = model_store.named("digits-cnn").unwrap();
    let (input, root) = input(model);
    let ready = r"printf '\001\000\000\000\000\000\000\000\000'";
    let refusal = r"printf '\004\000\000\000\000\000\000\000\002no'";
    let dies = format!("{ready}; head -c 100 >/dev/null; kill -9 $$");
    let hangs = format!("{ready}; exec sleep 60");
    for (script, reason) in [(&dies, "signal: 9"), (&hangs, "longer than")] {
        let mut isolated = Isolated::new(program(script));
        for _ in 0..2 {
            let failed = isolated.run(&engine, model, &input, root).unwrap_err();
            let killed =
                matches!(&failed, RunFailure::Killed { reason: text } if text.contains(reason));
            assert!(killed, "{failed}");
        }
    }
    // Nor does one that takes nothing in keep its thread.
    let failed = Isolated::new(program(&hangs)).run(&engine, model, &vec![0; 1 << 20], root);
    let late =
        matches!(&failed, Err(RunFailure::Killed { reason }) if reason.contains("longer than"));
    assert!(late, "{failed:?}");
    let refuses = format!("{ready}; head -c 100 >/dev/null; {refusal}; exec sleep 60");
    let mut isolated = Isolated::new(program(&refuses));
    let failed = isolated.run(&engine, model, &input, root);
    assert_eq!(failed.unwrap_err(), RunFailure::Refused { reason: "no".to_owned() });
    // A refusal costs nobody the process: the next run meets the same one, which sleeps by now.
    let failed = isolated.run(&engine, model, &input, root).unwrap_err();
    let waited = |text: &str| text.contains("longer than");
    assert!(matches!(&failed, RunFailure::Killed { reason } if waited(reason)), "{failed}");
    // Nor does a death between two runs count for the second.
    let once = format!("{ready}; head -c 100 >/dev/null; {refusal}; exit 0");
    let mut isolated = Isolated::new(program(&once));
    for _ in 0..2 {
        let failed = isolated.run(&engine, model, &input, root);
        assert_eq!(failed.unwrap_err(), RunFailure::Refused { reason: "no".to_owned() });
        std::thread::sleep(Duration::from_millis(200));
    }
    for script in ["exit 3", "exec sleep 60", "echo nonsense; exec sleep 60"] {
        let failed = Isolated::new(program(script)).run(&engine, model, &input, root);
        assert!(matches!(failed, Err(RunFailure::NoProcess { .. })), "{script}");
    }
}

#[test]
fn frames_that_are_cut_or_longer_than_any_state_are_not_read() {
    let mut whole = Vec::new();
    write_frame(&mut whole, RUN, &[b"body"]).unwrap();
    {
        cov_mark::check!(frame_is_cut);
        assert_eq!(read_frame(&mut &whole[..whole.len() - 1]).unwrap(), None);
    }
    assert_eq!(read_frame(&mut &whole[..]).unwrap(), Some((RUN, b"body".to_vec())));
    {
        cov_mark::check!(frame_is_too_long);
        assert!(read_frame(&mut &[[RUN].as_slice(), &[0xFF; 8]].concat()[..]).is_err());
    }
}

#[test]
fn a_process_for_runs_refuses_what_it_cannot_run_and_ends_at_what_is_no_run() {
    let (engine, model_store) = (engine(), model_store());
    let answer = |kind: u8, body: &[u8]| {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        write_frame(&mut asked, kind, &[body]).unwrap();
        let served = serve(&model_store, &engine, asked.as_slice(), &mut answered);
        let mut answered = answered.as_slice();
        assert_eq!(read_frame(&mut answered).unwrap(), Some((READY, vec![])));
        served.map(|()| read_frame(&mut answered).unwrap().unwrap())
    };
    let refused = |body: &[u8], why: &str| {
        let (kind, reason) = answer(RUN, body).unwrap();
        let reason = String::from_utf8(reason).unwrap();
        assert!(kind == REFUSED && reason.contains(why), "{kind}: {reason}");
    };
    {
        cov_mark::check!(model_is_not_there_any_more);
        refused(&[7; 64], "no model 0x0707");
    }
    let model = model_store.named("digits-cnn").unwrap();
    let (input, _) = input(model);
    refused(&model.root().0, "the frame is broken");
    // Under the root of another input.
    refused(&[&model.root().0[..], &[7; 32], &input].concat(), "0x0707");
    cov_mark::check!(frame_is_no_run);
    assert!(answer(STATES, &[]).is_err());
}

#[test]
fn states_that_are_not_the_models_are_no_run_of_it() {
    cov_mark::check!(answer_does_not_fit_the_model);
    let (engine, model_store) = (engine(), model_store());
    let model = model_store.named("digits-cnn").unwrap();
    let (input, root) = input(model);
    let frame = |kind: &str| format!(r"printf '\{kind}\000\000\000\000\000\000\000\000'");
    let (ready, nothing) = (frame("001"), frame("003"));
    let script = format!("{ready}; head -c 100 >/dev/null; {nothing}; exec sleep 60");
    let failed = Isolated::new(program(&script)).run(&engine, model, &input, root).unwrap_err();
    let is_told = matches!(&failed, RunFailure::NoProcess { reason } if reason.contains("version"));
    assert!(is_told, "{failed}");
}
