//! How a value's elements lie in the memory of another.

use protocol::tensor::Shape;

/// Where a value of a layer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A weight of the model.
    Weight(usize),
    /// A cell: the live values first, then the output of each operator.
    Cell(usize),
}

/// Elements of a value in the memory of a weight or a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) base: Origin,
    pub(crate) offset: usize,
    pub(crate) dimensions: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// Strides of a row-major tensor.
pub(crate) fn row_major(dimensions: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dimensions.len()];
    for axis in (1..dimensions.len()).rev() {
        strides[axis - 1] = strides[axis] * dimensions[axis];
    }
    strides
}

/// Sizes of a shape, as counts of this machine.
pub(crate) fn sizes(shape: &Shape) -> Vec<usize> {
    shape.dimensions().iter().map(|size| *size as usize).collect()
}

impl Layout {
    /// A whole tensor in row-major order.
    pub(crate) fn whole(base: Origin, dimensions: Vec<usize>) -> Self {
        let strides = row_major(&dimensions);
        Self { base, offset: 0, dimensions, strides }
    }

    /// Number of elements.
    pub(crate) fn count(&self) -> usize {
        self.dimensions.iter().product()
    }

    /// Whether the elements are those of the base from its first on, in row-major order.
    pub(crate) fn is_whole(&self) -> bool {
        self.offset == 0 && self.is_contiguous()
    }

    /// Whether the elements lie one after the other.
    pub(crate) fn is_contiguous(&self) -> bool {
        let expected = row_major(&self.dimensions);
        let mut axes = self.dimensions.iter().zip(self.strides.iter().zip(expected));
        axes.all(|(size, (stride, expected))| *size == 1 || *stride == expected)
    }

    /// The same elements under another shape, without moving them; `None` when they must be moved.
    pub(crate) fn reshaped(&self, dimensions: Vec<usize>) -> Option<Self> {
        let (base, offset) = (self.base, self.offset);
        if self.is_contiguous() {
            let strides = row_major(&dimensions);
            return Some(Self { base, offset, dimensions, strides });
        }
        // Groups of axes with the same count on both sides; inside a group the old axes must lie
        // one after the other.
        let mut strides = vec![0; dimensions.len()];
        let old: Vec<(usize, usize)> = self
            .dimensions
            .iter()
            .copied()
            .zip(self.strides.iter().copied())
            .filter(|(size, _)| *size != 1)
            .collect();
        let (mut from, mut to) = (0, 0);
        while from < old.len() {
            let (first, (mut left, mut right)) = (from, (old[from].0, 1));
            let start = to;
            while left != right {
                if left < right {
                    from += 1;
                    let (size, stride) = *old.get(from)?;
                    if old[from - 1].1 != size * stride {
                        return None;
                    }
                    left *= size;
                } else {
                    right *= *dimensions.get(to)?;
                    to += 1;
                }
            }
            debug_assert!(first <= from);
            let mut stride = old[from].1;
            for axis in (start..to).rev() {
                strides[axis] = stride;
                stride *= dimensions[axis];
            }
            from += 1;
        }
        Some(Self { base, offset, dimensions, strides })
    }

    /// The same elements, axes in another order.
    pub(crate) fn permuted(&self, permutation: &[u32]) -> Self {
        let pick = |list: &[usize]| permutation.iter().map(|axis| list[*axis as usize]).collect();
        Self {
            base: self.base,
            offset: self.offset,
            dimensions: pick(&self.dimensions),
            strides: pick(&self.strides),
        }
    }

    /// Every `step`-th element from `start` on along each axis.
    pub(crate) fn sliced(&self, starts: &[i64], steps: &[i64], to: Vec<usize>) -> Option<Self> {
        let (mut offset, mut strides) = (self.offset, Vec::new());
        for ((start, step), stride) in starts.iter().zip(steps).zip(&self.strides) {
            let (start, step) = (usize::try_from(*start).ok()?, usize::try_from(*step).ok()?);
            offset += start * stride;
            strides.push(stride * step);
        }
        Some(Self { base: self.base, offset, dimensions: to, strides })
    }

    /// The elements again and again along axes that the value does not have.
    pub(crate) fn expanded(&self, to: &[usize]) -> Option<Self> {
        let missing = to.len().checked_sub(self.dimensions.len())?;
        let mut strides = vec![0; missing];
        let own = self.dimensions.iter().zip(&self.strides);
        for ((size, stride), wanted) in own.zip(&to[missing..]) {
            match (*size, *wanted) {
                (size, wanted) if size == wanted => {
                    strides.push(if size == 1 { 0 } else { *stride })
                }
                (1, _) => strides.push(0),
                _ => return None,
            }
        }
        Some(Self { base: self.base, offset: self.offset, dimensions: to.to_vec(), strides })
    }
}

/// Offsets of the rows of a tensor whose outer axes have these sizes and strides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowOffsets {
    /// The same elements for every row.
    Same,
    /// So far from row to row.
    Linear(usize),
    /// Anything else: outer sizes and strides.
    Axes(Vec<(usize, usize)>),
}

impl RowOffsets {
    /// Offsets of rows whose outer axes have these sizes and strides.
    pub(crate) fn new(sizes: &[usize], strides: &[usize]) -> Self {
        // Axes that continue each other become one.
        let mut axes: Vec<(usize, usize)> = Vec::new();
        for (size, stride) in sizes.iter().copied().zip(strides.iter().copied()) {
            if size == 1 {
                continue;
            }
            match axes.last_mut() {
                Some((outer, before)) if *before == size * stride => {
                    (*outer, *before) = (*outer * size, stride);
                }
                _ => axes.push((size, stride)),
            }
        }
        match axes.as_slice() {
            [] => Self::Same,
            axes if axes.iter().all(|(_, stride)| *stride == 0) => Self::Same,
            [(_, stride)] => Self::Linear(*stride),
            _ => Self::Axes(axes),
        }
    }

    /// Offset of a row.
    pub(crate) fn at(&self, row: usize) -> usize {
        match self {
            Self::Same => 0,
            Self::Linear(stride) => row * stride,
            Self::Axes(axes) => {
                let (mut rest, mut offset) = (row, 0);
                for (size, stride) in axes.iter().rev() {
                    offset += rest % size * stride;
                    rest /= size;
                }
                offset
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(layout: &Layout) -> Vec<usize> {
        let rows = RowOffsets::new(&layout.dimensions, &layout.strides);
        (0..layout.count()).map(|at| layout.offset + rows.at(at)).collect()
    }

    #[test]
    fn a_reshaped_view_reads_the_same_elements_in_the_same_order() {
        let base = Layout::whole(Origin::Cell(0), vec![2, 3, 4, 5]);
        let mut views = 0;
        for permutation in [[0, 1, 2, 3], [1, 0, 2, 3], [2, 3, 0, 1], [0, 2, 1, 3], [3, 2, 1, 0]] {
            let view = base.permuted(&permutation);
            for shape in [
                vec![120],
                vec![6, 20],
                vec![20, 6],
                vec![2, 3, 20],
                vec![4, 5, 6],
                vec![1, 2, 1, 12, 5],
                vec![3, 2, 4, 5],
                vec![5, 4, 3, 2],
                vec![2, 2, 2, 3, 5],
            ] {
                if let Some(other) = view.reshaped(shape) {
                    assert_eq!(elements(&other), elements(&view));
                    views += 1;
                }
            }
        }
        assert!(views > 10, "{views}");
    }
}
