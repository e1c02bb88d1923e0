//! The thin shell around a pure core: read the ledger, ask the core, sign, submit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ledger::{Ledger, LedgerError, Receipt, View};
use protocol::hash::{Commitment, Keccak};
use protocol::settlement::Rejection;
use protocol::transaction::{Action, Address, Key};

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

    /// What could not be done at the last decision, a line each: what is lost unless that changes.
    fn troubles(&self) -> Vec<String> {
        Vec::new()
    }

    /// When to ask again although nothing happens: the next time something runs out by itself.
    fn next_look_ms(&self, _view: &View<C>) -> Option<u64> {
        None
    }
}

impl<C: Commitment> Core<C> for Box<dyn Core<C>> {
    fn decide(&mut self, view: &View<C>) -> Vec<Decision> {
        self.as_mut().decide(view)
    }

    fn troubles(&self) -> Vec<String> {
        self.as_ref().troubles()
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

/// A key at a ledger. All that sign with one key in a process share one of these: two actions at once
/// would carry the same nonce.
pub struct Signer {
    ledger: Arc<dyn Ledger>,
    key: Key,
    /// The nonce after the last one that was accepted; held while one is on its way.
    next_nonce: tokio::sync::Mutex<u64>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Signer {
    /// A key that signs for this ledger.
    pub fn new(ledger: Arc<dyn Ledger>, key: Key) -> Self {
        Self { ledger, key, next_nonce: tokio::sync::Mutex::new(0) }
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Signs and submits one action with the account's next nonce, as `view` shows it; another view is
    /// taken only if somebody was faster.
    ///
    /// # Errors
    /// When the ledger rejects it or fails.
    pub async fn perform(&self, view: &View, action: &Action) -> Result<Receipt, LedgerError> {
        let mut next = self.next_nonce.lock().await;
        let mut nonce = view.settlement.nonce(&self.address()).max(*next);
        let (domain, mut race) = (view.settlement.domain(), NonceRace::default());
        loop {
            match self.ledger.submit(self.key.sign(&domain, nonce, action)).await {
                Err(error) if race.goes_on(&error) => {
                    metrics::counter!("rebut_key_shared_total").increment(1);
                    tracing::warn!(event = "agent.key_shared", account = %self.address(),
                        "another process acts with this key: two daemons of one account hinder each \
                         other");
                    // Never the number that the server says: only what its log proves.
                    nonce = self.ledger.view().await?.settlement.nonce(&self.address());
                }
                Ok(receipt) => {
                    *next = nonce.saturating_add(1);
                    return Ok(receipt);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the ledger's server keep this process's connections as those of the key's account, in the background: no
    /// move waits for it.
    fn keep_place(self: &Arc<Self>) {
        let signer = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = signer.ledger.keep_place(&signer.key).await {
                tracing::warn!(event = "agent.no_place", %error,
                    "when the ledger's server has too many connections it may end this process's");
            }
        });
    }

    fn address(&self) -> Address {
        self.key.address()
    }
}

/// Processes that act with one key take each other's nonces: whoever was slower looks again and signs
/// anew, a few times.
#[derive(Clone, Copy, Debug, Default)]
pub struct NonceRace {
    lost: u32,
}

impl NonceRace {
    const TRIES: u32 = 5;

    /// Whether the action is to be signed once more, with the nonce of a new view.
    pub fn goes_on(&mut self, error: &LedgerError) -> bool {
        let is_lost = matches!(error, LedgerError::Rejected(Rejection::Nonce { .. }));
        self.lost += u32::from(is_lost);
        is_lost && self.lost < Self::TRIES
    }
}

/// Heavy work of a core, such as a layer computed again, keeps no other task of its thread waiting.
fn run_blocking<T>(work: impl FnOnce() -> T) -> T {
    let flavour = tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavour {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Moves of one look that may not reach the ledger before the rest is left.
const AWAY_MAX: usize = 3;

/// A core with a key at a ledger.
pub struct Agent<C> {
    /// The core.
    pub core: C,
    signer: Arc<Signer>,
}

impl<C: fmt::Debug> fmt::Debug for Agent<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Agent")
            .field("core", &self.core)
            .field("signer", &self.signer)
            .finish()
    }
}

impl<C: Core> Agent<C> {
    /// A core that acts with this key at this ledger.
    pub fn new(core: C, ledger: Arc<dyn Ledger>, key: Key) -> Self {
        Self::signing(core, Arc::new(Signer::new(ledger, key)))
    }

    /// A core that shares a key with others in this process.
    pub fn signing(core: C, signer: Arc<Signer>) -> Self {
        Self { core, signer }
    }

    /// Asks the core once and performs what it wants of this view, in order.
    ///
    /// A rejection is an answer, not a failure: others may have acted first. Nor is one move that does not reach the
    /// ledger: a short one may, where a long one finds no room. After a few of them the rest is left to the next
    /// look.
    ///
    /// # Errors
    /// When the ledger failed for good.
    pub async fn step(&mut self, view: &View) -> Result<Vec<Performed>, LedgerError> {
        let (mut performed, mut away) = (Vec::new(), 0);
        for decision in run_blocking(|| self.core.decide(view)) {
            let outcome = self.signer.perform(view, &decision.action).await;
            match &outcome {
                Ok(_) | Err(LedgerError::Rejected(_)) => {}
                Err(error) if error.is_away() => away += 1,
                Err(error) => return Err(error.clone()),
            }
            performed.push(Performed { decision, outcome });
            if away == AWAY_MAX {
                break;
            }
        }
        Ok(performed)
    }

    /// A step that is told in log and metrics as `who`'s. Gives what the ledger refused, a line each.
    ///
    /// # Errors
    /// When the ledger itself failed, or one move did not reach it: after all the others were tried.
    pub async fn step_reported(
        &mut self,
        view: &View,
        who: &'static str,
    ) -> Result<Vec<String>, LedgerError> {
        let (mut refused, mut lost) = (Vec::new(), None);
        self.signer.keep_place();
        for performed in self.step(view).await? {
            let action = performed.decision.action.name();
            let reason = &performed.decision.reason;
            match &performed.outcome {
                Ok(receipt) => {
                    metrics::counter!("rebut_acted_total").increment(1);
                    tracing::info!(event = "acted", who, action, %reason, height = receipt.height);
                }
                Err(error) if error.is_away() => {
                    metrics::counter!("rebut_not_sent_total").increment(1);
                    let left_ms =
                        performed.decision.deadline_ms.map(|at| at.saturating_sub(view.now_ms));
                    tracing::error!(event = "not_sent", who, action, %reason, left_ms, %error,
                        "it is tried again at once; what has a deadline loses money when that is over");
                    lost = Some(error.clone());
                }
                Err(error) => {
                    metrics::counter!("rebut_refused_total").increment(1);
                    tracing::warn!(event = "refused", who, action, %reason, %error);
                    refused.push(format!("{action} ({reason}): {error}"));
                }
            }
        }
        lost.map_or(Ok(refused), Err)
    }

    /// How long to wait though nothing happens: until the core's next look, `idle` at most.
    pub fn until_next(&self, view: &View, idle: Duration) -> Duration {
        let next = self.core.next_look_ms(view);
        let wait = next.map(|at| Duration::from_millis(at.saturating_sub(view.now_ms) + 1));
        wait.map_or(idle, |wait| wait.min(idle))
    }
}

#[cfg(test)]
mod tests {
    use protocol::hash::Digest;
    use protocol::settlement::{Genesis, Parameters, Settlement};
    use protocol::transaction::SignedTransaction;

    use super::*;

    #[test]
    fn only_a_lost_nonce_is_tried_again_and_not_for_ever() {
        let lost = LedgerError::Rejected(Rejection::Nonce { expected: 7 });
        assert!(!NonceRace::default().goes_on(&LedgerError::Stopped));
        let mut race = NonceRace::default();
        let tries = (0..100).take_while(|_| race.goes_on(&lost)).count();
        assert_eq!(tries, 4);
    }

    /// Takes withdrawals below an amount, and has no room for others.
    struct Small {
        state: View,
        taken: std::sync::Mutex<Vec<u128>>,
    }

    #[async_trait::async_trait]
    impl Ledger for Small {
        async fn submit(&self, signed: SignedTransaction) -> Result<Receipt, LedgerError> {
            let amount_wei = match signed.decode_action() {
                Ok(Action::Withdraw { amount_wei }) => amount_wei,
                other => panic!("{other:?}"),
            };
            self.taken.lock().unwrap().push(amount_wei);
            match amount_wei {
                0..10 => Ok(Receipt { height: 1, at_ms: 0, events: Vec::new() }),
                _ => Err(LedgerError::Busy { reason: "no room".to_owned() }),
            }
        }

        async fn view(&self) -> Result<View, LedgerError> {
            Ok(self.state.clone())
        }

        async fn view_at(&self, _: u64) -> Result<View, LedgerError> {
            Ok(self.state.clone())
        }

        async fn events_after(&self, _: u64, _: usize) -> Result<Vec<Receipt>, LedgerError> {
            Ok(Vec::new())
        }

        async fn wait_beyond(&self, _: u64) -> Result<(), LedgerError> {
            Ok(())
        }
    }

    /// Wants these amounts, in this order.
    #[derive(Debug)]
    struct Wants(Vec<u128>);

    impl Core for Wants {
        fn decide(&mut self, _: &View) -> Vec<Decision> {
            let wanted = |amount_wei: &u128| Decision {
                action: Action::Withdraw { amount_wei: *amount_wei },
                reason: "it is wanted".to_owned(),
                deadline_ms: Some(7),
            };
            self.0.iter().map(wanted).collect()
        }
    }

    #[tokio::test]
    async fn audit_a7_a_move_that_finds_no_room_keeps_no_other_from_being_sent() {
        let key = Key::from_secret(&[1; 32]).unwrap();
        let (salt, bank) = (Digest::default(), key.address());
        let genesis =
            Genesis { chain_id: 1, salt, begun_ms: 0, bank, parameters: Parameters::default() };
        let settlement = Arc::new(Settlement::new(genesis).unwrap());
        let state = View { height: 0, now_ms: 0, settlement };
        let small = Arc::new(Small { state: state.clone(), taken: std::sync::Mutex::default() });
        let ledger: Arc<dyn Ledger> = Arc::clone(&small) as _;
        for (wants, sent, is_lost) in [
            (vec![50, 1, 60, 2], vec![50, 1, 60, 2], true),
            (vec![1, 2], vec![1, 2], false),
            // One that answers nothing is not asked for ever.
            (vec![50, 51, 1, 52, 2, 53], vec![50, 51, 1, 52], true),
        ] {
            let mut agent = Agent::new(Wants(wants), Arc::clone(&ledger), key.clone());
            let told = agent.step_reported(&state, "test").await;
            assert_eq!(told.is_err(), is_lost, "{told:?}");
            assert_eq!(std::mem::take(&mut *small.taken.lock().unwrap()), sent);
        }
    }
}
