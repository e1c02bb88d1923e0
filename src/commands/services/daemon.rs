//! What daemons share: metrics, a listener, self-tests.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dispute::{Lying, parse_lie};
use inference::isolated::{self, Program};
use inference::worker::{ComputePolicies, Place, Worker};
use inference::{ComputePolicy, Engine, Honest, Model, ModelStore, Trace};
use ledger::http::{Limits, serve_routes};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use node::Health;
use node::health::{Render, health_routes};
use node::metrics::{Of, describe};
use protocol::ids::JobId;
use tokio::sync::Notify;

use crate::arguments::{DaemonOptions, RunWorker};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::load;

/// Bounds of the distributions in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0];
/// Bounds of the distribution of transactions that share a flush.
const TRANSACTIONS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Installs the recorder, with every metric of these services described and zero.
pub(crate) fn metrics(services: &[Of]) -> Result<Render, CommandError> {
    let fail = |error: &dyn std::fmt::Display| system("the metrics", error);
    let transactions = Matcher::Full("rebut_ledger_batch_transactions".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(transactions, &TRANSACTIONS))
        .map_err(|error| fail(&error))?;
    let handle = builder.install_recorder().map_err(|error| fail(&error))?;
    describe(services, env!("CARGO_PKG_VERSION"));
    let kept = handle.clone();
    // Samples wait in memory for the next reading; nobody may ever read.
    std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(5));
                kept.run_upkeep();
            }
        })
        .map_err(|error| fail(&error))?;
    Ok(Arc::new(move || handle.render()))
}

/// Serves health, metrics and `more` in the background; says where.
pub(crate) async fn listen(
    listen: SocketAddr,
    health: Arc<Health>,
    render: Render,
    more: axum::Router,
) -> Result<SocketAddr, CommandError> {
    let fail = |error: std::io::Error| system(format!("listening on {listen}"), error);
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(fail)?;
    let listen = listener.local_addr().map_err(fail)?;
    if !listen.ip().is_loopback() {
        tracing::warn!(event = "open_listener", %listen,
            "everybody who reaches this address may read; keep it in a private network");
    }
    let routes = health_routes(health, render).merge(more);
    // Inference may take longer than what a ledger is asked.
    let limits = Limits {
        request: Duration::from_secs(120),
        transaction_bytes: 64 << 20,
        requests_per_second: 1_000,
        connections: super::process::connections(),
        ..Limits::default()
    };
    tokio::spawn(async move {
        if let Err(error) = serve_routes(routes, listener, limits, std::future::pending()).await {
            tracing::error!(event = "listener.failed", %error);
        }
    });
    Ok(listen)
}

/// What a daemon computes with, and what tells its numbers.
pub(crate) struct Prepared {
    pub(crate) engine: Engine,
    pub(crate) model_store: ModelStore,
    pub(crate) render: Render,
}

/// Reads the models and installs the metrics of these services; refuses a lie that has no place.
pub(crate) fn prepare(
    options: &DaemonOptions,
    lie: Option<&str>,
    services: &[Of],
) -> Result<Prepared, CommandError> {
    super::process::raise_file_limit();
    let engine = load::engine(&options.engine)?;
    let model_store = model_store(&options.models, &engine)?;
    check_lie(lie, &engine, &model_store)?;
    Ok(Prepared { engine, model_store, render: metrics(services)? })
}

/// The thread that runs models for a daemon, and what wakes the daemon when a run is done.
pub(crate) fn worker(
    options: &DaemonOptions,
    lie: Option<&str>,
    engine: &Engine,
) -> Result<(Worker, Arc<Notify>), CommandError> {
    let wake_ups = Arc::new(Notify::new());
    let told = Arc::clone(&wake_ups);
    let place = place(options, lie)?;
    let worker = Worker::start(engine.clone(), place, move || told.notify_one())
        .map_err(|error| system("a thread for runs", error))?;
    Ok((worker, wake_ups))
}

/// The model whose self-test costs least.
pub(crate) fn smallest(model_store: &ModelStore) -> Option<Arc<Model>> {
    let names = model_store.names();
    let models = names.iter().filter_map(|(name, _)| model_store.named(name));
    models.min_by_key(|model| model.multiply_adds()).cloned()
}

/// Compares this machine's arithmetic with the law, now and then, on a thread of its own.
pub(crate) fn self_tests(
    options: &DaemonOptions,
    engine: Engine,
    model: Option<Arc<Model>>,
    health: Arc<Health>,
) -> Result<(), CommandError> {
    health.tested(true);
    let (minutes, Some(model)) = (options.self_test_minutes, model) else {
        return Ok(());
    };
    if minutes == 0 {
        return Ok(());
    }
    std::thread::Builder::new()
        .name("self-test".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(
                    Duration::from_secs(60).saturating_mul(minutes.try_into().unwrap_or(u32::MAX)),
                );
                match executor::preflight(&engine, &model, &Honest) {
                    Ok(_) => tracing::debug!(event = "self_test.passed"),
                    Err(error) => {
                        tracing::error!(event = "self_test.failed", %error,
                            "nothing more is staked from this machine; move its key to another");
                        health.tested(false);
                    }
                }
            }
        })
        .map_err(|error| system("a thread for self-tests", error))?;
    Ok(())
}

/// Where a daemon's models are run: in a process of its own with a limit on its memory, unless a lie is
/// rehearsed.
fn place(options: &DaemonOptions, lie: Option<&str>) -> Result<Place, CommandError> {
    if let Some(compute_policies) = compute_policies(lie) {
        return Ok(Place::Here(compute_policies, Box::new(without_effect)));
    }
    let path = std::env::current_exe().map_err(|error| system("this program's file", error))?;
    let mut arguments: Vec<OsString> = vec!["run-worker".into(), "--models".into()];
    arguments.push(options.models.clone().into());
    arguments.push("--memory-bytes".into());
    arguments.push(options.run_memory_bytes.to_string().into());
    if let Some(threads) = options.engine.threads {
        arguments.extend(["--threads".into(), threads.to_string().into()]);
    }
    if let Some(isa) = &options.engine.isa {
        arguments.extend(["--isa".into(), isa.into()]);
    }
    Ok(Place::Apart(Program {
        path,
        arguments,
        // Reading large models takes its time.
        start_max: Duration::from_secs(600),
        run_max: Duration::from_secs(options.run_seconds_max),
    }))
}

/// The process in which a daemon's runs are made: inputs in, states out, until its pipe closes.
pub(crate) fn run_worker(arguments: &RunWorker) -> Result<Ending, CommandError> {
    limit_this_process(arguments.memory_bytes)?;
    let engine = load::engine(&arguments.engine)?;
    let model_store = ModelStore::read(&arguments.models, &engine)?;
    isolated::serve(&model_store, &engine, std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(|error| system("the pipe to the daemon", error))?;
    Ok(Ending::Done)
}

/// A limit on memory; the system is told to take this process first when memory is short, and to end it
/// when its daemon ends.
fn limit_this_process(memory_bytes: u64) -> Result<(), CommandError> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit { current: Some(memory_bytes), maximum: Some(memory_bytes) };
    setrlimit(Resource::As, limit).map_err(|error| system("--memory-bytes", error))?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| system("the signal at the daemon's end", error))?;
        // Where this is not allowed, the limit above holds all the same.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
    Ok(())
}

/// Refuses a lie that no model has a place for: it would only fail at every job.
fn check_lie(
    lie: Option<&str>,
    engine: &Engine,
    model_store: &ModelStore,
) -> Result<(), CommandError> {
    let Some(lie) = lie else {
        return Ok(());
    };
    let mut refusals = Vec::new();
    for (name, _) in model_store.names() {
        let Some(model) = model_store.named(&name) else {
            continue;
        };
        match load::try_lie(lie, engine, model) {
            Ok(()) => return Ok(()),
            Err(error) => refusals.push(format!("{name}: {error}")),
        }
    }
    Err(CommandError::Argument { argument: "--lie", reason: refusals.join("; ") })
}

/// A lie that a run hides is told: the rehearsal would look like a protocol that finds nothing.
fn without_effect(job: &JobId) {
    tracing::warn!(event = "lie.without_effect", %job,
        "the lie changes nothing in this run (a zero or a maximum may hide it), so the run is an honest \
         one; choose another place or a larger change");
}

/// How a rehearsing liar computes; honest machines have none.
fn compute_policies(lie: Option<&str>) -> Option<Box<ComputePolicies>> {
    let lie = lie?.to_owned();
    tracing::warn!(event = "lies", %lie, "this machine will lose its stakes or bonds");
    Some(Box::new(move |model: &Arc<Model>, honest: &Trace| {
        let parsed = parse_lie(&load::placed(&lie, model)).map_err(|error| error.to_string())?;
        let lying = Lying::new(&parsed, model, honest).map_err(|error| error.to_string())?;
        Ok(Arc::new(lying) as Arc<dyn ComputePolicy>)
    }))
}

/// The models of a folder, each told.
pub(super) fn model_store(place: &Path, engine: &Engine) -> Result<ModelStore, CommandError> {
    let model_store = ModelStore::read(place, engine)?;
    for (name, root) in model_store.names() {
        tracing::info!(event = "model.ready", %name, %root);
    }
    Ok(model_store)
}
