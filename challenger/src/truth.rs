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
    /// None of so many iterations or fewer: the run goes on after them. What longer claims are is not known: no more
    /// was made of the run.
    Begun {
        /// Iterations that were made.
        iterations: u32,
    },
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
    /// Whether the run ends with them; of longer claims nothing is known otherwise.
    is_whole: bool,
}

impl fmt::Debug for FirstIterations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = formatter.debug_struct("FirstIterations");
        parts.field("iterations", &self.iterations).field("last_root", &self.last_root);
        parts
            .field("no_result", &self.no_result)
            .field("is_whole", &self.is_whole)
            .finish_non_exhaustive()
    }
}

impl PartialEq for FirstIterations {
    fn eq(&self, other: &Self) -> bool {
        let parts =
            |one: &Self| (one.iterations, one.last_root, one.no_result.clone(), one.is_whole);
        parts(self) == parts(other)
    }
}

impl Eq for FirstIterations {}

impl Truth {
    /// Which claims are true by this run, where the job allows a cut or not.
    pub fn new<C: Commitment>(run: &SequenceRun<C>, may_cut: bool) -> Self {
        let (no_result, is_whole) = (run.no_result().cloned(), run.is_whole());
        let iterations = run.iterations();
        if may_cut && let Some(list) = run.list().cloned() {
            let last_root = list.root_of_first(iterations);
            // Without the run, which may be let go.
            let root = Arc::new(move |iterations| list.root_of_first(iterations));
            let first = FirstIterations { iterations, root, last_root, no_result, is_whole };
            return Self::First(Arc::new(first));
        }
        match (no_result, run.root()) {
            (Some(no_result), _) => Self::NoResult(no_result),
            (None, _) if !is_whole => Self::Begun { iterations },
            (None, root) => Self::Root(root.unwrap_or_default()),
        }
    }

    /// Whether a claim on the job with these terms is true; `None` where it goes on after all that was made of the
    /// run. Whoever takes that for false loses a bond.
    pub fn judges(&self, terms: &ClaimTerms) -> Option<bool> {
        match self {
            Self::Root(own) => Some(*own == terms.sequence_root),
            Self::NoResult(_) => Some(false),
            Self::First(first) if terms.iterations > first.iterations => {
                first.is_whole.then_some(false)
            }
            Self::First(first) => {
                let own = (first.root)(terms.iterations);
                Some(own.is_some_and(|own| own == terms.sequence_root))
            }
            Self::Begun { iterations } => (terms.iterations <= *iterations).then_some(false),
        }
    }

    /// Whether a claim on the job with these terms is known to be true.
    pub fn admits(&self, terms: &ClaimTerms) -> bool {
        self.judges(terms) == Some(true)
    }

    /// Whether a claim on the job with these terms is known to be false.
    pub fn refuses(&self, terms: &ClaimTerms) -> bool {
        self.judges(terms) == Some(false)
    }

    /// Claims of so many iterations it judges, and all shorter ones.
    pub(crate) fn reach(&self) -> u32 {
        match self {
            Self::Root(_) | Self::NoResult(_) => u32::MAX,
            Self::First(first) if first.is_whole => u32::MAX,
            Self::First(first) => first.iterations,
            Self::Begun { iterations } => *iterations,
        }
    }

    /// Why there is no true claim on all of the run, where there is none.
    pub fn no_result(&self) -> Option<&NoResult> {
        match self {
            Self::Root(_) | Self::Begun { .. } => None,
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
            Self::Begun { iterations } => {
                write!(formatter, "none, the run goes on after {iterations} iterations")
            }
        }
    }
}
