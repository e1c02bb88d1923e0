//! Published states on their way to a ledger's server and back.

use protocol::hash::{Digest, Keccak, to_hex};
use protocol::state_stream::{StateHasher, StateHead, StateLimits};
use protocol::transaction::{Address, Key};

use super::refusal::said;
use super::{HttpLedger, PATIENCE, get, unreachable};
use crate::LedgerError;
use crate::http::bodies::time_for;
use crate::http::{SIGNATURE_HEADER, upload_path};

/// Why a state was not published or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The server refused.
    #[error("the ledger's server did not take the state: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// The state is larger than the ledger takes.
    #[error(
        "it has {length} bytes, and this ledger takes at most {limit} for one state; its operator can \
         raise --upload-bytes-max"
    )]
    TooLarge {
        /// Bytes of the state.
        length: u64,
        /// The ledger's limit.
        limit: u64,
    },
    /// The server was not reached.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why a published state is not had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// Nobody published it there.
    #[error("it is not published; its poster or executor must publish it")]
    Missing,
    /// What was published is something else: wrong data is the same as no data.
    #[error("what is published is not what was asked for: {reason}")]
    Wrong {
        /// What is wrong.
        reason: String,
    },
    /// The server was not reached.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl HttpLedger {
    /// Publishes the state with this root under the key's account.
    ///
    /// # Errors
    /// When the server refuses or is not reached.
    pub async fn upload(
        &self,
        key: &Key,
        root: &Digest,
        bytes: Vec<u8>,
    ) -> Result<(), UploadError> {
        let length = bytes.len() as u64;
        // The server takes a few of one account at a time; the others wait here.
        let _turn = self.uploads.acquire().await;
        let limit = self.upload_bytes_max().await?;
        if length > limit {
            return Err(UploadError::TooLarge { length, limit });
        }
        let digest = self.genesis.domain().upload_digest(key.address(), root, length);
        let signature = to_hex(&key.sign_digest(&digest));
        let url = format!("{}{}", self.url, upload_path(root, &key.address()));
        let request = self
            .client
            .put(url)
            .timeout(6 * PATIENCE + time_for(length))
            .header(SIGNATURE_HEADER, signature);
        let sent = request.body(bytes).send().await;
        let answer = sent.map_err(|error| unreachable(&self.url, &error))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(UploadError::Refused { reason: said(answer).await })
        }
    }

    /// The most bytes of one published state that this ledger takes.
    ///
    /// # Errors
    /// When the server is not reached.
    pub async fn upload_bytes_max(&self) -> Result<u64, LedgerError> {
        if let Some(known) = self.upload_bytes_max.get() {
            return Ok(*known);
        }
        let bytes = get(&self.client, &self.url, "/v1/status", PATIENCE).await?;
        let status: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        let limit = status.and_then(|status| status["upload_bytes_max"].as_u64());
        let limit = limit.ok_or_else(|| LedgerError::Unusable {
            reason: format!(
                "{} does not say how much it takes; it is of another version",
                self.url
            ),
        })?;
        Ok(*self.upload_bytes_max.get_or_init(|| limit))
    }

    /// The state that an account published under a root: of exactly the expected values and types, hashed
    /// while it comes, given only when it has the root.
    ///
    /// # Errors
    /// When it is not there, is not that state, or the server is not reached.
    pub async fn download(
        &self,
        root: &Digest,
        account: &Address,
        head: &StateHead,
    ) -> Result<Vec<u8>, DownloadError> {
        self.download_from(&format!("{}{}", self.url, upload_path(root, account)), root, head).await
    }

    /// As [`HttpLedger::download`], from any address.
    ///
    /// # Errors
    /// As [`HttpLedger::download`].
    pub async fn download_from(
        &self,
        url: &str,
        root: &Digest,
        head: &StateHead,
    ) -> Result<Vec<u8>, DownloadError> {
        let fail = |error: reqwest::Error| unreachable(url, &error);
        let patience = 6 * PATIENCE + time_for(head.total_bytes());
        let mut answer = self.client.get(url).timeout(patience).send().await.map_err(fail)?;
        match answer.status() {
            reqwest::StatusCode::NOT_FOUND => return Err(DownloadError::Missing),
            status if !status.is_success() => {
                let (url, reason) = (url.to_owned(), said(answer).await);
                return Err(LedgerError::Unreachable { url, reason }.into());
            }
            _ => {}
        }
        let wrong = |reason: String| DownloadError::Wrong { reason };
        let (prefix, length) = (head.prefix(), head.total_bytes());
        let expected = || wrong(format!("it must be {length} bytes: {head}"));
        if answer.content_length().is_some_and(|announced| announced != length) {
            return Err(expected());
        }
        let limits = StateLimits { bytes: length, leaves: u64::MAX };
        let mut hasher = StateHasher::<Keccak>::new(limits);
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(fail)? {
            if (bytes.len() + part.len()) as u64 > length {
                return Err(expected());
            }
            bytes.extend_from_slice(&part);
            hasher.push(&part).map_err(|error| wrong(error.to_string()))?;
            let seen = bytes.len().min(prefix.len());
            if bytes.get(..seen) != prefix.get(..seen) {
                return Err(expected());
            }
        }
        let found = hasher.finish().map_err(|error| wrong(error.to_string()))?;
        if found == *root {
            Ok(bytes)
        } else {
            Err(wrong(format!("it has the root {found}, not {root}")))
        }
    }
}
