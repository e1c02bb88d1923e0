//! The executor's trees, each beside the challenger's own.

use protocol::asks::{Tree, TreeKind};
use protocol::hash::{Commitment, Digest};

use super::argument::Argument;
use super::descent::{Compared, Descent};
use super::moves::{At, End, Next, Reasoned, SolveError, reasoned, stuck};
use super::own_sums::OwnSums;
use super::trees::{self, opening};
use crate::honest_view::HonestView;
use crate::own_tree::OwnTree;

impl<C: Commitment> HonestView<C> {
    /// What a tree is of, by the model; of the sequence it does not say.
    pub(super) fn kind(&self, tree: &Tree) -> Result<TreeKind, SolveError> {
        let model = self.model();
        let list = |count: usize| Some(TreeKind::List { count: u32::try_from(count).ok()? });
        let kind = match *tree {
            Tree::Trace { .. } => Some(TreeKind::List { count: model.header().state_count() }),
            Tree::State { boundary, .. } => {
                model.live_values(boundary).and_then(|live| list(live.len()))
            }
            Tree::Subtrace { layer, .. } => {
                model.layer(layer).map(|layer| TreeKind::List { count: layer.operator_count })
            }
            Tree::Tensor { operator, .. } => {
                model.node(operator).map(|node| TreeKind::Tensor { kind: node.output.clone() })
            }
            Tree::Accumulators { operator, .. } => {
                model.node(operator).and_then(TreeKind::of_accumulators)
            }
            Tree::Sequence {} | Tree::Input { .. } | Tree::Output { .. } => None,
        };
        kind.ok_or_else(|| stuck("the model has no such tree"))
    }

    /// What a tree of the claim is of.
    pub(super) fn kind_in(
        &self,
        argument: &Argument<'_, C>,
        tree: &Tree,
    ) -> Result<TreeKind, SolveError> {
        match *tree {
            Tree::Sequence {} => Ok(TreeKind::List { count: argument.known.terms().iterations }),
            _ => self.kind(tree),
        }
    }

    /// The challenger's own tree of this name, as far as its run goes.
    fn own_tree(&self, argument: &Argument<'_, C>, tree: &Tree) -> Result<OwnTree<C>, SolveError> {
        Ok(match *tree {
            Tree::Sequence {} => {
                let own = self.own_sequence(argument.known.terms().iterations);
                own.ok_or_else(|| stuck("no such sequence"))?
            }
            _ if tree.iteration() != self.iteration() => {
                return Err(stuck("it is looked for in another iteration"));
            }
            Tree::Trace { .. } => self.own_trace(),
            Tree::State { boundary, .. } => {
                let state = self.own_state(boundary).ok_or_else(|| stuck("no such state"))?;
                OwnTree::whole(state.tree().tree())
            }
            Tree::Subtrace { layer, .. } => self.own_inside(layer)?,
            Tree::Tensor { operator, .. } => OwnTree::whole(self.run().output_tree(operator)?),
            Tree::Accumulators { operator, element, .. } => {
                OwnSums::of(self, operator, element)?.tree()?
            }
            Tree::Input { .. } | Tree::Output { .. } => {
                return Err(stuck("the run has no such tree"));
            }
        })
    }

    /// Committed root of a tree of the executor's: as it was shown, or because the place where it stands agrees.
    pub(super) fn claimed_root(&self, argument: &Argument<'_, C>, tree: &Tree) -> Option<Digest> {
        let agreed = |list: Tree, place: u32, own: Option<&Digest>| {
            let compared = self.compared(argument, list).ok()?;
            own.copied().filter(|_| compared.is_own_leaf(u64::from(place)))
        };
        let own = || match *tree {
            _ if tree.iteration() != self.iteration() => None,
            Tree::Trace { iteration } => {
                let own = self.sequence().trace_roots().get(iteration as usize);
                agreed(Tree::Sequence {}, iteration, own)
            }
            Tree::State { iteration, boundary } => {
                let own = self.run().state_roots().get(boundary as usize);
                agreed(trees::trace(iteration), boundary, own)
            }
            Tree::Tensor { iteration, operator } => {
                let layer = self.model().layer_of(operator)?;
                let position = self.model().layer(layer)?.position(operator)?;
                let roots = self.run().inside(layer).ok()?.roots();
                let own = roots.get(position as usize);
                agreed(trees::inside(iteration, layer), position, own)
            }
            Tree::Sequence {}
            | Tree::Subtrace { .. }
            | Tree::Accumulators { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => None,
        };
        argument.root(tree).or_else(own)
    }

    /// A tree of the executor beside the challenger's own.
    pub(super) fn compared<'a>(
        &self,
        argument: &Argument<'a, C>,
        tree: Tree,
    ) -> Result<Compared<'a, C>, SolveError> {
        let claimed = self.claimed_root(argument, &tree);
        let (kind, own) = (self.kind_in(argument, &tree)?, self.own_tree(argument, &tree)?);
        let compared = Compared::new(argument.known, (tree, &kind), claimed, own);
        Ok(match tree {
            Tree::Trace { iteration: 0 } => compared.published(argument.published_trace()),
            Tree::Tensor { operator, .. } => {
                let tensor = self.published_output(argument, operator);
                compared.published(tensor.and_then(|tensor| tensor.tree::<C>()))
            }
            Tree::Sequence {}
            | Tree::Trace { .. }
            | Tree::State { .. }
            | Tree::Subtrace { .. }
            | Tree::Accumulators { .. }
            | Tree::Input { .. }
            | Tree::Output { .. } => compared,
        })
    }

    /// The first leaf of a list that differs, with what stands there, as `content` says; `None` when nothing
    /// differs.
    pub(super) fn first_in_list<T>(
        &self,
        argument: &Argument<'_, C>,
        tree: Tree,
        content: impl FnOnce(u32) -> Option<T>,
        reason: impl Into<String>,
    ) -> Result<Option<Next<(u32, T)>>, SolveError> {
        let compared = self.compared(argument, tree)?;
        let total = compared.shape().depth();
        let open = |depth: u32, index: u64| {
            let arity_log2 = argument.known.arity_log2();
            reasoned(End::Open(opening(tree, total, (depth, index), arity_log2)), reason)
        };
        Ok(match compared.descend() {
            Descent::Equal => None,
            Descent::Below { depth, index } => Some(Next::Ask(open(depth, index))),
            Descent::Leaf(leaf) => {
                let position = u32::try_from(leaf).map_err(|_| stuck("no such place"))?;
                Some(match content(position) {
                    Some(content) => Next::Known((position, content)),
                    // Only its hash was shown, beside what somebody else proved.
                    None => Next::Ask(open(total.saturating_sub(1), leaf >> total.min(1))),
                })
            }
        })
    }

    /// The first leaf of a tensor that differs, once its bytes are known; `None` when nothing differs.
    pub(super) fn first_in_tensor(
        &self,
        argument: &Argument<'_, C>,
        tree: Tree,
        reason: impl Fn(Option<u64>) -> String,
    ) -> Result<Option<Next<u64>>, SolveError> {
        let compared = self.compared(argument, tree)?;
        let total = compared.shape().depth();
        let (found, depth, index) = match compared.descend() {
            Descent::Equal => return Ok(None),
            Descent::Leaf(leaf) if argument.known.leaf(&tree, leaf).is_some() => {
                return Ok(Some(Next::Known(leaf)));
            }
            Descent::Leaf(leaf) => (Some(leaf), total, leaf),
            Descent::Below { depth, index } => (None, depth, index),
        };
        Ok(Some(Next::Ask(self.ask_below(argument, tree, total, (depth, index), reason(found)))))
    }

    /// Asks for what is below a node of a tensor: all leaves of the tree's lowest levels at once.
    fn ask_below(
        &self,
        argument: &Argument<'_, C>,
        tree: Tree,
        total: u32,
        (depth, index): (u32, u64),
        reason: String,
    ) -> Reasoned {
        let leaf_log2 = argument.leaf_log2();
        if total - depth <= leaf_log2 {
            let above = depth.saturating_sub(total.saturating_sub(leaf_log2));
            let at = At { tree, depth: depth - above, index: index >> above };
            return reasoned(End::Leaves(at), reason);
        }
        let at = opening(tree, total, (depth, index), argument.known.arity_log2());
        reasoned(End::Open(at), reason)
    }
}
