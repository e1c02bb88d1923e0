//! What an executor does next, from the ledger's state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use inference::{Conduct, Engine, Model, Runner, Trace};
use ledger::{Core, Decision, View};
use protocol::facts::Request;
use protocol::hash::Digest;
use protocol::settlement::{ChallengeStatus, ClaimStatus, JobStatus, Turn};
use protocol::transaction::{Action, Address, ClaimTerms};

use crate::answer::Defender;

/// The terms of a claim on a job, from a run.
///
/// `None` when the trace has no states, which no model gives.
pub fn claim_terms(job: Digest, trace: &Trace) -> Option<ClaimTerms> {
    let last = trace.state_roots().len().checked_sub(1)?;
    let tree = trace.tree().tree();
    Some(ClaimTerms {
        job,
        output_root: *trace.state_roots().get(last)?,
        trace_root: trace.root(),
        input_path: tree.path(0)?,
        output_path: tree.path(last as u64)?,
    })
}

/// An executor: which models it serves, how it computes, what it ran.
#[derive(Debug)]
pub struct ExecutorCore {
    address: Address,
    engine: Engine,
    model: Arc<Model>,
    conduct: Arc<dyn Conduct>,
    runs: HashMap<Digest, Defender>,
}

impl ExecutorCore {
    /// An executor of one model.
    pub fn new(
        address: Address,
        engine: Engine,
        model: Arc<Model>,
        conduct: Arc<dyn Conduct>,
    ) -> Self {
        Self { address, engine, model, conduct, runs: HashMap::new() }
    }

    /// How it computes.
    pub fn runner(&self) -> Runner<'_> {
        Runner { engine: &self.engine, model: &self.model, conduct: self.conduct.as_ref() }
    }

    /// Remembers the run behind claims with this trace root.
    pub fn remember(&mut self, trace: Trace, arity_log2: u32) {
        self.runs.insert(trace.root(), Defender::new(trace, arity_log2));
    }

    fn replies(&mut self, view: &View) -> Vec<Decision> {
        let floor_ms = view.settlement.parameters().move_floor_ms;
        // One answer serves all challenges that wait for it; its deadline is the earliest.
        let mut wanted: BTreeMap<(Digest, Request), u64> = BTreeMap::new();
        for (_, challenge) in view.settlement.challenges() {
            let (Some(request), Some(deadline)) =
                (challenge.pending(), challenge.deadline_ms(floor_ms))
            else {
                continue;
            };
            let mine = view.settlement.claim(&challenge.claim).is_some_and(|claim| {
                claim.executor == self.address && claim.status == ClaimStatus::Standing
            });
            if mine && view.now_ms <= deadline {
                let entry = wanted.entry((challenge.claim, *request)).or_insert(deadline);
                *entry = (*entry).min(deadline);
            }
        }
        let (engine, model, conduct) =
            (self.engine.clone(), Arc::clone(&self.model), Arc::clone(&self.conduct));
        let runner = Runner { engine: &engine, model: &model, conduct: conduct.as_ref() };
        let mut decisions = Vec::new();
        for ((claim_id, request), deadline_ms) in wanted {
            let Some(claim) = view.settlement.claim(&claim_id) else {
                continue;
            };
            let Some(defender) = self.runs.get_mut(&claim.terms.trace_root) else {
                tracing::error!(event = "executor.run_lost", claim = %claim_id,
                    "the run behind a challenged claim is not at hand; recompute it from its input");
                continue;
            };
            match defender.answer(&runner, &request) {
                Ok(reveal) => decisions.push(Decision {
                    action: Action::Reveal { claim: claim_id, request, reveal },
                    reason: format!("a challenger demands {}", describe(&request)),
                    deadline_ms: Some(deadline_ms),
                }),
                Err(error) => {
                    tracing::error!(event = "executor.cannot_answer", claim = %claim_id, %error);
                }
            }
        }
        decisions.sort_by_key(|decision| decision.deadline_ms);
        decisions
    }

    /// Ends challenges whose challengers are silent, and settles jobs that are ripe.
    fn housekeeping(&self, view: &View) -> Vec<Decision> {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        let mut decisions = Vec::new();
        for (id, claim) in settlement.claims() {
            if claim.executor != self.address || claim.status != ClaimStatus::Standing {
                continue;
            }
            let mut disputed = false;
            for challenge_id in &claim.challenges {
                let Some(challenge) = settlement.challenge(challenge_id) else {
                    continue;
                };
                let ChallengeStatus::Open { turn, .. } = &challenge.status else {
                    continue;
                };
                disputed = true;
                let late = challenge.deadline_ms(floor_ms).is_some_and(|at| view.now_ms > at);
                if late && *turn == Turn::Challenger {
                    decisions.push(Decision {
                        action: Action::CallTime { challenge: *challenge_id },
                        reason: "the challenger's time is over".to_owned(),
                        deadline_ms: None,
                    });
                }
            }
            let open = settlement.job(&claim.terms.job).is_some_and(|job| {
                job.status == JobStatus::Open && first_standing(view, job) == Some(*id)
            });
            if open && !disputed && view.now_ms > claim.window_end_ms {
                decisions.push(Decision {
                    action: Action::Finalise { job: claim.terms.job },
                    reason: "the window is over and nobody disputes the claim".to_owned(),
                    deadline_ms: None,
                });
            }
        }
        decisions
    }
}

fn first_standing(view: &View, job: &protocol::settlement::Job) -> Option<Digest> {
    job.claims.iter().copied().find(|id| {
        view.settlement.claim(id).is_some_and(|claim| claim.status == ClaimStatus::Standing)
    })
}

/// A request in words.
pub(crate) fn describe(request: &Request) -> String {
    match request {
        Request::Node { tree, depth, index } => {
            format!("the children of node {index} at depth {depth} of {tree:?}")
        }
        Request::Subtrace { layer } => format!("the inside of layer {layer}"),
        Request::Leaf { operator, leaf } => format!("leaf {leaf} of operator {operator}"),
        Request::Accumulators { operator, element } => {
            format!("the running sums of element {element} of operator {operator}")
        }
    }
}

impl Core for ExecutorCore {
    fn decide(&mut self, view: &View) -> Vec<Decision> {
        let mut decisions = self.replies(view);
        decisions.extend(self.housekeeping(view));
        decisions
    }
}
