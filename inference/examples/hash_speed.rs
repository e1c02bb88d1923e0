//! Speed of committing to a tensor, in GB/s: `cargo run --release -p inference --example hash_speed`.

use std::time::Instant;

use inference::Tensor;
use protocol::hash::Keccak;
use protocol::tensor::Shape;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shape = Shape::new(&[4096, 4096]).ok_or("shape")?;
    let count = shape.count();
    let tensor = Tensor::from_f32(&shape, (0..count).map(|at| at as f32).collect());
    let tensor = tensor.ok_or("tensor")?;
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let best = (0..5)
            .map(|_| {
                let started = Instant::now();
                pool.install(|| tensor.root_under::<Keccak>());
                started.elapsed().as_secs_f64()
            })
            .fold(f64::MAX, f64::min);
        println!("{threads} threads: {:.2} GB/s", 4.0 * count as f64 / best / 1e9);
    }
    let started = Instant::now();
    let tree = tensor.tree::<Keccak>().ok_or("tree")?;
    println!("tree of {} leaves: {:.2} s", tree.shape().leaves(), started.elapsed().as_secs_f64());
    Ok(())
}
