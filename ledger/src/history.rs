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
    /// `kept` is a state that is at hand, by its height.
    pub(crate) fn start(
        reader: LogReader,
        genesis: Genesis,
        kept: Option<(u64, Arc<Settlement>)>,
    ) -> std::io::Result<Self> {
        let (asks, mut waiting) = mpsc::channel::<Ask>(WAITING_MAX);
        let mut past = Past { reader, genesis, kept: kept.into_iter().collect() };
        let thread = std::thread::Builder::new().name("history".to_owned()).spawn(move || {
            past.answer_all(&mut waiting);
        })?;
        Ok(Self { asks: Some(asks), thread: Some(thread) })
    }

    /// The state after the first `height` transactions, and the receipts of those after `after`.
    pub(crate) async fn replayed(&self, after: u64, height: u64) -> Result<Found, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let asks = self.asks.as_ref().ok_or(LedgerError::Stopped)?;
        asks.try_send(Ask { after, height, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                #[cfg(test)]
                cov_mark::hit!(too_many_wait_for_old_heights);
                let reason = format!("{WAITING_MAX} requests for old heights wait already");
                LedgerError::Busy { reason }
            }
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
    /// Answers one request after the other until nobody can ask any more.
    fn answer_all(&mut self, waiting: &mut mpsc::Receiver<Ask>) {
        while let Some(ask) = waiting.blocking_recv() {
            if ask.answer.is_closed() {
                // Who asked is gone: its replay would only keep others waiting.
                #[cfg(test)]
                cov_mark::hit!(who_asked_is_gone);
                continue;
            }
            let found = self.replayed(ask.after, ask.height);
            let _ = ask.answer.send(found);
        }
    }

    /// What was accepted once is not verified again.
    fn replayed(&mut self, after: u64, height: u64) -> Result<Found, LedgerError> {
        let (mut reached, start) = self.nearest(after.min(height))?;
        let mut settlement = start;
        let mut receipts = Vec::new();
        while reached < height {
            // The first record is the genesis.
            let page = self.reader.contents(reached.saturating_add(1), PAGE_BYTES)?;
            if page.is_empty() {
                #[cfg(test)]
                cov_mark::hit!(old_height_is_not_in_the_log);
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
            #[cfg(test)]
            cov_mark::hit!(replay_goes_on_from_a_kept_state);
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
            #[cfg(test)]
            cov_mark::hit!(kept_state_makes_room);
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
    use crate::store::Store;
    use protocol::encoding::Canonical as _;
    use protocol::hash::Digest;
    use protocol::settlement::Parameters;
    use protocol::transaction::{Action, Key};
    use std::path::Path;
    use std::time::Duration;

    /// A log of so many deposits of one wei.
    fn past(folder: &Path, count: u64) -> Past {
        let bank = Key::from_secret(&[1; 32]).unwrap();
        let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
        let salt = Digest::default();
        let bank_address = bank.address();
        let genesis = Genesis { chain_id: 1, salt, begun_ms: 0, bank: bank_address, parameters };
        let (mut store, _) = Store::open(folder).unwrap();
        store.append(&genesis.to_canonical()).unwrap();
        for nonce in 0..count {
            let action = Action::Deposit { account: bank_address, amount_wei: 1 };
            let transaction = bank.sign(&genesis.domain(), nonce, &action).to_canonical();
            let entry = LogEntry { at_ms: nonce, transaction };
            store.write(&wire::encode(&entry).unwrap()).unwrap();
        }
        store.flush().unwrap();
        Past { reader: store.reader(), genesis, kept: VecDeque::new() }
    }

    #[test]
    fn old_states_are_made_from_kept_ones_and_a_cheap_one_makes_room() {
        cov_mark::check!(replay_goes_on_from_a_kept_state);
        cov_mark::check!(kept_state_makes_room);
        let folder = tempfile::tempdir().unwrap();
        let mut past = past(folder.path(), 20);
        for height in [20, 1, 2, 3, 4, 5] {
            let (settlement, receipts) = past.replayed(height - 1, height).unwrap();
            assert_eq!(settlement.money().deposited_wei(), u128::from(height));
            assert_eq!(receipts.iter().map(|one| one.height).collect::<Vec<_>>(), [height]);
        }
        let kept: Vec<u64> = past.kept.iter().map(|(height, _)| *height).collect();
        assert_eq!(kept.len(), KEPT_MAX);
        assert!(kept.contains(&20) && kept.last() == Some(&5), "{kept:?}");
    }

    #[test]
    fn a_height_that_the_log_does_not_have_is_an_error() {
        cov_mark::check!(old_height_is_not_in_the_log);
        let folder = tempfile::tempdir().unwrap();
        let found = past(folder.path(), 3).replayed(3, 4);
        assert!(matches!(found, Err(LedgerError::Unusable { .. })));
    }

    #[test]
    fn nothing_is_replayed_for_who_left() {
        cov_mark::check!(who_asked_is_gone);
        let folder = tempfile::tempdir().unwrap();
        let mut past = past(folder.path(), 3);
        let (asks, mut waiting) = mpsc::channel(2);
        let ask = |height: u64| {
            let (answer, answered) = oneshot::channel();
            assert!(asks.try_send(Ask { after: height, height, answer }).is_ok());
            answered
        };
        drop(ask(3));
        let mut answered = ask(2);
        drop(asks);
        past.answer_all(&mut waiting);
        assert!(answered.try_recv().unwrap().is_ok());
        assert_eq!(past.kept.iter().map(|(height, _)| *height).collect::<Vec<_>>(), [2]);
    }

    #[tokio::test]
    async fn more_than_can_wait_for_the_past_are_told_to_come_again() {
        cov_mark::check!(too_many_wait_for_old_heights);
        // Nobody answers.
        let (asks, _waiting) = mpsc::channel(WAITING_MAX);
        let history = History { asks: Some(asks), thread: None };
        for _ in 0..WAITING_MAX {
            let asked = tokio::time::timeout(Duration::ZERO, history.replayed(1, 1));
            assert!(asked.await.is_err());
        }
        let refused = history.replayed(1, 1).await;
        assert!(matches!(refused, Err(LedgerError::Busy { .. })));
    }

    #[tokio::test]
    async fn audit_a7_who_reads_old_heights_leaves_the_thread_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let Past { reader, genesis, .. } = past(folder.path(), 2_000);
        let history = History::start(reader, genesis, None).unwrap();
        let mut has_waited = false;
        // Each is made from the beginning again.
        for height in (1_990..2_000).rev() {
            let mut asked = std::pin::pin!(history.replayed(height, height));
            let at_once = tokio::time::timeout(Duration::ZERO, &mut asked).await;
            has_waited |= at_once.is_err();
            let (settlement, _) = match at_once {
                Ok(found) => found.unwrap(),
                Err(_) => asked.await.unwrap(),
            };
            assert_eq!(settlement.money().deposited_wei(), u128::from(height));
        }
        assert!(has_waited, "all of it was read before anybody else had a turn");
    }

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
