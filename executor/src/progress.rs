//! Progress of an executor with its jobs, and which of them are run next.

use protocol::hash::Digest;

/// Jobs handed to the worker at a time: one to run and one to follow it at once. The others wait where a
/// disputed one can still go before them.
pub(crate) const HANDED_MAX: usize = 2;

/// What a run is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Somebody disputes a claim of ours: a clock runs.
    Disputed,
    /// A claim of ours stands.
    Own,
    /// A job may be claimed.
    New,
}

/// A job that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) urgency: Urgency,
    pub(crate) job: Digest,
    pub(crate) posted_ms: u64,
    /// What a claim on it would lock; nothing when one stands already.
    pub(crate) stake_wei: u128,
}

/// What is run now, and how many new jobs are left because the free money does not reach for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) jobs: Vec<Digest>,
    pub(crate) unaffordable: usize,
}

/// Of what is wanted, the first `room` in the order of urgency, then of time; new jobs only as far as
/// free money reaches for their stakes, so that no run waits in memory for money.
pub(crate) fn choose(mut wanted: Vec<Wanted>, room: usize, free_wei: u128) -> Choice {
    wanted.sort_by_key(|one| (one.urgency, one.posted_ms, one.job));
    let (mut choice, mut free_wei) = (Choice::default(), free_wei);
    for one in wanted {
        match free_wei.checked_sub(one.stake_wei) {
            None => choice.unaffordable += 1,
            Some(left_wei) if choice.jobs.len() < room => {
                free_wei = left_wei;
                choice.jobs.push(one.job);
            }
            Some(_) => {}
        }
    }
    choice
}

/// Progress of the daemon with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its input was not there; asked for again from this time on.
    Waiting {
        until_ms: u64,
        tries: u32,
        /// The kept input was refused by its run: it is fetched again.
        is_damaged: bool,
    },
    Running {
        tries: u32,
    },
    /// Its run is in memory.
    Ready {
        trace_root: Digest,
    },
    /// Only its input is kept: its claim stands, or somebody else's says the same.
    Kept {
        trace_root: Digest,
    },
    /// It cannot be run, and will not be tried again.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(urgency: Urgency, number: u8, stake_wei: u128) -> Wanted {
        let (job, posted_ms) = (Digest([number; 32]), u64::from(number));
        Wanted { urgency, job, posted_ms, stake_wei }
    }

    #[test]
    fn a_disputed_claim_waits_for_no_more_strangers_than_are_handed_over_already() {
        let mut all: Vec<_> = (0..64).map(|number| wanted(Urgency::New, number, 1)).collect();
        all.extend([
            wanted(Urgency::Own, 70, 0),
            wanted(Urgency::Disputed, 90, 0),
            wanted(Urgency::Own, 65, 0),
        ]);
        let order = |room| -> Vec<u8> {
            choose(all.clone(), room, 100).jobs.iter().map(|id| id.0[0]).collect()
        };
        assert_eq!(order(HANDED_MAX), [90, 65]);
        assert_eq!(order(4), [90, 65, 70, 0]);
        assert!(order(0).is_empty());
    }

    #[test]
    fn new_jobs_are_run_as_far_as_money_reaches_and_what_stands_without_any() {
        let all = vec![
            wanted(Urgency::New, 1, 60),
            wanted(Urgency::New, 2, 50),
            wanted(Urgency::New, 3, 40),
            wanted(Urgency::Disputed, 4, 0),
        ];
        let choice = choose(all.clone(), 9, 100);
        assert_eq!(choice.jobs.iter().map(|id| id.0[0]).collect::<Vec<_>>(), [4, 1, 3]);
        assert_eq!(choice.unaffordable, 1);
        let choice = choose(all, 9, 0);
        assert_eq!((choice.jobs.len(), choice.unaffordable), (1, 3));
    }
}
