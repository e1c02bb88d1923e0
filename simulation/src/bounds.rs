//! How much a dispute may take, from the model's shape alone, and how long, from the parameters alone.

use protocol::hash::Commitment;
use protocol::merkle::TreeShape;
use protocol::settlement::Parameters;

/// The latest end of everything about a claim, in the ledger's time: its window, both clocks, and the
/// least time of every move that both sides can make, as long as no challenge waits for its turn. Written out here rather than asked of
/// the ledger, so that a claim whose printed bound is another is noticed.
pub fn last_finality_ms(parameters: &Parameters, posted_ms: u64, window_ms: u64) -> u64 {
    let demands = u64::from(parameters.demands_max) + u64::from(parameters.end_asks_max);
    let moves_ms = parameters.move_floor_ms.saturating_mul(2 * demands + 2);
    [window_ms, parameters.executor_clock_ms, parameters.challenger_clock_ms, moves_ms]
        .into_iter()
        .fold(posted_ms, u64::saturating_add)
}

/// Bounds that follow from a model's shape alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShapeBounds {
    /// Demands that an honest challenger may need.
    pub demands: u32,
    /// Openings that a claim can give at all.
    pub openings: u64,
}

fn openings_of(shape: &TreeShape, arity_log2: u32) -> u64 {
    let depth = shape.depth();
    (0..depth.max(1))
        .step_by(arity_log2.max(1) as usize)
        .map(|level| {
            let below = depth - level;
            (0..1u64 << level).filter(|index| !shape.is_padding(level, *index)).count() as u64
                * u64::from(below > 0 || depth == 0)
        })
        .sum()
}

impl ShapeBounds {
    /// The bounds of a model under openings of `arity_log2` levels.
    pub fn of<C: Commitment>(model: &inference::Model<C>, arity_log2: u32) -> Self {
        // Written out here rather than asked of the trees, so that trees which open too little
        // are noticed.
        let levels = |shape: Option<TreeShape>| {
            shape.map_or(0, |shape| shape.depth().div_ceil(arity_log2.max(1)))
        };
        let header = model.header();
        let trace = TreeShape::list(u64::from(header.state_count()));
        let (mut widest, mut openings) = (0, 0);
        openings += trace.map_or(0, |shape| openings_of(&shape, arity_log2));
        for layer in &model.graph().layers {
            let inside = TreeShape::list(u64::from(layer.operator_count));
            let state = TreeShape::list(layer.live_out.len() as u64);
            widest = widest.max(levels(inside).max(1) + levels(state).max(1));
            openings +=
                [inside, state].iter().flatten().map(|s| openings_of(s, arity_log2)).sum::<u64>();
            openings += 1;
        }
        let mut deepest = 0;
        for node in &model.graph().nodes {
            let shape = node.output.tree_shape();
            deepest = deepest.max(levels(shape));
            openings += shape.map_or(0, |shape| openings_of(&shape, arity_log2) + shape.leaves());
            let segments = protocol::law::check(node).map_or(0, protocol::law::segment_count);
            if segments > 1 {
                openings += node.output.shape.count();
            }
        }
        // The leaf and the sums are two more.
        Self { demands: levels(trace) + widest + deepest + 2, openings }
    }
}
