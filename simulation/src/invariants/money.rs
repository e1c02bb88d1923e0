//! Money: nothing appears and nothing vanishes.

use protocol::hash::Commitment;
use protocol::settlement::{Event, Settlement};
use protocol::transaction::{Action, Address};

use super::{Audit, Invariant, Surroundings};

impl<C: Commitment> Audit<C> {
    /// Takes down what a transaction says that it moves.
    pub(super) fn books_of(
        &mut self,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
        events: &[Event],
    ) {
        match action {
            // Only the bank says what came in from outside.
            Action::Deposit { amount_wei, .. } if *sender == state.genesis().bank => {
                self.books.deposited_wei += amount_wei;
            }
            Action::Deposit { .. } => {}
            Action::Withdraw { amount_wei } => self.books.withdrawn_wei += amount_wei,
            // One opened from a seal was paid for by the seal's record.
            Action::RegisterModel { .. }
            | Action::PostJob { .. }
            | Action::PostClaim { .. }
            | Action::SealClaim { .. }
            | Action::Attest { .. }
            | Action::Challenge { .. } => {
                self.books.pays_record_fee(*sender, state.parameters().record_fee_wei);
            }
            Action::ExpireJob { .. }
            | Action::Demand { .. }
            | Action::Reveal { .. }
            | Action::Refute { .. }
            | Action::CallTime { .. }
            | Action::Finalise { .. }
            | Action::OpenClaim { .. }
            | Action::ProveAttention { .. }
            | Action::ExpireSeal { .. }
            | Action::WithdrawChallenge { .. }
            | Action::Collect { .. }
            | Action::Release { .. }
            | Action::Pass { .. }
            | Action::CollectAttention { .. } => {}
        }
        for event in events {
            if let Event::ClaimFallen { burned_wei, .. }
            | Event::ChallengeLost { burned_wei, .. }
            | Event::ChallengeWithdrawn { burned_wei, .. }
            | Event::SealExpired { burned_wei, .. }
            | Event::AttentionCollected { burned_wei, .. } = event
            {
                self.books.burned_wei += burned_wei;
            }
        }
    }

    /// Whether what is on the ledger is what came in and stayed, and what burned is what was said to burn.
    pub(super) fn money(&mut self, around: &Surroundings<'_>, state: &Settlement<C>) {
        const EVERY_ACCOUNT_UP_TO: usize = 64;
        let money = state.money();
        let (burned_wei, told_wei) = (money.burned_wei(), self.books.burned_wei);
        self.hold(Invariant::BurnedIsTold, around.now_ms, burned_wei == told_wei, || {
            format!("{burned_wei} wei burned, record fees and events tell of {told_wei}")
        });
        let seldom = self.checks[Invariant::Conservation as usize];
        if money.accounts().len() > EVERY_ACCOUNT_UP_TO && !seldom.is_multiple_of(64) {
            self.checks[Invariant::Conservation as usize] += 1;
            return;
        }
        let free_wei: u128 = money.accounts().map(|(_, wei)| wei).sum();
        let inside_wei = free_wei + state.locked_by_objects_wei() + money.burned_wei();
        let expected_wei = self.books.deposited_wei - self.books.withdrawn_wei;
        self.hold(Invariant::Conservation, around.now_ms, inside_wei == expected_wei, || {
            format!("{inside_wei} wei on the ledger, {expected_wei} came in and stayed")
        });
    }
}
