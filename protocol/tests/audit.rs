//! What an audit of the rules found, each as a game that went wrong before it was mended. Numbers are the
//! audit's own (`docs/attacks.md`, part G).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Run, Toy, Who, address, genesis, key};
use protocol::facts::{Children, FactError, Request, Reveal, Showing, TreeId};
use protocol::settlement::{
    ClaimStatus, ETHER, Genesis, MoneyError, ParameterError, Parameters, Rejection, Settlement,
};
use protocol::transaction::{Action, SignatureError};

const INSIDE: Request = Request::Subtrace { layer: 1 };
const TENSOR: Request = Request::Node { tree: TreeId::Tensor { operator: 1 }, depth: 0, index: 0 };
const LEAF: Request = Request::Leaf { operator: 1, leaf: 1 };

fn demand(game: &Game, who: Who, showings: Vec<Showing>, request: Request) -> Action {
    Action::Demand { challenge: game.challenge(who), showings, request }
}

fn answer(game: &Game, request: Request, reveal: Reveal) -> Action {
    Action::Reveal { claim: game.claim(Who::Executor), request, reveal }
}

/// A true claim with two challenges, opened by the first down to the leaves of operator 1.
fn opened_to_the_leaves() -> (Game, Run) {
    let run = Toy::new().run(None);
    let game = Game::new()
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .challenges(Who::Second, Who::Executor);
    let action = demand(&game, Who::Challenger, vec![game.toy.layer(1)], INSIDE);
    let game = game.accepts(Who::Challenger, action);
    let action = answer(&game, INSIDE, run.open_subtrace(1));
    let game = game.accepts(Who::Executor, action);
    let action = demand(&game, Who::Challenger, vec![game.toy.operator(1)], TENSOR);
    let game = game.accepts(Who::Challenger, action);
    let hashes = run.outputs[1].tree().opening(0, 0, 4).unwrap();
    let action = answer(&game, TENSOR, Reveal::Node { children: Children::Hashes { hashes } });
    (game.accepts(Who::Executor, action), run)
}

fn shown_leaf(run: &Run) -> Showing {
    let path = run.outputs[1].tree().path(1).unwrap();
    Showing::TensorLeaf { operator: 1, leaf: 1, bytes: run.outputs[1].leaf(1), path }
}

#[test]
fn audit_a1_an_honest_answer_is_accepted_whatever_others_have_shown_meanwhile() {
    let (game, run) = opened_to_the_leaves();
    // One account asks for a leaf; its second challenge shows that very leaf beside some demand.
    let asked = demand(&game, Who::Challenger, Vec::new(), LEAF);
    let game = game.accepts(Who::Challenger, asked);
    let trace = Request::Node { tree: TreeId::Trace {}, depth: 0, index: 0 };
    let shown = demand(&game, Who::Second, vec![shown_leaf(&run)], trace);
    let game = game.accepts(Who::Second, shown);
    // Another answer than what is known stays wrong.
    let other = answer(&game, LEAF, Reveal::Leaf { bytes: run.outputs[1].leaf(0) });
    let game = game.rejects(Who::Executor, other, Rejection::Fact(FactError::Mismatch));
    let action = answer(&game, LEAF, Reveal::Leaf { bytes: run.outputs[1].leaf(1) });
    let game = game.accepts(Who::Executor, action);
    let action = answer(&game, trace, run.open_trace());
    let game = game.accepts(Who::Executor, action);
    // The turn is the challengers': their silence loses, the claim stands.
    let game = game.wait(Parameters::default().challenger_clock_ms + 1);
    let (first, second) = (game.challenge(Who::Challenger), game.challenge(Who::Second));
    let game = game
        .accepts(Who::Stranger, Action::CallTime { challenge: first })
        .accepts(Who::Stranger, Action::CallTime { challenge: second });
    let claim = game.state.claim(&game.claim(Who::Executor)).unwrap();
    assert_eq!(claim.status, ClaimStatus::Standing);
    assert!(game.delta(Who::Executor) > -(ETHER as i128), "the answers were paid");
}

#[test]
fn audit_a1_what_was_said_once_is_said_again_by_the_same_words_only() {
    let (game, run) = opened_to_the_leaves();
    let claim = game.state.claim(&game.claim(Who::Executor)).unwrap();
    let mut facts = claim.facts.clone();
    facts.reveal(&INSIDE, &run.open_subtrace(1)).unwrap();
    facts.reveal(&LEAF, &Reveal::Leaf { bytes: run.outputs[1].leaf(1) }).unwrap();
    let lie = game.toy.run(Some((2, 0)));
    assert_eq!(facts.reveal(&INSIDE, &lie.open_subtrace(1)), Err(FactError::Mismatch));
    // Asking for what is open is still refused: it would only cost.
    for known in [INSIDE, TENSOR, LEAF] {
        assert_eq!(facts.check_request(&known), Err(FactError::AlreadyOpen));
    }
    facts.show(&game.toy.operator(2)).unwrap();
    let leaf = Request::Leaf { operator: 2, leaf: 0 };
    facts.reveal(&leaf, &Reveal::Leaf { bytes: run.outputs[2].leaf(0) }).unwrap();
    let sums = Request::Accumulators { operator: 2, element: 0 };
    facts.reveal(&sums, &Reveal::Accumulators { words: vec![1; 64] }).unwrap();
    let before = facts.clone();
    facts.reveal(&sums, &Reveal::Accumulators { words: vec![1; 64] }).unwrap();
    let other = facts.reveal(&sums, &Reveal::Accumulators { words: vec![2; 64] });
    assert_eq!((other, facts), (Err(FactError::Mismatch), before));
}

#[test]
fn audit_a4_a_bond_is_at_most_a_quarter_of_the_stake() {
    let mut game = Game::new();
    let quarter_wei = game.job_terms().stake_wei / 4;
    let mut terms = game.job_terms();
    terms.bond_wei = quarter_wei + 1;
    let bounds = "at most a quarter of the stake";
    let refused = Err(Rejection::Terms { name: "bond_wei", bounds });
    assert_eq!(game.send(Who::Client, &Action::PostJob { terms: terms.clone() }), refused);
    terms.bond_wei = quarter_wei;
    game.accepts(Who::Client, Action::PostJob { terms });
}

#[test]
fn audit_a7_what_costs_nothing_is_refused() {
    let mut game = Game::new();
    let nothing = |name| Err(Rejection::Terms { name, bounds: "more than zero" });
    let poor = Rejection::Money(MoneyError::Insufficient { free_wei: 0, needed_wei: 1 });
    let account = address(Who::Stranger);
    let deposit = Action::Deposit { account, amount_wei: 0 };
    assert_eq!(game.send(Who::Bank, &deposit), nothing("amount_wei"));
    let withdraw = Action::Withdraw { amount_wei: 0 };
    assert_eq!(game.send(Who::Client, &withdraw), nothing("amount_wei"));
    let mut terms = game.job_terms();
    terms.fee_wei = 0;
    match game.send(Who::Client, &Action::PostJob { terms }) {
        Err(Rejection::Terms { name: "fee_wei", .. }) => {}
        other => panic!("{other:?}"),
    }
    let mut header = game.toy.committed.header.clone();
    header.graph_root = protocol::hash::leaf(b"another");
    game.rejects(Who::Stranger, Action::RegisterModel { header }, poor);
}

#[test]
fn audit_a13_what_is_signed_for_one_ledger_means_nothing_on_one_begun_alike() {
    let action = Action::Withdraw { amount_wei: 1 };
    let here = genesis();
    for there in [
        Genesis { salt: protocol::hash::leaf(b"another"), ..here.clone() },
        Genesis { begun_ms: here.begun_ms + 1, ..here.clone() },
    ] {
        let mut game = Game::new();
        let nonce = game.state.nonce(&address(Who::Client));
        let foreign = Settlement::new(there).unwrap().domain();
        let signed = key(Who::Client).sign(&foreign, nonce, &action);
        let refused = game.state.apply(game.now_ms, &signed);
        assert_eq!(refused, Err(Rejection::Signature(SignatureError::OtherKey)));
    }
}

#[test]
fn audit_a14_parameters_under_which_no_dispute_can_be_finished_are_refused() {
    for preset in [Parameters::default(), Parameters::fast(), Parameters::mainnet_like()] {
        preset.check().unwrap();
    }
    type Change = fn(&mut Parameters);
    let table: [(&str, Change); 9] = [
        // Too few demands for the deepest dispute, at any arity.
        ("demands_max", |all| all.demands_max = 15),
        ("demands_max", |all| (all.arity_log2, all.demands_max) = (4, 21)),
        ("demands_max", |all| {
            (all.arity_log2, all.demands_max) = (1, 77);
            (all.executor_clock_ms, all.challenger_clock_ms) = (500_000, 500_000);
        }),
        // Clocks that end before the moves do.
        ("executor_clock_ms", |all| all.executor_clock_ms = 119_999),
        ("challenger_clock_ms", |all| all.challenger_clock_ms = 119_999),
        ("window_ms_min", |all| all.window_ms_min = 4_999),
        ("seal_ms", |all| all.seal_ms = 4_999),
        // Bonds that nobody could afford, costs that nobody could pay.
        ("bond_wei_min", |all| all.bond_wei_min = ETHER / 4 + 1),
        ("challenge_cost_wei", |all| all.challenge_cost_wei = ETHER / 2 + 1),
    ];
    for (name, change) in table {
        let mut parameters = Parameters::default();
        change(&mut parameters);
        match parameters.check() {
            Err(ParameterError { name: found, .. }) => assert_eq!(found, name),
            Ok(()) => panic!("{name}: {parameters:?}"),
        }
    }
    // At the bounds themselves a dispute fits.
    let mut parameters = Parameters::default();
    (parameters.demands_max, parameters.bond_wei_min) = (16, ETHER / 4);
    parameters.check().unwrap();
}
