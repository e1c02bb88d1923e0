//! Who claims: a pure core that posts claims and defends them.
//!
//! The core is rebuilt from the ledger at every call; what it needs beyond that, the run behind
//! each claim, is recomputed from the model and the input whenever it is not at hand.

mod answer;
mod core;
pub mod files;
mod preflight;

pub use answer::{AnswerError, Defender};
pub use core::{ExecutorCore, claim_terms};
pub use preflight::{PreflightError, preflight};
