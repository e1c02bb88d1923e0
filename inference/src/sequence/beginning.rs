//! What a run begins with, and who runs its iterations.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::hash::{Commitment, Keccak};
use protocol::transaction::RunLength;

use super::policy::SequencePolicy;
use crate::engine::Engine;
use crate::model::Model;
use crate::run::AnyRun;
use crate::runner::Runner;
use crate::state::State;
use crate::trace::RunError;

/// What a run begins with.
#[derive(Clone, Debug)]
pub enum SequenceInput<C: Commitment = Keccak> {
    /// The first state: of an ordinary run, or of one whose iterations follow from one another.
    One(State<C>),
    /// The first states of the iterations of a batch, in their order.
    Batch(Vec<State<C>>),
}

/// Runs iterations in this process.
pub(super) fn in_this_process<C: Commitment>(
    engine: &Engine,
    model: &Arc<Model<C>>,
    policy: &Arc<dyn SequencePolicy<C>>,
) -> impl FnMut(u32, State<C>) -> Result<Option<AnyRun<C>>, RunError> + use<C> {
    let (engine, model, policy) = (engine.clone(), Arc::clone(model), Arc::clone(policy));
    move |iteration, state| {
        let compute_policy = policy.iteration(iteration);
        let runner =
            Runner { engine: &engine, model: &model, compute_policy: compute_policy.as_ref() };
        let outcome = runner.outcome(state)?;
        let run = AnyRun::new(engine.clone(), Arc::clone(&model), compute_policy, outcome);
        Ok(Some(run))
    }
}

/// What iterations begin with as far as it is given, whether they are of a batch, and the first of them.
pub(super) type Begun<C> = (BTreeMap<u32, State<C>>, bool, State<C>);

pub(super) fn begun<C: Commitment>(
    model: &Model<C>,
    input: SequenceInput<C>,
    length: RunLength,
) -> Result<Begun<C>, RunError> {
    let is_recurrent = model.header().is_recurrent();
    let fits = match &input {
        SequenceInput::One(_) => is_recurrent || length.iterations_max == 1,
        SequenceInput::Batch(entries) => {
            !is_recurrent && entries.len() == length.iterations_max as usize
        }
    };
    let what = || "run of as many iterations from this input".to_owned();
    if !fits {
        return Err(RunError::NotInModel { what: what() });
    }
    match input {
        SequenceInput::One(state) => Ok((BTreeMap::new(), false, state)),
        SequenceInput::Batch(entries) => {
            let first = entries.first().cloned();
            let first = first.ok_or_else(|| RunError::NotInModel { what: what() })?;
            let is_batch = entries.len() > 1;
            Ok(((0u32..).zip(entries).collect(), is_batch, first))
        }
    }
}
