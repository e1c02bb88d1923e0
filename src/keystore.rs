//! Keys in encrypted files: Web3 Secret Storage, version 3, with scrypt and AES-128-CTR, as geth, foundry
//! and wallets write it (ethereum.org, "Web3 Secret Storage Definition").

use aes::Aes128;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use protocol::hash::{keccak, parse_hex, to_hex};
use protocol::transaction::Key;
use serde::{Deserialize, Serialize};

/// Cost of a new file's password: 128 MiB and some tenths of a second for each guess.
const COST_LOG2: u8 = 17;
/// Most memory that a file may ask for.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Why a key cannot be read or written. None of these carries a part of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeystoreError {
    #[error("is no keystore of version 3: {0}")]
    Content(String),
    #[error("uses {0}, and only {1} is read here; make it anew with `rebut key new`")]
    Unsupported(String, &'static str),
    #[error("the password is wrong, or the file is damaged")]
    Password,
    #[error(
        "the key derivation asks for {0}, more than {MEMORY_BYTES_MAX} bytes of memory or a cost that no wallet uses"
    )]
    Cost(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    #[serde(default)]
    address: String,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    id: String,
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParameters,
    ciphertext: String,
    kdf: String,
    kdfparams: serde_json::Value,
    mac: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct CipherParameters {
    iv: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Scrypt {
    dklen: u32,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

fn bytes(name: &str, text: &str) -> Result<Vec<u8>, KeystoreError> {
    let wrong = || KeystoreError::Content(format!("{name} is not hexadecimal"));
    let prefixed = format!("0x{}", text.strip_prefix("0x").unwrap_or(text));
    parse_hex(&prefixed).ok_or_else(wrong)
}

fn plain_hex(bytes: &[u8]) -> String {
    to_hex(bytes).trim_start_matches("0x").to_owned()
}

/// Key for the cipher, and key for the check.
fn derive(password: &str, parameters: &Scrypt) -> Result<([u8; 16], [u8; 16]), KeystoreError> {
    let Scrypt { dklen, n, r, p, salt } = parameters;
    let memory = n.saturating_mul(u64::from(*r)).saturating_mul(128);
    let cost = || KeystoreError::Cost(format!("n = {n}, r = {r}, p = {p}, dklen = {dklen}"));
    if !n.is_power_of_two() || *n < 2 || memory > MEMORY_BYTES_MAX || *p > 16 || *dklen != 32 {
        return Err(cost());
    }
    let log2 = u8::try_from(n.trailing_zeros()).map_err(|_| cost())?;
    let salt = bytes("salt", salt)?;
    let parameters = scrypt::Params::new(log2, *r, *p).map_err(|_| cost())?;
    let mut derived = [0; 32];
    scrypt::scrypt(password.as_bytes(), &salt, &parameters, &mut derived).map_err(|_| cost())?;
    let (mut cipher, mut check) = ([0; 16], [0; 16]);
    cipher.copy_from_slice(&derived[..16]);
    check.copy_from_slice(&derived[16..]);
    Ok((cipher, check))
}

fn apply_cipher(key: &[u8; 16], iv: &[u8; 16], text: &mut [u8]) {
    ctr::Ctr128BE::<Aes128>::new(key.into(), iv.into()).apply_keystream(text);
}

/// The key in a keystore file's text.
pub(crate) fn open(text: &str, password: &str) -> Result<Key, KeystoreError> {
    let file: File =
        serde_json::from_str(text).map_err(|error| KeystoreError::Content(error.to_string()))?;
    if file.version != 3 {
        return Err(KeystoreError::Unsupported(format!("version {}", file.version), "version 3"));
    }
    let crypto = file.crypto;
    if crypto.cipher != "aes-128-ctr" {
        return Err(KeystoreError::Unsupported(crypto.cipher, "aes-128-ctr"));
    }
    if crypto.kdf != "scrypt" {
        return Err(KeystoreError::Unsupported(crypto.kdf, "scrypt"));
    }
    let parameters: Scrypt = serde_json::from_value(crypto.kdfparams)
        .map_err(|error| KeystoreError::Content(format!("kdfparams: {error}")))?;
    let iv = bytes("iv", &crypto.cipherparams.iv)?;
    let iv: [u8; 16] =
        iv.try_into().map_err(|_| KeystoreError::Content("iv is not 16 bytes".to_owned()))?;
    let mut secret = bytes("ciphertext", &crypto.ciphertext)?;
    if secret.len() != 32 {
        return Err(KeystoreError::Content("ciphertext is not 32 bytes".to_owned()));
    }
    let mac = bytes("mac", &crypto.mac)?;
    let (cipher, check) = derive(password, &parameters)?;
    // Both are hashes under a key that only the password gives: how long it takes tells nothing.
    if keccak(&[&check[..], &secret].concat()).0[..] != mac[..] {
        return Err(KeystoreError::Password);
    }
    apply_cipher(&cipher, &iv, &mut secret);
    let secret: [u8; 32] = secret.try_into().map_err(|_| KeystoreError::Password)?;
    Key::from_secret(&secret).ok_or(KeystoreError::Password)
}

/// A keystore file's text for a secret that is a key. `random` is 64 bytes of the machine's random source.
pub(crate) fn seal(
    secret: &[u8; 32],
    key: &Key,
    password: &str,
    random: &[u8; 64],
) -> Result<String, KeystoreError> {
    let (salt, rest) = random.split_at(32);
    let (iv, id) = rest.split_at(16);
    let parameters = Scrypt { dklen: 32, n: 1 << COST_LOG2, r: 8, p: 1, salt: plain_hex(salt) };
    let (cipher, check) = derive(password, &parameters)?;
    let mut text = *secret;
    let iv: [u8; 16] = iv.try_into().map_err(|_| KeystoreError::Password)?;
    apply_cipher(&cipher, &iv, &mut text);
    let mac = keccak(&[&check[..], &text].concat());
    let mut id: [u8; 16] = id.try_into().map_err(|_| KeystoreError::Password)?;
    // A random UUID says that it is one (RFC 9562, version 4).
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let id = plain_hex(&id);
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    let file = File {
        address: plain_hex(&key.address().0),
        crypto: Crypto {
            cipher: "aes-128-ctr".to_owned(),
            cipherparams: CipherParameters { iv: plain_hex(&iv) },
            ciphertext: plain_hex(&text),
            kdf: "scrypt".to_owned(),
            kdfparams: serde_json::to_value(parameters)
                .map_err(|error| KeystoreError::Content(error.to_string()))?,
            mac: plain_hex(&mac.0),
        },
        id: format!(
            "{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        ),
        version: 3,
    };
    serde_json::to_string_pretty(&file).map_err(|error| KeystoreError::Content(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of the definition, for scrypt.
    const VECTOR: &str = r#"{
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "83dbcc02d8ccb40e466191a123791e0e" },
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32, "n": 262144, "p": 8, "r": 1,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3
    }"#;

    #[test]
    fn the_vector_of_the_definition_opens() {
        let secret = "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
        let secret: [u8; 32] = parse_hex(secret).unwrap().try_into().unwrap();
        let key = open(VECTOR, "testpassword").unwrap();
        assert_eq!(key.address(), Key::from_secret(&secret).unwrap().address());
        assert_eq!(open(VECTOR, "testpasswore").unwrap_err(), KeystoreError::Password);
    }

    #[test]
    fn what_was_sealed_opens_with_the_password_and_shows_no_secret() {
        let secret = [7; 32];
        let key = Key::from_secret(&secret).unwrap();
        let text = seal(&secret, &key, "a password", &[9; 64]).unwrap();
        assert_eq!(open(&text, "a password").unwrap().address(), key.address());
        assert!(!text.contains(&plain_hex(&secret)), "{text}");
        assert_eq!(open(&text, "").unwrap_err(), KeystoreError::Password);
    }

    #[test]
    fn damaged_and_greedy_files_are_refused() {
        for (from, to, word) in [
            ("aes-128-ctr", "aes-128-cbc", "aes-128-cbc"),
            ("\"scrypt\"", "\"pbkdf2\"", "pbkdf2"),
            ("\"version\": 3", "\"version\": 1", "version 1"),
            ("262144", "4503599627370496", "n = 4503599627370496"),
            ("262144", "262145", "n = 262145"),
            ("262144", "0", "n = 0"),
            ("\"p\": 8", "\"p\": 4000000000", "p = 4000000000"),
            ("\"r\": 1", "\"r\": 0", "r = 0"),
            ("\"dklen\": 32", "\"dklen\": 4000000000", "dklen"),
            ("83dbcc02", "83dbcc0", "hexadecimal"),
            ("83dbcc02", "83dbcc0202", "16 bytes"),
            ("d172bf74", "", "32 bytes"),
            ("d172bf74", "d172bf75", "wrong, or the file is damaged"),
            ("}", "", "EOF"),
        ] {
            assert!(VECTOR.contains(from), "{from}");
            let error = open(&VECTOR.replace(from, to), "testpassword").unwrap_err().to_string();
            assert!(error.contains(word), "{from} → {to}: {error}");
        }
    }
}
