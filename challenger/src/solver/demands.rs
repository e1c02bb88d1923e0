//! How many demands a way still takes.

use protocol::asks::{Tree, TreeKind};
use protocol::hash::Commitment;

use super::argument::Argument;
use super::moves::{At, End, Reasoned};
use crate::honest_view::HonestView;

/// Demands of a way of which it is not known yet where it leads.
const UNKNOWN: u32 = 1_000;

impl<C: Commitment> HonestView<C> {
    /// Demands from a move to the end of its way, this one counted; as far as it can be told from the move.
    pub(super) fn demands_left(&self, argument: &Argument<'_, C>, next: &Reasoned) -> u32 {
        let depth_of = |tree: &Tree| {
            let shape = self.kind(tree).ok().and_then(|kind| kind.shape());
            shape.map_or(0, |shape| shape.depth())
        };
        let arity_log2 = argument.known.arity_log2().max(1);
        let to_leaves = |tree: &Tree, depth: u32| {
            let beyond = depth_of(tree).saturating_sub(depth).saturating_sub(argument.leaf_log2());
            beyond.div_ceil(arity_log2).saturating_add(1)
        };
        let sums = |tree: &Tree| match argument.leaf_log2() {
            // All of them are in the answer that says their root.
            most if depth_of(tree) <= most => 1,
            _ => to_leaves(tree, arity_log2.min(depth_of(tree))).saturating_add(1),
        };
        match &next.end {
            End::Refute(_) => 0,
            End::Open(At { tree, depth, .. }) | End::Leaves(At { tree, depth, .. }) => match tree {
                Tree::Accumulators { .. } => to_leaves(tree, *depth),
                Tree::Tensor { operator, .. } => {
                    let node = self.model().node(*operator);
                    let has_sums = node.and_then(TreeKind::of_accumulators).is_some();
                    // Those of one element have as many segments as those of any other.
                    let of_element = super::trees::sums(self.iteration(), *operator, 0);
                    let after = if has_sums { sums(&of_element) } else { 0 };
                    to_leaves(tree, *depth).saturating_add(after)
                }
                // What the state after a layer holds ends the way.
                Tree::State { .. } => {
                    depth_of(tree).saturating_sub(*depth).div_ceil(arity_log2).max(1)
                }
                Tree::Sequence {}
                | Tree::Trace { .. }
                | Tree::Subtrace { .. }
                | Tree::Input { .. }
                | Tree::Output { .. } => UNKNOWN,
            },
            End::Say(tree) if matches!(tree, Tree::Accumulators { .. }) => sums(tree),
            End::Say(_) => UNKNOWN,
        }
    }
}
