//! What people and programs read.
//!
//! `print!`, `println!` and `eprintln!` of the standard library panic when nobody reads any more, as in
//! `rebut inspect MODEL | head -1`. Those below stand in their place in this whole crate: once standard
//! output cannot be written, the command unwinds (temporary folders go, no message appears) and the
//! process ends with [`Ending::Unread`].

use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::ending::Ending;
use crate::error::CommandError;

macro_rules! print {
    ($($text:tt)*) => { $crate::print::out(format_args!($($text)*)) };
}
macro_rules! println {
    () => { $crate::print::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::out(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::print::err(format_args!($($text)*)) };
}

/// Why the command unwinds: its standard output cannot be written.
#[derive(Debug)]
pub(crate) struct Unwritten(std::io::Error);

impl Unwritten {
    /// How the process ends. A closed pipe is nothing to speak of; anything else is.
    pub(crate) fn ending(&self) -> Ending {
        if self.0.kind() == ErrorKind::BrokenPipe {
            return Ending::Unread;
        }
        eprintln!("error: standard output: {}", self.0);
        Ending::Failed
    }
}

/// Writes to standard output. When that cannot be done the command unwinds to `main`.
pub(crate) fn out(text: Arguments<'_>) {
    if let Err(error) = std::io::stdout().lock().write_fmt(text) {
        std::panic::resume_unwind(Box::new(Unwritten(error)));
    }
}

/// Writes what is still kept back.
pub(crate) fn flush() -> Result<(), Unwritten> {
    std::io::stdout().lock().flush().map_err(Unwritten)
}

/// Writes a line to standard error; if nobody reads that either, there is nobody to tell.
pub(crate) fn err(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Version of all documents that commands print. It counts up when a field goes or changes its meaning;
/// new fields may come at any time.
pub(crate) const SCHEMA: u32 = 6;

#[derive(Serialize)]
struct Versioned<'a, T> {
    schema: u32,
    #[serde(flatten)]
    document: &'a T,
}

/// Prints a value, which must have named fields, as one JSON document with the schema's version.
pub(crate) fn json<T: Serialize>(document: &T) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(&Versioned { schema: SCHEMA, document })
        .map_err(|error| crate::error::system("standard output", error))?;
    println!("{text}");
    Ok(())
}

/// As [`json`], on one line.
pub(crate) fn line<T: Serialize>(document: &T) -> Result<String, CommandError> {
    serde_json::to_string(&Versioned { schema: SCHEMA, document })
        .map_err(|error| crate::error::system("standard output", error))
}

/// Columns of text where no terminal says how many it has.
pub(crate) const WIDTH: u16 = 80;

/// Prints a table that fits the terminal; 80 columns elsewhere.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = laid_out(header, rows);
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    println!("{}", trimmed(&table));
}

/// A table as text, as wide as it needs.
pub(crate) fn table_text(header: &[&str], rows: Vec<Vec<String>>) -> String {
    laid_out(header, rows).to_string()
}

/// Without the blanks that fill the last column.
fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Breaks text into lines of 80 columns; all but the first are indented by so many.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let rest = text.trim_start_matches(' ');
    let mut line = " ".repeat(text.len() - rest.len());
    let (mut lines, mut fresh) = (Vec::new(), true);
    for word in rest.split(' ') {
        let width = line.chars().count() + 1 + word.chars().count();
        if !fresh && width > usize::from(WIDTH) {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(word);
        fresh = false;
    }
    lines.push(line);
    lines.join("\n")
}

fn laid_out(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table
}

/// What a user typed, in quotes; control characters do not reach the terminal.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// Wei as ether, exact.
pub(crate) fn ether(wei: i128) -> String {
    let sign = if wei < 0 { "-" } else { "" };
    format!("{sign}{}", protocol::settlement::Ether(wei.unsigned_abs()))
}

/// A failure, on standard error; with `--json` as a document on standard output as well.
pub(crate) fn failure(error: &CommandError, as_json: bool) {
    let message = crate::error::plain(&error.to_string());
    // A document that says what is missing is there already.
    if as_json && !matches!(error, CommandError::Incomplete) {
        let mut told = serde_json::json!({ "kind": error.kind(), "message": message });
        if let Some(code) = error.code() {
            told["code"] = code.into();
        }
        let document = serde_json::json!({ "schema": SCHEMA, "error": told });
        println!("{document:#}");
    }
    eprintln!("error: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_between_words_within_the_width() {
        let text = "one two three ".repeat(20);
        let lines = wrapped(text.trim(), 4);
        assert!(lines.lines().count() > 3);
        for line in lines.lines() {
            assert!(line.len() <= usize::from(WIDTH), "{line}");
        }
        assert!(lines.lines().skip(1).all(|line| line.starts_with("    ")));
        let words: Vec<&str> = lines.split_whitespace().collect();
        assert_eq!(words.join(" "), text.trim());
        assert_eq!(wrapped("  short  text", 4), "  short  text");
        let long = "x".repeat(100);
        assert_eq!(wrapped(&long, 2), long);
    }
}
