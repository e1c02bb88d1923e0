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
    ClaimFile(#[from] dispute::claim_file::ClaimFileError),
    #[error(transparent)]
    Preflight(#[from] executor::PreflightError),
    #[error(transparent)]
    Lie(#[from] dispute::LieError),
    #[error(transparent)]
    Devnet(#[from] dispute::DevnetError),
    #[error(transparent)]
    Offline(#[from] dispute::offline::OfflineError),
    #[error(transparent)]
    Ledger(#[from] ledger::LedgerError),
    #[error(transparent)]
    Verdict(#[from] dispute::verdict::VerdictError),
    #[error(transparent)]
    ModelStore(#[from] inference::ModelStoreError),
    #[error(transparent)]
    Scenario(#[from] simulation::scenario::ScenarioError),
    /// What could be told was told; a part is missing.
    #[error("not everything that was asked for could be found out; see above")]
    Incomplete,
    /// What is meant for one iteration, and there are more: the first is not the whole.
    #[error("{what} has {iterations} iterations: {reason}")]
    Iterations { what: &'static str, iterations: u32, reason: &'static str },
    #[error("argument {argument}: {reason}")]
    Argument { argument: &'static str, reason: String },
    #[error("{what}: {reason}")]
    System { what: String, reason: String },
}

impl CommandError {
    /// Number of the rejection, where the ledger's rules refused a transaction.
    pub(crate) fn code(&self) -> Option<u16> {
        let (Self::Ledger(error) | Self::Devnet(dispute::DevnetError::Ledger(error))) = self else {
            return None;
        };
        match error {
            ledger::LedgerError::Rejected(rejection) => Some(rejection.code()),
            _ => None,
        }
    }

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
            Self::Devnet(_) => "devnet",
            Self::Offline(_) => "offline",
            Self::Ledger(_) => "ledger",
            Self::Verdict(_) => "verdict",
            Self::ModelStore(_) => "models",
            Self::Scenario(_) => "scenario",
            Self::Incomplete => "incomplete",
            Self::Iterations { .. } => "iterations",
            Self::Argument { .. } => "argument",
            Self::System { .. } => "system",
        }
    }
}

pub(crate) fn system(what: impl Into<String>, error: impl std::fmt::Display) -> CommandError {
    CommandError::System { what: what.into(), reason: error.to_string() }
}

/// What the operating system says, in words that tell what to do; by its number.
const SYSTEM_ERRORS: [(i32, &str); 9] = [
    (1, "this user may not do that; check its owner and rights"),
    (2, "there is no such file or folder"),
    (13, "this user may not; check its owner and rights"),
    (17, "exists already; name another"),
    (20, "a part of this path is a file, not a folder"),
    (21, "is a folder; name a file"),
    (24, "too many files are open; raise the limit with `ulimit -n`"),
    (28, "the disk is full; make room"),
    (30, "the disk can only be read"),
];

/// A message with the operating system's own words replaced by plain ones.
pub(crate) fn plain(message: &str) -> String {
    let mut text = message.to_owned();
    for (number, words) in SYSTEM_ERRORS {
        text = text.replace(&std::io::Error::from_raw_os_error(number).to_string(), words);
    }
    // Parts of it may be somebody else's; our own help has lines.
    let lines: Vec<String> = text.split('\n').map(ledger::words::printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_the_rules_has_the_number_of_its_kind_and_nothing_else_has_one() {
        let rejected = || ledger::LedgerError::Rejected(protocol::settlement::Rejection::NotBound);
        assert_eq!(CommandError::from(rejected()).code(), Some(12));
        assert_eq!(CommandError::Devnet(rejected().into()).code(), Some(12));
        assert_eq!(CommandError::from(ledger::LedgerError::Stopped).code(), None);
        assert_eq!(CommandError::Incomplete.code(), None);
    }

    #[test]
    fn what_the_system_says_is_told_with_its_remedy() {
        for (file, part) in [("/nowhere/file", "no such file"), ("/", "is a folder; name a file")] {
            let error = std::fs::read_to_string(file).map(|_| ()).unwrap_err();
            let text = plain(&system(file, error).to_string());
            assert!(text.contains(part) && !text.contains("os error"), "{text}");
        }
        assert_eq!(plain("a.npz: is over 3 bytes"), "a.npz: is over 3 bytes");
    }
}
