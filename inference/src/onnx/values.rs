//! ONNX tensors to engine tensors.

use std::path::{Component, Path, PathBuf};

use protocol::numerics::widen_f16;
use protocol::tensor::{ElementType, Shape};

use super::proto::TensorProto;
use crate::tensor::Tensor;

/// Most bytes of one tensor of a model file.
const TENSOR_BYTES_MAX: u64 = 4 << 30;

/// ONNX's number of 16-bit floats.
pub const HALF: i32 = 10;

/// Element type of an ONNX data type; the error says what would help.
///
/// # Errors
/// For types that have no canonical form.
pub fn element_type(data_type: i32) -> Result<ElementType, String> {
    match data_type {
        // 16-bit floats are computed in binary32, into which they widen exactly.
        1 | HALF => Ok(ElementType::F32),
        6 => Ok(ElementType::I32),
        7 => Ok(ElementType::I64),
        9 => Ok(ElementType::Bool),
        2 => Ok(ElementType::U8),
        3 => Ok(ElementType::I8),
        4 => Ok(ElementType::U16),
        5 => Ok(ElementType::I16),
        12 => Ok(ElementType::U32),
        13 => Err("unsigned 64-bit integers are not supported; cast to i64".to_owned()),
        11 => Err("64-bit floats are not supported; convert the model to f32".to_owned()),
        16 => Err("16-bit floats of the kind bfloat16 are not supported; convert the model to f32"
            .to_owned()),
        8 => Err("strings are not supported; tokenise outside the model".to_owned()),
        other => {
            Err(format!("data type {other} is not supported; convert it to f32, i64, i32 or bool"))
        }
    }
}

/// Dimensions of an ONNX tensor; a dimension of zero has no canonical form.
///
/// # Errors
/// Says which limit was broken.
pub fn shape(dims: &[i64]) -> Result<Shape, String> {
    let dimensions: Option<Vec<u64>> = dims.iter().map(|size| u64::try_from(*size).ok()).collect();
    dimensions.as_deref().and_then(Shape::new).ok_or_else(|| {
        format!("shape {dims:?} is outside the limits (rank up to 8, no zero, up to 2^31 elements)")
    })
}

fn external(tensor: &TensorProto, folder: Option<&Path>) -> Result<Vec<u8>, String> {
    let entry = |key: &str| {
        tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    };
    let location = entry("location").ok_or("external data without a location")?;
    let folder = folder.ok_or("external data needs the model's folder; load it from a file")?;
    let relative = PathBuf::from(location);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(format!("external data at {location}: must lie beside the model"));
    }
    let number = |key: &str| match entry(key) {
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("{key} is not a number")),
        None => Ok(None),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let named = folder.join(relative);
    let fail = |error: std::io::Error| format!("{}: cannot be read: {error}", named.display());
    // Links are followed first: a model must not read what lies outside its folder.
    let path = named.canonicalize().map_err(fail)?;
    let inside = path.starts_with(folder.canonicalize().map_err(fail)?);
    if !inside || !path.is_file() {
        return Err(format!(
            "external data at {location}: is no file beside the model, or a link to somewhere \
             else; copy the data into the model's folder"
        ));
    }
    let mut file = std::fs::File::open(&path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    let length = length.unwrap_or(size.saturating_sub(offset));
    let end = offset.checked_add(length).filter(|end| *end <= size);
    if end.is_none() || length > TENSOR_BYTES_MAX {
        return Err(format!("{}: shorter than the tensor, or over the limit", path.display()));
    }
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset)).map_err(fail)?;
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// An ONNX tensor as an engine tensor.
///
/// # Errors
/// Says what is wrong with the tensor and what would help.
pub fn tensor(proto: &TensorProto, folder: Option<&Path>) -> Result<Tensor, String> {
    let element = element_type(proto.data_type)?;
    let shape = shape(&proto.dims)?;
    let count = shape.count() as usize;
    let raw = if proto.data_location == 1 { &external(proto, folder)? } else { &proto.raw_data };
    let wrong = || format!("has not the {count} elements that its shape says; export it again");
    macro_rules! raw_as {
        ($kind:ty) => {{
            const WIDTH: usize = size_of::<$kind>();
            if raw.len() != count * WIDTH {
                return Err(wrong());
            }
            let read =
                |bytes: &[u8]| bytes.try_into().map_or(Default::default(), <$kind>::from_le_bytes);
            raw.chunks_exact(WIDTH).map(read).collect::<Vec<$kind>>()
        }};
    }
    let has_raw = !raw.is_empty();
    let tensor = match element {
        ElementType::F32 if proto.data_type == HALF => {
            // Where there are no raw bytes, each stands in the lower half of a 32-bit integer.
            let narrow = || proto.int32_data.iter().map(|bits| *bits as u16).collect();
            let halves: Vec<u16> = if has_raw { raw_as!(u16) } else { narrow() };
            let wide = halves.into_iter().map(|half| f32::from_bits(widen_f16(half)));
            Tensor::given_f32(&shape, wide.collect())
        }
        ElementType::F32 => {
            Tensor::given_f32(&shape, if has_raw { raw_as!(f32) } else { proto.float_data.clone() })
        }
        ElementType::I64 => {
            Tensor::from_i64(&shape, if has_raw { raw_as!(i64) } else { proto.int64_data.clone() })
        }
        ElementType::I32 => {
            Tensor::from_i32(&shape, if has_raw { raw_as!(i32) } else { proto.int32_data.clone() })
        }
        ElementType::U32 => {
            let wide = || proto.uint64_data.iter().map(|value| *value as i64).collect();
            let narrow = |value: u32| i64::from(value);
            let integers: Vec<i64> =
                if has_raw { raw_as!(u32).into_iter().map(narrow).collect() } else { wide() };
            Tensor::from_integers(element, &shape, &integers)
        }
        ElementType::I8 | ElementType::U8 | ElementType::I16 | ElementType::U16 => {
            let wide = || proto.int32_data.iter().map(|value| i64::from(*value)).collect();
            let read = |bits: u64| element.to_integer(bits);
            let integers: Vec<i64> = match (has_raw, element.bytes()) {
                (false, _) => wide(),
                (true, 1) => raw_as!(u8).into_iter().map(|bits| read(bits.into())).collect(),
                (true, _) => raw_as!(u16).into_iter().map(|bits| read(bits.into())).collect(),
            };
            Tensor::from_integers(element, &shape, &integers)
        }
        // `element_type` gives neither.
        ElementType::Bf16 | ElementType::F16 => None,
        ElementType::Bool => {
            if has_raw {
                Tensor::given_truths(&shape, &raw_as!(u8))
            } else {
                Tensor::from_bool(
                    &shape,
                    proto.int32_data.iter().map(|value| *value != 0).collect(),
                )
            }
        }
    };
    tensor.ok_or_else(wrong)
}
