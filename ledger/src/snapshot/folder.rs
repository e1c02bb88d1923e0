//! Where snapshots are: beside the log, the newest two, each whole.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use protocol::settlement::{Genesis, Settlement};

use super::{Snapshot, SnapshotError, read, write};
use crate::durable;
use crate::store::Mark;

/// Snapshots that are kept: the newest, and one to start from should it be damaged.
const KEPT: usize = 2;
/// End of a snapshot's name.
const ENDING: &str = "snapshot";

/// The folder of a ledger's snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(PathBuf);

impl Snapshots {
    /// Of the ledger whose log is in a folder.
    pub(crate) fn beside(log: &Path) -> Self {
        Self(log.join("snapshots"))
    }

    fn file(&self, mark: &Mark) -> PathBuf {
        self.0.join(format!("{:020}.{ENDING}", mark.height))
    }

    /// All files, the newest first.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.0) {
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

    /// Writes a snapshot whole, and takes away those that it makes needless; returns the number of its parts.
    pub(crate) fn keep(&self, settlement: &Settlement, mark: &Mark) -> io::Result<u64> {
        std::fs::create_dir_all(&self.0)?;
        let (file, partial) = (self.file(mark), self.0.join("partial"));
        let mut out = BufWriter::new(File::create(&partial)?);
        let parts = write(settlement, mark, &mut out)?;
        out.flush()?;
        out.get_ref().sync_data()?;
        std::fs::rename(&partial, &file)?;
        durable::flush_folder_of(&file)?;
        for old in self.files()?.into_iter().skip(KEPT) {
            std::fs::remove_file(old)?;
        }
        Ok(parts)
    }

    /// The newest snapshot that can be started from. What is wrong with newer ones is told, each with its file.
    pub(crate) fn newest(
        &self,
        genesis: &Genesis,
        mut wrong: impl FnMut(&Path, &SnapshotError),
    ) -> Option<Snapshot> {
        let files = self.files().unwrap_or_else(|error| {
            wrong(&self.0, &error.into());
            Vec::new()
        });
        files.into_iter().find_map(|path| match opened(genesis, &path) {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                wrong(&path, &error);
                None
            }
        })
    }
}

fn opened(genesis: &Genesis, path: &Path) -> Result<Snapshot, SnapshotError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    read(genesis, BufReader::new(file), length)
}
