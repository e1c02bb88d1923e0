//! States and receipts from long ago: read from the log again by one thread of its own, with a short queue
//! and the last results kept, so that nobody who asks for the past keeps others from the present.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use protocol::settlement::{Genesis, Settlement};
use tokio::sync::{mpsc, oneshot};

use crate::log::{LogEntry, beginning, wrong_entry};
use crate::store::LogReader;
use crate::{LedgerError, Receipt, wire};

/// Most requests that wait; who comes then is told to try again.
const WAITING_MAX: usize = 16;
/// States that are kept. Each is a whole state of the ledger.
const KEPT_MAX: usize = 4;
/// Bytes of the log read at a time.
const PAGE_BYTES: usize = 4 << 20;

/// A state, and the receipts of the transactions after some height that led to it.
type Found = (Arc<Settlement>, Vec<Receipt>);

struct Ask {
    after: u64,
    height: u64,
    answer: oneshot::Sender<Result<Found, LedgerError>>,
}

/// The thread that reads the past.
#[derive(Debug)]
pub(crate) struct History {
    asks: Option<mpsc::Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for History {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed; nothing of it is needed any more.
            let _ = thread.join();
        }
    }
}

impl History {
    pub(crate) fn start(reader: LogReader, genesis: Genesis) -> std::io::Result<Self> {
        let (asks, mut waiting) = mpsc::channel::<Ask>(WAITING_MAX);
        let mut past = Past { reader, genesis, kept: VecDeque::new() };
        let thread = std::thread::Builder::new().name("history".to_owned()).spawn(move || {
            while let Some(ask) = waiting.blocking_recv() {
                // Who asked is gone: its replay would only keep others waiting.
                if !ask.answer.is_closed() {
                    let found = past.replayed(ask.after, ask.height);
                    let _ = ask.answer.send(found);
                }
            }
        })?;
        Ok(Self { asks: Some(asks), thread: Some(thread) })
    }

    /// The state after the first `height` transactions, and the receipts of those after `after`.
    pub(crate) async fn replayed(&self, after: u64, height: u64) -> Result<Found, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let asks = self.asks.as_ref().ok_or(LedgerError::Stopped)?;
        asks.try_send(Ask { after, height, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Busy {
                reason: format!("{WAITING_MAX} requests for old heights wait already"),
            },
            mpsc::error::TrySendError::Closed(_) => LedgerError::Stopped,
        })?;
        answered.await.map_err(|_| LedgerError::Stopped)?
    }
}

struct Past {
    reader: LogReader,
    genesis: Genesis,
    /// By height, the one asked for last at the end.
    kept: VecDeque<(u64, Arc<Settlement>)>,
}

impl Past {
    /// What was accepted once is not verified again.
    fn replayed(&mut self, after: u64, height: u64) -> Result<Found, LedgerError> {
        let (mut reached, start) = self.nearest(after.min(height))?;
        let mut settlement = start;
        let mut receipts = Vec::new();
        while reached < height {
            // The first record is the genesis.
            let page = self.reader.contents(reached.saturating_add(1), PAGE_BYTES)?;
            if page.is_empty() {
                let reason = format!("height {height} is not reached");
                return Err(LedgerError::Unusable { reason });
            }
            let left = usize::try_from(height - reached).unwrap_or(usize::MAX);
            let state = Arc::make_mut(&mut settlement);
            for content in page.into_iter().take(left) {
                let entry: LogEntry =
                    wire::decode(&content).map_err(|error| wrong_entry(reached, &error))?;
                let events =
                    entry.apply_verified(state).map_err(|error| wrong_entry(reached, &error))?;
                reached += 1;
                if reached > after {
                    receipts.push(Receipt { height: reached, at_ms: entry.at_ms, events });
                }
            }
        }
        self.keep(height, &settlement);
        Ok((settlement, receipts))
    }

    /// The latest kept state that is not after a height, or the beginning.
    fn nearest(&self, height: u64) -> Result<(u64, Arc<Settlement>), LedgerError> {
        let before = self.kept.iter().filter(|(kept, _)| *kept <= height);
        if let Some((kept, settlement)) = before.max_by_key(|(kept, _)| *kept) {
            return Ok((*kept, Arc::clone(settlement)));
        }
        Ok((0, Arc::new(beginning(&self.genesis)?)))
    }

    /// Of more than can be kept, the one that costs least to make again from the one below it goes: asking
    /// for cheap heights drives no dear one out. The one asked for last stays in any case, for who reads
    /// the whole log goes on from there.
    fn keep(&mut self, height: u64, settlement: &Arc<Settlement>) {
        self.kept.retain(|(kept, _)| *kept != height);
        self.kept.push_back((height, Arc::clone(settlement)));
        let heights: Vec<u64> = self.kept.iter().map(|(height, _)| *height).collect();
        if let Some(place) = superfluous(&heights) {
            self.kept.remove(place);
        }
    }
}

/// Which of the kept heights, the last used at the end, goes; `None` while all have room.
fn superfluous(heights: &[u64]) -> Option<usize> {
    let (_, others) = heights.split_last().filter(|_| heights.len() > KEPT_MAX)?;
    let cost = |height: u64| {
        let below = heights.iter().filter(|other| **other < height).max();
        height - below.copied().unwrap_or(0)
    };
    let costs = others.iter().map(|height| cost(*height)).enumerate();
    costs.min_by_key(|(_, cost)| *cost).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheap_heights_drive_no_dear_one_out_and_who_reads_on_finds_the_last() {
        assert_eq!(superfluous(&[1_000_000, 5, 6, 7]), None);
        // Four cheap ones beside a dear one: a cheap one goes, each time.
        let mut kept = vec![1_000_000];
        for height in 1..100 {
            kept.push(height);
            if let Some(place) = superfluous(&kept) {
                kept.remove(place);
            }
        }
        assert!(kept.contains(&1_000_000) && kept.contains(&99), "{kept:?}");
        // Page after page: the page before is there whenever the next is asked for.
        let mut kept = vec![250_000, 500_000, 750_000, 1_000_000];
        for page in 1..20u64 {
            kept.push(page * 16_384);
            if let Some(place) = superfluous(&kept) {
                kept.remove(place);
            }
            assert!(kept.contains(&(page * 16_384)), "{kept:?}");
        }
    }
}
