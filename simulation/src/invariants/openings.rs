//! What is demanded and what is opened: not more than the model needs, and nothing but what was committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledger::words;
use protocol::facts::Request;
use protocol::hash::Commitment;
use protocol::ids::ClaimId;
use protocol::settlement::{ChallengeStatus, Settlement, Turn, challenge_id_under};
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
        let Action::Demand { claim: claim_id, request, .. } = action else {
            return;
        };
        let open =
            self.books.claims.get(claim_id).is_some_and(|claim| claim.opened.contains(request));
        self.hold(Invariant::OpeningsBounded, around.now_ms, !open, || {
            format!("{} was demanded though it is open", words::request(request))
        });
        if !(around.honest)(sender) {
            return;
        }
        let Some(challenge) = state.challenge_by(claim_id, sender) else {
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
        let Some(truth) = self.truth_of(state, claim_id) else {
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

    /// Whether an answer is what was committed, is bounded by the run, and serves all whom it names and who
    /// wait for it.
    pub(super) fn revealed(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        action: &Action,
        id: &ClaimId,
        request: &Request,
    ) {
        let (Some(claim), Action::Reveal { challengers, .. }) = (state.claim(id), action) else {
            return;
        };
        let floor_ms = state.parameters().move_floor_ms;
        let (mut served, mut waits) = (BTreeSet::new(), false);
        for challenger in challengers {
            let challenge_id = challenge_id_under::<C>(*id, *challenger);
            let Some(challenge) = state.challenge(&challenge_id) else {
                continue;
            };
            let in_time = challenge.deadline_ms(floor_ms).is_some_and(|at| around.now_ms <= at);
            waits |= challenge.pending() == Some(request) && in_time;
            // Who has its turn since this moment was served; where it had it already, no clock ran since.
            let its_turn = matches!(
                challenge.status,
                ChallengeStatus::Open { turn: Turn::Challenger, since_ms }
                    if since_ms == around.now_ms
            );
            if its_turn && served.insert(challenge_id) {
                self.answered(around.now_ms, state, &challenge_id);
            }
        }
        if served.len() > 1 {
            self.saw(Sometimes::AnswerShared);
        }
        self.hold(Invariant::AnswersShared, around.now_ms, !waits, || {
            format!("{} was answered and one it names still waits", words::request(request))
        });
        let Some(entry) = self.books.claims.get_mut(id) else {
            return;
        };
        // Said again, it serves those whom one answer could not name.
        entry.opened.insert(*request);
        let (count, known) = (entry.opened.len() as u64, entry.known.clone());
        let bounded = count <= around.bounds.openings;
        self.hold(Invariant::OpeningsBounded, around.now_ms, bounded, || {
            format!("{count} openings, the run has {}", around.bounds.openings)
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
