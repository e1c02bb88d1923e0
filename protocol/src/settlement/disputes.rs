//! Challenges, demands, reveals, refutations and time.

use alloc::vec;
use alloc::vec::Vec;

use super::objects::{Challenge, ChallengeStatus, ClaimStatus, Event, FallReason, Turn};
use super::rules::{Answer, ChallengeMove, ClaimMove, Party, challenge_rule};
use super::{Parameters, Rejection, Settlement};
use crate::facts::{Facts, Request, Reveal, Showing, Shown};
use crate::hash::Commitment;
use crate::ids::{ChallengeId, ClaimId};
use crate::referee::{Finding, Refutation, judge};
use crate::transaction::Address;

type Outcome = Result<Vec<Event>, Rejection>;

/// Showings that one transaction may carry.
pub(super) const SHOWINGS_MAX: usize = 16;

/// Adds a challenger's showings to a claim's facts: all of them, or none.
fn show_all<C: Commitment>(
    facts: &mut Facts<C>,
    showings: &[Showing],
) -> Result<Vec<Shown>, Rejection> {
    if showings.len() > SHOWINGS_MAX {
        return Err(Rejection::Terms { name: "showings", bounds: "at most 16" });
    }
    let mut added = Vec::new();
    for showing in showings {
        match facts.show(showing) {
            Ok(shown) => added.push(shown),
            Err(error) => {
                facts.take_back(&added);
                return Err(error.into());
            }
        }
    }
    Ok(added)
}

/// What the challengers of a claim that falls are paid out of its stake, half of it at most: each one's
/// cost, in the order of the bonds, and then one equal share of the reward for each. In wei.
fn rewards_wei(parameters: &Parameters, stake_wei: u128, challengers: usize) -> (Vec<u128>, u128) {
    let half_wei = stake_wei / 2;
    let mut spent_wei = 0;
    let costs_wei = (0..challengers)
        .map(|_| {
            let cost_wei = parameters.challenge_cost_wei.min(half_wei - spent_wei);
            spent_wei += cost_wei;
            cost_wei
        })
        .collect();
    // Thousandths of the stake without overflow: a stake may be near the counter's end.
    let permille = u128::from(parameters.reward_permille);
    let pool_wei = stake_wei / 1000 * permille + stake_wei % 1000 * permille / 1000;
    let share_wei = pool_wei.min(half_wei - spent_wei) / (challengers as u128).max(1);
    (costs_wei, share_wei)
}

impl<C: Commitment> Settlement<C> {
    pub(super) fn open_challenge(
        &mut self,
        now_ms: u64,
        challenger: Address,
        claim_id: ClaimId,
        id: ChallengeId,
    ) -> Outcome {
        let claim = self.claims.get(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        claim.check_move(now_ms, challenger, ClaimMove::Challenge)?;
        let job = self.jobs.get(&claim.terms.job).ok_or(Rejection::Unknown { kind: "job" })?;
        let bond_wei = job.terms.bond_wei;
        self.money.lock(&challenger, bond_wei)?;
        let parameters = &self.genesis.parameters;
        let challenge = Challenge {
            claim: claim_id,
            challenger,
            opened_ms: now_ms,
            bond_wei,
            fees_wei: 0,
            demands: 0,
            replies: 0,
            executor_clock_ms: parameters.executor_clock_ms,
            challenger_clock_ms: parameters.challenger_clock_ms,
            status: ChallengeStatus::Open { turn: Turn::Challenger, since_ms: now_ms },
        };
        self.challenges.insert(id, challenge);
        if let Some(claim) = self.claims.get_mut(&claim_id) {
            claim.challenges.push(id);
        }
        Ok(vec![Event::Challenged { challenge: id, claim: claim_id }])
    }

    /// The challenge, if the rules let the sender make this move in it.
    fn admitted(
        &self,
        now_ms: u64,
        sender: Address,
        id: &ChallengeId,
        step: ChallengeMove,
    ) -> Result<&Challenge, Rejection> {
        let challenge = self.challenges.get(id).ok_or(Rejection::Unknown { kind: "challenge" })?;
        let floor_ms = self.genesis.parameters.move_floor_ms;
        let is_party = |party| match party {
            Party::Anyone => true,
            Party::Challenger => challenge.challenger == sender,
            Party::Executor => {
                self.claims.get(&challenge.claim).is_some_and(|claim| claim.executor == sender)
            }
        };
        // Of a challenge that has ended no rule asks for the deadline.
        let end_ms = challenge.deadline_ms(floor_ms).unwrap_or_default();
        let rule = challenge_rule(step, challenge.phase(now_ms, floor_ms));
        rule.check(is_party, "challenge", end_ms)?;
        Ok(challenge)
    }

    pub(super) fn demand(
        &mut self,
        now_ms: u64,
        sender: Address,
        id: ChallengeId,
        showings: &[Showing],
        request: Request,
    ) -> Outcome {
        let challenge = self.admitted(now_ms, sender, &id, ChallengeMove::Demand)?;
        let ChallengeStatus::Open { since_ms, .. } = challenge.status else {
            return Err(Rejection::NotYourMove);
        };
        if challenge.demands >= self.genesis.parameters.demands_max {
            return Err(Rejection::DemandsUsed);
        }
        let claim_id = challenge.claim;
        let fee_wei = self.genesis.parameters.demand_fee_wei;
        self.money.check(&sender, fee_wei)?;
        let claim = self.claims.get_mut(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        let shown = show_all(&mut claim.facts, showings)?;
        if let Err(error) = claim.facts.check_request(&request) {
            claim.facts.take_back(&shown);
            return Err(error.into());
        }
        self.money.lock(&sender, fee_wei)?;
        if let Some(challenge) = self.challenges.get_mut(&id) {
            challenge.fees_wei += fee_wei;
            challenge.demands += 1;
            let spent_ms = now_ms.saturating_sub(since_ms);
            challenge.challenger_clock_ms = challenge.challenger_clock_ms.saturating_sub(spent_ms);
            challenge.status =
                ChallengeStatus::Open { turn: Turn::Executor(request), since_ms: now_ms };
        }
        Ok(vec![Event::Demanded { challenge: id, request }])
    }

    pub(super) fn reveal(
        &mut self,
        now_ms: u64,
        sender: Address,
        claim_id: ClaimId,
        request: Request,
        reveal: &Reveal,
    ) -> Outcome {
        let claim = self.claims.get_mut(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        claim.check_move(now_ms, sender, ClaimMove::Reveal)?;
        let floor_ms = self.genesis.parameters.move_floor_ms;
        // One answer serves every challenge that waits for it and is still in time.
        let waiting: Vec<ChallengeId> = claim
            .challenges
            .iter()
            .filter(|id| {
                self.challenges.get(*id).is_some_and(|challenge| {
                    let rule =
                        challenge_rule(ChallengeMove::Reveal, challenge.phase(now_ms, floor_ms));
                    challenge.pending() == Some(&request) && rule.answer == Answer::Allowed
                })
            })
            .copied()
            .collect();
        if waiting.is_empty() {
            return Err(Rejection::NotYourMove);
        }
        claim.facts.reveal(&request, reveal)?;
        claim.reveals = claim.reveals.saturating_add(1);
        for id in waiting {
            let Some(challenge) = self.challenges.get_mut(&id) else {
                continue;
            };
            if let ChallengeStatus::Open { since_ms, .. } = challenge.status {
                let spent_ms = now_ms.saturating_sub(since_ms);
                challenge.executor_clock_ms = challenge.executor_clock_ms.saturating_sub(spent_ms);
            }
            challenge.replies = challenge.replies.saturating_add(1);
            challenge.status = ChallengeStatus::Open { turn: Turn::Challenger, since_ms: now_ms };
        }
        Ok(vec![Event::Revealed { claim: claim_id, request }])
    }

    pub(super) fn refute(
        &mut self,
        now_ms: u64,
        sender: Address,
        id: ChallengeId,
        showings: &[Showing],
        refutation: &Refutation,
    ) -> Outcome {
        let challenge = self.admitted(now_ms, sender, &id, ChallengeMove::Refute)?;
        let (claim_id, challenger) = (challenge.claim, challenge.challenger);
        let claim = self.claims.get_mut(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        let shown = show_all(&mut claim.facts, showings)?;
        match judge(&claim.facts, refutation) {
            Ok(Finding::Fraud(evidence)) => {
                Ok(self.fall(now_ms, claim_id, id, FallReason::Refuted(evidence)))
            }
            // Only the challenger can lose its own case; a stranger's bad proof changes nothing.
            Ok(Finding::Sound) if sender == challenger => {
                claim.facts.take_back(&shown);
                Ok(self.uphold(now_ms, id))
            }
            Ok(Finding::Sound) => {
                claim.facts.take_back(&shown);
                Err(Rejection::NothingRefuted)
            }
            Err(error) => {
                claim.facts.take_back(&shown);
                Err(error.into())
            }
        }
    }

    pub(super) fn call_time(&mut self, now_ms: u64, sender: Address, id: ChallengeId) -> Outcome {
        let challenge = self.admitted(now_ms, sender, &id, ChallengeMove::CallTime)?;
        Ok(match challenge.pending().copied() {
            Some(request) => self.fall(now_ms, challenge.claim, id, FallReason::Silence(request)),
            None => self.uphold(now_ms, id),
        })
    }

    /// The claim is false: bonds and fees go back, the challengers share, at least half burns.
    fn fall(
        &mut self,
        now_ms: u64,
        claim_id: ClaimId,
        by: ChallengeId,
        reason: FallReason,
    ) -> Vec<Event> {
        let Some(claim) = self.claims.get_mut(&claim_id) else {
            return Vec::new();
        };
        let stake_wei = claim.stake_wei;
        claim.status = ClaimStatus::Fallen { reason: reason.clone(), challenge: by, at_ms: now_ms };
        let open: Vec<ChallengeId> = claim
            .challenges
            .iter()
            .filter(|id| self.challenges.get(*id).is_some_and(Challenge::is_open))
            .copied()
            .collect();
        let (costs_wei, share_wei) = rewards_wei(&self.genesis.parameters, stake_wei, open.len());
        let mut burned_wei = stake_wei;
        let mut events = Vec::new();
        for (id, cost_wei) in open.iter().zip(costs_wei) {
            let Some(challenge) = self.challenges.get_mut(id) else {
                continue;
            };
            let reward_wei = cost_wei + share_wei;
            burned_wei -= reward_wei;
            challenge.status = ChallengeStatus::Won { reward_wei };
            let challenger = challenge.challenger;
            let back_wei = challenge.bond_wei + challenge.fees_wei;
            self.money.release(challenger, back_wei + reward_wei);
            events.push(Event::ChallengeWon { challenge: *id, challenger, reward_wei });
        }
        self.money.burn(burned_wei);
        events.insert(0, Event::ClaimFallen { claim: claim_id, reason, burned_wei });
        events
    }

    /// The challenge failed: its fees and the cost of the replies go to the executor.
    fn uphold(&mut self, now_ms: u64, id: ChallengeId) -> Vec<Event> {
        let Some(challenge) = self.challenges.get_mut(&id) else {
            return Vec::new();
        };
        let Some(claim) = self.claims.get(&challenge.claim) else {
            return Vec::new();
        };
        let replies = u128::from(challenge.replies);
        let cost_wei = self.genesis.parameters.reply_cost_wei.saturating_mul(replies);
        let paid_wei = cost_wei.min(challenge.bond_wei);
        let burned_wei = challenge.bond_wei - paid_wei;
        challenge.status = ChallengeStatus::Lost;
        let (challenger, claim_id) = (challenge.challenger, challenge.claim);
        self.money.release(claim.executor, challenge.fees_wei + paid_wei);
        self.money.burn(burned_wei);
        let mut events = vec![Event::ChallengeLost { challenge: id, challenger, burned_wei }];
        events.extend(self.release_if_idle(now_ms, claim_id));
        events
    }
}
