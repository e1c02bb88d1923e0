//! `rebut ledger audit`: whether two servers, or a server and a head that it signed once, show one log.

use std::path::Path;
use std::time::Duration;

use ledger::LedgerError;
use ledger::heads::SignedHead;
use ledger::http::{fetch_genesis, fetch_head, read_head};
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

/// Two servers of one log are told of one request after the other: so many transactions may be between the two.
const BEHIND_MAX: u64 = 1_000;

/// What was found.
struct Found {
    domain: Domain,
    /// The latest height of each side; a kept head's own.
    latest: [u64; 2],
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
            "genesis": found.domain.genesis.to_string(), "chain_id": found.domain.chain_id,
            "agree": found.agree(), "height": found.height, "latest": found.latest,
            "equivocation": is_proof, "heads": [one.to_json(), other.to_json()],
        }))?;
    } else if found.agree() {
        println!("both signed the same head at height {}: {}", found.height, one.head.chain);
        println!("  the latest heights are {} and {}", found.latest[0], found.latest[1]);
    } else {
        let (height, genesis) = (found.height, found.domain.genesis);
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
    let [domain, of_other] = sides.each_ref().map(Side::domain);
    if domain != of_other {
        let (genesis, of_other) = (domain.genesis, of_other.genesis);
        let reason = format!("{one} is of the ledger {genesis} and {other} of {of_other}");
        return Err(CommandError::Argument { argument: "OTHER", reason });
    }
    // A kept head is compared at its own height, two servers at the one that both have.
    let mut latest = [0; 2];
    for (latest, side) in latest.iter_mut().zip(&sides) {
        *latest = side.head(&client, None).await?.head.height;
    }
    let height = latest[0].min(latest[1]);
    let at = async |height: u64| {
        let [one, other] = &sides;
        let heads =
            [one.head(&client, Some(height)).await?, other.head(&client, Some(height)).await?];
        Ok::<_, CommandError>(Found { domain, latest, height, heads })
    };
    let mut found = at(height).await?;
    let is_one_kept = sides.iter().any(|side| matches!(side, Side::Kept { .. }));
    if found.agree() {
        let told = if is_one_kept { check_begun(height) } else { check_near(latest) };
        return told.map(|()| found);
    }
    if is_one_kept {
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

/// That there is a transaction to compare: all logs of a ledger begin alike.
fn check_begun(height: u64) -> Result<(), CommandError> {
    if height > 0 {
        return Ok(());
    }
    let reason = "both signed the same head at height 0, which is the genesis alone: that says nothing of what \
                  follows; ask again once both have transactions"
        .to_owned();
    Err(LedgerError::Unusable { reason }.into())
}

/// That two servers which agree as far as both go do not leave much out that one of them has.
fn check_near(latest: [u64; 2]) -> Result<(), CommandError> {
    let [one, other] = latest;
    if one.abs_diff(other) <= BEHIND_MAX {
        return check_begun(one.min(other));
    }
    let (height, behind) = (one.min(other), one.abs_diff(other));
    let reason = format!(
        "both signed the same head at height {height}, but the latest heights are {one} and {other}: of the last \
         {behind} transactions one side shows nothing, and nobody can tell whether it would show the same; ask again \
         once it has caught up"
    );
    Err(LedgerError::Unusable { reason }.into())
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

    fn domain(&self) -> Domain {
        match self {
            Self::Server { genesis, .. } => genesis.domain(),
            Self::Kept { domain, .. } => *domain,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_that_have_nothing_or_leave_much_out_do_not_agree() {
        for (latest, words) in [
            ([0, 0], "height 0"),
            ([0, 3], "height 0"),
            ([3, 5_000], "the latest heights are 3 and 5000"),
            ([5_000, 0], "the latest heights are 5000 and 0"),
        ] {
            let error = check_near(latest).unwrap_err().to_string();
            assert!(error.contains(words), "{latest:?}: {error}");
        }
        for latest in [[1, 1], [7, 1_007], [9_000, 8_000]] {
            assert!(check_near(latest).is_ok(), "{latest:?}");
        }
        assert!(check_begun(0).is_err() && check_begun(1).is_ok());
    }
}
