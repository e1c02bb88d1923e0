//! Asking an executor for the input of its claim, where nobody published it.
//!
//! Whoever claims a run has its input. An executor that does not show it loses by silence; one that does makes its
//! claim one that can be checked. The asks are planned from what is known alone: asked again after every answer,
//! the next one follows, until the whole input is there.

use inference::Model;
use protocol::asks::{Ask, Asking, Place, Showing, Tree, TreeKind};
use protocol::hash::{Commitment, Digest};
use protocol::knowledge::Knowledge;
use protocol::merkle::TreeShape;
use protocol::tensor::TensorType;

/// The state that holds the input.
const INPUT_STATE: Tree = Tree::State { iteration: 0, boundary: 0 };

/// What to do next to have an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextOfInput {
    /// Ask for this.
    Ask(Box<AskForInput>),
    /// It is there: as its poster would have published it.
    Whole(Vec<u8>),
}

/// A demand for a part of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AskForInput {
    /// What is proven first.
    pub(crate) showings: Vec<Showing>,
    /// What the executor must show.
    pub(crate) ask: Ask,
    /// From the asked place up to the root of its tree.
    pub(crate) path: Vec<Digest>,
}

/// What asking for a whole input takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CostOfInput {
    /// Demands.
    pub(crate) asks: u32,
    /// Demand fees of all of them together.
    pub(crate) fees: u64,
}

/// Why an input cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    /// The ledger allows no demand for a tensor of this size.
    #[error(
        "input {value} is too large to be demanded on this ledger; ask its poster to publish it"
    )]
    TooLarge {
        /// The value.
        value: u32,
    },
    /// All of it takes more demands than one challenge has.
    #[error("the input takes {asks} demands, which is more than a challenge has on this ledger")]
    TooManyAsks {
        /// Demands that it takes.
        asks: u32,
    },
    /// The input state holds another value than the model says: the claim is refuted by that.
    #[error("the input state holds another value at position {position} than the model says")]
    OtherValue {
        /// Position in the state.
        position: u32,
    },
    /// Something stands after the end of a row, where the law reads nothing and no published state holds anything.
    #[error("input {value} has bytes after the end of a row, which no run here can begin with")]
    Unusual {
        /// The value.
        value: u32,
    },
    /// The model, or what is known of the claim, is not as it must be.
    #[error("the input cannot be demanded: {what}; check this challenger's model")]
    Broken {
        /// What is wrong.
        what: &'static str,
    },
}

fn broken(what: &'static str) -> InputError {
    InputError::Broken { what }
}

/// One tensor of the input.
struct Input<'a> {
    value: u32,
    kind: &'a TensorType,
    shape: TreeShape,
}

impl Input<'_> {
    fn tree(&self) -> Tree {
        Tree::Input { iteration: 0, value: self.value }
    }

    /// Depth of the nodes below which all leaves are shown at once.
    fn piece_depth(&self, asking: &Asking) -> u32 {
        self.shape.depth().saturating_sub(asking.end_log2)
    }
}

/// Indices of the nodes at a depth that are not padding.
fn nodes_at(shape: &TreeShape, depth: u32) -> Vec<u64> {
    shape.opened_indices(0, 0, depth)
}

/// Tensors of a model's input.
fn inputs_of<'a, C: Commitment>(
    model: &'a Model<C>,
    asking: &Asking,
) -> Result<Vec<Input<'a>>, InputError> {
    let inputs = (0..).zip(&model.graph().inputs).map(|(value, kind)| {
        let shape = kind.tree_shape().ok_or(broken("an input has no tree"))?;
        if shape.depth() > asking.end_depth_max {
            return Err(InputError::TooLarge { value });
        }
        Ok(Input { value, kind, shape })
    });
    inputs.collect()
}

/// What asking for the whole input of a run of this model takes.
///
/// # Errors
/// When it cannot be asked for.
pub(crate) fn cost_of_input<C: Commitment>(
    model: &Model<C>,
    asking: &Asking,
) -> Result<CostOfInput, InputError> {
    let inputs = inputs_of(model, asking)?;
    let count = u64::try_from(inputs.len()).map_err(|_| broken("it has too many inputs"))?;
    let state = TreeShape::list(count).ok_or(broken("it has no input"))?;
    let mut cost = CostOfInput::default();
    let openings = openings_down_to(&state, state.depth(), asking).max(1);
    cost.asks = cost.asks.saturating_add(openings);
    cost.fees = cost.fees.saturating_add(u64::from(openings));
    for input in &inputs {
        let depth = input.piece_depth(asking);
        let openings = openings_down_to(&input.shape, depth, asking);
        let pieces = u32::try_from(nodes_at(&input.shape, depth).len()).unwrap_or(u32::MAX);
        let levels = (input.shape.depth() - depth).saturating_sub(asking.leaf_log2);
        let each = 1u64.checked_shl(levels).unwrap_or(u64::MAX);
        cost.asks = cost.asks.saturating_add(openings).saturating_add(pieces);
        let fees = u64::from(openings).saturating_add(each.saturating_mul(u64::from(pieces)));
        cost.fees = cost.fees.saturating_add(fees);
    }
    Ok(cost)
}

/// Openings after which all nodes at a depth are known.
fn openings_down_to(shape: &TreeShape, wanted: u32, asking: &Asking) -> u32 {
    let (mut depth, mut openings) = (0u32, 0u32);
    while depth < wanted {
        let nodes = u32::try_from(nodes_at(shape, depth).len()).unwrap_or(u32::MAX);
        openings = openings.saturating_add(nodes);
        let levels = shape.opening_levels(depth, asking.arity_log2);
        if levels == 0 {
            break;
        }
        depth = depth.saturating_add(levels);
    }
    openings
}

/// The first node that must be opened, so that all nodes at a depth are known.
fn first_closed(
    shape: &TreeShape,
    wanted: u32,
    arity_log2: u32,
    is_known: impl Fn(u32, u64) -> bool,
) -> Option<(u32, u64)> {
    let mut depth = 0u32;
    loop {
        let levels = shape.opening_levels(depth, arity_log2);
        let reached = depth.saturating_add(levels);
        let closed = nodes_at(shape, depth).into_iter().find(|index| {
            let below = shape.opened_indices(depth, *index, arity_log2);
            below.into_iter().any(|child| !is_known(reached, child))
        });
        if let Some(index) = closed {
            return Some((depth, index));
        }
        if levels == 0 || reached >= wanted {
            return None;
        }
        depth = reached;
    }
}

/// What to do next to have the input of a claim on a run of this model.
///
/// # Errors
/// When it cannot be asked for.
pub(crate) fn next_of_input<C: Commitment>(
    model: &Model<C>,
    known: &Knowledge<C>,
    asking: &Asking,
) -> Result<NextOfInput, InputError> {
    let inputs = inputs_of(model, asking)?;
    let layer = model.layer_proof(0).ok_or(broken("the model has no layer"))?;
    let layer = Showing::Layer { proof: layer };
    let count = u32::try_from(inputs.len()).map_err(|_| broken("it has too many inputs"))?;
    let kind = TreeKind::List { count };
    let state = kind.shape().ok_or(broken("it has no input"))?;
    let is_known = |depth: u32, index: u64| {
        let position = u32::try_from(index).ok();
        if depth < state.depth() {
            known.node(&INPUT_STATE, depth, index).is_some()
        } else {
            position.is_some_and(|position| known.value(0, 0, position).is_some())
        }
    };
    if let Some((depth, index)) = first_closed(&state, state.depth(), asking.arity_log2, is_known) {
        let place = place_of(known, INPUT_STATE, kind, (depth, index))?;
        let path = known.path(&INPUT_STATE, depth, index);
        let path = if depth == 0 { Vec::new() } else { path.ok_or(broken("a way is not known"))? };
        let ask = Ask::Open { place };
        return Ok(NextOfInput::Ask(Box::new(AskForInput { showings: vec![layer], ask, path })));
    }
    let mut bytes = inference::state_transfer::input_head(model).prefix();
    for (position, input) in (0..).zip(&inputs) {
        let (value, root) = known.value(0, 0, position).ok_or(broken("a value is not open"))?;
        if value != input.value {
            return Err(InputError::OtherValue { position });
        }
        if let Some((ask, path)) = next_of_tensor(known, input, root, asking)? {
            let showings = vec![layer, value_showing(known, &state, position, (value, root))?];
            return Ok(NextOfInput::Ask(Box::new(AskForInput { showings, ask, path })));
        }
        append(known, input, &mut bytes)?;
    }
    Ok(NextOfInput::Whole(bytes))
}

/// The ask that costs least: for the values of the input state. A challenge that was opened for an input which then
/// became known otherwise makes it, for it can be withdrawn only once it was answered.
pub(crate) fn cheapest_ask<C: Commitment>(
    model: &Model<C>,
    known: &Knowledge<C>,
) -> Result<AskForInput, InputError> {
    let layer = model.layer_proof(0).ok_or(broken("the model has no layer"))?;
    let count = u32::try_from(model.graph().inputs.len());
    let kind = TreeKind::List { count: count.map_err(|_| broken("it has too many inputs"))? };
    let ask = Ask::Open { place: place_of(known, INPUT_STATE, kind, (0, 0))? };
    Ok(AskForInput { showings: vec![Showing::Layer { proof: layer }], ask, path: Vec::new() })
}

/// What shows that another value stands at a position of the input state than the model says.
pub(crate) fn other_value<C: Commitment>(
    model: &Model<C>,
    known: &Knowledge<C>,
    position: u32,
) -> Result<Vec<Showing>, InputError> {
    let layer = model.layer_proof(0).ok_or(broken("the model has no layer"))?;
    let count = u64::try_from(model.graph().inputs.len()).unwrap_or(u64::MAX);
    let state = TreeShape::list(count).ok_or(broken("it has no input"))?;
    let entry = known.value(0, 0, position).ok_or(broken("a value is not open"))?;
    let leaf = value_showing(known, &state, position, entry)?;
    Ok(vec![Showing::Layer { proof: layer }, leaf])
}

/// A node whose hash is known; at depth 0 the committed root.
fn place_of<C: Commitment>(
    known: &Knowledge<C>,
    tree: Tree,
    kind: TreeKind,
    (depth, index): (u32, u64),
) -> Result<Place, InputError> {
    let hash = match depth {
        0 => known.root(&tree),
        _ => known.node(&tree, depth, index),
    };
    let hash = hash.ok_or(broken("a node is not known"))?;
    Ok(Place { tree, kind, depth, index, hash })
}

/// That a value stands in the input state.
fn value_showing<C: Commitment>(
    known: &Knowledge<C>,
    state: &TreeShape,
    position: u32,
    (value, root): (u32, Digest),
) -> Result<Showing, InputError> {
    let path = known.path(&INPUT_STATE, state.depth(), u64::from(position));
    let path = path.ok_or(broken("the way to a value is not known"))?;
    Ok(Showing::StateLeaf { iteration: 0, boundary: 0, position, value, root, path })
}

/// The next ask about one tensor of the input; `None` once all its leaves are known.
fn next_of_tensor<C: Commitment>(
    known: &Knowledge<C>,
    input: &Input<'_>,
    root: Digest,
    asking: &Asking,
) -> Result<Option<(Ask, Vec<Digest>)>, InputError> {
    let (tree, depth) = (input.tree(), input.piece_depth(asking));
    let kind = TreeKind::Tensor { kind: input.kind.clone() };
    let place = |(depth, index): (u32, u64)| {
        let hash = if depth == 0 { Some(root) } else { known.node(&tree, depth, index) };
        let hash = hash.ok_or(broken("a node is not known"))?;
        Ok(Place { tree, kind: kind.clone(), depth, index, hash })
    };
    let path = |(depth, index): (u32, u64)| match depth {
        0 => Ok(Vec::new()),
        _ => known.path(&tree, depth, index).ok_or(broken("a way is not known")),
    };
    let is_known = |depth: u32, index: u64| known.node(&tree, depth, index).is_some();
    if depth > 0
        && let Some(node) = first_closed(&input.shape, depth, asking.arity_log2, is_known)
    {
        return Ok(Some((Ask::Open { place: place(node)? }, path(node)?)));
    }
    let levels = input.shape.depth() - depth;
    let piece = nodes_at(&input.shape, depth).into_iter().find(|index| {
        let leaves = input.shape.opened_indices(depth, *index, levels);
        leaves.into_iter().any(|leaf| known.leaf(&tree, leaf).is_none())
    });
    match piece {
        Some(index) => {
            let node = (depth, index);
            Ok(Some((Ask::Leaves { place: place(node)? }, path(node)?)))
        }
        None => Ok(None),
    }
}

/// Appends a tensor as a published state holds it: its leaves without what stands after the end of a row.
fn append<C: Commitment>(
    known: &Knowledge<C>,
    input: &Input<'_>,
    bytes: &mut Vec<u8>,
) -> Result<(), InputError> {
    let width = input.kind.element.bytes();
    for position in nodes_at(&input.shape, input.shape.depth()) {
        let leaf = known.leaf(&input.tree(), position).ok_or(broken("a leaf is not known"))?;
        let range = input.kind.leaf_range(position).ok_or(broken("a leaf is outside"))?;
        let end = range.1.saturating_mul(width);
        if leaf.iter().skip(end).any(|byte| *byte != 0) {
            return Err(InputError::Unusual { value: input.value });
        }
        bytes.extend(leaf.iter().take(end));
    }
    Ok(())
}
