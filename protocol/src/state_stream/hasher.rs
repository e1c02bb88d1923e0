//! Hashing a published state while it streams in.

use alloc::vec::Vec;

use super::head::{PREFIX_BYTES, head_length};
use super::{StateError, StateHead, StateLimits};
use crate::encoding::Canonical;
use crate::hash::{Commitment, Digest, Keccak};
use crate::roots::state_tree;
use crate::streamed::StreamedTree;
use crate::tensor::{LEAF_BYTES, TensorType};

/// The value whose elements are being read.
#[derive(Clone, Debug)]
struct Current {
    value: u32,
    kind: TensorType,
    /// Bytes of the row that are missing, and rows after it.
    row_left: u64,
    rows_left: u64,
    leaf: Vec<u8>,
}

impl Current {
    fn new(value: u32, kind: &TensorType) -> Self {
        let row_left = row_bytes(kind);
        let rows_left = kind.shape.rows().saturating_sub(1);
        Self { value, kind: kind.clone(), row_left, rows_left, leaf: Vec::new() }
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
/// use protocol::state_stream::{StateHasher, StateHead, StateLimits};
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
    tree: StreamedTree<C>,
}

impl<C: Commitment> StateHasher<C> {
    /// A hasher that has read nothing yet.
    pub fn new(limits: StateLimits) -> Self {
        let (prefix, roots) = (Vec::new(), Vec::new());
        Self { limits, prefix, head: None, roots, current: None, tree: StreamedTree::new() }
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
        let element = current.kind.element;
        current.leaf.resize(LEAF_BYTES, 0);
        let leaf: &[u8; LEAF_BYTES] =
            current.leaf.as_slice().try_into().map_err(|_| StateError::Head)?;
        self.tree.push(0, C::leaf(leaf));
        current.leaf.clear();
        if current.row_left > 0 {
            return Ok(());
        }
        let columns = current.kind.shape.columns().div_ceil(element.leaf_elements());
        self.tree.pad(columns.next_power_of_two().trailing_zeros());
        if current.rows_left > 0 {
            (current.row_left, current.rows_left) =
                (row_bytes(&current.kind), current.rows_left - 1);
            return Ok(());
        }
        let shape = current.kind.tree_shape().ok_or(StateError::Values)?;
        let root = current.kind.root_under::<C>(&self.tree.take_root(shape.depth()));
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
        state_tree::<C>(self.roots).map(|list| list.root()).ok_or(StateError::Values)
    }
}
