//! Tensor files: the first byte chooses the format.
#![no_main]

use inference::files::parse_tensors;
use libfuzzer_sys::fuzz_target;
use protocol::tensor::{ElementType, Shape, TensorType};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    let shape = Shape::new(&[1, 4]).expect("a shape");
    let inputs = [("image".to_owned(), TensorType { element: ElementType::F32, shape })];
    let ending = ["npy", "npz", "json", "pb"][usize::from(*kind) % 4];
    let _ = parse_tensors(ending, content.to_vec(), &inputs);
});
