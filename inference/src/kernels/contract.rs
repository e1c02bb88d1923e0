//! Contraction in chunked chains: `out[m, n] = Q(Σ_chunks chain(a[m, k] · b[n, k]))`.
//!
//! Every output element is one chain of fused multiply-adds over ascending k, started again from
//! +0 after each 256 products, the chunks' ends added in ascending order. Vectors run over n, so
//! blocking, packing and threads are free.

use protocol::numerics::{Arithmetic, store};
use rayon::prelude::*;

use super::{Path, on_path};

/// Products of one chain.
const CHUNK: usize = 256;

/// Columns of one panel.
const PANEL: usize = 32;

/// Rows `[N, K]` laid out for the kernel: panels of 32 rows, k-major.
#[derive(Clone, Debug)]
pub struct PackedRows {
    count: usize,
    depth: usize,
    panels: Vec<f32>,
}

impl PackedRows {
    /// Packs `count` rows of `depth` elements.
    pub fn new(rows: &[f32], count: usize, depth: usize) -> Self {
        let mut panels = vec![0.0; count.div_ceil(PANEL) * PANEL * depth];
        for (panel, block) in panels.chunks_mut(PANEL * depth).enumerate() {
            let height = PANEL.min(count - panel * PANEL);
            for row in 0..height {
                let from = &rows[(panel * PANEL + row) * depth..][..depth];
                for (k, value) in from.iter().enumerate() {
                    block[k * PANEL + row] = *value;
                }
            }
        }
        Self { count, depth, panels }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Contracts rows of `left` (`[M, K]`) with packed rows into `out`, whose rows are `stride` apart.
///
/// `out` holds `M` rows; columns `0..packed.count()` of each are written. Blocks of rows run on the
/// current thread pool.
pub fn contract(path: Path, left: &[f32], packed: &PackedRows, out: &mut [f32], stride: usize) {
    const BLOCK: usize = 32;
    let depth = packed.depth;
    if left.len() <= BLOCK * depth {
        return block(path, left, packed, out, stride);
    }
    out.par_chunks_mut(BLOCK * stride)
        .zip(left.par_chunks(BLOCK * depth))
        .for_each(|(out, left)| block(path, left, packed, out, stride));
}

fn block(path: Path, left: &[f32], packed: &PackedRows, out: &mut [f32], stride: usize) {
    on_path!(path, body [] (
        left: &[f32],
        packed: &PackedRows,
        out: &mut [f32],
        stride: usize
    ));
}

#[inline(always)]
fn body<A: Arithmetic>(left: &[f32], packed: &PackedRows, out: &mut [f32], stride: usize) {
    let depth = packed.depth;
    let rows = left.len() / depth;
    for (panel, values) in packed.panels.chunks(PANEL * depth).enumerate() {
        let columns = PANEL.min(packed.count - panel * PANEL);
        let mut row = 0;
        while row < rows {
            let (left, out) = (&left[row * depth..], &mut out[row * stride + panel * PANEL..]);
            row += match rows - row {
                0..4 => tile::<A, 1>(left, values, depth, out, stride, columns),
                4..8 => tile::<A, 4>(left, values, depth, out, stride, columns),
                _ => tile::<A, 8>(left, values, depth, out, stride, columns),
            };
        }
    }
}

/// `ROWS` rows by one panel; returns the number of rows.
#[inline(always)]
fn tile<A: Arithmetic, const ROWS: usize>(
    left: &[f32],
    panel: &[f32],
    depth: usize,
    out: &mut [f32],
    stride: usize,
    columns: usize,
) -> usize {
    let zero = A::from_bits(0);
    let mut sums = [[zero; PANEL]; ROWS];
    for first in (0..depth).step_by(CHUNK) {
        let mut chain = [[zero; PANEL]; ROWS];
        let behind = (first + CHUNK).min(depth);
        for k in first..behind {
            let values = &panel[k * PANEL..(k + 1) * PANEL];
            for row in 0..ROWS {
                let factor = A::from_bits(left[row * depth + k].to_bits());
                for column in 0..PANEL {
                    let value = A::from_bits(values[column].to_bits());
                    chain[row][column] = factor.fma(value, chain[row][column]);
                }
            }
        }
        for row in 0..ROWS {
            for column in 0..PANEL {
                let (sum, end) = (sums[row][column], chain[row][column]);
                sums[row][column] = if first == 0 { end } else { sum.add(end) };
            }
        }
    }
    for row in 0..ROWS {
        for column in 0..columns {
            let bits = store(sums[row][column].to_bits());
            out[row * stride + column] = f32::from_bits(bits);
        }
    }
    ROWS
}
