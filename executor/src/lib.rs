//! Who claims: a pure core that posts claims and defends them.
//!
//! The core is asked again at every event. All it needs beyond the ledger is the run of each
//! claim; after a restart the caller runs the model again and hands the run over
//! ([`ExecutorCore::remember`]).

mod answer;
pub mod api;
mod core;
pub mod embeddings;
pub mod http;
mod inputs;
pub mod policy;
mod preflight;
mod progress;
mod quarantine;
pub mod service;
mod settings;
#[cfg(test)]
mod testing;

pub use answer::{AnswerError, Defender};
pub use core::{ExecutorCore, Unanswered, statement_of};
pub use policy::JobPolicy;
pub use preflight::{PreflightError, Rehearsal, preflight};
pub use settings::Settings;
