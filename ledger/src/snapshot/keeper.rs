//! The thread that writes snapshots, so that nobody who serves waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use protocol::settlement::Settlement;

use super::Snapshots;
use crate::store::{LogReader, Mark};

/// Transactions after a snapshot before there is another, at least.
pub(crate) const EVERY: u64 = if cfg!(test) { 8 } else { 10_000 };
/// A snapshot of many objects is written more seldom: after as many transactions as this part of them.
const PARTS_PER_TRANSACTION: u64 = 8;
/// Transactions whose replay is worth a snapshot when the ledger ends.
const AT_END_MIN: u64 = if cfg!(test) { 2 } else { 1_000 };

/// A state, and where in the log it is.
type Due = (Arc<Settlement>, Mark);

/// The thread, and when it has work.
#[derive(Debug)]
pub(crate) struct Keeper {
    due: Option<SyncSender<Due>>,
    /// Records of the log at which the next one is due.
    next: Arc<AtomicU64>,
    /// Records of the log that the last one has.
    last: Arc<AtomicU64>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread. `from` is the mark of the snapshot that the ledger was started from: the log before it,
    /// which nobody read, is checked first.
    pub(crate) fn start(
        snapshots: Snapshots,
        log: LogReader,
        from: Option<Mark>,
    ) -> std::io::Result<Self> {
        snapshots.tidy();
        let (due, waiting) = sync_channel(1);
        let begun = from.as_ref().map_or(0, |mark| mark.height);
        let next = Arc::new(AtomicU64::new(begun.saturating_add(EVERY)));
        let last = Arc::new(AtomicU64::new(begun));
        let ending = Arc::new(AtomicBool::new(false));
        let work = Work {
            snapshots,
            next: Arc::clone(&next),
            last: Arc::clone(&last),
            ending: Arc::clone(&ending),
        };
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || {
            if let Some(mark) = from {
                work.check_before(&log, &mark);
            }
            work.keep_all(&waiting);
        })?;
        Ok(Self { due: Some(due), next, last, ending, thread: Some(thread) })
    }

    /// Has a snapshot written, if one is due and none is being written.
    pub(crate) fn offer(&self, settlement: &Arc<Settlement>, mark: &Mark) {
        if mark.height >= self.next.load(Ordering::Relaxed)
            && let Some(due) = &self.due
            // The thread is still busy with the one before: at the next batch, then.
            && due.try_send((Arc::clone(settlement), *mark)).is_ok()
        {
            self.next.store(mark.height.saturating_add(EVERY), Ordering::Relaxed);
        }
    }

    /// Ends the thread, with a last snapshot where much was accepted since the one before.
    pub(crate) fn end(&mut self, settlement: &Arc<Settlement>, mark: &Mark) {
        self.ending.store(true, Ordering::Relaxed);
        let since = mark.height.saturating_sub(self.last.load(Ordering::Relaxed));
        if let Some(due) = self.due.take()
            && since >= AT_END_MIN
        {
            // The thread is there until the channel is closed, which is below.
            let _ = due.send((Arc::clone(settlement), *mark));
        }
        self.join();
    }

    fn join(&mut self) {
        self.due = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed; the log has everything.
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        self.join();
    }
}

/// What the thread does.
struct Work {
    snapshots: Snapshots,
    next: Arc<AtomicU64>,
    last: Arc<AtomicU64>,
    ending: Arc<AtomicBool>,
}

impl Work {
    fn keep_all(&self, waiting: &Receiver<Due>) {
        while let Ok((settlement, mark)) = waiting.recv() {
            if mark.height == self.last.load(Ordering::Relaxed) {
                continue;
            }
            let begun = Instant::now();
            match self.snapshots.keep(&settlement, &mark) {
                Ok(parts) => {
                    let height = mark.height.saturating_sub(1);
                    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(event = "ledger.snapshot_kept", height, parts, ms);
                    metrics::gauge!("rebut_ledger_snapshot_height").set(height as f64);
                    metrics::histogram!("rebut_ledger_snapshot_seconds").record(begun.elapsed());
                    self.last.store(mark.height, Ordering::Relaxed);
                    let pause = EVERY.max(parts / PARTS_PER_TRANSACTION);
                    self.next.store(mark.height.saturating_add(pause), Ordering::Relaxed);
                }
                Err(error) => {
                    #[cfg(test)]
                    cov_mark::hit!(snapshot_is_not_kept);
                    metrics::counter!("rebut_ledger_snapshots_failed_total").increment(1);
                    tracing::error!(event = "ledger.snapshot_not_kept", %error,
                        "nothing is lost, but a restart reads the log from an older snapshot on, or \
                         all of it: free disk space and check the folder's rights");
                }
            }
        }
    }

    /// Tells of damage before the place that the ledger was started from: the start did not read it.
    fn check_before(&self, log: &LogReader, mark: &Mark) {
        match log.check_until(mark, &self.ending) {
            Ok(()) => {}
            Err(error) => {
                #[cfg(test)]
                cov_mark::hit!(log_before_the_snapshot_is_damaged);
                metrics::gauge!("rebut_ledger_log_damaged").set(1.0);
                tracing::error!(event = "ledger.log_damaged", %error,
                    "the ledger goes on from its snapshot, but whoever reads the log from its \
                     beginning is refused: restore a copy of the folder");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::testing::Court;
    use std::path::Path;

    /// A log of five records, and the work of the thread beside it.
    fn work(folder: &Path) -> (Work, LogReader, Mark) {
        let (mut store, _) = Store::open(folder).unwrap();
        for number in 0..5 {
            store.append(&[number; 40]).unwrap();
        }
        let work = Work {
            snapshots: Snapshots::beside(folder),
            next: Arc::default(),
            last: Arc::default(),
            ending: Arc::default(),
        };
        (work, store.reader(), store.mark())
    }

    fn offered(work: &Work, marks: &[Mark]) {
        let (due, waiting) = sync_channel(marks.len());
        let settlement = Arc::new(Court::new().settlement);
        for mark in marks {
            due.send((Arc::clone(&settlement), *mark)).unwrap();
        }
        drop(due);
        work.keep_all(&waiting);
    }

    #[test]
    fn what_cannot_be_written_is_told_and_tried_again_at_the_next() {
        cov_mark::check!(snapshot_is_not_kept);
        let folder = tempfile::tempdir().unwrap();
        let (work, _, mark) = work(folder.path());
        std::fs::write(folder.path().join("snapshots"), b"no folder").unwrap();
        offered(&work, &[mark]);
        assert_eq!(work.last.load(Ordering::Relaxed), 0);
        std::fs::remove_file(folder.path().join("snapshots")).unwrap();
        offered(&work, &[mark]);
        assert_eq!(work.last.load(Ordering::Relaxed), 5);
        assert_eq!(work.next.load(Ordering::Relaxed), 5 + EVERY);
    }

    #[test]
    fn damage_that_the_start_did_not_read_is_told() {
        cov_mark::check!(log_before_the_snapshot_is_damaged);
        let folder = tempfile::tempdir().unwrap();
        let (work, log, mark) = work(folder.path());
        work.check_before(&log, &mark);
        assert!(log.check_until(&mark, &work.ending).is_ok());
        work.check_before(&log, &Mark { chain: [9; 32], ..mark });
        // Who ends waits for no reading of an old log.
        work.ending.store(true, Ordering::Relaxed);
        assert!(log.check_until(&Mark { chain: [9; 32], ..mark }, &work.ending).is_ok());
    }
}
