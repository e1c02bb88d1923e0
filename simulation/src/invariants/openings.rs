//! What is demanded and what is opened: not more than the model needs, and nothing but what was committed.

use std::sync::Arc;

use ledger::words;
use protocol::facts::Request;
use protocol::hash::Commitment;
use protocol::ids::ClaimId;
use protocol::settlement::{ChallengeStatus, Settlement};
use protocol::transaction::{Action, Address};

use super::committed::{differs_at, is_committed};
use super::{Audit, Invariant, Sometimes, Surroundings};
use crate::fixtures::Known;

impl<C: Commitment> Audit<C> {
    /// Whether an honest challenger demands what it needs, and no more often than it must.
    pub(super) fn demand(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
    ) {
        let Action::Demand { challenge: id, request, .. } = action else {
            return;
        };
        if !(around.honest)(sender) {
            return;
        }
        let Some(challenge) = state.challenge(id) else {
            return;
        };
        let (demands, bound) = (challenge.demands, around.bounds.demands);
        self.hold(Invariant::DemandsBounded, around.now_ms, demands <= bound, || {
            format!("demand {demands} of an honest challenger, {bound} suffice for the model")
        });
        let Some(claim) = self.books.claims.get(&challenge.claim) else {
            return;
        };
        let Some(known) = &claim.known else { return };
        let Some(truth) = self.truth_of(state, &challenge.claim) else {
            return;
        };
        let differs = differs_at(&known.clone(), &truth, request);
        self.hold(Invariant::DescentContainsDivergence, around.now_ms, differs, || {
            format!(
                "an honest challenger demands {}, where both runs agree",
                words::request(request)
            )
        });
    }

    /// Whether an answer is what was committed, comes once, and serves all who wait for it.
    pub(super) fn revealed(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &ClaimId,
        request: &Request,
    ) {
        let Some(claim) = state.claim(id) else { return };
        let floor_ms = state.parameters().move_floor_ms;
        let mut served = 0;
        let mut waits = false;
        for challenge_id in &claim.challenges {
            let Some(challenge) = state.challenge(challenge_id) else {
                continue;
            };
            let in_time = challenge.deadline_ms(floor_ms).is_some_and(|at| around.now_ms <= at);
            waits |= challenge.pending() == Some(request) && in_time;
            if let ChallengeStatus::Open { since_ms, .. } = challenge.status {
                served += u32::from(since_ms == around.now_ms);
            }
            self.clocks(around.now_ms, state, challenge_id);
        }
        if served > 1 {
            self.saw(Sometimes::AnswerShared);
        }
        self.hold(Invariant::AnswersShared, around.now_ms, !waits, || {
            format!("{} is open and a challenge still waits for it", words::request(request))
        });
        let Some(entry) = self.books.claims.get_mut(id) else {
            return;
        };
        let fresh = entry.opened.insert(*request);
        let (count, known) = (entry.opened.len() as u64, entry.known.clone());
        let bounded = fresh && count <= around.bounds.openings;
        self.hold(Invariant::OpeningsBounded, around.now_ms, bounded, || {
            if fresh {
                format!("{count} openings, the run has {}", around.bounds.openings)
            } else {
                format!("{} was opened twice", words::request(request))
            }
        });
        if let Some(known) = known {
            let committed = is_committed(&known, claim, request);
            self.hold(Invariant::FactsAreCommitted, around.now_ms, committed, || {
                let request = words::request(request);
                format!("{request} was answered with something else than was committed")
            });
        }
    }

    fn truth_of(&self, state: &Settlement<C>, claim: &ClaimId) -> Option<Arc<Known<C>>> {
        self.books.truths.get(&state.claim(claim)?.terms.job).cloned()
    }
}
