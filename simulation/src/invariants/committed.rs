//! What two runs say at one place, and whether what is shown is what was committed.

use std::collections::BTreeMap;

use protocol::asks::{Answer, Ask, Tree, shown_places};
use protocol::hash::{Commitment, Digest};
use protocol::merkle::{self, empty_subtree};
use protocol::settlement::Claim;

use crate::fixtures::Known;

/// The nodes of a run's tree; `None` for what the audit does not compare.
fn nodes_of<'a, C: Commitment>(known: &'a Known<C>, tree: &Tree) -> Option<&'a merkle::Tree<C>> {
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

/// Whether two runs differ at what is asked for.
pub(super) fn differs_at<C: Commitment>(theirs: &Known<C>, truth: &Known<C>, ask: &Ask) -> bool {
    let (depth, index) = ask.node();
    let tree = ask.tree();
    let root = |known: &Known<C>, boundary: u32| {
        known.run.trace().state_roots().get(boundary as usize).copied()
    };
    let bits = |known: &Known<C>, operator: u32, element: u64| {
        known.run.output(operator).ok()?.bits(element)
    };
    let node = |known: &Known<C>| nodes_of(known, tree)?.node(depth, index);
    match (ask, *tree) {
        // The inside of the first layer whose result differs.
        (Ask::Say { .. }, Tree::Subtrace { layer, .. }) => {
            let after = layer.saturating_add(1);
            root(theirs, after) != root(truth, after)
        }
        // Where a state's committed root is not that of its values, the roots differ although the trees may not.
        (_, Tree::State { boundary, .. }) => {
            node(theirs) != node(truth) || root(theirs, boundary) != root(truth, boundary)
        }
        (_, Tree::Accumulators { operator, element, .. }) => {
            bits(theirs, operator, element) != bits(truth, operator, element)
        }
        (_, Tree::Sequence {}) => theirs.run.trace().root() != truth.run.trace().root(),
        _ => node(theirs) != node(truth),
    }
}

/// Whether an answer leads to what was asked about, or to what was said, folded here from its hashes; and
/// whether it shows what the claim's own run holds, where that is committed to.
pub(super) fn is_committed<C: Commitment>(
    known: Option<&Known<C>>,
    claim: &Claim<C>,
    ask: &Ask,
    answer: &Answer,
) -> bool {
    let arity_log2 = claim.knowledge.arity_log2();
    let Some((depth, places)) = shown_places(ask, arity_log2) else {
        return false;
    };
    let hashes = answer.hashes::<C>();
    if hashes.len() != places.len() || !leads_there(claim, ask, depth, &places, &hashes) {
        return false;
    }
    let Some(own) = known.and_then(|known| nodes_of(known, ask.tree())) else {
        return true;
    };
    // An operator's output is committed to only in the dispute: under another root all may be other.
    let own_root = ask.tree().commit::<C>(ask.kind(), &own.root());
    claim.knowledge.root(ask.tree()) != own_root
        || places.iter().zip(&hashes).all(|(place, hash)| own.node(depth, *place) == Some(*hash))
}

fn leads_there<C: Commitment>(
    claim: &Claim<C>,
    ask: &Ask,
    depth: u32,
    places: &[u64],
    hashes: &[Digest],
) -> bool {
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
        Ask::Say { .. } => committed.is_some() && claim.said.get(tree) == committed.as_ref(),
        Ask::Open { place } | Ask::Leaves { place } if top == 0 => committed == Some(place.hash),
        Ask::Open { place } | Ask::Leaves { place } => *inner == place.hash,
    }
}
