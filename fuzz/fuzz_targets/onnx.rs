//! The ONNX importer.
#![no_main]

use std::sync::OnceLock;

use inference::{Engine, ImportOptions, Isa, import_bytes};
use libfuzzer_sys::fuzz_target;

static ENGINE: OnceLock<Engine> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let engine = ENGINE.get_or_init(|| Engine::new(Isa::detect(), 1).expect("a thread"));
    let _ = import_bytes(bytes, "fuzz", None, engine, &ImportOptions::default());
});
