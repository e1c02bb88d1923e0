//! Who may do what in which state of a challenge and of a claim: two tables that every handler asks.
//!
//! Moves in a challenge, by its phase. "The challenger" is told that it is the other side's move. A demand
//! is made in the sender's own challenge, so that whoever has none is told that there is none, not that
//! it may not:
//!
//! | move | queued | challenger to move | executor to move | either late | claim fell | ended |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | demand, withdraw | the challenger: waiting | the challenger | the challenger: not its move | the challenger: too late | over | over |
//! | reveal | not its move | not its move | the executor | not its move | over | not its move |
//! | refute | waiting | anyone | not its move | too late | over | over |
//! | call time | waiting | too early | too early | anyone | over | over |
//! | collect | waiting | waiting | waiting | waiting | anyone | over |
//!
//! Moves on a claim:
//!
//! | move | in its window | window over | ended |
//! | --- | --- | --- | --- |
//! | challenge, prove attention | anyone | too late | over |
//! | reveal | the executor | the executor | the executor: over |
//! | finalise | too early | anyone | over |
//! | release | anyone | anyone | over |
//!
//! What else a move needs (money, answers before a withdrawal, demands that are left, a proof that holds) its
//! handler checks after.

use super::objects::{Challenge, ChallengeStatus, Claim, ClaimStatus, Turn};
use super::rejection::Rejection;
use crate::hash::Commitment;
use crate::transaction::Address;

/// A move in a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeMove {
    /// The challenger demands an opening.
    Demand,
    /// The challenger withdraws.
    Withdraw,
    /// The executor answers a demand.
    Reveal,
    /// Somebody refutes the claim.
    Refute,
    /// Somebody calls the end of a clock.
    CallTime,
    /// Somebody collects what the claim's fall left for the challenge.
    Collect,
}

/// State of a challenge at a moment, as far as moves depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengePhase {
    /// Challenges before it must end first.
    Queued,
    /// The challenger must move and has time left.
    ChallengerToMove,
    /// The executor must answer and has time left.
    ExecutorToMove,
    /// The challenger had to move, and its clock ran out.
    ChallengerLate,
    /// The executor had to answer, and its clock ran out.
    ExecutorLate,
    /// The claim fell by another challenge, and this one was not paid out yet.
    Collectable,
    /// Won or lost.
    Ended,
}

/// A move on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimMove {
    /// Somebody opens a challenge.
    Challenge,
    /// An attester proves its word.
    ProveAttention,
    /// The executor answers a demand of one of the claim's challenges.
    Reveal,
    /// Somebody makes it the job's answer.
    Finalise,
    /// Somebody gives its stake back because the job is over.
    Release,
}

/// State of a claim at a moment, as far as moves depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimPhase {
    /// Stands, and the time for challenges runs.
    InWindow,
    /// Stands, and the time for challenges is over.
    WindowOver,
    /// Fallen, final or released.
    Ended,
}

/// Who is looked at before anything else. Another sender is not allowed to do this at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Everybody.
    Anyone,
    /// Who opened the challenge.
    Challenger,
    /// Who posted the claim.
    Executor,
}

/// What a party is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may.
    Allowed,
    /// The other side must move first.
    NotYourMove,
    /// The time for it has not come.
    TooEarly,
    /// The time for it has passed.
    TooLate,
    /// The claim must fall first.
    Waiting,
    /// Earlier challenges must end first.
    Queued,
    /// Nothing is left to do.
    Over,
}

/// One cell of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who may do this at all.
    pub party: Party,
    /// What those are answered.
    pub answer: Answer,
}

const fn rule(party: Party, answer: Answer) -> Rule {
    Rule { party, answer }
}

/// The table of moves in a challenge.
///
/// ```
/// use protocol::settlement::rules::{Answer, ChallengeMove, ChallengePhase, challenge_rule};
///
/// // A clock that ran out leaves one thing to do.
/// let late = ChallengePhase::ExecutorLate;
/// assert_eq!(challenge_rule(ChallengeMove::CallTime, late).answer, Answer::Allowed);
/// assert_eq!(challenge_rule(ChallengeMove::Refute, late).answer, Answer::TooLate);
/// ```
pub const fn challenge_rule(step: ChallengeMove, phase: ChallengePhase) -> Rule {
    use Answer::{Allowed, NotYourMove, Over, TooEarly, TooLate, Waiting};
    use ChallengeMove::{CallTime, Collect, Demand, Refute, Reveal, Withdraw};
    use ChallengePhase::{
        ChallengerLate, ChallengerToMove, Collectable, Ended, ExecutorLate, ExecutorToMove, Queued,
    };
    use Party::{Anyone, Challenger, Executor};
    match (step, phase) {
        (Demand | Withdraw, Queued) => rule(Challenger, Answer::Queued),
        (Refute | CallTime, Queued) => rule(Anyone, Answer::Queued),
        (Demand | Withdraw, ChallengerToMove) => rule(Challenger, Allowed),
        (Demand | Withdraw, ExecutorToMove) => rule(Challenger, NotYourMove),
        (Demand | Withdraw, ChallengerLate | ExecutorLate) => rule(Challenger, TooLate),
        (Reveal, ExecutorToMove) => rule(Executor, Allowed),
        (Reveal, Queued | ChallengerToMove | ChallengerLate | ExecutorLate | Ended) => {
            rule(Executor, NotYourMove)
        }
        (Reveal, Collectable) => rule(Executor, Over),
        (Refute, ChallengerToMove) => rule(Anyone, Allowed),
        (Refute, ExecutorToMove) => rule(Anyone, NotYourMove),
        (Refute, ChallengerLate | ExecutorLate) => rule(Anyone, TooLate),
        (CallTime, ChallengerToMove | ExecutorToMove) => rule(Anyone, TooEarly),
        (CallTime, ChallengerLate | ExecutorLate) => rule(Anyone, Allowed),
        (Demand | Withdraw | Refute | CallTime, Collectable | Ended) => rule(Anyone, Over),
        (Collect, Queued | ChallengerToMove | ExecutorToMove | ChallengerLate | ExecutorLate) => {
            rule(Anyone, Waiting)
        }
        (Collect, Collectable) => rule(Anyone, Allowed),
        (Collect, Ended) => rule(Anyone, Over),
    }
}

/// The table of moves on a claim.
pub const fn claim_rule(step: ClaimMove, phase: ClaimPhase) -> Rule {
    use Answer::{Allowed, Over, TooEarly, TooLate};
    use ClaimMove::{Challenge, Finalise, ProveAttention, Release, Reveal};
    use ClaimPhase::{Ended, InWindow, WindowOver};
    use Party::{Anyone, Executor};
    match (step, phase) {
        (Challenge | ProveAttention, InWindow) => rule(Anyone, Allowed),
        (Challenge | ProveAttention, WindowOver) => rule(Anyone, TooLate),
        (Challenge | ProveAttention, Ended) => rule(Anyone, Over),
        (Reveal, InWindow | WindowOver) => rule(Executor, Allowed),
        (Reveal, Ended) => rule(Executor, Over),
        (Finalise, InWindow) => rule(Anyone, TooEarly),
        (Finalise, WindowOver) => rule(Anyone, Allowed),
        (Release, InWindow | WindowOver) => rule(Anyone, Allowed),
        (Finalise | Release, Ended) => rule(Anyone, Over),
    }
}

impl Rule {
    /// What the sender is told: nothing where it may.
    ///
    /// `is_party` says whether the sender is the party that the rule names, `kind` what the move is made on,
    /// and `end_ms` the last millisecond of the time that runs.
    pub(super) fn check(
        self,
        is_party: impl FnOnce(Party) -> bool,
        kind: &'static str,
        end_ms: u64,
    ) -> Result<(), Rejection> {
        let only = match self.party {
            Party::Anyone => None,
            Party::Challenger => Some("the challenger"),
            Party::Executor => Some("the claim's executor"),
        };
        if let Some(who) = only
            && !is_party(self.party)
        {
            return Err(Rejection::NotAllowed { who });
        }
        match self.answer {
            Answer::Allowed => Ok(()),
            Answer::NotYourMove => Err(Rejection::NotYourMove),
            Answer::TooEarly => Err(Rejection::TooEarly { at_ms: end_ms.saturating_add(1) }),
            Answer::TooLate => Err(Rejection::TooLate { at_ms: end_ms }),
            Answer::Waiting => Err(Rejection::Waiting { what: "the claim" }),
            Answer::Queued => Err(Rejection::Waiting { what: "an earlier challenge of the claim" }),
            Answer::Over => Err(Rejection::Over { kind }),
        }
    }
}

impl Challenge {
    /// Its phase at `now_ms`, on a ledger where each move has at least `floor_ms`; whether its claim stands
    /// comes first.
    pub fn phase(&self, claim_stands: bool, now_ms: u64, floor_ms: u64) -> ChallengePhase {
        if !claim_stands {
            return if self.is_open() {
                ChallengePhase::Collectable
            } else {
                ChallengePhase::Ended
            };
        }
        let late = self.deadline_ms(floor_ms).is_some_and(|end_ms| now_ms > end_ms);
        match (&self.status, late) {
            (ChallengeStatus::Queued, _) => ChallengePhase::Queued,
            (ChallengeStatus::Open { turn: Turn::Challenger, .. }, false) => {
                ChallengePhase::ChallengerToMove
            }
            (ChallengeStatus::Open { turn: Turn::Challenger, .. }, true) => {
                ChallengePhase::ChallengerLate
            }
            (ChallengeStatus::Open { turn: Turn::Executor, .. }, false) => {
                ChallengePhase::ExecutorToMove
            }
            (ChallengeStatus::Open { turn: Turn::Executor, .. }, true) => {
                ChallengePhase::ExecutorLate
            }
            (
                ChallengeStatus::Won { .. } | ChallengeStatus::Lost | ChallengeStatus::Withdrawn,
                _,
            ) => ChallengePhase::Ended,
        }
    }
}

impl<C: Commitment> Claim<C> {
    /// Its phase at `now_ms`.
    pub fn phase(&self, now_ms: u64) -> ClaimPhase {
        self.phase_by_window(now_ms, self.window_end_ms)
    }

    /// Whether the rules let the sender make this move on the claim.
    ///
    /// # Errors
    /// What the sender is told otherwise.
    pub(super) fn check_move(
        &self,
        now_ms: u64,
        sender: Address,
        step: ClaimMove,
    ) -> Result<(), Rejection> {
        self.check_move_by_window(now_ms, sender, step, self.window_end_ms)
    }

    /// As [`Claim::check_move`], were this the last millisecond of the time for challenges.
    pub(super) fn check_move_by_window(
        &self,
        now_ms: u64,
        sender: Address,
        step: ClaimMove,
        window_end_ms: u64,
    ) -> Result<(), Rejection> {
        let is_party = |party| match party {
            Party::Anyone => true,
            Party::Challenger => false,
            Party::Executor => self.executor == sender,
        };
        let rule = claim_rule(step, self.phase_by_window(now_ms, window_end_ms));
        rule.check(is_party, "claim", window_end_ms)
    }

    /// As [`Claim::phase`], were this the last millisecond of the time for challenges.
    fn phase_by_window(&self, now_ms: u64, window_end_ms: u64) -> ClaimPhase {
        match self.status {
            ClaimStatus::Standing if now_ms > window_end_ms => ClaimPhase::WindowOver,
            ClaimStatus::Standing => ClaimPhase::InWindow,
            ClaimStatus::Fallen { .. }
            | ClaimStatus::Final { .. }
            | ClaimStatus::Released { .. } => ClaimPhase::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVES: [ChallengeMove; 6] = [
        ChallengeMove::Demand,
        ChallengeMove::Withdraw,
        ChallengeMove::Reveal,
        ChallengeMove::Refute,
        ChallengeMove::CallTime,
        ChallengeMove::Collect,
    ];
    const CLAIM_MOVES: [ClaimMove; 5] = [
        ClaimMove::Challenge,
        ClaimMove::ProveAttention,
        ClaimMove::Reveal,
        ClaimMove::Finalise,
        ClaimMove::Release,
    ];

    fn allowed(phase: ChallengePhase) -> [bool; 6] {
        MOVES.map(|step| challenge_rule(step, phase).answer == Answer::Allowed)
    }

    #[test]
    fn one_side_moves_at_a_time_and_a_clock_that_ran_out_can_only_be_called() {
        use ChallengePhase as P;
        for (phase, demand, reveal, refute, call, collect) in [
            (P::Queued, false, false, false, false, false),
            (P::ChallengerToMove, true, false, true, false, false),
            (P::ExecutorToMove, false, true, false, false, false),
            (P::ChallengerLate, false, false, false, true, false),
            (P::ExecutorLate, false, false, false, true, false),
            (P::Collectable, false, false, false, false, true),
            (P::Ended, false, false, false, false, false),
        ] {
            assert_eq!(
                allowed(phase),
                [demand, demand, reveal, refute, call, collect],
                "{phase:?}"
            );
        }
    }

    #[test]
    fn a_claim_can_be_challenged_until_the_millisecond_before_it_can_be_final() {
        for (phase, wanted) in [
            (ClaimPhase::InWindow, [true, true, true, false, true]),
            (ClaimPhase::WindowOver, [false, false, true, true, true]),
            (ClaimPhase::Ended, [false; 5]),
        ] {
            let found = CLAIM_MOVES.map(|step| claim_rule(step, phase).answer == Answer::Allowed);
            assert_eq!(found, wanted, "{phase:?}");
        }
    }

    #[test]
    fn who_may_not_is_told_so_before_anything_else() {
        let only = rule(Party::Challenger, Answer::NotYourMove);
        let stranger = only.check(|_| false, "challenge", 7);
        assert_eq!(stranger, Err(Rejection::NotAllowed { who: "the challenger" }));
        assert_eq!(only.check(|_| true, "challenge", 7), Err(Rejection::NotYourMove));
        let early = rule(Party::Anyone, Answer::TooEarly).check(|_| false, "challenge", u64::MAX);
        assert_eq!(early, Err(Rejection::TooEarly { at_ms: u64::MAX }));
    }
}
