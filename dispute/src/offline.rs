//! A dispute without a ledger: the challenger asks, the executor's own code answers.

use challenger::{Divergence, HonestView, Move, SolveError};
use executor::Defender;
use protocol::asks::{Ask, AskError, Finding, Proven, RefereeError, fits, judge};
use protocol::hash::Keccak;
use protocol::knowledge::Knowledge;

/// How it ended.
#[derive(Clone, Debug)]
pub enum OfflineEnd {
    /// The referee decided.
    Judged(Finding),
    /// The executor's data do not answer a demand.
    Silent(Ask),
    /// The claim equals the challenger's own run.
    Agrees,
}

/// Why it got stuck.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    /// The challenger has no move.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// The referee refused the refutation.
    #[error("the referee refused the refutation: {0}")]
    Referee(#[from] RefereeError),
    /// What the challenger shows does not follow from the claim.
    #[error("the showings of a move do not hold: {0}")]
    Ask(#[from] AskError),
    /// It does not come to an end.
    #[error("the dispute did not end after {0} demands")]
    Endless(u32),
}

/// Demands of one dispute.
const DEMANDS_MAX: u32 = 64;

/// Walks a claim down to its end, the challenger asking and the executor's data answering.
///
/// # Errors
/// When the challenger's own view does not fit the claim.
pub fn decide(
    honest_view: &HonestView,
    known: &mut Knowledge,
    defender: &Defender,
    found: &mut Divergence,
) -> Result<OfflineEnd, OfflineError> {
    let mut asked: Option<Ask> = None;
    for _ in 0..DEMANDS_MAX {
        let next = match honest_view.next_move_watched(known, asked.as_ref(), found) {
            Ok(next) => next,
            Err(SolveError::NothingDiffers) => return Ok(OfflineEnd::Agrees),
            Err(error) => return Err(error.into()),
        };
        match next {
            Move::Demand { showings, ask, path, .. } => {
                // The solver offers only what a ledger accepts.
                known.learn_demand(&showings, &ask, &path);
                let arity_log2 = known.arity_log2();
                let answer = defender.answer(&ask).ok();
                let fitting = answer.and_then(|answer| {
                    let said = fits::<Keccak>(&ask, &answer, arity_log2).ok()?;
                    Some((answer, said))
                });
                let Some((answer, said)) = fitting else {
                    return Ok(OfflineEnd::Silent(ask));
                };
                known.learn_answer(&ask, &answer, said);
                asked = Some(ask);
            }
            Move::Refute { showings, refutation, from, .. } => {
                let finding = {
                    let proven = Proven::new::<Keccak>(known.context(from.as_ref()), &showings)?;
                    judge::<Keccak>(&proven, &refutation)?
                };
                known.learn_showings(&showings);
                return Ok(OfflineEnd::Judged(finding));
            }
        }
    }
    Err(OfflineError::Endless(DEMANDS_MAX))
}
