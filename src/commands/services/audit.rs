//! `rebut ledger audit`: whether two servers, or a server and a head that it signed once, show one log.

use std::path::Path;
use std::time::Duration;

use ledger::LedgerError;
use ledger::heads::SignedHead;
use ledger::http::{fetch_genesis, fetch_head, read_head};
use protocol::hash::Digest;
use protocol::settlement::Genesis;
use protocol::transaction::Domain;
use serde_json::json;

use crate::arguments::LedgerAudit;
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::print;

/// What is compared: a server, or a head that was kept.
enum Side<'a> {
    Server { url: &'a str, genesis: Box<Genesis> },
    Kept { file: &'a str, domain: Domain, head: SignedHead },
}

/// What was found.
struct Found {
    genesis: Digest,
    /// Height at which the two were compared, or the first at which they differ.
    height: u64,
    heads: [SignedHead; 2],
}

impl Found {
    fn agree(&self) -> bool {
        let [one, other] = &self.heads;
        one.head.chain == other.head.chain
    }
}

pub(crate) fn run(arguments: &LedgerAudit, as_json: bool) -> Result<Ending, CommandError> {
    let found = super::process::runtime()?.block_on(compared(&arguments.one, &arguments.other))?;
    let [one, other] = &found.heads;
    let is_proof = one.contradicts(other);
    if as_json {
        print::json(&json!({
            "genesis": found.genesis.to_string(), "agree": found.agree(), "height": found.height,
            "equivocation": is_proof, "heads": [one.to_json(), other.to_json()],
        }))?;
    } else if found.agree() {
        println!("both agree up to height {}: {}", found.height, one.head.chain);
    } else {
        let (height, genesis) = (found.height, found.genesis);
        println!("they differ from height {height} on, on the ledger {genesis}");
        for head in [one, other] {
            println!("  {} signed {}", head.signer, head.head.chain);
        }
        if is_proof {
            println!("one key signed both: this proves that its owner shows two logs; the heads:");
            println!("{}\n{}", one.to_json(), other.to_json());
        } else {
            println!(
                "two keys signed them: no proof against either, but at most one is the ledger's"
            );
        }
    }
    Ok(Ending::falls_if(!found.agree()))
}

async fn compared(one: &str, other: &str) -> Result<Found, CommandError> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| system("the client", error))?;
    let sides = [Side::of(&client, one).await?, Side::of(&client, other).await?];
    let [genesis, of_other] = sides.each_ref().map(Side::genesis);
    if genesis != of_other {
        let reason = format!("{one} is of the ledger {genesis} and {other} of {of_other}");
        return Err(CommandError::Argument { argument: "OTHER", reason });
    }
    // A kept head is compared at its own height, two servers at the one that both have.
    let mut height = u64::MAX;
    for side in &sides {
        height = height.min(side.head(&client, None).await?.head.height);
    }
    let at = async |height: u64| {
        let [one, other] = &sides;
        let heads =
            [one.head(&client, Some(height)).await?, other.head(&client, Some(height)).await?];
        Ok::<_, CommandError>(Found { genesis, height, heads })
    };
    let mut found = at(height).await?;
    if found.agree() || sides.iter().any(|side| matches!(side, Side::Kept { .. })) {
        return Ok(found);
    }
    // The first height at which they differ: they agree below, for both begin with the genesis.
    let mut low = 0;
    while low < found.height {
        let middle = at(low + (found.height - low) / 2).await?;
        if middle.agree() {
            low = middle.height + 1;
        } else {
            found = middle;
        }
    }
    Ok(found)
}

impl<'a> Side<'a> {
    async fn of(client: &reqwest::Client, text: &'a str) -> Result<Self, CommandError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let url = text.trim_end_matches('/');
            let genesis = Box::new(fetch_genesis(client, url).await?);
            return Ok(Self::Server { url, genesis });
        }
        let (domain, head) = read_head(Path::new(text))?;
        Ok(Self::Kept { file: text, domain, head })
    }

    fn genesis(&self) -> Digest {
        match self {
            Self::Server { genesis, .. } => genesis.root(),
            Self::Kept { domain, .. } => domain.genesis,
        }
    }

    /// Its signed head at a height, or the latest.
    async fn head(
        &self,
        client: &reqwest::Client,
        height: Option<u64>,
    ) -> Result<SignedHead, CommandError> {
        match self {
            Self::Server { url, genesis } => {
                let head = fetch_head(client, url, genesis, height).await?;
                head.ok_or_else(|| {
                    system(
                        (*url).to_owned(),
                        "its server signs no heads; its operator must update it",
                    )
                })
            }
            Self::Kept { file, head, .. } => {
                if height.is_some_and(|height| height < head.head.height) {
                    let reason = format!(
                        "{file} is of height {} and the other side has less: its server lost a part of its \
                         log, or it is another kept head; compare it with a server",
                        head.head.height
                    );
                    return Err(LedgerError::Unusable { reason }.into());
                }
                Ok(*head)
            }
        }
    }
}
