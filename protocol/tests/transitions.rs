//! Who may do what in which state of a challenge and its claim: every row, by every party.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{INPUT, TRACE, inside};
use common::{Game, Toy, Who, address};
use protocol::asks::{RefereeError, Refutation};
use protocol::hash::Digest;
use protocol::settlement::{Parameters, Rejection};
use protocol::transaction::Action;

/// Those who try every move. `Second` has money and no part in the dispute.
const PARTIES: [Who; 3] = [Who::Challenger, Who::Executor, Who::Second];

/// States of a challenge and its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    ChallengerToMove,
    ExecutorToMove,
    ChallengerLate,
    ExecutorLate,
    /// The challenger is to move, and looked at the input only.
    Looked,
    /// The challenge was withdrawn, the claim stands.
    Withdrawn,
    /// The challenge lost, the claim stands.
    Lost,
    /// The challenge won, the claim fell.
    Won,
    /// The claim fell by another challenge, while the executor was to move in this one.
    Collectable,
    /// The claim fell by another challenge, and this one was paid out.
    Collected,
    /// The challenge lost, the claim is the job's answer.
    Final,
    /// The challenge lost, another claim is the job's answer, and the stake went back.
    Released,
}

const PHASES: [Phase; 12] = [
    Phase::ChallengerToMove,
    Phase::ExecutorToMove,
    Phase::ChallengerLate,
    Phase::ExecutorLate,
    Phase::Looked,
    Phase::Withdrawn,
    Phase::Lost,
    Phase::Won,
    Phase::Collectable,
    Phase::Collected,
    Phase::Final,
    Phase::Released,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Demand,
    Withdraw,
    Reveal,
    /// An answer to something that nobody asked for.
    RevealUnasked,
    Refute,
    CallTime,
    Collect,
    Challenge,
    ProveAttention,
    Finalise,
    Release,
    ExpireJob,
    Pass,
}

const MOVES: [Move; 13] = [
    Move::Demand,
    Move::Withdraw,
    Move::Reveal,
    Move::RevealUnasked,
    Move::Refute,
    Move::CallTime,
    Move::Collect,
    Move::Challenge,
    Move::ProveAttention,
    Move::Finalise,
    Move::Release,
    Move::ExpireJob,
    Move::Pass,
];

fn game_in(phase: Phase) -> Game {
    let clock_ms = Parameters::default().challenger_clock_ms;
    let run = Toy::new().run(None);
    let opened =
        |game: Game| game.claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor);
    match phase {
        Phase::ChallengerToMove => opened(Game::new()),
        Phase::ExecutorToMove => opened(Game::new()).demands(Who::Challenger, TRACE),
        Phase::ChallengerLate => opened(Game::new()).wait(clock_ms + 1),
        Phase::ExecutorLate => game_in(Phase::ExecutorToMove).wait(clock_ms + 1),
        Phase::Looked => opened(Game::new()).opens_up(Who::Challenger, &[INPUT]),
        Phase::Withdrawn => game_in(Phase::Looked).wait(clock_ms).withdraws(Who::Challenger),
        Phase::Lost => game_in(Phase::ChallengerLate).calls_time(Who::Challenger),
        Phase::Won => game_in(Phase::ExecutorLate).calls_time(Who::Challenger),
        Phase::Collectable => game_in(Phase::ExecutorToMove)
            .challenges(Who::Third, Who::Executor)
            .falls_by_silence(Who::Third),
        Phase::Collected => game_in(Phase::Collectable).collects(Who::Challenger),
        Phase::Final => game_in(Phase::Lost).finalises(Who::Executor),
        Phase::Released => opened(Game::new().claims(Who::Rival, &run))
            .wait(clock_ms + 1)
            .calls_time(Who::Challenger)
            .finalises(Who::Rival)
            .plays(Who::Stranger, |game| game.release(Who::Executor)),
    }
}

fn action(game: &Game, step: Move) -> Action {
    let claim = game.claim(Who::Executor);
    let leaf = Refutation::Leaf { iteration: 0, operator: 0, leaf: 0 };
    match step {
        Move::Demand => game.demand(inside(0)),
        Move::Withdraw => game.withdraw(),
        Move::Reveal => game.reveal(&[Who::Challenger], TRACE),
        Move::RevealUnasked => game.reveal(&[Who::Challenger], inside(0)),
        Move::Refute => game.refute(Who::Challenger, (Vec::new(), leaf)),
        Move::CallTime => game.call_time(Who::Challenger),
        Move::Collect => game.collect(Who::Challenger),
        Move::Challenge => Action::Challenge { claim },
        Move::ProveAttention => Action::ProveAttention { claim, salt: Digest::default() },
        Move::Finalise => game.finalise(Who::Executor),
        Move::Release => game.release(Who::Executor),
        Move::ExpireJob => game.expire_job(),
        Move::Pass => game.pass(&[Who::Executor]),
    }
}

/// Phases by what they have in common.
struct Kind {
    in_time: bool,
    late: bool,
    fallen: bool,
    /// The claim is fallen, final or released.
    over: bool,
    /// The job has its answer.
    done: bool,
}

fn kind(phase: Phase) -> Kind {
    use Phase as P;
    let fallen = matches!(phase, P::Won | P::Collectable | P::Collected);
    let done = matches!(phase, P::Final | P::Released);
    Kind {
        in_time: matches!(phase, P::ChallengerToMove | P::ExecutorToMove | P::Looked),
        late: matches!(phase, P::ChallengerLate | P::ExecutorLate),
        fallen,
        over: fallen || done,
        done,
    }
}

/// What the rules say of a move in the challenge: `None` where it is made.
fn expected_in_challenge(game: &Game, phase: Phase, step: Move, who: Who) -> Option<Rejection> {
    let floor_ms = Parameters::default().move_floor_ms;
    let deadline_ms = game.challenge_of(Who::Challenger).deadline_ms(floor_ms).unwrap_or_default();
    let Kind { in_time, late, over, .. } = kind(phase);
    match step {
        // Each account has a challenge of its own, or none.
        Move::Demand | Move::Withdraw if who != Who::Challenger => {
            Some(Rejection::Unknown { kind: "challenge" })
        }
        Move::Demand | Move::Withdraw | Move::Refute if late => {
            Some(Rejection::TooLate { at_ms: deadline_ms })
        }
        Move::Demand | Move::Withdraw | Move::Refute | Move::CallTime if !in_time && !late => {
            Some(Rejection::Over { kind: "challenge" })
        }
        Move::Demand | Move::Withdraw | Move::Refute if phase == Phase::ExecutorToMove => {
            Some(Rejection::NotYourMove)
        }
        Move::Demand => None,
        Move::Withdraw if phase == Phase::Looked => None,
        Move::Withdraw => Some(Rejection::NotWithdrawable),
        // Anybody's proof is looked at; this one builds on what it does not show.
        Move::Refute => Some(Rejection::Referee(RefereeError::NotShown)),
        Move::CallTime if in_time => Some(Rejection::TooEarly { at_ms: deadline_ms + 1 }),
        Move::CallTime => None,
        Move::Collect if in_time || late => Some(Rejection::Waiting { what: "the claim" }),
        Move::Collect if phase == Phase::Collectable => None,
        Move::Collect => Some(Rejection::Over { kind: "challenge" }),
        _ if who != Who::Executor => Some(Rejection::NotAllowed { who: "the claim's executor" }),
        _ if over => Some(Rejection::Over { kind: "claim" }),
        Move::Reveal if phase == Phase::ExecutorToMove => None,
        _ => Some(Rejection::NotYourMove),
    }
}

/// What the rules say of a move on the claim or the job: `None` where it is made.
fn expected_of_claim(game: &Game, phase: Phase, step: Move, who: Who) -> Option<Rejection> {
    let window_end_ms = game.claim_of(Who::Executor).window_end_ms;
    let open_until_ms = game.job_of().open_until_ms;
    let Kind { in_time, late, fallen, over, done } = kind(phase);
    let waiting = |what| Some(Rejection::Waiting { what });
    match step {
        Move::Challenge | Move::ProveAttention | Move::Finalise | Move::Release if over => {
            Some(Rejection::Over { kind: "claim" })
        }
        Move::Challenge | Move::ProveAttention if !in_time => {
            Some(Rejection::TooLate { at_ms: window_end_ms })
        }
        Move::Challenge if who == Who::Challenger => Some(Rejection::Exists { kind: "challenge" }),
        Move::Challenge => None,
        Move::ProveAttention => {
            Some(Rejection::NotAllowed { who: "who attested to this claim's sequence root" })
        }
        Move::Finalise if in_time => Some(Rejection::TooEarly { at_ms: window_end_ms + 1 }),
        Move::Finalise if late => waiting("a challenge of the claim"),
        Move::Finalise => None,
        Move::Release => waiting("the job"),
        Move::ExpireJob | Move::Pass if done => Some(Rejection::Over { kind: "job" }),
        Move::ExpireJob => Some(Rejection::TooEarly { at_ms: open_until_ms + 1 }),
        // The only claim: when it fell, its number was passed with it.
        _ if fallen => {
            let bounds =
                "the job's claims in the order of their numbers, from the first that is not passed";
            Some(Rejection::Terms { name: "claims", bounds })
        }
        _ => waiting("a standing claim on the job"),
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
                let (sender, expected) = match step {
                    Move::Demand
                    | Move::Withdraw
                    | Move::Reveal
                    | Move::RevealUnasked
                    | Move::Refute
                    | Move::CallTime
                    | Move::Collect => {
                        (address(who), expected_in_challenge(&game, phase, step, who))
                    }
                    Move::Challenge
                    | Move::ProveAttention
                    | Move::Finalise
                    | Move::Release
                    | Move::ExpireJob
                    | Move::Pass => (address(who), expected_of_claim(&game, phase, step, who)),
                };
                let found = state.perform(game.now_ms, sender, 0, &action(&game, step));
                assert_eq!(found.err(), expected, "{phase:?}: {step:?} by {who:?}");
                assert!(state.money().is_conserved());
                rows += 1;
            }
        }
    }
    assert_eq!(rows, PHASES.len() * MOVES.len() * PARTIES.len());
}
