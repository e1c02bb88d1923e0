//! Money, clocks and losses of a daemon's account, as metrics and in the log.

use std::collections::BTreeSet;

use ledger::View;
use ledger::http::HttpLedger;
use protocol::ids::{ChallengeId, ClaimId};
use protocol::settlement::{Challenge, ChallengeStatus, Claim, ClaimStatus, Settlement};
use protocol::transaction::Address;

use crate::exposure::Exposure;

/// An account whose numbers a daemon reports at every look.
#[derive(Clone, Debug)]
pub struct Account {
    address: Address,
    at_stake: AtStake,
}

/// What an account could lose at the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct AtStake {
    challenges: BTreeSet<ChallengeId>,
    claims: BTreeSet<ClaimId>,
}

impl AtStake {
    fn of(settlement: &Settlement, address: &Address) -> Self {
        let challenges = settlement
            .open_challenges()
            .filter(|(_, one)| one.challenger == *address && settlement.is_under_way(one));
        let claims = settlement.standing_claims().filter(|(_, one)| one.executor == *address);
        Self {
            challenges: challenges.map(|(id, _)| *id).collect(),
            claims: claims.map(|(id, _)| *id).collect(),
        }
    }

    /// What of it is lost by now.
    fn lost(&self, settlement: &Settlement) -> Self {
        let is_lost = |one: &Challenge| one.status == ChallengeStatus::Lost;
        let has_fallen = |one: &Claim| matches!(one.status, ClaimStatus::Fallen { .. });
        let challenges =
            self.challenges.iter().filter(|id| settlement.challenge(id).is_some_and(is_lost));
        let claims = self.claims.iter().filter(|id| settlement.claim(id).is_some_and(has_fallen));
        Self { challenges: challenges.copied().collect(), claims: claims.copied().collect() }
    }
}

impl Account {
    /// The account of this address.
    pub fn new(address: Address) -> Self {
        Self { address, at_stake: AtStake::default() }
    }

    /// What the account has at stake at a view, and what it gained so far; the metrics say it as well. Log and metrics
    /// tell of each challenge that was lost since the last look, and of each claim that was rejected.
    pub async fn report(&mut self, ledger: &HttpLedger, view: &View) -> (Exposure, i128) {
        let lost = self.at_stake.lost(&view.settlement);
        self.at_stake = AtStake::of(&view.settlement, &self.address);
        for challenge in &lost.challenges {
            metrics::counter!("rebut_challenges_lost_total").increment(1);
            tracing::error!(event = "account.challenge_lost", %challenge,
                "a challenge of this account is lost, and its bond; see its clock on the ledger");
        }
        for claim in &lost.claims {
            metrics::counter!("rebut_claims_rejected_total").increment(1);
            tracing::error!(event = "account.claim_rejected", %claim,
                "a claim of this account was rejected, and its stake is lost");
        }
        let exposure = Exposure::of(view, &self.address);
        let profit_wei = exposure.profit_wei(ledger.paid(&self.address).await);
        let left = exposure.deadline_ms.map(|at_ms| at_ms.saturating_sub(view.now_ms));
        let seconds = left.map_or(86_400.0, |left_ms| left_ms as f64 / 1_000.0);
        for (name, value) in [
            ("rebut_seen_height", view.height as f64),
            ("rebut_free_wei", exposure.free_wei as f64),
            ("rebut_stakes_wei", exposure.stakes_wei as f64),
            ("rebut_bonds_wei", exposure.bonds_wei as f64),
            ("rebut_needed_wei", exposure.needed_wei as f64),
            ("rebut_profit_wei", profit_wei as f64),
            ("rebut_claims_standing", exposure.claims as f64),
            ("rebut_disputes_open", exposure.disputes as f64),
            ("rebut_challenges_open", exposure.challenges as f64),
            ("rebut_challenges_to_collect", exposure.to_collect as f64),
            ("rebut_claims_to_release", exposure.to_release as f64),
            ("rebut_jobs_to_expire", exposure.to_expire as f64),
            ("rebut_moves_due", exposure.to_move as f64),
            ("rebut_deadline_seconds", seconds),
        ] {
            metrics::gauge!(name).set(value);
        }
        (exposure, profit_wei)
    }
}

#[cfg(test)]
mod tests {
    use protocol::transaction::Action;

    use super::*;
    use crate::testing::{CHALLENGER, Court, EXECUTOR, SECOND};

    #[test]
    fn a_claim_that_is_rejected_and_a_challenge_that_is_lost_are_noticed_by_who_loses_them() {
        let mut court = Court::new();
        let (claim, other) = (court.claim(), CHALLENGER);
        court.does(CHALLENGER, &Action::Challenge { claim });
        court.does(SECOND, &Action::Challenge { claim });
        court.demand(CHALLENGER, claim);
        let before = [EXECUTOR, CHALLENGER, SECOND].map(|who| AtStake::of(&court.settlement, &who));
        let none = AtStake::default();
        assert!(before.iter().all(|one| one.lost(&court.settlement) == none));
        // The second challenger is silent and loses; then the executor is, and the claim falls.
        let parameters = court.settlement.parameters();
        court.now_ms += parameters.challenger_clock_ms.max(parameters.executor_clock_ms) + 1;
        court.does(EXECUTOR, &Action::CallTime { claim, challenger: SECOND });
        let lost = before.each_ref().map(|one| one.lost(&court.settlement));
        assert_eq!(lost.each_ref().map(|one| one.challenges.len()), [0, 0, 1]);
        assert_eq!(lost.each_ref().map(|one| one.claims.len()), [0, 0, 0]);
        court.does(other, &Action::CallTime { claim, challenger: CHALLENGER });
        let lost = before.map(|one| one.lost(&court.settlement));
        assert_eq!(lost.each_ref().map(|one| one.challenges.len()), [0, 0, 1]);
        assert_eq!(lost.map(|one| one.claims.len()), [1, 0, 0]);
        assert_eq!(AtStake::of(&court.settlement, &EXECUTOR), none);
    }
}
