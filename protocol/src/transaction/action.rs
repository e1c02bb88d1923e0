//! Everything a party can do.

use alloc::vec::Vec;

use super::{Address, JobTerms, Statement};
use crate::asks::{Answer, Ask, Refutation, Showing};
use crate::encoding::canonical_enum;
use crate::graph::ModelHeader;
use crate::hash::Digest;
use crate::ids::{ClaimId, JobId, SealedId};

/// Everything a party can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The bank credits an account with money that came in from outside.
    Deposit {
        /// The account.
        account: Address,
        /// The amount, in wei.
        amount_wei: u128,
    },
    /// Takes free money out.
    Withdraw {
        /// The amount, in wei.
        amount_wei: u128,
    },
    /// Makes a model known.
    RegisterModel {
        /// Its header.
        header: ModelHeader,
    },
    /// Asks for a run.
    PostJob {
        /// The terms.
        terms: JobTerms,
    },
    /// Gives a job's money back to its poster, once its time is over and nothing stands or waits. Anyone
    /// may send it.
    ExpireJob {
        /// Id of the job.
        job: JobId,
    },
    /// Claims a run, with a stake.
    PostClaim {
        /// The claim.
        statement: Statement,
    },
    /// Challenges a claim, with a bond; once for each account.
    Challenge {
        /// Id of the claim.
        claim: ClaimId,
    },
    /// Demands an opening of the executor, in the sender's challenge of the claim.
    Demand {
        /// Id of the claim.
        claim: ClaimId,
        /// What the challenger proves first.
        showings: Vec<Showing>,
        /// What the executor must say.
        ask: Ask,
        /// Siblings from the asked place up to the root of its tree, or to the place of `from`; lowest first.
        path: Vec<Digest>,
        /// What the challenge asked last, if the transaction builds on it.
        from: Option<Ask>,
    },
    /// Answers a demand of one or several challenges. Those that do not wait for it are skipped.
    Reveal {
        /// Id of the claim.
        claim: ClaimId,
        /// Who demanded it: 1 to 16 accounts.
        challengers: Vec<Address>,
        /// What was demanded.
        ask: Ask,
        /// The answer.
        answer: Answer,
    },
    /// Ends a dispute. Anyone may send it; the reward is the challengers'.
    Refute {
        /// Id of the claim.
        claim: ClaimId,
        /// Whose challenge it is.
        challenger: Address,
        /// What is proven first.
        showings: Vec<Showing>,
        /// The refutation.
        refutation: Refutation,
        /// What the challenge asked last, if the transaction builds on it.
        from: Option<Ask>,
    },
    /// Ends a challenge whose clock ran out. Anyone may send it.
    CallTime {
        /// Id of the claim.
        claim: ClaimId,
        /// Whose challenge it is.
        challenger: Address,
    },
    /// Settles a job by its earliest standing claim, once that outlived its window. Anyone may send it.
    Finalise {
        /// Id of the claim.
        claim: ClaimId,
    },
    /// Stakes on a sequence root without showing it.
    SealClaim {
        /// Id of the job.
        job: JobId,
        /// Commitment to executor, sequence root and salt.
        seal: Digest,
    },
    /// Gives one's word on the sequence root of a sealed claim.
    Attest {
        /// Id of the sealed claim.
        sealed: SealedId,
        /// Commitment to attester, sequence root and salt.
        word: Digest,
    },
    /// Opens a sealed claim.
    OpenClaim {
        /// Id of the sealed claim.
        sealed: SealedId,
        /// The claim.
        statement: Statement,
        /// The seal's salt.
        salt: Digest,
    },
    /// Proves that one's word was on the claim's sequence root.
    ProveAttention {
        /// Id of the claim.
        claim: ClaimId,
        /// The word's salt.
        salt: Digest,
    },
    /// Burns the bond of a seal that was not opened in time. Anyone may send it.
    ExpireSeal {
        /// Id of the sealed claim.
        sealed: SealedId,
    },
    /// Ends the sender's challenge of the claim, when it asked for nothing but inputs and outputs of the run and
    /// was answered.
    WithdrawChallenge {
        /// Id of the claim.
        claim: ClaimId,
    },
    /// Pays out a challenge of a claim that fell by another one. Anyone may send it.
    Collect {
        /// Id of the claim.
        claim: ClaimId,
        /// Whose challenge it is.
        challenger: Address,
    },
    /// Gives back the stake of a claim that stands on a job which is over. Anyone may send it.
    Release {
        /// Id of the claim.
        claim: ClaimId,
    },
    /// Moves on the number of a job's first standing claim, past claims that fell. Anyone may send it.
    Pass {
        /// Id of the job.
        job: JobId,
        /// Fallen claims, in the order of their numbers.
        claims: Vec<ClaimId>,
    },
    /// Pays out an attester, or burns its bond. Anyone may send it.
    CollectAttention {
        /// Id of the sealed claim.
        sealed: SealedId,
        /// Whose word it was.
        attester: Address,
    },
}
canonical_enum!(Action {
    1 => Deposit { account, amount_wei }, 2 => Withdraw { amount_wei },
    3 => RegisterModel { header }, 4 => PostJob { terms }, 5 => ExpireJob { job },
    6 => PostClaim { statement }, 7 => Challenge { claim },
    8 => Demand { claim, showings, ask, path, from },
    9 => Reveal { claim, challengers, ask, answer },
    10 => Refute { claim, challenger, showings, refutation, from },
    11 => CallTime { claim, challenger }, 12 => Finalise { claim },
    13 => SealClaim { job, seal }, 14 => Attest { sealed, word },
    15 => OpenClaim { sealed, statement, salt }, 16 => ProveAttention { claim, salt },
    17 => ExpireSeal { sealed }, 18 => WithdrawChallenge { claim },
    19 => Collect { claim, challenger }, 20 => Release { claim },
    21 => Pass { job, claims }, 22 => CollectAttention { sealed, attester },
});

impl Action {
    /// Name of the action, as users read it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Deposit { .. } => "deposit",
            Self::Withdraw { .. } => "withdraw",
            Self::RegisterModel { .. } => "register-model",
            Self::PostJob { .. } => "post-job",
            Self::ExpireJob { .. } => "expire-job",
            Self::PostClaim { .. } => "post-claim",
            Self::Challenge { .. } => "challenge",
            Self::Demand { .. } => "demand",
            Self::Reveal { .. } => "reveal",
            Self::Refute { .. } => "refute",
            Self::CallTime { .. } => "call-time",
            Self::Finalise { .. } => "finalise",
            Self::SealClaim { .. } => "seal-claim",
            Self::Attest { .. } => "attest",
            Self::OpenClaim { .. } => "open-claim",
            Self::ProveAttention { .. } => "prove-attention",
            Self::ExpireSeal { .. } => "expire-seal",
            Self::WithdrawChallenge { .. } => "withdraw-challenge",
            Self::Collect { .. } => "collect",
            Self::Release { .. } => "release",
            Self::Pass { .. } => "pass",
            Self::CollectAttention { .. } => "collect-attention",
        }
    }
}
