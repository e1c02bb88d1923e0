//! What honest parties do: a function of the ledger as it stood when the last tick ended.

use protocol::settlement::rules::ChallengePhase;
use protocol::settlement::{Challenge, ClaimStatus, Settlement};
use protocol::transaction::{Action, Address};

use crate::common::Want;
use crate::world::{CHALLENGER, DESCENT, DESCENT_OF_JUNK, EXECUTOR, Executor, Naming, World};

/// A transaction of an honest party that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Plan {
    /// The answer to an ask, for these challengers.
    Answer {
        item: usize,
        named: Vec<Address>,
    },
    /// Time is called on a challenger, or on the liar.
    Call {
        challenger: Address,
    },
    Finalise,
    Challenge,
    Demand {
        item: usize,
    },
    /// The refutation by the step, or by what was said.
    Refute {
        by_step: bool,
    },
    Collect,
}

impl World {
    /// What the honest party signs now.
    pub(crate) fn plan(&self, ledger: &Settlement, now_ms: u64) -> Option<Plan> {
        if self.setup.challenger {
            return self.plan_of_challenger(ledger, now_ms);
        }
        match self.setup.executor {
            Executor::Honest(naming) => self.plan_of_executor(ledger, now_ms, naming),
            Executor::Careless => self.plan_of_executor(ledger, now_ms, Naming::Waiting),
            Executor::Liar => None,
        }
    }

    pub(crate) fn sender(&self) -> Address {
        if self.setup.challenger { CHALLENGER } else { EXECUTOR }
    }

    fn plan_of_executor(&self, ledger: &Settlement, now_ms: u64, naming: Naming) -> Option<Plan> {
        let claim = ledger.claim(&self.claim).expect("it was posted");
        if !claim.stands() {
            return None;
        }
        let all = || ledger.challenges_of(&self.claim).filter_map(|id| ledger.challenge(id));
        let floor_ms = ledger.parameters().move_floor_ms;
        let urgency = |one: &&Challenge| (one.deadline_ms(floor_ms), one.number);
        let waiting = || all().filter(|one| one.pending().is_some());
        let first = match self.setup.executor {
            Executor::Careless => waiting().max_by_key(urgency),
            Executor::Honest(_) | Executor::Liar => waiting().min_by_key(urgency),
        };
        if let Some(first) = first {
            let is_named = |one: &&Challenge| match naming {
                Naming::Waiting => one.pending() == first.pending(),
                Naming::Everybody => true,
                Naming::First => one.number == first.number,
            };
            let named = all().filter(is_named).map(|one| one.challenger).collect();
            return Some(Plan::Answer { item: self.item(first.pending()?), named });
        }
        let is_late =
            |one: &&Challenge| ledger.phase_of(one, now_ms) == ChallengePhase::ChallengerLate;
        if let Some(late) = all().find(is_late) {
            return Some(Plan::Call { challenger: late.challenger });
        }
        (claim.open == 0 && now_ms > claim.window_end_ms).then_some(Plan::Finalise)
    }

    fn plan_of_challenger(&self, ledger: &Settlement, now_ms: u64) -> Option<Plan> {
        let claim = ledger.claim(&self.claim).expect("it was posted");
        let Some(own) = ledger.challenge_by(&self.claim, &CHALLENGER) else {
            let in_time = claim.stands() && now_ms <= claim.window_end_ms;
            return in_time.then_some(Plan::Challenge);
        };
        match ledger.phase_of(own, now_ms) {
            ChallengePhase::Collectable => Some(Plan::Collect),
            ChallengePhase::ChallengerToMove => self.plan_of_descent(ledger),
            ChallengePhase::ExecutorLate => Some(Plan::Call { challenger: CHALLENGER }),
            ChallengePhase::Queued => {
                // Who waits calls time on those before it.
                let is_late = |one: &&Challenge| {
                    let phase = ledger.phase_of(one, now_ms);
                    matches!(phase, ChallengePhase::ChallengerLate | ChallengePhase::ExecutorLate)
                };
                let all = ledger.challenges_of(&self.claim).filter_map(|id| ledger.challenge(id));
                let mut late = all.filter(is_late);
                late.next().map(|one| Plan::Call { challenger: one.challenger })
            }
            ChallengePhase::ExecutorToMove
            | ChallengePhase::ChallengerLate
            | ChallengePhase::Ended => None,
        }
    }

    /// The next ask whose answer nobody has seen, or the refutation.
    fn plan_of_descent(&self, ledger: &Settlement) -> Option<Plan> {
        let claim = ledger.claim(&self.claim)?;
        let by_step = !self.said_other(ledger);
        let descent: &[Want] = if by_step { &DESCENT } else { &DESCENT_OF_JUNK };
        let is_known = |want: &&Want| match want {
            Want::Say(tree) => claim.said.contains_key(tree),
            Want::Open(tree, depth, index) => {
                claim.knowledge.run().is_some_and(|known| known.is_opened(tree, *depth, *index))
            }
            Want::Leaves(tree, ..) => {
                claim.knowledge.run().is_some_and(|known| known.leaf(tree, 0).is_some())
            }
        };
        match descent.iter().find(|want| !is_known(want)) {
            Some(want) => {
                let item = self.items.iter().position(|item| item.want == *want)?;
                Some(Plan::Demand { item })
            }
            None => Some(Plan::Refute { by_step }),
        }
    }

    /// Whether the liar said a root of the first layer's inside that is not of its run.
    fn said_other(&self, ledger: &Settlement) -> bool {
        let claim = ledger.claim(&self.claim).expect("it was posted");
        let said = claim.said.get(&DESCENT[0].tree());
        said.is_some_and(|root| *root != self.said_of_run)
    }

    /// What is sent.
    pub(crate) fn action_of(&self, plan: &Plan) -> Action {
        let (claim, challenger) = (self.claim, CHALLENGER);
        match plan {
            Plan::Answer { item, named } => self.reveal(*item, named.clone(), false),
            Plan::Call { challenger } => Action::CallTime { claim, challenger: *challenger },
            Plan::Finalise => Action::Finalise { claim },
            Plan::Challenge => Action::Challenge { claim },
            Plan::Demand { item } => self.items[*item].demand.clone(),
            Plan::Refute { by_step } => {
                let proof = if *by_step { &self.step } else { &self.binding };
                self.refute(challenger, proof)
            }
            Plan::Collect => Action::Collect { claim, challenger },
        }
    }

    pub(crate) fn refute(
        &self,
        challenger: Address,
        proof: &crate::common::answers::Proof,
    ) -> Action {
        let (showings, refutation) = proof.clone();
        Action::Refute { claim: self.claim, challenger, showings, refutation, from: None }
    }

    pub(crate) fn reveal(&self, item: usize, challengers: Vec<Address>, junk: bool) -> Action {
        let item = &self.items[item];
        let answer = item.junk.as_ref().filter(|_| junk).unwrap_or(&item.answer).clone();
        Action::Reveal { claim: self.claim, challengers, ask: item.ask.clone(), answer }
    }
}

/// Whether a claim became the job's answer.
pub(crate) fn is_final(status: &ClaimStatus) -> bool {
    matches!(status, ClaimStatus::Final { .. })
}

/// Whether a claim fell.
pub(crate) fn has_fallen(status: &ClaimStatus) -> bool {
    matches!(status, ClaimStatus::Fallen { .. })
}
