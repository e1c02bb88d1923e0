//! Verdicts: a claim falls for the truth alone and once, what is left of its challenges is to be collected, and
//! who was right is paid.

use ledger::words;
use protocol::asks::Evidence;
use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId};
use protocol::settlement::{Challenge, ChallengeStatus, FallReason, Settlement};
use protocol::transaction::{Action, Address};

use super::{Audit, Invariant, Sometimes, Surroundings};
use crate::worst_cases::{Formula, signed};

/// Pieces of work of a challenge: two, and one for each demand of either kind.
fn work_of(challenge: &Challenge) -> u128 {
    // Who only waited has done none.
    let asks = u128::from(challenge.demands) + u128::from(challenge.end_asks);
    if challenge.served { 2 + asks } else { 0 }
}

impl<C: Commitment> Audit<C> {
    /// Whether a claim fell rightly, once, and in time.
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
            FallReason::Refuted(
                Evidence::Contradiction { .. }
                | Evidence::StateValue { .. }
                | Evidence::Link { .. }
                | Evidence::Entry { .. }
                | Evidence::Stop { .. },
            ) => Sometimes::RefutedByBinding,
        });
        let Some(claim) = state.claim(id) else { return };
        let stake_wei = claim.stake_wei;
        let kept_wei = signed(stake_wei) - signed(burned_wei);
        self.note(Formula::Stake, kept_wei, signed(stake_wei / 2));
        let half_burned = burned_wei >= stake_wei - stake_wei / 2;
        self.hold(Invariant::HalfBurned, around.now_ms, half_burned, || {
            format!("{burned_wei} of {stake_wei} wei burned")
        });
        let first = self.books.fallen.insert(*id);
        self.hold(Invariant::VerdictEndsAll, around.now_ms, first, || format!("{id} fell twice"));
        let entry = self.books.claims.get(id);
        let (is_true, by_honest) = entry.map_or((false, false), |e| (e.is_true, e.by_honest));
        let is_withheld = entry.is_some_and(|entry| entry.opened.len() > 3);
        let refuted = matches!(reason, FallReason::Refuted(_));
        // A lie inside a layer that does not reach its end leaves the claim true; opened, it is
        // refuted all the same, and so is the truth once its executor says something else of its inside.
        let said_truly = entry.is_some_and(|entry| entry.said_truly);
        let wrong = refuted && is_true && said_truly;
        self.hold(Invariant::VerdictIsTruth, around.now_ms, !wrong, || {
            format!("the true claim {id} was refuted and {}", words::fall(reason, None))
        });
        let silenced = by_honest && !refuted;
        self.hold(Invariant::NoHonestLoss, around.now_ms, !silenced, || {
            format!("an honest executor's claim {id} was {}", words::fall(reason, None))
        });
        if is_withheld {
            self.saw(Sometimes::Withheld);
        } else {
            self.saw(Sometimes::Published);
        }
        // What strangers play among themselves may end whenever somebody calls time.
        let honest_part = state.challenges_of(id).any(|id| {
            state.challenge(id).is_some_and(|challenge| (around.honest)(&challenge.challenger))
        });
        if honest_part {
            self.in_time(around, claim.last_finality_ms, id);
        }
    }

    /// Whether a move was taken in a dispute over a claim that had fallen before: only collecting is left.
    pub(super) fn moves_after_fall(&mut self, around: &Surroundings<'_>, action: &Action) {
        let (Action::Challenge { claim }
        | Action::Demand { claim, .. }
        | Action::Reveal { claim, .. }
        | Action::Refute { claim, .. }
        | Action::CallTime { claim, .. }
        | Action::WithdrawChallenge { claim }
        | Action::Finalise { claim }
        | Action::Release { claim }) = action
        else {
            return;
        };
        let over = self.books.fallen.contains(claim);
        self.hold(Invariant::VerdictEndsAll, around.now_ms, !over, || {
            format!("{} was taken after {claim} fell", words::action(action))
        });
    }

    /// Whether an honest winner got what is promised to each.
    pub(super) fn won(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ChallengeId,
        challenger: &Address,
        (reward_wei, collected): (u128, bool),
    ) {
        let Some(challenge) = state.challenge(id) else { return };
        let Some(claim) = state.claim(&challenge.claim) else { return };
        let (mut all_work, mut honest) = (0u128, 0);
        for one in state.challenges_of(&challenge.claim).filter_map(|id| state.challenge(id)) {
            let lost = matches!(one.status, ChallengeStatus::Lost | ChallengeStatus::Withdrawn);
            all_work += if lost { 0 } else { work_of(one) };
            let won = matches!(one.status, ChallengeStatus::Won { .. });
            honest += u32::from(won && (around.honest)(&one.challenger));
        }
        if honest > 1 {
            self.saw(Sometimes::TwoHonestChallengers);
        }
        if !collected {
            let lost_wei = signed(state.parameters().record_fee_wei) - signed(reward_wei);
            self.note(Formula::Conviction, lost_wei, 0);
        }
        if !(around.honest)(challenger) {
            return;
        }
        // Who convicts has the cost of its work back, as far as half of the stake reaches, whatever crowd of
        // others there is; those have theirs where it reaches for all.
        let (cost_wei, half_wei) = (state.parameters().work_cost_wei, claim.stake_wei / 2);
        let own_wei = cost_wei.saturating_mul(work_of(challenge));
        let for_all = cost_wei.saturating_mul(all_work) <= half_wei;
        let promised_wei = match (collected, for_all) {
            (false, _) => own_wei.min(half_wei),
            (true, true) => own_wei,
            (true, false) => 0,
        };
        self.hold(Invariant::RewardCoversCost, around.now_ms, reward_wei >= promised_wei, || {
            format!("an honest winner got {reward_wei} of {promised_wei} wei promised")
        });
    }

    /// A challenge was taken back: what that costs is the share of the bond that the parameters say, and the fees of
    /// what was answered.
    pub(super) fn taken_back(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ChallengeId,
        challenger: &Address,
        burned_wei: u128,
    ) {
        self.saw(Sometimes::ChallengeWithdrawn);
        let Some(challenge) = state.challenge(id) else { return };
        let permille = u128::from(state.parameters().withdraw_permille);
        let share_wei = challenge.bond_wei * permille / 1_000;
        let back_wei = signed(challenge.bond_wei) - signed(burned_wei);
        let allowed_wei = signed(challenge.bond_wei) - signed(share_wei);
        self.note(Formula::Withdrawal, back_wei, allowed_wei);
        let cost_wei = share_wei + challenge.fees_wei;
        *self.books.withdrawals_wei.entry(*challenger).or_default() += cost_wei;
        // Nobody delays for nothing: an answer was asked for and paid, or a share of a bond burned.
        self.hold(Invariant::NoFreeLock, around.now_ms, cost_wei > 0, || {
            format!("{id} was taken back for nothing")
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
