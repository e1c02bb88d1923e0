//! Challenges, demands, reveals, refutations and time.

use alloc::vec;
use alloc::vec::Vec;

use super::objects::{Asked, Challenge, ChallengeStatus, Claim, Event, FallReason, Turn};
use super::rules::{Answer, ChallengeMove, ChallengePhase, ClaimMove, Party, challenge_rule};
use super::{Outcome, Rejection, Settlement};
use crate::asks::{
    self, Ask, AskError, Context, Finding, Proven, Refutation, Showing, fits, judge,
};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::ids::{ChallengeId, ClaimId};
use crate::knowledge::Known;
use crate::transaction::Address;

/// Showings that one transaction may carry.
const SHOWINGS_MAX: usize = 16;
/// Challengers that one answer may name.
pub const CHALLENGERS_MAX: usize = 16;

/// Id of an account's challenge of a claim: it has one at most.
pub fn challenge_id(claim: ClaimId, challenger: Address) -> ChallengeId {
    challenge_id_under::<Keccak>(claim, challenger)
}

/// As [`challenge_id`], under any commitment.
pub fn challenge_id_under<C: Commitment>(claim: ClaimId, challenger: Address) -> ChallengeId {
    ChallengeId(C::tagged(Tag::Challenge, &[&claim.0.0, &challenger.0]))
}

impl<C: Commitment> Settlement<C> {
    pub(super) fn open_challenge(
        &mut self,
        now_ms: u64,
        challenger: Address,
        claim_id: ClaimId,
    ) -> Outcome {
        let claim = self.claims.get(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        claim.check_move(now_ms, challenger, ClaimMove::Challenge)?;
        let id = challenge_id_under::<C>(claim_id, challenger);
        if self.challenges.contains_key(&id) {
            return Err(Rejection::Exists { kind: "challenge" });
        }
        let parameters = &self.genesis.parameters;
        let (bond_wei, record_fee_wei) =
            (parameters.bond_wei(claim.stake_wei), parameters.record_fee_wei);
        self.money.check(&challenger, bond_wei.saturating_add(record_fee_wei))?;
        self.money.burn_free(&challenger, record_fee_wei)?;
        self.money.lock(&challenger, bond_wei)?;
        let number = claim.challenges;
        let served = number.saturating_sub(claim.ended) < parameters.served_max;
        let status = if served {
            ChallengeStatus::Open { turn: Turn::Challenger, since_ms: now_ms }
        } else {
            ChallengeStatus::Queued
        };
        let last_ms = claim.window_end_ms.saturating_add(parameters.challenges_ms_max(number));
        let challenge = Challenge {
            claim: claim_id,
            challenger,
            number,
            opened_ms: now_ms,
            bond_wei,
            fees_wei: 0,
            served,
            demands: 0,
            end_asks: 0,
            replies: 0,
            end_replies: 0,
            asked: None,
            executor_clock_ms: parameters.executor_clock_ms,
            challenger_clock_ms: parameters.challenger_clock_ms,
            status,
        };
        self.challenges_by_number.insert((claim_id, challenge.number), id);
        if let Some(claim) = self.claims.get_mut(&claim_id) {
            claim.challenges = claim.challenges.saturating_add(1);
            claim.open = claim.open.saturating_add(1);
            claim.work = claim.work.saturating_add(challenge.work());
            claim.last_finality_ms = claim.last_finality_ms.max(last_ms);
        }
        self.challenges.insert(id, challenge);
        Ok(vec![Event::Challenged { challenge: id, claim: claim_id }])
    }

    /// Phase of a challenge at `now_ms`.
    pub fn phase_of(&self, challenge: &Challenge, now_ms: u64) -> ChallengePhase {
        let stands = self.claims.get(&challenge.claim).is_some_and(|claim| claim.stands());
        challenge.phase(stands, now_ms, self.genesis.parameters.move_floor_ms)
    }

    /// An account's challenge of a claim, if it has one.
    pub fn challenge_by(&self, claim: &ClaimId, challenger: &Address) -> Option<&Challenge> {
        self.challenges.get(&challenge_id_under::<C>(*claim, *challenger))
    }

    /// Whether a challenge is under way: not ended, and its claim stands. Of a claim that fell it can only be
    /// collected.
    pub fn is_under_way(&self, challenge: &Challenge) -> bool {
        challenge.is_open() && self.claims.get(&challenge.claim).is_some_and(Claim::stands)
    }

    /// Ids of a claim's challenges, in the order of their numbers.
    pub fn challenges_of(&self, claim: &ClaimId) -> impl DoubleEndedIterator<Item = &ChallengeId> {
        self.challenges_by_number.range((*claim, 0)..=(*claim, u32::MAX)).map(|(_, id)| id)
    }

    /// The challenge, if the rules let the sender make this move in it.
    pub(super) fn admitted(
        &self,
        now_ms: u64,
        sender: Address,
        id: &ChallengeId,
        step: ChallengeMove,
    ) -> Result<&Challenge, Rejection> {
        let challenge = self.challenges.get(id).ok_or(Rejection::Unknown { kind: "challenge" })?;
        let is_party = |party| match party {
            Party::Anyone => true,
            Party::Challenger => challenge.challenger == sender,
            Party::Executor => {
                self.claims.get(&challenge.claim).is_some_and(|claim| claim.executor == sender)
            }
        };
        // Of a challenge that has ended no rule asks for the deadline.
        let end_ms =
            challenge.deadline_ms(self.genesis.parameters.move_floor_ms).unwrap_or_default();
        let rule = challenge_rule(step, self.phase_of(challenge, now_ms));
        rule.check(is_party, "challenge", end_ms)?;
        Ok(challenge)
    }

    /// What a transaction in a challenge proves: its showings hold under the claim's terms, what was said, and
    /// what the challenge asked last.
    fn proven<'a>(
        &'a self,
        challenge: &Challenge,
        showings: &[Showing],
        from: Option<&'a Ask>,
    ) -> Result<Proven<'a>, Rejection> {
        if showings.len() > SHOWINGS_MAX {
            return Err(Rejection::Terms { name: "showings", bounds: "at most 16" });
        }
        if from.is_some() && from != challenge.last_ask() {
            return Err(AskError::NotAsked.into());
        }
        let claim =
            self.claims.get(&challenge.claim).ok_or(Rejection::Unknown { kind: "claim" })?;
        let context = self.context(claim, from)?;
        Ok(Proven::new::<C>(context, showings)?)
    }

    /// The claim as far as asks and showings depend on it.
    fn context<'a>(
        &'a self,
        claim: &'a Claim<C>,
        from: Option<&'a Ask>,
    ) -> Result<Context<'a>, Rejection> {
        let model = self.models.get(&claim.terms.model_root);
        let header = model.ok_or(Rejection::Unknown { kind: "model" })?;
        let job = self.jobs.get(&claim.terms.job).ok_or(Rejection::Unknown { kind: "job" })?;
        let (length, arity_log2) = (job.terms.length(), self.genesis.parameters.arity_log2);
        Ok(Context { terms: &claim.terms, header, length, said: &claim.said, from, arity_log2 })
    }

    pub(super) fn demand(
        &mut self,
        now_ms: u64,
        sender: Address,
        claim_id: ClaimId,
        (showings, from): (&[Showing], Option<&Ask>),
        (ask, path): (&Ask, &[Digest]),
    ) -> Outcome {
        let id = challenge_id_under::<C>(claim_id, sender);
        let challenge = self.admitted(now_ms, sender, &id, ChallengeMove::Demand)?;
        let ChallengeStatus::Open { since_ms, .. } = challenge.status else {
            return Err(Rejection::NotYourMove);
        };
        let parameters = &self.genesis.parameters;
        let claim = self.claims.get(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        let asking = parameters.asking();
        let cost = asking.cost(&self.context(claim, from)?, ask);
        let is_used = if cost.is_end {
            challenge.end_asks >= parameters.end_asks_max
        } else {
            challenge.demands >= parameters.demands_max
        };
        if is_used {
            return Err(Rejection::DemandsUsed);
        }
        let fee_wei = parameters.demand_fee_wei.saturating_mul(u128::from(cost.fees));
        self.money.check(&sender, fee_wei)?;
        let proven = self.proven(challenge, showings, from)?;
        asking.check::<C>(&proven, ask, path)?;
        self.money.lock(&sender, fee_wei)?;
        if let Some(claim) = self.claims.get_mut(&claim_id) {
            claim.work = claim.work.saturating_add(1);
            if let Known::Run(known) = &mut claim.knowledge {
                known.learn_demand(showings, ask, path);
            }
        }
        if let Some(challenge) = self.challenges.get_mut(&id) {
            challenge.fees_wei = challenge.fees_wei.saturating_add(fee_wei);
            if cost.is_end {
                challenge.end_asks = challenge.end_asks.saturating_add(1);
            } else {
                challenge.demands = challenge.demands.saturating_add(1);
            }
            challenge.asked = Some(Asked { ask: ask.clone(), is_end: cost.is_end });
            let spent_ms = now_ms.saturating_sub(since_ms);
            challenge.challenger_clock_ms = challenge.challenger_clock_ms.saturating_sub(spent_ms);
            challenge.status = ChallengeStatus::Open { turn: Turn::Executor, since_ms: now_ms };
        }
        Ok(vec![Event::Demanded { challenge: id, ask: ask.clone() }])
    }

    pub(super) fn reveal(
        &mut self,
        now_ms: u64,
        sender: Address,
        claim_id: ClaimId,
        challengers: &[Address],
        (ask, answer): (&Ask, &asks::Answer),
    ) -> Outcome {
        let claim = self.claims.get(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        claim.check_move(now_ms, sender, ClaimMove::Reveal)?;
        if !(1..=CHALLENGERS_MAX).contains(&challengers.len()) {
            return Err(Rejection::Terms { name: "challengers", bounds: "1 to 16" });
        }
        // One answer serves every named challenge that waits for it and is still in time. The others are
        // skipped: or somebody could end its own challenge just before a shared answer, and make it fail.
        let mut served: Vec<ChallengeId> = Vec::new();
        for challenger in challengers {
            let id = challenge_id_under::<C>(claim_id, *challenger);
            let waits = self.challenges.get(&id).is_some_and(|challenge| {
                let rule = challenge_rule(ChallengeMove::Reveal, self.phase_of(challenge, now_ms));
                challenge.pending() == Some(ask) && rule.answer == Answer::Allowed
            });
            if waits && !served.contains(&id) {
                served.push(id);
            }
        }
        if served.is_empty() {
            return Err(Rejection::NotYourMove);
        }
        let said = fits::<C>(ask, answer, self.genesis.parameters.arity_log2)?;
        let claim = self.claims.get_mut(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        if let Some(root) = said {
            // The first answer binds.
            if *claim.said.entry(*ask.tree()).or_insert(root) != root {
                return Err(AskError::Mismatch.into());
            }
        }
        claim.reveals = claim.reveals.saturating_add(1);
        if let Known::Run(known) = &mut claim.knowledge {
            known.learn_answer(ask, answer, said);
        }
        for id in served {
            if let Some(challenge) = self.challenges.get_mut(&id) {
                challenge.answered(now_ms);
            }
        }
        Ok(vec![Event::Revealed { claim: claim_id, ask: ask.clone() }])
    }

    pub(super) fn refute(
        &mut self,
        now_ms: u64,
        sender: Address,
        id: ChallengeId,
        (showings, from): (&[Showing], Option<&Ask>),
        refutation: &Refutation,
    ) -> Outcome {
        let challenge = self.admitted(now_ms, sender, &id, ChallengeMove::Refute)?;
        let (claim_id, challenger) = (challenge.claim, challenge.challenger);
        let proven = self.proven(challenge, showings, from)?;
        let finding = judge::<C>(&proven, refutation)?;
        // Only the challenger can lose its own case; a stranger's bad proof changes nothing.
        if finding == Finding::Sound && sender != challenger {
            return Err(Rejection::NothingRefuted);
        }
        if let Some(claim) = self.claims.get_mut(&claim_id)
            && let Known::Run(known) = &mut claim.knowledge
        {
            known.learn_showings(showings);
        }
        Ok(match finding {
            Finding::Fraud(evidence) => {
                self.fall(now_ms, claim_id, id, FallReason::Refuted(evidence))
            }
            Finding::Sound => self.uphold(now_ms, id),
        })
    }

    pub(super) fn call_time(&mut self, now_ms: u64, sender: Address, id: ChallengeId) -> Outcome {
        let challenge = self.admitted(now_ms, sender, &id, ChallengeMove::CallTime)?;
        Ok(match challenge.pending().cloned() {
            Some(ask) => self.fall(now_ms, challenge.claim, id, FallReason::Silence(ask)),
            None => self.uphold(now_ms, id),
        })
    }
}

impl Challenge {
    /// The executor answered at `now_ms`: its budget pays the time that it took.
    fn answered(&mut self, now_ms: u64) {
        if let ChallengeStatus::Open { since_ms, .. } = self.status {
            let spent_ms = now_ms.saturating_sub(since_ms);
            self.executor_clock_ms = self.executor_clock_ms.saturating_sub(spent_ms);
        }
        if self.asked.as_ref().is_some_and(|asked| asked.is_end) {
            self.end_replies = self.end_replies.saturating_add(1);
        } else {
            self.replies = self.replies.saturating_add(1);
        }
        self.status = ChallengeStatus::Open { turn: Turn::Challenger, since_ms: now_ms };
    }
}
