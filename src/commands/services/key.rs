//! `rebut key`: keys in files.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use ledger::durable;
use protocol::hash::{parse_hex, to_hex};
use protocol::transaction::Key;
use serde_json::json;

use crate::arguments::{KeyAction, KeyChoice, KeyCommand};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::{keystore, print};

/// A key that everybody can compute: for ledgers to try things only.
pub(crate) fn dev_key(name: &str) -> Key {
    dispute::key_of(&format!("rebut devnet {name}"))
}

fn needed() -> CommandError {
    CommandError::Argument {
        argument: "--key-file",
        reason: "is needed; make one with `rebut key new FILE`, or use --dev NAME at a ledger to \
                 try things"
            .to_owned(),
    }
}

/// That a key is named, before anything that takes time.
///
/// # Errors
/// When none is.
pub(crate) fn require(choice: &KeyChoice) -> Result<(), CommandError> {
    choice.is_named().then_some(()).ok_or_else(needed)
}

/// The chosen key. `REBUT_KEY` may hold it as 0x and 64 digits.
pub(crate) fn read(choice: &KeyChoice) -> Result<Key, CommandError> {
    if let Some(name) = &choice.dev {
        return Ok(dev_key(name));
    }
    let (argument, text) = match (&choice.key_file, std::env::var("REBUT_KEY")) {
        (Some(file), _) => ("--key-file", read_secret(file)?),
        (None, Ok(text)) => ("REBUT_KEY", text),
        (None, Err(_)) => return Err(needed()),
    };
    if text.trim_start().starts_with('{') {
        let name = choice.key_file.as_ref().map(|file| file.display().to_string());
        let name = name.unwrap_or_else(|| argument.to_owned());
        let password = password(choice.password_file.as_deref(), &format!("password of {name}: "))?;
        return keystore::open(&text, &password).map_err(|error| system(name, error));
    }
    // The text is a secret: no part of it goes into an error.
    let secret = parse_hex(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    secret.and_then(|secret| Key::from_secret(&secret)).ok_or_else(|| CommandError::Argument {
        argument,
        reason: "holds no key: an encrypted keystore, or 0x and 64 hexadecimal digits".to_owned(),
    })
}

/// A password from a file, from REBUT_PASSWORD, or from whoever sits at the terminal.
fn password(file: Option<&Path>, prompt: &str) -> Result<String, CommandError> {
    let text = match (file, std::env::var("REBUT_PASSWORD")) {
        (Some(file), _) => read_secret(file)?,
        (None, Ok(text)) => text,
        (None, Err(_)) if std::io::stdin().is_terminal() => {
            rpassword::prompt_password(prompt).map_err(|error| system("the terminal", error))?
        }
        (None, Err(_)) => {
            return Err(CommandError::Argument {
                argument: "--password-file",
                reason: "is needed for an encrypted key where nobody can be asked; or set \
                         REBUT_PASSWORD"
                    .to_owned(),
            });
        }
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The text of a file that nobody else may read.
pub(crate) fn read_secret(file: &Path) -> Result<String, CommandError> {
    let fail = |error: std::io::Error| system(file.display().to_string(), error);
    let opened = std::fs::File::open(file).map_err(fail)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = opened.metadata().map_err(fail)?.permissions().mode();
        if mode & 0o027 != 0 {
            let help = "others may read or change this secret; run chmod 600 on it";
            return Err(system(file.display().to_string(), help));
        }
    }
    let mut text = String::new();
    opened.take(64 << 10).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// Writes a new file that only its owner reads, whole or not at all: half a key after a power cut could not be told
/// from a lost one.
pub(crate) fn write_secret(file: &Path, text: &str) -> Result<(), CommandError> {
    let fail = |error: std::io::Error| system(file.display().to_string(), error);
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = file.with_file_name(name);
    let written = write_beside(&partial, text).and_then(|()| put_in_place(&partial, file));
    // After an error it is of no use; linked into place, it has another name.
    let _ = std::fs::remove_file(&partial);
    written.and_then(|()| durable::flush_folder_of(file)).map_err(fail)
}

fn write_beside(partial: &Path, text: &str) -> std::io::Result<()> {
    // Of a process that ended while it wrote, under the number that this one has.
    if partial.exists() {
        std::fs::remove_file(partial)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut written = options.open(partial)?;
    writeln!(written, "{text}").and_then(|()| written.sync_all())
}

/// Gives a file its name, which no file may have yet.
fn put_in_place(partial: &Path, file: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(partial, file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) if !file.exists() => std::fs::rename(partial, file),
        outcome => outcome,
    }
}

/// The key in a file that a service made for itself; made now, readable by its owner alone, where there is none.
pub(super) fn kept_or_new(file: &Path) -> Result<Key, CommandError> {
    if !file.exists() {
        return write_new(file, true, None);
    }
    let secret = parse_hex(read_secret(file)?.trim()).and_then(|bytes| bytes.try_into().ok());
    secret.and_then(|secret| Key::from_secret(&secret)).ok_or_else(|| {
        let help = "holds no key; restore a copy, or delete it and a new one is made";
        system(file.display().to_string(), help)
    })
}

fn write_new(file: &Path, plain: bool, passwords: Option<&Path>) -> Result<Key, CommandError> {
    let random = |bytes: &mut [u8]| {
        getrandom::fill(bytes).map_err(|error| system("the random source", error))
    };
    let mut secret = [0; 32];
    let key = loop {
        random(&mut secret)?;
        if let Some(key) = Key::from_secret(&secret) {
            break key;
        }
    };
    let text = if plain {
        to_hex(&secret)
    } else {
        let password = password(passwords, "new password: ")?;
        if password.is_empty() {
            return Err(CommandError::Argument {
                argument: "--password-file",
                reason: "holds no password; --plain writes the key without one".to_owned(),
            });
        }
        let mut salts = [0; 64];
        random(&mut salts)?;
        keystore::seal(&secret, &key, &password, &salts)
            .map_err(|error| system("the keystore", error))?
    };
    write_secret(file, &text)?;
    Ok(key)
}

pub(crate) fn run(command: &KeyCommand, as_json: bool) -> Result<Ending, CommandError> {
    let key = match &command.action {
        KeyAction::New { file, plain, password_file } => {
            write_new(file, *plain, password_file.as_deref())?
        }
        KeyAction::Show { key } => read(key)?,
    };
    if as_json {
        print::json(&json!({ "address": key.address().to_string() }))?
    } else {
        println!("{}", key.address())
    }
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_whole_beside_its_place_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.key");
        // What a process left that ended while it wrote is no key.
        let partial = folder.path().join(format!("head.key.{}.partial", std::process::id()));
        std::fs::write(&partial, b"0x12").unwrap();
        let key = kept_or_new(&file).unwrap();
        assert_eq!(kept_or_new(&file).unwrap().address(), key.address());
        let before = std::fs::read(&file).unwrap();
        assert!(write_secret(&file, "another").is_err());
        assert_eq!(std::fs::read(&file).unwrap(), before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // Where nothing can be written beside it there is no half of it either.
        let other = folder.path().join("other.key");
        std::fs::create_dir(
            folder.path().join(format!("other.key.{}.partial", std::process::id())),
        )
        .unwrap();
        assert!(kept_or_new(&other).is_err() && !other.exists());
    }
}
