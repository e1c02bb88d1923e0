//! Answers that are not what was asked for: the lowest of the server's modules, which all others may use.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::hash::to_hex;
use serde_json::json;

use super::views;
use crate::{LedgerError, rejection};

/// An answer that is not what was asked for: `{"schema": 5, "error": {"kind": …, "message": …}}`, and in
/// `error` for programs, where the protocol's rules refused a transaction, the `code` of the rejection and the whole
/// `rejection`.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// Number of a rejection.
    code: Option<u16>,
    /// A rejection in its form for the wire.
    rejection: Option<Vec<u8>>,
}

/// A failure with a status, a stable name of its kind, and what would help.
pub fn failure(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Failure {
    Failure { status, kind, message: message.into(), code: None, rejection: None }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut error = json!({ "kind": self.kind, "message": self.message });
        if let Some(code) = self.code {
            error["code"] = code.into();
        }
        if let Some(rejection) = self.rejection {
            error["rejection"] = to_hex(&rejection).into();
        }
        let body = json!({ "schema": views::SCHEMA, "error": error });
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let message = error.to_string();
        match error {
            LedgerError::Rejected(rejection) => Self {
                code: Some(rejection.code()),
                rejection: rejection::encode(&rejection),
                ..failure(StatusCode::UNPROCESSABLE_ENTITY, "rejected", message)
            },
            LedgerError::Unusable { .. } => failure(StatusCode::BAD_REQUEST, "unusable", message),
            LedgerError::Busy { .. } => failure(StatusCode::SERVICE_UNAVAILABLE, "busy", message),
            LedgerError::Store(_) | LedgerError::Stopped | LedgerError::Unreachable { .. } => {
                failure(StatusCode::SERVICE_UNAVAILABLE, "ledger", message)
            }
        }
    }
}

/// The server has no room now: counted, because whoever is refused so may be losing a dispute.
pub(super) fn busy(message: &str) -> Failure {
    metrics::counter!("rebut_http_busy_total").increment(1);
    failure(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
}

/// What a budget's bodies and answers hold leaves no room for one more.
pub(super) fn no_room() -> Failure {
    busy("the server holds as much as it has memory for; try again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use protocol::settlement::Rejection;
    use serde_json::Value;

    use crate::rejection::of_every_kind;

    async fn body(failure: Failure) -> Value {
        let body = failure.into_response().into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_by_the_rules_has_the_number_of_its_kind_and_another_failure_none() {
        for rejection in of_every_kind() {
            let code = rejection.code();
            assert!(Rejection::CODES.iter().any(|(known, _)| *known == code), "{code}");
            let body = body(LedgerError::Rejected(rejection).into()).await;
            assert_eq!((&body["schema"], &body["error"]["code"]), (&5.into(), &code.into()));
        }
        let body = body(busy("no room")).await;
        assert_eq!(
            body["error"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["kind", "message"]
        );
    }
}
