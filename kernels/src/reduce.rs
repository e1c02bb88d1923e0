//! Row reductions: 32 lanes, element i into lane i mod 32, then halves.

use protocol::graph::Fold;
use protocol::numerics::{Arithmetic, store};
use rayon::prelude::*;

use crate::{Isa, on_isa};

const LANES: usize = 32;

/// Folds each row of `length` elements into one element of `out`, followed by rule Q.
///
/// # Panics
/// When there is not one whole row for each element of `out`.
pub fn reduce_rows(isa: Isa, fold: Fold, input: &[f32], length: usize, out: &mut [f32]) {
    const BLOCK: usize = 64;
    let whole = out.len().checked_mul(length) == Some(input.len());
    assert!(whole && length > 0 && length <= usize::MAX / BLOCK, "not one row for each element");
    out.par_chunks_mut(BLOCK).zip(input.par_chunks(BLOCK * length)).for_each(|(out, input)| {
        on_isa!(isa, body (fold: Fold, input: &[f32], length: usize, out: &mut [f32]));
    });
}

#[inline(always)]
fn body<A: Arithmetic>(fold: Fold, input: &[f32], length: usize, out: &mut [f32]) {
    for (row, out) in input.chunks(length).zip(out) {
        *out = f32::from_bits(store(fold_bits::<A>(fold, row)));
    }
}

/// A folded row, before rule Q.
#[inline(always)]
pub(super) fn fold_bits<A: Arithmetic>(fold: Fold, row: &[f32]) -> u32 {
    match fold {
        Fold::Sum => fold_row::<A>(row, 0, A::add),
        Fold::Maximum => fold_row::<A>(row, 0xFF80_0000, larger),
        Fold::Minimum => fold_row::<A>(row, 0x7F80_0000, smaller),
    }
}

#[inline(always)]
pub(super) fn larger<A: Arithmetic>(a: A, b: A) -> A {
    keep(a, b, a.less(b))
}

#[inline(always)]
pub(super) fn smaller<A: Arithmetic>(a: A, b: A) -> A {
    keep(a, b, b.less(a))
}

/// `b` where it wins, else `a`; NaN if either is one.
#[inline(always)]
fn keep<A: Arithmetic>(a: A, b: A, second_wins: bool) -> A {
    let nan = |bits: u32| bits & 0x7FFF_FFFF > 0x7F80_0000;
    let (first, second) = (a.to_bits(), b.to_bits());
    let winner = if second_wins { second } else { first };
    A::from_bits(if nan(first) || nan(second) { 0x7FC0_0000 } else { winner })
}

#[inline(always)]
fn fold_row<A: Arithmetic>(row: &[f32], neutral: u32, combine: impl Fn(A, A) -> A) -> u32 {
    let mut lanes = [A::from_bits(neutral); LANES];
    let whole = row.len() / LANES * LANES;
    for chunk in row[..whole].chunks_exact(LANES) {
        for lane in 0..LANES {
            lanes[lane] = combine(lanes[lane], A::from_bits(chunk[lane].to_bits()));
        }
    }
    for (lane, value) in row[whole..].iter().enumerate() {
        lanes[lane] = combine(lanes[lane], A::from_bits(value.to_bits()));
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0].to_bits()
}
