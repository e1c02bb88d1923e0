//! The `rebut` command: parse, call, print; nothing else.

// First, for its macros.
#[macro_use]
mod print;

mod amount;
mod archive;
mod arguments;
mod commands;
mod configuration;
mod ending;
mod error;
mod folders;
mod keystore;
mod load;
mod progress;
mod shipped;
mod verdict_report;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use arguments::{Arguments, Command, LogFormat};
use ending::Ending;
use error::CommandError;

/// Worlds are many small short-lived objects: glibc's allocator was a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The arguments, with a configuration file under them; or how the process ends.
fn arguments() -> Result<(Arguments, configuration::Configuration), ExitCode> {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let (configuration, wrong) = match configuration::read(&words, false) {
        Ok(configuration) => (configuration, Vec::new()),
        Err(wrong) => (configuration::Configuration::default(), wrong),
    };
    let command = configuration::layers::layered(Arguments::command(), &configuration.settings);
    // `--help` and `config check` work with a broken file too.
    let matches = match (command.try_get_matches_from(&words), wrong.is_empty()) {
        (Ok(matches), _) => matches,
        (Err(error), _) if !error.use_stderr() => error.exit(),
        (Err(error), true) => return Err(refused(&error, &words)),
        (Err(_), false) => return Err(misconfigured(&wrong)),
    };
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if wrong.is_empty() || matches!(arguments.command, Command::Config(_)) {
        Ok((arguments, configuration))
    } else {
        Err(misconfigured(&wrong))
    }
}

/// Prints what clap says, and which variables set what it complains of: it names flags that nobody typed.
fn refused(error: &clap::Error, words: &[std::ffi::OsString]) -> ExitCode {
    let _ = error.print();
    for origin in configuration::origins(error, words) {
        eprintln!("{origin}");
    }
    Ending::Failed.into()
}

/// Prints why a command failed, and which variable set the flag that it failed at.
fn failed(error: &CommandError, as_json: bool) -> ExitCode {
    print::failure(error, as_json);
    if let CommandError::Argument { argument, .. } = error {
        let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
        if let Some(origin) = configuration::origin_of(argument, &words) {
            eprintln!("{origin}");
        }
    }
    Ending::Failed.into()
}

fn misconfigured(wrong: &[String]) -> ExitCode {
    for one in wrong {
        eprintln!("error: {}", error::plain(one));
    }
    Ending::Failed.into()
}

/// Ends this process when the one that started it ends: for tests and scripts, which may be killed.
fn end_with_parent() {
    #[cfg(target_os = "linux")]
    if std::env::var_os(configuration::ENDS_WITH_PARENT).is_some() {
        use rustix::process::{Signal, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            eprintln!("warning: this process will not end with its parent: {error}");
        }
    }
}

fn main() -> ExitCode {
    end_with_parent();
    let ended = std::panic::catch_unwind(|| {
        let code = work();
        print::flush().map(|()| code).unwrap_or_else(|unwritten| unwritten.ending().into())
    });
    ended.unwrap_or_else(|thrown| match thrown.downcast::<print::Unwritten>() {
        Ok(unwritten) => unwritten.ending().into(),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn work() -> ExitCode {
    let (arguments, configuration) = match arguments() {
        Ok(read) => read,
        Err(code) => return code,
    };
    // Who runs for days tells what it does; other commands print their results.
    let told = match arguments.command {
        Command::Executor(_) | Command::Challenger(_) | Command::Ledger(_) => "info",
        Command::Monitor(_) => "warn",
        _ => "error",
    };
    let filter = match log_filter(told) {
        Ok(filter) => filter,
        Err(reason) => {
            eprintln!("error: REBUT_LOG: {reason}");
            return Ending::Failed.into();
        }
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // What cannot be logged is not told on the same closed standard error.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match arguments.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    if !matches!(arguments.command, Command::Config(_)) {
        for stranger in configuration::strangers() {
            eprintln!("warning: {stranger}");
        }
    }
    let json = arguments.json;
    let outcome = match arguments.command {
        Command::Demo(demo) => commands::demo::run(&demo, json),
        Command::Inspect(inspect) => commands::inspect::run(&inspect, json),
        Command::Run(run) => commands::run::run(&run, json),
        Command::Verify(verify) => commands::verify::run(&verify, json),
        Command::Dispute(dispute) => commands::dispute::run(&dispute, json),
        Command::Replay(replay) => commands::replay::run(&replay, json),
        Command::Preflight(preflight) => commands::preflight::run(&preflight, json),
        Command::Ledger(ledger) => commands::services::ledger::run(&ledger, json),
        Command::Executor(executor) => commands::services::executor::run(&executor, json),
        Command::Challenger(challenger) => commands::services::challenger::run(&challenger, json),
        Command::Request(request) => commands::services::request::run(&request, json),
        Command::Receipt(receipt) => commands::services::receipt::run(&receipt, json),
        Command::Monitor(monitor) => commands::services::monitor::run(&monitor, json),
        Command::Tui(tui) => commands::services::tui::run(&tui, json),
        Command::Account(account) => commands::services::account::run(&account, json),
        Command::Key(key) => commands::services::key::run(&key, json),
        Command::Config(config) => commands::configuration::run(&config, &configuration, json),
        Command::Documents(documents) => commands::documents::run(&documents, json),
        Command::Sim(sim) => commands::sim::run(&sim, json),
        Command::RunWorker(worker) => commands::services::daemon::run_worker(&worker),
    };
    match outcome {
        Ok(ending) => ending.into(),
        Err(error) => failed(&error, json),
    }
}

/// What the log tells: what REBUT_LOG says, or `told`. A word that is no level would turn everything off.
fn log_filter(told: &str) -> Result<tracing_subscriber::EnvFilter, String> {
    let text = std::env::var("REBUT_LOG").unwrap_or_default();
    let text = if text.trim().is_empty() { told.to_owned() } else { text };
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    for part in text.split(',') {
        let level = part.rsplit('=').next().unwrap_or(part).trim().to_ascii_lowercase();
        let is_target = !part.contains('=') && part.contains("::");
        if !is_target && !levels.contains(&level.as_str()) {
            return Err(format!(
                "{} is no level; levels are {}, alone or as TARGET=LEVEL, such as info,ledger=debug",
                part.trim(),
                levels.join(", ")
            ));
        }
    }
    tracing_subscriber::EnvFilter::try_new(&text).map_err(|error| error.to_string())
}
