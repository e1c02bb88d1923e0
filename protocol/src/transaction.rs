//! Transactions: what parties may do, how they sign it, how it is addressed.
//!
//! Signatures are secp256k1 over EIP-712 typed data, so that one key serves on our own ledger and
//! on a chain. The typed struct is `Transaction(address sender,uint64 nonce,bytes action)`; the
//! action is the canonical encoding of [`Action`]. The domain carries the ledger's genesis hash as
//! salt, so that nothing signed for one ledger means anything on another.

use alloc::vec::Vec;
use core::fmt;

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};

use crate::encoding::{Canonical, DecodeError, Reader, canonical_enum, canonical_struct};
use crate::facts::{Request, Reveal, Showing};
use crate::graph::{ModelHeader, Profile};
use crate::hash::{Commitment, Digest, keccak, to_hex};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::referee::Refutation;
use crate::roots::trace_tree;

/// Largest canonical encoding of an action, in bytes.
pub const ACTION_BYTES_MAX: usize = 2 << 20;

/// An account: the last 20 bytes of the Keccak-256 of a public key.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl Canonical for Address {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a job asks for, and under which terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobTerms {
    /// A registered model.
    pub model_root: Digest,
    /// Root of the state made of the input.
    pub input_root: Digest,
    /// Arithmetic; must be the model's.
    pub profile: Profile,
    /// Paid to the executor of the claim that becomes final.
    pub fee_wei: u128,
    /// Stake of each claim; at least the ledger's.
    pub stake_wei: u128,
    /// Bond of each challenge; at least the ledger's, and at most a quarter of the stake.
    pub bond_wei: u128,
    /// Time for challenges; between the ledger's least and most.
    pub window_ms: u64,
    /// Shared by those who prove that they ran the model before the final claim was opened. With
    /// any, claims on the job are sealed first.
    pub attention_wei: u128,
}
canonical_struct!(JobTerms {
    model_root,
    input_root,
    profile,
    fee_wei,
    stake_wei,
    bond_wei,
    window_ms,
    attention_wei,
});

/// What an executor claims: the whole run, by one root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimTerms {
    /// Id of the job.
    pub job: JobId,
    /// Root of the state made of the output.
    pub output_root: Digest,
    /// Root of the trace.
    pub trace_root: Digest,
    /// Path of the input state, leaf 0 of the trace.
    pub input_path: Vec<Digest>,
    /// Path of the output state, the last leaf of the trace.
    pub output_path: Vec<Digest>,
}
canonical_struct!(ClaimTerms { job, output_root, trace_root, input_path, output_path });

impl ClaimTerms {
    /// The claim on a run with these state roots: the input's first, then the one after each layer.
    ///
    /// Returns `None` without states and for more than a trace can hold.
    pub fn of_run<C: Commitment>(job: JobId, state_roots: &[Digest]) -> Option<Self> {
        let trace = trace_tree::<C>(state_roots)?;
        let last = u64::try_from(state_roots.len()).ok()?.checked_sub(1)?;
        Some(Self {
            job,
            output_root: *state_roots.last()?,
            trace_root: trace.root(),
            input_path: trace.path(0)?,
            output_path: trace.path(last)?,
        })
    }
}

/// Everything a party can do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The bank credits an account with money that came in from outside.
    Deposit {
        /// The account.
        account: Address,
        /// The amount, in wei.
        amount_wei: u128,
    },
    /// Takes free money out.
    Withdraw {
        /// The amount, in wei.
        amount_wei: u128,
    },
    /// Makes a model known.
    RegisterModel {
        /// Its header.
        header: ModelHeader,
    },
    /// Asks for a run.
    PostJob {
        /// The terms.
        terms: JobTerms,
    },
    /// Takes back a job on which no claim stands.
    CancelJob {
        /// Id of the job.
        job: JobId,
    },
    /// Claims a run, with a stake.
    PostClaim {
        /// The claim.
        terms: ClaimTerms,
    },
    /// Challenges a claim, with a bond.
    Challenge {
        /// Id of the claim.
        claim: ClaimId,
    },
    /// Demands an opening of the executor.
    Demand {
        /// Id of the challenge.
        challenge: ChallengeId,
        /// What the challenger proves first.
        showings: Vec<Showing>,
        /// What the executor must open.
        request: Request,
    },
    /// Answers a demand.
    Reveal {
        /// Id of the claim.
        claim: ClaimId,
        /// What was demanded.
        request: Request,
        /// The answer.
        reveal: Reveal,
    },
    /// Ends a dispute. Anyone may send it; the reward is the challengers'.
    Refute {
        /// Id of the challenge.
        challenge: ChallengeId,
        /// What is proven first.
        showings: Vec<Showing>,
        /// The refutation.
        refutation: Refutation,
    },
    /// Ends a challenge whose clock ran out. Anyone may send it.
    CallTime {
        /// Id of the challenge.
        challenge: ChallengeId,
    },
    /// Settles a job whose earliest standing claim outlived its window. Anyone may send it.
    Finalise {
        /// Id of the job.
        job: JobId,
    },
    /// Stakes on a trace root without showing it.
    SealClaim {
        /// Id of the job.
        job: JobId,
        /// Commitment to executor, trace root and salt.
        seal: Digest,
    },
    /// Gives one's word on the trace root of a sealed claim.
    Attest {
        /// Id of the sealed claim.
        sealed: SealedId,
        /// Commitment to attester, trace root and salt.
        word: Digest,
    },
    /// Opens a sealed claim.
    OpenClaim {
        /// Id of the sealed claim.
        sealed: SealedId,
        /// The claim.
        terms: ClaimTerms,
        /// The seal's salt.
        salt: Digest,
    },
    /// Proves that one's word was on the claim's trace root.
    ProveAttention {
        /// Id of the claim.
        claim: ClaimId,
        /// The word's salt.
        salt: Digest,
    },
    /// Burns the stake of a seal that was not opened in time. Anyone may send it.
    ExpireSeal {
        /// Id of the sealed claim.
        sealed: SealedId,
    },
}
canonical_enum!(Action {
    1 => Deposit { account, amount_wei }, 2 => Withdraw { amount_wei },
    3 => RegisterModel { header }, 4 => PostJob { terms }, 5 => CancelJob { job },
    6 => PostClaim { terms }, 7 => Challenge { claim },
    8 => Demand { challenge, showings, request }, 9 => Reveal { claim, request, reveal },
    10 => Refute { challenge, showings, refutation }, 11 => CallTime { challenge },
    12 => Finalise { job }, 13 => SealClaim { job, seal }, 14 => Attest { sealed, word },
    15 => OpenClaim { sealed, terms, salt }, 16 => ProveAttention { claim, salt },
    17 => ExpireSeal { sealed },
});

impl Action {
    /// Name of the action, as users read it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Deposit { .. } => "deposit",
            Self::Withdraw { .. } => "withdraw",
            Self::RegisterModel { .. } => "register-model",
            Self::PostJob { .. } => "post-job",
            Self::CancelJob { .. } => "cancel-job",
            Self::PostClaim { .. } => "post-claim",
            Self::Challenge { .. } => "challenge",
            Self::Demand { .. } => "demand",
            Self::Reveal { .. } => "reveal",
            Self::Refute { .. } => "refute",
            Self::CallTime { .. } => "call-time",
            Self::Finalise { .. } => "finalise",
            Self::SealClaim { .. } => "seal-claim",
            Self::Attest { .. } => "attest",
            Self::OpenClaim { .. } => "open-claim",
            Self::ProveAttention { .. } => "prove-attention",
            Self::ExpireSeal { .. } => "expire-seal",
        }
    }
}

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
canonical_struct!(SignedTransaction { sender, nonce, action, signature });

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
            keccak(b"1").0,
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
