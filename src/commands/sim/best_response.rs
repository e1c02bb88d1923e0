//! `rebut sim best-response`: what the best attack wins.

use simulation::best_response::{Found, Hunt, base, hunt_on};
use simulation::environments::Environments;
use simulation::scenario::{ParameterPatch, Scenario};

use super::worlds::{scenario_at, seed_of};
use crate::arguments::SimBestResponse;
use crate::ending::Ending;
use crate::error::CommandError;
use crate::print;

pub(super) fn run(
    environments: &Environments,
    arguments: &SimBestResponse,
    threads: usize,
    json: bool,
) -> Result<Ending, CommandError> {
    let base = match &arguments.scenario {
        Some(path) => scenario_at(environments, path)?,
        None => base(),
    };
    let plan = Hunt {
        seed: seed_of(&arguments.seed)?,
        plays: arguments.plays.max(1_000),
        gain_milliether: arguments.gain_milliether,
        base,
    };
    let found = hunt_on(environments, &plan, threads)?;
    if json {
        print::json(&found)?;
    } else {
        tell(&found);
    }
    Ok(Ending::falls_if(found.profitable))
}

fn tell(found: &Found) {
    let [mean, low, high] = found.best_ether;
    match &found.outside {
        Some(which) => println!("parameters   OUTSIDE the bounds: {which}"),
        None => println!("parameters   inside the bounds"),
    }
    println!("best attack  {} (of {} + {} plays)", found.strategy, found.plays.0, found.plays.1);
    println!("it wins      {mean:+.4} ether (95 %: {low:+.4} … {high:+.4})");
    println!("best play    {:+.4} ether, of the tree search", found.tree_ether);
    println!("honest play  {:+.4} ether", found.honest_ether);
    if found.profitable {
        println!("PROFITABLE. The play:");
        found.moves.iter().take(60).for_each(|line| println!("{line}"));
        println!("\n{}", found.scenario);
    } else {
        println!("no profitable attack found: a lower bound on what can be won, not a proof");
    }
}

/// Parameter sets for the report: the default, and two outside the bounds.
pub(super) fn sets() -> Vec<(String, Scenario)> {
    let mut short = base();
    short.parameters = ParameterPatch { window_ms_min: Some(500), ..ParameterPatch::default() };
    let mut hasty = base();
    hasty.parameters = ParameterPatch {
        challenger_clock_ms: Some(1_000),
        move_floor_ms: Some(500),
        ..ParameterPatch::default()
    };
    vec![
        ("default".to_owned(), base()),
        ("a window of half a second".to_owned(), short),
        ("a challenger's clock of one second".to_owned(), hasty),
    ]
}
