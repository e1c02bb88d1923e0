//! Disputes per second of the toy worlds on one core, several rounds of the same worlds:
//! `cargo run --release -p simulation --example speed -- WORLDS [CHAOS_PERMILLE HOSTILE_PERMILLE ROUNDS]`.

use std::time::Instant;

use inference::Engine;
use simulation::environments::{Environments, SwarmPlan, swarm};
use simulation::made_up::Shares;

/// Worlds are many small short-lived objects: glibc's allocator was a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One thread: toys are too small to share out.
    let environments = Environments::new(&Engine::new(inference::Isa::detect(), 1)?, Vec::new())?;
    let worlds: u64 = std::env::args().nth(1).map_or(Ok(2_000), |text| text.parse())?;
    let share = |at| std::env::args().nth(at).map_or(Ok(0), |text| text.parse());
    let shares = Shares { chaos_permille: share(2)?, hostile_permille: share(3)? };
    let plan = SwarmPlan { seed: 7, threads: 1, real_permille: 0, shares, worlds: Some(worlds) };
    for round in 0..std::env::args().nth(4).map_or(Ok(3), |text| text.parse())? {
        let started = Instant::now();
        let totals = swarm(&environments, &plan, &|_| true)?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "round {round}: {} worlds, {} disputes, {:.0} disputes/s, {:.0} transactions/s, \
             {} violations, hash {:016x}",
            totals.worlds,
            totals.disputes,
            totals.disputes as f64 / seconds,
            totals.events as f64 / seconds,
            totals.violations.len(),
            totals.log_hash,
        );
        if round == 0 {
            for (seed, _, violation) in totals.violations.iter().take(12) {
                let (name, at_ms) = (violation.invariant.name(), violation.at_ms);
                println!("{seed:016x} {name} at {at_ms}: {}", violation.detail);
            }
            println!("missed: {:?}", totals.sometimes_missed());
        }
    }
    Ok(())
}
