//! Who checks: a pure solver that walks a dispute down to one step, and a core that plays it.

mod core;
pub mod coverage;
mod ends;
mod honest_view;
pub mod monitor;
mod own_tree;
pub mod queue;
pub mod sampling;
pub mod service;
mod solver;
#[cfg(test)]
mod testing;
mod truth;
mod wanted_inputs;

pub use core::{ChallengerCore, Needed, Order, Policy};
pub use honest_view::{Announcement, HonestView};
pub use solver::{Divergence, Move, SolveError};
pub use truth::Truth;
