//! What canonical arithmetic and commitment cost, next to a named peer in the same run.
//!
//! `cargo bench` prints medians of interleaved rounds and ratios, on one thread. Above 1 the peer is
//! slower. It asserts nothing about time.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path as FilePath;
use std::time::Instant;

use burn::tensor::{Device, Tensor as BurnTensor, TensorData};
use inference::{Engine, ImportOptions, Isa, Runner, Tensor, import_file};
use kernels::{LeftRows, PackedRows, Pieces, contract};
use protocol::tensor::Shape;

const ROUNDS: usize = 15;

fn milliseconds(work: &mut dyn FnMut()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}

/// Medians of interleaved rounds.
fn compare(ours: &mut dyn FnMut(), peer: &mut dyn FnMut()) -> (f64, f64) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    ours();
    peer();
    for _ in 0..ROUNDS {
        left.push(milliseconds(ours));
        right.push(milliseconds(peer));
    }
    left.sort_by(f64::total_cmp);
    right.sort_by(f64::total_cmp);
    (left[ROUNDS / 2], right[ROUNDS / 2])
}

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn product(m: usize, n: usize, k: usize) {
    let (left, right) = (numbers(m * k, 1), numbers(n * k, 2));
    let packed = PackedRows::new(&right, n, k);
    let mut out = vec![0.0; m * n];
    let bases: Vec<usize> = (0..m).map(|row| row * k).collect();
    let pieces = Pieces::row(k);
    let mut canonical = || {
        let left = LeftRows { data: &left, bases: &bases, pieces: &pieces };
        contract(Isa::detect(), left, packed.whole(), black_box(&mut out), n);
    };
    let device = Device::flex();
    let a = BurnTensor::<2>::from_data(TensorData::new(left.clone(), [m, k]), &device);
    // burn's product wants [K, N].
    let transposed: Vec<f32> = (0..k * n).map(|at| right[(at % n) * k + at / n]).collect();
    let b = BurnTensor::<2>::from_data(TensorData::new(transposed, [k, n]), &device);
    let mut stock = || {
        black_box(a.clone().matmul(b.clone()).into_data());
    };
    let (ours, peer) = compare(&mut canonical, &mut stock);
    let rate = 2.0 * (m * n * k) as f64 / ours / 1e6;
    println!(
        "product {m} x {k} x {n}: canonical {ours:.3} ms ({rate:.1} GFLOP/s), \
         stock burn {peer:.3} ms, ratio {:.2}",
        peer / ours
    );
}

fn model(name: &str) {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let engine = Engine::new(Isa::detect(), 1).unwrap();
    let path = folder.join(format!("{name}.onnx"));
    let model = import_file(&path, &engine, &ImportOptions::default()).unwrap();
    let shape = Shape::new(&[1, 1, 8, 8]).unwrap();
    let image = Tensor::from_f32(&shape, numbers(64, 3)).unwrap();
    let inputs = HashMap::from([("image".to_owned(), image)]);
    let runner = Runner::honest(&engine, &model);
    let (mut inference, mut commit) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let trace = runner.run(runner.input_state(&inputs).unwrap()).unwrap();
        inference.push(trace.inference.as_secs_f64() * 1e3);
        commit.push(trace.commit.as_secs_f64() * 1e3);
    }
    inference.sort_by(f64::total_cmp);
    commit.sort_by(f64::total_cmp);
    let (inference, commit) = (inference[ROUNDS / 2], commit[ROUNDS / 2]);
    println!(
        "{name}: inference {inference:.3} ms, commitment {commit:.3} ms, ratio {:.2}",
        (inference + commit) / inference
    );
}

fn main() {
    let one = rayon_pool();
    one.install(|| {
        product(128, 1536, 384);
        product(256, 256, 256);
        product(1, 1024, 1024);
    });
    model("digits-cnn");
    model("digits-transformer");
}

/// One thread for the products as well.
fn rayon_pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap()
}
