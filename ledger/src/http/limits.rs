//! What a server takes from outside, before it takes memory or time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; when all are taken, the address with most of them gives one to whoever comes.
    pub connections: usize,
    /// Connections of one address at a time; more are closed. Not of a trusted proxy.
    pub connections_per_address: usize,
    /// Streams of events at a time.
    pub streams: usize,
    /// A proxy on whose word an address is believed: the last one of `x-forwarded-for`.
    pub proxy: Option<IpAddr>,
    /// Time for the head of a request, and for a connection that asks nothing.
    pub head: Duration,
    /// Time for a whole request, long polls and streams of events apart.
    pub request: Duration,
    /// Time in which nothing of an answer is taken, after which its connection is closed.
    pub stall: Duration,
    /// Longest wait of a long poll.
    pub poll: Duration,
    /// Bytes of a transaction.
    pub transaction_bytes: usize,
    /// Bytes of all bodies that are held in memory at a time, beside the first ones of each (64 KiB, on a ledger as
    /// many as its longest move has).
    pub held_bytes: usize,
    /// Requests that read the state at a time; twice the cores, so that writing is never kept waiting.
    pub reads: usize,
    /// Bytes of an uploaded state.
    pub upload_bytes: u64,
    /// Bytes of all uploads of one account.
    pub account_bytes: u64,
    /// Bytes of all uploads of all accounts.
    pub uploads_bytes: u64,
    /// Bytes of the disk that uploads leave free: the ledger stops when its log has no room.
    pub disk_free_bytes_min: u64,
    /// Requests of one address in a second, on average; ten times as many at once.
    pub requests_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            connections_per_address: 256,
            streams: 512,
            proxy: None,
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
            stall: Duration::from_secs(20),
            poll: Duration::from_secs(20),
            transaction_bytes: protocol::transaction::ACTION_BYTES_MAX + 256,
            held_bytes: 128 << 20,
            reads: 2 * std::thread::available_parallelism().map_or(1, usize::from),
            upload_bytes: 64 << 20,
            account_bytes: 1 << 30,
            uploads_bytes: 64 << 30,
            disk_free_bytes_min: 256 << 20,
            requests_per_second: 5_000,
        }
    }
}

/// Who is counted as one: an address, or the network that one subscriber of IPv6 has to himself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address.
    V4([u8; 4]),
    /// The first half of an address.
    V6([u8; 8]),
    /// All of whom nothing is known: those who came when as many others were remembered as can be.
    #[default]
    Rest,
}

/// Of a request: the server said it; without a server nothing is known.
impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

impl Source {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Requests that each source may still make; filled again as time goes by.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    left: Mutex<HashMap<Source, (f64, Instant)>>,
}

/// Sources remembered; beyond, those that are full again are forgotten, and whoever is new then shares
/// one count with all others who are.
const SOURCES_MAX: usize = 10_000;

impl Rates {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), left: Mutex::default() }
    }

    /// Whether an address may make one more request now.
    pub(super) fn take(&self, source: Source, now: Instant) -> bool {
        let most = 10.0 * self.per_second;
        let mut source = source;
        // The map holds counts only: whatever a panic left is as good.
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= SOURCES_MAX && !left.contains_key(&source) {
            left.retain(|_, (_, since)| now.duration_since(*since) < Duration::from_secs(10));
            if left.len() >= SOURCES_MAX {
                source = Source::Rest;
            }
        }
        let (tokens, since) = left.entry(source).or_insert((most, now));
        let filled = now.duration_since(*since).as_secs_f64() * self.per_second;
        (*tokens, *since) = ((*tokens + filled).min(most), now);
        let allowed = *tokens >= 1.0;
        *tokens -= f64::from(u8::from(allowed));
        allowed
    }
}

/// How much of something each source has.
#[derive(Clone, Debug, Default)]
pub struct Shares(Arc<Mutex<HashMap<Source, usize>>>);

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Shares,
    source: Source,
    size: usize,
}

impl Shares {
    /// A part for a source, unless it would have more than `most`.
    pub fn take(&self, source: Source, size: usize, most: usize) -> Option<Share> {
        // The map holds counts only: whatever a panic left is as good.
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.entry(source).or_default();
        let more = own.saturating_add(size);
        if more > most {
            if *own == 0 {
                taken.remove(&source);
            }
            return None;
        }
        *own = more;
        drop(taken);
        Some(Share { shares: self.clone(), source, size })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.source) {
            *own = own.saturating_sub(self.size);
            if *own == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_address_is_slowed_down_and_others_are_not() {
        let rates = Rates::new(1);
        let (fast, slow) = (Source::V4([1, 1, 1, 1]), Source::V4([2, 2, 2, 2]));
        let start = Instant::now();
        let granted = (0..20).filter(|_| rates.take(fast, start)).count();
        assert_eq!(granted, 10);
        assert!(rates.take(slow, start));
        assert!(rates.take(fast, start + Duration::from_secs(2)));
    }

    #[test]
    fn ten_thousand_addresses_lock_nobody_out() {
        let rates = Rates::new(1);
        let start = Instant::now();
        for number in 0..2 * SOURCES_MAX as u32 {
            rates.take(Source::V4(number.to_be_bytes()), start);
        }
        let late = Source::V4([9, 9, 9, 9]);
        assert!(!rates.take(late, start));
        // What is shared fills again, and those who were there before have their own.
        assert!(rates.take(late, start + Duration::from_secs(1)));
        assert!(rates.take(Source::V4([0, 0, 0, 1]), start));
        assert!(rates.left.lock().unwrap().len() <= SOURCES_MAX + 1);
        // Once the crowd is gone the map is empty again.
        assert!(rates.take(late, start + Duration::from_secs(60)));
        assert_eq!(rates.left.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_a_mapped_address_as_itself() {
        let rates = Rates::new(1);
        let start = Instant::now();
        let host =
            |network, host| Source::of(IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]));
        let granted = (0..40u16).filter(|number| rates.take(host(1, *number), start));
        assert_eq!(granted.count(), 10);
        assert!(rates.take(host(2, 1), start));
        let mapped: IpAddr = "::ffff:1.2.3.4".parse().unwrap();
        assert_eq!(Source::of(mapped), Source::V4([1, 2, 3, 4]));
    }

    #[test]
    fn nobody_takes_more_than_a_share_and_what_is_dropped_is_free_again() {
        let shares = Shares::default();
        let (one, other) = (Source::V4([1; 4]), Source::V4([2; 4]));
        let first = shares.take(one, 3, 4).unwrap();
        assert!(shares.take(one, 2, 4).is_none());
        let second = shares.take(one, 1, 4).unwrap();
        assert!(shares.take(other, 4, 4).is_some());
        drop((first, second));
        assert!(shares.take(one, 5, 4).is_none());
        assert!(shares.0.lock().unwrap().is_empty());
    }
}
