//! `rebut sim explore`: plays that reach what no play reached before, and what a coalition can win at most.

use std::path::Path;
use std::time::Instant;

use ledger::words;
use serde::Serialize;
use simulation::best_response::{base, outside_bounds};
use simulation::environments::Environments;
use simulation::explore::{Corpus, Explored, Plan, explore};
use simulation::scenario::{CommitmentKind, ScenarioError};
use simulation::worst_cases::{Case, Formula, WorstCases};

use super::worlds::{scenario_at, seed_of};
use crate::arguments::SimExplore;
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::print;

#[derive(Debug, Serialize)]
struct Broken {
    invariant: &'static str,
    at_ms: u64,
    detail: String,
    scenario: String,
}

/// A formula of what parties lose and win, and the case that came nearest to its bound: in wei as text, or in
/// milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct WorstCase {
    who: &'static str,
    formula: &'static str,
    unit: &'static str,
    times: u64,
    found: String,
    allowed: String,
}

pub(super) fn worst_cases(seen: &WorstCases) -> Vec<WorstCase> {
    let row = |(formula, case): (Formula, Case)| WorstCase {
        who: formula.who(),
        formula: formula.bound(),
        unit: if formula.is_time() { "ms" } else { "wei" },
        times: case.times,
        found: case.found.to_string(),
        allowed: case.allowed.to_string(),
    };
    seen.rows().map(row).collect()
}

/// The same as a table for people.
fn tell_worst_cases(seen: &WorstCases) {
    println!("\nwhat came nearest to what the formulas allow");
    let rows = seen.rows().map(|(formula, case)| {
        let times = case.times.to_string();
        let [found, allowed] = case.told(formula);
        vec![formula.who().to_owned(), times, found, allowed, formula.bound().to_owned()]
    });
    print::table(&["who", "times", "found", "allowed", "by this formula"], rows.collect());
}

#[derive(Debug, Serialize)]
struct ExploreReport {
    seed: u64,
    version: &'static str,
    /// Whether the parameters are inside the protocol's bounds, and which is not.
    outside: Option<String>,
    plays: u64,
    disputes: u64,
    seconds: f64,
    /// Pairs of a move with what came of it, and the shape of the state, that were reached.
    shapes: usize,
    /// Plays that reached something new.
    kept: usize,
    /// What all attackers of one world won together at most, beyond what they earned.
    best_wei: i128,
    profitable: bool,
    best_scenario: String,
    /// What came nearest to each bound of what parties lose and win.
    worst_cases: Vec<WorstCase>,
    violations: usize,
    violated: Vec<Broken>,
}

pub(super) fn run(
    environments: &Environments,
    arguments: &SimExplore,
    threads: usize,
    json: bool,
) -> Result<Ending, CommandError> {
    let base = match &arguments.scenario {
        Some(path) => scenario_at(environments, path)?,
        None => base(),
    };
    if base.commitment != CommitmentKind::Toy {
        let (field, bounds) =
            ("commitment".to_owned(), "toy: a search plays small models".to_owned());
        return Err(ScenarioError::Field { field, bounds }.into());
    }
    let outside = outside_bounds(&base);
    let plan = Plan {
        seed: seed_of(&arguments.seed)?,
        plays: arguments.plays,
        threads,
        base,
        gain_milliether: arguments.gain_milliether,
        keep_base: arguments.keep_base,
    };
    let corpus = match &arguments.corpus {
        Some(path) => corpus_at(path)?,
        None => Corpus::default(),
    };
    let started = Instant::now();
    let mut go_on = |known: &Explored| {
        let is_over = arguments.stop_at_profit
            && known.best.as_ref().is_some_and(|(best_wei, _)| *best_wei > 0);
        !is_over
    };
    let found = explore(environments, &plan, &corpus, &mut go_on)?;
    if let Some(path) = &arguments.out {
        let text = toml::to_string(&found.corpus(arguments.keep)).unwrap_or_default();
        std::fs::write(path, text).map_err(|error| system(path.display().to_string(), error))?;
    }
    let report = report(&plan, outside, &found, started.elapsed().as_secs_f64());
    if json {
        print::json(&report)?;
    } else {
        tell(&report, &found.worst_cases);
    }
    Ok(Ending::falls_if(report.profitable || report.violations > 0))
}

fn corpus_at(path: &Path) -> Result<Corpus, CommandError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| system(&name, error))?;
    Corpus::parse(&text).map_err(CommandError::from)
}

fn report(plan: &Plan, outside: Option<String>, found: &Explored, seconds: f64) -> ExploreReport {
    let (best_wei, best_scenario) = found
        .best
        .as_ref()
        .map(|(best_wei, scenario)| (*best_wei, scenario.to_toml()))
        .unwrap_or_default();
    let violated = found.violations.iter().take(20).map(|(scenario, violation)| Broken {
        invariant: violation.invariant.name(),
        at_ms: violation.at_ms,
        detail: violation.detail.clone(),
        scenario: scenario.to_toml(),
    });
    ExploreReport {
        seed: plan.seed,
        version: env!("CARGO_PKG_VERSION"),
        outside,
        plays: found.plays,
        disputes: found.disputes,
        seconds,
        shapes: found.shapes.len(),
        kept: found.kept.len(),
        best_wei,
        profitable: best_wei > 0,
        best_scenario,
        worst_cases: worst_cases(&found.worst_cases),
        violations: found.violations.len(),
        violated: violated.collect(),
    }
}

fn tell(report: &ExploreReport, seen: &WorstCases) {
    match &report.outside {
        Some(which) => println!("parameters   OUTSIDE the bounds: {which}"),
        None => println!("parameters   inside the bounds"),
    }
    println!(
        "played       {} with {} in {:.0} s",
        words::count(report.plays, "world", "worlds"),
        words::count(report.disputes, "dispute", "disputes"),
        report.seconds
    );
    println!(
        "reached      {} of moves and states, by {} that are kept",
        words::count(report.shapes as u64, "shape", "shapes"),
        words::count(report.kept as u64, "world", "worlds")
    );
    let ether = report.best_wei as f64 / 1e18;
    println!("coalition    {ether:+.6} ether beyond what it earned, at most");
    tell_worst_cases(seen);
    for broken in &report.violated {
        let what =
            format!("BROKEN: {} at {} ms: {}", broken.invariant, broken.at_ms, broken.detail);
        println!("{}\n{}", print::wrapped(&what, 8), broken.scenario);
    }
    if report.profitable {
        println!("PROFITABLE. The world:\n\n{}", report.best_scenario);
    } else {
        println!("no coalition wins: a lower bound on what can be won, not a proof");
    }
    println!("{}", words::count(report.violations as u64, "violation", "violations"));
}
