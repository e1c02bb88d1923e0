//! The canonical encoding: fixed width, big-endian, one byte string for each value.
//!
//! Everything that is hashed or signed is encoded here, by hand. A decoder accepts exactly the
//! byte strings that the encoder makes: no trailing bytes, no second form, and no allocation
//! larger than the input could justify.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Why a byte string is not a canonical encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended inside a value.
    #[error("the encoding ends {missing} bytes too early; send the whole message")]
    Truncated {
        /// Bytes that were still needed.
        missing: usize,
    },
    /// Bytes are left after the value.
    #[error("{extra} bytes follow the value; a canonical encoding has none")]
    Trailing {
        /// Number of bytes left.
        extra: usize,
    },
    /// A tag names no variant of the type.
    #[error("{tag} is not a known tag of {kind}")]
    UnknownTag {
        /// The type that was decoded.
        kind: &'static str,
        /// The byte found.
        tag: u8,
    },
    /// A count or a length is over its limit.
    #[error("a {kind} of {length} items is over the limit of {limit}")]
    TooLong {
        /// What was counted.
        kind: &'static str,
        /// The length found.
        length: u64,
        /// The limit in force.
        limit: u64,
    },
    /// A value has a second spelling that is not the canonical one.
    #[error("{kind} is not in canonical form")]
    NotCanonical {
        /// The type that was decoded.
        kind: &'static str,
    },
}

/// Items that any list may hold; tighter limits stand where the list is used.
pub const LIST_ITEMS_MAX: usize = 1 << 20;

/// Reads canonical values from a byte slice.
///
/// ```
/// use protocol::encoding::{Canonical as _, Reader};
///
/// let mut reader = Reader::new(&[0, 7, 9]);
/// assert_eq!(u16::decode(&mut reader), Ok(7));
/// assert_eq!(reader.remaining(), 1);
/// // What follows after a whole value is an error.
/// assert!(u16::from_canonical(&[0, 7, 9]).is_err());
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        match (self.rest.get(..count), self.rest.get(count..)) {
            (Some(head), Some(tail)) => {
                self.rest = tail;
                Ok(head)
            }
            _ => Err(DecodeError::Truncated { missing: count.saturating_sub(self.rest.len()) }),
        }
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// Reads a list length and checks it against the limit and the bytes that are left: an item takes one at
    /// least.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] over the limit, [`DecodeError::Truncated`] when fewer bytes are left.
    pub fn length(&mut self, kind: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let length = u32::decode(self)? as usize;
        if length > limit {
            return Err(DecodeError::TooLong { kind, length: length as u64, limit: limit as u64 });
        }
        if length > self.rest.len() {
            return Err(DecodeError::Truncated { missing: length - self.rest.len() });
        }
        Ok(length)
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }
}

/// A value with exactly one byte string.
pub trait Canonical: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value.
    ///
    /// # Errors
    /// When the bytes are not what [`Canonical::encode`] would have written.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The whole encoding.
    fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Decodes a value that fills `bytes` to the last byte.
    ///
    /// # Errors
    /// When the bytes are not canonical or something is left over.
    fn from_canonical(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        match reader.remaining() {
            0 => Ok(value),
            extra => Err(DecodeError::Trailing { extra }),
        }
    }
}

macro_rules! canonical_integer {
    ($($kind:ty),*) => {$(
        impl Canonical for $kind {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(reader.array()?))
            }
        }
    )*};
}
canonical_integer!(u8, u16, u32, u64, u128, i64);

impl Canonical for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::UnknownTag { kind: "bool", tag }),
        }
    }
}

impl<const N: usize> Canonical for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::decode(reader)? { Some(T::decode(reader)?) } else { None })
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        // A list of over 2^32 items cannot exist under LIST_ITEMS_MAX; saturating keeps this total.
        u32::try_from(self.len()).unwrap_or(u32::MAX).encode(out);
        for item in self {
            item.encode(out);
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = reader.length("list", LIST_ITEMS_MAX)?;
        // The length is at most the number of bytes left, and memory grows only with items that are there.
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(T::decode(reader)?);
        }
        Ok(items)
    }
}

/// A list of keys with their values, keys ascending strictly, in the order of their encodings.
///
/// Its length has no limit but the bytes that are left: what a ledger came to hold can be read again, however much
/// it is.
impl<K: Canonical + Ord, V: Canonical> Canonical for BTreeMap<K, V> {
    fn encode(&self, out: &mut Vec<u8>) {
        // No memory holds 2^32 entries of what is kept here; saturating keeps this total.
        u32::try_from(self.len()).unwrap_or(u32::MAX).encode(out);
        for (key, value) in self {
            key.encode(out);
            value.encode(out);
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = reader.length("map", u32::MAX as usize)?;
        // As of a list: memory grows only with entries that are there.
        let mut entries = Self::new();
        for _ in 0..length {
            let (key, value) = <(K, V)>::decode(reader)?;
            if entries.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::NotCanonical { kind: "order of a map's keys" });
            }
            entries.insert(key, value);
        }
        Ok(entries)
    }
}

impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::decode(reader)?, B::decode(reader)?))
    }
}

impl Canonical for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().to_vec().encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        String::from_utf8(Vec::decode(reader)?)
            .map_err(|_| DecodeError::NotCanonical { kind: "UTF-8 text" })
    }
}

/// Derives [`Canonical`] for a struct: its fields in the order given, nothing between them.
macro_rules! canonical_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::encoding::Canonical for $name {
            fn encode(&self, _out: &mut alloc::vec::Vec<u8>) {
                $( $crate::encoding::Canonical::encode(&self.$field, _out); )*
            }
            fn decode(
                _reader: &mut $crate::encoding::Reader<'_>,
            ) -> Result<Self, $crate::encoding::DecodeError> {
                Ok(Self { $( $field: $crate::encoding::Canonical::decode(_reader)? ),* })
            }
        }
    };
}
pub(crate) use canonical_struct;

/// Derives [`Canonical`] for an enum: one tag byte, then the fields of the variant.
macro_rules! canonical_enum {
    ($name:ident { $($tag:literal => $variant:ident { $($field:ident),* }),* $(,)? }) => {
        impl $crate::encoding::Canonical for $name {
            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                match self {
                    $( Self::$variant { $($field),* } => {
                        out.push($tag);
                        $( $crate::encoding::Canonical::encode($field, out); )*
                    } )*
                }
            }
            fn decode(
                reader: &mut $crate::encoding::Reader<'_>,
            ) -> Result<Self, $crate::encoding::DecodeError> {
                match <u8 as $crate::encoding::Canonical>::decode(reader)? {
                    $( $tag => Ok(Self::$variant {
                        $( $field: $crate::encoding::Canonical::decode(reader)? ),*
                    }), )*
                    tag => Err($crate::encoding::DecodeError::UnknownTag {
                        kind: stringify!($name),
                        tag,
                    }),
                }
            }
        }
    };
}
pub(crate) use canonical_enum;
