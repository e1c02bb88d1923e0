//! Disputes per second of the toy worlds on one core: `cargo run --release -p simulation --example speed`.

use std::sync::Arc;
use std::time::Instant;

use inference::Engine;
use simulation::library::{Library, TOY_SIZES};
use simulation::scenario::CommitmentKind;
use simulation::strategy::Catalogue;
use simulation::swarm::play_range;
use simulation::toy::Toy;
use simulation::world::Arena;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::detect()?;
    let library = Library::<Toy>::of_toys(engine, &TOY_SIZES)?;
    let arena = Arc::new(Arena { library, catalogue: Catalogue::default() });
    let worlds: u64 = std::env::args().nth(1).map_or(Ok(2000), |text| text.parse())?;
    for round in 0..2 {
        let started = Instant::now();
        let totals = play_range(&arena, 7, CommitmentKind::Toy, 0..worlds)?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "round {round}: {} worlds, {} disputes, {} events, {:.0} disputes/s, {:.0} events/s, {} violations, hash {:016x}",
            totals.worlds,
            totals.disputes,
            totals.events,
            totals.disputes as f64 / seconds,
            totals.events as f64 / seconds,
            totals.violations.len(),
            totals.log_hash,
        );
        if round == 0 {
            for (seed, _, violation) in totals.violations.iter().take(12) {
                println!(
                    "{seed:016x} {} at {}: {}",
                    violation.invariant.name(),
                    violation.at_ms,
                    violation.detail
                );
            }
            println!("missed: {:?}", totals.sometimes_missed());
            for (name, tally) in &totals.strategies {
                println!(
                    "{name:26} {:6} {:6} {:9.4} {:?}",
                    tally.disputes, tally.expected, tally.profit_ether.mean, tally.outcomes
                );
            }
        }
    }
    Ok(())
}
