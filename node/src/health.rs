//! Health of a daemon: for those who restart it, send it work, or watch it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::{Value, json};

/// Prints the metrics.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Looks in a row at which something failed before it is told: others may have acted first now and then.
const HINDERED_LOOKS: u32 = 5;

/// A daemon that looked longer ago than this is not ready.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// Health of a daemon.
#[derive(Debug, Default)]
pub struct Health {
    /// What it does not check, a line each.
    unchecked: Mutex<Vec<String>>,
    /// What it cannot afford; nothing when it can.
    money: Mutex<Option<String>>,
    /// What it tries and cannot do, by its words without their numbers.
    hindered: Mutex<BTreeMap<String, Hindrance>>,
    /// What it last said of itself.
    status: Mutex<Value>,
    looked_ms: AtomicU64,
    arithmetic_failed: AtomicBool,
    worker_gone: AtomicBool,
    no_process: AtomicBool,
    unreached: AtomicBool,
}

/// Something that is tried in vain.
#[derive(Debug, Default)]
struct Hindrance {
    /// Looks in a row at which that was so.
    looks: u32,
    /// As it was last said.
    line: String,
}

/// What stays the same of a line while times and amounts in it change.
fn without_digits(line: &str) -> String {
    line.chars().filter(|one| !one.is_ascii_digit()).collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Health {
    /// The ledger was looked at.
    pub fn looked(&self) {
        let at_ms = now_ms();
        self.looked_ms.store(at_ms, Ordering::Relaxed);
        metrics::gauge!("rebut_last_look_seconds").set((at_ms / 1_000) as f64);
        metrics::counter!("rebut_looks_total").increment(1);
    }

    /// A self-test ended. Once one failed, nothing mends it but another machine.
    pub fn tested(&self, passed: bool) {
        if !passed {
            self.arithmetic_failed.store(true, Ordering::Relaxed);
        }
        metrics::gauge!("rebut_self_test_ok").set(f64::from(u8::from(self.may_stake())));
    }

    /// The thread that runs models died.
    pub fn worker_gone(&self) {
        self.worker_gone.store(true, Ordering::Relaxed);
    }

    /// Whether the process for runs could not be started when it was last tried.
    pub fn no_process(&self, is_missing: bool) {
        self.no_process.store(is_missing, Ordering::Relaxed);
    }

    /// Whether the ledger was reached when it was last asked.
    pub fn reached(&self, is_reached: bool) {
        self.unreached.store(!is_reached, Ordering::Relaxed);
    }

    /// Whether money may be put on what this machine computes.
    pub fn may_stake(&self) -> bool {
        !self.arithmetic_failed.load(Ordering::Relaxed)
    }

    /// What is not checked now, a line each.
    pub fn unchecked(&self, lines: &[String]) {
        let mut kept = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_slice() != lines {
            *kept = lines.to_vec();
        }
    }

    /// What the account's money does not reach for, told once each time that it begins.
    pub fn money(&self, missing: Option<String>) {
        let mut kept = self.money.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(text)) = (kept.as_ref(), &missing) {
            tracing::warn!(event = "money.missing", "{text}");
        }
        *kept = missing;
    }

    /// What it tried at this look and could not do, a line each: moves that the ledger refuses, moves that
    /// cannot be made. What stays so is an alarm.
    pub fn hindered(&self, lines: &[String]) {
        let mut kept = self.hindered.lock().unwrap_or_else(PoisonError::into_inner);
        // The same thing is one, however often it was tried at this look and whatever the numbers in it are.
        let now: BTreeMap<String, &String> =
            lines.iter().map(|line| (without_digits(line), line)).collect();
        kept.retain(|key, _| now.contains_key(key));
        for (key, line) in now {
            let hindrance = kept.entry(key).or_default();
            (hindrance.looks, hindrance.line) = (hindrance.looks.saturating_add(1), line.clone());
            if hindrance.looks == HINDERED_LOOKS {
                tracing::error!(event = "hindered", "tried again and again in vain: {line}");
            }
        }
        let lasting = kept.values().filter(|one| one.looks >= HINDERED_LOOKS).count();
        metrics::gauge!("rebut_hindered").set(lasting as f64);
    }

    fn lasting(&self) -> Vec<String> {
        let kept = self.hindered.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = kept.values().filter(|one| one.looks >= HINDERED_LOOKS);
        lasting.map(|one| one.line.clone()).collect()
    }

    /// What the daemon says of itself from now on, at `/v1/status`.
    pub fn say(&self, status: Value) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn said(&self) -> Value {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if status.is_null() {
            status = json!({});
        }
        status["schema"] = json!(1);
        status["ready"] = json!(self.trouble().is_none());
        status["trouble"] = json!(self.trouble());
        status["hindered"] = json!(self.lasting());
        status["money_missing"] = json!(*self.money.lock().unwrap_or_else(PoisonError::into_inner));
        status
    }

    /// Answer for those who send work: ready, and what is not checked all the same.
    fn readiness(&self) -> String {
        let unchecked = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = "ready\n".to_owned();
        if let Some(missing) = &*self.money.lock().unwrap_or_else(PoisonError::into_inner) {
            text.push_str(&format!("NO MONEY: {missing}\n"));
        }
        for line in self.lasting().iter().take(20) {
            text.push_str(&format!("HINDERED: {line}\n"));
        }
        if !unchecked.is_empty() {
            text.push_str(&format!("NOT CHECKED: {} standing claims\n", unchecked.len()));
            for line in unchecked.iter().take(20) {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }

    /// Why it is not ready; `None` when it is.
    pub fn trouble(&self) -> Option<&'static str> {
        let silent_ms = now_ms().saturating_sub(self.looked_ms.load(Ordering::Relaxed));
        if !self.may_stake() {
            return Some("the self-test failed: this machine does not compute what the law says");
        }
        if self.worker_gone.load(Ordering::Relaxed) {
            return Some("the thread that runs models died; restart this process");
        }
        if self.no_process.load(Ordering::Relaxed) {
            return Some(
                "no process for runs can be started: look for cannot_run in the log, and at \
                 --run-memory-bytes",
            );
        }
        if self.unreached.load(Ordering::Relaxed) {
            return Some("the ledger is not reached; this process waits for it");
        }
        (u128::from(silent_ms) > LOOK_MAX.as_millis()).then_some(
            "no look at the ledger for a minute: its transfers take too long, or it hangs",
        )
    }
}

/// `/healthz`, `/readyz`, `/v1/status` and `/metrics`.
pub fn health_routes(health: Arc<Health>, render: Render) -> Router {
    let status = Arc::clone(&health);
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/v1/status", get(async move || axum::Json(status.said())))
        .route(
            "/readyz",
            get(async move || match health.trouble() {
                None => (StatusCode::OK, health.readiness()),
                Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
            }),
        )
        .merge(metrics_route(render))
}

/// `/metrics`, in Prometheus' text format.
pub fn metrics_route(render: Render) -> Router {
    let text = "text/plain; version=0.0.4; charset=utf-8";
    Router::new().route(
        "/metrics",
        get(async move || ([(header::CONTENT_TYPE, text)], render()).into_response()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_at_look_after_look_is_told_until_it_ends() {
        let health = Health::default();
        let line = "post-claim (the job is open): not bound".to_owned();
        for look in 1..=HINDERED_LOOKS {
            assert!(health.lasting().is_empty(), "look {look}");
            // A server that says another time each time does not make it another thing.
            let other = format!("{line}: too late by {look} ms");
            health.hindered(&[line.clone(), line.clone(), other]);
        }
        assert_eq!(health.lasting().len(), 2);
        health.hindered(std::slice::from_ref(&line));
        assert_eq!(health.lasting(), std::slice::from_ref(&line));
        assert!(health.readiness().contains("HINDERED: post-claim"));
        assert_eq!(health.said()["hindered"], json!([line]));
        health.looked();
        assert_eq!(health.trouble(), None);
        health.no_process(true);
        assert!(health.trouble().unwrap().contains("--run-memory-bytes"));
        health.no_process(false);
        assert_eq!(health.trouble(), None);
        health.reached(false);
        assert!(health.trouble().unwrap().contains("not reached"));
        health.reached(true);
        assert_eq!(health.trouble(), None);
        // Once it succeeds or is not tried any more, it begins anew.
        health.hindered(&[]);
        assert!(health.lasting().is_empty());
        health.hindered(std::slice::from_ref(&line));
        assert!(health.lasting().is_empty());
    }
}
