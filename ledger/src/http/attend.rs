//! The loop of a daemon: a turn at every change, at every deadline, and after every outage.

use std::time::Duration;

use tokio::sync::Notify;

use super::HttpLedger;
use crate::{Ledger as _, LedgerError};

/// Pauses while the ledger is not reached: short, for clocks run on.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Takes turns until `stop` is over. A turn says at which height it looked and when to look again
/// though nothing happens; `news` wakes it as well. A ledger that is not reached is waited for.
///
/// # Errors
/// When the ledger cannot be believed any more, or this machine failed.
pub async fn attend(
    ledger: &HttpLedger,
    news: &Notify,
    stop: impl Future<Output = ()>,
    mut turn: impl AsyncFnMut() -> Result<(u64, Duration), LedgerError>,
) -> Result<(), LedgerError> {
    let mut stop = std::pin::pin!(stop);
    let mut pause = PAUSE_MIN;
    loop {
        let (height, wait) = match turn().await {
            Ok(looked) => looked,
            Err(LedgerError::Unreachable { url, reason }) => {
                metrics::counter!("rebut_unreachable_total").increment(1);
                tracing::warn!(event = "ledger.unreachable", %url, %reason, "waiting for it");
                tokio::select! {
                    () = &mut stop => return Ok(()),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
            Err(error) => return Err(error),
        };
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
