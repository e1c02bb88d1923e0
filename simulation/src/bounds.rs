//! How much a dispute may take, from the model's shape alone, and how long, from the parameters alone.

use protocol::asks::TreeKind;
use protocol::hash::Commitment;
use protocol::merkle::TreeShape;
use protocol::settlement::Parameters;

/// The latest end of everything about a claim, in the ledger's time: its window, and for the challenges that
/// are served first and for each `served_after` that are served once those are over: both clocks, and the
/// least time of every move that both sides can make. Written out here rather than asked of the ledger, so
/// that a claim whose printed bound is another is noticed.
pub fn last_finality_ms(
    parameters: &Parameters,
    posted_ms: u64,
    window_ms: u64,
    served_after: u32,
) -> u64 {
    let demands = u64::from(parameters.demands_max) + u64::from(parameters.end_asks_max);
    let moves_ms = parameters.move_floor_ms.saturating_mul(2 * demands + 2);
    let one_ms = [parameters.executor_clock_ms, parameters.challenger_clock_ms, moves_ms]
        .into_iter()
        .fold(0, u64::saturating_add);
    let times = u64::from(served_after).saturating_add(1);
    posted_ms.saturating_add(window_ms).saturating_add(one_ms.saturating_mul(times))
}

/// Bounds that follow from a model's shape alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShapeBounds {
    /// Demands that an honest challenger may need.
    pub demands: u32,
}

impl ShapeBounds {
    /// The bounds of a model under openings of `arity_log2` levels.
    pub fn of<C: Commitment>(model: &inference::Model<C>, arity_log2: u32) -> Self {
        // Written out here rather than asked of the trees, so that trees which open too little
        // are noticed.
        let arity_log2 = arity_log2.max(1);
        // One leaf holds as much as eight hashes.
        let leaf_log2 = arity_log2.saturating_sub(3);
        let openings = |depth: u32| depth.div_ceil(arity_log2);
        // Down to where one answer holds all leaves below.
        let to_leaves = |depth: u32| openings(depth.saturating_sub(leaf_log2)) + 1;
        let depth_of = |shape: Option<TreeShape>| shape.map_or(0, |shape| shape.depth());
        let list = |count: u64| openings(depth_of(TreeShape::list(count)));
        let header = model.header();
        let inside = model.graph().layers.iter().map(|layer| {
            list(u64::from(layer.operator_count)).max(1) + list(layer.live_out.len() as u64).max(1)
        });
        let operators = model.graph().nodes.iter().map(|node| {
            let output = to_leaves(depth_of(node.output.tree_shape()));
            let sums = TreeKind::of_accumulators(node).map_or(0, |kind| {
                let depth = depth_of(kind.shape());
                // Saying them shows the first levels. Then the states before and after the false segment.
                let below = to_leaves(depth.saturating_sub(arity_log2));
                1 + if depth <= leaf_log2 { 0 } else { 2 * below }
            });
            output + sums
        });
        let (inside, operators) = (inside.max().unwrap_or(0), operators.max().unwrap_or(0));
        Self { demands: list(u64::from(header.state_count())) + inside + operators }
    }
}
