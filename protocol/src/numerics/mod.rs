//! What every number means: binary32 arithmetic in integers, and the elementary functions on top.
//!
//! The rules are those of `docs/protocol.md`, section "Numbers". Nothing here uses a float unit.

mod arithmetic;
pub mod elementary;
pub mod soft;

pub use arithmetic::Arithmetic;
pub use soft::{SoftFloat, store};
