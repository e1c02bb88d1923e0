//! What two runs say at one place, and whether what is open is what was committed.

use protocol::facts::{Request, TreeId};
use protocol::graph::state_leaf;
use protocol::hash::{Commitment, Digest, Tag};
use protocol::merkle::{ListTree, Tree};

use crate::fixtures::Known;

/// Whether two runs differ at what is asked for.
pub(super) fn differs_at<C: Commitment>(
    theirs: &Known<C>,
    truth: &Known<C>,
    request: &Request,
) -> bool {
    let (their_run, own_run) = (&theirs.run, &truth.run);
    match *request {
        Request::Node { tree, depth, index } => match tree {
            TreeId::Trace {} => {
                let node = |run: &inference::Run<C>| run.trace().tree().tree().node(depth, index);
                node(their_run) != node(own_run)
            }
            TreeId::State { boundary } => {
                let node = |run: &inference::Run<C>| {
                    run.trace().state(boundary)?.tree().tree().node(depth, index)
                };
                // Where a state's committed root is not that of its values, the roots
                // differ although the trees may not.
                let root = |run: &inference::Run<C>| {
                    run.trace().state_roots().get(boundary as usize).copied()
                };
                node(their_run) != node(own_run) || root(their_run) != root(own_run)
            }
            TreeId::Subtrace { layer } => {
                let node = |run: &inference::Run<C>| {
                    run.inside(layer).ok()?.tree().tree().node(depth, index)
                };
                node(their_run) != node(own_run)
            }
            TreeId::Tensor { operator } => {
                let node =
                    |run: &inference::Run<C>| run.output_tree(operator).ok()?.node(depth, index);
                node(their_run) != node(own_run)
            }
        },
        // The inside of the first layer whose result differs.
        Request::Subtrace { layer } => {
            let root = |run: &inference::Run<C>| {
                run.trace().state_roots().get(layer as usize + 1).copied()
            };
            root(their_run) != root(own_run)
        }
        Request::Leaf { operator, leaf } => {
            let bytes = |run: &inference::Run<C>| run.output(operator).ok()?.leaf(leaf);
            bytes(their_run) != bytes(own_run)
        }
        Request::Accumulators { operator, element } => {
            let bits = |run: &inference::Run<C>| run.output(operator).ok()?.bits(element);
            bits(their_run) != bits(own_run)
        }
    }
}

/// Whether what is now open is what the claim's own run holds.
pub(super) fn is_committed<C: Commitment>(
    known: &Known<C>,
    claim: &protocol::settlement::Claim<C>,
    request: &Request,
) -> bool {
    let facts = &claim.facts;
    let (id, depth, index) = match *request {
        Request::Node { tree, depth, index } => (tree, depth, index),
        Request::Subtrace { layer } => (TreeId::Subtrace { layer }, 0, 0),
        Request::Leaf { operator, leaf } => {
            let bytes = known.run.output(operator).ok().and_then(|output| output.leaf(leaf));
            let root = known.run.output_tree(operator).ok().map(|tree| tree.root());
            let kind = known.run.output(operator).ok().map(|output| output.kind().clone());
            let own = kind.zip(root).map(|(kind, root)| kind.root_under::<C>(&root));
            // An operator's output is committed to only in the dispute: another root, another leaf.
            let other = facts.root(TreeId::Tensor { operator }) != own;
            return other || facts.leaf(operator, leaf) == bytes.as_ref();
        }
        // Sums are never committed to: what they say is the play.
        Request::Accumulators { .. } => return true,
    };
    let run = &known.run;
    let (own, root) = match id {
        TreeId::Trace {} => (Some(run.trace().tree().tree()), Some(run.trace().root())),
        TreeId::State { boundary } => {
            let state = run.trace().state(boundary).map(|state| state.tree());
            (state.map(|list| list.tree()), state.map(|list| list.root()))
        }
        TreeId::Subtrace { layer } => {
            let inside = run.inside(layer).ok().map(|inside| inside.tree());
            (inside.map(|list| list.tree()), inside.map(|list| list.root()))
        }
        TreeId::Tensor { operator } => {
            let tree = run.output_tree(operator).ok();
            let kind = run.output(operator).ok().map(|output| output.kind());
            let root = tree.zip(kind).map(|(tree, kind)| kind.root_under::<C>(&tree.root()));
            (tree, root)
        }
    };
    let Some(own) = own else { return true };
    if facts.root(id) != root {
        return folds_to_its_root(own, claim, id);
    }
    let reached = depth + own.shape().opening_levels(depth, facts.arity_log2());
    let mut children = own.shape().opened_indices(depth, index, facts.arity_log2()).into_iter();
    children.all(|child| reached == 0 || facts.node(id, reached, child) == own.node(reached, child))
}

/// Whether the leaves of a list that was committed to only now lead to its root, as far as they
/// were all opened at once.
fn folds_to_its_root<C: Commitment>(
    shape: &Tree<C>,
    claim: &protocol::settlement::Claim<C>,
    id: TreeId,
) -> bool {
    let facts = &claim.facts;
    let (depth, count) = (shape.shape().depth(), shape.shape().leaves());
    if depth > facts.arity_log2() {
        return true;
    }
    let (tag, leaves): (Tag, Option<Vec<Digest>>) = match id {
        TreeId::Subtrace { .. } if depth > 0 => {
            (Tag::Subtrace, (0..count).map(|index| facts.node(id, depth, index)).collect())
        }
        TreeId::State { boundary } => {
            let leaf = |index: u64| {
                let (value, root) = facts.value(boundary, index as u32)?;
                Some(state_leaf::<C>(value, &root))
            };
            (Tag::State, (0..count).map(leaf).collect())
        }
        _ => return true,
    };
    let tree = leaves.and_then(|leaves| ListTree::<C>::new(tag, &leaves));
    tree.is_none_or(|tree| facts.root(id) == Some(tree.root()))
}
