//! Jobs, claims, challenges and what happens to them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::asks::{Ask, Evidence, Tree};
use crate::encoding::{Canonical, DecodeError, Reader, canonical_enum, canonical_struct};
use crate::hash::{Commitment, Digest, Keccak};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::knowledge::Known;
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
    /// Last millisecond, by the ledger's clock, at which claims and seals are taken. Each fall of a claim on it
    /// moves it on to one `executor_clock_ms` later at least: who held back because the same was claimed already
    /// has time to claim.
    pub open_until_ms: u64,
    /// Number of claims so far; each has the number that it found here.
    pub claims: u32,
    /// Claims before this number fell. The claim of this number may stand.
    pub first_standing: u32,
    /// Claims that stand.
    pub standing: u32,
    /// Sealed claims that wait to be opened.
    pub seals_waiting: u32,
    /// Its status.
    pub status: JobStatus,
}
canonical_struct!(Job {
    poster,
    terms,
    posted_ms,
    open_until_ms,
    claims,
    first_standing,
    standing,
    seals_waiting,
    status,
});

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
    /// Ended without an answer.
    Expired,
}
canonical_enum!(JobStatus { 1 => Open {}, 2 => Done { claim }, 3 => Expired {} });

/// A posted claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim<C: Commitment = Keccak> {
    /// Who claims.
    pub executor: Address,
    /// What is claimed.
    pub terms: ClaimTerms,
    /// Its place among the job's claims, from 0.
    pub number: u32,
    /// Time of the transaction that posted it, by the ledger's clock.
    pub posted_ms: u64,
    /// Last millisecond of the time for challenges.
    pub window_end_ms: u64,
    /// The latest end of this claim's own disputes; each `served_max` further challenges move it. It waits for
    /// those of earlier claims on its job as well: `Settlement::final_by_ms`.
    pub last_finality_ms: u64,
    /// The stake, in wei.
    pub stake_wei: u128,
    /// Trace of its first iteration, which its posting proved.
    pub trace_root: Digest,
    /// Roots that its executor said: of the inside of layers and of the sums of elements. The first answer binds.
    /// None once it is over: nobody asks about it any more.
    pub said: BTreeMap<Tree, Digest>,
    /// What is publicly known of its run, folded from what was accepted, and little of it once it is over. No
    /// decision reads it: the same transactions are accepted whatever stands here.
    pub knowledge: Known<C>,
    /// The seal that it was opened from.
    pub sealed: Option<SealedId>,
    /// Those who proved that they ran the model before the claim was opened.
    pub proofs: u32,
    /// Challenges so far; each has the number that it found here.
    pub challenges: u32,
    /// Challenges that have not ended; once the claim fell, as many as there were then.
    pub open: u32,
    /// Challenges that ended while the claim stood.
    pub ended: u32,
    /// Pieces of work of the challenges that have not ended; once the claim fell, as many as there were then.
    pub work: u64,
    /// Answers the executor gave.
    pub reveals: u32,
    /// Money of the claim that others can still collect, in wei: shares of challengers of a claim that
    /// fell, or of attesters of a final one.
    pub owed_wei: u128,
    /// Its status.
    pub status: ClaimStatus,
}

/// A claim whose sequence root is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sealed {
    /// Id of the job.
    pub job: JobId,
    /// Who sealed.
    pub executor: Address,
    /// The commitment to executor, sequence root and salt.
    pub seal: Digest,
    /// Time of the transaction that sealed it, by the ledger's clock.
    pub sealed_ms: u64,
    /// The stake, in wei; the claim's once it is opened.
    pub stake_wei: u128,
    /// Number of attesters.
    pub attesters: u32,
    /// Its status.
    pub status: SealedStatus,
}
canonical_struct!(Sealed { job, executor, seal, sealed_ms, stake_wei, attesters, status });

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
    /// Was not opened in time, and a bond burned; or was opened when the job was over already, and its
    /// whole stake went back.
    Expired,
}
canonical_enum!(SealedStatus { 1 => Waiting {}, 2 => Opened { claim }, 3 => Expired {} });

/// Somebody's word about a sealed claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attestation {
    /// Commitment to attester, sequence root and salt.
    pub word: Digest,
    /// The bond, in wei; 0 once it was collected or burned.
    pub bond_wei: u128,
    /// Its status.
    pub status: AttestationStatus,
}
canonical_struct!(Attestation { word, bond_wei, status });

/// Status of an attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttestationStatus {
    /// Nothing was proven yet.
    Given,
    /// The word was on the claim's sequence root.
    Proven,
    /// Paid out, or burned.
    Collected,
}
canonical_enum!(AttestationStatus { 1 => Given {}, 2 => Proven {}, 3 => Collected {} });

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
        /// Paid to each other challenge for each piece of its work, in wei.
        unit_wei: u128,
        /// Paid to each challenge beside that, in wei.
        share_wei: u128,
    },
    /// The job's answer.
    Final {
        /// Time of the transaction that did it, by the ledger's clock.
        at_ms: u64,
        /// Paid to each attester that proved its word, in wei.
        attention_share_wei: u128,
    },
    /// Not refuted, but an earlier claim became the answer.
    Released {
        /// Time of the transaction that did it, by the ledger's clock.
        at_ms: u64,
    },
}
canonical_enum!(ClaimStatus {
    1 => Standing {}, 2 => Fallen { reason, challenge, at_ms, unit_wei, share_wei },
    3 => Final { at_ms, attention_share_wei }, 4 => Released { at_ms },
});

impl<C: Commitment> Claim<C> {
    /// Whether it was not refuted and its job has no answer by it yet.
    pub fn stands(&self) -> bool {
        match self.status {
            ClaimStatus::Standing => true,
            ClaimStatus::Fallen { .. }
            | ClaimStatus::Final { .. }
            | ClaimStatus::Released { .. } => false,
        }
    }

    /// Ends it, and lets go of what only disputes need: a ledger keeps every claim that it ever had.
    pub(super) fn end(&mut self, status: ClaimStatus) {
        self.said = BTreeMap::new();
        match &status {
            ClaimStatus::Standing => {}
            ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } => {
                self.knowledge.fall(Some(evidence));
            }
            ClaimStatus::Fallen { reason: FallReason::Silence(_), .. } => self.knowledge.fall(None),
            ClaimStatus::Final { .. } | ClaimStatus::Released { .. } => {
                self.knowledge = Known::Nothing;
            }
        }
        self.status = status;
    }

    /// Whether a challenge of it is under way.
    pub fn is_disputed(&self) -> bool {
        self.stands() && self.open > 0
    }
}

/// How a claim fell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FallReason {
    /// The referee convicted it.
    Refuted(Evidence),
    /// The executor did not answer in time.
    Silence(Ask),
}

/// In full, though no rule reads it: whoever begins with what a ledger kept can tell why a claim fell without the
/// log. It is small: evidence has the words of two states at most, an ask one place.
impl Canonical for FallReason {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Refuted(evidence) => {
                out.push(1);
                evidence.encode(out);
            }
            Self::Silence(ask) => {
                out.push(2);
                ask.encode(out);
            }
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Refuted(Evidence::decode(reader)?)),
            2 => Ok(Self::Silence(Ask::decode(reader)?)),
            tag => Err(DecodeError::UnknownTag { kind: "FallReason", tag }),
        }
    }
}

/// A bonded challenge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Challenge {
    /// Id of the claim.
    pub claim: ClaimId,
    /// Who challenges.
    pub challenger: Address,
    /// Its place among the claim's challenges, from 0.
    pub number: u32,
    /// Time of the transaction that opened it, by the ledger's clock.
    pub opened_ms: u64,
    /// The bond, in wei.
    pub bond_wei: u128,
    /// Demand fees paid so far, in wei.
    pub fees_wei: u128,
    /// Whether its turn came.
    pub served: bool,
    /// Demands so far, those for inputs and outputs of the run left out.
    pub demands: u32,
    /// Demands for inputs and outputs of the run so far.
    pub end_asks: u32,
    /// Demands of this challenge that were answered, those for inputs and outputs left out.
    pub replies: u32,
    /// Demands for inputs and outputs that were answered.
    pub end_replies: u32,
    /// What it asked last; nothing once it is over.
    pub asked: Option<Asked>,
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
    /// Waits until challenges before it have ended: no clock runs, nothing can be demanded.
    Queued,
    /// Under way.
    Open {
        /// Whose move it is.
        turn: Turn,
        /// Since when, by the ledger's clock.
        since_ms: u64,
    },
    /// The claim fell, and the challenge was paid out.
    Won {
        /// Paid out beyond bond and fees, in wei.
        reward_wei: u128,
    },
    /// The claim was upheld against it.
    Lost,
    /// Its challenger withdrew it.
    Withdrawn,
}
canonical_enum!(ChallengeStatus {
    1 => Queued {}, 2 => Open { turn, since_ms }, 3 => Won { reward_wei }, 4 => Lost {},
    5 => Withdrawn {},
});

/// What a challenge asked last. A chain keeps its hash and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The ask.
    pub ask: Ask,
    /// Whether it counts as one for an input or output of the run.
    pub is_end: bool,
}

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// The challenger must demand or refute.
    Challenger,
    /// The executor must answer.
    Executor,
}
canonical_enum!(Turn { 1 => Challenger {}, 2 => Executor {} });

impl Challenge {
    /// Ends it, and lets go of what only its dispute needs.
    pub(super) fn end(&mut self, status: ChallengeStatus) {
        self.asked = None;
        self.status = status;
    }

    /// Last millisecond, by the ledger's clock, at which the side to move is in time, on a ledger where each
    /// move has at least `floor_ms`; `None` before the challenge is served and once it is over.
    pub fn deadline_ms(&self, floor_ms: u64) -> Option<u64> {
        let ChallengeStatus::Open { turn, since_ms } = &self.status else {
            return None;
        };
        let budget_ms = match turn {
            Turn::Challenger => self.challenger_clock_ms,
            Turn::Executor => self.executor_clock_ms,
        };
        Some(since_ms.saturating_add(budget_ms.max(floor_ms)))
    }

    /// Pieces of work that it is: two, and one for each demand of either kind; none before it is served, so
    /// that a crowd which waits takes nothing of what others are paid for their work.
    pub fn work(&self) -> u64 {
        let asks = u64::from(self.demands).saturating_add(u64::from(self.end_asks));
        if self.served { asks.saturating_add(2) } else { 0 }
    }

    /// What the executor was asked and has not answered.
    pub fn pending(&self) -> Option<&Ask> {
        match &self.status {
            ChallengeStatus::Open { turn: Turn::Executor, .. } => self.last_ask(),
            ChallengeStatus::Open { turn: Turn::Challenger, .. }
            | ChallengeStatus::Queued
            | ChallengeStatus::Won { .. }
            | ChallengeStatus::Lost
            | ChallengeStatus::Withdrawn => None,
        }
    }

    /// What it asked last, answered or not.
    pub fn last_ask(&self) -> Option<&Ask> {
        self.asked.as_ref().map(|asked| &asked.ask)
    }

    /// Whether its challenger may withdraw it on its turn: it asked for nothing but inputs and outputs of the
    /// run, and was answered.
    pub fn can_be_withdrawn(&self) -> bool {
        self.demands == 0 && self.end_replies > 0
    }

    /// Whether it has not ended: it is under way, waits to be, or is to be collected.
    pub fn is_open(&self) -> bool {
        match self.status {
            ChallengeStatus::Open { .. } | ChallengeStatus::Queued => true,
            ChallengeStatus::Won { .. } | ChallengeStatus::Lost | ChallengeStatus::Withdrawn => {
                false
            }
        }
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
    /// A job ended without an answer.
    JobExpired { job: JobId },
    /// The number of a job's first standing claim moved on.
    JobPassed { job: JobId, first_standing: u32 },
    /// A claim stands and can be challenged.
    ClaimPosted { claim: ClaimId, job: JobId, last_finality_ms: u64 },
    /// A challenge is open, or waits to be.
    Challenged { challenge: ChallengeId, claim: ClaimId },
    /// A challenge that waited is under way now.
    ChallengeServed { challenge: ChallengeId },
    /// The executor must answer.
    Demanded { challenge: ChallengeId, ask: Ask },
    /// Something is now known to all.
    Revealed { claim: ClaimId, ask: Ask },
    /// A claim fell.
    ClaimFallen { claim: ClaimId, reason: FallReason, burned_wei: u128 },
    /// A challenge of a claim that fell was paid out.
    ChallengeWon { challenge: ChallengeId, challenger: Address, reward_wei: u128 },
    /// A challenge ended with the claim upheld.
    ChallengeLost { challenge: ChallengeId, challenger: Address, burned_wei: u128 },
    /// A challenge was withdrawn by its challenger.
    ChallengeWithdrawn { challenge: ChallengeId, challenger: Address, burned_wei: u128 },
    /// A claim is the job's answer.
    ClaimFinal { claim: ClaimId, job: JobId },
    /// A standing claim's stake went back.
    StakeReleased { claim: ClaimId },
    /// A claim was sealed.
    ClaimSealed { sealed: SealedId, job: JobId },
    /// Somebody gave its word about a sealed claim.
    Attested { sealed: SealedId, attester: Address },
    /// A seal was not opened in time, and a bond burned; or it was opened when the job was over already, and
    /// nothing burned.
    SealExpired { sealed: SealedId, burned_wei: u128 },
    /// An attester proved that it had known the sequence root.
    AttentionProven { claim: ClaimId, attester: Address },
    /// An attester was paid its share, and has its bond back or lost it.
    AttentionCollected { sealed: SealedId, attester: Address, share_wei: u128, burned_wei: u128 },
}
