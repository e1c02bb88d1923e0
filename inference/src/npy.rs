//! The .npy format: a header of one line, then the elements.
//!
//! Our own, because the reader we tried first (npyz 0.9.1) did not return on a hostile header.
//! Source of the format: NumPy Enhancement Proposal 1.

use protocol::numerics::widen_f16;
use protocol::tensor::{ElementType, Shape, TensorType};

use crate::tensor::Tensor;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Most bytes of a header.
const HEADER_BYTES_MAX: usize = 1 << 16;

/// What a header says.
struct Header {
    kind: String,
    fortran: bool,
    shape: Vec<u64>,
}

/// Reads the one dictionary that NumPy writes: `descr`, `fortran_order` and `shape`, in any order.
fn parse_header(text: &str) -> Option<Header> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (mut kind, mut fortran, mut shape) = (None, None, None);
    let mut rest = body.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.strip_prefix('\'')?.split_once('\'')?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" => {
                let (found, after) = value.strip_prefix('\'')?.split_once('\'')?;
                kind = Some(found.to_owned());
                after
            }
            "fortran_order" => {
                let truth = value.strip_prefix("True").map(|after| (true, after));
                let (found, after) =
                    truth.or_else(|| value.strip_prefix("False").map(|after| (false, after)))?;
                fortran = Some(found);
                after
            }
            "shape" => {
                let (sizes, after) = value.strip_prefix('(')?.split_once(')')?;
                let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
                shape = Some(sizes.map(|size| size.parse().ok()).collect::<Option<Vec<u64>>>()?);
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(Header { kind: kind?, fortran: fortran?, shape: shape? })
}

/// Reads a tensor.
///
/// # Errors
/// Says what is wrong and what would help.
pub(crate) fn read(bytes: &[u8]) -> Result<Tensor, String> {
    let damaged = || "not an .npy file, or damaged".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (length, rest) = match rest {
        [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(damaged()),
    };
    let (header, body) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let text = std::str::from_utf8(header).map_err(|_| damaged())?;
    let header = parse_header(text).filter(|_| length <= HEADER_BYTES_MAX).ok_or_else(damaged)?;
    if header.fortran && header.shape.len() > 1 {
        return Err("Fortran order is not supported; save numpy.ascontiguousarray(x)".to_owned());
    }
    let shape = Shape::new(&header.shape)
        .ok_or("the shape is outside the limits (rank up to 8, no zero, up to 2^31 elements)")?;
    let half = header.kind == "<f2";
    let element = match header.kind.as_str() {
        "<f4" | "<f2" => ElementType::F32,
        "<i4" => ElementType::I32,
        "<i8" => ElementType::I64,
        "|b1" => ElementType::Bool,
        "|i1" => ElementType::I8,
        "|u1" => ElementType::U8,
        "<i2" => ElementType::I16,
        "<u2" => ElementType::U16,
        "<u4" => ElementType::U32,
        other => {
            return Err(format!(
                "element type {other} is not supported; save as float32, float16, bool or integers \
                 of up to 32 bits, or int64"
            ));
        }
    };
    let wrong = || "has not as many elements as its shape says; write it again".to_owned();
    let width = if half { 2 } else { element.bytes() };
    if body.len() as u64 != shape.count() * width as u64 {
        return Err(wrong());
    }
    macro_rules! elements {
        ($kind:ty) => {
            body.chunks_exact(size_of::<$kind>())
                .map(|bytes| bytes.try_into().map_or(Default::default(), <$kind>::from_le_bytes))
                .collect()
        };
    }
    let tensor = match element {
        ElementType::F32 if half => {
            let halves: Vec<u16> = elements!(u16);
            let wide = halves.into_iter().map(|half| f32::from_bits(widen_f16(half)));
            Tensor::given_f32(&shape, wide.collect())
        }
        ElementType::F32 => Tensor::given_f32(&shape, elements!(f32)),
        ElementType::I64 => Tensor::from_i64(&shape, elements!(i64)),
        ElementType::Bool => Tensor::given_truths(&shape, body),
        element => {
            let bits = |bytes: &[u8]| {
                let mut whole = [0; 8];
                whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                u64::from_le_bytes(whole)
            };
            let bits: Vec<u64> = body.chunks_exact(element.bytes()).map(bits).collect();
            Tensor::from_bits(&TensorType { element, shape }, &bits)
        }
    };
    tensor.ok_or_else(wrong)
}

/// A tensor as an .npy file.
pub(crate) fn write(tensor: &Tensor) -> Vec<u8> {
    // NumPy does not have all 16-bit floats: they are written as the binary32 numbers that they are.
    let widened = if tensor.kind().element.is_narrow() { tensor.widened() } else { None };
    let tensor = widened.as_ref().unwrap_or(tensor);
    let element = tensor.kind().element;
    let kind = match element {
        ElementType::F32 => "<f4",
        ElementType::I32 => "<i4",
        ElementType::I64 => "<i8",
        ElementType::Bool => "|b1",
        ElementType::I8 => "|i1",
        ElementType::U8 => "|u1",
        ElementType::I16 => "<i2",
        ElementType::U32 => "<u4",
        ElementType::U16 | ElementType::Bf16 | ElementType::F16 => "<u2",
    };
    let sizes: String =
        tensor.shape().dimensions().iter().map(|size| format!("{size}, ")).collect();
    let sizes = match tensor.shape().rank() {
        1 => sizes.trim_end(),
        _ => sizes.trim_end_matches(", "),
    };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // The elements begin at a multiple of 64 bytes.
    let written = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', written.next_multiple_of(64) - written));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    // At most eight sizes of twenty digits: far below 2^16.
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    // As given: what is read back must have the same root.
    for bits in (0..tensor.shape().count()).filter_map(|index| tensor.given_bits(index)) {
        bytes.extend_from_slice(&bits.to_le_bytes()[..element.bytes()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_rank_is_read_as_it_was_written() {
        for dimensions in [&[][..], &[3], &[2, 3], &[1, 2, 3, 4]] {
            let shape = Shape::new(dimensions).unwrap();
            let count = shape.count() as usize;
            for tensor in [
                Tensor::from_f32(&shape, vec![-1.5; count]).unwrap(),
                Tensor::from_i32(&shape, vec![-7; count]).unwrap(),
                Tensor::from_i64(&shape, vec![i64::MIN; count]).unwrap(),
                Tensor::from_bool(&shape, vec![true; count]).unwrap(),
                Tensor::from_integers(ElementType::I8, &shape, &vec![-7; count]).unwrap(),
                Tensor::from_integers(ElementType::U8, &shape, &vec![255; count]).unwrap(),
                Tensor::from_integers(ElementType::I16, &shape, &vec![-300; count]).unwrap(),
                Tensor::from_integers(ElementType::U16, &shape, &vec![65535; count]).unwrap(),
                Tensor::from_integers(ElementType::U32, &shape, &vec![1 << 31; count]).unwrap(),
            ] {
                let bytes = write(&tensor);
                assert!(read(&bytes).unwrap() == tensor, "{dimensions:?}");
                assert!(read(&bytes[..bytes.len() - 1]).is_err());
                assert!(read(&[&bytes[..], &[0]].concat()).is_err());
            }
        }
    }

    #[test]
    fn hostile_headers_are_errors_at_once() {
        let quotes = "'\"\"\"".repeat(1000);
        for header in [
            "{",
            "{}",
            "{'descr': '<f4'}",
            "{'shape': (1,), 'descr': '<f4', 'x': 1}",
            "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            quotes.as_str(),
        ] {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            assert!(read(&bytes).is_err(), "{header}");
        }
    }
}
