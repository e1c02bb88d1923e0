//! The solver: from what is known of a claim to the next move.
//!
//! A pure function of the claim's facts and the challenger's own run. Asked again after every
//! answer, it goes one step further down: layer, operator, leaf, sum, step.

use std::borrow::Cow;

use inference::RunError;
use protocol::facts::{Facts, Request, Showing, TreeId};
use protocol::graph::Operator;
use protocol::hash::Commitment;
use protocol::law;
use protocol::referee::Refutation;
use protocol::roots::trace_tree;
use protocol::tensor::{leaf_element, leaf_is_canonical};

use crate::case::Case;
use crate::proof::{leaves_of_step, prove_operands};
use crate::view_of_tree::{Compared, Descent};

/// What to do next in a dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Demand an opening.
    Demand {
        /// What is proven first.
        showings: Vec<Showing>,
        /// What the executor must open.
        request: Request,
        /// Why, for people.
        reason: String,
    },
    /// End the dispute.
    Refute {
        /// What is proven first.
        showings: Vec<Showing>,
        /// The refutation.
        refutation: Refutation,
        /// Why, for people.
        reason: String,
    },
}

/// Where the views part, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divergence {
    /// The layer.
    pub layer: Option<u32>,
    /// The operator.
    pub operator: Option<u32>,
    /// Flat index of the element.
    pub element: Option<u64>,
    /// The run of 64.
    pub run: Option<u64>,
}

/// Why there is no next move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// The claim equals the challenger's own run.
    #[error("the claim equals this challenger's own run; there is nothing to refute")]
    NothingDiffers,
    /// The challenger's own run does not fit what is known.
    #[error("the next move cannot be built: {what}; check this challenger's model and engine")]
    Stuck {
        /// What is missing.
        what: &'static str,
    },
    /// A layer could not be recomputed.
    #[error(transparent)]
    Run(#[from] RunError),
}

fn stuck(what: &'static str) -> SolveError {
    SolveError::Stuck { what }
}

type Solved = Result<Move, SolveError>;

impl<C: Commitment> Case<C> {
    /// The next move against a claim with this trace root and these facts.
    ///
    /// # Errors
    /// When nothing differs, or the challenger's own view does not fit the facts.
    pub fn next_move(&self, facts: &Facts<C>) -> Solved {
        self.next_move_watched(facts, &mut Divergence::default())
    }

    /// As [`Case::next_move`], also telling where the views part.
    ///
    /// # Errors
    /// As [`Case::next_move`].
    pub fn next_move_watched(&self, facts: &Facts<C>, found: &mut Divergence) -> Solved {
        // Most moves show nothing, so that the facts are copied only when one does.
        let mut facts = Cow::Borrowed(facts);
        let mut showings = Vec::new();
        let mut show = |facts: &mut Cow<'_, Facts<C>>, showing: Showing| {
            let shown = facts.to_mut().show(&showing).is_ok();
            if shown {
                showings.push(showing);
            }
            shown
        };
        self.show_published_trace(&mut facts, &mut show);
        let trace = self.trace().tree();
        let id = TreeId::Trace {};
        let equal = facts.root(id) == Some(trace.root());
        let compared = Compared { facts: facts.as_ref(), id, own: trace.tree(), equal };
        let boundary = match self.first_shown_divergence(&facts) {
            Some(boundary) => boundary,
            None => match compared.descend() {
                Descent::Equal => return Err(SolveError::NothingDiffers),
                Descent::Open { depth, index } => {
                    let reason = "the traces differ below this node".to_owned();
                    let request = Request::Node { tree: id, depth, index };
                    return Ok(Move::Demand { showings, request, reason });
                }
                Descent::Leaf(boundary) => boundary as u32,
            },
        };
        let layer = boundary.checked_sub(1).ok_or(stuck("the input states differ"))?;
        found.layer = Some(layer);
        self.show_layer(&mut facts, layer, &mut show)?;
        let subtrace = TreeId::Subtrace { layer };
        if facts.root(subtrace).is_none() {
            let reason = format!("layer {layer} is the first whose result differs");
            return Ok(Move::Demand { showings, request: Request::Subtrace { layer }, reason });
        }
        let own = self.run().inside(layer)?.tree();
        let equal = facts.root(subtrace) == Some(own.root());
        let compared = Compared { facts: facts.as_ref(), id: subtrace, own: own.tree(), equal };
        let position = match compared.descend() {
            Descent::Equal => {
                let (step, reason) = self.contradiction(&mut facts, layer, &mut show)?;
                return Ok(finish(step, showings, reason));
            }
            Descent::Open { depth, index } => {
                let request = Request::Node { tree: subtrace, depth, index };
                let reason = format!("the insides of layer {layer} differ below this node");
                return Ok(Move::Demand { showings, request, reason });
            }
            Descent::Leaf(position) => position as u32,
        };
        let first = self.model().layer(layer).map_or(0, |layer| layer.first_operator);
        let operator = first + position;
        found.operator = Some(operator);
        let (step, reason) = self.inside_operator(&mut facts, layer, operator, found, &mut show)?;
        Ok(finish(step, showings, reason))
    }

    /// State roots that the executor published and that its trace root confirms.
    fn show_published_trace(
        &self,
        facts: &mut Cow<'_, Facts<C>>,
        show: &mut impl FnMut(&mut Cow<'_, Facts<C>>, Showing) -> bool,
    ) {
        let roots = &self.published.state_roots;
        if roots.is_empty() {
            return;
        }
        let Some(tree) = trace_tree::<C>(roots) else {
            return;
        };
        if facts.root(TreeId::Trace {}) != Some(tree.root()) {
            return;
        }
        let mut pairs = self.trace().state_roots().iter().zip(roots);
        let differs = pairs.position(|(own, root)| own != root);
        let Some(boundary) = differs else { return };
        for boundary in [boundary.saturating_sub(1), boundary] {
            let known = facts.root(TreeId::State { boundary: boundary as u32 }).is_some();
            let Some(path) = tree.tree().path(boundary as u64) else {
                return;
            };
            if !known {
                let (boundary, root) = (boundary as u32, roots[boundary]);
                show(facts, Showing::TraceLeaf { boundary, root, path });
            }
        }
    }

    /// The first boundary at which a known state root differs while the one before agrees.
    fn first_shown_divergence(&self, facts: &Facts<C>) -> Option<u32> {
        let own = self.trace().state_roots();
        (1..own.len()).map(|boundary| boundary as u32).find(|boundary| {
            let known = |boundary: u32| facts.root(TreeId::State { boundary });
            let differs = known(*boundary).is_some_and(|root| root != own[*boundary as usize]);
            let agrees = known(*boundary - 1) == Some(own[*boundary as usize - 1]);
            differs && agrees
        })
    }

    /// Shows the layer, and the state before it, which both views share.
    fn show_layer(
        &self,
        facts: &mut Cow<'_, Facts<C>>,
        layer: u32,
        show: &mut impl FnMut(&mut Cow<'_, Facts<C>>, Showing) -> bool,
    ) -> Result<(), SolveError> {
        if facts.layer(layer).is_none() {
            let proof = self.model().layer_proof(layer).ok_or(stuck("no such layer"))?;
            if !show(facts, Showing::Layer { proof }) {
                return Err(stuck("the claim is about another model"));
            }
        }
        if facts.root(TreeId::State { boundary: layer }).is_none() {
            let own = self.trace().tree().tree();
            let root =
                *self.trace().state_roots().get(layer as usize).ok_or(stuck("no such state"))?;
            // The shortest path that ends at a node the executor has opened.
            let full = own.path(u64::from(layer)).ok_or(stuck("no such state"))?;
            let shown = (0..=full.len()).any(|length| {
                let path = full[..length].to_vec();
                show(facts, Showing::TraceLeaf { boundary: layer, root, path })
            });
            if !shown {
                return Err(stuck("the state before the layer is not shared"));
            }
        }
        Ok(())
    }

    /// The inside of the layer agrees, so a value of the state behind it contradicts the inside or
    /// the state before.
    fn contradiction(
        &self,
        facts: &mut Cow<'_, Facts<C>>,
        layer: u32,
        show: &mut impl FnMut(&mut Cow<'_, Facts<C>>, Showing) -> bool,
    ) -> Result<(Step, String), SolveError> {
        let boundary = layer + 1;
        let own = self.trace().state(boundary).ok_or(stuck("no such state"))?;
        let id = TreeId::State { boundary };
        if facts.root(id).is_none() {
            return Err(stuck("the state behind the layer is not known"));
        }
        let compared = Compared { facts: facts.as_ref(), id, own: own.tree().tree(), equal: false };
        let position = match compared.descend() {
            Descent::Open { depth, index } => {
                let request = Request::Node { tree: id, depth, index };
                return Ok((
                    Step::Demand(request),
                    "the state behind the layer differs".to_owned(),
                ));
            }
            Descent::Leaf(position) if own.tree().tree().shape().depth() > 0 => position as u32,
            // A state of one value: its root is its only leaf, opened at once.
            _ if facts.value(boundary, 0).is_some() => 0,
            _ => {
                let request = Request::Node { tree: id, depth: 0, index: 0 };
                return Ok((
                    Step::Demand(request),
                    "the state behind the layer differs".to_owned(),
                ));
            }
        };
        let definition = self.model().layer(layer).ok_or(stuck("no such layer"))?;
        let expected = definition.live_out.get(position as usize).copied();
        let value = expected.ok_or(stuck("no such value"))?;
        let (found, _) = facts.value(boundary, position).ok_or(stuck("the value is not open"))?;
        if found != value {
            let refutation = Refutation::StateValue { boundary, position };
            return Ok((
                Step::Refute(refutation),
                format!("value {found} stands where {value} must"),
            ));
        }
        let written = (definition.first_operator..)
            .take(definition.operator_count as usize)
            .find(|operator| self.model().header().output_of(*operator) == value);
        if let Some(operator) = written {
            if facts.root(TreeId::Tensor { operator }).is_none() {
                let position = operator - definition.first_operator;
                let subtrace = self.run().inside(layer)?;
                let root = subtrace.roots()[position as usize];
                let path = subtrace.tree().tree().path(u64::from(position));
                let path = path.ok_or(stuck("no such operator"))?;
                show(facts, Showing::SubtraceLeaf { layer, position, root, path });
            }
            let refutation = Refutation::Binding { layer, operator };
            let reason = format!("the state does not hold what operator {operator} wrote");
            return Ok((Step::Refute(refutation), reason));
        }
        let place = definition.live_in.binary_search(&value).map_err(|_| stuck("no such value"))?;
        if facts.value(layer, place as u32).is_none() {
            let before = self.trace().state(layer).ok_or(stuck("no such state"))?;
            let root = *before.roots().get(place).ok_or(stuck("no such value"))?;
            let path = before.tree().tree().path(place as u64).ok_or(stuck("no such value"))?;
            let (boundary, position) = (layer, place as u32);
            show(facts, Showing::StateLeaf { boundary, position, value, root, path });
        }
        let reason = format!("value {value} passes through layer {layer} and changes");
        Ok((Step::Refute(Refutation::Carry { layer, value }), reason))
    }

    /// From a differing operator output to its leaf, element, run and step.
    fn inside_operator(
        &self,
        facts: &mut Cow<'_, Facts<C>>,
        layer: u32,
        operator: u32,
        found: &mut Divergence,
        show: &mut impl FnMut(&mut Cow<'_, Facts<C>>, Showing) -> bool,
    ) -> Result<(Step, String), SolveError> {
        if facts.operator(operator).is_none() {
            let proof = self.model().node_proof(operator).ok_or(stuck("no such operator"))?;
            if !show(facts, Showing::Operator { proof }) {
                return Err(stuck("the claim is about another model"));
            }
        }
        let node = self.model().node(operator).ok_or(stuck("no such operator"))?;
        let id = TreeId::Tensor { operator };
        let claimed_root = facts.root(id).ok_or(stuck("the output's root is not open"))?;
        let published = self.published.tensors.get(&claimed_root).cloned();
        let own_tree = self.output_tree(operator).ok_or(stuck("no output"))?;
        let own = self.run().output(operator)?;
        let leaf = match published {
            Some(theirs) if theirs.kind() == own.kind() => {
                let leaf = first_differing_leaf(own, &theirs).ok_or(stuck("the outputs agree"))?;
                let (bytes, tree) = (theirs.leaf(leaf), theirs.tree::<C>());
                let path = tree.and_then(|tree| tree.path(leaf));
                let (Some(bytes), Some(path)) = (bytes, path) else {
                    return Err(stuck("no such leaf"));
                };
                show(facts, Showing::TensorLeaf { operator, leaf, bytes, path });
                leaf
            }
            _ => {
                let compared = Compared { facts: facts.as_ref(), id, own: own_tree, equal: false };
                match compared.descend() {
                    Descent::Leaf(leaf) => leaf,
                    Descent::Equal => return Err(stuck("the outputs agree")),
                    Descent::Open { depth, index } => {
                        let request = Request::Node { tree: id, depth, index };
                        let reason = format!("the outputs of operator {operator} differ below");
                        return Ok((Step::Demand(request), reason));
                    }
                }
            }
        };
        let Some(bytes) = facts.leaf(operator, leaf).copied() else {
            let reason = format!("leaf {leaf} of operator {operator} is the first that differs");
            return Ok((Step::Demand(Request::Leaf { operator, leaf }), reason));
        };
        let (first, count) = node.output.leaf_range(leaf).ok_or(stuck("no such leaf"))?;
        if !leaf_is_canonical(node.output.element, &bytes, count) {
            let reason = format!("leaf {leaf} holds bits that no stored value has");
            return Ok((Step::Refute(Refutation::Leaf { operator, leaf }), reason));
        }
        let differs = (0..count).find(|place| {
            leaf_element(node.output.element, &bytes, *place) != own.bits(first + *place as u64)
        });
        let element = first + differs.ok_or(stuck("the leaves agree"))? as u64;
        found.element = Some(element);
        let runs = law::run_count(node);
        let operands = self.run().operands(operator)?;
        let mut run = 0;
        let mut claimed_before = None;
        if runs > 1 {
            let Some(theirs) = facts.accumulators(operator, element) else {
                let reason = format!("element {element} of operator {operator} differs");
                return Ok((Step::Demand(Request::Accumulators { operator, element }), reason));
            };
            let ours = self.run().accumulators(operator, element)?;
            let width = law::state_words(node);
            let pairs = theirs.chunks(width).zip(ours.chunks(width));
            // Where every sum agrees, the last step from the sums to the element is the false one.
            run = pairs
                .clone()
                .position(|(theirs, ours)| theirs != ours)
                .map_or(runs, |at| at as u64);
            if run == runs {
                found.run = Some(run);
                let step = Refutation::Step { operator, element, run, operands: Vec::new() };
                let reason = format!("the sums of element {element} do not end in it");
                return Ok((Step::Refute(step), reason));
            }
            claimed_before =
                run.checked_sub(1).and_then(|at| theirs.chunks(width).nth(at as usize));
        }
        found.run = Some(run);
        let leaves = leaves_of_step(node, element, run, claimed_before, &operands)
            .ok_or(stuck("the step reads outside its operands"))?;
        let operands = prove_operands(self, facts, layer, operator, &leaves)
            .ok_or(stuck("an operand cannot be proven"))?;
        let kind = match &node.operator {
            Operator::Map { function } => function.name(),
            other => other.kind(),
        };
        let reason = format!("{kind} gives another element {element} (run {run})");
        Ok((Step::Refute(Refutation::Step { operator, element, run, operands }), reason))
    }
}

/// A move before its showings are attached.
enum Step {
    Demand(Request),
    Refute(Refutation),
}

fn finish(step: Step, showings: Vec<Showing>, reason: String) -> Move {
    match step {
        Step::Demand(request) => Move::Demand { showings, request, reason },
        Step::Refute(refutation) => Move::Refute { showings, refutation, reason },
    }
}

fn first_differing_leaf(own: &inference::Tensor, theirs: &inference::Tensor) -> Option<u64> {
    let element = (0..own.shape().count()).find(|index| own.bits(*index) != theirs.bits(*index))?;
    own.kind().locate(element).map(|(leaf, _)| leaf)
}

#[cfg(test)]
mod tests;
