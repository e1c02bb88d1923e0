//! The formulas of `docs/protocol.md`, sections 8 and 9, computed again from what a ledger shows; and that what
//! anybody may do is done when it is due, and never otherwise.

use protocol::ClaimId;
use protocol::settlement::{ChallengeStatus, ClaimStatus, Event};
use protocol::transaction::Action;

use crate::world::{Verdict, World};

fn holds(is_so: bool, text: &str) -> Verdict {
    if is_so { Ok(()) } else { Err(text.to_owned()) }
}

impl World {
    /// Whether an action that anybody may send is due; none for others.
    pub(crate) fn is_due(&self, action: &Action) -> Option<bool> {
        match action {
            Action::CallTime { .. }
            | Action::Collect { .. }
            | Action::Finalise { .. }
            | Action::Release { .. }
            | Action::ExpireJob { .. }
            | Action::ExpireSeal { .. }
            | Action::CollectAttention { .. } => {
                let chores = self.chores();
                let due =
                    |(at_ms, _, chore): &(u64, _, Action)| *at_ms <= self.now_ms && chore == action;
                Some(chores.iter().any(due))
            }
            _ => None,
        }
    }

    /// What was paid, burned and promised is what the formulas say.
    pub(crate) fn check_formulas(&self, event: &Event) -> Verdict {
        match event {
            Event::ClaimPosted { claim, .. } => self.check_times(*claim),
            Event::Challenged { claim, .. } => self.check_times(*claim),
            Event::ClaimFallen { claim, burned_wei, .. } => self.check_fall(*claim, *burned_wei),
            Event::ChallengeWon { challenge, reward_wei, .. } => {
                let one = self.state.challenge(challenge).expect("it won");
                let claim = self.state.claim(&one.claim).expect("it fell");
                let ClaimStatus::Fallen { challenge: by, unit_wei, share_wei, .. } = claim.status
                else {
                    return holds(false, "a challenge won and its claim did not fall");
                };
                let shared_wei = unit_wei * u128::from(one.work()) + share_wei;
                let is_so = by == *challenge || *reward_wei == shared_wei;
                holds(is_so, "a challenge collects otherwise than by the formula")
            }
            Event::ChallengeLost { challenge, burned_wei, .. } => {
                let one = self.state.challenge(challenge).expect("it lost");
                let cost_wei = self.state.parameters().reply_cost_wei * u128::from(one.replies);
                let wanted_wei = one.bond_wei - cost_wei.min(one.bond_wei);
                holds(*burned_wei == wanted_wei, "a lost bond burns otherwise than by the formula")
            }
            Event::ChallengeWithdrawn { challenge, burned_wei, .. } => {
                let one = self.state.challenge(challenge).expect("it was withdrawn");
                let permille = u128::from(self.state.parameters().withdraw_permille);
                let wanted_wei = one.bond_wei * permille / 1_000;
                holds(*burned_wei == wanted_wei, "a withdrawal burns otherwise than by the formula")
            }
            _ => Ok(()),
        }
    }

    /// The bound that is printed with a claim.
    fn check_times(&self, id: ClaimId) -> Verdict {
        let parameters = self.state.parameters();
        let claim = self.state.claim(&id).expect("it was posted");
        let window_end_ms = claim.posted_ms + self.terms_of(&id).window_ms;
        let moves = 2 * u64::from(parameters.demands_max + parameters.end_asks_max) + 2;
        let one_ms = parameters.executor_clock_ms
            + parameters.challenger_clock_ms
            + parameters.move_floor_ms * moves;
        let last = claim.challenges.saturating_sub(1);
        let rounds = 1 + u64::from(last / parameters.served_max);
        let is_so = claim.window_end_ms == window_end_ms
            && claim.last_finality_ms == window_end_ms + one_ms * rounds;
        holds(is_so, "a claim's times are not those of the formula")
    }

    /// What a stake is divided into when its claim falls.
    fn check_fall(&self, id: ClaimId, burned_wei: u128) -> Verdict {
        let parameters = self.state.parameters();
        let claim = self.state.claim(&id).expect("it fell");
        let ClaimStatus::Fallen { challenge, unit_wei, share_wei, .. } = claim.status else {
            return holds(false, "a fallen claim did not fall");
        };
        let one = self.state.challenge(&challenge).expect("it convicted");
        let ChallengeStatus::Won { reward_wei } = one.status else {
            return holds(false, "who convicted did not win");
        };
        let (half_wei, cost_wei) = (claim.stake_wei / 2, parameters.work_cost_wei);
        let (open, rest) = (u128::from(claim.open), u128::from(claim.work - one.work()));
        let own_wei = half_wei.min(cost_wei * u128::from(one.work()));
        let left_wei = half_wei - own_wei;
        let unit = left_wei.checked_div(rest).map_or(0, |most| most.min(cost_wei));
        let pool_wei = claim.stake_wei * u128::from(parameters.reward_permille) / 1_000;
        let share = pool_wei.min(left_wei - unit * rest) / open;
        let owed_wei = unit * rest + share * (open - 1);
        let found = (reward_wei, unit_wei, share_wei, burned_wei);
        let wanted = (own_wei + share, unit, share, claim.stake_wei - own_wei - share - owed_wei);
        holds(found == wanted, "a stake is divided otherwise than by the formula")
    }
}
