//! Where settings come from: flags, environment, a TOML file, defaults, in this order.

pub(crate) mod file;
pub(crate) mod layers;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;

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
fn named(words: &[OsString]) -> Option<PathBuf> {
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
    let mut wrong = if check_environment { environment(&command) } else { Vec::new() };
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
    match wrong.is_empty() {
        true => Ok(Configuration { file: Some(path), settings }),
        false => Err(wrong),
    }
}
