//! Who alone keeps false claims from becoming final.

use protocol::transaction::Address;

/// A challenger that alone keeps false claims from becoming final, as long as its money reaches.
#[derive(Clone, Debug)]
pub(crate) struct Guardian {
    pub(super) address: Address,
    /// From when to when its money did not reach for all false claims at once, or its machine was busy. It stays when
    /// blocks are replaced: what the guardian did then may have been sent.
    pub(super) short_ms: Vec<(u64, u64)>,
    /// Whether its money does not reach now.
    pub(super) is_short: bool,
}

impl Guardian {
    /// Its money reaches, or does not, from now on.
    pub(super) fn counted(&mut self, now_ms: u64, is_short: bool) {
        match self.short_ms.last_mut().filter(|_| self.is_short) {
            Some((_, to_ms)) => *to_ms = now_ms.max(*to_ms),
            None if is_short => self.short_ms.push((now_ms, now_ms)),
            None => {}
        }
        self.is_short = is_short;
    }

    /// Whether it was in funds, and not too busy, from a time to another.
    pub(super) fn watched(&self, from_ms: u64, to_ms: u64) -> bool {
        !self.is_short
            && !self.short_ms.iter().any(|(first, last)| *first <= to_ms && from_ms <= *last)
    }
}
