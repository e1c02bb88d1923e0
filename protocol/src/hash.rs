//! Keccak-256 with domain separation: every structure hashes under a leading byte of its own.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use sha3::Digest as _;
use sha3::Keccak256;

use crate::encoding::{Canonical, DecodeError, Reader};

/// A Keccak-256 hash.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// The order of the bytes. A ledger's maps compare ids more often than anything else, and nearly all of them differ
/// in the first eight bytes.
impl Ord for Digest {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |digest: &Self| digest.0.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        first(self).cmp(&first(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Digest {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Canonical for Digest {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

/// The leading byte of everything that is hashed. The values are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// A leaf of any tree.
    Leaf = 0x00,
    /// An inner node of any tree.
    Node = 0x01,
    /// A tensor: element type, shape and leaf tree.
    Tensor = 0x02,
    /// The live values at a layer boundary.
    State = 0x03,
    /// The list of states of one run.
    Trace = 0x04,
    /// The operator outputs inside one layer.
    Subtrace = 0x05,
    /// The operators of a model.
    Graph = 0x06,
    /// A model.
    Model = 0x07,
    /// A job.
    Job = 0x08,
    /// A claim.
    Claim = 0x09,
    /// The states after each segment of one element.
    Accumulators = 0x0a,
    /// The layer table of a model.
    Layers = 0x0b,
    /// The weights of a model.
    Weights = 0x0c,
    /// A challenge.
    Challenge = 0x0d,
    /// The leaf that stands where a tree has none.
    Empty = 0x0e,
    /// A ledger's genesis.
    Genesis = 0x0f,
    /// A sealed claim.
    Seal = 0x10,
    /// A verifier's word that it ran the model too.
    Attestation = 0x11,
    /// The list of the traces of a run's iterations.
    Sequence = 0x12,
    /// Id of a sealed claim.
    Sealed = 0x13,
    /// An ask, as a challenge keeps it.
    Ask = 0x14,
    /// The inputs of a batch: the list of its entries' state roots.
    Batch = 0x15,
    /// All that a ledger keeps.
    Snapshot = 0x16,
}

/// Keccak-256 of `bytes`, without any tag. For signatures, which have their own separation.
///
/// ```
/// use protocol::hash::{keccak, parse_digest};
///
/// let empty = keccak(b"");
/// assert!(empty.to_string().starts_with("0xc5d24601"));
/// assert_eq!(parse_digest(&empty.to_string()), Some(empty));
/// ```
pub fn keccak(bytes: &[u8]) -> Digest {
    Digest(Keccak256::digest(bytes).into())
}

/// How things are committed to: the hash under every root.
///
/// The protocol's own is [`Keccak`]. The simulation also settles worlds under a cheap one, so that
/// the same referee, settlement and parties play millions of disputes; nothing else may.
pub trait Commitment:
    Copy + Default + fmt::Debug + Eq + Ord + core::hash::Hash + Send + Sync + 'static
{
    /// Name, for reports.
    const NAME: &'static str;

    /// Hash of `parts`, one after the other, under `tag`.
    fn tagged(tag: Tag, parts: &[&[u8]]) -> Digest;

    /// Hash of a value's canonical encoding under `tag`.
    fn tagged_value<T: Canonical>(tag: Tag, value: &T) -> Digest {
        Self::tagged(tag, &[&value.to_canonical()])
    }

    /// Hash of a leaf.
    fn leaf(bytes: &[u8]) -> Digest {
        Self::tagged(Tag::Leaf, &[bytes])
    }

    /// Hash of an inner node.
    fn node(left: &Digest, right: &Digest) -> Digest {
        Self::tagged(Tag::Node, &[&left.0, &right.0])
    }
}

/// The protocol's commitment: Keccak-256, so that a chain can check our proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keccak;

impl Commitment for Keccak {
    const NAME: &'static str = "keccak-256";

    fn tagged(tag: Tag, parts: &[&[u8]]) -> Digest {
        let mut hasher = Keccak256::new();
        hasher.update([tag as u8]);
        for part in parts {
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }
}

/// [`Commitment::tagged`] of [`Keccak`].
pub fn tagged(tag: Tag, parts: &[&[u8]]) -> Digest {
    Keccak::tagged(tag, parts)
}

/// [`Commitment::tagged_value`] of [`Keccak`].
pub fn tagged_value<T: Canonical>(tag: Tag, value: &T) -> Digest {
    Keccak::tagged_value(tag, value)
}

/// [`Commitment::leaf`] of [`Keccak`].
pub fn leaf(bytes: &[u8]) -> Digest {
    Keccak::leaf(bytes)
}

/// [`Commitment::node`] of [`Keccak`].
pub fn node(left: &Digest, right: &Digest) -> Digest {
    Keccak::node(left, right)
}

/// Parses `0x` and 64 hexadecimal digits.
pub fn parse_digest(text: &str) -> Option<Digest> {
    let bytes: Vec<u8> = parse_hex(text)?;
    Some(Digest(bytes.try_into().ok()?))
}

/// Parses `0x` and an even number of hexadecimal digits.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| {
            let high = char::from(*pair.first()?).to_digit(16)?;
            let low = char::from(*pair.get(1)?).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        })
        .collect()
}

/// `0x` and the bytes in lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    let mut text = String::from("0x");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_in_the_order_of_their_bytes() {
        let values = [0, 1, 0x7F, 0x80, 0xFF];
        for (place, first) in (0..32).flat_map(|place| values.map(|first| (place, first))) {
            for (other_place, second) in (0..32).flat_map(|at| values.map(|second| (at, second))) {
                let (mut one, mut other) = ([0x80; 32], [0x80; 32]);
                (one[place], other[other_place]) = (first, second);
                assert_eq!(Digest(one).cmp(&Digest(other)), one.cmp(&other), "{one:?} {other:?}");
            }
        }
    }
}
