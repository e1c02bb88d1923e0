//! The behaviours that named strategies are made of.

// First, for its macro.
#[macro_use]
mod boxed;

mod after;
mod aside;
mod forge;

use protocol::facts::{Request, Showing, TreeId};
use protocol::graph::{Node, NodeProof, Operand, Operator};
use protocol::hash::{Commitment, Digest};
use protocol::ids::ClaimId;
use protocol::referee::{OperandProof, Refutation};
use protocol::settlement::{ChallengeStatus, Turn};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::Action;

use super::{Intent, Sight, Strategy};

pub use after::{CallAfterFall, ClaimTwice, PassOver, TakeBack};
pub use aside::{AbsurdJobs, ChallengeAllies, FreeRide, Idle, Meddler, Overbid, Withdrawer};
pub use forge::{Forge, Forgery};

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

/// Demands whatever can be demanded, at random, until its demands are used up.
#[derive(Clone, Debug)]
pub struct DemandAnything;

impl<C: Commitment> Strategy<C> for DemandAnything {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        intents.retain(|intent| {
            !matches!(intent.action, Action::Demand { .. } | Action::Refute { .. })
        });
        for claim in own_turns(sight) {
            const TRIES: usize = 12;
            let candidate = (0..TRIES).find_map(|_| legal_demand(sight, &claim));
            if let Some((showings, request)) = candidate {
                intents.push(Intent::new(Action::Demand { claim, showings, request }));
            }
        }
        intents
    }
    boxed!();
}

/// Something at random that can be demanded of a claim, if the dice hit one.
fn legal_demand<C: Commitment>(
    sight: &mut Sight<'_, C>,
    claim: &ClaimId,
) -> Option<(Vec<Showing>, Request)> {
    let claim = sight.view.settlement.claim(claim)?;
    let header = claim.facts.header();
    let layer = sight.rng.below(u64::from(header.layer_count)) as u32;
    let operator = sight.rng.below(u64::from(header.operator_count)) as u32;
    let boundary = sight.rng.below(u64::from(header.state_count())) as u32;
    let model = sight
        .challenger
        .and_then(|challenger| challenger.honest_view(&claim.terms.job))
        .map(|view| view.model());
    let shown = model.and_then(|model| {
        let layer = Showing::Layer { proof: model.layer_proof(layer)? };
        Some(vec![layer, Showing::Operator { proof: model.node_proof(operator)? }])
    });
    let showings = shown.unwrap_or_default();
    let trees = [
        TreeId::Trace {},
        TreeId::State { boundary },
        TreeId::Subtrace { layer },
        TreeId::Tensor { operator },
    ];
    let tree = sight.rng.pick(&trees).copied()?;
    let depth = sight.rng.below(4) as u32;
    let index = sight.rng.below(1 << depth);
    let requests = [
        Request::Node { tree, depth, index },
        Request::Node { tree, depth: 0, index: 0 },
        Request::Subtrace { layer },
        Request::Leaf { operator, leaf: sight.rng.below(4) },
        Request::Accumulators { operator, element: sight.rng.below(200) },
    ];
    let request = sight.rng.pick(&requests).copied()?;
    let mut facts = claim.facts.clone();
    for showing in &showings {
        // What cannot be shown is refused by the ledger as well: part of the play.
        let _ = facts.show(showing);
    }
    facts.check_request(&request).is_ok().then_some((showings, request))
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
        let bad = |operands| Refutation::Step { operator: 0, element: 0, segment: 0, operands };
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
                BadRefutation::Unproven => bad(Vec::new()),
                BadRefutation::Absurd => Refutation::Step {
                    operator: u32::MAX,
                    element: u64::MAX,
                    segment: u64::MAX,
                    operands: Vec::new(),
                },
                BadRefutation::WrongProof => bad(vec![
                    OperandProof {
                        root: Digest::default(),
                        path: vec![Digest::default(); 64],
                        leaves: Vec::new(),
                    };
                    2
                ]),
                BadRefutation::OtherPlace => Refutation::Binding { layer: 0, operator: 0 },
            };
            let (challenger, showings) = (sight.me, Vec::new());
            let refute = Action::Refute { claim, challenger, showings, refutation };
            intents.push(Intent::new(refute));
        }
        intents
    }
    boxed!();
}

/// Shows absurd dimensions and demands absurd indices.
#[derive(Clone, Debug)]
pub struct AbsurdDemands;

impl<C: Commitment> Strategy<C> for AbsurdDemands {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let Some(shape) = Shape::new(&[1 << 31]) else {
            return intents;
        };
        let kind = TensorType { element: ElementType::F32, shape };
        let node = Node {
            operator: Operator::Contract {},
            operands: vec![Operand { value: u32::MAX, kind: kind.clone() }; 2],
            output: kind,
        };
        for claim in own_turns(sight) {
            let proof = NodeProof { index: u32::MAX, node: node.clone(), path: Vec::new() };
            let tree = TreeId::Tensor { operator: u32::MAX };
            let absurd = Request::Node { tree, depth: u32::MAX, index: u64::MAX };
            for (showings, request) in [
                (vec![Showing::Operator { proof }], Request::Subtrace { layer: u32::MAX }),
                (vec![], absurd),
                (vec![], Request::Leaf { operator: 0, leaf: u64::MAX }),
            ] {
                intents.insert(0, Intent::new(Action::Demand { claim, showings, request }));
            }
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
