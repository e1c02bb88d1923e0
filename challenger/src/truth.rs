//! Which claims on a job are true, by a run of one's own.

use std::fmt;
use std::sync::Arc;

use inference::{NoResult, SequenceRun};
use protocol::hash::{Commitment, Digest};
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
#[derive(Clone)]
pub struct FirstIterations {
    iterations: u32,
    /// Root of the sequence of the first so many.
    root: Arc<dyn Fn(u32) -> Option<Digest> + Send + Sync>,
    /// Of all.
    last_root: Option<Digest>,
    no_result: Option<Arc<NoResult>>,
}

impl fmt::Debug for FirstIterations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = formatter.debug_struct("FirstIterations");
        parts.field("iterations", &self.iterations).field("last_root", &self.last_root);
        parts.field("no_result", &self.no_result).finish_non_exhaustive()
    }
}

impl PartialEq for FirstIterations {
    fn eq(&self, other: &Self) -> bool {
        let parts = |one: &Self| (one.iterations, one.last_root, one.no_result.clone());
        parts(self) == parts(other)
    }
}

impl Eq for FirstIterations {}

impl Truth {
    /// Which claims are true by this run, where the job allows a cut or not.
    pub fn new<C: Commitment>(run: &SequenceRun<C>, may_cut: bool) -> Self {
        let no_result = run.no_result().cloned();
        if may_cut && let Some(list) = run.list().cloned() {
            let iterations = run.iterations();
            let last_root = list.root_of_first(iterations);
            // Without the run, which may be let go.
            let root = Arc::new(move |iterations| list.root_of_first(iterations));
            let first = FirstIterations { iterations, root, last_root, no_result };
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
                let own = (first.root)(terms.iterations);
                own.is_some_and(|own| own == terms.sequence_root)
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
                write!(formatter, "the first of {} iterations", first.iterations)
            }
        }
    }
}
