//! What jobs ask for and claims say.

use alloc::vec::Vec;

use super::Address;
use crate::encoding::canonical_struct;
use crate::graph::Profile;
use crate::hash::{Commitment, Digest};
use crate::ids::JobId;
use crate::roots::{sequence_tree, trace_tree};

/// What a job asks for, and under which terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobTerms {
    /// A registered model.
    pub model_root: Digest,
    /// Root of the state made of the input.
    pub input_root: Digest,
    /// Arithmetic; must be the model's.
    pub profile: Profile,
    /// Who alone may claim; the zero address: anybody.
    pub executor: Address,
    /// Paid to the executor of the claim that becomes final.
    pub fee_wei: u128,
    /// Paid to it beside that for each iteration; what is locked for more goes back to the poster.
    pub fee_iteration_wei: u128,
    /// Most iterations of the run; 1 for a model without links.
    pub iterations_max: u32,
    /// Whether the run may end earlier than the model says. Only with a named executor.
    pub may_cut: bool,
    /// Stake of each claim; between the ledger's least and most.
    pub stake_wei: u128,
    /// Time for challenges; between the ledger's least and most.
    pub window_ms: u64,
    /// Time for claims, from the posting on; afterwards a job without a claim can be expired.
    pub open_ms: u64,
    /// Shared by those who prove that they ran the model before the final claim was opened. With
    /// any, claims on the job are sealed first.
    pub attention_wei: u128,
    /// Tells jobs apart that are equal otherwise.
    pub salt: u64,
}
canonical_struct!(JobTerms {
    model_root,
    input_root,
    profile,
    executor,
    fee_wei,
    fee_iteration_wei,
    iterations_max,
    may_cut,
    stake_wei,
    window_ms,
    open_ms,
    attention_wei,
    salt,
});

impl JobTerms {
    /// Whether this account may claim.
    pub fn admits(&self, executor: &Address) -> bool {
        self.executor == Address::default() || self.executor == *executor
    }

    /// What the poster locks, in wei; `None` when the ledger cannot count it.
    pub fn locked_wei(&self) -> Option<u128> {
        let iterations_wei = self.fee_iteration_wei.checked_mul(u128::from(self.iterations_max))?;
        self.fee_wei.checked_add(iterations_wei)?.checked_add(self.attention_wei)
    }
}

/// What an executor claims: the whole run, by one root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimTerms {
    /// Id of the job.
    pub job: JobId,
    /// The job's model.
    pub model_root: Digest,
    /// The job's input.
    pub input_root: Digest,
    /// Root of the state made of the output.
    pub output_root: Digest,
    /// Number of iterations of the run.
    pub iterations: u32,
    /// Root of the sequence of the iterations' traces.
    pub sequence_root: Digest,
    /// Tells claims of one executor apart that are equal otherwise.
    pub salt: u64,
}
canonical_struct!(ClaimTerms {
    job,
    model_root,
    input_root,
    output_root,
    iterations,
    sequence_root,
    salt,
});

/// A state with the paths that place it in a claim's sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundState {
    /// Trace of the iteration that has the state.
    pub trace_root: Digest,
    /// Path of the trace in the sequence.
    pub sequence_path: Vec<Digest>,
    /// Path of the state in the trace.
    pub state_path: Vec<Digest>,
}
canonical_struct!(BoundState { trace_root, sequence_path, state_path });

/// What binds a claim's sequence to its input and output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The input: the first state of the first iteration.
    pub input: BoundState,
    /// The output: the last state of the last iteration.
    pub output: BoundState,
}
canonical_struct!(Binding { input, output });

/// A claim as it is posted: its terms, and what binds them to input and output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// The terms.
    pub terms: ClaimTerms,
    /// The paths.
    pub binding: Binding,
}
canonical_struct!(Statement { terms, binding });

impl Statement {
    /// The claim on a run of one iteration with these state roots: the input's first, then the one after
    /// each layer.
    ///
    /// Returns `None` without states and for more than a trace can hold.
    pub fn of_run<C: Commitment>(
        job: JobId,
        model_root: Digest,
        state_roots: &[Digest],
    ) -> Option<Self> {
        let trace = trace_tree::<C>(state_roots)?;
        let trace_root = trace.root();
        let sequence = sequence_tree::<C>(&[trace_root])?;
        let last = u64::try_from(state_roots.len()).ok()?.checked_sub(1)?;
        let bound = |boundary| {
            let (sequence_path, state_path) = (sequence.path(0)?, trace.path(boundary)?);
            Some(BoundState { trace_root, sequence_path, state_path })
        };
        let terms = ClaimTerms {
            job,
            model_root,
            input_root: *state_roots.first()?,
            output_root: *state_roots.last()?,
            iterations: 1,
            sequence_root: sequence.root(),
            salt: 0,
        };
        Some(Self { terms, binding: Binding { input: bound(0)?, output: bound(last)? } })
    }

    /// Root of the trace, of a run of one iteration.
    pub fn trace_root(&self) -> Digest {
        self.binding.input.trace_root
    }
}
