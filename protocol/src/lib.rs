//! The law of Rebut.
//!
//! Commitments, the scalar meaning of every operator, the referee and the settlement state machine.
//! The crate knows no clock, thread, file, socket or float unit: time and bytes come in as
//! arguments, decisions go out as values, and every input, however hostile, ends in a value or a
//! typed error.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod defects;
pub mod encoding;
pub mod facts;
mod functions;
pub mod graph;
pub mod hash;
pub mod law;
pub mod merkle;
pub mod numerics;
pub mod openings;
pub mod published;
pub mod referee;
pub mod roots;
pub mod settlement;
pub mod tensor;
pub mod transaction;
