//! Which jobs are run next and how far, and which runs are stopped.

use ledger::View;
use node::jobs::Pace;
use protocol::hash::keccak;
use protocol::ids::JobId;

use super::{End, Mode, Service, Stage, may_begin};
use crate::core::Needed;
use crate::coverage::Unchecked;
use crate::queue::{Contested, contested, most_useful_first, standing};

/// Whether a run of many iterations waits until another one is made: one at a time, so that there is room for short
/// ones. What is in play waits for nobody.
fn waits<'a>(mut stages: impl Iterator<Item = &'a Stage>, needed: Needed, made: u32) -> bool {
    let is_long = needed.next.saturating_sub(made) > 1;
    is_long && !needed.in_play && stages.any(|stage| stage.left > 1)
}

/// Whether a run that is being made is stopped: it goes further than any claim that stands needs, or is far from where
/// it decides one that can still be challenged and needs less than half of it.
fn is_to_stop(stage: Stage, standing: Option<Needed>, contested: Option<Needed>) -> bool {
    let is_needless = standing.is_none_or(|needed| needed.longest < stage.until);
    let is_in_the_way =
        contested.is_some_and(|needed| needed.shortest.saturating_mul(2) < stage.until);
    is_needless || is_in_the_way
}

impl Service {
    /// How much of a job's run is needed.
    pub(super) fn needed(&self, view: &View, job: &JobId) -> Option<Needed> {
        self.agent.core.needed(view, job, self.settings.mode == Mode::Watch)
    }

    /// Whether more of a job's run is needed to play.
    pub(super) fn is_needed_to_play(&self, view: &View, job: &JobId) -> bool {
        self.needed(view, job).is_some_and(|needed| needed.in_play)
    }

    /// Whether more of a job's run is needed, and can be begun now.
    pub(super) fn is_due(&self, view: &View, job: &JobId) -> bool {
        self.needed(view, job).is_some_and(|needed| {
            self.jobs.is_due(job, view.now_ms, |end| may_begin(end, needed.in_play))
        })
    }

    /// Iterations of a job's run that are in memory and can be gone on from.
    fn made_of(&self, job: &JobId) -> u32 {
        self.agent.core.begun(job).map_or(0, |begun| begun.iterations())
    }

    /// With as many iterations as are still to be made of each, for all of its claims.
    pub(super) fn with_left(&self, view: &View, mut jobs: Vec<Contested>) -> Vec<Contested> {
        for one in &mut jobs {
            let longest = self.needed(view, &one.job).map(|needed| needed.longest);
            if let Some(longest) = longest {
                one.iterations = longest.saturating_sub(self.made_of(&one.job)).max(1);
            }
        }
        jobs
    }

    /// Whether a run of many iterations waits until another one is made.
    pub(super) fn waits_for_another(&self, view: &View, one: &Contested) -> bool {
        let made = self.made_of(&one.job);
        let needed = self.needed(view, &one.job);
        needed.is_some_and(|needed| waits(self.stages.values(), needed, made))
    }

    /// Stops runs of which nobody needs more, and those that keep a much shorter claim on the same job waiting: what is
    /// made of them by then is not lost.
    pub(super) fn stop_needless(&self, view: &View) {
        for (job, stage) in &self.stages {
            let all = self.agent.core.needed(view, job, true);
            if is_to_stop(*stage, all, self.needed(view, job)) {
                self.worker.stop(*job);
            }
        }
    }

    /// Jobs whose claims are to be compared: who only watches wants to know of all that stand.
    pub(super) fn to_check(&self, view: &View) -> Vec<Contested> {
        match self.settings.mode {
            Mode::Watch => standing(view),
            Mode::Defend | Mode::Full => contested(view),
        }
    }

    /// Jobs that are to be run and can be, the most urgent first.
    pub(super) fn wanted(&mut self, view: &View) -> Vec<Contested> {
        let known = self.jobs.iter().map(|(id, _)| *id);
        let core = &self.agent.core;
        let challenged: Vec<JobId> = known.filter(|id| core.is_challenging(view, id)).collect();
        for id in challenged {
            self.jobs.hurry(&id, view.now_ms);
            if self.agent.core.shown_input(view, &id).is_some() {
                self.jobs.wake(&id, view.now_ms);
            }
        }
        let mut wanted = self.to_check(view);
        wanted.retain(|one| {
            let has_model = self.model_store.model(&one.model_root).is_some();
            has_model && self.is_due(view, &one.job)
        });
        let mut wanted = self.with_left(view, wanted);
        wanted.retain(|one| {
            // What this account disputes already is played, whatever this process would have drawn.
            let drawn = self.is_needed_to_play(view, &one.job) || self.is_drawn(&one.job);
            if !drawn {
                metrics::counter!("rebut_challenger_not_drawn_total").increment(1);
                tracing::info!(event = "challenger.not_drawn", job = %one.job);
                self.jobs.end(one.job, End::Left { why: Unchecked::NotDrawn });
            }
            drawn
        });
        wanted.retain(|one| {
            let waits = self.waits_for_another(view, one);
            if waits {
                self.jobs.wait(one.job, view.now_ms, Pace::Disputed, Unchecked::LongRun);
            }
            !waits
        });
        // By the end of the time for challenges as far as there is time, and before all where a clock of ours
        // runs.
        let mut wanted = most_useful_first(wanted, self.jobs.running(), self.run_ms, view.now_ms);
        wanted.sort_by_key(|one| !self.is_needed_to_play(view, &one.job));
        wanted
    }

    fn is_drawn(&self, job: &JobId) -> bool {
        let draw = keccak(&[&self.seed[..], &job.0.0].concat());
        let [a, b, c, d, ..] = draw.0;
        u32::from_be_bytes([a, b, c, d]) % 1_000 < self.settings.sample_permille
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(shortest: u32, longest: u32) -> Needed {
        Needed { shortest, next: shortest, longest, in_play: false }
    }

    #[test]
    fn a_long_run_waits_for_another_long_one_unless_it_is_in_play() {
        let [short, long] = [1, 2].map(|left| Stage { until: 9, left });
        for (running, next, made, in_play, expected) in [
            (vec![], 100, 0, false, false),
            (vec![short, short], 100, 0, false, false),
            (vec![short, long], 100, 0, false, true),
            (vec![short, long], 100, 0, true, false),
            // Of what is made already one iteration is no long run, nor is a claim of one.
            (vec![long], 100, 98, false, true),
            (vec![long], 100, 99, false, false),
            (vec![long], 1, 0, false, false),
        ] {
            let needed = Needed { next, in_play, ..needed(1, 100) };
            assert_eq!(waits(running.iter(), needed, made), expected, "{running:?} {needed:?}");
        }
    }

    #[test]
    fn a_run_is_stopped_when_nobody_needs_so_much_of_it_or_a_much_shorter_claim_waits() {
        let stage = Stage { until: 100, left: 100 };
        for (standing, contested, expected) in [
            (None, None, true),
            (Some(needed(100, 100)), Some(needed(100, 100)), false),
            // The longest claim fell, and the others need less.
            (Some(needed(99, 99)), Some(needed(99, 99)), true),
            (Some(needed(50, 100)), Some(needed(50, 100)), false),
            (Some(needed(49, 100)), Some(needed(49, 100)), true),
            // What can be challenged no more waits.
            (Some(needed(1, 100)), Some(needed(60, 100)), false),
            (Some(needed(1, 100)), None, false),
        ] {
            assert_eq!(
                is_to_stop(stage, standing, contested),
                expected,
                "{standing:?} {contested:?}"
            );
        }
    }
}
