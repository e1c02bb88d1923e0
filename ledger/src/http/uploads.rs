//! States that accounts publish: inputs of jobs and outputs of claims, found by root and account.
//!
//! A published state is raw (`protocol::published`), so that its root is computed while it streams in,
//! without the model: nothing is kept that has another root than it is published under. An account at its
//! bound makes room by what nobody needs any more; the disk keeps a reserve for the ledger's log.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use protocol::hash::{Digest, Keccak, parse_digest, parse_hex};
use protocol::published::{StateError, StateHasher, StateLimits};
use protocol::settlement::{Claim, ClaimStatus, JobStatus, Settlement};
use protocol::transaction::Address;
use tokio::sync::mpsc;

use super::limits::Limits;
use super::quota::{AT_ONCE_MAX, Bounds, Over, Quota, charge};

/// Leaves of one state; a row has one at least, however short it is.
const STATE_LEAVES_MAX: u64 = 1 << 21;
/// Outputs and inputs of an answered job stay this long after its claim's window.
const FETCH_MS: u64 = 7 * 24 * 3_600_000;
/// What is younger is kept in any case: its job or claim may be on the way.
const YOUNG: Duration = Duration::from_secs(3_600);

/// Files of one folder, one for each root and account.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    bounds: Bounds,
    /// Bytes of the disk that stay free for the ledger's log.
    disk_free_bytes_min: u64,
    quota: Arc<Mutex<Quota>>,
}

/// Why a state is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadRefusal {
    #[error("{AT_ONCE_MAX} uploads of this account are under way; wait for one to end")]
    AtOnce,
    #[error(
        "the account's uploads would be over {limit} bytes, all of them of open jobs, standing claims \
         or younger than an hour; this ledger keeps no more for it"
    )]
    Account { limit: u64 },
    #[error("this ledger keeps no more than {limit} bytes of uploads; its operator was told")]
    All { limit: u64 },
    #[error("the ledger's disk is nearly full; its operator was told")]
    DiskReserve,
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

/// Roots of the published states that somebody may still have to read.
pub(super) fn needed(settlement: &Settlement, now_ms: u64) -> HashSet<Digest> {
    let mut needed = HashSet::new();
    for (_, job) in settlement.jobs() {
        let claims = job.claims.iter().filter_map(|id| settlement.claim(id));
        let is_read = |claim: &&Claim| match claim.status {
            ClaimStatus::Standing => true,
            ClaimStatus::Final { .. } => now_ms < claim.window_end_ms.saturating_add(FETCH_MS),
            ClaimStatus::Fallen { .. } | ClaimStatus::Released { .. } => false,
        };
        let outputs: Vec<Digest> =
            claims.filter(is_read).map(|claim| claim.terms.output_root).collect();
        if job.status == JobStatus::Open || !outputs.is_empty() {
            needed.insert(job.terms.input_root);
        }
        needed.extend(outputs);
    }
    needed
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
        let uploads =
            Self { folder, bounds, disk_free_bytes_min: limits.disk_free_bytes_min, quota };
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

    /// Sets room aside for an upload, before any of it is read. Two at once cannot share room. At the
    /// account's bound, what is not in `needed` makes room, the oldest first.
    pub(super) fn reserve(
        &self,
        account: Address,
        bytes: u64,
        needed: impl FnOnce() -> HashSet<Digest>,
    ) -> Result<Reservation, UploadRefusal> {
        let mut outcome = self.lock().reserve(account, bytes, &self.bounds);
        if outcome == Err(Over::Account) {
            self.make_room(account, bytes, &needed())?;
            outcome = self.lock().reserve(account, bytes, &self.bounds);
        }
        let reserved = || Reservation { uploads: self.clone(), account, bytes, is_kept: false };
        let reservation = outcome.map(|()| reserved());
        let refusal = match reservation {
            Ok(reservation) if self.has_disk(bytes)? => return Ok(reservation),
            Ok(_) => UploadRefusal::DiskReserve,
            Err(Over::AtOnce) => UploadRefusal::AtOnce,
            Err(Over::Account) => UploadRefusal::Account { limit: self.bounds.account_bytes },
            Err(Over::All) => UploadRefusal::All { limit: self.bounds.all_bytes },
        };
        if matches!(refusal, UploadRefusal::All { .. } | UploadRefusal::DiskReserve) {
            metrics::counter!("rebut_ledger_uploads_refused_total").increment(1);
            tracing::error!(event = "ledger.upload_refused", %account, bytes, %refusal,
                "jobs and claims of this account cannot be checked: make room, or raise \
                 --uploads-bytes-max");
        }
        Err(refusal)
    }

    /// Whether the disk has room for an upload beside the reserve.
    fn has_disk(&self, bytes: u64) -> Result<bool, UploadRefusal> {
        let found = rustix::fs::statvfs(&self.folder).map_err(std::io::Error::from)?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        Ok(free >= charge(bytes).saturating_add(self.disk_free_bytes_min))
    }

    /// Removes an account's states that nobody needs, the oldest first, until one more has room.
    fn make_room(
        &self,
        account: Address,
        bytes: u64,
        needed: &HashSet<Digest>,
    ) -> std::io::Result<()> {
        let entries = match std::fs::read_dir(self.folder_of(&account)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let root = path.file_name().and_then(|name| parse_digest(&name.to_string_lossy()));
            // What another upload is renaming or removing just now is left to it.
            let Ok(found) = std::fs::metadata(&path) else {
                continue;
            };
            let at = found.modified().unwrap_or_else(|_| SystemTime::now());
            let old = at.elapsed().is_ok_and(|age| age >= YOUNG);
            if old && root.is_some_and(|root| !needed.contains(&root)) {
                files.push((at, path, found.len()));
            }
        }
        files.sort();
        for (_, path, length) in files {
            let mut quota = self.lock();
            if quota.of(&account).saturating_add(charge(bytes)) <= self.bounds.account_bytes {
                break;
            }
            // Under the lock: two that make room at once must not count one file twice.
            if std::fs::remove_file(&path).is_ok() {
                quota.removed(account, length);
            }
        }
        Ok(())
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
        let written = receive(&partial, root, reservation.bytes, parts).and_then(|()| {
            // Under the lock: of two writers of one state, one is the first.
            let _quota = self.lock();
            reservation.is_kept = !path.exists();
            Ok(std::fs::rename(&partial, &path)?)
        });
        if written.is_err() {
            // Nothing of it is of use, and it would take room.
            let _ = std::fs::remove_file(&partial);
            reservation.is_kept = false;
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

    #[test]
    fn an_account_at_its_bound_makes_room_by_its_oldest_state_that_nobody_needs() {
        let folder = tempfile::tempdir().unwrap();
        for (root, hours) in [(1, 5), (2, 4), (3, 3), (4, 0)] {
            file(folder.path(), root, hours);
        }
        // Of a server that was killed.
        let own = folder.path().join("inputs").join(ACCOUNT.to_string());
        std::fs::write(own.join("0x07.partial-3"), [0; 9_000]).unwrap();
        let uploads = uploads(folder.path(), 4 * (8 << 10), 0);
        assert_eq!(uploads.lock().of(&ACCOUNT), 4 * (8 << 10));
        assert_eq!(std::fs::read_dir(&own).unwrap().count(), 4);
        let needed = || HashSet::from([Digest([1; 32])]);
        let there = |root: u8| uploads.file(&Digest([root; 32]), &ACCOUNT).exists();
        let first = uploads.reserve(ACCOUNT, 4_000, needed).unwrap();
        assert_eq!([there(1), there(2), there(3), there(4)], [true, false, true, true]);
        let _second = uploads.reserve(ACCOUNT, 4_000, needed).unwrap();
        assert!(!there(3));
        // What is needed, and what is young, stays.
        let third = uploads.reserve(ACCOUNT, 4_000, needed);
        assert!(matches!(third, Err(UploadRefusal::Account { .. })));
        assert!(there(1) && there(4));
        drop(first);
        assert!(uploads.reserve(ACCOUNT, 4_000, needed).is_ok());
    }

    #[test]
    fn uploads_leave_the_log_its_reserve_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = uploads(folder.path(), 1 << 30, u64::MAX / 2);
        let refused = uploads.reserve(ACCOUNT, 1, HashSet::new);
        assert!(matches!(refused, Err(UploadRefusal::DiskReserve)));
        assert_eq!(uploads.lock().all(), 0);
    }
}
