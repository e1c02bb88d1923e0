//! In which order contested jobs are run, and whether there is time for all.

use ledger::View;
use protocol::hash::{Commitment, Digest};
use protocol::ids::JobId;
use protocol::transaction::Address;

/// A job with standing claims that can still be challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contested {
    /// The job.
    pub job: JobId,
    /// Who posted it, and published its input.
    pub poster: Address,
    /// Its model.
    pub model_root: Digest,
    /// Its input.
    pub input_root: Digest,
    /// When a run comes too late: the first end of a window for challenges, or of an open challenge's
    /// clock.
    pub urgent_ms: u64,
    /// Stakes of its standing claims.
    pub stake_wei: u128,
}

/// Jobs with claims that can still be challenged or are being: the most urgent first; of those the one
/// with the most at stake.
pub fn contested<C: Commitment>(view: &View<C>) -> Vec<Contested> {
    with_standing(view, false)
}

/// As [`contested`], and after them the jobs with claims that stand though they can be challenged no more:
/// nobody has settled them yet, and whoever watches wants to know whether they are true.
pub fn standing<C: Commitment>(view: &View<C>) -> Vec<Contested> {
    with_standing(view, true)
}

/// When there is no hurry.
const WHENEVER_MS: u64 = u64::MAX - 1;

fn with_standing<C: Commitment>(view: &View<C>, also_over: bool) -> Vec<Contested> {
    let settlement = &view.settlement;
    let floor_ms = settlement.parameters().move_floor_ms;
    let mut found = Vec::new();
    for (id, job) in settlement.jobs() {
        let claims = settlement.claims_of(id).filter_map(|id| Some((id, settlement.claim(id)?)));
        let (mut urgent_ms, mut stake_wei) = (u64::MAX, 0u128);
        for (id, claim) in claims.filter(|(_, claim)| claim.stands()) {
            let challenges = settlement.challenges_of(id).filter_map(|id| settlement.challenge(id));
            let clocks = challenges.filter_map(|challenge| challenge.deadline_ms(floor_ms));
            let window = Some(claim.window_end_ms).filter(|end_ms| view.now_ms <= *end_ms);
            let whenever = also_over.then_some(WHENEVER_MS);
            if let Some(end_ms) = clocks.chain(window).chain(whenever).min() {
                urgent_ms = urgent_ms.min(end_ms);
                stake_wei = stake_wei.saturating_add(claim.stake_wei);
            }
        }
        if urgent_ms < u64::MAX {
            found.push(Contested {
                job: *id,
                poster: job.poster,
                model_root: job.terms.model_root,
                input_root: job.terms.input_root,
                urgent_ms,
                stake_wei,
            });
        }
    }
    found.sort_by_key(|one| (one.urgent_ms, std::cmp::Reverse(one.stake_wei), one.job));
    found
}

/// Whether some job would be run only after its window for challenges, when each takes `run_ms` and
/// `before` are already with the engine.
pub fn is_saturated(waiting: &[Contested], before: usize, run_ms: u64, now_ms: u64) -> bool {
    waiting.iter().filter(|one| one.urgent_ms > now_ms).enumerate().any(|(place, one)| {
        let runs = (place + before + 1) as u64;
        now_ms.saturating_add(runs.saturating_mul(run_ms)) > one.urgent_ms
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(urgent_ms: u64) -> Contested {
        let root = Digest([0; 32]);
        let poster = Address([0; 20]);
        let job = JobId::default();
        Contested { job, poster, model_root: root, input_root: root, urgent_ms, stake_wei: 1 }
    }

    #[test]
    fn a_machine_is_saturated_when_the_last_run_ends_after_a_window() {
        for (ends, before, run_ms, saturated) in [
            (vec![], 2, 100, false),
            (vec![1_100], 0, 100, false),
            (vec![1_100], 1, 100, true),
            (vec![1_100, 1_200, 1_300], 0, 100, false),
            (vec![1_100, 1_150], 0, 100, true),
            // What is over is over: more machines would not help it.
            (vec![900], 0, 100, false),
        ] {
            let waiting: Vec<_> = ends.iter().copied().map(until).collect();
            assert_eq!(is_saturated(&waiting, before, run_ms, 1_000), saturated, "{ends:?}");
        }
    }
}
