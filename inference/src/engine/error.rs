//! Why an operator cannot be run.

/// Why an operator cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The operator has no result for these operands.
    #[error(
        "{kind} has no defined result for these inputs (integer overflow, division by zero or an \
         index out of range); a run with such inputs cannot be claimed"
    )]
    Undefined {
        /// Kind of the operator.
        kind: &'static str,
    },
    /// Operands are missing or have other types than the node says.
    #[error("{kind} was given operands that do not fit its definition")]
    Operands {
        /// Kind of the operator.
        kind: &'static str,
    },
    /// Threads could not be started.
    #[error("the thread pool could not be started: {reason}; try fewer threads")]
    Threads {
        /// What the system said.
        reason: String,
    },
}
