//! What became of a transaction, as money: who gets what by the rules, and what burns.

use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId, JobId, SealedId};
use protocol::settlement::{ClaimStatus, Event, SealedStatus, Settlement, challenge_id_under};
use protocol::transaction::{Action, Address};

use super::{
    Accounts, Challenged, Claimed, bond_of_wei, locked_of_wei, permille_of_wei, stake_of_wei,
};

impl Accounts {
    /// What became of a transaction.
    pub(super) fn gives<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        sender: Address,
        action: &Action,
        event: &Event,
    ) {
        match event {
            Event::JobPosted { job } => {
                self.posters.insert(*job, sender);
            }
            Event::JobExpired { job } => {
                if let Some(terms) = state.job(job).map(|job| &job.terms) {
                    self.gets(self.poster_of(job), locked_of_wei(terms));
                }
            }
            Event::ClaimPosted { claim, job, .. } => {
                self.stands(state, sender, action, (claim, job));
            }
            Event::ClaimFinal { claim, job } => self.is_final(state, claim, job),
            Event::StakeReleased { claim } => {
                let held = self.claims.entry(*claim).or_default();
                let (executor, stake_wei) = (held.executor, held.stake_wei);
                self.gets(executor, stake_wei);
            }
            Event::ClaimFallen { claim, .. } => self.falls(state, claim, action),
            Event::ChallengeServed { challenge } => self.served(state, challenge),
            Event::ChallengeWon { challenge, .. } => {
                // Whoever convicted is paid with the fall.
                if let Action::Collect { challenger, .. } = action {
                    self.collects(state, challenge, *challenger);
                }
            }
            Event::ChallengeLost { challenge, challenger, .. } => {
                self.upheld(state, challenge, *challenger);
            }
            Event::ChallengeWithdrawn { challenge, challenger, .. } => {
                self.taken_back(state, challenge, *challenger);
            }
            Event::ClaimSealed { sealed, job } => {
                self.seals.insert(*sealed, (sender, stake_of_wei(state, job)));
            }
            Event::SealExpired { sealed, .. } => self.seal_ends(state, action, sealed),
            Event::AttentionProven { claim, attester } => self.proven(state, claim, *attester),
            Event::AttentionCollected { sealed, attester, .. } => {
                self.word_ends(state, sealed, *attester);
            }
            // Taken down with the transaction that says it, or without money.
            Event::Deposited { .. }
            | Event::Withdrawn { .. }
            | Event::ModelRegistered { .. }
            | Event::JobPassed { .. }
            | Event::Challenged { .. }
            | Event::Demanded { .. }
            | Event::Revealed { .. }
            | Event::Attested { .. } => {}
        }
    }

    fn poster_of(&self, job: &JobId) -> Address {
        self.posters.get(job).copied().unwrap_or_default()
    }

    /// A claim stands, by its own stake or by that of its seal.
    fn stands<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        sender: Address,
        action: &Action,
        (id, job): (&ClaimId, &JobId),
    ) {
        let (executor, stake_wei) = match action {
            Action::OpenClaim { sealed, .. } => self.seals.remove(sealed).unwrap_or_default(),
            _ => (sender, stake_of_wei(state, job)),
        };
        self.claims.insert(*id, Claimed { executor, stake_wei, ..Claimed::default() });
    }

    fn served<C: Commitment>(&mut self, state: &Settlement<C>, id: &ChallengeId) {
        let (Some(held), Some(one)) = (self.challenges.get_mut(id), state.challenge(id)) else {
            return;
        };
        held.served = true;
        self.claims.entry(one.claim).or_default().work += held.work();
    }

    fn proven<C: Commitment>(&mut self, state: &Settlement<C>, id: &ClaimId, attester: Address) {
        self.claims.entry(*id).or_default().proofs += 1;
        let sealed = state.claim(id).and_then(|claim| claim.sealed);
        let word = sealed.and_then(|sealed| self.words.get_mut(&(sealed, attester)));
        if let Some((_, is_proven)) = word {
            *is_proven = true;
        }
    }

    /// A seal that nobody opened in time costs a bond; one whose job was over when it was opened, nothing.
    fn seal_ends<C: Commitment>(&mut self, state: &Settlement<C>, action: &Action, id: &SealedId) {
        let (executor, stake_wei) = self.seals.remove(id).unwrap_or_default();
        let parameters = state.parameters();
        let burned_wei = match action {
            Action::ExpireSeal { .. } => bond_of_wei(parameters, stake_wei).min(stake_wei),
            _ => 0,
        };
        self.burns(executor, burned_wei);
        self.gets(executor, stake_wei - burned_wei);
    }

    /// Whoever convicted has its costs first, out of half of the stake; then the others theirs; then each an
    /// equal share of the reward, as far as the half reaches. All else burns.
    fn falls<C: Commitment>(&mut self, state: &Settlement<C>, id: &ClaimId, action: &Action) {
        let (Action::Refute { challenger, .. } | Action::CallTime { challenger, .. }) = action
        else {
            return;
        };
        let parameters = state.parameters();
        let by = self.challenges.remove(&challenge_id_under::<C>(*id, *challenger));
        let by = by.unwrap_or_default();
        let claim = self.claims.entry(*id).or_default();
        let half_wei = claim.stake_wei / 2;
        let own_wei = half_wei.min(by.work().saturating_mul(parameters.work_cost_wei));
        let others = claim.work.saturating_sub(by.work());
        let mut left_wei = half_wei - own_wei;
        if let Some(most_wei) = left_wei.checked_div(others) {
            claim.unit_wei = parameters.work_cost_wei.min(most_wei);
            left_wei -= claim.unit_wei * others;
        }
        let reward_wei = permille_of_wei(claim.stake_wei, parameters.reward_permille);
        claim.share_wei = reward_wei.min(left_wei) / claim.open.max(1);
        let further = claim.open.saturating_sub(1);
        let paid_wei = own_wei + claim.share_wei;
        let owed_wei = claim.unit_wei * others + claim.share_wei * further;
        let burned_wei = claim.stake_wei - paid_wei - owed_wei;
        let executor = claim.executor;
        self.gets(*challenger, by.bond_wei + by.fees_wei + paid_wei);
        self.burns(executor, burned_wei);
    }

    fn collects<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        id: &ChallengeId,
        challenger: Address,
    ) {
        let held = self.challenges.remove(id).unwrap_or_default();
        let claim = state.challenge(id).and_then(|one| self.claims.get(&one.claim));
        let (unit_wei, share_wei) = claim.map_or((0, 0), |claim| (claim.unit_wei, claim.share_wei));
        let reward_wei = unit_wei * held.work() + share_wei;
        self.gets(challenger, held.bond_wei + held.fees_wei + reward_wei);
    }

    /// A challenge ended, and its claim stands: what it held, and the claim's executor.
    fn let_go<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        id: &ChallengeId,
    ) -> Option<(Challenged, Address)> {
        let held = self.challenges.remove(id).unwrap_or_default();
        let claim_id = state.challenge(id)?.claim;
        let claim = self.claims.entry(claim_id).or_default();
        claim.open = claim.open.saturating_sub(1);
        claim.work = claim.work.saturating_sub(held.work());
        Some((held, claim.executor))
    }

    /// The executor has the fees and, of the bond, what its answers cost; the rest burns.
    fn upheld<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        id: &ChallengeId,
        challenger: Address,
    ) {
        let Some((held, executor)) = self.let_go(state, id) else { return };
        let cost_wei = state.parameters().reply_cost_wei.saturating_mul(held.replies);
        let paid_wei = cost_wei.min(held.bond_wei);
        self.gets(executor, held.fees_wei + paid_wei);
        self.burns(challenger, held.bond_wei - paid_wei);
    }

    /// The executor has the fees; of the bond a share burns.
    fn taken_back<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        id: &ChallengeId,
        challenger: Address,
    ) {
        let Some((held, executor)) = self.let_go(state, id) else { return };
        let permille = state.parameters().withdraw_permille;
        let burned_wei = permille_of_wei(held.bond_wei, permille).min(held.bond_wei);
        self.gets(executor, held.fees_wei);
        *self.looked_wei.entry((challenger, executor)).or_default() += held.fees_wei;
        self.gets(challenger, held.bond_wei - burned_wei);
        self.burns(challenger, burned_wei);
    }

    /// The executor has the fee and its stake, who proved its word waits for its share, the poster has the rest.
    fn is_final<C: Commitment>(&mut self, state: &Settlement<C>, id: &ClaimId, job: &JobId) {
        let poster = self.poster_of(job);
        let (Some(job), Some(claim)) = (state.job(job), state.claim(id)) else { return };
        let iterations = u128::from(claim.terms.iterations);
        let fee_wei = job.terms.fee_wei + job.terms.fee_iteration_wei * iterations;
        let held = self.claims.entry(*id).or_default();
        held.attention_share_wei = job.terms.attention_wei.checked_div(held.proofs).unwrap_or(0);
        let promised_wei = held.attention_share_wei * held.proofs;
        let (executor, stake_wei) = (held.executor, held.stake_wei);
        let rest_wei = locked_of_wei(&job.terms).saturating_sub(fee_wei + promised_wei);
        self.gets(executor, stake_wei + fee_wei);
        self.gets(poster, rest_wei);
    }

    /// A word's bond comes back, with a share if it was proven; it burns if the claim is final without a proof.
    fn word_ends<C: Commitment>(
        &mut self,
        state: &Settlement<C>,
        id: &SealedId,
        attester: Address,
    ) {
        let (bond_wei, is_proven) = self.words.remove(&(*id, attester)).unwrap_or_default();
        let claim = match state.sealed(id).map(|sealed| sealed.status) {
            Some(SealedStatus::Opened { claim }) => Some(claim),
            Some(SealedStatus::Waiting | SealedStatus::Expired) | None => None,
        };
        let status = claim.and_then(|claim| state.claim(&claim)).map(|claim| &claim.status);
        let is_final = matches!(status, Some(ClaimStatus::Final { .. }));
        let held = claim.and_then(|claim| self.claims.get(&claim));
        let share_wei = held.map_or(0, |claim| claim.attention_share_wei);
        match (is_final, is_proven) {
            (true, true) => self.gets(attester, bond_wei + share_wei),
            (true, false) => self.burns(attester, bond_wei),
            (false, _) => self.gets(attester, bond_wei),
        }
    }
}
