//! What is known of a claim, fact by fact: how a snapshot carries it.

use alloc::collections::BTreeMap;
use core::marker::PhantomData;

use super::Knowledge;
use crate::asks::{Tree, TreeKind};
use crate::encoding::canonical_enum;
use crate::graph::{Layer, ModelHeader, Node};
use crate::hash::{Commitment, Digest};
use crate::persistent::Map;
use crate::tensor::LeafBytes;
use crate::transaction::{ClaimTerms, RunLength};

/// One thing that is known of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each is an entry of what `Knowledge` is asked for by the same names"
)]
#[allow(clippy::large_enum_variant, reason = "one at a time; nobody keeps many")]
pub enum Fact {
    Root { tree: Tree, root: Digest },
    Said { tree: Tree, root: Digest },
    Kind { tree: Tree, kind: TreeKind },
    Node { tree: Tree, depth: u32, index: u64, hash: Digest },
    Opened { tree: Tree, depth: u32, index: u64 },
    Value { iteration: u32, boundary: u32, position: u32, value: u32, root: Digest },
    Layer { index: u32, layer: Layer },
    Operator { index: u32, node: Node },
    Leaf { tree: Tree, leaf: u64, bytes: LeafBytes },
}
canonical_enum!(Fact {
    1 => Root { tree, root }, 2 => Said { tree, root }, 3 => Kind { tree, kind },
    4 => Node { tree, depth, index, hash }, 5 => Opened { tree, depth, index },
    6 => Value { iteration, boundary, position, value, root }, 7 => Layer { index, layer },
    8 => Operator { index, node }, 9 => Leaf { tree, leaf, bytes },
});

impl<C: Commitment> Knowledge<C> {
    /// What is known of a claim before anything is: the root of its sequence.
    pub(crate) fn bare(
        header: ModelHeader,
        length: RunLength,
        arity_log2: u32,
        terms: &ClaimTerms,
    ) -> Self {
        Self {
            header,
            terms: terms.clone(),
            length,
            arity_log2,
            said: BTreeMap::new(),
            roots: Map::from_iter([(Tree::Sequence {}, terms.sequence_root)]),
            kinds: Map::new(),
            nodes: Map::new(),
            opened: Map::new(),
            values: Map::new(),
            layers: Map::new(),
            operators: Map::new(),
            leaves: Map::new(),
            commitment: PhantomData,
        }
    }

    /// All that is known beyond the claim's own terms, its model and its job.
    pub fn facts(&self) -> impl Iterator<Item = Fact> {
        let roots = self.roots.iter().map(|(tree, root)| Fact::Root { tree: *tree, root: *root });
        let said = self.said.iter().map(|(tree, root)| Fact::Said { tree: *tree, root: *root });
        let kinds =
            self.kinds.iter().map(|(tree, kind)| Fact::Kind { tree: *tree, kind: kind.clone() });
        let nodes = self.nodes.iter().map(|((tree, depth, index), hash)| {
            let (tree, depth, index, hash) = (*tree, *depth, *index, *hash);
            Fact::Node { tree, depth, index, hash }
        });
        let opened = self.opened.keys().map(|(tree, depth, index)| {
            let (tree, depth, index) = (*tree, *depth, *index);
            Fact::Opened { tree, depth, index }
        });
        let values = self.values.iter().map(|(place, (value, root))| {
            let ((iteration, boundary, position), value, root) = (*place, *value, *root);
            Fact::Value { iteration, boundary, position, value, root }
        });
        let layers = self
            .layers
            .iter()
            .map(|(index, layer)| Fact::Layer { index: *index, layer: layer.clone() });
        let operators = self
            .operators
            .iter()
            .map(|(index, node)| Fact::Operator { index: *index, node: node.clone() });
        let leaves = self.leaves.iter().map(|((tree, leaf), bytes)| {
            let (tree, leaf, bytes) = (*tree, *leaf, *bytes);
            Fact::Leaf { tree, leaf, bytes }
        });
        roots
            .chain(said)
            .chain(kinds)
            .chain(nodes)
            .chain(opened)
            .chain(values)
            .chain(layers)
            .chain(operators)
            .chain(leaves)
    }

    /// Takes a fact that [`Knowledge::facts`] gave.
    pub(crate) fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Root { tree, root } => self.roots.insert(tree, root),
            Fact::Said { tree, root } => drop(self.said.insert(tree, root)),
            Fact::Kind { tree, kind } => self.kinds.insert(tree, kind),
            Fact::Node { tree, depth, index, hash } => {
                self.nodes.insert((tree, depth, index), hash);
            }
            Fact::Opened { tree, depth, index } => self.opened.insert((tree, depth, index), ()),
            Fact::Value { iteration, boundary, position, value, root } => {
                self.values.insert((iteration, boundary, position), (value, root));
            }
            Fact::Layer { index, layer } => self.layers.insert(index, layer),
            Fact::Operator { index, node } => self.operators.insert(index, node),
            Fact::Leaf { tree, leaf, bytes } => self.leaves.insert((tree, leaf), bytes),
        }
    }
}
