//! Money, models, jobs, claims and finality.

use alloc::vec;
use alloc::vec::Vec;

use super::objects::{Challenge, Claim, ClaimStatus, Event, Job, JobStatus};
use super::rules::ClaimMove;
use super::{Parameters, Rejection, Settlement};
use crate::encoding::Canonical;
use crate::facts::Facts;
use crate::graph::ModelHeader;
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::roots::is_state_of_trace;
use crate::transaction::{Action, Address, ClaimTerms, JobTerms};

type Outcome = Result<Vec<Event>, Rejection>;

/// Id of something an account makes: unique by the account's nonce.
pub(super) fn id<C: Commitment>(tag: Tag, maker: Address, nonce: u64, body: &[u8]) -> Digest {
    C::tagged(tag, &[&maker.0, &nonce.to_be_bytes(), body])
}

/// Id of the claim that an executor makes with these terms by the transaction of this nonce.
pub fn claim_id(executor: Address, nonce: u64, terms: &ClaimTerms) -> ClaimId {
    ClaimId(id::<Keccak>(Tag::Claim, executor, nonce, &terms.to_canonical()))
}

/// Moving nothing is refused: it would be kept for ever, and cost nothing.
fn some_money(amount_wei: u128) -> Result<(), Rejection> {
    match amount_wei {
        0 => Err(Rejection::Terms { name: "amount_wei", bounds: "more than zero" }),
        _ => Ok(()),
    }
}

impl<C: Commitment> Settlement<C> {
    pub(super) fn execute(
        &mut self,
        now_ms: u64,
        sender: Address,
        nonce: u64,
        action: &Action,
    ) -> Outcome {
        match action {
            Action::Deposit { account, amount_wei } => self.deposit(sender, *account, *amount_wei),
            Action::Withdraw { amount_wei } => {
                some_money(*amount_wei)?;
                self.money.withdraw(&sender, *amount_wei)?;
                Ok(vec![Event::Withdrawn { account: sender, amount_wei: *amount_wei }])
            }
            Action::RegisterModel { header } => self.register_model(&sender, header),
            Action::PostJob { terms } => self.post_job(now_ms, sender, nonce, terms),
            Action::CancelJob { job } => self.cancel_job(sender, *job),
            Action::PostClaim { terms } => self.post_claim(now_ms, sender, nonce, terms),
            Action::Challenge { claim } => self.open_challenge(
                now_ms,
                sender,
                *claim,
                ChallengeId(id::<C>(Tag::Challenge, sender, nonce, &claim.0.0)),
            ),
            Action::Demand { challenge, showings, request } => {
                self.demand(now_ms, sender, *challenge, showings, *request)
            }
            Action::Reveal { claim, request, reveal } => {
                self.reveal(now_ms, sender, *claim, *request, reveal)
            }
            Action::Refute { challenge, showings, refutation } => {
                self.refute(now_ms, sender, *challenge, showings, refutation)
            }
            Action::CallTime { challenge } => self.call_time(now_ms, sender, *challenge),
            Action::Finalise { job } => self.finalise(now_ms, sender, *job),
            Action::SealClaim { job, seal } => self.seal_claim(now_ms, sender, nonce, *job, *seal),
            Action::Attest { sealed, word } => self.attest(now_ms, sender, *sealed, *word),
            Action::OpenClaim { sealed, terms, salt } => {
                self.open_claim(now_ms, sender, nonce, *sealed, terms, salt)
            }
            Action::ProveAttention { claim, salt } => {
                self.prove_attention(now_ms, sender, *claim, salt)
            }
            Action::ExpireSeal { sealed } => self.expire_seal(now_ms, *sealed),
        }
    }

    fn deposit(&mut self, sender: Address, account: Address, amount_wei: u128) -> Outcome {
        if sender != self.genesis.bank {
            return Err(Rejection::NotAllowed { who: "the ledger's bank" });
        }
        some_money(amount_wei)?;
        self.money.deposit(account, amount_wei)?;
        Ok(vec![Event::Deposited { account, amount_wei }])
    }

    fn register_model(&mut self, sender: &Address, header: &ModelHeader) -> Outcome {
        // What is kept for ever is not taken from who has nothing; the bank need not hold any.
        if *sender != self.genesis.bank {
            self.money.check(sender, 1)?;
        }
        let model_root = header.root_under::<C>();
        if self.models.contains_key(&model_root) {
            return Err(Rejection::Exists { kind: "model" });
        }
        if !header.is_within_limits() {
            return Err(Rejection::ModelLimits);
        }
        self.models.insert(model_root, header.clone());
        Ok(vec![Event::ModelRegistered { model_root }])
    }

    fn post_job(&mut self, now_ms: u64, poster: Address, nonce: u64, terms: &JobTerms) -> Outcome {
        let header =
            self.models.get(&terms.model_root).ok_or(Rejection::Unknown { kind: "model" })?;
        let limits = self.parameters();
        let bad = |name, bounds| Err(Rejection::Terms { name, bounds });
        if terms.profile != header.profile {
            return bad("profile", "the model's");
        }
        if terms.window_ms < limits.window_ms_min || terms.window_ms > limits.window_ms_max {
            return bad("window_ms", "between the ledger's least and most");
        }
        if terms.stake_wei < limits.stake_wei_min {
            return bad("stake_wei", "at least the ledger's");
        }
        if terms.bond_wei < limits.bond_wei_min {
            return bad("bond_wei", "at least the ledger's");
        }
        if terms.bond_wei > Parameters::bond_wei_max(terms.stake_wei) {
            return bad("bond_wei", "at most a quarter of the stake");
        }
        let Some(locked_wei) = terms.fee_wei.checked_add(terms.attention_wei) else {
            return bad("attention_wei", "with the fee, no more than the ledger can count");
        };
        if locked_wei == 0 {
            return bad("fee_wei", "more than zero, unless there is attention_wei");
        }
        self.money.lock(&poster, locked_wei)?;
        let job = JobId(id::<C>(Tag::Job, poster, nonce, &terms.to_canonical()));
        let status = JobStatus::Open;
        let (terms, claims) = (terms.clone(), Vec::new());
        self.jobs.insert(job, Job { poster, terms, posted_ms: now_ms, claims, status });
        Ok(vec![Event::JobPosted { job }])
    }

    fn cancel_job(&mut self, sender: Address, id: JobId) -> Outcome {
        let job = self.jobs.get(&id).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.poster != sender {
            return Err(Rejection::NotAllowed { who: "the job's poster" });
        }
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        let standing = |claim: &ClaimId| {
            self.claims.get(claim).is_some_and(|claim| claim.status == ClaimStatus::Standing)
        };
        if job.claims.iter().any(standing) {
            return Err(Rejection::Waiting { what: "a standing claim on the job" });
        }
        if self.awaits_opening(&id) {
            return Err(Rejection::Waiting { what: "a sealed claim on the job" });
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            return Err(Rejection::Unknown { kind: "job" });
        };
        job.status = JobStatus::Cancelled;
        self.money.release(job.poster, job.terms.fee_wei + job.terms.attention_wei);
        Ok(vec![Event::JobCancelled { job: id }])
    }

    fn post_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        nonce: u64,
        terms: &ClaimTerms,
    ) -> Outcome {
        let job = self.jobs.get(&terms.job).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.terms.attention_wei > 0 {
            let bounds = "claims on a job with attention are sealed first";
            return Err(Rejection::Terms { name: "claim", bounds });
        }
        self.stand_claim(now_ms, executor, nonce, terms, None)
    }

    /// Lets a claim stand: posted as it is, or opened from a seal that holds its stake already.
    pub(super) fn stand_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        nonce: u64,
        terms: &ClaimTerms,
        sealed: Option<(SealedId, u128)>,
    ) -> Outcome {
        let parameters = &self.genesis.parameters;
        let job = self.jobs.get_mut(&terms.job).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        let header =
            self.models.get(&job.terms.model_root).ok_or(Rejection::Unknown { kind: "model" })?;
        let bound = |index, root: &Digest, path: &[Digest]| {
            let (trace, count) = (&terms.trace_root, header.state_count());
            is_state_of_trace::<C>(trace, count, index, root, path)
        };
        if !bound(0, &job.terms.input_root, &terms.input_path)
            || !bound(header.layer_count, &terms.output_root, &terms.output_path)
        {
            return Err(Rejection::NotBound);
        }
        let stake_wei = sealed.map_or(job.terms.stake_wei, |(_, stake_wei)| stake_wei);
        if sealed.is_none() {
            self.money.lock(&executor, stake_wei)?;
        }
        let facts = Facts::new(
            header.clone(),
            parameters.arity_log2,
            terms.trace_root,
            job.terms.input_root,
            terms.output_root,
        );
        let claim = ClaimId(id::<C>(Tag::Claim, executor, nonce, &terms.to_canonical()));
        let window_end_ms = now_ms.saturating_add(job.terms.window_ms);
        let last_finality_ms = window_end_ms.saturating_add(parameters.challenge_ms_max());
        let job_id = terms.job;
        job.claims.push(claim);
        self.claims.insert(
            claim,
            Claim {
                executor,
                terms: terms.clone(),
                posted_ms: now_ms,
                window_end_ms,
                last_finality_ms,
                stake_wei,
                facts,
                sealed: sealed.map(|(sealed, _)| sealed),
                attentive: Vec::new(),
                challenges: Vec::new(),
                reveals: 0,
                status: ClaimStatus::Standing,
            },
        );
        Ok(vec![Event::ClaimPosted { claim, job: job_id, last_finality_ms }])
    }

    /// Whether a challenge of the claim is under way.
    pub(super) fn is_disputed(&self, claim: &Claim<C>) -> bool {
        claim.challenges.iter().any(|id| self.challenges.get(id).is_some_and(Challenge::is_open))
    }

    fn finalise(&mut self, now_ms: u64, sender: Address, job_id: JobId) -> Outcome {
        let job = self.jobs.get(&job_id).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        // The earliest claim that stands decides; later ones wait for it, their windows running.
        let first = job.claims.iter().find_map(|id| {
            let claim = self.claims.get(id)?;
            (claim.status == ClaimStatus::Standing).then_some((*id, claim))
        });
        let (id, claim) = first.ok_or(Rejection::Waiting { what: "a claim on the job" })?;
        claim.check_move_by_window(now_ms, sender, ClaimMove::Finalise, claim.window_end_ms)?;
        if self.is_disputed(claim) {
            return Err(Rejection::Waiting { what: "a challenge of the claim" });
        }
        let (executor, stake_wei, fee_wei) = (claim.executor, claim.stake_wei, job.terms.fee_wei);
        let (poster, attention_wei) = (job.poster, job.terms.attention_wei);
        let others = job.claims.clone();
        if let Some(job) = self.jobs.get_mut(&job_id) {
            job.status = JobStatus::Done { claim: id };
        }
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.status = ClaimStatus::Final { at_ms: now_ms };
        }
        self.money.release(executor, stake_wei);
        self.money.release(executor, fee_wei);
        let mut events = vec![Event::ClaimFinal { claim: id, job: job_id }];
        events.extend(self.pay_attention(poster, attention_wei, id));
        for other in others {
            events.extend(self.release_if_idle(now_ms, other));
        }
        Ok(events)
    }

    /// Gives back the stake of a standing claim whose job is done and that nobody disputes.
    pub(super) fn release_if_idle(&mut self, now_ms: u64, id: ClaimId) -> Option<Event> {
        let claim = self.claims.get(&id)?;
        let job = self.jobs.get(&claim.terms.job)?;
        let idle = claim.status == ClaimStatus::Standing
            && job.status != JobStatus::Open
            && !self.is_disputed(claim);
        if !idle {
            return None;
        }
        let (executor, stake_wei) = (claim.executor, claim.stake_wei);
        self.claims.get_mut(&id)?.status = ClaimStatus::Released { at_ms: now_ms };
        self.money.release(executor, stake_wei);
        Some(Event::StakeReleased { claim: id })
    }
}
