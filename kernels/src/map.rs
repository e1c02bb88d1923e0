//! Elementwise functions that approximate.

use protocol::numerics::{Arithmetic, elementary, store};
use rayon::prelude::*;

use crate::{Isa, on_isa};

/// A function of one element whose bits are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// e^x.
    Exponential,
    /// Natural logarithm.
    Logarithm,
    /// Hyperbolic tangent.
    Tanh,
    /// Error function.
    Erf,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// Sine, of magnitudes under 2^20.
    Sine,
    /// Cosine, of magnitudes under 2^20.
    Cosine,
    /// Arc tangent.
    ArcTangent,
}

/// Applies a function to every element, followed by rule Q.
///
/// # Panics
/// When there is not one element of `out` for each of `input`.
pub fn map_unary(isa: Isa, function: Unary, input: &[f32], out: &mut [f32]) {
    const BLOCK: usize = 4096;
    assert_eq!(input.len(), out.len(), "not one result for each element");
    out.par_chunks_mut(BLOCK).zip(input.par_chunks(BLOCK)).for_each(|(out, input)| {
        on_isa!(isa, body (function: Unary, input: &[f32], out: &mut [f32]));
    });
}

#[inline(always)]
fn body<A: Arithmetic>(function: Unary, input: &[f32], out: &mut [f32]) {
    match function {
        Unary::Exponential => each::<A>(input, out, elementary::exp),
        Unary::Logarithm => each::<A>(input, out, elementary::log),
        Unary::Tanh => each::<A>(input, out, elementary::tanh),
        Unary::Erf => each::<A>(input, out, elementary::erf),
        Unary::Sigmoid => each::<A>(input, out, elementary::sigmoid),
        Unary::Sine => each::<A>(input, out, elementary::sin),
        Unary::Cosine => each::<A>(input, out, elementary::cos),
        Unary::ArcTangent => each::<A>(input, out, elementary::atan),
    }
}

#[inline(always)]
fn each<A: Arithmetic>(input: &[f32], out: &mut [f32], function: impl Fn(A) -> A) {
    for (value, out) in input.iter().zip(out) {
        *out = f32::from_bits(store(function(A::from_bits(value.to_bits())).to_bits()));
    }
}
