//! Who may do what in which state of a challenge and its claim: every row, by every party.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Toy, Who, address};
use protocol::facts::{Request, TreeId};
use protocol::hash::Digest;
use protocol::referee::{RefereeError, Refutation};
use protocol::settlement::{Parameters, Rejection};
use protocol::transaction::Action;

const TRACE: Request = Request::Node { tree: TreeId::Trace {}, depth: 0, index: 0 };

/// Those who try every move. `Second` has money and no part in the dispute.
const PARTIES: [Who; 3] = [Who::Challenger, Who::Executor, Who::Second];

/// States of a challenge and its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    ChallengerToMove,
    ExecutorToMove,
    ChallengerLate,
    ExecutorLate,
    /// The challenge lost, the claim stands.
    Lost,
    /// The challenge won, the claim fell.
    Won,
    /// The challenge lost, the claim is the job's answer.
    Final,
}

const PHASES: [Phase; 7] = [
    Phase::ChallengerToMove,
    Phase::ExecutorToMove,
    Phase::ChallengerLate,
    Phase::ExecutorLate,
    Phase::Lost,
    Phase::Won,
    Phase::Final,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Demand,
    Reveal,
    /// An answer to something that nobody asked for.
    RevealUnasked,
    Refute,
    CallTime,
    Challenge,
    ProveAttention,
    Finalise,
}

const MOVES: [Move; 8] = [
    Move::Demand,
    Move::Reveal,
    Move::RevealUnasked,
    Move::Refute,
    Move::CallTime,
    Move::Challenge,
    Move::ProveAttention,
    Move::Finalise,
];

fn game_in(phase: Phase) -> Game {
    let clock_ms = Parameters::default().challenger_clock_ms;
    let opened = || {
        let run = Toy::new().run(None);
        Game::new().claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor)
    };
    let called = |game: Game| {
        let challenge = game.challenge(Who::Challenger);
        game.accepts(Who::Second, Action::CallTime { challenge })
    };
    match phase {
        Phase::ChallengerToMove => opened(),
        Phase::ExecutorToMove => {
            let game = opened();
            let challenge = game.challenge(Who::Challenger);
            let demand = Action::Demand { challenge, showings: Vec::new(), request: TRACE };
            game.accepts(Who::Challenger, demand)
        }
        Phase::ChallengerLate => opened().wait(clock_ms + 1),
        Phase::ExecutorLate => game_in(Phase::ExecutorToMove).wait(clock_ms + 1),
        Phase::Lost => called(game_in(Phase::ChallengerLate)),
        Phase::Won => called(game_in(Phase::ExecutorLate)),
        Phase::Final => {
            let game = game_in(Phase::Lost);
            let job = game.job;
            game.accepts(Who::Second, Action::Finalise { job })
        }
    }
}

fn action(game: &Game, step: Move) -> Action {
    let (claim, job) = (game.claim(Who::Executor), game.job);
    let challenge = game.challenge(Who::Challenger);
    let run = game.toy.run(None);
    let inside = Request::Subtrace { layer: 0 };
    match step {
        Move::Demand => {
            Action::Demand { challenge, showings: vec![game.toy.layer(0)], request: inside }
        }
        Move::Reveal => Action::Reveal { claim, request: TRACE, reveal: run.open_trace() },
        Move::RevealUnasked => {
            Action::Reveal { claim, request: inside, reveal: run.open_subtrace(0) }
        }
        Move::Refute => {
            let refutation = Refutation::Leaf { operator: 0, leaf: 0 };
            Action::Refute { challenge, showings: Vec::new(), refutation }
        }
        Move::CallTime => Action::CallTime { challenge },
        Move::Challenge => Action::Challenge { claim },
        Move::ProveAttention => Action::ProveAttention { claim, salt: Digest::default() },
        Move::Finalise => Action::Finalise { job },
    }
}

/// What the rules say: `None` where the move is made.
fn expected(game: &Game, phase: Phase, step: Move, who: Who) -> Option<Rejection> {
    let floor_ms = Parameters::default().move_floor_ms;
    let challenge = game.state.challenge(&game.challenge(Who::Challenger)).unwrap();
    let deadline_ms = challenge.deadline_ms(floor_ms).unwrap_or_default();
    let window_end_ms = game.state.claim(&game.claim(Who::Executor)).unwrap().window_end_ms;
    let over = |kind| Some(Rejection::Over { kind });
    let late = |at_ms| Some(Rejection::TooLate { at_ms });
    let not_allowed = |who| Some(Rejection::NotAllowed { who });
    let waiting = |what| Some(Rejection::Waiting { what });
    let in_time = matches!(phase, Phase::ChallengerToMove | Phase::ExecutorToMove);
    let out_of_time = matches!(phase, Phase::ChallengerLate | Phase::ExecutorLate);
    match step {
        Move::Demand | Move::Refute if out_of_time => late(deadline_ms),
        Move::Demand | Move::Refute | Move::CallTime if !in_time && !out_of_time => {
            over("challenge")
        }
        Move::Demand if who != Who::Challenger => not_allowed("the challenger"),
        Move::Demand if phase == Phase::ExecutorToMove => Some(Rejection::NotYourMove),
        Move::Demand => None,
        // Anybody's proof is looked at; this one builds on what is not open.
        Move::Refute => Some(Rejection::Referee(RefereeError::NotOpen)),
        Move::CallTime if in_time => Some(Rejection::TooEarly { at_ms: deadline_ms + 1 }),
        Move::CallTime => None,
        Move::Reveal | Move::RevealUnasked if who != Who::Executor => {
            not_allowed("the claim's executor")
        }
        Move::Reveal | Move::RevealUnasked if matches!(phase, Phase::Won | Phase::Final) => {
            over("claim")
        }
        Move::Reveal if phase == Phase::ExecutorToMove => None,
        Move::Reveal | Move::RevealUnasked => Some(Rejection::NotYourMove),
        Move::Challenge | Move::ProveAttention if matches!(phase, Phase::Won | Phase::Final) => {
            over("claim")
        }
        Move::Challenge | Move::ProveAttention if !in_time => late(window_end_ms),
        Move::Challenge => None,
        Move::ProveAttention => not_allowed("who attested to this claim's trace root"),
        Move::Finalise if in_time => Some(Rejection::TooEarly { at_ms: window_end_ms + 1 }),
        Move::Finalise if out_of_time => waiting("a challenge of the claim"),
        Move::Finalise => match phase {
            Phase::Won => waiting("a claim on the job"),
            Phase::Final => over("job"),
            _ => None,
        },
    }
}

#[test]
fn every_move_in_every_state_by_every_party_is_answered_by_the_rules() {
    let mut rows = 0;
    for phase in PHASES {
        let game = game_in(phase);
        for step in MOVES {
            for who in PARTIES {
                let mut state = game.state.clone();
                let (sender, wanted) = (address(who), expected(&game, phase, step, who));
                let nonce = state.nonce(&sender);
                let found = state.perform(game.now_ms, sender, nonce, &action(&game, step));
                assert_eq!(found.err(), wanted, "{phase:?}: {step:?} by {who:?}");
                assert!(state.money().is_conserved());
                rows += 1;
            }
        }
    }
    assert_eq!(rows, PHASES.len() * MOVES.len() * PARTIES.len());
}
