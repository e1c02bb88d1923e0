//! Bodies that are read after their heads were looked at: within a length, and within what all bodies of a
//! server may hold in memory together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use protocol::settlement::Parameters;
use protocol::tensor::LEAF_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::failure::{Failure, failure, no_room};
use super::limits::{Share, Shares, Source};

/// Bytes that one permit stands for.
const UNIT_BYTES: usize = 4 << 10;
/// Bytes of each body that cost no budget, unless a server says other: there are no more such bodies than connections.
const FREE_BYTES: usize = 64 << 10;
/// The budget's part that one source may have.
const SHARE: usize = 16;
/// Time for a body's beginning, and bytes a second that must come after.
const GRACE: Duration = Duration::from_secs(5);
const BYTES_PER_SECOND_MIN: u64 = 50_000;

/// What the long bodies of a server may hold together.
#[derive(Clone, Debug)]
pub struct Budget {
    all: Arc<Semaphore>,
    shares: Shares,
    share_units: usize,
    free_bytes: usize,
}

/// A body in memory; its room in the budget is given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    /// The bytes.
    pub bytes: Vec<u8>,
    room: Vec<(OwnedSemaphorePermit, Share)>,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT_BYTES);
        let (all, share_units) = (Arc::new(Semaphore::new(units)), units.div_ceil(SHARE));
        Self { all, shares: Shares::default(), share_units, free_bytes: FREE_BYTES }
    }

    /// So many bytes of each body cost none of it.
    #[must_use]
    pub(super) fn free(mut self, bytes: usize) -> Self {
        self.free_bytes = bytes;
        self
    }

    /// One source may have this part of it.
    #[must_use]
    pub(super) fn in_shares(mut self, shares: usize) -> Self {
        self.share_units = self.share_units.saturating_mul(SHARE).div_ceil(shares.max(1));
        self
    }

    /// One source may have all of it, because its body is let in for what it proved to be.
    #[must_use]
    pub fn for_known(mut self) -> Self {
        self.share_units = usize::MAX;
        self
    }

    /// Room for so many bytes of a source, if there is any.
    pub(super) fn room(
        &self,
        bytes: usize,
        source: Source,
    ) -> Option<(OwnedSemaphorePermit, Share)> {
        let units = bytes.div_ceil(UNIT_BYTES);
        let share = self.shares.take(source, units, self.share_units)?;
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.all).try_acquire_many_owned(units).ok()?;
        Some((room, share))
    }

    /// Reads a body of `limit` bytes at most; memory is taken as bytes arrive, never as announced, and a
    /// body that comes too slowly is let go.
    ///
    /// # Errors
    /// When it is longer, breaks off, takes too long, or the budget is used up.
    pub async fn read(&self, body: Body, limit: usize, source: Source) -> Result<Held, Failure> {
        let mut held = Held { bytes: Vec::new(), room: Vec::new() };
        let (mut body, begun) = (body, Instant::now());
        let mut paid = self.free_bytes;
        loop {
            let Some(part) = timely(&mut body, begun, held.bytes.len() as u64).await? else {
                return Ok(held);
            };
            let length = held.bytes.len() + part.len();
            if length > limit {
                return Err(too_long(limit as u64));
            }
            if length > paid {
                let more = (length - paid).max(UNIT_BYTES).next_multiple_of(UNIT_BYTES);
                held.room.push(self.room(more, source).ok_or_else(no_room)?);
                paid += more;
            }
            held.bytes.extend_from_slice(&part);
        }
    }
}

/// Bytes of a ledger's transactions that cost no budget: whoever holds all of that keeps no move in a dispute out. The
/// longest is the answer that shows leaves of an input or output.
pub(super) fn free_of_moves(parameters: &Parameters) -> usize {
    let leaves = 1usize.checked_shl(parameters.end_log2).unwrap_or(usize::MAX);
    FREE_BYTES.max(leaves.saturating_mul(LEAF_BYTES)).saturating_add(FREE_BYTES)
}

fn too_long(limit: u64) -> Failure {
    let message = format!("the body is over the limit of {limit} bytes");
    failure(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
}

/// Time for a long body, however slow its way may be.
pub(super) fn time_for(bytes: u64) -> Duration {
    GRACE + Duration::from_millis(bytes / (BYTES_PER_SECOND_MIN / 1_000))
}

/// Until when the next part of a body must have come or gone, after so many bytes since it begun.
pub(super) fn patience(begun: Instant, moved: u64) -> Instant {
    begun + time_for(moved)
}

/// The next part, if the body comes fast enough: so many bytes of it have come since it begun.
async fn timely(body: &mut Body, begun: Instant, received: u64) -> Result<Option<Bytes>, Failure> {
    let part = tokio::time::timeout_at(patience(begun, received), next(body)).await;
    part.map_err(|_| {
        let message = "the body comes too slowly";
        failure(StatusCode::REQUEST_TIMEOUT, "slow", message)
    })?
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    loop {
        let Some(frame) = body.frame().await else {
            return Ok(None);
        };
        let cut = |error: axum::Error| {
            failure(StatusCode::BAD_REQUEST, "cut", format!("the body broke off: {error}"))
        };
        if let Ok(part) = frame.map_err(cut)?.into_data() {
            return Ok(Some(part));
        }
    }
}

/// Length of a body as its head says.
///
/// # Errors
/// When it does not say, or says more than the limit.
pub(super) fn announced(headers: &HeaderMap, limit: u64) -> Result<u64, Failure> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message = "the header content-length is missing";
        failure(StatusCode::LENGTH_REQUIRED, "length-required", message)
    })?;
    if length > limit { Err(too_long(limit)) } else { Ok(length) }
}

/// Hands a body on part by part, `length` bytes at most; ends early when nobody takes it any more.
pub(super) async fn hand_on(
    body: Body,
    length: u64,
    to: mpsc::Sender<Bytes>,
) -> Result<(), Failure> {
    let (mut body, mut left, begun) = (body, length, Instant::now());
    while let Some(part) = timely(&mut body, begun, length - left).await? {
        left = left.checked_sub(part.len() as u64).ok_or_else(|| too_long(length))?;
        if to.send(part).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a body of `length` bytes at most and keeps nothing of it: who sends it hears the answer only
/// after its end.
pub(super) async fn discard(body: Body, length: u64) -> Result<(), Failure> {
    let (mut body, mut left, begun) = (body, length, Instant::now());
    while let Some(part) = timely(&mut body, begun, length - left).await? {
        left = left.checked_sub(part.len() as u64).ok_or_else(|| too_long(length))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_share_a_budget_and_give_it_back() {
        let budget = Budget::new(64 << 10).for_known();
        let body = |bytes: usize| Body::from(vec![7; FREE_BYTES + bytes]);
        let long = 1 << 20;
        let first = budget.read(body(40_000), long, Source::Rest).await.unwrap();
        assert_eq!(first.bytes.len(), FREE_BYTES + 40_000);
        let refused = budget.read(body(40_000), long, Source::Rest).await;
        assert!(refused.is_err());
        drop(first);
        budget.read(body(60_000), long, Source::Rest).await.unwrap();
        assert!(budget.read(body(1), FREE_BYTES, Source::Rest).await.is_err());
        assert_eq!(budget.all.available_permits(), 16);
    }

    #[tokio::test]
    async fn whoever_holds_long_bodies_keeps_neither_short_ones_out_nor_those_of_others() {
        let budget = Budget::new(16 << 20);
        let (greedy, other) = (Source::V4([1; 4]), Source::V4([2; 4]));
        let body = |bytes: usize| Body::from(vec![7; bytes]);
        let mut held = Vec::new();
        while let Ok(one) = budget.read(body(300_000), 1 << 20, greedy).await {
            held.push(one);
        }
        // A sixteenth of the budget.
        assert!((3..=5).contains(&held.len()), "{}", held.len());
        assert!(budget.read(body(300_000), 1 << 20, other).await.is_ok());
        assert!(budget.read(body(FREE_BYTES), 1 << 20, greedy).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_stops_is_let_go_after_seconds() {
        let budget = Budget::new(1 << 20);
        let (parts, received) = mpsc::channel::<std::io::Result<Bytes>>(1);
        parts.send(Ok(Bytes::from_static(&[7; 1_000]))).await.unwrap();
        let body = Body::from_stream(super::super::parts::Received(received));
        let begun = Instant::now();
        assert!(budget.read(body, 1 << 20, Source::Rest).await.is_err());
        assert!((5..7).contains(&begun.elapsed().as_secs()));
        drop(parts);
    }

    #[test]
    fn a_length_is_announced_and_within_the_limit() {
        let mut headers = HeaderMap::new();
        assert!(announced(&headers, 10).is_err());
        headers.insert(header::CONTENT_LENGTH, "10".parse().unwrap());
        assert_eq!(announced(&headers, 10).unwrap(), 10);
        assert!(announced(&headers, 9).is_err());
    }
}
