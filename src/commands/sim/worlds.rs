//! Which world: a scenario file, or a seed.

use std::path::Path;

use simulation::environments::Environments;
use simulation::scenario::{CommitmentKind, SCENARIO_BYTES_MAX, Scenario};

use crate::error::{CommandError, system};

/// A number, decimal or hexadecimal after 0x; of more than 16 hexadecimal digits the first count.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => {
            let first: String = digits.chars().take(16).collect();
            u64::from_str_radix(&first, 16).ok()
        }
        None => text.parse().ok(),
    }
}

/// The number given with --seed.
pub(super) fn seed_of(text: &str) -> Result<u64, CommandError> {
    number(text).ok_or_else(|| CommandError::Argument {
        argument: "--seed",
        reason: format!(
            "{} is no number; use decimal digits, or 0x and hexadecimal ones",
            crate::print::quoted(text)
        ),
    })
}

pub(super) fn text_of(path: &Path) -> Result<String, CommandError> {
    let name = path.display().to_string();
    let length = std::fs::metadata(path).map_err(|error| system(&name, error))?.len();
    if length > SCENARIO_BYTES_MAX as u64 {
        return Err(system(name, format!("it is longer than {SCENARIO_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| system(name, error))
}

/// A scenario file whose strategies, numbers and lies its world has.
pub(super) fn scenario_at(
    environments: &Environments,
    path: &Path,
) -> Result<Scenario, CommandError> {
    let name = path.display().to_string();
    let scenario = Scenario::parse(&text_of(path)?).map_err(|error| system(&name, error))?;
    environments.check(&scenario).map_err(|error| system(&name, error))?;
    Ok(scenario)
}

/// A scenario file, or the world of a swarm's seed.
pub(super) fn scenario_or_seed(
    environments: &Environments,
    what: &str,
    real: bool,
) -> Result<Scenario, CommandError> {
    let path = Path::new(what);
    if path.exists() {
        return scenario_at(environments, path);
    }
    let seed = number(what).ok_or_else(|| {
        let reason = "no such file, and no seed; give a scenario file (simulation/scenarios holds \
                      some), or a swarm's seed in decimal digits or as 0x and hexadecimal ones";
        system(what, reason)
    })?;
    let kind = if real { CommitmentKind::Real } else { CommitmentKind::Toy };
    Ok(environments.made_up(seed, kind)?)
}
