//! Scans the elementary functions over all stored binary32 values: largest error in units in the
//! last place against a binary64 reference, breaks of monotonicity, and differences between the
//! float unit with and without a fused multiply-add instruction.
//!
//! `cargo run --release -p inference --example elementary_scan [STRIDE]`; a stride of 1 (all 2^32
//! patterns) takes some minutes.
#![allow(clippy::unwrap_used)]

use kernels::{Isa, Portable, Unary, map_unary};
use protocol::numerics::{Arithmetic, elementary, store};

type Row = (&'static str, Unary, fn(f64) -> f64, fn(Portable) -> Portable);

fn unit(value: f64) -> f64 {
    let bits = (value.abs() as f32).to_bits();
    let next = f32::from_bits(bits.saturating_add(1).min(0x7F7F_FFFF));
    let below = f32::from_bits(bits.min(0x7F7F_FFFE));
    f64::from(next) - f64::from(below)
}

fn main() {
    let stride: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let rows: [Row; 6] = [
        ("exp", Unary::Exponential, f64::exp, elementary::exp),
        ("log", Unary::Logarithm, f64::ln, elementary::log),
        ("tanh", Unary::Tanh, f64::tanh, elementary::tanh),
        ("erf", Unary::Erf, libm::erf, elementary::erf),
        ("atan", Unary::ArcTangent, f64::atan, elementary::atan),
        ("sigmoid", Unary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), elementary::sigmoid),
    ];
    for (name, unary, reference, portable) in rows {
        let (mut worst, mut worst_at, mut breaks, mut differ, mut count) =
            (0.0f64, 0.0, 0, 0, 0u64);
        for negative in [true, false] {
            let mut last = f64::NEG_INFINITY;
            // Ascending values: negative ones from the largest magnitude down.
            for first in (0x2B80_0000u32..0x7F80_0000).step_by(stride << 16) {
                let end = (first as usize + (stride << 16)).min(0x7F80_0000) as u32;
                let patterns = (first..end).step_by(stride);
                let block: Vec<f32> = if negative {
                    patterns
                        .map(|bits| f32::from_bits((0x7F7F_FFFF - (bits - 0x2B80_0000)) | 1 << 31))
                        .collect()
                } else {
                    patterns.map(f32::from_bits).collect()
                };
                let mut found = vec![0.0; block.len()];
                map_unary(Isa::detect(), unary, &block, &mut found);
                for (x, y) in block.iter().zip(&found) {
                    count += 1;
                    let own = portable(Portable::from_bits(x.to_bits())).to_bits();
                    differ += u64::from(store(own) != y.to_bits());
                    let exact = reference(f64::from(*x));
                    if y.is_nan()
                        || exact.abs() < 2f64.powi(-40)
                        || exact.abs() > f64::from(f32::MAX)
                    {
                        continue;
                    }
                    let error = (f64::from(*y) - exact).abs() / unit(exact);
                    if error > worst {
                        (worst, worst_at) = (error, *x);
                    }
                    breaks += u64::from(f64::from(*y) < last);
                    last = f64::from(*y);
                }
            }
        }
        println!(
            "{name}: {count} values, worst {worst:.3} ulp at {worst_at:e}, {breaks} breaks of \
             monotonicity, {differ} differences between paths"
        );
    }
}
