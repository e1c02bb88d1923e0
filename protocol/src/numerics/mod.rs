//! What every number means: binary32 arithmetic in integers, and the elementary functions on top.
//!
//! The rules are those of `docs/protocol.md`, section "Numbers". Nothing here uses a float unit.

pub mod elementary;
pub mod soft;

pub use elementary::Arithmetic;
pub use soft::{SoftFloat, store};
