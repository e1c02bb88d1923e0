//! What an account has at stake: from the ledger's state alone, for accounts, metrics and the monitor.

use ledger::View;
use ledger::payments::Paid;
use protocol::hash::Commitment;
use protocol::settlement::{Challenge, ChallengeStatus, JobStatus, Parameters, SealedStatus, Turn};
use protocol::transaction::Address;

/// Demands that a challenger sets money aside for before it opens a challenge: more than any dispute
/// of the published models takes, so that none is lost for want of a fee.
pub const DEMANDS_RESERVED: u32 = 16;

/// Money for the demands of one challenge.
pub fn demands_reserve_wei(parameters: &Parameters) -> u128 {
    let demands = u128::from(parameters.demands_max.min(DEMANDS_RESERVED));
    parameters.demand_fee_wei.saturating_mul(demands)
}

/// Free money that a claim with this stake takes: the stake, and what burns for its record.
pub fn claim_takes_wei(parameters: &Parameters, stake_wei: u128) -> u128 {
    stake_wei.saturating_add(parameters.record_fee_wei)
}

/// Free money that a challenge of a claim with this stake takes: the bond, what burns for its record, and
/// what is set aside for its demands.
pub fn challenge_takes_wei(parameters: &Parameters, stake_wei: u128) -> u128 {
    let record_wei = parameters.bond_wei(stake_wei).saturating_add(parameters.record_fee_wei);
    record_wei.saturating_add(demands_reserve_wei(parameters))
}

/// Money and clocks of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Money that can be used or taken out.
    pub free_wei: u128,
    /// Stakes in its standing claims, and in its sealed ones that wait to be opened.
    pub stakes_wei: u128,
    /// Bonds and paid fees in its open challenges, in those that are to be collected, and bonds of its words
    /// about sealed claims.
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
    /// Its challenges of claims that fell, which were not paid out yet.
    pub to_collect: u64,
    /// Its standing claims on jobs that are over, whose stakes can go back.
    pub to_release: u64,
    /// Its open jobs whose time for claims is over and on which nothing stands or waits.
    pub to_expire: u64,
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
        for (_, job) in settlement.open_jobs() {
            if job.poster == *account {
                found.fees_wei += job.terms.locked_wei().unwrap_or_default();
                let waits = job.standing > 0 || job.seals_waiting > 0;
                found.to_expire += u64::from(!waits && view.now_ms > job.open_until_ms);
            }
        }
        for (_, claim) in settlement.standing_claims() {
            if claim.executor == *account {
                found.stakes_wei += claim.stake_wei;
                found.claims += 1;
                let job = settlement.job(&claim.terms.job);
                let is_over = job.is_some_and(|job| job.status != JobStatus::Open);
                found.to_release += u64::from(is_over && !claim.is_disputed());
            }
        }
        for (id, sealed) in settlement.all_sealed() {
            if sealed.executor == *account && sealed.status == SealedStatus::Waiting {
                found.stakes_wei += sealed.stake_wei;
            }
            let word = settlement.attestation(id, account);
            found.bonds_wei += word.map_or(0, |word| word.bond_wei);
        }
        for (_, challenge) in settlement.open_challenges() {
            let ours = challenge.challenger == *account;
            if ours {
                found.bonds_wei += challenge.bond_wei.saturating_add(challenge.fees_wei);
            }
            if !settlement.is_under_way(challenge) {
                found.to_collect += u64::from(ours);
                continue;
            }
            let against =
                settlement.claim(&challenge.claim).is_some_and(|claim| claim.executor == *account);
            if ours {
                found.challenges += 1;
                // What was paid for inputs is no part of what ordinary demands may still cost.
                let paid_wei =
                    parameters.demand_fee_wei.saturating_mul(u128::from(challenge.demands));
                found.needed_wei += reserve_wei.saturating_sub(paid_wei);
            }
            found.disputes += u64::from(against);
            found.count_move(challenge, ours, against, parameters.move_floor_ms);
        }
        found
    }

    /// Counts a challenge under way in which this account must move.
    fn count_move(&mut self, challenge: &Challenge, ours: bool, against: bool, floor_ms: u64) {
        let to_move = match &challenge.status {
            ChallengeStatus::Open { turn: Turn::Challenger, .. } => ours,
            ChallengeStatus::Open { turn: Turn::Executor, .. } => against,
            ChallengeStatus::Queued
            | ChallengeStatus::Won { .. }
            | ChallengeStatus::Lost
            | ChallengeStatus::Withdrawn => false,
        };
        if to_move {
            self.to_move += 1;
            self.deadline_ms = match (self.deadline_ms, challenge.deadline_ms(floor_ms)) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }

    /// Free and locked money.
    pub fn total_wei(&self) -> u128 {
        self.free_wei + self.stakes_wei + self.bonds_wei + self.fees_wei
    }

    /// What the account gained with the money it paid in; less than nothing for a loss.
    pub fn profit_wei(&self, paid: Paid) -> i128 {
        let has_wei = self.total_wei().saturating_add(paid.out_wei);
        i128::try_from(has_wei).unwrap_or(i128::MAX)
            - i128::try_from(paid.in_wei).unwrap_or(i128::MAX)
    }
}

#[cfg(test)]
mod tests;
