//! What an executor does next, from the ledger's state.

use std::collections::BTreeMap;
use std::sync::Arc;

use inference::{Run, Trace};
use ledger::{Core, Decision, View};
use protocol::facts::Request;
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::settlement::{ChallengeStatus, ClaimStatus, JobStatus, Turn};
use protocol::transaction::{Action, Address, ClaimTerms};

use crate::answer::Defender;

/// The terms of a claim on a job, from a run.
///
/// `None` when the trace has no states, which no model gives.
pub fn claim_terms<C: Commitment>(job: Digest, trace: &Trace<C>) -> Option<ClaimTerms> {
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

/// An executor: what it ran, and which jobs it wants to claim. Clones share the runs.
#[derive(Clone, Debug)]
pub struct ExecutorCore<C: Commitment = Keccak> {
    address: Address,
    runs: BTreeMap<Digest, Defender<C>>,
    offers: BTreeMap<Digest, ClaimTerms>,
}

impl<C: Commitment> ExecutorCore<C> {
    /// An executor that has run nothing yet.
    pub fn new(address: Address) -> Self {
        Self { address, runs: BTreeMap::new(), offers: BTreeMap::new() }
    }

    /// Remembers the run behind claims with its trace root.
    pub fn remember(&mut self, run: Arc<Run<C>>, arity_log2: u32) {
        self.runs.insert(run.trace().root(), Defender::new(run, arity_log2));
    }

    /// Claims a job, once, as long as it is open and nobody's standing claim says the same.
    pub fn offer(&mut self, terms: ClaimTerms) {
        self.offers.insert(terms.job, terms);
    }

    fn claims(&self, view: &View<C>) -> Vec<Decision> {
        let settlement = &view.settlement;
        let wanted = |terms: &&ClaimTerms| {
            settlement.job(&terms.job).is_some_and(|job| {
                let open = job.status == JobStatus::Open;
                let affordable = settlement.money().free_wei(&self.address) >= job.terms.stake_wei;
                let said = job.claims.iter().filter_map(|id| settlement.claim(id)).any(|claim| {
                    let same = claim.terms.trace_root == terms.trace_root;
                    claim.executor == self.address
                        || (same && claim.status == ClaimStatus::Standing)
                });
                open && affordable && !said
            })
        };
        let decide = |terms: &ClaimTerms| Decision {
            action: Action::PostClaim { terms: terms.clone() },
            reason: "the job is open and the run is done".to_owned(),
            deadline_ms: None,
        };
        self.offers.values().filter(wanted).map(decide).collect()
    }

    fn replies(&self, view: &View<C>) -> Vec<Decision> {
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
        let mut decisions = Vec::new();
        for ((claim_id, request), deadline_ms) in wanted {
            let Some(claim) = view.settlement.claim(&claim_id) else {
                continue;
            };
            let Some(defender) = self.runs.get(&claim.terms.trace_root) else {
                tracing::error!(event = "executor.run_lost", claim = %claim_id,
                    "the run behind a challenged claim is not at hand; recompute it from its input");
                continue;
            };
            match defender.answer(&request) {
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
    fn housekeeping(&self, view: &View<C>) -> Vec<Decision> {
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

fn first_standing<C: Commitment>(
    view: &View<C>,
    job: &protocol::settlement::Job,
) -> Option<Digest> {
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

impl<C: Commitment> Core<C> for ExecutorCore<C> {
    fn decide(&mut self, view: &View<C>) -> Vec<Decision> {
        let mut decisions = self.replies(view);
        decisions.extend(self.claims(view));
        decisions.extend(self.housekeeping(view));
        decisions
    }
}
