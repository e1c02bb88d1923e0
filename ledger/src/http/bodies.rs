//! Bodies that are read after their heads were looked at: within a length, and within what all bodies of a
//! server may hold in memory together.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::routes::{Failure, failure};

/// Bytes that one permit stands for.
const UNIT_BYTES: usize = 4 << 10;

/// What the bodies of a server may hold together.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

/// A body in memory; its room in the budget is given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    /// The bytes.
    pub bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(UNIT_BYTES))))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(units).map_err(|_| {
            let message = "the server holds as many requests as it has memory for; try again";
            failure(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
        })
    }

    /// Reads a body of `limit` bytes at most; memory is taken as bytes arrive, never as announced.
    ///
    /// # Errors
    /// When it is longer, breaks off, or the budget is used up.
    pub async fn read(&self, body: Body, limit: usize) -> Result<Held, Failure> {
        let mut held = Held { bytes: Vec::new(), _room: None };
        let mut body = body;
        let mut paid = 0;
        while let Some(part) = next(&mut body).await? {
            let length = held.bytes.len() + part.len();
            if length > limit {
                return Err(too_long(limit as u64));
            }
            if length > paid {
                let more = self.take((length - paid).max(UNIT_BYTES))?;
                paid += more.num_permits() * UNIT_BYTES;
                match &mut held._room {
                    Some(room) => room.merge(more),
                    none => *none = Some(more),
                }
            }
            held.bytes.extend_from_slice(&part);
        }
        Ok(held)
    }
}

fn too_long(limit: u64) -> Failure {
    let message = format!("the body is over the limit of {limit} bytes");
    failure(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
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
    let (mut body, mut left) = (body, length);
    while let Some(part) = next(&mut body).await? {
        left = left.checked_sub(part.len() as u64).ok_or_else(|| too_long(length))?;
        if to.send(part).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_share_a_budget_and_give_it_back() {
        let budget = Budget::new(16 << 10);
        let body = |bytes: usize| Body::from(vec![7; bytes]);
        let first = budget.read(body(9_000), 1 << 20).await.unwrap();
        assert_eq!(first.bytes.len(), 9_000);
        let refused = budget.read(body(9_000), 1 << 20).await;
        assert!(refused.is_err());
        drop(first);
        budget.read(body(16_000), 1 << 20).await.unwrap();
        assert!(budget.read(body(101), 100).await.is_err());
        assert_eq!(budget.0.available_permits(), 4);
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
