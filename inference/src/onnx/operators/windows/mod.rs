//! Convolution and pooling, in channels-last order between two transposes that usually cancel.

pub(super) mod convolution;
pub(super) mod pool;
mod reach;
pub(super) mod transposed;
mod volume;
