//! Jobs whose input nobody published: for which of them an executor is asked, and with what.

use std::collections::BTreeMap;
use std::sync::Arc;

use inference::Model;
use ledger::View;
use node::Decision;
use node::exposure::challenge_takes_wei;
use protocol::asks::{Refutation, Showing};
use protocol::hash::{Commitment, Keccak};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Challenge, Claim, Parameters};
use protocol::transaction::{Action, Address};

use crate::ends::{
    AskForInput, InputError, NextOfInput, cheapest_ask, cost_of_input, next_of_input, other_value,
};
use crate::solver::SolveError;

/// Thousandths of a claim's stake that asking for its input may cost, unless the operator says otherwise: nobody is
/// asked, and a claim that cannot be checked is told and alarmed. Whoever hides inputs of true claims on purpose
/// earns what asking costs, so that an operator who asks decides how much that may be.
pub const INPUT_PERMILLE: u32 = 0;

/// Jobs without an input at hand. Clones share the models.
#[derive(Clone, Debug)]
pub(crate) struct WantedInputs<C: Commitment = Keccak> {
    models: BTreeMap<JobId, Arc<Model<C>>>,
    permille: u32,
}

impl<C: Commitment> Default for WantedInputs<C> {
    fn default() -> Self {
        Self { models: BTreeMap::new(), permille: INPUT_PERMILLE }
    }
}

impl<C: Commitment> WantedInputs<C> {
    /// Thousandths of a stake that asking may cost; 0 asks nobody.
    pub(crate) fn set_permille(&mut self, permille: u32) {
        self.permille = permille;
    }

    /// The input of this job is not to be had elsewhere.
    pub(crate) fn want(&mut self, job: JobId, model: Arc<Model<C>>) {
        self.models.insert(job, model);
    }

    /// Whether what is missing of this job is the input, and executors have not shown it either.
    pub(crate) fn waits_for(&self, view: &View<C>, job: &JobId) -> bool {
        self.models.contains_key(job) && self.input(view, job).is_none()
    }

    pub(crate) fn forget(&mut self, job: &JobId) {
        self.models.remove(job);
    }

    /// Standing claims on these jobs that can still be challenged and that this account has not, where nobody's
    /// answers have given the whole input, and what is at stake is worth it: with what it takes beyond bond and
    /// ordinary demands, in wei. Each claim is asked: one that falls or ends first would hide the others.
    pub(crate) fn askable<'a>(
        &'a self,
        view: &'a View<C>,
        address: &'a Address,
    ) -> impl Iterator<Item = (&'a Claim<C>, &'a ClaimId, u128)> + 'a {
        let settlement = &view.settlement;
        let parameters = settlement.parameters();
        self.models.iter().flat_map(move |(job, model)| {
            let cost_wei = cost_wei(parameters, model).ok();
            let cost_wei = cost_wei.filter(|_| self.input(view, job).is_none());
            settlement.claims_of(job).filter_map(move |id| {
                let (claim, cost_wei) = (settlement.claim(id)?, cost_wei?);
                let is_open = claim.stands() && view.now_ms <= claim.window_end_ms;
                let is_asked = settlement.challenge_by(id, address).is_some();
                (is_open && !is_asked && self.is_worth(parameters, claim.stake_wei, cost_wei))
                    .then_some((claim, id, cost_wei))
            })
        })
    }

    /// Demand fees for the input of a job, in wei; 0 of one whose input is not wanted or cannot be asked for.
    pub(crate) fn cost_wei(&self, view: &View<C>, job: &JobId) -> u128 {
        let parameters = view.settlement.parameters();
        let cost_wei = self.models.get(job).map(|model| cost_wei(parameters, model));
        cost_wei.and_then(Result::ok).unwrap_or(0)
    }

    /// Whether asking for an input costs no more than the operator's share of the stake: with all fees, and what
    /// burns when the challenge is withdrawn because the claim is right.
    fn is_worth(&self, parameters: &Parameters, stake_wei: u128, cost_wei: u128) -> bool {
        let burned_wei = permille_of(parameters.bond_wei(stake_wei), parameters.withdraw_permille);
        let all_wei = cost_wei.saturating_add(burned_wei).saturating_add(parameters.record_fee_wei);
        all_wei <= permille_of(stake_wei, self.permille)
    }

    /// Why nobody is asked for the input of a job, for people; `None` where somebody is, or was.
    pub(crate) fn why_not(&self, view: &View<C>, job: &JobId) -> Option<String> {
        let model = self.models.get(job)?;
        let (settlement, parameters) = (&view.settlement, view.settlement.parameters());
        let cost_wei = match cost_wei(parameters, model) {
            Ok(cost_wei) => cost_wei,
            Err(error) => return Some(error.to_string()),
        };
        let stake_wei = settlement.job(job)?.terms.stake_wei;
        (!self.is_worth(parameters, stake_wei, cost_wei)).then(|| {
            let (cost, permille) = (ledger::words::ether(cost_wei), self.permille);
            format!(
                "asking its executor costs {cost} in fees, over {permille} permille of the stake"
            )
        })
    }

    /// The next demand in a challenge of a claim whose run is missing for want of the input; `None` where the
    /// input is not what is missing.
    pub(crate) fn next(
        &self,
        view: &View<C>,
        challenge: &Challenge,
        deadline_ms: Option<u64>,
    ) -> Option<Result<Decision, SolveError>> {
        let claim = view.settlement.claim(&challenge.claim)?;
        let model = self.models.get(&claim.terms.job)?;
        let (known, asking) = (claim.knowledge.run()?, view.settlement.parameters().asking());
        let next = match next_of_input(model, known, &asking) {
            Ok(NextOfInput::Ask(next)) => Ok(demand(challenge, *next)),
            // The run is being made.
            Ok(NextOfInput::Whole(_)) => Err(SolveError::RunMissing),
            Err(InputError::OtherValue { position }) => {
                let showings = other_value(model, known, position);
                showings.map(|showings| refute(challenge, showings, position)).map_err(stuck)
            }
            // Nothing can be found out in this way: what can be had back is taken back, and the claim stays
            // unchecked, which is told.
            Err(_) if challenge.can_be_withdrawn() => {
                #[cfg(test)]
                cov_mark::hit!(challenge_for_an_unusable_input_is_withdrawn);
                Ok(Action::WithdrawChallenge { claim: challenge.claim })
            }
            Err(error) => Err(stuck(error)),
        };
        let reason = "its input is not published".to_owned();
        Some(next.map(|action| Decision { action, reason, deadline_ms }))
    }

    /// The way out of a challenge of a claim that is right, if it was opened for the input: it is withdrawn, once
    /// it was answered at least once.
    pub(crate) fn way_out(
        view: &View<C>,
        model: &Model<C>,
        challenge: &Challenge,
        deadline_ms: Option<u64>,
    ) -> Option<Result<Decision, SolveError>> {
        if challenge.demands > 0 {
            return None;
        }
        let claim = view.settlement.claim(&challenge.claim)?;
        let reason = "the input is known, and the claim is right".to_owned();
        let action = if challenge.can_be_withdrawn() {
            #[cfg(test)]
            cov_mark::hit!(challenge_for_the_input_is_withdrawn);
            Ok(Action::WithdrawChallenge { claim: challenge.claim })
        } else {
            #[cfg(test)]
            cov_mark::hit!(answer_is_asked_for_to_withdraw);
            cheapest_ask(model, claim.knowledge.run()?)
                .map(|next| demand(challenge, next))
                .map_err(stuck)
        };
        Some(action.map(|action| Decision { action, reason, deadline_ms }))
    }

    /// The input of a job as executors have shown it of claims that stand, once all of it is known.
    pub(crate) fn input(&self, view: &View<C>, job: &JobId) -> Option<Vec<u8>> {
        let model = self.models.get(job)?;
        let (settlement, asking) = (&view.settlement, view.settlement.parameters().asking());
        settlement.claims_of(job).filter_map(|id| settlement.claim(id)).find_map(|claim| {
            match next_of_input(model, claim.knowledge.run()?, &asking) {
                Ok(NextOfInput::Whole(bytes)) => Some(bytes),
                Ok(NextOfInput::Ask(_)) | Err(_) => None,
            }
        })
    }
}

fn demand(challenge: &Challenge, next: AskForInput) -> Action {
    let AskForInput { showings, ask, path } = next;
    Action::Demand { claim: challenge.claim, showings, ask, path, from: None }
}

fn refute(challenge: &Challenge, showings: Vec<Showing>, position: u32) -> Action {
    let refutation = Refutation::StateValue { iteration: 0, boundary: 0, position };
    let (claim, challenger) = (challenge.claim, challenge.challenger);
    Action::Refute { claim, challenger, showings, refutation, from: None }
}

fn stuck(error: InputError) -> SolveError {
    SolveError::Stuck { what: error.to_string() }
}

/// Demand fees for the whole input of a run of this model.
fn cost_wei<C: Commitment>(parameters: &Parameters, model: &Model<C>) -> Result<u128, InputError> {
    let cost = cost_of_input(model, &parameters.asking())?;
    // Openings of the last state count as well, and a dispute may end there.
    let asks = cost.asks.saturating_add(12u32.div_ceil(parameters.arity_log2.max(1)));
    if asks > parameters.end_asks_max {
        return Err(InputError::TooManyAsks { asks });
    }
    Ok(parameters.demand_fee_wei.saturating_mul(u128::from(cost.fees)))
}

/// Free money that a challenge takes which asks for the input first.
pub(crate) fn takes_wei(parameters: &Parameters, stake_wei: u128, cost_wei: u128) -> u128 {
    challenge_takes_wei(parameters, stake_wei).saturating_add(cost_wei)
}

/// Thousandths of an amount, rounded down.
fn permille_of(amount_wei: u128, permille: u32) -> u128 {
    amount_wei.saturating_mul(u128::from(permille)) / 1_000
}
