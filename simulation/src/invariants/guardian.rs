//! Who alone keeps false claims from becoming final.

use protocol::transaction::Address;

/// A challenger that alone keeps false claims from becoming final, as long as its money reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guardian {
    pub(super) address: Address,
    /// When its money last did not reach for all false claims at once. It stays when blocks are replaced:
    /// what the guardian did then may have been sent.
    pub(super) short_at_ms: Option<u64>,
}
