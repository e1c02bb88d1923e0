//! Attention rewards: a claim may be sealed first, and whoever says under its own address which
//! trace root will come out, before it does, is paid for having really run the model.
//!
//! The word of an attester covers its address and a salt, so that nobody can copy it; the root
//! itself is not known to anybody but who ran the model (or was told by the executor). Without
//! such a reward checking does not pay among rational verifiers as long as nobody cheats, and then
//! cheating does (the verifier's dilemma: Luu et al. 2015; Truebit's forced errors and BoLD's
//! attention challenges answer it likewise).

use alloc::vec;
use alloc::vec::Vec;

use super::objects::{Event, JobStatus, Sealed, SealedStatus};
use super::rules::ClaimMove;
use super::transitions::id;
use super::{Rejection, Settlement};
use crate::hash::{Commitment, Digest, Tag};
use crate::ids::{ClaimId, JobId, SealedId};
use crate::transaction::{Address, ClaimTerms};

type Outcome = Result<Vec<Event>, Rejection>;

/// What an executor seals: its address, the trace root and a salt.
pub fn seal<C: Commitment>(executor: &Address, trace_root: &Digest, salt: &Digest) -> Digest {
    C::tagged(Tag::Seal, &[&executor.0, &trace_root.0, &salt.0])
}

/// What an attester gives as its word: its address, the trace root and a salt.
pub fn word<C: Commitment>(attester: &Address, trace_root: &Digest, salt: &Digest) -> Digest {
    C::tagged(Tag::Attestation, &[&attester.0, &trace_root.0, &salt.0])
}

impl<C: Commitment> Settlement<C> {
    pub(super) fn seal_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        nonce: u64,
        job_id: JobId,
        seal: Digest,
    ) -> Outcome {
        let job = self.jobs.get(&job_id).ok_or(Rejection::Unknown { kind: "job" })?;
        if job.status != JobStatus::Open {
            return Err(Rejection::Over { kind: "job" });
        }
        if job.terms.attention_wei == 0 {
            return Err(Rejection::Terms { name: "seal", bounds: "only on a job with attention" });
        }
        let stake_wei = job.terms.stake_wei;
        self.money.lock(&executor, stake_wei)?;
        let sealed = SealedId(id::<C>(Tag::Seal, executor, nonce, &seal.0));
        let (words, status) = (Vec::new(), SealedStatus::Waiting);
        self.sealed.insert(
            sealed,
            Sealed { job: job_id, executor, seal, sealed_ms: now_ms, stake_wei, words, status },
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
        let (seal_ms, most) =
            (self.genesis.parameters.seal_ms, self.genesis.parameters.attestations_max);
        let sealed = self.sealed.get_mut(&id).ok_or(Rejection::Unknown { kind: "sealed claim" })?;
        let at_ms = sealed.sealed_ms.saturating_add(seal_ms);
        if sealed.status != SealedStatus::Waiting || now_ms > at_ms {
            return Err(Rejection::TooLate { at_ms });
        }
        self.money.check(&attester, 1)?;
        if sealed.executor == attester {
            return Err(Rejection::NotAllowed { who: "anybody but the executor" });
        }
        if sealed.words.iter().any(|(known, _)| *known == attester) {
            return Err(Rejection::Exists { kind: "attestation" });
        }
        if sealed.words.len() >= most as usize {
            return Err(Rejection::Terms { name: "attestations", bounds: "all places are taken" });
        }
        sealed.words.push((attester, word));
        Ok(vec![Event::Attested { sealed: id, attester }])
    }

    pub(super) fn open_claim(
        &mut self,
        now_ms: u64,
        executor: Address,
        nonce: u64,
        id: SealedId,
        terms: &ClaimTerms,
        salt: &Digest,
    ) -> Outcome {
        let seal_ms = self.genesis.parameters.seal_ms;
        let sealed = self.sealed.get(&id).ok_or(Rejection::Unknown { kind: "sealed claim" })?;
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
        let fits =
            terms.job == sealed.job && seal::<C>(&executor, &terms.trace_root, salt) == sealed.seal;
        if !fits {
            return Err(Rejection::NotBound);
        }
        let (stake_wei, job) = (sealed.stake_wei, sealed.job);
        let open = self.jobs.get(&job).is_some_and(|job| job.status == JobStatus::Open);
        if !open {
            // Another claim was faster: nothing is claimed any more, and nothing is lost.
            if let Some(sealed) = self.sealed.get_mut(&id) {
                sealed.status = SealedStatus::Expired;
            }
            self.money.release(executor, stake_wei);
            return Ok(vec![Event::SealExpired { sealed: id, burned_wei: 0 }]);
        }
        // The stake that the seal holds is now the claim's.
        let events = self.stand_claim(now_ms, executor, nonce, terms, Some((id, stake_wei)))?;
        if let (Some(sealed), Some(Event::ClaimPosted { claim, .. })) =
            (self.sealed.get_mut(&id), events.first())
        {
            sealed.status = SealedStatus::Opened { claim: *claim };
        }
        Ok(events)
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
        if claim.attentive.contains(&attester) {
            return Err(Rejection::Exists { kind: "proof of attention" });
        }
        let sealed = claim.sealed.and_then(|sealed| self.sealed.get(&sealed));
        let given = sealed.and_then(|sealed| {
            sealed.words.iter().find(|(known, _)| *known == attester).map(|(_, word)| *word)
        });
        let expected = word::<C>(&attester, &claim.terms.trace_root, salt);
        if given != Some(expected) {
            return Err(Rejection::NotAllowed { who: "who attested to this claim's trace root" });
        }
        claim.attentive.push(attester);
        Ok(vec![Event::AttentionProven { claim: id, attester }])
    }

    /// A seal that nobody opened in time burns its stake: attesting to nothing must cost.
    pub(super) fn expire_seal(&mut self, now_ms: u64, id: SealedId) -> Outcome {
        let seal_ms = self.genesis.parameters.seal_ms;
        let sealed = self.sealed.get_mut(&id).ok_or(Rejection::Unknown { kind: "sealed claim" })?;
        if sealed.status != SealedStatus::Waiting {
            return Err(Rejection::Over { kind: "sealed claim" });
        }
        let at_ms = sealed.sealed_ms.saturating_add(seal_ms.saturating_mul(2));
        if now_ms <= at_ms {
            return Err(Rejection::TooEarly { at_ms: at_ms.saturating_add(1) });
        }
        sealed.status = SealedStatus::Expired;
        let burned_wei = sealed.stake_wei;
        self.money.burn(burned_wei);
        Ok(vec![Event::SealExpired { sealed: id, burned_wei }])
    }

    /// Pays the job's attention money to those who proved theirs, in equal shares; what is left
    /// goes back to the poster.
    pub(super) fn pay_attention(
        &mut self,
        poster: Address,
        attention_wei: u128,
        claim: ClaimId,
    ) -> Vec<Event> {
        let attentive =
            self.claims.get(&claim).map(|claim| claim.attentive.clone()).unwrap_or_default();
        let share_wei = attention_wei / (attentive.len() as u128).max(1);
        let mut left_wei = attention_wei;
        let mut events = Vec::new();
        for attester in attentive {
            left_wei -= share_wei;
            self.money.release(attester, share_wei);
            events.push(Event::AttentionPaid { claim, attester, amount_wei: share_wei });
        }
        self.money.release(poster, left_wei);
        events
    }

    /// Whether a sealed claim on the job still waits to be opened.
    pub(super) fn awaits_opening(&self, job: &JobId) -> bool {
        self.sealed
            .values()
            .any(|sealed| sealed.job == *job && sealed.status == SealedStatus::Waiting)
    }
}
