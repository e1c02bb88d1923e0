//! The settlement state machine: jobs, claims, challenges, clocks and money.
//!
//! A pure transition function over signed transactions: the ledger's engine says what time it is
//! and stores what was accepted. Replaying the accepted transactions gives the same state again.

pub mod attention;
mod bounds;
mod claims;
mod disputes;
mod falls;
mod jobs;
mod money;
mod objects;
mod parameters;
mod records;
mod rejection;
mod restore;
pub mod rules;
mod snapshot;
mod under_way;

pub use bounds::ParameterError;
pub use claims::{ShownBinding, claim_id, claim_id_under, shown_binding};
pub use disputes::{CHALLENGERS_MAX, challenge_id, challenge_id_under};
pub use jobs::{PASSED_MAX, job_id};
pub use money::{Ether, Money, MoneyError};
pub use objects::{
    Asked, Attestation, AttestationStatus, Challenge, ChallengeStatus, Claim, ClaimStatus, Event,
    FallReason, Job, JobStatus, Sealed, SealedStatus, Turn,
};
pub use parameters::{ETHER, Genesis, Parameters};
pub use records::{Account, AskedRecord, ChallengeRecord, ClaimRecord, Record};
pub use rejection::Rejection;
pub use restore::{Part, RestoreError, Restoring};
pub use snapshot::SnapshotHead;

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::graph::ModelHeader;
use crate::hash::{Commitment, Digest, Keccak};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::persistent::Map;
use crate::transaction::{Action, Address, Domain, SignedTransaction};
use under_way::UnderWay;

type Outcome = Result<Vec<Event>, Rejection>;

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
    nonces: Map<Address, u64>,
    models: Map<Digest, ModelHeader>,
    jobs: Map<JobId, Job>,
    claims: Map<ClaimId, Claim<C>>,
    challenges: Map<ChallengeId, Challenge>,
    sealed: Map<SealedId, Sealed>,
    attestations: Map<(SealedId, Address), Attestation>,
    /// For those who read. A transition looks up one challenge by its number, the next that is served; none goes
    /// through the claims of a job or the challenges of a claim.
    claims_by_number: Map<(JobId, u32), ClaimId>,
    challenges_by_number: Map<(ClaimId, u32), ChallengeId>,
    under_way: UnderWay,
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
            nonces: Map::new(),
            models: Map::new(),
            jobs: Map::new(),
            claims: Map::new(),
            challenges: Map::new(),
            sealed: Map::new(),
            attestations: Map::new(),
            claims_by_number: Map::new(),
            challenges_by_number: Map::new(),
            under_way: UnderWay::default(),
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
        self.perform_numbered(now_ms, transaction.sender, transaction.nonce, &action)
    }

    /// Applies an action whose sender is known to be who it says: what [`Settlement::apply`] does once the
    /// signature is checked, and what worlds without signatures call.
    ///
    /// # Errors
    /// [`Rejection`] says what the sender must do; nothing changes then.
    pub fn perform_numbered(
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
        let events = self.perform(now_ms, sender, 0, action)?;
        self.nonces.insert(sender, next);
        Ok(events)
    }

    /// The transition itself, where the order of a sender's actions is somebody else's business, as on a
    /// chain. `value_wei` comes with the action and is credited to the sender first.
    ///
    /// # Errors
    /// [`Rejection`] says what the sender must do; nothing changes then, and the value is the sender's
    /// outside the ledger.
    pub fn perform(
        &mut self,
        now_ms: u64,
        sender: Address,
        value_wei: u128,
        action: &Action,
    ) -> Result<Vec<Event>, Rejection> {
        if now_ms < self.now_ms {
            return Err(Rejection::TimeWentBack { ledger_ms: self.now_ms });
        }
        let was_known = self.money.knows(&sender);
        if value_wei > 0 {
            self.check_transfer(value_wei)?;
            self.money.deposit(sender, value_wei)?;
        }
        let events = match self.execute(now_ms, sender, action) {
            Ok(events) => events,
            Err(rejection) => {
                if value_wei > 0 {
                    self.money.take_back(&sender, value_wei, was_known);
                }
                return Err(rejection);
            }
        };
        self.now_ms = now_ms;
        events.iter().for_each(|event| self.under_way.follow(event));
        assert!(self.money.is_conserved(), "money appeared or vanished");
        Ok(events)
    }

    fn execute(&mut self, now_ms: u64, sender: Address, action: &Action) -> Outcome {
        match action {
            Action::Deposit { account, amount_wei } => self.deposit(sender, *account, *amount_wei),
            Action::Withdraw { amount_wei } => self.withdraw(sender, *amount_wei),
            Action::RegisterModel { header } => self.register_model(sender, header),
            Action::PostJob { terms } => self.post_job(now_ms, sender, terms),
            Action::ExpireJob { job } => self.expire_job(now_ms, *job),
            Action::PostClaim { statement } => self.post_claim(now_ms, sender, statement),
            Action::Challenge { claim } => self.open_challenge(now_ms, sender, *claim),
            Action::Demand { claim, showings, ask, path, from } => {
                self.demand(now_ms, sender, *claim, (showings, from.as_ref()), (ask, path))
            }
            Action::Reveal { claim, challengers, ask, answer } => {
                self.reveal(now_ms, sender, *claim, challengers, (ask, answer))
            }
            Action::Refute { claim, challenger, showings, refutation, from } => {
                let id = challenge_id_under::<C>(*claim, *challenger);
                self.refute(now_ms, sender, id, (showings, from.as_ref()), refutation)
            }
            Action::CallTime { claim, challenger } => {
                self.call_time(now_ms, sender, challenge_id_under::<C>(*claim, *challenger))
            }
            Action::Finalise { claim } => self.finalise(now_ms, sender, *claim),
            Action::SealClaim { job, seal } => self.seal_claim(now_ms, sender, *job, *seal),
            Action::Attest { sealed, word } => self.attest(now_ms, sender, *sealed, *word),
            Action::OpenClaim { sealed, statement, salt } => {
                self.open_claim(now_ms, sender, *sealed, statement, salt)
            }
            Action::ProveAttention { claim, salt } => {
                self.prove_attention(now_ms, sender, *claim, salt)
            }
            Action::ExpireSeal { sealed } => self.expire_seal(now_ms, *sealed),
            Action::WithdrawChallenge { claim } => {
                self.withdraw_challenge(now_ms, sender, challenge_id_under::<C>(*claim, sender))
            }
            Action::Collect { claim, challenger } => {
                self.collect(now_ms, sender, challenge_id_under::<C>(*claim, *challenger))
            }
            Action::Release { claim } => self.release(now_ms, sender, *claim),
            Action::Pass { job, claims } => self.pass(*job, claims),
            Action::CollectAttention { sealed, attester } => {
                self.collect_attention(*sealed, *attester)
            }
        }
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

    /// Jobs that have no answer and did not expire.
    pub fn open_jobs(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.under_way.jobs().filter_map(|id| Some((id, self.jobs.get(id)?)))
    }

    /// Claims that stand.
    pub fn standing_claims(&self) -> impl Iterator<Item = (&ClaimId, &Claim<C>)> {
        self.under_way.claims().filter_map(|id| Some((id, self.claims.get(id)?)))
    }

    /// Challenges that have not ended: queued, under way, or to be collected, their claim having fallen.
    pub fn open_challenges(&self) -> impl Iterator<Item = (&ChallengeId, &Challenge)> {
        self.under_way.challenges().filter_map(|id| Some((id, self.challenges.get(id)?)))
    }

    /// All challenges.
    pub fn challenges(&self) -> impl Iterator<Item = (&ChallengeId, &Challenge)> {
        self.challenges.iter()
    }

    /// Somebody's word about a sealed claim.
    pub fn attestation(&self, sealed: &SealedId, attester: &Address) -> Option<&Attestation> {
        self.attestations.get(&(*sealed, *attester))
    }

    /// All sealed claims.
    pub fn all_sealed(&self) -> impl Iterator<Item = (&SealedId, &Sealed)> {
        self.sealed.iter()
    }

    /// Words about a sealed claim, by attester.
    pub fn attestations_of(
        &self,
        sealed: &SealedId,
    ) -> impl Iterator<Item = (&Address, &Attestation)> {
        let range = (*sealed, Address([0; 20]))..=(*sealed, Address([0xff; 20]));
        self.attestations.range(range).map(|((_, attester), attestation)| (attester, attestation))
    }

    /// Sum of what jobs, claims, sealed claims, attestations and challenges say they hold, in wei; equals the
    /// money's locked sum.
    pub fn locked_by_objects_wei(&self) -> u128 {
        self.locked_wei_each().sum()
    }

    /// What each of them says it holds.
    fn locked_wei_each(&self) -> impl Iterator<Item = u128> {
        let jobs = self.jobs.values().map(|job| match job.status {
            JobStatus::Open => job.terms.locked_wei().unwrap_or_default(),
            JobStatus::Done { .. } | JobStatus::Expired => 0,
        });
        let claims = self.claims.values().map(|claim| match claim.status {
            ClaimStatus::Standing => claim.stake_wei,
            ClaimStatus::Fallen { .. }
            | ClaimStatus::Final { .. }
            | ClaimStatus::Released { .. } => claim.owed_wei,
        });
        let challenges = self.challenges.values().flat_map(|challenge| match challenge.status {
            ChallengeStatus::Open { .. } | ChallengeStatus::Queued => {
                [challenge.bond_wei, challenge.fees_wei]
            }
            ChallengeStatus::Won { .. } | ChallengeStatus::Lost | ChallengeStatus::Withdrawn => {
                [0, 0]
            }
        });
        let sealed = self.sealed.values().map(|sealed| match sealed.status {
            SealedStatus::Waiting => sealed.stake_wei,
            SealedStatus::Opened { .. } | SealedStatus::Expired => 0,
        });
        let attestations = self.attestations.values().map(|attestation| attestation.bond_wei);
        jobs.chain(claims).chain(challenges).chain(sealed).chain(attestations)
    }
}
