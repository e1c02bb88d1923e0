//! Where claims are settled: the [`Ledger`] trait and its engines.

mod clock;
mod doors;
pub mod durable;
pub mod embedded;
pub mod heads;
mod history;
pub mod http;
mod log;
pub mod payments;
mod recent;
mod rejection;
pub mod snapshot;
pub mod store;
#[cfg(test)]
mod testing;
pub mod wire;
pub mod words;

use std::sync::Arc;

use async_trait::async_trait;
use protocol::Severity;
use protocol::hash::{Commitment, Keccak};
use protocol::settlement::{Event, Rejection, Settlement};
use protocol::transaction::{Key, SignedTransaction};

pub use clock::{Clock, ManualClock, RunningClock, SystemClock};
pub use embedded::EmbeddedLedger;
pub use log::{EntryError, LogEntry, replay};
pub use store::StoreError;

/// What a ledger says when it does not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The transaction is not accepted; nothing changed.
    #[error("the ledger refused the transaction: {0}")]
    Rejected(#[from] Rejection),
    /// The transaction may or may not be on disk; read the ledger again after a restart.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger stopped after an earlier error.
    #[error("the ledger stopped after an earlier error; restart it")]
    Stopped,
    /// The ledger's server was not reached, or did not do as asked. Whether a transaction was accepted
    /// is not known: read the ledger again.
    #[error("the ledger at {url} was not reached: {reason}; check the address, or wait for it")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The ledger's server has more to do than it takes on at a time. Nothing changed; try again later.
    #[error("the ledger is busy: {reason}; try again in a moment")]
    Busy {
        /// With what.
        reason: String,
    },
    /// Genesis or log do not fit this ledger.
    #[error("this cannot be had from this ledger: {reason}")]
    Unusable {
        /// What is wrong.
        reason: String,
    },
}

impl LedgerError {
    /// What a caller does about it. After [`Severity::Retry`] whether a transaction was accepted may be
    /// unknown: read the ledger again, then decide.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Rejected(rejection) => rejection.severity(),
            Self::Unreachable { .. } | Self::Busy { .. } => Severity::Retry,
            Self::Store(_) | Self::Stopped | Self::Unusable { .. } => Severity::Stop,
        }
    }

    /// Whether the ledger itself could not be asked now: nothing is known, and it is asked again.
    pub const fn is_away(&self) -> bool {
        !matches!(self, Self::Rejected(_)) && matches!(self.severity(), Severity::Retry)
    }
}

/// An accepted transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Number of accepted transactions including this one.
    pub height: u64,
    /// Time the ledger gave it.
    pub at_ms: u64,
    /// What it changed.
    pub events: Vec<Event>,
}

/// A ledger's state after some transaction.
#[derive(Clone, Debug)]
pub struct View<C: Commitment = Keccak> {
    /// Number of accepted transactions.
    pub height: u64,
    /// The ledger's clock now.
    pub now_ms: u64,
    /// The state.
    pub settlement: Arc<Settlement<C>>,
}

/// A place where claims are settled.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Submits a transaction and returns when it is durable.
    ///
    /// # Errors
    /// [`LedgerError::Rejected`] when it is not accepted; others when the ledger failed.
    async fn submit(&self, transaction: SignedTransaction) -> Result<Receipt, LedgerError>;

    /// Has the ledger's server keep this process's connections when it has too many, as those of a key's account, which
    /// has money on the ledger; to be called at each look. Of a ledger in the same process there is nothing to keep.
    ///
    /// # Errors
    /// When the server does not: it is busy with accounts of more money, or the account has none.
    async fn keep_place(&self, _key: &Key) -> Result<(), LedgerError> {
        Ok(())
    }

    /// The latest state.
    ///
    /// # Errors
    /// When the ledger failed.
    async fn view(&self) -> Result<View, LedgerError>;

    /// The state after the first `height` transactions.
    ///
    /// # Errors
    /// When there are fewer, or the ledger failed.
    async fn view_at(&self, height: u64) -> Result<View, LedgerError>;

    /// Receipts from a cursor on: those of height `after + 1` and higher, `limit` at most.
    ///
    /// # Errors
    /// When the ledger failed.
    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Receipt>, LedgerError>;

    /// Waits until the height is over `height`.
    ///
    /// # Errors
    /// When the ledger failed.
    async fn wait_beyond(&self, height: u64) -> Result<(), LedgerError>;
}
