//! What a server takes from outside, before it takes memory or time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; who comes then waits in the system's queue.
    pub connections: usize,
    /// Time for the head of a request, and for a connection that asks nothing.
    pub head: Duration,
    /// Time for a whole request, long polls and streams of events apart.
    pub request: Duration,
    /// Longest wait of a long poll.
    pub poll: Duration,
    /// Bytes of a transaction.
    pub transaction_bytes: usize,
    /// Bytes of all bodies that are held in memory at a time.
    pub held_bytes: usize,
    /// Requests that read the state at a time; twice the cores, so that writing is never kept waiting.
    pub reads: usize,
    /// Bytes of an uploaded state.
    pub upload_bytes: u64,
    /// Bytes of all uploads of one account.
    pub account_bytes: u64,
    /// Requests of one address in a second, on average; ten times as many at once.
    pub requests_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
            poll: Duration::from_secs(20),
            transaction_bytes: protocol::transaction::ACTION_BYTES_MAX + 256,
            held_bytes: 256 << 20,
            reads: 2 * std::thread::available_parallelism().map_or(1, usize::from),
            upload_bytes: 64 << 20,
            account_bytes: 1 << 30,
            requests_per_second: 5_000,
        }
    }
}

/// Requests that an address may still make; filled again as time goes by.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    left: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

/// Addresses remembered; beyond, those that are full again are forgotten.
const ADDRESSES_MAX: usize = 10_000;

impl Rates {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), left: Mutex::default() }
    }

    /// Whether an address may make one more request now.
    pub(super) fn take(&self, address: IpAddr, now: Instant) -> bool {
        let most = 10.0 * self.per_second;
        // The map holds counts only: whatever a panic left is as good.
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= ADDRESSES_MAX {
            left.retain(|_, (_, since)| now.duration_since(*since) < Duration::from_secs(10));
            if left.len() >= ADDRESSES_MAX && !left.contains_key(&address) {
                return false;
            }
        }
        let (tokens, since) = left.entry(address).or_insert((most, now));
        let filled = now.duration_since(*since).as_secs_f64() * self.per_second;
        (*tokens, *since) = ((*tokens + filled).min(most), now);
        let allowed = *tokens >= 1.0;
        *tokens -= f64::from(u8::from(allowed));
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_address_is_slowed_down_and_others_are_not() {
        let rates = Rates::new(1);
        let (fast, slow) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let start = Instant::now();
        let granted = (0..20).filter(|_| rates.take(fast, start)).count();
        assert_eq!(granted, 10);
        assert!(rates.take(slow, start));
        assert!(rates.take(fast, start + Duration::from_secs(2)));
    }
}
