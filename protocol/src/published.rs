//! States as they travel between machines: raw, by value and type, hashed while they stream.
//!
//! Eight bytes [`MAGIC`], the length of the head as four big-endian bytes, the head (the canonical
//! encoding of [`StateHead`]), then the elements of each value as the leaves of its tree hold them: row by
//! row, big-endian, nothing between. Nothing is compressed, so the head tells the length to the byte, and
//! whoever knows the model knows the head. Not part of what is hashed: the root is.

use alloc::vec::Vec;
use core::fmt;

use crate::encoding::{Canonical, canonical_struct};
use crate::graph::{STATE_VALUES_MAX, state_leaf};
use crate::hash::{Commitment, Digest, Keccak, Tag};
use crate::merkle::{DEPTH_MAX, ListTree, empty_subtree};
use crate::tensor::{LEAF_BYTES, TensorType, leaf_is_canonical};

/// What a published state begins with.
pub const MAGIC: [u8; 8] = *b"REBUTST1";
/// Most bytes of a head.
pub const HEAD_BYTES_MAX: usize = 1 << 19;
/// Bytes before the head: the magic and the head's length.
const PREFIX_BYTES: usize = MAGIC.len() + 4;

/// Which values a published state holds, in ascending order of their ids, and of which types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateHead {
    /// Value ids and types.
    pub values: Vec<(u32, TensorType)>,
}
canonical_struct!(StateHead { values });

/// Why bytes are no published state. Wrong data is the same as no data: ask somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The bytes do not begin as a published state does.
    #[error("not a published state: it must begin with REBUTST1 and a head in canonical form")]
    Head,
    /// No value, too many, or not in ascending order.
    #[error("a published state holds 1 to 4096 values in ascending order of their ids")]
    Values,
    /// Longer than the reader takes.
    #[error("the state has {bytes} bytes, over the limit of {limit}")]
    TooLong {
        /// Bytes that the head announces.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Rows so short that hashing costs more than the limit.
    #[error("the state has {leaves} leaves, over the limit of {limit}; give it longer rows")]
    TooManyLeaves {
        /// Leaves that the head announces.
        leaves: u64,
        /// The limit.
        limit: u64,
    },
    /// It ends before the head says.
    #[error("the state ends {missing} bytes too early")]
    Truncated {
        /// Bytes that are missing.
        missing: u64,
    },
    /// Something follows after its end.
    #[error("bytes follow after the end of the state")]
    Trailing,
    /// An element has bits that no stored value of its type has.
    #[error(
        "value {value} holds bits that are not stored in its type (in the leaf of element {element}): \
         -0, a subnormal or another NaN, or a truth value other than 0 and 1"
    )]
    NotStored {
        /// The value.
        value: u32,
        /// First element of the leaf.
        element: u64,
    },
}

/// What a reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Bytes, the head included.
    pub bytes: u64,
    /// Leaves of all trees: a row has one leaf at least, so that short rows cost more than their bytes.
    pub leaves: u64,
}

impl StateHead {
    /// Whether ids ascend, the count is within the protocol's limit, and every tree within its depth.
    ///
    /// # Errors
    /// [`StateError::Values`] when not.
    pub fn check(&self) -> Result<(), StateError> {
        let ascending = self.values.is_sorted_by(|(one, _), (next, _)| one < next);
        let counted = (1..=STATE_VALUES_MAX).contains(&self.values.len());
        let deep = self.values.iter().all(|(_, kind)| kind.tree_shape().is_some());
        match ascending && counted && deep {
            true => Ok(()),
            false => Err(StateError::Values),
        }
    }

    /// What stands before the elements.
    pub fn prefix(&self) -> Vec<u8> {
        let head = self.to_canonical();
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
        [&MAGIC[..], &length.to_be_bytes(), &head].concat()
    }

    /// Bytes of all elements.
    pub fn data_bytes(&self) -> u64 {
        let bytes =
            |kind: &TensorType| kind.shape.count().saturating_mul(kind.element.bytes() as u64);
        self.values.iter().fold(0, |sum: u64, (_, kind)| sum.saturating_add(bytes(kind)))
    }

    /// Bytes of the whole published state.
    pub fn total_bytes(&self) -> u64 {
        self.data_bytes().saturating_add(self.prefix().len() as u64)
    }

    /// Leaves of all trees.
    pub fn leaves(&self) -> u64 {
        let leaves = |kind: &TensorType| kind.tree_shape().map_or(u64::MAX, |shape| shape.leaves());
        self.values.iter().fold(0, |sum: u64, (_, kind)| sum.saturating_add(leaves(kind)))
    }

    fn within(&self, limits: &StateLimits) -> Result<(), StateError> {
        self.check()?;
        let (bytes, leaves) = (self.total_bytes(), self.leaves());
        if bytes > limits.bytes {
            return Err(StateError::TooLong { bytes, limit: limits.bytes });
        }
        match leaves > limits.leaves {
            true => Err(StateError::TooManyLeaves { leaves, limit: limits.leaves }),
            false => Ok(()),
        }
    }
}

/// Root of a tree whose leaves come one after the other: whole subtrees are folded as soon as they are
/// there, so that memory is one hash for each level.
#[derive(Clone, Debug)]
struct Fold<C: Commitment> {
    /// Heights and hashes of whole subtrees, from left to right; heights fall.
    open: Vec<(u32, Digest)>,
    empty: Vec<Digest>,
    commitment: core::marker::PhantomData<C>,
}

impl<C: Commitment> Fold<C> {
    fn new() -> Self {
        let empty = (0..=DEPTH_MAX).map(empty_subtree::<C>).collect();
        Self { open: Vec::new(), empty, commitment: core::marker::PhantomData }
    }

    fn push(&mut self, mut height: u32, mut digest: Digest) {
        while let Some((before, left)) = self.open.last().copied()
            && before == height
        {
            self.open.pop();
            digest = C::node(&left, &digest);
            height += 1;
        }
        self.open.push((height, digest));
    }

    /// Fills up with empty leaves to a whole subtree of this height.
    fn pad(&mut self, height: u32) {
        while let Some((before, _)) = self.open.last().copied()
            && before < height
            && let Some(empty) = self.empty.get(before as usize).copied()
        {
            self.push(before, empty);
        }
    }

    fn take_root(&mut self, depth: u32) -> Digest {
        self.pad(depth);
        let root = self.open.last().map(|(_, root)| *root).unwrap_or_default();
        self.open.clear();
        root
    }
}

/// The value whose elements are being read.
#[derive(Clone, Debug)]
struct Current {
    value: u32,
    kind: TensorType,
    /// Bytes of the row that are missing, and rows after it.
    row_left: u64,
    rows_left: u64,
    /// Elements before the current leaf.
    element: u64,
    leaf: Vec<u8>,
}

impl Current {
    fn new(value: u32, kind: &TensorType) -> Self {
        let row_left = row_bytes(kind);
        let rows_left = kind.shape.rows().saturating_sub(1);
        Self { value, kind: kind.clone(), row_left, rows_left, element: 0, leaf: Vec::new() }
    }
}

fn row_bytes(kind: &TensorType) -> u64 {
    kind.shape.columns().saturating_mul(kind.element.bytes() as u64)
}

/// Hashes a published state while it streams in, in memory that does not grow with it.
///
/// Call [`StateHasher::push`] with each part as it comes, then [`StateHasher::finish`].
///
/// ```
/// use protocol::hash::Keccak;
/// use protocol::published::{StateHasher, StateHead, StateLimits};
/// use protocol::tensor::{ElementType, Shape, TensorType};
///
/// let shape = Shape::new(&[3]).expect("within the limits");
/// let head = StateHead { values: vec![(0, TensorType { element: ElementType::U8, shape })] };
/// let bytes = [head.prefix(), vec![1, 2, 3]].concat();
/// let root = |size: usize| {
///     let mut hasher = StateHasher::<Keccak>::new(StateLimits { bytes: 1_000, leaves: 10 });
///     bytes.chunks(size).try_for_each(|part| hasher.push(part))?;
///     hasher.finish()
/// };
/// // However it comes in parts, it has one root.
/// assert_eq!(root(1), root(1_000));
/// ```
#[derive(Clone, Debug)]
pub struct StateHasher<C: Commitment = Keccak> {
    limits: StateLimits,
    prefix: Vec<u8>,
    head: Option<StateHead>,
    /// Values that are read whole, and their roots.
    roots: Vec<(u32, Digest)>,
    current: Option<Current>,
    fold: Fold<C>,
}

impl<C: Commitment> StateHasher<C> {
    /// Nothing is read yet.
    pub fn new(limits: StateLimits) -> Self {
        let (prefix, roots) = (Vec::new(), Vec::new());
        Self { limits, prefix, head: None, roots, current: None, fold: Fold::new() }
    }

    /// What the state says it holds, as soon as its head is read.
    pub fn head(&self) -> Option<&StateHead> {
        self.head.as_ref()
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// When this can become no state within the limits; what comes after it is of no use.
    pub fn push(&mut self, part: &[u8]) -> Result<(), StateError> {
        let mut rest = part;
        while !rest.is_empty() {
            rest = match self.head {
                None => self.push_head(rest)?,
                Some(_) => self.push_data(rest)?,
            };
        }
        Ok(())
    }

    fn push_head<'a>(&mut self, part: &'a [u8]) -> Result<&'a [u8], StateError> {
        let wanted = match self.prefix.get(..PREFIX_BYTES) {
            None => PREFIX_BYTES,
            Some(start) => PREFIX_BYTES + head_length(start)?,
        };
        let (taken, rest) = part.split_at(part.len().min(wanted.saturating_sub(self.prefix.len())));
        self.prefix.extend_from_slice(taken);
        if self.prefix.len() < wanted || wanted == PREFIX_BYTES {
            return Ok(rest);
        }
        let encoded = self.prefix.get(PREFIX_BYTES..).unwrap_or_default();
        let head = StateHead::from_canonical(encoded).map_err(|_| StateError::Head)?;
        head.within(&self.limits)?;
        self.current = head.values.first().map(|(value, kind)| Current::new(*value, kind));
        self.head = Some(head);
        Ok(rest)
    }

    fn push_data<'a>(&mut self, part: &'a [u8]) -> Result<&'a [u8], StateError> {
        let Some(current) = &mut self.current else {
            return Err(StateError::Trailing);
        };
        let missing = (LEAF_BYTES - current.leaf.len()) as u64;
        let wanted = usize::try_from(missing.min(current.row_left)).unwrap_or(LEAF_BYTES);
        let (taken, rest) = part.split_at(part.len().min(wanted));
        current.leaf.extend_from_slice(taken);
        current.row_left = current.row_left.saturating_sub(taken.len() as u64);
        if current.leaf.len() == LEAF_BYTES || current.row_left == 0 {
            self.end_leaf()?;
        }
        Ok(rest)
    }

    /// The leaf is whole, and with it perhaps its row, and with that its value.
    fn end_leaf(&mut self) -> Result<(), StateError> {
        let Some(current) = &mut self.current else {
            return Err(StateError::Trailing);
        };
        let (element, width) = (current.kind.element, current.kind.element.bytes());
        let count = current.leaf.len() / width;
        current.leaf.resize(LEAF_BYTES, 0);
        let leaf: &[u8; LEAF_BYTES] =
            current.leaf.as_slice().try_into().map_err(|_| StateError::Head)?;
        if !leaf_is_canonical(element, leaf, count) {
            return Err(StateError::NotStored { value: current.value, element: current.element });
        }
        self.fold.push(0, C::leaf(leaf));
        current.leaf.clear();
        current.element = current.element.saturating_add(count as u64);
        if current.row_left > 0 {
            return Ok(());
        }
        let columns = current.kind.shape.columns().div_ceil(element.leaf_elements());
        self.fold.pad(columns.next_power_of_two().trailing_zeros());
        if current.rows_left > 0 {
            (current.row_left, current.rows_left) =
                (row_bytes(&current.kind), current.rows_left - 1);
            return Ok(());
        }
        let shape = current.kind.tree_shape().ok_or(StateError::Values)?;
        let root = current.kind.root_under::<C>(&self.fold.take_root(shape.depth()));
        self.roots.push((current.value, root));
        let next = self.head.as_ref().and_then(|head| head.values.get(self.roots.len()));
        self.current = next.map(|(value, kind)| Current::new(*value, kind));
        Ok(())
    }

    /// Bytes that are missing, once the head is read.
    fn missing(&self) -> u64 {
        let (Some(head), Some(current)) = (&self.head, &self.current) else {
            return u64::from(self.head.is_none());
        };
        let rows = current.rows_left.saturating_mul(row_bytes(&current.kind));
        let later = head.values.get(self.roots.len() + 1..).unwrap_or_default().to_vec();
        let later = StateHead { values: later }.data_bytes();
        current.row_left.saturating_add(rows).saturating_add(later)
    }

    /// The state's root.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn finish(self) -> Result<Digest, StateError> {
        match self.missing() {
            0 => {}
            missing => return Err(StateError::Truncated { missing }),
        }
        let leaves: Vec<Digest> =
            self.roots.iter().map(|(value, root)| state_leaf::<C>(*value, root)).collect();
        ListTree::<C>::new(Tag::State, &leaves).map(|list| list.root()).ok_or(StateError::Values)
    }
}

fn head_length(start: &[u8]) -> Result<usize, StateError> {
    let (magic, length) = start.split_at(start.len().min(MAGIC.len()));
    let length: [u8; 4] = length.try_into().map_err(|_| StateError::Head)?;
    let length = u32::from_be_bytes(length) as usize;
    // An empty head would never end.
    match magic == MAGIC && (1..=HEAD_BYTES_MAX).contains(&length) {
        true => Ok(length),
        false => Err(StateError::Head),
    }
}

impl fmt::Display for StateHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (value, kind)) in self.values.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(formatter, "{comma}value {value}: {}", kind.element.name())?;
            for size in kind.shape.dimensions() {
                write!(formatter, "[{size}]")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Tree;
    use crate::tensor::{ElementType, Shape, pack_leaf};
    use alloc::vec;

    const LIMITS: StateLimits = StateLimits { bytes: 1 << 20, leaves: 1 << 12 };

    fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
        TensorType { element, shape: Shape::new(dimensions).unwrap() }
    }

    /// A state with its bytes, and its root as the prover's trees give it.
    fn state(values: &[(u32, TensorType)]) -> (Vec<u8>, Digest) {
        let head = StateHead { values: values.to_vec() };
        let (mut bytes, mut leaves) = (head.prefix(), Vec::new());
        for (value, kind) in values {
            let width = kind.element.bytes();
            let elements: Vec<u64> = (0..kind.shape.count())
                .map(|at| if kind.element == ElementType::F32 { 0x3F80_0000 + at } else { at % 2 })
                .collect();
            for element in &elements {
                bytes.extend_from_slice(&element.to_be_bytes()[8 - width..]);
            }
            let shape = kind.tree_shape().unwrap();
            let hashes: Vec<Digest> = (0..1u64 << shape.depth())
                .filter_map(|position| kind.leaf_range(position))
                .map(|(first, count)| {
                    let range = first as usize..first as usize + count;
                    Keccak::leaf(&pack_leaf(kind.element, elements[range].iter().copied()))
                })
                .collect();
            let root = kind.root(&Tree::<Keccak>::new(shape, &hashes).unwrap().root());
            leaves.push(state_leaf::<Keccak>(*value, &root));
        }
        (bytes, ListTree::<Keccak>::new(Tag::State, &leaves).unwrap().root())
    }

    fn hashed(bytes: &[u8], part: usize, limits: StateLimits) -> Result<Digest, StateError> {
        let mut hasher = StateHasher::<Keccak>::new(limits);
        for part in bytes.chunks(part) {
            hasher.push(part)?;
        }
        hasher.finish()
    }

    #[test]
    fn a_streamed_state_has_the_root_of_its_trees_whatever_the_parts() {
        for dimensions in [
            &[][..],
            &[1],
            &[64],
            &[65],
            &[1000],
            &[3, 64],
            &[5, 65],
            &[7, 1, 200],
            &[9, 3],
            &[33, 129],
        ] {
            let values = [
                (0, kind(ElementType::F32, dimensions)),
                (3, kind(ElementType::Bool, dimensions)),
                (4, kind(ElementType::I64, dimensions)),
                (9, kind(ElementType::I16, dimensions)),
            ];
            let limits = StateLimits { bytes: 1 << 24, leaves: 1 << 20 };
            let (bytes, root) = state(&values);
            assert_eq!(bytes.len() as u64, StateHead { values: values.to_vec() }.total_bytes());
            for part in [1, 7, 256, 1 << 20] {
                assert_eq!(hashed(&bytes, part, limits), Ok(root), "{dimensions:?} by {part}");
            }
        }
    }

    #[test]
    fn what_is_no_state_is_refused_before_memory_is_taken() {
        let (bytes, root) = state(&[(1, kind(ElementType::F32, &[2, 65]))]);
        assert_eq!(hashed(&bytes, 64, LIMITS), Ok(root));
        let missing = StateError::Truncated { missing: 1 };
        assert_eq!(hashed(&bytes[..bytes.len() - 1], 64, LIMITS), Err(missing));
        assert_eq!(hashed(&[&bytes[..], &[0]].concat(), 64, LIMITS), Err(StateError::Trailing));
        assert!(matches!(hashed(&bytes[..9], 64, LIMITS), Err(StateError::Truncated { .. })));
        assert!(matches!(hashed(&[], 64, LIMITS), Err(StateError::Truncated { .. })));
        let tight = StateLimits { bytes: bytes.len() as u64 - 1, ..LIMITS };
        assert!(matches!(hashed(&bytes, 64, tight), Err(StateError::TooLong { .. })));
        let few = StateLimits { leaves: 3, ..LIMITS };
        let leaves = StateError::TooManyLeaves { leaves: 4, limit: 3 };
        assert_eq!(hashed(&bytes, 64, few), Err(leaves));
        // A head of gigabytes, a foreign magic, an empty head.
        for start in [&b"REBUTST1\xff\xff\xff\xff"[..], b"PK\x03\x04aaaaaaaa", b"REBUTST1\0\0\0\0"]
        {
            let long = [start, &[7; 1_000]].concat();
            assert_eq!(hashed(&long, 64, LIMITS), Err(StateError::Head));
        }
        let small = kind(ElementType::F32, &[1]);
        for ids in [&[][..], &[2, 2], &[3, 2]] {
            let values: Vec<_> = ids.iter().map(|id| (*id, small.clone())).collect();
            let head = StateHead { values }.prefix();
            assert_eq!(hashed(&head, 64, LIMITS), Err(StateError::Values), "{ids:?}");
        }
    }

    #[test]
    fn elements_that_no_tensor_holds_are_refused_by_value_and_element() {
        let (good, _) = state(&[(7, kind(ElementType::F32, &[2, 65]))]);
        for bits in [0x8000_0000u32, 1, 0x7FC0_0001, 0xFFC0_0000] {
            let mut bytes = good.clone();
            let at = bytes.len() - 4;
            bytes[at..].copy_from_slice(&bits.to_be_bytes());
            let refused = StateError::NotStored { value: 7, element: 129 };
            assert_eq!(hashed(&bytes, 64, LIMITS), Err(refused), "{bits:x}");
        }
        let (mut truths, _) = state(&[(7, kind(ElementType::Bool, &[3]))]);
        *truths.last_mut().unwrap() = 2;
        assert!(matches!(hashed(&truths, 64, LIMITS), Err(StateError::NotStored { .. })));
        let text =
            alloc::format!("{}", StateHead { values: vec![(7, kind(ElementType::F32, &[2, 3]))] });
        let element = ElementType::F32.name();
        assert_eq!(text, alloc::format!("value 7: {element}[2][3]"));
    }
}
