//! What an executor does next, from the ledger's state.

use std::collections::BTreeMap;
use std::sync::Arc;

use inference::{Run, Trace};
use ledger::View;
use node::{Core, Decision};
use protocol::facts::Request;
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::settlement::{ChallengeStatus, Claim, ClaimStatus, JobStatus, Turn};
use protocol::transaction::{Action, Address, ClaimTerms};

use crate::answer::{AnswerError, Defender};

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
    /// Demands without an answer, as of the last look.
    unanswered: Vec<(Digest, Unanswered)>,
}

/// Why a demand is not answered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The run of the claim is not in memory: it must be made again from its input.
    RunMissing,
    /// The run does not answer it.
    Failed(AnswerError),
}

impl Unanswered {
    /// That a claim cannot be defended now, and why.
    pub fn line(&self, claim: &Digest) -> String {
        match self {
            Self::RunMissing => format!("claim {claim} is challenged and its run is not made yet"),
            Self::Failed(error) => format!("claim {claim} cannot be defended: {error}"),
        }
    }
}

impl<C: Commitment> ExecutorCore<C> {
    /// An executor that has run nothing yet.
    pub fn new(address: Address) -> Self {
        let (runs, offers, unanswered) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { address, runs, offers, unanswered }
    }

    /// Remembers the run of claims with its trace root.
    pub fn remember(&mut self, run: Arc<Run<C>>, arity_log2: u32) {
        self.runs.insert(run.trace().root(), Defender::new(run, arity_log2));
    }

    /// Claims a job, once, as long as it is open and nobody's standing claim says the same.
    pub fn offer(&mut self, terms: ClaimTerms) {
        self.offers.insert(terms.job, terms);
    }

    /// Lets go of a job that is over, and of its run unless another job needs it.
    pub fn forget(&mut self, job: &Digest, trace_root: Option<&Digest>) {
        self.offers.remove(job);
        if let Some(trace_root) = trace_root {
            self.runs.remove(trace_root);
        }
    }

    /// Whether a claim with this trace root would be made on a job: it is open, this account has not
    /// claimed it, and nobody's standing claim says the same.
    pub fn would_claim(&self, view: &View<C>, job: &Digest, trace_root: &Digest) -> bool {
        let settlement = &view.settlement;
        settlement.job(job).is_some_and(|job| {
            let mut claims = job.claims.iter().filter_map(|id| settlement.claim(id));
            job.status == JobStatus::Open
                && !claims.any(|claim| {
                    let same = claim.terms.trace_root == *trace_root;
                    claim.executor == self.address
                        || (same && claim.status == ClaimStatus::Standing)
                })
        })
    }

    /// Claims on offers, as far as the money reaches.
    fn claims(&self, view: &View<C>) -> Vec<Decision> {
        let mut free_wei = view.settlement.money().free_wei(&self.address);
        let mut decisions = Vec::new();
        for terms in self.offers.values() {
            let stake_wei = view.settlement.job(&terms.job).map(|job| job.terms.stake_wei);
            let left_wei = stake_wei.and_then(|stake_wei| free_wei.checked_sub(stake_wei));
            if !self.would_claim(view, &terms.job, &terms.trace_root) {
                continue;
            }
            let Some(left_wei) = left_wei else {
                #[cfg(test)]
                cov_mark::hit!(offer_is_too_dear);
                continue;
            };
            free_wei = left_wei;
            decisions.push(Decision {
                action: Action::PostClaim { terms: terms.clone() },
                reason: "the job is open and the run is done".to_owned(),
                deadline_ms: None,
            });
        }
        decisions
    }

    /// Demands without an answer at the last look, by claim, and why: each claim is lost unless that changes.
    pub fn unanswered(&self) -> &[(Digest, Unanswered)] {
        &self.unanswered
    }

    fn replies(&mut self, view: &View<C>) -> Vec<Decision> {
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
        let (mut decisions, mut unanswered) = (Vec::new(), Vec::new());
        for ((claim_id, request), deadline_ms) in wanted {
            let Some(claim) = view.settlement.claim(&claim_id) else {
                continue;
            };
            let Some(defender) = self.runs.get(&claim.terms.trace_root) else {
                #[cfg(test)]
                cov_mark::hit!(run_of_a_claim_is_missing);
                unanswered.push((claim_id, Unanswered::RunMissing));
                continue;
            };
            match defender.answer(&request) {
                Ok(reveal) => decisions.push(Decision {
                    action: Action::Reveal { claim: claim_id, request, reveal },
                    reason: format!("a challenger demands {}", ledger::words::request(&request)),
                    deadline_ms: Some(deadline_ms),
                }),
                Err(error) => {
                    #[cfg(test)]
                    cov_mark::hit!(demand_cannot_be_answered);
                    unanswered.push((claim_id, Unanswered::Failed(error)));
                }
            }
        }
        decisions.sort_by_key(|decision| decision.deadline_ms);
        self.unanswered = unanswered;
        decisions
    }

    /// Ends challenges whose challengers are silent, and settles jobs that are ripe.
    ///
    /// Also of claims by others that stand before ours: nobody else may care to, and ours waits
    /// for them (`simulation/scenarios/copycat-claim.toml`).
    fn housekeeping(&self, view: &View<C>) -> Vec<Decision> {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        let mut decisions = Vec::new();
        for (id, claim) in self.awaited(view) {
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
                let silent = match turn {
                    Turn::Challenger => Some("challenger"),
                    Turn::Executor(_) if claim.executor != self.address => Some("executor"),
                    Turn::Executor(_) => None,
                };
                if let (true, Some(silent)) = (late, silent) {
                    decisions.push(Decision {
                        action: Action::CallTime { challenge: *challenge_id },
                        reason: format!("the {silent}'s time is over"),
                        deadline_ms: None,
                    });
                }
            }
            let job = claim.terms.job;
            let first = settlement.job(&job).is_some_and(|job| {
                job.status == JobStatus::Open && first_standing(view, job) == Some(id)
            });
            if first && !disputed && view.now_ms > claim.window_end_ms {
                decisions.push(Decision {
                    action: Action::Finalise { job },
                    reason: "the window is over and nobody disputes the claim".to_owned(),
                    deadline_ms: None,
                });
            }
        }
        decisions
    }

    /// This executor's standing claims, and the claims that stand before them on their jobs.
    fn awaited<'a>(&self, view: &'a View<C>) -> BTreeMap<Digest, &'a Claim<C>> {
        let settlement = &view.settlement;
        let mut awaited = BTreeMap::new();
        for (id, claim) in settlement.claims() {
            if claim.executor != self.address || claim.status != ClaimStatus::Standing {
                continue;
            }
            awaited.insert(*id, claim);
            let Some(job) = settlement.job(&claim.terms.job) else {
                continue;
            };
            if job.status != JobStatus::Open {
                continue;
            }
            for before in job.claims.iter().take_while(|before| *before != id) {
                if let Some(claim) = settlement.claim(before)
                    && claim.status == ClaimStatus::Standing
                {
                    #[cfg(test)]
                    cov_mark::hit!(claim_before_ours_is_awaited);
                    awaited.insert(*before, claim);
                }
            }
        }
        awaited
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

impl<C: Commitment> Core<C> for ExecutorCore<C> {
    fn decide(&mut self, view: &View<C>) -> Vec<Decision> {
        let mut decisions = self.replies(view);
        decisions.extend(self.claims(view));
        decisions.extend(self.housekeeping(view));
        decisions
    }

    fn troubles(&self) -> Vec<String> {
        self.unanswered.iter().map(|(claim, why)| why.line(claim)).collect()
    }

    fn next_look_ms(&self, view: &View<C>) -> Option<u64> {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        let mine = self.awaited(view).into_iter();
        let times = mine.flat_map(|(_, claim)| {
            let clocks = claim.challenges.iter().filter_map(move |id| {
                settlement.challenge(id).and_then(|challenge| challenge.deadline_ms(floor_ms))
            });
            clocks.chain([claim.window_end_ms])
        });
        times.filter(|at_ms| *at_ms >= view.now_ms).min().map(|at_ms| at_ms.saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
