//! Long answers, made part by part as they are taken, so that a slow reader holds little memory, and not for
//! ever.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::bodies::patience;

/// Content that is no text.
pub const OCTETS: &str = "application/octet-stream";
/// Bytes of a part, at most.
pub const PART_BYTES: usize = 64 << 10;

/// What comes through a channel, as a stream.
#[derive(Debug)]
pub(super) struct Received<T>(pub(super) mpsc::Receiver<T>);

impl<T> futures_core::Stream for Received<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}

/// A body that `part` makes from a place on, on threads that nobody waits for; an empty part ends it. It
/// breaks off when a part fails, and when its reader goes away or takes it too slowly; `held` is let go of
/// then.
fn body_in_parts(
    held: impl Send + 'static,
    part: impl FnMut(u64) -> std::io::Result<Vec<u8>> + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        let _held = held;
        let (mut part, begun, mut sent) = (part, Instant::now(), 0);
        loop {
            let made = tokio::task::spawn_blocking(move || {
                let made = part(sent);
                (part, made)
            });
            let Ok((again, made)) = made.await else {
                return;
            };
            let (failed, length) = (made.is_err(), made.as_ref().map_or(0, Vec::len));
            if !failed && length == 0 {
                return;
            }
            let given = timeout_at(patience(begun, sent), sender.send(made.map(Bytes::from)));
            match given.await {
                Ok(Ok(())) if !failed => {}
                Ok(Ok(())) => {
                    #[cfg(test)]
                    cov_mark::hit!(part_of_an_answer_failed);
                    return;
                }
                Ok(Err(_)) => {
                    #[cfg(test)]
                    cov_mark::hit!(reader_of_an_answer_left);
                    return;
                }
                Err(_) => {
                    #[cfg(test)]
                    cov_mark::hit!(reader_of_an_answer_is_too_slow);
                    return;
                }
            }
            (part, sent) = (again, sent.saturating_add(length as u64));
        }
    });
    Body::from_stream(Received(receiver))
}

/// An answer of so many bytes of a kind of content, as `body_in_parts` makes it.
pub fn answer_in_parts(
    kind: &'static str,
    length: u64,
    held: impl Send + 'static,
    part: impl FnMut(u64) -> std::io::Result<Vec<u8>> + Send + 'static,
) -> Response {
    let headers =
        [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    (headers, body_in_parts(held, part)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    fn parts_of(length: usize) -> impl FnMut(u64) -> std::io::Result<Vec<u8>> + Send + 'static {
        move |from| Ok(vec![7; (length - from as usize).min(PART_BYTES)])
    }

    #[tokio::test]
    async fn a_long_answer_comes_whole_and_one_that_fails_breaks_off() {
        cov_mark::check!(part_of_an_answer_failed);
        let whole = body_in_parts((), parts_of(5 * PART_BYTES + 3)).collect().await.unwrap();
        assert_eq!(whole.to_bytes().len(), 5 * PART_BYTES + 3);
        let part = |from| match from {
            0 => Ok(vec![7; 10]),
            _ => Err(std::io::Error::other("gone")),
        };
        assert!(body_in_parts((), part).collect().await.is_err());
    }

    #[tokio::test]
    async fn audit_a16_a_part_that_takes_long_to_make_keeps_nobody_else_waiting() {
        // One thread serves everybody here.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let is_made = Arc::new(AtomicBool::new(false));
        let made = Arc::clone(&is_made);
        let body = body_in_parts((), move |from| {
            // Not for ever, should nobody have a turn to release it.
            let _ = released.recv_timeout(Duration::from_secs(3));
            made.store(true, Ordering::SeqCst);
            Ok(if from == 0 { vec![7; 10] } else { Vec::new() })
        });
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!is_made.load(Ordering::SeqCst), "nobody else had a turn before");
        drop(release);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 10);
    }

    #[tokio::test]
    async fn audit_a7_who_does_not_read_on_holds_nothing_for_long() {
        cov_mark::check!(reader_of_an_answer_is_too_slow);
        let held = Arc::new(());
        let body = body_in_parts(Arc::clone(&held), |_| Ok(vec![7; 1_000]));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(Arc::strong_count(&held), 2);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(Arc::strong_count(&held), 1);
        drop(body);
    }

    #[tokio::test]
    async fn who_leaves_in_the_middle_of_an_answer_holds_nothing() {
        cov_mark::check!(reader_of_an_answer_left);
        let held = Arc::new(());
        drop(body_in_parts(Arc::clone(&held), |_| Ok(vec![7; 1_000])));
        let freed = async {
            while Arc::strong_count(&held) > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // Long before it would be too slow.
        tokio::time::timeout(Duration::from_secs(3), freed).await.unwrap();
    }
}
