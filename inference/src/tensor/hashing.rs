//! The commitment to a tensor: its leaves, their tree, and the root, hashed side by side.

use std::any::TypeId;

use protocol::hash::{Commitment, Digest, Keccak, Tag};
use protocol::merkle::{Tree, empty_subtree};
use protocol::tensor::{ElementType, LeafBytes};
use rayon::prelude::*;

use super::Tensor;
use kernels::{Isa, Message, hash_many};

impl Tensor {
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
