//! Files that are whole after a power cut: as they were, or as they were to be.

use std::fs::File;
use std::io::{Result, Write as _};
use std::path::Path;

/// Writes a file whole: beside its place and flushed, then renamed, and the folder flushed. After a power
/// cut it holds the new bytes.
///
/// # Errors
/// When the disk fails; the old file is there then, or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    exchange(path, bytes)?;
    flush_folder_of(path)
}

/// As [`replace`] at half the price: after a power cut it may hold the old bytes, and never others.
///
/// # Errors
/// When the disk fails; the old file is there then, or the new one.
pub fn exchange(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(partial, path)
}

/// Makes a file that was made or renamed in its folder stay there.
///
/// # Errors
/// When the disk fails.
pub fn flush_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Bytes that whoever is not root may still write where a folder is.
///
/// # Errors
/// When the disk fails.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"a longer first content").unwrap();
        exchange(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // What cannot be written leaves what was there.
        std::fs::create_dir(path.with_extension("partial")).unwrap();
        assert!(replace(&path, b"third").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
    }
}
