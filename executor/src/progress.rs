//! Progress of an executor with its jobs, and which of them are run next.

use std::collections::HashMap;

use node::jobs::{self, LOOKS_MAX};
use protocol::hash::Digest;
use protocol::ids::JobId;
use protocol::transaction::Address;

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
    /// Times that its input was not to be had: what was never tried goes first.
    pub(crate) tries: u32,
    pub(crate) job: JobId,
    pub(crate) poster: Address,
    pub(crate) posted_ms: u64,
    /// What a claim on it would lock; nothing when one stands already.
    pub(crate) stake_wei: u128,
    /// Whether it would be locked for long.
    pub(crate) is_long: bool,
    /// Time that the run takes, as far as it was seen.
    pub(crate) run_ms: u64,
}

/// What new jobs may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Means {
    /// Money for stakes and record fees.
    pub(crate) free_wei: u128,
    /// What burns with each claim, beside its stake.
    pub(crate) record_fee_wei: u128,
    /// Of it, money for stakes that are locked for long.
    pub(crate) long_wei: u128,
    /// Time for runs: a restart makes the runs of all claims in play again, and each must be there before
    /// a clock that started meanwhile is over.
    pub(crate) left_ms: u64,
}

/// Time for runs of new jobs: half a clock, less the runs of all claims in play.
pub(crate) fn left_ms(clock_ms: u64, in_play_ms: impl Iterator<Item = u64>) -> u64 {
    (clock_ms / 2).saturating_sub(in_play_ms.fold(0, u64::saturating_add))
}

impl Means {
    /// What is left of them after a job, if they reach.
    pub(crate) fn less(self, job: &Wanted) -> Option<Self> {
        if job.urgency != Urgency::New {
            return Some(self);
        }
        let free_wei = self.free_wei.checked_sub(self.claim_wei(job))?;
        let long_wei = self.long_wei.checked_sub(if job.is_long { job.stake_wei } else { 0 })?;
        let left_ms = self.left_ms.checked_sub(job.run_ms)?;
        Some(Self { free_wei, long_wei, left_ms, ..self })
    }

    /// What a claim on a job takes of the free money.
    fn claim_wei(&self, job: &Wanted) -> u128 {
        job.stake_wei.saturating_add(self.record_fee_wei)
    }
}

/// What is looked at, the most urgent first, and how many new jobs are left: because the free money does
/// not reach for their stakes, because as much as may be is locked for long, or because the claims in play
/// already fill the clock with their runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) jobs: Vec<Wanted>,
    pub(crate) unaffordable: usize,
    pub(crate) beyond_long: usize,
    pub(crate) beyond_clock: usize,
}

/// Of what is wanted, the first in the order of urgency, of tries, then of time, and of new jobs one of
/// each poster before the second of any: a crowd of one account's jobs keeps nobody else waiting. New
/// jobs only if money and time reach for them, so that no run waits in memory for money. As many as may
/// be looked at in one turn: a job without an input takes no other's place.
pub(crate) fn choose(mut wanted: Vec<Wanted>, means: Means) -> Choice {
    wanted.sort_by_key(|one| (one.urgency, one.tries, one.posted_ms, one.job));
    let mut before: HashMap<Address, u32> = HashMap::new();
    let mut turn = |one: &Wanted| match one.urgency {
        Urgency::Disputed | Urgency::Own => 0,
        Urgency::New => {
            let count = before.entry(one.poster).or_default();
            *count += 1;
            *count
        }
    };
    let turns: HashMap<JobId, u32> = wanted.iter().map(|one| (one.job, turn(one))).collect();
    // Stable: within a turn the order from above holds.
    wanted.sort_by_key(|one| (one.urgency, turns.get(&one.job).copied().unwrap_or(0), one.tries));
    let mut without = |fits: &dyn Fn(&Wanted) -> bool| {
        let before = wanted.len();
        wanted.retain(|one| one.urgency != Urgency::New || fits(one));
        before - wanted.len()
    };
    let unaffordable = without(&|one| means.claim_wei(one) <= means.free_wei);
    let beyond_long = without(&|one| !one.is_long || one.stake_wei <= means.long_wei);
    let beyond_clock = without(&|one| one.run_ms <= means.left_ms);
    wanted.truncate(LOOKS_MAX);
    Choice { jobs: wanted, unaffordable, beyond_long, beyond_clock }
}

/// The input of a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Kept on disk, or to be fetched.
    Usable,
    /// The kept one was refused by its run: it is fetched again.
    Damaged,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its run is in memory.
    Ready { sequence_root: Digest },
    /// Only its input is kept: its claim stands, or somebody else's says the same.
    Kept { sequence_root: Digest },
    /// It cannot be run, and will not be tried again.
    Refused,
    /// By the law it has no result.
    NoResult,
    /// Its run was stopped because nobody needed it; it is made again if somebody does.
    Stopped,
}

/// The jobs of an executor.
pub(crate) type Jobs = jobs::Jobs<Input, End>;

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(urgency: Urgency, number: u8, stake_wei: u128) -> Wanted {
        let (job, posted_ms) = (JobId(Digest([number; 32])), u64::from(number));
        let poster = Address([1; 20]);
        let is_long = false;
        Wanted { urgency, tries: 0, job, poster, posted_ms, stake_wei, is_long, run_ms: 10 }
    }

    fn money(free_wei: u128) -> Means {
        Means { free_wei, record_fee_wei: 0, long_wei: 0, left_ms: u64::MAX }
    }

    fn order(choice: &Choice) -> Vec<u8> {
        choice.jobs.iter().map(|one| one.job.0.0[0]).collect()
    }

    #[test]
    fn a_disputed_claim_goes_before_all_others() {
        let mut all: Vec<_> = (0..64).map(|number| wanted(Urgency::New, number, 1)).collect();
        all.extend([
            wanted(Urgency::Own, 70, 0),
            wanted(Urgency::Disputed, 90, 0),
            wanted(Urgency::Own, 65, 0),
        ]);
        let choice = choose(all, money(100));
        assert_eq!(order(&choice)[..4], [90, 65, 70, 0]);
        assert_eq!(choice.jobs.len(), LOOKS_MAX);
    }

    #[test]
    fn jobs_without_inputs_do_not_keep_others_waiting_however_many_they_are() {
        let mut all: Vec<_> = (0..200).map(|number| wanted(Urgency::New, number, 1)).collect();
        for one in &mut all {
            one.tries = 3;
        }
        all.push(wanted(Urgency::New, 250, 1));
        assert_eq!(order(&choose(all, money(100)))[0], 250);
    }

    #[test]
    fn one_poster_s_crowd_keeps_no_other_poster_waiting() {
        let mut all: Vec<_> = (0..200).map(|number| wanted(Urgency::New, number, 1)).collect();
        for (number, poster) in [(250, 2), (251, 2), (252, 3)] {
            let poster = Address([poster; 20]);
            all.push(Wanted { poster, ..wanted(Urgency::New, number, 1) });
        }
        all.push(wanted(Urgency::Own, 253, 1));
        assert_eq!(order(&choose(all, money(100)))[..6], [253, 0, 250, 252, 1, 251]);
    }

    #[test]
    fn new_jobs_are_run_if_money_reaches_and_what_stands_without_any() {
        let all = vec![
            wanted(Urgency::New, 1, 60),
            wanted(Urgency::New, 2, 101),
            wanted(Urgency::New, 3, 40),
            wanted(Urgency::Disputed, 4, 0),
        ];
        let choice = choose(all.clone(), money(100));
        assert_eq!((order(&choice), choice.unaffordable), (vec![4, 1, 3], 1));
        let choice = choose(all, money(0));
        assert_eq!((order(&choice), choice.unaffordable), (vec![4], 3));
    }

    #[test]
    fn the_record_fee_of_each_claim_is_kept_beside_its_stake() {
        let all = vec![wanted(Urgency::New, 1, 60), wanted(Urgency::New, 2, 40)];
        for (free_wei, expected, left) in
            [(106, vec![1, 2], Some(40)), (63, vec![1, 2], None), (62, vec![2], None)]
        {
            let means = Means { record_fee_wei: 3, ..money(free_wei) };
            assert_eq!(order(&choose(all.clone(), means)), expected, "{free_wei}");
            let after = means.less(&all[0]).and_then(|left| left.less(&all[1]));
            assert_eq!(after.map(|after| after.free_wei + 40), left, "{free_wei}");
        }
    }

    #[test]
    fn a_new_job_is_left_when_all_runs_in_play_would_not_be_made_again_in_time() {
        let all = vec![wanted(Urgency::New, 1, 1), wanted(Urgency::Disputed, 2, 0)];
        for (left_ms, expected, beyond) in [(10, vec![2, 1], 0), (9, vec![2], 1), (0, vec![2], 1)] {
            let choice = choose(all.clone(), Means { left_ms, ..money(100) });
            assert_eq!((order(&choice), choice.beyond_clock), (expected, beyond));
            assert_eq!(choice.unaffordable, 0);
        }
        assert_eq!(left_ms(100, [20, 5].into_iter()), 25);
        assert_eq!(left_ms(100, [u64::MAX, 5].into_iter()), 0);
        let after = Means { left_ms: 25, ..money(100) }.less(&all[0]);
        assert_eq!(after, Some(Means { left_ms: 15, ..money(99) }));
    }

    #[test]
    fn audit_a8_jobs_that_lock_money_for_long_take_no_more_than_their_part() {
        let long = |number| Wanted { is_long: true, ..wanted(Urgency::New, number, 40) };
        let all = vec![long(1), long(2), wanted(Urgency::New, 3, 40)];
        for (long_wei, expected, beyond) in [(40, vec![1, 2, 3], 0), (39, vec![3], 2)] {
            let choice = choose(all.clone(), Means { long_wei, ..money(100) });
            assert_eq!((order(&choice), choice.beyond_long), (expected, beyond));
            assert_eq!((choice.unaffordable, choice.beyond_clock), (0, 0));
        }
        // The first takes the part of the second.
        let left = Means { long_wei: 50, ..money(100) }.less(&all[0]).unwrap();
        assert_eq!((left.free_wei, left.long_wei, left.less(&all[1])), (60, 10, None));
        assert!(left.less(&all[2]).is_some());
    }
}
