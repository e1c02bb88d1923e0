//! ONNX in: the file's messages, and their lowering to the canonical graph.

pub mod attributes;
pub mod builder;
mod empty;
pub mod error;
mod fold_shapes;
mod import;
mod operators;
mod order;
pub mod proto;
pub mod values;

pub use error::ImportError;
pub use import::{ImportOptions, Imported, import_bytes, import_file};
