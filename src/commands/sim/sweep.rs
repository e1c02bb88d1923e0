//! `rebut sim sweep`: tables over a scenario's fields.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use ledger::words;
use rayon::prelude::*;
use serde::Serialize;
use simulation::environments::Environments;
use simulation::sweep::{Cell, CellResult, Sweep, csv_line};

use super::worlds::text_of;
use crate::arguments::SimSweep;
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::{print, progress};

#[derive(Debug, Serialize)]
struct SweepReport {
    name: String,
    sweep: String,
    cells: usize,
    played_now: usize,
    broken_cells: usize,
    csv: String,
    results: Vec<CellResult>,
}

/// Plays cells side by side, in the order of their numbers.
pub(super) fn play(
    environments: &Environments,
    sweep: &Sweep,
    cells: &[Cell],
    threads: usize,
    json: bool,
    mut done: impl FnMut(&CellResult) -> Result<(), CommandError>,
) -> Result<Vec<CellResult>, CommandError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| system("threads", error))?;
    let bar = progress::bar(cells.len() as u64, "cells", json);
    let mut results = Vec::new();
    for chunk in cells.chunks(threads.max(1) * 4) {
        let played: Vec<_> =
            pool.install(|| chunk.par_iter().map(|cell| sweep.play(environments, cell)).collect());
        for result in played {
            let result = result?;
            done(&result)?;
            results.push(result);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(results)
}

/// A sweep and its cells. Every field is tried before the first cell is played.
pub(super) fn read(
    environments: &Environments,
    path: &Path,
) -> Result<(Sweep, Vec<Cell>), CommandError> {
    let name = path.display().to_string();
    let sweep = Sweep::parse(&text_of(path)?).map_err(|error| system(&name, error))?;
    let cells = sweep.cells();
    for cell in &cells {
        let scenario = sweep.scenario_of(cell).map_err(|error| system(&name, error))?;
        environments.check(&scenario).map_err(|error| system(&name, error))?;
    }
    Ok((sweep, cells))
}

pub(super) fn run(
    environments: &Environments,
    arguments: &SimSweep,
    threads: usize,
    json: bool,
) -> Result<Ending, CommandError> {
    let name = arguments.sweep.display().to_string();
    let (sweep, cells) = read(environments, &arguments.sweep)?;
    let identity = sweep.identity().map_err(|error| system(&name, error))?;
    let identity = format!("0x{identity:016x}");
    let bound = |mut row: Vec<String>, last: &str| {
        row.push(last.to_owned());
        csv_line(&row)
    };
    let header = bound(sweep.header(), "sweep");
    let known = known_cells(&arguments.csv, &header, &identity)?;
    let rest: Vec<Cell> =
        cells.iter().filter(|cell| !known.contains(&cell.number)).cloned().collect();
    let csv_name = arguments.csv.display().to_string();
    let failed = |error| system(&csv_name, error);
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&arguments.csv)
        .map_err(failed)?;
    if known.is_empty() && file.metadata().map_err(failed)?.len() == 0 {
        writeln!(file, "{header}").map_err(failed)?;
    }
    let results = play(environments, &sweep, &rest, threads, json, |result| {
        writeln!(file, "{}", bound(result.row(), &identity)).map_err(failed)?;
        file.flush().map_err(failed)
    })?;
    if let Some(path) = &arguments.parquet {
        parquet(&arguments.csv, path)?;
    }
    let broken_cells = results.iter().filter(|result| result.broken > 0).count();
    let (count, played_now) = (cells.len(), results.len());
    if json {
        let (name, sweep, csv) = (sweep.name, identity, csv_name);
        print::json(&SweepReport {
            name,
            sweep,
            cells: count,
            played_now,
            broken_cells,
            csv,
            results,
        })?;
    } else {
        let cells = words::count(count as u64, "cell", "cells");
        let broken = match broken_cells {
            0 => "no invariant broke".to_owned(),
            some => {
                format!("{} with a broken invariant", words::count(some as u64, "cell", "cells"))
            }
        };
        let before = match count - played_now {
            0 => String::new(),
            some => format!("; {some} were in the table already and are of this sweep"),
        };
        println!("{csv_name}: {cells}, {played_now} played now ({broken}){before}");
    }
    Ok(Ending::Done)
}

/// Cells that a table already holds, all of this very sweep. A last line that was torn is cut off.
fn known_cells(path: &Path, header: &str, identity: &str) -> Result<BTreeSet<usize>, CommandError> {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(system(name, error)),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut lines = text.get(..whole).unwrap_or_default().lines();
    let other = |what: String| {
        let remedy = "name another file with --csv, or delete this one to play all cells again";
        system(&name, format!("{what}; {remedy}"))
    };
    let mut known = BTreeSet::new();
    match lines.next() {
        Some(first) if first != header => {
            return Err(other(
                "it is not a table of this sweep: its columns are others".to_owned(),
            ));
        }
        _ => {}
    }
    for (number, line) in (2..).zip(lines) {
        let sweep = line.rsplit(',').next().unwrap_or_default();
        if sweep != identity {
            return Err(other(format!(
                "line {number} is of the sweep {sweep}, this one is {identity}: scenario, axes, \
                 worlds, seed or version differ"
            )));
        }
        let cell = line.split(',').next().and_then(|cell| cell.parse().ok());
        known.insert(cell.ok_or_else(|| other(format!("line {number} names no cell")))?);
    }
    if whole < text.len() {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(whole as u64));
        cut.map_err(|error| system(&name, error))?;
    }
    Ok(known)
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Path, _: &Path) -> Result<(), CommandError> {
    Err(CommandError::Argument {
        argument: "--parquet",
        reason: "this binary was built without it; build with --features parquet".to_owned(),
    })
}

/// Writes the table as Parquet: numbers as doubles, everything else as text.
#[cfg(feature = "parquet")]
fn parquet(table: &Path, path: &Path) -> Result<(), CommandError> {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let name = path.display().to_string();
    let failed = |error: &dyn std::fmt::Display| system(&name, error);
    let text = std::fs::read_to_string(table).map_err(|error| failed(&error))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let column = |at: usize| rows.iter().map(move |row| row.get(at).copied().unwrap_or_default());
    let numeric = |at: usize| column(at).all(|cell| cell.parse::<f64>().is_ok());
    let fields: Vec<String> = header
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let name = name.replace('.', "_");
            if numeric(at) {
                format!("required double {name};")
            } else {
                format!("required binary {name} (UTF8);")
            }
        })
        .collect();
    let schema = format!("message sweep {{ {} }}", fields.join(" "));
    let schema = parse_message_type(&schema).map_err(|error| failed(&error))?;
    let file = std::fs::File::create(path).map_err(|error| failed(&error))?;
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), properties)
        .map_err(|error| failed(&error))?;
    let mut group = writer.next_row_group().map_err(|error| failed(&error))?;
    let mut at = 0;
    while let Some(mut column_writer) = group.next_column().map_err(|error| failed(&error))? {
        let written = if numeric(at) {
            let values: Vec<f64> = column(at).filter_map(|cell| cell.parse().ok()).collect();
            column_writer.typed::<DoubleType>().write_batch(&values, None, None)
        } else {
            let values: Vec<ByteArray> = column(at).map(ByteArray::from).collect();
            column_writer.typed::<ByteArrayType>().write_batch(&values, None, None)
        };
        written.map_err(|error| failed(&error))?;
        column_writer.close().map_err(|error| failed(&error))?;
        at += 1;
    }
    group.close().map_err(|error| failed(&error))?;
    writer.close().map_err(|error| failed(&error))?;
    Ok(())
}
