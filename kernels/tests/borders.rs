//! Every kernel at every border, with each of this CPU's instructions: against sums in the order that the
//! law gives, by its own scalar functions. Small, so that Miri runs it as well.

use kernels::{
    Isa, LeftRows, PANEL, PackedRows, Piece, Pieces, RowOperand, contract, depthwise, map_row,
    pool_window, reduce_row, reduce_rows,
};
use protocol::graph::{Fold, MapFunction};
use protocol::numerics::{soft, store};

/// Products of one chain.
const CHUNK: usize = 256;

/// Numbers with ties, both zeros, subnormals, infinities and a NaN among them.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let unusual = [0.0, -0.0, 1e-40, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e30, -1e-12];
    let number = |at: usize| {
        let mixed = at.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 7;
        match mixed % 61 {
            0 => unusual[mixed / 61 % unusual.len()],
            _ => ((mixed % 512) as f32 - 256.0) / 16.0,
        }
    };
    (0..count).map(number).collect()
}

/// Without what is not a number, so that sums stay comparable.
fn finite(count: usize, seed: usize) -> Vec<f32> {
    let plain = |value: f32| if value.is_finite() && value.abs() < 1e6 { value } else { 0.25 };
    numbers(count, seed).into_iter().map(plain).collect()
}

fn same(found: f32, expected: u32, what: &str) {
    let found = if found.is_nan() { soft::NAN } else { found.to_bits() };
    assert_eq!(found, expected, "{what}: {:e}", f32::from_bits(expected));
}

/// A chain of fused multiply-adds over each chunk, the ends added in order, then rule Q.
fn chain(products: impl Iterator<Item = (f32, f32)>) -> u32 {
    let mut total = None;
    let products: Vec<_> = products.collect();
    for chunk in products.chunks(CHUNK) {
        let end = chunk.iter().fold(0, |sum, (a, b)| soft::fma(a.to_bits(), b.to_bits(), sum));
        total = Some(total.map_or(end, |total| soft::add(total, end)));
    }
    store(total.unwrap_or(0))
}

/// Rows, columns, depth; fewer where every step is interpreted.
fn shapes() -> Vec<(usize, usize, usize)> {
    let rows: &[usize] = if cfg!(miri) { &[1, 13] } else { &[1, 2, 3, 4, 7, 8, 11, 12, 13, 25] };
    let columns: &[usize] = if cfg!(miri) { &[33] } else { &[1, 7, 8, 16, 31, 32, 33, 64, 65] };
    let depths: &[usize] = if cfg!(miri) { &[2] } else { &[0, 1, 2, 255, 256, 257, 513] };
    let mut all = Vec::new();
    for rows in rows {
        for columns in columns {
            all.extend(depths.iter().map(|depth| (*rows, *columns, *depth)));
        }
    }
    // A chunk's end is beyond what can be interpreted.
    if !cfg!(miri) {
        all.push((2, 1, 258));
    }
    all
}

#[test]
fn contraction_is_the_chains_of_the_law_and_writes_nothing_else() {
    const UNTOUCHED: f32 = 77.0;
    for isa in Isa::available() {
        for (rows, columns, depth) in shapes() {
            let (left, right) = (numbers(rows * depth, 1), numbers(columns * depth, 2));
            let packed = PackedRows::new(&right, columns, depth);
            let bases: Vec<usize> = (0..rows).map(|row| row * depth).collect();
            let pieces = Pieces::row(depth);
            let stride = columns + 3;
            // As short as it may be: nothing follows the last row's last column.
            let mut out = vec![UNTOUCHED; (rows - 1) * stride + columns];
            let operand = LeftRows { data: &left, bases: &bases, pieces: &pieces };
            contract(isa, operand, packed.whole(), &mut out, stride);
            for (place, value) in out.iter().enumerate() {
                let (row, column) = (place / stride, place % stride);
                let what = format!("{isa:?} {rows}x{columns}x{depth}, row {row}, column {column}");
                if column >= columns {
                    assert_eq!(*value, UNTOUCHED, "{what}");
                    continue;
                }
                let products =
                    (0..depth).map(|k| (left[row * depth + k], right[column * depth + k]));
                same(*value, chain(products), &what);
            }
        }
    }
}

#[test]
fn pieces_of_rows_and_some_of_the_panels_give_the_same() {
    let data = finite(400, 3);
    let (count, depth) = (PANEL + 9, 3 + 5);
    let right = finite(count * depth, 4);
    let packed = PackedRows::new(&right, count, depth);
    // The last piece ends with the data.
    let pieces = [Piece { offset: 0, length: 3 }, Piece { offset: 20, length: 5 }];
    let bases = [0, 7, 375, 11];
    for isa in Isa::available() {
        for first in [0, PANEL] {
            let columns = count - first;
            let mut out = vec![0.0; bases.len() * columns];
            let of_pieces = Pieces::new(pieces);
            let left = LeftRows { data: &data, bases: &bases, pieces: &of_pieces };
            contract(isa, left, packed.panels(first..count), &mut out, columns);
            for (row, base) in bases.iter().enumerate() {
                for column in 0..columns {
                    let places = pieces.iter().flat_map(|one| one.offset..one.offset + one.length);
                    let weights = &right[(first + column) * depth..][..depth];
                    let products =
                        places.zip(weights).map(|(at, weight)| (data[base + at], *weight));
                    same(out[row * columns + column], chain(products), &format!("{isa:?} {row}"));
                }
            }
        }
    }
}

#[test]
fn depthwise_and_pooling_reach_the_last_channel_and_no_further() {
    let channel_counts: &[usize] =
        if cfg!(miri) { &[1, 5, 17] } else { &[1, 3, 4, 7, 8, 9, 16, 17, 31, 48] };
    for isa in Isa::available() {
        for channels in channel_counts.iter().copied() {
            let taps = [0, channels, 2 * channels, channels];
            let data = numbers(5 + 3 * channels, 5);
            let kernel = numbers(taps.len() * channels, 6);
            let mut out = vec![0.0; channels];
            depthwise(isa, &data, 5, &taps, &kernel, &mut out);
            for (channel, value) in out.iter().enumerate() {
                let products = taps.iter().enumerate().map(|(number, tap)| {
                    (data[5 + tap + channel], kernel[number * channels + channel])
                });
                same(*value, chain(products), &format!("{isa:?} {channels} {channel}"));
            }
            for fold in [Fold::Sum, Fold::Maximum, Fold::Minimum] {
                let taps = [Some(5), None, Some(5 + 2 * channels), Some(5 + channels)];
                pool_window(isa, fold, &data, &taps, &mut out);
                for (channel, value) in out.iter().enumerate() {
                    // Places outside stay neutral: the row reduction of the law with one element each.
                    let neutral = match fold {
                        Fold::Sum => 0.0,
                        Fold::Maximum => f32::NEG_INFINITY,
                        Fold::Minimum => f32::INFINITY,
                    };
                    let row: Vec<f32> = taps
                        .iter()
                        .map(|tap| tap.map_or(neutral, |tap| data[tap + channel]))
                        .collect();
                    let expected = reduce_row(Isa::PORTABLE, fold, &row).to_bits();
                    same(*value, expected, &format!("{isa:?} {fold:?} {channels} {channel}"));
                }
            }
        }
    }
}

#[test]
fn rows_are_folded_in_lanes_and_halves() {
    let lengths: &[usize] =
        if cfg!(miri) { &[1, 31, 65] } else { &[1, 2, 31, 32, 33, 64, 65, 700] };
    for isa in Isa::available() {
        for length in lengths.iter().copied() {
            let rows = finite(3 * length, 7);
            let mut out = [0.0; 3];
            reduce_rows(isa, Fold::Sum, &rows, length, &mut out);
            for (row, value) in rows.chunks(length).zip(out) {
                let mut lanes = [0u32; 32];
                for (at, element) in row.iter().enumerate() {
                    lanes[at % 32] = soft::add(lanes[at % 32], element.to_bits());
                }
                for half in [16, 8, 4, 2, 1] {
                    for lane in 0..half {
                        lanes[lane] = soft::add(lanes[lane], lanes[lane + half]);
                    }
                }
                same(value, store(lanes[0]), &format!("{isa:?} {length}"));
                same(
                    reduce_row(isa, Fold::Sum, row),
                    store(lanes[0]),
                    &format!("{isa:?} {length}"),
                );
            }
        }
    }
}

#[test]
fn functions_of_rows_take_each_shape_of_operands() {
    use RowOperand::{Many, One};
    let (a, b) = (numbers(37, 8), numbers(37, 9));
    for isa in Isa::available() {
        for (left, right) in
            [(Many(&a), Many(&b)), (Many(&a), One(1.5)), (One(1.5), Many(&b)), (One(3.0), One(0.5))]
        {
            let mut out = vec![0.0; 37];
            map_row(isa, MapFunction::Add, left, right, One(0.0), &mut out);
            let at = |operand: RowOperand<'_>, place: usize| match operand {
                Many(row) => row[place],
                One(value) => value,
            };
            for (place, value) in out.iter().enumerate() {
                let sum = soft::add(at(left, place).to_bits(), at(right, place).to_bits());
                same(*value, store(sum), &format!("{isa:?} {place}"));
            }
        }
    }
}

fn is_refused(work: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(work).is_err()
}

#[test]
fn what_leaves_its_memory_is_refused_also_where_sums_would_overflow() {
    let data = [1.0; 64];
    let packed = || PackedRows::new(&data, 4, 4);
    for isa in Isa::available() {
        // (bases, offset of the piece, floats of the output, stride)
        let cases: [(&[usize], usize, usize, usize); 8] = [
            (&[61], 0, 64, 4),
            (&[0, 57], 4, 64, 4),
            (&[usize::MAX], 0, 64, 4),
            (&[usize::MAX - 2], 0, 64, 4),
            (&[1], usize::MAX - 4, 64, 4),
            (&[0, 4], 0, 7, 4),
            (&[0, 4], 0, 64, 3),
            (&[0, 4, 8], 0, 64, usize::MAX / 2),
        ];
        for (bases, offset, floats, stride) in cases {
            let refused = is_refused(move || {
                let pieces = Pieces::new([Piece { offset, length: 4 }]);
                let left = LeftRows { data: &data, bases, pieces: &pieces };
                contract(isa, left, packed().whole(), &mut vec![0.0; floats], stride);
            });
            assert!(refused, "{isa:?} {bases:?} {offset} {floats} {stride}");
        }
        for (base, tap) in [(0, 61), (61, 0), (usize::MAX, 1), (1, usize::MAX)] {
            let refused = is_refused(move || {
                depthwise(isa, &data, base, &[tap], &data, &mut [0.0; 4]);
            });
            assert!(refused, "depthwise {base} {tap}");
        }
        assert!(is_refused(move || depthwise(isa, &data, 0, &[0, 1], &data[..7], &mut [0.0; 4])));
        for tap in [61, usize::MAX] {
            assert!(is_refused(move || {
                pool_window(isa, Fold::Sum, &data, &[Some(tap)], &mut [0.0; 4]);
            }));
        }
    }
    assert!(is_refused(|| drop(Pieces::new([Piece { offset: usize::MAX, length: 2 }]))));
    assert!(is_refused(|| drop(PackedRows::new(&[], usize::MAX / 2, 3))));
    assert!(is_refused(|| {
        PackedRows::in_memory(Vec::new()).fill(&[5.0; 2], 1, (2, 1), (usize::MAX, 1));
    }));
    #[expect(clippy::reversed_empty_ranges, reason = "a range that is none is a case")]
    for rows in [64..32, 32..96] {
        assert!(is_refused(move || {
            PackedRows::new(&[1.0; 256], 64, 4).panels(rows);
        }));
    }
    for (elements, length) in [(4, 0), (3, 2), (4, usize::MAX / 64 + 1)] {
        assert!(is_refused(move || {
            reduce_rows(Isa::PORTABLE, Fold::Sum, &[1.0; 4][..elements], length, &mut [0.0; 2]);
        }));
    }
    assert!(is_refused(|| {
        depthwise(Isa::PORTABLE, &[1.0; 4], 0, &[0; 257], &[1.0; 257], &mut [0.0; 1]);
    }));
    assert!(is_refused(|| drop(PackedRows::new(&[], 0, usize::MAX / 2))));
    assert!(is_refused(move || drop(PackedRows::new(&data, 17, 4))));
}

#[test]
fn what_reaches_exactly_to_the_end_is_taken() {
    let data = [1.0; 64];
    for isa in Isa::available() {
        let packed = PackedRows::new(&data, 4, 4);
        let pieces = Pieces::row(4);
        let mut out = [0.0; 8];
        let left = LeftRows { data: &data, bases: &[0, 60], pieces: &pieces };
        contract(isa, left, packed.whole(), &mut out, 4);
        assert_eq!(out, [4.0; 8]);
        let mut out = [0.0; 4];
        depthwise(isa, &data, 50, &[10], &data[..4], &mut out);
        assert_eq!(out, [1.0; 4]);
        pool_window(isa, Fold::Maximum, &data, &[Some(60)], &mut out);
        assert_eq!(out, [1.0; 4]);
        depthwise(isa, &[], 9, &[], &[], &mut out);
        assert_eq!(out, [0.0; 4]);
    }
}
