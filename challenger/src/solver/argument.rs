//! What is known in the course of one move.

use protocol::asks::{Ask, Asking, Tree};
use protocol::hash::{Commitment, Digest};
use protocol::knowledge::Knowledge;
use protocol::merkle;
use protocol::roots::trace_tree;

use super::trees;
use crate::honest_view::Announcement;

/// What everybody knows of a claim, what the executor published of its states, and what this challenge asked
/// last.
pub(super) struct Argument<'a, C: Commitment> {
    pub(super) known: &'a Knowledge<C>,
    pub(super) asked: Option<&'a Ask>,
    /// State roots that the executor published and that its trace root confirms, with their tree.
    published: Option<(&'a [Digest], merkle::Tree<C>)>,
}

impl<'a, C: Commitment> Argument<'a, C> {
    pub(super) fn new(
        known: &'a Knowledge<C>,
        asked: Option<&'a Ask>,
        announced: &'a Announcement<C>,
    ) -> Self {
        let roots = announced.state_roots.as_slice();
        let tree = trace_tree::<C>(roots);
        // Of the first iteration: of a run of several nothing more is published.
        let is_confirmed = |root| known.root(&trees::trace(0)) == Some(root);
        #[cfg(test)]
        if tree.as_ref().is_some_and(|tree| !is_confirmed(tree.root())) {
            cov_mark::hit!(published_trace_is_not_the_claims);
        }
        let confirmed = tree.filter(|tree| is_confirmed(tree.root()));
        let published = confirmed.map(|tree| (roots, tree.tree().clone()));
        Self { known, asked, published }
    }

    /// Committed root of a tree, as everybody knows it or as the executor published it.
    pub(super) fn root(&self, tree: &Tree) -> Option<Digest> {
        let published = || match (tree, &self.published) {
            (Tree::State { iteration: 0, boundary }, Some((roots, _))) => {
                roots.get(usize::try_from(*boundary).ok()?).copied()
            }
            _ => None,
        };
        self.known.root(tree).or_else(published)
    }

    /// Whether the claim's terms say the root of a state: its input, unless that is a batch, and its output.
    pub(super) fn is_bound(&self, iteration: u32, boundary: u32) -> bool {
        let (terms, header) = (self.known.terms(), self.known.header());
        let is_input = (iteration, boundary) == (0, 0) && !terms.is_batch(header);
        let is_last = iteration.checked_add(1) == Some(terms.iterations);
        is_input || (is_last && boundary == header.layer_count)
    }

    /// The executor's whole tree of states, where it was published.
    pub(super) fn published_trace(&self) -> Option<merkle::Tree<C>> {
        self.published.as_ref().map(|(_, tree)| tree.clone())
    }

    /// What can be asked on the claim's ledger. What it lets one ask of inputs and outputs of the run does not
    /// matter here, for the solver asks nothing of them.
    pub(super) fn asking(&self) -> Asking {
        let (arity_log2, leaf_log2) = (self.known.arity_log2(), self.leaf_log2());
        Asking { arity_log2, leaf_log2, end_log2: leaf_log2, end_depth_max: 0 }
    }

    /// Levels of leaves that one ask shows.
    pub(super) fn leaf_log2(&self) -> u32 {
        self.known.arity_log2().saturating_sub(3)
    }
}
