//! The loop of a daemon: a turn at every change, at every deadline, and after every outage.

use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Health, HttpLedger};
use crate::{Ledger as _, LedgerError};

/// Pauses while the ledger is not reached: short, for clocks run on.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// An outage that lasts is told again this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Whether a line about an outage is due: at its beginning, then every minute.
pub fn is_due(told: &mut Option<Instant>) -> bool {
    let due = told.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
    if due {
        *told = Some(Instant::now());
    }
    due
}

/// Takes turns until `stop` is over. A turn says at which height it looked and when to look again
/// though nothing happens; `news` wakes it as well. A ledger that is not reached is waited for, and `health`
/// says so.
///
/// # Errors
/// When the ledger cannot be believed any more, or this machine failed.
pub async fn attend(
    ledger: &HttpLedger,
    news: &Notify,
    health: &Health,
    stop: impl Future<Output = ()>,
    mut turn: impl AsyncFnMut() -> Result<(u64, Duration), LedgerError>,
) -> Result<(), LedgerError> {
    let mut stop = std::pin::pin!(stop);
    let (mut pause, mut told) = (PAUSE_MIN, None);
    loop {
        let (height, wait) = match turn().await {
            Ok(looked) => looked,
            Err(LedgerError::Unreachable { url, reason }) => {
                metrics::counter!("rebut_unreachable_total").increment(1);
                health.reached(false);
                if is_due(&mut told) {
                    tracing::warn!(event = "ledger.unreachable", %url, %reason, "waiting for it");
                }
                tokio::select! {
                    () = &mut stop => return Ok(()),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
            Err(error) => return Err(error),
        };
        if told.take().is_some() {
            tracing::info!(event = "ledger.reached", "it is there again");
        }
        health.reached(true);
        pause = PAUSE_MIN;
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = news.notified() => {}
            () = tokio::time::sleep(wait) => {}
            // A ledger that went away meanwhile is met by the next turn.
            _ = ledger.wait_beyond(height) => {}
        }
    }
}
