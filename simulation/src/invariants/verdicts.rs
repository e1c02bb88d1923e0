//! Verdicts: a claim falls for the truth alone, all its challenges end with it, and who was right is paid.

use ledger::words;
use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId};
use protocol::referee::Evidence;
use protocol::settlement::{ChallengeStatus, FallReason, Settlement};
use protocol::transaction::Address;

use super::{Audit, Invariant, Sometimes, Surroundings};

impl<C: Commitment> Audit<C> {
    /// Whether a claim fell rightly, in time, and with all its challenges.
    pub(super) fn fallen(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ClaimId,
        reason: &FallReason,
        burned_wei: u128,
    ) {
        self.saw(match reason {
            FallReason::Silence(_) => Sometimes::FellBySilence,
            FallReason::Refuted(Evidence::Step { claimed, .. }) if claimed.len() > 1 => {
                Sometimes::RefutedBySegment
            }
            FallReason::Refuted(Evidence::Step { segment, .. }) if *segment > 0 => {
                Sometimes::RefutedBySegment
            }
            FallReason::Refuted(Evidence::Step { .. } | Evidence::Leaf { .. }) => {
                Sometimes::RefutedByStep
            }
            FallReason::Refuted(Evidence::Contradiction { .. } | Evidence::StateValue { .. }) => {
                Sometimes::RefutedByBinding
            }
        });
        let Some(claim) = state.claim(id) else { return };
        let stake_wei = claim.stake_wei;
        self.hold(Invariant::HalfBurned, around.now_ms, burned_wei >= stake_wei / 2, || {
            format!("{burned_wei} of {stake_wei} wei burned")
        });
        let open = claim
            .challenges
            .iter()
            .any(|id| state.challenge(id).is_some_and(|challenge| challenge.is_open()));
        self.hold(Invariant::VerdictEndsAll, around.now_ms, !open, || {
            format!("{id} fell and a challenge of it is still open")
        });
        let entry = self.books.claims.get(id);
        let (is_true, by_honest) = entry.map_or((false, false), |e| (e.is_true, e.by_honest));
        let refuted = matches!(reason, FallReason::Refuted(_));
        // A lie inside a layer that does not reach its end leaves the claim true; opened, it is
        // refuted all the same.
        let honest = entry.and_then(|entry| entry.known.as_ref()).is_some_and(|one| one.honest);
        let wrong = refuted && is_true && honest;
        self.hold(Invariant::VerdictIsTruth, around.now_ms, !wrong, || {
            format!("the true claim {id} was refuted and {}", words::fall(reason, None))
        });
        let silenced = by_honest && !refuted;
        self.hold(Invariant::NoHonestLoss, around.now_ms, !silenced, || {
            format!("an honest executor's claim {id} was {}", words::fall(reason, None))
        });
        if claim.facts.openings() > 3 {
            self.saw(Sometimes::Withheld);
        } else {
            self.saw(Sometimes::Published);
        }
        // What strangers play among themselves may end whenever somebody calls time.
        let honest_part = claim.challenges.iter().any(|id| {
            state.challenge(id).is_some_and(|challenge| (around.honest)(&challenge.challenger))
        });
        if honest_part {
            self.in_time(around, claim.last_finality_ms, id);
        }
    }

    /// Whether an honest winner got what is promised to each.
    pub(super) fn won(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ChallengeId,
        challenger: &Address,
        reward_wei: u128,
    ) {
        let Some(claim) = state.challenge(id).and_then(|challenge| state.claim(&challenge.claim))
        else {
            return;
        };
        let winners = claim.challenges.iter().filter(|id| {
            let challenge = state.challenge(id);
            challenge.is_some_and(|one| matches!(one.status, ChallengeStatus::Won { .. }))
        });
        let honest = winners
            .clone()
            .filter(|id| state.challenge(id).is_some_and(|one| (around.honest)(&one.challenger)));
        if honest.count() > 1 {
            self.saw(Sometimes::TwoHonestChallengers);
        }
        if !(around.honest)(challenger) {
            return;
        }
        // What is promised to each: its costs, as far as half of the stake reaches.
        let (cost_wei, half_wei) = (state.parameters().challenge_cost_wei, claim.stake_wei / 2);
        let opened = claim.challenges.len() as u128;
        let promised_wei = if cost_wei * opened <= half_wei { cost_wei } else { 0 };
        self.hold(Invariant::RewardCoversCost, around.now_ms, reward_wei >= promised_wei, || {
            format!("an honest winner got {reward_wei} of {promised_wei} wei promised")
        });
    }

    /// Whether a challenger that lost was wrong, or dishonest.
    pub(super) fn lost(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ChallengeId,
        challenger: &Address,
        by_time: bool,
    ) {
        self.saw(if by_time { Sometimes::ChallengerTimedOut } else { Sometimes::ChallengeUpheld });
        let claim = state.challenge(id).map(|challenge| challenge.claim);
        let entry = claim.and_then(|claim| self.books.claims.get(&claim));
        let wronged = (around.honest)(challenger) && entry.is_some_and(|claim| !claim.is_true);
        self.hold(Invariant::HonestRefutationWins, around.now_ms, !wronged, || {
            format!("an honest challenger lost {id} against a false claim")
        });
    }
}
