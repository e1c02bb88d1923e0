//! Which jobs an executor takes: terms on which a claim is worth its stake.

use std::fmt;
use std::sync::Arc;

use inference::NoResult;
use ledger::words::ether;
use protocol::settlement::{ETHER, Job};
use protocol::transaction::Address;

/// Bounds of the terms that an executor accepts.
///
/// ```
/// use executor::JobPolicy;
///
/// // Ten millionths of the stake for each hour that it is locked.
/// let policy = JobPolicy::default();
/// assert_eq!(policy.return_wei(1_000_000, 3_600_000), 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPolicy {
    /// Least fee.
    pub fee_wei_min: u128,
    /// Least fee for what is locked: millionths of the stake for each hour of the time for challenges.
    pub fee_ppm_per_hour: u32,
    /// Most of the account's money, free and locked, that one stake may take, in percent.
    pub stake_percent_max: u32,
    /// Most of the account's money that the stakes of claims with long times for challenges may take
    /// together, in percent: what is left serves those who ask for short ones.
    pub long_percent_max: u32,
    /// Longest time for challenges, for which the stake is locked.
    pub window_ms_max: u64,
}

impl Default for JobPolicy {
    fn default() -> Self {
        Self {
            fee_wei_min: ETHER / 1_000,
            // A twelfth of the stake in a year.
            fee_ppm_per_hour: 10,
            stake_percent_max: 25,
            long_percent_max: 50,
            window_ms_max: 7 * 24 * 3_600_000,
        }
    }
}

/// Why a job is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// Its model is not in this executor's folder.
    Model,
    /// Its claims are sealed first, which this executor does not do.
    Attention,
    /// It names another executor, and nobody else may claim.
    Named,
    /// It asks for a batch of inputs, which this executor does not run.
    Batch {
        /// Number of its inputs.
        entries: u32,
    },
    /// Its run has no result: a claim on it would be false, whatever it says.
    NoResult(Arc<NoResult>),
    /// Its fee is too small.
    Fee {
        /// What it pays.
        fee_wei: u128,
        /// What is wanted.
        least_wei: u128,
    },
    /// Its fees are too small for as many iterations as it may take.
    Iterations {
        /// Their number.
        iterations: u32,
        /// What it pays for all of them.
        fee_wei: u128,
        /// What is wanted.
        least_wei: u128,
    },
    /// Its fee is too small for its stake and the time that it is locked.
    Return {
        /// What it pays.
        fee_wei: u128,
        /// What is wanted.
        least_wei: u128,
    },
    /// Its stake is too large a part of the account's money.
    Stake {
        /// What it locks.
        stake_wei: u128,
        /// What is allowed.
        most_wei: u128,
    },
    /// Its time for challenges is too long.
    Window {
        /// What it asks for.
        window_ms: u64,
        /// What is allowed.
        most_ms: u64,
    },
    /// An iteration that a challenger asks about is computed again first, and that takes longer here than an answer
    /// may on this ledger.
    Answers {
        /// How long it takes.
        answer_ms: u64,
        /// What the ledger's parameters count on.
        reply_ms: u64,
    },
    /// Its time for claims would be over before its run is.
    Open {
        /// How long it takes claims still.
        left_ms: u64,
        /// How long a run of its model takes here.
        run_ms: u64,
    },
}

impl fmt::Display for Declined {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => write!(formatter, "its model is not in the folder of models"),
            Self::Attention => write!(formatter, "claims on it are sealed, which is not supported"),
            Self::Named => write!(formatter, "it names another executor"),
            Self::Batch { entries } => {
                write!(formatter, "it is a batch of {entries} inputs, which is not supported")
            }
            Self::NoResult(no_result) => write!(formatter, "it has no result: {no_result}"),
            Self::Fee { fee_wei, least_wei } => {
                let (fee, least) = (ether(*fee_wei), ether(*least_wei));
                write!(formatter, "it pays {fee}, below --fee-min of {least}")
            }
            Self::Iterations { iterations, fee_wei, least_wei } => {
                let (fee, least) = (ether(*fee_wei), ether(*least_wei));
                write!(
                    formatter,
                    "it pays {fee} for {iterations} iterations, below {least}: --fee-min for each"
                )
            }
            Self::Return { fee_wei, least_wei } => {
                let (fee, least) = (ether(*fee_wei), ether(*least_wei));
                write!(
                    formatter,
                    "it pays {fee}, below the {least} that --fee-ppm-per-hour wants for its stake and \
                     its time for challenges"
                )
            }
            Self::Stake { stake_wei, most_wei } => write!(
                formatter,
                "it locks {}, over the {} that --stake-percent-max allows of this account's money; \
                 deposit more, or allow more",
                ether(*stake_wei),
                ether(*most_wei)
            ),
            Self::Answers { answer_ms, reply_ms } => write!(
                formatter,
                "an answer about one of its iterations takes up to {answer_ms} ms here, over the {reply_ms} ms \
                 of this ledger"
            ),
            Self::Window { window_ms, most_ms } => write!(
                formatter,
                "it locks the stake for {} s, over --window-hours-max ({} s)",
                window_ms / 1_000,
                most_ms / 1_000
            ),
            Self::Open { left_ms, run_ms } => write!(
                formatter,
                "it takes claims for {left_ms} ms more, and a run of its model takes {run_ms} ms here"
            ),
        }
    }
}

/// Why a job is not run now, by an executor that takes so long for a run of its model: the claim would come too
/// late, and the run would be for nothing.
pub(crate) fn closes_too_soon(job: &Job, now_ms: u64, run_ms: u64) -> Option<Declined> {
    let left_ms = job.open_until_ms.saturating_sub(now_ms);
    (left_ms < run_ms).then_some(Declined::Open { left_ms, run_ms })
}

/// A part of an amount.
fn percent(amount_wei: u128, percent: u32) -> u128 {
    (amount_wei / 100).saturating_mul(u128::from(percent))
}

/// Whether a stake is locked for long, as this ledger's jobs go: longer than twice its least time.
pub(crate) fn is_long(job: &Job, window_ms_min: u64) -> bool {
    job.terms.window_ms > window_ms_min.saturating_mul(2)
}

impl JobPolicy {
    /// Least fee for what a job locks, rounded up.
    pub fn return_wei(&self, stake_wei: u128, window_ms: u64) -> u128 {
        const MILLIONTHS_OF_AN_HOUR: u128 = 1_000_000 * 3_600_000;
        let rate = u128::from(self.fee_ppm_per_hour).saturating_mul(u128::from(window_ms));
        let product = stake_wei.checked_mul(rate);
        product.map_or(u128::MAX, |product| product.div_ceil(MILLIONTHS_OF_AN_HOUR))
    }

    /// Money that may still be locked for long, of an account with so much that has locked so much of it
    /// for long.
    pub(crate) fn long_left_wei(&self, total_wei: u128, long_wei: u128) -> u128 {
        percent(total_wei, self.long_percent_max).saturating_sub(long_wei)
    }

    /// Why a job's terms are not accepted by an account with so much money; `None` when they are. Jobs in
    /// the executor's own name pay it nothing and are taken for who asked over HTTP.
    pub fn declines(&self, job: &Job, executor: &Address, total_wei: u128) -> Option<Declined> {
        let (terms, is_own) = (&job.terms, job.poster == *executor);
        // Every run has one iteration at least.
        let fee_wei = terms.fee_wei.saturating_add(terms.fee_iteration_wei);
        if !terms.admits(executor) {
            return Some(Declined::Named);
        }
        if terms.attention_wei > 0 {
            return Some(Declined::Attention);
        }
        if !is_own && fee_wei < self.fee_wei_min {
            return Some(Declined::Fee { fee_wei, least_wei: self.fee_wei_min });
        }
        // As many as there may be, each worth its fee.
        let iterations = u128::from(terms.iterations_max);
        let all_wei =
            terms.fee_wei.saturating_add(terms.fee_iteration_wei.saturating_mul(iterations));
        let least_wei = self.fee_wei_min.saturating_mul(iterations);
        if !is_own && all_wei < least_wei {
            let iterations = terms.iterations_max;
            return Some(Declined::Iterations { iterations, fee_wei: all_wei, least_wei });
        }
        let least_wei = self.return_wei(terms.stake_wei, terms.window_ms);
        if !is_own && fee_wei < least_wei {
            return Some(Declined::Return { fee_wei, least_wei });
        }
        let most_wei = percent(total_wei, self.stake_percent_max);
        if terms.stake_wei > most_wei {
            return Some(Declined::Stake { stake_wei: terms.stake_wei, most_wei });
        }
        if terms.window_ms > self.window_ms_max {
            let (window_ms, most_ms) = (terms.window_ms, self.window_ms_max);
            return Some(Declined::Window { window_ms, most_ms });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::graph::Profile;
    use protocol::hash::Digest;
    use protocol::settlement::JobStatus;
    use protocol::transaction::JobTerms;

    const POSTER: Address = Address([1; 20]);
    const EXECUTOR: Address = Address([2; 20]);

    fn job(fee_wei: u128, stake_wei: u128, window_ms: u64, attention_wei: u128) -> Job {
        let root = Digest::default();
        let terms = JobTerms {
            model_root: root,
            input_root: root,
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei,
            window_ms,
            open_ms: 1_000,
            attention_wei,
            salt: 0,
        };
        Job {
            poster: POSTER,
            terms,
            posted_ms: 0,
            open_until_ms: 1_000,
            claims: 0,
            first_standing: 0,
            standing: 0,
            seals_waiting: 0,
            status: JobStatus::Open,
        }
    }

    /// Who looks at a job: for one in its own name, who posted it.
    fn looker(is_own: bool) -> Address {
        if is_own { POSTER } else { EXECUTOR }
    }

    #[test]
    fn audit_a8_terms_that_are_not_worth_their_stake_are_declined_with_the_setting_that_does_it() {
        let policy = JobPolicy {
            fee_wei_min: 10,
            fee_ppm_per_hour: 0,
            stake_percent_max: 25,
            long_percent_max: 50,
            window_ms_max: 1_000,
        };
        let total_wei = 400;
        for (job, is_own, setting) in [
            (job(10, 100, 1_000, 0), false, None),
            (job(9, 100, 1_000, 0), false, Some("--fee-min")),
            // In its own name nobody pays.
            (job(1, 100, 1_000, 0), true, None),
            (job(10, 101, 1_000, 0), false, Some("--stake-percent-max")),
            (job(10, 101, 1_000, 0), true, Some("--stake-percent-max")),
            (job(10, 100, 1_001, 0), false, Some("--window-hours-max")),
            (job(10, 100, 1_000, 1), false, Some("sealed")),
        ] {
            let declined = policy.declines(&job, &looker(is_own), total_wei);
            let declined = declined.map(|why| why.to_string());
            match setting {
                None => assert_eq!(declined, None),
                Some(setting) => assert!(declined.unwrap().contains(setting), "{setting}"),
            }
        }
    }

    #[test]
    fn a_job_whose_time_for_claims_ends_before_its_run_would_is_declined() {
        // It takes claims until the thousandth millisecond.
        let job = job(ETHER, ETHER, 60_000, 0);
        for (now_ms, run_ms, wanted) in [
            (0, 1_000, None),
            (0, 1_001, Some(Declined::Open { left_ms: 1_000, run_ms: 1_001 })),
            (400, 600, None),
            (401, 600, Some(Declined::Open { left_ms: 599, run_ms: 600 })),
            // Of a model that never ran here nothing is known.
            (999, 0, None),
            (u64::MAX, 1, Some(Declined::Open { left_ms: 0, run_ms: 1 })),
        ] {
            assert_eq!(closes_too_soon(&job, now_ms, run_ms), wanted, "{now_ms} {run_ms}");
        }
        let why = Declined::Open { left_ms: 599, run_ms: 600 }.to_string();
        assert_eq!(
            why,
            "it takes claims for 599 ms more, and a run of its model takes 600 ms here"
        );
    }

    #[test]
    fn a_job_of_many_iterations_pays_the_least_fee_for_each_that_it_may_take() {
        let policy = JobPolicy { fee_wei_min: 10, fee_ppm_per_hour: 0, ..JobPolicy::default() };
        let declined = |fee_wei: u128, fee_iteration_wei: u128, iterations_max: u32| {
            let free = job(fee_wei, ETHER, 60_000, 0);
            let terms = JobTerms { fee_iteration_wei, iterations_max, ..free.terms.clone() };
            policy.declines(&Job { terms, ..free }, &EXECUTOR, 40 * ETHER)
        };
        let too_little = |fee_wei: u128, iterations: u32, least_wei: u128| {
            Some(Declined::Iterations { iterations, fee_wei, least_wei })
        };
        for (fee_wei, fee_iteration_wei, iterations_max, wanted) in [
            (0, 10, 100, None),
            (1_000, 0, 100, None),
            (10, 9, 10, None),
            (999, 0, 100, too_little(999, 100, 1_000)),
            (10, 8, 10, too_little(90, 10, 100)),
            // One that ends at once must be worth it too.
            (0, 9, 100, Some(Declined::Fee { fee_wei: 9, least_wei: 10 })),
        ] {
            assert_eq!(declined(fee_wei, fee_iteration_wei, iterations_max), wanted);
        }
        let why = too_little(90, 10, 100).map(|why| why.to_string()).unwrap_or_default();
        assert!(why.contains("for 10 iterations") && why.contains("--fee-min"), "{why}");
    }

    #[test]
    fn a_job_that_names_another_executor_is_declined_whatever_it_pays() {
        let policy = JobPolicy::default();
        let free = job(ETHER, ETHER, 60_000, 0);
        for (executor, wanted) in
            [(Address::default(), None), (EXECUTOR, None), (POSTER, Some(Declined::Named))]
        {
            let terms = JobTerms { executor, ..free.terms.clone() };
            let declined = policy.declines(&Job { terms, ..free.clone() }, &EXECUTOR, 40 * ETHER);
            assert_eq!(declined, wanted, "{executor}");
        }
        assert!(Declined::Named.to_string().contains("another executor"));
    }

    #[test]
    fn what_a_run_pays_for_its_iteration_counts_as_fee() {
        let policy = JobPolicy::default();
        let mut job = job(0, ETHER, 60_000, 0);
        let least_wei = policy.fee_wei_min;
        for (fee_iteration_wei, wanted) in [
            (least_wei, None),
            (least_wei - 1, Some(Declined::Fee { fee_wei: least_wei - 1, least_wei })),
        ] {
            job.terms.fee_iteration_wei = fee_iteration_wei;
            assert_eq!(policy.declines(&job, &EXECUTOR, 40 * ETHER), wanted);
        }
    }

    #[test]
    fn audit_a8_a_stake_that_is_locked_for_long_is_paid_for() {
        let policy = JobPolicy::default();
        let week_ms = 7 * 24 * 3_600_000;
        let total_wei = 40 * ETHER;
        let declined = |fee_wei, window_ms, is_own| {
            let job = job(fee_wei, 10 * ETHER, window_ms, 0);
            policy.declines(&job, &looker(is_own), total_wei)
        };
        // Ten ether for a week: ten millionths an hour.
        let least_wei = 10 * ETHER / 1_000_000 * 10 * 168;
        assert_eq!(declined(least_wei, week_ms, false), None);
        let fee_wei = least_wei - 1;
        let low = declined(fee_wei, week_ms, false);
        assert_eq!(low, Some(Declined::Return { fee_wei, least_wei }));
        assert!(low.unwrap().to_string().contains("--fee-ppm-per-hour"));
        // For a minute the least fee of all is more; in its own name nobody pays.
        assert_eq!(declined(ETHER / 1_000, 60_000, false), None);
        assert_eq!(declined(0, week_ms, true), None);
        assert_eq!(policy.return_wei(1, 1), 1);
        assert_eq!(policy.return_wei(u128::MAX, 1), u128::MAX);
    }

    #[test]
    fn audit_a8_long_windows_leave_half_of_the_money_to_short_ones() {
        let policy = JobPolicy::default();
        assert_eq!(policy.long_left_wei(400, 0), 200);
        assert_eq!(policy.long_left_wei(400, 150), 50);
        assert_eq!(policy.long_left_wei(400, 300), 0);
        assert!(!is_long(&job(1, 1, 120_000, 0), 60_000));
        assert!(is_long(&job(1, 1, 120_001, 0), 60_000));
    }
}
