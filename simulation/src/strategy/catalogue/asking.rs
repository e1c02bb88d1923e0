//! What is tried with asks, answers and withdrawals; the names are those of the protocol's audit.

use protocol::hash::Commitment;

use super::entry::{Entry, executor, frivolous, liar, nothing, ulps};
use crate::scenario::Side;
use crate::strategy::Plan;
use crate::strategy::behaviours::{
    AskBeyond, ChallengeAllies, Forge, Forgery, Idle, LastSecond, LookAndWithdraw, Mute,
    SayOtherKind, SaysTwo, Silent,
};

/// Asks that nobody needs, sayings that contradict, challengers that leave.
pub(super) fn asks<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "named-challenger-leaves", "C25", "withdrawn",
            "one of many that look at an input and withdraw in front of the answer that names them",
            |n| Plan { inference_ms: 1, watches_queue: true, ..nothing(Side::Challenger) }
                .with(LookAndWithdraw { later_ms: n.or("later_ms", 250), bid: 1_000 });
        "withdraw-delay", "D34", "withdrawn",
            "one of many that challenge one after the other, look, and withdraw as late as allowed",
            |n| Plan { inference_ms: 1, ..nothing(Side::Challenger) }
                .with(LookAndWithdraw { later_ms: n.or("later_ms", 8_000), bid: 1 })
                .with(LastSecond { margin_ms: n.or("margin_ms", 3_000) });
        "say-of-other-kind", "B16", "upheld",
            "asks to say what is of another kind than it says, or is never said",
            |_| frivolous().with(SayOtherKind);
        "ask-beyond-iterations", "B15", "upheld",
            "asks about iterations, states, layers and elements after the last",
            |_| frivolous().with(AskBeyond);
        "two-asks-one-saying", "C22", "fraud/silence|fraud/step",
            "lies, and says another root to the second who asks for the same",
            |_| liar().with(SaysTwo);
        "depth-zero-of-a-false-tensor", "A2, C26", "fraud/step|fraud/silence",
            "a false output of one leaf, whose inner root nobody else knows",
            |n| ulps(n, 0, 2, 0).with(Forge { forgery: Forgery::Sums });
        "silent-accomplice", "D30", "upheld",
            "challenges its ally's true claim and never moves, to keep it from becoming final",
            |_| Plan { inference_ms: 1, ..nothing(Side::Challenger) }
                .with(ChallengeAllies)
                .with(Mute { left: 0 })
                .with(Idle);
        "gone-after-claim", "D28", "final|fraud/silence",
            "claims the truth first and is never seen again",
            |_| Plan { inference_ms: 1, ..executor() }.with(Silent { left: 0 }).with(Idle);
    }
}
