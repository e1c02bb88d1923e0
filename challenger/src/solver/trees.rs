//! The trees of a claim by name, and the grid on which they are opened.

use protocol::asks::Tree;

use super::moves::At;

/// Runs have one iteration.
pub(super) const ITERATION: u32 = 0;

pub(super) fn trace() -> Tree {
    Tree::Trace { iteration: ITERATION }
}

pub(super) fn state(boundary: u32) -> Tree {
    Tree::State { iteration: ITERATION, boundary }
}

pub(super) fn inside(layer: u32) -> Tree {
    Tree::Subtrace { iteration: ITERATION, layer }
}

pub(super) fn output(operator: u32) -> Tree {
    Tree::Tensor { iteration: ITERATION, operator }
}

pub(super) fn sums(operator: u32, element: u64) -> Tree {
    Tree::Accumulators { iteration: ITERATION, operator, element }
}

/// The opening that shows what is below a node: of the node itself, or of one above it from which the leaves
/// are as many openings away, and which others ask for too, so that one answer serves all.
pub(super) fn opening(tree: Tree, total: u32, (depth, index): (u32, u64), arity_log2: u32) -> At {
    let arity_log2 = arity_log2.max(1);
    let openings = |depth: u32| total.saturating_sub(depth).div_ceil(arity_log2);
    let above = depth % arity_log2;
    if openings(depth - above) == openings(depth) {
        At { tree, depth: depth - above, index: index >> above }
    } else {
        At { tree, depth, index }
    }
}
