//! Jobs, claims, challenges and what happens to them.

use alloc::vec::Vec;

use crate::facts::{Facts, Request};
use crate::hash::{Commitment, Digest, Keccak};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::referee::Evidence;
use crate::transaction::{Address, ClaimTerms, JobTerms};

/// A posted job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Who posted it.
    pub poster: Address,
    /// What it asks for, and under which terms.
    pub terms: JobTerms,
    /// Time of the transaction that posted it, by the ledger's clock.
    pub posted_ms: u64,
    /// Claims in the order of their posting.
    pub claims: Vec<ClaimId>,
    /// Its status.
    pub status: JobStatus,
}

/// Status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Waits for a claim to become final.
    Open,
    /// Has its answer.
    Done {
        /// Id of the final claim.
        claim: ClaimId,
    },
    /// Was taken back.
    Cancelled,
}

/// A posted claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim<C: Commitment = Keccak> {
    /// Who claims.
    pub executor: Address,
    /// What is claimed.
    pub terms: ClaimTerms,
    /// Time of the transaction that posted it, by the ledger's clock.
    pub posted_ms: u64,
    /// Last millisecond of the time for challenges.
    pub window_end_ms: u64,
    /// The latest possible end of everything about this claim.
    pub last_finality_ms: u64,
    /// The stake, in wei.
    pub stake_wei: u128,
    /// What is publicly known of its run.
    pub facts: Facts<C>,
    /// The seal that it was opened from.
    pub sealed: Option<SealedId>,
    /// Those who proved that they ran the model before the claim was opened.
    pub attentive: Vec<Address>,
    /// Challenges in the order of their bonds.
    pub challenges: Vec<ChallengeId>,
    /// Answers the executor gave.
    pub reveals: u32,
    /// Its status.
    pub status: ClaimStatus,
}

/// A claim whose trace root is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sealed {
    /// Id of the job.
    pub job: JobId,
    /// Who sealed.
    pub executor: Address,
    /// The commitment to executor, trace root and salt.
    pub seal: Digest,
    /// Time of the transaction that sealed it, by the ledger's clock.
    pub sealed_ms: u64,
    /// The stake, in wei; the claim's once it is opened.
    pub stake_wei: u128,
    /// Attesters with their words, in order.
    pub words: Vec<(Address, Digest)>,
    /// Its status.
    pub status: SealedStatus,
}

/// Status of a sealed claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SealedStatus {
    /// Not opened yet.
    Waiting,
    /// Became a claim.
    Opened {
        /// Id of the claim.
        claim: ClaimId,
    },
    /// Was not opened in time, and its stake burned; or was opened when the job was over already, and its
    /// stake went back.
    Expired,
}

/// Status of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClaimStatus {
    /// Not refuted.
    Standing,
    /// Refuted.
    Fallen {
        /// How.
        reason: FallReason,
        /// Id of the challenge that did it.
        challenge: ChallengeId,
        /// Time of the transaction that did it, by the ledger's clock.
        at_ms: u64,
    },
    /// The job's answer.
    Final {
        /// Time of the transaction that did it, by the ledger's clock.
        at_ms: u64,
    },
    /// Not refuted, but an earlier claim became the answer.
    Released {
        /// Time of the transaction that did it, by the ledger's clock.
        at_ms: u64,
    },
}

/// How a claim fell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FallReason {
    /// The referee convicted it.
    Refuted(Evidence),
    /// The executor did not answer in time.
    Silence(Request),
}

/// A bonded challenge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Challenge {
    /// Id of the claim.
    pub claim: ClaimId,
    /// Who challenges.
    pub challenger: Address,
    /// Time of the transaction that opened it, by the ledger's clock.
    pub opened_ms: u64,
    /// The bond, in wei.
    pub bond_wei: u128,
    /// Demand fees paid so far, in wei.
    pub fees_wei: u128,
    /// Demands so far.
    pub demands: u32,
    /// Demands of this challenge that were answered.
    pub replies: u32,
    /// What is left of the executor's budget, in milliseconds.
    pub executor_clock_ms: u64,
    /// What is left of the challenger's budget, in milliseconds.
    pub challenger_clock_ms: u64,
    /// Its status.
    pub status: ChallengeStatus,
}

/// Status of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChallengeStatus {
    /// Under way.
    Open {
        /// Whose move it is.
        turn: Turn,
        /// Since when, by the ledger's clock.
        since_ms: u64,
    },
    /// The claim fell.
    Won {
        /// Paid out beyond bond and fees, in wei.
        reward_wei: u128,
    },
    /// The claim was upheld against it.
    Lost,
}

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// The challenger must demand or refute.
    Challenger,
    /// The executor must answer.
    Executor(Request),
}

impl Challenge {
    /// Last millisecond, by the ledger's clock, at which the side to move is in time, on a ledger where each
    /// move has at least `floor_ms`; `None` once the challenge is over.
    pub fn deadline_ms(&self, floor_ms: u64) -> Option<u64> {
        let ChallengeStatus::Open { turn, since_ms } = &self.status else {
            return None;
        };
        let budget_ms = match turn {
            Turn::Challenger => self.challenger_clock_ms,
            Turn::Executor(_) => self.executor_clock_ms,
        };
        Some(since_ms.saturating_add(budget_ms.max(floor_ms)))
    }

    /// What the executor was asked and has not answered.
    pub fn pending(&self) -> Option<&Request> {
        match &self.status {
            ChallengeStatus::Open { turn: Turn::Executor(request), .. } => Some(request),
            ChallengeStatus::Open { turn: Turn::Challenger, .. }
            | ChallengeStatus::Won { .. }
            | ChallengeStatus::Lost => None,
        }
    }

    /// Whether it is under way.
    pub fn is_open(&self) -> bool {
        matches!(self.status, ChallengeStatus::Open { .. })
    }
}

/// What a transaction changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are ids and amounts named as everywhere")]
pub enum Event {
    /// Money came in.
    Deposited { account: Address, amount_wei: u128 },
    /// Money went out.
    Withdrawn { account: Address, amount_wei: u128 },
    /// A model is known.
    ModelRegistered { model_root: Digest },
    /// A job waits for claims.
    JobPosted { job: JobId },
    /// A job was taken back.
    JobCancelled { job: JobId },
    /// A claim stands and can be challenged.
    ClaimPosted { claim: ClaimId, job: JobId, last_finality_ms: u64 },
    /// A challenge is open.
    Challenged { challenge: ChallengeId, claim: ClaimId },
    /// The executor must answer.
    Demanded { challenge: ChallengeId, request: Request },
    /// Something is now known to all.
    Revealed { claim: ClaimId, request: Request },
    /// A claim fell.
    ClaimFallen { claim: ClaimId, reason: FallReason, burned_wei: u128 },
    /// A challenge ended with the claim's fall.
    ChallengeWon { challenge: ChallengeId, challenger: Address, reward_wei: u128 },
    /// A challenge ended with the claim upheld.
    ChallengeLost { challenge: ChallengeId, challenger: Address, burned_wei: u128 },
    /// A claim is the job's answer.
    ClaimFinal { claim: ClaimId, job: JobId },
    /// A standing claim's stake went back.
    StakeReleased { claim: ClaimId },
    /// A claim was sealed.
    ClaimSealed { sealed: SealedId, job: JobId },
    /// Somebody gave its word about a sealed claim.
    Attested { sealed: SealedId, attester: Address },
    /// A seal was not opened in time; or it was opened when the job was over already, and nothing burned.
    SealExpired { sealed: SealedId, burned_wei: u128 },
    /// An attester proved that it had known the trace root.
    AttentionProven { claim: ClaimId, attester: Address },
    /// An attester was paid.
    AttentionPaid { claim: ClaimId, attester: Address, amount_wei: u128 },
}
