//! What an executor does next, from the ledger's state.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use inference::{AnyRun, Run, SequenceRun, Trace};
use ledger::View;
use node::late::{Late, late};
use node::{Core, Decision};
use protocol::asks::Ask;
use protocol::encoding::Canonical as _;
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{CHALLENGERS_MAX, Claim, Job, JobStatus, PASSED_MAX};
use protocol::transaction::{Action, Address, Statement};

use crate::answer::{AnswerError, Defender};

/// The claim on a job, from a run.
///
/// `None` when the trace has no states, which no model gives.
pub fn statement_of<C: Commitment>(
    job: JobId,
    model_root: Digest,
    trace: &Trace<C>,
) -> Option<Statement> {
    Statement::of_run::<C>(job, model_root, trace.state_roots())
}

/// An executor: what it ran, and which jobs it wants to claim. Clones share the runs.
#[derive(Clone, Debug)]
pub struct ExecutorCore<C: Commitment = Keccak> {
    address: Address,
    /// By model root and sequence root: a sequence says nothing about the insides of its layers.
    runs: BTreeMap<(Digest, Digest), Defender<C>>,
    offers: BTreeMap<JobId, Statement>,
    /// Demands without an answer, as of the last look.
    unanswered: Vec<(ClaimId, Unanswered)>,
}

/// Answers that one look makes.
const REPLIES_AT_ONCE: usize = 8;

/// What a standing claim is asked.
struct Demanded {
    claim: ClaimId,
    ask: Ask,
    /// Who waits for it, and until when; whoever must be served first comes first.
    waiting: Vec<(u64, Address)>,
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
    pub fn line(&self, claim: &ClaimId) -> String {
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

    /// Remembers the run of claims with its sequence root.
    pub fn remember(&mut self, run: Arc<Run<C>>, arity_log2: u32) {
        self.remember_sequence(Arc::new(SequenceRun::of_run(AnyRun::Whole(run))), arity_log2);
    }

    /// As [`ExecutorCore::remember`], of a run of any number of iterations. One without a result, on which no
    /// claim can stand, is not kept.
    pub fn remember_sequence(&mut self, run: Arc<SequenceRun<C>>, arity_log2: u32) {
        if let Some(sequence_root) = run.root() {
            let key = (run.model().root(), sequence_root);
            self.runs.insert(key, Defender::new(run, arity_log2));
        }
    }

    /// Claims a job, once, as long as it is open and nobody's standing claim says the same.
    pub fn offer(&mut self, statement: Statement) {
        self.offers.insert(statement.terms.job, statement);
    }

    /// Lets go of a job that is over, and of its run (model root and sequence root) unless another job needs it.
    pub fn forget(&mut self, job: &JobId, run: Option<(Digest, Digest)>) {
        self.offers.remove(job);
        if let Some(key) = run {
            self.runs.remove(&key);
        }
    }

    /// Whether a claim with this sequence root would be made on a job: it is open, takes claims of this account
    /// still, this account has not claimed it, and nobody's standing claim says the same.
    pub fn would_claim(&self, view: &View<C>, job: &JobId, sequence_root: &Digest) -> bool {
        let settlement = &view.settlement;
        let is_open =
            settlement.job(job).is_some_and(|job| takes_claims_of(job, &self.address, view.now_ms));
        let mut claims = settlement.claims_of(job).filter_map(|id| settlement.claim(id));
        is_open
            && !claims.any(|claim| {
                let same = claim.terms.sequence_root == *sequence_root;
                claim.executor == self.address || (same && claim.stands())
            })
    }

    /// Whether nobody needs a run of a job any more: it takes no claims of this account, and none of its stands on it. A
    /// claim of somebody else that stands on an open job may yet fall, and then the job takes claims again.
    pub fn is_over(&self, view: &View<C>, job: &JobId) -> bool {
        let settlement = &view.settlement;
        let mut claims = settlement.claims_of(job).filter_map(|id| settlement.claim(id));
        let stands = claims.any(|claim| claim.executor == self.address && claim.stands());
        let takes_claims = settlement.job(job).is_some_and(|job| {
            let is_held = job.status == JobStatus::Open && job.standing > 0;
            let may_reopen = is_held && job.terms.admits(&self.address);
            may_reopen || takes_claims_of(job, &self.address, view.now_ms)
        });
        !takes_claims && !stands
    }

    /// Roots of the inputs of all jobs that are not over. Also of one that may only open again: when it does, it is
    /// claimed at once, and nobody must claim what he has no input to defend with.
    pub(crate) fn inputs_needed(&self, view: &View<C>) -> HashSet<Digest> {
        let needed = view.settlement.jobs().filter(|(id, _)| !self.is_over(view, id));
        needed.map(|(_, job)| job.terms.input_root).collect()
    }

    /// Claims on offers, as far as the money reaches.
    fn claims(&self, view: &View<C>) -> Vec<Decision> {
        let record_fee_wei = view.settlement.parameters().record_fee_wei;
        let mut free_wei = view.settlement.money().free_wei(&self.address);
        let mut decisions = Vec::new();
        for statement in self.offers.values() {
            let job = statement.terms.job;
            let stake_wei = view.settlement.job(&job).map(|job| job.terms.stake_wei);
            let needed_wei = stake_wei.map(|stake_wei| stake_wei.saturating_add(record_fee_wei));
            let left_wei = needed_wei.and_then(|needed_wei| free_wei.checked_sub(needed_wei));
            if !self.would_claim(view, &job, &statement.terms.sequence_root) {
                continue;
            }
            let Some(left_wei) = left_wei else {
                #[cfg(test)]
                cov_mark::hit!(offer_is_too_dear);
                continue;
            };
            free_wei = left_wei;
            decisions.push(Decision {
                action: Action::PostClaim { statement: statement.clone() },
                reason: "the job is open and the run is done".to_owned(),
                deadline_ms: None,
            });
        }
        decisions
    }

    /// Demands without an answer at the last look, by claim, and why: each claim is lost unless that changes.
    pub fn unanswered(&self) -> &[(ClaimId, Unanswered)] {
        &self.unanswered
    }

    /// The answers that are most urgent, and why others cannot be given. A look makes [`REPLIES_AT_ONCE`] at most:
    /// those are on their way before the next ones are computed.
    fn replies(&mut self, view: &View<C>) -> Vec<Decision> {
        let (mut decisions, mut unanswered, mut answered) = (Vec::new(), Vec::new(), 0);
        for Demanded { claim: claim_id, ask, waiting } in self.demands(view) {
            let Some(claim) = view.settlement.claim(&claim_id) else {
                continue;
            };
            let terms = &claim.terms;
            let Some(defender) = self.runs.get(&(terms.model_root, terms.sequence_root)) else {
                #[cfg(test)]
                cov_mark::hit!(run_of_a_claim_is_missing);
                unanswered.push((claim_id, Unanswered::RunMissing));
                continue;
            };
            if answered == REPLIES_AT_ONCE {
                #[cfg(test)]
                cov_mark::hit!(less_urgent_reply_waits);
                continue;
            }
            let answer = match defender.answer(&ask) {
                Ok(answer) => answer,
                Err(error) => {
                    #[cfg(test)]
                    cov_mark::hit!(demand_cannot_be_answered);
                    unanswered.push((claim_id, Unanswered::Failed(error)));
                    continue;
                }
            };
            // One of many iterations is computed again first: its answer is sent before the next is made.
            answered =
                if defender.sequence().iterations() > 1 { REPLIES_AT_ONCE } else { answered + 1 };
            // One answer serves those that it names; whoever must be served first is named first.
            for named in waiting.chunks(CHALLENGERS_MAX) {
                decisions.push(Decision {
                    action: Action::Reveal {
                        claim: claim_id,
                        challengers: named.iter().map(|(_, challenger)| *challenger).collect(),
                        ask: ask.clone(),
                        answer: answer.clone(),
                    },
                    reason: format!("a challenger demands {}", ledger::words::ask(&ask)),
                    deadline_ms: named.first().map(|(deadline_ms, _)| *deadline_ms),
                });
            }
        }
        decisions.sort_by_key(|decision| decision.deadline_ms);
        self.unanswered = unanswered;
        decisions
    }

    /// What this executor's standing claims are asked and can still answer, the most urgent first.
    fn demands(&self, view: &View<C>) -> Vec<Demanded> {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        let mut demands: BTreeMap<(ClaimId, Vec<u8>), Demanded> = BTreeMap::new();
        for (_, challenge) in settlement.open_challenges() {
            let (Some(ask), Some(deadline_ms)) =
                (challenge.pending(), challenge.deadline_ms(floor_ms))
            else {
                continue;
            };
            let claim = challenge.claim;
            let mine = settlement
                .claim(&claim)
                .is_some_and(|claim| claim.executor == self.address && claim.stands());
            if mine && view.now_ms <= deadline_ms {
                let new = || Demanded { claim, ask: ask.clone(), waiting: Vec::new() };
                let demanded = demands.entry((claim, ask.to_canonical())).or_insert_with(new);
                demanded.waiting.push((deadline_ms, challenge.challenger));
            }
        }
        let mut demands: Vec<Demanded> = demands.into_values().collect();
        demands.iter_mut().for_each(|demanded| demanded.waiting.sort_unstable());
        demands
            .sort_by_key(|demanded| demanded.waiting.first().map(|(deadline_ms, _)| *deadline_ms));
        demands
    }

    /// Ends challenges whose challengers are silent, settles jobs that are ripe, takes stakes back, and ends
    /// jobs of its own that nobody claimed.
    ///
    /// Also of claims by others that stand before ours or on jobs of its own: nobody else may care to, and
    /// this account waits for them (`simulation/scenarios/copycat-claim.toml`). Where a job was run and another
    /// claims it, silent challengers are called too: a true claim that is held by an accomplice would
    /// keep the job from ending.
    fn housekeeping(&self, view: &View<C>) -> Vec<Decision> {
        let mut decisions: Vec<Decision> = self
            .idle_jobs(view)
            .filter(|(_, job)| view.now_ms > job.open_until_ms)
            .map(|(id, _)| Decision {
                action: Action::ExpireJob { job: *id },
                reason: "its time for claims is over and nobody claimed it".to_owned(),
                deadline_ms: None,
            })
            .collect();
        for (id, claim) in self.awaited(view) {
            decisions.extend(self.overdue(view, &id, claim));
            let is_over = view
                .settlement
                .job(&claim.terms.job)
                .is_some_and(|job| job.status != JobStatus::Open);
            if is_over && !claim.is_disputed() {
                decisions.push(Decision {
                    action: Action::Release { claim: id },
                    reason: "the job is over and nobody disputes the claim".to_owned(),
                    deadline_ms: None,
                });
            }
            if !is_over && !claim.is_disputed() && view.now_ms > claim.window_end_ms {
                decisions.extend(finality(view, id, claim));
            }
        }
        for (id, claim) in self.watched(view) {
            decisions.extend(self.overdue(view, &id, claim));
        }
        decisions
    }

    /// Open jobs that this account posted and on which nothing stands or waits.
    fn idle_jobs<'a>(&self, view: &'a View<C>) -> impl Iterator<Item = (&'a JobId, &'a Job)> {
        let address = self.address;
        view.settlement.open_jobs().filter(move |(_, job)| {
            let is_idle = job.standing == 0 && job.seals_waiting == 0;
            job.poster == address && is_idle
        })
    }

    /// Ends the challenges of a claim that stands in which somebody else is late.
    fn overdue(&self, view: &View<C>, id: &ClaimId, claim: &Claim<C>) -> Vec<Decision> {
        let is_ours = claim.executor == self.address;
        let of_others = late(view, id).filter(|late| !(is_ours && late.is_executor()));
        let call = |late: Late<'_>| Decision {
            action: late.call(),
            reason: format!(
                "the {}'s time is over",
                if late.is_executor() { "executor" } else { "challenger" }
            ),
            deadline_ms: None,
        };
        of_others.map(call).collect()
    }

    /// This executor's standing claims, the claims that stand before them on their jobs, and those that stand on
    /// open jobs that this account posted.
    fn awaited<'a>(&self, view: &'a View<C>) -> BTreeMap<ClaimId, &'a Claim<C>> {
        let settlement = &view.settlement;
        let mut awaited = BTreeMap::new();
        for (id, claim) in settlement.standing_claims() {
            let open = settlement.job(&claim.terms.job).filter(|job| job.status == JobStatus::Open);
            if open.is_some_and(|job| job.poster == self.address) {
                #[cfg(test)]
                cov_mark::hit!(claim_on_a_job_of_its_own_is_awaited);
                awaited.insert(*id, claim);
            }
            if claim.executor != self.address {
                continue;
            }
            awaited.insert(*id, claim);
            if open.is_none() {
                continue;
            }
            let others = settlement.claims_of(&claim.terms.job);
            for before in others.take_while(|before| *before != id) {
                if let Some(claim) = settlement.claim(before).filter(|claim| claim.stands()) {
                    #[cfg(test)]
                    cov_mark::hit!(claim_before_ours_is_awaited);
                    awaited.insert(*before, claim);
                }
            }
        }
        awaited
    }

    /// Others' standing claims on open jobs that this executor ran or means to claim, where none of its own
    /// stands: what it waits for then is that they end.
    fn watched<'a>(&self, view: &'a View<C>) -> BTreeMap<ClaimId, &'a Claim<C>> {
        let settlement = &view.settlement;
        let runs: BTreeSet<(Digest, Digest)> = self.runs.values().filter_map(run_of).collect();
        let ours = settlement.open_jobs().filter(|(id, job)| {
            let was_run = || runs.contains(&(job.terms.model_root, job.terms.input_root));
            job.poster != self.address && (self.offers.contains_key(id) || was_run())
        });
        let mut watched = BTreeMap::new();
        for (job, _) in ours {
            let claims = settlement.claims_of(job);
            let claims = claims.filter_map(|id| Some((*id, settlement.claim(id)?)));
            let standing: Vec<_> = claims.filter(|(_, claim)| claim.stands()).collect();
            if standing.iter().all(|(_, claim)| claim.executor != self.address) {
                watched.extend(standing);
            }
        }
        watched
    }
}

/// What a run is of: model and input.
fn run_of<C: Commitment>(defender: &Defender<C>) -> Option<(Digest, Digest)> {
    let run = defender.sequence();
    Some((run.model().root(), run.input_root()?))
}

/// Whether a job takes a claim of this account now, were it the first.
pub(crate) fn takes_claims_of(job: &Job, executor: &Address, now_ms: u64) -> bool {
    let is_open = job.status == JobStatus::Open && now_ms <= job.open_until_ms;
    is_open && job.terms.admits(executor)
}

/// Makes an undisputed claim whose window is over the answer of its job, once no other stands before it; what
/// fell before it is passed first.
fn finality<C: Commitment>(view: &View<C>, id: ClaimId, claim: &Claim<C>) -> Option<Decision> {
    let job = claim.terms.job;
    let mut fallen = view.settlement.to_pass(&job, claim.number)?;
    let (action, reason) = if fallen.is_empty() {
        let reason = "the window is over and nobody disputes the claim";
        (Action::Finalise { claim: id }, reason)
    } else {
        fallen.truncate(PASSED_MAX);
        (Action::Pass { job, claims: fallen }, "claims before this one were rejected")
    };
    Some(Decision { action, reason: reason.to_owned(), deadline_ms: None })
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
        let ends = self.idle_jobs(view).map(|(_, job)| job.open_until_ms);
        let (awaited, watched) = (self.awaited(view), self.watched(view));
        let windows = awaited.values().map(|claim| claim.window_end_ms);
        let challenges = awaited.keys().chain(watched.keys()).flat_map(|claim| {
            settlement.challenges_of(claim).filter_map(|id| settlement.challenge(id))
        });
        let clocks = challenges.filter_map(|challenge| challenge.deadline_ms(floor_ms));
        clocks
            .chain(windows)
            .chain(ends)
            .filter(|at_ms| *at_ms >= view.now_ms)
            .min()
            .map(|at_ms| at_ms.saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
