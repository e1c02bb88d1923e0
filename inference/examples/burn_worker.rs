//! Stock burn as a peer of the engine benchmark (`benches/engines.py` talks to it): two of the
//! benchmark's networks in burn's own operations, with random weights.
//!
//! `burn_worker mlp-1024|encoder-b1|encoder-b8`; every line on standard input is a run, answered with
//! milliseconds (`memory`: peak resident bytes). Threads: RAYON_NUM_THREADS.

use std::io::BufRead as _;
use std::time::Instant;

use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Device, Tensor, TensorData};

type Failure = Box<dyn std::error::Error>;

struct Weights {
    device: Device,
    state: u32,
}

impl Weights {
    fn random<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let scale = (shape[0] as f32).powf(-0.5);
        let count = shape.iter().product();
        let mut next = || {
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((self.state >> 8) as f32 / 8_388_608.0 - 1.0) * scale
        };
        let values: Vec<f32> = (0..count).map(|_| next()).collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}

/// `x · w + b`.
struct Linear(Tensor<2>, Tensor<1>);

impl Linear {
    fn new(weights: &mut Weights, fan_in: usize, fan_out: usize) -> Self {
        Self(weights.random([fan_in, fan_out]), weights.random([fan_out]))
    }

    fn run(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.0.clone()) + self.1.clone().unsqueeze()
    }
}

struct Norm(Tensor<1>, Tensor<1>);

impl Norm {
    fn new(weights: &mut Weights, width: usize) -> Self {
        Self(weights.random([width]), weights.random([width]))
    }

    fn run(&self, x: Tensor<2>) -> Tensor<2> {
        let centred = x.clone() - x.mean_dim(1);
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        centred / (variance + 1e-5).sqrt() * self.0.clone().unsqueeze() + self.1.clone().unsqueeze()
    }
}

struct Block {
    attention: [Linear; 4],
    wide: [Linear; 2],
    norms: [Norm; 2],
}

impl Block {
    fn run(&self, x: Tensor<2>, batch: usize) -> Tensor<2> {
        let heads =
            |linear: &Linear| linear.run(x.clone()).reshape([batch, 128, 12, 32]).swap_dims(1, 2);
        let [query, key, value, out] = &self.attention;
        let scores = heads(query).matmul(heads(key).swap_dims(2, 3)) / 32f32.sqrt();
        let mixed = softmax(scores, 3).matmul(heads(value)).swap_dims(1, 2);
        let mixed = out.run(mixed.reshape([batch * 128, 384]));
        let x = self.norms[0].run(mixed + x);
        let wide = self.wide[1].run(gelu(self.wide[0].run(x.clone())));
        self.norms[1].run(wide + x)
    }
}

type Network = Box<dyn Fn() -> Tensor<2>>;

fn encoder(weights: &mut Weights, batch: usize) -> Network {
    let blocks: Vec<Block> = (0..6)
        .map(|_| Block {
            attention: std::array::from_fn(|_| Linear::new(weights, 384, 384)),
            wide: [Linear::new(weights, 384, 1536), Linear::new(weights, 1536, 384)],
            norms: std::array::from_fn(|_| Norm::new(weights, 384)),
        })
        .collect();
    let x = weights.random([batch * 128, 384]);
    Box::new(move || blocks.iter().fold(x.clone(), |x, block| block.run(x, batch)))
}

fn perceptron(weights: &mut Weights) -> Network {
    let layers: Vec<(Linear, Norm)> =
        (0..6).map(|_| (Linear::new(weights, 1024, 1024), Norm::new(weights, 1024))).collect();
    let x = weights.random([128, 1024]);
    Box::new(move || {
        layers.iter().fold(x.clone(), |x, (linear, norm)| norm.run(gelu(linear.run(x))))
    })
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn main() -> Result<(), Failure> {
    let name = std::env::args().nth(1).ok_or("mlp-1024, encoder-b1 or encoder-b8")?;
    let mut weights = Weights { device: Device::flex(), state: 5 };
    let network = match name.as_str() {
        "mlp-1024" => perceptron(&mut weights),
        "encoder-b1" => encoder(&mut weights, 1),
        "encoder-b8" => encoder(&mut weights, 8),
        other => {
            return Err(format!("{other} is not among mlp-1024, encoder-b1, encoder-b8").into());
        }
    };
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        if line? == "memory" {
            println!("{}", peak_bytes());
            continue;
        }
        let started = Instant::now();
        let data = network().into_data();
        println!("{:.4}", started.elapsed().as_secs_f64() * 1e3);
        drop(data);
    }
    Ok(())
}
