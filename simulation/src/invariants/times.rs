//! Times: clocks run down as the moves say and no otherwise, and disputes end by the bound printed with their
//! claim.

use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId};
use protocol::settlement::{Challenge, Parameters, Settlement, challenge_id_under};
use protocol::transaction::{Action, Address};

use super::clocks::Clocks;
use super::{Audit, Invariant, Sometimes, Surroundings};

impl<C: Commitment> Audit<C> {
    /// A challenge that waited is served: its clocks begin now.
    pub(super) fn served(&mut self, now_ms: u64, state: &Settlement<C>, id: &ChallengeId) {
        let Some(challenge) = state.challenge(id) else {
            return;
        };
        self.saw(Sometimes::Queued);
        self.keep_clocks(now_ms, id, challenge, Clocks::new(state.parameters(), now_ms));
    }

    /// A challenger demanded: its clock paid for the time since the answer before.
    pub(super) fn demanded(
        &mut self,
        now_ms: u64,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
    ) {
        let Action::Demand { claim, .. } = action else {
            return;
        };
        let id = &challenge_id_under::<C>(*claim, *sender);
        let Some(challenge) = state.challenge(id) else {
            return;
        };
        let parameters = state.parameters();
        let mut clocks = self.clocks_of(parameters, id, challenge);
        let spent_ms = now_ms.saturating_sub(clocks.since_ms);
        clocks.challenger_ms = clocks.challenger_ms.saturating_sub(spent_ms);
        clocks.since_ms = now_ms;
        self.keep_clocks(now_ms, id, challenge, clocks);
    }

    /// The executor answered: its clock paid for what the answer took.
    pub(super) fn answered(&mut self, now_ms: u64, state: &Settlement<C>, id: &ChallengeId) {
        let Some(challenge) = state.challenge(id) else {
            return;
        };
        let mut clocks = self.clocks_of(state.parameters(), id, challenge);
        let spent_ms = now_ms.saturating_sub(clocks.since_ms);
        clocks.executor_ms = clocks.executor_ms.saturating_sub(spent_ms);
        clocks.since_ms = now_ms;
        self.keep_clocks(now_ms, id, challenge, clocks);
    }

    fn clocks_of(
        &self,
        parameters: &Parameters,
        id: &ChallengeId,
        challenge: &Challenge,
    ) -> Clocks {
        let known = self.books.clocks.get(id).copied();
        known.unwrap_or_else(|| Clocks::new(parameters, challenge.opened_ms))
    }

    fn keep_clocks(
        &mut self,
        now_ms: u64,
        id: &ChallengeId,
        challenge: &Challenge,
        clocks: Clocks,
    ) {
        let differs = clocks.differs(challenge);
        self.books.clocks.insert(*id, clocks);
        self.hold(Invariant::ClocksMonotone, now_ms, differs.is_none(), || {
            format!("{id}: {}", differs.unwrap_or_default())
        });
    }

    /// Whether a claim ended by its printed bound.
    pub(super) fn in_time(&mut self, around: &Surroundings<'_>, last_ms: u64, id: &ClaimId) {
        let bound_ms = last_ms.saturating_add(around.slack_ms);
        self.hold(Invariant::DisputesEnd, around.now_ms, around.now_ms <= bound_ms, || {
            format!("{id} ended after its printed bound {last_ms} ms and {} ms", around.slack_ms)
        });
    }

    /// A dispute in which somebody honest takes part, or for which an honest claim waits, is over
    /// by the bound printed with its claim. Nobody is bound to end what only strangers play.
    pub(super) fn dispute_ended(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        challenge: &Challenge,
    ) {
        let Some(claim) = state.claim(&challenge.claim) else {
            return;
        };
        // The honest claim itself, or one that stands after the disputed one.
        let honest_waits =
            state.claims_of(&claim.terms.job).skip_while(|id| **id != challenge.claim).any(|id| {
                let standing = state.claim(id).is_some_and(|one| one.stands());
                standing && self.books.claims.get(id).is_some_and(|entry| entry.by_honest)
            });
        let honest = (around.honest)(&challenge.challenger);
        let over = around.now_ms > claim.last_finality_ms.saturating_add(around.slack_ms);
        let open = challenge.is_open();
        // Of a claim that fell, what is left concerns its challenger alone.
        let cared_for = honest || (honest_waits && claim.stands());
        self.hold(Invariant::DisputesEnd, around.now_ms, !(open && over && cared_for), || {
            let bound_ms = claim.last_finality_ms;
            format!("a challenge of {} is open after {bound_ms} ms", challenge.claim)
        });
    }
}
