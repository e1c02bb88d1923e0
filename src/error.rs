//! Every way in which a command can fail.

/// A failure, for people and as JSON.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Import(#[from] inference::ImportError),
    /// Axes without a size, and this command line with flags that give them one.
    #[error("{error}; that is: {command}")]
    Open { error: inference::ImportError, command: String },
    #[error(transparent)]
    Engine(#[from] inference::EngineError),
    #[error(transparent)]
    File(#[from] inference::files::FileError),
    #[error(transparent)]
    Run(#[from] inference::RunError),
    #[error(transparent)]
    ClaimFile(#[from] executor::files::ClaimFileError),
    #[error(transparent)]
    Preflight(#[from] executor::PreflightError),
    #[error(transparent)]
    Lie(#[from] simulation::LieError),
    #[error(transparent)]
    Stage(#[from] simulation::StageError),
    #[error(transparent)]
    Walk(#[from] simulation::WalkError),
    #[error(transparent)]
    Ledger(#[from] ledger::LedgerError),
    #[error(transparent)]
    Verdict(#[from] ledger::verdict::VerdictError),
    #[error(transparent)]
    Shelf(#[from] inference::ShelfError),
    #[error(transparent)]
    Scenario(#[from] simulation::scenario::ScenarioError),
    #[error("argument {argument}: {reason}")]
    Argument { argument: &'static str, reason: String },
    #[error("{what}: {reason}")]
    System { what: String, reason: String },
}

impl CommandError {
    /// A stable name of the kind of failure.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Import(_) | Self::Open { .. } => "import",
            Self::Engine(_) => "engine",
            Self::File(_) => "file",
            Self::Run(_) => "run",
            Self::ClaimFile(_) => "claim-file",
            Self::Preflight(_) => "preflight",
            Self::Lie(_) => "lie",
            Self::Stage(_) => "stage",
            Self::Walk(_) => "walk",
            Self::Ledger(_) => "ledger",
            Self::Verdict(_) => "verdict",
            Self::Shelf(_) => "models",
            Self::Scenario(_) => "scenario",
            Self::Argument { .. } => "argument",
            Self::System { .. } => "system",
        }
    }
}

pub(crate) fn system(what: impl Into<String>, error: impl std::fmt::Display) -> CommandError {
    CommandError::System { what: what.into(), reason: error.to_string() }
}
