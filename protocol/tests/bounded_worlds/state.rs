//! One state of a world, and what makes two of them the same.

use std::hash::{Hash, Hasher};

use protocol::settlement::{Challenge, ChallengeStatus, Settlement};

use crate::honest::Plan;

/// A world at a moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) ledger: Settlement,
    /// The tick that runs.
    pub(crate) tick: u64,
    /// What the honest party has signed and sent in this tick, knowing the end of the last one; it lands where the
    /// adversary puts it.
    pub(crate) plan: Option<Plan>,
    /// Ticks for which the adversary can still keep it out.
    pub(crate) kept_out: u32,
    /// Asks whose answer everybody has seen, as bits, where an honest challenger goes by them.
    pub(crate) known: u32,
    /// What a transition did that it may not.
    pub(crate) fault: Option<&'static str>,
}

/// Everything that a decision reads, and all money. Left out is what no decision reads (what is publicly known of
/// the run, counts for readers, what was asked and is answered, on which nothing here builds), and of budgets how far
/// they are under the floor, which every move has anyway.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.tick, &self.plan, self.kept_out, self.known, self.fault).hash(hasher);
        self.ledger.now_ms().hash(hasher);
        let money = self.ledger.money();
        (money.locked_wei(), money.burned_wei(), money.deposited_wei()).hash(hasher);
        for (account, free_wei) in money.accounts() {
            (account, free_wei).hash(hasher);
        }
        for (_, job) in self.ledger.jobs() {
            (job.status, job.standing, job.first_standing, job.open_until_ms).hash(hasher);
        }
        for (_, claim) in self.ledger.claims() {
            (&claim.status, claim.last_finality_ms, claim.owed_wei, claim.work).hash(hasher);
            (claim.challenges, claim.open, claim.ended, &claim.said).hash(hasher);
        }
        let floor_ms = self.ledger.parameters().move_floor_ms;
        for (_, challenge) in self.ledger.challenges() {
            hash_challenge(challenge, floor_ms, hasher);
        }
    }
}

fn hash_challenge<H: Hasher>(challenge: &Challenge, floor_ms: u64, hasher: &mut H) {
    (challenge.number, &challenge.status, challenge.fees_wei, challenge.bond_wei).hash(hasher);
    (challenge.served, challenge.replies, challenge.end_replies).hash(hasher);
    (challenge.demands, challenge.end_asks).hash(hasher);
    if let ChallengeStatus::Open { .. } = challenge.status {
        challenge.executor_clock_ms.max(floor_ms).hash(hasher);
        challenge.challenger_clock_ms.max(floor_ms).hash(hasher);
        challenge.pending().map(|ask| (ask.tree(), ask.node())).hash(hasher);
    }
}
