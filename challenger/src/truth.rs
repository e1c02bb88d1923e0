//! Which claims on a job are true, by a run of one's own.

use std::fmt;
use std::sync::Arc;

use inference::NoResult;
use protocol::hash::Digest;

/// Which claims on a job are true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Those with this trace root.
    Root(Digest),
    /// None: an operator has no result.
    NoResult(Arc<NoResult>),
}

impl Truth {
    /// Whether a claim with this trace root is true.
    pub fn admits(&self, trace_root: &Digest) -> bool {
        match self {
            Self::Root(own) => own == trace_root,
            Self::NoResult(_) => false,
        }
    }

    /// Why there is no true claim, where there is none.
    pub fn no_result(&self) -> Option<&NoResult> {
        match self {
            Self::Root(_) => None,
            Self::NoResult(no_result) => Some(no_result),
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(own) => own.fmt(formatter),
            Self::NoResult(no_result) => no_result.fmt(formatter),
        }
    }
}
