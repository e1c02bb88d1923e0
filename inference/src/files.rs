//! Tensors in files: .npy, .npz, .json and ONNX .pb in, .npz out.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use prost::Message as _;
use protocol::numerics::{narrow_bf16, narrow_f16};
use protocol::tensor::{ElementType, Shape, TensorType};
use serde_json::Value as Json;

use crate::npy;
use crate::onnx::proto::TensorProto;
use crate::onnx::values;
use crate::tensor::Tensor;

/// Most bytes of one tensor file.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Most entries of one archive.
const ENTRIES_MAX: usize = 1024;

/// Why a tensor file cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file system said no.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What it said.
        reason: String,
    },
    /// The content is not what the ending says, or of an unsupported type.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong and what would help.
        reason: String,
    },
}

/// Reads a file, refusing what is over the limit before taking memory.
///
/// # Errors
/// When it cannot be read or is too large.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let fail = |reason: String| FileError::Io { path: path.display().to_string(), reason };
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| fail(error.to_string()))?;
    if bytes.len() as u64 > limit {
        Err(fail(format!("larger than the limit of {limit} bytes")))
    } else {
        Ok(bytes)
    }
}

/// Reads the tensors of a file. `inputs` are the names and types that the model wants; a file of
/// one unnamed tensor goes to the only input.
///
/// # Errors
/// When the file cannot be read, or holds something else than tensors.
pub fn read_tensors(
    path: &Path,
    inputs: &[(String, TensorType)],
) -> Result<HashMap<String, Tensor>, FileError> {
    let bytes = read_limited(path, FILE_BYTES_MAX)?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
    parse_tensors(ending, bytes, inputs)
        .map_err(|reason| FileError::Content { path: path.display().to_string(), reason })
}

/// Reads the tensors of a file's content, whose ending says its format.
///
/// # Errors
/// Says what is wrong and what would help.
pub fn parse_tensors(
    ending: &str,
    bytes: Vec<u8>,
    inputs: &[(String, TensorType)],
) -> Result<HashMap<String, Tensor>, String> {
    let only = || match inputs {
        [(name, _)] => Ok(name.clone()),
        _ => {
            Err("the tensor has no name and the model several inputs; use .npz or .json".to_owned())
        }
    };
    match ending {
        "npy" => npy::read(&bytes).and_then(|tensor| Ok(HashMap::from([(only()?, tensor)]))),
        "npz" => read_npz(bytes),
        "json" => read_json(&bytes, inputs),
        "pb" => read_pb(&bytes, inputs, only),
        _ => Err("the ending says no known format; use .npy, .npz, .json or .pb".to_owned()),
    }
}

fn read_npz(bytes: Vec<u8>) -> Result<HashMap<String, Tensor>, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| format!("not an .npz file: {error}"))?;
    if archive.len() > ENTRIES_MAX {
        return Err(format!("more than {ENTRIES_MAX} entries"));
    }
    let mut tensors = HashMap::new();
    let mut left = FILE_BYTES_MAX;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| format!("damaged: {error}"))?;
        let name = entry
            .name()
            .map_err(|error| format!("damaged: {error}"))?
            .trim_end_matches(".npy")
            .to_owned();
        let mut content = Vec::new();
        let read = entry.take(left + 1).read_to_end(&mut content);
        read.map_err(|error| format!("{name}: damaged: {error}"))?;
        left = left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| format!("{name}: all entries together are over the limit"))?;
        let tensor = npy::read(&content).map_err(|reason| format!("{name}: {reason}"))?;
        // Other programs may read the other one.
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(format!("two entries are called {name}; write the file again with one"));
        }
    }
    Ok(tensors)
}

fn read_json(
    bytes: &[u8],
    inputs: &[(String, TensorType)],
) -> Result<HashMap<String, Tensor>, String> {
    let json: Json = serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
    let mut tensors = HashMap::new();
    if let Json::Object(map) = &json
        && let Some(name) = map.keys().find(|name| !inputs.iter().any(|(known, _)| known == *name))
    {
        let names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!("the model has no input {name}; it has {}", names.join(", ")));
    }
    for (name, kind) in inputs {
        let value = match (&json, inputs.len()) {
            (Json::Object(map), _) => map.get(name),
            (other, 1) => Some(other),
            _ => None,
        };
        let Some(value) = value else { continue };
        let mut bits = Vec::new();
        let mut dimensions = Vec::new();
        flatten(value, 0, kind.element, &mut dimensions, &mut bits)
            .map_err(|reason| format!("{name}: {reason}"))?;
        let shape = Shape::new(&dimensions)
            .filter(|shape| shape.count() == bits.len() as u64)
            .ok_or_else(|| format!("{name}: the lists are not of equal length, or empty"))?;
        let kind = TensorType { element: kind.element, shape };
        let tensor = match kind.element {
            ElementType::F32 => {
                let floats = bits.iter().map(|bits| f32::from_bits(*bits as u32)).collect();
                Tensor::given_f32(&kind.shape, floats)
            }
            _ => Tensor::from_bits(&kind, &bits),
        };
        if let Some(tensor) = tensor {
            tensors.insert(name.clone(), tensor);
        }
    }
    Ok(tensors)
}

fn flatten(
    value: &Json,
    depth: usize,
    element: ElementType,
    dimensions: &mut Vec<u64>,
    bits: &mut Vec<u64>,
) -> Result<(), String> {
    if let Json::Array(items) = value {
        match dimensions.get(depth) {
            None if bits.is_empty() => dimensions.push(items.len() as u64),
            Some(size) if *size == items.len() as u64 => {}
            _ => return Err("the lists are not of equal length".to_owned()),
        }
        return items
            .iter()
            .try_for_each(|item| flatten(item, depth + 1, element, dimensions, bits));
    }
    if depth != dimensions.len() {
        return Err("numbers stand at different depths".to_owned());
    }
    let wrong = || format!("{value} is not a {}", element.name());
    bits.push(match element {
        ElementType::F32 => {
            let number = value.as_f64().ok_or_else(wrong)? as f32;
            if !number.is_finite() {
                return Err(format!(
                    "{value} does not fit an f32; give infinities and NaN as .npy or .npz"
                ));
            }
            u64::from(number.to_bits())
        }
        ElementType::Bf16 | ElementType::F16 => {
            // By way of binary32, as a cast.
            let number = value.as_f64().ok_or_else(wrong)? as f32;
            let narrow = if element == ElementType::F16 { narrow_f16 } else { narrow_bf16 };
            u64::from(narrow(number.to_bits()))
        }
        ElementType::Bool => u64::from(value.as_bool().ok_or_else(wrong)?),
        _ => {
            let stored = value.as_i64().and_then(|number| element.from_integer(number));
            stored.ok_or_else(wrong)?
        }
    });
    Ok(())
}

fn read_pb(
    bytes: &[u8],
    inputs: &[(String, TensorType)],
    only: impl Fn() -> Result<String, String>,
) -> Result<HashMap<String, Tensor>, String> {
    let proto =
        TensorProto::decode(bytes).map_err(|error| format!("not an ONNX tensor: {error}"))?;
    let name = match inputs.iter().find(|(name, _)| *name == proto.name) {
        Some((name, _)) => name.clone(),
        None => only()?,
    };
    Ok(HashMap::from([(name, values::tensor(&proto, None)?)]))
}

/// Writes tensors as an .npz file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npz(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), FileError> {
    let fail = |reason: String| FileError::Io { path: path.display().to_string(), reason };
    let file = File::create(path).map_err(|error| fail(error.to_string()))?;
    npz_into(file, tensors).map_err(fail)
}

/// Tensors as the bytes of an .npz file.
///
/// # Errors
/// When they do not fit the format.
pub fn npz_bytes(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>, String> {
    let mut bytes = Cursor::new(Vec::new());
    npz_into(&mut bytes, tensors)?;
    Ok(bytes.into_inner())
}

fn npz_into(to: impl Write + Seek, tensors: &BTreeMap<String, Tensor>) -> Result<(), String> {
    let mut archive = zip::ZipWriter::new(to);
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    for (name, tensor) in tensors {
        let started = archive.start_file(format!("{name}.npy"), options);
        started.map_err(|error| error.to_string())?;
        archive.write_all(&npy::write(tensor)).map_err(|error| error.to_string())?;
    }
    archive.finish().map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(dimensions: &[u64]) -> TensorType {
        TensorType { element: ElementType::F32, shape: Shape::new(dimensions).unwrap() }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensors.npz");
        let shape = Shape::new(&[2, 3]).unwrap();
        let tensors = BTreeMap::from([
            ("f".to_owned(), Tensor::from_f32(&shape, vec![0.5; 6]).unwrap()),
            ("i".to_owned(), Tensor::from_i64(&shape, vec![-7; 6]).unwrap()),
            ("b".to_owned(), Tensor::from_bool(&shape, vec![true; 6]).unwrap()),
        ]);
        write_npz(&path, &tensors).unwrap();
        let read = read_tensors(&path, &[]).unwrap();
        assert!(tensors.iter().all(|(name, tensor)| read.get(name) == Some(tensor)));
    }

    #[test]
    fn an_archive_with_two_entries_of_one_name_is_refused() {
        let one = Tensor::from_f32(&Shape::new(&[1]).unwrap(), vec![1.0]).unwrap();
        // With the ending and without it: .npz has it, and readers leave it out.
        let tensors = [("a", &one), ("a.npy", &one)];
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor.clone()));
        let error = read_npz(npz_bytes(&BTreeMap::from(tensors)).unwrap()).unwrap_err();
        assert!(error.contains("two entries are called a;"), "{error}");
    }

    #[test]
    fn json_is_read_by_the_type_of_the_input() {
        let inputs = [("x".to_owned(), kind(&[2, 2]))];
        let read = read_json(b"{\"x\": [[1, 2.5], [3, 4]]}", &inputs).unwrap();
        assert_eq!(read["x"].as_f32(), [1.0, 2.5, 3.0, 4.0]);
        assert_eq!(read_json(b"[[1, 2], [3, 4]]", &inputs).unwrap()["x"].as_f32()[3], 4.0);
        for bad in
            ["{\"x\": [[1, 2], [3]]}", "{\"x\": [1, [2]]}", "{\"x\": [\"a\"]}", "{", "[1e60]"]
        {
            assert!(read_json(bad.as_bytes(), &inputs).is_err(), "{bad}");
        }
    }

    #[test]
    fn damaged_files_are_errors_that_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [("x".to_owned(), kind(&[2, 2]))];
        for (name, content) in [
            ("a.npy", &b"\x93NUMPY\x01\x00"[..]),
            ("b.npz", b"PK\x03\x04nonsense"),
            ("c.json", b"{"),
            ("d.pb", b"\xff\xff"),
            ("e.txt", b""),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let error = read_tensors(&path, &inputs).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
