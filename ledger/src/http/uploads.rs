//! States that accounts publish: inputs of jobs and outputs of claims, found by root and account.
//!
//! A published state is raw (`protocol::state_stream`), so that its root is computed while it streams in,
//! without the model: nothing is kept that has another root than it is published under. An account at its
//! bound makes room by what nobody needs any more; the disk keeps a reserve for the ledger's log.

mod needs;
mod room;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use axum::body::Bytes;
use protocol::hash::{Digest, Keccak, parse_hex};
use protocol::state_stream::{StateError, StateHasher, StateLimits};
use protocol::transaction::Address;
use tokio::sync::mpsc;

use super::limits::Limits;
use super::quota::{AT_ONCE_MAX, Bounds, Over, Quota, charge};
use crate::durable;

pub(super) use needs::{Needs, needed};
use needs::{Tidying, Whose};

/// Leaves of one state; a row has one at least, however short it is.
const STATE_LEAVES_MAX: u64 = 1 << 21;
/// The disk is looked at before every so many bytes of an upload.
const CHECKED_BYTES: u64 = 256 << 10;
/// Files of one folder, one for each root and account.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    bounds: Bounds,
    /// Bytes of the disk that stay free for the ledger's log.
    disk_free_bytes_min: u64,
    quota: Arc<Mutex<Quota>>,
    tidying: Arc<Mutex<HashMap<Whose, Tidying>>>,
}

/// Why a state is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadRefusal {
    #[error("{AT_ONCE_MAX} uploads of this account are under way; wait for one to end")]
    AtOnce,
    #[error(
        "the account's uploads would be over {limit} bytes, all of them of open jobs, standing claims \
         or younger than ten minutes; this ledger keeps no more for it"
    )]
    Account { limit: u64 },
    #[error("this ledger keeps no more than {limit} bytes of uploads; its operator was told")]
    All { limit: u64 },
    #[error("the ledger's disk is nearly full; its operator was told")]
    DiskReserve,
    #[error("room is being made; try again in a moment")]
    Tidying,
    #[error("the body ended or was cut before its announced length")]
    Cut,
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the state has the root {found}, not {wanted}; nothing was kept")]
    OtherRoot { found: Digest, wanted: Digest },
    #[error("{0}")]
    Disk(#[from] std::io::Error),
}

/// Room for one upload, given back when it is dropped unless the state was kept.
#[derive(Debug)]
pub(super) struct Reservation {
    uploads: Uploads,
    account: Address,
    bytes: u64,
    is_kept: bool,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.uploads.lock().end(self.account, self.bytes, self.is_kept);
        self.uploads.measure();
    }
}

/// Counts and tells that the operator must make room.
fn tell_if_full(account: &Address, bytes: u64, refusal: &UploadRefusal) {
    if matches!(refusal, UploadRefusal::All { .. } | UploadRefusal::DiskReserve) {
        metrics::counter!("rebut_ledger_uploads_refused_total").increment(1);
        tracing::error!(event = "ledger.upload_refused", %account, bytes, %refusal,
            "jobs and claims of this account cannot be checked: make room, or raise \
             --uploads-bytes-max");
    }
}

impl Uploads {
    /// Counts what lies there; removes what a killed server was writing.
    pub(super) fn new(ledger: &Path, limits: &Limits) -> std::io::Result<Self> {
        let folder = ledger.join("inputs");
        std::fs::create_dir_all(&folder)?;
        let mut quota = Quota::default();
        for own in std::fs::read_dir(&folder)? {
            let own = own?.path();
            let name = own.file_name().map(|name| name.to_string_lossy().into_owned());
            let account = name.and_then(|name| parse_hex(&name)?.try_into().ok()).map(Address);
            let Some(account) = account else {
                continue;
            };
            for file in std::fs::read_dir(&own)? {
                let file = file?;
                match file.path().extension() {
                    Some(_) => {
                        #[cfg(test)]
                        cov_mark::hit!(rest_of_a_killed_server_is_removed);
                        std::fs::remove_file(file.path())?;
                    }
                    None => quota.found(account, file.metadata()?.len()),
                }
            }
        }
        let bounds =
            Bounds { account_bytes: limits.account_bytes, all_bytes: limits.uploads_bytes };
        let quota = Arc::new(Mutex::new(quota));
        let (tidying, disk_free_bytes_min) = (Arc::default(), limits.disk_free_bytes_min);
        let uploads = Self { folder, bounds, disk_free_bytes_min, quota, tidying };
        uploads.measure();
        Ok(uploads)
    }

    fn lock(&self) -> MutexGuard<'_, Quota> {
        // The counts are whole at any time: what a panic left can be used.
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self) {
        metrics::gauge!("rebut_ledger_uploads_bytes").set(self.lock().all() as f64);
        metrics::gauge!("rebut_ledger_uploads_bytes_max").set(self.bounds.all_bytes as f64);
    }

    fn folder_of(&self, account: &Address) -> PathBuf {
        self.folder.join(account.to_string())
    }

    /// Where a state lies, if it was published.
    pub(super) fn file(&self, root: &Digest, account: &Address) -> PathBuf {
        // Both print as 0x and hexadecimal digits: no path can be built from outside.
        self.folder_of(account).join(root.to_string())
    }

    /// Whether a state lies there.
    pub(super) fn holds(&self, root: &Digest, account: &Address) -> bool {
        self.file(root, account).exists()
    }

    /// Whether a state lies there, as if it had come now.
    pub(super) fn touch(&self, root: &Digest, account: &Address) -> bool {
        // Under the lock: what makes room must not remove it in between.
        let _quota = self.lock();
        let file = std::fs::File::options().append(true).open(self.file(root, account));
        file.and_then(|file| file.set_modified(SystemTime::now())).is_ok()
    }

    /// Sets room aside for an upload, before any of it is read. Two at once cannot share room. Without
    /// room, states that nobody needs go, the oldest first: of the account when it is at its bound, of
    /// all when all are.
    pub(super) fn reserve(
        &self,
        account: Address,
        bytes: u64,
        needs: impl FnOnce() -> Needs,
    ) -> Result<Reservation, UploadRefusal> {
        let first = self.try_reserve(account, bytes);
        let whose = match first {
            Err(UploadRefusal::Account { .. }) => Whose::Of(account),
            Err(UploadRefusal::All { .. } | UploadRefusal::DiskReserve) => Whose::All,
            outcome => return outcome,
        };
        let refusal = if self.tidy(whose, bytes, needs)? {
            match self.try_reserve(account, bytes) {
                Err(refusal) => refusal,
                done => return done,
            }
        } else {
            match first {
                Err(refusal) => refusal,
                done => return done,
            }
        };
        tell_if_full(&account, bytes, &refusal);
        Err(refusal)
    }

    fn try_reserve(&self, account: Address, bytes: u64) -> Result<Reservation, UploadRefusal> {
        let outcome = self.lock().reserve(account, bytes, &self.bounds);
        let reserved = || Reservation { uploads: self.clone(), account, bytes, is_kept: false };
        match outcome.map(|()| reserved()) {
            Ok(reservation) if self.has_disk(bytes)? => Ok(reservation),
            Ok(_) => Err(UploadRefusal::DiskReserve),
            Err(Over::AtOnce) => Err(UploadRefusal::AtOnce),
            Err(Over::Account) => Err(UploadRefusal::Account { limit: self.bounds.account_bytes }),
            Err(Over::All) => Err(UploadRefusal::All { limit: self.bounds.all_bytes }),
        }
    }

    /// Whether the disk has room for so many bytes more beside the reserve.
    fn has_disk(&self, bytes: u64) -> Result<bool, UploadRefusal> {
        let free = durable::free_bytes(&self.folder)?;
        Ok(free >= charge(bytes).saturating_add(self.disk_free_bytes_min))
    }

    /// Writes and hashes what comes, and keeps it, whole or not at all, if it has the root.
    pub(super) fn write(
        &self,
        root: &Digest,
        mut reservation: Reservation,
        parts: mpsc::Receiver<Bytes>,
    ) -> Result<(), UploadRefusal> {
        std::fs::create_dir_all(self.folder_of(&reservation.account))?;
        let path = self.file(root, &reservation.account);
        // The same state may come twice at once: each writer has a file of its own.
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("partial-{writer}"));
        let written = self.receive(&partial, root, reservation.bytes, parts).and_then(|()| {
            // Under the lock: of two writers of one state, one is the first.
            let _quota = self.lock();
            let is_first = !path.exists();
            #[cfg(test)]
            if !is_first {
                cov_mark::hit!(state_came_twice_at_once);
            }
            std::fs::rename(&partial, &path)?;
            reservation.is_kept = is_first;
            Ok(())
        });
        // Outside the lock. Whoever is told that it is kept relies on it.
        let written = written.and_then(|()| Ok(durable::flush_folder_of(&path)?));
        if let Err(refusal) = &written {
            tell_if_full(&reservation.account, reservation.bytes, refusal);
            // Nothing of it is of use, and it would take room.
            let _ = std::fs::remove_file(&partial);
        }
        written
    }

    /// Writes what comes to a file of its own, as far as the disk has room.
    fn receive(
        &self,
        partial: &Path,
        root: &Digest,
        bytes: u64,
        mut parts: mpsc::Receiver<Bytes>,
    ) -> Result<(), UploadRefusal> {
        use std::io::Write as _;
        let limits = StateLimits { bytes, leaves: STATE_LEAVES_MAX };
        let mut hasher = StateHasher::<Keccak>::new(limits);
        let mut file = std::fs::File::create(partial)?;
        let (mut received, mut checked): (u64, u64) = (0, 0);
        while let Some(part) = parts.blocking_recv() {
            received = received.saturating_add(part.len() as u64);
            // What others announced is not on the disk yet: all that are under way look as they write.
            if received > checked {
                checked = received.saturating_add(CHECKED_BYTES);
                if !self.has_disk(CHECKED_BYTES)? {
                    #[cfg(test)]
                    cov_mark::hit!(disk_filled_during_an_upload);
                    return Err(UploadRefusal::DiskReserve);
                }
            }
            hasher.push(&part)?;
            file.write_all(&part)?;
        }
        if received != bytes {
            #[cfg(test)]
            cov_mark::hit!(upload_is_not_of_its_length);
            return Err(UploadRefusal::Cut);
        }
        let found = hasher.finish()?;
        if found != *root {
            #[cfg(test)]
            cov_mark::hit!(upload_has_another_root);
            return Err(UploadRefusal::OtherRoot { found, wanted: *root });
        }
        Ok(file.sync_all()?)
    }
}

#[cfg(test)]
mod tests;
