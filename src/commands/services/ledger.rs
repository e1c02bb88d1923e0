//! `rebut ledger`: serve one, or look at one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ledger::http::{Limits, serve};
use ledger::words;
use ledger::{Clock as _, EmbeddedLedger, Ledger as _, RunningClock, SystemClock};
use node::health::metrics_route;
use node::metrics::Of;
use protocol::encoding::Canonical as _;
use protocol::settlement::Genesis;
use protocol::transaction::Key;
use serde_json::{Value, json};

use super::beginning::{Beginning, beginning, check_dev, refuse_lost_log};
use crate::arguments::{LedgerAction, LedgerAt, LedgerCommand, LedgerList, LedgerServe, Objects};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::print;

pub(crate) fn run(command: &LedgerCommand, as_json: bool) -> Result<Ending, CommandError> {
    match &command.action {
        LedgerAction::Serve(arguments) => serve_ledger(arguments, as_json),
        LedgerAction::Status(at) => show(at, "/v1/status", as_json),
        LedgerAction::Parameters(arguments) => super::parameters::run(arguments, as_json),
        LedgerAction::Audit(arguments) => super::audit::run(arguments, as_json),
        LedgerAction::List(list) => show(&list.at, &list_path(list)?, as_json),
    }
}

/// Where the server has what is to be listed.
fn list_path(list: &LedgerList) -> Result<String, CommandError> {
    let (what, known): (_, &[&str]) = match list.what {
        Objects::Jobs => ("jobs", &words::JOB_STATUSES),
        Objects::Claims => ("claims", &words::CLAIM_STATUSES),
        Objects::Challenges => ("challenges", &words::CHALLENGE_STATUSES),
    };
    let mut path = format!("/v1/{what}?order=newest&skip={}&limit={}", list.skip, list.limit);
    if let Some(status) = &list.status {
        if !known.contains(&status.as_str()) {
            let reason = format!("{what} are {}, not {status}", known.join(", "));
            return Err(CommandError::Argument { argument: "--status", reason });
        }
        path = format!("{path}&status={status}");
    }
    for (name, value) in [("account", &list.account), ("model", &list.model)] {
        if let Some(value) = value {
            let digits = value.strip_prefix("0x").unwrap_or("");
            let length = if name == "account" { 40 } else { 64 };
            if digits.len() != length || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let argument = if name == "account" { "--account" } else { "--model" };
                let reason = format!("{value} is not 0x and {length} digits");
                return Err(CommandError::Argument { argument, reason });
            }
            path = format!("{path}&{name}={value}");
        }
    }
    Ok(path)
}

fn serve_ledger(arguments: &LedgerServe, as_json: bool) -> Result<Ending, CommandError> {
    let beginning = beginning(arguments)?;
    check_dev(arguments, beginning.bank())?;
    let connections = super::process::connections();
    let render = super::daemon::metrics(&[Of::All, Of::Ledger])?;
    super::process::runtime()?.block_on(async {
        // The port first: a start that fails leaves no folder with its preset fixed.
        let listener = tokio::net::TcpListener::bind(arguments.listen).await.map_err(|error| {
            let help = "another process may have it; choose another with --listen";
            system(format!("listening on {}", arguments.listen), format!("{error}; {help}"))
        })?;
        let (ledger, clock) = opened(arguments, beginning).await?;
        let behind_ms = SystemClock.now_ms().saturating_sub(clock.now_ms());
        let signer = head_key(&arguments.folder)?;
        keep_clock(&clock)?;
        let listen = listener.local_addr().map_err(|error| system("the listener", error))?;
        let root = ledger.genesis().root();
        warn(arguments, listen, behind_ms, ledger.genesis().parameters.window_ms_min);
        tracing::info!(event = "ledger.serving", %listen, genesis = %root);
        let url = format!("http://{listen}");
        let address = signer.address().to_string();
        ledger.sign_heads(signer);
        ledger.keep_disk_free(arguments.disk_free_bytes_min);
        let document = json!({
            "service": "ledger", "genesis": root.to_string(), "url": url, "signer": address,
        });
        super::process::started(as_json, &format!("ledger {root} at {url}"), &document)?;
        let ended = Arc::new(AtomicBool::new(false));
        let told = super::process::told_to_stop();
        let stop = stop(Arc::clone(&ledger), Arc::clone(&clock), Arc::clone(&ended), told);
        let limits = Limits {
            connections,
            upload_bytes: arguments.upload_bytes_max,
            account_bytes: arguments.account_bytes_max,
            uploads_bytes: arguments.uploads_bytes_max,
            disk_free_bytes_min: arguments.disk_free_bytes_min,
            proxy: arguments.proxy,
            ..Limits::default()
        };
        let ledger_is_kept = Arc::clone(&ledger);
        let served =
            serve(ledger, &arguments.folder, listener, limits, metrics_route(render), stop).await;
        // However it ended, the clock stands before the ledger writes its last snapshot.
        stand(&clock);
        drop(ledger_is_kept);
        served.map_err(|error| system("the ledger's server", error))?;
        if !ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        let reason = "the ledger stopped after an error, told above; what was acknowledged is on disk \
                      and its clock stands: fix the cause and start it again";
        Err(system(arguments.folder.display().to_string(), reason))
    })?;
    Ok(Ending::Done)
}

/// Opens the ledger of a folder, or begins it; its clock goes on from where ledger and clock stood.
async fn opened(
    arguments: &LedgerServe,
    beginning: Beginning,
) -> Result<(Arc<EmbeddedLedger>, Arc<RunningClock>), CommandError> {
    refuse_lost_log(&arguments.folder)?;
    let genesis = beginning.fixed(&arguments.folder)?;
    let log = arguments.folder.join("log");
    let fail = |error: std::io::Error| system("the ledger's clock", error);
    let clock = RunningClock::open(&arguments.folder.join("clock")).map_err(fail)?;
    let clock = Arc::new(clock);
    let ledger = Arc::new(EmbeddedLedger::open(&log, genesis, Arc::clone(&clock) as Arc<_>)?);
    // It stood while the log was read, for nobody could move.
    let last_ms = ledger.view().await?.now_ms.max(ledger.genesis().begun_ms);
    clock.begin(last_ms).map_err(fail)?;
    Ok((ledger, clock))
}

/// The key that signs the heads of a folder's ledger, made at its first start. It holds no money; who has it can sign
/// heads in the operator's name.
fn head_key(folder: &Path) -> Result<Key, CommandError> {
    super::key::kept_or_new(&folder.join("head.key"))
}

/// Warns of what an operator may not have meant.
fn warn(arguments: &LedgerServe, listen: SocketAddr, behind_ms: u64, window_ms: u64) {
    if !listen.ip().is_loopback() {
        tracing::warn!(event = "ledger.open_listener", %listen,
            "everybody who reaches this address may read and submit; keep it in a private network");
    }
    if behind_ms >= 1_000 {
        tracing::warn!(
            event = "ledger.clock_behind",
            behind_ms,
            "the ledger's clock stood while it was down: its times are behind this machine's"
        );
    }
    if arguments.dev {
        tracing::warn!(
            event = "ledger.dev",
            window_ms,
            "--dev: the bank's key is public knowledge, and claims are final after five seconds; \
             for trying only, no real money"
        );
    }
}

/// Over when the server shall end: told to, or because the ledger takes nothing more. Then its clock stands at once, for
/// a last snapshot may take minutes in which nobody can move, and those who wait get their answers.
async fn stop(
    ledger: Arc<EmbeddedLedger>,
    clock: Arc<RunningClock>,
    ended: Arc<AtomicBool>,
    told: impl Future<Output = ()>,
) {
    let has_stopped = tokio::select! {
        () = told => false,
        () = ledger.stopped() => true,
    };
    stand(&clock);
    if has_stopped {
        ended.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Has the clock stand for good, and keeps where it stands.
fn stand(clock: &RunningClock) {
    clock.freeze();
    if let Err(error) = clock.keep() {
        tracing::error!(event = "ledger.clock_not_kept", %error);
    }
}

/// Keeps the ledger's clock in its folder by a thread of its own.
fn keep_clock(clock: &Arc<RunningClock>) -> Result<(), CommandError> {
    let kept = Arc::clone(clock);
    let keep = move || {
        let mut fails = false;
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let failed = kept.keep();
            if let Ok(stood) = &failed
                && !stood.is_zero()
            {
                let ms = u64::try_from(stood.as_millis()).unwrap_or(u64::MAX);
                metrics::counter!("rebut_ledger_clock_stood_seconds_total")
                    .increment(ms.div_ceil(1_000));
                tracing::warn!(
                    event = "ledger.clock_stood",
                    ms,
                    "the process was halted or kept waiting: the ledger's clock stood meanwhile, so \
                     that nobody's time ended"
                );
            }
            if let (Err(error), false) = (&failed, fails) {
                tracing::error!(event = "ledger.clock_not_kept", %error,
                    "after a restart clocks would stand where this was last written");
            }
            fails = failed.is_err();
        }
    };
    let started = std::thread::Builder::new().name("clock".to_owned()).spawn(keep);
    started.map(drop).map_err(|error| system("the ledger's clock", error))
}

fn show(at: &LedgerAt, path: &str, as_json: bool) -> Result<Ending, CommandError> {
    let mut document = super::process::runtime()?.block_on(fetched(at, path))?;
    if let Some(fields) = document.as_object_mut() {
        // The server's number is of the same shapes; ours is printed.
        fields.remove("schema");
    }
    if as_json {
        print::json(&document)?;
        return Ok(Ending::Done);
    }
    match document["items"].as_array() {
        None => tell(&document),
        Some(items) => tell_list(path, items, &document),
    }
    Ok(Ending::Done)
}

/// The server was not reached, or not to its end.
fn unreached(at: &LedgerAt, error: reqwest::Error) -> CommandError {
    let reason = ledger::http::chain_of_causes(&error.without_url());
    let help = "check --ledger, such as http://127.0.0.1:8645, and that it runs";
    system(at.ledger.clone(), format!("{reason}; {help}"))
}

/// A document of the ledger's server, which must be the expected one where one is named.
async fn fetched(at: &LedgerAt, path: &str) -> Result<Value, CommandError> {
    let url = format!("{}{path}", at.ledger.trim_end_matches('/'));
    let fail = |error: reqwest::Error| unreached(at, error);
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()
        .map_err(fail)?;
    check_genesis(at, &client).await?;
    let answer = client.get(&url).send().await.map_err(fail)?;
    let is_success = answer.status().is_success();
    let bytes = answer.bytes().await.map_err(fail)?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|error| {
        let reason = format!("what answers is no ledger ({error}); check --ledger");
        system(url.clone(), reason)
    })?;
    if is_success {
        Ok(document)
    } else {
        let said = document["error"]["message"].as_str().unwrap_or("it gave no reason");
        Err(system(url.clone(), said))
    }
}

/// Refuses another ledger than the one that is named, where one is.
async fn check_genesis(at: &LedgerAt, client: &reqwest::Client) -> Result<(), CommandError> {
    let Some(expected) = super::connection::expected_genesis(at)? else {
        return Ok(());
    };
    let fail = |error: reqwest::Error| unreached(at, error);
    let url = format!("{}/v1/genesis", at.ledger.trim_end_matches('/'));
    let answer = client.get(&url).send().await.map_err(fail)?;
    let bytes = answer.bytes().await.map_err(fail)?;
    let found = Genesis::from_canonical(&bytes).map(|genesis| genesis.root());
    let found = found.map_err(|error| system(url.clone(), error))?;
    if found != expected {
        let reason = format!("{} is the ledger {found}, not {expected}", at.ledger);
        return Err(CommandError::Argument { argument: "--genesis", reason });
    }
    Ok(())
}

/// A list for people, and how much of it is shown.
fn tell_list(path: &str, items: &[Value], document: &Value) {
    if !items.is_empty() {
        println!("{}", list(path, items, document["now_ms"].as_u64().unwrap_or(0)));
    }
    let (one, many) = match path.trim_start_matches("/v1/").split('?').next() {
        Some("jobs") => ("job", "jobs"),
        Some("claims") => ("claim", "claims"),
        _ => ("challenge", "challenges"),
    };
    let counted = words::count(items.len() as u64, one, many);
    let of = match document["total"].as_u64() {
        Some(total) if total > items.len() as u64 => {
            format!(" of {total}; --skip and --limit show others")
        }
        _ => String::new(),
    };
    println!("{counted}{of} (block height {})", document["height"]);
}

/// A list: of each object its whole id and status, to be named in other commands, and below what people
/// want to know of it.
fn list(path: &str, items: &[Value], now_ms: u64) -> String {
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or("").to_owned();
    let short = |item: &Value, field: &str| match item[field].as_str() {
        Some(id) => id.chars().take(10).chain(['…']).collect(),
        None => "unknown".to_owned(),
    };
    let ether = |item: &Value, field: &str| {
        text(item, field).parse().map_or_else(|_| String::new(), print::ether)
    };
    let count = |item: &Value, field: &str, one: &str, many: &str| {
        words::count(item[field].as_array().map_or(0, Vec::len) as u64, one, many)
    };
    let left = |item: &Value, field: &str, name: &str| match item[field].as_u64() {
        Some(at_ms) if at_ms > now_ms => format!(", {name} ends in {} s", (at_ms - now_ms) / 1_000),
        Some(_) => format!(", {name} over"),
        None => String::new(),
    };
    let block = |item: &Value| {
        let (id, more) = match path.trim_start_matches("/v1/").split('?').next() {
            Some("jobs") => (
                "job",
                format!(
                    "by {}, model {}, fee {}, {}{}",
                    short(item, "poster"),
                    short(item, "model_root"),
                    ether(item, "fee_wei"),
                    count(item, "claims", "claim", "claims"),
                    match item["status"].as_str() {
                        Some("open") => left(item, "open_until_ms", "time for claims"),
                        _ => String::new(),
                    },
                ),
            ),
            Some("claims") => (
                "claim",
                format!(
                    "{}by {}, job {}, {}{}",
                    item["number"].as_u64().map_or(String::new(), |at| format!("number {at} ")),
                    short(item, "executor"),
                    short(item, "job"),
                    count(item, "challenges", "challenge", "challenges"),
                    left(item, "window_end_ms", "window"),
                ),
            ),
            _ => (
                "challenge",
                format!(
                    "by {}, claim {}{}{}",
                    short(item, "challenger"),
                    short(item, "claim"),
                    item["turn"]
                        .as_str()
                        .map_or_else(String::new, |who| format!(", {who} to move")),
                    left(item, "deadline_ms", "time"),
                ),
            ),
        };
        let status = item["status"].as_str().unwrap_or("unknown");
        format!("{}  {status}\n  {more}", text(item, id))
    };
    items.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Fields of a document for people: amounts in ETH, moments in UTC.
fn tell(object: &Value) {
    for (name, value) in object.as_object().into_iter().flatten() {
        let amount =
            name.strip_suffix("_wei").zip(value.as_str().and_then(|text| text.parse().ok()));
        let moment = name.strip_suffix("_ms").filter(|name| ["now", "begun"].contains(name));
        match value {
            Value::Null => {}
            _ if amount.is_some() => {
                let (name, wei) = amount.unwrap_or_default();
                println!("{name:<22} {}", words::ether(wei));
            }
            Value::Number(at_ms) if moment.is_some() => {
                let (name, at_ms) = (moment.unwrap_or_default(), at_ms.as_u64().unwrap_or(0));
                println!("{name:<22} {}", words::moment(at_ms));
            }
            Value::String(text) => println!("{name:<22} {text}"),
            Value::Array(items) => println!("{name:<22} {}", items.len()),
            other => println!("{name:<22} {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ledger_that_is_told_to_stop_has_its_clock_stand_while_it_writes_its_last_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        let clock = Arc::new(RunningClock::open(&file).unwrap());
        let genesis = Genesis {
            chain_id: 1,
            salt: protocol::hash::Digest::default(),
            begun_ms: 0,
            bank: Key::from_secret(&[1; 32]).unwrap().address(),
            parameters: protocol::settlement::Parameters::default(),
        };
        let log = folder.path().join("log");
        let opened = EmbeddedLedger::open(&log, genesis, Arc::clone(&clock) as Arc<_>);
        let ledger = Arc::new(opened.unwrap());
        clock.begin(1_000).unwrap();
        keep_clock(&clock).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        stop(ledger, Arc::clone(&clock), Arc::clone(&ended), std::future::ready(())).await;
        let stood_ms = clock.now_ms();
        // The thread that keeps it goes on until the process ends.
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), stood_ms.to_string());
        assert_eq!(RunningClock::open(&file).unwrap().now_ms(), stood_ms);
        assert!(!ended.load(Ordering::Relaxed));
    }

    #[test]
    fn lists_read_as_they_did() {
        let challenges: Value = serde_json::json!([
            {
                "challenge": "0xaaaaaaaaaaaaaaaaaaaa", "status": "open", "turn": "executor",
                "challenger": "0xcccccccccccccccc", "claim": "0xbbbbbbbbbbbbbbbb",
                "deadline_ms": 30_500,
            },
            {
                "challenge": "0xdddddddddddddddddddd", "status": "won", "turn": null,
                "challenger": "0xcccccccccccccccc", "claim": "0xeeeeeeeeeeeeeeee",
                "deadline_ms": null,
            },
            // What a newer server says differently is left out, not guessed.
            { "challenge": 7 },
        ]);
        let items = challenges.as_array().unwrap();
        insta::assert_snapshot!("challenges", list("/v1/challenges?status=x", items, 10_000));
    }
}
