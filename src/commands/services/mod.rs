//! The commands of the services: parse, connect, run until told to stop.

pub(crate) mod account;
pub(crate) mod challenger;
pub(crate) mod executor;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod request;

use std::sync::Arc;

use ::ledger::http::HttpLedger;
use ::ledger::{Ledger as _, LedgerError};
use inference::Shelf;
use protocol::hash::{parse_digest, parse_hex};
use protocol::settlement::ETHER;
use protocol::transaction::{Action, Address, Key};

use crate::arguments::{KeyChoice, LedgerAt};
use crate::error::{CommandError, system};

/// What a well-known key is given on a ledger to try things.
const DEV_WEI: u128 = 100 * ETHER;

/// A runtime with a listener's and a client's needs.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| system("the runtime", error))
}

/// Over at the first SIGINT or SIGTERM.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!(event = "stopping");
}

async fn connect(at: &LedgerAt) -> Result<Arc<HttpLedger>, CommandError> {
    let genesis = match &at.genesis {
        None => None,
        Some(text) => Some(parse_digest(text).ok_or_else(|| CommandError::Argument {
            argument: "--genesis",
            reason: format!("{text} is not 0x and 64 hexadecimal digits"),
        })?),
    };
    Ok(Arc::new(HttpLedger::connect(&at.ledger, genesis).await?))
}

/// As [`connect`], waiting for a ledger that does not answer yet.
async fn connect_patiently(at: &LedgerAt) -> Result<Arc<HttpLedger>, CommandError> {
    loop {
        match connect(at).await {
            Err(CommandError::Ledger(LedgerError::Unreachable { url, reason })) => {
                tracing::warn!(event = "ledger.unreachable", %url, %reason, "waiting for it");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            other => return other,
        }
    }
}

fn address(text: &str) -> Result<Address, CommandError> {
    let bytes = parse_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Address).ok_or_else(|| CommandError::Argument {
        argument: "ADDRESS",
        reason: format!("{text} is not 0x and 40 hexadecimal digits"),
    })
}

/// The chosen key; a well-known one is given money if it has none.
async fn key_at(choice: &KeyChoice, ledger: &HttpLedger) -> Result<Key, CommandError> {
    let key = key::read(choice)?;
    let bank = key::dev_key("bank");
    if choice.dev.is_some() {
        if ledger.genesis().bank != bank.address() {
            return Err(CommandError::Argument {
                argument: "--dev",
                reason: "this ledger was not started with --dev; use --key-file".to_owned(),
            });
        }
        let view = ledger.view().await?;
        if view.settlement.money().free_wei(&key.address()) == 0 {
            let action = Action::Deposit { account: key.address(), amount_wei: DEV_WEI };
            act(ledger, &bank, &action).await?;
        }
    }
    Ok(key)
}

/// Signs and submits one action; another process with the same key may be faster.
async fn act(
    ledger: &HttpLedger,
    key: &Key,
    action: &Action,
) -> Result<::ledger::Receipt, CommandError> {
    const TRIES: usize = 5;
    let mut last = LedgerError::Stopped;
    for _ in 0..TRIES {
        let view = ledger.view().await?;
        let nonce = view.settlement.nonce(&key.address());
        let signed = key.sign(&view.settlement.domain(), nonce, action);
        match ledger.submit(signed).await {
            Err(error @ LedgerError::Rejected(protocol::settlement::Rejection::Nonce { .. })) => {
                last = error;
            }
            outcome => return Ok(outcome?),
        }
    }
    Err(last.into())
}

fn shelf(place: &std::path::Path, engine: &inference::Engine) -> Result<Shelf, CommandError> {
    let shelf = Shelf::read(place, engine)?;
    for (name, root) in shelf.names() {
        tracing::info!(event = "model.ready", %name, %root);
    }
    Ok(shelf)
}
