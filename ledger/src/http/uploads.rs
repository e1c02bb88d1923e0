//! States that accounts publish: inputs of jobs and outputs of claims, found by root and account.
//!
//! A published state is raw (`protocol::published`), so that its root is computed while it streams in,
//! without the model: nothing is kept that has another root than it is published under.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use protocol::hash::{Digest, Keccak};
use protocol::published::{StateError, StateHasher, StateLimits};
use protocol::transaction::Address;
use tokio::sync::mpsc;

/// Leaves of one state; a row has one at least, however short it is.
const STATE_LEAVES_MAX: u64 = 1 << 21;
/// Uploads of one account at a time.
const AT_ONCE_MAX: usize = 4;

/// Files of one folder, one for each root and account.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    /// Bytes that are being uploaded, by account: they count as if they were there.
    reserved: Arc<Mutex<HashMap<Address, Vec<u64>>>>,
}

/// Why a state is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadRefusal {
    #[error("{AT_ONCE_MAX} uploads of this account are under way; wait for one to end")]
    AtOnce,
    #[error("the account's uploads would be over {limit} bytes; this ledger keeps no more for it")]
    Quota { limit: u64 },
    #[error("the body ended or was cut before its announced length")]
    Cut,
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the state has the root {found}, not {wanted}; nothing was kept")]
    OtherRoot { found: Digest, wanted: Digest },
    #[error("{0}")]
    Disk(#[from] std::io::Error),
}

/// Room for one upload, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    uploads: Uploads,
    account: Address,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = self.uploads.lock();
        if let Some(own) = reserved.get_mut(&self.account) {
            if let Some(place) = own.iter().position(|bytes| *bytes == self.bytes) {
                own.swap_remove(place);
            }
            if own.is_empty() {
                reserved.remove(&self.account);
            }
        }
    }
}

impl Uploads {
    pub(super) fn new(ledger: &Path) -> std::io::Result<Self> {
        let folder = ledger.join("inputs");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, reserved: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Vec<u64>>> {
        // The map holds whole entries at any time: what a panic left can be used.
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder_of(&self, account: &Address) -> PathBuf {
        self.folder.join(account.to_string())
    }

    /// Where a state lies, if it was published.
    pub(super) fn file(&self, root: &Digest, account: &Address) -> PathBuf {
        // Both print as 0x and hexadecimal digits: no path can be built from outside.
        self.folder_of(account).join(root.to_string())
    }

    /// Bytes that an account has published.
    fn used(&self, account: &Address) -> std::io::Result<u64> {
        let mut bytes: u64 = 0;
        match std::fs::read_dir(self.folder_of(account)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    // What is being written is reserved.
                    if entry.path().extension().is_none() {
                        // What another upload is just renaming is counted at the next one.
                        bytes = bytes.saturating_add(entry.metadata().map_or(0, |one| one.len()));
                    }
                }
            }
        }
        Ok(bytes)
    }

    /// Sets room aside for an upload, before any of it is read. Two at once cannot share room.
    pub(super) fn reserve(
        &self,
        account: Address,
        bytes: u64,
        limit: u64,
    ) -> Result<Reservation, UploadRefusal> {
        let mut reserved = self.lock();
        let own = reserved.entry(account).or_default();
        let under_way = own.iter().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        let refused = match own.len() >= AT_ONCE_MAX {
            true => Some(UploadRefusal::AtOnce),
            // Counted under the lock: what was renamed meanwhile is seen here or still reserved.
            false => match self.used(&account) {
                Err(error) => Some(error.into()),
                Ok(used) if used.saturating_add(under_way).saturating_add(bytes) > limit => {
                    Some(UploadRefusal::Quota { limit })
                }
                Ok(_) => None,
            },
        };
        match refused {
            None => own.push(bytes),
            Some(refusal) => {
                if own.is_empty() {
                    reserved.remove(&account);
                }
                return Err(refusal);
            }
        }
        drop(reserved);
        Ok(Reservation { uploads: self.clone(), account, bytes })
    }

    /// Writes and hashes what comes, and keeps it, whole or not at all, if it has the root.
    pub(super) fn write(
        &self,
        root: &Digest,
        reservation: &Reservation,
        parts: mpsc::Receiver<Bytes>,
    ) -> Result<(), UploadRefusal> {
        std::fs::create_dir_all(self.folder_of(&reservation.account))?;
        let path = self.file(root, &reservation.account);
        // The same state may come twice at once: each writer has a file of its own.
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("partial-{writer}"));
        let written = receive(&partial, root, reservation.bytes, parts)
            .and_then(|()| Ok(std::fs::rename(&partial, path)?));
        if written.is_err() {
            // Nothing of it is of use, and it would take room.
            let _ = std::fs::remove_file(&partial);
        }
        written
    }
}

fn receive(
    partial: &Path,
    root: &Digest,
    bytes: u64,
    mut parts: mpsc::Receiver<Bytes>,
) -> Result<(), UploadRefusal> {
    use std::io::Write as _;
    let limits = StateLimits { bytes, leaves: STATE_LEAVES_MAX };
    let mut hasher = StateHasher::<Keccak>::new(limits);
    let mut file = std::fs::File::create(partial)?;
    let mut received: u64 = 0;
    while let Some(part) = parts.blocking_recv() {
        received = received.saturating_add(part.len() as u64);
        hasher.push(&part)?;
        file.write_all(&part)?;
    }
    if received != bytes {
        return Err(UploadRefusal::Cut);
    }
    let found = hasher.finish()?;
    if found != *root {
        return Err(UploadRefusal::OtherRoot { found, wanted: *root });
    }
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_a7_uploads_under_way_at_once_cannot_share_the_quota() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path()).unwrap();
        let account = Address([1; 20]);
        let first = uploads.reserve(account, 60, 100).unwrap();
        let second = uploads.reserve(account, 60, 100);
        assert!(matches!(second, Err(UploadRefusal::Quota { limit: 100 })));
        assert!(uploads.reserve(Address([2; 20]), 60, 100).is_ok());
        drop(first);
        let again: Vec<_> = (0..4).map(|_| uploads.reserve(account, 10, 100).unwrap()).collect();
        assert!(matches!(uploads.reserve(account, 10, 100), Err(UploadRefusal::AtOnce)));
        drop(again);
        assert!(uploads.lock().is_empty());
        // What lies there counts; what is being written counts by its reservation.
        let own = folder.path().join("inputs").join(account.to_string());
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("0x01"), [0; 90]).unwrap();
        std::fs::write(own.join("0x02.partial-7"), [0; 90]).unwrap();
        assert!(uploads.reserve(account, 11, 100).is_err());
        assert!(uploads.reserve(account, 10, 100).is_ok());
    }
}
