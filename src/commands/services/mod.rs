//! The commands of the services: parse, connect, run until told to stop.

pub(crate) mod account;
mod beginning;
pub(crate) mod challenger;
pub(crate) mod daemon;
pub(crate) mod executor;
pub(crate) mod explain;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod monitor;
pub(crate) mod receipt;
pub(crate) mod request;
pub(crate) mod tui;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::ledger::http::HttpLedger;
use ::ledger::{Ledger as _, LedgerError};
use inference::Shelf;
use node::NonceRace;
use protocol::hash::{Digest, parse_digest, parse_hex};
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

/// Raises this process's limit of open files as far as it may, and gives it: shells begin with few.
fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        Err(_) => before.current,
    };
    now.unwrap_or(u64::MAX)
}

/// Says that a service runs, and where: a line for people, with `--json` a document on one line.
fn started(as_json: bool, text: &str, document: &serde_json::Value) -> Result<(), CommandError> {
    match as_json {
        true => println!("{}", crate::print::line(document)?),
        false => println!("{text}"),
    }
    Ok(())
}

/// The genesis that the ledger must have, if one is named.
fn expected_genesis(at: &LedgerAt) -> Result<Option<Digest>, CommandError> {
    let wrong = |text: &String| CommandError::Argument {
        argument: "--genesis",
        reason: format!("{text} is not 0x and 64 hexadecimal digits"),
    };
    at.genesis.as_ref().map(|text| parse_digest(text).ok_or_else(|| wrong(text))).transpose()
}

async fn connect(at: &LedgerAt) -> Result<Arc<HttpLedger>, CommandError> {
    Ok(Arc::new(HttpLedger::connect(&at.ledger, expected_genesis(at)?).await?))
}

/// Files that a service itself needs beside two for each connection: database, log, clock, states, models.
const FILES_RESERVED: u64 = 256;

/// Connections for which there are files: a flush that finds none stops the ledger.
fn connections() -> usize {
    let files_max = raise_file_limit();
    let wanted = ::ledger::http::Limits::default().connections;
    let fit = usize::try_from(files_max.saturating_sub(FILES_RESERVED) / 2).unwrap_or(usize::MAX);
    if fit < wanted {
        tracing::warn!(
            event = "few_files",
            files_max,
            connections = fit.max(16),
            "fewer connections are served than could be: raise the limit of open files (ulimit -n 8192)"
        );
    }
    wanted.min(fit).max(16)
}

/// Connects for somebody who waits at a terminal: a ledger that was just restarted is waited for briefly,
/// and that is said.
async fn connect_soon(at: &LedgerAt) -> Result<Arc<HttpLedger>, CommandError> {
    const BRIEFLY: Duration = Duration::from_secs(8);
    match connect(at).await {
        Err(CommandError::Ledger(LedgerError::Unreachable { url, reason })) => {
            let seconds = BRIEFLY.as_secs();
            eprintln!("no ledger answers at {url} ({reason}); trying for {seconds} s");
        }
        outcome => return outcome,
    }
    patiently(Some(Instant::now() + BRIEFLY), async || connect(at).await).await
}

/// Tries again while the ledger is not reached, until some time; for ever without one.
async fn patiently<T>(
    until: Option<Instant>,
    mut work: impl AsyncFnMut() -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let mut told = None;
    loop {
        match work().await {
            Err(CommandError::Ledger(LedgerError::Unreachable { url, reason }))
                if until.is_none_or(|until| Instant::now() < until) =>
            {
                if node::is_due(&mut told) {
                    tracing::warn!(event = "ledger.unreachable", %url, %reason, "waiting for it");
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            other => return other,
        }
    }
}

fn address(argument: &'static str, text: &str) -> Result<Address, CommandError> {
    let bytes = parse_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Address).ok_or_else(|| CommandError::Argument {
        argument,
        reason: format!("{text} is not 0x and 40 hexadecimal digits"),
    })
}

/// The id that a text names among those known: whole, or a beginning that only one of them has.
fn named<'a>(
    argument: &'static str,
    text: &str,
    kind: &str,
    known: impl Iterator<Item = &'a Digest>,
) -> Result<Digest, CommandError> {
    let wrong = |reason: String| Err(CommandError::Argument { argument, reason });
    let text = text.trim_end_matches('…').to_ascii_lowercase();
    let digits = text.strip_prefix("0x").unwrap_or_default();
    if !(4..=64).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return wrong(format!(
            "{text} is not 0x and 64 hexadecimal digits, or the first 4 or more"
        ));
    }
    let mut fits = known.filter(|id| id.to_string().starts_with(&text));
    match (fits.next(), fits.next()) {
        (Some(id), None) => Ok(*id),
        (Some(_), Some(_)) => wrong(format!("several {kind}s begin with {text}; add digits")),
        (None, _) => wrong(format!(
            "this ledger has no {kind} {text}; `rebut ledger list {kind}s` shows them"
        )),
    }
}

/// The chosen key; a well-known one is given money if it has none.
async fn key_at(
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
async fn act(
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

fn shelf(place: &std::path::Path, engine: &inference::Engine) -> Result<Shelf, CommandError> {
    let shelf = Shelf::read(place, engine)?;
    for (name, root) in shelf.names() {
        tracing::info!(event = "model.ready", %name, %root);
    }
    Ok(shelf)
}
