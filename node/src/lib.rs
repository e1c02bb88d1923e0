//! What every party that stays at a ledger needs, whatever it decides.
//!
//! A party is a pure [`Core`]: the ledger's state in, decisions out. The [`Agent`] around it signs and
//! submits; [`turns`] wakes it; [`health`] says whether it can do its work; [`jobs`] keeps what it runs;
//! [`late`] says who let its time pass.

pub mod account;
pub mod agent;
pub mod exposure;
pub mod health;
pub mod jobs;
pub mod late;
mod log_limit;
pub mod metrics;
#[cfg(test)]
mod testing;
pub mod turns;

pub use account::Account;
pub use agent::{Agent, Core, Decision, NonceRace, Performed, Signer};
pub use exposure::Exposure;
pub use health::Health;
pub use log_limit::LogLimit;
pub use turns::{is_due, meanwhile, take_turns};
