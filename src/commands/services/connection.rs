//! Ways to a ledger: connecting, waiting for it, acting with a key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::ledger::http::HttpLedger;
use ::ledger::{Ledger as _, LedgerError};
use node::NonceRace;
use protocol::hash::{Digest, parse_digest};
use protocol::settlement::ETHER;
use protocol::transaction::{Action, Key};

use super::key;
use crate::arguments::{KeyChoice, LedgerAt};
use crate::error::CommandError;

/// What a well-known key is given on a ledger to try things.
const DEV_WEI: u128 = 100 * ETHER;

/// The genesis that the ledger must have, if one is named.
pub(super) fn expected_genesis(at: &LedgerAt) -> Result<Option<Digest>, CommandError> {
    let wrong = |text: &String| CommandError::Argument {
        argument: "--genesis",
        reason: format!("{text} is not 0x and 64 hexadecimal digits"),
    };
    at.genesis.as_ref().map(|text| parse_digest(text).ok_or_else(|| wrong(text))).transpose()
}

pub(super) async fn connect(at: &LedgerAt) -> Result<Arc<HttpLedger>, CommandError> {
    Ok(Arc::new(HttpLedger::connect(&at.ledger, expected_genesis(at)?).await?))
}

/// Connects for somebody who waits at a terminal: a ledger that was just restarted is waited for briefly,
/// and that is said.
pub(super) async fn connect_soon(at: &LedgerAt) -> Result<Arc<HttpLedger>, CommandError> {
    const BRIEFLY: Duration = Duration::from_secs(8);
    match connect(at).await {
        Err(CommandError::Ledger(error)) if error.is_away() => {
            let seconds = BRIEFLY.as_secs();
            let why = match error {
                LedgerError::Unreachable { url, reason } => {
                    format!("no ledger answers at {url} ({reason})")
                }
                other => other.to_string(),
            };
            eprintln!("{why}; trying for {seconds} s");
        }
        outcome => return outcome,
    }
    patiently(Some(Instant::now() + BRIEFLY), async || connect(at).await).await
}

/// Tries again while the ledger is not reached, until some time; for ever without one.
pub(super) async fn patiently<T>(
    until: Option<Instant>,
    mut work: impl AsyncFnMut() -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let mut told = None;
    loop {
        match work().await {
            Err(CommandError::Ledger(error))
                if error.is_away() && until.is_none_or(|until| Instant::now() < until) =>
            {
                if node::is_due(&mut told) {
                    tracing::warn!(event = "ledger.unreachable", %error, "waiting for it");
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            other => return other,
        }
    }
}

/// The chosen key; a well-known one is given money if it has none.
pub(super) async fn key_at(
    choice: &KeyChoice,
    ledger: &HttpLedger,
    until: Option<Instant>,
) -> Result<Key, CommandError> {
    let key = key::read(choice)?;
    let bank = key::dev_key("bank");
    if choice.dev.is_some() {
        if ledger.genesis().bank != bank.address() {
            return Err(CommandError::Argument {
                argument: "--dev",
                reason: "this ledger was not started with --dev; use --key-file".to_owned(),
            });
        }
        let view = patiently(until, async || Ok(ledger.view().await?)).await?;
        if view.settlement.money().free_wei(&key.address()) == 0 {
            let action = Action::Deposit { account: key.address(), amount_wei: DEV_WEI };
            act(ledger, &bank, &action, until).await?;
        }
    }
    Ok(key)
}

/// Signs and submits one action, once: what was sent and not answered is sent again as it was, and
/// counts once. Another process with the same key may be faster; then it is signed anew.
pub(super) async fn act(
    ledger: &HttpLedger,
    key: &Key,
    action: &Action,
    until: Option<Instant>,
) -> Result<::ledger::Receipt, CommandError> {
    let mut race = NonceRace::default();
    loop {
        let view = patiently(until, async || Ok(ledger.view().await?)).await?;
        let nonce = view.settlement.nonce(&key.address());
        let signed = key.sign(&view.settlement.domain(), nonce, action);
        match patiently(until, async || Ok(ledger.submit(signed.clone()).await?)).await {
            Err(CommandError::Ledger(error)) if race.goes_on(&error) => {}
            outcome => return outcome,
        }
    }
}
