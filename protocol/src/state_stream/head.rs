//! The head of a published state, and what a reader takes.

use alloc::vec::Vec;
use core::fmt;

use super::StateError;
use crate::encoding::{Canonical, canonical_struct};
use crate::graph::STATE_VALUES_MAX;
use crate::tensor::TensorType;

/// What a published state begins with.
pub const MAGIC: [u8; 8] = *b"REBUTST1";
/// Most bytes of a head.
pub const HEAD_BYTES_MAX: usize = 1 << 19;
/// Bytes before the head: the magic and the head's length.
pub(super) const PREFIX_BYTES: usize = MAGIC.len() + 4;

/// Which values a published state holds, in ascending order of their ids, and of which types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateHead {
    /// Value ids and types.
    pub values: Vec<(u32, TensorType)>,
}
canonical_struct!(StateHead { values });

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
        if ascending && counted && deep { Ok(()) } else { Err(StateError::Values) }
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

    pub(super) fn within(&self, limits: &StateLimits) -> Result<(), StateError> {
        self.check()?;
        let (bytes, leaves) = (self.total_bytes(), self.leaves());
        if bytes > limits.bytes {
            return Err(StateError::TooLong { bytes, limit: limits.bytes });
        }
        if leaves > limits.leaves {
            Err(StateError::TooManyLeaves { leaves, limit: limits.leaves })
        } else {
            Ok(())
        }
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

/// Length of the head, as the first [`PREFIX_BYTES`] bytes tell it.
pub(super) fn head_length(start: &[u8]) -> Result<usize, StateError> {
    let (magic, length) = start.split_at(start.len().min(MAGIC.len()));
    let length: [u8; 4] = length.try_into().map_err(|_| StateError::Head)?;
    let length = u32::from_be_bytes(length) as usize;
    // An empty head would never end.
    if magic == MAGIC && (1..=HEAD_BYTES_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(StateError::Head)
    }
}
