//! Roots of a run: what commits to its states, and to the operator outputs inside a layer.
//!
//! Each is a list under a tag of its own, so that a leaf of one proves nothing about another. Whoever
//! proves keeps the [`ListTree`], whoever checks uses the leaf and [`verify_list`].

use alloc::vec::Vec;

use crate::hash::{Commitment, Digest, Tag};
use crate::merkle::{ListTree, verify_list};

/// Leaf of a state: the value's id, then its tensor root.
pub fn state_leaf<C: Commitment>(value: u32, tensor_root: &Digest) -> Digest {
    C::tagged(Tag::Leaf, &[&value.to_be_bytes(), &tensor_root.0])
}

/// The trace of a run: the list of its state roots, the input's first, then the one after each layer.
///
/// Returns `None` without states and for more than a tree can hold.
///
/// ```
/// use protocol::hash::{Keccak, keccak};
/// use protocol::roots::{is_state_of_trace, trace_tree};
///
/// let states = [keccak(b"input"), keccak(b"hidden"), keccak(b"output")];
/// let trace = trace_tree::<Keccak>(&states).expect("three states");
/// let path = trace.path(2).expect("there is a third state");
/// assert!(is_state_of_trace::<Keccak>(&trace.root(), 3, 2, &states[2], &path));
/// assert!(!is_state_of_trace::<Keccak>(&trace.root(), 3, 1, &states[2], &path));
/// ```
pub fn trace_tree<C: Commitment>(state_roots: &[Digest]) -> Option<ListTree<C>> {
    roots_list(Tag::Trace, state_roots)
}

/// Whether a trace of `state_count` states has this state root at this boundary: 0 before the first
/// layer, then one after each. `path` is the siblings, lowest first.
pub fn is_state_of_trace<C: Commitment>(
    trace_root: &Digest,
    state_count: u32,
    boundary: u32,
    state_root: &Digest,
    path: &[Digest],
) -> bool {
    let leaf = root_leaf::<C>(state_root);
    verify_list::<C>(Tag::Trace, trace_root, state_count, boundary, leaf, path)
}

/// The sequence of a run: the list of its iterations' trace roots. A model without links has one, or one for each
/// entry of a batch.
///
/// Returns `None` without iterations and for more than a tree can hold.
pub fn sequence_tree<C: Commitment>(trace_roots: &[Digest]) -> Option<ListTree<C>> {
    roots_list(Tag::Sequence, trace_roots)
}

/// Whether a sequence of `iterations` has this trace root at this iteration. `path` is the siblings,
/// lowest first.
pub fn is_trace_of_sequence<C: Commitment>(
    sequence_root: &Digest,
    iterations: u32,
    iteration: u32,
    trace_root: &Digest,
    path: &[Digest],
) -> bool {
    let leaf = root_leaf::<C>(trace_root);
    verify_list::<C>(Tag::Sequence, sequence_root, iterations, iteration, leaf, path)
}

/// The inputs of a batch: the list of the state roots of its entries. What a job over a batch has as its input
/// root.
///
/// Returns `None` without entries and for more than a tree can hold.
pub fn batch_tree<C: Commitment>(input_roots: &[Digest]) -> Option<ListTree<C>> {
    roots_list(Tag::Batch, input_roots)
}

/// Whether a batch of `entries` has this state root at this entry. `path` is the siblings, lowest first.
pub fn is_entry_of_batch<C: Commitment>(
    batch_root: &Digest,
    entries: u32,
    entry: u32,
    input_root: &Digest,
    path: &[Digest],
) -> bool {
    let leaf = root_leaf::<C>(input_root);
    verify_list::<C>(Tag::Batch, batch_root, entries, entry, leaf, path)
}

/// The state at one boundary: the list of its values, ids ascending, with their tensor roots.
///
/// Returns `None` without values and for more than a tree can hold.
pub fn state_tree<C: Commitment>(
    values: impl IntoIterator<Item = (u32, Digest)>,
) -> Option<ListTree<C>> {
    let leaves: Vec<Digest> =
        values.into_iter().map(|(value, root)| state_leaf::<C>(value, &root)).collect();
    ListTree::new(Tag::State, &leaves)
}

/// The subtrace of a layer: the list of its operators' output roots, in their order.
///
/// Returns `None` without outputs and for more than a tree can hold.
pub fn subtrace_tree<C: Commitment>(output_roots: &[Digest]) -> Option<ListTree<C>> {
    roots_list(Tag::Subtrace, output_roots)
}

/// Leaf of a trace, a subtrace or a list of weights: the root that stands there.
pub fn root_leaf<C: Commitment>(root: &Digest) -> Digest {
    C::leaf(&root.0)
}

fn roots_list<C: Commitment>(tag: Tag, roots: &[Digest]) -> Option<ListTree<C>> {
    let leaves: Vec<Digest> = roots.iter().map(root_leaf::<C>).collect();
    ListTree::new(tag, &leaves)
}
