//! Answers to demands, from a run.

use std::sync::Arc;

use inference::{Run, RunError};
use protocol::facts::{Children, Request, Reveal, TreeId};
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::merkle::Tree;

/// Why a demand cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The layer could not be recomputed.
    #[error("the layer could not be recomputed: {0}")]
    Run(#[from] RunError),
    /// The request names something that the run does not have.
    #[error(
        "the run has nothing at {}; the ledger should not have accepted the demand",
        ledger::words::request(request)
    )]
    NotInRun {
        /// The request.
        request: Request,
    },
}

/// Answers demands about one run. Clones share the run.
#[derive(Clone, Debug)]
pub struct Defender<C: Commitment = Keccak> {
    run: Arc<Run<C>>,
    arity_log2: u32,
}

impl<C: Commitment> Defender<C> {
    /// Defends this run on a ledger whose openings go down `arity_log2` levels.
    pub fn new(run: Arc<Run<C>>, arity_log2: u32) -> Self {
        Self { run, arity_log2 }
    }

    /// The run.
    pub fn run(&self) -> &Arc<Run<C>> {
        &self.run
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// When the run has nothing there or a layer cannot be recomputed.
    pub fn answer(&self, request: &Request) -> Result<Reveal, AnswerError> {
        let missing = || AnswerError::NotInRun { request: *request };
        match *request {
            Request::Node { tree, depth, index } => {
                let children = self.children(tree, depth, index)?;
                Ok(Reveal::Node { children: children.ok_or_else(missing)? })
            }
            Request::Subtrace { layer } => {
                let root = self.run.inside(layer)?.tree().root();
                let children = self.children(TreeId::Subtrace { layer }, 0, 0)?;
                Ok(Reveal::Subtrace { root, children: children.ok_or_else(missing)? })
            }
            Request::Leaf { operator, leaf } => {
                let output = self.run.output(operator)?;
                Ok(Reveal::Leaf { bytes: output.leaf(leaf).ok_or_else(missing)? })
            }
            Request::Accumulators { operator, element } => {
                let words = self.run.accumulators(operator, element)?.to_vec();
                Ok(Reveal::Accumulators { words })
            }
        }
    }

    fn children(
        &self,
        tree: TreeId,
        depth: u32,
        index: u64,
    ) -> Result<Option<Children>, AnswerError> {
        let arity_log2 = self.arity_log2;
        // A node outside the tree, or of padding alone, opens nothing.
        let opened = |tree: &Tree<C>| {
            let indices = tree.shape().opened_indices(depth, index, arity_log2);
            Some(indices).filter(|indices| !indices.is_empty())
        };
        let hashes = |tree: &Tree<C>| {
            opened(tree)?;
            tree.opening(depth, index, arity_log2).map(|hashes| Children::Hashes { hashes })
        };
        let roots = |tree: &Tree<C>, all: &[Digest]| {
            let indices = opened(tree)?;
            let roots = indices.iter().map(|index| all.get(*index as usize).copied());
            Some(Children::Roots { roots: roots.collect::<Option<Vec<_>>>()? })
        };
        let at_leaves = |tree: &Tree<C>| {
            depth + tree.shape().opening_levels(depth, arity_log2) == tree.shape().depth()
        };
        Ok(match tree {
            TreeId::Trace {} => {
                let trace = self.run.trace();
                if at_leaves(trace.tree().tree()) {
                    roots(trace.tree().tree(), trace.state_roots())
                } else {
                    hashes(trace.tree().tree())
                }
            }
            TreeId::State { boundary } => {
                let Some(state) = self.run.trace().state(boundary) else {
                    #[cfg(test)]
                    cov_mark::hit!(no_such_state);
                    return Ok(None);
                };
                let tree = state.tree().tree();
                if !at_leaves(tree) {
                    return Ok(hashes(tree));
                }
                let entries = state.entries();
                let Some(indices) = opened(tree) else {
                    #[cfg(test)]
                    cov_mark::hit!(no_such_values_of_a_state);
                    return Ok(None);
                };
                let values = indices.iter().map(|index| entries.get(*index as usize).copied());
                values.collect::<Option<Vec<_>>>().map(|values| Children::Values { values })
            }
            TreeId::Subtrace { layer } => {
                let inside = self.run.inside(layer)?;
                if at_leaves(inside.tree().tree()) {
                    roots(inside.tree().tree(), inside.roots())
                } else {
                    hashes(inside.tree().tree())
                }
            }
            TreeId::Tensor { operator } => hashes(self.run.output_tree(operator)?),
        })
    }
}

#[cfg(test)]
mod tests;
