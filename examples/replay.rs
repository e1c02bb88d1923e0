//! Embed the referee: derive who was right from a verdict file alone, without the model.
//!
//! ```text
//! rebut run models/digits-cnn.onnx --input models/samples/digit-3.npy --out claim --lie corrupt-state
//! rebut dispute claim --model models/digits-cnn.onnx --verdict verdict.json
//! cargo run --example replay -- verdict.json
//! ```

use dispute::verdict::replay_bytes;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a verdict file")?;
    // Every signature, proof and payment is checked; what the file records is compared at the end.
    let verdict = replay_bytes(&path, &std::fs::read(&path)?)?;
    println!("claim    {}", verdict.claim);
    println!("executor {}", verdict.executor);
    println!("verdict  {}: {}", verdict.verdict, verdict.reason);
    Ok(())
}
