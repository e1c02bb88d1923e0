//! How challenges end, and who is paid what.

use alloc::vec;
use alloc::vec::Vec;

use super::objects::{Challenge, ChallengeStatus, Claim, ClaimStatus, Event, FallReason, Turn};
use super::parameters::permille_of;
use super::rules::ChallengeMove;
use super::{Outcome, Parameters, Rejection, Settlement};
use crate::hash::Commitment;
use crate::ids::{ChallengeId, ClaimId};
use crate::transaction::Address;

/// What the challengers of a claim that falls are paid out of its stake: half of it at most. In wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    /// The work of the challenge that did it.
    own_wei: u128,
    /// Each piece of work of the others.
    unit_wei: u128,
    /// Each challenge, beside that.
    share_wei: u128,
    /// All that the others can collect.
    owed_wei: u128,
}

impl Shares {
    /// Of a stake that `open` challenges with `work` pieces of work share, `own_work` of them by the
    /// challenge that did it: that one's cost comes first, so that no crowd of others takes it.
    fn new(parameters: &Parameters, stake_wei: u128, open: u32, work: u64, own_work: u64) -> Self {
        let (half_wei, cost_wei) = (stake_wei / 2, parameters.work_cost_wei);
        let own_wei = half_wei.min(cost_wei.saturating_mul(u128::from(own_work)));
        let left_wei = half_wei - own_wei;
        let others_work = u128::from(work.saturating_sub(own_work));
        let unit_wei = left_wei.checked_div(others_work).map_or(0, |most| cost_wei.min(most));
        let others_wei = unit_wei * others_work;
        let pool_wei = permille_of(stake_wei, parameters.reward_permille);
        let share_wei = pool_wei.min(left_wei - others_wei) / u128::from(open.max(1));
        let owed_wei = others_wei + share_wei * u128::from(open.saturating_sub(1));
        Self { own_wei, unit_wei, share_wei, owed_wei }
    }
}

impl<C: Commitment> Settlement<C> {
    /// The claim is false. The challenge that showed it is paid at once, the others collect; at least half
    /// burns.
    pub(super) fn fall(
        &mut self,
        now_ms: u64,
        claim_id: ClaimId,
        by: ChallengeId,
        reason: FallReason,
    ) -> Vec<Event> {
        let (Some(claim), Some(challenge)) =
            (self.claims.get_mut(&claim_id), self.challenges.get_mut(&by))
        else {
            return Vec::new();
        };
        let (stake_wei, own_work) = (claim.stake_wei, challenge.work());
        let parameters = &self.genesis.parameters;
        let shares = Shares::new(parameters, stake_wei, claim.open, claim.work, own_work);
        let Shares { own_wei, unit_wei, share_wei, owed_wei } = shares;
        claim.owed_wei = owed_wei;
        claim.end(ClaimStatus::Fallen {
            reason: reason.clone(),
            challenge: by,
            at_ms: now_ms,
            unit_wei,
            share_wei,
        });
        if let Some(job) = self.jobs.get_mut(&claim.terms.job) {
            job.standing = job.standing.saturating_sub(1);
            let further_ms = parameters.further_ms(job.terms.iterations_max);
            let again_ms = parameters.executor_clock_ms.saturating_add(further_ms);
            let again_until_ms = now_ms.saturating_add(again_ms);
            job.open_until_ms = job.open_until_ms.max(again_until_ms);
            if job.first_standing == claim.number {
                job.first_standing = job.first_standing.saturating_add(1);
            }
        }
        let reward_wei = own_wei + share_wei;
        let back_wei = challenge.won(reward_wei);
        let challenger = challenge.challenger;
        self.money.release(challenger, back_wei + reward_wei);
        let burned_wei = stake_wei - reward_wei - owed_wei;
        self.money.burn(burned_wei);
        vec![
            Event::ClaimFallen { claim: claim_id, reason, burned_wei },
            Event::ChallengeWon { challenge: by, challenger, reward_wei },
        ]
    }

    /// Pays out a challenge of a claim that fell by another one.
    pub(super) fn collect(&mut self, now_ms: u64, sender: Address, id: ChallengeId) -> Outcome {
        let claim_id = self.admitted(now_ms, sender, &id, ChallengeMove::Collect)?.claim;
        let claim = self.claims.get_mut(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        let ClaimStatus::Fallen { unit_wei, share_wei, .. } = claim.status else {
            return Err(Rejection::Waiting { what: "the claim" });
        };
        let challenge =
            self.challenges.get_mut(&id).ok_or(Rejection::Unknown { kind: "challenge" })?;
        let reward_wei = unit_wei * u128::from(challenge.work()) + share_wei;
        let back_wei = challenge.won(reward_wei);
        claim.owed_wei -= reward_wei;
        let challenger = challenge.challenger;
        self.money.release(challenger, back_wei + reward_wei);
        Ok(vec![Event::ChallengeWon { challenge: id, challenger, reward_wei }])
    }

    /// The challenge failed: its fees and the cost of the replies go to the executor.
    pub(super) fn uphold(&mut self, now_ms: u64, id: ChallengeId) -> Vec<Event> {
        let Some(challenge) = self.challenges.get_mut(&id) else {
            return Vec::new();
        };
        let Some(claim) = self.claims.get_mut(&challenge.claim) else {
            return Vec::new();
        };
        // Of demands for inputs and outputs the fee pays alone.
        let replies = u128::from(challenge.replies);
        let cost_wei = self.genesis.parameters.reply_cost_wei.saturating_mul(replies);
        let paid_wei = cost_wei.min(challenge.bond_wei);
        let burned_wei = challenge.bond_wei - paid_wei;
        challenge.end(ChallengeStatus::Lost);
        claim.let_go(challenge);
        let (challenger, claim_id) = (challenge.challenger, challenge.claim);
        self.money.release(claim.executor, challenge.fees_wei + paid_wei);
        self.money.burn(burned_wei);
        let mut events = vec![Event::ChallengeLost { challenge: id, challenger, burned_wei }];
        events.extend(self.serve_next(now_ms, claim_id));
        events
    }

    /// The challenger looked at an input or an output, was answered, and has nothing against the claim.
    pub(super) fn withdraw_challenge(
        &mut self,
        now_ms: u64,
        sender: Address,
        id: ChallengeId,
    ) -> Outcome {
        if !self.admitted(now_ms, sender, &id, ChallengeMove::Withdraw)?.can_be_withdrawn() {
            return Err(Rejection::NotWithdrawable);
        }
        let challenge =
            self.challenges.get_mut(&id).ok_or(Rejection::Unknown { kind: "challenge" })?;
        let (claim_id, challenger) = (challenge.claim, challenge.challenger);
        let claim = self.claims.get_mut(&claim_id).ok_or(Rejection::Unknown { kind: "claim" })?;
        // One that costs nothing would make delay free.
        let permille = self.genesis.parameters.withdraw_permille;
        let burned_wei = permille_of(challenge.bond_wei, permille).min(challenge.bond_wei);
        challenge.end(ChallengeStatus::Withdrawn);
        claim.let_go(challenge);
        self.money.release(claim.executor, challenge.fees_wei);
        self.money.release(challenger, challenge.bond_wei - burned_wei);
        self.money.burn(burned_wei);
        let mut events = vec![Event::ChallengeWithdrawn { challenge: id, challenger, burned_wei }];
        events.extend(self.serve_next(now_ms, claim_id));
        Ok(events)
    }

    /// A challenge ended, and its place is free: the first one that waits is served now.
    fn serve_next(&mut self, now_ms: u64, claim: ClaimId) -> Option<Event> {
        let ended = self.claims.get(&claim)?.ended;
        let number = ended.checked_add(self.genesis.parameters.served_max)?.checked_sub(1)?;
        let id = *self.challenges_by_number.get(&(claim, number))?;
        let next = self.challenges.get_mut(&id)?;
        if next.status != ChallengeStatus::Queued {
            return None;
        }
        next.status = ChallengeStatus::Open { turn: Turn::Challenger, since_ms: now_ms };
        next.served = true;
        let work = next.work();
        if let Some(claim) = self.claims.get_mut(&claim) {
            claim.work = claim.work.saturating_add(work);
        }
        Some(Event::ChallengeServed { challenge: id })
    }
}

impl<C: Commitment> Claim<C> {
    /// A challenge ended while the claim stands.
    fn let_go(&mut self, challenge: &Challenge) {
        self.open = self.open.saturating_sub(1);
        self.ended = self.ended.saturating_add(1);
        self.work = self.work.saturating_sub(challenge.work());
    }
}

impl Challenge {
    /// Ends as won; returns what it had locked, in wei.
    fn won(&mut self, reward_wei: u128) -> u128 {
        self.end(ChallengeStatus::Won { reward_wei });
        self.bond_wei + self.fees_wei
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::ETHER;

    #[test]
    fn half_of_the_stake_burns_whatever_the_number_of_challenges() {
        let parameters = Parameters::default();
        for (open, work) in [(1, 2), (1, 46), (2, 4), (64, 128), (64, 64 * 46), (u32::MAX, 1 << 40)]
        {
            for own in [2, 26, 46] {
                for stake_wei in [ETHER, ETHER + 1, 1_000 * ETHER] {
                    let work = work + own;
                    let shares = Shares::new(&parameters, stake_wei, open, work, own);
                    let paid_wei = shares.own_wei + shares.share_wei + shares.owed_wei;
                    assert!(paid_wei <= stake_wei / 2, "{open} challenges of {work}: {shares:?}");
                    // Whoever convicts has its cost back.
                    assert_eq!(shares.own_wei, parameters.work_cost_wei * u128::from(own));
                }
            }
        }
    }

    #[test]
    fn a_crowd_takes_no_cost_of_the_challenge_that_convicts_and_shares_what_is_left() {
        let parameters = Parameters::default();
        let alone = Shares::new(&parameters, ETHER, 1, 10, 10);
        let wanted =
            Shares { own_wei: ETHER / 10, unit_wei: 0, share_wei: ETHER / 10 * 4, owed_wei: 0 };
        assert_eq!(alone, wanted);
        // 63 others with two pieces of work each: 126 pieces at most 0.4 ETH.
        let crowd = Shares::new(&parameters, ETHER, 64, 10 + 126, 10);
        assert_eq!(crowd.own_wei, ETHER / 10);
        assert_eq!(crowd.unit_wei, ETHER / 10 * 4 / 126);
        assert_eq!(crowd.share_wei, (ETHER / 10 * 4 - crowd.unit_wei * 126) / 64);
    }
}
