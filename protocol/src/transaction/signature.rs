//! Signed transactions, the domain they are signed for, and keys.

use alloc::vec::Vec;
use core::fmt;

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};

use super::{ACTION_BYTES_MAX, Action, Address};
use crate::encoding::{Canonical, DecodeError, Reader};
use crate::hash::{Digest, keccak};

/// An action with its sender, its place in the sender's sequence, and the signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedTransaction {
    /// Who acts.
    pub sender: Address,
    /// Number of the sender's accepted transactions before this one.
    pub nonce: u64,
    /// Canonical encoding of the [`Action`].
    pub action: Vec<u8>,
    /// r, s and the recovery id (0 or 1).
    pub signature: [u8; 65],
}

impl Canonical for SignedTransaction {
    fn encode(&self, out: &mut Vec<u8>) {
        self.sender.encode(out);
        self.nonce.encode(out);
        self.action.encode(out);
        self.signature.encode(out);
    }
    /// An action has more bytes than other lists have items: the largest answer that can be demanded is among
    /// those it may be.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (sender, nonce) = (Address::decode(reader)?, u64::decode(reader)?);
        let length = reader.length("action", ACTION_BYTES_MAX)?;
        let action = reader.take(length)?.to_vec();
        Ok(Self { sender, nonce, action, signature: Canonical::decode(reader)? })
    }
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a signature, or in its malleable form.
    #[error("the signature is malformed; sign again with a low s and recovery id 0 or 1")]
    Malformed,
    /// Signed by another key.
    #[error("the signature is not the sender's; sign with the sender's key for this ledger")]
    OtherKey,
}

const DOMAIN_TYPE: &[u8] = b"EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)";
const TRANSACTION_TYPE: &[u8] = b"Transaction(address sender,uint64 nonce,bytes action)";
const UPLOAD_TYPE: &[u8] = b"Upload(address sender,bytes32 root,uint64 length)";
const PLACE_TYPE: &[u8] = b"Place(address sender,uint64 untilMs)";

/// The EIP-712 domain of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    /// Chain id of the ledger.
    pub chain_id: u64,
    /// Hash of the ledger's genesis.
    pub genesis: Digest,
}

fn word(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    let start = 32usize.saturating_sub(bytes.len());
    word[start..].copy_from_slice(&bytes[bytes.len().saturating_sub(32)..]);
    word
}

impl Domain {
    /// EIP-712 domain separator.
    pub fn separator(&self) -> Digest {
        let parts = [
            keccak(DOMAIN_TYPE).0,
            keccak(b"Rebut").0,
            keccak(b"2").0,
            word(&self.chain_id.to_be_bytes()),
            self.genesis.0,
        ];
        keccak(&parts.concat())
    }

    /// The digest that a transaction's signature covers.
    pub fn digest(&self, sender: Address, nonce: u64, action: &[u8]) -> Digest {
        let parts = [
            keccak(TRANSACTION_TYPE).0,
            word(&sender.0),
            word(&nonce.to_be_bytes()),
            keccak(action).0,
        ];
        self.enveloped(&parts.concat())
    }

    /// The digest that the signature before a published state covers: where it is looked for, and how
    /// many bytes follow, so that it can be checked before any of them is read. The root binds the rest.
    pub fn upload_digest(&self, sender: Address, root: &Digest, length: u64) -> Digest {
        let parts = [keccak(UPLOAD_TYPE).0, word(&sender.0), root.0, word(&length.to_be_bytes())];
        self.enveloped(&parts.concat())
    }

    /// The digest that the signature of a request for a place covers: whose connections a server keeps when there are
    /// too many, until this time of the ledger.
    pub fn place_digest(&self, sender: Address, until_ms: u64) -> Digest {
        let parts = [keccak(PLACE_TYPE).0, word(&sender.0), word(&until_ms.to_be_bytes())];
        self.enveloped(&parts.concat())
    }

    fn enveloped(&self, message: &[u8]) -> Digest {
        keccak(&[&[0x19, 0x01][..], &self.separator().0, &keccak(message).0].concat())
    }

    /// Checks that the sender signed the transaction for this ledger.
    ///
    /// # Errors
    /// [`SignatureError`] says which way the signature is wrong.
    pub fn verify(&self, transaction: &SignedTransaction) -> Result<(), SignatureError> {
        let digest = self.digest(transaction.sender, transaction.nonce, &transaction.action);
        Self::verify_digest(&digest, transaction.sender, &transaction.signature)
    }

    /// Checks that the sender signed what the digest covers.
    ///
    /// # Errors
    /// As [`Domain::verify`].
    pub fn verify_digest(
        digest: &Digest,
        sender: Address,
        signature: &[u8; 65],
    ) -> Result<(), SignatureError> {
        let (body, recovery) = signature.split_at(64);
        let signature = Signature::from_slice(body).map_err(|_| SignatureError::Malformed)?;
        let recovery = match recovery {
            [id @ (0 | 1)] => RecoveryId::new(*id == 1, false),
            _ => return Err(SignatureError::Malformed),
        };
        // One transaction, one signature: the other s of the pair is refused.
        if signature.normalize_s() != signature {
            return Err(SignatureError::Malformed);
        }
        let key = VerifyingKey::recover_from_prehash(&digest.0, &signature, recovery)
            .map_err(|_| SignatureError::Malformed)?;
        if address_of(&key) == sender { Ok(()) } else { Err(SignatureError::OtherKey) }
    }
}

fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false);
    let hash = keccak(point.as_bytes().get(1..).unwrap_or_default());
    let mut address = [0; 20];
    address.copy_from_slice(&hash.0[12..]);
    Address(address)
}

/// A secp256k1 key. Its `Debug` form shows the address only.
///
/// ```
/// use protocol::hash::Digest;
/// use protocol::transaction::{Action, Domain, Key};
///
/// let key = Key::from_secret(&[7; 32]).expect("within the curve's order");
/// let domain = Domain { chain_id: 1, genesis: Digest::default() };
/// let signed = key.sign(&domain, 0, &Action::Withdraw { amount_wei: 5 });
/// assert!(domain.verify(&signed).is_ok());
/// // What is signed for one ledger counts on no other.
/// let other = Domain { chain_id: 2, ..domain };
/// assert!(other.verify(&signed).is_err());
/// ```
#[derive(Clone)]
pub struct Key {
    signing: SigningKey,
    address: Address,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Key {
    /// The key with these secret bytes; `None` when they are zero or not below the group's order.
    pub fn from_secret(secret: &[u8; 32]) -> Option<Self> {
        let signing = SigningKey::from_slice(secret).ok()?;
        let address = address_of(signing.verifying_key());
        Some(Self { signing, address })
    }

    /// The account of the key.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Signs an action.
    pub fn sign(&self, domain: &Domain, nonce: u64, action: &Action) -> SignedTransaction {
        let action = action.to_canonical();
        let signature = self.sign_digest(&domain.digest(self.address, nonce, &action));
        SignedTransaction { sender: self.address, nonce, action, signature }
    }

    /// Signs a digest of a [`Domain`].
    pub fn sign_digest(&self, digest: &Digest) -> [u8; 65] {
        let (signature, recovery) = self.signing.sign_prehash_recoverable(&digest.0);
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = u8::from(recovery.is_y_odd());
        bytes
    }
}

impl SignedTransaction {
    /// Decodes the action.
    ///
    /// # Errors
    /// When the bytes are over the limit or not canonical.
    pub fn decode_action(&self) -> Result<Action, DecodeError> {
        let length = self.action.len();
        if length > ACTION_BYTES_MAX {
            let (length, limit) = (length as u64, ACTION_BYTES_MAX as u64);
            return Err(DecodeError::TooLong { kind: "action", length, limit });
        }
        Action::from_canonical(&self.action)
    }
}
