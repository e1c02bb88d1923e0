//! Which jobs an executor takes: terms on which a claim is worth its stake.

use std::fmt;

use ledger::words::ether;
use protocol::settlement::{ETHER, Job};

/// Bounds of the terms that an executor accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Least fee.
    pub fee_wei_min: u128,
    /// Most of the account's money, free and locked, that one stake may take, in percent.
    pub stake_percent_max: u32,
    /// Longest time for challenges, for which the stake is locked.
    pub window_ms_max: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fee_wei_min: ETHER / 1_000,
            stake_percent_max: 25,
            window_ms_max: 7 * 24 * 3_600_000,
        }
    }
}

/// Why a job is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// Its model is not in this executor's folder.
    Model,
    /// Its claims are sealed first, which this executor does not do.
    Attention,
    /// Its fee is too small.
    Fee {
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
}

impl fmt::Display for Declined {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => write!(formatter, "its model is not in the folder of models"),
            Self::Attention => write!(formatter, "claims on it are sealed, which is not supported"),
            Self::Fee { fee_wei, least_wei } => {
                let (fee, least) = (ether(*fee_wei), ether(*least_wei));
                write!(formatter, "it pays {fee}, below --fee-min of {least}")
            }
            Self::Stake { stake_wei, most_wei } => write!(
                formatter,
                "it locks {}, over the {} that --stake-percent-max allows of this account's money; \
                 deposit more, or allow more",
                ether(*stake_wei),
                ether(*most_wei)
            ),
            Self::Window { window_ms, most_ms } => write!(
                formatter,
                "it locks the stake for {} s, over --window-hours-max ({} s)",
                window_ms / 1_000,
                most_ms / 1_000
            ),
        }
    }
}

impl Policy {
    /// Why a job's terms are not accepted by an account with so much money; `None` when they are. Jobs in
    /// the executor's own name pay it nothing and are taken for who asked over HTTP.
    pub fn declines(&self, job: &Job, is_own: bool, total_wei: u128) -> Option<Declined> {
        let terms = &job.terms;
        if terms.attention_wei > 0 {
            return Some(Declined::Attention);
        }
        if !is_own && terms.fee_wei < self.fee_wei_min {
            let (fee_wei, least_wei) = (terms.fee_wei, self.fee_wei_min);
            return Some(Declined::Fee { fee_wei, least_wei });
        }
        let most_wei = (total_wei / 100).saturating_mul(u128::from(self.stake_percent_max));
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
    use protocol::transaction::{Address, JobTerms};

    fn job(fee_wei: u128, stake_wei: u128, window_ms: u64, attention_wei: u128) -> Job {
        let root = Digest::default();
        let terms = JobTerms {
            model_root: root,
            input_root: root,
            profile: Profile::StrictF32,
            fee_wei,
            stake_wei,
            bond_wei: 1,
            window_ms,
            attention_wei,
        };
        let (poster, claims, status) = (Address([1; 20]), Vec::new(), JobStatus::Open);
        Job { poster, terms, posted_ms: 0, claims, status }
    }

    #[test]
    fn audit_a8_terms_that_are_not_worth_their_stake_are_declined_with_the_setting_that_does_it() {
        let policy = Policy { fee_wei_min: 10, stake_percent_max: 25, window_ms_max: 1_000 };
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
            let declined = policy.declines(&job, is_own, total_wei).map(|why| why.to_string());
            match setting {
                None => assert_eq!(declined, None),
                Some(setting) => assert!(declined.unwrap().contains(setting), "{setting}"),
            }
        }
    }
}
