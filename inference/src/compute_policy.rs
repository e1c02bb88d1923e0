//! How an executor computes.

use std::fmt;

use protocol::hash::{Commitment, Digest, Keccak};

use crate::engine::{Engine, EngineError};
use crate::model::Model;
use crate::tensor::Tensor;

/// How an executor computes. The honest one does what the model says; dishonest ones, in the
/// simulation, do something else *here*, so that a lie spreads as a real fault would.
pub trait ComputePolicy<C: Commitment = Keccak>: fmt::Debug + Send + Sync {
    /// Whether every operator is computed as the model says, so that whole layers may be run in
    /// few passes without asking for each.
    fn is_plain(&self) -> bool {
        false
    }

    /// Output of an operator.
    ///
    /// # Errors
    /// When the operator has no result for these operands.
    fn compute(
        &self,
        engine: &Engine,
        model: &Model<C>,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        compute_honestly(engine, model, operator, operands)
    }

    /// The values that are committed at a boundary (the first one is given by the job).
    fn commit(&self, _boundary: u32, values: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
        values
    }

    /// The state roots that the trace commits to.
    fn trace(&self, state_roots: Vec<Digest>) -> Vec<Digest> {
        state_roots
    }

    /// The accumulators that are revealed for an element.
    fn accumulators(
        &self,
        _model: &Model<C>,
        _operator: u32,
        _element: u64,
        words: Vec<u64>,
    ) -> Vec<u64> {
        words
    }
}

/// Does what the model says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl<C: Commitment> ComputePolicy<C> for Honest {
    fn is_plain(&self) -> bool {
        true
    }
}

/// Output of an operator as the model defines it.
///
/// # Errors
/// When the operator has no result for these operands.
pub fn compute_honestly<C: Commitment>(
    engine: &Engine,
    model: &Model<C>,
    operator: u32,
    operands: &[&Tensor],
) -> Result<Tensor, EngineError> {
    let node = model.checked(operator).ok_or(EngineError::Operands { kind: "unknown" })?;
    engine.run(node, operands, model.packed(operator))
}
