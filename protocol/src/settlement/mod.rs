//! The settlement state machine: jobs, claims, challenges, clocks and money.
//!
//! A pure transition function over signed transactions: the ledger's engine says what time it is
//! and stores what was accepted. Replaying the accepted transactions gives the same state again.

pub mod attention;
mod disputes;
mod money;
mod objects;
mod parameters;
mod rejection;
pub mod rules;
mod transitions;

pub use money::{Ether, Money, MoneyError};
pub use objects::{
    Challenge, ChallengeStatus, Claim, ClaimStatus, Event, FallReason, Job, JobStatus, Sealed,
    SealedStatus, Turn,
};
pub use parameters::{ETHER, Genesis, ParameterError, Parameters};
pub use rejection::Rejection;
pub use transitions::claim_id;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::graph::ModelHeader;
use crate::hash::{Commitment, Digest, Keccak};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::transaction::{Action, Address, Domain, SignedTransaction};

/// The whole state of a ledger.
///
/// ```
/// use protocol::hash::Digest;
/// use protocol::settlement::{ETHER, Genesis, Parameters, Settlement};
/// use protocol::transaction::{Action, Key};
///
/// let (bank, user) = (Key::from_secret(&[1; 32]).unwrap(), Key::from_secret(&[2; 32]).unwrap());
/// let parameters = Parameters::default();
/// let (salt, bank_address) = (Digest::default(), bank.address());
/// let genesis = Genesis { chain_id: 1, salt, begun_ms: 0, bank: bank_address, parameters };
/// let mut settlement: Settlement = Settlement::new(genesis).unwrap();
/// let deposit = Action::Deposit { account: user.address(), amount_wei: ETHER };
/// let signed = bank.sign(&settlement.domain(), 0, &deposit);
/// settlement.apply(10, &signed).unwrap();
/// assert_eq!(settlement.money().free_wei(&user.address()), ETHER);
/// // Sent again, it is refused and changes nothing.
/// assert!(settlement.apply(11, &signed).is_err());
/// assert!(settlement.money().is_conserved());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settlement<C: Commitment = Keccak> {
    genesis: Genesis,
    now_ms: u64,
    money: Money,
    nonces: BTreeMap<Address, u64>,
    models: BTreeMap<Digest, ModelHeader>,
    jobs: BTreeMap<JobId, Job>,
    claims: BTreeMap<ClaimId, Claim<C>>,
    challenges: BTreeMap<ChallengeId, Challenge>,
    sealed: BTreeMap<SealedId, Sealed>,
    commitment: PhantomData<C>,
}

impl Settlement {
    /// An empty ledger under the protocol's own commitment.
    ///
    /// # Errors
    /// When a parameter is outside its bounds.
    pub fn new(genesis: Genesis) -> Result<Self, ParameterError> {
        genesis.parameters.check()?;
        Ok(Self::new_unchecked(genesis))
    }
}

impl<C: Commitment> Settlement<C> {
    /// An empty ledger under any commitment and any parameters, also such as no ledger should have.
    /// For the simulation, which looks for what breaks outside the bounds.
    pub fn new_unchecked(genesis: Genesis) -> Self {
        Self {
            genesis,
            now_ms: 0,
            money: Money::default(),
            nonces: BTreeMap::new(),
            models: BTreeMap::new(),
            jobs: BTreeMap::new(),
            claims: BTreeMap::new(),
            challenges: BTreeMap::new(),
            sealed: BTreeMap::new(),
            commitment: PhantomData,
        }
    }

    /// Applies a transaction that arrived at `now_ms`.
    ///
    /// # Errors
    /// [`Rejection`] says what the sender must do; nothing changes then.
    pub fn apply(
        &mut self,
        now_ms: u64,
        transaction: &SignedTransaction,
    ) -> Result<Vec<Event>, Rejection> {
        if now_ms < self.now_ms {
            return Err(Rejection::TimeWentBack { ledger_ms: self.now_ms });
        }
        let action = transaction.decode_action()?;
        self.domain().verify(transaction)?;
        self.perform(now_ms, transaction.sender, transaction.nonce, &action)
    }

    /// Applies an action whose sender is known to be who it says: what [`Settlement::apply`] does once the
    /// signature is checked, and what worlds without signatures call.
    ///
    /// # Errors
    /// [`Rejection`] says what the sender must do; nothing changes then.
    pub fn perform(
        &mut self,
        now_ms: u64,
        sender: Address,
        nonce: u64,
        action: &Action,
    ) -> Result<Vec<Event>, Rejection> {
        if now_ms < self.now_ms {
            return Err(Rejection::TimeWentBack { ledger_ms: self.now_ms });
        }
        let expected = self.nonce(&sender);
        if nonce != expected {
            return Err(Rejection::Nonce { expected });
        }
        let next = expected.checked_add(1).ok_or(Rejection::Nonce { expected })?;
        let events = self.execute(now_ms, sender, nonce, action)?;
        self.nonces.insert(sender, next);
        self.now_ms = now_ms;
        assert!(self.money.is_conserved(), "money appeared or vanished");
        Ok(events)
    }

    /// The ledger's beginning.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The ledger's parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.genesis.parameters
    }

    /// The EIP-712 domain of the ledger.
    pub fn domain(&self) -> Domain {
        self.genesis.domain()
    }

    /// Time of the last accepted transaction.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The money.
    pub fn money(&self) -> &Money {
        &self.money
    }

    /// The nonce that an account's next transaction must carry.
    pub fn nonce(&self, account: &Address) -> u64 {
        self.nonces.get(account).copied().unwrap_or(0)
    }

    /// A registered model.
    pub fn model(&self, root: &Digest) -> Option<&ModelHeader> {
        self.models.get(root)
    }

    /// A job.
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// A claim.
    pub fn claim(&self, id: &ClaimId) -> Option<&Claim<C>> {
        self.claims.get(id)
    }

    /// A challenge.
    pub fn challenge(&self, id: &ChallengeId) -> Option<&Challenge> {
        self.challenges.get(id)
    }

    /// A sealed claim.
    pub fn sealed(&self, id: &SealedId) -> Option<&Sealed> {
        self.sealed.get(id)
    }

    /// All jobs.
    pub fn jobs(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.jobs.iter()
    }

    /// All claims.
    pub fn claims(&self) -> impl Iterator<Item = (&ClaimId, &Claim<C>)> {
        self.claims.iter()
    }

    /// All challenges.
    pub fn challenges(&self) -> impl Iterator<Item = (&ChallengeId, &Challenge)> {
        self.challenges.iter()
    }

    /// Sum of what jobs, claims, sealed claims and challenges say they hold, in wei; equals the money's
    /// locked sum.
    pub fn locked_by_objects_wei(&self) -> u128 {
        let jobs = self.jobs.values().map(|job| match job.status {
            JobStatus::Open => job.terms.fee_wei + job.terms.attention_wei,
            JobStatus::Done { .. } | JobStatus::Cancelled => 0,
        });
        let claims = self.claims.values().map(|claim| match claim.status {
            ClaimStatus::Standing => claim.stake_wei,
            ClaimStatus::Fallen { .. }
            | ClaimStatus::Final { .. }
            | ClaimStatus::Released { .. } => 0,
        });
        let challenges = self.challenges.values().map(|challenge| match challenge.status {
            ChallengeStatus::Open { .. } => challenge.bond_wei + challenge.fees_wei,
            ChallengeStatus::Won { .. } | ChallengeStatus::Lost => 0,
        });
        let sealed = self.sealed.values().map(|sealed| match sealed.status {
            SealedStatus::Waiting => sealed.stake_wei,
            SealedStatus::Opened { .. } | SealedStatus::Expired => 0,
        });
        jobs.chain(claims).chain(challenges).chain(sealed).sum()
    }
}
