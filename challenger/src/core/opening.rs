//! Which challenges are opened, as far as the money reaches.

use std::cmp::Reverse;

use ledger::View;
use node::Decision;
use node::exposure::demands_reserve_wei;
use protocol::hash::Commitment;
use protocol::ids::ClaimId;
use protocol::settlement::{Challenge, Claim};
use protocol::transaction::Action;

use super::{ChallengerCore, Policy};
use crate::wanted_inputs::takes_wei;

/// A claim that is to be challenged.
struct Wanted<'a, C: Commitment> {
    claim: &'a Claim<C>,
    id: &'a ClaimId,
    /// Why, for people.
    reason: String,
    /// Fees for its input, where that is asked for first.
    input_wei: u128,
}

impl<C: Commitment> ChallengerCore<C> {
    /// Claims that would be challenged if there were money for bond and fees: deposit more.
    pub fn unaffordable(&self, view: &View<C>) -> Vec<ClaimId> {
        self.new_challenges(view).1
    }

    /// New challenges, as far as the money reaches, and the claims for which it does not: the largest
    /// stake first, because there the most is at risk.
    pub(super) fn new_challenges(&self, view: &View<C>) -> (Vec<Decision>, Vec<ClaimId>) {
        let mut wanted = self.wanted(view);
        wanted.sort_by_key(|one| (Reverse(one.claim.stake_wei), *one.id));
        let parameters = view.settlement.parameters();
        let mut free_wei = self.spendable_wei(view);
        let (mut decisions, mut unaffordable) = (Vec::new(), Vec::new());
        for Wanted { claim, id, reason, input_wei } in wanted {
            let takes_wei = takes_wei(parameters, claim.stake_wei, input_wei);
            let Some(left_wei) = free_wei.checked_sub(takes_wei) else {
                #[cfg(test)]
                cov_mark::hit!(challenge_is_unaffordable);
                unaffordable.push(*id);
                continue;
            };
            free_wei = left_wei;
            decisions.push(Decision {
                action: Action::Challenge { claim: *id },
                reason,
                deadline_ms: Some(claim.window_end_ms),
            });
        }
        (decisions, unaffordable)
    }

    /// Claims that the policy challenges and this account has not, and why. Where the run has no result, that is
    /// every claim. Where nobody published the input, a claim whose executor is asked for it.
    fn wanted<'a>(&'a self, view: &'a View<C>) -> Vec<Wanted<'a, C>> {
        let settlement = &view.settlement;
        let open =
            settlement.standing_claims().filter(|(_, claim)| view.now_ms <= claim.window_end_ms);
        let differing = open.filter_map(|(id, claim)| {
            let truth = self.truths.get(&claim.terms.job)?;
            let differs = truth.refuses(&claim.terms);
            let policy = match self.policy {
                Policy::Differing => differs && self.may_open(view, claim),
                Policy::Everything => true,
                Policy::Nothing => false,
            };
            let already = settlement.challenge_by(id, &self.address).is_some();
            let reason = || match truth.no_result() {
                Some(no_result) => format!("the job has no result: {no_result}"),
                None if differs => "the claim's trace root is not ours".to_owned(),
                None => "policy: challenge everything".to_owned(),
            };
            (policy && !already).then(|| Wanted { claim, id, reason: reason(), input_wei: 0 })
        });
        let askable = self.inputs.askable(view, &self.address);
        let asked =
            askable.filter(|_| self.policy != Policy::Nothing).map(|(claim, id, input_wei)| {
                let reason =
                    "its input is not published, and what is at stake is worth asking".to_owned();
                Wanted { claim, id, reason, input_wei }
            });
        differing.chain(asked).collect()
    }

    /// Whether a false claim is challenged now: its run is in memory, or there is no time left to make it again first.
    /// The clock of a challenge runs from its opening on, and a crowd of claims on runs that were let go would use it up.
    fn may_open(&self, view: &View<C>, claim: &Claim<C>) -> bool {
        let last_ms = opened_by_ms(view, claim);
        self.has_run_of(claim) || view.now_ms >= last_ms
    }

    /// When claims that differ are challenged though their runs are not in memory.
    pub(super) fn last_openings_ms<'a>(
        &'a self,
        view: &'a View<C>,
    ) -> impl Iterator<Item = u64> + 'a {
        let waiting = view.settlement.standing_claims().filter(move |(id, claim)| {
            let truth = self.truths.get(&claim.terms.job);
            let differs = truth.is_some_and(|truth| truth.refuses(&claim.terms));
            let already = view.settlement.challenge_by(id, &self.address).is_some();
            differs && !already && !self.has_run_of(claim)
        });
        let times_ms = waiting.map(move |(_, claim)| opened_by_ms(view, claim));
        times_ms.filter(|_| self.policy == Policy::Differing)
    }

    /// Free money, less what challenges under way may still need.
    fn spendable_wei(&self, view: &View<C>) -> u128 {
        if self.is_funded {
            return u128::MAX;
        }
        let settlement = &view.settlement;
        let reserve_wei = demands_reserve_wei(settlement.parameters());
        let input_wei = |challenge: &Challenge| {
            let claim = settlement.claim(&challenge.claim);
            claim.map_or(0, |claim| self.inputs.cost_wei(view, &claim.terms.job))
        };
        let own =
            settlement.open_challenges().map(|(_, challenge)| challenge).filter(|challenge| {
                challenge.challenger == self.address && settlement.is_under_way(challenge)
            });
        own.fold(settlement.money().free_wei(&self.address), |free_wei, challenge| {
            #[cfg(test)]
            cov_mark::hit!(open_challenge_needs_a_reserve);
            let parameters = settlement.parameters();
            let demands_wei =
                parameters.demand_fee_wei.saturating_mul(u128::from(challenge.demands));
            // What was paid for an input is no part of what ordinary demands may still cost.
            let input_paid_wei = challenge.fees_wei.saturating_sub(demands_wei);
            let left_wei = reserve_wei.saturating_sub(demands_wei);
            let input_left_wei = input_wei(challenge).saturating_sub(input_paid_wei);
            free_wei.saturating_sub(left_wei).saturating_sub(input_left_wei)
        })
    }
}

/// Two moves before the end of a claim's time for challenges.
fn opened_by_ms<C: Commitment>(view: &View<C>, claim: &Claim<C>) -> u64 {
    let floor_ms = view.settlement.parameters().move_floor_ms;
    claim.window_end_ms.saturating_sub(floor_ms.saturating_mul(2))
}
