//! Transactions: what parties may do, how they sign it, how it is addressed.
//!
//! Signatures are secp256k1 over EIP-712 typed data, so that one key serves on our own ledger and
//! on a chain. The typed struct is `Transaction(address sender,uint64 nonce,bytes action)`; the
//! action is the canonical encoding of [`Action`]. The domain carries the ledger's genesis hash as
//! salt, so that nothing signed for one ledger means anything on another.

mod action;
mod address;
mod signature;
mod terms;

pub use action::Action;
pub use address::Address;
pub use signature::{Domain, Key, SignatureError, SignedTransaction};
pub use terms::{
    Binding, BoundEntry, BoundState, ClaimTerms, JobTerms, RunLength, RunRoots, Statement,
};

/// Largest canonical encoding of an action, in bytes.
pub const ACTION_BYTES_MAX: usize = 2 << 20;
