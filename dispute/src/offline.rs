//! A dispute without a ledger: the challenger asks, the executor's own code answers.

use challenger::{Divergence, HonestView, Move, SolveError};
use executor::Defender;
use protocol::facts::{Facts, Request};
use protocol::referee::{Finding, RefereeError, judge};

/// How it ended.
#[derive(Clone, Debug)]
pub enum OfflineEnd {
    /// The referee decided.
    Judged(Finding),
    /// The executor's data do not answer a demand.
    Silent(Request),
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
    facts: &mut Facts,
    defender: &Defender,
    found: &mut Divergence,
) -> Result<OfflineEnd, OfflineError> {
    for _ in 0..DEMANDS_MAX {
        let next = match honest_view.next_move_watched(facts, found) {
            Ok(next) => next,
            Err(SolveError::NothingDiffers) => return Ok(OfflineEnd::Agrees),
            Err(error) => return Err(error.into()),
        };
        match next {
            Move::Demand { showings, request, .. } => {
                showings.iter().for_each(|showing| {
                    // The solver only offers what it has seen accepted.
                    let _ = facts.show(showing);
                });
                let answered = defender
                    .answer(&request)
                    .is_ok_and(|reveal| facts.reveal(&request, &reveal).is_ok());
                if !answered {
                    return Ok(OfflineEnd::Silent(request));
                }
            }
            Move::Refute { showings, refutation, .. } => {
                showings.iter().for_each(|showing| {
                    let _ = facts.show(showing);
                });
                return Ok(OfflineEnd::Judged(judge(facts, &refutation)?));
            }
        }
    }
    Err(OfflineError::Endless(DEMANDS_MAX))
}
