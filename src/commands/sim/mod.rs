//! `rebut sim`: worlds full of attackers.

mod best_response;
mod play;
mod report;
mod strategies;
mod swarm;
mod sweep;
mod worlds;

use crate::arguments::{Sim, SimCommand};
use crate::ending::Ending;
use crate::error::CommandError;
use crate::shipped;

pub(crate) fn run(arguments: &Sim, json: bool) -> Result<Ending, CommandError> {
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
