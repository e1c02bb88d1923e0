//! Entries of a ledger's log, and how a state is made of them again: the one place that does it.

use protocol::encoding::{Canonical as _, DecodeError};
use protocol::settlement::{Event, Genesis, ParameterError, Rejection, Settlement};
use protocol::transaction::SignedTransaction;
use serde::{Deserialize, Serialize};

use crate::{LedgerError, Receipt};

/// An accepted transaction with the time it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub at_ms: u64,
    /// Canonical encoding of the signed transaction.
    pub transaction: Vec<u8>,
}

/// Why an entry is not what the protocol would have accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Its bytes are no signed transaction, or its action is none.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The protocol refuses it in this place.
    #[error(transparent)]
    Refused(#[from] Rejection),
}

impl LogEntry {
    /// The signed transaction of the entry.
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn decode(&self) -> Result<SignedTransaction, DecodeError> {
        SignedTransaction::from_canonical(&self.transaction)
    }

    /// Applies the entry, its signature included, to the state before it.
    ///
    /// # Errors
    /// When the protocol would not have accepted it there; nothing changes then.
    pub fn apply(&self, settlement: &mut Settlement) -> Result<Vec<Event>, EntryError> {
        Ok(settlement.apply(self.at_ms, &self.decode()?)?)
    }

    /// As [`LogEntry::apply`], without verifying the signature again: only for entries that this process
    /// or an earlier one of the same folder has verified.
    ///
    /// # Errors
    /// As [`LogEntry::apply`].
    pub(crate) fn apply_verified(
        &self,
        settlement: &mut Settlement,
    ) -> Result<Vec<Event>, EntryError> {
        let transaction = self.decode()?;
        let action = transaction.decode_action()?;
        Ok(settlement.perform_numbered(
            self.at_ms,
            transaction.sender,
            transaction.nonce,
            &action,
        )?)
    }
}

/// The state before the first entry.
///
/// # Errors
/// When the genesis is not acceptable.
pub(crate) fn beginning(genesis: &Genesis) -> Result<Settlement, LedgerError> {
    let unusable = |error: ParameterError| LedgerError::Unusable { reason: error.to_string() };
    Settlement::new(genesis.clone()).map_err(unusable)
}

/// Replays a log from its genesis.
///
/// # Errors
/// When the genesis is not acceptable or an entry is not what the protocol would have accepted.
pub fn replay(genesis: &Genesis, entries: &[LogEntry]) -> Result<Settlement, LedgerError> {
    let mut settlement = beginning(genesis)?;
    for (before, entry) in (0..).zip(entries) {
        replay_one(&mut settlement, before, entry)?;
    }
    Ok(settlement)
}

/// As [`replay`], for the receipts.
pub(crate) fn replay_receipts(
    genesis: &Genesis,
    entries: &[LogEntry],
) -> Result<Vec<Receipt>, LedgerError> {
    let mut settlement = beginning(genesis)?;
    (0..).zip(entries).map(|(before, entry)| replay_one(&mut settlement, before, entry)).collect()
}

/// Applies the entry after the first `before` ones; gives its receipt.
///
/// # Errors
/// As [`LogEntry::apply`], with the number of the entry.
pub(crate) fn replay_one(
    settlement: &mut Settlement,
    before: u64,
    entry: &LogEntry,
) -> Result<Receipt, LedgerError> {
    let events = entry.apply(settlement).map_err(|error| wrong_entry(before, &error))?;
    Ok(Receipt { height: before + 1, at_ms: entry.at_ms, events })
}

/// An entry of the own log that is not what it must be.
pub(crate) fn wrong_entry(number: u64, error: &impl std::fmt::Display) -> LedgerError {
    LedgerError::Unusable { reason: format!("entry {number}: {error}") }
}
