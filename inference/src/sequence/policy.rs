//! How a run of several iterations is computed, honestly or not.

use std::fmt;
use std::sync::Arc;

use protocol::hash::{Commitment, Keccak};

use crate::compute_policy::{ComputePolicy, Honest};
use crate::tensor::Tensor;

/// How an executor computes a run of several iterations. The honest one does what the model says.
pub trait SequencePolicy<C: Commitment = Keccak>: fmt::Debug + Send + Sync {
    /// How an iteration is computed.
    fn iteration(&self, _iteration: u32) -> Arc<dyn ComputePolicy<C>> {
        Arc::new(Honest)
    }

    /// What an iteration begins with; not the first, which begins with what the job says.
    fn begins(&self, _iteration: u32, handed_on: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
        handed_on
    }

    /// Whether the run ends with an iteration, and what the model says about it.
    fn ends(&self, _iteration: u32, said: bool) -> bool {
        said
    }
}

impl<C: Commitment> SequencePolicy<C> for Honest {}

/// All iterations computed in one way.
#[derive(Clone, Debug)]
pub struct Alike<C: Commitment>(pub Arc<dyn ComputePolicy<C>>);

impl<C: Commitment> SequencePolicy<C> for Alike<C> {
    fn iteration(&self, _iteration: u32) -> Arc<dyn ComputePolicy<C>> {
        Arc::clone(&self.0)
    }
}
