//! ONNX in: the file's messages, and their lowering to the canonical graph.

mod assemble;
pub mod attributes;
pub mod builder;
pub mod declared;
mod empty;
pub mod error;
mod file;
mod fold_shapes;
mod import;
mod operators;
mod order;
pub mod proto;
pub mod values;

pub use error::ImportError;
pub use file::{ImportOptions, ModelFile};
pub use import::{Imported, import_bytes, import_file};
