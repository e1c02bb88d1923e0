//! In which order contested jobs are run, and whether there is time for all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ledger::View;
use protocol::hash::{Commitment, Digest};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::Claim;
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
    /// Iterations of the longest of them; as far as they are still to be made where a daemon plans its runs.
    pub iterations: u32,
}

impl Contested {
    /// Whether this job is run before another, in whatever order jobs are run.
    pub fn goes_before(&self, other: &Self) -> bool {
        self.urgent_ms < other.urgent_ms && self.stake_wei >= other.stake_wei
    }
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

/// Until when a run is of use to a standing claim: the first end of its time for challenges and of the clocks in those
/// that are open. `None` when all are over, unless one that can be challenged no more is decided as well.
pub(crate) fn urgent_ms<C: Commitment>(
    view: &View<C>,
    id: &ClaimId,
    claim: &Claim<C>,
    also_over: bool,
) -> Option<u64> {
    let settlement = &view.settlement;
    let floor_ms = settlement.parameters().move_floor_ms;
    let challenges = settlement.challenges_of(id).filter_map(|id| settlement.challenge(id));
    // A clock that ran out presses nobody: who is late is told so, whatever becomes of the run.
    let clocks = challenges.filter_map(|challenge| challenge.deadline_ms(floor_ms));
    let clocks = clocks.filter(|end_ms| view.now_ms <= *end_ms);
    let window = Some(claim.window_end_ms).filter(|end_ms| view.now_ms <= *end_ms);
    clocks.chain(window).chain(also_over.then_some(WHENEVER_MS)).min()
}

fn with_standing<C: Commitment>(view: &View<C>, also_over: bool) -> Vec<Contested> {
    let settlement = &view.settlement;
    let mut found = Vec::new();
    let with: BTreeSet<JobId> =
        settlement.standing_claims().map(|(_, claim)| claim.terms.job).collect();
    for (id, job) in with.iter().filter_map(|id| Some((id, settlement.job(id)?))) {
        let claims = settlement.claims_of(id).filter_map(|id| Some((id, settlement.claim(id)?)));
        let (mut urgent_ms, mut stake_wei, mut iterations) = (u64::MAX, 0u128, 1u32);
        for (id, claim) in claims.filter(|(_, claim)| claim.stands()) {
            if let Some(end_ms) = self::urgent_ms(view, id, claim, also_over) {
                urgent_ms = urgent_ms.min(end_ms);
                stake_wei = stake_wei.saturating_add(claim.stake_wei);
                iterations = iterations.max(claim.terms.iterations);
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
                iterations,
            });
        }
    }
    found.sort_by_key(|one| (one.urgent_ms, Reverse(one.stake_wei), one.job));
    found
}

/// The order in which jobs, the most urgent first, are of most use to a machine whose iterations take `run_ms` and that
/// has `before` of them to make already. While there is time for all, that is the order they come in. Where there
/// is not, those with the least at stake wait: or somebody could keep a machine from a lie by true claims that
/// end a little earlier. Claims that do so need as much stake as the lie, each.
pub fn most_useful_first(
    waiting: Vec<Contested>,
    before: usize,
    run_ms: u64,
    now_ms: u64,
) -> Vec<Contested> {
    let mut chosen: BTreeMap<(u128, Reverse<usize>), Contested> = BTreeMap::new();
    let mut later = Vec::new();
    let mut runs = u64::try_from(before).unwrap_or(u64::MAX);
    for (place, one) in waiting.into_iter().enumerate() {
        chosen.insert((one.stake_wei, Reverse(place)), one);
        runs = runs.saturating_add(u64::from(one.iterations));
        if now_ms.saturating_add(runs.saturating_mul(run_ms)) > one.urgent_ms
            && let Some((_, least)) = chosen.pop_first()
        {
            runs = runs.saturating_sub(u64::from(least.iterations));
            later.push(least);
        }
    }
    let mut first: Vec<((u128, Reverse<usize>), Contested)> = chosen.into_iter().collect();
    first.sort_by_key(|((_, Reverse(place)), _)| *place);
    later.sort_by_key(|one| Reverse(one.stake_wei));
    first.into_iter().map(|(_, one)| one).chain(later).collect()
}

/// Whether some job would be run only after its window for challenges, when each iteration takes `run_ms` and
/// `before` are already with the engine.
pub fn is_saturated(waiting: &[Contested], before: usize, run_ms: u64, now_ms: u64) -> bool {
    let mut runs = u64::try_from(before).unwrap_or(u64::MAX);
    waiting.iter().filter(|one| one.urgent_ms > now_ms).any(|one| {
        runs = runs.saturating_add(u64::from(one.iterations));
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
        let (model_root, input_root) = (root, root);
        Contested { job, poster, model_root, input_root, urgent_ms, stake_wei: 1, iterations: 1 }
    }

    fn places(waiting: Vec<(u64, u128)>, before: usize, run_ms: u64) -> Vec<(u64, u128)> {
        let of = |(urgent_ms, stake_wei)| Contested { stake_wei, ..until(urgent_ms) };
        let ordered =
            most_useful_first(waiting.into_iter().map(of).collect(), before, run_ms, 1_000);
        ordered.into_iter().map(|one| (one.urgent_ms, one.stake_wei)).collect()
    }

    #[test]
    fn where_there_is_time_for_all_the_earliest_end_comes_first_whatever_is_at_stake() {
        let waiting = vec![(1_100, 1), (1_200, 9), (1_300, 5)];
        assert_eq!(places(waiting.clone(), 0, 100), waiting);
        assert_eq!(places(waiting.clone(), 0, 0), waiting);
        assert_eq!(places(Vec::new(), 3, 100), []);
    }

    #[test]
    fn what_ends_earlier_with_as_much_at_stake_goes_before_in_either_order() {
        let of = |(urgent_ms, stake_wei)| Contested { stake_wei, ..until(urgent_ms) };
        for (one, other, expected) in [
            ((1_100, 5), (1_200, 5), true),
            ((1_100, 5), (1_200, 6), false),
            ((1_200, 5), (1_200, 1), false),
            ((1_300, 9), (1_200, 1), false),
        ] {
            assert_eq!(of(one).goes_before(&of(other)), expected, "{one:?} {other:?}");
            // Where it does, no order of the queue says otherwise: nothing is begun over and over.
            if expected {
                for run_ms in [0, 50, 100, 1_000] {
                    assert_eq!(places(vec![one, other], 0, run_ms)[0], one);
                }
            }
        }
    }

    #[test]
    fn decoys_that_end_earlier_keep_no_machine_from_a_claim_with_more_at_stake() {
        // Twenty true claims of least stake, and behind them the lie: only three runs fit.
        let mut waiting: Vec<(u64, u128)> = (0..20).map(|at| (1_301 + at, 1)).collect();
        waiting.push((1_350, 7));
        let ordered = places(waiting, 0, 100);
        assert_eq!(ordered.iter().position(|one| *one == (1_350, 7)), Some(2), "{ordered:?}");
        assert_eq!(ordered.len(), 21);
        // What is too late already does not take the place of what is not.
        assert_eq!(places(vec![(900, 9), (1_100, 1)], 0, 100), [(1_100, 1), (900, 9)]);
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
