//! Refutations of any place of a run, with all that they must show: of what is false and of what is not.

use std::collections::BTreeSet;

use inference::Tensor;
use inference::engine::WholeTensors;
use protocol::asks::{LeafProof, OperandProof, Refutation, Showing, Tree, TreeKind};
use protocol::graph::ValueSource;
use protocol::hash::{Commitment, Digest};
use protocol::law::{self, CheckedNode, Operands};
use protocol::merkle;

use crate::rng::WorldRng;
use crate::ways::Ways;
use crate::whole::Whole;

/// A refutation with what it shows.
pub(super) type Proof = (Vec<Showing>, Refutation);

/// The iteration of runs that have one.
const FIRST: u32 = 0;

/// Showings one after the other, each once.
#[derive(Default)]
struct Shown(Vec<Showing>);

impl Shown {
    fn add(&mut self, showings: impl IntoIterator<Item = Showing>) {
        for showing in showings {
            if !self.0.contains(&showing) {
                self.0.push(showing);
            }
        }
    }
}

/// A refutation of some place of a run; every other time of one that only what its executor said of the run allows.
pub(super) fn any<C: Commitment>(
    whole: &Whole<C>,
    said: &[Tree],
    rng: &mut WorldRng,
) -> Option<Proof> {
    let header = whole.model().header();
    let operator = rng.below(u64::from(header.operator_count)) as u32;
    let layer = rng.below(u64::from(header.layer_count)) as u32;
    match rng.pick(said).filter(|_| rng.chance(500)) {
        Some(Tree::Subtrace { layer, .. }) => {
            let inside = whole.model().layer(*layer)?;
            let number = rng.below(u64::from(inside.operator_count)) as u32;
            return any_step(whole, inside.first_operator.checked_add(number)?, None, rng);
        }
        Some(Tree::Accumulators { operator, element, .. }) => {
            return any_step(whole, *operator, Some(*element), rng);
        }
        Some(_) | None => {}
    }
    match rng.below(8) {
        0 => binding(whole, operator),
        1 => {
            let live = whole.model().layer(layer).map(|layer| layer.live_in.clone())?;
            carry(whole, layer, *rng.pick(&live)?)
        }
        2 => {
            let boundary = layer + rng.below(2) as u32;
            let live = whole.model().live_values(boundary)?.len();
            state_value(whole, boundary, rng.below(live as u64) as u32)
        }
        3 => {
            let leaves = whole.model().node(operator)?.output.tree_shape()?.leaves();
            let leaf = rng.below(leaves);
            let tree = Tree::Tensor { iteration: FIRST, operator };
            let known = whole.known(&tree);
            let showings =
                Ways { known: &known, model: whole.model() }.to_leaf(FIRST, operator, leaf);
            Some((showings?, Refutation::Leaf { iteration: FIRST, operator, leaf }))
        }
        _ => any_step(whole, operator, None, rng),
    }
}

/// A refutation of a step of an operator, of some element where none is given.
fn any_step<C: Commitment>(
    whole: &Whole<C>,
    operator: u32,
    element: Option<u64>,
    rng: &mut WorldRng,
) -> Option<Proof> {
    let node = whole.model().checked(operator)?;
    let segments = law::segment_count(node);
    // The last of several is the step from the last sum into the element.
    let most = if segments > 1 { segments + 1 } else { 1 };
    let some = rng.below(node.node().output.shape.count());
    step(whole, operator, element.unwrap_or(some), rng.below(most))
}

/// A value of a state, by its id.
fn value_at<C: Commitment>(
    ways: &Ways<'_, C>,
    boundary: u32,
    value: u32,
) -> Option<(u32, Vec<Showing>)> {
    let live = ways.model.live_values(boundary)?;
    let position = u32::try_from(live.binary_search(&value).ok()?).ok()?;
    Some((position, ways.to_value((FIRST, boundary), position)?))
}

fn binding<C: Commitment>(whole: &Whole<C>, operator: u32) -> Option<Proof> {
    let tree = Tree::Tensor { iteration: FIRST, operator };
    let known = whole.known(&tree);
    let ways = Ways { known: &known, model: whole.model() };
    let layer = ways.model.layer_of(operator)?;
    let value = ways.model.header().output_of(operator);
    let mut shown = Shown::default();
    shown.add(ways.to(&tree)?);
    shown.add(value_at(&ways, layer + 1, value)?.1);
    Some((shown.0, Refutation::Binding { iteration: FIRST, layer, operator }))
}

fn carry<C: Commitment>(whole: &Whole<C>, layer: u32, value: u32) -> Option<Proof> {
    let known = whole.known(&Tree::Sequence {});
    let ways = Ways { known: &known, model: whole.model() };
    let mut shown = Shown::default();
    shown.add([ways.layer(layer)?]);
    shown.add(value_at(&ways, layer, value)?.1);
    shown.add(value_at(&ways, layer + 1, value)?.1);
    Some((shown.0, Refutation::Carry { iteration: FIRST, layer, value }))
}

fn state_value<C: Commitment>(whole: &Whole<C>, boundary: u32, position: u32) -> Option<Proof> {
    let known = whole.known(&Tree::Sequence {});
    let showings =
        Ways { known: &known, model: whole.model() }.to_value((FIRST, boundary), position)?;
    Some((showings, Refutation::StateValue { iteration: FIRST, boundary, position }))
}

fn step<C: Commitment>(
    whole: &Whole<C>,
    operator: u32,
    element: u64,
    segment: u64,
) -> Option<Proof> {
    let iteration = FIRST;
    let tensor = Tree::Tensor { iteration, operator };
    let known = whole.known(&tensor);
    let ways = Ways { known: &known, model: whole.model() };
    let node = ways.model.checked(operator)?;
    let (layer, segments) = (ways.model.layer_of(operator)?, law::segment_count(node));
    let is_last = segments > 1 && segment == segments;
    let mut shown = Shown::default();
    shown.add([ways.layer(layer)?, ways.operator(operator)?]);
    if segments == 1 || is_last {
        let (leaf, _) = node.node().output.locate(element)?;
        shown.add(ways.to_leaf(iteration, operator, leaf)?);
    }
    let operands = match is_last {
        true => Vec::new(),
        false => operands(whole, &ways, (operator, element, segment), &mut shown)?,
    };
    let states = match segments {
        1 => Vec::new(),
        _ => states(whole, node, (operator, element, segment))?,
    };
    let refutation =
        Refutation::Step { iteration, layer, operator, element, segment, operands, states };
    Some((shown.0, refutation))
}

/// The sums before and after a segment; into the element only the last.
fn states<C: Commitment>(
    whole: &Whole<C>,
    node: CheckedNode<'_>,
    (operator, element, segment): (u32, u64, u64),
) -> Option<Vec<LeafProof>> {
    let (segments, width) = (law::segment_count(node), law::state_words(node) as u64);
    let tree = Tree::Accumulators { iteration: FIRST, operator, element };
    let known = whole.known(&tree);
    let kind = Ways { known: &known, model: whole.model() }.kind(&tree)?;
    let TreeKind::Tensor { kind } = kind else { return None };
    let words = segment.saturating_sub(1) * width..segments.min(segment + 1) * width;
    let positions: Option<BTreeSet<u64>> =
        words.map(|word| kind.locate(word).map(|(leaf, _)| leaf)).collect();
    let depth = kind.tree_shape()?.depth();
    let proof = |position: u64| {
        let (bytes, path) = (*known.leaf(&tree, position)?, known.path(&tree, depth, position)?);
        Some(LeafProof { position, bytes, path })
    };
    positions?.into_iter().map(proof).collect()
}

/// The operands that the law reads for a step.
fn operands<C: Commitment>(
    whole: &Whole<C>,
    ways: &Ways<'_, C>,
    (operator, element, segment): (u32, u64, u64),
    shown: &mut Shown,
) -> Option<Vec<(u8, OperandProof)>> {
    let node = ways.model.checked(operator)?;
    let tensors = whole.run().operands(operator).ok()?;
    let leaves = vec![BTreeSet::new(); tensors.len()];
    let mut reads = Reads { tensors: WholeTensors(&tensors), kinds: &tensors, leaves };
    // Also a step without a result reads.
    if law::segment_count(node) == 1 {
        let _ = law::element(node, element, &mut reads);
    } else {
        let zeros = vec![0; law::state_words(node)];
        let _ = law::segment(node, element, segment, zeros, &mut reads);
    }
    let layer = ways.model.layer_of(operator)?;
    let mut proofs = Vec::new();
    for (place, (operand, read)) in node.node().operands.iter().zip(reads.leaves).enumerate() {
        if read.is_empty() {
            continue;
        }
        let Held { root, path, tree, showings } = held(whole, ways, layer, operand.value)?;
        shown.add(showings);
        let positions: Vec<u64> = read.into_iter().collect();
        let tensor = tensors.get(place)?;
        let leaves = positions.iter().map(|position| tensor.leaf(*position));
        let (leaves, siblings) = (leaves.collect::<Option<_>>()?, tree.siblings_of(&positions)?);
        let proof = OperandProof { root, path, positions, leaves, siblings };
        proofs.push((u8::try_from(place).ok()?, proof));
    }
    Some(proofs)
}

/// Where an operand stands: its root, the way to it in the list that holds it, and its own tree.
struct Held<'a, C: Commitment> {
    root: Digest,
    path: Vec<Digest>,
    tree: &'a merkle::Tree<C>,
    showings: Vec<Showing>,
}

fn held<'a, C: Commitment>(
    whole: &'a Whole<C>,
    ways: &Ways<'a, C>,
    layer: u32,
    value: u32,
) -> Option<Held<'a, C>> {
    let model = ways.model;
    let definition = model.layer(layer)?;
    match model.header().source(value)? {
        ValueSource::Weight(weight) => Some(Held {
            root: model.weight_root(weight)?,
            path: model.committed().weights.tree().path(u64::from(weight))?,
            tree: model.weight_tree(weight)?,
            showings: Vec::new(),
        }),
        ValueSource::Operator(from) if definition.position(from).is_some() => {
            let position = definition.position(from)?;
            let inside = whole.run().inside(layer).ok()?;
            Some(Held {
                root: *inside.roots().get(position as usize)?,
                path: inside.tree().tree().path(u64::from(position))?,
                tree: inside.leaf_tree(position)?,
                showings: Vec::new(),
            })
        }
        ValueSource::Input(_) | ValueSource::Operator(_) => {
            let state = whole.run().trace().state(layer)?;
            let position = state.values().iter().position(|(id, _)| *id == value)?;
            Some(Held {
                root: *state.roots().get(position)?,
                path: state.tree().tree().path(position as u64)?,
                tree: state.leaf_tree(value)?,
                showings: ways.to(&Tree::State { iteration: FIRST, boundary: layer })?,
            })
        }
    }
}

/// Operands that remember which leaves the law asked for.
struct Reads<'a> {
    tensors: WholeTensors<'a>,
    kinds: &'a [&'a Tensor],
    leaves: Vec<BTreeSet<u64>>,
}

impl Operands for Reads<'_> {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        let leaf = self.kinds.get(operand).and_then(|tensor| tensor.kind().locate(index));
        let (leaf, _) = leaf.ok_or(())?;
        self.leaves.get_mut(operand).ok_or(())?.insert(leaf);
        self.tensors.element(operand, index)
    }
}
