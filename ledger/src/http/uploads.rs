//! States that accounts publish: inputs of jobs, found by root and account.
//!
//! The server cannot compute a root without the model; whoever reads checks. What an account puts under
//! a root can only fool those who trust that account, and they find out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::hash::Digest;
use protocol::transaction::Address;

/// Files of one folder, one for each root and account.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
}

impl Uploads {
    pub(super) fn new(ledger: &Path) -> std::io::Result<Self> {
        let folder = ledger.join("inputs");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    fn folder_of(&self, account: &Address) -> PathBuf {
        self.folder.join(account.to_string())
    }

    fn file(&self, root: &Digest, account: &Address) -> PathBuf {
        // Both print as 0x and hexadecimal digits: no path can be built from outside.
        self.folder_of(account).join(root.to_string())
    }

    pub(super) fn read(&self, root: &Digest, account: &Address) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.file(root, account))
    }

    /// Bytes that an account has published.
    pub(super) fn used(&self, account: &Address) -> std::io::Result<u64> {
        let mut bytes = 0;
        match std::fs::read_dir(self.folder_of(account)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(entries) => {
                for entry in entries {
                    // What another upload is just renaming is counted at the next one.
                    bytes += entry?.metadata().map_or(0, |found| found.len());
                }
            }
        }
        Ok(bytes)
    }

    /// Writes whole or not at all.
    pub(super) fn write(
        &self,
        root: &Digest,
        account: &Address,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        use std::io::Write as _;
        std::fs::create_dir_all(self.folder_of(account))?;
        let path = self.file(root, account);
        // The same state may come twice at once: each writer has a file of its own.
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("partial-{writer}"));
        let mut file = std::fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(partial, path)
    }
}
