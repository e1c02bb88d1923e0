//! The loop that accepts connections: limits on their number and their slowness.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

use super::bodies::{Budget, free_of_moves, time_for};
use super::crowd::Crowd;
use super::failure::failure;
use super::limits::{Limits, Rates, Shares, Source};
use super::places::Places;
use super::readers::Readers;
use super::routes::{LOG_SHARES, WRITERS_MAX, router};
use super::shared::Shared;
use super::uploads::Uploads;
use crate::embedded::EmbeddedLedger;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder for uploads cannot be used.
    #[error("the folder for published inputs cannot be used: {0}")]
    Folder(std::io::Error),
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listener(std::io::Error),
}

/// Serves a ledger, and `more` routes beside it, until `stop` is over; open connections are closed then.
///
/// # Errors
/// When the folder or the listener fails.
pub async fn serve(
    ledger: Arc<EmbeddedLedger>,
    folder: &Path,
    listener: TcpListener,
    limits: Limits,
    more: axum::Router,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let uploads = Uploads::new(folder, &limits).map_err(ServeError::Folder)?;
    let readers = || Readers::new(limits.reads);
    let free_bytes = free_of_moves(&ledger.genesis().parameters);
    let places = Places::of_connections(limits.connections);
    let shared = Shared {
        ledger,
        uploads,
        limits,
        budget: Budget::new(limits.held_bytes).free(free_bytes),
        // Those who follow the log, or publish, wait for nobody who reads anything else.
        readers: readers(),
        followers: readers(),
        librarians: readers(),
        download_shares: Shares::default(),
        writers: Crowd::new(WRITERS_MAX, None, places.clone()),
        places: places.clone(),
        answers: Budget::new(limits.held_bytes),
        log_pages: Budget::new(limits.held_bytes).in_shares(LOG_SHARES),
        streams: Arc::new(Semaphore::new(limits.streams)),
        stream_shares: Shares::default(),
        long_entries: Shares::default(),
    };
    let routes = router(shared).merge(more);
    serve_to(routes, listener, limits, places, stop).await
}

/// Serves any routes under limits.
///
/// # Errors
/// When the listener fails.
pub async fn serve_routes(
    routes: axum::Router,
    listener: TcpListener,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    serve_to(routes, listener, limits, Places::none(), stop).await
}

async fn serve_to(
    routes: axum::Router,
    listener: TcpListener,
    limits: Limits,
    places: Places,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let rates = Arc::new(Rates::new(limits.requests_per_second));
    let crowd = Crowd::new(limits.connections, limits.proxy.map(Source::of), places);
    let mut told = Told::default();
    let mut stop = std::pin::pin!(stop);
    let mut open = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the peer went away: the next may do.
                tracing::warn!(event = "http.accept_failed", %error);
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        while open.try_join_next().is_some() {}
        // A proxy's connections are those of many; it must count them itself.
        let most = if limits.proxy == Some(peer.ip().to_canonical()) {
            usize::MAX
        } else {
            limits.connections_per_address
        };
        let Some(seat) = crowd.seat(Source::of(peer.ip()), most) else {
            metrics::counter!("rebut_http_crowded_total").increment(1);
            told.crowded(limits.connections);
            continue;
        };
        if seat.is_in_place_of_another {
            told.crowded(limits.connections);
        }
        let (routes, rates) = (routes.clone(), Arc::clone(&rates));
        open.spawn(async move {
            metrics::gauge!("rebut_http_connections").increment(1.0);
            let _open = Open;
            tokio::select! {
                () = connection(routes, stream, peer, limits, &rates) => {}
                () = seat.ended.notified() => {
                    metrics::counter!("rebut_http_crowded_total").increment(1);
                    tracing::debug!(event = "http.place_given_away", %peer);
                }
            }
        });
    }
    open.shutdown().await;
    Ok(())
}

/// When it was last said that there are too many connections.
#[derive(Default)]
struct Told(Option<Instant>);

impl Told {
    /// Says so, once a minute.
    fn crowded(&mut self, connections: usize) {
        let now = Instant::now();
        if self.0.is_none_or(|at| now.saturating_duration_since(at) > Duration::from_secs(60)) {
            self.0 = Some(now);
            tracing::warn!(
                event = "http.crowded",
                connections,
                "all connections are taken: the oldest of strangers are ended, and parties with money \
                 keep theirs; find the addresses that hold them (ss -tn) and shut them out before \
                 this server"
            );
        }
    }
}

/// Counts a connection out, however it ends.
struct Open;

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("rebut_http_connections").decrement(1.0);
    }
}

async fn accept(listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

async fn connection(
    routes: axum::Router,
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    rates: &Arc<Rates>,
) {
    let rates = Arc::clone(rates);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (mut routes, rates) = (routes.clone(), Arc::clone(&rates));
        async move {
            // It would be read as much as for an answer, of which nothing is sent.
            if request.method() == Method::HEAD && request.uri().path().starts_with("/v1/") {
                return Ok(refusal(StatusCode::METHOD_NOT_ALLOWED, "method", "ask with GET"));
            }
            let source = source(request.headers(), peer.ip(), limits.proxy);
            if !rates.take(source, Instant::now()) {
                metrics::counter!("rebut_http_slowed_total").increment(1);
                let message = "too many requests; slow down";
                return Ok(refusal(StatusCode::TOO_MANY_REQUESTS, "slow-down", message));
            }
            if announced(&request) > longest(&request, &limits) {
                let message = "the body is over the limit";
                return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message));
            }
            // Streams and long polls begin to answer in time as well; a long body has its own time.
            let patience = limits.request.max(limits.poll * 2) + time_for(announced(&request));
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(source);
            let answer = tower::Service::call(&mut routes, request);
            match tokio::time::timeout(patience, answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    let message = "the request took too long";
                    Ok(refusal(StatusCode::REQUEST_TIMEOUT, "slow", message))
                }
            }
        }
    });
    // Who does not take its answer is let go, and what the answer holds with it.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.stall));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service))
        .await;
    if let Err(error) = served {
        tracing::debug!(event = "http.connection_ended", %peer, %error);
    }
}

/// Who asks: the peer, or the one that a trusted proxy names last, which is the one it saw itself.
fn source(headers: &HeaderMap, peer: IpAddr, proxy: Option<IpAddr>) -> Source {
    let named = || {
        let named = headers.get_all("x-forwarded-for");
        let last = named.iter().next_back()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    };
    let trusted = proxy == Some(peer.to_canonical());
    Source::of(trusted.then(named).flatten().unwrap_or(peer))
}

/// Bytes of a body as its head says, before any of it is read.
fn announced(request: &Request<Incoming>) -> u64 {
    let length = request.headers().get(axum::http::header::CONTENT_LENGTH);
    length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn longest(request: &Request<Incoming>, limits: &Limits) -> u64 {
    if request.uri().path().starts_with("/v1/inputs/") {
        limits.upload_bytes
    } else {
        limits.transaction_bytes as u64
    }
}

fn refusal(status: StatusCode, kind: &'static str, message: &'static str) -> Response {
    failure(status, kind, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_who_asks_and_its_last_word_counts() {
        let [peer, client, forged] = [[10, 0, 0, 1], [7, 7, 7, 7], [9, 9, 9, 9]].map(IpAddr::from);
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", format!("{forged}").parse().unwrap());
        headers.append("x-forwarded-for", format!("{forged}, {client}").parse().unwrap());
        assert_eq!(source(&headers, peer, None), Source::of(peer));
        assert_eq!(source(&headers, peer, Some(forged)), Source::of(peer));
        assert_eq!(source(&headers, peer, Some(peer)), Source::of(client));
        // A proxy that names nobody, or nonsense, is counted itself.
        assert_eq!(source(&HeaderMap::new(), peer, Some(peer)), Source::of(peer));
        headers.append("x-forwarded-for", "somebody".parse().unwrap());
        assert_eq!(source(&headers, peer, Some(peer)), Source::of(peer));
    }
}
