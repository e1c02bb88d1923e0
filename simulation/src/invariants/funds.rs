//! Whether a guardian could pay for what it must challenge: counted here from the ledger's state alone, by
//! the bound that `docs/simulation.md` gives, not by asking the challenger's core.

use std::collections::BTreeSet;

use node::exposure::DEMANDS_RESERVED;
use protocol::hash::Commitment;
use protocol::ids::ClaimId;
use protocol::settlement::{Claim, Settlement};
use protocol::transaction::{Action, Address};

use super::Audit;
use super::guardian::Guardian;

/// Demand fees that the input of any model of a world takes.
const FEES_OF_INPUT: u128 = 64;

impl<C: Commitment> Audit<C> {
    /// An honest challenger that has means of its own.
    pub(crate) fn add_guardian(&mut self, address: Address) {
        self.guardians.push(Guardian { address, short_ms: Vec::new(), is_short: false });
    }

    /// A guardian's machine is busy until then: claims that come before are not its to find false.
    pub(crate) fn overloaded(&mut self, guardian: &Address, now_ms: u64, until_ms: u64) {
        for one in self.guardians.iter_mut().filter(|one| one.address == *guardian) {
            one.short_ms.push((now_ms, until_ms));
        }
    }

    /// Notes whose money does not reach. It can change when a claim comes, or by what a guardian does.
    pub(super) fn funds(
        &mut self,
        now_ms: u64,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
    ) {
        let comes = matches!(action, Action::PostClaim { .. } | Action::OpenClaim { .. });
        if !comes && !self.guardians.iter().any(|one| one.address == *sender) {
            return;
        }
        for number in 0..self.guardians.len() {
            let Some(address) = self.guardians.get(number).map(|one| one.address) else { continue };
            let short = self.is_short(now_ms, state, &address);
            if let Some(guardian) = self.guardians.get_mut(number) {
                guardian.counted(now_ms, short);
            }
        }
    }

    fn is_short(&self, now_ms: u64, state: &Settlement<C>, guardian: &Address) -> bool {
        let parameters = state.parameters();
        let demands = u128::from(parameters.demands_max.min(DEMANDS_RESERVED));
        let fees_wei = parameters.demand_fee_wei.saturating_mul(demands);
        let inputs_wei = parameters.demand_fee_wei.saturating_mul(FEES_OF_INPUT);
        let mut challenged: BTreeSet<ClaimId> = BTreeSet::new();
        let mut needed_wei = 0u128;
        for (_, challenge) in state.challenges().filter(|(_, one)| one.challenger == *guardian) {
            challenged.insert(challenge.claim);
            let stands = state.claim(&challenge.claim).is_some_and(Claim::stands);
            if challenge.is_open() && stands {
                needed_wei += fees_wei.saturating_sub(challenge.fees_wei);
            }
        }
        let waits = |id: &ClaimId, claim: &Claim<C>| {
            claim.stands()
                && now_ms <= claim.window_end_ms
                && !challenged.contains(id)
                && (self.hidden_inputs || self.is_false(id))
        };
        for (_, claim) in state.standing_claims().filter(|(id, claim)| waits(id, claim)) {
            let share_wei = claim.stake_wei / 1_000 * u128::from(parameters.bond_permille);
            let bond_wei = share_wei.max(parameters.bond_wei_min).min(parameters.bond_wei_max);
            let opening_wei = bond_wei.saturating_add(parameters.record_fee_wei);
            needed_wei = needed_wei.saturating_add(opening_wei).saturating_add(fees_wei);
            if self.hidden_inputs {
                needed_wei = needed_wei.saturating_add(inputs_wei);
            }
        }
        needed_wei > state.money().free_wei(guardian)
    }

    fn is_false(&self, claim: &ClaimId) -> bool {
        self.books.claims.get(claim).is_some_and(|entry| !entry.is_true)
    }

    /// Whether somebody watched the claim who had money for every false claim, and a machine that was not too busy, as
    /// long as it could be challenged; and as long as its own dispute of the claim went on.
    pub(super) fn is_guarded(&self, now_ms: u64, state: &Settlement<C>, id: &ClaimId) -> bool {
        let Some(claim) = state.claim(id) else { return false };
        self.guardians.iter().any(|one| {
            let disputes = state.challenge_by(id, &one.address).is_some();
            let until_ms = if disputes { now_ms } else { claim.window_end_ms.min(now_ms) };
            one.watched(claim.posted_ms, until_ms)
        })
    }
}
