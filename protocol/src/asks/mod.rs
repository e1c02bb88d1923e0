//! Asks and answers: what an executor can be asked for, and what it must say then.
//!
//! Three words keep what is known apart. *Said* are roots that only the executor could say: of the inside
//! of a layer and of the sums of an element; the first answer binds. *Asked* is the hash of a challenge's
//! last ask. *Known* is what follows from the claim's roots, from what was said, from the place that was
//! asked last and from what the same transaction shows; it is proven where it is used and kept nowhere.
//! So the answer to an ask depends on nobody else's moves, and no one can make an honest answer wrong.

mod answer;
mod check;
mod judge;
mod place;
mod proven;
mod refutation;
mod sums;

pub use answer::{Answer, fits, shown_places};
pub use check::{Asking, Cost, leaf_log2};
pub use judge::judge;
pub use place::{Ask, Place, Tree, TreeKind};
pub use proven::{Context, Proven, Showing};
pub use refutation::{Evidence, Finding, LeafProof, OperandProof, RefereeError, Refutation};
pub use sums::Sums;

/// Why an ask, an answer or a showing is not accepted. Nothing changes; send another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// A number in a tree's name is outside the claim.
    #[error("the claim has no such iteration, layer, boundary, operator, element or value")]
    OutsideClaim,
    /// The tree's shape is not what the model gives it, or nothing shows what it is.
    #[error("the tree's shape is not shown, or not the model's; show the layer or the operator")]
    Shape,
    /// The root of the tree is not proven.
    #[error("the root of the tree is not proven; show the way to it, or demand it")]
    UnknownRoot,
    /// The place is outside the tree, stands for padding, or has nothing below.
    #[error("the place is outside the tree")]
    OutOfRange,
    /// It was said already, so that asking again would only cost.
    #[error("this was said already; read it from the claim")]
    AlreadyOpen,
    /// Nobody needs to be asked this.
    #[error("this tree is not asked for in this way")]
    WrongKind,
    /// A path or an answer does not hash to what was committed.
    #[error("this does not hash to what was committed")]
    Mismatch,
    /// A proof does not lead to the model root.
    #[error("the proof does not lead to the model root")]
    NotOfModel,
    /// The place asked last is another one.
    #[error("the ask that this builds on is not what the challenge asked last")]
    NotAsked,
    /// The list has another length than what it stands for.
    #[error("the list has another length than what it stands for")]
    WrongLength,
}
