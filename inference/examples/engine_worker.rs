//! One engine of the engine benchmark (`benches/engines.py` talks to it): loads a model, then runs
//! it once for every line on standard input and answers with milliseconds.
//!
//! `engine_worker MODEL.onnx THREADS`; lines: `plain` (no commitment), `committed` (hashing beside the
//! next layer), `sequential` (hashing between layers), `apart` (operator by operator, no commitment),
//! `subtrace` (the inside of the middle layer), `verify` (every layer again from its state), `memory`
//! (peak resident bytes), `root` (the trace root).

use std::collections::HashMap;
use std::io::BufRead as _;
use std::time::Instant;

use inference::{
    ComputePolicy, Engine, Honest, ImportOptions, Isa, Model, Runner, Tensor, Trace, import_file,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Computes operator by operator.
#[derive(Debug)]
struct Apart;
impl ComputePolicy for Apart {}

fn random_inputs(model: &Model) -> Result<HashMap<String, Tensor>, Failure> {
    let mut state = 7u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let mut inputs = HashMap::new();
    for (name, kind) in model.input_names().iter().zip(&model.graph().inputs) {
        let bits: Vec<u64> = (0..kind.shape.count())
            .map(|_| match kind.element {
                protocol::tensor::ElementType::F32 => u64::from(random().to_bits()),
                _ => u64::from(random() > 0.0),
            })
            .collect();
        inputs.insert(name.clone(), Tensor::from_bits(kind, &bits).ok_or("input")?);
    }
    Ok(inputs)
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let threads = arguments.get(2).ok_or("MODEL.onnx THREADS")?.parse()?;
    let engine = Engine::new(Isa::detect(), threads)?;
    let file = arguments.get(1).ok_or("MODEL.onnx THREADS")?;
    let model: Model = import_file(file.as_ref(), &engine, &ImportOptions::default())?;
    let inputs = random_inputs(&model)?;
    let honest = Runner { engine: &engine, model: &model, compute_policy: &Honest };
    let apart = Runner { engine: &engine, model: &model, compute_policy: &Apart };
    let mut trace: Option<Trace> = None;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if matches!(line.as_str(), "subtrace" | "verify" | "root") && trace.is_none() {
            trace = Some(honest.run(honest.input_state(&inputs)?)?);
        }
        let layers = model.header().layer_count;
        let before = |layer: u32| trace.as_ref().and_then(|trace| trace.state(layer));
        let started = Instant::now();
        match line.as_str() {
            "plain" => drop(honest.infer(&inputs)?),
            "apart" => drop(apart.infer(&inputs)?),
            "committed" => drop(honest.run(honest.input_state(&inputs)?)?),
            "sequential" => drop(honest.run_in_turn(honest.input_state(&inputs)?)?),
            "subtrace" => {
                let state = before(layers / 2).ok_or("no state")?;
                drop(honest.subtrace(layers / 2, state)?);
            }
            "verify" => {
                for layer in 0..layers {
                    let next = honest.next_state(layer, before(layer).ok_or("no state")?)?;
                    if Some(next.root()) != before(layer + 1).map(|state| state.root()) {
                        return Err("a layer differs".into());
                    }
                }
            }
            "memory" => {
                println!("{}", peak_bytes());
                continue;
            }
            "root" => {
                println!("{}", trace.as_ref().map(Trace::root).ok_or("no trace")?);
                continue;
            }
            other => return Err(format!("unknown line {other}").into()),
        }
        println!("{:.4}", started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}
