//! Showings, demands and refutations about a claim, from the runs that it is of.

use std::collections::{BTreeMap, BTreeSet};

use protocol::asks::{Ask, LeafProof, OperandProof, Place, Refutation, Showing, Tree, TreeKind};
use protocol::graph::{LayerProof, NodeProof, ValueSource};
use protocol::hash::{Digest, Keccak};
use protocol::law::{self, Operands};
use protocol::roots::batch_tree;
use protocol::tensor::{LeafBytes, TensorType, leaf_element};

use crate::common::Want;
use crate::common::answers::{Grown, Proof};
use crate::library::{View, leaf_of, root_of, type_of};

/// A step of a run: iteration, operator, element, segment.
pub(crate) type Step = (u32, u32, u64, u64);

/// Showings one after the other, each once.
#[derive(Default)]
struct Shown(Vec<Showing>);

impl Shown {
    fn add(&mut self, showings: impl IntoIterator<Item = Showing>) -> &mut Self {
        for showing in showings {
            if !self.0.contains(&showing) {
                self.0.push(showing);
            }
        }
        self
    }
}

/// What is shown of a claim.
impl View<'_> {
    pub(crate) fn layer(&self, index: u32) -> Showing {
        let model = self.model();
        let layer = model.graph.layers[index as usize].clone();
        let path = model.committed.layers.path(u64::from(index)).expect("a layer has a path");
        Showing::Layer { proof: LayerProof { index, layer, path } }
    }

    pub(crate) fn operator(&self, index: u32) -> Showing {
        let model = self.model();
        let node = model.graph.nodes[index as usize].clone();
        let path = model.committed.nodes.path(u64::from(index)).expect("an operator has a path");
        Showing::Operator { proof: NodeProof { index, node, path } }
    }

    fn layers(&self) -> u32 {
        self.model().committed.header.layer_count
    }

    /// A layer that tells what is live at a boundary.
    fn layer_at(&self, boundary: u32) -> Showing {
        self.layer(boundary.min(self.layers() - 1))
    }

    pub(crate) fn entry(&self, iteration: u32) -> Option<Showing> {
        let root = *self.book.entries.get(iteration as usize)?;
        let path = batch_tree::<Keccak>(&self.book.entries)?.path(u64::from(iteration))?;
        Some(Showing::Entry { iteration, root, path })
    }

    fn sequence_leaf(&self, iteration: u32) -> Option<Showing> {
        let trace = Tree::Trace { iteration };
        let root = root_of(trace, self.tree(trace)?);
        let path = self.tree(Tree::Sequence {})?.leaf_path(u64::from(iteration));
        Some(Showing::SequenceLeaf { iteration, root, path })
    }

    /// The way to a state by the sequence and the trace.
    fn long_way(&self, iteration: u32, boundary: u32) -> Option<Vec<Showing>> {
        let (trace, state) = (Tree::Trace { iteration }, Tree::State { iteration, boundary });
        let root = root_of(state, self.tree(state)?);
        let path = self.tree(trace)?.leaf_path(u64::from(boundary));
        Some(vec![
            self.sequence_leaf(iteration)?,
            Showing::TraceLeaf { iteration, boundary, root, path },
        ])
    }

    /// What proves a state's root, and no more.
    fn way(&self, iteration: u32, boundary: u32) -> Option<Vec<Showing>> {
        match (iteration, boundary) {
            (0, 0) if self.is_batch() => Some(vec![self.entry(0)?]),
            (0, 0) => Some(Vec::new()),
            _ if (iteration, boundary) == (self.last(), self.layers()) => Some(Vec::new()),
            _ => self.long_way(iteration, boundary),
        }
    }

    /// A place of a state, with what it must show.
    fn value(&self, iteration: u32, boundary: u32, position: u32) -> Option<Vec<Showing>> {
        let state = Tree::State { iteration, boundary };
        let values = self.book.states.get(&(iteration, boundary))?;
        let (value, root) = *values.get(position as usize)?;
        let path = self.tree(state)?.leaf_path(u64::from(position));
        let mut all = self.way(iteration, boundary)?;
        all.push(self.layer_at(boundary));
        all.push(Showing::StateLeaf { iteration, boundary, position, value, root, path });
        Some(all)
    }

    /// As [`View::value`], of a value that the claim has where the model has it.
    fn value_named(&self, iteration: u32, boundary: u32, value: u32) -> Option<Vec<Showing>> {
        let position = self.position(boundary, value)?;
        let (named, _) = self.book.states.get(&(iteration, boundary))?.get(position as usize)?;
        if *named == value { self.value(iteration, boundary, position) } else { None }
    }

    /// The place of a value in a state, by the model.
    fn position(&self, boundary: u32, value: u32) -> Option<u32> {
        let layers = &self.model().graph.layers;
        let live = match layers.get(boundary as usize) {
            Some(layer) => &layer.live_in,
            None => &layers.last()?.live_out,
        };
        live.iter().position(|one| *one == value).map(|place| place as u32)
    }

    /// What an operator wrote, once its layer's inside was said.
    fn written(&self, iteration: u32, operator: u32) -> Option<Vec<Showing>> {
        let layer = self.model().layer_of(operator);
        let position = operator - self.model().graph.layers[layer as usize].first_operator;
        let root = self.output_root(iteration, operator)?;
        let inside = self.tree(Tree::Subtrace { iteration, layer })?;
        let path = inside.leaf_path(u64::from(position));
        let leaf = Showing::SubtraceLeaf { iteration, layer, position, root, path };
        Some(vec![self.layer(layer), self.operator(operator), leaf])
    }

    /// A leaf of what an operator wrote.
    pub(crate) fn leaf(&self, iteration: u32, operator: u32, leaf: u64) -> Option<Vec<Showing>> {
        let tensor = Tree::Tensor { iteration, operator };
        let grown = self.tree(tensor)?;
        let (bytes, path) = (leaf_of(tensor, grown, leaf), grown.leaf_path(leaf));
        let mut all = self.written(iteration, operator)?;
        all.push(Showing::TensorLeaf { iteration, operator, leaf, bytes, path });
        Some(all)
    }

    /// What proves a tree's shape and root, and no more; none while it was not said.
    pub(crate) fn showings_to(&self, tree: Tree) -> Option<Vec<Showing>> {
        let header = &self.model().committed.header;
        match tree {
            Tree::Sequence {} => Some(Vec::new()),
            Tree::Trace { iteration } => Some(vec![self.sequence_leaf(iteration)?]),
            Tree::State { iteration, boundary } => {
                let mut all = self.way(iteration, boundary)?;
                all.push(self.layer_at(boundary));
                Some(all)
            }
            Tree::Subtrace { layer, .. } => Some(vec![self.layer(layer)]),
            Tree::Tensor { iteration, operator } => self.written(iteration, operator),
            Tree::Accumulators { operator, .. } => Some(vec![self.operator(operator)]),
            Tree::Input { iteration, value } => self.value_named(iteration, 0, value),
            Tree::Output { iteration, value } => {
                let boundary = self.layers();
                let mut all = self.value_named(iteration, boundary, value)?;
                if let Some(ValueSource::Operator(operator)) = header.source(value) {
                    all.insert(0, self.operator(operator));
                }
                Some(all)
            }
        }
    }

    /// An ask with its path, to the root of its tree or to a depth.
    pub(crate) fn ask(&self, want: Want, until: u32) -> Option<(Ask, Vec<Digest>)> {
        let grown = match want {
            Want::Say(tree) => self.book.trees.get(&tree)?,
            Want::Open(tree, ..) | Want::Leaves(tree, ..) => match self.tree(tree) {
                Some(grown) => grown,
                None => return Some((self.ask_unknown(want)?, Vec::new())),
            },
        };
        let ask = grown.ask(want);
        let (depth, index) = ask.node();
        let path = grown.path(depth, index, until);
        Some((ask, path))
    }
}

impl View<'_> {
    /// An ask about the whole of a tensor whose root was said, and which nobody has.
    fn ask_unknown(&self, want: Want) -> Option<Ask> {
        let Tree::Tensor { iteration, operator } = want.tree() else { return None };
        let (tree, hash) = (want.tree(), self.output_root(iteration, operator)?);
        let kind = self.book.trees.get(&tree)?.kind.clone();
        let place = Place { tree, kind, depth: 0, index: 0, hash };
        match want {
            Want::Open(_, 0, 0) => Some(Ask::Open { place }),
            Want::Leaves(_, 0, 0) => Some(Ask::Leaves { place }),
            _ => None,
        }
    }
}

/// What refutes a claim, or does not, with everything that it must show.
impl View<'_> {
    pub(crate) fn state_value(
        &self,
        iteration: u32,
        boundary: u32,
        position: u32,
    ) -> Option<Proof> {
        let showings = self.value(iteration, boundary, position)?;
        Some((showings, Refutation::StateValue { iteration, boundary, position }))
    }

    pub(crate) fn binding(&self, iteration: u32, operator: u32) -> Option<Proof> {
        let layer = self.model().layer_of(operator);
        let value = self.model().committed.header.output_of(operator);
        let mut shown = Shown::default();
        shown.add(self.written(iteration, operator)?);
        shown.add(self.value_named(iteration, layer + 1, value)?);
        Some((shown.0, Refutation::Binding { iteration, layer, operator }))
    }

    pub(crate) fn carry(&self, iteration: u32, layer: u32, value: u32) -> Option<Proof> {
        let mut shown = Shown::default();
        shown.add([self.layer(layer)]);
        shown.add(self.value_named(iteration, layer, value)?);
        shown.add(self.value_named(iteration, layer + 1, value)?);
        Some((shown.0, Refutation::Carry { iteration, layer, value }))
    }

    pub(crate) fn link(&self, iteration: u32, input: u32) -> Option<Proof> {
        let value = *self.model().committed.header.links.get(input as usize)?;
        let (before, last) = (iteration.checked_sub(1)?, self.layers());
        let mut shown = Shown::default();
        shown.add(self.value_named(before, last, value)?);
        shown.add(self.value_named(iteration, 0, input)?);
        Some((shown.0, Refutation::Link { iteration, input }))
    }

    pub(crate) fn entry_proof(&self, iteration: u32) -> Option<Proof> {
        let mut showings = self.long_way(iteration, 0)?;
        showings.push(self.entry(iteration)?);
        Some((showings, Refutation::Entry { iteration }))
    }

    pub(crate) fn stop(&self, iteration: u32) -> Option<Proof> {
        let value = self.model().committed.header.stop?;
        let boundary = self.layers();
        let showings = self.value_named(iteration, boundary, value)?;
        Some((showings, Refutation::Stop { iteration }))
    }

    pub(crate) fn leaf_proof(&self, iteration: u32, operator: u32, leaf: u64) -> Option<Proof> {
        let showings = self.leaf(iteration, operator, leaf)?;
        Some((showings, Refutation::Leaf { iteration, operator, leaf }))
    }

    /// That a step is not what the law gives; the segment after the last is the one into the element.
    pub(crate) fn step(&self, step: Step) -> Option<Proof> {
        let (iteration, operator, element, segment) = step;
        let node = law::check(&self.model().graph.nodes[operator as usize]).ok()?;
        let (segments, layer) = (law::segment_count(node), self.model().layer_of(operator));
        let mut shown = Shown::default();
        shown.add([self.layer(layer), self.operator(operator)]);
        let is_last = segments > 1 && segment == segments;
        if segments == 1 || is_last {
            let (leaf, _) = node.output.locate(element)?;
            shown.add(self.leaf(iteration, operator, leaf)?);
        }
        let operands = if is_last { Vec::new() } else { self.operands(step, &mut shown)? };
        let states = if segments == 1 { Vec::new() } else { self.states(step)? };
        let refutation =
            Refutation::Step { iteration, layer, operator, element, segment, operands, states };
        Some((shown.0, refutation))
    }

    /// The operands that the law reads for a step.
    fn operands(&self, step: Step, shown: &mut Shown) -> Option<Vec<(u8, OperandProof)>> {
        let (iteration, operator, element, segment) = step;
        let model = self.model();
        let node = law::check(&model.graph.nodes[operator as usize]).ok()?;
        let sources: Option<Vec<Source<'_>>> = node
            .node()
            .operands
            .iter()
            .map(|operand| self.source_of(iteration, model.layer_of(operator), operand.value))
            .collect();
        let sources = sources?;
        let mut reader = Reader { sources: &sources, read: BTreeSet::new(), kept: BTreeMap::new() };
        if law::segment_count(node) == 1 {
            law::element(node, element, &mut reader).ok()?;
        } else {
            let zeros = vec![0; law::state_words(node)];
            law::segment(node, element, segment, zeros, &mut reader).ok()?;
        }
        let mut by_operand: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (operand, leaf) in reader.read {
            by_operand.entry(operand).or_default().push(leaf);
        }
        let mut proofs = Vec::new();
        for (operand, positions) in by_operand {
            let source = &sources[operand];
            shown.add(source.showings.iter().cloned());
            let leaves = positions.iter().map(|at| leaf_of(source.tree, source.grown, *at));
            let leaves = leaves.collect();
            let siblings = source.grown.nodes.siblings_of(&positions)?;
            let (root, path) = (root_of(source.tree, source.grown), source.path.clone());
            let proof = OperandProof { root, path, positions, leaves, siblings };
            proofs.push((operand as u8, proof));
        }
        Some(proofs)
    }

    /// Where an operand of a layer comes from.
    fn source_of(&self, iteration: u32, layer: u32, value: u32) -> Option<Source<'_>> {
        let model = self.model();
        let source = model.committed.header.source(value)?;
        let of_state = |tree: Tree| {
            let state = Tree::State { iteration, boundary: layer };
            self.value_named(iteration, layer, value)?;
            let position = self.position(layer, value)?;
            let path = self.tree(state)?.leaf_path(u64::from(position));
            let grown = self.book.trees.get(&tree)?;
            Some(Source { tree, grown, path, showings: self.way(iteration, layer)? })
        };
        match source {
            ValueSource::Weight(index) => {
                let path = model.committed.weights.path(u64::from(index))?;
                let tree = Tree::Tensor { iteration: 0, operator: 0 };
                let grown = model.weights.get(index as usize)?;
                Some(Source { tree, grown, path, showings: Vec::new() })
            }
            ValueSource::Operator(operator) if model.layer_of(operator) == layer => {
                let (tree, inside) =
                    (Tree::Tensor { iteration, operator }, Tree::Subtrace { iteration, layer });
                let first = model.graph.layers[layer as usize].first_operator;
                let path = self.tree(inside)?.leaf_path(u64::from(operator - first));
                let grown = self.tree(tree)?;
                Some(Source { tree, grown, path, showings: Vec::new() })
            }
            ValueSource::Operator(operator) => of_state(Tree::Tensor { iteration, operator }),
            ValueSource::Input(value) => of_state(Tree::Input { iteration, value }),
        }
    }

    /// The states before and after a segment; into the element only the last.
    fn states(&self, (iteration, operator, element, segment): Step) -> Option<Vec<LeafProof>> {
        let node = law::check(&self.model().graph.nodes[operator as usize]).ok()?;
        let (segments, width) = (law::segment_count(node), law::state_words(node) as u64);
        let tree = Tree::Accumulators { iteration, operator, element };
        let grown = self.tree(tree)?;
        let TreeKind::Tensor { kind } = &grown.kind else { return None };
        let words = segment.saturating_sub(1) * width..segments.min(segment + 1) * width;
        let positions: Option<BTreeSet<u64>> =
            words.map(|word| kind.locate(word).map(|(leaf, _)| leaf)).collect();
        let proof = |position: u64| LeafProof {
            position,
            bytes: leaf_of(tree, grown, position),
            path: grown.leaf_path(position),
        };
        Some(positions?.into_iter().map(proof).collect())
    }
}

/// An operand with the place at which it is committed.
struct Source<'a> {
    tree: Tree,
    grown: &'a Grown,
    path: Vec<Digest>,
    showings: Vec<Showing>,
}

/// Reads operands, and remembers which leaves.
struct Reader<'a> {
    sources: &'a [Source<'a>],
    read: BTreeSet<(usize, u64)>,
    kept: BTreeMap<(usize, u64), LeafBytes>,
}

impl Operands for Reader<'_> {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        let source = self.sources.get(operand).ok_or(())?;
        let kind: &TensorType = type_of(source.grown);
        let (leaf, place) = kind.locate(index).ok_or(())?;
        self.read.insert((operand, leaf));
        let bytes = self.kept.entry((operand, leaf));
        let bytes = bytes.or_insert_with(|| leaf_of(source.tree, source.grown, leaf));
        leaf_element(kind.element, bytes, place).ok_or(())
    }
}
