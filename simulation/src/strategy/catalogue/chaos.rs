//! Parties that know no list: they draw among all that is legal, and much that nearly is.

use challenger::Policy;
use protocol::hash::Commitment;

use super::entry::{Entry, Numbers, everything, executor, frivolous, liar, nothing};
use crate::scenario::Side;
use crate::strategy::Plan;
use crate::strategy::behaviours::Chaos;

/// What every name of such a strategy begins with.
pub const CHAOS: &str = "chaos";

/// Draws beside what its plan does, until a time of the ledger.
fn draws<C: Commitment>(numbers: Numbers<'_>, plan: Plan<C>) -> Plan<C> {
    plan.with(Chaos::new(numbers.or("until_ms", 150_000), numbers.or("draw", 0)))
}

/// Anybody, who may do anything.
pub(super) fn chaos<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "chaos", "docs/simulation.md, chaos", "",
            "draws among all legal moves and nearly legal ones; its allies are its own",
            |n| draws(n, Plan { inference_ms: 1, ..nothing(Side::Stranger) });
        "chaos-executor", "docs/simulation.md, chaos", "",
            "claims the truth, and draws its moves",
            |n| draws(n, executor());
        "chaos-liar", "docs/simulation.md, chaos", "",
            "lies, and draws its moves",
            |n| draws(n, liar());
        "chaos-challenger", "docs/simulation.md, chaos", "",
            "challenges everything with a true view, and draws its moves",
            |n| draws(n, everything());
        "chaos-frivolous", "docs/simulation.md, chaos", "",
            "challenges the truth with a corrupt view, and draws its moves",
            |n| draws(n, frivolous());
        "chaos-rich", "docs/simulation.md, chaos", "",
            "draws its moves, and can pay for the largest stakes",
            |n| draws(n, Plan {
                capital_milliether: 4_000_000,
                policy: Policy::Nothing,
                transactions_max: 400,
                ..nothing(Side::Stranger)
            });
        "chaos-penniless", "docs/simulation.md, chaos", "",
            "draws its moves, and has no money",
            |n| draws(n, Plan { capital_milliether: 0, ..nothing(Side::Stranger) });
    }
}
