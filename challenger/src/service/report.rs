//! What a challenger's daemon tells: what it checks and what not, what it can afford, and whether there is
//! time for all.

use std::collections::{BTreeMap, HashMap, HashSet};

use inference::NoResult;
use ledger::View;
use node::jobs::Progress;
use protocol::hash::Digest;
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{Claim, ClaimStatus};
use serde::Serialize;

use super::{End, Jobs, Mode, Seen, Service, unchecked};
use crate::core::{ChallengerCore, stuck_line};
use crate::coverage::{Gap, Unchecked, gaps, without_model};
use crate::queue::{Contested, contested, is_saturated};
use crate::solver::SolveError;
use crate::truth::Truth;

/// A job that has no result, and how many claims on it stand all the same.
#[derive(Serialize)]
struct WithoutResult {
    job: String,
    operator: u32,
    element: u64,
    reason: String,
    claims_standing: usize,
    /// What this daemon does about claims on it.
    claims: &'static str,
}

/// Jobs whose runs have no result, in the order of their ids.
fn without_result(
    view: &View,
    truths: &HashMap<JobId, Truth>,
    challenges: bool,
) -> Vec<WithoutResult> {
    let settlement = &view.settlement;
    let stands = |claim: &&ClaimId| settlement.claim(claim).is_some_and(|claim| claim.stands());
    let jobs = truths.iter().filter_map(|(job, truth)| Some((job, truth.no_result()?)));
    let jobs: BTreeMap<_, _> = jobs.collect();
    let one = |(job, end): (&JobId, &NoResult)| WithoutResult {
        job: job.to_string(),
        operator: end.operator,
        element: end.element,
        reason: end.to_string(),
        claims_standing: settlement.claims_of(job).filter(stands).count(),
        claims: if challenges {
            "any claim on this job is false and is challenged"
        } else {
            "any claim on this job is false; this daemon challenges none"
        },
    };
    jobs.into_iter().map(one).collect()
}

/// Jobs with standing claims that are not checked, and why; and these claims.
fn uncovered(
    view: &View,
    contested: &[Contested],
    has_model: impl Fn(&Digest) -> bool,
    jobs: &Jobs,
    core: &ChallengerCore,
) -> (BTreeMap<JobId, Unchecked>, Vec<Gap>) {
    let mut left: BTreeMap<JobId, Unchecked> = without_model(contested, has_model).collect();
    for one in contested {
        if let Some(why) = unchecked(jobs, &one.job) {
            left.insert(one.job, why.clone());
        }
    }
    let found = gaps(view, &left, |id, claim| core.lacks_run(view, id, claim));
    let lacking: HashSet<&str> = found.iter().map(|gap| gap.job.as_str()).collect();
    left.retain(|job, _| lacking.contains(job.to_string().as_str()));
    (left, found)
}

/// Claims whose time for challenges ended since a look, that may be the answers of their jobs, and that the own runs
/// have not decided.
fn ended_unchecked<'a>(
    view: &'a View,
    since_ms: u64,
    core: &'a ChallengerCore,
) -> impl Iterator<Item = (&'a ClaimId, &'a Claim)> + 'a {
    view.settlement.claims().filter(move |(_, claim)| {
        let ended = (since_ms..view.now_ms).contains(&claim.window_end_ms);
        // One that was rejected meanwhile does no harm.
        let is_kept = matches!(claim.status, ClaimStatus::Standing | ClaimStatus::Final { .. });
        let is_decided =
            || core.truth(&claim.terms.job).and_then(|truth| truth.judges(&claim.terms)).is_some();
        ended && is_kept && !is_decided()
    })
}

impl Service {
    /// Tells, counts and shows what is not checked.
    pub(super) fn cover(&mut self, view: &View, waiting: usize) {
        let (contested, model_store) = (self.to_check(view), &self.model_store);
        let has_model = |root: &Digest| model_store.model(root).is_some();
        let (left, found) = uncovered(view, &contested, has_model, &self.jobs, &self.agent.core);
        for (job, why) in left.iter().filter(|(_, why)| why.is_alarming()) {
            let before = self.unchecked.get(job);
            if before
                .is_some_and(|before| std::mem::discriminant(before) == std::mem::discriminant(why))
            {
                continue;
            }
            metrics::counter!("rebut_challenger_unchecked_total").increment(1);
            for gap in found.iter().filter(|gap| gap.job == job.to_string()) {
                tracing::error!(event = "challenger.unchecked", claim = %gap.claim, %job, reason = %why,
                    stake_wei = %gap.stake_wei, window_end_ms = gap.window_end_ms,
                    "this claim is NOT checked and becomes final unless somebody else checks it");
            }
        }
        let alarming = found.iter().filter(|gap| gap.unchecked.is_alarming());
        let lines: Vec<String> =
            alarming.map(|gap| format!("claim {}: {}", gap.claim, gap.unchecked)).collect();
        let not_drawn = found.len() - lines.len();
        metrics::gauge!("rebut_challenger_unchecked").set(lines.len() as f64);
        self.health.unchecked(&lines);
        let truths = self.agent.core.truths();
        let no_result = without_result(view, &truths, self.challenges());
        metrics::gauge!("rebut_challenger_no_result").set(no_result.len() as f64);
        self.health.say(serde_json::json!({
            "height": view.height, "mode": self.settings.mode.name(),
            "dry_run": self.settings.dry_run, "sample_permille": self.settings.sample_permille,
            "models": self.model_store.names().iter().map(|(name, root)| {
                serde_json::json!({ "name": name, "root": root.to_string() })
            }).collect::<Vec<_>>(),
            "unchecked": found.iter().take(100).collect::<Vec<_>>(),
            "no_result": no_result.iter().take(100).collect::<Vec<_>>(),
            "no_result_count": no_result.len(), "unchecked_count": lines.len(), "not_drawn_count": not_drawn,
            "jobs_waiting": waiting, "saturated": self.saturated,
            "runs_kept": self.agent.core.at_hand(), "unaffordable_count": self.unaffordable.len(),
            "too_late_count": self.too_late,
        }));
        self.unchecked = left;
        if let Some(observer) = &mut self.observer {
            let waiting = waiting.max(self.jobs.running());
            observer(view, &Seen { truths: &truths, gaps: &found, waiting });
        }
    }

    /// Tells of each claim once that can be challenged no more, and that this machine had not run by then.
    pub(super) fn report_late(&mut self, view: &View) {
        let since_ms = self.looked_ms.replace(view.now_ms).unwrap_or(view.now_ms);
        let model_store = &self.model_store;
        let has_model = |root: &Digest| model_store.model(root).is_some();
        for (id, claim) in ended_unchecked(view, since_ms, &self.agent.core) {
            // What was left on purpose, or cannot be run, was told as such.
            let left = matches!(self.jobs.ended(&claim.terms.job), Some(End::Left { .. }));
            if left || !has_model(&claim.terms.model_root) {
                continue;
            }
            self.too_late += 1;
            metrics::counter!("rebut_challenger_too_late_total").increment(1);
            tracing::error!(event = "challenger.too_late", claim = %id, job = %claim.terms.job,
                run_ms = self.run_ms,
                "this claim can be challenged no more and was NOT checked in time; add machines, or see \
                 why runs take so long");
        }
    }

    pub(super) fn warn_if_saturated(&mut self, view: &View, waiting: &[Contested]) {
        // What is being run has taken so long already, and may come too late itself.
        let running = self.jobs.iter().filter_map(|(id, one)| match one {
            Progress::Running { since_ms, .. } => {
                let iterations = self.stages.get(id).map_or(1, |stage| stage.left.max(1));
                Some(view.now_ms.saturating_sub(*since_ms) / u64::from(iterations))
            }
            _ => None,
        });
        let run_ms = self.run_ms.max(running.max().unwrap_or(0));
        let mut first = contested(view);
        first.retain(|one| self.jobs.is_running(&one.job));
        let mut first = self.with_left(view, first);
        first.extend(waiting);
        let saturated = is_saturated(&first, 0, run_ms, view.now_ms);
        metrics::gauge!("rebut_challenger_saturated").set(f64::from(u8::from(saturated)));
        if saturated && !self.saturated {
            tracing::error!(
                event = "challenger.saturated",
                waiting = waiting.len(),
                run_ms = self.run_ms,
                "claims will be final before this machine has run them; add machines, or sample"
            );
        }
        self.saturated = saturated;
    }

    /// Whether false claims are challenged.
    fn challenges(&self) -> bool {
        self.settings.mode == Mode::Full && !self.settings.dry_run
    }

    /// Tells that the money does not reach for a single challenge, before one is wanted.
    pub(super) fn report_if_poor(&self, view: &View, free_wei: u128) {
        let parameters = view.settlement.parameters();
        let least_wei = node::exposure::challenge_takes_wei(parameters, parameters.stake_wei_min);
        let plays = self.challenges();
        self.health.money((plays && free_wei < least_wei).then(|| {
            format!(
                "{} free, and a challenge takes {} at least: no claim can be challenged; \
                 rebut account deposit",
                ledger::words::ether(free_wei),
                ledger::words::ether(least_wei)
            )
        }));
    }

    /// Tells what is tried again and again in vain: challenges without a next move, and moves that the
    /// ledger refused.
    pub(super) fn report_stuck(&mut self, view: &View, mut refused: Vec<String>) {
        let job_of = |challenge: &ChallengeId| {
            let claim = view.settlement.challenge(challenge).map(|challenge| challenge.claim);
            claim.and_then(|id| view.settlement.claim(&id)).map(|claim| claim.terms.job)
        };
        for (challenge, error) in self.agent.core.stuck() {
            // A run that is being made is no trouble yet.
            let is_running = job_of(challenge).is_some_and(|job| self.jobs.is_running(&job));
            if *error == SolveError::RunMissing && is_running {
                continue;
            }
            refused.push(stuck_line((challenge, error)));
        }
        self.health.hindered(&refused);
    }

    /// Tells of each claim once that it should be challenged and there is no money for it.
    pub(super) fn report_money(&mut self, view: &View) {
        let found: HashSet<ClaimId> = self.agent.core.unaffordable(view).into_iter().collect();
        for claim in found.difference(&self.unaffordable) {
            metrics::counter!("rebut_challenger_out_of_money_total").increment(1);
            tracing::error!(event = "challenger.out_of_money", %claim,
                "a false claim is NOT challenged: no money for bond and fees; deposit more");
        }
        metrics::gauge!("rebut_challenger_unaffordable").set(found.len() as f64);
        self.unaffordable = found;
    }

    /// Tells of each standing claim once whether it is that of this machine.
    pub(super) fn report(&mut self, view: &View) {
        for (id, claim) in view.settlement.standing_claims() {
            let Some(truth) = self.agent.core.truth(&claim.terms.job) else {
                continue;
            };
            let Some(is_true) = truth.judges(&claim.terms) else {
                continue;
            };
            if !self.told.insert(*id) {
                continue;
            }
            if is_true {
                metrics::counter!("rebut_challenger_agreed_total").increment(1);
                tracing::info!(event = "challenger.agrees", claim = %id);
            } else {
                metrics::counter!("rebut_challenger_differed_total").increment(1);
                tracing::warn!(event = "challenger.differs", claim = %id,
                    executor = %claim.executor, claimed = %claim.terms.sequence_root, own = %truth);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use node::jobs::Pace;
    use protocol::settlement::ETHER;

    use super::*;
    use crate::core::Policy;
    use crate::honest_view::HonestView;
    use crate::testing::court::{Court, Who};
    use crate::testing::models::ladder;
    use crate::testing::statement::Statement;

    #[test]
    fn a_claim_that_was_not_decided_when_its_time_ended_is_told_once_whatever_else_stands_on_its_job()
     {
        let network = ladder(3);
        let (mut court, claim) = (Court::funded(), Statement::of(&network.honest()));
        let job = court.job(&network, ETHER);
        let first = court.claim("first", Who::Executor, job, &claim);
        let posted_ms = court.view().now_ms;
        let end_ms = court.view().settlement.claim(&first).unwrap().window_end_ms;
        let at = |court: &Court, now_ms: u64| View { now_ms, ..court.view() };
        let told = |view: &View, since_ms: u64, core: &ChallengerCore| {
            ended_unchecked(view, since_ms, core).map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let mut core = ChallengerCore::new(Who::Challenger.address(), Policy::Differing);
        assert_eq!(told(&at(&court, end_ms), posted_ms, &core), []);
        // Posted and over between two looks, or seen before: once.
        assert_eq!(told(&at(&court, end_ms + 1), posted_ms, &core), [first]);
        assert_eq!(told(&at(&court, end_ms + 1), end_ms, &core), [first]);
        assert_eq!(told(&at(&court, end_ms + 9), end_ms + 1, &core), []);
        core.watch(job, HonestView::of_run(network.honest(), Arc::default()));
        assert_eq!(told(&at(&court, end_ms + 1), posted_ms, &core), []);
    }

    #[test]
    fn a_claim_whose_run_waits_for_another_long_one_is_told_and_alarmed_until_it_is_decided() {
        let network = ladder(3);
        let mut court = Court::funded();
        let claim = Statement::of(&network.honest());
        let [running, waiting] = ["running", "waiting"].map(|name| {
            let job = court.job(&network, ETHER);
            (job, court.claim(name, Who::Executor, job, &claim))
        });
        let (mut jobs, view) = (Jobs::default(), court.view());
        jobs.begin(running.0, view.now_ms);
        jobs.wait(waiting.0, view.now_ms, Pace::Disputed, Unchecked::LongRun);
        let mut core = ChallengerCore::new(Who::Challenger.address(), Policy::Differing);
        let contested = contested(&view);
        let told = |jobs: &Jobs, core: &ChallengerCore| {
            let (left, found) = uncovered(&view, &contested, |_| true, jobs, core);
            assert_eq!(left.len(), found.len());
            found.into_iter().map(|gap| (gap.claim, gap.unchecked)).collect::<Vec<_>>()
        };
        assert_eq!(told(&jobs, &core), [(waiting.1.to_string(), Unchecked::LongRun)]);
        assert!(Unchecked::LongRun.is_alarming());
        assert!(Unchecked::LongRun.to_string().contains("waits for another run"));
        // The worker has it from now on.
        jobs.begin(waiting.0, view.now_ms);
        assert_eq!(told(&jobs, &core), []);
        // What is decided already is no gap, though more of the run is waited for.
        jobs.wait(waiting.0, view.now_ms, Pace::Disputed, Unchecked::LongRun);
        core.watch(waiting.0, HonestView::of_run(network.honest(), Arc::default()));
        assert_eq!(told(&jobs, &core), []);
    }
}
