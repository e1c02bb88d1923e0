//! What a transaction shows, proven under what is committed, said, or was asked last.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Ask, AskError, Tree, TreeKind};
use crate::encoding::canonical_enum;
use crate::graph::{
    Layer, LayerProof, ModelHeader, Node, NodeProof, STATE_VALUES_MAX, ValueSource,
};
use crate::hash::{Commitment, Digest};
use crate::law;
use crate::merkle::{TreeShape, climb, is_padded};
use crate::roots::{is_entry_of_batch, root_leaf, state_leaf};
use crate::tensor::{LeafBytes, TensorType};
use crate::transaction::{ClaimTerms, RunLength};

/// Something that is proven from the model, from what the claim committed to, or from what was said.
///
/// A `path` leads from the leaf up to the root of its tree, or to the place that the challenge asked for
/// last; its length says which. Each may build on earlier ones of the same transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Showing {
    /// A layer of the model.
    Layer {
        /// The layer and its place.
        proof: LayerProof,
    },
    /// An operator of the model.
    Operator {
        /// The node and its place.
        proof: NodeProof,
    },
    /// A trace root of the sequence.
    SequenceLeaf {
        /// Index of the iteration.
        iteration: u32,
        /// Its trace root.
        root: Digest,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// A state root of a trace.
    TraceLeaf {
        /// Index of the iteration.
        iteration: u32,
        /// The boundary: 0 before the first layer, then one after each.
        boundary: u32,
        /// Its state root.
        root: Digest,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// A value of a state.
    StateLeaf {
        /// Index of the iteration.
        iteration: u32,
        /// The boundary: 0 before the first layer, then one after each.
        boundary: u32,
        /// Position in the state.
        position: u32,
        /// Id of the value.
        value: u32,
        /// Its tensor root.
        root: Digest,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// An output root of a subtrace.
    SubtraceLeaf {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the layer.
        layer: u32,
        /// Position in the layer.
        position: u32,
        /// The tensor root.
        root: Digest,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// The bytes of a leaf of an operator's output.
    TensorLeaf {
        /// Index of the iteration.
        iteration: u32,
        /// Index of the operator in the model.
        operator: u32,
        /// Position in the padded leaf tree.
        leaf: u64,
        /// The leaf's bytes.
        bytes: LeafBytes,
        /// Siblings from the leaf up, lowest first.
        path: Vec<Digest>,
    },
    /// The input of an iteration of a batch, in the job's list of them.
    Entry {
        /// Index of the iteration.
        iteration: u32,
        /// Root of the entry's state.
        root: Digest,
        /// Siblings from the leaf up to the root of the list, lowest first.
        path: Vec<Digest>,
    },
}
canonical_enum!(Showing {
    1 => Layer { proof }, 2 => Operator { proof }, 3 => SequenceLeaf { iteration, root, path },
    4 => TraceLeaf { iteration, boundary, root, path },
    5 => StateLeaf { iteration, boundary, position, value, root, path },
    6 => SubtraceLeaf { iteration, layer, position, root, path },
    7 => TensorLeaf { iteration, operator, leaf, bytes, path }, 8 => Entry { iteration, root, path },
});

/// The claim that asks, showings and refutations are about, as far as they depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The claim's terms.
    pub terms: &'a ClaimTerms,
    /// The claim's model.
    pub header: &'a ModelHeader,
    /// How long the job lets the run be.
    pub length: RunLength,
    /// What the executor said: roots of subtraces and accumulators.
    pub said: &'a BTreeMap<Tree, Digest>,
    /// What the challenge asked last, if the transaction builds on it. Whoever makes a context has checked
    /// its hash.
    pub from: Option<&'a Ask>,
    /// Levels of one opening.
    pub arity_log2: u32,
}

/// What the showings of one transaction prove.
#[derive(Clone, Debug)]
pub struct Proven<'a> {
    pub(crate) context: Context<'a>,
    layers: BTreeMap<u32, Layer>,
    operators: BTreeMap<u32, Node>,
    traces: BTreeMap<u32, Digest>,
    entries: BTreeMap<u32, Digest>,
    states: BTreeMap<(u32, u32), Digest>,
    values: BTreeMap<(u32, u32, u32), (u32, Digest)>,
    outputs: BTreeMap<(u32, u32), Digest>,
    leaves: BTreeMap<(u32, u32, u64), LeafBytes>,
}

impl<'a> Proven<'a> {
    /// Checks showings one after the other.
    ///
    /// # Errors
    /// What is wrong with the first that does not hold.
    pub fn new<C: Commitment>(
        context: Context<'a>,
        showings: &[Showing],
    ) -> Result<Self, AskError> {
        let mut proven = Self {
            context,
            layers: BTreeMap::new(),
            operators: BTreeMap::new(),
            traces: BTreeMap::new(),
            entries: BTreeMap::new(),
            states: BTreeMap::new(),
            values: BTreeMap::new(),
            outputs: BTreeMap::new(),
            leaves: BTreeMap::new(),
        };
        for showing in showings {
            proven.show::<C>(showing)?;
        }
        Ok(proven)
    }

    /// A layer that was shown.
    pub fn layer(&self, layer: u32) -> Option<&Layer> {
        self.layers.get(&layer)
    }

    /// An operator that was shown.
    pub fn operator(&self, operator: u32) -> Option<&Node> {
        self.operators.get(&operator)
    }

    /// Value id and tensor root at a position of a state, once shown.
    pub fn value(&self, iteration: u32, boundary: u32, position: u32) -> Option<(u32, Digest)> {
        self.values.get(&(iteration, boundary, position)).copied()
    }

    /// Tensor root of what an operator wrote, once shown.
    pub fn output(&self, iteration: u32, operator: u32) -> Option<Digest> {
        self.outputs.get(&(iteration, operator)).copied()
    }

    /// Root of the state that an iteration of a batch must begin with, once shown.
    pub fn entry(&self, iteration: u32) -> Option<Digest> {
        self.entries.get(&iteration).copied()
    }

    /// Root of the state at a boundary, as the claim's trace has it, once shown.
    pub(super) fn state(&self, iteration: u32, boundary: u32) -> Option<Digest> {
        self.states.get(&(iteration, boundary)).copied()
    }

    /// A leaf of what an operator wrote, once shown.
    pub fn leaf(&self, iteration: u32, operator: u32, leaf: u64) -> Option<&LeafBytes> {
        self.leaves.get(&(iteration, operator, leaf))
    }

    /// The values that the model has live at a boundary, ascending, once the layer after it or the one
    /// before it was shown.
    pub fn live_values(&self, boundary: u32) -> Option<&[u32]> {
        if let Some(after) = self.layers.get(&boundary) {
            return Some(&after.live_in);
        }
        let before = self.layers.get(&boundary.checked_sub(1)?)?;
        Some(&before.live_out)
    }

    /// The committed root of a tree, as far as the transaction proves it.
    pub fn root(&self, tree: &Tree) -> Option<Digest> {
        let Context { terms, header, said, .. } = &self.context;
        let last = terms.iterations.checked_sub(1)?;
        match *tree {
            Tree::Sequence {} => Some(terms.sequence_root),
            Tree::Trace { iteration } => self.traces.get(&iteration).copied(),
            Tree::State { iteration, boundary }
                if iteration == last && boundary == header.layer_count =>
            {
                Some(terms.output_root)
            }
            // Of a batch the claim's paths prove that the first state is the first entry.
            Tree::State { iteration: 0, boundary: 0 } if terms.is_batch(header) => {
                self.state(0, 0).or_else(|| self.entry(0))
            }
            Tree::State { iteration: 0, boundary: 0 } => Some(terms.input_root),
            Tree::State { iteration, boundary } => self.state(iteration, boundary),
            Tree::Subtrace { .. } | Tree::Accumulators { .. } => said.get(tree).copied(),
            Tree::Tensor { iteration, operator } => self.output(iteration, operator),
            Tree::Input { iteration, value } => self.root_of_value(iteration, 0, value),
            Tree::Output { iteration, value } => {
                self.root_of_value(iteration, header.layer_count, value)
            }
        }
    }

    /// The root of a value in a state, once shown.
    fn root_of_value(&self, iteration: u32, boundary: u32, value: u32) -> Option<Digest> {
        let range = (iteration, boundary, 0)..=(iteration, boundary, u32::MAX);
        let mut values = self.values.range(range);
        values.find(|(_, (id, _))| *id == value).map(|(_, (_, root))| *root)
    }

    /// What a tree is of: from the claim, from what was shown of the model, or because the ask that the
    /// transaction builds on was about the same tree.
    pub fn kind(&self, tree: &Tree) -> Option<TreeKind> {
        let Context { terms, header, from, .. } = &self.context;
        let list = |count: usize| Some(TreeKind::List { count: u32::try_from(count).ok()? });
        let tensor = |kind: &TensorType| Some(TreeKind::Tensor { kind: kind.clone() });
        let shown = match *tree {
            Tree::Sequence {} => Some(TreeKind::List { count: terms.iterations }),
            Tree::Trace { .. } => Some(TreeKind::List { count: header.state_count() }),
            Tree::State { boundary, .. } => {
                self.live_values(boundary).and_then(|live| list(live.len()))
            }
            Tree::Subtrace { layer, .. } => {
                self.layers.get(&layer).and_then(|layer| list(layer.operator_count as usize))
            }
            Tree::Tensor { operator, .. } => {
                self.operators.get(&operator).and_then(|node| tensor(&node.output))
            }
            Tree::Accumulators { operator, .. } => {
                self.operators.get(&operator).and_then(TreeKind::of_accumulators)
            }
            Tree::Input { value, .. } | Tree::Output { value, .. } => {
                self.type_of(value).and_then(tensor)
            }
        };
        shown.or_else(|| from.filter(|ask| ask.tree() == tree).map(|ask| ask.kind().clone()))
    }

    /// The type of a value: an input's is in the header, that of an operator's output is in the operator, once
    /// shown.
    fn type_of(&self, value: u32) -> Option<&TensorType> {
        match self.context.header.source(value)? {
            ValueSource::Operator(operator) => {
                self.operators.get(&operator).map(|node| &node.output)
            }
            ValueSource::Input(input) => self.context.header.inputs.get(input as usize),
            // No weight is an input or output of a run.
            ValueSource::Weight(_) => None,
        }
    }

    /// Whether a tree can be one of this claim.
    pub fn check_bounds(&self, tree: &Tree) -> Result<(), AskError> {
        let Context { terms, header, .. } = &self.context;
        let inside = match *tree {
            Tree::Sequence {} | Tree::Trace { .. } => true,
            Tree::State { boundary, .. } => boundary <= header.layer_count,
            Tree::Subtrace { layer, .. } => layer < header.layer_count,
            Tree::Tensor { operator, .. } => operator < header.operator_count,
            Tree::Accumulators { operator, element, .. } => {
                let node = self.operators.get(&operator);
                operator < header.operator_count
                    && node.is_none_or(|node| element < node.output.shape.count())
            }
            Tree::Input { value, .. } => value < header.input_count(),
            Tree::Output { value, .. } => header.source(value).is_some(),
        };
        if inside && tree.iteration() < terms.iterations {
            Ok(())
        } else {
            Err(AskError::OutsideClaim)
        }
    }

    /// Checks a path from a node of a tree up to the tree's root, or to the place that was asked last.
    ///
    /// # Errors
    /// When the tree's kind or root is not proven, the node is padding, or the path leads elsewhere.
    pub fn check_path<C: Commitment>(
        &self,
        tree: &Tree,
        (depth, index): (u32, u64),
        hash: Digest,
        path: &[Digest],
    ) -> Result<(), AskError> {
        self.check_bounds(tree)?;
        let kind = self.kind(tree).ok_or(AskError::Shape)?;
        let shape = kind.shape().ok_or(AskError::Shape)?;
        self.climb_to_known::<C>(tree, (&kind, &shape), (depth, index), hash, path)
    }

    fn climb_to_known<C: Commitment>(
        &self,
        tree: &Tree,
        (kind, shape): (&TreeKind, &TreeShape),
        (depth, index): (u32, u64),
        hash: Digest,
        path: &[Digest],
    ) -> Result<(), AskError> {
        if shape.is_padding(depth, index) {
            return Err(AskError::OutOfRange);
        }
        if path.len() <= depth as usize && !is_padded::<C>(shape, (depth, index), path) {
            return Err(AskError::Mismatch);
        }
        let (reached, at, place) =
            climb::<C>(depth, index, hash, path).ok_or(AskError::WrongLength)?;
        // At the root of the tree the committed hash is compared, which the inner one is wrapped into. A node
        // at depth 0 without a path is given by its committed hash.
        let found = match (at, depth) {
            (0, 0) => reached,
            (0, _) => tree.commit::<C>(kind, &reached).ok_or(AskError::Shape)?,
            _ => reached,
        };
        if at == 0
            && let Some(root) = self.root(tree)
        {
            return if root == found { Ok(()) } else { Err(AskError::Mismatch) };
        }
        let is_of_tree = |ask: &&Ask| ask.tree() == tree && ask.kind() == kind;
        let Some(from) = self.context.from.filter(is_of_tree) else {
            return Err(if at == 0 { AskError::UnknownRoot } else { AskError::WrongLength });
        };
        if from.node() != (at, place) {
            return Err(if at == 0 { AskError::UnknownRoot } else { AskError::WrongLength });
        }
        match from {
            // Its root is in what was said, which was looked at before.
            Ask::Say { .. } => Err(AskError::UnknownRoot),
            Ask::Open { place } | Ask::Leaves { place } if place.hash == found => Ok(()),
            Ask::Open { .. } | Ask::Leaves { .. } => Err(AskError::Mismatch),
        }
    }

    /// Checks the path of a tree's leaf.
    pub(super) fn check_leaf<C: Commitment>(
        &self,
        tree: &Tree,
        index: u64,
        leaf: Digest,
        path: &[Digest],
    ) -> Result<(), AskError> {
        self.check_bounds(tree)?;
        let kind = self.kind(tree).ok_or(AskError::Shape)?;
        let shape = kind.shape().ok_or(AskError::Shape)?;
        if shape.depth() == 0 {
            // A tree of one leaf: what stands there is the leaf, what is committed wraps it.
            if index != 0 || !path.is_empty() {
                return Err(AskError::OutOfRange);
            }
            let found = tree.commit::<C>(&kind, &leaf).ok_or(AskError::Shape)?;
            return self.climb_to_known::<C>(tree, (&kind, &shape), (0, 0), found, path);
        }
        self.climb_to_known::<C>(tree, (&kind, &shape), (shape.depth(), index), leaf, path)
    }

    fn show<C: Commitment>(&mut self, showing: &Showing) -> Result<(), AskError> {
        match showing {
            Showing::Layer { proof } => {
                // Longer lists are no model's, and whoever folds the log would keep them.
                let Layer { live_in, live_out, .. } = &proof.layer;
                let is_within = live_in.len().max(live_out.len()) <= STATE_VALUES_MAX;
                if !is_within || !proof.verify::<C>(self.context.header) {
                    return Err(AskError::NotOfModel);
                }
                self.layers.insert(proof.index, proof.layer.clone());
            }
            Showing::Operator { proof } => {
                if !proof.verify::<C>(self.context.header) || law::check(&proof.node).is_err() {
                    return Err(AskError::NotOfModel);
                }
                self.operators.insert(proof.index, proof.node.clone());
            }
            Showing::SequenceLeaf { iteration, root, path } => {
                let leaf = root_leaf::<C>(root);
                self.check_leaf::<C>(&Tree::Sequence {}, u64::from(*iteration), leaf, path)?;
                self.traces.insert(*iteration, *root);
            }
            Showing::TraceLeaf { iteration, boundary, root, path } => {
                let tree = Tree::Trace { iteration: *iteration };
                self.check_leaf::<C>(&tree, u64::from(*boundary), root_leaf::<C>(root), path)?;
                self.states.insert((*iteration, *boundary), *root);
            }
            Showing::StateLeaf { iteration, boundary, position, value, root, path } => {
                let tree = Tree::State { iteration: *iteration, boundary: *boundary };
                let leaf = state_leaf::<C>(*value, root);
                self.check_leaf::<C>(&tree, u64::from(*position), leaf, path)?;
                self.values.insert((*iteration, *boundary, *position), (*value, *root));
            }
            Showing::SubtraceLeaf { iteration, layer, position, root, path } => {
                let tree = Tree::Subtrace { iteration: *iteration, layer: *layer };
                self.check_leaf::<C>(&tree, u64::from(*position), root_leaf::<C>(root), path)?;
                let first = self.layers.get(layer).ok_or(AskError::Shape)?.first_operator;
                let operator = first.checked_add(*position).ok_or(AskError::OutsideClaim)?;
                self.outputs.insert((*iteration, operator), *root);
            }
            Showing::TensorLeaf { iteration, operator, leaf, bytes, path } => {
                let tree = Tree::Tensor { iteration: *iteration, operator: *operator };
                self.check_leaf::<C>(&tree, *leaf, C::leaf(bytes), path)?;
                self.leaves.insert((*iteration, *operator, *leaf), *bytes);
            }
            Showing::Entry { iteration, root, path } => {
                let Context { terms, header, .. } = &self.context;
                if !terms.is_batch(header) {
                    return Err(AskError::WrongKind);
                }
                let (batch, entries) = (&terms.input_root, terms.iterations);
                if !is_entry_of_batch::<C>(batch, entries, *iteration, root, path) {
                    return Err(AskError::Mismatch);
                }
                self.entries.insert(*iteration, *root);
            }
        }
        Ok(())
    }
}
