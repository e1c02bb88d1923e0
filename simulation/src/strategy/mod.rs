//! Strategies: what a party does with what its honest core would do.
//!
//! A party's core decides as an honest one; its *behaviours* then drop, delay, forge, repeat or add
//! moves. Behaviours are applied one after the other, so that they compose.

pub mod behaviours;
mod catalogue;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use challenger::{Order, Policy};
use ledger::View;
use node::Decision;
use protocol::hash::{Commitment, Digest};
use protocol::transaction::{Action, Address};

use crate::fixtures::{Fixtures, Known};
use crate::rng::WorldRng;
use crate::scenario::Side;
use dispute::lies::Lie;

pub use catalogue::{CHAOS, Catalogue, Entry, Numbers};

/// A move that a party means to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The move.
    pub action: Action,
    /// Not before this time of the ledger.
    pub not_before_ms: u64,
    /// When it would be too late, as far as the core knows.
    pub deadline_ms: Option<u64>,
    /// What is offered to be taken early.
    pub bid: u32,
}

impl Intent {
    /// A move to be sent at once.
    pub fn new(action: Action) -> Self {
        Self { action, not_before_ms: 0, deadline_ms: None, bid: 1 }
    }
}

impl From<Decision> for Intent {
    fn from(decision: Decision) -> Self {
        Self { deadline_ms: decision.deadline_ms, ..Self::new(decision.action) }
    }
}

/// A transaction that waits for a block, visible to who looks at the queue.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Who sent it.
    pub sender: Address,
    /// Its place in the sender's sequence.
    pub nonce: u64,
    /// What it does.
    pub action: Arc<Action>,
    /// What it offers.
    pub bid: u32,
    /// When it reached the queue.
    pub arrives_ms: u64,
    /// Number of its submission.
    pub submission: u64,
    /// Its content, mixed to one word.
    pub fingerprint: u64,
}

/// What a dishonest party sees.
pub struct Sight<'a, C: Commitment> {
    /// Its clock.
    pub now_ms: u64,
    /// Its account.
    pub me: Address,
    /// The accounts that play together with it, itself included.
    pub allies: &'a [Address],
    /// The ledger.
    pub view: &'a View<C>,
    /// Transactions waiting for a block.
    pub queue: &'a [Pending],
    /// Its challenger's core, for proofs about jobs it watches.
    pub challenger: Option<&'a challenger::ChallengerCore<C>>,
    /// Models, inputs and runs: what parties compute.
    pub fixtures: &'a Fixtures<C>,
    /// The model that the world's jobs are about.
    pub model: usize,
    /// Runs that somebody in this world made, by their trace roots. Dishonest parties share what they know.
    pub runs: &'a mut BTreeMap<Digest, Arc<Known<C>>>,
    /// Its chance.
    pub rng: &'a mut WorldRng,
}

impl<C: Commitment> fmt::Debug for Sight<'_, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sight").field("now_ms", &self.now_ms).field("me", &self.me).finish()
    }
}

/// A behaviour of a dishonest party. Your own needs these two methods; see
/// `simulation/examples/own_strategy.rs`.
pub trait Strategy<C: Commitment>: fmt::Debug + Send + Sync {
    /// What the party sends instead of what it means to send.
    fn play(&mut self, sight: &mut Sight<'_, C>, intents: Vec<Intent>) -> Vec<Intent>;

    /// When the party looks again, if it wants to look before anything concerns it.
    fn next_look_ms(&self) -> Option<u64> {
        None
    }

    /// A copy, for copies of the world.
    fn boxed(&self) -> Box<dyn Strategy<C>>;
}

impl<C: Commitment> Clone for Box<dyn Strategy<C>> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}

/// What an executor publishes of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publishing {
    /// Nothing: everything must be demanded.
    #[default]
    Nothing,
    /// Everything at once.
    Everything,
    /// Everything, but only after some time.
    Late,
    /// State roots only.
    Roots,
    /// Data of another run, which fit no commitment.
    Wrong,
}

/// What a claim says that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// An output root that is not in the trace.
    Output,
    /// An input of its own choosing.
    Input,
    /// A trace with a state too few.
    Short,
    /// A trace with a state too many.
    Long,
    /// The root of the leaves' tree instead of the trace's.
    Naked,
    /// All roots zero.
    Zero,
    /// Paths of absurd length.
    Paths,
    /// An old claim's terms on a new job.
    Replayed,
}

/// When a party crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashes {
    /// Chance at each look, in thousandths.
    pub permille: u32,
    /// How long it is down.
    pub down_ms: u64,
    /// Whether it crashes between writing its journal and sending.
    pub before_sending: bool,
}

/// How a party plays: what a strategy's name stands for.
#[derive(Clone, Debug)]
pub struct Plan<C: Commitment> {
    /// Who it is.
    pub side: Side,
    /// Whether it must not lose money and its claims must become final.
    pub honest: bool,
    /// Whether it alone keeps every false claim from becoming final.
    pub guardian: bool,
    /// What is wrong with its runs.
    pub lie: Option<Lie>,
    /// Which claims it challenges.
    pub policy: Policy,
    /// In which order it works.
    pub order: Order,
    /// Jobs that it checks, in thousandths.
    pub sampling_permille: u32,
    /// Deposit.
    pub capital_milliether: u64,
    /// Time of one run.
    pub inference_ms: u64,
    /// Time before each answer.
    pub think_ms: u64,
    /// Transactions at once.
    pub slots: u32,
    /// Transactions that it can pay for in all.
    pub transactions_max: u32,
    /// What it publishes.
    pub publishing: Publishing,
    /// What its claims say wrongly.
    pub unbound: Option<Unbound>,
    /// When it crashes.
    pub crashes: Option<Crashes>,
    /// Whether it looks at the queue of transactions.
    pub watches_queue: bool,
    /// Whether its runs as a challenger are false as well.
    pub corrupt_view: bool,
    /// Its behaviours.
    pub behaviours: Vec<Box<dyn Strategy<C>>>,
}

impl<C: Commitment> Plan<C> {
    /// An honest party of ample means.
    pub fn honest(side: Side) -> Self {
        Self {
            side,
            honest: true,
            guardian: side == Side::Challenger,
            lie: None,
            policy: Policy::Differing,
            order: Order::EarliestDeadline,
            sampling_permille: 1000,
            capital_milliether: 20_000,
            inference_ms: 400,
            think_ms: 20,
            slots: 64,
            transactions_max: u32::MAX,
            publishing: Publishing::Nothing,
            unbound: None,
            crashes: None,
            watches_queue: false,
            corrupt_view: false,
            behaviours: Vec::new(),
        }
    }

    /// A dishonest party of ample means that does nothing wrong yet.
    pub fn dishonest(side: Side) -> Self {
        Self { honest: false, guardian: false, transactions_max: 100, ..Self::honest(side) }
    }

    /// Adds a behaviour.
    #[must_use]
    pub fn with(mut self, behaviour: impl Strategy<C> + 'static) -> Self {
        self.behaviours.push(Box::new(behaviour));
        self
    }

    /// Falsifies its runs.
    #[must_use]
    pub fn lying(mut self, lie: Lie) -> Self {
        self.lie = Some(lie);
        self
    }
}
