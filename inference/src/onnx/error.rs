//! Why a model is refused, and what would help.

use super::declared::OpenAxes;
use super::options::ImportOptions;

/// Why an ONNX model cannot be imported. Every message names the place and a remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is larger than the limit.
    #[error("{path}: {bytes} bytes is over the limit of {limit}; ship a smaller model")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The bytes are not an ONNX model.
    #[error(
        "{path}: not an ONNX model ({reason}); export it again, and check that the file is whole"
    )]
    NotOnnx {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The operator set is older or newer than what is supported.
    #[error(
        "opset {version} of the default domain is not supported; export with an opset from 6 to 28"
    )]
    Opset {
        /// The version found.
        version: i64,
    },
    /// A node cannot be lowered.
    #[error("node {node} ({operator}): {reason}")]
    Node {
        /// Name of the node, or its number when it has none.
        node: String,
        /// Its ONNX operator.
        operator: String,
        /// What is wrong and what would help.
        reason: String,
    },
    /// A tensor, input or output cannot be used.
    #[error("{kind} {name}: {reason}")]
    Value {
        /// What it is: input, output, initializer.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong and what would help.
        reason: String,
    },
    /// Axes of inputs have no size. All are told at once, with what would bind them.
    #[error("{0}")]
    Unbound(OpenAxes),
    /// An option is about something that the model does not have.
    #[error("the model has no {what} {name}; {known}")]
    Option {
        /// What it is: input, dimension.
        what: &'static str,
        /// The name given.
        name: String,
        /// What there is.
        known: String,
    },
    /// The graph as a whole cannot be used.
    #[error("the graph cannot be used: {reason}")]
    Graph {
        /// What is wrong and what would help.
        reason: String,
    },
}

impl ImportError {
    /// Whether its text begins with the model's file.
    pub(crate) fn names_file(&self) -> bool {
        match self {
            Self::Io { .. } | Self::TooLarge { .. } | Self::NotOnnx { .. } => true,
            Self::Opset { .. }
            | Self::Node { .. }
            | Self::Value { .. }
            | Self::Unbound(_)
            | Self::Option { .. }
            | Self::Graph { .. } => false,
        }
    }

    /// With the sizes that the caller bound, where shapes do not fit each other.
    pub(super) fn with_bound(mut self, options: &ImportOptions) -> Self {
        let dimensions = options.dimensions.iter().map(|(name, size)| format!("{name}={size}"));
        let shapes = options.shapes.iter().map(|(name, shape)| format!("{name}={shape:?}"));
        let bound: Vec<String> = dimensions.chain(shapes).collect();
        if let Self::Node { reason, .. } = &mut self
            && reason.contains("shapes")
            && !bound.is_empty()
        {
            *reason += &format!(" (bound: {})", bound.join(", "));
        }
        self
    }
}
