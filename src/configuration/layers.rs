//! Settings under the flags: a command line whose defaults come from a file.
//!
//! Flags go before the environment, the environment before the file, the file before the defaults.

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, Command, ValueHint};

use super::file::{Problem, Setting};

/// Section whose settings hold for every command that has a flag of the name.
pub(crate) const COMMON: &str = "common";

/// Flags that make no sense in a file: they choose the file, or are for one call.
const NOT_IN_FILES: [&str; 5] = ["help", "version", "config", "lie", "dev"];
/// What one call reads and writes: from a file, the next call would read or replace the same.
const OF_ONE_CALL: [&str; 4] = ["input", "job", "out", "receipt"];

/// Whether a flag may be set by a file. A ledger's folder is none: `[common]` has a ledger's address.
pub(crate) fn is_setting(arg: &Arg) -> bool {
    let none = |long: &str| NOT_IN_FILES.contains(&long) || OF_ONE_CALL.contains(&long);
    let is_folder = |long: &str| long == "ledger" && arg.get_value_hint() == ValueHint::AnyPath;
    arg.get_long().is_some_and(|long| !none(long) && !is_folder(long))
}

fn setting_of<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| is_setting(arg) && arg.get_long() == Some(name))
}

/// The commands that take settings: those without a subcommand, by their sections.
pub(crate) fn leaves(command: &Command) -> Vec<(String, &Command)> {
    let mut found = Vec::new();
    let shown = |sub: &&Command| sub.get_name() != "help" && !sub.is_hide_set();
    for sub in command.get_subcommands().filter(shown) {
        let inner = leaves(sub);
        if inner.is_empty() {
            found.push((sub.get_name().to_owned(), sub))
        } else {
            found.extend(
                inner.into_iter().map(|(name, leaf)| (format!("{}.{name}", sub.get_name()), leaf)),
            )
        }
    }
    found
}

/// What is wrong with a value for a flag; the flag is looked at alone.
pub(crate) fn wrong(leaf: &Command, arg: &Arg, values: &[String]) -> Option<String> {
    let name = arg.get_long()?;
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        let is_bool = matches!(values, [one] if one == "true" || one == "false");
        return (!is_bool).then(|| "must be true or false".to_owned());
    }
    if values.len() > 1 && !matches!(arg.get_action(), ArgAction::Append) {
        return Some("takes one value, not a list".to_owned());
    }
    let alone = leaf.clone().mut_args(|arg| arg.required(false).env(None::<&str>));
    let words = values.iter().map(|value| format!("--{name}={value}"));
    let parsed = alone.try_get_matches_from(std::iter::once(String::new()).chain(words));
    let error = parsed.err()?;
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::NoEquals => {}
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {}
        // Another flag that it needs may be given where this one is used.
        _ => return None,
    }
    let value = values.join(", ");
    let because = std::error::Error::source(&error).map(|error| format!(": {error}"));
    let possible = match error.get(ContextKind::ValidValue) {
        Some(possible) => format!("; it may be {possible}"),
        None => String::new(),
    };
    Some(format!(
        "{} is no {name}{}{possible}",
        crate::print::quoted(&value),
        because.unwrap_or_default()
    ))
}

/// The name that is meant by one that does not exist, if one is near.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| {
        let mut row: Vec<usize> = (0..=name.len()).collect();
        for (i, a) in wanted.bytes().enumerate() {
            let mut last = i;
            for (j, b) in name.bytes().enumerate() {
                let (above, left) = (row[j + 1], if j == 0 { i + 1 } else { row[j] });
                let best = (last + usize::from(a != b)).min(above + 1).min(left + 1);
                (last, row[j + 1]) = (above, best);
            }
            row[0] = i + 1;
        }
        row[name.len()]
    };
    names
        .map(|name| (distance(name), name))
        .min()
        // What has hardly a letter in common is no misspelling.
        .filter(|(far, name)| *far <= 3 && 2 * far <= wanted.len().max(name.len()))
        .map(|(_, name)| name)
}

/// Everything that is wrong with settings for these commands.
pub(crate) fn problems(command: &Command, settings: &[Setting]) -> Vec<Problem> {
    let leaves = leaves(command);
    let mut problems = Vec::new();
    for setting in settings {
        let Setting { section, name, values, quoted, line } = setting;
        let mut tell = |what: String| problems.push(Problem { line: *line, what });
        let at: Vec<_> =
            leaves.iter().filter(|(path, _)| section == COMMON || path == section).collect();
        if at.is_empty() {
            let sections = leaves.iter().map(|(path, _)| path.as_str()).chain([COMMON]);
            let hint = match nearest(section, sections) {
                Some(near) => format!("; did you mean [{near}]?"),
                None => {
                    format!("; settings stand in sections such as [{COMMON}] or [executor.serve]")
                }
            };
            tell(format!("[{section}] {name}: no such section{hint}"));
            continue;
        }
        let known: Vec<_> =
            at.iter().filter_map(|(_, leaf)| Some((leaf, setting_of(leaf, name)?))).collect();
        let Some((_, arg)) = known.first() else {
            let names = || at.iter().flat_map(|(_, leaf)| leaf.get_arguments());
            let name = name.as_str();
            if OF_ONE_CALL.contains(&name) && names().any(|arg| arg.get_long() == Some(name)) {
                tell(format!("[{section}] {name}: is for one call; give it as --{name} there"));
                continue;
            }
            let names = names().filter(|arg| is_setting(arg)).filter_map(Arg::get_long);
            let near = nearest(name, names);
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            tell(format!("[{section}] {name}: no such setting{hint}"));
            continue;
        };
        if !quoted && arg.get_value_hint() == ValueHint::AnyPath {
            tell(format!("[{section}] {name}: must be a path in quotes"));
            continue;
        }
        // A common setting is each command's: what one of them cannot take is wrong.
        if let Some(wrong) = known.iter().find_map(|(leaf, arg)| wrong(leaf, arg, values)) {
            tell(format!("[{section}] {name}: {wrong}"));
        }
    }
    problems
}

/// The setting that holds for a flag of a command: its own section's before the common one's.
pub(crate) fn holding<'a>(
    settings: &'a [Setting],
    section: &str,
    name: &str,
) -> Option<&'a Setting> {
    let of = |wanted: &str| {
        settings.iter().find(|setting| setting.section == wanted && setting.name == name)
    };
    of(section).or_else(|| of(COMMON))
}

fn leaf_with(leaf: Command, section: &str, settings: &[Setting]) -> Command {
    leaf.mut_args(|arg| {
        let name = arg.get_long().filter(|_| is_setting(&arg));
        match name.and_then(|name| holding(settings, section, name)) {
            Some(setting) => arg.required(false).default_values(&setting.values),
            None => arg,
        }
    })
}

/// The same commands with a file's settings as defaults.
pub(crate) fn layered(command: Command, settings: &[Setting]) -> Command {
    fn walk(command: Command, path: &str, settings: &[Setting]) -> Command {
        if command.get_subcommands().next().is_none() {
            return leaf_with(command, path, settings);
        }
        command.mut_subcommands(|sub| {
            let name = sub.get_name();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            walk(sub, &path, settings)
        })
    }
    walk(command, "", settings)
}
