//! Tensors as the protocol sees them: element type, shape, leaves of 256 bytes, root.

use alloc::vec::Vec;

use crate::encoding::{Canonical, DecodeError, Reader, canonical_enum};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::merkle::TreeShape;
use crate::numerics::{soft, store, stored_bf16, stored_f16, widen_bf16, widen_f16};

/// Bytes of one leaf.
pub const LEAF_BYTES: usize = 256;
/// Largest rank of a tensor.
pub const RANK_MAX: usize = 8;
/// Most elements of one tensor.
pub const ELEMENTS_MAX: u64 = 1 << 31;

/// Element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ElementType {
    /// IEEE-754 binary32, stored under rule Q.
    F32,
    /// Two's complement, 64 bits.
    I64,
    /// Two's complement, 32 bits.
    I32,
    /// One byte, 0 or 1.
    Bool,
    /// Two's complement, 8 bits.
    I8,
    /// Without sign, 8 bits.
    U8,
    /// Two's complement, 16 bits.
    I16,
    /// Without sign, 16 bits.
    U16,
    /// Without sign, 32 bits.
    U32,
    /// The upper half of a binary32. Stored only: see [`ElementType::is_narrow`].
    Bf16,
    /// IEEE-754 binary16. Stored only: see [`ElementType::is_narrow`].
    F16,
}
canonical_enum!(ElementType {
    1 => F32 {},
    2 => I64 {},
    3 => I32 {},
    4 => Bool {},
    5 => I8 {},
    6 => U8 {},
    7 => I16 {},
    8 => U16 {},
    9 => U32 {},
    10 => Bf16 {},
    11 => F16 {},
});

impl ElementType {
    /// Every element type, in the order of the codes.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::I64,
        Self::I32,
        Self::Bool,
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::U32,
        Self::Bf16,
        Self::F16,
    ];

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 => 8,
            Self::I16 | Self::U16 | Self::Bf16 | Self::F16 => 2,
            Self::Bool | Self::I8 | Self::U8 => 1,
        }
    }

    /// Elements of one leaf.
    pub const fn leaf_elements(self) -> u64 {
        (LEAF_BYTES / self.bytes()) as u64
    }

    /// Whether these bits are a stored value of the type.
    pub const fn is_canonical(self, bits: u64) -> bool {
        match self {
            Self::F32 => bits <= u32::MAX as u64 && store(bits as u32) as u64 == bits,
            Self::I64 => true,
            Self::I32 | Self::U32 => bits <= u32::MAX as u64,
            Self::I16 | Self::U16 => bits <= u16::MAX as u64,
            Self::I8 | Self::U8 => bits <= u8::MAX as u64,
            Self::Bool => bits <= 1,
            Self::Bf16 | Self::F16 => bits <= u16::MAX as u64 && self.stored(bits) == bits,
        }
    }

    /// What the law reads these bits of an element as: a float under rule Q, a truth value as 0 or 1. So
    /// whatever somebody puts into an input or a weight, it means one number.
    ///
    /// ```
    /// use protocol::tensor::ElementType;
    ///
    /// assert_eq!(ElementType::F32.stored(0x8000_0000), 0);
    /// assert_eq!(ElementType::F32.stored(0xFFC0_0001), 0x7FC0_0000);
    /// assert_eq!(ElementType::Bool.stored(2), 1);
    /// ```
    pub const fn stored(self, bits: u64) -> u64 {
        match self {
            Self::F32 => store(bits as u32) as u64,
            Self::Bf16 => stored_bf16(bits as u16) as u64,
            Self::F16 => stored_f16(bits as u16) as u64,
            Self::Bool => (bits != 0) as u64,
            Self::I64 | Self::I32 | Self::I8 | Self::U8 | Self::I16 | Self::U16 | Self::U32 => bits,
        }
    }

    /// Whether the type is a float of 16 bits, which is only moved, cast, and read as the right side of a
    /// contraction.
    pub const fn is_narrow(self) -> bool {
        match self {
            Self::Bf16 | Self::F16 => true,
            Self::F32
            | Self::I64
            | Self::I32
            | Self::Bool
            | Self::I8
            | Self::U8
            | Self::I16
            | Self::U16
            | Self::U32 => false,
        }
    }

    /// Whether the type is one of integers; truth values are none.
    pub const fn is_integer(self) -> bool {
        match self {
            Self::I64 | Self::I32 | Self::I8 | Self::U8 | Self::I16 | Self::U16 | Self::U32 => true,
            Self::F32 | Self::Bool | Self::Bf16 | Self::F16 => false,
        }
    }

    /// The binary32 under rule Q that a stored element means, rounded to the nearest where an integer is
    /// too long for it.
    pub const fn to_f32(self, bits: u64) -> u32 {
        match self {
            Self::F32 => store(bits as u32),
            Self::Bf16 => store(widen_bf16(bits as u16)),
            Self::F16 => store(widen_f16(bits as u16)),
            Self::I64
            | Self::I32
            | Self::Bool
            | Self::I8
            | Self::U8
            | Self::I16
            | Self::U16
            | Self::U32 => store(soft::from_integer(self.to_integer(bits))),
        }
    }

    /// Name as users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Least and greatest value; a truth value counts as 0 or 1. `None` for floats.
    pub const fn integer_range(self) -> Option<(i64, i64)> {
        match self {
            Self::F32 | Self::Bf16 | Self::F16 => None,
            Self::I64 => Some((i64::MIN, i64::MAX)),
            Self::I32 => Some((i32::MIN as i64, i32::MAX as i64)),
            Self::I16 => Some((i16::MIN as i64, i16::MAX as i64)),
            Self::I8 => Some((i8::MIN as i64, i8::MAX as i64)),
            Self::U32 => Some((0, u32::MAX as i64)),
            Self::U16 => Some((0, u16::MAX as i64)),
            Self::U8 => Some((0, u8::MAX as i64)),
            Self::Bool => Some((0, 1)),
        }
    }

    /// The number that stored bits of an integer or truth type mean.
    pub const fn to_integer(self, bits: u64) -> i64 {
        match self {
            Self::I32 => bits as u32 as i32 as i64,
            Self::I16 => bits as u16 as i16 as i64,
            Self::I8 => bits as u8 as i8 as i64,
            // What is stored of a type without sign is its number; of a float this is only its pattern.
            Self::I64
            | Self::U32
            | Self::U16
            | Self::U8
            | Self::Bool
            | Self::F32
            | Self::Bf16
            | Self::F16 => bits as i64,
        }
    }

    /// Stored bits of a number; `None` when the type cannot hold it.
    pub const fn from_integer(self, value: i64) -> Option<u64> {
        match self.integer_range() {
            Some((least, most)) if least <= value && value <= most => {
                Some(value as u64 & (u64::MAX >> (64 - 8 * self.bytes() as u32)))
            }
            _ => None,
        }
    }
}

/// Dimensions, outermost first. No dimension is zero; a scalar has none.
///
/// ```
/// use protocol::tensor::Shape;
///
/// let shape = Shape::new(&[2, 3, 4]).expect("within the limits");
/// assert_eq!((shape.rank(), shape.count(), shape.columns()), (3, 24, 4));
/// assert_eq!(shape.ravel(&[1, 2, 3]), 23);
/// assert_eq!(shape.unravel(23), [1, 2, 3]);
/// assert!(Shape::new(&[2, 0]).is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(Vec<u64>);

impl Shape {
    /// Checks rank, dimensions and number of elements.
    pub fn new(dimensions: &[u64]) -> Option<Self> {
        if dimensions.len() > RANK_MAX || dimensions.contains(&0) {
            return None;
        }
        let count = dimensions.iter().try_fold(1u64, |product, size| product.checked_mul(*size))?;
        (count <= ELEMENTS_MAX).then(|| Self(dimensions.to_vec()))
    }

    /// The dimensions.
    pub fn dimensions(&self) -> &[u64] {
        &self.0
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements.
    pub fn count(&self) -> u64 {
        self.0.iter().product()
    }

    /// Size of the last axis; 1 for a scalar.
    pub fn columns(&self) -> u64 {
        self.0.last().copied().unwrap_or(1)
    }

    /// Number of rows along the last axis.
    pub fn rows(&self) -> u64 {
        self.count() / self.columns()
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<u64> {
        let mut strides = alloc::vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// Coordinates of a flat index.
    pub fn unravel(&self, index: u64) -> Vec<u64> {
        let mut rest = index;
        let mut coordinates = alloc::vec![0; self.rank()];
        for axis in (0..self.rank()).rev() {
            coordinates[axis] = rest % self.0[axis];
            rest /= self.0[axis];
        }
        coordinates
    }

    /// Flat index of coordinates.
    pub fn ravel(&self, coordinates: &[u64]) -> u64 {
        self.0.iter().zip(coordinates).fold(0, |index, (size, at)| index * size + at)
    }
}

impl Canonical for Shape {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.0.len() as u8);
        self.0.iter().for_each(|size| size.encode(out));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let rank = usize::from(u8::decode(reader)?);
        if rank > RANK_MAX {
            let limit = RANK_MAX as u64;
            return Err(DecodeError::TooLong { kind: "rank", length: rank as u64, limit });
        }
        let mut dimensions = Vec::new();
        for _ in 0..rank {
            dimensions.push(u64::decode(reader)?);
        }
        Self::new(&dimensions).ok_or(DecodeError::NotCanonical { kind: "shape" })
    }
}

/// Element type and shape of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub element: ElementType,
    /// Shape.
    pub shape: Shape,
}
crate::encoding::canonical_struct!(TensorType { element, shape });

impl TensorType {
    /// Shape of the leaf tree: one row of leaves for each row of the tensor.
    pub fn tree_shape(&self) -> Option<TreeShape> {
        let columns = self.shape.columns().div_ceil(self.element.leaf_elements());
        TreeShape::grid(self.shape.rows(), columns)
    }

    /// Leaf (its position in the padded tree) and place in the leaf of an element.
    pub fn locate(&self, index: u64) -> Option<(u64, usize)> {
        if index >= self.shape.count() {
            return None;
        }
        let (row, column) = (index / self.shape.columns(), index % self.shape.columns());
        let per_leaf = self.element.leaf_elements();
        let position = self.tree_shape()?.position(row, column / per_leaf);
        Some((position, (column % per_leaf) as usize))
    }

    /// Flat index of the first element of the leaf at `position`, and how many elements it holds.
    pub fn leaf_range(&self, position: u64) -> Option<(u64, usize)> {
        let tree = self.tree_shape()?;
        if tree.is_padding(tree.depth(), position) {
            return None;
        }
        let per_leaf = self.element.leaf_elements();
        let columns = self.shape.columns();
        let leaves = columns.div_ceil(per_leaf).next_power_of_two();
        let (row, first) = (position / leaves, (position % leaves) * per_leaf);
        Some((row * columns + first, (columns - first).min(per_leaf) as usize))
    }

    /// The commitment to a tensor of this type, given the root of its leaf tree.
    pub fn root(&self, tree_root: &Digest) -> Digest {
        self.root_under::<Keccak>(tree_root)
    }

    /// As [`TensorType::root`], under any commitment.
    pub fn root_under<C: Commitment>(&self, tree_root: &Digest) -> Digest {
        C::tagged(Tag::Tensor, &[&self.to_canonical(), &tree_root.0])
    }
}

/// The bytes of a leaf.
pub type LeafBytes = [u8; LEAF_BYTES];

/// Packs up to one leaf of elements, big-endian, element 0 first, the rest zero.
///
/// ```
/// use protocol::tensor::{ElementType, leaf_element, pack_leaf};
///
/// let leaf = pack_leaf(ElementType::F32, [0x3F80_0000, 0x4000_0000]);
/// assert_eq!(leaf_element(ElementType::F32, &leaf, 1), Some(0x4000_0000));
/// ```
pub fn pack_leaf(element: ElementType, elements: impl IntoIterator<Item = u64>) -> LeafBytes {
    let width = element.bytes();
    let mut bytes = [0; LEAF_BYTES];
    for (chunk, bits) in bytes.chunks_mut(width).zip(elements) {
        chunk.copy_from_slice(&bits.to_be_bytes()[8 - width..]);
    }
    bytes
}

/// Bits of the element at `place` of a leaf; `None` where the leaf has no such place.
pub fn leaf_element(element: ElementType, bytes: &LeafBytes, place: usize) -> Option<u64> {
    let width = element.bytes();
    let chunk = bytes.chunks_exact(width).nth(place)?;
    Some(chunk.iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte)))
}

/// Whether a leaf holds `count` stored values and zeros after them.
pub fn leaf_is_canonical(element: ElementType, bytes: &LeafBytes, count: usize) -> bool {
    (0..element.leaf_elements() as usize).all(|place| {
        leaf_element(element, bytes, place)
            .is_some_and(|bits| if place < count { element.is_canonical(bits) } else { bits == 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(element: ElementType, dimensions: &[u64]) -> TensorType {
        TensorType { element, shape: Shape::new(dimensions).unwrap() }
    }

    #[test]
    fn every_element_has_one_place_and_every_leaf_one_range() {
        let cases = [
            tensor(ElementType::F32, &[]),
            tensor(ElementType::F32, &[65]),
            tensor(ElementType::F32, &[3, 130]),
            tensor(ElementType::I64, &[2, 5, 33]),
            tensor(ElementType::Bool, &[7, 257]),
        ];
        for kind in cases {
            for index in 0..kind.shape.count() {
                let (leaf, place) = kind.locate(index).unwrap();
                let (first, count) = kind.leaf_range(leaf).unwrap();
                assert!(place < count);
                assert_eq!(first + place as u64, index, "{kind:?}");
            }
            assert_eq!(kind.locate(kind.shape.count()), None);
        }
    }

    #[test]
    fn shapes_outside_the_limits_are_refused() {
        assert!(Shape::new(&[0]).is_none());
        assert!(Shape::new(&[1; RANK_MAX + 1]).is_none());
        assert!(Shape::new(&[u64::MAX, 2]).is_none());
        assert!(Shape::new(&[ELEMENTS_MAX + 1]).is_none());
    }

    #[test]
    fn leaf_with_foreign_bits_is_not_canonical() {
        let good = pack_leaf(ElementType::F32, [0x3F80_0000, 0]);
        assert!(leaf_is_canonical(ElementType::F32, &good, 2));
        for bad in [0x8000_0000, 1, 0x7FC0_0001] {
            let leaf = pack_leaf(ElementType::F32, [bad]);
            assert!(!leaf_is_canonical(ElementType::F32, &leaf, 1), "{bad:x}");
        }
        assert!(!leaf_is_canonical(ElementType::F32, &good, 0), "values after the end");
    }
}
