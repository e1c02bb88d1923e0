//! Disputes a second on one thread: toy worlds, and worlds of the shipped CNN under the real
//! commitment. `cargo bench --bench simulation`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use inference::{Engine, ImportOptions, Isa, Tensor};
use protocol::tensor::Shape;
use simulation::environments::{Environments, SwarmPlan, swarm};
use simulation::made_up::Shares;
use simulation::scenario::{CommitmentKind, PartySpec, Scenario};
use simulation::swarm::play;

/// Worlds are many small short-lived objects: glibc's allocator was a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(Isa::detect(), 1)?;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let file = root.join("digits-cnn.onnx");
    let cnn = inference::import_file(&file, &engine, &ImportOptions::default())?;
    let image = std::fs::read(root.join("samples/digit-3.npy"))?;
    let pixels = image.get(image.len().saturating_sub(256)..).unwrap_or_default().chunks(4);
    let pixels = pixels.filter_map(|four| Some(f32::from_le_bytes(four.try_into().ok()?)));
    let shape = Shape::new(&[1, 1, 8, 8]).ok_or("shape")?;
    let tensor = Tensor::from_f32(&shape, pixels.collect()).ok_or("image")?;
    let inputs = vec![HashMap::from([("image".to_owned(), tensor)])];
    let environments = Environments::new(&engine, vec![(Arc::new(cnn), inputs)])?;
    println!("{:<44} {:>12} {:>12} {:>16}", "worlds", "disputes", "seconds", "disputes/s");
    let mut rates = Vec::new();
    for (name, real_permille, worlds) in
        [("swarm, toy", 0, 6_000), ("swarm, keccak-256 on digits-cnn", 1_000, 400)]
    {
        let plan = SwarmPlan {
            seed: 1,
            threads: 1,
            real_permille,
            shares: Shares::NONE,
            worlds: Some(worlds),
        };
        // The first round fills the library of runs.
        swarm(&environments, &plan, &|_| true)?;
        let started = Instant::now();
        let totals = swarm(&environments, &plan, &|_| true)?;
        rates.push(row(name, totals.disputes, started.elapsed().as_secs_f64()));
    }
    for (name, commitment) in [
        ("one lie, one challenger, toy", CommitmentKind::Toy),
        ("one lie, one challenger, keccak-256", CommitmentKind::Real),
    ] {
        let mut scenario = Scenario {
            commitment,
            model: 0,
            party: vec![PartySpec::new("guardian", "prompt"), PartySpec::new("liar", "selective")],
            ..Scenario::default()
        };
        let mut round = |worlds: u64| -> Result<u64, Box<dyn std::error::Error>> {
            let mut disputes = 0;
            for seed in 0..worlds {
                scenario.seed = seed;
                let ended = match commitment {
                    CommitmentKind::Toy => play(environments.toy(), &scenario, false, false)?,
                    CommitmentKind::Real => play(environments.real()?, &scenario, false, false)?,
                };
                disputes += ended.disputes;
            }
            Ok(disputes)
        };
        // The first round fills the library of runs here too.
        round(4_000)?;
        let started = Instant::now();
        let disputes = round(40_000)?;
        rates.push(row(name, disputes, started.elapsed().as_secs_f64()));
    }
    if let [toy, real, ..] = rates.as_slice() {
        println!("toy / keccak-256: {:.1}", toy / real);
    }
    Ok(())
}

fn row(name: &str, disputes: u64, seconds: f64) -> f64 {
    let rate = disputes as f64 / seconds;
    println!("{name:<44} {disputes:>12} {seconds:>12.2} {rate:>16.0}");
    rate
}
