//! Where snapshots are: beside the log, the newest two, each whole.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::settlement::{Genesis, Settlement};

use super::{Snapshot, SnapshotError, read, write};
use crate::durable;
use crate::store::{Mark, StoreError};

/// Snapshots that are kept: the newest, and one to start from should it be damaged.
const KEPT: usize = 2;
/// End of a snapshot's name.
const ENDING: &str = "snapshot";
/// End of the name of one that the log does not lead to.
const ASIDE: &str = "aside";
/// Bytes of the disk that a snapshot leaves free, unless more or fewer are named: what uploads leave as well.
pub(crate) const DISK_FREE_BYTES_MIN: u64 = 256 << 20;
/// The disk is asked what is free after so many bytes.
const ASKED_BYTES: u64 = 4 << 20;

/// The folder of a ledger's snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    folder: PathBuf,
    /// Bytes of the disk that are left free for the log.
    free_bytes_min: Arc<AtomicU64>,
}

impl Snapshots {
    /// Of the ledger whose log is in a folder.
    pub(crate) fn beside(log: &Path) -> Self {
        let free_bytes_min = Arc::new(AtomicU64::new(DISK_FREE_BYTES_MIN));
        Self { folder: log.join("snapshots"), free_bytes_min }
    }

    /// What its snapshots leave free of the disk, to be set.
    pub(crate) fn free_bytes_min(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.free_bytes_min)
    }

    fn file(&self, mark: &Mark) -> PathBuf {
        self.folder.join(format!("{:020}.{ENDING}", mark.height))
    }

    fn partial(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// All files, the newest first.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                files.push(path);
            }
        }
        files.sort_unstable();
        files.reverse();
        Ok(files)
    }

    /// Takes away what a process that ended while it wrote left. Only for whoever has the log.
    pub(crate) fn tidy(&self) {
        match std::fs::remove_file(self.partial()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && self.folder.is_dir() => {
                tracing::warn!(event = "ledger.snapshot_part_left", %error, path = %self.partial().display());
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Writes a snapshot whole, where the disk has room for it, and takes away those that it makes needless; returns
    /// the number of its parts.
    pub(crate) fn keep(&self, settlement: &Settlement, mark: &Mark) -> io::Result<u64> {
        std::fs::create_dir_all(&self.folder)?;
        let file = self.file(mark);
        let files = self.files()?;
        let last_bytes = match files.first() {
            Some(last) => std::fs::metadata(last)?.len(),
            None => 0,
        };
        let free_bytes_min = self.free_bytes_min.load(Ordering::Relaxed);
        check_free(&self.folder, last_bytes.saturating_add(free_bytes_min))?;
        let parts = self.write(settlement, mark, &file, free_bytes_min).inspect_err(|_| {
            // What is not whole takes no room.
            self.tidy();
        })?;
        let mut older = 0;
        for other in files {
            if other > file {
                // The log never was so high: it is of another one, and would be taken for the newest.
                std::fs::rename(&other, other.with_extension(ASIDE))?;
            } else if other < file {
                older += 1;
                if older >= KEPT {
                    std::fs::remove_file(other)?;
                }
            }
        }
        Ok(parts)
    }

    fn write(
        &self,
        settlement: &Settlement,
        mark: &Mark,
        file: &Path,
        free_bytes_min: u64,
    ) -> io::Result<u64> {
        let partial = self.partial();
        let out = File::create(&partial)?;
        let sparing = Sparing { out, folder: &self.folder, free_bytes_min, unasked: 0 };
        let mut out = BufWriter::new(sparing);
        let parts = write(settlement, mark, &mut out)?;
        out.flush()?;
        out.get_ref().out.sync_data()?;
        std::fs::rename(&partial, file)?;
        durable::flush_folder_of(file)?;
        Ok(parts)
    }

    /// The newest snapshot that can be started from, of those that the log leads to. What is wrong with newer ones is
    /// told, each with its file; those of other logs are set aside.
    pub(crate) fn newest(
        &self,
        genesis: &Genesis,
        has: impl Fn(&Mark) -> Result<bool, StoreError>,
        mut wrong: impl FnMut(&Path, &SnapshotError),
    ) -> Option<Snapshot> {
        let files = self.files().unwrap_or_else(|error| {
            wrong(&self.folder, &error.into());
            Vec::new()
        });
        files.into_iter().find_map(|path| match opened(genesis, &has, &path) {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                wrong(&path, &error);
                if matches!(error, SnapshotError::OtherLog)
                    && let Err(error) = std::fs::rename(&path, path.with_extension(ASIDE))
                {
                    wrong(&path, &error.into());
                }
                None
            }
        })
    }
}

/// That so many bytes are free where a folder is.
fn check_free(folder: &Path, needed: u64) -> io::Result<()> {
    let free = durable::free_bytes(folder)?;
    if free >= needed {
        return Ok(());
    }
    let reason = format!("{free} bytes of the disk are free, and {needed} must be, for the log");
    Err(io::Error::new(io::ErrorKind::StorageFull, reason))
}

/// Writes a file, and ends before it takes of the disk what is left to others.
struct Sparing<'a> {
    out: File,
    folder: &'a Path,
    free_bytes_min: u64,
    /// Bytes since the disk was asked.
    unasked: u64,
}

impl Write for Sparing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unasked >= ASKED_BYTES {
            check_free(self.folder, self.free_bytes_min)?;
            self.unasked = 0;
        }
        let written = self.out.write(bytes)?;
        self.unasked = self.unasked.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn opened(
    genesis: &Genesis,
    has: impl Fn(&Mark) -> Result<bool, StoreError>,
    path: &Path,
) -> Result<Snapshot, SnapshotError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let snapshot = read(genesis, BufReader::new(file), length)?;
    if has(&snapshot.mark)? { Ok(snapshot) } else { Err(SnapshotError::OtherLog) }
}
