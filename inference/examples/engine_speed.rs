//! Time of a model file on this engine, fused and operator by operator:
//! `cargo run --release -p inference --example engine_speed -- MODEL.onnx THREADS`.

use std::collections::HashMap;
use std::time::Instant;

use inference::{Conduct, Engine, Honest, ImportOptions, Path, Runner, Tensor, import_file};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug)]
struct OneByOne;
impl Conduct for OneByOne {}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let threads = arguments[2].parse()?;
    let engine = Engine::new(Path::detect(), threads)?;
    let model = import_file(arguments[1].as_ref(), &engine, &ImportOptions::default())?;
    let mut state = 7u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let mut inputs = HashMap::new();
    for (name, kind) in model.input_names().iter().zip(&model.graph().inputs) {
        let elements = (0..kind.shape.count()).map(|_| random()).collect();
        inputs.insert(name.clone(), Tensor::from_f32(&kind.shape, elements).ok_or("input")?);
    }
    let mut roots = Vec::new();
    for (name, conduct) in [("fused", &Honest as &dyn Conduct), ("one by one", &OneByOne)] {
        let runner = Runner { engine: &engine, model: &model, conduct };
        let mut times = Vec::new();
        for _ in 0..12 {
            let started = Instant::now();
            let trace = runner.run(runner.input_state(&inputs)?)?;
            let total = started.elapsed().as_secs_f64() * 1e3;
            times.push((
                trace.inference.as_secs_f64() * 1e3,
                trace.commit.as_secs_f64() * 1e3,
                total,
            ));
            roots.push(trace.root());
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        println!(
            "{name}: inference min {:.2} median {:.2}, commit {:.2}, total {:.2} ms",
            times[0].0, times[6].0, times[6].1, times[6].2
        );
    }
    println!("same roots: {}", roots.iter().all(|root| *root == roots[0]));
    Ok(())
}
