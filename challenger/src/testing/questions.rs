//! Asks as tests write them: what is asked, without hashes and proofs.

use protocol::asks::{Ask, Showing, Tree};

/// What an ask is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    Open(Tree, u32, u64),
    Leaves(Tree, u32, u64),
    Say(Tree),
}

impl Question {
    /// The question of an ask.
    pub(crate) fn of(ask: &Ask) -> Self {
        let (depth, index) = ask.node();
        match ask {
            Ask::Open { .. } => Self::Open(*ask.tree(), depth, index),
            Ask::Leaves { .. } => Self::Leaves(*ask.tree(), depth, index),
            Ask::Say { .. } => Self::Say(*ask.tree()),
        }
    }

    pub(crate) fn tree(&self) -> Tree {
        match self {
            Self::Open(tree, ..) | Self::Leaves(tree, ..) | Self::Say(tree) => *tree,
        }
    }

    /// Depth and index of the node; those of the root for what is said.
    pub(crate) fn node(&self) -> (u32, u64) {
        match self {
            Self::Open(_, depth, index) | Self::Leaves(_, depth, index) => (*depth, *index),
            Self::Say(_) => (0, 0),
        }
    }
}

pub(crate) fn trace(depth: u32, index: u64) -> Question {
    Question::Open(Tree::Trace { iteration: 0 }, depth, index)
}

pub(crate) fn state(boundary: u32, depth: u32, index: u64) -> Question {
    Question::Open(Tree::State { iteration: 0, boundary }, depth, index)
}

pub(crate) fn inside(layer: u32) -> Question {
    Question::Say(Tree::Subtrace { iteration: 0, layer })
}

pub(crate) fn inside_node(layer: u32, depth: u32, index: u64) -> Question {
    Question::Open(Tree::Subtrace { iteration: 0, layer }, depth, index)
}

pub(crate) fn output(operator: u32, depth: u32, index: u64) -> Question {
    Question::Open(Tree::Tensor { iteration: 0, operator }, depth, index)
}

pub(crate) fn output_leaves(operator: u32, depth: u32, index: u64) -> Question {
    Question::Leaves(Tree::Tensor { iteration: 0, operator }, depth, index)
}

pub(crate) fn sums(operator: u32, element: u64) -> Question {
    Question::Say(Tree::Accumulators { iteration: 0, operator, element })
}

pub(crate) fn sums_node(operator: u32, element: u64, depth: u32, index: u64) -> Question {
    Question::Open(Tree::Accumulators { iteration: 0, operator, element }, depth, index)
}

pub(crate) fn sums_leaves(operator: u32, element: u64, depth: u32, index: u64) -> Question {
    Question::Leaves(Tree::Accumulators { iteration: 0, operator, element }, depth, index)
}

/// What a showing is about, without its proof.
pub(crate) fn shown(showing: &Showing) -> String {
    match showing {
        Showing::Layer { proof } => format!("layer {}", proof.index),
        Showing::Operator { proof } => format!("operator {}", proof.index),
        Showing::SequenceLeaf { .. } => "trace".to_owned(),
        Showing::TraceLeaf { boundary, .. } => format!("state {boundary}"),
        Showing::StateLeaf { boundary, position, .. } => {
            format!("value at {position} of state {boundary}")
        }
        Showing::SubtraceLeaf { layer, position, .. } => {
            format!("output {position} of layer {layer}")
        }
        Showing::TensorLeaf { operator, leaf, .. } => {
            format!("leaf {leaf} of operator {operator}")
        }
        Showing::Entry { iteration, .. } => format!("entry {iteration}"),
    }
}
