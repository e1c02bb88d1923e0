//! Shapes, as lowerings compute them.

use protocol::tensor::Shape;

/// What went wrong in a lowering; the importer adds the node.
pub type Lowered<T> = Result<T, String>;

/// A shape, or the limit it breaks.
///
/// # Errors
/// Says which limit.
pub fn make_shape(dimensions: &[u64]) -> Lowered<Shape> {
    Shape::new(dimensions).ok_or_else(|| {
        format!("shape {dimensions:?} is outside the limits (rank up to 8, no zero, up to 2^31 elements)")
    })
}

/// Aligns two shapes at the right and broadcasts them.
///
/// # Errors
/// When two sizes differ and none is 1.
pub fn broadcast(left: &Shape, right: &Shape) -> Lowered<Shape> {
    let rank = left.rank().max(right.rank());
    let at = |shape: &Shape, axis: usize| {
        let missing = rank - shape.rank();
        axis.checked_sub(missing).map_or(1, |axis| shape.dimensions()[axis])
    };
    let mut dimensions = Vec::new();
    for axis in 0..rank {
        let (a, b) = (at(left, axis), at(right, axis));
        if a != b && a != 1 && b != 1 {
            return Err(format!(
                "shapes {:?} and {:?} do not broadcast",
                left.dimensions(),
                right.dimensions()
            ));
        }
        dimensions.push(a.max(b));
    }
    make_shape(&dimensions)
}

/// The permutation that undoes another.
pub fn inverse(permutation: &[usize]) -> Vec<usize> {
    let mut back = vec![0; permutation.len()];
    for (to, from) in permutation.iter().enumerate() {
        back[*from] = to;
    }
    back
}

/// Sizes as integers of the model give them.
///
/// # Errors
/// When one is negative.
pub(super) fn sizes(values: &[i64]) -> Lowered<Vec<u64>> {
    values
        .iter()
        .map(|size| u64::try_from(*size).map_err(|_| format!("size {size} is negative")))
        .collect()
}

/// Distance of elements one apart along an axis of a row-major tensor.
pub(super) fn stride(dimensions: &[u64], axis: usize) -> i64 {
    dimensions[axis + 1..].iter().product::<u64>() as i64
}
