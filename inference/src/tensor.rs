//! Tensors of the engine: burn's Flex storage with the protocol's type beside it.

use std::any::TypeId;
use std::ops::Range;
use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Shape as BurnShape, TensorData};
use protocol::hash::{Commitment, Digest, Keccak, Tag};
use protocol::merkle::{Tree, empty_subtree};
use protocol::numerics::store;
use protocol::tensor::{ElementType, LeafBytes, Shape, TensorType};
use rayon::prelude::*;

use kernels::{Isa, Message, hash_many};

/// A tensor whose elements lie in row-major order.
///
/// Whatever computes with it gets stored values. What somebody gave (an input, a weight) may have other
/// bits: those are what is hashed, published, proven and compared, and the stored values that the law reads
/// them as are what is computed with.
///
/// ```
/// use inference::Tensor;
/// use protocol::tensor::Shape;
///
/// let shape = Shape::new(&[2]).unwrap();
/// let computed = Tensor::from_f32(&shape, vec![-0.0, 1.5]).unwrap();
/// // Rule Q: −0 is stored as +0.
/// assert_eq!(computed.as_f32()[0].to_bits(), 0);
/// let given = Tensor::given_f32(&shape, vec![-0.0, 1.5]).unwrap();
/// assert_eq!(given.as_f32()[0].to_bits(), 0);
/// assert_ne!(given.root(), computed.root());
/// assert!(Tensor::from_f32(&shape, vec![1.0]).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Tensor {
    kind: TensorType,
    /// Stored values.
    data: FlexTensor,
    /// The elements' native-endian bytes as they were given, where they are others than the stored values'.
    given: Option<Arc<[u8]>>,
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.bytes() == other.bytes()
    }
}

/// A shape as burn has it.
pub(crate) fn burn_shape(shape: &Shape) -> BurnShape {
    // burn has no use for rank 0; a scalar is one row of one element there.
    match shape.rank() {
        0 => BurnShape::from(vec![1usize]),
        _ => BurnShape::from(
            shape.dimensions().iter().map(|size| *size as usize).collect::<Vec<usize>>(),
        ),
    }
}

impl Tensor {
    /// A binary32 tensor; rule Q is applied. `None` unless there is one element for each place.
    pub fn from_f32(shape: &Shape, mut elements: Vec<f32>) -> Option<Self> {
        for element in &mut elements {
            *element = f32::from_bits(store(element.to_bits()));
        }
        Self::from_stored_f32(shape, elements)
    }

    /// A binary32 tensor as somebody gave it: its bits are committed to as they are, and read under rule Q.
    /// `None` unless there is one element for each place.
    pub fn given_f32(shape: &Shape, elements: Vec<f32>) -> Option<Self> {
        if elements.iter().all(|element| store(element.to_bits()) == element.to_bits()) {
            return Self::from_stored_f32(shape, elements);
        }
        let given = elements.iter().flat_map(|element| element.to_ne_bytes()).collect();
        Some(Self { given: Some(given), ..Self::from_f32(shape, elements)? })
    }

    /// A truth tensor as somebody gave it, one byte for each element: the bytes are committed to as they
    /// are, and read as true unless they are 0.
    pub fn given_truths(shape: &Shape, bytes: &[u8]) -> Option<Self> {
        let tensor = Self::from_bool(shape, bytes.iter().map(|byte| *byte != 0).collect())?;
        let given = bytes.iter().any(|byte| *byte > 1).then(|| Arc::from(bytes));
        Some(Self { given, ..tensor })
    }

    /// A binary32 tensor of values that went through rule Q already.
    pub(crate) fn from_stored_f32(shape: &Shape, elements: Vec<f32>) -> Option<Self> {
        Self::new(ElementType::F32, shape, elements.len(), |burn| TensorData::new(elements, burn))
    }

    /// A 64-bit integer tensor.
    pub fn from_i64(shape: &Shape, elements: Vec<i64>) -> Option<Self> {
        Self::new(ElementType::I64, shape, elements.len(), |burn| TensorData::new(elements, burn))
    }

    /// A 32-bit integer tensor.
    pub fn from_i32(shape: &Shape, elements: Vec<i32>) -> Option<Self> {
        Self::new(ElementType::I32, shape, elements.len(), |burn| TensorData::new(elements, burn))
    }

    /// An integer tensor of any width; `None` too when the type cannot hold an element.
    pub fn from_integers(element: ElementType, shape: &Shape, elements: &[i64]) -> Option<Self> {
        macro_rules! elements {
            ($width:ty) => {{
                let narrow: Option<Vec<$width>> =
                    elements.iter().map(|value| <$width>::try_from(*value).ok()).collect();
                let narrow = narrow?;
                Self::new(element, shape, narrow.len(), |burn| TensorData::new(narrow, burn))
            }};
        }
        match element {
            ElementType::F32 | ElementType::Bool => None,
            ElementType::I64 => Self::from_i64(shape, elements.to_vec()),
            ElementType::I32 => elements!(i32),
            ElementType::I16 => elements!(i16),
            ElementType::I8 => elements!(i8),
            ElementType::U32 => elements!(u32),
            ElementType::U16 => elements!(u16),
            ElementType::U8 => elements!(u8),
        }
    }

    /// A truth tensor.
    pub fn from_bool(shape: &Shape, elements: Vec<bool>) -> Option<Self> {
        Self::new(ElementType::Bool, shape, elements.len(), |burn| TensorData::new(elements, burn))
    }

    fn new(
        element: ElementType,
        shape: &Shape,
        length: usize,
        data: impl FnOnce(BurnShape) -> TensorData,
    ) -> Option<Self> {
        if length as u64 != shape.count() {
            return None;
        }
        let kind = TensorType { element, shape: shape.clone() };
        Some(Self { kind, data: FlexTensor::from_data(data(burn_shape(shape))), given: None })
    }

    /// A tensor from bits as the law reads them.
    pub fn from_bits(kind: &TensorType, bits: &[u64]) -> Option<Self> {
        let shape = &kind.shape;
        match kind.element {
            ElementType::F32 => Self::from_f32(
                shape,
                bits.iter().map(|bits| f32::from_bits(*bits as u32)).collect(),
            ),
            ElementType::Bool => {
                Self::from_bool(shape, bits.iter().map(|bits| *bits != 0).collect())
            }
            element => {
                let integers: Vec<i64> =
                    bits.iter().map(|bits| element.to_integer(*bits)).collect();
                Self::from_integers(element, shape, &integers)
            }
        }
    }

    /// A tensor from its elements as a published state holds them: big-endian, row by row. `None` unless
    /// the bytes are as many as the type has.
    pub fn from_published(kind: &TensorType, bytes: &[u8]) -> Option<Self> {
        macro_rules! elements {
            ($width:ty) => {{
                let (chunks, rest) = bytes.as_chunks::<{ size_of::<$width>() }>();
                let all: Vec<$width> =
                    chunks.iter().map(|chunk| <$width>::from_be_bytes(*chunk)).collect();
                rest.is_empty().then_some(all)?
            }};
        }
        let shape = &kind.shape;
        macro_rules! integers {
            ($width:ty) => {{
                let all = elements!($width);
                Self::new(kind.element, shape, all.len(), |burn| TensorData::new(all, burn))
            }};
        }
        match kind.element {
            ElementType::F32 => Self::given_f32(shape, elements!(f32)),
            ElementType::Bool => Self::given_truths(shape, bytes),
            ElementType::I64 => integers!(i64),
            ElementType::I32 => integers!(i32),
            ElementType::I16 => integers!(i16),
            ElementType::I8 => integers!(i8),
            ElementType::U32 => integers!(u32),
            ElementType::U16 => integers!(u16),
            ElementType::U8 => integers!(u8),
        }
    }

    /// Appends the elements as a published state holds them.
    pub fn publish_into(&self, out: &mut Vec<u8>) {
        self.publish_elements_into(0..usize::MAX, out);
    }

    /// As [`Tensor::publish_into`], of a range of elements, as far as there are any.
    pub fn publish_elements_into(&self, elements: Range<usize>, out: &mut Vec<u8>) {
        let width = self.kind.element.bytes();
        let place = |element: usize| element.saturating_mul(width).min(self.bytes().len());
        let bytes = self.bytes().get(place(elements.start)..place(elements.end));
        let bytes = bytes.unwrap_or_default();
        macro_rules! reversed {
            ($width:literal) => {
                for chunk in bytes.as_chunks::<$width>().0 {
                    let mut chunk = *chunk;
                    if cfg!(target_endian = "little") {
                        chunk.reverse();
                    }
                    out.extend_from_slice(&chunk);
                }
            };
        }
        match width {
            2 => reversed!(2),
            4 => reversed!(4),
            8 => reversed!(8),
            _ => out.extend_from_slice(bytes),
        }
    }

    /// Takes over what burn computed, as `kind` says it should be.
    ///
    /// Data that lie in another order are copied. `None` when burn's result has another type.
    pub(crate) fn from_burn(kind: &TensorType, data: FlexTensor) -> Option<Self> {
        let expected = match kind.element {
            ElementType::F32 => matches!(data.dtype(), DType::F32),
            ElementType::I64 => matches!(data.dtype(), DType::I64),
            ElementType::I32 => matches!(data.dtype(), DType::I32),
            ElementType::Bool => matches!(data.dtype(), DType::Bool(_)),
            ElementType::I8 => matches!(data.dtype(), DType::I8),
            ElementType::U8 => matches!(data.dtype(), DType::U8),
            ElementType::I16 => matches!(data.dtype(), DType::I16),
            ElementType::U16 => matches!(data.dtype(), DType::U16),
            ElementType::U32 => matches!(data.dtype(), DType::U32),
        };
        let count = kind.shape.count() as usize;
        if !expected || data.layout().num_elements() != count {
            return None;
        }
        let whole = data.layout().is_contiguous()
            && data.layout().start_offset() == 0
            && data.bytes().len() == count * kind.element.bytes();
        let data = if whole { data } else { FlexTensor::from_data(data.into_data()) };
        Some(Self { kind: kind.clone(), data, given: None })
    }

    /// Element type and shape.
    pub fn kind(&self) -> &TensorType {
        &self.kind
    }

    /// Shape.
    pub fn shape(&self) -> &Shape {
        &self.kind.shape
    }

    /// The burn tensor.
    pub(crate) fn burn(&self) -> FlexTensor {
        self.data.clone()
    }

    /// The burn tensor under another shape of as many elements.
    pub(crate) fn burn_as(&self, shape: BurnShape) -> FlexTensor {
        self.data.reshape(shape)
    }

    /// The same stored values under another shape, as an operator writes them; `None` when the counts differ.
    pub(crate) fn reshaped(&self, shape: &Shape) -> Option<Self> {
        if shape.count() != self.kind.shape.count() {
            return None;
        }
        let kind = TensorType { element: self.kind.element, shape: shape.clone() };
        Some(Self { kind, data: self.data.reshape(burn_shape(shape)), given: None })
    }

    /// What is committed to.
    fn bytes(&self) -> &[u8] {
        match &self.given {
            Some(given) => given,
            None => self.data.bytes(),
        }
    }

    /// Whether another tensor of the same type is the same memory: then it is equal.
    pub(crate) fn is_same_memory(&self, other: &Self) -> bool {
        self.kind == other.kind && std::ptr::eq(self.bytes(), other.bytes())
    }

    /// The elements of a binary32 tensor; empty for other types.
    pub fn as_f32(&self) -> &[f32] {
        match self.kind.element {
            ElementType::F32 => self.data.as_slice::<f32>().unwrap_or_default(),
            _ => &[],
        }
    }

    /// Bits of an element as the law reads them; `None` after the end.
    pub fn bits(&self, index: u64) -> Option<u64> {
        self.given_bits(index).map(|bits| self.kind.element.stored(bits))
    }

    /// Bits of an element as they are committed to; `None` after the end.
    pub fn given_bits(&self, index: u64) -> Option<u64> {
        if index >= self.kind.shape.count() {
            return None;
        }
        let width = self.kind.element.bytes();
        let first = usize::try_from(index).ok()? * width;
        let bytes = self.bytes().get(first..first + width)?;
        Some(match *bytes {
            [byte] => u64::from(byte),
            [a, b] => u64::from(u16::from_ne_bytes([a, b])),
            [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
            _ => u64::from_ne_bytes(bytes.try_into().ok()?),
        })
    }

    /// All elements as the law reads them.
    pub fn all_bits(&self) -> Vec<u64> {
        (0..self.kind.shape.count()).filter_map(|index| self.bits(index)).collect()
    }

    /// The elements of an integer or truth tensor, as 64-bit integers; `None` for floats.
    pub fn integers(&self) -> Option<Vec<i64>> {
        match self.kind.element {
            ElementType::F32 => None,
            element => {
                Some(self.all_bits().into_iter().map(|bits| element.to_integer(bits)).collect())
            }
        }
    }

    /// The bytes of the leaf at `position` of the padded leaf tree; `None` for padding.
    pub fn leaf(&self, position: u64) -> Option<LeafBytes> {
        let (first, count) = self.kind.leaf_range(position)?;
        let width = self.kind.element.bytes();
        let first = usize::try_from(first).ok()? * width;
        Some(leaf_of(self.kind.element, self.bytes().get(first..first + count * width)?))
    }

    /// The leaf tree, for openings and paths.
    pub fn tree<C: Commitment>(&self) -> Option<Tree<C>> {
        let shape = self.kind.tree_shape()?;
        let (columns, width) = (self.kind.shape.columns() as usize, self.kind.element.bytes());
        let per_leaf = self.kind.element.leaf_elements() as usize * width;
        let rows = self.bytes().chunks(columns * width).map(|row| row.chunks(per_leaf));
        let leaves = hash_leaves::<C>(self.kind.element, rows.flatten());
        Tree::new(shape, &leaves)
    }

    /// The commitment to the tensor, computed row by row without holding the tree.
    pub fn root(&self) -> Digest {
        self.root_under::<Keccak>()
    }

    /// As [`Tensor::root`], under any commitment.
    pub fn root_under<C: Commitment>(&self) -> Digest {
        let columns = self.kind.shape.columns() as usize;
        let per_leaf = self.kind.element.leaf_elements() as usize;
        let width = self.kind.element.bytes();
        let leaves = columns.div_ceil(per_leaf);
        let row_height = leaves.next_power_of_two().trailing_zeros();
        let rows = self.kind.shape.rows() as usize;
        let height = (rows as u64).next_power_of_two().trailing_zeros();
        // Blocks of rows that are whole subtrees, each by one thread.
        let block =
            (LEAVES_AT_ONCE / leaves).max(1).next_power_of_two().min(rows.next_power_of_two());
        let block_height = block.trailing_zeros();
        let root_of = |bytes: &[u8]| {
            let rows = bytes.chunks(columns * width).map(|row| row.chunks(per_leaf * width));
            let mut level = hash_leaves::<C>(self.kind.element, rows.flatten());
            for depth in 0..row_height {
                level = hash_level::<C>(&level, leaves.div_ceil(1 << depth), depth);
            }
            for depth in 0..block_height {
                let all = level.len();
                level = hash_level::<C>(&level, all, row_height + depth);
            }
            level.first().copied().unwrap_or_default()
        };
        let mut level: Vec<Digest> = if block >= rows {
            vec![root_of(self.bytes())]
        } else {
            self.bytes().par_chunks(block * columns * width).map(root_of).collect()
        };
        for depth in block_height..height {
            let all = level.len();
            level = hash_level::<C>(&level, all, row_height + depth);
        }
        self.kind.root_under::<C>(&level.first().copied().unwrap_or_default())
    }
}

/// Leaves that a thread hashes at a time.
const LEAVES_AT_ONCE: usize = 1 << 9;

/// Whether a commitment is the one that is hashed side by side.
fn is_keccak<C: Commitment>() -> bool {
    TypeId::of::<C>() == TypeId::of::<Keccak>()
}

fn hash_leaves<'a, C: Commitment>(
    element: ElementType,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> Vec<Digest> {
    if !is_keccak::<C>() {
        return chunks.map(|chunk| C::leaf(&leaf_of(element, chunk))).collect();
    }
    let leaves: Vec<&[u8]> = chunks.collect();
    let mut hashes = vec![Digest::default(); leaves.len()];
    let reversed = if cfg!(target_endian = "little") { element.bytes() } else { 1 };
    let message = Message { tag: Tag::Leaf, body: protocol::tensor::LEAF_BYTES, element: reversed };
    hash_many(Isa::detect(), message, &leaves, &mut hashes);
    hashes
}

/// The level above `level`, whose nodes stand in groups of `group` with nothing but empty subtrees
/// of `height` after each.
fn hash_level<C: Commitment>(level: &[Digest], group: usize, height: u32) -> Vec<Digest> {
    let empty = empty_subtree::<C>(height);
    let pairs =
        level.chunks(group.max(1)).flat_map(|group| group.chunks(2)).map(|pair| match pair {
            [left, right] => (left, right),
            [left, ..] => (left, &empty),
            [] => (&empty, &empty),
        });
    if !is_keccak::<C>() {
        return pairs.map(|(left, right)| C::node(left, right)).collect();
    }
    let bodies: Vec<[u8; 64]> = pairs
        .map(|(left, right)| {
            let mut body = [0; 64];
            body[..32].copy_from_slice(&left.0);
            body[32..].copy_from_slice(&right.0);
            body
        })
        .collect();
    let mut hashes = vec![Digest::default(); bodies.len()];
    let bodies: Vec<&[u8]> = bodies.iter().map(<[u8; 64]>::as_slice).collect();
    let message = Message { tag: Tag::Node, body: 64, element: 1 };
    hash_many(Isa::detect(), message, &bodies, &mut hashes);
    hashes
}

/// A leaf made of native-endian elements.
fn leaf_of(element: ElementType, chunk: &[u8]) -> LeafBytes {
    let mut leaf = [0; protocol::tensor::LEAF_BYTES];
    leaf[..chunk.len()].copy_from_slice(chunk);
    if cfg!(target_endian = "little") {
        // Widths as constants: each loop becomes a few shuffles.
        match element.bytes() {
            2 => leaf.as_chunks_mut::<2>().0.iter_mut().for_each(|one| one.reverse()),
            4 => leaf.as_chunks_mut::<4>().0.iter_mut().for_each(|one| one.reverse()),
            8 => leaf.as_chunks_mut::<8>().0.iter_mut().for_each(|one| one.reverse()),
            _ => {}
        }
    }
    leaf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streamed_root_equals_the_root_of_the_tree() {
        for dimensions in [
            &[][..],
            &[1],
            &[64],
            &[65],
            &[1000],
            &[3, 64],
            &[5, 65],
            &[7, 1, 200],
            &[2, 3, 5, 7],
            &[33, 129],
        ] {
            let shape = Shape::new(dimensions).unwrap();
            let count = shape.count();
            let floats = (0..count).map(|index| index as f32 * 0.37 - 5.0).collect();
            let integers = (0..count).map(|index| index as i64 - 7).collect();
            let truths = (0..count).map(|index| index % 3 == 0).collect();
            for tensor in [
                Tensor::from_f32(&shape, floats).unwrap(),
                Tensor::from_i64(&shape, integers).unwrap(),
                Tensor::from_bool(&shape, truths).unwrap(),
                Tensor::from_integers(ElementType::I16, &shape, &vec![-300; count as usize])
                    .unwrap(),
                Tensor::from_integers(ElementType::U8, &shape, &vec![200; count as usize]).unwrap(),
            ] {
                let tree = tensor.tree::<Keccak>().unwrap();
                assert_eq!(tensor.root(), tensor.kind().root(&tree.root()), "{dimensions:?}");
            }
        }
    }

    #[test]
    fn floats_are_stored_under_rule_q() {
        let shape = Shape::new(&[4]).unwrap();
        let elements = vec![-0.0, 1e-30, f32::NAN, 1.5];
        let tensor = Tensor::from_f32(&shape, elements).unwrap();
        assert_eq!(tensor.all_bits(), [0, 0, 0x7FC0_0000, 0x3FC0_0000]);
    }
}
