//! Prints the scenario and the log of one made-up toy world: its seed in hexadecimal.

use std::sync::Arc;

use inference::Engine;
use simulation::library::{Library, TOY_SIZES};
use simulation::scenario::CommitmentKind;
use simulation::strategy::Catalogue;
use simulation::swarm::{dishonest, make_up, play};
use simulation::toy::Toy;
use simulation::world::Arena;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let library = Library::<Toy>::of_toys(Engine::detect()?, &TOY_SIZES)?;
    let arena = Arc::new(Arena { library, catalogue: Catalogue::default() });
    let seed = u64::from_str_radix(&std::env::args().nth(1).ok_or("a seed")?, 16)?;
    let scenario = make_up(&arena, &dishonest(&arena), seed, CommitmentKind::Toy);
    println!("{}", scenario.to_toml());
    let ended = play(&arena, &scenario, true, false)?;
    for line in &ended.log {
        let text = format!("{:?}", line.action);
        let text: String = text.chars().take(170).collect();
        let name = &scenario.party[line.group].strategy;
        println!("{:>8} #{:<4} {:>2} {name:22} {text} {:?}", line.at_ms, line.submission, line.party, line.outcome);
    }
    for violation in &ended.violations {
        println!("{} at {}: {}", violation.invariant.name(), violation.at_ms, violation.detail);
    }
    Ok(())
}
