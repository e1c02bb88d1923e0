//! What every number means: binary32 arithmetic in integers, and the elementary functions on top.
//!
//! The rules are those of `docs/protocol.md`, section "Numbers". Nothing here uses a float unit.

mod arithmetic;
pub mod elementary;
mod narrow;
mod philox;
pub mod soft;

pub use arithmetic::Arithmetic;
pub use narrow::{
    BF16_NAN, F16_NAN, narrow_bf16, narrow_f16, stored_bf16, stored_f16, widen_bf16, widen_f16,
};
pub use philox::philox4x32;
pub use soft::{SoftFloat, store};
