//! The last things of a log, by height: what is asked for day by day. Older ones are read again from where
//! the log is kept, so that memory does not grow with the log.

use std::collections::VecDeque;

/// How many are kept; few in tests of this crate, so that they meet what is not.
pub(crate) const RECENT_MAX: usize = if cfg!(test) { 16 } else { 16_384 };

/// The last items of a log, and how many there were in all.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    height: u64,
    items: VecDeque<T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { height: 0, items: VecDeque::new() }
    }
}

impl<T: Clone> Recent<T> {
    /// None of the first `height`.
    pub(crate) fn after_the_first(height: u64) -> Self {
        Self { height, items: VecDeque::new() }
    }

    /// Items in all.
    pub(crate) fn height(&self) -> u64 {
        self.height
    }

    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() == RECENT_MAX {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.height += 1;
    }

    /// Items after a height, `limit` at most; `None` when the first of them is not kept any more.
    pub(crate) fn after(&self, after: u64, limit: usize) -> Option<Vec<T>> {
        let gone = self.height - self.items.len() as u64;
        let skip = usize::try_from(after.checked_sub(gone)?).unwrap_or(usize::MAX);
        Some(self.items.iter().skip(skip).take(limit).cloned().collect())
    }

    /// The last kept item that is wanted.
    pub(crate) fn find_last(&self, wanted: impl FnMut(&&T) -> bool) -> Option<&T> {
        self.items.iter().rev().find(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_given_and_what_is_not_is_said() {
        let mut recent = Recent::default();
        assert_eq!(recent.after(0, 9), Some(vec![]));
        let count = RECENT_MAX as u64 + 10;
        for number in 0..count {
            recent.push(number);
        }
        assert_eq!((recent.height(), recent.items.len()), (count, RECENT_MAX));
        assert_eq!(recent.after(9, 1), None);
        assert_eq!(recent.after(10, 2), Some(vec![10, 11]));
        assert_eq!(recent.after(count - 1, 9), Some(vec![count - 1]));
        assert_eq!(recent.after(count, 9), Some(vec![]));
        assert_eq!(recent.after(u64::MAX, 9), Some(vec![]));
        assert_eq!(recent.find_last(|number| **number % 10 == 0), Some(&(count / 10 * 10)));
    }
}
