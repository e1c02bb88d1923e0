//! The engine of Rebut: ONNX in, canonical graph out, canonical kernels, the trace.

mod boundaries;
mod conduct;
pub mod engine;
mod execute;
mod failure;
pub mod files;
mod fused;
mod half;
pub mod isolated;
pub mod layers;
pub mod model;
mod npy;
pub mod onnx;
pub mod published;
pub mod referee;
pub mod run;
mod runner;
pub mod shelf;
pub mod state;
pub mod tensor;
pub mod trace;
pub mod worker;

pub use conduct::{Conduct, Honest, compute_honestly};
pub use engine::{Engine, EngineError};
pub use kernels::Isa;
pub use model::{Halves, Model};
pub use onnx::binding::infer;
pub use onnx::declared::{Axis, DeclaredInput};
pub use onnx::{ImportError, ImportOptions, ModelFile, import_bytes, import_file};
pub use run::Run;
pub use runner::Runner;
pub use shelf::{Shelf, ShelfError, options_beside};
pub use state::{State, Subtrace};
pub use tensor::Tensor;
pub use trace::{RunError, Trace};
