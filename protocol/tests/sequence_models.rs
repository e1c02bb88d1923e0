//! Which recurrent models are registered, and which are models at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::sequence::{Form, STOP, kind};
use common::sequence_game::{FORMS, machine};
use common::{Game, Who};
use protocol::graph::{Graph, ModelHeader, Profile};
use protocol::hash::{Digest, Keccak};
use protocol::settlement::Rejection;
use protocol::tensor::{ElementType, TensorType};
use protocol::transaction::Action;
use protocol::validate::{ModelFault, validate};

#[test]
fn a_header_is_registered_if_its_counts_links_and_stop_can_be() {
    let header = |form: Form| machine(form).header().clone();
    let one = || kind(ElementType::I64, &[1]);
    type Change = fn(&mut ModelHeader);
    let refused: [(Form, Change); 14] = [
        (Form::Stopping, |one| one.links.truncate(3)),
        (Form::Stopping, |one| one.links.push(3)),
        (Form::Stopping, |one| one.links.truncate(1)),
        (Form::Stopping, |one| one.links[0] = 4),
        (Form::Stopping, |one| one.links[3] = 5),
        (Form::Stopping, |one| one.links[0] = 10),
        (Form::Stopping, |one| one.links[0] = u32::MAX),
        // Another input's type.
        (Form::Stopping, |one| one.links[0] = 1),
        (Form::Stopping, |one| one.stop = Some(0)),
        (Form::Stopping, |one| one.stop = Some(4)),
        (Form::Stopping, |one| one.stop = Some(10)),
        (Form::Batch, |one| one.stop = Some(STOP)),
        (Form::Batch, |one| one.links = vec![6]),
        (Form::Batch, |one| one.inputs.clear()),
    ];
    let register = |header| Action::RegisterModel { header };
    let mut game = Game::new();
    for (number, (form, change)) in refused.into_iter().enumerate() {
        let mut header = header(form);
        change(&mut header);
        assert!(!header.is_within_limits());
        let found = game.send(Who::Client, &register(header));
        assert_eq!(found, Err(Rejection::ModelLimits), "case {number}");
    }
    let many = |count: usize| {
        let mut header = header(Form::Batch);
        header.inputs = vec![one(); count];
        header
    };
    let mut linked = many(256);
    (linked.links, linked.stop) = ((0..256).rev().collect(), Some(258));
    game = game
        .rejects(Who::Client, register(many(257)), Rejection::ModelLimits)
        .accepts(Who::Client, register(many(256)))
        .accepts(Who::Client, register(linked));
    // Links among inputs of a type; several to one value; another card is another model.
    let mut crossed = header(Form::Stopping);
    crossed.links = vec![3, 2, 2, 3];
    let mut card = header(Form::Stopping);
    card.card = Digest([9; 32]);
    for form in FORMS {
        game = game.accepts(Who::Client, register(header(form)));
    }
    game.accepts(Who::Client, register(crossed)).accepts(Who::Client, register(card));
}

fn truth() -> TensorType {
    kind(ElementType::Bool, &[1])
}

#[test]
fn a_graph_whose_links_or_stop_break_a_rule_is_no_model() {
    type Change = fn(&mut Graph);
    let cases: [(ModelFault, Change); 15] = [
        (ModelFault::Links, |graph| graph.recurrence.links.truncate(3)),
        (ModelFault::Links, |graph| graph.recurrence.links.push(3)),
        (ModelFault::Links, |graph| graph.recurrence.links.clear()),
        (ModelFault::LinkType { input: 0, value: 4 }, |graph| graph.recurrence.links[0] = 4),
        (ModelFault::LinkType { input: 3, value: 5 }, |graph| graph.recurrence.links[3] = 5),
        (ModelFault::LinkType { input: 0, value: 10 }, |graph| graph.recurrence.links[0] = 10),
        (ModelFault::LinkType { input: 1, value: 6 }, |graph| graph.recurrence.links[1] = 6),
        (ModelFault::LinkType { input: 0, value: 1 }, |graph| graph.recurrence.links[0] = 1),
        (ModelFault::StopType { value: 8 }, |graph| graph.recurrence.stop = Some(8)),
        (ModelFault::StopType { value: 0 }, |graph| graph.recurrence.stop = Some(0)),
        (ModelFault::StopType { value: 4 }, |graph| graph.recurrence.stop = Some(4)),
        (ModelFault::StopType { value: 10 }, |graph| graph.recurrence.stop = Some(10)),
        // The counter and the word about the end are not there after the last layer.
        (ModelFault::HandedOn { value: 6 }, |graph| graph.layers[1].live_out = vec![2, 3, 7, 9]),
        (ModelFault::HandedOn { value: STOP }, |graph| {
            graph.layers[1].live_out = vec![2, 3, 6, 7, 8];
        }),
        // An input of truth is no value that says whether the run ends.
        (ModelFault::StopType { value: 3 }, |graph| {
            graph.inputs[3] = truth();
            graph.recurrence.stop = Some(3);
        }),
    ];
    for form in FORMS {
        assert_eq!(validate(&machine(form).graph), Ok(()));
    }
    for (number, (fault, change)) in cases.into_iter().enumerate() {
        let mut graph = machine(Form::Stopping).graph;
        change(&mut graph);
        assert_eq!(validate(&graph), Err(fault), "case {number}");
        assert!(fault.to_string().starts_with('V'), "{fault}");
    }
    // A truth value of no axis, and of two elements.
    for dimensions in [&[][..], &[2]] {
        let mut graph = machine(Form::Stopping).graph;
        let one = kind(ElementType::I64, dimensions);
        graph.inputs[0] = one.clone();
        graph.weights.fill(one.clone());
        for node in [0, 3] {
            for operand in &mut graph.nodes[node].operands {
                operand.kind = one.clone();
            }
        }
        graph.nodes[0].output = one;
        graph.nodes[3].output = kind(ElementType::Bool, dimensions);
        assert_eq!(validate(&graph), Err(ModelFault::StopType { value: STOP }));
        graph.recurrence.stop = None;
        assert_eq!(validate(&graph), Ok(()));
    }
    // What is no model for its types can be registered all the same; the header does not hold them.
    let mut graph = machine(Form::Stopping).graph;
    graph.recurrence.links[1] = 6;
    assert!(graph.commit::<Keccak>(&[Digest::default(); 2], Profile::StrictF32).is_some());
}
