//! A layer in few passes over memory.
//!
//! The plan of a layer groups operators that work row by row: a contraction or a convolution with
//! everything after it that reads only its row (bias, activation, residual, normalisation, softmax)
//! becomes one *stage*, whose intermediate values live in the cache and are never written. Movements
//! become another way of reading the same memory. What is left runs operator by operator.
//!
//! A stage performs, for every element, exactly the primitives of its operators, rule Q after each,
//! so its bits are theirs; `tests/fused_equals_engine.rs` compares them.

mod convolve;
mod group;
pub(crate) mod layout;
pub(crate) mod plan;
pub(crate) mod program;
pub(crate) mod window;
pub(crate) mod work;

pub(crate) use convolve::convolve;
pub(crate) use plan::LayerPlan;
#[allow(unreachable_pub, reason = "part of a public type of the engine")]
pub use window::PackedKernel;

#[cfg(test)]
mod tests;
