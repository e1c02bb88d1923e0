//! One lie against one challenger, many times: a target for a profiler.

use inference::{Engine, Path};
use simulation::arenas::Arenas;
use simulation::scenario::{PartySpec, Scenario};
use simulation::swarm::play;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arenas = Arenas::new(&Engine::new(Path::detect(), 1)?, Vec::new())?;
    let mut scenario = Scenario {
        model: 0,
        party: vec![PartySpec::new("guardian", "prompt"), PartySpec::new("liar", "selective")],
        ..Scenario::default()
    };
    let started = std::time::Instant::now();
    let mut disputes = 0;
    for seed in 0..100_000 {
        scenario.seed = seed;
        disputes += play(arenas.toy(), &scenario, false, false)?.disputes;
    }
    println!("{:.0} disputes/s", disputes as f64 / started.elapsed().as_secs_f64());
    Ok(())
}
