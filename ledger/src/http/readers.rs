//! Reading the state on threads of its own, few at a time: moves never wait for readers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::StatusCode;
use tokio::sync::{Semaphore, mpsc};

use super::bodies::busy;
use super::routes::{Failure, failure};

/// Readers that wait for a place, for each that has one.
const WAITING: usize = 64;

/// Places for those who read.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    /// Those who read and those who wait.
    inside: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(places: usize) -> Self {
        let places = places.max(1);
        let inside = Arc::new(Semaphore::new(places.saturating_mul(WAITING)));
        Self { inside, reading: Arc::new(Semaphore::new(places)) }
    }

    /// Does work that takes time on a thread that nobody else waits for.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = || busy("too many requests are reading; try again in a moment");
        let _inside = Arc::clone(&self.inside).try_acquire_owned().map_err(|_| busy())?;
        let reading = Arc::clone(&self.reading).acquire_owned().await.map_err(|_| busy())?;
        // The place is given back by the thread, also when nobody waits for the answer any more.
        let done = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            work()
        });
        done.await.map_err(|error| {
            failure(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
        })
    }
}

/// What comes through a channel, as a stream.
#[derive(Debug)]
pub(super) struct Received<T>(pub(super) mpsc::Receiver<T>);

impl<T> futures_core::Stream for Received<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn audit_a7_few_read_at_a_time_many_wait_and_the_rest_is_told_to_come_again() {
        let readers = Readers::new(1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let first = readers.clone();
        let first = tokio::spawn(async move { first.run(move || held.recv()).await.is_ok() });
        let waiting: Vec<_> = (1..WAITING)
            .map(|number| {
                let readers = readers.clone();
                tokio::spawn(async move { readers.run(move || number).await.is_ok() })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let beyond = tokio::time::timeout(Duration::from_secs(5), readers.run(|| 0)).await;
        assert!(beyond.is_ok_and(|refused| refused.is_err()));
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        for one in waiting {
            assert!(one.await.unwrap());
        }
        assert!(readers.run(|| 0).await.is_ok());
    }
}
