//! The file: transactions with the verdict that its writer derived, read again with suspicion.

use std::path::Path;

use protocol::encoding::Canonical as _;
use protocol::hash::{parse_hex, to_hex};
use protocol::ids::ClaimId;
use protocol::settlement::Genesis;
use serde::{Deserialize, Serialize};

use super::{Verdict, derive};
use ledger::{LogEntry, replay};

/// Name of the format.
const FORMAT: &str = "rebut-verdict";
/// Version of the format. 2: amounts are decimal texts whose names end in `_wei`; the parties are named.
/// 3: the iteration is named.
const VERSION: u32 = 3;
/// Most bytes of a verdict file.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a verdict file says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerdictError {
    /// The file cannot be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is not a verdict file of this version.
    #[error("{path}: field {field}: {reason}; make the file again with `rebut dispute`")]
    Malformed {
        /// The file.
        path: String,
        /// Which field.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// The transactions do not replay.
    #[error("{path}: the transactions do not replay: {reason}; the file was changed or damaged")]
    NotReplayable {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// What the file says is not what its transactions give.
    #[error("{path}: says {recorded} and its transactions give {derived}; trust the transactions")]
    Contradiction {
        /// The file.
        path: String,
        /// Recorded verdict.
        recorded: String,
        /// Derived verdict.
        derived: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct FileEntry {
    at_ms: u64,
    transaction: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileContent {
    format: String,
    version: u32,
    genesis: String,
    claim: String,
    transactions: Vec<FileEntry>,
    verdict: Verdict,
}

/// Writes a verdict file.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(
    path: &Path,
    genesis: &Genesis,
    entries: &[LogEntry],
    claim: &ClaimId,
    verdict: &Verdict,
) -> Result<(), VerdictError> {
    let fail = |reason: String| VerdictError::Io { path: path.display().to_string(), reason };
    let content = FileContent {
        format: FORMAT.to_owned(),
        version: VERSION,
        genesis: to_hex(&genesis.to_canonical()),
        claim: claim.to_string(),
        transactions: entries
            .iter()
            .map(|entry| FileEntry { at_ms: entry.at_ms, transaction: to_hex(&entry.transaction) })
            .collect(),
        verdict: verdict.clone(),
    };
    let text = serde_json::to_vec_pretty(&content).map_err(|error| fail(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| fail(error.to_string()))
}

/// A verdict beside another that it differs from: where the word is the same, by the first field that differs.
fn told_apart(one: &Verdict, other: &Verdict) -> String {
    let word = |verdict: &Verdict| format!("{} ({})", verdict.verdict, verdict.reason);
    if word(one) != word(other) {
        return word(one);
    }
    let fields = |verdict: &Verdict| match serde_json::to_value(verdict) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let theirs = fields(other);
    let differs = fields(one).into_iter().find(|(name, value)| theirs.get(name) != Some(value));
    differs.map_or_else(|| word(one), |(name, value)| format!("{name} {value}"))
}

/// Derives the verdict from the content of a verdict file, and compares it with what is recorded.
///
/// # Errors
/// When the content is malformed, does not replay, or contradicts itself.
pub fn replay_bytes(path: &str, bytes: &[u8]) -> Result<Verdict, VerdictError> {
    let malformed = |field: &str, reason: String| VerdictError::Malformed {
        path: path.to_owned(),
        field: field.to_owned(),
        reason,
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(malformed("file", format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let content: FileContent =
        serde_json::from_slice(bytes).map_err(|error| malformed("file", error.to_string()))?;
    if content.format != FORMAT {
        return Err(malformed("format", format!("{} is not {FORMAT}", content.format)));
    }
    if content.version != VERSION {
        return Err(malformed("version", format!("{} is not {VERSION}", content.version)));
    }
    let hex = |field: &str, text: &str| {
        parse_hex(text).ok_or_else(|| malformed(field, "not hexadecimal after 0x".to_owned()))
    };
    let genesis = Genesis::from_canonical(&hex("genesis", &content.genesis)?)
        .map_err(|error| malformed("genesis", error.to_string()))?;
    let claim = protocol::hash::parse_digest(&content.claim)
        .map(ClaimId)
        .ok_or_else(|| malformed("claim", "not a hash".to_owned()))?;
    let mut entries = Vec::new();
    for (index, entry) in content.transactions.iter().enumerate() {
        let transaction = hex(&format!("transactions[{index}]"), &entry.transaction)?;
        entries.push(LogEntry { at_ms: entry.at_ms, transaction });
    }
    let broken = |reason: String| VerdictError::NotReplayable { path: path.to_owned(), reason };
    replay(&genesis, &entries).map_err(|error| broken(error.to_string()))?;
    let mut derived = derive(&genesis, &entries, &claim)
        .ok_or_else(|| broken("they hold no such claim".to_owned()))?;
    // Names and the layer referee's word are not in the transactions; they are passed on as told.
    derived.layer_referee_agrees = content.verdict.layer_referee_agrees;
    if let (Some(derived), Some(told)) = (&mut derived.operator, &content.verdict.operator) {
        derived.name.clone_from(&told.name);
    }
    if derived != content.verdict {
        return Err(VerdictError::Contradiction {
            path: path.to_owned(),
            recorded: told_apart(&content.verdict, &derived),
            derived: told_apart(&derived, &content.verdict),
        });
    }
    Ok(derived)
}
