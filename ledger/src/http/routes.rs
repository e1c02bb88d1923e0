//! The routes of the ledger's server: decode, ask the ledger, encode.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as StreamEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use protocol::encoding::Canonical as _;
use protocol::hash::{Digest, keccak, parse_digest, parse_hex};
use protocol::transaction::{Address, Domain, SignedTransaction};
use serde_json::{Value, json};

use super::limits::Limits;
use super::uploads::Uploads;
use super::{LogPage, SIGNATURE_HEADER, views};
use crate::embedded::EmbeddedLedger;
use crate::{Ledger as _, LedgerError, View, wire};

/// What all routes share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) ledger: Arc<EmbeddedLedger>,
    pub(super) uploads: Uploads,
    pub(super) limits: Limits,
}

/// An answer that is not what was asked for: `{"schema": 1, "error": {"kind": …, "message": …}}`.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

/// A failure with a status, a stable name of its kind, and what would help.
pub fn failure(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Failure {
    Failure { status, kind, message: message.into() }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "schema": views::SCHEMA, "error": { "kind": self.kind, "message": self.message } });
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let message = error.to_string();
        match error {
            LedgerError::Rejected(_) => {
                failure(StatusCode::UNPROCESSABLE_ENTITY, "rejected", message)
            }
            LedgerError::Unusable { .. } => failure(StatusCode::BAD_REQUEST, "unusable", message),
            LedgerError::Store(_) | LedgerError::Stopped | LedgerError::Unreachable { .. } => {
                failure(StatusCode::SERVICE_UNAVAILABLE, "ledger", message)
            }
        }
    }
}

type Answer = Result<Response, Failure>;
type Parameters = Query<HashMap<String, String>>;

pub(super) fn router(shared: Shared) -> Router {
    let limits = shared.limits;
    Router::new()
        .route("/v1/transactions", post(submit))
        .layer(DefaultBodyLimit::max(limits.transaction_bytes))
        .merge(
            Router::new()
                .route("/v1/inputs/{root}/{account}", put(upload).get(download))
                .layer(DefaultBodyLimit::max(limits.upload_bytes)),
        )
        .route("/v1/genesis", get(genesis))
        .route("/v1/log", get(log))
        .route("/v1/events", get(events))
        .route("/v1/status", get(status))
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{id}", get(job))
        .route("/v1/claims", get(claims))
        .route("/v1/claims/{id}", get(claim))
        .route("/v1/challenges", get(challenges))
        .route("/v1/accounts/{address}", get(account))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(openapi))
        .route("/", get(page))
        .fallback(async || {
            failure(StatusCode::NOT_FOUND, "not-found", "no such path; see /openapi.json")
        })
        .with_state(shared)
}

fn octets(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

async fn submit(State(shared): State<Shared>, body: Bytes) -> Answer {
    let transaction = SignedTransaction::from_canonical(&body)
        .map_err(|error| failure(StatusCode::BAD_REQUEST, "malformed", error.to_string()))?;
    let receipt = shared.ledger.submit(transaction).await?;
    Ok(axum::Json(views::receipt(&receipt)).into_response())
}

async fn genesis(State(shared): State<Shared>) -> Response {
    octets(shared.ledger.genesis().to_canonical())
}

fn number(query: &HashMap<String, String>, name: &str) -> Result<Option<u64>, Failure> {
    let wrong = || failure(StatusCode::BAD_REQUEST, "malformed", format!("{name} is not a number"));
    query.get(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
}

/// Bytes of entries in one page, unless one entry alone is longer.
const PAGE_BYTES: usize = 1 << 20;

async fn log(State(shared): State<Shared>, Query(query): Parameters) -> Answer {
    let after = number(&query, "after")?.unwrap_or(0);
    let wait = Duration::from_millis(number(&query, "wait_ms")?.unwrap_or(0));
    let wait = wait.min(shared.limits.poll);
    if !wait.is_zero() {
        // Nothing new in time is an answer too: the clock.
        if let Ok(ended) = tokio::time::timeout(wait, shared.ledger.wait_beyond(after)).await {
            ended?;
        }
    }
    let view = shared.ledger.view().await?;
    let entries = shared.ledger.entries_after(after, PAGE_BYTES)?;
    let page = LogPage { now_ms: view.now_ms, height: view.height, entries };
    let bytes = wire::encode(&page);
    bytes
        .map(octets)
        .map_err(|error| failure(StatusCode::INTERNAL_SERVER_ERROR, "encoding", error.to_string()))
}

/// Receipts read at a time for a stream: reading old ones costs a replay for each page.
const EVENTS_PAGE: usize = 16_384;

/// Receipts as server-sent events, numbered by height: a client that lost the connection goes on
/// behind the last it saw.
async fn events(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(query): Parameters,
) -> Result<Sse<impl futures_core::Stream<Item = Result<StreamEvent, Infallible>>>, Failure> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let after = match last {
        Some(height) => height,
        None => number(&query, "after")?.unwrap_or(0),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let mut after = after;
        loop {
            let Ok(receipts) = shared.ledger.events_after(after, EVENTS_PAGE).await else {
                return;
            };
            if receipts.is_empty() && shared.ledger.wait_beyond(after).await.is_err() {
                return;
            }
            for receipt in receipts {
                after = receipt.height;
                let data = views::receipt(&receipt).to_string();
                let event =
                    StreamEvent::default().id(after.to_string()).event("receipt").data(data);
                // The reader went away.
                if sender.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(Sse::new(Receipts(receiver)).keep_alive(KeepAlive::default()))
}

struct Receipts(tokio::sync::mpsc::Receiver<Result<StreamEvent, Infallible>>);

impl futures_core::Stream for Receipts {
    type Item = Result<StreamEvent, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// The state now, or after `?height=`.
async fn view_of(shared: &Shared, query: &HashMap<String, String>) -> Result<View, Failure> {
    Ok(match number(query, "height")? {
        None => shared.ledger.view().await?,
        Some(height) => shared.ledger.view_at(height).await?,
    })
}

async fn status(State(shared): State<Shared>, Query(query): Parameters) -> Answer {
    let view = view_of(&shared, &query).await?;
    Ok(axum::Json(views::status(&view)).into_response())
}

fn listed(
    view: &View,
    query: &HashMap<String, String>,
    all: impl Iterator<Item = Value>,
) -> Answer {
    let skip = number(query, "skip")?.unwrap_or(0) as usize;
    let limit = number(query, "limit")?.unwrap_or(100).min(1_000) as usize;
    let wanted = |item: &Value| {
        query.get("status").is_none_or(|status| item["status"].as_str() == Some(status))
    };
    let items = all.filter(wanted).skip(skip).take(limit).collect();
    Ok(axum::Json(views::Listed::new(view, items)).into_response())
}

async fn jobs(State(shared): State<Shared>, Query(query): Parameters) -> Answer {
    let view = view_of(&shared, &query).await?;
    listed(&view, &query, view.settlement.jobs().map(|(id, job)| views::job(&id.to_string(), job)))
}

async fn claims(State(shared): State<Shared>, Query(query): Parameters) -> Answer {
    let view = view_of(&shared, &query).await?;
    let all = view.settlement.claims();
    listed(&view, &query, all.map(|(id, claim)| views::claim(&id.to_string(), claim)))
}

async fn challenges(State(shared): State<Shared>, Query(query): Parameters) -> Answer {
    let view = view_of(&shared, &query).await?;
    let settlement = &view.settlement;
    let all = settlement.challenges();
    listed(&view, &query, all.map(|(id, one)| views::challenge(&id.to_string(), one, settlement)))
}

fn digest(text: &str) -> Result<Digest, Failure> {
    parse_digest(text).ok_or_else(|| {
        failure(StatusCode::BAD_REQUEST, "malformed", format!("{text} is not 0x and 64 digits"))
    })
}

fn address(text: &str) -> Result<Address, Failure> {
    let bytes = parse_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Address).ok_or_else(|| {
        failure(StatusCode::BAD_REQUEST, "malformed", format!("{text} is not 0x and 40 digits"))
    })
}

fn missing(what: &str) -> Failure {
    failure(StatusCode::NOT_FOUND, "not-found", format!("the ledger has no such {what}"))
}

async fn job(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let (view, root) = (view_of(&shared, &query).await?, digest(&id)?);
    let job = view.settlement.job(&root).ok_or_else(|| missing("job"))?;
    Ok(axum::Json(views::job(&id, job)).into_response())
}

async fn claim(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let (view, root) = (view_of(&shared, &query).await?, digest(&id)?);
    let claim = view.settlement.claim(&root).ok_or_else(|| missing("claim"))?;
    Ok(axum::Json(views::claim(&id, claim)).into_response())
}

async fn account(
    State(shared): State<Shared>,
    Path(text): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let (view, account) = (view_of(&shared, &query).await?, address(&text)?);
    let settlement = &view.settlement;
    Ok(axum::Json(json!({
        "schema": views::SCHEMA, "account": account.to_string(),
        "free_wei": settlement.money().free_wei(&account).to_string(),
        "nonce": settlement.nonce(&account),
    }))
    .into_response())
}

/// Takes a state from an account of this ledger that signed it.
async fn upload(
    State(shared): State<Shared>,
    Path((root, account)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (root, account) = (digest(&root)?, address(&account)?);
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    let signature =
        signature.and_then(parse_hex).and_then(|bytes| <[u8; 65]>::try_from(bytes).ok());
    let refused = |reason: &str| failure(StatusCode::FORBIDDEN, "unauthorised", reason);
    let signature = signature.ok_or_else(|| refused("the header rebut-signature is missing"))?;
    let view = shared.ledger.view().await?;
    let covered = view.settlement.domain().upload_digest(account, &root, &keccak(&body));
    Domain::verify_digest(&covered, account, &signature)
        .map_err(|error| refused(&error.to_string()))?;
    let known =
        view.settlement.money().free_wei(&account) > 0 || view.settlement.nonce(&account) > 0;
    if !known {
        return Err(refused("the account has nothing on this ledger; deposit first"));
    }
    let io = |error: std::io::Error| {
        failure(StatusCode::INSUFFICIENT_STORAGE, "storage", error.to_string())
    };
    let limit = shared.limits.account_bytes;
    let written = tokio::task::spawn_blocking(move || {
        let used = shared.uploads.used(&account).map_err(io)?;
        if used.saturating_add(body.len() as u64) > limit {
            let message = format!("the account's uploads would be over {limit} bytes");
            return Err(failure(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message));
        }
        shared.uploads.write(&root, &account, &body).map_err(io)
    });
    written.await.map_err(|error| io(std::io::Error::other(error)))??;
    Ok((StatusCode::CREATED, axum::Json(json!({ "schema": views::SCHEMA }))).into_response())
}

async fn download(
    State(shared): State<Shared>,
    Path((root, account)): Path<(String, String)>,
) -> Answer {
    let (root, account) = (digest(&root)?, address(&account)?);
    let read = tokio::task::spawn_blocking(move || shared.uploads.read(&root, &account)).await;
    match read {
        Ok(Ok(bytes)) => Ok(octets(bytes)),
        _ => Err(failure(StatusCode::NOT_FOUND, "not-found", "the account has not published this")),
    }
}

async fn ready(State(shared): State<Shared>) -> Answer {
    shared.ledger.view().await?;
    Ok("ready\n".into_response())
}

/// A page for people: no assets from elsewhere, and the browser is told to fetch none.
async fn page() -> Response {
    let policy = "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; \
                  style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("page.html")).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}
