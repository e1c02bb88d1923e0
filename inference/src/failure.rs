//! Why a run has no result.

use crate::state_transfer::PublishedError;
use crate::trace::RunError;

/// Why a run has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunFailure {
    /// The engine refuses the input, or has no result for it: another try ends the same way.
    #[error("the run has no result: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The run took the process that ran it down, or did not end. Once may be this machine's fault;
    /// twice is the job's: quarantine it.
    #[error("the run was killed: {reason}")]
    Killed {
        /// How.
        reason: String,
    },
    /// The run is not what this machine must compute: it begins with another input, or the process for
    /// runs and this one disagree. Stake nothing on this machine.
    #[error("this machine's run is wrong: {reason}; restart this process after `rebut preflight`")]
    Wrong {
        /// What was compared.
        reason: String,
    },
    /// It was stopped before its first iteration, because nobody needs it: nothing failed.
    #[error("the run was stopped: nobody needs it any more")]
    Stopped,
    /// No run was begun: the process for runs cannot be started.
    #[error("no process for runs: {reason}")]
    NoProcess {
        /// Why.
        reason: String,
    },
}

impl From<RunError> for RunFailure {
    fn from(error: RunError) -> Self {
        match &error {
            RunError::Differs { .. } => Self::Wrong { reason: error.to_string() },
            RunError::MissingInput { .. }
            | RunError::WrongInput { .. }
            | RunError::Operator { .. }
            | RunError::NotInModel { .. } => Self::Refused { reason: error.to_string() },
        }
    }
}

impl From<PublishedError> for RunFailure {
    fn from(error: PublishedError) -> Self {
        Self::Refused { reason: error.to_string() }
    }
}
