//! What a server says when it does not do as asked, and what of it is believed.

use std::time::{Duration, Instant};

use protocol::hash::parse_hex;
use protocol::settlement::{Rejection, Settlement};
use protocol::transaction::SignedTransaction;
use reqwest::StatusCode;

use crate::rejection::{self, Told};
use crate::{LedgerError, words};

/// Bytes of a refusal that are read; one that is longer says nothing that a program can use.
const REFUSAL_BYTES_MAX: usize = 4096;

/// After a false reason every one is held against the rules for so long.
const DISTRUSTED_FOR: Duration = Duration::from_secs(60);
/// A server's reason for a refusal is held against the rules this often.
const CHECKED_EVERY: Duration = Duration::from_secs(1);
/// When a server's refusals were held against the rules.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// The last time.
    last: Option<Instant>,
    /// The last time that the rules took what it refused.
    pub(super) false_one: Option<Instant>,
}

impl Checks {
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let within = |at: Option<Instant>, time| {
            at.is_some_and(|at| now.saturating_duration_since(at) < time)
        };
        let is_due = !within(self.last, CHECKED_EVERY) || within(self.false_one, DISTRUSTED_FOR);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

/// A refusal as it came.
#[derive(Debug)]
pub(super) struct Said {
    /// Status, and the message where there is one.
    text: String,
    /// What its typed form says, where there is one that can be read.
    told: Option<Told>,
}

impl Said {
    fn of(status: StatusCode, body: &[u8]) -> Self {
        let parsed = serde_json::from_slice::<serde_json::Value>(body).ok();
        let field = |name: &str| parsed.as_ref().and_then(|body| body["error"][name].as_str());
        let message = field("message").map(str::to_owned);
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        let told = field("rejection").and_then(parse_hex);
        let told = told.and_then(|bytes| rejection::decode(&bytes));
        Self { text: format!("{status}: {}", words::printable(&message)), told }
    }
}

/// Reads a refusal, as far as one is read.
pub(super) async fn refused(mut answer: reqwest::Response) -> Said {
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Ok(Some(part)) = answer.chunk().await {
        bytes.extend_from_slice(&part);
        if bytes.len() > REFUSAL_BYTES_MAX {
            break;
        }
    }
    Said::of(status, &bytes)
}

/// What a server said with a refusal: status, and its message where it has one.
pub(super) async fn said(answer: reqwest::Response) -> String {
    refused(answer).await.text
}

/// Why a transaction was refused that the log, as `settlement` has it, does not show.
///
/// What is wrong with its own bytes is found here. With `must_check` the rest is asked of the rules, on a copy of the
/// state at `now_ms`: a server that refuses what they take is as good as one that is not reached, and nobody is to
/// believe its reason. Without, its typed word is taken as far as it is not plainly false: a copy of a large state
/// for each of many refusals is dear. Without such a word, as from a server of another version, the rules are asked.
pub(super) fn why_refused(
    url: &str,
    (settlement, now_ms): (&Settlement, u64),
    transaction: &SignedTransaction,
    said: Said,
    must_check: bool,
) -> LedgerError {
    if let Err(rejection) = own_fault(settlement, transaction) {
        return LedgerError::Rejected(rejection);
    }
    match said.told {
        Some(Told::Rules(rejection))
            if !must_check && can_be(settlement, transaction, &rejection) =>
        {
            LedgerError::Rejected(rejection)
        }
        Some(Told::Rules(_) | Told::Bytes) | None => {
            match settlement.clone().apply(now_ms, transaction) {
                Err(rejection) => LedgerError::Rejected(rejection),
                Ok(_) => LedgerError::Unreachable { url: url.to_owned(), reason: said.text },
            }
        }
    }
}

/// What is wrong with a transaction whatever the state is.
fn own_fault(settlement: &Settlement, transaction: &SignedTransaction) -> Result<(), Rejection> {
    transaction.decode_action()?;
    Ok(settlement.domain().verify(transaction)?)
}

/// Whether the rules can have refused so, as far as it is seen at once.
fn can_be(settlement: &Settlement, transaction: &SignedTransaction, rejection: &Rejection) -> bool {
    match rejection {
        // The log was read after the refusal: the nonce that was next then is no later than the next one now.
        Rejection::Nonce { expected } => {
            *expected != transaction.nonce && *expected <= settlement.nonce(&transaction.sender)
        }
        _ => transaction.nonce <= settlement.nonce(&transaction.sender),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;
    use http_body_util::BodyExt as _;
    use protocol::hash::Digest;
    use protocol::settlement::{Genesis, MoneyError, Parameters};
    use protocol::transaction::{Action, Key};

    use crate::http::Failure;
    use crate::rejection::of_every_kind;

    const URL: &str = "http://ledger";

    fn key() -> Key {
        Key::from_secret(&[1; 32]).unwrap()
    }

    fn settlement() -> Settlement {
        let salt = Digest::default();
        let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
        let bank = key().address();
        Settlement::new(Genesis { chain_id: 1, salt, begun_ms: 0, bank, parameters }).unwrap()
    }

    fn signed(settlement: &Settlement, nonce: u64) -> SignedTransaction {
        let action = Action::Withdraw { amount_wei: 1 };
        key().sign(&settlement.domain(), nonce, &action)
    }

    /// A refusal as the server sends it and the client reads it.
    async fn through(error: LedgerError) -> Said {
        let response = Failure::from(error).into_response();
        let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.len() < REFUSAL_BYTES_MAX, "{} bytes", body.len());
        Said::of(status, &body)
    }

    #[tokio::test]
    async fn a_rejection_of_every_kind_goes_through() {
        let state = settlement();
        for rejection in of_every_kind() {
            let nonce = u64::from(matches!(rejection, Rejection::Nonce { .. }));
            let said = through(LedgerError::Rejected(rejection.clone())).await;
            let text =
                format!("422 Unprocessable Entity: {}", LedgerError::Rejected(rejection.clone()));
            assert_eq!(said.text, text);
            let error = why_refused(URL, (&state, 1), &signed(&state, nonce), said, false);
            assert_eq!(error, LedgerError::Rejected(rejection));
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_bytes_is_found_without_the_server_s_word() {
        let state = settlement();
        let mut forged = signed(&state, 0);
        forged.sender.0[0] ^= 1;
        let mut malformed = signed(&state, 0);
        malformed.action.push(0);
        for (transaction, said) in [
            (&forged, through(LedgerError::Rejected(Rejection::NotBound)).await),
            (&malformed, Said::of(StatusCode::UNPROCESSABLE_ENTITY, b"")),
        ] {
            let expected = own_fault(&state, transaction).unwrap_err();
            assert!(matches!(expected, Rejection::Signature(_) | Rejection::Malformed(_)));
            let error = why_refused(URL, (&state, 1), transaction, said, false);
            assert_eq!(error, LedgerError::Rejected(expected));
        }
    }

    #[tokio::test]
    async fn audit_a10_without_a_readable_and_possible_reason_the_rules_are_asked_here() {
        let state = settlement();
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let refusals = async || {
            let malformed = SignedTransaction { action: vec![0], ..signed(&state, 0) };
            let malformed = own_fault(&state, &malformed).unwrap_err();
            [
                Said::of(status, b"no"),
                Said::of(status, br#"{"error":{"message":"no"}}"#),
                Said::of(status, br#"{"error":{"message":"no","rejection":"0x00"}}"#),
                Said::of(status, br#"{"error":{"message":"no","rejection":7}}"#),
                // Its bytes are right, it has the next nonce, and none above was ever the next.
                through(LedgerError::Rejected(malformed)).await,
                through(LedgerError::Rejected(Rejection::Nonce { expected: 0 })).await,
                through(LedgerError::Rejected(Rejection::Nonce { expected: 9 })).await,
            ]
        };
        // What the rules refuse is refused, with their reason.
        let money = MoneyError::Insufficient { free_wei: 0, needed_wei: 1 };
        for said in refusals().await {
            let error = why_refused(URL, (&state, 1), &signed(&state, 0), said, false);
            assert_eq!(error, LedgerError::Rejected(money.into()));
        }
        // What they accept, the server withholds: whether it comes is not known.
        let action = Action::Deposit { account: key().address(), amount_wei: 1 };
        let right = key().sign(&state.domain(), 0, &action);
        for said in refusals().await {
            let reason = said.text.clone();
            let error = why_refused(URL, (&state, 1), &right, said, false);
            assert_eq!(error, LedgerError::Unreachable { url: URL.to_owned(), reason });
        }
        // A nonce that is not reached can be refused for that alone.
        let said = through(LedgerError::Rejected(Rejection::NotBound)).await;
        let error = why_refused(URL, (&state, 1), &signed(&state, 3), said, false);
        assert_eq!(error, LedgerError::Rejected(Rejection::Nonce { expected: 0 }));
    }

    #[tokio::test]
    async fn audit_a10_a_reason_that_the_rules_do_not_have_is_not_believed_when_it_is_checked() {
        let state = settlement();
        let action = Action::Deposit { account: key().address(), amount_wei: 1 };
        let right = key().sign(&state.domain(), 0, &action);
        let said = || through(LedgerError::Rejected(Rejection::TooLate { at_ms: 7 }));
        // A server that withholds a move is one that does not serve: that is loud.
        let error = why_refused(URL, (&state, 1), &right, said().await, true);
        assert!(matches!(error, LedgerError::Unreachable { .. }), "{error}");
        // And where the rules refuse as well, theirs is the reason.
        let error = why_refused(URL, (&state, 1), &signed(&state, 0), said().await, true);
        let money = MoneyError::Insufficient { free_wei: 0, needed_wei: 1 };
        assert_eq!(error, LedgerError::Rejected(money.into()));
    }
}
