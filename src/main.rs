//! The `rebut` command: parse, call, print; nothing else.

mod arguments;
mod commands;
mod error;
mod load;
mod print;
mod progress;
mod published;
mod shipped;
mod summary;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

/// Worlds are many small short-lived objects: glibc's allocator was a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The claim stands, or the command did what it should.
const DONE: u8 = 0;
/// The claim falls, or a verdict file contradicts itself.
const FALLS: u8 = 1;
/// The command could not tell: bad input, bad arguments, a failure.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Who runs for days tells what it does; other commands print their results.
    let told = match arguments.command {
        Command::Executor(_) | Command::Challenger(_) | Command::Ledger(_) => "info",
        _ => "error",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("REBUT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(told));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
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
        Command::Executor(executor) => commands::services::executor::run(&executor),
        Command::Challenger(challenger) => commands::services::challenger::run(&challenger),
        Command::Request(request) => commands::services::request::run(&request, json),
        Command::Account(account) => commands::services::account::run(&account, json),
        Command::Key(key) => commands::services::key::run(&key, json),
        Command::Sim(sim) => commands::sim::run(&sim, json),
    };
    match outcome {
        Ok(falls) => ExitCode::from(if falls { FALLS } else { DONE }),
        Err(error) => {
            print::failure(&error, json);
            ExitCode::from(FAILED)
        }
    }
}
