//! `rebut executor serve`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::executor::embeddings::Encoder;
use ::executor::http::{Office, routes};
use ::executor::service::Service;
use ::executor::{JobPolicy, Rehearsal, Settings};
use inference::{Engine, Honest, ModelStore};
use ledger::http::{Budget, Shares};
use node::metrics::Of;
use protocol::hash::{Digest, keccak, to_hex};
use serde_json::json;

use super::daemon::{self, Prepared};
use crate::arguments::{ExecutorAction, ExecutorCommand, ExecutorServe};
use crate::ending::Ending;
use crate::error::{CommandError, system};

/// How long somebody who asks over HTTP waits at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the bodies of those who ask over HTTP may take in memory together.
const BODIES_BYTES: usize = 256 << 20;

/// What the check before the first stake found of a model.
struct Rehearsed {
    name: String,
    model_root: Digest,
    times: Rehearsal,
}

pub(crate) fn run(command: &ExecutorCommand, as_json: bool) -> Result<Ending, CommandError> {
    let ExecutorAction::Serve(arguments) = &command.action;
    let options = &arguments.daemon;
    super::key::require(&options.key)?;
    let lie = arguments.lie.as_deref();
    let prepared = daemon::prepare(options, lie, &[Of::Daemons, Of::Executor])?;
    let rehearsals = if arguments.no_preflight {
        Vec::new()
    } else {
        rehearse(&prepared.engine, &prepared.model_store)?
    };
    super::process::runtime()?.block_on(serve(arguments, prepared, rehearsals, as_json))?;
    Ok(Ending::Done)
}

fn settings(arguments: &ExecutorServe) -> Settings {
    Settings {
        bail_out: arguments.bail_out,
        runs_max: arguments.runs_max,
        disk_budget_bytes: arguments.disk_budget_bytes,
        policy: JobPolicy {
            fee_wei_min: arguments.fee_wei_min,
            fee_ppm_per_hour: arguments.fee_ppm_per_hour,
            stake_percent_max: arguments.stake_percent_max,
            long_percent_max: arguments.long_percent_max,
            window_ms_max: arguments.window_hours_max.saturating_mul(3_600_000),
        },
        http_stake_wei: arguments.http_stake_wei,
        ..Settings::default()
    }
}

async fn serve(
    arguments: &ExecutorServe,
    prepared: Prepared,
    rehearsals: Vec<Rehearsed>,
    as_json: bool,
) -> Result<(), CommandError> {
    let options = &arguments.daemon;
    let Prepared { engine, model_store, render } = prepared;
    let ledger =
        super::connection::patiently(None, async || super::connection::connect(&options.at).await)
            .await?;
    check_clocks(&rehearsals, ledger.genesis().parameters.executor_clock_ms)?;
    let key = super::connection::key_at(&options.key, &ledger, None).await?;
    let (worker, wake_ups) = daemon::worker(options, arguments.lie.as_deref(), &engine)?;
    let address = key.address();
    // Each account keeps its own inputs: two executors may share a machine.
    let folder = arguments.folder.join(address.to_string());
    // Held until this process ends.
    let _lock = lock(&folder)?;
    let head = folder.join("head.json");
    ledger.keep_heads(&head).await?;
    let encoders = Arc::new(encoders(&options.models, &model_store)?);
    let model = daemon::smallest(&model_store);
    let settings = settings(arguments);
    let mut service =
        Service::new(ledger, key, engine.clone(), model_store, worker, wake_ups, settings, &folder);
    for Rehearsed { model_root, times, .. } in rehearsals {
        service.took(model_root, times.run);
    }
    let api = Arc::clone(service.api());
    daemon::self_tests(options, engine, model, Arc::clone(&api.health))?;
    let listening = match options.listen {
        None => None,
        Some(listen) => {
            let token = token(&folder)?;
            let health = Arc::clone(&api.health);
            // Only who has the token gets so far.
            let budget = Budget::new(BODIES_BYTES).for_known();
            let (readers, patience) = (Shares::default(), PATIENCE);
            let office = Office { api, encoders, token, budget, readers, patience };
            Some(daemon::listen(listen, health, render, routes(office)).await?)
        }
    };
    tracing::info!(event = "executor.serving", %address,
        fee_wei_min = %settings.policy.fee_wei_min,
        fee_ppm_per_hour = settings.policy.fee_ppm_per_hour,
        stake_percent_max = settings.policy.stake_percent_max,
        long_percent_max = settings.policy.long_percent_max,
        window_hours_max = arguments.window_hours_max, "terms of the jobs that are taken");
    let url = listening.map(|listen| format!("http://{listen}"));
    let at = url.as_ref().map_or(String::new(), |url| format!(" at {url}"));
    let document = json!({ "service": "executor", "account": address.to_string(), "url": url });
    super::process::started(as_json, &format!("executor {address}{at}"), &document)?;
    Ok(service.run(super::process::told_to_stop()).await?)
}

/// Refuses a model that takes longer to be run again and answered for than this ledger's clocks last.
fn check_clocks(rehearsals: &[Rehearsed], clock_ms: u64) -> Result<(), CommandError> {
    for Rehearsed { name, times, .. } in rehearsals {
        if !times.fits(clock_ms) {
            let (needs, clock) = (times.run + times.answer, clock_ms / 1_000);
            return Err(CommandError::Argument {
                argument: "--models",
                reason: format!(
                    "{name} takes {needs:.1?} here to be run again and answered for, and this \
                     ledger's clocks are {clock} s: a restart would lose the stake; leave the \
                     model out, or use a faster machine"
                ),
            });
        }
    }
    Ok(())
}

/// Refuses a second executor of the same account in the same folder: both would answer, claim and clear
/// away inputs.
fn lock(folder: &Path) -> Result<std::fs::File, CommandError> {
    let fail = |error: std::io::Error| system(folder.display().to_string(), error);
    std::fs::create_dir_all(folder).map_err(fail)?;
    let file = std::fs::File::create(folder.join("lock")).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(system(
            folder.display().to_string(),
            "another executor of this account runs in this folder; stop it first",
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(fail(error)),
    }
}

/// Compares arithmetic with the law on every model, and takes the time of a dispute.
fn rehearse(engine: &Engine, model_store: &ModelStore) -> Result<Vec<Rehearsed>, CommandError> {
    let mut rehearsals = Vec::new();
    for (name, _) in model_store.names() {
        if let Some(model) = model_store.named(&name) {
            let rehearsal = ::executor::preflight(engine, model, &Honest)?;
            let (run_ms, answer_ms) = (rehearsal.run.as_millis(), rehearsal.answer.as_millis());
            tracing::info!(event = "executor.preflight_passed", %name, run_ms, answer_ms);
            rehearsals.push(Rehearsed { name, model_root: model.root(), times: rehearsal });
        }
    }
    Ok(rehearsals)
}

/// Text encoders: the models beside which a NAME.tokenizer.json stands.
fn encoders(
    models: &Path,
    model_store: &ModelStore,
) -> Result<HashMap<String, Encoder>, CommandError> {
    let folder = if models.is_dir() { models } else { models.parent().unwrap_or(Path::new(".")) };
    let mut encoders = HashMap::new();
    for (name, _) in model_store.names() {
        let file = folder.join(format!("{name}.tokenizer.json"));
        if let (true, Some(model)) = (file.exists(), model_store.named(&name)) {
            let encoder = Encoder::read(&file, model);
            let encoder = encoder.map_err(|error| system("a text encoder", error))?;
            tracing::info!(event = "executor.embeds", %name, batch = encoder.batch, sequence = encoder.sequence);
            encoders.insert(name, encoder);
        }
    }
    Ok(encoders)
}

/// Hash of the token in the file api-token; the file is made when it is not there.
fn token(folder: &Path) -> Result<Digest, CommandError> {
    let file = folder.join("api-token");
    let name = file.display().to_string();
    if !file.exists() {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| system("the random source", error))?;
        std::fs::create_dir_all(folder).map_err(|error| system(name.clone(), error))?;
        super::key::write_secret(&file, &to_hex(&secret))?;
    }
    let token = super::key::read_secret(&file)?;
    match token.trim().len() {
        0..16 => Err(system(name, "holds no token of 16 letters or more; delete it for a new one")),
        _ => Ok(keccak(token.trim().as_bytes())),
    }
}
