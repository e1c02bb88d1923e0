//! Who checks: a pure solver that walks a dispute down to one step, and a core that plays it.

mod case;
mod core;
pub mod coverage;
pub mod forecast;
pub mod queue;
pub mod sampling;
pub mod service;
mod solver;
#[cfg(test)]
mod testing;

pub use case::{Case, Published};
pub use core::{ChallengerCore, Order, Policy};
pub use solver::{Divergence, Move, SolveError};
