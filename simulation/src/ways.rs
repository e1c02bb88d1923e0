//! How somebody who has the model proves an ask by what everybody knows of a claim.

use inference::Model;
use protocol::asks::{Ask, Place, Showing, Tree, TreeKind};
use protocol::graph::ValueSource;
use protocol::hash::Commitment;
use protocol::ids::ClaimId;
use protocol::knowledge::Knowledge;
use protocol::tensor::TensorType;
use protocol::transaction::Action;

/// An ask with what proves it.
#[derive(Clone, Debug)]
pub(crate) struct ProvenAsk {
    pub(crate) showings: Vec<Showing>,
    pub(crate) ask: Ask,
    pub(crate) path: Vec<protocol::hash::Digest>,
    pub(crate) from: Option<Ask>,
}

impl ProvenAsk {
    /// An ask that nothing is shown for.
    pub(crate) fn bare(ask: Ask) -> Self {
        Self { showings: Vec::new(), ask, path: Vec::new(), from: None }
    }

    /// The demand.
    pub(crate) fn of(self, claim: ClaimId) -> Action {
        let Self { showings, ask, path, from } = self;
        Action::Demand { claim, showings, ask, path, from }
    }
}

/// What is known of a claim, and its model.
#[derive(Debug)]
pub(crate) struct Ways<'a, C: Commitment> {
    pub(crate) known: &'a Knowledge<C>,
    pub(crate) model: &'a Model<C>,
}

impl<C: Commitment> Ways<'_, C> {
    /// What a tree is of, by the model.
    pub(crate) fn kind(&self, tree: &Tree) -> Option<TreeKind> {
        let Self { known, model } = self;
        let list = |count: usize| Some(TreeKind::List { count: u32::try_from(count).ok()? });
        let tensor = |kind: &TensorType| Some(TreeKind::Tensor { kind: kind.clone() });
        match *tree {
            Tree::Sequence {} => Some(TreeKind::List { count: known.terms().iterations }),
            Tree::Trace { .. } => Some(TreeKind::List { count: model.header().state_count() }),
            Tree::State { boundary, .. } => match model.layer(boundary) {
                Some(after) => list(after.live_in.len()),
                None => list(model.layer(boundary.checked_sub(1)?)?.live_out.len()),
            },
            Tree::Subtrace { layer, .. } => {
                Some(TreeKind::List { count: model.layer(layer)?.operator_count })
            }
            Tree::Tensor { operator, .. } => tensor(&model.node(operator)?.output),
            Tree::Accumulators { operator, .. } => TreeKind::of_accumulators(model.node(operator)?),
            Tree::Input { value, .. } | Tree::Output { value, .. } => {
                let node = model.node(self.operator_of(value)?)?;
                let operand = node.operands.iter().find(|operand| operand.value == value);
                tensor(operand.map_or(&node.output, |operand| &operand.kind))
            }
        }
    }

    /// An operator that tells the type of a value: the one that writes it, or else one that reads it.
    fn operator_of(&self, value: u32) -> Option<u32> {
        match self.model.header().source(value)? {
            ValueSource::Operator(operator) => Some(operator),
            ValueSource::Input(_) | ValueSource::Weight(_) => {
                let nodes = &self.model.graph().nodes;
                let reads = nodes
                    .iter()
                    .position(|node| node.operands.iter().any(|operand| operand.value == value));
                u32::try_from(reads?).ok()
            }
        }
    }

    pub(crate) fn layer(&self, layer: u32) -> Option<Showing> {
        Some(Showing::Layer { proof: self.model.layer_proof(layer)? })
    }

    pub(crate) fn operator(&self, operator: u32) -> Option<Showing> {
        Some(Showing::Operator { proof: self.model.node_proof(operator)? })
    }

    pub(crate) fn leaf_path(&self, tree: &Tree, index: u32) -> Option<Vec<protocol::hash::Digest>> {
        let depth = self.kind(tree)?.shape()?.depth();
        self.known.path(tree, depth, u64::from(index))
    }

    /// Shows the way to a tree's root, and what the tree is of; `None` where too little is known.
    pub(crate) fn to(&self, tree: &Tree) -> Option<Vec<Showing>> {
        let Self { known, model } = self;
        let layers = model.header().layer_count;
        match *tree {
            Tree::Sequence {} => Some(Vec::new()),
            Tree::Trace { iteration } => {
                let path = self.leaf_path(&Tree::Sequence {}, iteration)?;
                Some(vec![Showing::SequenceLeaf { iteration, root: known.root(tree)?, path }])
            }
            Tree::State { iteration, boundary } => {
                let mut showings = vec![self.layer(boundary.min(layers.checked_sub(1)?))?];
                let last = known.terms().iterations.checked_sub(1)?;
                let is_bound = [(0, 0), (last, layers)].contains(&(iteration, boundary));
                if !is_bound {
                    let trace = Tree::Trace { iteration };
                    let path = self.leaf_path(&trace, boundary)?;
                    let root = known.root(tree)?;
                    showings.extend(self.to(&trace)?);
                    showings.push(Showing::TraceLeaf { iteration, boundary, root, path });
                }
                Some(showings)
            }
            Tree::Subtrace { layer, .. } => Some(vec![self.layer(layer)?]),
            Tree::Tensor { iteration, operator } => {
                let layer = model.layer_of(operator)?;
                let position = operator.checked_sub(model.layer(layer)?.first_operator)?;
                let path = self.leaf_path(&Tree::Subtrace { iteration, layer }, position)?;
                let root = known.root(tree)?;
                let leaf = Showing::SubtraceLeaf { iteration, layer, position, root, path };
                Some(vec![self.layer(layer)?, leaf, self.operator(operator)?])
            }
            Tree::Accumulators { operator, .. } => Some(vec![self.operator(operator)?]),
            Tree::Input { iteration, value } => self.to_end((iteration, 0), value),
            Tree::Output { iteration, value } => self.to_end((iteration, layers), value),
        }
    }

    fn to_end(&self, (iteration, boundary): (u32, u32), value: u32) -> Option<Vec<Showing>> {
        let state = Tree::State { iteration, boundary };
        let TreeKind::List { count } = self.kind(&state)? else { return None };
        let position = (0..count).find(|position| {
            let found = self.known.value(iteration, boundary, *position);
            found.is_some_and(|(id, _)| id == value)
        })?;
        let mut showings = self.to_value((iteration, boundary), position)?;
        showings.push(self.operator(self.operator_of(value)?)?);
        Some(showings)
    }

    /// Shows the way to a place of a state, and what stands there.
    pub(crate) fn to_value(
        &self,
        (iteration, boundary): (u32, u32),
        position: u32,
    ) -> Option<Vec<Showing>> {
        let state = Tree::State { iteration, boundary };
        let (value, root) = self.known.value(iteration, boundary, position)?;
        let path = self.leaf_path(&state, position)?;
        let mut showings = self.to(&state)?;
        showings.push(Showing::StateLeaf { iteration, boundary, position, value, root, path });
        Some(showings)
    }

    /// Shows the way to a leaf of what an operator wrote, and its bytes.
    pub(crate) fn to_leaf(&self, iteration: u32, operator: u32, leaf: u64) -> Option<Vec<Showing>> {
        let tree = Tree::Tensor { iteration, operator };
        let depth = self.kind(&tree)?.shape()?.depth();
        let path = self.known.path(&tree, depth, leaf)?;
        let bytes = *self.known.leaf(&tree, leaf)?;
        let mut showings = self.to(&tree)?;
        showings.push(Showing::TensorLeaf { iteration, operator, leaf, bytes, path });
        Some(showings)
    }

    /// A node of a tree with its hash, and the path to its root.
    fn place(
        &self,
        tree: &Tree,
        (depth, index): (u32, u64),
    ) -> Option<(Place, Vec<protocol::hash::Digest>)> {
        let kind = self.kind(tree)?;
        let (hash, path) = match depth {
            0 => (self.root(tree)?, Vec::new()),
            _ => (self.known.node(tree, depth, index)?, self.known.path(tree, depth, index)?),
        };
        Some((Place { tree: *tree, kind, depth, index, hash }, path))
    }

    /// Committed root of a tree. That of an end stands in a state.
    pub(crate) fn root(&self, tree: &Tree) -> Option<protocol::hash::Digest> {
        let (iteration, boundary, value) = match *tree {
            Tree::Input { iteration, value } => (iteration, 0, value),
            Tree::Output { iteration, value } => {
                (iteration, self.model.header().layer_count, value)
            }
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Subtrace { .. }
            | Tree::Tensor { .. }
            | Tree::Accumulators { .. } => return self.known.root(tree),
        };
        let TreeKind::List { count } = self.kind(&Tree::State { iteration, boundary })? else {
            return None;
        };
        let values = (0..count).filter_map(|at| self.known.value(iteration, boundary, at));
        values.into_iter().find(|(id, _)| *id == value).map(|(_, root)| root)
    }

    /// An ask to open a node, or for the leaves below it, proven from the root of its tree.
    pub(crate) fn ask_at(&self, tree: &Tree, node: (u32, u64), leaves: bool) -> Option<ProvenAsk> {
        let (place, path) = self.place(tree, node)?;
        let showings = self.to(tree)?;
        let ask = if leaves { Ask::Leaves { place } } else { Ask::Open { place } };
        Some(ProvenAsk { showings, ask, path, from: None })
    }

    /// The same, proven from what was asked last of the same tree.
    pub(crate) fn ask_below(
        &self,
        from: &Ask,
        (depth, index): (u32, u64),
        leaves: bool,
    ) -> Option<ProvenAsk> {
        let (place, _) = self.place(from.tree(), (depth, index))?;
        let (until, above) = from.node();
        if index >> depth.checked_sub(until)? != above {
            return None;
        }
        let path = self.known.path_to(from.tree(), (depth, index), until)?;
        let ask = if leaves { Ask::Leaves { place } } else { Ask::Open { place } };
        Some(ProvenAsk { showings: Vec::new(), ask, path, from: Some(from.clone()) })
    }

    /// An ask to say the root of a subtrace or of sums.
    pub(crate) fn say(&self, tree: &Tree) -> Option<ProvenAsk> {
        let (tree, kind) = (*tree, self.kind(tree)?);
        let showings = self.to(&tree)?;
        Some(ProvenAsk { showings, ask: Ask::Say { tree, kind }, path: Vec::new(), from: None })
    }
}
