//! The thin shell around a pure core: read the ledger, ask the core, sign, submit.

use std::fmt;
use std::sync::Arc;

use protocol::hash::{Commitment, Keccak};
use protocol::settlement::Rejection;
use protocol::transaction::{Action, Key};

use crate::{Ledger, LedgerError, Receipt, View};

/// What a core wants done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The action.
    pub action: Action,
    /// Why, for people.
    pub reason: String,
    /// When it would be too late; `None` when nothing is lost by waiting.
    pub deadline_ms: Option<u64>,
}

/// A pure party: the ledger's state in, decisions out, most urgent first.
///
/// It is asked again at every event and keeps nothing that the ledger does not hold, so a party
/// that crashed is rebuilt and goes on.
pub trait Core<C: Commitment = Keccak>: fmt::Debug + Send {
    /// What to do now.
    fn decide(&mut self, view: &View<C>) -> Vec<Decision>;

    /// When to ask again although nothing happens: the next time something runs out by itself.
    fn next_look_ms(&self, _view: &View<C>) -> Option<u64> {
        None
    }
}

impl<C: Commitment> Core<C> for Box<dyn Core<C>> {
    fn decide(&mut self, view: &View<C>) -> Vec<Decision> {
        self.as_mut().decide(view)
    }

    fn next_look_ms(&self, view: &View<C>) -> Option<u64> {
        self.as_ref().next_look_ms(view)
    }
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed {
    /// The decision.
    pub decision: Decision,
    /// The ledger's answer.
    pub outcome: Result<Receipt, LedgerError>,
}

/// A core with a key at a ledger.
pub struct Agent<C> {
    /// The core.
    pub core: C,
    ledger: Arc<dyn Ledger>,
    key: Key,
}

impl<C: fmt::Debug> fmt::Debug for Agent<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Agent").field("core", &self.core).field("key", &self.key).finish()
    }
}

impl<C: Core> Agent<C> {
    /// A core that acts with this key at this ledger.
    pub fn new(core: C, ledger: Arc<dyn Ledger>, key: Key) -> Self {
        Self { core, ledger, key }
    }

    /// Asks the core once and performs what it wants, in order.
    ///
    /// A rejection is an answer, not a failure: others may have acted first.
    ///
    /// # Errors
    /// When the ledger itself failed.
    pub async fn step(&mut self) -> Result<Vec<Performed>, LedgerError> {
        let view = self.ledger.view().await?;
        let mut performed = Vec::new();
        for decision in self.core.decide(&view) {
            let outcome = self.perform(&decision.action).await;
            if let Err(LedgerError::Rejected(rejection)) = &outcome {
                tracing::info!(event = "agent.rejected", action = decision.action.name(), %rejection);
            } else if let Err(error) = outcome {
                return Err(error);
            }
            performed.push(Performed { decision, outcome });
        }
        Ok(performed)
    }

    /// Signs and submits one action with the next nonce.
    ///
    /// # Errors
    /// When the ledger rejects it or fails.
    pub async fn perform(&self, action: &Action) -> Result<Receipt, LedgerError> {
        const TRIES: usize = 3;
        let mut last = LedgerError::Stopped;
        for _ in 0..TRIES {
            let view = self.ledger.view().await?;
            let nonce = view.settlement.nonce(&self.key.address());
            let signed = self.key.sign(&view.settlement.domain(), nonce, action);
            match self.ledger.submit(signed).await {
                // Another process of ours was faster; look again before deciding it is done.
                Err(error @ LedgerError::Rejected(Rejection::Nonce { .. })) => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// Runs until the ledger fails: at every change, and at least once every `idle` period.
    ///
    /// # Errors
    /// When the ledger failed.
    pub async fn run(&mut self, idle: std::time::Duration) -> Result<(), LedgerError> {
        loop {
            self.step().await?;
            let height = self.ledger.view().await?.height;
            let changed = self.ledger.wait_beyond(height);
            match tokio::time::timeout(idle, changed).await {
                Ok(outcome) => outcome?,
                Err(_) => tracing::trace!(event = "agent.idle"),
            }
        }
    }
}
