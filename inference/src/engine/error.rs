//! Why an operator cannot be run.

/// Why an operator cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The operator has no result for these operands, by the law.
    #[error(
        "{kind} has no defined result at element {element}, the first of its output that has none \
         (integer overflow, division by zero, or an index or magnitude out of range); no claim on this \
         input can stand"
    )]
    Undefined {
        /// Kind of the operator.
        kind: &'static str,
        /// Flat index of the first element without a result.
        element: u64,
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
