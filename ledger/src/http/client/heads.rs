//! Signed heads as a client keeps them: what a server once signed holds against what it shows now.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::encoding::Canonical as _;
use protocol::hash::{Digest, parse_digest};
use protocol::settlement::Genesis;
use protocol::transaction::{Address, Domain};
use serde_json::{Value, json};

use super::{HttpLedger, PATIENCE, answered, get_limited, whole};
use crate::heads::SignedHead;
use crate::{LedgerError, durable};

/// A signed head is asked for this often.
const ASKED_EVERY: Duration = Duration::from_secs(30);
/// Most bytes of a document with a head, and of a file of one.
const HEAD_BYTES_MAX: usize = 4 << 10;

fn unusable(reason: String) -> LedgerError {
    LedgerError::Unusable { reason }
}

/// A server's head, at a height or the latest, with its signature checked; `None` where the server signs none, or is
/// too old to know of heads.
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
    let answer = answered(client, url, &path, PATIENCE).await?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let bytes = whole(answer, url, &path, HEAD_BYTES_MAX).await?;
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

/// Where the proof against a server is, of which a head is kept in a file.
fn proof_beside(file: &Path) -> PathBuf {
    file.with_extension("equivocation.json")
}

/// Puts a kept head of another ledger aside, under the name of that one, and takes back the one of this ledger where it
/// was put aside before: none is overwritten.
fn change_ledger(file: &Path, from: &Domain, to: &Domain) -> Result<(), LedgerError> {
    let aside = |domain: &Domain| file.with_extension(format!("{}.json", domain.genesis));
    let changed = std::fs::rename(file, aside(from))
        .and_then(|()| if aside(to).exists() { std::fs::rename(aside(to), file) } else { Ok(()) });
    changed.map_err(|error| {
        let name = file.display();
        unusable(format!("{name} is of another ledger and cannot be moved away: {error}"))
    })
}

impl HttpLedger {
    /// Keeps the newest signed head of the server in a file, now and from time to time; first holds the one that is
    /// kept there against the log that this client applied. A disk that does not take it ends nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or the server gave another log than it signed: then what proves it is in a file
    /// beside, and while that is there this fails at once.
    pub async fn keep_heads(&self, file: &Path) -> Result<(), LedgerError> {
        let proof = proof_beside(file);
        if proof.exists() {
            return Err(unusable(format!(
                "the ledger's server was found to show two logs; {} proves it: show it to the ledger's users and ask \
                 its operator. Only to go on at another ledger, or because you know why, move that file and {} away",
                proof.display(),
                file.display()
            )));
        }
        let own = self.genesis.domain();
        if file.exists() {
            let (domain, _) = read_head(file)?;
            if domain != own {
                tracing::warn!(event = "ledger.kept_head_of_another", file = %file.display(),
                    genesis = %domain.genesis, "it is of another ledger, and is put aside under its name");
                change_ledger(file, &domain, &own)?;
            }
        }
        if file.exists() {
            let (_, kept) = read_head(file)?;
            self.hold_against(&kept, file).await?;
            self.heads.lock().await.newest = Some(kept);
        }
        self.heads.lock().await.file = Some(file.to_owned());
        self.hear_head().await
    }

    /// The newest signed head that was kept.
    pub async fn kept_head(&self) -> Option<SignedHead> {
        self.heads.lock().await.newest
    }

    /// Whether the log that this client applied is what the server once signed.
    async fn hold_against(&self, kept: &SignedHead, file: &Path) -> Result<(), LedgerError> {
        let (height, url) = (kept.head.height, &self.url);
        let (reached, own) = {
            let copy = self.copy.lock().await;
            (copy.recent.height(), copy.chain(height))
        };
        match own {
            Some(own) if own == kept.head.chain => Ok(()),
            Some(own) => {
                // A server that signs the old one again, or nothing, is convicted by its log all the same.
                let now = fetch_head(&self.client, url, &self.genesis, Some(height)).await;
                let now = now.ok().flatten();
                Err(self.convicted(own, &[Some(*kept), now], height, file))
            }
            None => Err(unusable(format!(
                "{url} has {reached} transactions and signed that it had {height} ({}): it lost a part of its log, \
                 which nobody may build upon; bring back its folder from before",
                file.display()
            ))),
        }
    }

    /// Keeps what the server signed, with what its log is, where the two are not the same.
    fn convicted(
        &self,
        own: Digest,
        heads: &[Option<SignedHead>],
        height: u64,
        file: &Path,
    ) -> LedgerError {
        let heads: Vec<SignedHead> = heads.iter().flatten().copied().collect();
        let is_proof = heads.iter().any(|one| heads.iter().any(|other| one.contradicts(other)));
        let document = json!({
            "genesis": self.genesis.root().to_string(), "chain_id": self.genesis.chain_id,
            "equivocation": is_proof, "own": { "height": height, "chain": own.to_string() },
            "heads": heads.iter().map(SignedHead::to_json).collect::<Vec<_>>(),
        });
        let proof = proof_beside(file);
        // The first one stays.
        let written = if proof.exists() {
            Ok(())
        } else {
            durable::replace(&proof, format!("{document}\n").as_bytes())
        };
        let place = match written {
            Ok(()) => format!("what proves it is in {}", proof.display()),
            Err(error) => format!(
                "what proves it could not be written to {}: {error}; it is in the log of this process",
                proof.display()
            ),
        };
        tracing::error!(event = "ledger.equivocation", url = %self.url, %document);
        unusable(format!(
            "{} signed another log at height {height} than it gave; {place}: show it to its users, and build on it no \
             more",
            self.url
        ))
    }

    /// Asks for a signed head at the height of this copy, if one is due, and holds it against the copy.
    pub(super) async fn hear_head(&self) -> Result<(), LedgerError> {
        let (file, newest, is_unwritten) = {
            let mut heads = self.heads.lock().await;
            let is_due = heads.asked.is_none_or(|asked| asked.elapsed() >= ASKED_EVERY);
            let Some(file) = heads.file.clone().filter(|_| is_due) else {
                return Ok(());
            };
            heads.asked = Some(Instant::now());
            (file, heads.newest, heads.is_unwritten)
        };
        let (height, own) = {
            let copy = self.copy.lock().await;
            let height = copy.recent.height();
            (height, copy.chain(height).unwrap_or_default())
        };
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
                tracing::warn!(event = "ledger.unsigned_heads", url = %self.url, signed_before = newest.is_some(),
                    "nobody can prove what this server showed");
            }
            return Ok(());
        };
        if now.head.chain != own {
            return Err(self.convicted(own, &[newest, Some(now)], height, &file));
        }
        let is_same = |newest: &SignedHead| {
            (newest.signer, newest.head.height) == (now.signer, now.head.height)
        };
        if newest.as_ref().is_some_and(is_same) && !is_unwritten {
            return Ok(());
        }
        tell_signer(newest.map(|newest| newest.signer), now.signer);
        let written = write_head(&file, &self.genesis.domain(), &now);
        let mut heads = self.heads.lock().await;
        heads.newest = Some(now);
        heads.is_unwritten = written.is_err();
        if let Err(error) = written {
            metrics::counter!("rebut_executor_heads_not_kept_total").increment(1);
            tracing::error!(event = "ledger.head_not_kept", %error,
                "the newest head is in memory alone until the disk takes it");
        }
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
