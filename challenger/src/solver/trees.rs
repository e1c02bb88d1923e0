//! The trees of a claim by name, and the grid on which they are opened.

use protocol::asks::Tree;

use super::moves::At;

pub(super) fn trace(iteration: u32) -> Tree {
    Tree::Trace { iteration }
}

pub(super) fn state(iteration: u32, boundary: u32) -> Tree {
    Tree::State { iteration, boundary }
}

pub(super) fn inside(iteration: u32, layer: u32) -> Tree {
    Tree::Subtrace { iteration, layer }
}

pub(super) fn output(iteration: u32, operator: u32) -> Tree {
    Tree::Tensor { iteration, operator }
}

pub(super) fn sums(iteration: u32, operator: u32, element: u64) -> Tree {
    Tree::Accumulators { iteration, operator, element }
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
