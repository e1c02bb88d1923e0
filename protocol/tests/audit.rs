//! What an audit of the rules found, each as a game that went wrong before it was mended. Numbers are the
//! audit's own (`docs/attacks.md`, part G). Others stand where their subjects do, under the same names: A7 also
//! in jobs, accounts and scale, A8 in jobs, A9 in clocks, A11 in crowds, A12 in attention, A13 in accounts, A14 beside
//! the bounds, A16 in attention, jobs and scale.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{INPUT, SUMS, TRACE, inside, leaves, tensor};
use common::{Answers, Game, Toy, Want, Who};
use protocol::asks::{AskError, Showing};
use protocol::settlement::{ChallengeStatus, ETHER, Parameters, Rejection};
use protocol::transaction::{Action, JobTerms};

const BOTH: [Who; 2] = [Who::Challenger, Who::Second];

/// A true claim with two challenges, after a third one asked for these.
fn two_challenges(parameters: Parameters, said: &[Want]) -> Game {
    let run = Toy::new().run(None);
    Game::under(parameters)
        .claims(Who::Executor, &run)
        .challenges(Who::Challenger, Who::Executor)
        .challenges(Who::Second, Who::Executor)
        .challenges(Who::Third, Who::Executor)
        .opens_up(Who::Third, said)
}

/// Games in which nothing or everything was said, with openings of one level and of six.
fn begun() -> Vec<Game> {
    let one = Parameters { arity_log2: 1, end_log2: 1, ..Parameters::default() };
    let mut games = Vec::new();
    for parameters in [Parameters::default(), one] {
        for said in [&[][..], &[inside(0), inside(1), SUMS]] {
            games.push(two_challenges(parameters.clone(), said));
        }
    }
    games
}

/// Everything that can be demanded.
fn legal(game: &Game, who: Who) -> Vec<Want> {
    let mut all = game.answers.all_wants();
    all.retain(|want| game.clone().send(who, &game.demand(*want)).is_ok());
    all
}

/// A demand that shows, beside what it must, the bytes, roots and values that another's ask is about.
fn demand_that_shows(game: &Game, want: Want, other: Want) -> Action {
    let Action::Demand { claim, mut showings, ask, path, from } = game.demand(want) else {
        unreachable!()
    };
    let answers = &game.answers;
    let mut more = answers.showings_to(other.tree());
    if let protocol::asks::Tree::Tensor { operator, .. } = other.tree() {
        more.push(answers.leaf(operator, 0));
    }
    // The roots of a layer can be shown once they were said.
    let is_said = |showing: &Showing| match showing {
        Showing::SubtraceLeaf { .. } | Showing::TensorLeaf { .. } => {
            game.claim_of(Who::Executor).said.contains_key(&inside(1).tree())
        }
        _ => true,
    };
    showings.extend(more.into_iter().filter(is_said));
    Action::Demand { claim, showings, ask, path, from }
}

#[test]
fn audit_a1_two_who_ask_or_show_the_same_are_answered_together_or_one_by_one() {
    let mut pairs = 0;
    for game in begun() {
        for (place, want) in legal(&game, Who::Challenger).into_iter().enumerate() {
            for other in [want, [TRACE, INPUT][place % 2]] {
                pairs += 1;
                // Either is first; the second shows what the first waits for.
                for [first, second] in [BOTH, [BOTH[1], BOTH[0]]] {
                    let asked = game
                        .clone()
                        .demands(first, want)
                        .plays(second, |game| demand_that_shows(game, other, want));
                    let (one, two) = (&[first], &[second]);
                    let orders = [
                        asked.clone().answers(one, want).answers(two, other),
                        asked.clone().answers(two, other).answers(one, want),
                    ];
                    for ended in orders {
                        assert!(
                            BOTH.iter().all(|who| ended.challenge_of(*who).pending().is_none())
                        );
                    }
                    // Named together: all who wait for it are served, the others are skipped.
                    let together = asked.answers(&BOTH, want);
                    assert_eq!(together.challenge_of(first).pending(), None);
                    let waits = together.challenge_of(second).pending().is_some();
                    assert_eq!(waits, other != want);
                }
            }
        }
    }
    assert!(pairs > 100, "{pairs}");
}

#[test]
fn audit_a1_one_of_the_named_that_ends_in_front_of_a_shared_answer_is_skipped() {
    for game in begun() {
        for want in legal(&game, Who::Challenger) {
            // It looks at the input, waits until the other asks, and withdraws, or lets itself be upheld.
            let game = game.clone().opens_up(Who::Second, &[INPUT]).demands(Who::Challenger, want);
            let withdrawn = game.clone().withdraws(Who::Second);
            let mut upheld = game.demands(Who::Second, TRACE).answers(&[Who::Second], TRACE);
            let said = upheld.claim_of(Who::Executor).said.len() == 3;
            if said {
                let proof = upheld.answers.leaf_proof(0, 0);
                upheld = upheld.refutes(Who::Second, Who::Second, proof);
                assert_eq!(upheld.challenge_of(Who::Second).status, ChallengeStatus::Lost);
            }
            for game in [withdrawn, upheld] {
                let game = game.answers(&[Who::Second, Who::Challenger], want);
                assert_eq!(game.challenge_of(Who::Challenger).pending(), None);
                assert!(game.claim_of(Who::Executor).stands());
            }
        }
    }
}

#[test]
fn audit_a1_an_honest_answer_is_accepted_whatever_others_have_shown_meanwhile() {
    let only = &[Who::Challenger];
    let game = two_challenges(Parameters::default(), &[inside(1)])
        .opens_up(Who::Challenger, &[tensor(1)])
        // One asks for leaves; another shows one of these very leaves beside some demand.
        .demands(Who::Challenger, leaves(1))
        .plays(Who::Second, |game| demand_that_shows(game, TRACE, leaves(1)));
    let lie = Answers::new(Some((1, 70)));
    let other = lie.answer(&lie.ask(leaves(1)), 6);
    let game = game
        // Another answer than what is committed stays wrong.
        .refuses(
            Who::Executor,
            |game| game.reveal_with(only, leaves(1), other),
            Rejection::Ask(AskError::Mismatch),
        )
        .answers(only, leaves(1))
        .answers(&[Who::Second], TRACE)
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
    game = crowd[1..].iter().fold(game, |game, who| game.demands(*who, TRACE));
    game = game.wait(20_001).calls_time(crowd[0]).answers(&crowd, TRACE);
    assert!(crowd[1..].iter().all(|who| game.challenge_of(*who).replies == 1));
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
