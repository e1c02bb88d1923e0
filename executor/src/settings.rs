//! Choices of an executor's operator.

use std::time::Duration;

use crate::policy::JobPolicy;

/// Choices of an executor's operator.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Look at the ledger at least this often.
    pub idle: Duration,
    /// Take no new job; defend what is claimed.
    pub bail_out: bool,
    /// Runs kept in memory; of others the input is kept on disk, and the run is made again when
    /// somebody challenges it.
    pub runs_max: usize,
    /// Most bytes of inputs on disk; at it no job is taken.
    pub disk_budget_bytes: u64,
    /// Which jobs are taken.
    pub policy: JobPolicy,
    /// Stake of claims on what is asked over HTTP; the ledger's least unless given.
    pub http_stake_wei: Option<u128>,
}

impl Default for Settings {
    fn default() -> Self {
        let idle = Duration::from_secs(1);
        Self {
            idle,
            bail_out: false,
            runs_max: 64,
            disk_budget_bytes: 8 << 30,
            policy: JobPolicy::default(),
            http_stake_wei: None,
        }
    }
}
