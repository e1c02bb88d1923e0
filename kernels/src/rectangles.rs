//! A matrix that several threads write, each its own rectangle.

use std::marker::PhantomData;
use std::ops::Range;

/// A rectangle of a matrix that nobody else can reach while it lives.
#[derive(Debug)]
pub struct Rectangle<'a> {
    /// Of the matrix, not of the rectangle.
    start: *mut f32,
    /// Columns of the matrix.
    pitch: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: a rectangle is an exclusive borrow of its places (`rectangles` has checked that no two share
// one), and floats may be written from any thread.
unsafe impl Send for Rectangle<'_> {}

/// Cuts a row-major matrix of `columns` columns into rectangles, given as rows and columns in the order
/// of bands: those of the same rows stand together from left to right, and bands from top to
/// bottom. Places may be left out.
///
/// # Panics
/// When rectangles overlap, stand in another order, or leave the matrix.
///
/// ```
/// let mut matrix = [0.0; 6];
/// let mut parts = kernels::rectangles(&mut matrix, 3, [(0..2, 0..1), (0..2, 1..3)]);
/// parts[1].write(1, 1, &[8.0, 9.0]);
/// parts[0].write(0, 0, &[7.0]);
/// assert_eq!(matrix, [7.0, 0.0, 0.0, 0.0, 8.0, 9.0]);
/// ```
pub fn rectangles(
    matrix: &mut [f32],
    columns: usize,
    parts: impl IntoIterator<Item = (Range<usize>, Range<usize>)>,
) -> Vec<Rectangle<'_>> {
    let rows = matrix.len().checked_div(columns).unwrap_or(0);
    let start = matrix.as_mut_ptr();
    let (mut band, mut free) = (0..0, 0);
    let cut = parts.into_iter().map(|(down, across)| {
        assert!(down.start <= down.end && down.end <= rows, "a rectangle leaves its matrix");
        assert!(across.start <= across.end && across.end <= columns, "a rectangle is too wide");
        if down == band {
            assert!(free <= across.start, "rectangles of a band overlap");
        } else {
            assert!(band.end <= down.start, "bands of rectangles overlap");
            band = down.clone();
        }
        free = across.end;
        Rectangle { start, pitch: columns, rows: down, columns: across, matrix: PhantomData }
    });
    cut.collect()
}

impl Rectangle<'_> {
    /// Writes a part of a row; row and column are the matrix's.
    ///
    /// # Panics
    /// When a place is outside the rectangle.
    #[inline]
    pub fn write(&mut self, row: usize, column: usize, from: &[f32]) {
        assert!(self.rows.contains(&row), "a row outside the rectangle");
        let end = column.checked_add(from.len());
        let inside = self.columns.start <= column && end.is_some_and(|at| at <= self.columns.end);
        assert!(inside, "columns outside the rectangle");
        // SAFETY: row and columns are inside the rectangle and so inside the matrix, whose places are
        // one allocation: the product cannot overflow. No other rectangle holds these places, and
        // `from` is a shared borrow, which cannot be of them.
        unsafe {
            let to = self.start.add(row * self.pitch + column);
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Part = (Range<usize>, Range<usize>);

    #[test]
    fn rectangles_are_written_by_threads_of_their_own() {
        let mut matrix = vec![0.0; 7 * 10];
        let parts = [(0..3, 0..4), (0..3, 4..10), (3..4, 2..10), (5..7, 0..10), (7..7, 0..0)];
        std::thread::scope(|scope| {
            for (number, mut part) in (1u8..).zip(rectangles(&mut matrix, 10, parts.clone())) {
                scope.spawn(move || {
                    for row in part.rows.clone() {
                        let values = vec![f32::from(number); part.columns.len()];
                        part.write(row, part.columns.start, &values);
                    }
                });
            }
        });
        for (place, value) in matrix.iter().enumerate() {
            let (row, column) = (place / 10, place % 10);
            let holds = |(rows, columns): &Part| rows.contains(&row) && columns.contains(&column);
            let expected = parts.iter().position(holds).map_or(0.0, |at| at as f32 + 1.0);
            assert_eq!(*value, expected, "row {row}, column {column}");
        }
    }

    fn is_refused(parts: &[Part]) -> bool {
        let parts = parts.to_vec();
        std::panic::catch_unwind(move || rectangles(&mut [0.0; 12], 4, parts).len()).is_err()
    }

    #[test]
    fn overlapping_and_foreign_rectangles_are_refused() {
        let good: &[&[Part]] = &[&[(0..1, 0..4), (1..3, 0..2), (1..3, 2..4)], &[], &[(0..3, 4..4)]];
        for parts in good {
            assert!(!is_refused(parts), "{parts:?}");
        }
        #[expect(clippy::reversed_empty_ranges, reason = "a range that is none is a case")]
        let bad: &[&[Part]] = &[
            &[(0..2, 0..4), (1..3, 0..4)],
            &[(0..2, 0..4), (1..3, 0..0)],
            &[(0..2, 0..3), (0..2, 2..4)],
            &[(0..2, 2..4), (0..2, 0..2)],
            &[(1..2, 0..4), (0..1, 0..4)],
            &[(0..2, 0..1), (0..3, 1..2)],
            &[(0..4, 0..1)],
            &[(0..1, 0..5)],
            &[(2..1, 0..1)],
            &[(0..1, 3..1)],
        ];
        for parts in bad {
            assert!(is_refused(parts), "{parts:?}");
        }
    }

    #[test]
    fn nothing_is_written_outside_a_rectangle() {
        for (row, column, length) in
            [(0, 1, 1), (3, 1, 1), (1, 0, 2), (1, 2, 2), (1, 3, 1), (1, usize::MAX, 2)]
        {
            let refused = std::panic::catch_unwind(move || {
                let mut matrix = [0.0; 12];
                let mut parts = rectangles(&mut matrix, 4, [(1..3, 1..3)]);
                parts[0].write(row, column, &vec![1.0; length]);
            });
            assert!(refused.is_err(), "{row} {column} {length}");
        }
    }
}
