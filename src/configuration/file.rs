//! Settings from a TOML file, each with the line it stands on. Knows no command.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most bytes of a configuration file.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Where it stands, such as `executor.serve`.
    pub(crate) section: String,
    /// Its name, as the flag is called.
    pub(crate) name: String,
    /// Its values as texts; several for a list.
    pub(crate) values: Vec<String>,
    /// Whether each of them stood there as a text, in quotes.
    pub(crate) quoted: bool,
    /// Line in the file, from 1.
    pub(crate) line: usize,
}

/// What is wrong at a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// What, and what would help.
    pub(crate) what: String,
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// A value as a command line would say it; `None` when none would.
fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::String(text) => Some(vec![text.to_string()]),
        DeValue::Integer(number) if number.radix() == 10 => {
            Some(vec![number.as_str().replace('_', "")])
        }
        DeValue::Boolean(yes) => Some(vec![yes.to_string()]),
        DeValue::Array(items) => {
            let mut all = Vec::new();
            for item in items.iter() {
                match texts(item.get_ref())?.as_slice() {
                    [one] => all.push(one.clone()),
                    _ => return None,
                }
            }
            Some(all)
        }
        _ => None,
    }
}

fn is_quoted(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(_) => true,
        DeValue::Array(items) => items.iter().all(|item| is_quoted(item.get_ref())),
        _ => false,
    }
}

fn walk(
    text: &str,
    section: &str,
    table: &DeTable<'_>,
    settings: &mut Vec<Setting>,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in table.iter() {
        let line = line_of(text, name.span().start);
        let name = name.get_ref().to_string();
        let inside = match section {
            "" => name.clone(),
            _ => format!("{section}.{name}"),
        };
        match value.get_ref() {
            // A command has one action: deeper than that there is nothing.
            DeValue::Table(table) if !section.contains('.') => {
                walk(text, &inside, table, settings, problems);
            }
            value => match texts(value) {
                Some(values) => {
                    let (section, quoted) = (section.to_owned(), is_quoted(value));
                    settings.push(Setting { section, name, values, quoted, line });
                }
                None => problems.push(Problem {
                    line,
                    what: format!(
                        "{inside} must be a text, a decimal number, true, false or a list of them"
                    ),
                }),
            },
        }
    }
}

/// Reads the settings of a file in the order of its lines, and everything that is wrong with the text.
pub(crate) fn parse(text: &str) -> (Vec<Setting>, Vec<Problem>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    let table: Spanned<DeTable<'_>> = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            return (settings, vec![Problem { line, what: error.message().to_owned() }]);
        }
    };
    walk(text, "", table.get_ref(), &mut settings, &mut problems);
    settings.sort_by(|one, other| (one.line, &one.name).cmp(&(other.line, &other.name)));
    (settings, problems)
}
