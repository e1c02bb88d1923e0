//! What is made from the commands' own help: completions, manual pages, the reference.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use ledger::words;
use node::metrics::{Kind, METRICS, Of};
use serde_json::json;

use crate::arguments::{Arguments, DocumentsAction, DocumentsCommand};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::print;

pub(crate) fn run(command: &DocumentsCommand, as_json: bool) -> Result<Ending, CommandError> {
    match &command.action {
        DocumentsAction::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "rebut", &mut text);
            print!("{}", String::from_utf8_lossy(&text));
        }
        DocumentsAction::Man { folder } => {
            let pages = man(folder)?;
            let name = folder.display().to_string();
            if as_json {
                print::json(&json!({ "pages": pages, "folder": name }))?
            } else {
                println!("{} in {name}", words::count(pages, "page", "pages"))
            }
        }
        DocumentsAction::Reference => print!("{}", reference()),
        DocumentsAction::Metrics => {
            if as_json {
                let all: Vec<_> = METRICS
                    .iter()
                    .map(|(of, name, kind, help)| {
                        let (of, kind) = (services(*of), kind_name(*kind));
                        json!({ "services": of, "name": name, "kind": kind, "help": help })
                    })
                    .collect();
                print::json(&json!({ "metrics": all }))?;
                return Ok(Ending::Done);
            }
            for (of, name, kind, help) in METRICS {
                let text = format!("    {} of {}: {help}", kind_name(*kind), services(*of));
                println!("{name}\n{}", print::wrapped(&text, 8));
            }
        }
    }
    Ok(Ending::Done)
}

/// Which services have a metric.
fn services(of: Of) -> &'static str {
    match of {
        Of::Ledger => "the ledger",
        Of::Executor => "the executor",
        Of::Challenger => "the challenger",
        Of::Monitor => "the monitor",
        Of::Daemons => "executor, challenger, monitor",
        Of::All => "all services",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// Writes the manual and says how many pages it has.
fn man(folder: &Path) -> Result<u64, CommandError> {
    let fail = |error| system(folder.display().to_string(), error);
    std::fs::create_dir_all(folder).map_err(fail)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(fail)?;
    Ok(pages(&Arguments::command()))
}

/// Manual pages of a command: its own, and those of what it shows.
fn pages(command: &Command) -> u64 {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    1 + shown.map(pages).sum::<u64>()
}

fn chapter(command: &mut Command, path: &str, text: &mut String) {
    let path = format!("{path}{}", command.get_name());
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## `{path}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        chapter(sub, &format!("{path} "), text);
    }
}

fn reference() -> String {
    let mut text =
        "# Command reference\n\nMade by `rebut documents reference` from the commands' own \
                    help; a test compares.\n"
            .to_owned();
    let mut command = Arguments::command().term_width(100).disable_help_subcommand(true);
    command.build();
    chapter(&mut command, "", &mut text);
    // Nothing of the machine that made it.
    text
}
