//! Heads of a log, signed by its server: who shows two logs under one key can be convicted of it.

use protocol::hash::{Digest, keccak, parse_digest, parse_hex, to_hex};
use protocol::transaction::{Address, Domain, Key, SignatureError};
use serde_json::{Value, json};

/// A place in a ledger's log, and when its server said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Accepted transactions.
    pub height: u64,
    /// Hash that chains the genesis and all of them.
    pub chain: Digest,
    /// The ledger's time.
    pub at_ms: u64,
}

/// Its type for EIP-712.
const HEAD_TYPE: &[u8] = b"Head(uint64 height,bytes32 chain,uint64 time)";

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

impl Head {
    /// What its signature covers: the head by its type, in the domain of the ledger.
    fn digest(&self, domain: &Domain) -> Digest {
        let Self { height, chain, at_ms } = self;
        let parts = [keccak(HEAD_TYPE).0, word(*height), chain.0, word(*at_ms)];
        let message = keccak(&parts.concat());
        keccak(&[&[0x19, 0x01][..], &domain.separator().0, &message.0].concat())
    }
}

/// A head with its server's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// What was signed.
    pub head: Head,
    /// By whom.
    pub signer: Address,
    /// r, s and the recovery id.
    pub signature: [u8; 65],
}

impl SignedHead {
    /// Signs a head of the ledger of a domain.
    pub fn new(domain: &Domain, head: Head, key: &Key) -> Self {
        let digest = head.digest(domain);
        Self { head, signer: key.address(), signature: key.sign_digest(&digest) }
    }

    /// Checks that the signer signed it, for the ledger of a domain.
    ///
    /// # Errors
    /// Which way the signature is wrong.
    pub fn verify(&self, domain: &Domain) -> Result<(), SignatureError> {
        Domain::verify_digest(&self.head.digest(domain), self.signer, &self.signature)
    }

    /// Whether the two prove that their signer shows two logs: one height, two chains, one key.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.signer == other.signer
            && self.head.height == other.head.height
            && self.head.chain != other.head.chain
    }

    /// As a document.
    pub fn to_json(&self) -> Value {
        json!({
            "height": self.head.height, "chain": self.head.chain.to_string(),
            "at_ms": self.head.at_ms, "signer": self.signer.to_string(),
            "signature": to_hex(&self.signature),
        })
    }

    /// Of a document; `None` when it is no signed head. Whether it was signed, [`SignedHead::verify`] says.
    ///
    /// ```
    /// use ledger::heads::{Head, SignedHead};
    /// use protocol::{hash::Digest, transaction::{Domain, Key}};
    ///
    /// let domain = Domain { chain_id: 1, genesis: Digest::default() };
    /// let head = Head { height: 3, chain: Digest([7; 32]), at_ms: 9 };
    /// let signed = SignedHead::new(&domain, head, &Key::from_secret(&[1; 32]).unwrap());
    /// let read = SignedHead::of_json(&signed.to_json()).unwrap();
    /// assert!(read == signed && read.verify(&domain).is_ok());
    /// // The same for another ledger is no signature.
    /// assert!(read.verify(&Domain { chain_id: 2, ..domain }).is_err());
    /// ```
    pub fn of_json(document: &Value) -> Option<Self> {
        let text = |name: &str| document.get(name)?.as_str();
        let number = |name: &str| document.get(name)?.as_u64();
        let bytes = |name: &str| parse_hex(text(name)?);
        let head = Head {
            height: number("height")?,
            chain: parse_digest(text("chain")?)?,
            at_ms: number("at_ms")?,
        };
        let signer = Address(bytes("signer")?.try_into().ok()?);
        Some(Self { head, signer, signature: bytes("signature")?.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_chains_of_one_height_by_one_key_contradict_each_other() {
        let domain = Domain { chain_id: 1, genesis: Digest::default() };
        let key = |number| Key::from_secret(&[number; 32]).unwrap();
        let signed = |height, chain, at_ms, by| {
            SignedHead::new(&domain, Head { height, chain: Digest([chain; 32]), at_ms }, &key(by))
        };
        let one = signed(5, 1, 10, 1);
        for (other, contradicts) in [
            (signed(5, 2, 10, 1), true),
            (signed(5, 2, 99, 1), true),
            (signed(5, 1, 99, 1), false),
            (signed(6, 2, 10, 1), false),
            (signed(5, 2, 10, 2), false),
        ] {
            assert_eq!(one.contradicts(&other), contradicts, "{other:?}");
            assert_eq!(other.contradicts(&one), contradicts);
            assert!(other.verify(&domain).is_ok());
        }
        let moved = SignedHead { head: Head { height: 6, ..one.head }, ..one };
        assert!(moved.verify(&domain).is_err());
        let stranger = SignedHead { signer: key(2).address(), ..one };
        assert_eq!(stranger.verify(&domain), Err(SignatureError::OtherKey));
        for name in ["height", "chain", "at_ms", "signer", "signature"] {
            let mut document = one.to_json();
            document[name] = "0x12".into();
            assert_eq!(SignedHead::of_json(&document), None, "{name}");
        }
    }
}
