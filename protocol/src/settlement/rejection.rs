//! Why a transaction is not accepted, and what its sender must do.

use super::money::MoneyError;
use crate::asks::{AskError, RefereeError};
use crate::encoding::DecodeError;
use crate::transaction::SignatureError;

/// Why a transaction is not accepted. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The engine gave a time before the last accepted transaction.
    #[error("the ledger's time went back to before {ledger_ms} ms; mend the ledger's clock")]
    TimeWentBack {
        /// Time of the last accepted transaction.
        ledger_ms: u64,
    },
    /// The action is not canonical.
    #[error("the action is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The signature does not count.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Not the sender's next transaction.
    #[error("the sender's next nonce is {expected}; sign again with it, or see it as already done")]
    Nonce {
        /// The nonce that is next.
        expected: u64,
    },
    /// Money is short.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Only somebody else may do this.
    #[error("only {who} may do this")]
    NotAllowed {
        /// Who may.
        who: &'static str,
    },
    /// An id names nothing.
    #[error("there is no such {kind}; read the ledger again")]
    Unknown {
        /// Of what kind.
        kind: &'static str,
    },
    /// It exists already.
    #[error("this {kind} exists already; see it as done")]
    Exists {
        /// Of what kind.
        kind: &'static str,
    },
    /// It is over.
    #[error("this {kind} is over; nothing is left to do")]
    Over {
        /// Of what kind.
        kind: &'static str,
    },
    /// It is not time yet.
    #[error("too early: wait until {at_ms} ms")]
    TooEarly {
        /// The first millisecond at which it is time.
        at_ms: u64,
    },
    /// The time for it has passed.
    #[error("too late: the time ended at {at_ms} ms")]
    TooLate {
        /// The last millisecond at which it was time.
        at_ms: u64,
    },
    /// Something else must happen first.
    #[error("{what} must end first")]
    Waiting {
        /// What must end first.
        what: &'static str,
    },
    /// It is the other side's move.
    #[error("it is the other side's move")]
    NotYourMove,
    /// A term is outside the ledger's bounds.
    #[error("{name} is outside the ledger's bounds: {bounds}")]
    Terms {
        /// The term.
        name: &'static str,
        /// Its bounds.
        bounds: &'static str,
    },
    /// The claim's paths do not bind its trace to input and output.
    #[error("the trace is not bound to the job's input and the claimed output")]
    NotBound,
    /// The challenge has no demand left.
    #[error("the challenge has used all its demands; refute with what is open")]
    DemandsUsed,
    /// The challenge cannot be withdrawn.
    #[error(
        "the challenge asked for more than inputs and outputs of the run, or was not answered yet; refute, or let it end"
    )]
    NotWithdrawable,
    /// An ask, answer or showing is not accepted.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A refutation decides nothing.
    #[error(transparent)]
    Referee(#[from] RefereeError),
    /// The refutation refutes nothing, and its sender is not the challenger.
    #[error("the claim is right at this step; nothing is refuted")]
    NothingRefuted,
    /// The model is not usable.
    #[error("the model's counts are outside the protocol's limits")]
    ModelLimits,
}
