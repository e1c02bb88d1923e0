//! What an audit of the rules found, each as a game that went wrong before it was mended. Numbers are the
//! audit's own (`docs/attacks.md`, part G). Others stand where their subjects do, under the same names: A7 also
//! in jobs and accounts, A8 in jobs, A9 in clocks, A11 in crowds, A12 in attention, A13 in accounts, A14 beside
//! the bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Run, TRACE, Toy, Who, inside};
use protocol::facts::{FactError, Request, Reveal, Showing, TreeId};
use protocol::settlement::{ETHER, Parameters, Rejection};
use protocol::transaction::{Action, JobTerms};

const INSIDE: Request = inside(1);
const TENSOR: Request = Request::Node { tree: TreeId::Tensor { operator: 1 }, depth: 0, index: 0 };
const LEAF: Request = Request::Leaf { operator: 1, leaf: 1 };

/// A true claim with two challenges, opened by the first down to the leaves of operator 1.
fn opened_to_the_leaves() -> (Game, Run) {
    let run = Toy::new().run(None);
    let only = &[Who::Challenger];
    let game = Game::new()
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .challenges(Who::Second, Who::Executor)
        .demands(Who::Challenger, &[1], INSIDE)
        .reveals(only, INSIDE, run.open_subtrace(1))
        .plays(Who::Challenger, |game| game.demand_showing(vec![game.toy.operator(1)], TENSOR))
        .reveals(only, TENSOR, run.open_tensor(1));
    (game, run)
}

fn shown_leaf(run: &Run) -> Showing {
    let path = run.outputs[1].tree().path(1).unwrap();
    Showing::TensorLeaf { operator: 1, leaf: 1, bytes: run.outputs[1].leaf(1), path }
}

#[test]
fn audit_a1_an_honest_answer_is_accepted_whatever_others_have_shown_meanwhile() {
    let (game, run) = opened_to_the_leaves();
    let only = &[Who::Challenger];
    let game = game
        // One asks for a leaf; another shows that very leaf beside some demand.
        .demands(Who::Challenger, &[], LEAF)
        .plays(Who::Second, |game| game.demand_showing(vec![shown_leaf(&run)], TRACE))
        // Another answer than what is known stays wrong.
        .refuses(
            Who::Executor,
            |game| game.reveal(only, LEAF, run.open_leaf(1, 0)),
            Rejection::Fact(FactError::Mismatch),
        )
        .reveals(only, LEAF, run.open_leaf(1, 1))
        .reveals(&[Who::Second], TRACE, run.open_trace())
        // The turn is the challengers': their silence loses, the claim stands.
        .wait(Parameters::default().challenger_clock_ms + 1)
        .calls_time(Who::Challenger)
        .calls_time(Who::Second);
    assert!(game.claim_of(Who::Executor).stands());
    assert!(game.delta(Who::Executor) > -(ETHER as i128), "the answers were paid");
}

#[test]
fn audit_a1_a_challenge_that_ends_before_a_shared_answer_does_not_make_it_fail() {
    // Six ask the same. One of them is upheld before the shared answer: it is skipped, the others served.
    let run = Toy::new().run(None);
    let crowd: Vec<Who> = (0..6).map(Who::Crowd).collect();
    let parameters = Parameters { challenger_clock_ms: 20_000, ..Parameters::default() };
    let mut game = Game::under(parameters).claims(Who::Executor, &run);
    game = crowd.iter().fold(game, |game, who| game.challenges(*who, Who::Executor));
    game = crowd[1..].iter().fold(game, |game, who| game.demands(*who, &[], TRACE));
    game = game.wait(20_001).calls_time(crowd[0]).reveals(&crowd, TRACE, run.open_trace());
    assert!(crowd[1..].iter().all(|who| game.challenge_of(*who).replies == 1));
}

#[test]
fn audit_a1_what_was_said_once_is_said_again_by_the_same_words_only() {
    let (game, run) = opened_to_the_leaves();
    let mut facts = game.claim_of(Who::Executor).facts.clone();
    facts.reveal(&INSIDE, &run.open_subtrace(1)).unwrap();
    facts.reveal(&LEAF, &run.open_leaf(1, 1)).unwrap();
    let lie = game.toy.run(Some((2, 0)));
    assert_eq!(facts.reveal(&INSIDE, &lie.open_subtrace(1)), Err(FactError::Mismatch));
    // Asking for what is open is still refused: it would only cost.
    for known in [INSIDE, TENSOR, LEAF] {
        assert_eq!(facts.check_request(&known), Err(FactError::AlreadyOpen));
    }
    facts.show(&game.toy.operator(2)).unwrap();
    let leaf = Request::Leaf { operator: 2, leaf: 0 };
    facts.reveal(&leaf, &run.open_leaf(2, 0)).unwrap();
    let sums = Request::Accumulators { operator: 2, element: 0 };
    facts.reveal(&sums, &Reveal::Accumulators { words: vec![1; 64] }).unwrap();
    let before = facts.clone();
    facts.reveal(&sums, &Reveal::Accumulators { words: vec![1; 64] }).unwrap();
    let other = facts.reveal(&sums, &Reveal::Accumulators { words: vec![2; 64] });
    assert_eq!((other, facts), (Err(FactError::Mismatch), before));
}

#[test]
fn audit_a4_a_bond_follows_from_the_stake_and_has_a_ceiling() {
    // The stake, the largest that a job may name, is the executor's own affair.
    let stake_wei = 1_000 * ETHER;
    let run = Toy::new().run(None);
    let largest = |terms: &mut JobTerms| (terms.salt, terms.stake_wei) = (1, stake_wei);
    let game = Game::new()
        .funds(Who::Executor, stake_wei)
        .posts(largest)
        .claims(Who::Executor, &run)
        .funds(Who::Challenger, ETHER)
        .challenges(Who::Challenger, Who::Executor);
    let parameters = Parameters::default();
    assert_eq!(game.challenge_of(Who::Challenger).bond_wei, 10 * ETHER);
    let spent_wei = 9 * ETHER + parameters.record_fee_wei;
    assert_eq!(game.delta(Who::Challenger), -(spent_wei as i128));
    let mut terms = game.job_terms();
    (terms.salt, terms.stake_wei) = (2, stake_wei + 1);
    let bounds = "between the ledger's least and most";
    let refused = Rejection::Terms { name: "stake_wei", bounds };
    game.rejects(Who::Client, Action::PostJob { terms }, refused);
    // Between least and most it is two hundredths.
    for (stake_wei, bond_wei) in [
        (ETHER, ETHER / 10),
        (5 * ETHER, ETHER / 10),
        (6 * ETHER, ETHER * 12 / 100),
        (499 * ETHER, ETHER * 998 / 100),
        (500 * ETHER, 10 * ETHER),
        (u128::MAX, 10 * ETHER),
    ] {
        assert_eq!(parameters.bond_wei(stake_wei), bond_wei, "of {stake_wei}");
    }
}

#[test]
fn audit_a7_what_costs_nothing_is_refused() {
    let mut game = Game::new();
    let mut terms = game.job_terms();
    (terms.salt, terms.fee_wei) = (1, 0);
    match game.send(Who::Client, &Action::PostJob { terms }) {
        Err(Rejection::Terms { name: "fee_wei", .. }) => {}
        other => panic!("{other:?}"),
    }
    // Whatever an account without money sends.
    let claim = game.toy.run(None).statement(game.job);
    let mut header = game.toy.committed.header.clone();
    header.graph_root = protocol::hash::leaf(b"another");
    let mut terms = game.job_terms();
    terms.salt = 2;
    game = game.claims(Who::Executor, &Toy::new().run(None));
    let id = game.claim(Who::Executor);
    for action in [
        Action::Withdraw { amount_wei: ETHER },
        Action::RegisterModel { header },
        Action::PostJob { terms },
        Action::PostClaim { statement: claim },
        Action::Challenge { claim: id },
    ] {
        let found = game.send(Who::Stranger, &action);
        assert!(matches!(found, Err(Rejection::Money(_))), "{action:?}: {found:?}");
    }
}
