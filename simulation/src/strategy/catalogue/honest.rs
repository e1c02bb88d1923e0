//! Strategies of honest parties.

use challenger::Order;
use protocol::hash::Commitment;

use super::entry::{Entry, Numbers};
use crate::scenario::Side;
use crate::strategy::{Crashes, Plan, Publishing};

/// An honest party that now and then crashes after it sent something.
fn crash_prone<C: Commitment>(numbers: Numbers<'_>, side: Side) -> Plan<C> {
    let crashes = Crashes {
        permille: numbers.small_or("permille", 100),
        down_ms: numbers.or("down_ms", 2_000),
        before_sending: false,
    };
    Plan { crashes: Some(crashes), ..Plan::honest(side) }
}

/// Honest executors of all kinds.
pub(super) fn executors<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "honest", "", "final|released", "runs the model, claims, answers, settles",
            |_| Plan::honest(Side::Executor);
        "honest-publishing", "", "final|released", "as honest, and publishes its trace at once",
            |_| Plan { publishing: Publishing::Everything, ..Plan::honest(Side::Executor) };
        "honest-slow", "", "final|released", "an executor that takes seconds for everything",
            |n| Plan {
                inference_ms: n.or("inference_ms", 4_000),
                think_ms: n.or("think_ms", 800),
                ..Plan::honest(Side::Executor)
            };
        "honest-narrow", "", "final|released", "an executor that sends few transactions at a time",
            |n| Plan { slots: n.small_or("slots", 16), ..Plan::honest(Side::Executor) };
        "honest-crash-prone", "F45", "final|released", "an executor that crashes and restarts",
            |n| crash_prone(n, Side::Executor);
    }
}

/// Honest challengers of all kinds, and the client.
pub(super) fn challengers<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "prompt", "", "won|nothing", "a challenger that checks every job at once",
            |_| Plan::honest(Side::Challenger);
        "slow", "", "won|nothing", "a challenger that takes seconds for everything",
            |n| Plan {
                inference_ms: n.or("inference_ms", 6_000),
                think_ms: n.or("think_ms", 1_000),
                ..Plan::honest(Side::Challenger)
            };
        "sampling", "TOPLOC, proof of sampling", "won|nothing", "checks a share of the jobs",
            |n| Plan {
                sampling_permille: n.small_or("permille", 500),
                guardian: false,
                ..Plan::honest(Side::Challenger)
            };
        "poor", "", "won|nothing", "has money for one challenge only",
            |n| Plan {
                capital_milliether: n.or("capital_milliether", 130),
                guardian: false,
                ..Plan::honest(Side::Challenger)
            };
        "crash-prone", "F45", "won|nothing", "a challenger that crashes and restarts",
            |n| crash_prone(n, Side::Challenger);
        "torn-journal", "F46", "won|nothing", "crashes between deciding and sending, journal torn",
            |n| Plan {
                crashes: Some(Crashes {
                    permille: n.small_or("permille", 150),
                    down_ms: n.or("down_ms", 1_500),
                    before_sending: true,
                }),
                ..Plan::honest(Side::Challenger)
            };
        "earliest-deadline", "", "won|nothing", "few slots, works by deadline",
            |n| Plan { slots: n.small_or("slots", 6), ..Plan::honest(Side::Challenger) };
        "largest-stake", "", "won|nothing", "few slots, works by money at risk",
            |n| Plan {
                slots: n.small_or("slots", 6),
                order: Order::LargestStake,
                ..Plan::honest(Side::Challenger)
            };
        "client", "", "nothing", "posts jobs",
            |_| Plan { guardian: false, ..Plan::honest(Side::Client) };
    }
}
