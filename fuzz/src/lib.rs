//! What takes bytes from outside, as functions of any bytes: each may refuse them, none may panic, hang or
//! take memory without bound.
//!
//! [`TARGETS`] lists them with their seeds. `tests/smoke.rs` gives them seeds that [`mutation`] changed, in
//! the workspace's own build; `run` searches with libFuzzer, which sees what is covered, for as long as it
//! is let.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod http;
pub mod mutation;
mod seeds;
mod targets;

/// Something that takes bytes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Takes any bytes; panics where it found a defect.
    pub run: fn(&[u8]),
    /// Bytes that it accepts, or nearly.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "transaction", run: targets::transaction, seeds: seeds::transaction },
    Target { name: "records", run: targets::records, seeds: seeds::records },
    Target { name: "snapshot", run: targets::snapshot, seeds: seeds::snapshot },
    Target { name: "referee", run: targets::referee, seeds: seeds::referee },
    Target { name: "wire", run: targets::wire, seeds: seeds::wire },
    Target { name: "published", run: targets::published, seeds: seeds::published },
    Target { name: "verdict_file", run: targets::verdict_file, seeds: seeds::verdict_file },
    Target { name: "claim_file", run: targets::claim_file, seeds: seeds::claim_file },
    Target { name: "onnx", run: targets::onnx, seeds: seeds::onnx },
    Target { name: "tensor_file", run: targets::tensor_file, seeds: seeds::tensor_file },
    Target { name: "configuration", run: targets::configuration, seeds: seeds::configuration },
    Target { name: "http", run: http::http, seeds: seeds::http },
];

/// A target by its name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
