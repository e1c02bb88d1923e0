//! Do rational verifiers still look? Under the plain rule and with attention rewards:
//! `cargo run --release -p simulation --example attention`.

use inference::{Engine, Isa};
use simulation::economy::{Economy, play};
use simulation::environments::Environments;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let environments = Environments::new(&Engine::new(Isa::detect(), 1)?, Vec::new())?;
    println!("a run costs 0.002 ether; 5 verifiers; 3,000 jobs, the second half counted");
    println!("{:>12} {:>24} {:>24} {:>24}", "attention", "watched", "lied", "false and final");
    for attention_microether in [0, 1_000, 2_000, 4_000, 10_000, 20_000] {
        let behaviours =
            play(&environments, &Economy { attention_microether, ..Economy::default() })?;
        let share = |rate: simulation::statistics::Rate| {
            let percent = 100.0 * rate.happened as f64 / rate.of as f64;
            format!("{percent:.1} % ({:.1}–{:.1})", 100.0 * rate.low, 100.0 * rate.high)
        };
        println!(
            "{:>12} {:>24} {:>24} {:>24}",
            attention_microether as f64 / 1e6,
            share(behaviours.watched),
            share(behaviours.lied),
            share(behaviours.false_final)
        );
    }
    Ok(())
}
