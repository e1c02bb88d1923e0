//! `rebut config`: what holds, where it comes from, what is wrong.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory as _};
use serde::Serialize;

use crate::arguments::{Arguments, ConfigAction, ConfigCommand};
use crate::configuration::{Configuration, layers, named, read};
use crate::ending::Ending;
use crate::error::CommandError;
use crate::print;

/// The services and what is called again and again beside them: they have settings worth a file.
const SERVICES: [&str; 5] =
    ["ledger.serve", "executor.serve", "challenger.run", "monitor", "request"];

#[derive(Debug, Serialize)]
struct Held {
    section: String,
    name: String,
    value: Option<String>,
    origin: String,
}

pub(crate) fn run(
    command: &ConfigCommand,
    configuration: &Configuration,
    as_json: bool,
) -> Result<Ending, CommandError> {
    match &command.action {
        ConfigAction::Show { origin, words } => {
            let held = if words.is_empty() {
                services(configuration)
            } else {
                of_words(configuration, words)?
            };
            if as_json {
                print::json(&serde_json::json!({ "settings": held }))?;
                return Ok(Ending::Done);
            }
            let mut section = "";
            for one in &held {
                if section != one.section {
                    println!("[{}]", one.section);
                    section = &one.section;
                }
                let value = one.value.as_deref().unwrap_or("(not set)");
                if *origin {
                    println!("{:<24} {:<40} {}", one.name, value, one.origin)
                } else {
                    println!("{:<24} {}", one.name, value)
                }
            }
        }
        ConfigAction::Check => {
            let words: Vec<OsString> = std::env::args_os().collect();
            let wrong = read(&words, true).err().unwrap_or_default();
            let file = named(&words).map(|file| file.display().to_string());
            if as_json {
                print::json(&serde_json::json!({ "file": file, "problems": wrong }))?;
                return Ok(Ending::falls_if(!wrong.is_empty()));
            }
            for one in &wrong {
                println!("{one}");
            }
            if wrong.is_empty() {
                println!("nothing is wrong with {}", file.as_deref().unwrap_or("the environment"));
                println!("paths are looked at only when a command starts");
            }
            if file.is_none() {
                let help = "name one with --config FILE or REBUT_CONFIG";
                println!("no file was named: {help}{}", unread());
            }
            return Ok(Ending::falls_if(!wrong.is_empty()));
        }
        ConfigAction::Example => print!("{}", example()),
    }
    Ok(Ending::Done)
}

/// A file of settings that lies here and that nobody named.
fn unread() -> String {
    if std::path::Path::new("rebut.toml").exists() {
        "; rebut.toml in this folder was NOT read".to_owned()
    } else {
        String::new()
    }
}

fn origin(
    configuration: &Configuration,
    section: &str,
    arg: &Arg,
    source: Option<ValueSource>,
) -> String {
    match source {
        Some(ValueSource::CommandLine) => "flag".to_owned(),
        Some(ValueSource::EnvVariable) => {
            let name = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            format!("environment {}", name.unwrap_or_default())
        }
        _ => {
            let name = arg.get_long().unwrap_or_default();
            match (&configuration.file, layers::holding(&configuration.settings, section, name)) {
                (Some(file), Some(setting)) => format!("{}:{}", file.display(), setting.line),
                _ if source.is_some() => "default".to_owned(),
                _ => "-".to_owned(),
            }
        }
    }
}

fn held(
    configuration: &Configuration,
    section: &str,
    leaf: &Command,
    matches: &ArgMatches,
) -> Vec<Held> {
    let settings =
        leaf.get_arguments().filter(|arg| layers::is_setting(arg) && !arg.is_global_set());
    settings
        .filter_map(|arg| {
            let id = arg.get_id().as_str();
            let raw = matches.get_raw(id).map(|values| {
                values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(", ")
            });
            let flag = matches!(arg.get_action(), clap::ArgAction::SetTrue);
            let value = if flag { Some(matches.get_flag(id).to_string()) } else { raw };
            let origin = origin(configuration, section, arg, matches.value_source(id));
            Some(Held {
                section: section.to_owned(),
                name: arg.get_long()?.to_owned(),
                value,
                origin,
            })
        })
        .collect()
}

fn services(configuration: &Configuration) -> Vec<Held> {
    let command = layers::layered(Arguments::command(), &configuration.settings);
    let mut all = Vec::new();
    for (section, leaf) in layers::leaves(&command) {
        if !SERVICES.contains(&section.as_str()) {
            continue;
        }
        // What a service needs is missing here and told when it starts.
        let free = leaf.clone().mut_args(|arg| arg.required(false));
        if let Ok(matches) = free.clone().try_get_matches_from([leaf.get_name()]) {
            all.extend(held(configuration, &section, &free, &matches));
        }
    }
    all
}

fn of_words(configuration: &Configuration, words: &[OsString]) -> Result<Vec<Held>, CommandError> {
    let command = layers::layered(Arguments::command(), &configuration.settings);
    let all = std::iter::once(OsString::from("rebut")).chain(words.iter().cloned());
    let matches = command.clone().try_get_matches_from(all).map_err(|error| {
        let reason = error.to_string();
        CommandError::Argument { argument: "COMMAND", reason: reason.trim().to_owned() }
    })?;
    let (mut leaf, mut at, mut path) = (&command, &matches, Vec::new());
    while let Some((name, inner)) = at.subcommand() {
        let Some(sub) = leaf.find_subcommand(name) else {
            break;
        };
        (leaf, at) = (sub, inner);
        path.push(name);
    }
    Ok(held(configuration, &path.join("."), leaf, at))
}

/// A file with every setting of these commands, commented out, with its help and default.
fn example() -> String {
    let mut text = String::from(
        "# Settings of Rebut's services. Flags go before REBUT_ variables, these before this file.\n\
         # Name it with --config or REBUT_CONFIG; `rebut config check` tells what is wrong with it.\n\n\
         # Holds for every command that has a flag of the name.\n[common]\n\
         # ledger = \"http://127.0.0.1:8645\"\n",
    );
    let command = Arguments::command();
    for (section, leaf) in layers::leaves(&command) {
        if !SERVICES.contains(&section.as_str()) {
            continue;
        }
        text.push_str(&format!("\n[{section}]\n"));
        for arg in leaf.get_arguments().filter(|arg| layers::is_setting(arg)) {
            let Some(name) = arg.get_long() else {
                continue;
            };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let default = arg.get_default_values().first().map(|value| value.to_string_lossy());
            let flag = matches!(arg.get_action(), clap::ArgAction::SetTrue);
            let value = match default {
                _ if flag => "false".to_owned(),
                Some(value) if value.parse::<i64>().is_ok() => value.into_owned(),
                value => print::quoted(&value.unwrap_or_default()),
            };
            text.push_str(&format!("# {help}\n# {name} = {value}\n"));
        }
    }
    text
}
