//! `rebut sim report`: everything on one page.

use simulation::arenas::{Arenas, SwarmPlan};
use simulation::best_response::{Hunt, hunt_on};
use simulation::report::{Report, crowd, render};
use simulation::sweep::Sweep;

use super::{best_response, seed_of, swarm, sweep, text_of};
use crate::arguments::SimReport;
use crate::error::{CommandError, system};

/// Sizes of the crowds.
const CROWDS: [u32; 7] = [0, 2, 8, 32, 128, 400, 998];

pub(super) fn run(
    arenas: &Arenas,
    arguments: &SimReport,
    threads: usize,
    json: bool,
) -> Result<bool, CommandError> {
    let seed = seed_of(&arguments.seed)?;
    let plan = SwarmPlan { seed, threads, real_permille: 10, worlds: None };
    let (totals, seconds) = swarm::play(arenas, &plan, Some(arguments.seconds), json)?;
    let points = crowd(arenas, seed, &CROWDS)?;
    let sweep = match &arguments.sweep {
        None => None,
        Some(path) => Some(
            Sweep::parse(&text_of(path)?)
                .map_err(|error| system(path.display().to_string(), error))?,
        ),
    };
    let cells = match &sweep {
        None => Vec::new(),
        Some(sweep) => sweep::play(arenas, sweep, &sweep.cells(), threads, json, |_| Ok(()))?,
    };
    let axes: Vec<String> =
        sweep.iter().flat_map(|sweep| &sweep.axis).map(|axis| axis.field.clone()).collect();
    let mut best = Vec::new();
    if arguments.plays > 0 {
        for (name, base) in best_response::sets() {
            let plays = arguments.plays.max(1_000);
            let plan = Hunt { seed, plays, gain_milliether: 1_000, base };
            best.push((name, hunt_on(arenas, &plan, threads)?));
        }
    }
    let worst = match totals.slowest {
        None => None,
        Some((seed, kind, _)) => {
            let scenario = arenas.made_up(seed, kind)?;
            let ended = arenas.play(&scenario, true)?;
            Some((scenario, ended))
        }
    };
    let failed = !totals.violations.is_empty() || points.iter().any(|point| point.violations > 0);
    let page = render(&Report {
        version: env!("CARGO_PKG_VERSION"),
        seed,
        threads,
        seconds,
        totals: &totals,
        crowd: &points,
        sweep: (!cells.is_empty()).then_some((&axes, &cells)),
        best: &best,
        worst,
    });
    std::fs::write(&arguments.out, &page)
        .map_err(|error| system(arguments.out.display().to_string(), error))?;
    if json {
        crate::print::json(&serde_json::json!({
            "seed": seed,
            "disputes": totals.disputes,
            "violations": totals.violations.len(),
            "crowd": points,
            "file": arguments.out.display().to_string(),
            "bytes": page.len(),
        }))?;
    } else {
        println!("{} ({} kB)", arguments.out.display(), page.len() / 1000);
    }
    Ok(failed)
}
