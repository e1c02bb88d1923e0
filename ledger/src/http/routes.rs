//! The routes of the ledger's server: decode, ask the ledger, encode.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as StreamEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use protocol::encoding::Canonical as _;
use protocol::hash::{Digest, parse_hex};
use protocol::transaction::{Address, Domain, SignedTransaction};
use serde_json::json;

use super::bodies::{announced, discard, hand_on};
use super::documents::{self, address, digest};
use super::failure::{Failure, busy, failure, no_room};
use super::limits::Source;
use super::parts::{OCTETS, PART_BYTES, Received, answer_in_parts};
use super::places::{PLACE_TIME_MAX, worth_wei};
use super::shared::{Answer, JSON, Parameters, Shared, answered, from_memory, number, octets};
use super::uploads::{UploadRefusal, needed};
use super::{LogPage, SIGNATURE_HEADER, views};
use crate::recent::RECENT_MAX;
use crate::{Ledger as _, wire};

pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/transactions", post(submit))
        .route("/v1/inputs/{root}/{account}", put(upload).get(download))
        .route("/v1/places/{account}", put(place))
        .route("/v1/genesis", get(genesis))
        .route("/v1/log", get(log))
        .route("/v1/head", get(documents::head))
        .route("/v1/events", get(events))
        .route("/v1/status", get(documents::status))
        .route("/v1/jobs", get(documents::jobs))
        .route("/v1/jobs/{id}", get(documents::job))
        .route("/v1/claims", get(documents::claims))
        .route("/v1/claims/{id}", get(documents::claim))
        .route("/v1/challenges", get(documents::challenges))
        .route("/v1/challenges/{id}", get(documents::challenge))
        .route("/v1/models/{root}", get(documents::model))
        .route("/v1/accounts/{address}", get(documents::account))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(openapi))
        .route("/", get(page))
        .fallback(async || {
            failure(StatusCode::NOT_FOUND, "not-found", "no such path; see /openapi.json")
        })
        .with_state(shared)
}

async fn submit(State(shared): State<Shared>, source: Source, body: Body) -> Answer {
    // Held until it is answered: what waits in the queue is in memory as well.
    let held = shared.budget.read(body, shared.limits.transaction_bytes, source).await?;
    let transaction = SignedTransaction::from_canonical(&held.bytes)
        .map_err(|error| failure(StatusCode::BAD_REQUEST, "malformed", error.to_string()))?;
    let receipt = shared.ledger.submit(transaction).await?;
    Ok(axum::Json(views::receipt(&receipt)).into_response())
}

async fn genesis(State(shared): State<Shared>) -> Response {
    octets(shared.ledger.genesis().to_canonical())
}

/// The part of all long pages of the log that one source may have.
pub(super) const LOG_SHARES: usize = 64;

/// Bytes of entries in one page, unless one entry alone is longer.
const PAGE_BYTES: usize = 1 << 20;

async fn log(State(shared): State<Shared>, source: Source, Query(query): Parameters) -> Answer {
    let after = number(&query, "after")?.unwrap_or(0);
    let wait = Duration::from_millis(number(&query, "wait_ms")?.unwrap_or(0));
    let wait = wait.min(shared.limits.poll);
    if !wait.is_zero() {
        // Nothing new in time is an answer too: the clock.
        if let Ok(ended) = tokio::time::timeout(wait, shared.ledger.wait_beyond(after)).await {
            ended?;
        }
    }
    let (now_ms, height) = {
        // Not held while it waits: a state that somebody holds is copied at the next transaction.
        let view = shared.ledger.view().await?;
        (view.now_ms, view.height)
    };
    let page = async |bytes: usize| {
        let ledger = Arc::clone(&shared.ledger);
        // Nothing new is the answer of every long poll that ran out: no thread is needed for it.
        let entries = if height <= after {
            Vec::new()
        } else {
            let read = move || ledger.entries_after(after, bytes);
            shared.followers.run(source, read).await??
        };
        wire::encode(&LogPage { now_ms, height, entries }).map_err(|error| {
            failure(StatusCode::INTERNAL_SERVER_ERROR, "encoding", error.to_string())
        })
    };
    if let Some(long) = answered(&shared.log_pages, source, OCTETS, page(PAGE_BYTES).await?) {
        return Ok(long);
    }
    // Whoever follows must come on, however much others hold: in small steps then, and over an entry that is
    // long alone one at a time.
    let held = shared.long_entries.take(source, 1, 1);
    let short = page(PART_BYTES / 2).await?;
    if short.len() <= PART_BYTES {
        Ok(octets(short))
    } else {
        held.map(|held| from_memory(OCTETS, short, held)).ok_or_else(no_room)
    }
}

/// The part of all streams that one source may have, and how many it may have in any case.
const STREAMS_SHARE: usize = 16;
const STREAMS_OF_ONE_MIN: usize = 4;

/// Receipts read at a time for a stream; of old ones many, for each page of them costs a replay.
const EVENTS_PAGE: usize = 256;
const OLD_EVENTS_PAGE: usize = 2_048;
/// A reader that takes nothing for so long is let go.
const EVENTS_PATIENCE: Duration = Duration::from_secs(30);

/// Receipts as server-sent events, numbered by height: a client that lost the connection goes on
/// after the last it saw.
async fn events(
    State(shared): State<Shared>,
    source: Source,
    headers: HeaderMap,
    Query(query): Parameters,
) -> Result<Sse<impl futures_core::Stream<Item = Result<StreamEvent, Infallible>>>, Failure> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let after = match last {
        Some(height) => height,
        None => number(&query, "after")?.unwrap_or(0),
    };
    let place = Arc::clone(&shared.streams).try_acquire_owned().ok();
    let most = (shared.limits.streams / STREAMS_SHARE).max(STREAMS_OF_ONE_MIN);
    let place = place.zip(shared.stream_shares.take(source, 1, most));
    let place = place.ok_or_else(|| busy("as many streams of events are open as can be"))?;
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let _place = place;
        let mut after = after;
        loop {
            let Ok(view) = shared.ledger.view().await else {
                return;
            };
            let page = if view.height.saturating_sub(after) > RECENT_MAX as u64 {
                OLD_EVENTS_PAGE
            } else {
                EVENTS_PAGE
            };
            drop(view);
            let Ok(receipts) = shared.ledger.events_after(after, page).await else {
                return;
            };
            if receipts.is_empty() {
                // A reader that went away while nothing happened must not be waited for.
                tokio::select! {
                    () = sender.closed() => return,
                    reached = shared.ledger.wait_beyond(after) => if reached.is_err() {
                        return;
                    },
                }
            }
            for receipt in receipts {
                after = receipt.height;
                let data = views::receipt(&receipt).to_string();
                let event =
                    StreamEvent::default().id(after.to_string()).event("receipt").data(data);
                // The reader went away, or reads nothing.
                let sent = tokio::time::timeout(EVENTS_PATIENCE, sender.send(Ok(event))).await;
                if !sent.is_ok_and(|sent| sent.is_ok()) {
                    return;
                }
            }
        }
    });
    Ok(Sse::new(Received(receiver)).keep_alive(KeepAlive::default()))
}

/// Takes a state from an account of this ledger that signed where it goes and how long it is; nothing of
/// it is read before signature, account and room are known to be good.
async fn upload(
    State(shared): State<Shared>,
    Path((root, account)): Path<(String, String)>,
    source: Source,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (root, account) = (digest(&root)?, address(&account)?);
    let length = announced(&headers, shared.limits.upload_bytes)?;
    let covered = shared.ledger.genesis().domain().upload_digest(account, &root, length);
    signed(&headers, account, &covered)?;
    if !shared.ledger.view().await?.settlement.money().knows(&account) {
        return Err(unauthorised("the account has nothing on this ledger; deposit first"));
    }
    let uploads = shared.uploads.clone();
    let known = uploads.clone();
    if shared.librarians.run(source, move || known.holds(&root, &account)).await? {
        // It is there, whole: what comes again is read and not kept, and it is as if it came now.
        discard(body, length).await?;
        if shared.librarians.run(source, move || uploads.touch(&root, &account)).await? {
            return Ok(axum::Json(json!({ "schema": views::SCHEMA })).into_response());
        }
        return Err(busy("the state was removed meanwhile; send it again"));
    }
    // At the account's bound it reads the folder and all jobs.
    let (counted, view) = (uploads.clone(), shared.ledger.view().await?);
    let reserve = move || counted.reserve(account, length, || needed(&view.settlement));
    let reservation = shared.librarians.run(source, reserve).await?.map_err(not_taken)?;
    // Each has a thread until it ends: few for one source, and who has most gives one up to who has fewer.
    let seat = shared.writers.seat(source, WRITERS_OF_ONE_MAX);
    let seat = seat.ok_or_else(|| busy("as many uploads as can be are under way"))?;
    let (parts, received) = tokio::sync::mpsc::channel(4);
    let writing = tokio::task::spawn_blocking(move || uploads.write(&root, reservation, received));
    let handed = tokio::select! {
        handed = hand_on(body, length, parts) => handed,
        () = seat.ended.notified() => Err(busy("others wait for this upload's place; send it again")),
    };
    let written = writing.await.map_err(|error| {
        failure(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    })?;
    handed?;
    written.map_err(not_taken)?;
    Ok((StatusCode::CREATED, axum::Json(json!({ "schema": views::SCHEMA }))).into_response())
}

fn unauthorised(reason: &str) -> Failure {
    failure(StatusCode::FORBIDDEN, "unauthorised", reason)
}

/// Checks the signature in the head of a request.
fn signed(headers: &HeaderMap, account: Address, covered: &Digest) -> Result<(), Failure> {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    let signature =
        signature.and_then(parse_hex).and_then(|bytes| <[u8; 65]>::try_from(bytes).ok());
    let signature =
        signature.ok_or_else(|| unauthorised("the header rebut-signature is missing"))?;
    Domain::verify_digest(covered, account, &signature)
        .map_err(|error| unauthorised(&error.to_string()))
}

/// Keeps the connections of the address that asks when there are too many, for an account with money.
async fn place(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    source: Source,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Answer {
    let account = address(&account)?;
    let until_ms = number(&query, "until_ms")?.unwrap_or(0);
    let covered = shared.ledger.genesis().domain().place_digest(account, until_ms);
    signed(&headers, account, &covered)?;
    let view = shared.ledger.view().await?;
    let time = Duration::from_millis(until_ms.saturating_sub(view.now_ms));
    if time.is_zero() || time > PLACE_TIME_MAX {
        let most_ms = PLACE_TIME_MAX.as_millis();
        let message =
            format!("until_ms is over, or more than {most_ms} ms after the ledger's time");
        return Err(failure(StatusCode::BAD_REQUEST, "malformed", message));
    }
    let wei = worth_wei(&view.settlement, &account);
    if wei < view.settlement.parameters().transfer_wei_min.max(1) {
        return Err(unauthorised("the account has nothing on this ledger; deposit first"));
    }
    if !shared.places.take(source, account, wei, time, Instant::now()) {
        return Err(busy("all places are taken by accounts with more money"));
    }
    Ok(axum::Json(json!({ "schema": views::SCHEMA, "until_ms": until_ms })).into_response())
}

/// Uploads of one source at a time.
const WRITERS_OF_ONE_MAX: usize = 16;
/// Uploads at a time.
pub(super) const WRITERS_MAX: usize = 128;

fn not_taken(refusal: UploadRefusal) -> Failure {
    let message = refusal.to_string();
    match refusal {
        UploadRefusal::AtOnce | UploadRefusal::Tidying => {
            failure(StatusCode::TOO_MANY_REQUESTS, "busy", message)
        }
        UploadRefusal::Account { .. } => {
            failure(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
        }
        UploadRefusal::Cut | UploadRefusal::State(_) | UploadRefusal::OtherRoot { .. } => {
            failure(StatusCode::BAD_REQUEST, "malformed", message)
        }
        UploadRefusal::All { .. } | UploadRefusal::DiskReserve | UploadRefusal::Disk(_) => {
            failure(StatusCode::INSUFFICIENT_STORAGE, "storage", message)
        }
    }
}

/// States that one source reads at a time.
const DOWNLOADS_OF_ONE_MAX: usize = 64;

/// Sends a published state from the disk part by part.
async fn download(
    State(shared): State<Shared>,
    source: Source,
    Path((root, account)): Path<(String, String)>,
) -> Answer {
    let (root, account) = (digest(&root)?, address(&account)?);
    let share = shared.download_shares.take(source, 1, DOWNLOADS_OF_ONE_MAX);
    let share =
        share.ok_or_else(|| busy("as many states as one address may read are being read"))?;
    let missing =
        || failure(StatusCode::NOT_FOUND, "not-found", "the account has not published this");
    let path = shared.uploads.file(&root, &account);
    let opened = shared.librarians.run(source, move || {
        let file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        Ok::<_, std::io::Error>((file, length))
    });
    let (mut file, length) = opened.await?.map_err(|_| missing())?;
    Ok(answer_in_parts(OCTETS, length, share, move |_| {
        use std::io::Read as _;
        let mut part = Vec::new();
        (&mut file).take(PART_BYTES as u64).read_to_end(&mut part)?;
        Ok(part)
    }))
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
    ([(header::CONTENT_TYPE, JSON)], include_str!("openapi.json")).into_response()
}
