//! Speed of the contraction kernel alone, in GFLOP/s, on one thread.
use kernels::{Isa, LeftRows, PackedRows, Pieces, contract};
use std::time::Instant;

fn main() {
    for path in Isa::available() {
        for (m, n, k) in [
            (128, 384, 384),
            (128, 1536, 384),
            (128, 384, 1536),
            (128, 1024, 1024),
            (128, 128, 32),
            (128, 32, 128),
            (1, 3072, 768),
            (512, 512, 512),
        ] {
            let left: Vec<f32> = (0..m * k).map(|i| (i % 17) as f32 - 8.0).collect();
            let right: Vec<f32> = (0..n * k).map(|i| (i % 13) as f32 - 6.0).collect();
            let packed = PackedRows::new(&right, n, k);
            let bases: Vec<usize> = (0..m).map(|row| row * k).collect();
            let pieces = Pieces::row(k);
            let mut out = vec![0.0; m * n];
            let rounds = (1e9 / (2 * m * n * k) as f64).ceil() as usize;
            let mut best = f64::MAX;
            for _ in 0..5 {
                let started = Instant::now();
                for _ in 0..rounds {
                    let left = LeftRows { data: &left, bases: &bases, pieces: &pieces };
                    contract(path, left, packed.whole(), std::hint::black_box(&mut out), n);
                }
                best = best.min(started.elapsed().as_secs_f64() / rounds as f64);
            }
            println!(
                "{} {m}x{n}x{k}: {:.1} GFLOP/s",
                path.name(),
                (2 * m * n * k) as f64 / best / 1e9
            );
        }
    }
}
