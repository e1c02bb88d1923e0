//! Jobs of a daemon: which are with the worker, which are tried again and when, what became of the others.

use std::collections::HashMap;

use ledger::View;
use protocol::hash::Commitment;
use protocol::ids::JobId;

/// Jobs handed to the worker at a time: one to run and one to follow it at once. The others wait where an
/// urgent one can still go before them.
pub const HANDED_MAX: usize = 2;

/// Jobs whose inputs are asked for in one turn, at most.
pub const LOOKS_MAX: usize = 32;

/// Runs of one job that may be killed: the first may be this machine's fault.
const KILLS_MAX: u32 = 2;

/// Pause after the first try.
const PAUSE_MS: u64 = 500;

/// How long the pauses between tries of a job become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A clock of ours runs: up to 8 seconds.
    Disputed,
    /// Money may be at stake: up to a minute.
    Usual,
    /// A stranger's job that nobody is bound to run: up to an hour.
    Stranger,
}

impl Pace {
    /// How often a pause is doubled, at most.
    const fn doublings(self) -> u32 {
        match self {
            Self::Disputed => 4,
            Self::Usual => 7,
            Self::Stranger => 13,
        }
    }
}

/// Progress of a daemon with a job. `W` says why it waits, `E` how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<W, E> {
    /// It could not be run, and is tried again from a time on.
    Waiting {
        /// When, on the ledger's clock.
        until_ms: u64,
        /// Tries that failed so far.
        tries: u32,
        /// Why.
        why: W,
    },
    /// The worker has it.
    Running {
        /// Since when, on the ledger's clock.
        since_ms: u64,
        /// Tries that failed so far.
        tries: u32,
        /// Why it could not be run the last time.
        why: Option<W>,
    },
    /// Nothing more is done unless it is asked for.
    Ended(E),
}

/// The jobs of a daemon.
#[derive(Clone, Debug)]
pub struct Jobs<W, E> {
    jobs: HashMap<JobId, Progress<W, E>>,
    /// Runs of a job that were killed, whatever became of the others.
    kills: HashMap<JobId, u32>,
}

impl<W, E> Default for Jobs<W, E> {
    fn default() -> Self {
        Self { jobs: HashMap::new(), kills: HashMap::new() }
    }
}

impl<W: Clone, E> Jobs<W, E> {
    /// Progress with a job; `None` when it was never tried.
    pub fn get(&self, job: &JobId) -> Option<&Progress<W, E>> {
        self.jobs.get(job)
    }

    /// All that were tried.
    pub fn iter(&self) -> impl Iterator<Item = (&JobId, &Progress<W, E>)> {
        self.jobs.iter()
    }

    /// How a job ended; `None` while it has not.
    pub fn ended(&self, job: &JobId) -> Option<&E> {
        match self.jobs.get(job) {
            Some(Progress::Ended(end)) => Some(end),
            Some(Progress::Waiting { .. } | Progress::Running { .. }) | None => None,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.jobs.values().filter(|one| matches!(one, Progress::Waiting { .. })).count()
    }

    /// How many the worker has.
    pub fn running(&self) -> usize {
        self.jobs.values().filter(|one| matches!(one, Progress::Running { .. })).count()
    }

    /// Whether the worker has it.
    pub fn is_running(&self, job: &JobId) -> bool {
        matches!(self.jobs.get(job), Some(Progress::Running { .. }))
    }

    /// Whether the worker has a job of several iterations. Who hands it no second one keeps room for short ones.
    pub fn runs_sequence<C: Commitment>(&self, view: &View<C>) -> bool {
        self.jobs.iter().any(|(id, progress)| {
            let job = view.settlement.job(id).filter(|job| job.terms.iterations_max > 1);
            matches!(progress, Progress::Running { .. }) && job.is_some()
        })
    }

    /// Whether the worker takes one more.
    pub fn has_room(&self) -> bool {
        self.running() < HANDED_MAX
    }

    /// Whether a job can be begun now: it was never tried, its pause is over, or its end says so.
    pub fn is_due(&self, job: &JobId, now_ms: u64, is_wanted: impl FnOnce(&E) -> bool) -> bool {
        match self.jobs.get(job) {
            None => true,
            Some(Progress::Waiting { until_ms, .. }) => now_ms >= *until_ms,
            Some(Progress::Running { .. }) => false,
            Some(Progress::Ended(end)) => is_wanted(end),
        }
    }

    /// Tries that failed since it last ended.
    pub fn tries(&self, job: &JobId) -> u32 {
        match self.jobs.get(job) {
            Some(Progress::Waiting { tries, .. } | Progress::Running { tries, .. }) => *tries,
            Some(Progress::Ended(_)) | None => 0,
        }
    }

    /// Why a job waits, or waited before the worker had it.
    pub fn why(&self, job: &JobId) -> Option<&W> {
        match self.jobs.get(job) {
            Some(Progress::Waiting { why, .. }) => Some(why),
            Some(Progress::Running { why, .. }) => why.as_ref(),
            Some(Progress::Ended(_)) | None => None,
        }
    }

    /// The worker has it from now on.
    pub fn begin(&mut self, job: JobId, now_ms: u64) {
        let (tries, why) = (self.tries(&job), self.why(&job).cloned());
        self.jobs.insert(job, Progress::Running { since_ms: now_ms, tries, why });
    }

    /// A try failed: another one after a pause that doubles each time, as far as the pace lets it.
    pub fn wait(&mut self, job: JobId, now_ms: u64, pace: Pace, why: W) {
        let tries = self.tries(&job);
        #[cfg(test)]
        if tries > pace.doublings() {
            cov_mark::hit!(pause_is_at_its_longest);
        }
        let doublings = tries.min(pace.doublings());
        let until_ms = now_ms.saturating_add(PAUSE_MS << doublings);
        let tries = tries.saturating_add(1);
        self.jobs.insert(job, Progress::Waiting { until_ms, tries, why });
    }

    /// A clock of ours runs on a job now: what is left of a longer pause is cut to the longest of such a job.
    pub fn hurry(&mut self, job: &JobId, now_ms: u64) {
        let latest_ms = now_ms.saturating_add(PAUSE_MS << Pace::Disputed.doublings());
        if let Some(Progress::Waiting { until_ms, .. }) = self.jobs.get_mut(job)
            && latest_ms < *until_ms
        {
            #[cfg(test)]
            cov_mark::hit!(pause_is_cut);
            *until_ms = latest_ms;
        }
    }

    /// What a job waited for is there: it is due now.
    pub fn wake(&mut self, job: &JobId, now_ms: u64) {
        if let Some(Progress::Waiting { until_ms, .. }) = self.jobs.get_mut(job) {
            *until_ms = (*until_ms).min(now_ms);
        }
    }

    /// The process of a run was killed; whether that happened too often.
    pub fn killed(&mut self, job: &JobId) -> bool {
        let kills = self.kills.entry(*job).or_default();
        *kills = kills.saturating_add(1);
        if *kills < KILLS_MAX {
            return false;
        }
        #[cfg(test)]
        cov_mark::hit!(job_killed_too_many_runs);
        true
    }

    /// It ended.
    pub fn end(&mut self, job: JobId, end: E) {
        self.jobs.insert(job, Progress::Ended(end));
    }

    /// It is as if it was never tried.
    pub fn forget(&mut self, job: &JobId) {
        self.jobs.remove(job);
    }

    /// Forgets all jobs that are `over` and that the worker does not have; gives them. What is being run
    /// comes back first: until then it has its place with the worker.
    pub fn remove_finished(
        &mut self,
        over: impl Fn(&JobId) -> bool,
    ) -> Vec<(JobId, Progress<W, E>)> {
        let gone: Vec<_> = self
            .jobs
            .extract_if(|job, progress| !matches!(progress, Progress::Running { .. }) && over(job))
            .collect();
        for (job, _) in &gone {
            self.kills.remove(job);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use protocol::hash::Digest;

    use super::*;

    const JOB: JobId = JobId(Digest([7; 32]));

    #[test]
    fn a_pause_doubles_with_every_try_up_to_its_bound() {
        cov_mark::check!(pause_is_at_its_longest);
        let mut jobs: Jobs<&str, ()> = Jobs::default();
        for (tries, pause_ms) in
            [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000].into_iter().enumerate()
        {
            assert_eq!(jobs.tries(&JOB) as usize, tries);
            jobs.wait(JOB, 100, Pace::Disputed, "no input");
            assert!(!jobs.is_due(&JOB, 99 + pause_ms, |()| true), "{tries}");
            assert!(jobs.is_due(&JOB, 100 + pause_ms, |()| false), "{tries}");
        }
        let mut jobs: Jobs<(), ()> = Jobs::default();
        for _ in 0..100 {
            jobs.wait(JOB, u64::MAX, Pace::Stranger, ());
        }
        assert!(jobs.is_due(&JOB, u64::MAX, |()| false));
    }

    #[test]
    fn a_pause_that_began_before_a_challenge_is_cut_when_one_comes() {
        cov_mark::check!(pause_is_cut);
        let mut jobs: Jobs<(), ()> = Jobs::default();
        for _ in 0..10 {
            jobs.wait(JOB, 0, Pace::Stranger, ());
        }
        assert!(!jobs.is_due(&JOB, 100_000, |()| false));
        jobs.hurry(&JOB, 1_000);
        assert!(!jobs.is_due(&JOB, 8_999, |()| false) && jobs.is_due(&JOB, 9_000, |()| false));
        // It never makes a pause longer.
        jobs.hurry(&JOB, 5_000);
        assert!(jobs.is_due(&JOB, 9_000, |()| false));
    }

    #[test]
    fn tries_and_their_cause_outlast_the_worker_and_an_end_forgets_them() {
        let mut jobs: Jobs<&str, &str> = Jobs::default();
        assert!(jobs.is_due(&JOB, 0, |_| false));
        jobs.wait(JOB, 0, Pace::Usual, "refused");
        jobs.begin(JOB, 9);
        assert_eq!((jobs.tries(&JOB), jobs.why(&JOB)), (1, Some(&"refused")));
        assert!(jobs.is_running(&JOB) && !jobs.is_due(&JOB, u64::MAX, |_| true));
        assert!(jobs.remove_finished(|_| true).is_empty());
        jobs.end(JOB, "compared");
        assert_eq!((jobs.tries(&JOB), jobs.why(&JOB)), (0, None));
        assert_eq!(jobs.ended(&JOB), Some(&"compared"));
        assert!(jobs.is_due(&JOB, 0, |end| *end == "compared") && !jobs.is_due(&JOB, 0, |_| false));
        assert_eq!(jobs.remove_finished(|job| *job == JOB).len(), 1);
        assert_eq!(jobs.get(&JOB), None);
    }

    #[test]
    fn a_job_that_killed_two_runs_is_told_whatever_came_between() {
        cov_mark::check!(job_killed_too_many_runs);
        let mut jobs: Jobs<(), ()> = Jobs::default();
        jobs.begin(JOB, 0);
        assert!(!jobs.killed(&JOB));
        jobs.wait(JOB, 0, Pace::Usual, ());
        jobs.begin(JOB, 9);
        jobs.wait(JOB, 9, Pace::Usual, ());
        jobs.begin(JOB, 99);
        // A run that succeeded in between does not make it harmless.
        jobs.end(JOB, ());
        jobs.begin(JOB, 999);
        assert!(jobs.killed(&JOB));
        jobs.end(JOB, ());
        assert_eq!(jobs.remove_finished(|_| true).len(), 1);
        assert!(!jobs.killed(&JOB));
    }

    #[test]
    fn the_worker_has_two_jobs_at_most() {
        let mut jobs: Jobs<(), ()> = Jobs::default();
        for number in 0..HANDED_MAX {
            assert!(jobs.has_room());
            jobs.begin(JobId(Digest([number as u8; 32])), 0);
        }
        assert!(!jobs.has_room());
        assert_eq!((jobs.running(), jobs.waiting()), (HANDED_MAX, 0));
    }
}
