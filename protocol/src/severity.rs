//! What a caller does about an error: try again, refuse, or stop.

use crate::asks::{AskError, RefereeError};
use crate::encoding::DecodeError;
use crate::law::{LawError, NodeFault};
use crate::settlement::{MoneyError, ParameterError, Rejection};
use crate::state_stream::StateError;
use crate::transaction::SignatureError;

/// What a caller does about an error.
///
/// ```
/// use protocol::Severity;
/// use protocol::settlement::Rejection;
///
/// // Too early: the same action is accepted later.
/// assert_eq!(Rejection::TooEarly { at_ms: 7 }.severity(), Severity::Retry);
/// // Too late: it never will be.
/// assert_eq!(Rejection::TooLate { at_ms: 7 }.severity(), Severity::Refuse);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The same can be right later, once what the error names has changed: time, the ledger's state, the
    /// account's money, or what is open. Read the state again, then try again.
    Retry,
    /// This message is wrong and stays wrong. Drop it; others of the same sender may be right.
    Refuse,
    /// Nothing that follows can be right either. Stop, and tell the operator.
    Stop,
}

impl DecodeError {
    /// What a caller does about it: a byte string that is no encoding never becomes one.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Truncated { .. }
            | Self::Trailing { .. }
            | Self::UnknownTag { .. }
            | Self::TooLong { .. }
            | Self::NotCanonical { .. } => Severity::Refuse,
        }
    }
}

impl SignatureError {
    /// What a caller does about it: a signature that does not count never will.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Malformed | Self::OtherKey => Severity::Refuse,
        }
    }
}

impl MoneyError {
    /// What a caller does about it: money can be deposited, a sum that cannot be counted is none.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Insufficient { .. } => Severity::Retry,
            Self::Overflow => Severity::Refuse,
        }
    }
}

impl AskError {
    /// What a caller does about it: a root that nobody said yet can be asked for first.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::UnknownRoot => Severity::Retry,
            Self::OutsideClaim
            | Self::Shape
            | Self::OutOfRange
            | Self::AlreadyOpen
            | Self::WrongKind
            | Self::Mismatch
            | Self::NotOfModel
            | Self::NotAsked
            | Self::WrongLength => Severity::Refuse,
        }
    }
}

impl RefereeError {
    /// What a caller does about it: sums that were not said yet can be asked for first.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::BadState => Severity::Retry,
            Self::NotShown
            | Self::MalformedNode
            | Self::OutOfRange
            | Self::BadOperand { .. }
            | Self::MissingLeaf { .. }
            | Self::UnreadOperand { .. } => Severity::Refuse,
        }
    }
}

impl NodeFault {
    /// What a caller does about it: a node that is not well formed stays so.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Operands
            | Self::Elements
            | Self::Shapes
            | Self::Attributes
            | Self::TooLong
            | Self::Overflow => Severity::Refuse,
        }
    }
}

impl<E> LawError<E> {
    /// What a caller does about it: an operand may be available later (its own error says more), a result
    /// that the law does not define never is.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Operand(_) => Severity::Retry,
            Self::Undefined => Severity::Refuse,
        }
    }
}

impl StateError {
    /// What a caller does about it: the rest of a state may still come, the others are no state.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Truncated { .. } => Severity::Retry,
            Self::Head
            | Self::Values
            | Self::TooLong { .. }
            | Self::TooManyLeaves { .. }
            | Self::Trailing => Severity::Refuse,
        }
    }
}

impl ParameterError {
    /// What a caller does about it: no ledger begins with such parameters.
    pub const fn severity(&self) -> Severity {
        Severity::Stop
    }
}

impl Rejection {
    /// What the sender does about it, and with [`Severity::Stop`] what the ledger's engine does.
    pub const fn severity(&self) -> Severity {
        match self {
            // The engine's clock is wrong: whatever it applies next gets a wrong time.
            Self::TimeWentBack { .. } => Severity::Stop,
            Self::Nonce { .. }
            | Self::Unknown { .. }
            | Self::TooEarly { .. }
            | Self::Waiting { .. }
            | Self::NotYourMove => Severity::Retry,
            Self::NotAllowed { .. }
            | Self::Exists { .. }
            | Self::Over { .. }
            | Self::TooLate { .. }
            | Self::Terms { .. }
            | Self::NotBound
            | Self::DemandsUsed
            | Self::NotWithdrawable
            | Self::NothingRefuted
            | Self::ModelLimits => Severity::Refuse,
            Self::Malformed(error) => error.severity(),
            Self::Signature(error) => error.severity(),
            Self::Money(error) => error.severity(),
            Self::Ask(error) => error.severity(),
            Self::Referee(error) => error.severity(),
        }
    }
}
