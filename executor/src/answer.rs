//! Answers to demands, from a run.

use std::sync::Arc;

use inference::{AnyRun, Run, RunError, SequenceRun, State, Tensor};
use protocol::asks::{self, Answer, Ask, Place, Sums};
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::merkle::Tree;
use protocol::tensor::LeafBytes;

/// Why a demand cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The layer could not be recomputed.
    #[error("the layer could not be recomputed: {0}")]
    Run(#[from] RunError),
    /// The ask names something that the run does not have.
    #[error(
        "the run has nothing at {}; the ledger should not have accepted the demand",
        ledger::words::ask(ask)
    )]
    NotInRun {
        /// The ask.
        ask: Box<Ask>,
    },
}

/// Answers demands about one run. Clones share the run.
#[derive(Clone, Debug)]
pub struct Defender<C: Commitment = Keccak> {
    sequence: Arc<SequenceRun<C>>,
    arity_log2: u32,
}

impl<C: Commitment> Defender<C> {
    /// Defends this run on a ledger whose openings go down `arity_log2` levels.
    pub fn new(sequence: Arc<SequenceRun<C>>, arity_log2: u32) -> Self {
        Self { sequence, arity_log2 }
    }

    /// As [`Defender::new`], of a run of one iteration.
    pub fn of_run(run: Arc<Run<C>>, arity_log2: u32) -> Self {
        Self::new(Arc::new(SequenceRun::of_run(AnyRun::Whole(run))), arity_log2)
    }

    /// The run.
    pub fn sequence(&self) -> &Arc<SequenceRun<C>> {
        &self.sequence
    }

    /// The answer to an ask.
    ///
    /// # Errors
    /// When the run has nothing there or an iteration or layer cannot be recomputed.
    pub fn answer(&self, ask: &Ask) -> Result<Answer, AnswerError> {
        let not_there = || AnswerError::NotInRun { ask: Box::new(ask.clone()) };
        let answer = match (ask, ask.tree().iteration()) {
            (Ask::Open { place }, _) if place.tree == (asks::Tree::Sequence {}) => {
                self.opened_sequence(place)
            }
            (_, iteration) if iteration >= self.sequence.iterations() => None,
            (_, iteration) => {
                let AnyRun::Whole(run) = self.sequence.run(iteration)? else {
                    return Err(not_there());
                };
                Defence { run: &run, arity_log2: self.arity_log2 }.answer(ask)?
            }
        };
        answer.ok_or_else(not_there)
    }

    /// Trace roots of iterations.
    fn opened_sequence(&self, place: &Place) -> Option<Answer> {
        let (depth, index, arity_log2) = (place.depth, place.index, self.arity_log2);
        let tree = self.sequence.list()?.tree().tree();
        Node { depth, index, arity_log2 }.roots(tree, self.sequence.trace_roots())
    }
}

/// Answers about one iteration.
struct Defence<'a, C: Commitment> {
    run: &'a Run<C>,
    arity_log2: u32,
}

impl<C: Commitment> Defence<'_, C> {
    fn answer(&self, ask: &Ask) -> Result<Option<Answer>, AnswerError> {
        match ask {
            Ask::Open { place } => self.opened(&place.tree, place.depth, place.index),
            Ask::Leaves { place } => self.leaves(place),
            Ask::Say { tree, .. } => self.said(tree),
        }
    }

    /// The root of a tree, which only this executor can say, by its first opening.
    fn said(&self, tree: &asks::Tree) -> Result<Option<Answer>, AnswerError> {
        match *tree {
            asks::Tree::Accumulators { operator, element, .. } => self.said_sums(operator, element),
            asks::Tree::Subtrace { .. } => self.opened(tree, 0, 0),
            // Their roots follow from the claim: nobody needs to say them.
            asks::Tree::Sequence {}
            | asks::Tree::Trace { .. }
            | asks::Tree::State { .. }
            | asks::Tree::Tensor { .. }
            | asks::Tree::Input { .. }
            | asks::Tree::Output { .. } => Ok(None),
        }
    }

    /// The descendants of a node, one opening further down.
    fn opened(
        &self,
        tree: &asks::Tree,
        depth: u32,
        index: u64,
    ) -> Result<Option<Answer>, AnswerError> {
        let node = Node { depth, index, arity_log2: self.arity_log2 };
        Ok(match *tree {
            // Of no single iteration.
            asks::Tree::Sequence {} => None,
            asks::Tree::Trace { .. } => {
                let trace = self.run.trace();
                node.roots(trace.tree().tree(), trace.state_roots())
            }
            asks::Tree::State { boundary, .. } => {
                let Some(state) = self.run.trace().state(boundary) else {
                    #[cfg(test)]
                    cov_mark::hit!(no_such_state);
                    return Ok(None);
                };
                node.values(state)
            }
            asks::Tree::Subtrace { layer, .. } => {
                let inside = self.run.inside(layer)?;
                node.roots(inside.tree().tree(), inside.roots())
            }
            asks::Tree::Tensor { operator, .. } => node.hashes(self.run.output_tree(operator)?),
            asks::Tree::Accumulators { operator, element, .. } => {
                self.sums(operator, element)?.and_then(|sums| node.hashes(sums.tree()))
            }
            asks::Tree::Input { value, .. } => {
                self.end(0, value).and_then(|(_, tree)| node.hashes(tree))
            }
            asks::Tree::Output { value, .. } => {
                self.end(self.last_boundary(), value).and_then(|(_, tree)| node.hashes(tree))
            }
        })
    }

    /// All leaves below a node of a tensor.
    fn leaves(&self, place: &Place) -> Result<Option<Answer>, AnswerError> {
        Ok(match place.tree {
            asks::Tree::Tensor { operator, .. } => {
                let output = self.run.output(operator)?;
                leaves_below(place, |position| output.leaf(position))
            }
            asks::Tree::Accumulators { operator, element, .. } => {
                let sums = self.sums(operator, element)?;
                sums.and_then(|sums| leaves_below(place, |position| sums.leaf(position).copied()))
            }
            asks::Tree::Input { value, .. } => self
                .end(0, value)
                .and_then(|(tensor, _)| leaves_below(place, |position| tensor.leaf(position))),
            asks::Tree::Output { value, .. } => self
                .end(self.last_boundary(), value)
                .and_then(|(tensor, _)| leaves_below(place, |position| tensor.leaf(position))),
            asks::Tree::Sequence {}
            | asks::Tree::Trace { .. }
            | asks::Tree::State { .. }
            | asks::Tree::Subtrace { .. } => None,
        })
    }

    /// Number of the last boundary: that of the output.
    fn last_boundary(&self) -> u32 {
        self.run.model().header().layer_count
    }

    /// An input or output of the run, with the tree of its leaves.
    fn end(&self, boundary: u32, value: u32) -> Option<(&Tensor, &Tree<C>)> {
        let state = self.run.trace().state(boundary)?;
        Some((state.tensor(value)?, state.leaf_tree(value)?))
    }

    /// The running sums of an element; `None` of an operator that has none.
    fn sums(&self, operator: u32, element: u64) -> Result<Option<Sums<C>>, AnswerError> {
        let words = self.run.accumulators(operator, element)?;
        Ok(self.run.model().node(operator).and_then(|node| Sums::new(node, &words)))
    }

    /// The root of an element's sums, by all their leaves where one opening shows as much, or by its first
    /// opening.
    fn said_sums(&self, operator: u32, element: u64) -> Result<Option<Answer>, AnswerError> {
        let node = Node { depth: 0, index: 0, arity_log2: self.arity_log2 };
        Ok(self.sums(operator, element)?.and_then(|sums| {
            let shape = sums.tree().shape();
            if shape.depth() > asks::leaf_log2(self.arity_log2) {
                return node.hashes(sums.tree());
            }
            let leaves = (0..shape.leaves()).map(|position| sums.leaf(position).copied());
            Some(Answer::Leaves { leaves: leaves.collect::<Option<_>>()? })
        }))
    }
}

/// Leaves of a tensor below a place, padding left out; `None` where the tensor has none there.
fn leaves_below(place: &Place, leaf: impl Fn(u64) -> Option<LeafBytes>) -> Option<Answer> {
    let shape = place.kind.shape()?;
    let levels = shape.depth().checked_sub(place.depth)?;
    let positions = shape.opened_indices(place.depth, place.index, levels);
    let leaves: Vec<LeafBytes> = positions.into_iter().map(leaf).collect::<Option<_>>()?;
    (!leaves.is_empty()).then_some(Answer::Leaves { leaves })
}

/// A node of a tree that is to be opened.
#[derive(Clone, Copy)]
struct Node {
    depth: u32,
    index: u64,
    arity_log2: u32,
}

impl Node {
    /// Indices of the descendants that the opening shows, and whether they are leaves; `None` outside the tree and
    /// for padding, which open nothing.
    fn shown<C: Commitment>(self, tree: &Tree<C>) -> Option<(Vec<u64>, bool)> {
        let shape = tree.shape();
        let indices = shape.opened_indices(self.depth, self.index, self.arity_log2);
        let reached = self.depth.checked_add(shape.opening_levels(self.depth, self.arity_log2))?;
        (!indices.is_empty()).then_some((indices, reached == shape.depth()))
    }

    fn hashes<C: Commitment>(self, tree: &Tree<C>) -> Option<Answer> {
        self.shown(tree)?;
        let hashes = tree.opening(self.depth, self.index, self.arity_log2)?;
        Some(Answer::Hashes { hashes })
    }

    /// At the leaves the roots that stand there, above them hashes.
    fn roots<C: Commitment>(self, tree: &Tree<C>, all: &[Digest]) -> Option<Answer> {
        let (indices, at_leaves) = self.shown(tree)?;
        if !at_leaves {
            return self.hashes(tree);
        }
        let roots = indices.iter().map(|index| all.get(*index as usize).copied());
        Some(Answer::Roots { roots: roots.collect::<Option<_>>()? })
    }

    /// At the leaves the values that stand there, above them hashes.
    fn values<C: Commitment>(self, state: &State<C>) -> Option<Answer> {
        let tree = state.tree().tree();
        let Some((indices, at_leaves)) = self.shown(tree) else {
            #[cfg(test)]
            cov_mark::hit!(no_such_values_of_a_state);
            return None;
        };
        if !at_leaves {
            return self.hashes(tree);
        }
        let entries = state.entries();
        let values = indices.iter().map(|index| entries.get(*index as usize).copied());
        Some(Answer::Values { values: values.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests;
