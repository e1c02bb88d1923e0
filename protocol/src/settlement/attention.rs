//! Attention rewards: a claim may be sealed first, and whoever says under its own address which
//! sequence root will come out, before it does, is paid for having really run the model.
//!
//! The word of an attester covers its address and a salt, so that nobody can copy it; the root
//! itself is not known to anybody but who ran the model (or was told by the executor). Without
//! such a reward checking does not pay among rational verifiers as long as nobody cheats, and then
//! cheating does (the verifier's dilemma: Luu et al. 2015; Truebit's forced errors and BoLD's
//! attention challenges answer it likewise).

use alloc::vec;

use super::objects::{
    Attestation, AttestationStatus, ClaimStatus, Event, Job, JobStatus, Sealed, SealedStatus,
};
use super::rules::ClaimMove;
use super::{Outcome, Rejection, Settlement};
use crate::hash::{Commitment, Digest, Tag};
use crate::ids::{ClaimId, JobId, SealedId};
use crate::transaction::{Address, Statement};

/// What an executor seals: its address, the sequence root and a salt.
pub fn seal<C: Commitment>(executor: &Address, sequence_root: &Digest, salt: &Digest) -> Digest {
    C::tagged(Tag::Seal, &[&executor.0, &sequence_root.0, &salt.0])
}

/// What an attester gives as its word: its address, the sequence root and a salt.
pub fn word<C: Commitment>(attester: &Address, sequence_root: &Digest, salt: &Digest) -> Digest {
    C::tagged(Tag::Attestation, &[&attester.0, &sequence_root.0, &salt.0])
}

/// Id of the sealed claim that an executor makes on a job with this seal.
pub fn sealed_id<C: Commitment>(executor: &Address, job: &JobId, seal: &Digest) -> SealedId {
    SealedId(C::tagged(Tag::Sealed, &[&executor.0, &job.0.0, &seal.0]))
}

/// The root of a claim that stands is public: who seals or gives its word now may have read it. What is sealed
/// already can be opened beside it, and after its fall the job takes seals again.
fn check_nothing_open(job: &Job) -> Result<(), Rejection> {
    match job.standing {
        0 => Ok(()),
        _ => Err(Rejection::Waiting { what: "a standing claim on the job" }),
    }
}

impl<C: Commitment> Settlement<C> {
    pub(super) fn seal_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        job_id: JobId,
        seal: Digest,
    ) -> Outcome {
        let job = self.check_open(now_ms, &executor, &job_id)?;
        if job.terms.attention_wei == 0 {
            return Err(Rejection::Terms { name: "seal", bounds: "only on a job with attention" });
        }
        check_nothing_open(job)?;
        let sealed = sealed_id::<C>(&executor, &job_id, &seal);
        if self.sealed.contains_key(&sealed) {
            return Err(Rejection::Exists { kind: "sealed claim" });
        }
        let stake_wei = job.terms.stake_wei;
        let record_fee_wei = self.genesis.parameters.record_fee_wei;
        self.money.check(&executor, stake_wei.saturating_add(record_fee_wei))?;
        self.money.burn_free(&executor, record_fee_wei)?;
        self.money.lock(&executor, stake_wei)?;
        if let Some(job) = self.jobs.get_mut(&job_id) {
            job.seals_waiting = job.seals_waiting.saturating_add(1);
        }
        let (attesters, status) = (0, SealedStatus::Waiting);
        self.sealed.insert(
            sealed,
            Sealed { job: job_id, executor, seal, sealed_ms: now_ms, stake_wei, attesters, status },
        );
        Ok(vec![Event::ClaimSealed { sealed, job: job_id }])
    }

    pub(super) fn attest(
        &mut self,
        now_ms: u64,
        attester: Address,
        id: SealedId,
        word: Digest,
    ) -> Outcome {
        let parameters = &self.genesis.parameters;
        let (bond_wei, most) = (parameters.attest_bond_wei, parameters.attestations_max);
        let record_fee_wei = parameters.record_fee_wei;
        let sealed = self.sealed.get(&id).ok_or(Rejection::Unknown { kind: "sealed claim" })?;
        let at_ms = sealed.sealed_ms.saturating_add(self.seal_ms(sealed));
        if sealed.status != SealedStatus::Waiting || now_ms > at_ms {
            return Err(Rejection::TooLate { at_ms });
        }
        if sealed.executor == attester {
            return Err(Rejection::NotAllowed { who: "anybody but the executor" });
        }
        if self.attestations.contains_key(&(id, attester)) {
            return Err(Rejection::Exists { kind: "attestation" });
        }
        if sealed.attesters >= most {
            return Err(Rejection::Terms { name: "attestations", bounds: "all places are taken" });
        }
        check_nothing_open(self.jobs.get(&sealed.job).ok_or(Rejection::Unknown { kind: "job" })?)?;
        self.money.check(&attester, bond_wei.saturating_add(record_fee_wei))?;
        self.money.burn_free(&attester, record_fee_wei)?;
        self.money.lock(&attester, bond_wei)?;
        if let Some(sealed) = self.sealed.get_mut(&id) {
            sealed.attesters = sealed.attesters.saturating_add(1);
        }
        let status = AttestationStatus::Given;
        self.attestations.insert((id, attester), Attestation { word, bond_wei, status });
        Ok(vec![Event::Attested { sealed: id, attester }])
    }

    pub(super) fn open_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        id: SealedId,
        statement: &Statement,
        salt: &Digest,
    ) -> Outcome {
        let sealed = self.sealed.get(&id).ok_or(Rejection::Unknown { kind: "sealed claim" })?;
        let seal_ms = self.seal_ms(sealed);
        if sealed.executor != executor {
            return Err(Rejection::NotAllowed { who: "the executor that sealed it" });
        }
        if sealed.status != SealedStatus::Waiting {
            return Err(Rejection::Over { kind: "sealed claim" });
        }
        // Attesting ends strictly before opening begins: nobody can attest to what it has read.
        let from_ms = sealed.sealed_ms.saturating_add(seal_ms);
        if now_ms <= from_ms {
            return Err(Rejection::TooEarly { at_ms: from_ms.saturating_add(1) });
        }
        let until_ms = from_ms.saturating_add(seal_ms);
        if now_ms > until_ms {
            return Err(Rejection::TooLate { at_ms: until_ms });
        }
        let terms = &statement.terms;
        let fits = terms.job == sealed.job
            && seal::<C>(&executor, &terms.sequence_root, salt) == sealed.seal;
        if !fits {
            return Err(Rejection::NotBound);
        }
        let (stake_wei, job_id) = (sealed.stake_wei, sealed.job);
        let job = self.jobs.get(&job_id).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status != JobStatus::Open {
            // Another claim was faster: nothing is claimed any more, and nothing is lost.
            self.end_seal(&id, SealedStatus::Expired);
            self.money.release(executor, stake_wei);
            return Ok(vec![Event::SealExpired { sealed: id, burned_wei: 0 }]);
        }
        let claim = self.check_claim(executor, job, statement)?;
        // The stake that the seal holds is now the claim's; its record was paid for by the seal's.
        self.end_seal(&id, SealedStatus::Opened { claim });
        self.stand_claim(now_ms, executor, statement, stake_wei, Some(id))
    }

    pub(super) fn prove_attention(
        &mut self,
        now_ms: u64,
        attester: Address,
        id: ClaimId,
        salt: &Digest,
    ) -> Outcome {
        let claim = self.claims.get_mut(&id).ok_or(Rejection::Unknown { kind: "claim" })?;
        claim.check_move(now_ms, attester, ClaimMove::ProveAttention)?;
        let given = claim.sealed.and_then(|sealed| self.attestations.get_mut(&(sealed, attester)));
        let who = "who attested to this claim's sequence root";
        let attestation = given.ok_or(Rejection::NotAllowed { who })?;
        if attestation.status != AttestationStatus::Given {
            return Err(Rejection::Exists { kind: "proof of attention" });
        }
        if attestation.word != word::<C>(&attester, &claim.terms.sequence_root, salt) {
            return Err(Rejection::NotAllowed { who });
        }
        attestation.status = AttestationStatus::Proven;
        claim.proofs = claim.proofs.saturating_add(1);
        Ok(vec![Event::AttentionProven { claim: id, attester }])
    }

    /// A seal that nobody opened in time burns a bond: attesting to nothing must cost.
    pub(super) fn expire_seal(&mut self, now_ms: u64, id: SealedId) -> Outcome {
        let parameters = &self.genesis.parameters;
        let sealed = self.sealed.get(&id).ok_or(Rejection::Unknown { kind: "sealed claim" })?;
        if sealed.status != SealedStatus::Waiting {
            return Err(Rejection::Over { kind: "sealed claim" });
        }
        let at_ms = sealed.sealed_ms.saturating_add(self.seal_ms(sealed).saturating_mul(2));
        if now_ms <= at_ms {
            return Err(Rejection::TooEarly { at_ms: at_ms.saturating_add(1) });
        }
        let (executor, stake_wei) = (sealed.executor, sealed.stake_wei);
        let burned_wei = parameters.bond_wei(stake_wei).min(stake_wei);
        self.end_seal(&id, SealedStatus::Expired);
        self.money.burn(burned_wei);
        self.money.release(executor, stake_wei - burned_wei);
        Ok(vec![Event::SealExpired { sealed: id, burned_wei }])
    }

    /// Time for words about a sealed claim, and again as much to open it: as for any run of the job, longer by
    /// its iterations.
    fn seal_ms(&self, sealed: &Sealed) -> u64 {
        let iterations_max = self.jobs.get(&sealed.job).map_or(1, |job| job.terms.iterations_max);
        let parameters = &self.genesis.parameters;
        parameters.seal_ms.saturating_add(parameters.further_ms(iterations_max))
    }

    /// A seal that waited does so no more.
    fn end_seal(&mut self, id: &SealedId, status: SealedStatus) {
        let Some(sealed) = self.sealed.get_mut(id) else {
            return;
        };
        sealed.status = status;
        if let Some(job) = self.jobs.get_mut(&sealed.job) {
            job.seals_waiting = job.seals_waiting.saturating_sub(1);
        }
    }

    /// Pays an attester its share and its bond back; or burns the bond of one that proved nothing about a
    /// claim that became final.
    pub(super) fn collect_attention(&mut self, id: SealedId, attester: Address) -> Outcome {
        let sealed = self.sealed.get(&id).ok_or(Rejection::Unknown { kind: "sealed claim" })?;
        let key = (id, attester);
        let attestation =
            self.attestations.get(&key).ok_or(Rejection::Unknown { kind: "attestation" })?;
        let proven = match attestation.status {
            AttestationStatus::Given => false,
            AttestationStatus::Proven => true,
            AttestationStatus::Collected => return Err(Rejection::Over { kind: "attestation" }),
        };
        let final_share_wei = match sealed.status {
            SealedStatus::Waiting => return Err(Rejection::Waiting { what: "the sealed claim" }),
            SealedStatus::Expired => None,
            SealedStatus::Opened { claim } => {
                let claim =
                    self.claims.get_mut(&claim).ok_or(Rejection::Unknown { kind: "claim" })?;
                match claim.status {
                    ClaimStatus::Standing => return Err(Rejection::Waiting { what: "the claim" }),
                    ClaimStatus::Fallen { .. } | ClaimStatus::Released { .. } => None,
                    ClaimStatus::Final { attention_share_wei, .. } => {
                        let share_wei = if proven { attention_share_wei } else { 0 };
                        claim.owed_wei -= share_wei;
                        Some(share_wei)
                    }
                }
            }
        };
        let bond_wei = attestation.bond_wei;
        let (share_wei, burned_wei) = match final_share_wei {
            Some(_) if !proven => (0, bond_wei),
            Some(share_wei) => (share_wei, 0),
            None => (0, 0),
        };
        if let Some(attestation) = self.attestations.get_mut(&key) {
            attestation.bond_wei = 0;
            attestation.status = AttestationStatus::Collected;
        }
        self.money.burn(burned_wei);
        self.money.release(attester, bond_wei - burned_wei + share_wei);
        Ok(vec![Event::AttentionCollected { sealed: id, attester, share_wei, burned_wei }])
    }
}
