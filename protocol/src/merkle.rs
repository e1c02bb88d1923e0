//! Merkle trees of fixed shape, their openings and paths.
//!
//! A tree is a grid of `rows × columns` leaves, both padded to a power of two with one fixed empty
//! leaf, so that every index is shifts and masks. A list is a grid of one row. A [`Tree`] keeps every
//! node, because openings and comparisons read inner nodes, which `rs_merkle` does not give out;
//! tests hold its roots and paths against `rs_merkle`'s. Checking is a branch check that binds the
//! index to the path and the number of leaves, which `rs_merkle` 1.5 does not.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::hash::{Commitment, Digest, Keccak, Tag};

/// Deepest tree the protocol accepts.
pub const DEPTH_MAX: u32 = 40;

/// The shape of a tree, known from the model and never from the prover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeShape {
    rows: u64,
    columns: u64,
}

fn depth_of(count: u64) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}

impl TreeShape {
    /// A grid of leaves; `None` when it has no leaf or is deeper than [`DEPTH_MAX`].
    pub fn grid(rows: u64, columns: u64) -> Option<Self> {
        let limit = 1 << DEPTH_MAX;
        if rows == 0 || columns == 0 || rows > limit || columns > limit {
            return None;
        }
        let shape = Self { rows, columns };
        (shape.depth() <= DEPTH_MAX).then_some(shape)
    }

    /// A list of `count` leaves.
    pub fn list(count: u64) -> Option<Self> {
        Self::grid(1, count)
    }

    /// Levels between the root (0) and the leaves.
    pub fn depth(&self) -> u32 {
        depth_of(self.rows) + depth_of(self.columns)
    }

    /// Number of leaves that are not padding.
    pub fn leaves(&self) -> u64 {
        self.rows * self.columns
    }

    /// Position in the padded tree of a leaf given by row and column.
    pub fn position(&self, row: u64, column: u64) -> u64 {
        (row << depth_of(self.columns)) | column
    }

    /// Whether the tree has a node at this depth and index, be it padding or not.
    pub fn has_node(&self, depth: u32, index: u64) -> bool {
        // A tree is never so deep that the shift could be longer than the index.
        depth <= self.depth() && index >> depth == 0
    }

    /// Whether a node covers nothing but padding. Nodes outside the tree count as padding.
    pub fn is_padding(&self, depth: u32, index: u64) -> bool {
        if !self.has_node(depth, index) {
            return true;
        }
        let total = self.depth();
        // A node's first leaf decides: padding stands at the end of each row and after the last row.
        let first = index << (total - depth);
        let columns_depth = depth_of(self.columns);
        let row = first >> columns_depth;
        let column = first & ((1 << columns_depth) - 1);
        row >= self.rows || column >= self.columns
    }

    /// The levels that one opening of a node at `depth` goes down, `arity_log2` at most.
    pub fn opening_levels(&self, depth: u32, arity_log2: u32) -> u32 {
        arity_log2.min(self.depth().saturating_sub(depth))
    }

    /// Indices, at the level an opening reaches, of the real (not padding) descendants of a node. A node
    /// outside the tree has none.
    pub fn opened_indices(&self, depth: u32, index: u64, arity_log2: u32) -> Vec<u64> {
        if !self.has_node(depth, index) {
            return Vec::new();
        }
        let levels = self.opening_levels(depth, arity_log2);
        let reached = depth + levels;
        ((index << levels)..((index + 1) << levels))
            .filter(|child| !self.is_padding(reached, *child))
            .collect()
    }
}

/// Hash of a subtree of `height` levels that holds only empty leaves.
pub fn empty_subtree<C: Commitment>(height: u32) -> Digest {
    let mut digest = C::tagged(Tag::Empty, &[]);
    for _ in 0..height.min(DEPTH_MAX) {
        digest = C::node(&digest, &digest);
    }
    digest
}

/// Hashes of subtrees that hold only empty leaves, asked for from below: each is computed once.
struct EmptySubtrees<C: Commitment> {
    reached: Option<(u32, Digest)>,
    commitment: PhantomData<C>,
}

impl<C: Commitment> EmptySubtrees<C> {
    fn new() -> Self {
        Self { reached: None, commitment: PhantomData }
    }

    /// The subtree of this height, which is no less than any asked for before.
    fn of_height(&mut self, height: u32) -> Digest {
        let (mut reached, mut digest) = self.reached.unwrap_or_else(|| (0, empty_subtree::<C>(0)));
        while reached < height.min(DEPTH_MAX) {
            digest = C::node(&digest, &digest);
            reached += 1;
        }
        self.reached = Some((reached, digest));
        digest
    }
}

/// Whether the siblings on a way up from a node that stand for padding are empty subtrees. Others would let a tree
/// be committed to that nobody but its maker can compute.
pub fn is_padded<C: Commitment>(
    shape: &TreeShape,
    (depth, index): (u32, u64),
    siblings: &[Digest],
) -> bool {
    let mut empty = EmptySubtrees::<C>::new();
    let mut beside = siblings.iter().zip(0u32..);
    beside.all(|(sibling, level)| {
        let Some(at) = depth.checked_sub(level) else {
            return false;
        };
        !shape.is_padding(at, (index >> level) ^ 1)
            || *sibling == empty.of_height(shape.depth().saturating_sub(at))
    })
}

/// Folds the opened descendants of a node (padding left out) back to the node's hash.
///
/// Returns `None` for a node outside the tree, and unless there is exactly one hash for each real
/// descendant.
pub fn fold_opening<C: Commitment>(
    shape: &TreeShape,
    depth: u32,
    index: u64,
    arity_log2: u32,
    children: &[Digest],
) -> Option<Digest> {
    if !shape.has_node(depth, index) {
        return None;
    }
    let levels = shape.opening_levels(depth, arity_log2);
    let reached = depth + levels;
    let mut padding = None;
    let mut given = children.iter();
    let mut level = Vec::with_capacity(1 << levels);
    for child in (index << levels)..((index + 1) << levels) {
        level.push(if shape.is_padding(reached, child) {
            *padding.get_or_insert_with(|| empty_subtree::<C>(shape.depth() - reached))
        } else {
            *given.next()?
        });
    }
    if given.next().is_some() {
        return None;
    }
    while level.len() > 1 {
        let half = level.len() / 2;
        for at in 0..half {
            let (Some(left), Some(right)) = (level.get(2 * at), level.get(2 * at + 1)) else {
                return None;
            };
            let parent = C::node(left, right);
            *level.get_mut(at)? = parent;
        }
        level.truncate(half);
    }
    level.first().copied()
}

/// Climbs from a node at `depth` along `siblings` (lowest first).
///
/// Returns the hash, depth and index of the node reached, or `None` when the index does not fit
/// the depth or the path is longer than the way to the root.
pub fn climb<C: Commitment>(
    depth: u32,
    index: u64,
    start: Digest,
    siblings: &[Digest],
) -> Option<(Digest, u32, u64)> {
    let steps = u32::try_from(siblings.len()).ok()?;
    if depth > DEPTH_MAX || index >> depth != 0 || steps > depth {
        return None;
    }
    let mut digest = start;
    for (level, sibling) in siblings.iter().enumerate() {
        digest = match (index >> level) & 1 {
            0 => C::node(&digest, sibling),
            _ => C::node(sibling, &digest),
        };
    }
    Some((digest, depth - steps, index >> steps))
}

/// Root of the tree in which `leaf` stands at `index`, given the full path; `None` when the path
/// has not the tree's depth, a sibling that is padding is no empty subtree, or the position is padding.
pub fn root_of_path<C: Commitment>(
    shape: &TreeShape,
    index: u64,
    leaf: Digest,
    siblings: &[Digest],
) -> Option<Digest> {
    if shape.is_padding(shape.depth(), index)
        || siblings.len() != shape.depth() as usize
        || !is_padded::<C>(shape, (shape.depth(), index), siblings)
    {
        return None;
    }
    let (digest, _, _) = climb::<C>(shape.depth(), index, leaf, siblings)?;
    Some(digest)
}

/// Root of the tree in which these leaves stand, given the siblings that cannot be computed from them: level
/// by level from below, indices ascending, padding left out.
///
/// Returns `None` unless the positions ascend, are of the tree, not padding, and exactly the siblings that are
/// needed are given.
pub fn root_of_leaves<C: Commitment>(
    shape: &TreeShape,
    leaves: &[(u64, Digest)],
    siblings: &[Digest],
) -> Option<Digest> {
    let ascends = leaves.windows(2).all(|pair| match pair {
        [(first, _), (second, _)] => first < second,
        _ => true,
    });
    let inside = |(position, _): &(u64, Digest)| !shape.is_padding(shape.depth(), *position);
    if leaves.is_empty() || !ascends || !leaves.iter().all(inside) {
        return None;
    }
    let (mut given, mut empty) = (siblings.iter(), EmptySubtrees::<C>::new());
    let mut level: Vec<(u64, Digest)> = leaves.to_vec();
    for depth in (1..=shape.depth()).rev() {
        let mut above = Vec::with_capacity(level.len());
        let mut nodes = level.iter().peekable();
        while let Some((index, hash)) = nodes.next() {
            let beside = index ^ 1;
            let sibling = match nodes.next_if(|(next, _)| *next == beside) {
                Some((_, known)) => *known,
                None if shape.is_padding(depth, beside) => empty.of_height(shape.depth() - depth),
                None => *given.next()?,
            };
            let parent = match index & 1 {
                0 => C::node(hash, &sibling),
                _ => C::node(&sibling, hash),
            };
            above.push((index >> 1, parent));
        }
        level = above;
    }
    match (level.first(), given.next()) {
        (Some((_, root)), None) => Some(*root),
        _ => None,
    }
}

/// A tree held in memory, for those who prove. Clones share the nodes.
///
/// ```
/// use protocol::hash::{Keccak, leaf};
/// use protocol::merkle::{Tree, TreeShape, root_of_path};
///
/// let leaves: Vec<_> = (0..5u8).map(|byte| leaf(&[byte])).collect();
/// let shape = TreeShape::list(5).expect("not too many");
/// let tree = Tree::<Keccak>::new(shape.clone(), &leaves).expect("a leaf for each place");
/// let path = tree.path(3).expect("there is a fourth leaf");
/// assert_eq!(root_of_path::<Keccak>(&shape, 3, leaves[3], &path), Some(tree.root()));
/// ```
#[derive(Clone)]
pub struct Tree<C: Commitment = Keccak> {
    shape: TreeShape,
    /// Level by level from the root: the node of depth d and index i stands at 2^d − 1 + i.
    nodes: Arc<[Digest]>,
    commitment: PhantomData<C>,
}

impl<C: Commitment> core::fmt::Debug for Tree<C> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Tree").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl<C: Commitment> Tree<C> {
    /// Builds a tree from the hashes of its real leaves, row by row.
    ///
    /// Returns `None` unless there is one hash for each leaf of the shape, and for a tree of more than 30
    /// levels, which memory does not hold.
    pub fn new(shape: TreeShape, leaves: &[Digest]) -> Option<Self> {
        if leaves.len() as u64 != shape.leaves() || shape.depth() > 30 {
            return None;
        }
        let mut given = leaves.iter();
        let empty = empty_subtree::<C>(0);
        let width = 1usize << shape.depth();
        let mut nodes = alloc::vec![Digest::default(); 2 * width - 1];
        for index in 0..width {
            let padding = shape.is_padding(shape.depth(), index as u64);
            *nodes.get_mut(width - 1 + index)? = if padding { empty } else { *given.next()? };
        }
        for at in (0..width - 1).rev() {
            let parent = C::node(nodes.get(2 * at + 1)?, nodes.get(2 * at + 2)?);
            *nodes.get_mut(at)? = parent;
        }
        Some(Self { shape, nodes: nodes.into(), commitment: PhantomData })
    }

    /// Shape of the tree.
    pub fn shape(&self) -> &TreeShape {
        &self.shape
    }

    /// Root of the tree.
    pub fn root(&self) -> Digest {
        self.nodes.first().copied().unwrap_or_default()
    }

    /// Hash of the node at `depth` and `index`; `None` outside the tree.
    pub fn node(&self, depth: u32, index: u64) -> Option<Digest> {
        if !self.shape.has_node(depth, index) {
            return None;
        }
        let at = (1usize << depth) - 1 + usize::try_from(index).ok()?;
        self.nodes.get(at).copied()
    }

    /// Hashes an opening of a node shows: its real descendants, one opening further down.
    pub fn opening(&self, depth: u32, index: u64, arity_log2: u32) -> Option<Vec<Digest>> {
        let reached = depth + self.shape.opening_levels(depth, arity_log2);
        self.shape
            .opened_indices(depth, index, arity_log2)
            .into_iter()
            .map(|child| self.node(reached, child))
            .collect()
    }

    /// The siblings with which [`root_of_leaves`] computes the root from these leaves; the positions ascend.
    pub fn siblings_of(&self, positions: &[u64]) -> Option<Vec<Digest>> {
        let mut siblings = Vec::new();
        let mut level: Vec<u64> = positions.to_vec();
        for depth in (1..=self.shape.depth()).rev() {
            for index in &level {
                let beside = index ^ 1;
                let known = level.binary_search(&beside).is_ok();
                if !known && !self.shape.is_padding(depth, beside) {
                    siblings.push(self.node(depth, beside)?);
                }
            }
            for index in &mut level {
                *index >>= 1;
            }
            level.dedup();
        }
        Some(siblings)
    }

    /// Siblings from leaf `index` up to the root, lowest first.
    pub fn path(&self, index: u64) -> Option<Vec<Digest>> {
        let depth = self.shape.depth();
        if index >> depth != 0 {
            return None;
        }
        (0..depth).map(|level| self.node(depth - level, (index >> level) ^ 1)).collect()
    }
}

/// Root of a committed list: tag, number of leaves, root of the leaf tree.
pub fn list_root<C: Commitment>(tag: Tag, count: u32, tree_root: &Digest) -> Digest {
    C::tagged(tag, &[&count.to_be_bytes(), &tree_root.0])
}

/// Checks that `leaf` stands at `index` of the list committed to by `root`.
pub fn verify_list<C: Commitment>(
    tag: Tag,
    root: &Digest,
    count: u32,
    index: u32,
    leaf: Digest,
    siblings: &[Digest],
) -> bool {
    TreeShape::list(u64::from(count))
        .and_then(|shape| root_of_path::<C>(&shape, u64::from(index), leaf, siblings))
        .is_some_and(|tree_root| list_root::<C>(tag, count, &tree_root) == *root)
}

/// A list with its tree and its root, for those who prove.
#[derive(Clone, Debug)]
pub struct ListTree<C: Commitment = Keccak> {
    tree: Tree<C>,
    root: Digest,
}

impl<C: Commitment> ListTree<C> {
    /// Commits to leaves given by their hashes. `None` for an empty or an over-long list.
    pub fn new(tag: Tag, leaves: &[Digest]) -> Option<Self> {
        let count = u32::try_from(leaves.len()).ok()?;
        let tree = Tree::new(TreeShape::list(u64::from(count))?, leaves)?;
        let root = list_root::<C>(tag, count, &tree.root());
        Some(Self { tree, root })
    }

    /// The committed root.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// The tree below the root.
    pub fn tree(&self) -> &Tree<C> {
        &self.tree
    }

    /// Siblings from leaf `index` up to the tree's root, lowest first; `None` outside the tree.
    pub fn path(&self, index: u64) -> Option<Vec<Digest>> {
        self.tree.path(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rs_merkle` with our separation, as a second opinion.
    #[derive(Clone)]
    struct Peer;

    impl rs_merkle::Hasher for Peer {
        type Hash = [u8; 32];

        fn hash(data: &[u8]) -> Self::Hash {
            Keccak::leaf(data).0
        }

        fn concat_and_hash(left: &Self::Hash, right: Option<&Self::Hash>) -> Self::Hash {
            right.map_or(*left, |right| Keccak::node(&Digest(*left), &Digest(*right)).0)
        }
    }

    #[test]
    fn roots_and_paths_are_those_of_rs_merkle() {
        for (rows, columns) in [(1, 1), (1, 2), (1, 5), (3, 1), (3, 5), (8, 8), (5, 17)] {
            let shape = TreeShape::grid(rows, columns).unwrap();
            let real: Vec<Digest> =
                (0..shape.leaves()).map(|leaf| Keccak::leaf(&leaf.to_be_bytes())).collect();
            let tree = Tree::<Keccak>::new(shape, &real).unwrap();
            let mut given = real.iter();
            let padded: Vec<[u8; 32]> = (0..1u64 << shape.depth())
                .map(|index| {
                    if shape.is_padding(shape.depth(), index) {
                        empty_subtree::<Keccak>(0).0
                    } else {
                        given.next().unwrap().0
                    }
                })
                .collect();
            let peer = rs_merkle::MerkleTree::<Peer>::from_leaves(&padded);
            assert_eq!(Some(tree.root().0), peer.root());
            for index in 0..padded.len() {
                let theirs = peer.proof(&[index]).proof_hashes().to_vec();
                let ours: Vec<[u8; 32]> =
                    tree.path(index as u64).unwrap().iter().map(|digest| digest.0).collect();
                assert_eq!(ours, theirs, "{rows} × {columns}, leaf {index}");
            }
        }
    }
}
