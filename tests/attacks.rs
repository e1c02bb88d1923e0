//! The dishonest strategies of parts A to D, with their expected outcomes.
//!
//! Outcome codes are the `verdict` and `reason` of a verdict file, or the ledger's refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use challenger::Policy;
use common::{MODELS, fall_reason, honest_cast, lying_cast, model, model_cut, play, story};
use dispute::verdict::derive;
use dispute::{Devnet, Lie, Lying, Muted, Outcome, Participants, Role, Stubborn, actor_key};
use executor::{preflight, statement_of};
use inference::{ComputePolicy, Honest, Model, Run, Tensor};
use ledger::{Ledger, LedgerError};
use protocol::asks::{Answer, Ask, AskError, Evidence, Place, Showing, Tree, TreeKind};
use protocol::encoding::Canonical;
use protocol::hash::Digest;
use protocol::ids::JobId;
use protocol::settlement::{FallReason, Parameters, Rejection};
use protocol::transaction::Action;

/// `verdict/reason` of a play.
fn code(devnet: &Devnet, outcome: &Outcome) -> String {
    let Some(claim) = outcome.claim else {
        return "refused".to_owned();
    };
    let verdict =
        derive(devnet.ledger.genesis(), &devnet.ledger.entries().unwrap(), &claim).unwrap();
    format!("{}/{}", verdict.verdict, verdict.reason)
}

async fn code_of(participants: &Participants) -> String {
    let (devnet, _folder, outcome) = play(participants).await;
    code(&devnet, &outcome)
}

#[tokio::test]
async fn part_a_wrong_computation_falls() {
    // (attack, lie, expected outcome)
    let table = [
        (1, Lie::WeightBit, "fraud/step"),
        (3, Lie::WashedOut, "fraud/binding"),
        (4, Lie::WrongInput, "fraud/step"),
        (4, Lie::CorruptState, "fraud/binding"),
        (4, Lie::OutputOnly, "fraud/binding"),
        (5, Lie::ModelSwap, "fraud/step"),
        (6, Lie::Precision, "fraud/step"),
        (7, Lie::Selective, "fraud/step"),
        (8, Lie::SkipOperator, "fraud/step"),
        (8, Lie::SwapLayers, "fraud/step"),
        (9, Lie::Surfing, "fraud/step"),
        (10, Lie::OtherOrder, "fraud/step"),
        (14, Lie::ZeroTrace, "fraud/silence"),
    ];
    for name in MODELS {
        let model = model(name);
        for (attack, lie, expected) in &table {
            let (participants, honest, false_run) = lying_cast(&model, lie);
            assert_ne!(honest.root(), false_run.root(), "{name}: attack {attack} lies");
            assert_eq!(&code_of(&participants).await, expected, "{name}: attack {attack}, {lie}");
        }
    }
}

#[tokio::test]
async fn attack_2_one_ulp_in_the_first_a_middle_and_the_last_layer_falls() {
    for name in MODELS {
        let model = model(name);
        let layers = model.header().layer_count;
        for layer in [0, layers / 2, layers - 1] {
            let operator = model.layer(layer).unwrap().operator_count - 1;
            let lie = Lie::Ulps { layer, operator, element: 0, ulps: 1 };
            let (participants, ..) = lying_cast(&model, &lie);
            assert_eq!(code_of(&participants).await, "fraud/step", "{name} {lie}");
        }
    }
}

#[tokio::test]
async fn attack_3_a_washed_out_fault_falls_although_the_output_is_right() {
    let model = model("digits-transformer");
    let (participants, honest, false_run) = lying_cast(&model, &Lie::WashedOut);
    assert_eq!(honest.state_roots().last(), false_run.state_roots().last(), "the output is right");
    assert_eq!(code_of(&participants).await, "fraud/binding");
}

#[test]
fn attack_10_another_order_is_caught_before_the_first_stake() {
    for name in MODELS {
        let model = model(name);
        let engine = common::engine();
        preflight(&engine, &model, &Honest).unwrap();
        let (participants, ..) = lying_cast(&model, &Lie::OtherOrder);
        let error = preflight(&engine, &model, participants.executor.as_ref()).unwrap_err();
        assert!(error.to_string().contains("do not claim"), "{error}");
    }
}

#[tokio::test]
async fn carry_a_value_that_passes_through_a_layer_and_changes_falls() {
    /// Changes the first value that the boundary shares with the one before.
    #[derive(Debug)]
    struct CarryLie(Arc<Model>, u32);
    impl ComputePolicy for CarryLie {
        fn commit(&self, boundary: u32, mut values: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
            let before = self.0.live_values(boundary - 1).unwrap();
            let carried = values.iter_mut().find(|(value, _)| before.contains(value));
            if let (true, Some((_, tensor))) = (boundary == self.1, carried) {
                let mut bits = tensor.all_bits();
                bits[3] ^= 1;
                *tensor = Tensor::from_bits(tensor.kind(), &bits).unwrap();
            }
            values
        }
    }
    // Small layers, so that the residual stream passes through some.
    let model = model_cut("digits-transformer", Some(4));
    let carrying = (1..model.header().layer_count).find(|boundary| {
        let (before, after) = (model.live_values(boundary - 1), model.live_values(*boundary));
        before.unwrap().iter().any(|value| after.unwrap().contains(value))
    });
    let mut participants = honest_cast(&model);
    participants.executor = Arc::new(CarryLie(Arc::clone(&model), carrying.unwrap()));
    assert_eq!(code_of(&participants).await, "fraud/carry");
}

#[tokio::test]
async fn attacks_11_12_13_17_unbound_claims_are_refused_and_cost_no_dispute() {
    let model = model("digits-cnn");
    let participants = honest_cast(&model);
    let honest = participants.run(&Honest).unwrap();
    let other_input = Participants { input: common::digit(7), ..honest_cast(&model) };
    let other = other_input.run(&Honest).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
    let job = devnet.prepare(&participants).await.unwrap();
    let root = model.root();
    let good = statement_of(job, root, &honest).unwrap();
    let mut false_output = good.clone();
    false_output.terms.output_root = Digest([7; 32]);
    let foreign = statement_of(job, root, &other).unwrap();
    // A claim on another input under this job's: its first state is not the job's.
    let mut renamed = foreign.clone();
    renamed.terms.input_root = good.terms.input_root;
    let mut short = good.clone();
    short.binding.output.state_path.pop();
    let mut long = good.clone();
    long.binding.output.state_path.push(Digest::default());
    let mut beside = good.clone();
    beside.binding.input.sequence_path.push(Digest::default());
    let mut swapped = good.clone();
    std::mem::swap(&mut swapped.binding.input, &mut swapped.binding.output);
    let others = Rejection::Terms { name: "input_root", bounds: "the job's" };
    for (attack, statement, expected) in [
        (11, false_output, Rejection::NotBound),
        (12, foreign, others),
        (12, renamed, Rejection::NotBound),
        (17, short, Rejection::NotBound),
        (17, long, Rejection::NotBound),
        (17, beside, Rejection::NotBound),
        (18, swapped, Rejection::NotBound),
    ] {
        let claim = Action::PostClaim { statement };
        let refused = devnet.act(Role::Executor, &claim).await.unwrap_err();
        assert_eq!(refused, LedgerError::Rejected(expected), "attack {attack}");
    }
    // Attack 13: an old claim on a new job.
    let mut old = good.clone();
    old.terms.job = JobId(Digest([7; 32]));
    let refused = devnet.act(Role::Executor, &Action::PostClaim { statement: old }).await;
    let unknown = Rejection::Unknown { kind: "job" };
    assert_eq!(refused.unwrap_err(), LedgerError::Rejected(unknown), "attack 13");
    // Attack 13, the other way: the very transaction of an accepted claim is not accepted again.
    let view = devnet.ledger.view().await.unwrap();
    let key = actor_key(Role::Executor);
    let nonce = view.settlement.nonce(&key.address());
    let claim = Action::PostClaim { statement: good };
    let signed = key.sign(&view.settlement.domain(), nonce, &claim);
    devnet.ledger.submit(signed.clone()).await.unwrap();
    let again = devnet.ledger.submit(signed).await.unwrap_err();
    assert!(matches!(again, LedgerError::Rejected(Rejection::Nonce { .. })), "{again}");
    // Nor is the same claim under another number: it exists.
    let again = devnet.act(Role::Executor, &claim).await.unwrap_err();
    assert_eq!(again, LedgerError::Rejected(Rejection::Exists { kind: "claim" }));
}

#[tokio::test]
async fn attacks_15_16_absurd_and_malformed_encodings_are_typed_rejections() {
    let model = model("digits-cnn");
    let participants = honest_cast(&model);
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
    let job = devnet.prepare(&participants).await.unwrap();
    let trace = participants.run(&Honest).unwrap();
    let statement = statement_of(job, model.root(), &trace).unwrap();
    let action = Action::PostClaim { statement }.to_canonical();
    let key = actor_key(Role::Executor);
    let view = devnet.ledger.view().await.unwrap();
    let mut bomb = vec![6];
    // Four hashes, a number, a hash, a number, a hash, and then a path of four thousand million hashes.
    bomb.extend([0; 4 * 32 + 4 + 32 + 8 + 32]);
    bomb.extend(u32::MAX.to_be_bytes());
    let truncated = action[..action.len() - 1].to_vec();
    let trailing = [&action[..], &[0]].concat();
    let mut other_tag = action.clone();
    other_tag[0] = 99;
    for bytes in [bomb, truncated, trailing, other_tag, Vec::new()] {
        // The signature covers the bytes; the ledger refuses them before anything else.
        let mut signed = key.sign(&view.settlement.domain(), 0, &Action::ExpireJob { job });
        signed.action = bytes;
        let refused = devnet.ledger.submit(signed).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Rejected(Rejection::Malformed(_))), "{refused}");
    }
    let mut header = model.header().clone();
    header.layer_count = u32::MAX;
    let absurd = Action::RegisterModel { header };
    let refused = devnet.act(Role::Executor, &absurd).await.unwrap_err();
    assert_eq!(refused, LedgerError::Rejected(Rejection::ModelLimits));
}

/// Answers with something else from some point on (attacks 14, 20, 22).
#[derive(Debug)]
struct FalseAnswers<C> {
    inner: C,
    from: fn(&Ask) -> bool,
}

impl<C: node::Core> node::Core for FalseAnswers<C> {
    fn decide(&mut self, view: &ledger::View) -> Vec<node::Decision> {
        let mut decisions = self.inner.decide(view);
        for decision in &mut decisions {
            if let Action::Reveal { ask, answer, .. } = &mut decision.action
                && (self.from)(ask)
            {
                falsify(answer);
            }
        }
        decisions
    }
}

fn falsify(answer: &mut Answer) {
    let bend = |digest: &mut Digest| digest.0[0] ^= 1;
    match answer {
        Answer::Hashes { hashes } => hashes.iter_mut().take(1).for_each(bend),
        Answer::Roots { roots } => roots.iter_mut().take(1).for_each(bend),
        Answer::Values { values } => values.iter_mut().take(1).for_each(|(_, root)| bend(root)),
        Answer::Leaves { leaves } => leaves.iter_mut().take(1).for_each(|leaf| leaf[0] ^= 1),
    }
}

#[tokio::test]
async fn attacks_20_and_22_an_honest_claim_defended_falsely_falls_by_silence() {
    let model = model("digits-transformer");
    let table: [fn(&Ask) -> bool; 4] = [
        |ask| matches!(ask.tree(), Tree::Trace { .. }),
        |ask| matches!(ask, Ask::Say { tree: Tree::Subtrace { .. }, .. }),
        |ask| matches!(ask, Ask::Open { place } if matches!(place.tree, Tree::Tensor { .. })),
        |ask| matches!(ask, Ask::Leaves { .. }),
    ];
    for from in table {
        let mut participants = honest_cast(&model);
        let honest = participants.run(&Honest).unwrap();
        let view = Lie::Ulps { layer: 1, operator: 20, element: 512, ulps: 1 };
        participants.challenger = Arc::new(Lying::new(&view, &model, &honest).unwrap());
        participants.policy = Policy::Everything;
        let folder = tempfile::tempdir().unwrap();
        let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
        let wrap = |core| Box::new(FalseAnswers { inner: core, from }) as Box<dyn node::Core>;
        let outcome = devnet.dispute_with(&participants, wrap, &mut |_| {}).await.unwrap();
        common::check_money(&devnet, &outcome);
        common::check_referees(&participants, &outcome);
        assert_eq!(code(&devnet, &outcome), "fraud/silence", "{}", story(&outcome));
        let refused = outcome.played.iter().any(|played| {
            let mismatch = Rejection::Ask(AskError::Mismatch);
            played.outcome == Err(LedgerError::Rejected(mismatch))
        });
        assert!(refused, "the false answer was refused first");
    }
}

/// The committed root of what an operator wrote.
fn output_root(run: &Run, operator: u32) -> Digest {
    let layer = run.model().layer_of(operator).unwrap();
    let position = run.model().layer(layer).unwrap().position(operator).unwrap();
    run.inside(layer).unwrap().roots()[position as usize]
}

/// What shows an operator of a layer that was said, and the root of what it wrote.
fn showings_of(run: &Run, operator: u32) -> Vec<Showing> {
    let layer = run.model().layer_of(operator).unwrap();
    let position = run.model().layer(layer).unwrap().position(operator).unwrap();
    let path = run.inside(layer).unwrap().tree().path(u64::from(position)).unwrap();
    let root = output_root(run, operator);
    vec![
        Showing::Layer { proof: run.model().layer_proof(layer).unwrap() },
        Showing::Operator { proof: run.model().node_proof(operator).unwrap() },
        Showing::SubtraceLeaf { iteration: 0, layer, position, root, path },
    ]
}

#[tokio::test]
async fn attack_21_and_23_any_legal_demands_on_an_honest_claim_are_answered_and_upheld() {
    let model = model("digits-cnn");
    let mut participants = honest_cast(&model);
    participants.policy = Policy::Nothing;
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
    let job = devnet.prepare(&participants).await.unwrap();
    let trace = participants.run(&Honest).unwrap();
    let statement = statement_of(job, model.root(), &trace).unwrap();
    devnet.act(Role::Executor, &Action::PostClaim { statement }).await.unwrap();
    let view = devnet.ledger.view().await.unwrap();
    let (claim, _) = view.settlement.claims().next().unwrap();
    let claim = *claim;
    devnet.act(Role::Challenger, &Action::Challenge { claim }).await.unwrap();
    let arity = view.settlement.parameters().arity_log2;
    let defender = executor::Defender::of_run(participants.run_of(Arc::new(Honest), trace), arity);
    let run = Arc::clone(defender.sequence().only().unwrap());
    let iteration = 0;
    let trace_root = run.trace().root();
    let states = TreeKind::List { count: model.header().state_count() };
    let root_of = |tree, kind, hash| Place { tree, kind, depth: 0, index: 0, hash };
    let sequence = Showing::SequenceLeaf { iteration, root: trace_root, path: Vec::new() };
    let trace = root_of(Tree::Trace { iteration }, states, trace_root);
    let mut asks = vec![(vec![sequence.clone()], Ask::Open { place: trace })];
    for layer in 0..model.header().layer_count {
        let shown = Showing::Layer { proof: model.layer_proof(layer).unwrap() };
        let count = model.layer(layer).unwrap().operator_count;
        let tree = Tree::Subtrace { iteration, layer };
        asks.push((vec![shown.clone()], Ask::Say { tree, kind: TreeKind::List { count } }));
        let root = run.trace().state_roots()[layer as usize];
        let path = run.trace().tree().path(u64::from(layer)).unwrap();
        let state = Showing::TraceLeaf { iteration, boundary: layer, root, path };
        let count = model.live_values(layer).unwrap().len() as u32;
        let tree = Tree::State { iteration, boundary: layer };
        let place = root_of(tree, TreeKind::List { count }, root);
        asks.push((vec![sequence.clone(), state, shown], Ask::Open { place }));
    }
    // Fewer than use up the demands of a challenge.
    for operator in 0..6 {
        let showings = showings_of(&run, operator);
        let (tree, kind) =
            (Tree::Tensor { iteration, operator }, run.output(operator).unwrap().kind());
        let place =
            root_of(tree, TreeKind::Tensor { kind: kind.clone() }, output_root(&run, operator));
        let sums = Tree::Accumulators { iteration, operator, element: 0 };
        let sums_kind = TreeKind::of_accumulators(model.node(operator).unwrap());
        let kind = sums_kind.unwrap_or_else(|| place.kind.clone());
        for ask in [
            Ask::Open { place: place.clone() },
            Ask::Leaves { place: place.clone() },
            Ask::Say { tree: sums, kind },
            Ask::Leaves { place: Place { index: u64::MAX, ..place.clone() } },
            Ask::Open { place: Place { depth: 99, ..place } },
        ] {
            asks.push((showings.clone(), ask));
        }
    }
    let challenger = actor_key(Role::Challenger).address();
    let (mut answered, mut refused) = (0, 0);
    for (showings, ask) in asks {
        let demand =
            Action::Demand { claim, showings, ask: ask.clone(), path: Vec::new(), from: None };
        match devnet.act(Role::Challenger, &demand).await {
            Ok(_) => {
                let answer = defender.answer(&ask).unwrap();
                let challengers = vec![challenger];
                let answer = Action::Reveal { claim, challengers, ask, answer };
                devnet.act(Role::Executor, &answer).await.unwrap();
                answered += 1;
            }
            Err(LedgerError::Rejected(Rejection::Ask(_))) => refused += 1,
            Err(error) => panic!("{ask:?}: {error}"),
        }
    }
    assert!(answered > 10 && refused > 15, "{answered} {refused}");
    // Nothing was refuted; the challenger's time runs out and its bond with it.
    devnet.clock.advance(10 * 60_000);
    devnet.act(Role::Watchtower, &Action::CallTime { claim, challenger }).await.unwrap();
    assert!(
        devnet.delta_wei(actor_key(Role::Executor).address()).await.unwrap() > -(10i128.pow(18))
    );
    devnet.act(Role::Watchtower, &Action::Finalise { claim }).await.unwrap();
    assert!(devnet.delta_wei(actor_key(Role::Executor).address()).await.unwrap() > 0);
    assert!(devnet.delta_wei(actor_key(Role::Challenger).address()).await.unwrap() < 0);
}

#[tokio::test]
async fn attack_24_a_copied_refutation_pays_the_challenger_and_the_late_original_is_done() {
    let model = model("digits-cnn");
    let (participants, ..) = lying_cast(&model, &Lie::WeightBit);
    // Play once to learn the moves, then again with the last one copied by a watchtower.
    let (_stage, _folder, outcome) = play(&participants).await;
    let moves: Vec<_> = outcome.played.iter().filter(|played| played.outcome.is_ok()).collect();
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
    devnet.prepare(&participants).await.unwrap();
    for played in &moves {
        if let Action::Refute { .. } = played.action {
            devnet.act(Role::Watchtower, &played.action).await.unwrap();
            let late = devnet.act(Role::Challenger, &played.action).await.unwrap_err();
            let over = Rejection::Over { kind: "challenge" };
            assert_eq!(late, LedgerError::Rejected(over), "already done is success");
            break;
        }
        devnet.act(played.role, &played.action).await.unwrap();
    }
    assert!(devnet.delta_wei(actor_key(Role::Challenger).address()).await.unwrap() > 0);
    assert_eq!(devnet.delta_wei(actor_key(Role::Watchtower).address()).await.unwrap(), 0);
}

#[tokio::test]
async fn attack_25_duplicates_strangers_and_moves_after_the_end_change_nothing() {
    let model = model("digits-cnn");
    let (participants, ..) = lying_cast(&model, &Lie::OutputOnly);
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
    let wrap = |core| Box::new(Stubborn(core)) as Box<dyn node::Core>;
    let outcome = devnet.dispute_with(&participants, wrap, &mut |_| {}).await.unwrap();
    assert_eq!(code(&devnet, &outcome), "fraud/binding");
    common::check_referees(&participants, &outcome);
    let before = devnet.ledger.view().await.unwrap().settlement;
    for played in outcome.played.iter().filter(|played| played.outcome.is_ok()) {
        for role in [played.role, Role::Watchtower] {
            match (&played.action, role) {
                // A new claim on an open job is a new thing, not a repetition.
                (Action::PostClaim { .. }, _) => continue,
                (action, role) => assert!(devnet.act(role, action).await.is_err(), "{action:?}"),
            }
        }
    }
    assert_eq!(before, devnet.ledger.view().await.unwrap().settlement);
}

#[tokio::test]
async fn attack_26_disputes_at_the_first_and_the_last_operator_end_there() {
    for name in MODELS {
        let model = model(name);
        let last = model.header().operator_count - 1;
        for operator in [0, last] {
            let layer = model.layer_of(operator).unwrap();
            let position = model.layer(layer).unwrap().position(operator).unwrap();
            let lie = Lie::Ulps { layer, operator: position, element: 1, ulps: -1 };
            let (participants, honest, false_run) = lying_cast(&model, &lie);
            assert_ne!(honest.root(), false_run.root(), "{name} {lie}");
            let (_stage, _folder, outcome) = play(&participants).await;
            match fall_reason(&outcome) {
                Some(FallReason::Refuted(Evidence::Step { operator: at, .. })) => {
                    assert_eq!(at, operator, "{name}");
                }
                other => panic!("{name} {lie}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn attack_27_false_running_sums_of_a_true_result_fall_when_they_are_opened() {
    /// Everything true, the opened sums false.
    #[derive(Debug)]
    struct FalseSums;
    impl ComputePolicy for FalseSums {
        fn accumulators(&self, _: &Model, _: u32, _: u64, mut words: Vec<u64>) -> Vec<u64> {
            words[0] ^= 1;
            words
        }
    }
    let model = model("digits-cnn");
    let dense = (0..model.header().operator_count)
        .find(|operator| protocol::law::segment_count(model.checked(*operator).unwrap()) > 4)
        .unwrap();
    let layer = model.layer_of(dense).unwrap();
    let operator = model.layer(layer).unwrap().position(dense).unwrap();
    let mut participants = honest_cast(&model);
    let honest = participants.run(&Honest).unwrap();
    participants.executor = Arc::new(FalseSums);
    // A corrupt view that reaches the trace: the next layer must not wash it out.
    participants.challenger = (0..64)
        .map(|element| {
            let view = Lie::Ulps { layer, operator, element, ulps: 1 };
            Arc::new(Lying::new(&view, &model, &honest).unwrap())
        })
        .find(|view| participants.run(view.as_ref()).unwrap().root() != honest.root())
        .unwrap();
    participants.policy = Policy::Everything;
    let (devnet, _folder, outcome) = play(&participants).await;
    assert_eq!(code(&devnet, &outcome), "fraud/step");
}

#[tokio::test]
async fn attack_28_silence_from_the_start_or_after_some_moves_loses() {
    let model = model("digits-cnn");
    for reveals in 0..4 {
        let (participants, ..) = lying_cast(&model, &Lie::Selective);
        let folder = tempfile::tempdir().unwrap();
        let devnet = Devnet::open(folder.path(), Parameters::default()).await.unwrap();
        let wrap = |core| Box::new(Muted::new(core, reveals)) as Box<dyn node::Core>;
        let outcome = devnet.dispute_with(&participants, wrap, &mut |_| {}).await.unwrap();
        common::check_money(&devnet, &outcome);
        common::check_referees(&participants, &outcome);
        // Two answers are all that this lie takes.
        let expected = if reveals < 2 { "fraud/silence" } else { "fraud/step" };
        assert_eq!(code(&devnet, &outcome), expected, "after {reveals} reveals");
        assert!(devnet.delta_wei(actor_key(Role::Challenger).address()).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn both_referees_agree_on_every_lie() {
    let leaf = |root| protocol::roots::root_leaf::<protocol::hash::Keccak>(&root);
    for name in MODELS {
        let model = model(name);
        for lie in [Lie::WeightBit, Lie::SkipOperator, Lie::Precision, Lie::OutputOnly] {
            let (participants, honest, _) = lying_cast(&model, &lie);
            let (_stage, _folder, outcome) = play(&participants).await;
            let known = outcome.known.as_ref().unwrap();
            let layer = (0..model.header().layer_count)
                .find(|layer| {
                    let after = Tree::State { iteration: 0, boundary: layer + 1 };
                    known
                        .root(&after)
                        .is_some_and(|root| root != honest.state(layer + 1).unwrap().root())
                })
                .unwrap();
            let before = honest.state(layer).unwrap();
            let finding =
                inference::referee::judge_layer(&participants.engine, &model, known, layer, before);
            let fraud = inference::referee::LayerFinding::Fraud {
                claimed: leaf(
                    known.root(&Tree::State { iteration: 0, boundary: layer + 1 }).unwrap(),
                ),
                expected: leaf(honest.state(layer + 1).unwrap().root()),
            };
            assert_eq!(finding, Ok(fraud), "{name} {lie}");
            assert!(fall_reason(&outcome).is_some(), "{name} {lie}");
        }
    }
}
