//! One claim as the challenger sees it: its own run, and what the executor has published.

use std::collections::HashMap;
use std::sync::Arc;

use inference::{Conduct, Engine, Model, RunError, Runner, Subtrace, Tensor, Trace};
use protocol::hash::Digest;
use protocol::merkle::Tree;

/// Data that the executor published, by content. Wrong data is the same as no data: everything is
/// checked against the claim's commitments before it is used.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// State roots of the trace, in order.
    pub state_roots: Vec<Digest>,
    /// Tensors by their roots.
    pub tensors: HashMap<Digest, Tensor>,
}

impl Published {
    /// Adds a tensor under its root.
    pub fn add(&mut self, tensor: Tensor) {
        self.tensors.insert(tensor.root(), tensor);
    }
}

/// The challenger's own view of a job, computed once for all claims on it.
#[derive(Debug)]
pub struct Case {
    engine: Engine,
    model: Arc<Model>,
    conduct: Arc<dyn Conduct>,
    trace: Trace,
    subtraces: HashMap<u32, Subtrace>,
    trees: HashMap<u32, Tree>,
    pub(crate) published: Published,
}

impl Case {
    /// A case from the challenger's own run. An honest challenger's conduct is
    /// [`inference::Honest`].
    pub fn new(
        engine: Engine,
        model: Arc<Model>,
        conduct: Arc<dyn Conduct>,
        trace: Trace,
        published: Published,
    ) -> Self {
        let (subtraces, trees) = (HashMap::new(), HashMap::new());
        Self { engine, model, conduct, trace, subtraces, trees, published }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The challenger's own run.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(crate) fn runner(&self) -> Runner<'_> {
        Runner { engine: &self.engine, model: &self.model, conduct: self.conduct.as_ref() }
    }

    /// The challenger's own inside of a layer, recomputed at the first call.
    pub(crate) fn prepare(&mut self, layer: u32) -> Result<(), RunError> {
        if !self.subtraces.contains_key(&layer) {
            let missing = || RunError::NotInModel { what: format!("state {layer}") };
            let before = self.trace.state(layer).ok_or_else(missing)?;
            let subtrace = self.runner().subtrace(layer, before)?;
            self.subtraces.insert(layer, subtrace);
        }
        Ok(())
    }

    pub(crate) fn subtrace(&self, layer: u32) -> Option<&Subtrace> {
        self.subtraces.get(&layer)
    }

    /// Output of an operator in the challenger's view; its layer must be prepared.
    pub(crate) fn output(&self, operator: u32) -> Option<&Tensor> {
        let layer = self.model.layer_of(operator)?;
        let position = self.model.layer(layer)?.position(operator)?;
        self.subtrace(layer)?.tensors().get(position as usize)
    }

    /// Bits of an output element in the challenger's view; `None` before the dispute got there.
    pub fn own_element(&self, operator: u32, element: u64) -> Option<u64> {
        self.output(operator)?.bits(element)
    }

    pub(crate) fn output_tree(&mut self, operator: u32) -> Option<&Tree> {
        if !self.trees.contains_key(&operator) {
            let tree = self.output(operator)?.tree()?;
            self.trees.insert(operator, tree);
        }
        self.trees.get(&operator)
    }
}
