//! Claims: how they come to stand, and how they end when nobody refutes them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;

use super::objects::{Claim, ClaimStatus, Event, Job, JobStatus};
use super::rules::ClaimMove;
use super::{Outcome, Rejection, Settlement};
use crate::encoding::Canonical;
use crate::graph::ModelHeader;
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::ids::{ClaimId, SealedId};
use crate::knowledge::{Knowledge, Known};
use crate::roots::{is_entry_of_batch, is_state_of_trace, is_trace_of_sequence};
use crate::transaction::{Address, BoundEntry, BoundState, ClaimTerms, Statement};

/// Id of the claim that an executor makes with these terms.
pub fn claim_id(executor: Address, terms: &ClaimTerms) -> ClaimId {
    claim_id_under::<Keccak>(executor, terms)
}

/// As [`claim_id`], under any commitment.
pub fn claim_id_under<C: Commitment>(executor: Address, terms: &ClaimTerms) -> ClaimId {
    ClaimId(C::tagged(Tag::Claim, &[&executor.0, &terms.to_canonical()]))
}

/// Whether a state is where the claim's sequence has it.
fn is_bound<C: Commitment>(
    terms: &ClaimTerms,
    state_count: u32,
    (iteration, boundary): (u32, u32),
    state_root: &Digest,
    bound: &BoundState,
) -> bool {
    let BoundState { trace_root, sequence_path, state_path } = bound;
    let (root, iterations) = (&terms.sequence_root, terms.iterations);
    is_trace_of_sequence::<C>(root, iterations, iteration, trace_root, sequence_path)
        && is_state_of_trace::<C>(trace_root, state_count, boundary, state_root, state_path)
}

/// What the paths of a statement show, part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownBinding {
    /// That the first entry, or without one the input, is the first state of the first iteration.
    pub input: bool,
    /// That the output is the last state of the last iteration.
    pub output: bool,
    /// That the entry which is given is the first of a batch, whose list the input is; `None` without one.
    pub entry: Option<bool>,
}

/// What the paths of a statement show of a model with so many states in a trace.
pub fn shown_binding<C: Commitment>(statement: &Statement, state_count: u32) -> ShownBinding {
    let Statement { terms, binding } = statement;
    let (batch, entries) = (&terms.input_root, terms.iterations);
    let last = (terms.iterations.saturating_sub(1), state_count.saturating_sub(1));
    let first_root = statement.first_input_root();
    let entry = binding.entry.as_ref().map(|BoundEntry { root, path }| {
        entries > 1 && is_entry_of_batch::<C>(batch, entries, 0, root, path)
    });
    ShownBinding {
        input: is_bound::<C>(terms, state_count, (0, 0), &first_root, &binding.input),
        output: is_bound::<C>(terms, state_count, last, &terms.output_root, &binding.output),
        entry,
    }
}

/// Whether a statement is about the job, and bound to its input and its own output.
fn check_statement<C: Commitment>(
    job: &Job,
    header: &ModelHeader,
    statement: &Statement,
) -> Result<(), Rejection> {
    let terms = &statement.terms;
    if terms.model_root != job.terms.model_root {
        return Err(Rejection::Terms { name: "model_root", bounds: "the job's" });
    }
    if terms.input_root != job.terms.input_root {
        return Err(Rejection::Terms { name: "input_root", bounds: "the job's" });
    }
    if !job.terms.length().admits(header, terms.iterations) {
        let bounds = "the job's, or fewer where model or job let the run end";
        return Err(Rejection::Terms { name: "iterations", bounds });
    }
    let ShownBinding { input, output, entry } = shown_binding::<C>(statement, header.state_count());
    // A batch shows its first entry, and another run shows none.
    let is_entry_right = match (entry, terms.is_batch(header)) {
        (None, is_batch) => !is_batch,
        (Some(is_first), is_batch) => is_batch && is_first,
    };
    if is_entry_right && input && output { Ok(()) } else { Err(Rejection::NotBound) }
}

impl<C: Commitment> Settlement<C> {
    pub(super) fn post_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        statement: &Statement,
    ) -> Outcome {
        let job = self.check_open(now_ms, &executor, &statement.terms.job)?;
        if job.terms.attention_wei > 0 {
            let bounds = "claims on a job with attention are sealed first";
            return Err(Rejection::Terms { name: "claim", bounds });
        }
        let stake_wei = job.terms.stake_wei;
        self.check_claim(executor, job, statement)?;
        let record_fee_wei = self.genesis.parameters.record_fee_wei;
        self.money.check(&executor, stake_wei.saturating_add(record_fee_wei))?;
        self.money.burn_free(&executor, record_fee_wei)?;
        self.money.lock(&executor, stake_wei)?;
        self.stand_claim(now_ms, executor, statement, stake_wei, None)
    }

    /// Whether the statement can stand on the job; reads only.
    pub(super) fn check_claim(
        &self,
        executor: Address,
        job: &Job,
        statement: &Statement,
    ) -> Result<ClaimId, Rejection> {
        let header =
            self.models.get(&job.terms.model_root).ok_or(Rejection::Unknown { kind: "model" })?;
        check_statement::<C>(job, header, statement)?;
        let claim = claim_id_under::<C>(executor, &statement.terms);
        if self.claims.contains_key(&claim) {
            return Err(Rejection::Exists { kind: "claim" });
        }
        Ok(claim)
    }

    /// Lets a claim stand that passed [`Settlement::check_claim`] and whose stake is locked.
    pub(super) fn stand_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        statement: &Statement,
        stake_wei: u128,
        sealed: Option<SealedId>,
    ) -> Outcome {
        let terms = &statement.terms;
        let parameters = &self.genesis.parameters;
        let job = self.jobs.get_mut(&terms.job).ok_or(Rejection::Unknown { kind: "job" })?;
        let header =
            self.models.get(&terms.model_root).ok_or(Rejection::Unknown { kind: "model" })?;
        let knowledge =
            Knowledge::new(header.clone(), job.terms.length(), parameters.arity_log2, statement);
        let claim = claim_id_under::<C>(executor, terms);
        let window_end_ms = now_ms.saturating_add(job.terms.window_ms);
        let last_finality_ms = window_end_ms.saturating_add(parameters.challenge_ms_max());
        let number = job.claims;
        job.claims = job.claims.saturating_add(1);
        job.standing = job.standing.saturating_add(1);
        self.claims_by_number.insert((terms.job, number), claim);
        let posted = Claim {
            executor,
            terms: terms.clone(),
            number,
            posted_ms: now_ms,
            window_end_ms,
            last_finality_ms,
            stake_wei,
            trace_root: statement.trace_root(),
            said: BTreeMap::new(),
            knowledge: Known::Run(Box::new(knowledge)),
            sealed,
            proofs: 0,
            challenges: 0,
            open: 0,
            ended: 0,
            work: 0,
            reveals: 0,
            owed_wei: 0,
            status: ClaimStatus::Standing,
        };
        self.claims.insert(claim, posted);
        Ok(vec![Event::ClaimPosted { claim, job: terms.job, last_finality_ms }])
    }

    pub(super) fn finalise(&mut self, now_ms: u64, sender: Address, id: ClaimId) -> Outcome {
        let claim = self.claims.get(&id).ok_or(Rejection::Unknown { kind: "claim" })?;
        let job_id = claim.terms.job;
        let job = self.jobs.get(&job_id).ok_or(Rejection::Unknown { kind: "job" })?;
        claim.check_move(now_ms, sender, ClaimMove::Finalise)?;
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        // The earliest claim that stands decides; later ones wait for it, their windows running.
        if claim.number != job.first_standing {
            return Err(Rejection::Waiting { what: "an earlier claim on the job" });
        }
        if claim.is_disputed() {
            return Err(Rejection::Waiting { what: "a challenge of the claim" });
        }
        let (executor, stake_wei, proofs) = (claim.executor, claim.stake_wei, claim.proofs);
        let (poster, terms) = (job.poster, &job.terms);
        let paid_wei = terms.fee_wei.saturating_add(
            terms.fee_iteration_wei.saturating_mul(u128::from(claim.terms.iterations)),
        );
        let attention_share_wei = terms.attention_wei.checked_div(u128::from(proofs)).unwrap_or(0);
        let owed_wei = attention_share_wei.saturating_mul(u128::from(proofs));
        let locked_wei = terms.locked_wei().unwrap_or_default();
        let rest_wei = locked_wei.saturating_sub(paid_wei).saturating_sub(owed_wei);
        if let Some(job) = self.jobs.get_mut(&job_id) {
            job.status = JobStatus::Done { claim: id };
            job.standing = job.standing.saturating_sub(1);
        }
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.owed_wei = owed_wei;
            claim.end(ClaimStatus::Final { at_ms: now_ms, attention_share_wei });
        }
        self.money.release(executor, stake_wei);
        self.money.release(executor, paid_wei);
        self.money.release(poster, rest_wei);
        Ok(vec![Event::ClaimFinal { claim: id, job: job_id }])
    }

    /// Gives back the stake of a standing claim whose job is over and that nobody disputes.
    pub(super) fn release(&mut self, now_ms: u64, sender: Address, id: ClaimId) -> Outcome {
        let claim = self.claims.get_mut(&id).ok_or(Rejection::Unknown { kind: "claim" })?;
        claim.check_move(now_ms, sender, ClaimMove::Release)?;
        let job = self.jobs.get_mut(&claim.terms.job).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status == JobStatus::Open {
            return Err(Rejection::Waiting { what: "the job" });
        }
        if claim.is_disputed() {
            return Err(Rejection::Waiting { what: "a challenge of the claim" });
        }
        job.standing = job.standing.saturating_sub(1);
        claim.end(ClaimStatus::Released { at_ms: now_ms });
        self.money.release(claim.executor, claim.stake_wei);
        Ok(vec![Event::StakeReleased { claim: id }])
    }
}
