//! Money: nothing appears and nothing vanishes.

use protocol::hash::Commitment;
use protocol::settlement::Settlement;
use protocol::transaction::Action;

use super::{Audit, Invariant, Surroundings};

impl<C: Commitment> Audit<C> {
    /// Whether what is on the ledger is what came in and stayed.
    pub(super) fn money(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        action: &Action,
    ) {
        const EVERY_ACCOUNT_UP_TO: usize = 64;
        match action {
            Action::Deposit { amount_wei, .. } => self.books.deposited_wei += amount_wei,
            Action::Withdraw { amount_wei } => self.books.withdrawn_wei += amount_wei,
            _ => {}
        }
        let money = state.money();
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
