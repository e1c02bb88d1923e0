//! Where a claim differs from the honest run, and whether what is shown is what was committed.

use std::collections::BTreeMap;

use protocol::asks::{Answer, Ask, Place, Sums, Tree, shown_places};
use protocol::hash::{Commitment, Digest};
use protocol::knowledge::Knowledge;
use protocol::merkle::{self, empty_subtree};
use protocol::tensor::leaf_element;

use crate::fixtures::Known;

/// What is asked, short enough to be kept of every answer.
pub(crate) type AskKey = (protocol::asks::Tree, u32, u64, bool);

/// The nodes of a run's tree; `None` for what the audit does not compare. Runs of these worlds have one
/// iteration, and nothing of another is any of theirs.
fn nodes_of<'a, C: Commitment>(known: &'a Known<C>, tree: &Tree) -> Option<&'a merkle::Tree<C>> {
    if tree.iteration() > 0 {
        return None;
    }
    let run = &known.run;
    match *tree {
        Tree::Sequence {} | Tree::Accumulators { .. } => None,
        Tree::Trace { .. } => Some(run.trace().tree().tree()),
        Tree::State { boundary, .. } => Some(run.trace().state(boundary)?.tree().tree()),
        Tree::Subtrace { layer, .. } => Some(run.inside(layer).ok()?.tree().tree()),
        Tree::Tensor { operator, .. } => run.output_tree(operator).ok(),
        Tree::Input { value, .. } => run.trace().state(0)?.leaf_tree(value),
        Tree::Output { value, .. } => {
            run.trace().state(run.model().header().layer_count)?.leaf_tree(value)
        }
    }
}

/// Whether a claim, as far as it is known, differs from the honest run at what is asked for.
pub(super) fn differs_at<C: Commitment>(claim: &Knowledge<C>, truth: &Known<C>, ask: &Ask) -> bool {
    match ask {
        Ask::Open { place } | Ask::Leaves { place } => {
            honest_hash(truth, place) != Some(place.hash)
        }
        Ask::Say { tree, .. } => match *tree {
            // The inside of the first layer whose result differs.
            Tree::Subtrace { iteration, layer } => {
                let boundary = layer.saturating_add(1);
                let own = truth.run.trace().state_roots().get(boundary as usize).copied();
                claim.root(&Tree::State { iteration, boundary }) != own
            }
            // The sums of an element that differs.
            Tree::Accumulators { iteration, operator, element } => {
                let shown = || {
                    let kind = truth.run.output(operator).ok()?.kind();
                    let (leaf, place) = kind.locate(element)?;
                    let tree = Tree::Tensor { iteration, operator };
                    leaf_element(kind.element, claim.leaf(&tree, leaf)?, place)
                };
                shown() != truth.run.output(operator).ok().and_then(|own| own.bits(element))
            }
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Tensor { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => false,
        },
    }
}

/// The hash that the honest run has at a place; the committed root at the top of a tree.
fn honest_hash<C: Commitment>(truth: &Known<C>, place: &Place) -> Option<Digest> {
    let Place { tree, kind, depth, index, .. } = place;
    let sums = match *tree {
        Tree::Accumulators { iteration: 0, operator, element } => {
            let words = truth.run.accumulators(operator, element).ok()?;
            Sums::<C>::new(truth.run.model().node(operator)?, &words)
        }
        _ => None,
    };
    let nodes = match &sums {
        Some(sums) => sums.tree(),
        None => nodes_of(truth, tree)?,
    };
    match depth {
        0 => tree.commit::<C>(kind, &nodes.root()),
        _ => nodes.node(*depth, *index),
    }
}

/// Whether an answer leads to what was asked about, folded here from its hashes; and
/// whether it shows what the claim's own run holds, where that is committed to.
pub(super) fn is_committed<C: Commitment>(
    known: Option<&Known<C>>,
    claim: &Knowledge<C>,
    ask: &Ask,
    answer: &Answer,
) -> bool {
    let arity_log2 = claim.arity_log2();
    let Some((depth, places)) = shown_places(ask, arity_log2) else {
        return false;
    };
    let hashes = answer.hashes::<C>();
    if hashes.len() != places.len() || !leads_there::<C>(ask, depth, &places, &hashes) {
        return false;
    }
    let Some(own) = known.and_then(|known| nodes_of(known, ask.tree())) else {
        return true;
    };
    // An operator's output is committed to only in the dispute: under another root all may be other.
    let own_root = ask.tree().commit::<C>(ask.kind(), &own.root());
    claim.root(ask.tree()) != own_root
        || places.iter().zip(&hashes).all(|(place, hash)| own.node(depth, *place) == Some(*hash))
}

fn leads_there<C: Commitment>(ask: &Ask, depth: u32, places: &[u64], hashes: &[Digest]) -> bool {
    let (tree, (top, index)) = (ask.tree(), ask.node());
    let Some(shape) = ask.kind().shape() else { return false };
    let mut level: BTreeMap<u64, Digest> =
        places.iter().copied().zip(hashes.iter().copied()).collect();
    for below in (top + 1..=depth).rev() {
        let padding = empty_subtree::<C>(shape.depth() - below);
        let child = |index: u64| level.get(&index).copied().unwrap_or(padding);
        let parents = level.keys().map(|index| index >> 1);
        level = parents
            .map(|parent| (parent, C::node(&child(2 * parent), &child(2 * parent + 1))))
            .collect();
    }
    let Some(inner) = level.get(&index) else { return false };
    let committed = tree.commit::<C>(ask.kind(), inner);
    match ask {
        // What is said first binds: whether it is said again is a question of knowledge.
        Ask::Say { .. } => committed.is_some(),
        Ask::Open { place } | Ask::Leaves { place } if top == 0 => committed == Some(place.hash),
        Ask::Open { place } | Ask::Leaves { place } => *inner == place.hash,
    }
}
