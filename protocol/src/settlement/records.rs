//! What a ledger keeps of each object, in canonical form: what a chain would keep, and what is under the root of a
//! snapshot.
//!
//! Jobs, sealed claims, attestations and the headers of models are their own records. Claims and challenges in
//! memory hold more, which serves those who read: a claim what is known of its run, a challenge the whole of what it
//! asked last. Their records leave that out, and are given it back where they become objects again.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::objects::{
    Asked, Attestation, Challenge, ChallengeStatus, Claim, ClaimStatus, Job, Sealed,
};
use crate::asks::{Ask, Tree};
use crate::encoding::{Canonical, DecodeError, Reader, canonical_enum, canonical_struct};
use crate::graph::ModelHeader;
use crate::hash::{Commitment, Digest};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::knowledge::Known;
use crate::transaction::{Address, ClaimTerms};

/// What a ledger keeps of an account. One that was never given money and never sent anything is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Free money, in wei; `None` where it was never given any.
    pub free_wei: Option<u128>,
    /// The nonce that its next transaction must carry.
    pub nonce: u64,
}

impl Canonical for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        let Self { free_wei, nonce } = self;
        free_wei.encode(out);
        nonce.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (free_wei, nonce) = <(Option<u128>, u64)>::decode(reader)?;
        if free_wei.is_none() && nonce == 0 {
            return Err(DecodeError::NotCanonical { kind: "an account of nothing" });
        }
        Ok(Self { free_wei, nonce })
    }
}

/// What a ledger keeps of a [`Claim`]: all but what is known of its run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are those of the claim, which says what they are")]
pub struct ClaimRecord {
    pub executor: Address,
    pub terms: ClaimTerms,
    pub number: u32,
    pub posted_ms: u64,
    pub window_end_ms: u64,
    pub last_finality_ms: u64,
    pub stake_wei: u128,
    pub trace_root: Digest,
    pub said: BTreeMap<Tree, Digest>,
    pub sealed: Option<SealedId>,
    pub proofs: u32,
    pub challenges: u32,
    pub open: u32,
    pub ended: u32,
    pub work: u64,
    pub reveals: u32,
    pub owed_wei: u128,
    pub status: ClaimStatus,
}
canonical_struct!(ClaimRecord {
    executor,
    terms,
    number,
    posted_ms,
    window_end_ms,
    last_finality_ms,
    stake_wei,
    trace_root,
    said,
    sealed,
    proofs,
    challenges,
    open,
    ended,
    work,
    reveals,
    owed_wei,
    status,
});

impl ClaimRecord {
    /// The record of a claim.
    pub fn of<C: Commitment>(claim: &Claim<C>) -> Self {
        // No rest: a new field is decided here.
        let Claim {
            executor,
            terms,
            number,
            posted_ms,
            window_end_ms,
            last_finality_ms,
            stake_wei,
            trace_root,
            said,
            knowledge: _,
            sealed,
            proofs,
            challenges,
            open,
            ended,
            work,
            reveals,
            owed_wei,
            status,
        } = claim;
        Self {
            executor: *executor,
            terms: terms.clone(),
            number: *number,
            posted_ms: *posted_ms,
            window_end_ms: *window_end_ms,
            last_finality_ms: *last_finality_ms,
            stake_wei: *stake_wei,
            trace_root: *trace_root,
            said: said.clone(),
            sealed: *sealed,
            proofs: *proofs,
            challenges: *challenges,
            open: *open,
            ended: *ended,
            work: *work,
            reveals: *reveals,
            owed_wei: *owed_wei,
            status: status.clone(),
        }
    }

    /// The claim, with what is known of its run.
    pub fn with<C: Commitment>(self, knowledge: Known<C>) -> Claim<C> {
        let Self {
            executor,
            terms,
            number,
            posted_ms,
            window_end_ms,
            last_finality_ms,
            stake_wei,
            trace_root,
            said,
            sealed,
            proofs,
            challenges,
            open,
            ended,
            work,
            reveals,
            owed_wei,
            status,
        } = self;
        Claim {
            executor,
            terms,
            number,
            posted_ms,
            window_end_ms,
            last_finality_ms,
            stake_wei,
            trace_root,
            said,
            knowledge,
            sealed,
            proofs,
            challenges,
            open,
            ended,
            work,
            reveals,
            owed_wei,
            status,
        }
    }
}

/// What a ledger keeps of what a challenge asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskedRecord {
    /// Hash of the ask ([`Ask::hash`]), with which it is told again.
    pub hash: Digest,
    /// Whether it counts as one for an input or output of the run.
    pub is_end: bool,
}
canonical_struct!(AskedRecord { hash, is_end });

/// What a ledger keeps of a [`Challenge`]: of what it asked last the hash alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are those of the challenge, which says what they are")]
pub struct ChallengeRecord {
    pub claim: ClaimId,
    pub challenger: Address,
    pub number: u32,
    pub opened_ms: u64,
    pub bond_wei: u128,
    pub fees_wei: u128,
    pub served: bool,
    pub demands: u32,
    pub end_asks: u32,
    pub replies: u32,
    pub end_replies: u32,
    pub asked: Option<AskedRecord>,
    pub executor_clock_ms: u64,
    pub challenger_clock_ms: u64,
    pub status: ChallengeStatus,
}
canonical_struct!(ChallengeRecord {
    claim,
    challenger,
    number,
    opened_ms,
    bond_wei,
    fees_wei,
    served,
    demands,
    end_asks,
    replies,
    end_replies,
    asked,
    executor_clock_ms,
    challenger_clock_ms,
    status,
});

impl ChallengeRecord {
    /// The record of a challenge on a ledger under this commitment.
    pub fn of<C: Commitment>(challenge: &Challenge) -> Self {
        // No rest: a new field is decided here.
        let Challenge {
            claim,
            challenger,
            number,
            opened_ms,
            bond_wei,
            fees_wei,
            served,
            demands,
            end_asks,
            replies,
            end_replies,
            asked,
            executor_clock_ms,
            challenger_clock_ms,
            status,
        } = challenge;
        let asked = asked
            .as_ref()
            .map(|Asked { ask, is_end }| AskedRecord { hash: ask.hash::<C>(), is_end: *is_end });
        Self {
            claim: *claim,
            challenger: *challenger,
            number: *number,
            opened_ms: *opened_ms,
            bond_wei: *bond_wei,
            fees_wei: *fees_wei,
            served: *served,
            demands: *demands,
            end_asks: *end_asks,
            replies: *replies,
            end_replies: *end_replies,
            asked,
            executor_clock_ms: *executor_clock_ms,
            challenger_clock_ms: *challenger_clock_ms,
            status: status.clone(),
        }
    }

    /// The challenge, with what it asked last; `None` unless that is what the record has the hash of.
    pub fn with<C: Commitment>(self, ask: Option<Ask>) -> Option<Challenge> {
        let asked = match (self.asked, ask) {
            (None, None) => None,
            (Some(AskedRecord { hash, is_end }), Some(ask)) if ask.hash::<C>() == hash => {
                Some(Asked { ask, is_end })
            }
            (None, Some(_)) | (Some(_), None | Some(_)) => return None,
        };
        let Self {
            claim,
            challenger,
            number,
            opened_ms,
            bond_wei,
            fees_wei,
            served,
            demands,
            end_asks,
            replies,
            end_replies,
            asked: _,
            executor_clock_ms,
            challenger_clock_ms,
            status,
        } = self;
        Some(Challenge {
            claim,
            challenger,
            number,
            opened_ms,
            bond_wei,
            fees_wei,
            served,
            demands,
            end_asks,
            replies,
            end_replies,
            asked,
            executor_clock_ms,
            challenger_clock_ms,
            status,
        })
    }
}

/// An object with what it is found by. A leaf of the tree under a snapshot's root is the hash of one's encoding:
/// kind, key, object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is a key and an object, by their own names")]
#[allow(clippy::large_enum_variant, reason = "one at a time; nobody keeps many")]
pub enum Record {
    Account { address: Address, account: Account },
    Model { root: Digest, header: ModelHeader },
    Job { id: JobId, job: Job },
    Claim { id: ClaimId, claim: ClaimRecord },
    Challenge { id: ChallengeId, challenge: ChallengeRecord },
    Sealed { id: SealedId, sealed: Sealed },
    Attestation { sealed: SealedId, attester: Address, attestation: Attestation },
}
canonical_enum!(Record {
    1 => Account { address, account }, 2 => Model { root, header }, 3 => Job { id, job },
    4 => Claim { id, claim }, 5 => Challenge { id, challenge }, 6 => Sealed { id, sealed },
    7 => Attestation { sealed, attester, attestation },
});
