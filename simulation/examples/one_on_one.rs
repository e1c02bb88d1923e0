//! One lie against one challenger, many times: a target for a profiler.

use inference::{Engine, Isa};
use simulation::environments::Environments;
use simulation::scenario::{PartySpec, Scenario};
use simulation::swarm::play;

/// Worlds are many small short-lived objects: glibc's allocator was a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let environments = Environments::new(&Engine::new(Isa::detect(), 1)?, Vec::new())?;
    let mut scenario = Scenario {
        model: 0,
        party: vec![PartySpec::new("guardian", "prompt"), PartySpec::new("liar", "selective")],
        ..Scenario::default()
    };
    // Lies at once, and challengers at once.
    let number = |at: usize| std::env::args().nth(at).and_then(|text| text.parse().ok());
    scenario.party[1].count = number(1).unwrap_or(1);
    scenario.party[0].count = number(2).unwrap_or(1);
    let started = std::time::Instant::now();
    let mut disputes = 0;
    let worlds = number(3).unwrap_or(60_000) / (scenario.party[0].count * scenario.party[1].count);
    for seed in 0..u64::from(worlds) {
        scenario.seed = seed;
        disputes += play(environments.toy(), &scenario, false, false)?.disputes;
    }
    println!("{:.0} disputes/s", disputes as f64 / started.elapsed().as_secs_f64());
    Ok(())
}
