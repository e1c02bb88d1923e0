//! The clocks of a challenge, as the audit counts them.

use protocol::settlement::{Challenge, Parameters};

/// The budgets of a challenge as the audit counts them from its moves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clocks {
    pub(super) executor_ms: u64,
    pub(super) challenger_ms: u64,
    pub(super) since_ms: u64,
}

impl Clocks {
    /// Those of a challenge whose turn just came.
    pub(super) fn new(parameters: &Parameters, since_ms: u64) -> Self {
        Self {
            executor_ms: parameters.executor_clock_ms,
            challenger_ms: parameters.challenger_clock_ms,
            since_ms,
        }
    }

    /// The budgets in which a challenge differs from these, for people.
    pub(super) fn differs(&self, challenge: &Challenge) -> Option<String> {
        let rows = [
            ("executor's clock", challenge.executor_clock_ms, self.executor_ms),
            ("challenger's clock", challenge.challenger_clock_ms, self.challenger_ms),
        ];
        let (name, is_ms, counted_ms) = rows.into_iter().find(|(_, is, counted)| is != counted)?;
        Some(format!("the {name} is {is_ms} ms, its moves left {counted_ms} ms"))
    }
}
