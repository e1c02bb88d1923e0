//! The embedded ledger: a log of signed transactions on disk, applied by the protocol.

mod opening;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use async_trait::async_trait;
use protocol::encoding::Canonical;
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Rejection, Settlement};
use protocol::transaction::{Action, Address, Key, SignedTransaction};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::doors::{Doors, is_urgent};
use crate::heads::{Head, SignedHead};
use crate::history::History;
use crate::recent::{RECENT_MAX, Recent};
use crate::snapshot::{Keeper, Snapshots};
use crate::store::{LogReader, Store};
use crate::{Ledger, LedgerError, Receipt, View, wire};

pub use crate::log::{LogEntry, replay};
use opening::Opened;

struct Inner {
    store: Store,
    settlement: Arc<Settlement>,
    receipts: Recent<Receipt>,
    stopped: bool,
}

/// What a ledger was started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Height of the snapshot; 0 where the whole log was read.
    pub snapshot: u64,
    /// Transactions that were applied again after it.
    pub replayed: u64,
}

/// A ledger in a folder of this machine.
pub struct EmbeddedLedger {
    inner: Arc<Mutex<Inner>>,
    clock: Arc<dyn Clock>,
    height: Arc<watch::Sender<u64>>,
    genesis: Genesis,
    cut: u64,
    start: Start,
    /// Signs heads, where the server has a key for it.
    signer: OnceLock<Key>,
    reader: LogReader,
    history: History,
    doors: Arc<Doors<Waiting>>,
    /// Told, or closed by the writer's end, once nothing more is taken.
    stopped: watch::Receiver<bool>,
    /// There until the ledger is dropped, which waits for what was queued.
    writer: Option<JoinHandle<()>>,
    keeper: Arc<Mutex<Keeper>>,
    /// Bytes of the disk that snapshots leave free.
    disk_free_bytes_min: Arc<AtomicU64>,
}

impl Drop for EmbeddedLedger {
    fn drop(&mut self) {
        self.doors.close();
        if let Some(writer) = self.writer.take() {
            // Its panic was printed; the next opening reads what the disk holds.
            let _ = writer.join();
        }
        let inner = lock(&self.inner);
        if !inner.stopped {
            lock_keeper(&self.keeper).end(&inner.settlement, &inner.store.mark());
        }
    }
}

impl fmt::Debug for EmbeddedLedger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedLedger")
            .field("height", &*self.height.borrow())
            .finish_non_exhaustive()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // A panic while the lock was held leaves `stopped` to tell whether the state can be used.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock_keeper(keeper: &Mutex<Keeper>) -> MutexGuard<'_, Keeper> {
    // It holds counts and the ends of channels, whole at any time.
    keeper.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EmbeddedLedger {
    /// Opens the ledger in a folder, or begins it there with this genesis: from its newest snapshot and the log after
    /// it, or where none can be started from, which is told, from the whole log.
    ///
    /// # Errors
    /// When the log cannot be read, does not replay, or began with another genesis.
    pub fn open(
        folder: &Path,
        genesis: Genesis,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let Opened { store, settlement, receipts, cut, from } = Opened::of(folder, &genesis)?;
        let start = Start {
            snapshot: from.map_or(0, |from| from.height.saturating_sub(1)),
            replayed: receipts.height() - from.map_or(0, |from| from.height.saturating_sub(1)),
        };
        let height = Arc::new(watch::channel(receipts.height()).0);
        let no_thread =
            |error: std::io::Error| LedgerError::Unusable { reason: format!("no thread: {error}") };
        let reader = store.reader();
        let kept = from.map(|_| (receipts.height(), Arc::clone(&settlement)));
        let history = History::start(reader.clone(), genesis.clone(), kept).map_err(no_thread)?;
        let snapshots = Snapshots::beside(folder);
        let disk_free_bytes_min = snapshots.free_bytes_min();
        let keeper = Keeper::start(snapshots, reader.clone(), from);
        let keeper = Arc::new(Mutex::new(keeper.map_err(no_thread)?));
        let inner = Inner { store, settlement, receipts, stopped: false };
        let (inner, doors) = (Arc::new(Mutex::new(inner)), Arc::new(Doors::new()));
        let (stop, stopped) = watch::channel(false);
        let writing = Writing {
            inner: Arc::clone(&inner),
            clock: Arc::clone(&clock),
            height: Arc::clone(&height),
            doors: Arc::clone(&doors),
            keeper: Arc::clone(&keeper),
            stop,
        };
        writing.offer();
        let started = std::thread::Builder::new().name("ledger".to_owned());
        let writer = Some(started.spawn(move || writing.batches()).map_err(no_thread)?);
        Ok(Self {
            inner,
            clock,
            height,
            genesis,
            cut,
            start,
            signer: OnceLock::new(),
            reader,
            history,
            doors,
            stopped,
            writer,
            keeper,
            disk_free_bytes_min,
        })
    }

    /// Has snapshots leave so many bytes of the disk free, 256 MiB unless this says otherwise: the log stops the ledger
    /// when it has no room.
    pub fn keep_disk_free(&self, bytes: u64) {
        self.disk_free_bytes_min.store(bytes, Ordering::Relaxed);
    }

    /// Has heads signed with a key from now on; the first one given counts.
    pub fn sign_heads(&self, key: Key) {
        self.signer.get_or_init(|| key);
    }

    /// Who signs heads.
    pub fn signer(&self) -> Option<Address> {
        self.signer.get().map(Key::address)
    }

    /// The head at a height, or the latest, signed now; `None` without a key. Reads the disk: not for threads that
    /// others wait for.
    ///
    /// # Errors
    /// When the height is not reached, or the disk fails.
    pub fn signed_head(&self, height: Option<u64>) -> Result<Option<SignedHead>, LedgerError> {
        let Some(key) = self.signer.get() else {
            return Ok(None);
        };
        let reached = *self.height.borrow();
        let height = height.unwrap_or(reached);
        if height > reached {
            let reason = format!("height {height} is not reached; the latest is {reached}");
            return Err(LedgerError::Unusable { reason });
        }
        // The first record is the genesis.
        let chain = Digest(self.reader.chain(height.saturating_add(1))?);
        let head = Head { height, chain, at_ms: self.clock.now_ms() };
        Ok(Some(SignedHead::new(&self.genesis.domain(), head, key)))
    }

    /// What it was started from.
    pub fn start(&self) -> Start {
        self.start
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Over once the ledger takes nothing more, after an error of its disk or of itself: whoever serves it
    /// freezes its clock, says so and ends, for nobody can move any more.
    pub async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        // The writer's end closes it, which means the same.
        let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
    }

    /// Torn records that were cut when the ledger was opened.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Accepted transactions after a height, as many as have `bytes` bytes, one at least. Reads the disk:
    /// not for threads that others wait for.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn entries_after(&self, after: u64, bytes: usize) -> Result<Vec<LogEntry>, LedgerError> {
        // What is written and not flushed yet was not accepted yet.
        let flushed = self.height.borrow().saturating_sub(after);
        // The first record is the genesis.
        let contents = self.reader.contents(after.saturating_add(1), bytes)?;
        let unusable = |error: wire::WireError| LedgerError::Unusable { reason: error.to_string() };
        let flushed = usize::try_from(flushed).unwrap_or(usize::MAX);
        let accepted = contents.iter().take(flushed);
        accepted.map(|content| wire::decode(content).map_err(unusable)).collect()
    }

    /// All accepted transactions, for a verdict file.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn entries(&self) -> Result<Vec<LogEntry>, LedgerError> {
        self.entries_after(0, usize::MAX)
    }
}

/// A transaction whose signature counts, waiting for its turn, and where its answer goes.
#[derive(Debug)]
struct Waiting {
    transaction: SignedTransaction,
    action: Action,
    answer: oneshot::Sender<Result<Receipt, LedgerError>>,
}

/// Receipts from long ago are read so many at a time at least.
const REPLAYED_MIN: usize = if RECENT_MAX < 1_024 { RECENT_MAX } else { 1_024 };

/// Most transactions that share one flush of the disk.
const BATCH_MAX: usize = 512;

/// What the thread that writes has.
struct Writing {
    inner: Arc<Mutex<Inner>>,
    clock: Arc<dyn Clock>,
    height: Arc<watch::Sender<u64>>,
    doors: Arc<Doors<Waiting>>,
    keeper: Arc<Mutex<Keeper>>,
    stop: watch::Sender<bool>,
}

impl Writing {
    /// Takes transactions in the order they came in, moves of parties with money at stake first, as many at a
    /// time as wait, and answers when they are on disk: the flush is what costs.
    fn batches(&self) {
        loop {
            let batch = self.doors.take(BATCH_MAX);
            if batch.is_empty() {
                return;
            }
            let mut guard = lock(&self.inner);
            let mut answers = Vec::with_capacity(batch.len());
            for Waiting { transaction, action, answer } in batch {
                answers.push((guard.accept(self.clock.now_ms(), &transaction, &action), answer));
            }
            let begun = Instant::now();
            let flushed = guard.flush();
            let reached = guard.receipts.height();
            measure(&guard, &answers, begun.elapsed());
            if guard.stopped && !*self.stop.borrow() {
                let error = flushed
                    .as_ref()
                    .err()
                    .map_or("a record was not written".to_owned(), ToString::to_string);
                tracing::error!(event = "ledger.stopped", %error,
                    "nothing more is accepted; what was acknowledged is on disk");
                self.stop.send_replace(true);
            }
            // Before anybody can see the new state: its entries can be read as soon as it is seen.
            if flushed.is_ok() {
                self.height.send_replace(reached);
            }
            drop(guard);
            for (outcome, answer) in answers {
                // Nobody waits for the answer any more: the transaction counts all the same.
                let _ = answer.send(flushed.clone().and(outcome));
            }
            self.offer();
        }
    }

    /// Has a snapshot of what is on disk written, if one is due.
    fn offer(&self) {
        let guard = lock(&self.inner);
        if !guard.stopped {
            lock_keeper(&self.keeper).offer(&guard.settlement, &guard.store.mark());
        }
    }
}

/// One answer and where it goes.
type Answer = (Result<Receipt, LedgerError>, oneshot::Sender<Result<Receipt, LedgerError>>);

fn measure(inner: &Inner, answers: &[Answer], flush: std::time::Duration) {
    let accepted = answers.iter().filter(|(outcome, _)| outcome.is_ok()).count();
    metrics::counter!("rebut_ledger_accepted_total").increment(accepted as u64);
    let rejected = answers.len() - accepted;
    metrics::counter!("rebut_ledger_rejected_total").increment(rejected as u64);
    metrics::histogram!("rebut_ledger_batch_transactions").record(answers.len() as f64);
    metrics::histogram!("rebut_ledger_flush_seconds").record(flush);
    let money = inner.settlement.money();
    for (name, value) in [
        ("rebut_ledger_height", inner.receipts.height() as f64),
        ("rebut_ledger_locked_wei", money.locked_wei() as f64),
        ("rebut_ledger_burned_wei", money.burned_wei() as f64),
        ("rebut_ledger_stopped", f64::from(u8::from(inner.stopped))),
    ] {
        metrics::gauge!(name).set(value);
    }
}

impl Inner {
    fn flush(&mut self) -> Result<(), LedgerError> {
        if self.stopped {
            return Err(LedgerError::Stopped);
        }
        let flushed = self.store.flush();
        if flushed.is_err() {
            #[cfg(test)]
            cov_mark::hit!(flush_failed);
            self.stopped = true;
        }
        Ok(flushed?)
    }

    fn accept(
        &mut self,
        clock_ms: u64,
        transaction: &SignedTransaction,
        action: &Action,
    ) -> Result<Receipt, LedgerError> {
        if self.stopped {
            #[cfg(test)]
            cov_mark::hit!(nothing_is_accepted_any_more);
            return Err(LedgerError::Stopped);
        }
        // Most of what is refused has a nonce that is gone or not reached: no state is copied for it.
        let (sender, nonce) = (transaction.sender, transaction.nonce);
        let expected = self.settlement.nonce(&sender);
        if nonce != expected {
            return Err(Rejection::Nonce { expected }.into());
        }
        let at_ms = clock_ms.max(self.settlement.now_ms());
        // From here on memory may be ahead of the disk until the batch is flushed; if anything
        // fails in between the ledger stops, loudly, and a restart reads what the disk really holds.
        self.stopped = true;
        // Readers hold older states by reference; this clones only when one of them is alive.
        // The signature was verified at the door.
        let settlement = Arc::make_mut(&mut self.settlement);
        let events = match settlement.perform_numbered(at_ms, sender, nonce, action) {
            Ok(events) => events,
            Err(rejection) => {
                #[cfg(test)]
                cov_mark::hit!(rules_refuse_a_transaction);
                self.stopped = false;
                return Err(rejection.into());
            }
        };
        let entry = LogEntry { at_ms, transaction: transaction.to_canonical() };
        let unusable = |error: wire::WireError| LedgerError::Unusable { reason: error.to_string() };
        let content = wire::encode(&entry).map_err(unusable)?;
        self.store.write(&content)?;
        self.stopped = false;
        let height = self.receipts.height() + 1;
        let receipt = Receipt { height, at_ms, events };
        self.receipts.push(receipt.clone());
        Ok(receipt)
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn submit(&self, transaction: SignedTransaction) -> Result<Receipt, LedgerError> {
        let action = transaction.decode_action().map_err(Rejection::from)?;
        self.genesis.domain().verify(&transaction).map_err(Rejection::from)?;
        let urgent = {
            let inner = lock(&self.inner);
            is_urgent(&inner.settlement, &transaction.sender, &action)
        };
        let (answer, answered) = oneshot::channel();
        if !self.doors.push(urgent, Waiting { transaction, action, answer }).await {
            return Err(LedgerError::Stopped);
        }
        answered.await.map_err(|_| LedgerError::Stopped)?
    }

    async fn view(&self) -> Result<View, LedgerError> {
        let inner = lock(&self.inner);
        if inner.stopped {
            return Err(LedgerError::Stopped);
        }
        Ok(View {
            height: inner.receipts.height(),
            now_ms: self.clock.now_ms().max(inner.settlement.now_ms()),
            settlement: Arc::clone(&inner.settlement),
        })
    }

    async fn view_at(&self, height: u64) -> Result<View, LedgerError> {
        let latest = self.view().await?;
        if height == latest.height {
            return Ok(latest);
        }
        if height > latest.height {
            let reason = format!("height {height} is not reached; the latest is {}", latest.height);
            return Err(LedgerError::Unusable { reason });
        }
        let (settlement, _) = self.history.replayed(height, height).await?;
        Ok(View { height, now_ms: settlement.now_ms(), settlement })
    }

    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Receipt>, LedgerError> {
        let (recent, height) = {
            let inner = lock(&self.inner);
            (inner.receipts.after(after, limit), inner.receipts.height())
        };
        match recent {
            Some(receipts) => Ok(receipts),
            // Who reads from long ago reads much: a page of it costs a replay, and the next one goes on
            // where it ended.
            None => {
                #[cfg(test)]
                cov_mark::hit!(receipts_are_read_from_the_log);
                let end = height.min(after.saturating_add(limit.max(REPLAYED_MIN) as u64));
                let (_, mut receipts) = self.history.replayed(after, end).await?;
                receipts.truncate(limit);
                Ok(receipts)
            }
        }
    }

    async fn wait_beyond(&self, height: u64) -> Result<(), LedgerError> {
        let mut watcher = self.height.subscribe();
        let reached = watcher.wait_for(|now| *now > height).await;
        reached.map(|_| ()).map_err(|_| LedgerError::Stopped)
    }
}

#[cfg(test)]
mod tests;
