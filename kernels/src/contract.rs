//! Contraction in chunked chains: `out[m, n] = Q(Σ_chunks chain(a[m, k] · b[n, k]))`.
//!
//! Every output element is one chain of fused multiply-adds over ascending k, started again from
//! +0 after each 256 products, the chunks' ends added in ascending order. Vectors run over n, so
//! blocking, packing and threads are free.
//!
//! The left operand is never copied: a row is a base offset and the same pieces of memory after it
//! for all rows. A matrix has one piece, a convolution one for each kernel row, so that a window is
//! read where it lies.

use std::ops::Range;

use crate::vector::Vector;
use crate::{Isa, on_vectors};

/// Products of one chain.
const CHUNK: usize = 256;

/// Floats of a cache line.
const LINE: usize = 16;

/// Columns of one panel.
pub const PANEL: usize = 32;

/// Floats of the panels of so many rows. What holds a packing was checked here, so that offsets inside it
/// cannot overflow.
///
/// # Panics
/// When they are more than a slice can hold.
#[allow(clippy::expect_used, reason = "documented: the caller asks for more than there can be")]
fn panels_length(count: usize, depth: usize) -> usize {
    let padded = count.checked_next_multiple_of(PANEL);
    let length = padded.and_then(|padded| padded.checked_mul(depth));
    // One panel too, also when there is none: its length is computed below.
    let panel = PANEL.checked_mul(depth);
    length.zip(panel).expect("more rows than memory can hold").0
}

/// Rows `[N, K]` laid out for the kernel: panels of 32 rows, k-major.
#[derive(Clone, Debug)]
pub struct PackedRows {
    count: usize,
    depth: usize,
    panels: Vec<f32>,
}

impl PackedRows {
    /// Packs `count` rows of `depth` elements.
    ///
    /// # Panics
    /// When the rows are not all there.
    pub fn new(rows: &[f32], count: usize, depth: usize) -> Self {
        let mut packed = Self::in_memory(Vec::new());
        packed.fill(rows, 0, (count, depth), (depth, 1));
        packed
    }

    /// An empty packing that reuses memory.
    pub fn in_memory(panels: Vec<f32>) -> Self {
        Self { count: 0, depth: 0, panels }
    }

    /// The memory, for other uses.
    pub fn into_memory(self) -> Vec<f32> {
        self.panels
    }

    /// Packs `count` rows of `depth` elements that lie `strides` apart from `first` on, into the
    /// memory of what was packed before. Strides are those of rows and of elements.
    ///
    /// # Panics
    /// When the rows are not all there, or are more than memory can hold.
    pub fn fill(
        &mut self,
        data: &[f32],
        first: usize,
        (count, depth): (usize, usize),
        strides: (usize, usize),
    ) {
        let length = panels_length(count, depth);
        let last = |count: usize, stride: usize| count.saturating_sub(1).checked_mul(stride);
        let reach = last(count, strides.0)
            .zip(last(depth, strides.1))
            .and_then(|(down, along)| down.checked_add(along)?.checked_add(first));
        let is_there = reach.is_some_and(|last| last < data.len());
        assert!(is_there || count == 0 || depth == 0, "a row leaves its data");
        (self.count, self.depth) = (count, depth);
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
        let inside = rows.start <= rows.end && rows.end <= self.count;
        assert!(inside && rows.start.is_multiple_of(PANEL), "no such panels");
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

/// A piece of every left row: `length` elements, `offset` after the row's base.
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
    ///
    /// # Panics
    /// When a piece ends beyond any memory, or all together have more elements than can be counted.
    #[allow(clippy::expect_used, reason = "documented: the caller names what cannot be")]
    pub fn new(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut chunks: Vec<Vec<Piece>> = Vec::new();
        let (mut depth, mut reach) = (0, 0);
        for mut piece in pieces {
            let end = piece.offset.checked_add(piece.length);
            reach = reach.max(end.expect("a piece ends beyond any memory"));
            // Before anything is kept: unsafe code below rests on the sum of all lengths.
            let whole = piece.length.checked_add(depth);
            whole.expect("more elements than can be counted");
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
    /// What lies after each base.
    pub pieces: &'a Pieces,
}

/// Contracts left rows with packed rows into `out`, whose rows are `stride` apart; as many columns
/// of each row are written as there are packed rows. On the calling thread.
///
/// # Panics
/// When the depths differ, a row leaves its data, or `out` is too short.
#[allow(
    clippy::expect_used,
    reason = "documented: lengths that cannot be are the caller's mistake"
)]
pub fn contract(isa: Isa, left: LeftRows<'_>, packed: Panels<'_>, out: &mut [f32], stride: usize) {
    let Some(rows_before_last) = left.bases.len().checked_sub(1) else {
        return;
    };
    assert_eq!(left.pieces.depth, packed.depth, "depths differ");
    let furthest = left.bases.iter().max().and_then(|base| base.checked_add(left.pieces.reach));
    let inside = furthest.is_some_and(|reach| reach <= left.data.len());
    assert!(inside, "a row leaves its data");
    assert!(packed.count <= stride || rows_before_last == 0, "rows of the output overlap");
    let before_last = rows_before_last.checked_mul(stride);
    let end = before_last.and_then(|start| start.checked_add(packed.count));
    let end = end.expect("the output ends beyond any memory");
    assert!(end <= out.len(), "the output is too short");
    if packed.depth == 0 {
        // A sum of nothing.
        for row in 0..left.bases.len() {
            out[row * stride..][..packed.count].fill(0.0);
        }
        return;
    }
    on_vectors!(isa, body [[2, 2], [6, 2], [12, 2]] (
        left: LeftRows<'_>, packed: Panels<'_>, out: &mut [f32], stride: usize
    ));
}

#[inline(always)]
fn body<V: Vector, const ROWS: usize, const VECTORS: usize>(
    token: V::Token,
    left: LeftRows<'_>,
    packed: Panels<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let chunks = left.pieces.chunks.len();
    let width = VECTORS * V::WIDTH;
    if let [base] = left.bases {
        return one_row::<V>(token, left.data, *base, left.pieces, packed, out);
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
                        rows if rows >= ROWS => tile.run::<V, ROWS, VECTORS>(token, out, columns),
                        1 => tile.run::<V, 1, VECTORS>(token, out, columns),
                        2..4 => tile.run::<V, 2, VECTORS>(token, out, columns),
                        4..8 => tile.run::<V, 4, VECTORS>(token, out, columns),
                        _ => tile.run::<V, 8, VECTORS>(token, out, columns),
                    };
                }
            }
        }
    }
}

/// One row: bound by the memory of the panels, so that each is read once, from end to end.
#[inline(always)]
fn one_row<V: Vector>(
    token: V::Token,
    data: &[f32],
    base: usize,
    pieces: &Pieces,
    packed: Panels<'_>,
    out: &mut [f32],
) {
    let vectors = PANEL / V::WIDTH;
    for (panel, mut values) in packed.panels.chunks_exact(PANEL * packed.depth).enumerate() {
        let columns = PANEL.min(packed.count - panel * PANEL);
        let mut sums = [V::splat(token, 0.0); PANEL];
        for (chunk, pieces) in pieces.chunks.iter().enumerate() {
            let mut chain = [V::splat(token, 0.0); PANEL];
            for piece in pieces {
                let row = &data[base + piece.offset..][..piece.length];
                let (here, rest) = values.split_at(piece.length * PANEL);
                for (factor, values) in row.iter().zip(here.chunks_exact(PANEL)) {
                    let factor = V::splat(token, *factor);
                    for vector in 0..vectors {
                        // SAFETY: `values` is one row of a panel, of `vectors` vectors.
                        let values =
                            unsafe { V::load(token, values.as_ptr().add(vector * V::WIDTH)) };
                        chain[vector] = factor.fma(values, chain[vector]);
                    }
                }
                values = rest;
            }
            for vector in 0..vectors {
                let (sum, end) = (sums[vector], chain[vector]);
                sums[vector] = if chunk == 0 { end } else { sum.add(end) };
            }
        }
        let mut row = [0.0; PANEL];
        for vector in 0..vectors {
            // SAFETY: `row` has the `PANEL` floats of `vectors` vectors.
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
        token: V::Token,
        out: &mut [f32],
        columns: usize,
    ) -> usize {
        self.check::<V, ROWS, VECTORS>();
        let mut chain = [[V::splat(token, 0.0); VECTORS]; ROWS];
        let mut k = 0;
        for piece in self.pieces {
            // SAFETY: `contract` has checked that the pieces after every base lie in the data.
            let rows: [*const f32; ROWS] = core::array::from_fn(|row| unsafe {
                self.data.as_ptr().add(self.bases[row] + piece.offset)
            });
            for place in 0..piece.length {
                // SAFETY: the pieces of a chunk have as many elements as the panel has rows left
                // (`contract` has compared the depths, `Pieces::new` has counted its own without
                // wrapping), and a tile's vectors end inside its panel's row.
                let values: [V; VECTORS] = core::array::from_fn(|vector| unsafe {
                    V::load(token, self.values.as_ptr().add(k * PANEL + vector * V::WIDTH))
                });
                for row in 0..ROWS {
                    // SAFETY: the piece that begins at the row's pointer is in the data as a whole.
                    let factor = V::splat(token, unsafe { *rows[row].add(place) });
                    for vector in 0..VECTORS {
                        chain[row][vector] = factor.fma(values[vector], chain[row][vector]);
                    }
                }
                V::prefetch(self.ahead.wrapping_add(k * LINE));
                k += 1;
            }
        }
        for row in 0..ROWS {
            self.finish(token, chain[row], &mut out[row * self.stride..], columns);
        }
        ROWS
    }

    /// Where debug assertions are on: that what the pointers below reach is there.
    #[inline(always)]
    fn check<V: Vector, const ROWS: usize, const VECTORS: usize>(&self) {
        if cfg!(debug_assertions) {
            let depth: usize = self.pieces.iter().map(|piece| piece.length).sum();
            let last = depth.saturating_sub(1) * PANEL + VECTORS * V::WIDTH;
            assert!(depth == 0 || last <= self.values.len(), "a tile leaves its panel");
            for base in &self.bases[..ROWS] {
                let reach = self.pieces.iter().map(|piece| base + piece.offset + piece.length);
                assert!(reach.max() <= Some(self.data.len()), "a piece leaves the data");
            }
        }
    }

    /// Adds the chain's ends to what the chunks before left, and stores after the last.
    #[inline(always)]
    fn finish<V: Vector, const VECTORS: usize>(
        &self,
        token: V::Token,
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
            // SAFETY: the memory is a row of the tile or `edge`: both hold all `VECTORS` vectors.
            unsafe {
                let place = memory.as_mut_ptr().add(vector * V::WIDTH);
                let sum = if first { end } else { V::load(token, place).add(end) };
                if last { sum.stored() } else { sum }.write(place);
            }
        }
        if !whole {
            out[..columns].copy_from_slice(&edge[..columns]);
        }
    }
}
