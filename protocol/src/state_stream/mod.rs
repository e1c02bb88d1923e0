//! States as they travel between machines: raw, by value and type, hashed while they stream.
//!
//! Eight bytes [`MAGIC`], the length of the head as four big-endian bytes, the head (the canonical
//! encoding of [`StateHead`]), then the elements of each value as the leaves of its tree hold them: row by
//! row, big-endian, nothing between. Nothing is compressed, so the head tells the length to the byte, and
//! whoever knows the model knows the head. Elements may have any bits: the law says what they are read as.
//! Not part of what is hashed: the root is.

mod hasher;
mod head;
#[cfg(test)]
mod tests;

pub use hasher::StateHasher;
pub use head::{HEAD_BYTES_MAX, MAGIC, StateHead, StateLimits};

/// Why bytes are no published state. Wrong data is the same as no data: ask somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The bytes do not begin as a published state does.
    #[error("not a published state: it must begin with REBUTST1 and a head in canonical form")]
    Head,
    /// No value, too many, or not in ascending order.
    #[error("a published state holds 1 to 4096 values in ascending order of their ids")]
    Values,
    /// Longer than the reader takes.
    #[error("the state has {bytes} bytes, over the limit of {limit}")]
    TooLong {
        /// Bytes that the head announces.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Rows so short that hashing costs more than the limit.
    #[error("the state has {leaves} leaves, over the limit of {limit}; give it longer rows")]
    TooManyLeaves {
        /// Leaves that the head announces.
        leaves: u64,
        /// The limit.
        limit: u64,
    },
    /// It ends before the head says.
    #[error("the state ends {missing} bytes too early")]
    Truncated {
        /// Bytes that are missing.
        missing: u64,
    },
    /// Something follows after its end.
    #[error("bytes follow after the end of the state")]
    Trailing,
}
