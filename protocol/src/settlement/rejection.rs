//! Why a transaction is not accepted, and what its sender must do.

use super::money::MoneyError;
use crate::asks::{AskError, RefereeError};
use crate::encoding::DecodeError;
use crate::transaction::SignatureError;

/// The numbers of all kinds, what each means, and the function that gives a rejection's.
macro_rules! numbered {
    ($($code:literal, $kind:pat, $meaning:literal;)*) => {
        /// Every number with what it means, ascending: the table of `docs/protocol.md`.
        pub const CODES: &'static [(u16, &'static str)] = &[$(($code, $meaning)),*];

        /// Number of the kind of rejection, the same on every surface and in every version: a kind that goes takes
        /// its number with it, a new one gets a new one.
        pub const fn code(&self) -> u16 {
            match self {
                $($kind => $code,)*
            }
        }
    };
}

/// Why a transaction is not accepted. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The engine gave a time before the last accepted transaction.
    #[error("the ledger's time went back to before {ledger_ms} ms; correct the ledger's clock")]
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

impl Rejection {
    numbered! {
        1, Self::TimeWentBack { .. }, "the ledger's clock went back";
        2, Self::Nonce { .. }, "not the sender's next nonce";
        3, Self::NotAllowed { .. }, "only somebody else may do this";
        4, Self::Unknown { .. }, "an id names nothing";
        5, Self::Exists { .. }, "it exists already";
        6, Self::Over { .. }, "it is over";
        7, Self::TooEarly { .. }, "too early";
        8, Self::TooLate { .. }, "too late";
        9, Self::Waiting { .. }, "something else must end first";
        10, Self::NotYourMove, "the other side's move";
        11, Self::Terms { .. }, "a term outside its bounds";
        12, Self::NotBound, "the trace is not bound to the job's input and the claimed output";
        13, Self::DemandsUsed, "no demand is left";
        14, Self::NotWithdrawable, "the challenge cannot be withdrawn";
        15, Self::NothingRefuted, "nothing is refuted, and the sender is not the challenger";
        16, Self::ModelLimits, "the model's counts are outside their limits";
        101, Self::Malformed(DecodeError::Truncated { .. }), "encoding: cut short";
        102, Self::Malformed(DecodeError::Trailing { .. }), "encoding: bytes after the value";
        103, Self::Malformed(DecodeError::UnknownTag { .. }), "encoding: unknown tag";
        104, Self::Malformed(DecodeError::TooLong { .. }), "encoding: over a limit";
        105, Self::Malformed(DecodeError::NotCanonical { .. }), "encoding: not canonical";
        201, Self::Signature(SignatureError::Malformed), "signature: malformed";
        202, Self::Signature(SignatureError::OtherKey), "signature: of another key";
        301, Self::Money(MoneyError::Insufficient { .. }), "money: the account has too little";
        302, Self::Money(MoneyError::Overflow), "money: more than the ledger counts";
        401, Self::Ask(AskError::OutsideClaim), "ask: outside of the claim";
        402, Self::Ask(AskError::Shape), "ask: the tree's shape is not shown, or not the model's";
        403, Self::Ask(AskError::UnknownRoot), "ask: the root of the tree is not proven";
        404, Self::Ask(AskError::OutOfRange), "ask: the place is outside the tree";
        405, Self::Ask(AskError::AlreadyOpen), "ask: said already";
        406, Self::Ask(AskError::WrongKind), "ask: not asked for in this way";
        407, Self::Ask(AskError::Mismatch), "ask: does not hash to what was committed";
        408, Self::Ask(AskError::NotOfModel), "ask: not of the model";
        409, Self::Ask(AskError::NotAsked), "ask: builds on another ask than the last";
        410, Self::Ask(AskError::WrongLength), "ask: a list of another length";
        501, Self::Referee(RefereeError::NotShown), "refutation: builds on what is not shown";
        502, Self::Referee(RefereeError::MalformedNode), "refutation: the operator is not well formed";
        503, Self::Referee(RefereeError::OutOfRange), "refutation: outside of the model or the operator";
        504, Self::Referee(RefereeError::BadOperand { .. }), "refutation: an operand is not committed";
        505, Self::Referee(RefereeError::MissingLeaf { .. }), "refutation: a leaf is missing";
        506, Self::Referee(RefereeError::UnreadOperand { .. }), "refutation: an operand that is not read";
        507, Self::Referee(RefereeError::BadState), "refutation: the states are not what was said";
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn all_numbers_are_distinct_and_ascend() {
        assert!(Rejection::CODES.is_sorted_by(|before, after| before.0 < after.0));
        let mut meanings: Vec<_> = Rejection::CODES.iter().map(|(_, meaning)| meaning).collect();
        meanings.sort_unstable();
        meanings.dedup();
        assert_eq!(meanings.len(), Rejection::CODES.len());
    }

    #[test]
    fn a_rejection_has_the_number_of_its_kind_whatever_its_details() {
        for (rejection, code) in [
            (Rejection::TimeWentBack { ledger_ms: 7 }, 1),
            (Rejection::Nonce { expected: 0 }, 2),
            (Rejection::Nonce { expected: u64::MAX }, 2),
            (Rejection::ModelLimits, 16),
            (DecodeError::Trailing { extra: 1 }.into(), 102),
            (SignatureError::OtherKey.into(), 202),
            (MoneyError::Insufficient { free_wei: 1, needed_wei: 2 }.into(), 301),
            (AskError::OutsideClaim.into(), 401),
            (AskError::WrongLength.into(), 410),
            (RefereeError::MissingLeaf { operand: 0 }.into(), 505),
            (RefereeError::MissingLeaf { operand: 9 }.into(), 505),
        ] {
            assert_eq!(rejection.code(), code, "{rejection:?}");
            assert!(Rejection::CODES.iter().any(|(known, _)| *known == code), "{code}");
        }
    }

    #[test]
    fn the_protocol_s_document_has_exactly_this_table() {
        let document = include_str!("../../../docs/protocol.md");
        let (_, section) = document.split_once("Rejections\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let written: Vec<(u16, &str)> = section
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
                Some((cells.next()?.parse().ok()?, cells.next()?))
            })
            .collect();
        assert_eq!(written, Rejection::CODES);
    }
}
