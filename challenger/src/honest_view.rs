//! One claim as the challenger sees it: its own run, and what the executor has published.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use inference::{ComputePolicy, Engine, Model, Run, Runner, Tensor, Trace};
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::merkle::Tree;

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

/// The challenger's own view of a job, computed once for all claims on it. Clones share the run.
#[derive(Clone, Debug)]
pub struct HonestView<C: Commitment = Keccak> {
    run: Arc<Run<C>>,
    pub(crate) announced: Arc<Announcement<C>>,
}

impl<C: Commitment> HonestView<C> {
    /// A view from the challenger's own run. An honest challenger's compute policy is
    /// [`inference::Honest`].
    pub fn new(
        engine: Engine,
        model: Arc<Model<C>>,
        compute_policy: Arc<dyn ComputePolicy<C>>,
        trace: Trace<C>,
        announced: Announcement<C>,
    ) -> Self {
        Self::of_run(Arc::new(Run::new(engine, model, compute_policy, trace)), Arc::new(announced))
    }

    /// A view from a run that others may share.
    pub fn of_run(run: Arc<Run<C>>, announced: Arc<Announcement<C>>) -> Self {
        Self { run, announced }
    }

    /// The same view with what was published meanwhile.
    #[must_use]
    pub fn with_announced(&self, announced: Arc<Announcement<C>>) -> Self {
        Self { run: Arc::clone(&self.run), announced }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<C>> {
        self.run.model()
    }

    /// The challenger's own run.
    pub fn trace(&self) -> &Trace<C> {
        self.run.trace()
    }

    pub(crate) fn run(&self) -> &Run<C> {
        &self.run
    }

    /// How the challenger computes.
    pub fn runner(&self) -> Runner<'_, C> {
        self.run.runner()
    }

    /// Bits of an output element in the challenger's view; `None` outside the model.
    pub fn own_element(&self, operator: u32, element: u64) -> Option<u64> {
        self.run.output(operator).ok()?.bits(element)
    }

    pub(crate) fn output_tree(&self, operator: u32) -> Option<&Tree<C>> {
        self.run.output_tree(operator).ok()
    }
}

#[cfg(test)]
mod tests;
