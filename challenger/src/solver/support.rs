//! What a move must show, so that it proves itself: each thing once, after what it builds on.

use protocol::asks::{Ask, Showing, Tree};
use protocol::hash::{Commitment, Digest};
use protocol::roots::batch_tree;

use super::argument::Argument;
use super::moves::{At, SolveError, stuck};
use super::trees;
use crate::honest_view::HonestView;

/// The showings of a move, and whether it builds on what its challenge asked last.
pub(super) struct Support<'a, C: Commitment> {
    view: &'a HonestView<C>,
    /// The view of another iteration, where the move is about two.
    other: Option<&'a HonestView<C>>,
    argument: &'a Argument<'a, C>,
    pub(super) showings: Vec<Showing>,
    from: Option<&'a Ask>,
}

impl<'a, C: Commitment> Support<'a, C> {
    pub(super) fn new(view: &'a HonestView<C>, argument: &'a Argument<'a, C>) -> Self {
        Self { view, other: None, argument, showings: Vec::new(), from: None }
    }

    /// As [`Support::new`], of a move that is about another iteration as well.
    pub(super) fn beside(self, other: &'a HonestView<C>) -> Self {
        Self { other: Some(other), ..self }
    }

    /// The view of an iteration.
    fn of(&self, iteration: u32) -> &'a HonestView<C> {
        self.other.filter(|other| other.iteration() == iteration).unwrap_or(self.view)
    }

    /// What the challenge asked last, if the move builds on it.
    pub(super) fn from(&self) -> Option<&'a Ask> {
        self.from
    }

    fn has(&self, is_it: impl Fn(&Showing) -> bool) -> bool {
        self.showings.iter().any(is_it)
    }

    fn has_layer(&self, index: u32) -> bool {
        self.has(|one| matches!(one, Showing::Layer { proof } if proof.index == index))
    }

    /// A layer of the model.
    pub(super) fn layer(&mut self, index: u32) -> Result<(), SolveError> {
        if !self.has_layer(index) {
            let proof = self.view.model().layer_proof(index);
            let proof = proof.ok_or_else(|| stuck("no such layer"))?;
            self.showings.push(Showing::Layer { proof });
        }
        Ok(())
    }

    /// An operator of the model.
    pub(super) fn operator(&mut self, index: u32) -> Result<(), SolveError> {
        if !self.has(|one| matches!(one, Showing::Operator { proof } if proof.index == index)) {
            let proof = self.view.model().node_proof(index);
            let proof = proof.ok_or_else(|| stuck("no such operator"))?;
            self.showings.push(Showing::Operator { proof });
        }
        Ok(())
    }

    /// The values that the model has live at a boundary, by the layer before it or after it.
    pub(super) fn live_values(&mut self, boundary: u32) -> Result<(), SolveError> {
        match boundary.checked_sub(1) {
            Some(_) if self.has_layer(boundary) => Ok(()),
            Some(before) => self.layer(before),
            None => self.layer(boundary),
        }
    }

    /// What a tree is of.
    fn kind(&mut self, tree: &Tree) -> Result<(), SolveError> {
        match *tree {
            Tree::Sequence {} | Tree::Trace { .. } => Ok(()),
            Tree::State { boundary, .. } => self.live_values(boundary),
            Tree::Subtrace { layer, .. } => self.layer(layer),
            Tree::Tensor { operator, .. } | Tree::Accumulators { operator, .. } => {
                self.operator(operator)
            }
            Tree::Input { .. } | Tree::Output { .. } => Err(stuck("inputs are not asked for")),
        }
    }

    /// The committed root of a tree.
    fn root(&mut self, tree: &Tree) -> Result<(), SolveError> {
        match *tree {
            // In the claim's terms, or said.
            Tree::Sequence {} | Tree::Subtrace { .. } | Tree::Accumulators { .. } => Ok(()),
            Tree::State { iteration, boundary } if self.argument.is_bound(iteration, boundary) => {
                Ok(())
            }
            Tree::Trace { iteration } => self.sequence_leaf(iteration),
            Tree::State { iteration, boundary } => self.trace_leaf(iteration, boundary),
            Tree::Tensor { operator, .. } => self.subtrace_leaf(operator),
            Tree::Input { .. } | Tree::Output { .. } => Err(stuck("inputs are not asked for")),
        }
    }

    /// The way from a node of a tree up to its root, or to what was asked last where the node lies below that;
    /// whatever proves the end of the way is shown.
    pub(super) fn path(&mut self, at: At) -> Result<Vec<Digest>, SolveError> {
        let At { tree, depth, index } = at;
        let lost = || {
            let tree = ledger::words::tree(&tree);
            stuck(format!("a way up from depth {depth} of {tree} is not known"))
        };
        let compared = self.of(tree.iteration()).compared(self.argument, tree)?;
        if let Some(asked) = self.argument.asked.filter(|asked| *asked.tree() == tree) {
            // What was asked last tells what the tree is of.
            self.from = Some(asked);
            let (above, place) = asked.node();
            let is_below = depth.checked_sub(above).is_some_and(|levels| index >> levels == place);
            match asked {
                Ask::Open { .. } | Ask::Leaves { .. } if is_below => {
                    return compared.path(depth, index, above).ok_or_else(lost);
                }
                Ask::Open { .. } | Ask::Leaves { .. } | Ask::Say { .. } => {}
            }
        } else {
            self.kind(&tree)?;
        }
        self.root(&tree)?;
        compared.path(depth, index, 0).ok_or_else(lost)
    }

    /// The way from a leaf of a tree.
    pub(super) fn leaf_path(&mut self, tree: Tree, leaf: u64) -> Result<Vec<Digest>, SolveError> {
        let shape = self
            .view
            .kind_in(self.argument, &tree)?
            .shape()
            .ok_or_else(|| stuck("no such tree"))?;
        self.path(At { tree, depth: shape.depth(), index: leaf })
    }

    /// The trace root of an iteration.
    pub(super) fn sequence_leaf(&mut self, iteration: u32) -> Result<(), SolveError> {
        let is_it = |one: &Showing| matches!(one, Showing::SequenceLeaf { iteration: other, .. } if *other == iteration);
        if self.has(is_it) {
            return Ok(());
        }
        let root = self.of(iteration).claimed_root(self.argument, &trees::trace(iteration));
        let root = root.ok_or_else(|| stuck("the trace of the iteration is not known"))?;
        let path = self.leaf_path(Tree::Sequence {}, u64::from(iteration))?;
        self.showings.push(Showing::SequenceLeaf { iteration, root, path });
        Ok(())
    }

    /// A state root of a trace.
    pub(super) fn trace_leaf(&mut self, iteration: u32, boundary: u32) -> Result<(), SolveError> {
        let is_it = |one: &Showing| {
            let Showing::TraceLeaf { iteration: of, boundary: at, .. } = one else {
                return false;
            };
            (*of, *at) == (iteration, boundary)
        };
        if self.has(is_it) {
            return Ok(());
        }
        let tree = trees::state(iteration, boundary);
        let root = self.of(iteration).claimed_root(self.argument, &tree);
        let root = root.ok_or_else(|| stuck("the state before the layer is not shared"))?;
        let path = self.leaf_path(trees::trace(iteration), u64::from(boundary))?;
        self.showings.push(Showing::TraceLeaf { iteration, boundary, root, path });
        Ok(())
    }

    /// A value of a state.
    pub(super) fn state_leaf(
        &mut self,
        iteration: u32,
        boundary: u32,
        position: u32,
    ) -> Result<(), SolveError> {
        let (tree, view) = (trees::state(iteration, boundary), self.of(iteration));
        let own = || {
            let own = view.own_state(boundary)?.entries().get(position as usize).copied();
            let compared = view.compared(self.argument, tree).ok()?;
            own.filter(|_| compared.is_own_leaf(u64::from(position)))
        };
        let known = self.argument.known.value(iteration, boundary, position).or_else(own);
        let (value, root) = known.ok_or_else(|| stuck("a value of a state is not known"))?;
        let path = self.leaf_path(tree, u64::from(position))?;
        self.showings.push(Showing::StateLeaf { iteration, boundary, position, value, root, path });
        Ok(())
    }

    /// The input of an iteration of a batch, in the job's list of them.
    pub(super) fn entry(&mut self, iteration: u32) -> Result<(), SolveError> {
        let entries = self.view.sequence().entries();
        let root = entries.get(iteration as usize).copied();
        let tree = batch_tree::<C>(entries);
        let path = tree.and_then(|tree| tree.path(u64::from(iteration)));
        let lost = || stuck("the run has no such entry");
        let (root, path) = (root.ok_or_else(lost)?, path.ok_or_else(lost)?);
        self.showings.push(Showing::Entry { iteration, root, path });
        Ok(())
    }

    /// The output root of an operator.
    pub(super) fn subtrace_leaf(&mut self, operator: u32) -> Result<(), SolveError> {
        let model = self.view.model();
        let iteration = self.view.iteration();
        let layer = model.layer_of(operator).ok_or_else(|| stuck("no such operator"))?;
        let definition = model.layer(layer).ok_or_else(|| stuck("no such layer"))?;
        let position = definition.position(operator).ok_or_else(|| stuck("no such operator"))?;
        let is_it = |one: &Showing| {
            let Showing::SubtraceLeaf { layer: of, position: at, .. } = one else {
                return false;
            };
            (*of, *at) == (layer, position)
        };
        if self.has(is_it) {
            return Ok(());
        }
        let root =
            self.view.claimed_root(self.argument, &trees::output(self.view.iteration(), operator));
        let root = root.ok_or_else(|| stuck("the output's root is not open"))?;
        // Which operator stands at the position, the layer says.
        self.layer(layer)?;
        let path = self.leaf_path(trees::inside(iteration, layer), u64::from(position))?;
        self.showings.push(Showing::SubtraceLeaf { iteration, layer, position, root, path });
        Ok(())
    }

    /// The bytes of a leaf of an operator's output.
    pub(super) fn tensor_leaf(&mut self, operator: u32, leaf: u64) -> Result<(), SolveError> {
        let bytes = self.view.output_leaf(self.argument, operator, leaf);
        let bytes = bytes.ok_or_else(|| stuck("no such leaf"))?;
        let iteration = self.view.iteration();
        let path = self.leaf_path(trees::output(iteration, operator), leaf)?;
        self.showings.push(Showing::TensorLeaf { iteration, operator, leaf, bytes, path });
        Ok(())
    }
}
