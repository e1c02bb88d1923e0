//! Tensors of the engine: burn's Flex storage with the protocol's type beside it.

mod hashing;

use std::ops::Range;
use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Shape as BurnShape, TensorData};
use protocol::numerics::store;
use protocol::tensor::{ElementType, Shape, TensorType};

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
            ElementType::F32 | ElementType::Bool | ElementType::Bf16 | ElementType::F16 => None,
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
            ElementType::Bf16 | ElementType::F16 => {
                let stored = bits.iter().map(|bits| kind.element.stored(*bits) as u16).collect();
                Self::from_stored_narrow(kind, stored)
            }
            element => {
                let integers: Vec<i64> =
                    bits.iter().map(|bits| element.to_integer(*bits)).collect();
                Self::from_integers(element, shape, &integers)
            }
        }
    }

    /// A tensor of 16-bit floats that are stored values; burn keeps them as integers, which it only moves.
    fn from_stored_narrow(kind: &TensorType, bits: Vec<u16>) -> Option<Self> {
        Self::new(kind.element, &kind.shape, bits.len(), |burn| TensorData::new(bits, burn))
    }

    /// A tensor of 16-bit floats as somebody gave it, by their bits: committed to as they are, and read
    /// under rule Q. `None` for other types, and unless there is one element for each place.
    pub fn given_narrow(kind: &TensorType, bits: &[u16]) -> Option<Self> {
        if !kind.element.is_narrow() {
            return None;
        }
        let stored: Vec<u16> =
            bits.iter().map(|bits| kind.element.stored(u64::from(*bits)) as u16).collect();
        let given =
            (stored != bits).then(|| bits.iter().flat_map(|bits| bits.to_ne_bytes()).collect());
        Some(Self { given, ..Self::from_stored_narrow(kind, stored)? })
    }

    /// The same numbers as binary32, as a contraction reads its right side; `None` for what is a binary32
    /// already.
    pub(crate) fn widened(&self) -> Option<Self> {
        let element = self.kind.element;
        if element == ElementType::F32 {
            return None;
        }
        let floats = self.all_bits().into_iter().map(|bits| f32::from_bits(element.to_f32(bits)));
        Self::from_stored_f32(&self.kind.shape, floats.collect())
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
            ElementType::Bf16 | ElementType::F16 => Self::given_narrow(kind, &elements!(u16)),
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
            ElementType::U16 | ElementType::Bf16 | ElementType::F16 => {
                matches!(data.dtype(), DType::U16)
            }
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
            ElementType::F32 | ElementType::Bf16 | ElementType::F16 => None,
            element => {
                Some(self.all_bits().into_iter().map(|bits| element.to_integer(bits)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::hash::Keccak;

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
