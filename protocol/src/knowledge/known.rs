//! What stays known of a claim once it is over.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Knowledge;
use crate::asks::{Evidence, Tree};
use crate::encoding::canonical_struct;
use crate::graph::Node;
use crate::hash::{Commitment, Keccak};

/// Trees of which a claim that fell is still known to have been opened: a dispute goes through fewer.
pub const DESCENT_MAX: usize = 64;

/// What everybody can know of a claim, as far as a ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Known<C: Commitment = Keccak> {
    /// Of a claim that stands: everything.
    Run(Box<Knowledge<C>>),
    /// Of one that fell: what its verdict names.
    Fall(Box<Descent>),
    /// Of one that ended otherwise: nothing. The log has it.
    Nothing,
}

/// What is told of a claim that fell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Descent {
    /// Trees of which something was opened, in the order of a descent, the first [`DESCENT_MAX`].
    pub trees: Vec<Tree>,
    /// The operator that the evidence is about.
    pub operator: Option<Node>,
}
canonical_struct!(Descent { trees, operator });

impl<C: Commitment> Known<C> {
    /// Everything, of a claim that stands.
    pub fn run(&self) -> Option<&Knowledge<C>> {
        match self {
            Self::Run(known) => Some(known),
            Self::Fall(_) | Self::Nothing => None,
        }
    }

    /// The claim falls, by evidence or by silence: lets go of all but what its verdict names.
    pub(crate) fn fall(&mut self, evidence: Option<&Evidence>) {
        let operator = evidence.and_then(|evidence| self.operator_of(evidence)).cloned();
        let trees = self.opened_trees().into_iter().take(DESCENT_MAX).collect();
        *self = Self::Fall(Box::new(Descent { trees, operator }));
    }

    /// Trees of which something beyond the root was opened, in the order of a descent.
    pub fn opened_trees(&self) -> Vec<Tree> {
        match self {
            Self::Run(known) => known.opened_trees().collect(),
            Self::Fall(descent) => descent.trees.clone(),
            Self::Nothing => Vec::new(),
        }
    }

    /// The operator that evidence against the claim is about, if it was shown.
    pub fn operator_of(&self, evidence: &Evidence) -> Option<&Node> {
        match self {
            Self::Run(known) => known.operator_of(evidence),
            Self::Fall(descent) => descent.operator.as_ref(),
            Self::Nothing => None,
        }
    }
}
