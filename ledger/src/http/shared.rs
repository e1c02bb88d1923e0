//! What the routes of the ledger's server share: the ledger with its limits, and how answers are made.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::bodies::Budget;
use super::crowd::Crowd;
use super::failure::{Failure, failure};
use super::limits::{Limits, Shares, Source};
use super::parts::{OCTETS, PART_BYTES, answer_in_parts};
use super::places::Places;
use super::readers::Readers;
use super::uploads::Uploads;
use crate::embedded::EmbeddedLedger;

/// What all routes share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) ledger: Arc<EmbeddedLedger>,
    pub(super) uploads: Uploads,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    /// Readers of the state.
    pub(super) readers: Readers,
    /// Readers of the log.
    pub(super) followers: Readers,
    /// Those who open, count and remove published states.
    pub(super) librarians: Readers,
    /// Published states that each source is reading.
    pub(super) download_shares: Shares,
    /// Whose connections and uploads are kept.
    pub(super) places: Places,
    /// Places for uploads.
    pub(super) writers: Crowd,
    /// What long answers may hold in memory together.
    pub(super) answers: Budget,
    /// What long pages of the log may hold.
    pub(super) log_pages: Budget,
    /// Places for streams of events, and who has them.
    pub(super) streams: Arc<Semaphore>,
    pub(super) stream_shares: Shares,
    /// Who reads an entry of the log that is long alone.
    pub(super) long_entries: Shares,
}

/// What a route gives.
pub(super) type Answer = Result<Response, Failure>;
/// What was asked for after the path, by name.
pub(super) type Parameters = Query<HashMap<String, String>>;

/// Content of documents.
pub(super) const JSON: &str = "application/json";

/// A short answer that is no text.
pub(super) fn octets(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, OCTETS)], bytes).into_response()
}

/// An answer that may be long: beyond one part it has its room in a budget, for as long as it is taken and no
/// longer than its length excuses; `None` when there is no room.
pub(super) fn answered(
    budget: &Budget,
    source: Source,
    kind: &'static str,
    bytes: Vec<u8>,
) -> Option<Response> {
    if bytes.len() <= PART_BYTES {
        return Some(([(header::CONTENT_TYPE, kind)], bytes).into_response());
    }
    let room = budget.room(bytes.len(), source)?;
    Some(from_memory(kind, bytes, room))
}

/// An answer part by part of bytes in memory; `held` is let go of when it was taken or its reader is gone.
pub(super) fn from_memory(
    kind: &'static str,
    bytes: Vec<u8>,
    held: impl Send + 'static,
) -> Response {
    answer_in_parts(kind, bytes.len() as u64, held, move |from| {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        let end = from.saturating_add(PART_BYTES).min(bytes.len());
        Ok(bytes.get(from..end).unwrap_or_default().to_vec())
    })
}

/// A number that is asked for by name; `None` when it is not there.
///
/// # Errors
/// When it is something else than a number.
pub(super) fn number(query: &HashMap<String, String>, name: &str) -> Result<Option<u64>, Failure> {
    let wrong = || failure(StatusCode::BAD_REQUEST, "malformed", format!("{name} is not a number"));
    query.get(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
}
