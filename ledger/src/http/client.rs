//! A ledger over HTTP as its clients see it: a copy of the log, applied by the protocol's own rules.

mod heads;
mod kept;
mod places;
mod refusal;
mod transfers;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use protocol::encoding::Canonical as _;
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Settlement};
use protocol::transaction::{Address, Key, SignedTransaction};
use tokio::sync::{Mutex, Semaphore};

use super::LogPage;
use super::quota::AT_ONCE_MAX;
use crate::log::{LogEntry, beginning, replay, replay_receipts};
use crate::payments::{Paid, Payments};
use crate::recent::Recent;
use crate::store::link;
use crate::{Ledger, LedgerError, Receipt, View, wire};

pub use heads::{fetch_genesis, fetch_head, read_head};
use kept::Heads;
use refusal::{Checks, refused, said, why_refused};
pub use transfers::{DownloadError, UploadError};

/// Time for one request beyond what a long poll waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a long poll asks for.
const POLL_MS: u64 = 15_000;
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = wire::ENVELOPE_BYTES_MAX;

/// The copy of the log and what follows from it.
struct Copy {
    settlement: Arc<Settlement>,
    /// The last transactions with their receipts.
    recent: Recent<(Vec<u8>, Receipt)>,
    payments: Payments,
    /// The hashes that chain the genesis and every transaction, by height: what a server signed is held against them.
    chains: Vec<[u8; 32]>,
    /// The server's clock, and when it was heard.
    clock: (u64, Instant),
}

/// A ledger at a URL.
pub struct HttpLedger {
    url: String,
    client: reqwest::Client,
    genesis: Genesis,
    copy: Mutex<Copy>,
    upload_bytes_max: OnceLock<u64>,
    uploads: Semaphore,
    checks: std::sync::Mutex<Checks>,
    heads: Mutex<Heads>,
    /// When each account asks for a place again.
    places: std::sync::Mutex<HashMap<Address, Instant>>,
}

impl fmt::Debug for HttpLedger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpLedger").field("url", &self.url).finish_non_exhaustive()
    }
}

/// An error with its causes: "error sending request" alone says nothing.
pub fn chain_of_causes(error: &dyn std::error::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    reason
}

fn unreachable(url: &str, error: &reqwest::Error) -> LedgerError {
    LedgerError::Unreachable { url: url.to_owned(), reason: chain_of_causes(error) }
}

impl HttpLedger {
    /// Connects, and reads the genesis.
    ///
    /// With `expected`, another ledger at the same address is refused: give the genesis hash that the
    /// ledger's operator published.
    ///
    /// # Errors
    /// When the server is not reached or is not the expected ledger.
    pub async fn connect(url: &str, expected: Option<Digest>) -> Result<Self, LedgerError> {
        let url = url.trim_end_matches('/').to_owned();
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| unreachable(&url, &error))?;
        let bytes = get(&client, &url, "/v1/genesis", PATIENCE).await?;
        let unusable = |reason: String| LedgerError::Unusable { reason };
        let genesis = Genesis::from_canonical(&bytes)
            .map_err(|error| unusable(format!("{url} gave no genesis: {error}")))?;
        if let Some(expected) = expected.filter(|expected| *expected != genesis.root()) {
            let found = genesis.root();
            return Err(unusable(format!("{url} is the ledger {found}, not {expected}")));
        }
        let copy = Copy {
            settlement: Arc::new(beginning(&genesis)?),
            recent: Recent::default(),
            payments: Payments::default(),
            chains: vec![link(&[0; 32], &genesis.to_canonical())],
            clock: (0, Instant::now()),
        };
        let (copy, upload_bytes_max) = (Mutex::new(copy), OnceLock::new());
        // One fewer than a server takes of one account at a time: another process may have the same key.
        let uploads = Semaphore::new(AT_ONCE_MAX - 1);
        let (checks, heads) = (std::sync::Mutex::default(), Mutex::default());
        let places = std::sync::Mutex::default();
        let ledger =
            Self { url, client, genesis, copy, upload_bytes_max, uploads, checks, heads, places };
        ledger.sync(0).await?;
        Ok(ledger)
    }

    /// Whether a refusal is asked of the rules now: the first, one in each second of many, and for a while each
    /// after one that the rules do not have.
    fn must_check(&self) -> bool {
        let mut checks = self.checks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        checks.is_due(Instant::now())
    }

    fn note_false_refusal(&self) {
        let mut checks = self.checks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        checks.false_one = Some(Instant::now());
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// What an account put in and took out, as far as this client has seen the log.
    pub async fn paid(&self, account: &Address) -> Paid {
        self.copy.lock().await.payments.of(account)
    }

    /// The log up to the height that this client has seen, read again from the server.
    ///
    /// # Errors
    /// When the server is not reached or gives less.
    pub async fn entries(&self) -> Result<Vec<LogEntry>, LedgerError> {
        let height = self.copy.lock().await.recent.height();
        self.entries_until(height).await
    }

    async fn entries_until(&self, height: u64) -> Result<Vec<LogEntry>, LedgerError> {
        let mut entries: Vec<LogEntry> = Vec::new();
        while (entries.len() as u64) < height {
            let page = self.page(entries.len() as u64, 0).await?;
            if page.entries.is_empty() {
                let reason = format!("{} withholds a part of its log", self.url);
                return Err(LedgerError::Unusable { reason });
            }
            entries.extend(page.entries);
        }
        entries.truncate(usize::try_from(height).unwrap_or(usize::MAX));
        Ok(entries)
    }

    async fn page(&self, after: u64, wait_ms: u64) -> Result<LogPage, LedgerError> {
        let path = format!("/v1/log?after={after}&wait_ms={wait_ms}");
        let patience = PATIENCE + Duration::from_millis(wait_ms);
        let bytes = get(&self.client, &self.url, &path, patience).await?;
        wire::decode(&bytes).map_err(|error| LedgerError::Unusable { reason: error.to_string() })
    }

    /// Fetches and applies what is new; waits `wait_ms` for it at most.
    async fn sync(&self, wait_ms: u64) -> Result<(), LedgerError> {
        loop {
            let after = self.copy.lock().await.recent.height();
            let page = self.page(after, wait_ms).await?;
            let unusable = |reason: String| LedgerError::Unusable { reason };
            let mut copy = self.copy.lock().await;
            let (height, got) = (page.height, page.entries.len());
            if height < after {
                drop(copy);
                // Another one that was begun at the same address, or the same with less?
                let bytes = get(&self.client, &self.url, "/v1/genesis", PATIENCE).await?;
                let found = Genesis::from_canonical(&bytes).map(|genesis| genesis.root());
                if let Ok(found) = found
                    && found != self.genesis.root()
                {
                    return Err(unusable(format!(
                        "{} is the ledger {found} now, not {}: another one was started there; restart \
                         this process for it, or name the old one's address",
                        self.url,
                        self.genesis.root()
                    )));
                }
                return Err(unusable(format!(
                    "{} has {height} transactions and had {after}: it lost a part of its log, which \
                     nobody may build upon; bring back its folder from before",
                    self.url
                )));
            }
            copy.apply(after, page)?;
            if copy.recent.height() >= height {
                drop(copy);
                return self.hear_head().await;
            }
            if got == 0 {
                return Err(unusable(format!("{} withholds a part of its log", self.url)));
            }
        }
    }
}

impl Copy {
    fn apply(&mut self, after: u64, page: LogPage) -> Result<(), LedgerError> {
        self.clock = (page.now_ms, Instant::now());
        // Another task of ours may have been faster: skip what is known.
        let known =
            usize::try_from(self.recent.height().saturating_sub(after)).unwrap_or(usize::MAX);
        for entry in page.entries.into_iter().skip(known) {
            let events = entry.apply(Arc::make_mut(&mut self.settlement));
            let events = events.map_err(|error| LedgerError::Unusable {
                reason: format!("entry {} of the server's log: {error}", self.recent.height()),
            })?;
            let content = wire::encode(&entry)
                .map_err(|error| LedgerError::Unusable { reason: error.to_string() })?;
            let before = self.chains.last().copied().unwrap_or_default();
            self.chains.push(link(&before, &content));
            self.payments.see(&events);
            let height = self.recent.height() + 1;
            self.recent.push((entry.transaction, Receipt { height, at_ms: entry.at_ms, events }));
        }
        Ok(())
    }

    /// The hash that chains the log up to a height; `None` where that is not reached.
    fn chain(&self, height: u64) -> Option<Digest> {
        usize::try_from(height).ok().and_then(|height| self.chains.get(height)).copied().map(Digest)
    }

    fn now_ms(&self) -> u64 {
        let (now_ms, heard) = self.clock;
        let since = u64::try_from(heard.elapsed().as_millis()).unwrap_or(u64::MAX);
        now_ms.saturating_add(since).max(self.settlement.now_ms())
    }

    fn view(&self) -> View {
        View {
            height: self.recent.height(),
            now_ms: self.now_ms(),
            settlement: Arc::clone(&self.settlement),
        }
    }
}

async fn get(
    client: &reqwest::Client,
    url: &str,
    path: &str,
    patience: Duration,
) -> Result<Vec<u8>, LedgerError> {
    get_limited(client, url, path, patience, ANSWER_BYTES_MAX).await
}

async fn get_limited(
    client: &reqwest::Client,
    url: &str,
    path: &str,
    patience: Duration,
    limit: usize,
) -> Result<Vec<u8>, LedgerError> {
    let answer = answered(client, url, path, patience).await?;
    whole(answer, url, path, limit).await
}

async fn answered(
    client: &reqwest::Client,
    url: &str,
    path: &str,
    patience: Duration,
) -> Result<reqwest::Response, LedgerError> {
    let sent = client.get(format!("{url}{path}")).timeout(patience).send().await;
    sent.map_err(|error| unreachable(url, &error))
}

async fn whole(
    mut answer: reqwest::Response,
    url: &str,
    path: &str,
    limit: usize,
) -> Result<Vec<u8>, LedgerError> {
    let fail = |error: reqwest::Error| unreachable(url, &error);
    if !answer.status().is_success() {
        return Err(LedgerError::Unreachable { url: url.to_owned(), reason: said(answer).await });
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(fail)? {
        if bytes.len() + part.len() > limit {
            let reason = format!("{url}{path} is longer than {limit} bytes");
            return Err(LedgerError::Unusable { reason });
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

#[async_trait]
impl Ledger for HttpLedger {
    async fn submit(&self, transaction: SignedTransaction) -> Result<Receipt, LedgerError> {
        let request =
            self.client.post(format!("{}/v1/transactions", self.url)).timeout(3 * PATIENCE);
        let sent = request.body(transaction.to_canonical()).send().await;
        let answer = sent.map_err(|error| unreachable(&self.url, &error))?;
        let status = answer.status();
        if !status.is_success() && status != reqwest::StatusCode::UNPROCESSABLE_ENTITY {
            let (url, reason) = (self.url.clone(), said(answer).await);
            return Err(match status {
                reqwest::StatusCode::SERVICE_UNAVAILABLE
                | reqwest::StatusCode::TOO_MANY_REQUESTS => LedgerError::Busy { reason },
                _ => LedgerError::Unreachable { url, reason },
            });
        }
        let said = if status.is_success() { None } else { Some(refused(answer).await) };
        // What the server says is checked against what it wrote.
        self.sync(0).await?;
        let copy = self.copy.lock().await;
        // Sent a second time after a lost answer, it is there already: that is its receipt.
        let encoded = transaction.to_canonical();
        let found = copy.recent.find_last(|(transaction, _)| *transaction == encoded);
        if let Some((_, receipt)) = found {
            return Ok(receipt.clone());
        }
        Err(match said {
            Some(said) => {
                let state = (copy.settlement.as_ref(), copy.now_ms());
                let error = why_refused(&self.url, state, &transaction, said, self.must_check());
                if error.is_away() {
                    self.note_false_refusal();
                }
                error
            }
            None => LedgerError::Unusable {
                reason: format!("{} acknowledged a transaction and does not show it", self.url),
            },
        })
    }

    async fn keep_place(&self, key: &Key) -> Result<(), LedgerError> {
        self.renew_place(key).await
    }

    async fn view(&self) -> Result<View, LedgerError> {
        self.sync(0).await?;
        Ok(self.copy.lock().await.view())
    }

    async fn view_at(&self, height: u64) -> Result<View, LedgerError> {
        if self.copy.lock().await.recent.height() < height {
            self.sync(0).await?;
        }
        if self.copy.lock().await.recent.height() < height {
            let reason = format!("height {height} is not reached");
            return Err(LedgerError::Unusable { reason });
        }
        let entries = self.entries_until(height).await?;
        let settlement = Arc::new(replay(&self.genesis, &entries)?);
        Ok(View { height, now_ms: settlement.now_ms(), settlement })
    }

    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Receipt>, LedgerError> {
        self.sync(0).await?;
        let (recent, height) = {
            let copy = self.copy.lock().await;
            (copy.recent.after(after, limit), copy.recent.height())
        };
        if let Some(recent) = recent {
            return Ok(recent.into_iter().map(|(_, receipt)| receipt).collect());
        }
        // From long ago: the log is read and applied again.
        let end = height.min(after.saturating_add(limit as u64));
        let entries = self.entries_until(end).await?;
        let first = usize::try_from(after).unwrap_or(usize::MAX);
        let all = replay_receipts(&self.genesis, &entries)?;
        Ok(all.into_iter().skip(first).collect())
    }

    async fn wait_beyond(&self, height: u64) -> Result<(), LedgerError> {
        while self.copy.lock().await.recent.height() <= height {
            self.sync(POLL_MS).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::settlement::Parameters;
    use protocol::transaction::{Action, Domain, Key};

    /// Of a server's log that has one entry, a deposit of five wei at 10 ms, a second one that the rules do not make.
    fn false_entries(genesis: &Genesis) -> Vec<(&'static str, LogEntry)> {
        let (bank, other) = (key(1), key(2));
        let five = Action::Deposit { account: bank.address(), amount_wei: 5 };
        let entry = |at_ms, transaction: SignedTransaction| {
            let transaction = transaction.to_canonical();
            LogEntry { at_ms, transaction }
        };
        let domain = genesis.domain();
        let good = |nonce| bank.sign(&domain, nonce, &five);
        let foreign = Domain { chain_id: 2, ..domain };
        let six = Action::Deposit { account: bank.address(), amount_wei: 6 }.to_canonical();
        let withdrawn = bank.sign(&domain, 1, &Action::Withdraw { amount_wei: 6 });
        vec![
            (
                "signed by nobody",
                entry(10, SignedTransaction { sender: other.address(), nonce: 0, ..good(1) }),
            ),
            ("with another amount", entry(10, SignedTransaction { action: six, ..good(1) })),
            ("signed for another ledger", entry(10, bank.sign(&foreign, 1, &five))),
            ("a second time", entry(10, good(0))),
            ("before another of its sender", entry(10, good(2))),
            ("at an earlier time", entry(9, good(1))),
            ("of money that is not there", entry(10, withdrawn)),
            ("of no bytes", LogEntry { at_ms: 10, transaction: Vec::new() }),
        ]
    }

    fn key(number: u8) -> Key {
        Key::from_secret(&[number; 32]).unwrap()
    }

    #[test]
    fn audit_a10_a_log_that_the_rules_do_not_make_is_not_applied() {
        let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
        let (salt, bank) = (Digest::default(), key(1).address());
        let genesis = Genesis { chain_id: 1, salt, begun_ms: 0, bank, parameters };
        let mut copy = Copy {
            settlement: Arc::new(beginning(&genesis).unwrap()),
            recent: Recent::default(),
            payments: Payments::default(),
            chains: vec![[0; 32]],
            clock: (0, Instant::now()),
        };
        let page = |entry: LogEntry, height| LogPage { now_ms: 10, height, entries: vec![entry] };
        let deposit = |nonce| {
            let action = Action::Deposit { account: bank, amount_wei: 5 };
            let transaction = key(1).sign(&genesis.domain(), nonce, &action).to_canonical();
            LogEntry { at_ms: 10, transaction }
        };
        copy.apply(0, page(deposit(0), 1)).unwrap();
        for (what, entry) in false_entries(&genesis) {
            let error = copy.apply(1, page(entry, 2)).unwrap_err().to_string();
            assert!(error.contains("entry 1 of the server's log"), "{what}: {error}");
            let known = (copy.recent.height(), copy.settlement.money().deposited_wei());
            assert_eq!(known, (1, 5), "{what}");
        }
        copy.apply(1, page(deposit(1), 2)).unwrap();
        assert_eq!(copy.settlement.money().deposited_wei(), 10);
    }

    #[test]
    fn one_reason_in_a_second_is_checked_and_each_for_a_minute_after_a_false_one() {
        let (mut checks, start) = (Checks::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let due: Vec<bool> = [0, 10, 999, 1_000, 1_500].map(|ms| checks.is_due(at(ms))).into();
        assert_eq!(due, [true, false, false, true, false]);
        checks.false_one = Some(at(2_000));
        let due: Vec<bool> =
            [2_001, 2_002, 61_999, 62_100, 62_200].map(|ms| checks.is_due(at(ms))).into();
        assert_eq!(due, [true, true, true, false, false]);
    }
}
