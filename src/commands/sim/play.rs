//! `rebut sim run`, `replay` and `shrink`: single worlds.

use std::path::PathBuf;

use ledger::words;
use serde::Serialize;
use simulation::environments::Environments;
use simulation::scenario::Scenario;
use simulation::shrink::{as_test, shrink as minimise};
use simulation::world::{Ended, outcome_matches};

use super::worlds::{scenario_at, scenario_or_seed};
use crate::arguments::{SimReplay, SimRun, SimShrink};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::print;

#[derive(Debug, Serialize)]
struct Played {
    scenario: String,
    seed: u64,
    expected: String,
    outcome: String,
    as_expected: bool,
    disputes: u64,
    events: u64,
    violations: Vec<String>,
    log_hash: String,
}

/// What the scenario's dishonest parties came to; of the honest ones when there are none.
fn outcome_of(ended: &Ended) -> String {
    let dishonest = ended.groups.iter().filter(|group| !group.honest);
    let codes: Vec<&str> = dishonest.map(|group| group.outcome.as_str()).collect();
    match codes.as_slice() {
        [] => ended.groups.first().map(|group| group.outcome.clone()).unwrap_or_default(),
        [first, ..] => (*first).to_owned(),
    }
}

fn played(scenario: &Scenario, ended: &Ended) -> Played {
    let outcome = outcome_of(ended);
    Played {
        scenario: scenario.name.clone(),
        seed: scenario.seed,
        expected: scenario.expect.clone(),
        as_expected: outcome_matches(&scenario.expect, &outcome),
        outcome,
        disputes: ended.disputes,
        events: ended.events,
        violations: ended
            .violations
            .iter()
            .map(|one| format!("{} at {} ms: {}", one.invariant.name(), one.at_ms, one.detail))
            .collect(),
        log_hash: format!("{:016x}", ended.log_hash),
    }
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let name = path.display().to_string();
        let entries = std::fs::read_dir(path).map_err(|error| system(&name, error))?;
        for entry in entries {
            let path = entry.map_err(|error| system(&name, error))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn scenarios(
    environments: &Environments,
    arguments: &SimRun,
    json: bool,
) -> Result<Ending, CommandError> {
    let mut all = Vec::new();
    for path in files(&arguments.scenario)? {
        let mut scenario = scenario_at(environments, &path)?;
        let first = scenario.seed;
        for seed in 0..arguments.seeds.max(1) {
            scenario.seed = first.wrapping_add(seed);
            let ended = environments.play(&scenario, false)?;
            all.push(played(&scenario, &ended));
        }
    }
    let good = |one: &Played| one.as_expected && one.violations.is_empty();
    let bad = all.iter().filter(|one| !good(one)).count();
    if json {
        print::json(&serde_json::json!({ "scenarios": all }))?;
        return Ok(Ending::falls_if(bad > 0));
    }
    let rows = all.iter().filter(|one| !good(one) || all.len() <= 100).map(|one| {
        let verdict = match (one.as_expected, one.violations.first()) {
            (_, Some(violation)) => format!("BROKEN: {violation}"),
            (true, None) => "as expected".to_owned(),
            (false, None) => format!("expected {}", one.expected),
        };
        let disputes = one.disputes.to_string();
        vec![one.scenario.clone(), one.seed.to_string(), disputes, one.outcome.clone(), verdict]
    });
    print::table(&["scenario", "seed", "disputes", "outcome", ""], rows.collect());
    let worlds = words::count(all.len() as u64, "world", "worlds");
    println!("{} of {worlds} as expected", all.len() - bad);
    Ok(Ending::falls_if(bad > 0))
}

#[derive(Debug, Serialize)]
struct Event {
    at_ms: u64,
    party: String,
    strategy: String,
    action: &'static str,
    outcome: String,
    submission: u64,
}

#[derive(Debug, Serialize)]
struct Replayed {
    #[serde(flatten)]
    played: Played,
    toml: String,
    groups: Vec<GroupLine>,
    log: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct GroupLine {
    name: String,
    strategy: String,
    honest: bool,
    outcome: String,
    profit_wei: String,
}

/// The outcome of a transaction that the ledger took.
const TAKEN: &str = "taken";

fn events(scenario: &Scenario, ended: &Ended) -> Vec<Event> {
    let line = |line: &simulation::world::LogLine| {
        let spec = scenario.party.get(line.group);
        Event {
            at_ms: line.at_ms,
            party: spec.map(|spec| spec.name.clone()).unwrap_or_default(),
            strategy: spec.map(|spec| spec.strategy.clone()).unwrap_or_default(),
            action: line.action.name(),
            outcome: line.outcome.as_ref().err().map_or(TAKEN.to_owned(), Clone::clone),
            submission: line.submission,
        }
    };
    ended.log.iter().map(line).collect()
}

fn tell(events: &[Event]) {
    for event in events {
        println!(
            "{:>9.3} s  #{:<4} {:<16} {:<16} {}",
            event.at_ms as f64 / 1e3,
            event.submission,
            event.party,
            event.action,
            if event.outcome == TAKEN { TAKEN } else { "refused" }
        );
        if event.outcome != TAKEN {
            println!("{}", print::wrapped(&format!("{:18}{}", "", event.outcome), 18));
        }
    }
}

pub(super) fn replay(
    environments: &Environments,
    arguments: &SimReplay,
    json: bool,
) -> Result<Ending, CommandError> {
    let scenario = scenario_or_seed(environments, &arguments.what, arguments.real)?;
    let ended = environments.play(&scenario, true)?;
    let played = played(&scenario, &ended);
    let log = events(&scenario, &ended);
    let broken = !played.violations.is_empty();
    let groups: Vec<GroupLine> = ended
        .groups
        .iter()
        .map(|group| GroupLine {
            name: group.name.clone(),
            strategy: group.strategy.clone(),
            honest: group.honest,
            outcome: group.outcome.clone(),
            profit_wei: group.profit_wei.to_string(),
        })
        .collect();
    if json {
        print::json(&Replayed { played, toml: scenario.to_toml(), groups, log })?;
        return Ok(Ending::falls_if(broken));
    }
    if arguments.scenario {
        println!("{}", scenario.to_toml());
    }
    tell(&log);
    let rows = ended.groups.iter().map(|group| {
        let honest = if group.honest { "honest" } else { "dishonest" };
        let profit = print::ether(group.profit_wei);
        vec![
            group.name.clone(),
            group.strategy.clone(),
            honest.to_owned(),
            group.outcome.clone(),
            profit,
        ]
    });
    print::table(&["party", "strategy", "", "outcome", "profit"], rows.collect());
    for violation in &played.violations {
        println!("{}", print::wrapped(&format!("BROKEN: {violation}"), 8));
    }
    let disputes = words::count(played.disputes, "dispute", "disputes");
    println!("{disputes}, event log {}", played.log_hash);
    Ok(Ending::falls_if(broken))
}

#[derive(Debug, Serialize)]
struct ShrunkReport {
    invariant: Option<&'static str>,
    events: usize,
    tries: u32,
    toml: String,
    test: String,
}

pub(super) fn shrink(
    environments: &Environments,
    arguments: &SimShrink,
    json: bool,
) -> Result<Ending, CommandError> {
    let scenario = scenario_or_seed(environments, &arguments.what, arguments.real)?;
    let Some(shrunk) = minimise(environments, &scenario)? else {
        let (toml, test) = (String::new(), String::new());
        if json {
            print::json(&ShrunkReport { invariant: None, events: 0, tries: 1, toml, test })?;
        } else {
            println!("nothing breaks in this scenario; there is nothing to shrink");
        }
        return Ok(Ending::Done);
    };
    let invariant = shrunk.ended.violations.first().map(|one| one.invariant);
    let toml = shrunk.scenario.to_toml();
    let test = invariant.map(|one| as_test(&shrunk.scenario, one)).unwrap_or_default();
    if let Some(path) = &arguments.out {
        std::fs::write(path, &toml).map_err(|error| system(path.display().to_string(), error))?;
    }
    let count = shrunk.ended.log.len();
    if json {
        let invariant = invariant.map(|one| one.name());
        let tries = shrunk.tries;
        print::json(&ShrunkReport { invariant, events: count, tries, toml, test })?;
        return Ok(Ending::Falls);
    }
    let events_count = words::count(count as u64, "event", "events");
    let plays = words::count(u64::from(shrunk.tries), "play", "plays");
    println!("{events_count}, after {plays}\n\n{toml}");
    tell(&events(&shrunk.scenario, &shrunk.ended));
    for violation in &shrunk.ended.violations {
        println!(
            "BROKEN: {} at {} ms: {}",
            violation.invariant.name(),
            violation.at_ms,
            violation.detail
        );
    }
    println!("\n{test}");
    Ok(Ending::Falls)
}
