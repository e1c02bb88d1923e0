//! Run a model and make the claim that an executor would post: `cargo run --example run_and_claim`, or with
//! `-- MODEL.onnx INPUT.npy`.

use std::path::Path;

use executor::statement_of;
use inference::files::read_tensors;
use inference::{Engine, ImportOptions, Isa, Runner, import_file};
use protocol::hash::Digest;
use protocol::ids::JobId;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or("models/digits-cnn.onnx".to_owned());
    let input = arguments.next().unwrap_or("models/samples/digit-3.npy".to_owned());
    // The same bits on every path of instructions and at any number of threads.
    let engine = Engine::new(Isa::detect(), 2)?;
    let model = import_file(Path::new(&model), &engine, &ImportOptions::default())?;
    let types: Vec<_> =
        model.input_names().iter().cloned().zip(model.graph().inputs.iter().cloned()).collect();
    let inputs = read_tensors(Path::new(&input), &types)?;
    let runner = Runner::honest(&engine, &model);
    let trace = runner.run(runner.input_state(&inputs)?)?;
    println!("model root  {}", model.root());
    println!("trace root  {}", trace.root());
    // What is claimed, on a job of this id.
    let statement = statement_of(JobId(Digest([7; 32])), model.root(), &trace)
        .ok_or("a model without states")?;
    println!("sequence    {}", statement.terms.sequence_root);
    println!("output root {}", statement.terms.output_root);
    Ok(())
}
