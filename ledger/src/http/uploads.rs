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
                    Some(_) => std::fs::remove_file(file.path())?,
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
        let found = rustix::fs::statvfs(&self.folder).map_err(std::io::Error::from)?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
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
                    return Err(UploadRefusal::DiskReserve);
                }
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ACCOUNT: Address = Address([1; 20]);

    fn uploads(folder: &Path, account_bytes: u64, disk_free_bytes_min: u64) -> Uploads {
        let limits = Limits { account_bytes, disk_free_bytes_min, ..Limits::default() };
        Uploads::new(folder, &limits).unwrap()
    }

    fn file(folder: &Path, root: u8, hours: u64) {
        let own = folder.join("inputs").join(ACCOUNT.to_string());
        std::fs::create_dir_all(&own).unwrap();
        let path = own.join(Digest([root; 32]).to_string());
        std::fs::write(&path, [0; 4_000]).unwrap();
        let at = SystemTime::now() - Duration::from_secs(hours * 3_600);
        std::fs::File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
    }

    fn needs(needed: &[u8], wanted: &[u8]) -> Needs {
        let roots =
            |numbers: &[u8]| numbers.iter().map(|one| (ACCOUNT, Digest([*one; 32]))).collect();
        Needs { needed: roots(needed), wanted: roots(wanted) }
    }

    #[test]
    fn an_account_at_its_bound_makes_room_by_its_oldest_state_that_nobody_needs() {
        let folder = tempfile::tempdir().unwrap();
        for (root, hours) in [(1, 6), (2, 5), (3, 3), (4, 0), (5, 4)] {
            file(folder.path(), root, hours);
        }
        // Of a server that was killed.
        let own = folder.path().join("inputs").join(ACCOUNT.to_string());
        std::fs::write(own.join("0x07.partial-3"), [0; 9_000]).unwrap();
        let uploads = uploads(folder.path(), 5 * (8 << 10), 0);
        assert_eq!(uploads.lock().of(&ACCOUNT), 5 * (8 << 10));
        assert_eq!(std::fs::read_dir(&own).unwrap().count(), 5);
        let there =
            |roots: [u8; 5]| roots.map(|root| uploads.file(&Digest([root; 32]), &ACCOUNT).exists());
        let all = [1, 2, 3, 4, 5];
        // 1 is needed, 2 is wanted, 4 is young: 5 is the oldest of the others, then 3, then what is
        // only wanted.
        let reserve = || uploads.reserve(ACCOUNT, 4_000, || needs(&[1], &[2]));
        let first = reserve().unwrap();
        assert_eq!(there(all), [true, true, true, true, false]);
        let _second = reserve().unwrap();
        assert_eq!(there(all), [true, true, false, true, false]);
        let _third = reserve().unwrap();
        assert_eq!(there(all), [true, false, false, true, false]);
        assert!(matches!(reserve(), Err(UploadRefusal::Account { .. })));
        // Nothing is looked through again at once.
        let untouched = uploads.reserve(ACCOUNT, 4_000, || panic!("looked through again"));
        assert!(matches!(untouched, Err(UploadRefusal::Account { .. })));
        assert_eq!(there(all), [true, false, false, true, false]);
        drop(first);
        assert!(reserve().is_ok());
    }

    #[test]
    fn audit_a7_an_account_at_its_bound_is_not_looked_through_at_every_upload() {
        let folder = tempfile::tempdir().unwrap();
        for root in 0..200 {
            file(folder.path(), root, 2);
        }
        let uploads = uploads(folder.path(), 200 * (8 << 10), 0);
        let looks = std::cell::Cell::new(0);
        let reserve = || {
            let needs = || {
                looks.set(looks.get() + 1);
                Needs::default()
            };
            uploads.reserve(ACCOUNT, 4_000, needs).map(|mut one| one.is_kept = true)
        };
        (0..9).for_each(|_| reserve().unwrap());
        assert_eq!(looks.get(), 3);
        // Nor is one that has little to remove.
        let few = tempfile::tempdir().unwrap();
        file(few.path(), 1, 2);
        let uploads = self::uploads(few.path(), 2 * (8 << 10), 0);
        uploads.reserve(ACCOUNT, 4_000, Needs::default).unwrap().is_kept = true;
        uploads.reserve(ACCOUNT, 4_000, Needs::default).unwrap().is_kept = true;
        for _ in 0..9 {
            let looked = || panic!("looked through again");
            assert!(uploads.reserve(ACCOUNT, 4_000, looked).is_err());
        }
    }

    #[test]
    fn when_all_are_at_their_bound_what_nobody_needs_goes_whosever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for root in 1..5 {
            file(folder.path(), root, 2);
        }
        let limits =
            Limits { uploads_bytes: 32 << 10, disk_free_bytes_min: 0, ..Limits::default() };
        let uploads = Uploads::new(folder.path(), &limits).unwrap();
        let other = Address([9; 20]);
        let reserved = uploads.reserve(other, 4_000, || needs(&[1, 2], &[]));
        assert!(reserved.is_ok());
        let refused = uploads.reserve(other, 12_000, || needs(&[1, 2, 3, 4], &[]));
        assert!(matches!(refused, Err(UploadRefusal::All { .. })));
        assert!(uploads.file(&Digest([1; 32]), &ACCOUNT).exists());
    }

    #[test]
    fn what_comes_again_is_as_young_as_what_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), 1, 5);
        let uploads = uploads(folder.path(), 8 << 10, 0);
        assert!(uploads.touch(&Digest([1; 32]), &ACCOUNT));
        assert!(!uploads.touch(&Digest([2; 32]), &ACCOUNT));
        let refused = uploads.reserve(ACCOUNT, 4_000, Needs::default);
        assert!(matches!(refused, Err(UploadRefusal::Account { .. })));
    }

    #[test]
    fn audit_a7_uploads_under_way_stop_where_the_log_s_reserve_begins() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = uploads(folder.path(), 1 << 30, 0);
        let reservation = uploads.reserve(ACCOUNT, 400, Needs::default).unwrap();
        // Others filled the disk meanwhile.
        let full = Uploads { disk_free_bytes_min: u64::MAX / 2, ..uploads.clone() };
        let (sender, parts) = mpsc::channel(4);
        sender.try_send(Bytes::from_static(&[7; 400])).unwrap();
        drop(sender);
        let written = full.write(&Digest([1; 32]), reservation, parts);
        assert!(matches!(written, Err(UploadRefusal::DiskReserve)), "{written:?}");
        let left = std::fs::read_dir(full.folder_of(&ACCOUNT)).unwrap().count();
        assert_eq!((left, uploads.lock().all()), (0, 0));
    }

    #[test]
    fn uploads_leave_the_log_its_reserve_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = uploads(folder.path(), 1 << 30, u64::MAX / 2);
        let refused = uploads.reserve(ACCOUNT, 1, Needs::default);
        assert!(matches!(refused, Err(UploadRefusal::DiskReserve)));
        assert_eq!(uploads.lock().all(), 0);
    }
}
