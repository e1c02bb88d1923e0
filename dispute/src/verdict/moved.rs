//! What the transactions about one claim moved, and which those are.

use std::collections::BTreeMap;

use protocol::ids::ClaimId;
use protocol::settlement::{Challenge, ClaimStatus, Settlement};
use protocol::transaction::Address;

/// What a claim and its challenges are; a transaction that changes it is one about the claim.
fn record(settlement: &Settlement, id: &ClaimId) -> Option<(ClaimStatus, u32, Vec<Challenge>)> {
    let claim = settlement.claim(id)?;
    let ids = settlement.challenges_of(id);
    let challenges = ids.filter_map(|id| settlement.challenge(id)).cloned();
    Some((claim.status.clone(), claim.reveals, challenges.collect()))
}

/// Money that the transactions about a claim moved: of each of its parties, and burned.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) transactions: u64,
    pub(super) burned_wei: u128,
    /// Free money that accounts gained or lost.
    gained_wei: BTreeMap<Address, i128>,
}

/// Free money of those whom a transaction about a claim may concern, before it.
pub(super) struct Before {
    record: Option<(ClaimStatus, u32, Vec<Challenge>)>,
    burned_wei: u128,
    free_wei: BTreeMap<Address, u128>,
}

impl Before {
    pub(super) fn of(settlement: &Settlement, id: &ClaimId, sender: Address) -> Self {
        let record = record(settlement, id);
        let challengers = record.iter().flat_map(|(_, _, all)| all).map(|one| one.challenger);
        let executor = settlement.claim(id).map(|claim| claim.executor);
        let money = settlement.money();
        let accounts = challengers.chain(executor).chain([sender]);
        let free_wei = accounts.map(|account| (account, money.free_wei(&account))).collect();
        Self { record, burned_wei: money.burned_wei(), free_wei }
    }
}

impl Moved {
    /// Counts a transaction if it was about the claim.
    pub(super) fn see(&mut self, before: Before, settlement: &Settlement, id: &ClaimId) {
        if record(settlement, id) == before.record {
            return;
        }
        self.transactions += 1;
        let money = settlement.money();
        self.burned_wei += money.burned_wei().saturating_sub(before.burned_wei);
        for (account, free_wei) in before.free_wei {
            let signed = |wei: u128| i128::try_from(wei).unwrap_or(i128::MAX);
            let gained = signed(money.free_wei(&account)) - signed(free_wei);
            *self.gained_wei.entry(account).or_default() += gained;
        }
    }

    /// What an account gained by the transactions about the claim.
    pub(super) fn of(&self, account: &Address) -> i128 {
        self.gained_wei.get(account).copied().unwrap_or(0)
    }
}
