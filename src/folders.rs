//! What lies in a folder.

use std::path::Path;

use crate::error::{CommandError, system};

/// Something in a folder beside what is expected there, a disk's own folder and what is hidden; nothing where
/// there is no folder.
pub(crate) fn foreign(folder: &Path, expected: &[&str]) -> Result<Option<String>, CommandError> {
    let name = folder.display().to_string();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(system(name, error)),
    };
    for entry in entries {
        let found = entry.map_err(|error| system(name.clone(), error))?.file_name();
        let found = found.to_string_lossy().into_owned();
        if found != "lost+found" && !found.starts_with('.') && !expected.contains(&found.as_str()) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_expected_is_foreign() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(foreign(&at("none"), &[]).is_ok_and(|found| found.is_none()));
        for name in ["lost+found", ".hidden", "claim.json"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        assert!(foreign(folder.path(), &["claim.json"]).is_ok_and(|found| found.is_none()));
        let found = foreign(folder.path(), &[]).ok().flatten();
        assert_eq!(found.as_deref(), Some("claim.json"));
        std::fs::write(at("file"), b"").unwrap();
        assert!(foreign(&at("file"), &[]).is_err());
    }
}
