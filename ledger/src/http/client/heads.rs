//! Signed heads as a client keeps them: what a server once signed holds against what it shows now.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::encoding::Canonical as _;
use protocol::hash::{Digest, parse_digest};
use protocol::settlement::Genesis;
use protocol::transaction::{Address, Domain};
use serde_json::{Value, json};

use super::{HttpLedger, PATIENCE, get_limited};
use crate::heads::SignedHead;
use crate::{LedgerError, durable};

/// A signed head is asked for this often.
const ASKED_EVERY: Duration = Duration::from_secs(30);
/// Most bytes of a document with a head, and of a file of one.
const HEAD_BYTES_MAX: usize = 4 << 10;

fn unusable(reason: String) -> LedgerError {
    LedgerError::Unusable { reason }
}

/// A server's head, at a height or the latest, with its signature checked; `None` where the server signs none.
///
/// # Errors
/// When it is not reached, or what it gives is not signed by whom it says.
pub async fn fetch_head(
    client: &reqwest::Client,
    url: &str,
    genesis: &Genesis,
    height: Option<u64>,
) -> Result<Option<SignedHead>, LedgerError> {
    let path = height.map_or("/v1/head".to_owned(), |height| format!("/v1/head?height={height}"));
    let bytes = get_limited(client, url, &path, PATIENCE, HEAD_BYTES_MAX).await?;
    let document: Value = serde_json::from_slice(&bytes)
        .map_err(|error| unusable(format!("{url}{path} is no document: {error}")))?;
    if document["head"].is_null() {
        return Ok(None);
    }
    let signed = SignedHead::of_json(&document["head"])
        .ok_or_else(|| unusable(format!("{url}{path} has no signed head")))?;
    signed
        .verify(&genesis.domain())
        .map_err(|error| unusable(format!("the head of {url} at {path}: {error}")))?;
    if height.is_some_and(|height| height != signed.head.height) {
        return Err(unusable(format!("{url}{path} has the head of height {}", signed.head.height)));
    }
    Ok(Some(signed))
}

/// The genesis of a server's ledger.
///
/// # Errors
/// When it is not reached or gives none.
pub async fn fetch_genesis(client: &reqwest::Client, url: &str) -> Result<Genesis, LedgerError> {
    let bytes = get_limited(client, url, "/v1/genesis", PATIENCE, HEAD_BYTES_MAX).await?;
    Genesis::from_canonical(&bytes)
        .map_err(|error| unusable(format!("{url} gave no genesis: {error}")))
}

/// A kept head, with the domain of its ledger, for which it was signed.
///
/// # Errors
/// When the file cannot be read or holds no signed head.
pub fn read_head(file: &Path) -> Result<(Domain, SignedHead), LedgerError> {
    let name = file.display();
    let wrong = |reason: String| unusable(format!("{name}: {reason}"));
    let length = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if length > HEAD_BYTES_MAX as u64 {
        return Err(wrong(format!("{length} bytes are no signed head")));
    }
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let document: Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("no document: {error}")))?;
    let help = "holds no signed head; delete it, or restore a copy";
    let genesis = document["genesis"].as_str().and_then(parse_digest);
    let domain = genesis.zip(document["chain_id"].as_u64());
    let domain = domain.map(|(genesis, chain_id)| Domain { chain_id, genesis });
    let (domain, head) =
        domain.zip(SignedHead::of_json(&document["head"])).ok_or_else(|| wrong(help.to_owned()))?;
    head.verify(&domain).map_err(|error| wrong(format!("{error}; {help}")))?;
    Ok((domain, head))
}

fn write_head(file: &Path, domain: &Domain, head: &SignedHead) -> Result<(), LedgerError> {
    let document = json!({
        "genesis": domain.genesis.to_string(), "chain_id": domain.chain_id, "head": head.to_json(),
    });
    durable::replace(file, format!("{document}\n").as_bytes()).map_err(|error| {
        let help = "free disk space and check the folder's rights";
        unusable(format!("{}: {error}; {help}", file.display()))
    })
}

impl HttpLedger {
    /// Keeps the newest signed head of the server in a file, now and from time to time; first holds the one that is
    /// kept there against the server's log.
    ///
    /// # Errors
    /// When the file or the server fails, or the server shows another log than it signed: then both heads, which
    /// prove it, are in a file beside.
    pub async fn keep_heads(&self, file: &Path) -> Result<(), LedgerError> {
        if file.exists() {
            let (domain, kept) = read_head(file)?;
            if domain == self.genesis.domain() {
                self.hold_against(&kept, file).await?;
                self.heads.lock().await.newest = Some(kept);
            } else {
                tracing::warn!(event = "ledger.kept_head_of_another", file = %file.display(),
                    "it is of another ledger, and is written anew");
            }
        }
        self.heads.lock().await.file = Some(file.to_owned());
        self.hear_head().await
    }

    /// The newest signed head that was kept.
    pub async fn kept_head(&self) -> Option<SignedHead> {
        self.heads.lock().await.newest
    }

    /// Whether the server's log has what it signed.
    async fn hold_against(&self, kept: &SignedHead, file: &Path) -> Result<(), LedgerError> {
        let (height, url) = (kept.head.height, &self.url);
        let reached = self.copy.lock().await.recent.height();
        if reached < height {
            return Err(unusable(format!(
                "{url} has {reached} transactions and signed that it had {height} ({}): it lost a part of its \
                 log, which nobody may build upon; bring back its folder from before",
                file.display()
            )));
        }
        let now = fetch_head(&self.client, url, &self.genesis, Some(height)).await?;
        match now {
            Some(now) if now.head.chain == kept.head.chain => Ok(()),
            Some(now) => Err(self.convicted(kept, &now, file)),
            None => {
                tracing::warn!(event = "ledger.unsigned_heads", %url,
                    "the server signed heads and does so no more: what it signed cannot be held against it");
                Ok(())
            }
        }
    }

    /// Keeps both heads where the server signed two logs.
    fn convicted(&self, kept: &SignedHead, now: &SignedHead, file: &Path) -> LedgerError {
        let height = kept.head.height;
        let proof = file.with_extension("equivocation.json");
        let document = json!({
            "genesis": self.genesis.root().to_string(), "equivocation": kept.contradicts(now),
            "heads": [kept.to_json(), now.to_json()],
        });
        let written = durable::replace(&proof, format!("{document}\n").as_bytes());
        let place = match &written {
            Ok(()) => format!("both heads are in {}", proof.display()),
            Err(error) => {
                format!("both heads could not be written to {}: {error}", proof.display())
            }
        };
        tracing::error!(event = "ledger.equivocation", height, url = %self.url, kept = %kept.head.chain,
            now = %now.head.chain, signers = %format!("{} {}", kept.signer, now.signer));
        unusable(format!(
            "{} signed another log at height {height} than it shows now; {place}: show them to its users, and \
             build on it no more; delete {} only for another ledger",
            self.url,
            file.display()
        ))
    }

    /// Asks for a signed head at the height of this copy, if one is due, and holds it against the copy.
    pub(super) async fn hear_head(&self) -> Result<(), LedgerError> {
        let (file, newest) = {
            let mut heads = self.heads.lock().await;
            let is_due = heads.asked.is_none_or(|asked| asked.elapsed() >= ASKED_EVERY);
            let Some(file) = heads.file.clone().filter(|_| is_due) else {
                return Ok(());
            };
            heads.asked = Some(Instant::now());
            (file, heads.newest)
        };
        let (height, chain) = {
            let copy = self.copy.lock().await;
            (copy.recent.height(), Digest(copy.chain))
        };
        if newest.is_some_and(|newest| newest.head.height == height) {
            return Ok(());
        }
        let now = match fetch_head(&self.client, &self.url, &self.genesis, Some(height)).await {
            Ok(now) => now,
            // It is asked again.
            Err(error) if error.is_away() => {
                tracing::warn!(event = "ledger.head_not_heard", url = %self.url, %error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(now) = now else {
            let mut heads = self.heads.lock().await;
            if !std::mem::replace(&mut heads.is_unsigned, true) {
                tracing::warn!(event = "ledger.unsigned_heads", url = %self.url,
                    "nobody can prove what this server showed");
            }
            return Ok(());
        };
        if now.head.chain != chain {
            return Err(unusable(format!(
                "{} signed another log at height {height} than it gave: build on it no more",
                self.url
            )));
        }
        tell_signer(newest.map(|newest| newest.signer), now.signer);
        write_head(&file, &self.genesis.domain(), &now)?;
        self.heads.lock().await.newest = Some(now);
        Ok(())
    }
}

/// A ledger whose server has another key from now on is told: what the old one signed counts no more against it.
fn tell_signer(before: Option<Address>, now: Address) {
    if let Some(before) = before
        && before != now
    {
        tracing::warn!(event = "ledger.signer_changed", %before, %now,
            "heads of the old key and of the new prove nothing together; ask the operator why");
    }
}
