//! A ledger's state as a snapshot carries it, part by part, and how it is made of one again.

use alloc::boxed::Box;

use super::attention::sealed_id;
use super::claims::claim_id_under;
use super::disputes::challenge_id_under;
use super::jobs::job_id_under;
use super::objects::{Challenge, ClaimStatus};
use super::parameters::Genesis;
use super::records::{ChallengeRecord, ClaimRecord, Record};
use super::snapshot::SnapshotHead;
use super::under_way::UnderWay;
use super::{ParameterError, Settlement};
use crate::asks::Ask;
use crate::encoding::canonical_enum;
use crate::hash::{Commitment, Keccak};
use crate::ids::{ChallengeId, ClaimId};
use crate::knowledge::{DESCENT_MAX, Descent, Fact, Knowledge, Known};

/// A part of a snapshot. What is no record is not under its root: readers need it, and no rule but one asks for it,
/// the ask of a challenge, whose hash is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is what its name says")]
#[allow(clippy::large_enum_variant, reason = "one at a time; nobody keeps many")]
pub enum Part {
    /// An object.
    Record { record: Record },
    /// What the challenge asked last whose record comes next.
    Ask { ask: Ask },
    /// What is known of the standing claim whose record came last.
    Fact { fact: Fact },
    /// What is told of the fallen claim whose record came last.
    Descent { descent: Descent },
}
canonical_enum!(Part {
    1 => Record { record }, 2 => Ask { ask }, 3 => Fact { fact }, 4 => Descent { descent },
});

/// Why parts are no snapshot of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The genesis is not acceptable.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// It is one of another ledger.
    #[error("it is of another ledger")]
    OtherLedger,
    /// A record stands under an id that does not follow from it, or names what no record before it has.
    #[error("a {kind} does not fit its id, or what it names is missing")]
    Record {
        /// Of what.
        kind: &'static str,
    },
    /// A record stands there a second time.
    #[error("a {kind} stands there twice")]
    Twice {
        /// Of what.
        kind: &'static str,
    },
    /// What a record leaves out is not there, or is another's.
    #[error("what stands beside a {kind} is not its own")]
    Beside {
        /// Of what.
        kind: &'static str,
    },
    /// The sums of money are not those of the records.
    #[error("its sums of money are not those of its records")]
    Money,
    /// The root of what was read is not the root of the snapshot.
    #[error("what it holds does not have its root")]
    Root,
}

impl<C: Commitment> Settlement<C> {
    /// All that a ledger holds, in the order in which [`Restoring`] takes it.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.records().flat_map(|record| {
            let (mut before, mut facts, mut descent) = (None, None, None);
            match &record {
                Record::Challenge { id, .. } => {
                    before = self.challenges.get(id).and_then(Challenge::last_ask).cloned();
                }
                Record::Claim { id, .. } => match self.claims.get(id).map(|one| &one.knowledge) {
                    Some(Known::Run(known)) => facts = Some(known.facts()),
                    Some(Known::Fall(told)) => descent = Some((**told).clone()),
                    Some(Known::Nothing) | None => {}
                },
                Record::Account { .. }
                | Record::Model { .. }
                | Record::Job { .. }
                | Record::Sealed { .. }
                | Record::Attestation { .. } => {}
            }
            let before = before.map(|ask| Part::Ask { ask });
            let facts = facts.into_iter().flatten().map(|fact| Part::Fact { fact });
            let descent = descent.map(|descent| Part::Descent { descent });
            before.into_iter().chain([Part::Record { record }]).chain(facts).chain(descent)
        })
    }

    /// What objects hold, added up; `None` where no sum can be.
    fn locked_checked_wei(&self) -> Option<u128> {
        self.locked_wei_each().try_fold(0u128, u128::checked_add)
    }
}

/// A state that is being made of the parts of a snapshot.
#[derive(Debug)]
pub struct Restoring<C: Commitment = Keccak> {
    settlement: Settlement<C>,
    head: SnapshotHead,
    /// What the challenge asked last whose record comes next.
    ask: Option<Ask>,
    /// The claim whose record came last.
    claim: Option<ClaimId>,
}

impl Restoring {
    /// Begins with nothing but the head of a snapshot.
    ///
    /// # Errors
    /// When the genesis is not acceptable, or the head is one of another ledger.
    pub fn new(genesis: Genesis, head: SnapshotHead) -> Result<Self, RestoreError> {
        genesis.parameters.check()?;
        Self::new_unchecked(genesis, head)
    }
}

impl<C: Commitment> Restoring<C> {
    /// As [`Restoring::new`], under any commitment and any parameters.
    ///
    /// # Errors
    /// When the head is one of another ledger.
    pub fn new_unchecked(genesis: Genesis, head: SnapshotHead) -> Result<Self, RestoreError> {
        if genesis.root() != head.genesis {
            return Err(RestoreError::OtherLedger);
        }
        let mut settlement = Settlement::new_unchecked(genesis);
        settlement.now_ms = head.now_ms;
        Ok(Self { settlement, head, ask: None, claim: None })
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// When it does not fit what came before it; nothing can be made of the snapshot then.
    pub fn take(&mut self, part: Part) -> Result<(), RestoreError> {
        let ask = self.ask.take();
        if ask.is_some() && !matches!(part, Part::Record { record: Record::Challenge { .. } }) {
            return Err(RestoreError::Beside { kind: "challenge" });
        }
        match part {
            Part::Record { record } => {
                self.claim = None;
                self.record(record, ask)
            }
            Part::Ask { ask } => {
                self.ask = Some(ask);
                Ok(())
            }
            Part::Fact { fact } => match self.known()? {
                Known::Run(known) => {
                    known.take(fact);
                    Ok(())
                }
                Known::Fall(_) | Known::Nothing => Err(RestoreError::Beside { kind: "claim" }),
            },
            Part::Descent { descent } => match self.known()? {
                Known::Fall(told) if descent.trees.len() <= DESCENT_MAX => {
                    **told = descent;
                    Ok(())
                }
                Known::Fall(_) | Known::Run(_) | Known::Nothing => {
                    Err(RestoreError::Beside { kind: "claim" })
                }
            },
        }
    }

    /// What is known of the claim whose record came last.
    fn known(&mut self) -> Result<&mut Known<C>, RestoreError> {
        let claim = self.claim.and_then(|id| self.settlement.claims.get_mut(&id));
        claim.map(|claim| &mut claim.knowledge).ok_or(RestoreError::Beside { kind: "claim" })
    }

    fn record(&mut self, record: Record, ask: Option<Ask>) -> Result<(), RestoreError> {
        let state = &mut self.settlement;
        let fits =
            |fits: bool, kind| if fits { Ok(()) } else { Err(RestoreError::Record { kind }) };
        let once = |is_there: bool, kind| {
            if is_there { Err(RestoreError::Twice { kind }) } else { Ok(()) }
        };
        match record {
            Record::Account { address, account } => {
                once(
                    state.money.knows(&address) || state.nonces.contains_key(&address),
                    "account",
                )?;
                if let Some(free_wei) = account.free_wei {
                    let added = state.money.restore(address, free_wei);
                    added.map_err(|_| RestoreError::Money)?;
                }
                if account.nonce > 0 {
                    state.nonces.insert(address, account.nonce);
                }
            }
            Record::Model { root, header } => {
                fits(header.root_under::<C>() == root, "model")?;
                once(state.models.contains_key(&root), "model")?;
                state.models.insert(root, header);
            }
            Record::Job { id, job } => {
                let is_model = state.models.contains_key(&job.terms.model_root);
                fits(is_model && job_id_under::<C>(job.poster, &job.terms) == id, "job")?;
                once(state.jobs.contains_key(&id), "job")?;
                state.jobs.insert(id, job);
            }
            Record::Claim { id, claim } => self.claim_record(id, claim)?,
            Record::Challenge { id, challenge } => self.challenge_record(id, challenge, ask)?,
            Record::Sealed { id, sealed } => {
                let is_job = state.jobs.contains_key(&sealed.job);
                let own = sealed_id::<C>(&sealed.executor, &sealed.job, &sealed.seal);
                fits(is_job && own == id, "sealed claim")?;
                once(state.sealed.contains_key(&id), "sealed claim")?;
                state.sealed.insert(id, sealed);
            }
            Record::Attestation { sealed, attester, attestation } => {
                fits(state.sealed.contains_key(&sealed), "attestation")?;
                let is_there = state.attestations.contains_key(&(sealed, attester));
                once(is_there, "attestation")?;
                state.attestations.insert((sealed, attester), attestation);
            }
        }
        Ok(())
    }

    fn claim_record(&mut self, id: ClaimId, claim: ClaimRecord) -> Result<(), RestoreError> {
        let state = &mut self.settlement;
        let missing = || RestoreError::Record { kind: "claim" };
        let job = state.jobs.get(&claim.terms.job).ok_or_else(missing)?;
        let header = state.models.get(&claim.terms.model_root).ok_or_else(missing)?;
        if claim_id_under::<C>(claim.executor, &claim.terms) != id {
            return Err(missing());
        }
        if state.claims.contains_key(&id) {
            return Err(RestoreError::Twice { kind: "claim" });
        }
        let knowledge = match &claim.status {
            ClaimStatus::Standing => Known::Run(Box::new(Knowledge::bare(
                header.clone(),
                job.terms.length(),
                state.genesis.parameters.arity_log2,
                &claim.terms,
            ))),
            ClaimStatus::Fallen { .. } => Known::Fall(Box::default()),
            ClaimStatus::Final { .. } | ClaimStatus::Released { .. } => Known::Nothing,
        };
        state.claims_by_number.insert((claim.terms.job, claim.number), id);
        state.claims.insert(id, claim.with(knowledge));
        self.claim = Some(id);
        Ok(())
    }

    fn challenge_record(
        &mut self,
        id: ChallengeId,
        record: ChallengeRecord,
        ask: Option<Ask>,
    ) -> Result<(), RestoreError> {
        let state = &mut self.settlement;
        let own = challenge_id_under::<C>(record.claim, record.challenger);
        if own != id || !state.claims.contains_key(&record.claim) {
            return Err(RestoreError::Record { kind: "challenge" });
        }
        if state.challenges.contains_key(&id) {
            return Err(RestoreError::Twice { kind: "challenge" });
        }
        let challenge = record.with::<C>(ask).ok_or(RestoreError::Beside { kind: "challenge" })?;
        state.challenges_by_number.insert((challenge.claim, challenge.number), id);
        state.challenges.insert(id, challenge);
        Ok(())
    }

    /// The state, once all parts were taken: it has the root of the snapshot, and so every record of it and no other.
    ///
    /// # Errors
    /// When it has another root, or another sum of money than the snapshot says.
    pub fn done(self) -> Result<Settlement<C>, RestoreError> {
        let Self { mut settlement, head, ask, .. } = self;
        if ask.is_some() {
            return Err(RestoreError::Beside { kind: "challenge" });
        }
        let locked_wei = settlement.locked_checked_wei().ok_or(RestoreError::Money)?;
        let sums = [head.burned_wei, head.deposited_wei, head.withdrawn_wei];
        settlement.money.restore_sums(locked_wei, sums);
        if !settlement.money.is_conserved() {
            return Err(RestoreError::Money);
        }
        if settlement.snapshot_head() != head {
            return Err(RestoreError::Root);
        }
        let (jobs, claims) = (&settlement.jobs, &settlement.claims);
        settlement.under_way = UnderWay::among(jobs, claims, &settlement.challenges);
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests;
