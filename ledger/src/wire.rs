//! The wire and disk encoding: a versioned envelope around serde + bincode.
//!
//! The only place that knows bincode. Replacing it touches this file.

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of everything written with this module.
const VERSION: u16 = 1;
/// Most bytes of one envelope. Larger than the largest action with its surroundings.
pub const ENVELOPE_BYTES_MAX: usize = 4 << 20;

/// Why bytes are not an envelope of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than the limit.
    #[error("{bytes} bytes is over the limit of {ENVELOPE_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// Another version.
    #[error("version {found} is not {VERSION}; use the program that wrote it, or a newer one")]
    Version {
        /// Version found.
        found: u16,
    },
    /// Truncated, trailing or otherwise not what was written.
    #[error("the bytes are damaged: {reason}")]
    Damaged {
        /// What the decoder said.
        reason: String,
    },
}

/// Fixed-width big-endian integers, and a limit before any memory is taken.
const fn configuration() -> Configuration<BigEndian, Fixint, Limit<ENVELOPE_BYTES_MAX>> {
    bincode::config::standard()
        .with_big_endian()
        .with_fixed_int_encoding()
        .with_limit::<ENVELOPE_BYTES_MAX>()
}

/// Encodes a value after its version.
///
/// # Errors
/// When the value is over the limit.
///
/// ```
/// let bytes = ledger::wire::encode(&(7u64, "seven".to_owned())).unwrap();
/// assert_eq!(ledger::wire::decode::<(u64, String)>(&bytes).unwrap().0, 7);
/// assert!(ledger::wire::decode::<u64>(&bytes).is_err());
/// ```
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = VERSION.to_be_bytes().to_vec();
    let body = bincode::serde::encode_to_vec(value, configuration())
        .map_err(|error| WireError::Damaged { reason: error.to_string() })?;
    bytes.extend(body);
    match bytes.len() {
        length if length > ENVELOPE_BYTES_MAX => Err(WireError::TooLong { bytes: length }),
        _ => Ok(bytes),
    }
}

/// Decodes a value that fills `bytes` to the last byte.
///
/// # Errors
/// When the bytes are too long, of another version, truncated, or something follows.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err(WireError::TooLong { bytes: bytes.len() });
    }
    let damaged = |reason: String| WireError::Damaged { reason };
    let (version, body) =
        bytes.split_first_chunk::<2>().ok_or_else(|| damaged("it is empty".to_owned()))?;
    let found = u16::from_be_bytes(*version);
    if found != VERSION {
        return Err(WireError::Version { found });
    }
    let (value, used) = bincode::serde::decode_from_slice(body, configuration())
        .map_err(|error| damaged(error.to_string()))?;
    match body.len() - used {
        0 => Ok(value),
        extra => Err(damaged(format!("{extra} bytes follow"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(at: u64, body: Vec<u8>) {
            let bytes = encode(&(at, body.clone())).unwrap();
            prop_assert_eq!(decode::<(u64, Vec<u8>)>(&bytes).unwrap(), (at, body));
        }

        #[test]
        fn foreign_bytes_are_an_error_or_exactly_what_is_encoded(bytes: Vec<u8>, at: u64, cut: usize) {
            let good = encode(&(at, bytes.clone())).unwrap();
            let mixed = [&good[..cut % good.len()], &bytes[..]].concat();
            for foreign in [bytes, mixed] {
                if let Ok(decoded) = decode::<(u64, Vec<u8>)>(&foreign) {
                    prop_assert_eq!(encode(&decoded).unwrap(), foreign);
                }
            }
        }
    }

    #[test]
    fn truncated_trailing_other_version_and_bombs_are_refused() {
        let good = encode(&(7u64, vec![1u8, 2, 3])).unwrap();
        type Pair = (u64, Vec<u8>);
        assert!(decode::<Pair>(&good[..good.len() - 1]).is_err());
        assert!(decode::<Pair>(&[&good[..], &[0]].concat()).is_err());
        let mut other = good.clone();
        other[1] = 9;
        assert_eq!(decode::<Pair>(&other), Err(WireError::Version { found: 9 }));
        // A length of 2^63: refused by the limit before any memory is taken.
        let mut bomb = good[..10].to_vec();
        bomb.extend(i64::MAX.to_be_bytes());
        assert!(decode::<Pair>(&bomb).is_err());
    }
}
