//! Money, models and jobs.

use alloc::vec;
use alloc::vec::Vec;

use super::bounds::{DURATION_MS_MAX, MONEY_WEI_MAX};
use super::objects::{Claim, Event, Job, JobStatus};
use super::{Outcome, Rejection, Settlement};
use crate::encoding::Canonical;
use crate::graph::{ITERATIONS_MAX, ModelHeader};
use crate::hash::{Commitment, Keccak, Tag};
use crate::ids::{ClaimId, JobId};
use crate::transaction::{Address, JobTerms};

/// Most claims that one [`Action::Pass`](crate::transaction::Action::Pass) names.
pub const PASSED_MAX: usize = 256;

/// Id of the job that an account posts with these terms.
pub fn job_id(poster: Address, terms: &JobTerms) -> JobId {
    job_id_under::<Keccak>(poster, terms)
}

pub(super) fn job_id_under<C: Commitment>(poster: Address, terms: &JobTerms) -> JobId {
    JobId(C::tagged(Tag::Job, &[&poster.0, &terms.to_canonical()]))
}

impl<C: Commitment> Settlement<C> {
    /// Refuses what would be kept for ever and is worth next to nothing.
    pub(super) fn check_transfer(&self, amount_wei: u128) -> Result<(), Rejection> {
        if amount_wei < self.parameters().transfer_wei_min {
            let bounds = "at least the ledger's least transfer";
            return Err(Rejection::Terms { name: "amount_wei", bounds });
        }
        if amount_wei > MONEY_WEI_MAX {
            return Err(Rejection::Terms { name: "amount_wei", bounds: "at most 2^100" });
        }
        Ok(())
    }

    pub(super) fn deposit(
        &mut self,
        sender: Address,
        account: Address,
        amount_wei: u128,
    ) -> Outcome {
        if sender != self.genesis.bank {
            return Err(Rejection::NotAllowed { who: "the ledger's bank" });
        }
        self.check_transfer(amount_wei)?;
        self.money.deposit(account, amount_wei)?;
        Ok(vec![Event::Deposited { account, amount_wei }])
    }

    pub(super) fn withdraw(&mut self, account: Address, amount_wei: u128) -> Outcome {
        // Whatever is left can be taken out whole: no account is left with what it can never have.
        if amount_wei == 0 || amount_wei != self.money.free_wei(&account) {
            self.check_transfer(amount_wei)?;
        }
        self.money.withdraw(&account, amount_wei)?;
        Ok(vec![Event::Withdrawn { account, amount_wei }])
    }

    pub(super) fn register_model(&mut self, sender: Address, header: &ModelHeader) -> Outcome {
        let model_root = header.root_under::<C>();
        if self.models.contains_key(&model_root) {
            return Err(Rejection::Exists { kind: "model" });
        }
        if !header.is_within_limits() {
            return Err(Rejection::ModelLimits);
        }
        self.money.burn_free(&sender, self.genesis.parameters.record_fee_wei)?;
        self.models.insert(model_root, header.clone());
        Ok(vec![Event::ModelRegistered { model_root }])
    }

    pub(super) fn post_job(&mut self, now_ms: u64, poster: Address, terms: &JobTerms) -> Outcome {
        let header =
            self.models.get(&terms.model_root).ok_or(Rejection::Unknown { kind: "model" })?;
        self.check_terms(terms, header)?;
        let locked_wei = terms.locked_wei().unwrap_or(u128::MAX);
        let job = job_id_under::<C>(poster, terms);
        if self.jobs.contains_key(&job) {
            return Err(Rejection::Exists { kind: "job" });
        }
        let record_fee_wei = self.genesis.parameters.record_fee_wei;
        self.money.check(&poster, locked_wei.saturating_add(record_fee_wei))?;
        self.money.burn_free(&poster, record_fee_wei)?;
        self.money.lock(&poster, locked_wei)?;
        let posted = Job {
            poster,
            terms: terms.clone(),
            posted_ms: now_ms,
            open_until_ms: now_ms.saturating_add(terms.open_ms),
            claims: 0,
            first_standing: 0,
            standing: 0,
            seals_waiting: 0,
            status: JobStatus::Open,
        };
        self.jobs.insert(job, posted);
        Ok(vec![Event::JobPosted { job }])
    }

    /// Whether a job may have these terms.
    fn check_terms(&self, terms: &JobTerms, header: &ModelHeader) -> Result<(), Rejection> {
        let limits = self.parameters();
        let window_ms_min = limits.window_ms_of(terms.iterations_max);
        let money = [terms.fee_wei, terms.fee_iteration_wei, terms.attention_wei, terms.stake_wei];
        let rows = [
            ("profile", "the model's", terms.profile == header.profile),
            (
                "iterations_max",
                "1 ≤ iterations_max ≤ 2^20",
                (1..=ITERATIONS_MAX).contains(&terms.iterations_max),
            ),
            (
                "may_cut",
                "only with links, and a named executor",
                !terms.may_cut || (header.is_recurrent() && terms.executor != Address::default()),
            ),
            // Of a run that may be cut no attester knows which part will be claimed.
            ("may_cut", "only without attention_wei", !terms.may_cut || terms.attention_wei == 0),
            (
                "window_ms",
                "between the ledger's least and most",
                (window_ms_min..=limits.window_ms_max).contains(&terms.window_ms),
            ),
            ("open_ms", "1 ≤ open_ms ≤ ten years", (1..=DURATION_MS_MAX).contains(&terms.open_ms)),
            (
                "stake_wei",
                "between the ledger's least and most",
                (limits.stake_wei_min..=limits.stake_wei_max).contains(&terms.stake_wei),
            ),
            (
                "fee_wei",
                "no amount more than 2^100",
                money.iter().all(|amount_wei| *amount_wei <= MONEY_WEI_MAX),
            ),
            (
                "fee_wei",
                "more than zero, unless there is attention_wei",
                terms.locked_wei().is_some_and(|locked_wei| locked_wei > 0),
            ),
        ];
        match rows.into_iter().find(|(.., holds)| !holds) {
            Some((name, bounds, _)) => Err(Rejection::Terms { name, bounds }),
            None => Ok(()),
        }
    }

    pub(super) fn expire_job(&mut self, now_ms: u64, id: JobId) -> Outcome {
        let job = self.jobs.get_mut(&id).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        let until_ms = job.open_until_ms;
        if now_ms <= until_ms {
            return Err(Rejection::TooEarly { at_ms: until_ms.saturating_add(1) });
        }
        if job.standing > 0 {
            return Err(Rejection::Waiting { what: "a standing claim on the job" });
        }
        if job.seals_waiting > 0 {
            return Err(Rejection::Waiting { what: "a sealed claim on the job" });
        }
        job.status = JobStatus::Expired;
        let (poster, locked_wei) = (job.poster, job.terms.locked_wei().unwrap_or_default());
        self.money.release(poster, locked_wei);
        Ok(vec![Event::JobExpired { job: id }])
    }

    /// Moves on the number of a job's first standing claim, in as many parts as its senders like.
    pub(super) fn pass(&mut self, id: JobId, claims: &[ClaimId]) -> Outcome {
        let job = self.jobs.get(&id).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        if !(1..=PASSED_MAX).contains(&claims.len()) {
            return Err(Rejection::Terms { name: "claims", bounds: "1 to 256" });
        }
        let mut first_standing = job.first_standing;
        for id_of_claim in claims {
            let claim = self.claims.get(id_of_claim).ok_or(Rejection::Unknown { kind: "claim" })?;
            if claim.terms.job != id || claim.number != first_standing {
                let bounds = "the job's claims in the order of their numbers, from the first that is not passed";
                return Err(Rejection::Terms { name: "claims", bounds });
            }
            if claim.stands() {
                return Err(Rejection::Waiting { what: "a standing claim on the job" });
            }
            first_standing = first_standing.saturating_add(1);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.first_standing = first_standing;
        }
        Ok(vec![Event::JobPassed { job: id, first_standing }])
    }

    /// Whether the job still takes claims and seals of this executor.
    pub(super) fn check_open(
        &self,
        now_ms: u64,
        executor: &Address,
        id: &JobId,
    ) -> Result<&Job, Rejection> {
        let job = self.jobs.get(id).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        if !job.terms.admits(executor) {
            return Err(Rejection::NotAllowed { who: "the executor that the job names" });
        }
        let until_ms = job.open_until_ms;
        if now_ms > until_ms {
            return Err(Rejection::TooLate { at_ms: until_ms });
        }
        Ok(job)
    }
}

/// What is read of a job's claims.
impl<C: Commitment> Settlement<C> {
    /// Ids of a job's claims, in the order of their numbers.
    pub fn claims_of(&self, job: &JobId) -> impl DoubleEndedIterator<Item = &ClaimId> {
        self.claims_by_number.range((*job, 0)..=(*job, u32::MAX)).map(|(_, claim)| claim)
    }

    /// The latest moment, in milliseconds of the ledger's time, at which a standing claim becomes final or
    /// falls as things are now: when its own disputes are over, and those of every earlier claim on its job,
    /// which it waits for. Only challenges that wait for their turn move it on. For readers: it looks at every
    /// earlier claim.
    pub fn final_by_ms(&self, claim: &Claim<C>) -> u64 {
        let earlier =
            self.claims_by_number.range((claim.terms.job, 0)..=(claim.terms.job, claim.number));
        let bounds_ms =
            earlier.filter_map(|(_, id)| self.claims.get(id)).map(|one| one.last_finality_ms);
        bounds_ms.fold(claim.last_finality_ms, u64::max)
    }

    /// The fallen claims that must be passed before this one can become final; `None` while an earlier one
    /// stands.
    pub fn to_pass(&self, job: &JobId, number: u32) -> Option<Vec<ClaimId>> {
        let first = self.jobs.get(job)?.first_standing;
        let between = self.claims_by_number.range((*job, first)..(*job, number.max(first)));
        between
            .map(|(_, id)| {
                let fell = self.claims.get(id).is_some_and(|claim| !claim.stands());
                fell.then_some(*id)
            })
            .collect()
    }
}
