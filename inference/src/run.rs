//! One party's run of one job, with the insides of its layers as far as a dispute asked for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use protocol::hash::{Commitment, Keccak};
use protocol::merkle::Tree;

use crate::compute_policy::ComputePolicy;
use crate::engine::Engine;
use crate::model::Model;
use crate::runner::Runner;
use crate::state::Subtrace;
use crate::tensor::Tensor;
use crate::trace::{RunError, Trace};

/// Running sums by operator and element.
type Sums = HashMap<(u32, u64), Arc<[u64]>>;

/// A committed run and what can be recomputed from it: shared by all who defend or check with it.
///
/// Everything in it follows from model, compute policy and input; what is filled in later is a cache.
#[derive(Debug)]
pub struct Run<C: Commitment = Keccak> {
    engine: Engine,
    model: Arc<Model<C>>,
    compute_policy: Arc<dyn ComputePolicy<C>>,
    trace: Trace<C>,
    insides: Vec<OnceLock<Subtrace<C>>>,
    sums: Mutex<Sums>,
}

impl<C: Commitment> Run<C> {
    /// The run of a trace that this compute policy computed.
    pub fn new(
        engine: Engine,
        model: Arc<Model<C>>,
        compute_policy: Arc<dyn ComputePolicy<C>>,
        trace: Trace<C>,
    ) -> Self {
        let insides = vec![OnceLock::new(); model.header().layer_count as usize];
        Self { engine, model, compute_policy, trace, insides, sums: Mutex::default() }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model<C>> {
        &self.model
    }

    /// The committed states.
    pub fn trace(&self) -> &Trace<C> {
        &self.trace
    }

    /// How it was computed.
    pub fn runner(&self) -> Runner<'_, C> {
        Runner {
            engine: &self.engine,
            model: &self.model,
            compute_policy: self.compute_policy.as_ref(),
        }
    }

    /// The inside of a layer, recomputed at the first call.
    ///
    /// # Errors
    /// When the layer is not in the model or cannot be recomputed.
    pub fn inside(&self, layer: u32) -> Result<&Subtrace<C>, RunError> {
        let missing = || RunError::NotInModel { what: format!("layer {layer}") };
        let cell = self.insides.get(layer as usize).ok_or_else(missing)?;
        if let Some(inside) = cell.get() {
            return Ok(inside);
        }
        let before = self.trace.state(layer).ok_or_else(missing)?;
        let inside = self.runner().subtrace(layer, before)?;
        Ok(cell.get_or_init(|| inside))
    }

    /// Layer of an operator and its position in it.
    ///
    /// # Errors
    /// When the model has no such operator.
    pub fn place(&self, operator: u32) -> Result<(u32, u32), RunError> {
        let missing = || RunError::NotInModel { what: format!("operator {operator}") };
        let layer = self.model.layer_of(operator).ok_or_else(missing)?;
        let definition = self.model.layer(layer).ok_or_else(missing)?;
        Ok((layer, definition.position(operator).ok_or_else(missing)?))
    }

    /// Output of an operator, its layer recomputed at the first call.
    ///
    /// # Errors
    /// When the model has no such operator or its layer cannot be recomputed.
    pub fn output(&self, operator: u32) -> Result<&Tensor, RunError> {
        let (layer, position) = self.place(operator)?;
        let missing = || RunError::NotInModel { what: format!("output of operator {operator}") };
        self.inside(layer)?.tensors().get(position as usize).ok_or_else(missing)
    }

    /// Leaf tree of an operator's output.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub fn output_tree(&self, operator: u32) -> Result<&Tree<C>, RunError> {
        let (layer, position) = self.place(operator)?;
        let missing = || RunError::NotInModel { what: format!("output of operator {operator}") };
        self.inside(layer)?.leaf_tree(position).ok_or_else(missing)
    }

    /// Operands of an operator.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub fn operands(&self, operator: u32) -> Result<Vec<&Tensor>, RunError> {
        let (layer, _) = self.place(operator)?;
        let missing = || RunError::NotInModel { what: format!("state {layer}") };
        let before = self.trace.state(layer).ok_or_else(missing)?;
        let inside = self.inside(layer)?;
        self.runner().operands(operator, before, inside)
    }

    /// The running sums of an element, as this compute policy would reveal them.
    ///
    /// # Errors
    /// When the operator does not fold or has no result.
    pub fn accumulators(&self, operator: u32, element: u64) -> Result<Arc<[u64]>, RunError> {
        let known =
            |sums: &HashMap<(u32, u64), Arc<[u64]>>| sums.get(&(operator, element)).cloned();
        // The map only ever grows by finished entries, so that a poisoned lock hides nothing.
        if let Some(words) = known(&self.sums.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(words);
        }
        let operands = self.operands(operator)?;
        let words: Arc<[u64]> = self.runner().accumulators(operator, element, &operands)?.into();
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.insert((operator, element), Arc::clone(&words));
        Ok(words)
    }
}
