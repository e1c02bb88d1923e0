//! `rebut sim report`: everything on one page.

use std::time::{SystemTime, UNIX_EPOCH};

use ledger::words;
use simulation::best_response::{Found, Hunt, hunt_on};
use simulation::environments::{Environments, SwarmPlan};
use simulation::made_up::{Shares, honest};
use simulation::report::{Report, crowd, render};
use simulation::scenario::Scenario;
use simulation::swarm::Totals;
use simulation::sweep::CellResult;
use simulation::world::Ended;

use super::worlds::seed_of;
use super::{best_response, swarm, sweep};
use crate::arguments::SimReport;
use crate::ending::Ending;
use crate::error::{CommandError, system};

/// Sizes of the crowds.
const CROWDS: [u32; 7] = [0, 2, 8, 32, 128, 400, 998];

/// The commit that this program was built from: what the build says (`REBUT_COMMIT`), or the checkout around
/// the program, where it lies in one.
fn commit() -> String {
    if let Some(commit) = option_env!("REBUT_COMMIT") {
        return commit.to_owned();
    }
    let described = || {
        let program = std::env::current_exe().ok()?;
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(program.parent()?)
            .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let text = text.trim();
        (output.status.success() && !text.is_empty()).then(|| text.to_owned())
    };
    described().unwrap_or_else(|| "unknown".to_owned())
}

/// The command that makes this report.
fn command_line(arguments: &SimReport, threads: usize) -> String {
    let mut line = format!(
        "rebut sim report --seed {} --seconds {} --plays {} --threads {threads}",
        arguments.seed, arguments.seconds, arguments.plays
    );
    if let Some(sweep) = &arguments.sweep {
        line.push_str(&format!(" --sweep {}", sweep.display()));
    }
    line
}

/// The sweep that is asked for: its axes, and its cells played.
fn swept(
    environments: &Environments,
    arguments: &SimReport,
    threads: usize,
    json: bool,
) -> Result<(Vec<String>, Vec<CellResult>), CommandError> {
    let Some(path) = &arguments.sweep else {
        return Ok(Default::default());
    };
    let sweep = sweep::read(environments, path)?.0;
    let cells = sweep::play(environments, &sweep, &sweep.cells(), threads, json, |_| Ok(()))?;
    Ok((sweep.axis.iter().map(|axis| axis.field.clone()).collect(), cells))
}

/// The best attack found against each set of parties, in so many plays each; none without plays.
fn best(
    environments: &Environments,
    seed: u64,
    plays: u64,
    threads: usize,
) -> Result<Vec<(String, Found)>, CommandError> {
    let mut best = Vec::new();
    if plays > 0 {
        for (name, base) in best_response::sets() {
            let plays = plays.max(1_000);
            let plan = Hunt { seed, plays, gain_milliether: 1_000, base };
            best.push((name, hunt_on(environments, &plan, threads)?));
        }
    }
    Ok(best)
}

/// The slowest world, played again with its log.
fn worst(
    environments: &Environments,
    totals: &Totals,
) -> Result<Option<(Scenario, Ended)>, CommandError> {
    let Some((seed, kind, _)) = totals.slowest else {
        return Ok(None);
    };
    let scenario = environments.made_up(seed, kind)?;
    let ended = environments.play(&scenario, true)?;
    Ok(Some((scenario, ended)))
}

pub(super) fn run(
    environments: &Environments,
    arguments: &SimReport,
    threads: usize,
    json: bool,
) -> Result<Ending, CommandError> {
    let seed = seed_of(&arguments.seed)?;
    let plan =
        SwarmPlan { seed, threads, real_permille: 10, shares: Shares::default(), worlds: None };
    let (totals, seconds) = swarm::play(environments, &plan, Some(arguments.seconds), json)?;
    let points = crowd(environments, seed, &CROWDS)?;
    let (axes, cells) = swept(environments, arguments, threads, json)?;
    let best = best(environments, seed, arguments.plays, threads)?;
    let worst = worst(environments, &totals)?;
    let failed = !totals.violations.is_empty() || points.iter().any(|point| point.violations > 0);
    let honest = honest(environments.toy());
    let (commit, command) = (commit(), command_line(arguments, threads));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let made_at = words::moment(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let page = render(&Report {
        version: env!("CARGO_PKG_VERSION"),
        commit: &commit,
        made_at: &made_at,
        command: &command,
        honest: &honest,
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
            "commit": commit,
            "made_at": made_at,
            "command": command,
            "disputes": totals.disputes,
            "violations": totals.violations.len(),
            "crowd": points,
            "file": arguments.out.display().to_string(),
            "bytes": page.len(),
        }))?;
    } else {
        println!("{} ({} kB)", arguments.out.display(), page.len() / 1000);
    }
    Ok(Ending::falls_if(failed))
}
