//! From the trace to the first layer whose result differs.

use protocol::facts::{Facts, Request, Showing, TreeId};
use protocol::hash::Commitment;
use protocol::roots::trace_tree;

use super::argument::Argument;
use super::descent::{Compared, Descent};
use super::moves::{Next, SolveError, demand, stuck};
use crate::honest_view::HonestView;

impl<C: Commitment> HonestView<C> {
    /// State roots that the executor published and that its trace root confirms.
    pub(super) fn show_published_trace(&self, argument: &mut Argument<'_, C>) {
        let roots = &self.announced.state_roots;
        if roots.is_empty() {
            return;
        }
        let Some(tree) = trace_tree::<C>(roots) else {
            return;
        };
        if argument.known().root(TreeId::Trace {}) != Some(tree.root()) {
            #[cfg(test)]
            cov_mark::hit!(published_trace_is_not_the_claims);
            return;
        }
        let own = self.run().state_roots();
        let mut theirs = roots.iter().enumerate();
        // Also the first that the challenger does not have.
        let differs = theirs.find(|(boundary, root)| own.get(*boundary) != Some(root));
        let Some((boundary, _)) = differs else {
            #[cfg(test)]
            cov_mark::hit!(published_trace_agrees);
            return;
        };
        for boundary in [boundary.saturating_sub(1), boundary] {
            let known = argument.known().root(TreeId::State { boundary: boundary as u32 });
            let Some(path) = tree.tree().path(boundary as u64) else {
                return;
            };
            if known.is_none() {
                let (boundary, root) = (boundary as u32, roots[boundary]);
                argument.show(Showing::TraceLeaf { boundary, root, path });
            }
        }
    }

    /// The first boundary at which the states differ, where none is shown: 0 before the first layer, then one after each. Where the
    /// challenger's run has no result, the states differ after its last layer at the latest.
    pub(super) fn first_difference(
        &self,
        argument: &Argument<'_, C>,
    ) -> Result<Next<u32>, SolveError> {
        let facts = argument.known();
        let (id, own) = (TreeId::Trace {}, self.own_trace());
        let root = self.run().root();
        let equal = root.is_some() && facts.root(id) == root;
        match (Compared { facts, id, own, equal }).descend() {
            Descent::Equal => Err(SolveError::NothingDiffers),
            Descent::Leaf(boundary) => Ok(Next::Known(boundary as u32)),
            Descent::Open { depth, index } => {
                let request = Request::Node { tree: id, depth, index };
                Ok(Next::Ask(demand(request, "the traces differ below this node")))
            }
        }
    }

    /// Boundaries at which a known state root differs while the one before agrees, ascending.
    pub(super) fn shown_differences(&self, facts: &Facts<C>) -> Vec<u32> {
        let own = self.run().state_roots();
        let known = |boundary: u32| facts.root(TreeId::State { boundary });
        let agrees = |boundary: u32| {
            known(boundary).is_some_and(|root| own.get(boundary as usize) == Some(&root))
        };
        let end = self.run().no_result().map(|end| end.layer.saturating_add(1));
        let is_difference = |boundary: &u32| {
            // No state is right where there is no result, whatever it is.
            let differs = known(*boundary)
                .is_some_and(|root| own.get(*boundary as usize).is_some_and(|own| *own != root));
            (differs || end == Some(*boundary)) && agrees(*boundary - 1)
        };
        (1..self.model().header().state_count()).filter(is_difference).collect()
    }

    /// Shows the layer, and the state before it, which both views share.
    pub(super) fn show_layer(
        &self,
        argument: &mut Argument<'_, C>,
        layer: u32,
    ) -> Result<(), SolveError> {
        if argument.known().layer(layer).is_none() {
            let proof = self.model().layer_proof(layer).ok_or(stuck("no such layer"))?;
            if !argument.show(Showing::Layer { proof }) {
                #[cfg(test)]
                cov_mark::hit!(layer_is_of_another_model);
                return Err(stuck("the claim is about another model"));
            }
        }
        if argument.known().root(TreeId::State { boundary: layer }).is_none() {
            let root =
                *self.run().state_roots().get(layer as usize).ok_or(stuck("no such state"))?;
            // The shortest path that ends at a node the executor has opened.
            let full = self.own_trace().begun_path(u64::from(layer));
            let shown = (0..=full.len()).any(|length| {
                let path = full[..length].to_vec();
                argument.show(Showing::TraceLeaf { boundary: layer, root, path })
            });
            if !shown {
                return Err(stuck("the state before the layer is not shared"));
            }
        }
        Ok(())
    }
}
