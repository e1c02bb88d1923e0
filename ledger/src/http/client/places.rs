//! Places of this process among a server's connections.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use protocol::hash::to_hex;
use protocol::transaction::Key;

use super::refusal::said;
use super::{HttpLedger, PATIENCE, unreachable};
use crate::LedgerError;
use crate::http::SIGNATURE_HEADER;
use crate::http::places::PLACE_TIME_MAX;

/// Time between two requests for a place.
const PLACE_EVERY: Duration = Duration::from_secs(60);
/// The same, after one that failed.
const PLACE_AGAIN: Duration = Duration::from_secs(5);

impl HttpLedger {
    /// Asks that the server keep this address's connections when it has too many, for a key's account: at the first
    /// call, and once a minute; after it failed, again after seconds.
    pub(super) async fn renew_place(&self, key: &Key) -> Result<(), LedgerError> {
        let (account, now) = (key.address(), Instant::now());
        // Times only: whatever a panic left is as good.
        let places = || self.places.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut places = places();
            if places.get(&account).is_some_and(|again_at| now < *again_at) {
                return Ok(());
            }
            places.insert(account, now + PLACE_EVERY);
        }
        let asked = self.ask_for_place(key).await;
        if asked.is_err() {
            places().insert(account, now + PLACE_AGAIN);
        }
        asked
    }

    async fn ask_for_place(&self, key: &Key) -> Result<(), LedgerError> {
        let (account, now_ms) = (key.address(), self.copy.lock().await.now_ms());
        let time_ms = u64::try_from((PLACE_TIME_MAX / 2).as_millis()).unwrap_or(0);
        let until_ms = now_ms.saturating_add(time_ms);
        let digest = self.genesis.domain().place_digest(account, until_ms);
        let url = format!("{}/v1/places/{account}?until_ms={until_ms}", self.url);
        let request = self.client.put(url).timeout(PATIENCE);
        let sent = request.header(SIGNATURE_HEADER, to_hex(&key.sign_digest(&digest))).send().await;
        let answer = sent.map_err(|error| unreachable(&self.url, &error))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            reqwest::StatusCode::SERVICE_UNAVAILABLE | reqwest::StatusCode::TOO_MANY_REQUESTS => {
                Err(LedgerError::Busy { reason: said(answer).await })
            }
            _ => Err(LedgerError::Unusable { reason: said(answer).await }),
        }
    }
}
