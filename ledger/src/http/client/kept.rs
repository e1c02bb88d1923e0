//! What a client keeps of the heads that a server signed.

use std::path::PathBuf;
use std::time::Instant;

use crate::heads::SignedHead;

/// The newest signed head that was held against the own log, and where it is kept.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) file: Option<PathBuf>,
    pub(super) newest: Option<SignedHead>,
    pub(super) asked: Option<Instant>,
    /// The newest is not in its file: the disk failed.
    pub(super) is_unwritten: bool,
    /// The server gave none, which is told once.
    pub(super) is_unsigned: bool,
}
