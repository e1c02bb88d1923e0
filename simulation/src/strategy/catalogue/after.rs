//! What is tried with what an end leaves: challenges to collect, claims to pass, stakes to release.

use protocol::hash::Commitment;

use super::entry::{Entry, executor, liar};
use crate::scenario::Side;
use crate::strategy::Plan;
use crate::strategy::behaviours::{CallAfterFall, ClaimTwice, PassOver, TakeBack, Twice};

/// Moves after an end, and ends before their time.
pub(super) fn endings<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "time-called-after-fall", "D30", "fraud/step|fraud/silence",
            "lies, and calls time on whoever has not collected when its claim fell",
            |_| liar().with(CallAfterFall);
        "collect-twice", "E39", "won|upheld|nothing", "joins challenges and collects its share twice",
            |n| Plan::dishonest(Side::Challenger).with(Twice { later_ms: n.or("later_ms", 1_500) });
        "overtaker", "D34", "fraud/step|fraud/silence",
            "lies, and passes over the claims that stand before its own", |_| liar().with(PassOver);
        "early-releaser", "E39", "fraud/step|fraud/silence",
            "lies, and takes its stake back and expires the job while it is disputed",
            |_| liar().with(TakeBack);
        "claims-twice", "C25", "final|released", "claims the truth twice under two salts",
            |_| executor().with(ClaimTwice);
    }
}
