//! What is committed to: the values between two layers, and the outputs inside one.

use std::sync::OnceLock;

use protocol::hash::{Commitment, Digest, Keccak};
use protocol::merkle::{ListTree, Tree};
use protocol::roots::{state_tree, subtrace_tree};

use crate::tensor::Tensor;

/// Committed values at a boundary.
#[derive(Clone, Debug)]
pub struct State<C: Commitment = Keccak> {
    values: Vec<(u32, Tensor)>,
    roots: Vec<Digest>,
    tree: ListTree<C>,
    leaf_trees: Vec<OnceLock<Tree<C>>>,
}

impl<C: Commitment> State<C> {
    /// Commits to values, ascending by id. `None` for none.
    pub fn new(values: Vec<(u32, Tensor)>) -> Option<Self> {
        let roots = values.iter().map(|(_, tensor)| tensor.root_under::<C>()).collect();
        Self::with_roots(values, roots)
    }

    /// As [`State::new`]; what is the same memory as before is not hashed again.
    pub(crate) fn after(before: &Self, values: Vec<(u32, Tensor)>) -> Option<Self> {
        let root = |(value, tensor): &(u32, Tensor)| {
            let known = before
                .values
                .iter()
                .zip(&before.roots)
                .find(|((other, old), _)| other == value && old.is_same_memory(tensor));
            known.map_or_else(|| tensor.root_under::<C>(), |(_, root)| *root)
        };
        let roots = values.iter().map(root).collect();
        Self::with_roots(values, roots)
    }

    /// As [`State::new`], of values whose roots are known.
    pub(crate) fn with_roots(values: Vec<(u32, Tensor)>, roots: Vec<Digest>) -> Option<Self> {
        let ids = values.iter().map(|(value, _)| *value);
        let tree = state_tree(ids.zip(roots.iter().copied()))?;
        let leaf_trees = vec![OnceLock::new(); values.len()];
        Some(Self { values, roots, tree, leaf_trees })
    }

    /// What the next iteration begins with: for each input the value that it is linked to. `None` where one is
    /// not there.
    pub(crate) fn handed_on(&self, links: &[u32]) -> Option<Self> {
        let mut values = Vec::new();
        let mut roots = Vec::new();
        for (input, value) in (0u32..).zip(links) {
            let place = self.values.iter().position(|(id, _)| id == value)?;
            values.push((input, self.values.get(place)?.1.clone()));
            roots.push(*self.roots.get(place)?);
        }
        Self::with_roots(values, roots)
    }

    /// The state root.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The tree of the values.
    pub fn tree(&self) -> &ListTree<C> {
        &self.tree
    }

    /// Ids and tensors.
    pub fn values(&self) -> &[(u32, Tensor)] {
        &self.values
    }

    /// Tensor roots, in the order of the values.
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// Ids and tensor roots.
    pub fn entries(&self) -> Vec<(u32, Digest)> {
        self.values.iter().zip(&self.roots).map(|((value, _), root)| (*value, *root)).collect()
    }

    /// A value's tensor.
    pub fn tensor(&self, value: u32) -> Option<&Tensor> {
        find(&self.values, value)
    }

    /// Leaf tree of a value, built at the first call.
    pub fn leaf_tree(&self, value: u32) -> Option<&Tree<C>> {
        let place = self.values.iter().position(|(id, _)| *id == value)?;
        cached_tree(self.leaf_trees.get(place)?, &self.values.get(place)?.1)
    }

    /// Bytes that were hashed for it.
    pub fn bytes(&self) -> u64 {
        let bytes = |tensor: &Tensor| tensor.shape().count() * tensor.kind().element.bytes() as u64;
        self.values.iter().map(|(_, tensor)| bytes(tensor)).sum()
    }
}

/// The tensor of a value.
pub(crate) fn find(values: &[(u32, Tensor)], value: u32) -> Option<&Tensor> {
    values.iter().find(|(id, _)| *id == value).map(|(_, tensor)| tensor)
}

fn cached_tree<'a, C: Commitment>(
    cell: &'a OnceLock<Tree<C>>,
    tensor: &Tensor,
) -> Option<&'a Tree<C>> {
    match cell.get() {
        Some(tree) => Some(tree),
        None => {
            let tree = tensor.tree()?;
            Some(cell.get_or_init(|| tree))
        }
    }
}

/// Outputs of the operators of one layer: of all of them, or of those before the first without a result.
#[derive(Clone, Debug)]
pub struct Subtrace<C: Commitment = Keccak> {
    tensors: Vec<Tensor>,
    roots: Vec<Digest>,
    tree: ListTree<C>,
    leaf_trees: Vec<OnceLock<Tree<C>>>,
}

impl<C: Commitment> Subtrace<C> {
    /// Commits to outputs in the order of the operators. `None` for none.
    pub(crate) fn new(tensors: Vec<Tensor>) -> Option<Self> {
        let count = tensors.len();
        Self::begun(tensors, count)
    }

    /// As [`Subtrace::new`] of the first of so many operators. In its tree the others stand empty: what is above
    /// them is nobody's commitment.
    pub(crate) fn begun(tensors: Vec<Tensor>, count: usize) -> Option<Self> {
        let mut roots: Vec<Digest> = tensors.iter().map(Tensor::root_under::<C>).collect();
        let known = roots.len();
        roots.resize(count.max(known), Digest::default());
        let tree = subtrace_tree(&roots)?;
        roots.truncate(known);
        let leaf_trees = vec![OnceLock::new(); known];
        Some(Self { tensors, roots, tree, leaf_trees })
    }

    /// Tensors in the order of the operators.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Leaf tree of the output at a position, built at the first call.
    pub fn leaf_tree(&self, position: u32) -> Option<&Tree<C>> {
        let place = position as usize;
        cached_tree(self.leaf_trees.get(place)?, self.tensors.get(place)?)
    }

    /// Tensor roots in the order of the operators.
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// The tree of the roots.
    pub fn tree(&self) -> &ListTree<C> {
        &self.tree
    }
}
