//! How the state of a ledger is had again from its folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use protocol::encoding::Canonical as _;
use protocol::settlement::{Genesis, Settlement};

use crate::log::{beginning, replay_one};
use crate::recent::Recent;
use crate::snapshot::{EVERY, Snapshot, SnapshotError, Snapshots};
use crate::store::{Mark, Store};
use crate::{LedgerError, Receipt, wire};

/// A ledger's log, and the state at its end.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) settlement: Arc<Settlement>,
    pub(super) receipts: Recent<Receipt>,
    /// Torn records that were cut.
    pub(super) cut: u64,
    /// The snapshot that it was started from.
    pub(super) from: Option<Mark>,
}

fn unusable(reason: impl ToString) -> LedgerError {
    LedgerError::Unusable { reason: reason.to_string() }
}

impl Opened {
    pub(super) fn of(folder: &Path, genesis: &Genesis) -> Result<Self, LedgerError> {
        let begun = Instant::now();
        let (mut is_told, mut snapshot) = (false, None);
        let wrong = |path: &Path, error: &SnapshotError| {
            #[cfg(test)]
            if matches!(error, SnapshotError::OtherLog) {
                cov_mark::hit!(snapshot_is_of_another_log);
            }
            is_told = true;
            tracing::error!(event = "ledger.snapshot_unusable", path = %path.display(), %error,
                "it is not started from: an older one is, or the whole log is read; delete the file");
        };
        let (mut store, recovered) = Store::open_after(folder, |log| {
            snapshot = Snapshots::beside(folder).newest(genesis, |mark| log.has(mark), wrong);
            snapshot.as_ref().map(|snapshot| snapshot.mark)
        })?;
        if recovered.cut > 0 {
            #[cfg(test)]
            cov_mark::hit!(opened_after_a_torn_write);
            tracing::warn!(
                event = "ledger.torn_tail_cut",
                records = recovered.cut,
                "cut a torn record that was never acknowledged"
            );
        }
        let mut contents = recovered.contents.into_iter();
        let found = match recovered.from {
            Some(_) => store.reader().contents(0, 0)?.into_iter().next(),
            None => contents.next(),
        };
        match found {
            None => {
                beginning(genesis)?;
                store.append(&genesis.to_canonical())?;
            }
            Some(found) if found == genesis.to_canonical() => {}
            Some(_) => {
                #[cfg(test)]
                cov_mark::hit!(log_began_with_another_genesis);
                return Err(unusable("it began with another genesis; choose another folder"));
            }
        }
        let (mut settlement, mut receipts) = match snapshot.filter(|_| recovered.from.is_some()) {
            // The first record is the genesis.
            Some(Snapshot { mark, settlement }) => {
                (settlement, Recent::after_the_first(mark.height.saturating_sub(1)))
            }
            None => (beginning(genesis)?, Recent::default()),
        };
        let before = receipts.height();
        for content in contents {
            let entry = wire::decode(&content).map_err(unusable)?;
            receipts.push(replay_one(&mut settlement, receipts.height(), &entry)?);
        }
        tell(before, receipts.height(), is_told, begun);
        let (settlement, cut, from) = (Arc::new(settlement), recovered.cut, recovered.from);
        Ok(Self { store, settlement, receipts, cut, from })
    }
}

/// Tells how a ledger was started, aloud where it read a long log for want of a snapshot.
fn tell(snapshot: u64, height: u64, is_told: bool, begun: Instant) {
    let replayed = height.saturating_sub(snapshot);
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    metrics::gauge!("rebut_ledger_snapshot_height").set(snapshot as f64);
    if snapshot == 0 && (is_told || height >= EVERY) {
        #[cfg(test)]
        cov_mark::hit!(whole_log_is_read_for_want_of_a_snapshot);
        tracing::warn!(
            event = "ledger.whole_log_read",
            height,
            ms,
            "no snapshot could be started from; the next start will have one"
        );
    } else {
        tracing::info!(event = "ledger.started", snapshot, replayed, ms);
    }
}
