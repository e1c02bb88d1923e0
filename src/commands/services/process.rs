//! What a process that stays needs of its machine, and what it says when it has begun.

use crate::error::{CommandError, system};

/// A runtime with a listener's and a client's needs.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| system("the runtime", error))
}

/// Over at the first SIGINT or SIGTERM.
pub(super) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!(event = "stopping");
}

/// Raises this process's limit of open files as far as it may, and gives it: shells begin with few.
pub(super) fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        Err(_) => before.current,
    };
    now.unwrap_or(u64::MAX)
}

/// Says that a service runs, and where: a line for people, with `--json` a document on one line.
pub(super) fn started(
    as_json: bool,
    text: &str,
    document: &serde_json::Value,
) -> Result<(), CommandError> {
    if as_json {
        println!("{}", crate::print::line(document)?)
    } else {
        println!("{text}")
    }
    Ok(())
}

/// Files that a service itself needs beside two for each connection: database, log, clock, states, models.
const FILES_RESERVED: u64 = 256;

/// Connections for which there are files: a flush that finds none stops the ledger.
pub(super) fn connections() -> usize {
    let files_max = raise_file_limit();
    let wanted = ::ledger::http::Limits::default().connections;
    let fit = usize::try_from(files_max.saturating_sub(FILES_RESERVED) / 2).unwrap_or(usize::MAX);
    if fit < wanted {
        tracing::warn!(
            event = "few_files",
            files_max,
            connections = fit.max(16),
            "fewer connections are served than could be: raise the limit of open files (ulimit -n 8192)"
        );
    }
    wanted.min(fit).max(16)
}
