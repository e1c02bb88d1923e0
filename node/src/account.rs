//! Money and clocks of a daemon's account, as metrics.

use ledger::View;
use ledger::http::HttpLedger;
use protocol::transaction::Address;

use crate::exposure::Exposure;

/// An account whose numbers a daemon reports at every look.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    address: Address,
}

impl Account {
    /// The account of this address.
    pub fn new(address: Address) -> Self {
        Self { address }
    }

    /// What the account has at stake at a view, and what it gained so far; the metrics say it as well.
    pub async fn report(&self, ledger: &HttpLedger, view: &View) -> (Exposure, i128) {
        let exposure = Exposure::of(view, &self.address);
        let profit_wei = exposure.profit_wei(ledger.paid(&self.address).await);
        let left = exposure.deadline_ms.map(|at_ms| at_ms.saturating_sub(view.now_ms));
        let seconds = left.map_or(86_400.0, |left_ms| left_ms as f64 / 1_000.0);
        for (name, value) in [
            ("rebut_seen_height", view.height as f64),
            ("rebut_free_wei", exposure.free_wei as f64),
            ("rebut_stakes_wei", exposure.stakes_wei as f64),
            ("rebut_bonds_wei", exposure.bonds_wei as f64),
            ("rebut_needed_wei", exposure.needed_wei as f64),
            ("rebut_profit_wei", profit_wei as f64),
            ("rebut_claims_standing", exposure.claims as f64),
            ("rebut_disputes_open", exposure.disputes as f64),
            ("rebut_challenges_open", exposure.challenges as f64),
            ("rebut_challenges_to_collect", exposure.to_collect as f64),
            ("rebut_claims_to_release", exposure.to_release as f64),
            ("rebut_jobs_to_expire", exposure.to_expire as f64),
            ("rebut_moves_due", exposure.to_move as f64),
            ("rebut_deadline_seconds", seconds),
        ] {
            metrics::gauge!(name).set(value);
        }
        (exposure, profit_wei)
    }
}
