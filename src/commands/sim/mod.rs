//! `rebut sim`: worlds full of attackers.

mod best_response;
mod play;
mod report;
mod strategies;
mod swarm;
mod sweep;

use std::path::Path;

use simulation::arenas::Arenas;
use simulation::scenario::{CommitmentKind, SCENARIO_BYTES_MAX, Scenario};

use crate::arguments::{Sim, SimCommand};
use crate::error::{CommandError, system};
use crate::shipped;

pub(crate) fn run(arguments: &Sim, json: bool) -> Result<bool, CommandError> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(all).max(1);
    let arenas = shipped::arenas()?;
    match &arguments.command {
        SimCommand::Run(run) => play::scenarios(&arenas, run, json),
        SimCommand::Swarm(swarm) => swarm::run(&arenas, swarm, threads, json),
        SimCommand::Replay(replay) => play::replay(&arenas, replay, json),
        SimCommand::Shrink(shrink) => play::shrink(&arenas, shrink, json),
        SimCommand::Sweep(sweep) => sweep::run(&arenas, sweep, threads, json),
        SimCommand::BestResponse(search) => best_response::run(&arenas, search, threads, json),
        SimCommand::Strategies => strategies::run(&arenas, json),
        SimCommand::Report(report) => report::run(&arenas, report, threads, json),
    }
}

/// A number, decimal or hexadecimal behind 0x; of more than 16 hexadecimal digits the first count.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => {
            let first: String = digits.chars().take(16).collect();
            u64::from_str_radix(&first, 16).ok()
        }
        None => text.parse().ok(),
    }
}

/// The number behind --seed.
pub(crate) fn seed_of(text: &str) -> Result<u64, CommandError> {
    number(text).ok_or_else(|| CommandError::Argument {
        argument: "--seed",
        reason: format!(
            "{} is no number; use decimal digits, or 0x and hexadecimal ones",
            crate::print::quoted(text)
        ),
    })
}

fn text_of(path: &Path) -> Result<String, CommandError> {
    let name = path.display().to_string();
    let length = std::fs::metadata(path).map_err(|error| system(&name, error))?.len();
    if length > SCENARIO_BYTES_MAX as u64 {
        return Err(system(name, format!("it is longer than {SCENARIO_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| system(name, error))
}

/// A scenario file whose strategies, numbers and lies its world has.
fn scenario_at(arenas: &Arenas, path: &Path) -> Result<Scenario, CommandError> {
    let name = path.display().to_string();
    let scenario = Scenario::parse(&text_of(path)?).map_err(|error| system(&name, error))?;
    arenas.check(&scenario).map_err(|error| system(&name, error))?;
    Ok(scenario)
}

/// A scenario file, or the world of a swarm's seed.
fn scenario_or_seed(arenas: &Arenas, what: &str, real: bool) -> Result<Scenario, CommandError> {
    let path = Path::new(what);
    if path.exists() {
        return scenario_at(arenas, path);
    }
    let seed = number(what).ok_or_else(|| {
        let reason = "no such file, and no seed; give a scenario file (simulation/scenarios holds \
                      some), or a swarm's seed in decimal digits or as 0x and hexadecimal ones";
        system(what, reason)
    })?;
    let kind = if real { CommitmentKind::Real } else { CommitmentKind::Toy };
    Ok(arenas.made_up(seed, kind)?)
}
