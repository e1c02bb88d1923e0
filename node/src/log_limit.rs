//! So many lines of one kind a minute: strangers' jobs cost little, and must not fill a log.

use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Counts the lines of a minute.
#[derive(Debug)]
pub struct LogLimit {
    most: u32,
    begun: Instant,
    told: u32,
    left_out: u64,
}

impl LogLimit {
    /// At most so many lines a minute.
    pub fn new(most: u32) -> Self {
        Self { most, begun: Instant::now(), told: 0, left_out: 0 }
    }

    /// Whether one more may be told; it is counted either way.
    pub fn has_room(&mut self) -> bool {
        let has_room = self.told < self.most;
        if has_room {
            self.told += 1
        } else {
            self.left_out += 1
        }
        has_room
    }

    /// How many were left out, once their minute is over; to be called at every look.
    pub fn left_out(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.begun) < MINUTE {
            return None;
        }
        (self.begun, self.told) = (now, 0);
        Some(std::mem::take(&mut self.left_out)).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_told_a_minute_and_the_others_are_counted() {
        let mut limit = LogLimit::new(3);
        let told = (0..10).filter(|_| limit.has_room()).count();
        assert_eq!(told, 3);
        let start = limit.begun;
        assert_eq!(limit.left_out(start + MINUTE / 2), None);
        assert_eq!(limit.left_out(start + MINUTE), Some(7));
        assert!(limit.has_room());
        assert_eq!(limit.left_out(start + 2 * MINUTE), None);
    }
}
