//! What a ledger over HTTP holds: `cargo run --release -p ledger --example load [SECONDS] [SENDERS]`.
//!
//! Server and senders share this machine. Every sender signs small transactions one after the other
//! and waits for each receipt, which comes when it is on disk. Prints the rate, latencies and the
//! server's memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::SystemClock;
use ledger::http::{HttpLedger, Limits, serve};
use ledger::{EmbeddedLedger, Ledger as _};
use protocol::encoding::Canonical as _;
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Parameters};
use protocol::transaction::{Action, Key};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn key(number: u32) -> Result<Key, Failure> {
    let mut secret = [1; 32];
    secret[..4].copy_from_slice(&number.to_be_bytes());
    Key::from_secret(&secret).ok_or_else(|| "no key".into())
}

async fn sender(
    url: String,
    key: Key,
    domain: protocol::transaction::Domain,
    until: Instant,
) -> Result<Vec<f64>, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut latencies = Vec::new();
    let mut nonce = 0;
    while Instant::now() < until {
        let signed = key.sign(&domain, nonce, &Action::Withdraw { amount_wei: 1 });
        let started = Instant::now();
        let answer = client.post(&url).body(signed.to_canonical()).send().await?;
        if !answer.status().is_success() {
            return Err(format!("{}: {}", answer.status(), answer.text().await?).into());
        }
        answer.bytes().await?;
        latencies.push(started.elapsed().as_secs_f64() * 1e3);
        nonce += 1;
    }
    Ok(latencies)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let number = |at: usize, default: u64| {
        std::env::args().nth(at).map_or(Ok(default), |text| text.parse::<u64>())
    };
    let (seconds, senders) = (number(1, 10)?, number(2, 64)? as u32);
    let folder = tempfile::tempdir()?;
    let bank = key(u32::MAX)?;
    let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
    let genesis = Genesis {
        chain_id: 1,
        salt: Digest::default(),
        begun_ms: 0,
        bank: bank.address(),
        parameters,
    };
    let domain = genesis.domain();
    let ledger = EmbeddedLedger::open(&folder.path().join("log"), genesis, Arc::new(SystemClock))?;
    let ledger = Arc::new(ledger);
    for nonce in 0..senders {
        let action = Action::Deposit { account: key(nonce)?.address(), amount_wei: 1 << 60 };
        ledger.submit(bank.sign(&domain, u64::from(nonce), &action)).await?;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/transactions", listener.local_addr()?);
    let limits = Limits { requests_per_second: 1_000_000, ..Limits::default() };
    let (served, place) = (Arc::clone(&ledger), folder.path().to_owned());
    tokio::spawn(async move {
        serve(served, &place, listener, limits, axum::Router::new(), std::future::pending()).await
    });
    let before = resident_bytes();
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for number in 0..senders {
        tasks.push(tokio::spawn(sender(url.clone(), key(number)?, domain, until)));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let at =
        |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or(0.0);
    println!(
        "{} transactions of {senders} senders in {elapsed:.1} s: {:.0}/s; ms p50 {:.1}, p99 {:.1}, most {:.1}",
        latencies.len(),
        latencies.len() as f64 / elapsed,
        at(0.5),
        at(0.99),
        at(0.999_999),
    );
    let grown = resident_bytes().saturating_sub(before);
    println!("memory grew by {:.0} bytes a transaction", grown as f64 / latencies.len() as f64);
    let begun = Instant::now();
    let client = HttpLedger::connect(url.trim_end_matches("/v1/transactions"), None).await?;
    let height = client.view().await?.height;
    println!("a client reads and checks {height} in {:.1} s", begun.elapsed().as_secs_f64());
    let first = client.events_after(0, 1).await?;
    assert_eq!(first.first().map(|receipt| receipt.height), Some(1), "the first receipt is lost");
    Ok(())
}
