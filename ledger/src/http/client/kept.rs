//! What a client keeps of the heads that a server signed.

use std::path::PathBuf;
use std::time::Instant;

use crate::heads::SignedHead;

/// The newest signed head, and where it is kept.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) file: Option<PathBuf>,
    pub(super) newest: Option<SignedHead>,
    pub(super) asked: Option<Instant>,
    /// The server gave none, which is told once.
    pub(super) is_unsigned: bool,
}
