//! Inputs of the jobs that were taken, on this machine's disk: what a defence needs when this process
//! and the poster are gone.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::hash::{Digest, parse_digest};

/// A folder of inputs, by their roots, within a budget.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    folder: PathBuf,
    budget_bytes: u64,
}

/// Why an input was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// The budget is used up.
    #[error(
        "the inputs kept for disputes are at their budget of {budget_bytes} bytes; wait for claims to become final, or raise --disk-budget-bytes"
    )]
    Budget { budget_bytes: u64 },
    /// The disk failed, or is full.
    #[error("{path}: {error}; make room: a job is not taken without its input on disk")]
    Disk { path: String, error: std::io::Error },
}

impl Inputs {
    pub(crate) fn new(folder: &Path, budget_bytes: u64) -> Self {
        let folder = folder.join("inputs");
        // What a killed process was writing takes room and is nothing.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_none_or(|ending| ending != "state") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Self { folder, budget_bytes }
    }

    fn file(&self, root: &Digest) -> PathBuf {
        self.folder.join(format!("{root}.state"))
    }

    pub(crate) fn read(&self, root: &Digest) -> Option<Vec<u8>> {
        std::fs::read(self.file(root)).ok()
    }

    /// Bytes kept.
    pub(crate) fn used(&self) -> u64 {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.used() < self.budget_bytes
    }

    /// Writes whole or not at all, unless it is there. Over the budget only what a standing claim needs.
    pub(crate) fn keep(
        &self,
        root: &Digest,
        bytes: &[u8],
        is_claimed: bool,
    ) -> Result<(), KeepError> {
        let path = self.file(root);
        if path.exists() {
            return Ok(());
        }
        let over = self.used().saturating_add(bytes.len() as u64) > self.budget_bytes;
        if over && !is_claimed {
            return Err(KeepError::Budget { budget_bytes: self.budget_bytes });
        }
        self.write(&path, bytes)
    }

    /// Writes over what is there and was found damaged.
    pub(crate) fn replace(&self, root: &Digest, bytes: &[u8]) -> Result<(), KeepError> {
        self.write(&self.file(root), bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), KeepError> {
        use std::io::Write as _;
        let disk = |error| KeepError::Disk { path: path.display().to_string(), error };
        std::fs::create_dir_all(&self.folder).map_err(disk)?;
        // The same input may be asked about twice at once: each writer has a file of its own.
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("partial-{writer}"));
        let written = std::fs::File::create(&partial).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&partial, path)?;
            ledger::durable::flush_folder_of(path)
        });
        written.map_err(|error| {
            // A torn file would take room that is missing already.
            let _ = std::fs::remove_file(&partial);
            disk(error)
        })
    }

    /// Removes inputs that are not needed and older than `age`; says how many.
    pub(crate) fn sweep(&self, needed: &HashSet<Digest>, age: Duration) -> usize {
        let mut swept = 0;
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let root = path.file_stem().and_then(|stem| parse_digest(&stem.to_string_lossy()));
            let old = entry
                .metadata()
                .and_then(|found| found.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|since| since >= age));
            if old && root.is_some_and(|root| !needed.contains(&root)) {
                swept += usize::from(std::fs::remove_file(path).is_ok());
            }
        }
        swept
    }

    pub(crate) fn remove(&self, root: &Digest) {
        if let Err(error) = std::fs::remove_file(self.file(root)) {
            tracing::debug!(event = "executor.input_stays", %root, %error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_over_the_budget_and_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = Inputs::new(folder.path(), 10);
        let (one, other) = (Digest([1; 32]), Digest([2; 32]));
        inputs.keep(&one, b"sixsix", false).unwrap();
        inputs.keep(&one, b"sixsix", false).unwrap();
        assert_eq!((inputs.used(), inputs.has_room()), (6, true));
        assert!(matches!(inputs.keep(&other, b"sixsix", false), Err(KeepError::Budget { .. })));
        // A claim that stands is defended whatever the budget says; what is damaged is replaced.
        inputs.keep(&other, b"sixsix", true).unwrap();
        inputs.replace(&other, b"other!").unwrap();
        assert_eq!((inputs.read(&other).unwrap(), inputs.used()), (b"other!".to_vec(), 12));
        inputs.remove(&other);
        inputs.remove(&one);
        inputs.keep(&other, b"sixsix", false).unwrap();
        assert_eq!(inputs.read(&other).unwrap(), b"sixsix");
        assert_eq!(inputs.read(&one), None);
        // What a job still needs stays, and so does what is new.
        inputs.keep(&one, b"six", false).unwrap();
        let needed = HashSet::from([other]);
        assert_eq!(inputs.sweep(&needed, Duration::from_secs(60)), 0);
        assert_eq!(inputs.sweep(&needed, Duration::ZERO), 1);
        assert_eq!((inputs.read(&one), inputs.used()), (None, 6));
    }

    #[test]
    fn one_input_kept_by_many_at_once_is_whole_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = Inputs::new(folder.path(), 1 << 20);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..20u8 {
                        inputs.keep(&Digest([round; 32]), &[round; 1_000], false).unwrap();
                    }
                });
            }
        });
        for round in 0..20u8 {
            assert_eq!(inputs.read(&Digest([round; 32])).unwrap(), [round; 1_000]);
        }
        assert_eq!(inputs.used(), 20_000);
        std::fs::write(folder.path().join("inputs/torn.partial-3"), b"torn").unwrap();
        assert_eq!(Inputs::new(folder.path(), 1 << 20).used(), 20_000);
    }
}
