//! `rebut sim`: worlds full of attackers.

mod best_response;
mod explore;
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
    let environments = shipped::environments()?;
    match &arguments.command {
        SimCommand::Run(run) => play::scenarios(&environments, run, json),
        SimCommand::Swarm(swarm) => swarm::run(&environments, swarm, threads, json),
        SimCommand::Replay(replay) => play::replay(&environments, replay, json),
        SimCommand::Shrink(shrink) => play::shrink(&environments, shrink, json),
        SimCommand::Sweep(sweep) => sweep::run(&environments, sweep, threads, json),
        SimCommand::BestResponse(search) => {
            best_response::run(&environments, search, threads, json)
        }
        SimCommand::Explore(search) => explore::run(&environments, search, threads, json),
        SimCommand::Strategies => strategies::run(&environments, json),
        SimCommand::Report(report) => report::run(&environments, report, threads, json),
    }
}
