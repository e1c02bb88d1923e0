//! Which claims on a job are true, by a run of one's own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use inference::{NoResult, SequenceRun};
use protocol::hash::{Commitment, Digest};
use protocol::roots::sequence_tree;
use protocol::transaction::ClaimTerms;

/// Which claims on a job are true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Those with this sequence root.
    Root(Digest),
    /// None: an operator has no result.
    NoResult(Arc<NoResult>),
    /// Those on the first so many of these iterations, since the job allows a cut.
    First(Arc<FirstIterations>),
}

/// Iterations of a run that a claim may cut.
#[derive(Clone, Debug)]
pub struct FirstIterations {
    trace_roots: Vec<Digest>,
    of_first: fn(&[Digest]) -> Option<Digest>,
    no_result: Option<Arc<NoResult>>,
    /// Roots of sequences that were asked for: every look asks for the same.
    known: Arc<Mutex<BTreeMap<u32, Digest>>>,
}

/// Roots of sequences that are remembered.
const KNOWN_MAX: usize = 64;

impl FirstIterations {
    /// Root of the sequence of the first so many iterations.
    fn root(&self, iterations: u32) -> Option<Digest> {
        // Whole entries are in it at any time, so that a poisoned lock hides nothing.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = known.get(&iterations) {
            return Some(*root);
        }
        let root = (self.of_first)(self.trace_roots.get(..iterations as usize)?)?;
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(iterations, root);
        Some(root)
    }
}

impl PartialEq for FirstIterations {
    fn eq(&self, other: &Self) -> bool {
        self.trace_roots == other.trace_roots && self.no_result == other.no_result
    }
}

impl Eq for FirstIterations {}

/// Root of the sequence of these iterations.
fn root_of<C: Commitment>(trace_roots: &[Digest]) -> Option<Digest> {
    Some(sequence_tree::<C>(trace_roots)?.root())
}

impl Truth {
    /// Which claims are true by this run, where the job allows a cut or not.
    pub fn new<C: Commitment>(run: &SequenceRun<C>, may_cut: bool) -> Self {
        let no_result = run.no_result().cloned();
        if may_cut && run.iterations() > 0 {
            let (trace_roots, of_first) = (run.trace_roots().to_vec(), root_of::<C>);
            let known = Arc::default();
            let first = FirstIterations { trace_roots, of_first, no_result, known };
            return Self::First(Arc::new(first));
        }
        match (no_result, run.root()) {
            (Some(no_result), _) => Self::NoResult(no_result),
            (None, root) => Self::Root(root.unwrap_or_default()),
        }
    }

    /// Whether a claim on the job with these terms is true.
    pub fn admits(&self, terms: &ClaimTerms) -> bool {
        match self {
            Self::Root(own) => *own == terms.sequence_root,
            Self::NoResult(_) => false,
            Self::First(first) => {
                first.root(terms.iterations).is_some_and(|own| own == terms.sequence_root)
            }
        }
    }

    /// Why there is no true claim on all of the run, where there is none.
    pub fn no_result(&self) -> Option<&NoResult> {
        match self {
            Self::Root(_) => None,
            Self::NoResult(no_result) => Some(no_result),
            Self::First(first) => first.no_result.as_deref(),
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(own) => own.fmt(formatter),
            Self::NoResult(no_result) => no_result.fmt(formatter),
            Self::First(first) => {
                write!(formatter, "the first of {} iterations", first.trace_roots.len())
            }
        }
    }
}
