//! Moves in disputes: every ask about every place of a run, answers, refutations that prove something and such that
//! do not.

use std::sync::Arc;

use dispute::lies::Lie;
use protocol::asks::{Ask, Showing, Tree};
use protocol::hash::{Commitment, Digest};
use protocol::ids::ClaimId;
use protocol::settlement::{Challenge, ChallengeStatus, Turn};
use protocol::transaction::{Action, Address, Statement};

use super::super::{Forge, Forgery};
use super::{Kind, Table, refutations};
use crate::fixtures::Known;
use crate::ways::{ProvenAsk, Ways};
use crate::whole::Whole;

/// Showings of one transaction.
const SHOWINGS_MAX: usize = 16;
/// Challengers that one answer names.
const NAMED_MAX: usize = 16;

const FORGERIES: [Forgery; 6] = [
    Forgery::Zeros,
    Forgery::Garbage,
    Forgery::TooFew,
    Forgery::Reversed,
    Forgery::LeafSwitched,
    Forgery::Sums,
];

impl<C: Commitment> Table<'_, '_, C> {
    /// Some run of an input, the true one or another; known to all its allies from now on.
    pub(super) fn run(&mut self, input: usize, is_true: bool) -> Option<Statement> {
        let (fixtures, model) = (self.sight.fixtures, self.sight.model);
        let known = match is_true {
            true => fixtures.truth(model, input).ok()?,
            false => {
                let lie = self.lie()?;
                fixtures.run(model, input, Some(&lie)).ok()??
            }
        };
        let statement = known.whole(self.state.parameters().arity_log2)?.statement().clone();
        self.sight.runs.entry(known.run.trace().root()).or_insert(known);
        Some(statement)
    }

    /// What is wrong with a run: any named lie, or one element that is off by one.
    fn lie(&mut self) -> Option<Lie> {
        let header = self.sight.fixtures.model(self.sight.model).ok()?.header();
        let (layers, rng) = (u64::from(header.layer_count), &mut *self.sight.rng);
        if rng.chance(400) {
            let layer = rng.below(layers.min(6)) as u32;
            let operator = rng.below(4) as u32;
            let element = *rng.pick(&[0, 1, 31, 39])?;
            return Some(Lie::Ulps { layer, operator, element, ulps: 1 });
        }
        let named = [
            Lie::WeightBit,
            Lie::SwapLayers,
            Lie::SkipOperator,
            Lie::OutputOnly,
            Lie::WrongInput,
            Lie::ZeroTrace,
            Lie::ModelSwap,
            Lie::WashedOut,
            Lie::CorruptState,
            Lie::Selective,
            Lie::Surfing,
        ];
        rng.pick(&named).cloned()
    }

    /// The run that a claim is on, if any of its allies or anybody honest made it.
    fn known_of(&self, claim: &ClaimId) -> Option<Arc<Known<C>>> {
        let root = self.state.claim(claim)?.trace_root;
        self.sight.runs.get(&root).cloned()
    }

    fn whole_of(&self, claim: &ClaimId) -> Option<Arc<Whole<C>>> {
        self.known_of(claim)?.whole(self.state.parameters().arity_log2)
    }

    /// Challenges of this party in which it is to move.
    fn own_turn(&mut self) -> Option<Challenge> {
        let me = self.sight.me;
        let turns = self.state.challenges().map(|(_, one)| one).filter(|one| {
            let turn = matches!(one.status, ChallengeStatus::Open { turn: Turn::Challenger, .. });
            let is_own = one.challenger == me || self.for_anybody;
            is_own && turn && self.state.is_under_way(one)
        });
        let turns: Vec<Challenge> = turns.cloned().collect();
        self.pick(turns)
    }

    pub(super) fn demand(&mut self, kind: Kind) -> Option<Action> {
        let one = self.own_turn()?;
        let whole = self.whole_of(&one.claim)?;
        let from = one.last_ask().filter(|_| kind == Kind::Below).cloned();
        let tree = match &from {
            Some(from) => *from.tree(),
            None if kind == Kind::Below => return None,
            None => self.tree(&whole, kind)?,
        };
        // What was said for the claim, not what its run has, says which trees there are below.
        let known = whole.known(&tree);
        let ways = Ways { known: &known, model: whole.model() };
        let depth = ways.kind(&tree)?.shape()?.depth();
        let rng = &mut *self.sight.rng;
        let depth = rng.below(u64::from(depth) + 1) as u32;
        let node = (depth, rng.below(1u64.checked_shl(depth)?));
        let leaves = kind == Kind::Leaves || (kind != Kind::Open && rng.chance(500));
        let mut found = match &from {
            Some(from) => ways.ask_below(from, node, leaves),
            None if kind == Kind::Say || (tree.is_said() && rng.chance(500)) => ways.say(&tree),
            None => ways.ask_at(&tree, node, leaves),
        }?;
        if kind == Kind::Beside {
            self.add_showings(&whole, &mut found.showings);
        }
        Some(found.of(one.claim))
    }

    /// A tree of a run to ask about.
    fn tree(&mut self, whole: &Whole<C>, kind: Kind) -> Option<Tree> {
        let (header, iteration) = (whole.model().header(), 0);
        let rng = &mut *self.sight.rng;
        let layer = rng.below(u64::from(header.layer_count)) as u32;
        let operator = rng.below(u64::from(header.operator_count)) as u32;
        let boundary = rng.below(u64::from(header.state_count())) as u32;
        let elements = whole.model().node(operator)?.output.shape.count();
        let element = rng.below(elements);
        let inside = Tree::Subtrace { iteration, layer };
        let sums = Tree::Accumulators { iteration, operator, element };
        let (first, last) =
            (whole.model().live_values(0)?, whole.model().live_values(header.layer_count)?);
        let ends = [
            Tree::Input { iteration, value: *rng.pick(first)? },
            Tree::Output { iteration, value: *rng.pick(last)? },
        ];
        match kind {
            Kind::Say => rng.pick(&[inside, sums]).copied(),
            Kind::End => rng.pick(&ends).copied(),
            _ => {
                let trees = [
                    Tree::Sequence {},
                    Tree::Trace { iteration },
                    Tree::State { iteration, boundary },
                    inside,
                    sums,
                    Tree::Tensor { iteration, operator },
                    Tree::Tensor { iteration, operator },
                ];
                rng.pick(&trees).copied()
            }
        }
    }

    /// More showings than an ask needs.
    fn add_showings(&mut self, whole: &Whole<C>, showings: &mut Vec<Showing>) {
        for _ in 0..1 + self.rng().below(4) {
            let Some(tree) = self.tree(whole, Kind::Beside) else { continue };
            let known = whole.known(&tree);
            let more = Ways { known: &known, model: whole.model() }.to(&tree).unwrap_or_default();
            if showings.len() + more.len() <= SHOWINGS_MAX {
                showings.extend(more);
            }
        }
    }

    /// What somebody else asks about the same claim.
    pub(super) fn same(&mut self) -> Option<Action> {
        let one = self.own_turn()?;
        let asks = self.state.challenges_of(&one.claim).filter_map(|id| {
            let other = self.state.challenge(id)?;
            other.last_ask().filter(|_| other.challenger != one.challenger).cloned()
        });
        let asks: Vec<Ask> = asks.collect();
        let ask = self.pick(asks)?;
        let whole = self.whole_of(&one.claim)?;
        let known = whole.known(ask.tree());
        let ways = Ways { known: &known, model: whole.model() };
        let found: ProvenAsk = match &ask {
            Ask::Say { tree, .. } => ways.say(tree),
            Ask::Open { place } => ways.ask_at(&place.tree, ask.node(), false),
            Ask::Leaves { place } => ways.ask_at(&place.tree, ask.node(), true),
        }?;
        Some(found.of(one.claim))
    }

    /// Asks about this party's claims that wait for an answer.
    fn pending(&mut self) -> Option<(ClaimId, Address, Ask)> {
        let me = self.sight.me;
        let waits = self.state.challenges().filter_map(|(_, one)| {
            let claim = self.state.claim(&one.claim)?;
            let is_own = claim.executor == me || self.for_anybody;
            let ask = one.pending().filter(|_| is_own && claim.stands())?;
            Some((one.claim, one.challenger, ask.clone()))
        });
        let waits: Vec<_> = waits.collect();
        self.pick(waits)
    }

    pub(super) fn answer(&mut self, otherwise: bool) -> Option<Action> {
        let (claim, challenger, ask) = self.pending()?;
        let mut answer = self.whole_of(&claim)?.answer(&ask)?;
        if otherwise {
            let others: Vec<Digest> = self.sight.runs.keys().copied().collect();
            let other = self.pick(others).filter(|_| self.sight.rng.chance(500));
            let arity_log2 = self.state.parameters().arity_log2;
            let said = other.and_then(|root| {
                let whole = self.sight.runs.get(&root)?.whole(arity_log2)?;
                whole.answer(&ask)
            });
            let forgery = *self.rng().pick(&FORGERIES)?;
            match said {
                Some(said) => answer = said,
                None => Forge { forgery }.forge(ask.tree(), &mut answer),
            }
        }
        let mut challengers = vec![challenger];
        if self.rng().chance(500) {
            let others = self.sight.allies.iter().copied().filter(|one| *one != challenger);
            challengers.extend(others.take(NAMED_MAX - 1));
        }
        Some(Action::Reveal { claim, challengers, ask, answer })
    }

    pub(super) fn refute(&mut self) -> Option<Action> {
        let one = self.own_turn()?;
        let whole = self.whole_of(&one.claim)?;
        let said: Vec<Tree> = self.state.claim(&one.claim)?.said.keys().copied().collect();
        let (showings, refutation) = refutations::any(&whole, &said, self.sight.rng)?;
        let from = one.last_ask().filter(|_| self.sight.rng.chance(200)).cloned();
        let (claim, challenger) = (one.claim, one.challenger);
        Some(Action::Refute { claim, challenger, showings, refutation, from })
    }

    pub(super) fn leave(&mut self) -> Option<Action> {
        Some(Action::WithdrawChallenge { claim: self.own_turn()?.claim })
    }
}
