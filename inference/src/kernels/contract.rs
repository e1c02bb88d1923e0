//! Contraction in chunked chains: `out[m, n] = Q(Σ_chunks chain(a[m, k] · b[n, k]))`.
//!
//! Every output element is one chain of fused multiply-adds over ascending k, started again from
//! +0 after each 256 products, the chunks' ends added in ascending order. Vectors run over n, so
//! blocking, packing and threads are free.
//!
//! The left operand is never copied: a row is a base offset and the same pieces of memory behind it
//! for all rows. A matrix has one piece, a convolution one for each kernel row, so that a window is
//! read where it lies.

use std::ops::Range;

use super::Path;
use super::vector::{Eight, Four, Sixteen, Vector};

/// Products of one chain.
const CHUNK: usize = 256;

/// Floats of a cache line.
const LINE: usize = 16;

/// Columns of one panel.
pub const PANEL: usize = 32;

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
        let mut packed = Self::in_memory(Vec::new());
        packed.fill(rows, 0, (count, depth), (depth, 1));
        packed
    }

    /// Nothing yet, in memory that was used before.
    pub fn in_memory(panels: Vec<f32>) -> Self {
        Self { count: 0, depth: 0, panels }
    }

    /// The memory, for other uses.
    pub fn into_memory(self) -> Vec<f32> {
        self.panels
    }

    /// Packs `count` rows of `depth` elements that lie `strides` apart from `first` on, into the
    /// memory of what was packed before.
    pub fn fill(
        &mut self,
        data: &[f32],
        first: usize,
        (count, depth): (usize, usize),
        strides: (usize, usize),
    ) {
        (self.count, self.depth) = (count, depth);
        let length = count.div_ceil(PANEL) * PANEL * depth;
        // Old elements may stay: every place is written below, padding included.
        if self.panels.len() < length {
            self.panels.resize(length, 0.0);
        }
        if depth == 0 {
            return;
        }
        for (panel, block) in self.panels[..length].chunks_mut(PANEL * depth).enumerate() {
            let height = PANEL.min(count - panel * PANEL);
            let start = first + panel * PANEL * strides.0;
            if strides.0 == 1 {
                for (k, to) in block.chunks_exact_mut(PANEL).enumerate() {
                    to[..height].copy_from_slice(&data[start + k * strides.1..][..height]);
                    to[height..].fill(0.0);
                }
                continue;
            }
            for row in 0..PANEL {
                let from = start + row * strides.0;
                for (k, to) in block.chunks_exact_mut(PANEL).enumerate() {
                    to[row] = if row < height { data[from + k * strides.1] } else { 0.0 };
                }
            }
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements of a row.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// All of them.
    pub fn whole(&self) -> Panels<'_> {
        self.panels(0..self.count)
    }

    /// Some of them, from the first row of a panel on.
    ///
    /// # Panics
    /// When the first row does not begin a panel, or the last is not there.
    pub fn panels(&self, rows: Range<usize>) -> Panels<'_> {
        assert!(rows.start.is_multiple_of(PANEL) && rows.end <= self.count, "no such panels");
        let panels = rows.start / PANEL..rows.end.div_ceil(PANEL);
        let each = PANEL * self.depth;
        Panels {
            count: rows.len(),
            depth: self.depth,
            panels: &self.panels[panels.start * each..panels.end * each],
        }
    }
}

/// Packed rows, or some of them.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    count: usize,
    depth: usize,
    panels: &'a [f32],
}

/// A piece of every left row: `length` elements from `offset` behind the row's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From the row's base.
    pub offset: usize,
    /// Elements.
    pub length: usize,
}

/// The pieces of a left row, cut where chains start again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    chunks: Vec<Vec<Piece>>,
    depth: usize,
    reach: usize,
}

impl Pieces {
    /// Cuts pieces, in the order of k, into chunks of 256 products.
    pub fn new(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut chunks: Vec<Vec<Piece>> = Vec::new();
        let (mut depth, mut reach) = (0, 0);
        for mut piece in pieces {
            reach = reach.max(piece.offset + piece.length);
            while piece.length > 0 {
                let room = CHUNK - depth % CHUNK;
                if room == CHUNK {
                    chunks.push(Vec::new());
                }
                let length = room.min(piece.length);
                if let Some(chunk) = chunks.last_mut() {
                    chunk.push(Piece { offset: piece.offset, length });
                }
                depth += length;
                piece = Piece { offset: piece.offset + length, length: piece.length - length };
            }
        }
        Self { chunks, depth, reach }
    }

    /// Elements of all pieces together.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// One piece: rows that are contiguous.
    pub fn row(length: usize) -> Self {
        Self::new([Piece { offset: 0, length }])
    }
}

/// The left operand of a contraction.
#[derive(Clone, Copy, Debug)]
pub struct LeftRows<'a> {
    /// Where the elements lie.
    pub data: &'a [f32],
    /// Offset of each row.
    pub bases: &'a [usize],
    /// What lies behind each base.
    pub pieces: &'a Pieces,
}

/// Contracts left rows with packed rows into `out`, whose rows are `stride` apart; as many columns
/// of each row are written as there are packed rows. On the calling thread.
///
/// # Panics
/// When the depths differ, a row leaves its data, or `out` is too short.
pub fn contract(
    path: Path,
    left: LeftRows<'_>,
    packed: Panels<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let Some(rows_before_last) = left.bases.len().checked_sub(1) else {
        return;
    };
    assert_eq!(left.pieces.depth, packed.depth, "depths differ");
    let reach = left.bases.iter().max().map_or(0, |base| base + left.pieces.reach);
    assert!(reach <= left.data.len(), "a row leaves its data");
    assert!(packed.count <= stride || rows_before_last == 0, "rows of the output overlap");
    assert!(rows_before_last * stride + packed.count <= out.len(), "the output is too short");
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(left: LeftRows<'_>, packed: Panels<'_>, out: &mut [f32], stride: usize) {
        body::<Eight, 6, 2>(left, packed, out, stride);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
    fn avx512(left: LeftRows<'_>, packed: Panels<'_>, out: &mut [f32], stride: usize) {
        body::<Sixteen, 12, 2>(left, packed, out, stride);
    }
    match path {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU was asked for these features when the path was chosen.
        Path::Avx2 => unsafe { avx2(left, packed, out, stride) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Path::Avx512 => unsafe { avx512(left, packed, out, stride) },
        _ => body::<Four, 2, 2>(left, packed, out, stride),
    }
}

#[inline(always)]
fn body<V: Vector, const ROWS: usize, const VECTORS: usize>(
    left: LeftRows<'_>,
    packed: Panels<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let chunks = left.pieces.chunks.len();
    let width = VECTORS * V::WIDTH;
    if let [base] = left.bases {
        return one_row::<V>(left.data, *base, left.pieces, packed, out);
    }
    for (panel, values) in packed.panels.chunks_exact(PANEL * packed.depth).enumerate() {
        for part in (0..PANEL).step_by(width) {
            let first = panel * PANEL + part;
            let Some(columns) = packed.count.checked_sub(first).filter(|left| *left > 0) else {
                break;
            };
            for (chunk, pieces) in left.pieces.chunks.iter().enumerate() {
                let values = &values[chunk * CHUNK * PANEL + part..];
                let ends = (chunk == 0, chunk + 1 == chunks);
                let columns = columns.min(width);
                let mut row = 0;
                let mut ahead = values.as_ptr().wrapping_add(CHUNK * PANEL);
                while row < left.bases.len() {
                    let (bases, out) = (&left.bases[row..], &mut out[row * stride + first..]);
                    let tile = Tile { data: left.data, bases, pieces, values, ahead, stride, ends };
                    ahead = ahead.wrapping_add(CHUNK * LINE);
                    row += match bases.len() {
                        rows if rows >= ROWS => tile.run::<V, ROWS, VECTORS>(out, columns),
                        1 => tile.run::<V, 1, VECTORS>(out, columns),
                        2..4 => tile.run::<V, 2, VECTORS>(out, columns),
                        4..8 => tile.run::<V, 4, VECTORS>(out, columns),
                        _ => tile.run::<V, 8, VECTORS>(out, columns),
                    };
                }
            }
        }
    }
}

/// One row: bound by the memory of the panels, so that each is read once, from end to end.
#[inline(always)]
fn one_row<V: Vector>(
    data: &[f32],
    base: usize,
    pieces: &Pieces,
    packed: Panels<'_>,
    out: &mut [f32],
) {
    let vectors = PANEL / V::WIDTH;
    for (panel, mut values) in packed.panels.chunks_exact(PANEL * packed.depth).enumerate() {
        let columns = PANEL.min(packed.count - panel * PANEL);
        let mut sums = [V::splat(0.0); PANEL];
        for (chunk, pieces) in pieces.chunks.iter().enumerate() {
            let mut chain = [V::splat(0.0); PANEL];
            for piece in pieces {
                let row = &data[base + piece.offset..][..piece.length];
                let (here, behind) = values.split_at(piece.length * PANEL);
                for (factor, values) in row.iter().zip(here.chunks_exact(PANEL)) {
                    let factor = V::splat(*factor);
                    for vector in 0..vectors {
                        // SAFETY: the vectors of a panel's row end where it ends.
                        let values = unsafe { V::load(values.as_ptr().add(vector * V::WIDTH)) };
                        chain[vector] = factor.fma(values, chain[vector]);
                    }
                }
                values = behind;
            }
            for vector in 0..vectors {
                let (sum, end) = (sums[vector], chain[vector]);
                sums[vector] = if chunk == 0 { end } else { sum.add(end) };
            }
        }
        let mut row = [0.0; PANEL];
        for vector in 0..vectors {
            // SAFETY: as above.
            unsafe { sums[vector].stored().write(row.as_mut_ptr().add(vector * V::WIDTH)) };
        }
        out[panel * PANEL..][..columns].copy_from_slice(&row[..columns]);
    }
}

/// Some rows by some vectors of one panel, over one chunk.
struct Tile<'a> {
    data: &'a [f32],
    bases: &'a [usize],
    pieces: &'a [Piece],
    /// From the tile's first column at the chunk's first k; rows of the panel follow.
    values: &'a [f32],
    /// What the tiles of the next chunk read: it comes while this tile computes.
    ahead: *const f32,
    stride: usize,
    /// Whether the chunk is the first, and whether it is the last.
    ends: (bool, bool),
}

impl Tile<'_> {
    /// Runs the first `ROWS` rows; returns their number.
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &self,
        out: &mut [f32],
        columns: usize,
    ) -> usize {
        let mut chain = [[V::splat(0.0); VECTORS]; ROWS];
        let mut k = 0;
        for piece in self.pieces {
            // SAFETY: `contract` has checked that the pieces behind every base lie in the data.
            let rows: [*const f32; ROWS] = core::array::from_fn(|row| unsafe {
                self.data.as_ptr().add(self.bases[row] + piece.offset)
            });
            for place in 0..piece.length {
                // SAFETY: the pieces of a chunk have as many elements as the panel has rows left,
                // and a tile's vectors end inside its panel's row.
                let values: [V; VECTORS] = core::array::from_fn(|vector| unsafe {
                    V::load(self.values.as_ptr().add(k * PANEL + vector * V::WIDTH))
                });
                for row in 0..ROWS {
                    // SAFETY: as for the rows.
                    let factor = V::splat(unsafe { *rows[row].add(place) });
                    for vector in 0..VECTORS {
                        chain[row][vector] = factor.fma(values[vector], chain[row][vector]);
                    }
                }
                V::prefetch(self.ahead.wrapping_add(k * LINE));
                k += 1;
            }
        }
        for row in 0..ROWS {
            self.finish(chain[row], &mut out[row * self.stride..], columns);
        }
        ROWS
    }

    /// Adds the chain's ends to what the chunks before left, and stores behind the last.
    #[inline(always)]
    fn finish<V: Vector, const VECTORS: usize>(
        &self,
        ends: [V; VECTORS],
        out: &mut [f32],
        columns: usize,
    ) {
        // A tile that is cut by the last column goes through memory of its own.
        let mut edge = [0.0; PANEL];
        let whole = columns == VECTORS * V::WIDTH;
        let memory = if whole {
            &mut out[..columns]
        } else {
            edge[..columns].copy_from_slice(&out[..columns]);
            &mut edge[..]
        };
        let (first, last) = self.ends;
        for (vector, end) in ends.into_iter().enumerate() {
            // SAFETY: the memory holds all vectors of a row of the tile.
            unsafe {
                let place = memory.as_mut_ptr().add(vector * V::WIDTH);
                let sum = if first { end } else { V::load(place).add(end) };
                if last { sum.stored() } else { sum }.write(place);
            }
        }
        if !whole {
            out[..columns].copy_from_slice(&edge[..columns]);
        }
    }
}
