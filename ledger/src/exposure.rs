//! What an account has at stake: from the ledger's state alone, for accounts, metrics and the monitor.

use std::collections::HashMap;

use protocol::hash::Commitment;
use protocol::settlement::{ChallengeStatus, ClaimStatus, Event, JobStatus, Parameters, Turn};
use protocol::transaction::Address;

use crate::View;

/// Demands that a challenger sets money aside for before it opens a challenge: more than any dispute
/// of the published models takes, so that none is lost for want of a fee.
pub const DEMANDS_RESERVED: u32 = 16;

/// Money for the demands of one challenge.
pub fn demands_reserve_wei(parameters: &Parameters) -> u128 {
    let demands = u128::from(parameters.demands_max.min(DEMANDS_RESERVED));
    parameters.demand_fee_wei.saturating_mul(demands)
}

/// Money and clocks of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Money that can be used or taken out.
    pub free_wei: u128,
    /// Stakes in its standing claims.
    pub stakes_wei: u128,
    /// Bonds and paid fees in its open challenges.
    pub bonds_wei: u128,
    /// Fees of its open jobs.
    pub fees_wei: u128,
    /// Free money that its open challenges may still need.
    pub needed_wei: u128,
    /// Its standing claims.
    pub claims: u64,
    /// Open challenges of its claims.
    pub disputes: u64,
    /// Its open challenges.
    pub challenges: u64,
    /// Moves that others wait for, from it.
    pub to_move: u64,
    /// When the first of these is too late.
    pub deadline_ms: Option<u64>,
}

impl Exposure {
    /// Of an account, at a view.
    pub fn of<C: Commitment>(view: &View<C>, account: &Address) -> Self {
        let settlement = &view.settlement;
        let parameters = settlement.parameters();
        let reserve_wei = demands_reserve_wei(parameters);
        let mut found = Self { free_wei: settlement.money().free_wei(account), ..Self::default() };
        for (_, job) in settlement.jobs() {
            if job.poster == *account && job.status == JobStatus::Open {
                found.fees_wei += job.terms.fee_wei.saturating_add(job.terms.attention_wei);
            }
        }
        for (_, claim) in settlement.claims() {
            if claim.executor == *account && claim.status == ClaimStatus::Standing {
                found.stakes_wei += claim.stake_wei;
                found.claims += 1;
            }
        }
        for (_, challenge) in settlement.challenges().filter(|(_, one)| one.is_open()) {
            let ours = challenge.challenger == *account;
            let against = settlement.claim(&challenge.claim).is_some_and(|claim| {
                claim.executor == *account && claim.status == ClaimStatus::Standing
            });
            if ours {
                found.challenges += 1;
                found.bonds_wei += challenge.bond_wei.saturating_add(challenge.fees_wei);
                found.needed_wei += reserve_wei.saturating_sub(challenge.fees_wei);
            }
            found.disputes += u64::from(against);
            let to_move = match &challenge.status {
                ChallengeStatus::Open { turn: Turn::Challenger, .. } => ours,
                ChallengeStatus::Open { turn: Turn::Executor(_), .. } => against,
                ChallengeStatus::Won { .. } | ChallengeStatus::Lost => false,
            };
            if to_move {
                found.to_move += 1;
                let deadline = challenge.deadline_ms(parameters.move_floor_ms);
                found.deadline_ms = match (found.deadline_ms, deadline) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
        }
        found
    }

    /// Free and locked money.
    pub fn total_wei(&self) -> u128 {
        self.free_wei + self.stakes_wei + self.bonds_wei + self.fees_wei
    }
}

/// What an account put in and took out, summed over the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// Put in.
    pub in_wei: u128,
    /// Taken out.
    pub out_wei: u128,
}

impl Paid {
    /// What the account gained with its money so far; less than nothing for a loss.
    pub fn profit_wei(&self, exposure: &Exposure) -> i128 {
        let has = exposure.total_wei().saturating_add(self.out_wei);
        i128::try_from(has).unwrap_or(i128::MAX) - i128::try_from(self.in_wei).unwrap_or(i128::MAX)
    }
}

/// What all accounts put in and took out.
///
/// ```
/// use ledger::exposure::Payments;
/// use protocol::settlement::Event;
/// use protocol::transaction::Address;
///
/// let account = Address([1; 20]);
/// let mut payments = Payments::default();
/// payments.see(&[Event::Deposited { account, amount_wei: 5 }]);
/// assert_eq!(payments.of(&account).in_wei, 5);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Payments(HashMap<Address, Paid>);

impl Payments {
    /// Adds what a transaction led to.
    pub fn see(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Deposited { account, amount_wei } => {
                    let paid = self.0.entry(*account).or_default();
                    paid.in_wei = paid.in_wei.saturating_add(*amount_wei);
                }
                Event::Withdrawn { account, amount_wei } => {
                    let paid = self.0.entry(*account).or_default();
                    paid.out_wei = paid.out_wei.saturating_add(*amount_wei);
                }
                _ => {}
            }
        }
    }

    /// Of an account.
    pub fn of(&self, account: &Address) -> Paid {
        self.0.get(account).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_accounts_put_in_and_took_out_is_summed_for_each() {
        let [one, other] = [1, 2].map(|number| Address([number; 20]));
        let mut payments = Payments::default();
        payments.see(&[
            Event::Deposited { account: one, amount_wei: 50 },
            Event::Deposited { account: other, amount_wei: 7 },
        ]);
        payments.see(&[Event::Withdrawn { account: one, amount_wei: 20 }]);
        assert_eq!(payments.of(&one), Paid { in_wei: 50, out_wei: 20 });
        assert_eq!(payments.of(&other), Paid { in_wei: 7, out_wei: 0 });
        assert_eq!(payments.of(&Address([3; 20])), Paid::default());
        let exposure = Exposure { free_wei: 45, ..Exposure::default() };
        assert_eq!(payments.of(&one).profit_wei(&exposure), 15);
    }
}
