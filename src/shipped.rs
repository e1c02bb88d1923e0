//! The models and images that the binary carries.

use std::collections::HashMap;
use std::sync::Arc;

use inference::{Engine, ImportOptions, Tensor};
use protocol::tensor::TensorType;
use simulation::environments::Environments;

use crate::error::{CommandError, system};

/// Models by name.
pub(crate) const SHIPPED: [(&str, &[u8]); 2] = [
    ("digits-cnn", include_bytes!("../models/digits-cnn.onnx")),
    ("digits-transformer", include_bytes!("../models/digits-transformer.onnx")),
];

/// Test images; the first is a 3.
pub(crate) const IMAGES: [&[u8]; 4] = [
    include_bytes!("../models/samples/digit-3.npy"),
    include_bytes!("../models/samples/digit-0.npy"),
    include_bytes!("../models/samples/digit-4.npy"),
    include_bytes!("../models/samples/digit-9.npy"),
];

/// The bits of a shipped image: 64 little-endian f32 at the end of the file.
pub(crate) fn image_bits(file: &[u8]) -> Vec<u64> {
    file[file.len().saturating_sub(256)..]
        .chunks(4)
        .map(|four| four.iter().rev().fold(0, |bits, byte| (bits << 8) | u64::from(*byte)))
        .collect()
}

/// The worlds of the simulation: toys, and the shipped models with their images.
pub(crate) fn environments() -> Result<Environments, CommandError> {
    // One thread: worlds run side by side, each of their models is small.
    let engine = Engine::new(inference::Isa::detect(), 1)?;
    let mut models = Vec::new();
    for (name, bytes) in SHIPPED {
        let options = ImportOptions::default();
        let model = inference::import_bytes(bytes, name, None, &engine, &options)?;
        let wanted = model.input_names().iter().zip(&model.graph().inputs);
        let wanted: Vec<(String, TensorType)> =
            wanted.map(|(name, kind)| (name.clone(), kind.clone())).collect();
        let mut inputs = Vec::new();
        for image in IMAGES {
            let mut tensors = HashMap::new();
            for (input, kind) in &wanted {
                let tensor = Tensor::from_bits(kind, &image_bits(image));
                let tensor = tensor.ok_or_else(|| system(name, "no image fits it"))?;
                tensors.insert(input.clone(), tensor);
            }
            inputs.push(tensors);
        }
        models.push((Arc::new(model), inputs));
    }
    Ok(Environments::new(&engine, models).map_err(simulation::scenario::ScenarioError::from)?)
}
