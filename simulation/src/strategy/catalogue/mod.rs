//! Every strategy that has a name: what it is, what it must come to, how it plays.

macro_rules! entries {
    ($($name:literal, $source:literal, $expect:literal, $summary:literal, $plan:expr;)*) => {
        vec![$(Entry {
            name: $name,
            source: $source,
            expect: $expect,
            summary: $summary,
            plan: $plan,
        }),*]
    };
}

mod after;
mod asking;
mod chaos;
mod entry;
mod honest;

use std::collections::BTreeMap;

pub use chaos::CHAOS;
pub use entry::{Entry, Numbers};
use entry::{everything, executor, frivolous, liar, nothing, ulps};

use challenger::Policy;
use protocol::hash::Commitment;

use super::behaviours::{
    AbsurdDemands, AbsurdJobs, BadRefutation, ChallengeAllies, Copycat, DemandAnything, Forge,
    Forgery, FreeRide, Hold, Idle, LastSecond, Meddler, Mute, Overbid, Refuter, Replayer, Silent,
    TimeCaller, Twice, Withdrawer,
};
use super::{Crashes, Plan, Publishing, Unbound};
use crate::scenario::Side;
use dispute::lies::Lie;

/// All named strategies, and a researcher's own.
#[derive(Clone, Debug)]
pub struct Catalogue<C: Commitment> {
    entries: Vec<Entry<C>>,
}

impl<C: Commitment> Default for Catalogue<C> {
    fn default() -> Self {
        let entries = [
            honest::executors(),
            honest::challengers(),
            computing(),
            binding(),
            playing(),
            timing(),
            paying(),
            serving(),
            after::endings(),
            asking::asks(),
            chaos::chaos(),
        ];
        Self { entries: entries.concat() }
    }
}

impl<C: Commitment> Catalogue<C> {
    /// Adds a strategy, or replaces the one of its name.
    pub fn add(&mut self, entry: Entry<C>) {
        self.entries.retain(|known| known.name != entry.name);
        self.entries.push(entry);
    }

    /// The strategy of this name.
    pub fn get(&self, name: &str) -> Option<&Entry<C>> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// All strategies.
    pub fn entries(&self) -> &[Entry<C>] {
        &self.entries
    }
}

fn unbound<C: Commitment>(how: Unbound) -> Plan<C> {
    Plan { unbound: Some(how), ..executor() }
}

fn forging<C: Commitment>(forgery: Forgery) -> Plan<C> {
    liar().with(Forge { forgery })
}

/// A. Wrong computation.
fn computing<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "weight-bit", "A1", "fraud/step", "one weight bit flipped in one layer",
            |_| executor().lying(Lie::WeightBit);
        "one-ulp-first", "A2, C26", "fraud/step", "the first element of the first operator is off",
            |n| ulps(n, 0, 0, 0);
        "one-ulp-middle", "A2", "fraud/step", "one element in a middle layer is off",
            |n| ulps(n, 1, 1, 8);
        "one-ulp-last", "A2, C26", "fraud/step", "one element of the last operator is off",
            |_| executor().lying(Lie::Selective);
        "one-ulp-sum", "A2, C27", "fraud/step", "one sum is off, its running sums bent to fit",
            |n| ulps(n, 0, 2, 0);
        "one-ulp-weights-only", "C26", "fraud/step", "off where an operator reads a weight",
            |n| ulps(n, 0, 1, 3);
        "washed-out", "A3", "fraud/binding|fraud/step", "a state is wrong, the output right",
            |_| executor().lying(Lie::WashedOut);
        "wrong-input", "A4, B12", "fraud/step|fraud/binding", "another input is read",
            |_| executor().lying(Lie::WrongInput);
        "corrupt-state", "A4, C26", "fraud/binding", "a stored value corrupted between two layers",
            |_| executor().lying(Lie::CorruptState);
        "output-only", "A4, B11", "fraud/binding", "everything right, another output committed",
            |_| executor().lying(Lie::OutputOnly);
        "model-swap", "A5", "fraud/step", "small weights dropped: a cheaper model",
            |_| executor().lying(Lie::ModelSwap);
        "precision", "A6", "fraud/step", "products rounded to fewer bits",
            |_| executor().lying(Lie::Precision);
        "selective", "A7", "fraud/step", "false only where few look",
            |_| executor().lying(Lie::Selective);
        "skip-operator", "A8", "fraud/step", "one operator skipped",
            |_| executor().lying(Lie::SkipOperator);
        "swap-operators", "A8", "fraud/step", "two operators in each other's place",
            |_| executor().lying(Lie::SwapLayers);
        "surfing", "A9", "fraud/step", "every product off by one unit, in the direction that adds up",
            |_| executor().lying(Lie::Surfing);
        "other-order", "A10", "fraud/step|final", "another reduction order (exact in integers)",
            |_| executor().lying(Lie::OtherOrder);
    }
}

/// B. Commitment and binding.
fn binding<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "unbound-output", "B11", "refused", "right trace, false output field",
            |_| unbound(Unbound::Output);
        "unbound-input", "B12", "refused", "a claim over an input of its own choosing",
            |_| unbound(Unbound::Input);
        "replayed-claim", "B13", "refused", "an old honest claim for a new job",
            |_| unbound(Unbound::Replayed);
        "zero-claim", "B14", "refused", "all roots zero", |_| unbound(Unbound::Zero);
        "zero-trace", "B14", "fraud/silence|fraud/binding|fraud/step",
            "the states between input and output are zeros",
            |_| executor().lying(Lie::ZeroTrace);
        "zero-answers", "B14", "fraud/silence", "lies and answers with zeros",
            |_| forging(Forgery::Zeros);
        "garbage-answers", "B14", "fraud/silence", "lies and answers with flipped bits",
            |_| forging(Forgery::Garbage);
        "long-paths", "B15", "refused", "binding paths of absurd length",
            |_| unbound(Unbound::Paths);
        "absurd-demands", "B15", "upheld", "absurd shapes, indices and depths in demands",
            |_| frivolous().with(AbsurdDemands);
        "too-few-children", "B16", "fraud/silence", "answers with a child too few",
            |_| forging(Forgery::TooFew);
        "too-many-children", "B16", "fraud/silence", "answers with a child too many",
            |_| forging(Forgery::TooMany);
        "wrong-kind", "B16", "fraud/silence|fraud/step", "answers of another kind",
            |_| forging(Forgery::WrongKind);
        "short-trace", "B17", "refused", "a trace with a state too few",
            |_| unbound(Unbound::Short);
        "long-trace", "B17", "refused", "a trace extended past the end",
            |_| unbound(Unbound::Long);
        "naked-root", "B18", "refused", "the leaf tree's root passed off as the trace root",
            |_| unbound(Unbound::Naked);
        "leaf-as-node", "B18", "fraud/silence", "leaves passed off as inner nodes and back",
            |_| forging(Forgery::LeafAsNode);
        "reversed-children", "B18", "fraud/silence|fraud/step|fraud/binding", "proofs for other indices",
            |_| forging(Forgery::Reversed);
        "wrong-proof", "B18", "upheld", "refutes with proofs of other leaves",
            |_| frivolous().with(Refuter { kind: BadRefutation::WrongProof });
        "absurd-refutation", "B15, B19", "upheld", "refutes at absurd indices",
            |_| frivolous().with(Refuter { kind: BadRefutation::Absurd });
        "absurd-jobs", "B19, D32", "nothing", "jobs with windows of zero and forever, without stake or for nothing",
            |_| nothing(Side::Client).with(AbsurdJobs);
    }
}

/// C. Play inside a dispute.
fn playing<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "false-flag", "C20", "fraud/silence|final", "a right claim whose answers are false on purpose",
            |_| executor().with(Forge { forgery: Forgery::Garbage });
        "frivolous", "C21", "upheld", "challenges a true claim with a corrupt view",
            |_| frivolous();
        "frivolous-everything", "C21, C23", "upheld|won", "challenges every claim",
            |_| everything();
        "leaf-switcher", "C22", "fraud/silence|fraud/step", "another value once the leaf is reached",
            |_| ulps(Numbers::of(&BTreeMap::new()), 0, 0, 0)
                .with(Forge { forgery: Forgery::LeafSwitched });
        "demand-anything", "C23", "upheld", "challenges everything and makes every legal demand",
            |_| everything().with(DemandAnything);
        "attack-and-defend", "C23", "fraud/step|fraud/silence|final",
            "claims falsely and claims that its own claim is false", |_| liar().with(Meddler);
        "copycat", "C24", "upheld|won|nothing", "copies waiting moves of others, with a higher bid",
            |_| Plan { watches_queue: true, transactions_max: 40, ..nothing(Side::Challenger) }
                .with(Copycat);
        "copycat-executor", "C24", "final|fraud/step|released|standing|nothing",
            "copies waiting claims of others, and leaves them to themselves",
            |_| Plan { watches_queue: true, transactions_max: 40, ..nothing(Side::Stranger) }
                .with(Copycat);
        "duplicate-moves", "C25", "fraud/step", "lies and sends every move twice",
            |n| liar().with(Twice { later_ms: n.or("later_ms", 2_500) });
        "duplicate-challenger", "C25", "upheld", "challenges falsely and sends every move twice",
            |n| frivolous().with(Twice { later_ms: n.or("later_ms", 2_500) });
        "replayer", "C25", "fraud/step", "lies and repeats old moves out of order",
            |_| liar().with(Replayer::default());
        "replaying-challenger", "C25", "upheld", "challenges falsely and repeats old moves",
            |_| frivolous().with(Replayer::default());
        "meddler", "C25", "nothing", "moves in disputes of others and after their end",
            |_| nothing(Side::Stranger).with(Meddler);
        "unproven-refutation", "C20", "upheld", "refutes what is right with no proof",
            |_| frivolous().with(Refuter { kind: BadRefutation::Unproven });
        "misplaced-refutation", "C26", "upheld", "refutes another place than where it descended",
            |_| frivolous().with(Refuter { kind: BadRefutation::OtherPlace });
        "sums-liar", "C27", "fraud/step|fraud/silence", "false running sums",
            |n| ulps(n, 0, 2, 0).with(Forge { forgery: Forgery::Sums });
        "overbidder", "C24", "fraud/step", "lies and buys the first place of every block",
            |_| liar().with(Overbid);
    }
}

/// D. Time.
fn timing<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "silent", "D28", "fraud/silence", "lies and never answers",
            |_| liar().with(Silent { left: 0 });
        "silent-after", "D28", "fraud/silence", "lies and stops answering after some answers",
            |n| liar().with(Silent { left: n.or("after", 2) });
        "silent-truth", "D28", "fraud/silence|final", "claims the truth and does not defend it",
            |_| executor().with(Silent { left: 0 });
        "mute", "D28", "upheld", "challenges and never demands",
            |_| frivolous().with(Mute { left: 0 });
        "mute-after", "D28", "upheld", "challenges and stops after some demands",
            |n| frivolous().with(Mute { left: n.or("after", 2) });
        "last-second", "D29", "fraud/step|fraud/silence", "lies, every answer in the last second",
            |n| liar().with(LastSecond { margin_ms: n.or("margin_ms", 2_500) });
        "last-second-challenger", "D29", "upheld", "challenges falsely, moves in the last second",
            |n| frivolous().with(LastSecond { margin_ms: n.or("margin_ms", 2_500) });
        "too-late", "D31", "fraud/silence|fraud/step", "answers when time can already be called",
            |_| liar().with(LastSecond { margin_ms: 0 });
        "time-caller", "D30", "fraud/step", "lies and calls time early, late and twice",
            |_| liar().with(TimeCaller);
        "time-calling-stranger", "D30", "nothing", "calls time on everything",
            |_| nothing(Side::Stranger).with(TimeCaller).with(Twice { later_ms: 1_000 });
        "never-settles", "D30", "fraud/step", "lies and never calls time nor settles",
            |_| liar().with(Idle);
        "delaying-challenger", "D34", "upheld",
            "one of many that challenge one after the other, each as slow as allowed",
            |n| frivolous()
                .with(LastSecond { margin_ms: 3_000 })
                .with(Hold { until_ms: n.or("until_ms", 0) });
        "delaying-rival", "D34", "fraud/silence|fraud/step", "one of many false claims on one job",
            |n| Plan { inference_ms: n.or("inference_ms", 10), ..liar() }
                .with(LastSecond { margin_ms: 3_000 });
        "retention-stall", "F49", "upheld", "stalls until the executor's trace might be gone",
            |_| frivolous().with(LastSecond { margin_ms: 2_500 }).with(Mute { left: 3 });
    }
}

/// E. Money.
fn paying<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "crowd-of-challengers", "E35", "upheld", "many false challenges at once",
            |_| frivolous();
        "crowd-of-claims", "E35", "fraud/step|fraud/silence", "many false claims at once",
            |_| Plan { inference_ms: 50, ..liar() };
        "self-challenge", "E36", "won|upheld", "challenges its ally's false claim for the reward",
            |_| Plan { inference_ms: 1, ..nothing(Side::Challenger) }.with(ChallengeAllies)
        ;
        "self-challenged", "E36", "fraud/step|fraud/silence", "lies, with an ally as challenger",
            |_| liar();
        "self-challenged-silent", "E36", "fraud/silence", "lies and is silent, with an ally",
            |_| liar().with(Silent { left: 0 });
        "reward-diluter", "E37", "won|upheld|nothing", "joins challenges to thin out the reward",
            |_| Plan { policy: Policy::Differing, ..Plan::dishonest(Side::Challenger) };
        "free-rider", "E42", "won|upheld|nothing", "challenges whatever others challenge, unseen",
            |_| nothing(Side::Challenger).with(FreeRide);
        "bond-recycler", "E38", "upheld", "moves money out while it is being lost",
            |_| frivolous().with(Withdrawer);
        "withdrawer", "E39", "fraud/step|fraud/silence", "takes its money out during the dispute",
            |_| liar().with(Withdrawer);
        "double-settler", "E39", "final|released|fraud/step", "settles twice, claims twice",
            |_| executor().with(Replayer::default()).with(Twice { later_ms: 1_500 });
        "costly-demands", "E41", "upheld", "demands as much as it can pay for",
            |_| Plan { transactions_max: 1_000, ..everything() }.with(DemandAnything).with(Idle);
        "lazy", "E42", "nothing", "a challenger that signs off without running",
            |_| nothing(Side::Challenger);
    }
}

/// F. Data and machines.
fn serving<C: Commitment>() -> Vec<Entry<C>> {
    entries! {
        "publishing-liar", "F43", "fraud/step|fraud/binding", "lies and publishes everything",
            |_| Plan { publishing: Publishing::Everything, ..liar() };
        "withholding", "F43", "fraud/step", "lies and publishes nothing", |_| liar();
        "half-publishing", "F43", "fraud/step", "lies and publishes state roots only",
            |_| Plan { publishing: Publishing::Roots, ..liar() };
        "withholding-leaves", "F43", "fraud/silence", "lies and withholds what lies deepest",
            |n| liar().with(Silent { left: n.or("after", 2) });
        "wrong-data", "F44", "fraud/step", "lies and publishes data of another run",
            |_| Plan { publishing: Publishing::Wrong, ..liar() };
        "late-data", "F44", "fraud/step", "lies and publishes a byte at a time",
            |_| Plan { publishing: Publishing::Late, ..liar() };
        "crashing-liar", "F45", "fraud/step|fraud/silence", "lies, crashes, restarts",
            |_| Plan {
                crashes: Some(Crashes { permille: 200, down_ms: 3_000, before_sending: true }),
                ..liar()
            };
        "reorganising-liar", "F48", "fraud/step|fraud/silence",
            "lies while blocks are replaced", |_| liar();
        "censoring-liar", "D33", "fraud/step|fraud/silence",
            "lies while the challenger is censored", |_| liar();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::toy::Toy;

    #[test]
    fn there_are_over_eighty_strategies_and_each_name_is_used_once() {
        let catalogue = Catalogue::<Toy>::default();
        let names: BTreeSet<&str> = catalogue.entries().iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), catalogue.entries().len());
        assert!(names.len() >= 80, "{}", names.len());
    }
}
