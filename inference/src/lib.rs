//! The engine of Rebut: ONNX in, canonical graph out, canonical kernels, the trace.

mod boundaries;
mod compute_policy;
pub mod engine;
mod execute;
mod failure;
pub mod files;
mod fused;
pub mod isolated;
pub mod layers;
pub mod model;
pub mod model_store;
mod npy;
pub mod onnx;
pub mod partial;
pub mod referee;
pub mod run;
mod runner;
pub mod state;
pub mod state_transfer;
pub mod tensor;
pub mod trace;
pub mod worker;

pub use compute_policy::{ComputePolicy, Honest, compute_honestly};
pub use engine::{Engine, EngineError};
pub use kernels::Isa;
pub use model::{Halves, Model};
pub use model_store::{ModelStore, ModelStoreError, options_beside};
pub use onnx::binding::infer;
pub use onnx::declared::{Axis, DeclaredInput};
pub use onnx::{ImportError, ImportOptions, ModelFile, import_bytes, import_file};
pub use partial::{NoResult, Outcome, PartialTrace};
pub use run::{AnyRun, PartialRun, Run};
pub use runner::Runner;
pub use state::{State, Subtrace};
pub use tensor::Tensor;
pub use trace::{RunError, Trace};
