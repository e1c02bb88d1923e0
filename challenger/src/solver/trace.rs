//! From the sequence to the first iteration that differs, and from its trace to the first layer whose result differs.

use protocol::asks::Tree;
use protocol::hash::Commitment;

use super::argument::Argument;
use super::moves::{Next, SolveError};
use super::trees;
use crate::honest_view::HonestView;

impl<C: Commitment> HonestView<C> {
    /// The first iteration that differs, once its trace root is known; `None` where the claim is on the first of
    /// this run's iterations, or on all.
    pub(super) fn first_iteration(
        &self,
        argument: &Argument<'_, C>,
    ) -> Result<Option<Next<u32>>, SolveError> {
        let root = |iteration| argument.root(&trees::trace(iteration));
        let reason = "the sequences of iterations differ below this node";
        let first = self.first_in_list(argument, Tree::Sequence {}, root, reason)?;
        Ok(first.map(|first| match first {
            Next::Known((iteration, _)) => Next::Known(iteration),
            Next::Ask(end) => Next::Ask(end),
        }))
    }

    /// The first boundary at which the states differ, once the executor's state root there is known: 0 before
    /// the first layer, then one after each. Where the challenger's run has no result, the states differ after
    /// its last layer at the latest.
    pub(super) fn first_difference(
        &self,
        argument: &Argument<'_, C>,
    ) -> Result<Next<u32>, SolveError> {
        let root = |boundary| argument.root(&trees::state(self.iteration(), boundary));
        let reason = "the traces differ below this node";
        match self.first_in_list(argument, trees::trace(self.iteration()), root, reason)? {
            None => Err(SolveError::NothingDiffers),
            Some(Next::Known((boundary, _))) => Ok(Next::Known(boundary)),
            Some(Next::Ask(end)) => Ok(Next::Ask(end)),
        }
    }

    /// Boundaries at which a known state root differs while the one before is known to agree, ascending.
    pub(super) fn shown_differences(
        &self,
        argument: &Argument<'_, C>,
    ) -> Result<Vec<u32>, SolveError> {
        let own = self.run().state_roots();
        let known = |boundary: u32| argument.root(&trees::state(self.iteration(), boundary));
        let end = self.run().no_result().map(|end| end.layer.saturating_add(1));
        let trace = self.compared(argument, trees::trace(self.iteration()))?;
        let depth = trace.shape().depth();
        // Who opens a node that only it knows the way to shows states that nobody else can prove.
        let is_proven = |boundary: u32| {
            let is_bound = argument.is_bound(self.iteration(), boundary);
            is_bound || trace.path(depth, u64::from(boundary), 0).is_some()
        };
        let is_difference = |boundary: &u32| {
            // No state is right where there is no result, whatever it is.
            let differs = known(*boundary)
                .is_some_and(|root| own.get(*boundary as usize).is_some_and(|own| *own != root));
            let before = boundary.saturating_sub(1);
            let agrees = known(before)
                .is_some_and(|root| own.get(before as usize).is_some_and(|own| *own == root));
            let is_false = end == Some(*boundary) || (differs && is_proven(*boundary));
            is_false && agrees && is_proven(before)
        };
        Ok((1..self.model().header().state_count()).filter(is_difference).collect())
    }
}
