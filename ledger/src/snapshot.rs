//! Snapshots: a ledger's state in a file, so that a start reads the log after it and not the whole of it.
//!
//! `"rebut-snapshot"`, the version, where in the log it is, the head under whose root its records are, then part after
//! part (`protocol::settlement::Part`) with its length before it, a length of zero, and a hash of all that. Records are
//! checked by their root. What is beside them, which no rule reads, is checked by the hash alone: the file is the
//! ledger's own, as its log is.

mod error;
mod folder;
mod keeper;
mod summed;

use std::io::{self, Read, Write};

use protocol::encoding::{Canonical, Reader};
use protocol::settlement::{Genesis, Part, Restoring, Settlement, SnapshotHead};

use crate::store::Mark;
use error::VERSION;
use summed::{SummedReader, SummedWriter};

pub use error::SnapshotError;

pub(crate) use folder::Snapshots;
pub(crate) use keeper::{EVERY, Keeper};

/// First bytes of a snapshot.
const NAME: &[u8; 14] = b"rebut-snapshot";
/// Most bytes of a part: what was said of a claim is one of them.
const PART_BYTES_MAX: u32 = 256 << 20;

/// A state, and where in the log it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// After which records of the log.
    pub mark: Mark,
    /// The state.
    pub settlement: Settlement,
}

/// Writes a snapshot; returns the number of its parts.
///
/// # Errors
/// When they cannot be written.
pub fn write(settlement: &Settlement, mark: &Mark, out: impl Write) -> io::Result<u64> {
    let mut out = SummedWriter::new(out);
    out.add(NAME)?;
    out.add(&VERSION.to_canonical())?;
    out.add(&mark.height.to_canonical())?;
    out.add(&mark.chain)?;
    out.add(&settlement.snapshot_head().to_canonical())?;
    let (mut bytes, mut count) = (Vec::new(), 0);
    for part in settlement.parts() {
        bytes.clear();
        part.encode(&mut bytes);
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= PART_BYTES_MAX);
        let length = length.ok_or_else(|| {
            io::Error::other(format!("a part of {} bytes is too long for it", bytes.len()))
        })?;
        out.add(&length.to_canonical())?;
        out.add(&bytes)?;
        count += 1;
    }
    out.add(&0u32.to_canonical())?;
    out.finish()?;
    Ok(count)
}

/// Reads a snapshot of the ledger with this genesis, of so many bytes; nothing is kept in memory beyond what its
/// bytes make.
///
/// # Errors
/// When it is damaged, of another version, or of another ledger.
pub fn read(genesis: &Genesis, input: impl Read, length: u64) -> Result<Snapshot, SnapshotError> {
    let mut input = SummedReader::new(input, length);
    if input.take(NAME.len()).ok().as_deref() != Some(NAME) {
        return Err(SnapshotError::Other);
    }
    let found = u16::from_canonical(&input.take(2)?)?;
    if found != VERSION {
        return Err(SnapshotError::Version { found });
    }
    let bytes = input.take(HEAD_BYTES)?;
    let mut reader = Reader::new(&bytes);
    let mark = Mark { height: u64::decode(&mut reader)?, chain: reader.array()? };
    if mark.height == 0 {
        return Err(SnapshotError::NoPlace);
    }
    let head = SnapshotHead::decode(&mut reader)?;
    let mut restoring = Restoring::new(genesis.clone(), head)?;
    loop {
        let bytes = u32::from_canonical(&input.take(4)?)?;
        if bytes == 0 {
            break;
        }
        if bytes > PART_BYTES_MAX || u64::from(bytes) > input.left() {
            return Err(SnapshotError::TooLong { bytes });
        }
        restoring.take(Part::from_canonical(&input.take(bytes as usize)?)?)?;
    }
    input.finish()?;
    Ok(Snapshot { mark, settlement: restoring.done()? })
}

/// Bytes of a mark and a head.
const HEAD_BYTES: usize = 8 + 32 + (32 + 8 + 5 * 16 + 7 * 8 + 32);

#[cfg(test)]
mod tests;
