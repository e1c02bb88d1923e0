//! The behaviours that named strategies are made of.

// First, for its macro.
#[macro_use]
mod boxed;

mod after;
mod aside;
mod asking;
mod chaos;
mod forge;
mod script;

use protocol::asks::{OperandProof, Refutation};
use protocol::hash::{Commitment, Digest};
use protocol::ids::ClaimId;
use protocol::settlement::{ChallengeStatus, Turn};
use protocol::transaction::Action;

use super::{Intent, Sight, Strategy};

pub use after::{CallAfterFall, ClaimTwice, PassOver, TakeBack};
pub use aside::{AbsurdJobs, ChallengeAllies, FreeRide, Idle, Meddler, Overbid, Withdrawer};
pub use asking::{AbsurdDemands, AskBeyond, DemandAnything, LookAndWithdraw, SayOtherKind};
pub use chaos::Chaos;
pub use forge::{Forge, Forgery, SaysTwo};
pub use script::Script;

/// Keeps the first `left` of the moves that are counted, and none after them; the others all stay.
fn keep_first(left: &mut u64, intents: &mut Vec<Intent>, is_counted: impl Fn(&Action) -> bool) {
    intents.retain(|intent| {
        if !is_counted(&intent.action) {
            return true;
        }
        let speaks = *left > 0;
        *left = left.saturating_sub(1);
        speaks
    });
}

/// Gives `left` answers and then none.
#[derive(Clone, Debug)]
pub struct Silent {
    /// Answers still given.
    pub left: u64,
}

impl<C: Commitment> Strategy<C> for Silent {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let answers = |action: &Action| matches!(action, Action::Reveal { .. });
        keep_first(&mut self.left, &mut intents, answers);
        intents
    }
    boxed!();
}

/// Makes `left` demands and then none, and never refutes after that.
#[derive(Clone, Debug)]
pub struct Mute {
    /// Demands still made.
    pub left: u64,
}

impl<C: Commitment> Strategy<C> for Mute {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let moves =
            |action: &Action| matches!(action, Action::Demand { .. } | Action::Refute { .. });
        keep_first(&mut self.left, &mut intents, moves);
        intents
    }
    boxed!();
}

/// Moves only when its deadline is `margin_ms` away.
#[derive(Clone, Debug)]
pub struct LastSecond {
    /// How long before the deadline.
    pub margin_ms: u64,
}

impl<C: Commitment> Strategy<C> for LastSecond {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        for intent in &mut intents {
            let wanted = intent.deadline_ms.map(|at_ms| at_ms.saturating_sub(self.margin_ms));
            intent.not_before_ms = wanted.unwrap_or(intent.not_before_ms);
        }
        intents
    }
    boxed!();
}

/// Sends every move twice, the second time some blocks later.
#[derive(Clone, Debug)]
pub struct Twice {
    /// How much later.
    pub later_ms: u64,
}

impl<C: Commitment> Strategy<C> for Twice {
    fn play(&mut self, sight: &mut Sight<'_, C>, intents: Vec<Intent>) -> Vec<Intent> {
        let again = |intent: Intent| {
            let not_before_ms = sight.now_ms + self.later_ms;
            [intent.clone(), Intent { not_before_ms, ..intent }]
        };
        intents.into_iter().flat_map(again).collect()
    }
    boxed!();
}

/// Calls time on every open challenge of claims it has to do with, right or wrong.
#[derive(Clone, Debug)]
pub struct TimeCaller;

impl<C: Commitment> Strategy<C> for TimeCaller {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        for (_, challenge) in sight.view.settlement.challenges() {
            if challenge.is_open() && sight.rng.chance(300) {
                let (claim, challenger) = (challenge.claim, challenge.challenger);
                intents.push(Intent::new(Action::CallTime { claim, challenger }));
            }
        }
        intents
    }
    boxed!();
}

/// Claims in whose challenge by this party it is its turn, or was when the claim fell.
fn own_turns<C: Commitment>(sight: &Sight<'_, C>) -> Vec<ClaimId> {
    let mine = sight.view.settlement.challenges().filter(|(_, challenge)| {
        let turn = matches!(challenge.status, ChallengeStatus::Open { turn: Turn::Challenger, .. });
        challenge.challenger == sight.me && turn
    });
    mine.map(|(_, challenge)| challenge.claim).collect()
}

/// How a refutation is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRefutation {
    /// About a step that is right, with no proof at all.
    Unproven,
    /// Indices far outside everything.
    Absurd,
    /// Proofs of another leaf, or of enormous length.
    WrongProof,
    /// About another operator than the true one.
    OtherPlace,
}

/// Refutes without proof, before its proper move.
#[derive(Clone, Debug)]
pub struct Refuter {
    /// How.
    pub kind: BadRefutation,
}

impl<C: Commitment> Strategy<C> for Refuter {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let step = |at: u32, operands| Refutation::Step {
            iteration: 0,
            layer: at,
            operator: at,
            element: u64::from(at),
            segment: u64::from(at),
            operands,
            states: Vec::new(),
        };
        for intent in &mut intents {
            if let (BadRefutation::OtherPlace, Action::Refute { refutation, .. }) =
                (self.kind, &mut intent.action)
                && let Refutation::Step { element, .. } = refutation
            {
                *element ^= 1;
            }
        }
        for claim in own_turns(sight) {
            let refutation = match self.kind {
                BadRefutation::Unproven => step(0, Vec::new()),
                BadRefutation::Absurd => step(u32::MAX, Vec::new()),
                BadRefutation::WrongProof => {
                    let operand = OperandProof {
                        root: Digest::default(),
                        path: vec![Digest::default(); 64],
                        positions: vec![u64::MAX; 2],
                        leaves: Vec::new(),
                        siblings: vec![Digest::default(); 64],
                    };
                    step(0, vec![(0, operand.clone()), (0, operand)])
                }
                BadRefutation::OtherPlace => {
                    Refutation::Binding { iteration: 0, layer: 0, operator: 0 }
                }
            };
            let (challenger, showings, from) = (sight.me, Vec::new(), None);
            let refute = Action::Refute { claim, challenger, showings, refutation, from };
            intents.push(Intent::new(refute));
        }
        intents
    }
    boxed!();
}

/// Sends other parties' waiting moves under its own name, with a higher bid.
#[derive(Clone, Debug)]
pub struct Copycat;

impl<C: Commitment> Strategy<C> for Copycat {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        for pending in sight.queue {
            if sight.allies.contains(&pending.sender) {
                continue;
            }
            let copied = Intent::new(pending.action.as_ref().clone());
            intents.push(Intent { bid: pending.bid + 1, ..copied });
        }
        intents
    }
    boxed!();
}

/// Repeats moves that it once sent, out of order and after the end.
#[derive(Clone, Debug, Default)]
pub struct Replayer {
    seen: Vec<Action>,
}

impl<C: Commitment> Strategy<C> for Replayer {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        const SEEN_MAX: usize = 32;
        for intent in &intents {
            if self.seen.len() < SEEN_MAX {
                self.seen.push(intent.action.clone());
            }
        }
        if let Some(action) = sight.rng.pick(&self.seen) {
            intents.push(Intent::new(action.clone()));
        }
        intents
    }
    boxed!();
}

/// Sends nothing before a time of the ledger.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Time of the ledger before which it does not move.
    pub until_ms: u64,
}

impl<C: Commitment> Strategy<C> for Hold {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        for intent in &mut intents {
            intent.not_before_ms = intent.not_before_ms.max(self.until_ms);
        }
        intents
    }
    boxed!();
}
