//! One claim as the challenger sees it: its own run, and what the executor has published.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use inference::{
    AnyRun, ComputePolicy, Engine, Model, Outcome, Run, RunError, Runner, SequenceRun, State,
    Tensor,
};
use protocol::hash::{Commitment, Digest, Keccak};

use crate::own_tree::OwnTree;
use crate::truth::Truth;

/// Data that the executor published, by content. Wrong data is the same as no data: everything is
/// checked against the claim's commitments before it is used.
#[derive(Clone, Debug, Default)]
pub struct Announcement<C: Commitment = Keccak> {
    /// State roots of the trace, in order.
    pub state_roots: Vec<Digest>,
    /// Tensors by their roots, as [`Announcement::add`] found them.
    pub(crate) tensors: HashMap<Digest, Tensor>,
    /// Under which commitment.
    pub commitment: PhantomData<C>,
}

impl<C: Commitment> Announcement<C> {
    /// State roots of a trace, in order, and no tensor yet.
    pub fn of_roots(state_roots: Vec<Digest>) -> Self {
        Self { state_roots, tensors: HashMap::new(), commitment: PhantomData }
    }

    /// Adds a tensor under its root.
    pub fn add(&mut self, tensor: Tensor) {
        self.tensors.insert(tensor.root_under::<C>(), tensor);
    }
}

/// The challenger's own view of a job, computed once for all claims on it, and of one of its iterations: the first,
/// until a dispute leads to another. Clones share the run.
///
/// Of a job whose run has no result there is what was before the operator without one: every claim on it is
/// false, and this view leads to the element for which the law gives nothing, or to an earlier lie.
#[derive(Clone, Debug)]
pub struct HonestView<C: Commitment = Keccak> {
    sequence: Arc<SequenceRun<C>>,
    iteration: u32,
    run: AnyRun<C>,
    may_cut: bool,
    pub(crate) announced: Arc<Announcement<C>>,
}

impl<C: Commitment> HonestView<C> {
    /// A view from what the challenger's own run gave. An honest challenger's compute policy is
    /// [`inference::Honest`].
    pub fn new(
        engine: Engine,
        model: Arc<Model<C>>,
        compute_policy: Arc<dyn ComputePolicy<C>>,
        outcome: Outcome<C>,
        announced: Announcement<C>,
    ) -> Self {
        let run = AnyRun::new(engine, model, compute_policy, outcome);
        Self::of_any_run(run, Arc::new(announced))
    }

    /// A view from a run that others may share.
    pub fn of_run(run: Arc<Run<C>>, announced: Arc<Announcement<C>>) -> Self {
        Self::of_any_run(AnyRun::Whole(run), announced)
    }

    /// As [`HonestView::of_run`], of a run that may have no result.
    pub fn of_any_run(run: AnyRun<C>, announced: Arc<Announcement<C>>) -> Self {
        let sequence = Arc::new(SequenceRun::of_run(run.clone()));
        Self { sequence, iteration: 0, run, may_cut: false, announced }
    }

    /// A view from a run of any number of iterations. Where the job allows a cut, a claim on its first iterations
    /// is as true as one on all.
    ///
    /// # Errors
    /// When the first iteration cannot be computed again.
    pub fn of_sequence(
        sequence: Arc<SequenceRun<C>>,
        may_cut: bool,
        announced: Arc<Announcement<C>>,
    ) -> Result<Self, RunError> {
        let run = sequence.run(0)?;
        Ok(Self { sequence, iteration: 0, run, may_cut, announced })
    }

    /// The same view of the same run, of which more was made. `None` when it is not that run.
    pub(crate) fn of_longer(&self, sequence: Arc<SequenceRun<C>>) -> Option<Self> {
        let begins_alike = sequence.trace_roots().starts_with(self.sequence.trace_roots());
        (self.iteration == 0 && begins_alike).then(|| Self { sequence, ..self.clone() })
    }

    /// Whether the run was made as far as a claim of so many iterations goes, so that it can be played.
    pub(crate) fn reaches(&self, iterations: u32) -> bool {
        self.sequence.is_whole() || iterations <= self.sequence.iterations()
    }

    /// The same view, of another iteration.
    pub(crate) fn at(&self, iteration: u32) -> Result<Self, RunError> {
        if iteration == self.iteration {
            return Ok(self.clone());
        }
        let run = self.sequence.run(iteration)?;
        let (sequence, announced) = (Arc::clone(&self.sequence), Arc::clone(&self.announced));
        Ok(Self { sequence, iteration, run, may_cut: self.may_cut, announced })
    }

    /// Index of the iteration that is looked at.
    pub(crate) fn iteration(&self) -> u32 {
        self.iteration
    }

    /// All iterations of the challenger's own run.
    pub fn sequence(&self) -> &Arc<SequenceRun<C>> {
        &self.sequence
    }

    /// The same view with what was published meanwhile.
    #[must_use]
    pub fn with_announced(&self, announced: Arc<Announcement<C>>) -> Self {
        Self { announced, ..self.clone() }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<C>> {
        self.run.model()
    }

    /// Which claims are true by this view.
    pub fn truth(&self) -> Truth {
        Truth::new(&self.sequence, self.may_cut)
    }

    /// The challenger's own run of the iteration.
    pub fn run(&self) -> &AnyRun<C> {
        &self.run
    }

    /// How the challenger computes.
    pub fn runner(&self) -> Runner<'_, C> {
        self.run.runner()
    }

    /// The tree of a sequence of so many iterations with the challenger's own trace roots, as far as its run goes.
    pub(crate) fn own_sequence(&self, iterations: u32) -> Option<OwnTree<C>> {
        OwnTree::of_sequence(&self.sequence, iterations)
    }

    /// The tree of the challenger's own state roots, as far as there are states.
    pub(crate) fn own_trace(&self) -> OwnTree<C> {
        OwnTree::begun(self.run.tree().tree(), self.run.states().len() as u64)
    }

    /// The tree of the challenger's own outputs of a layer, as far as there are results.
    pub(crate) fn own_inside(&self, layer: u32) -> Result<OwnTree<C>, RunError> {
        let inside = self.run.inside(layer)?;
        Ok(OwnTree::begun(inside.tree().tree(), inside.tensors().len() as u64))
    }

    /// The state at a boundary, if the challenger has one.
    pub(crate) fn own_state(&self, boundary: u32) -> Option<&State<C>> {
        self.run.state(boundary)
    }

    /// The first element of this operator's output that has no result, where the operator has none.
    pub(crate) fn undefined_element(&self, operator: u32) -> Option<u64> {
        let end = self.run.no_result().filter(|end| end.operator == operator)?;
        Some(end.element)
    }

    /// Bits of an output element in the challenger's view; `None` outside the model, and where there are none.
    pub fn own_element(&self, operator: u32, element: u64) -> Option<u64> {
        self.run.output(operator).ok()?.bits(element)
    }
}

#[cfg(test)]
mod tests;
