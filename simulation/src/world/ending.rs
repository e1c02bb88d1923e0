//! How a world ends: last checks, outcomes, profits.

use protocol::asks::Evidence;
use protocol::hash::Commitment;
use protocol::settlement::{
    Challenge, ChallengeStatus, Claim, ClaimStatus, FallReason, JobStatus, Settlement,
};
use protocol::transaction::Address;

use super::{Ended, GroupEnd, Party, PartyCore, World, honesty};
use crate::invariants::{HonestEnd, Invariant};
use crate::scenario::{MILLIETHER, ParameterPatch, Side};

/// Whether an outcome is one of those expected (`|` between alternatives).
pub fn outcome_matches(expected: &str, outcome: &str) -> bool {
    expected.is_empty() || expected.split('|').any(|one| one == outcome)
}

impl<C: Commitment> World<C> {
    /// Last checks, once nothing happens any more.
    pub(super) fn finish(&mut self) {
        if !self.audit.violations.is_empty() {
            return;
        }
        self.now_ms = self.now_ms.max(self.horizon_ms());
        let ends: Vec<HonestEnd> = self
            .parties
            .iter()
            .filter(|party| party.plan.honest)
            .map(|party| {
                let name = self.scenario.party.get(party.group).map(|spec| spec.name.clone());
                let delta_wei = self.delta_wei(party) + self.paid_fees_wei(party);
                let (name, side) = (name.unwrap_or_default(), party.plan.side);
                HonestEnd { name, address: party.address, side, delta_wei }
            })
            .collect();
        let honest = honesty(&self.parties, &self.by_address);
        let around = self.surroundings(&honest);
        self.audit.ended(&around, &self.settlement, &ends);
        self.jobs_ended();
        let earned_wei = i128::try_from(self.earned_by_coalition_wei()).unwrap_or(i128::MAX);
        let wei = [self.coalition_wei(), earned_wei, self.burned_of_coalition_wei()];
        self.audit.coalition(self.now_ms, wei);
        if self.check_replay && self.audit.violations.is_empty() {
            self.replay();
            let (genesis, seed) = (self.settlement.genesis().clone(), self.scenario.seed);
            self.audit.foreign_signatures(self.now_ms, &genesis, seed);
        }
        self.audit.tell_unpaid();
    }

    /// Whether every job of an honest client is over: its money is not held for ever.
    fn jobs_ended(&mut self) {
        let clients = self.parties.iter().filter_map(|party| match &party.core {
            PartyCore::Client { jobs } if party.plan.honest => Some(jobs),
            _ => None,
        });
        let open = clients
            .flatten()
            .find(|id| self.settlement.job(id).is_some_and(|job| job.status == JobStatus::Open));
        let open = open.copied();
        self.audit.hold(Invariant::DisputesEnd, self.now_ms, open.is_none(), || {
            format!("{} of an honest client never ended", open.unwrap_or_default())
        });
    }

    /// What all dishonest parties won together, fees outside the protocol aside.
    fn coalition_wei(&self) -> i128 {
        let dishonest = self.parties.iter().filter(|party| !party.plan.honest);
        let won = dishonest.map(|party| {
            self.delta_wei(party) + self.to_collect_wei(party) + self.withdrawn_wei(party)
        });
        won.sum()
    }

    /// Fees of jobs of honest posters that claims of dishonest parties answered, and what else they rightly have.
    fn earned_by_coalition_wei(&self) -> u128 {
        let is_dishonest = |address: &Address| {
            let party = self.by_address.get(address).and_then(|index| self.parties.get(*index));
            party.is_some_and(|party| !party.plan.honest)
        };
        let earned = self.settlement.jobs().filter_map(|(_, job)| {
            let JobStatus::Done { claim } = job.status else { return None };
            let by_it =
                self.settlement.claim(&claim).is_some_and(|one| is_dishonest(&one.executor));
            let fee_wei = job.terms.locked_wei().unwrap_or_default();
            (by_it && !is_dishonest(&job.poster)).then_some(fee_wei)
        });
        // What honest challengers paid them for looking at inputs that nobody published.
        let looked_wei =
            self.audit.books.accounts.looked_wei(|challenger, executor| {
                !is_dishonest(challenger) && is_dishonest(executor)
            });
        earned.sum::<u128>().saturating_add(looked_wei)
    }

    /// What the rules burned of the money of dishonest parties.
    fn burned_of_coalition_wei(&self) -> i128 {
        let accounts = &self.audit.books.accounts;
        let dishonest = self.parties.iter().filter(|party| !party.plan.honest);
        let burned = dishonest.map(|party| accounts.burned_of_wei(&party.address));
        i128::try_from(burned.sum::<u128>()).unwrap_or(i128::MAX)
    }

    /// What a client rightly paid for answers, and what its open jobs still hold.
    fn paid_fees_wei(&self, party: &Party<C>) -> i128 {
        if party.plan.side != Side::Client {
            return 0;
        }
        let jobs = self.settlement.jobs().filter(|(_, job)| job.poster == party.address);
        let paid = jobs.filter(|(_, job)| job.status != JobStatus::Expired);
        paid.map(|(_, job)| job.terms.locked_wei().unwrap_or_default() as i128).sum()
    }

    fn replay(&mut self) {
        let genesis = self.settlement.genesis().clone();
        let mut again = Settlement::<C>::new_unchecked(genesis);
        for (at_ms, sender, nonce, action) in &self.accepted {
            let taken = again.perform_numbered(*at_ms, *sender, *nonce, action);
            if taken.is_err() {
                break;
            }
        }
        let same = again == *self.settlement;
        let now_ms = self.now_ms;
        self.audit.hold(Invariant::ReplayIsIdentical, now_ms, same, || {
            "a replay of the accepted transactions gives another ledger".to_owned()
        });
    }

    fn delta_wei(&self, party: &Party<C>) -> i128 {
        let free_wei = self.settlement.money().free_wei(&party.address) as i128;
        let locked_wei: u128 = self
            .settlement
            .claims()
            .filter(|(_, claim)| claim.executor == party.address && claim.stands())
            .map(|(_, claim)| claim.stake_wei)
            .sum();
        let deposited_wei = (u128::from(party.plan.capital_milliether) * MILLIETHER) as i128;
        free_wei + locked_wei as i128 - deposited_wei
    }

    /// What a party can still collect: bonds, fees and shares of its challenges of claims that fell. The
    /// world does not wait for who is dishonest.
    fn to_collect_wei(&self, party: &Party<C>) -> i128 {
        let own = self.settlement.challenges().filter(|(_, one)| {
            one.challenger == party.address && one.is_open() && !self.settlement.is_under_way(one)
        });
        let wei = |challenge: &Challenge| {
            let claim = self.settlement.claim(&challenge.claim);
            let Some(ClaimStatus::Fallen { unit_wei, share_wei, .. }) =
                claim.map(|claim: &Claim<C>| &claim.status)
            else {
                return 0;
            };
            let reward_wei = unit_wei * u128::from(challenge.work()) + share_wei;
            challenge.bond_wei + challenge.fees_wei + reward_wei
        };
        own.map(|(_, challenge)| wei(challenge)).sum::<u128>() as i128
    }

    /// What is left of the world.
    pub fn end(mut self) -> Ended {
        let groups = (0..self.scenario.party.len()).map(|group| self.group_end(group)).collect();
        let finality_ms = self
            .settlement
            .claims()
            .filter_map(|(_, claim)| match claim.status {
                ClaimStatus::Final { at_ms, .. } => Some(at_ms - claim.posted_ms),
                _ => None,
            })
            .collect();
        let allowed_wei = i128::try_from(self.earned_by_coalition_wei()).unwrap_or(i128::MAX);
        let coalition_excess_wei = self.coalition_wei().saturating_sub(allowed_wei);
        let books = &self.audit.books.claims;
        let honest_openings_max = books
            .values()
            .filter(|entry| entry.by_honest)
            .map(|entry| u32::try_from(entry.opened.len()).unwrap_or(u32::MAX))
            .max()
            .unwrap_or(0);
        Ended {
            seed: self.scenario.seed,
            disputes: self.disputes,
            events: self.events,
            end_ms: self.now_ms,
            hostile: self.scenario.model as usize >= self.environment.fixtures.plain_models()
                || self.scenario.hidden_inputs
                || self.scenario.parameters != ParameterPatch::default(),
            log_hash: self.log_hash,
            violations: std::mem::take(&mut self.audit.violations),
            sometimes: self.audit.sometimes(),
            checks: self.audit.checks().to_vec(),
            groups,
            finality_ms,
            honest_openings_max,
            log: self.log.take().unwrap_or_default(),
            shapes: self.shapes.take().unwrap_or_default(),
            coalition_excess_wei,
            worst_cases: self.audit.books.worst_cases,
        }
    }

    fn group_end(&self, group: usize) -> GroupEnd {
        let members: Vec<&Party<C>> =
            self.parties.iter().filter(|party| party.group == group).collect();
        let profit_wei = members
            .iter()
            .map(|party| {
                let kept_wei = self.delta_wei(party) + self.to_collect_wei(party);
                kept_wei + self.withdrawn_wei(party) - party.gas_wei as i128
            })
            .sum();
        let spec = self.scenario.party.get(group);
        let plan = members.first().map(|party| &party.plan);
        GroupEnd {
            name: spec.map(|spec| spec.name.clone()).unwrap_or_default(),
            strategy: spec.map(|spec| spec.strategy.clone()).unwrap_or_default(),
            honest: plan.is_some_and(|plan| plan.honest),
            side: plan.map_or(Side::Stranger, |plan| plan.side),
            profit_wei,
            outcome: self.outcome(&members),
            disputes: self.disputes_of(&members),
            false_final: self.settlement.claims().any(|(id, claim)| {
                let entry = self.audit.books.claims.get(id);
                matches!(claim.status, ClaimStatus::Final { .. })
                    && entry.is_some_and(|entry| !entry.is_true)
                    && members.iter().any(|one| one.address == claim.executor)
            }),
        }
    }

    fn withdrawn_wei(&self, party: &Party<C>) -> i128 {
        self.withdrawn.get(&party.address).copied().unwrap_or(0) as i128
    }

    /// What became of a group: of its claims first, of its challenges otherwise.
    fn outcome(&self, members: &[&Party<C>]) -> String {
        let is_member = |address: &Address| members.iter().any(|one| one.address == *address);
        let claims = self.settlement.claims().filter(|(_, claim)| is_member(&claim.executor));
        let mut best = None;
        for (_, claim) in claims {
            let (rank, code) = match &claim.status {
                ClaimStatus::Fallen { reason, .. } => (0, fall_code(reason)),
                ClaimStatus::Final { .. } => (1, "final"),
                ClaimStatus::Released { .. } => (2, "released"),
                ClaimStatus::Standing => (3, "standing"),
            };
            if best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, code));
            }
        }
        if let Some((_, code)) = best {
            return code.to_owned();
        }
        let challenges = self.settlement.challenges().filter(|(_, one)| is_member(&one.challenger));
        let (mut won, mut lost, mut open, mut withdrawn) = (0, 0, 0, 0);
        for (_, challenge) in challenges {
            match challenge.status {
                ChallengeStatus::Won { .. } => won += 1,
                // What is left is to collect.
                ChallengeStatus::Queued | ChallengeStatus::Open { .. }
                    if !self.settlement.is_under_way(challenge) =>
                {
                    won += 1
                }
                ChallengeStatus::Lost => lost += 1,
                ChallengeStatus::Withdrawn => withdrawn += 1,
                ChallengeStatus::Queued | ChallengeStatus::Open { .. } => open += 1,
            }
        }
        let executes = members.iter().any(|one| one.plan.side == Side::Executor);
        match (won, lost, open) {
            (0, 0, 0) if executes && members.iter().any(|one| one.refused) => "refused",
            (0, 0, 0) if withdrawn > 0 => "withdrawn",
            (0, 0, 0) => "nothing",
            (_, 0, 0) => "won",
            (0, _, 0) => "upheld",
            (_, _, 0) => "won-and-upheld",
            _ => "open",
        }
        .to_owned()
    }

    /// Disputes that a group took part in, and how many ended as the truth demands.
    fn disputes_of(&self, members: &[&Party<C>]) -> (u64, u64) {
        let is_member = |address: &Address| members.iter().any(|one| one.address == *address);
        let is_honest = honesty(&self.parties, &self.by_address);
        let (mut all, mut right) = (0, 0);
        for (_, challenge) in self.settlement.challenges() {
            let Some(claim) = self.settlement.claim(&challenge.claim) else {
                continue;
            };
            if !is_member(&challenge.challenger) && !is_member(&claim.executor) {
                continue;
            }
            let entry = self.audit.books.claims.get(&challenge.claim);
            let is_true = entry.is_some_and(|entry| entry.is_true);
            let by_honest = entry.is_some_and(|entry| entry.by_honest);
            let fell = matches!(claim.status, ClaimStatus::Fallen { .. });
            let open = challenge.is_open() && !fell;
            // Withdrawn, it was lost to nobody: the claim stood.
            let lost =
                matches!(challenge.status, ChallengeStatus::Lost | ChallengeStatus::Withdrawn);
            let won = fell && !lost;
            // The world ends when nobody honest waits any more, not when strangers are done.
            if !is_honest(&challenge.challenger) && !by_honest && open {
                continue;
            }
            all += 1;
            // Where both sides are dishonest, either may lose; the ledger must only end it.
            right += u64::from(match (is_honest(&challenge.challenger), by_honest) {
                // A true claim whose input nobody had is looked at, and let stand; it falls if its executor does
                // not show what it was asked for.
                (true, _) => {
                    let looked = challenge.status == ChallengeStatus::Withdrawn;
                    if is_true { self.scenario.hidden_inputs && (looked || won) } else { won }
                }
                (false, true) => lost,
                (false, false) => won || lost,
            });
        }
        (all, right)
    }
}

fn fall_code(reason: &FallReason) -> &'static str {
    match reason {
        FallReason::Silence(_) => "fraud/silence",
        FallReason::Refuted(Evidence::Step { .. } | Evidence::Leaf { .. }) => "fraud/step",
        FallReason::Refuted(
            Evidence::Contradiction { .. }
            | Evidence::StateValue { .. }
            | Evidence::Link { .. }
            | Evidence::Entry { .. }
            | Evidence::Stop { .. },
        ) => "fraud/binding",
    }
}
