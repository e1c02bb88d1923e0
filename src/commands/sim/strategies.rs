//! `rebut sim strategies`: who can be sent into a world.

use std::collections::BTreeMap;

use serde::Serialize;
use simulation::arenas::Arenas;
use simulation::strategy::Numbers;

use crate::error::CommandError;
use crate::print;

#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    side: simulation::scenario::Side,
    honest: bool,
    source: &'static str,
    expect: &'static str,
    summary: &'static str,
}

pub(super) fn run(arenas: &Arenas, json: bool) -> Result<bool, CommandError> {
    let empty = BTreeMap::new();
    let lines: Vec<Line> = arenas
        .toy()
        .catalogue
        .entries()
        .iter()
        .map(|entry| {
            let plan = (entry.plan)(Numbers(&empty));
            Line {
                name: entry.name,
                side: plan.side,
                honest: plan.honest,
                source: entry.source,
                expect: entry.expect,
                summary: entry.summary,
            }
        })
        .collect();
    if json {
        print::json(&serde_json::json!({ "strategies": lines }))?;
        return Ok(false);
    }
    let rows = lines.iter().map(|line| {
        let side = format!("{:?}", line.side).to_lowercase();
        let honest = if line.honest { "honest" } else { "" };
        [line.name, &side, honest, line.source, line.expect, line.summary]
            .map(str::to_owned)
            .to_vec()
    });
    print::table(&["strategy", "side", "", "attack", "must end as", ""], rows.collect());
    println!("{} strategies", lines.len());
    Ok(false)
}
