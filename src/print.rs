//! What people and programs read.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::CommandError;

/// Version of all documents that commands print. It counts up when a field goes or changes its meaning;
/// new fields may come at any time.
pub(crate) const SCHEMA: u32 = 1;

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

/// A table that fits the terminal.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    println!("{}", table_text(header, rows));
}

/// A table as text.
pub(crate) fn table_text(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// Wei as ether, exact.
pub(crate) fn ether(wei: i128) -> String {
    let sign = if wei < 0 { "-" } else { "" };
    let magnitude = wei.unsigned_abs();
    let (whole, rest) = (magnitude / 10u128.pow(18), magnitude % 10u128.pow(18));
    let rest = format!("{rest:018}");
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { format!("{sign}{whole} ETH") } else { format!("{sign}{whole}.{rest} ETH") }
}

/// A failure, on standard error; with `--json` as a document on standard output as well.
pub(crate) fn failure(error: &CommandError, as_json: bool) {
    if as_json {
        let document = serde_json::json!({
            "schema": SCHEMA, "error": { "kind": error.kind(), "message": error.to_string() }
        });
        println!("{document:#}");
    }
    eprintln!("error: {error}");
}
