//! What a challenger does next, from the ledger's state.

use std::collections::HashMap;

use ledger::{Core, Decision, View};
use protocol::hash::Digest;
use protocol::settlement::{Challenge, ChallengeStatus, ClaimStatus, Turn};
use protocol::transaction::{Action, Address};

use crate::case::Case;
use crate::solver::Move;

/// Which claims a challenger challenges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Those that differ from its own run.
    #[default]
    Differing,
    /// All of them, right or wrong: a frivolous challenger.
    Everything,
    /// None: it plays only what is open.
    Nothing,
}

/// A challenger with its own runs of the jobs it watches.
#[derive(Debug)]
pub struct ChallengerCore {
    address: Address,
    policy: Policy,
    cases: HashMap<Digest, Case>,
}

impl ChallengerCore {
    /// A challenger that knows no job yet.
    pub fn new(address: Address, policy: Policy) -> Self {
        Self { address, policy, cases: HashMap::new() }
    }

    /// Watches a job with the challenger's own run of it.
    pub fn watch(&mut self, job: Digest, case: Case) {
        self.cases.insert(job, case);
    }

    /// The challenger's case for a job.
    pub fn case_mut(&mut self, job: &Digest) -> Option<&mut Case> {
        self.cases.get_mut(job)
    }

    fn new_challenges(&self, view: &View) -> Vec<Decision> {
        let settlement = &view.settlement;
        let mine = |challenge: &Challenge| challenge.challenger == self.address;
        let mut decisions = Vec::new();
        for (id, claim) in settlement.claims() {
            let Some(case) = self.cases.get(&claim.terms.job) else {
                continue;
            };
            let differs = claim.terms.trace_root != case.trace().root();
            let wanted = match self.policy {
                Policy::Differing => differs,
                Policy::Everything => true,
                Policy::Nothing => false,
            };
            let already = claim
                .challenges
                .iter()
                .any(|challenge| settlement.challenge(challenge).is_some_and(mine));
            let in_time = view.now_ms <= claim.window_end_ms;
            if wanted && !already && in_time && claim.status == ClaimStatus::Standing {
                decisions.push(Decision {
                    action: Action::Challenge { claim: *id },
                    reason: match differs {
                        true => "the claim's trace root is not ours".to_owned(),
                        false => "policy: challenge everything".to_owned(),
                    },
                    deadline_ms: Some(claim.window_end_ms),
                });
            }
        }
        decisions
    }

    fn moves(&mut self, view: &View) -> Vec<Decision> {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        let mut decisions = Vec::new();
        for (id, challenge) in settlement.challenges() {
            let ChallengeStatus::Open { turn, .. } = &challenge.status else {
                continue;
            };
            if challenge.challenger != self.address {
                continue;
            }
            let Some(deadline_ms) = challenge.deadline_ms(floor_ms) else {
                continue;
            };
            let late = view.now_ms > deadline_ms;
            match turn {
                Turn::Executor(_) if late => decisions.push(Decision {
                    action: Action::CallTime { challenge: *id },
                    reason: "the executor's time is over".to_owned(),
                    deadline_ms: None,
                }),
                Turn::Challenger if !late => {
                    decisions.extend(self.own_turn(view, *id, challenge, deadline_ms));
                }
                Turn::Executor(_) | Turn::Challenger => {}
            }
        }
        decisions
    }

    fn own_turn(
        &mut self,
        view: &View,
        id: Digest,
        challenge: &Challenge,
        deadline_ms: u64,
    ) -> Option<Decision> {
        let claim = view.settlement.claim(&challenge.claim)?;
        let case = self.cases.get_mut(&claim.terms.job)?;
        let (action, reason) = match case.next_move(&claim.facts) {
            Ok(Move::Demand { showings, request, reason }) => {
                (Action::Demand { challenge: id, showings, request }, reason)
            }
            Ok(Move::Refute { showings, refutation, reason }) => {
                (Action::Refute { challenge: id, showings, refutation }, reason)
            }
            Err(error) => {
                tracing::warn!(event = "challenger.no_move", challenge = %id, %error);
                return None;
            }
        };
        Some(Decision { action, reason, deadline_ms: Some(deadline_ms) })
    }
}

impl Core for ChallengerCore {
    fn decide(&mut self, view: &View) -> Vec<Decision> {
        let mut decisions = self.moves(view);
        decisions.extend(self.new_challenges(view));
        // The earliest deadline first; what can wait comes last.
        decisions.sort_by_key(|decision| decision.deadline_ms.unwrap_or(u64::MAX));
        decisions
    }
}
