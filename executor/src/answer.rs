//! Answers to demands, from a run.

use std::collections::HashMap;

use inference::{RunError, Runner, Subtrace, Tensor, Trace};
use protocol::facts::{Children, Request, Reveal, TreeId};
use protocol::merkle::Tree;

/// Why a demand cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The layer could not be recomputed.
    #[error("the layer could not be recomputed: {0}")]
    Run(#[from] RunError),
    /// The request names something that the run does not have.
    #[error("the run has nothing at {request:?}; the ledger should not have accepted the demand")]
    NotInRun {
        /// The request.
        request: Request,
    },
}

/// Answers demands about one run, keeping the insides of the layers that were asked for.
#[derive(Debug)]
pub struct Defender {
    trace: Trace,
    arity_log2: u32,
    subtraces: HashMap<u32, Subtrace>,
    trees: HashMap<u32, Tree>,
}

impl Defender {
    /// Defends this run on a ledger whose openings go down `arity_log2` levels.
    pub fn new(trace: Trace, arity_log2: u32) -> Self {
        Self { trace, arity_log2, subtraces: HashMap::new(), trees: HashMap::new() }
    }

    /// The run.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The inside of a layer, recomputed at the first call.
    ///
    /// # Errors
    /// When the layer cannot be recomputed.
    pub fn subtrace(&mut self, runner: &Runner<'_>, layer: u32) -> Result<&Subtrace, AnswerError> {
        if !self.subtraces.contains_key(&layer) {
            let before = self.trace.state(layer);
            let missing = || AnswerError::NotInRun { request: Request::Subtrace { layer } };
            let subtrace = runner.subtrace(layer, before.ok_or_else(missing)?)?;
            self.subtraces.insert(layer, subtrace);
        }
        let missing = AnswerError::NotInRun { request: Request::Subtrace { layer } };
        self.subtraces.get(&layer).ok_or(missing)
    }

    fn output(&mut self, runner: &Runner<'_>, operator: u32) -> Result<Tensor, AnswerError> {
        let request = Request::Node { tree: TreeId::Tensor { operator }, depth: 0, index: 0 };
        let missing = AnswerError::NotInRun { request };
        let layer = runner.model.layer_of(operator).ok_or_else(|| missing.clone())?;
        let first = runner.model.layer(layer).map_or(0, |layer| layer.first_operator);
        let subtrace = self.subtrace(runner, layer)?;
        subtrace.tensors().get((operator - first) as usize).cloned().ok_or(missing)
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// When the run has nothing there or a layer cannot be recomputed.
    pub fn answer(
        &mut self,
        runner: &Runner<'_>,
        request: &Request,
    ) -> Result<Reveal, AnswerError> {
        let missing = || AnswerError::NotInRun { request: *request };
        match *request {
            Request::Node { tree, depth, index } => {
                let children = self.children(runner, tree, depth, index)?;
                Ok(Reveal::Node { children: children.ok_or_else(missing)? })
            }
            Request::Subtrace { layer } => {
                let root = self.subtrace(runner, layer)?.tree().root();
                let children = self.children(runner, TreeId::Subtrace { layer }, 0, 0)?;
                Ok(Reveal::Subtrace { root, children: children.ok_or_else(missing)? })
            }
            Request::Leaf { operator, leaf } => {
                let tensor = self.output(runner, operator)?;
                Ok(Reveal::Leaf { bytes: tensor.leaf(leaf).ok_or_else(missing)? })
            }
            Request::Accumulators { operator, element } => {
                let layer = runner.model.layer_of(operator).ok_or_else(missing)?;
                self.subtrace(runner, layer)?;
                let subtrace = self.subtraces.get(&layer).ok_or_else(missing)?;
                let before = self.trace.state(layer).ok_or_else(missing)?;
                let operands = runner.operands(operator, before, subtrace)?;
                let words = runner.accumulators(operator, element, &operands)?;
                Ok(Reveal::Accumulators { words })
            }
        }
    }

    fn children(
        &mut self,
        runner: &Runner<'_>,
        tree: TreeId,
        depth: u32,
        index: u64,
    ) -> Result<Option<Children>, AnswerError> {
        let arity_log2 = self.arity_log2;
        let pick = |tree: &Tree| {
            let reached = depth + tree.shape().opening_levels(depth, arity_log2);
            let indices = tree.shape().opened_indices(depth, index, arity_log2);
            (indices, reached == tree.shape().depth(), tree.opening(depth, index, arity_log2))
        };
        let hashes = |opening: Option<Vec<_>>| opening.map(|hashes| Children::Hashes { hashes });
        let roots = |indices: Vec<u64>, all: &[protocol::hash::Digest]| {
            let roots = indices.iter().map(|index| all.get(*index as usize).copied()).collect();
            let roots: Option<Vec<_>> = roots;
            roots.map(|roots| Children::Roots { roots })
        };
        Ok(match tree {
            TreeId::Trace {} => {
                let (indices, at_leaves, opening) = pick(self.trace.tree().tree());
                match at_leaves {
                    true => roots(indices, self.trace.state_roots()),
                    false => hashes(opening),
                }
            }
            TreeId::State { boundary } => {
                let Some(state) = self.trace.state(boundary) else {
                    return Ok(None);
                };
                let (indices, at_leaves, opening) = pick(state.tree().tree());
                let entries = state.entries();
                let values = || {
                    let values: Option<Vec<_>> =
                        indices.iter().map(|index| entries.get(*index as usize).copied()).collect();
                    values.map(|values| Children::Values { values })
                };
                if at_leaves { values() } else { hashes(opening) }
            }
            TreeId::Subtrace { layer } => {
                let subtrace = self.subtrace(runner, layer)?;
                let (indices, at_leaves, opening) = pick(subtrace.tree().tree());
                match at_leaves {
                    true => roots(indices, subtrace.roots()),
                    false => hashes(opening),
                }
            }
            TreeId::Tensor { operator } => {
                if !self.trees.contains_key(&operator) {
                    let Some(tree) = self.output(runner, operator)?.tree() else {
                        return Ok(None);
                    };
                    self.trees.insert(operator, tree);
                }
                self.trees
                    .get(&operator)
                    .and_then(|tree| hashes(tree.opening(depth, index, arity_log2)))
            }
        })
    }
}
