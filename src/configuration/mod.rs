//! Where settings come from: flags, environment, a TOML file, defaults, in this order.

pub(crate) mod file;
pub(crate) mod layers;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory as _};

use crate::arguments::Arguments;
use file::{FILE_BYTES_MAX, Setting, parse};

/// The configuration file of this call, and what it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    /// The file, if one was named.
    pub(crate) file: Option<PathBuf>,
    /// Its settings.
    pub(crate) settings: Vec<Setting>,
}

/// The file named by `--config` or `REBUT_CONFIG`; it must be known before flags can be read.
pub(crate) fn named(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            break;
        }
        if text == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(file) = text.strip_prefix("--config=") {
            return Some(PathBuf::from(file));
        }
    }
    std::env::var_os("REBUT_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// With it a process ends when the one that started it ends.
pub(crate) const ENDS_WITH_PARENT: &str = "REBUT_ENDS_WITH_PARENT";

/// Variables that are read beside the flags' own: secrets, the log, and what tests of this repository use.
const OTHER_VARIABLES: [&str; 13] = [
    ENDS_WITH_PARENT,
    "REBUT_KEY",
    "REBUT_PASSWORD",
    "REBUT_LOG",
    "REBUT_BINARY",
    "REBUT_BLESS",
    "REBUT_FUZZ_SECONDS",
    "REBUT_KILLS",
    "REBUT_DISPUTE_MODELS",
    "REBUT_PLACES",
    "REBUT_SEED",
    "REBUT_COMMIT",
    "REBUT_SWARM_SECONDS",
];

/// Variables of the environment that look like settings and are none: a misspelt one would be ignored in
/// silence.
pub(crate) fn strangers() -> Vec<String> {
    let command = Arguments::command();
    let leaves = layers::leaves(&command);
    let all = leaves.iter().flat_map(|(_, leaf)| leaf.get_arguments());
    let own = all.chain(command.get_arguments()).filter_map(|arg| arg.get_env()?.to_str());
    let known: std::collections::BTreeSet<&str> = own.chain(OTHER_VARIABLES).collect();
    let mut found: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("REBUT_") && !known.contains(name.as_str()))
        .map(|name| {
            let longer = || known.iter().copied().find(|known| known.starts_with(&name));
            let hint = longer()
                .or_else(|| layers::nearest(&name, known.iter().copied()))
                .map_or(String::new(), |near| format!("; did you mean {near}?"));
            format!("environment: {name} is no setting{hint}")
        })
        .collect();
    found.sort();
    found
}

/// The variable of the environment that a flag's value comes from, unless the flag was typed. None
/// where commands read a flag of the name from several variables that are all there.
fn variable_of(flag: &str, words: &[OsString]) -> Option<String> {
    let long = flag.strip_prefix("--")?;
    let is_typed = words.iter().any(|word| {
        let word = word.to_string_lossy();
        word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    if is_typed {
        return None;
    }
    let command = Arguments::command();
    let leaves = layers::leaves(&command);
    let all = leaves.iter().flat_map(|(_, leaf)| leaf.get_arguments());
    let named = all.chain(command.get_arguments()).filter(|arg| arg.get_long() == Some(long));
    let mut set: Vec<&str> = named
        .filter_map(|arg| arg.get_env()?.to_str())
        .filter(|name| std::env::var_os(name).is_some())
        .collect();
    set.sort_unstable();
    set.dedup();
    match set.as_slice() {
        [one] => Some((*one).to_owned()),
        _ => None,
    }
}

/// What is said beside an error about a flag that nobody typed.
pub(crate) fn origin_of(flag: &str, words: &[OsString]) -> Option<String> {
    let variable = variable_of(flag, words)?;
    Some(format!("note: {flag} is set by the environment's variable {variable}"))
}

/// What is said beside clap's complaints: it names flags, also where variables set them.
pub(crate) fn origins(error: &clap::Error, words: &[OsString]) -> Vec<String> {
    let flags = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(many)) => many.clone(),
        _ => Vec::new(),
    };
    let flags = [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().flat_map(flags);
    // As in `--listen <ADDRESS>`.
    flags.filter_map(|flag| origin_of(flag.split_whitespace().next()?, words)).collect()
}

/// Variables of the environment that a flag reads and whose value it cannot take.
fn environment(command: &Command) -> Vec<String> {
    let mut problems = Vec::new();
    for (_, leaf) in layers::leaves(command) {
        for arg in leaf.get_arguments() {
            let Some(name) = arg.get_env().and_then(|name| name.to_str()) else {
                continue;
            };
            let value = match std::env::var(name) {
                Ok(value) => value,
                Err(std::env::VarError::NotPresent) => continue,
                Err(error) => {
                    problems.push(format!("environment: {name}: {error}"));
                    continue;
                }
            };
            // clap takes 1, yes and on for a flag from the environment.
            let is_flag = matches!(arg.get_action(), clap::ArgAction::SetTrue);
            if let (false, Some(wrong)) = (is_flag, layers::wrong(leaf, arg, &[value])) {
                problems.push(format!("environment: {name}: {wrong}"));
            }
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

/// Reads the configuration file that the words of a command line name.
///
/// # Errors
/// Everything that is wrong with it, a line each, with file and line; with `check_environment` also
/// what is wrong with the environment.
pub(crate) fn read(
    words: &[OsString],
    check_environment: bool,
) -> Result<Configuration, Vec<String>> {
    let command = Arguments::command();
    let mut wrong = Vec::new();
    if check_environment {
        wrong.extend(environment(&command));
        wrong.extend(strangers());
    }
    let Some(path) = named(words) else {
        return if wrong.is_empty() { Ok(Configuration::default()) } else { Err(wrong) };
    };
    let name = path.display().to_string();
    let mut text = String::new();
    let opened = std::fs::File::open(&path);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    if let Err(error) = read {
        wrong.push(format!("{name}: {error}"));
        return Err(wrong);
    }
    if text.len() as u64 > FILE_BYTES_MAX {
        wrong.push(format!("{name}: is over {FILE_BYTES_MAX} bytes"));
        return Err(wrong);
    }
    let place = |problem: &file::Problem| format!("{name}:{}: {}", problem.line, problem.what);
    let (settings, mut problems) = parse(&text);
    problems.extend(layers::problems(&command, &settings));
    problems.sort_by_key(|problem| problem.line);
    wrong.extend(problems.iter().map(place));
    if wrong.is_empty() { Ok(Configuration { file: Some(path), settings }) } else { Err(wrong) }
}
