//! `rebut key`: keys in files.

use std::io::{Read as _, Write as _};
use std::path::Path;

use protocol::hash::{keccak, parse_hex, to_hex};
use protocol::transaction::Key;
use serde_json::json;

use crate::arguments::{KeyAction, KeyChoice, KeyCommand};
use crate::error::{CommandError, system};
use crate::print;

/// A key that everybody can compute: for ledgers to try things only.
pub(crate) fn dev_key(name: &str) -> Key {
    let mut seed = keccak(format!("rebut devnet {name}").as_bytes());
    loop {
        // All but a few in 2^128 hashes are keys.
        if let Some(key) = Key::from_secret(&seed.0) {
            return key;
        }
        seed = keccak(&seed.0);
    }
}

/// The chosen key. `REBUT_KEY` may hold it as 0x and 64 digits.
pub(crate) fn read(choice: &KeyChoice) -> Result<Key, CommandError> {
    if let Some(name) = &choice.dev {
        return Ok(dev_key(name));
    }
    let (argument, text) = match (&choice.key_file, std::env::var("REBUT_KEY")) {
        (Some(file), _) => ("--key-file", read_secret(file)?),
        (None, Ok(text)) => ("REBUT_KEY", text),
        (None, Err(_)) => {
            return Err(CommandError::Argument {
                argument: "--key-file",
                reason: "is needed; make one with `rebut key new FILE`, or use --dev NAME at a \
                         ledger to try things"
                    .to_owned(),
            });
        }
    };
    // The text is a secret: no part of it goes into an error.
    let secret = parse_hex(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    secret.and_then(|secret| Key::from_secret(&secret)).ok_or_else(|| CommandError::Argument {
        argument,
        reason: "holds no key: 0x and 64 hexadecimal digits".to_owned(),
    })
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
    opened.take(1024).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// Writes a new file that only its owner reads.
pub(crate) fn write_secret(file: &Path, text: &str) -> Result<(), CommandError> {
    let fail = |error: std::io::Error| system(file.display().to_string(), error);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut written = options.open(file).map_err(fail)?;
    writeln!(written, "{text}").and_then(|()| written.sync_all()).map_err(fail)
}

fn write_new(file: &Path) -> Result<Key, CommandError> {
    let mut secret = [0; 32];
    let key = loop {
        getrandom::fill(&mut secret).map_err(|error| system("the random source", error))?;
        if let Some(key) = Key::from_secret(&secret) {
            break key;
        }
    };
    write_secret(file, &to_hex(&secret))?;
    Ok(key)
}

pub(crate) fn run(command: &KeyCommand, as_json: bool) -> Result<bool, CommandError> {
    let key = match &command.action {
        KeyAction::New { file } => write_new(file)?,
        KeyAction::Show { key } => read(key)?,
    };
    match as_json {
        true => print::json(&json!({ "address": key.address().to_string() }))?,
        false => println!("{}", key.address()),
    }
    Ok(false)
}
