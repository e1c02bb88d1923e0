//! Why a snapshot cannot be started from.

use std::io;

use protocol::encoding::DecodeError;
use protocol::settlement::RestoreError;

use crate::store::StoreError;

/// Version of the format.
pub(super) const VERSION: u16 = 1;

/// Why a file is no snapshot to start from.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk.
    #[error("it cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// Other bytes.
    #[error("it is no snapshot")]
    Other,
    /// Another version.
    #[error("it has version {found}, and this program reads {VERSION}")]
    Version {
        /// Version found.
        found: u16,
    },
    /// A part is longer than it can be.
    #[error("a part of {bytes} bytes is longer than a part or the file can be")]
    TooLong {
        /// Bytes of the part.
        bytes: u32,
    },
    /// A part is not what it must be.
    #[error("it is damaged: {0}")]
    Damaged(#[from] DecodeError),
    /// It says that it is from before the log's first record.
    #[error("it is of no place in a log")]
    NoPlace,
    /// It is of another log.
    #[error("the log does not lead to it")]
    OtherLog,
    /// The log cannot be asked.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The parts make no ledger.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Its hash is another.
    #[error("it is damaged: its hash is not the one at its end")]
    Sum,
    /// Something follows.
    #[error("it is damaged: something follows its end")]
    Trailing,
}
