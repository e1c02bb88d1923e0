//! What jobs ask for and claims say.

use alloc::vec::Vec;

use super::Address;
use crate::encoding::canonical_struct;
use crate::graph::{ModelHeader, Profile};
use crate::hash::{Commitment, Digest};
use crate::ids::JobId;
use crate::roots::{batch_tree, sequence_tree, trace_tree};

/// What a job asks for, and under which terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobTerms {
    /// A registered model.
    pub model_root: Digest,
    /// Root of the state made of the input; of a batch the root of the list of its entries' states
    /// ([`batch_tree`]).
    pub input_root: Digest,
    /// Arithmetic; must be the model's.
    pub profile: Profile,
    /// Who alone may claim; the zero address: anybody.
    pub executor: Address,
    /// Paid to the executor of the claim that becomes final.
    pub fee_wei: u128,
    /// Paid to it beside that for each iteration; what is locked for more goes back to the poster.
    pub fee_iteration_wei: u128,
    /// Most iterations of the run. For a model without links: 1, or the number of entries of a batch.
    pub iterations_max: u32,
    /// Whether the run may end earlier than the model says. Only with links, and a named executor: were a cut open
    /// to all, the first to post one iteration would win the fee.
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

    /// How long the run may be.
    pub fn length(&self) -> RunLength {
        RunLength { iterations_max: self.iterations_max, may_cut: self.may_cut }
    }

    /// What the poster locks, in wei; `None` when the ledger cannot count it.
    pub fn locked_wei(&self) -> Option<u128> {
        let iterations_wei = self.fee_iteration_wei.checked_mul(u128::from(self.iterations_max))?;
        self.fee_wei.checked_add(iterations_wei)?.checked_add(self.attention_wei)
    }
}

/// How long a job lets a run be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunLength {
    /// Most iterations.
    pub iterations_max: u32,
    /// Whether the run may end earlier than the model says.
    pub may_cut: bool,
}

impl RunLength {
    /// Of a run that has as many iterations, and no fewer.
    pub fn exactly(iterations: u32) -> Self {
        Self { iterations_max: iterations, may_cut: false }
    }

    /// Whether a run of a model may have so many iterations. A model without links has as many as its job says,
    /// one with links and no stop as well; others end where the model says, or where a cut is allowed.
    pub fn admits(&self, header: &ModelHeader, iterations: u32) -> bool {
        let may_end = header.is_recurrent() && (header.stop.is_some() || self.may_cut);
        let least = if may_end { 1 } else { self.iterations_max };
        (least..=self.iterations_max).contains(&iterations)
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

impl ClaimTerms {
    /// Whether the claim is on a batch: iterations that do not follow from one another.
    pub fn is_batch(&self, header: &ModelHeader) -> bool {
        self.iterations > 1 && !header.is_recurrent()
    }
}

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

/// The first entry of a batch, with the path that places it in the job's input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundEntry {
    /// Root of the entry's state.
    pub root: Digest,
    /// Its path in the list of entries.
    pub path: Vec<Digest>,
}
canonical_struct!(BoundEntry { root, path });

/// What binds a claim's sequence to its input and output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The input: the first state of the first iteration.
    pub input: BoundState,
    /// The output: the last state of the last iteration.
    pub output: BoundState,
    /// In a batch, that the first state is its first entry.
    pub entry: Option<BoundEntry>,
}
canonical_struct!(Binding { input, output, entry });

/// A claim as it is posted: its terms, and what binds them to input and output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// The terms.
    pub terms: ClaimTerms,
    /// The paths.
    pub binding: Binding,
}
canonical_struct!(Statement { terms, binding });

/// Roots of a run, as whoever ran it commits to them.
#[derive(Clone, Copy, Debug)]
pub struct RunRoots<'a> {
    /// Trace roots of all iterations.
    pub traces: &'a [Digest],
    /// State roots of the first iteration: before the first layer, then after each.
    pub first_states: &'a [Digest],
    /// State roots of the last iteration.
    pub last_states: &'a [Digest],
    /// Of a batch, the roots of its entries' states, at least two; otherwise none.
    pub entries: &'a [Digest],
}

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
        let trace_root = trace_tree::<C>(state_roots)?.root();
        let (first_states, last_states) = (state_roots, state_roots);
        let traces = &[trace_root];
        let roots = RunRoots { traces, first_states, last_states, entries: &[] };
        Self::of_sequence::<C>(job, model_root, roots)
    }

    /// The claim on a run of several iterations, or on a batch.
    ///
    /// Returns `None` without iterations or states, for more than a tree can hold, for a batch of one entry, which
    /// is no batch, and when the first and last states or the entries are not those of the traces.
    pub fn of_sequence<C: Commitment>(
        job: JobId,
        model_root: Digest,
        roots: RunRoots<'_>,
    ) -> Option<Self> {
        let RunRoots { traces, first_states, last_states, entries } = roots;
        let sequence = sequence_tree::<C>(traces)?;
        let bound = |states: &[Digest], iteration: usize, boundary: usize| {
            let trace = trace_tree::<C>(states)?;
            let trace_root = trace.root();
            let sequence_path = sequence.path(u64::try_from(iteration).ok()?)?;
            let state_path = trace.path(u64::try_from(boundary).ok()?)?;
            (traces.get(iteration) == Some(&trace_root)).then_some(BoundState {
                trace_root,
                sequence_path,
                state_path,
            })
        };
        let (last, output) = (traces.len().checked_sub(1)?, last_states.len().checked_sub(1)?);
        let first_root = *first_states.first()?;
        let (input_root, entry) = match entries.first() {
            None => (first_root, None),
            Some(root) => {
                let batch = batch_tree::<C>(entries)?;
                let is_batch = entries.len() > 1 && entries.len() == traces.len();
                if *root != first_root || !is_batch {
                    return None;
                }
                (batch.root(), Some(BoundEntry { root: *root, path: batch.path(0)? }))
            }
        };
        let terms = ClaimTerms {
            job,
            model_root,
            input_root,
            output_root: *last_states.last()?,
            iterations: u32::try_from(traces.len()).ok()?,
            sequence_root: sequence.root(),
            salt: 0,
        };
        let (input, output) = (bound(first_states, 0, 0)?, bound(last_states, last, output)?);
        Some(Self { terms, binding: Binding { input, output, entry } })
    }

    /// Root of the trace of the first iteration; of an ordinary run the whole one.
    pub fn trace_root(&self) -> Digest {
        self.binding.input.trace_root
    }

    /// Root of the state before the first layer of the first iteration.
    pub fn first_input_root(&self) -> Digest {
        self.binding.entry.as_ref().map_or(self.terms.input_root, |entry| entry.root)
    }
}
