//! `rebut sim strategies`: who can be sent into a world.

use std::collections::BTreeMap;

use ledger::words;
use serde::Serialize;
use simulation::environments::Environments;
use simulation::scenario::Side;
use simulation::strategy::Numbers;

use crate::ending::Ending;
use crate::error::CommandError;
use crate::print;

#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    side: &'static str,
    honest: bool,
    source: &'static str,
    expect: &'static str,
    summary: &'static str,
    /// The numbers that it takes by `with` in a scenario, and what each is unless given.
    with: BTreeMap<&'static str, u64>,
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Executor => "executor",
        Side::Challenger => "challenger",
        Side::Client => "client",
        Side::Stranger => "stranger",
    }
}

pub(super) fn run(environments: &Environments, json: bool) -> Result<Ending, CommandError> {
    let empty = BTreeMap::new();
    let lines: Vec<Line> = environments
        .toy()
        .catalogue
        .entries()
        .iter()
        .map(|entry| {
            let plan = (entry.plan)(Numbers::of(&empty));
            Line {
                name: entry.name,
                side: side_name(plan.side),
                honest: plan.honest,
                source: entry.source,
                expect: entry.expect,
                summary: entry.summary,
                with: entry.numbers().into_iter().collect(),
            }
        })
        .collect();
    if json {
        print::json(&serde_json::json!({ "strategies": lines }))?;
        return Ok(Ending::Done);
    }
    for line in &lines {
        tell(line);
    }
    println!(
        "\n{}; `with` in a scenario sets their numbers",
        words::count(lines.len() as u64, "strategy", "strategies",)
    );
    Ok(Ending::Done)
}

fn tell(line: &Line) {
    let kind = match (line.honest, line.source) {
        (true, "") => "honest".to_owned(),
        (true, source) => format!("honest, {source}"),
        (false, source) => format!("attack {source}"),
    };
    println!("{:<24} {:<11} {kind}", line.name, line.side);
    println!("{}", print::wrapped(&format!("    {}", line.summary), 4));
    let ends = match line.expect {
        "" => "may end as anything".to_owned(),
        expected => format!("must end as {}", expected.replace('|', ", ")),
    };
    println!("{}", print::wrapped(&format!("    {ends}"), 8));
    if !line.with.is_empty() {
        let numbers: Vec<String> =
            line.with.iter().map(|(name, default)| format!("{name} = {default}")).collect();
        println!("    with {}", numbers.join(", "));
    }
}
