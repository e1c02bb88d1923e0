//! A tree whose leaves come one after the other.

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::hash::{Commitment, Digest};
use crate::merkle::{DEPTH_MAX, empty_subtree};

/// Root of a tree whose leaves come one after the other: whole subtrees are folded as soon as they are
/// there, so that memory is one hash for each level.
#[derive(Clone, Debug)]
pub(crate) struct StreamedTree<C: Commitment> {
    /// Heights and hashes of whole subtrees, from left to right; heights fall.
    open: Vec<(u32, Digest)>,
    empty: Vec<Digest>,
    commitment: PhantomData<C>,
}

impl<C: Commitment> StreamedTree<C> {
    pub(crate) fn new() -> Self {
        let empty = (0..=DEPTH_MAX).map(empty_subtree::<C>).collect();
        Self { open: Vec::new(), empty, commitment: PhantomData }
    }

    /// Takes the next subtree of this height, from left to right.
    pub(crate) fn push(&mut self, mut height: u32, mut digest: Digest) {
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
    pub(crate) fn pad(&mut self, height: u32) {
        while let Some((before, _)) = self.open.last().copied()
            && before < height
            && let Some(empty) = self.empty.get(before as usize).copied()
        {
            self.push(before, empty);
        }
    }

    /// The root of a tree of this depth. Nothing is kept: the next tree can begin.
    pub(crate) fn take_root(&mut self, depth: u32) -> Digest {
        self.pad(depth);
        let root = self.open.last().map(|(_, root)| *root).unwrap_or_default();
        self.open.clear();
        root
    }
}
