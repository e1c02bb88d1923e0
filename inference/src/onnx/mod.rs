//! ONNX in: the file's messages, and their lowering to the canonical graph.

mod assemble;
pub mod attributes;
pub mod binding;
pub mod builder;
pub mod declared;
pub mod error;
mod file;
mod import;
mod lowering;
mod movement;
mod operators;
pub mod options;
mod order;
mod places;
pub mod proto;
pub mod shapes;
pub mod value;
pub mod values;

pub use error::ImportError;
pub use file::ModelFile;
pub use import::{Imported, import_bytes, import_file};
pub use options::ImportOptions;
