//! The loop of a daemon: a turn at every change, at every deadline, and after every outage.

use std::time::{Duration, Instant};

use ledger::http::HttpLedger;
use ledger::{Ledger as _, LedgerError};
use tokio::sync::Notify;

use crate::health::Health;

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

/// While a transfer is under way, the ledger is looked at this often.
const MEANWHILE: Duration = Duration::from_millis(500);

/// Waits for a transfer, and looks meanwhile: a slow or flooded link must not eat a clock. `look` moves, and
/// says whether something more urgent came up: the transfer is dropped then, and there is `None` of it. A look
/// that fails because the ledger is not reached is counted and made again; what has come so far stays.
///
/// # Errors
/// When the ledger cannot be believed any more, or this machine failed.
pub async fn meanwhile<T>(
    health: &Health,
    transfer: impl Future<Output = T>,
    mut look: impl AsyncFnMut() -> Result<bool, LedgerError>,
) -> Result<Option<T>, LedgerError> {
    let mut transfer = std::pin::pin!(transfer);
    let mut told = None;
    loop {
        tokio::select! {
            done = &mut transfer => return Ok(Some(done)),
            () = tokio::time::sleep(MEANWHILE) => {}
        }
        // It goes on while the look waits for an answer.
        let (mut looked, mut ended) = (std::pin::pin!(look()), None);
        let looked = loop {
            tokio::select! {
                looked = &mut looked => break looked,
                done = &mut transfer, if ended.is_none() => ended = Some(done),
            }
        };
        match looked {
            Ok(is_pressed) => {
                health.looked();
                health.reached(true);
                if is_pressed && ended.is_none() {
                    #[cfg(test)]
                    cov_mark::hit!(transfer_gives_way);
                    return Ok(None);
                }
            }
            Err(error) if error.is_away() => {
                #[cfg(test)]
                cov_mark::hit!(look_reached_nobody);
                metrics::counter!("rebut_unreachable_total").increment(1);
                health.reached(false);
                if is_due(&mut told) {
                    tracing::warn!(event = "ledger.unreachable", %error, "while a state is on the way");
                }
            }
            Err(error) => return Err(error),
        }
        if ended.is_some() {
            #[cfg(test)]
            cov_mark::hit!(transfer_ended_during_a_look);
            return Ok(ended);
        }
    }
}

/// Takes turns until `stop` is over. A turn says at which height it looked and when to look again
/// though nothing happens; `wake_ups` wakes it as well. A ledger that is not reached is waited for, and `health`
/// says so.
///
/// # Errors
/// When the ledger cannot be believed any more, or this machine failed.
pub async fn take_turns(
    ledger: &HttpLedger,
    wake_ups: &Notify,
    health: &Health,
    stop: impl Future<Output = ()>,
    mut turn: impl AsyncFnMut() -> Result<(u64, Duration), LedgerError>,
) -> Result<(), LedgerError> {
    let mut stop = std::pin::pin!(stop);
    let (mut pause, mut told) = (PAUSE_MIN, None);
    loop {
        let (height, wait) = match turn().await {
            Ok(looked) => looked,
            Err(error) if error.is_away() => {
                metrics::counter!("rebut_unreachable_total").increment(1);
                health.reached(false);
                if is_due(&mut told) {
                    tracing::warn!(event = "ledger.unreachable", %error, "waiting for it");
                }
                tokio::select! {
                    () = &mut stop => return Ok(()),
                    () = tokio::time::sleep(pause) => {}
                }
                #[cfg(test)]
                cov_mark::hit!(turn_reached_nobody);
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
            Err(error) => return Err(error),
        };
        if told.take().is_some() {
            #[cfg(test)]
            cov_mark::hit!(ledger_is_there_again);
            tracing::info!(event = "ledger.reached", "it is there again");
        }
        health.reached(true);
        pause = PAUSE_MIN;
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = wake_ups.notified() => {}
            () = tokio::time::sleep(wait) => {}
            // A ledger that went away meanwhile is met by the next turn.
            _ = ledger.wait_beyond(height) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> LedgerError {
        LedgerError::Unreachable { url: "http://a".to_owned(), reason: "busy".to_owned() }
    }

    #[tokio::test]
    async fn a_transfer_goes_on_while_looks_fail_and_ends_for_what_is_more_urgent() {
        cov_mark::check!(look_reached_nobody);
        cov_mark::check!(transfer_gives_way);
        let health = Health::default();
        let slow = || async {
            tokio::time::sleep(MEANWHILE * 5 / 2).await;
            7
        };
        let mut looks = 0;
        let done = meanwhile(&health, slow(), async || {
            looks += 1;
            if looks == 1 { Err(away()) } else { Ok(false) }
        });
        assert_eq!((done.await, looks), (Ok(Some(7)), 2));
        assert_eq!(health.trouble(), None);
        let dropped = meanwhile(&health, slow(), async || Ok(true)).await;
        assert_eq!(dropped, Ok(None));
        let failed = meanwhile(&health, slow(), async || Err(LedgerError::Stopped)).await;
        assert_eq!(failed, Err(LedgerError::Stopped));
        let last = meanwhile(&health, slow(), async || Err(away())).await;
        assert_eq!(last, Ok(Some(7)));
        assert!(health.trouble().is_some_and(|why| why.contains("not reached")));
    }

    #[tokio::test]
    async fn a_transfer_that_ends_while_a_look_waits_is_kept_though_the_look_is_pressed() {
        cov_mark::check!(transfer_ended_during_a_look);
        let health = Health::default();
        let transfer = tokio::time::sleep(MEANWHILE * 3 / 2);
        let done = meanwhile(&health, transfer, async || {
            tokio::time::sleep(MEANWHILE * 2).await;
            Ok(true)
        });
        assert_eq!(done.await, Ok(Some(())));
    }

    #[tokio::test]
    async fn turns_go_on_after_an_outage_and_end_with_a_ledger_that_cannot_be_believed() {
        cov_mark::check!(turn_reached_nobody);
        cov_mark::check!(ledger_is_there_again);
        let folder = tempfile::tempdir().unwrap();
        let bank = protocol::transaction::Key::from_secret(&[1; 32]).unwrap();
        let genesis = protocol::settlement::Genesis {
            chain_id: 1,
            salt: protocol::hash::Digest::default(),
            begun_ms: 0,
            bank: bank.address(),
            parameters: protocol::settlement::Parameters::default(),
        };
        let clock = std::sync::Arc::new(ledger::SystemClock);
        let served = ledger::EmbeddedLedger::open(folder.path(), genesis, clock).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (path, limits) = (folder.path().to_owned(), ledger::http::Limits::default());
        tokio::spawn(async move {
            let served = std::sync::Arc::new(served);
            let for_ever = std::future::pending();
            ledger::http::serve(served, &path, listener, limits, axum::Router::new(), for_ever)
                .await
        });
        let ledger = HttpLedger::connect(&url, None).await.unwrap();
        let (health, wake_ups, stop) = (Health::default(), Notify::new(), Notify::new());
        let mut troubles = Vec::new();
        let turn = async || {
            health.looked();
            troubles.push(health.trouble().is_some());
            match troubles.len() {
                1 | 2 => return Err(away()),
                3 => {}
                _ => stop.notify_one(),
            }
            Ok((0, PAUSE_MIN))
        };
        let ended = take_turns(&ledger, &wake_ups, &health, stop.notified(), turn).await;
        assert_eq!(ended, Ok(()));
        // Two turns met nobody, which the second and the third still found said.
        assert_eq!(troubles, [false, true, true, false]);
        let turn = async || Err(LedgerError::Stopped);
        let ended = take_turns(&ledger, &wake_ups, &health, stop.notified(), turn).await;
        assert_eq!(ended, Err(LedgerError::Stopped));
    }
}
