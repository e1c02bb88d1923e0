//! A rejection as it travels beside its text: typed, so that who is refused can act on it.
//!
//! The words in a rejection are the protocol's own, and only those are read back: nothing that a server
//! makes up is kept.

use protocol::asks::{AskError, RefereeError};
use protocol::encoding::DecodeError;
use protocol::settlement::{MoneyError, Rejection};
use protocol::transaction::SignatureError;
use serde::{Deserialize, Serialize};

use crate::wire;

/// Most bytes of a rejection in this form; the longest known one has fewer than 200.
pub(crate) const REJECTION_BYTES_MAX: usize = 512;

/// Every word that a rejection of the protocol says of what it is about.
const WORDS: &[&str] = &[
    "1 to 16",
    "1 to 256",
    "1 ≤ iterations_max ≤ 2^20",
    "1 ≤ open_ms ≤ ten years",
    "a challenge of the claim",
    "a sealed claim on the job",
    "a standing claim on the job",
    "all places are taken",
    "amount_wei",
    "an earlier challenge of the claim",
    "an earlier claim on the job",
    "anybody but the executor",
    "at least the ledger's least transfer",
    "at most 16",
    "at most 2^100",
    "attestation",
    "attestations",
    "between the ledger's least and most",
    "challenge",
    "challengers",
    "claim",
    "claims",
    "claims on a job with attention are sealed first",
    "fee_wei",
    "input_root",
    "iterations",
    "iterations_max",
    "job",
    "may_cut",
    "model",
    "model_root",
    "more than zero, unless there is attention_wei",
    "no amount more than 2^100",
    "only on a job with attention",
    "only with links, and a named executor",
    "only without attention_wei",
    "open_ms",
    "profile",
    "proof of attention",
    "seal",
    "sealed claim",
    "showings",
    "stake_wei",
    "the challenger",
    "the claim",
    "the claim's executor",
    "the executor that sealed it",
    "the executor that the job names",
    "the job",
    "the job's",
    "the job's claims in the order of their numbers, from the first that is not passed",
    "the job's, or fewer where model or job let the run end",
    "the ledger's bank",
    "the model's",
    "the sealed claim",
    "who attested to this claim's sequence root",
    "window_ms",
];

/// The protocol's own word that reads so.
fn known(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|known| **known == word).copied()
}

/// A rejection with its words as `W`.
///
/// New kinds come at the end: the place of a kind is its number on the wire.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Form<W> {
    TimeWentBack {
        ledger_ms: u64,
    },
    /// What is malformed, the sender finds itself: see [`Told`].
    Malformed,
    /// What is wrong with the signature, the sender finds itself.
    Signature,
    Nonce {
        expected: u64,
    },
    Insufficient {
        free_wei: u128,
        needed_wei: u128,
    },
    Overflow,
    NotAllowed {
        who: W,
    },
    Unknown {
        kind: W,
    },
    Exists {
        kind: W,
    },
    Over {
        kind: W,
    },
    TooEarly {
        at_ms: u64,
    },
    TooLate {
        at_ms: u64,
    },
    Waiting {
        what: W,
    },
    NotYourMove,
    Terms {
        name: W,
        bounds: W,
    },
    NotBound,
    DemandsUsed,
    NotWithdrawable,
    Ask(u8),
    Referee {
        code: u8,
        operand: u32,
    },
    NothingRefuted,
    ModelLimits,
}

/// What a form says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The protocol's rules refuse the transaction in the ledger's state.
    Rules(Rejection),
    /// The transaction's own bytes are wrong, whatever the state: whoever has them finds what it is.
    Bytes,
}

/// All errors of asks, each at the place that is its number on the wire.
const ASKS: [AskError; 10] = [
    AskError::OutsideClaim,
    AskError::Shape,
    AskError::UnknownRoot,
    AskError::OutOfRange,
    AskError::AlreadyOpen,
    AskError::WrongKind,
    AskError::Mismatch,
    AskError::NotOfModel,
    AskError::NotAsked,
    AskError::WrongLength,
];

fn code_of_ask(error: AskError) -> u8 {
    match error {
        AskError::OutsideClaim => 0,
        AskError::Shape => 1,
        AskError::UnknownRoot => 2,
        AskError::OutOfRange => 3,
        AskError::AlreadyOpen => 4,
        AskError::WrongKind => 5,
        AskError::Mismatch => 6,
        AskError::NotOfModel => 7,
        AskError::NotAsked => 8,
        AskError::WrongLength => 9,
    }
}

/// Number and operand of a referee's error; the operand is 0 where it names none.
fn code_of_referee(error: RefereeError) -> (u8, u32) {
    match error {
        RefereeError::NotShown => (0, 0),
        RefereeError::MalformedNode => (1, 0),
        RefereeError::OutOfRange => (2, 0),
        RefereeError::BadOperand { operand } => (3, operand),
        RefereeError::MissingLeaf { operand } => (4, operand),
        RefereeError::UnreadOperand { operand } => (5, operand),
        RefereeError::BadState => (6, 0),
    }
}

fn referee_of(code: u8, operand: u32) -> Option<RefereeError> {
    let error = match code {
        0 => RefereeError::NotShown,
        1 => RefereeError::MalformedNode,
        2 => RefereeError::OutOfRange,
        3 => RefereeError::BadOperand { operand },
        4 => RefereeError::MissingLeaf { operand },
        5 => RefereeError::UnreadOperand { operand },
        6 => RefereeError::BadState,
        _ => return None,
    };
    // One form for each error: an operand that it does not name must be 0.
    (code_of_referee(error) == (code, operand)).then_some(error)
}

impl From<&Rejection> for Form<&'static str> {
    fn from(rejection: &Rejection) -> Self {
        match *rejection {
            Rejection::TimeWentBack { ledger_ms } => Self::TimeWentBack { ledger_ms },
            Rejection::Malformed(
                DecodeError::Truncated { .. }
                | DecodeError::Trailing { .. }
                | DecodeError::UnknownTag { .. }
                | DecodeError::TooLong { .. }
                | DecodeError::NotCanonical { .. },
            ) => Self::Malformed,
            Rejection::Signature(SignatureError::Malformed | SignatureError::OtherKey) => {
                Self::Signature
            }
            Rejection::Nonce { expected } => Self::Nonce { expected },
            Rejection::Money(MoneyError::Insufficient { free_wei, needed_wei }) => {
                Self::Insufficient { free_wei, needed_wei }
            }
            Rejection::Money(MoneyError::Overflow) => Self::Overflow,
            Rejection::NotAllowed { who } => Self::NotAllowed { who },
            Rejection::Unknown { kind } => Self::Unknown { kind },
            Rejection::Exists { kind } => Self::Exists { kind },
            Rejection::Over { kind } => Self::Over { kind },
            Rejection::TooEarly { at_ms } => Self::TooEarly { at_ms },
            Rejection::TooLate { at_ms } => Self::TooLate { at_ms },
            Rejection::Waiting { what } => Self::Waiting { what },
            Rejection::NotYourMove => Self::NotYourMove,
            Rejection::Terms { name, bounds } => Self::Terms { name, bounds },
            Rejection::NotBound => Self::NotBound,
            Rejection::DemandsUsed => Self::DemandsUsed,
            Rejection::NotWithdrawable => Self::NotWithdrawable,
            Rejection::Ask(error) => Self::Ask(code_of_ask(error)),
            Rejection::Referee(error) => {
                let (code, operand) = code_of_referee(error);
                Self::Referee { code, operand }
            }
            Rejection::NothingRefuted => Self::NothingRefuted,
            Rejection::ModelLimits => Self::ModelLimits,
        }
    }
}

impl Form<String> {
    /// What it says, if it is about things that this program knows.
    fn told(&self) -> Option<Told> {
        Some(Told::Rules(match self {
            Self::Malformed | Self::Signature => return Some(Told::Bytes),
            Self::TimeWentBack { ledger_ms } => Rejection::TimeWentBack { ledger_ms: *ledger_ms },
            Self::Nonce { expected } => Rejection::Nonce { expected: *expected },
            Self::Insufficient { free_wei, needed_wei } => {
                let (free_wei, needed_wei) = (*free_wei, *needed_wei);
                MoneyError::Insufficient { free_wei, needed_wei }.into()
            }
            Self::Overflow => MoneyError::Overflow.into(),
            Self::NotAllowed { who } => Rejection::NotAllowed { who: known(who)? },
            Self::Unknown { kind } => Rejection::Unknown { kind: known(kind)? },
            Self::Exists { kind } => Rejection::Exists { kind: known(kind)? },
            Self::Over { kind } => Rejection::Over { kind: known(kind)? },
            Self::TooEarly { at_ms } => Rejection::TooEarly { at_ms: *at_ms },
            Self::TooLate { at_ms } => Rejection::TooLate { at_ms: *at_ms },
            Self::Waiting { what } => Rejection::Waiting { what: known(what)? },
            Self::NotYourMove => Rejection::NotYourMove,
            Self::Terms { name, bounds } => {
                Rejection::Terms { name: known(name)?, bounds: known(bounds)? }
            }
            Self::NotBound => Rejection::NotBound,
            Self::DemandsUsed => Rejection::DemandsUsed,
            Self::NotWithdrawable => Rejection::NotWithdrawable,
            Self::Ask(code) => (*ASKS.get(usize::from(*code))?).into(),
            Self::Referee { code, operand } => referee_of(*code, *operand)?.into(),
            Self::NothingRefuted => Rejection::NothingRefuted,
            Self::ModelLimits => Rejection::ModelLimits,
        }))
    }
}

/// A rejection in its form for the wire, [`REJECTION_BYTES_MAX`] bytes at most; `None` when it has none,
/// and its text alone must do.
pub(crate) fn encode(rejection: &Rejection) -> Option<Vec<u8>> {
    let bytes = wire::encode(&Form::from(rejection)).ok()?;
    (bytes.len() <= REJECTION_BYTES_MAX).then_some(bytes)
}

/// What a rejection's form says; `None` when it is longer than any, damaged, or about something that this
/// program does not know.
pub(crate) fn decode(bytes: &[u8]) -> Option<Told> {
    let bytes = Some(bytes).filter(|bytes| bytes.len() <= REJECTION_BYTES_MAX)?;
    wire::decode::<Form<String>>(bytes).ok()?.told()
}

/// A rejection of every kind that the rules know.
#[cfg(test)]
pub(crate) fn of_every_kind() -> Vec<Rejection> {
    let mut all = vec![
        Rejection::TimeWentBack { ledger_ms: u64::MAX },
        Rejection::Nonce { expected: 0 },
        MoneyError::Insufficient { free_wei: 1, needed_wei: u128::MAX }.into(),
        MoneyError::Overflow.into(),
        Rejection::TooEarly { at_ms: 1 },
        Rejection::TooLate { at_ms: 2 },
        Rejection::NotYourMove,
        Rejection::NotBound,
        Rejection::DemandsUsed,
        Rejection::NotWithdrawable,
        Rejection::NothingRefuted,
        Rejection::ModelLimits,
        RefereeError::NotShown.into(),
        RefereeError::MalformedNode.into(),
        RefereeError::OutOfRange.into(),
        RefereeError::BadOperand { operand: 3 }.into(),
        RefereeError::MissingLeaf { operand: u32::MAX }.into(),
        RefereeError::UnreadOperand { operand: 1 }.into(),
        RefereeError::BadState.into(),
    ];
    all.extend(ASKS.map(Rejection::from));
    for word in WORDS.iter().copied() {
        all.push(Rejection::NotAllowed { who: word });
        all.push(Rejection::Unknown { kind: word });
        all.push(Rejection::Exists { kind: word });
        all.push(Rejection::Over { kind: word });
        all.push(Rejection::Waiting { what: word });
        all.extend(WORDS.iter().map(|bounds| Rejection::Terms { name: word, bounds }));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rejection_of_every_kind_is_read_as_it_was_written() {
        for rejection in of_every_kind() {
            let bytes = encode(&rejection).unwrap();
            assert!(bytes.len() < 200, "{} bytes for {rejection:?}", bytes.len());
            assert_eq!(decode(&bytes), Some(Told::Rules(rejection)));
        }
        let malformed = DecodeError::UnknownTag { kind: "Action", tag: 99 };
        for rejection in [malformed.into(), SignatureError::OtherKey.into()] {
            assert_eq!(decode(&encode(&rejection).unwrap()), Some(Told::Bytes));
        }
    }

    #[test]
    fn foreign_words_codes_and_lengths_are_refused() {
        let foreign = |form: &Form<String>| decode(&wire::encode(form).unwrap());
        assert_eq!(foreign(&Form::Over { kind: "invented".to_owned() }), None);
        assert_eq!(foreign(&Form::Ask(10)), None);
        assert_eq!(foreign(&Form::Referee { code: 7, operand: 0 }), None);
        assert_eq!(foreign(&Form::Referee { code: 0, operand: 1 }), None);
        assert_eq!(foreign(&Form::Over { kind: "x".repeat(REJECTION_BYTES_MAX) }), None);
        let whole = encode(&Rejection::NotBound).unwrap();
        assert_eq!(decode(&whole[..whole.len() - 1]), None);
        assert_eq!(decode(&[&whole[..], &[0]].concat()), None);
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_no_rejection_or_one_that_writes_itself_so(bytes: Vec<u8>) {
            if let Some(Told::Rules(rejection)) = decode(&bytes) {
                prop_assert_eq!(encode(&rejection), Some(bytes));
            }
        }
    }

    /// What stands between quotation marks after each `mark` of a text, up to the next `end`.
    fn quoted<'a>(text: &'a str, mark: &str, end: &str) -> Vec<&'a str> {
        let after = text.split(mark).skip(1);
        let parts = after.filter_map(|rest| rest.split(end).next());
        parts.flat_map(|part| part.split('"').skip(1).step_by(2)).collect()
    }

    #[test]
    fn the_words_that_the_settlement_refuses_with_are_the_known_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/src/settlement");
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let whole = std::fs::read_to_string(&path).unwrap();
            let text = whole.split("#[cfg(test)]").next().unwrap();
            for (mark, end) in [
                ("Rejection::", "}"),
                ("let bounds = ", ";"),
                ("let who = ", ";"),
                // Terms of a job that are outside their bounds: names and bounds.
                ("let rows = [", "];"),
                // Who alone may make a move, and what the move is made on.
                ("let only = ", ";"),
                ("rule.check(", ")"),
            ] {
                for word in quoted(text, mark, end) {
                    assert!(known(word).is_some(), "{word:?} of {} is not known", path.display());
                    found.insert(word.to_owned());
                }
            }
        }
        let unused: Vec<_> = WORDS.iter().filter(|word| !found.contains(**word)).collect();
        assert!(unused.is_empty(), "no rejection says {unused:?}");
    }
}
