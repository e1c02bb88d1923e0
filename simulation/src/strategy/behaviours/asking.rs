//! Challengers that ask for what they do not need, for what is not there, or for what proves nothing.

use protocol::asks::{Ask, Place, Proven, Showing, Tree, TreeKind};
use protocol::graph::{Node, NodeProof, Operand, Operator};
use protocol::hash::{Commitment, Digest};
use protocol::ids::ClaimId;
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::Action;

use super::super::{Intent, Sight, Strategy};
use super::own_turns;
use crate::ways::{ProvenAsk, Ways};

/// The model of a claim, if this party has it, beside what is known of the claim.
fn ways_of<'a, C: Commitment>(sight: &Sight<'a, C>, claim: &ClaimId) -> Option<Ways<'a, C>> {
    let claim = sight.view.settlement.claim(claim)?;
    let view = sight.challenger?.honest_view(&claim.terms.job)?;
    Some(Ways { known: claim.knowledge.run()?, model: view.model() })
}

/// One of the wrong moves at random, before the others: what is sent after a move that is refused is not looked at,
/// since its number is out of turn.
fn one_first<C: Commitment>(
    sight: &mut Sight<'_, C>,
    wrong: &[Intent],
    intents: Vec<Intent>,
) -> Vec<Intent> {
    sight.rng.pick(wrong).cloned().into_iter().chain(intents).collect()
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
            const TRIES: usize = 24;
            let found = (0..TRIES).find_map(|_| legal_ask(sight, &claim));
            intents.extend(found.map(|found| Intent::new(found.of(claim))));
        }
        intents
    }
    boxed!();
}

/// Something at random that can be demanded of a claim, if the dice hit one.
fn legal_ask<C: Commitment>(sight: &mut Sight<'_, C>, id: &ClaimId) -> Option<ProvenAsk> {
    let ways = ways_of(sight, id)?;
    let header = ways.known.header();
    let iteration = 0;
    let layer = sight.rng.below(u64::from(header.layer_count)) as u32;
    let operator = sight.rng.below(u64::from(header.operator_count)) as u32;
    let boundary = sight.rng.below(u64::from(header.state_count())) as u32;
    let element = sight.rng.below(200);
    let ends = |at: u32| ways.model.layer(at).map(|layer| (&layer.live_in, &layer.live_out));
    let input = ends(0).and_then(|(first, _)| sight.rng.pick(first).copied());
    let last = ends(header.layer_count.saturating_sub(1));
    let output = last.and_then(|(_, last)| sight.rng.pick(last).copied());
    let trees = [
        Tree::Sequence {},
        Tree::Trace { iteration },
        Tree::State { iteration, boundary },
        Tree::Subtrace { iteration, layer },
        Tree::Tensor { iteration, operator },
        Tree::Accumulators { iteration, operator, element },
        Tree::Input { iteration, value: input.unwrap_or_default() },
        Tree::Output { iteration, value: output.unwrap_or_default() },
    ];
    let settlement = &sight.view.settlement;
    let last = settlement.challenge_by(id, &sight.me).and_then(|one| one.last_ask());
    // Now and then what proves it is the place that was asked last.
    let from = last.filter(|_| sight.rng.chance(300));
    let tree = from.map_or_else(|| sight.rng.pick(&trees).copied(), |from| Some(*from.tree()))?;
    let depth = ways.kind(&tree)?.shape()?.depth();
    let depth = sight.rng.below(u64::from(depth) + 1) as u32;
    let node = (depth, sight.rng.below(1 << depth.min(63)));
    let leaves = sight.rng.chance(500);
    let found = match from {
        Some(from) => ways.ask_below(from, node, leaves),
        None if tree.is_said() && sight.rng.chance(500) => ways.say(&tree),
        None => ways.ask_at(&tree, node, leaves),
    }?;
    let proven = Proven::new::<C>(ways.known.context(found.from.as_ref()), &found.showings).ok()?;
    let asking = settlement.parameters().asking();
    asking.check::<C>(&proven, &found.ask, &found.path).is_ok().then_some(found)
}

/// Shows absurd dimensions and demands absurd indices.
#[derive(Clone, Debug)]
pub struct AbsurdDemands;

impl<C: Commitment> Strategy<C> for AbsurdDemands {
    fn play(&mut self, sight: &mut Sight<'_, C>, intents: Vec<Intent>) -> Vec<Intent> {
        let Some(shape) = Shape::new(&[1 << 31]) else {
            return intents;
        };
        let kind = TensorType { element: ElementType::F32, shape };
        let node = Node {
            operator: Operator::Contract {},
            operands: vec![Operand { value: u32::MAX, kind: kind.clone() }; 2],
            output: kind.clone(),
        };
        let hash = Digest::default();
        let place = |operator, depth| Place {
            tree: Tree::Tensor { iteration: 0, operator },
            kind: TreeKind::Tensor { kind: kind.clone() },
            depth,
            index: u64::MAX,
            hash,
        };
        let mut wrong = Vec::new();
        for claim in own_turns(sight) {
            let proof = NodeProof { index: u32::MAX, node: node.clone(), path: Vec::new() };
            let beyond = Tree::Subtrace { iteration: 0, layer: u32::MAX };
            let said = Ask::Say { tree: beyond, kind: TreeKind::List { count: u32::MAX } };
            let leaves = Ask::Leaves { place: place(0, 40) };
            for absurd in [
                ProvenAsk {
                    showings: vec![Showing::Operator { proof }],
                    ..ProvenAsk::bare(said.clone())
                },
                ProvenAsk::bare(Ask::Open { place: place(u32::MAX, u32::MAX) }),
                ProvenAsk { path: vec![hash; 4_096], ..ProvenAsk::bare(leaves.clone()) },
                ProvenAsk { from: Some(leaves.clone()), ..ProvenAsk::bare(leaves) },
            ] {
                wrong.push(Intent::new(absurd.of(claim)));
            }
        }
        one_first(sight, &wrong, intents)
    }
    boxed!();
}

/// Asks to say what is of another kind than it says, or what is not said at all.
#[derive(Clone, Debug)]
pub struct SayOtherKind;

impl<C: Commitment> Strategy<C> for SayOtherKind {
    fn play(&mut self, sight: &mut Sight<'_, C>, intents: Vec<Intent>) -> Vec<Intent> {
        let mut wrong = Vec::new();
        for claim in own_turns(sight) {
            let Some(ways) = ways_of(sight, &claim) else { continue };
            let header = ways.known.header();
            let layer = sight.rng.below(u64::from(header.layer_count)) as u32;
            let operator = sight.rng.below(u64::from(header.operator_count)) as u32;
            let (iteration, element) = (0, 0);
            let inside = Tree::Subtrace { iteration, layer };
            let output = Tree::Tensor { iteration, operator };
            let sums = Tree::Accumulators { iteration, operator, element };
            let trees = [inside, output, sums, Tree::Trace { iteration }];
            let kinds = trees.iter().filter_map(|tree| ways.kind(tree));
            let longer = TreeKind::List { count: header.operator_count.saturating_add(1) };
            let kinds: Vec<TreeKind> = kinds.chain([longer]).collect();
            for tree in trees {
                let shown = [ways.to(&inside), ways.to(&sums)];
                let showings: Vec<Showing> = shown.into_iter().flatten().flatten().collect();
                let others = kinds.iter().filter(|kind| ways.kind(&tree).as_ref() != Some(*kind));
                // What cannot be said at all is asked for under its own kind, too.
                let own = ways.kind(&tree).filter(|_| !tree.is_said());
                wrong.extend(others.cloned().chain(own).map(|kind| {
                    let showings = showings.clone();
                    let said = ProvenAsk::bare(Ask::Say { tree, kind });
                    Intent::new(ProvenAsk { showings, ..said }.of(claim))
                }));
            }
        }
        one_first(sight, &wrong, intents)
    }
    boxed!();
}

/// Asks about iterations, states and elements after the last.
#[derive(Clone, Debug)]
pub struct AskBeyond;

impl<C: Commitment> Strategy<C> for AskBeyond {
    fn play(&mut self, sight: &mut Sight<'_, C>, intents: Vec<Intent>) -> Vec<Intent> {
        let mut wrong = Vec::new();
        for claim in own_turns(sight) {
            let Some(ways) = ways_of(sight, &claim) else { continue };
            let (header, terms) = (ways.known.header(), ways.known.terms());
            let beyond = terms.iterations;
            let (layers, operators) = (header.layer_count, header.operator_count);
            let places = [
                (Tree::Trace { iteration: beyond }, Tree::Trace { iteration: 0 }),
                (
                    Tree::State { iteration: beyond, boundary: layers },
                    Tree::State { iteration: 0, boundary: layers },
                ),
                (
                    Tree::State { iteration: 0, boundary: layers.saturating_add(1) },
                    Tree::State { iteration: 0, boundary: layers },
                ),
                (
                    Tree::Input { iteration: u32::MAX, value: 0 },
                    Tree::State { iteration: 0, boundary: 0 },
                ),
            ];
            for (tree, like) in places {
                // All is right but the number.
                let Some(mut found) = ways.ask_at(&like, (0, 0), false) else { continue };
                if let Ask::Open { place } = &mut found.ask {
                    place.tree = tree;
                }
                wrong.push(Intent::new(found.of(claim)));
            }
            for (tree, like) in [
                (
                    Tree::Subtrace { iteration: beyond, layer: 0 },
                    Tree::Subtrace { iteration: 0, layer: 0 },
                ),
                (
                    Tree::Subtrace { iteration: 0, layer: layers },
                    Tree::Subtrace { iteration: 0, layer: layers.saturating_sub(1) },
                ),
                (
                    Tree::Accumulators { iteration: 0, operator: 2, element: u64::MAX },
                    Tree::Accumulators { iteration: 0, operator: 2, element: 0 },
                ),
                (
                    Tree::Accumulators { iteration: 0, operator: operators, element: 0 },
                    Tree::Accumulators { iteration: 0, operator: 2, element: 0 },
                ),
            ] {
                let Some(mut found) = ways.say(&like) else { continue };
                if let Ask::Say { tree: named, .. } = &mut found.ask {
                    *named = tree;
                }
                wrong.push(Intent::new(found.of(claim)));
            }
        }
        one_first(sight, &wrong, intents)
    }
    boxed!();
}

/// Challenges every claim that is not an ally's, some time after the ally before it, looks at an end of the run,
/// and withdraws.
#[derive(Clone, Debug)]
pub struct LookAndWithdraw {
    /// How much later each account challenges than the one before.
    pub later_ms: u64,
    /// What is offered for withdrawing early.
    pub bid: u32,
}

impl<C: Commitment> Strategy<C> for LookAndWithdraw {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        intents.retain(|intent| {
            !matches!(
                intent.action,
                Action::Challenge { .. } | Action::Demand { .. } | Action::Refute { .. }
            )
        });
        let settlement = &sight.view.settlement;
        let place = sight.allies.iter().position(|ally| *ally == sight.me).unwrap_or_default();
        for (id, claim) in settlement.claims() {
            let already = settlement.challenge_by(id, &sight.me).is_some();
            if claim.stands() && !already && !sight.allies.contains(&claim.executor) {
                let not_before_ms = claim.posted_ms + self.later_ms * place as u64;
                let challenge = Intent::new(Action::Challenge { claim: *id });
                intents.push(Intent { not_before_ms, ..challenge });
            }
        }
        for claim in own_turns(sight) {
            let Some(challenge) = settlement.challenge_by(&claim, &sight.me) else { continue };
            let deadline_ms = challenge.deadline_ms(settlement.parameters().move_floor_ms);
            let next = if challenge.can_be_withdrawn() {
                Some(Intent::new(Action::WithdrawChallenge { claim }))
            } else {
                let state = Tree::State { iteration: 0, boundary: 0 };
                let ways = ways_of(sight, &claim);
                ways.and_then(|ways| ways.ask_at(&state, (0, 0), false))
                    .map(|ask| Intent::new(ask.of(claim)))
            };
            intents.extend(next.map(|next| Intent { deadline_ms, bid: self.bid, ..next }));
        }
        intents
    }
    boxed!();
}
