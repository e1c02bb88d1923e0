//! `rebut challenger run`.

use std::sync::Arc;

use ::challenger::sampling::detection_probability;
use ::challenger::service::{Mode as Behaviour, Service, Settings};
use node::metrics::Of;
use serde_json::json;

use super::daemon;
use crate::arguments::{ChallengerAction, ChallengerCommand, ChallengerRun, Mode};
use crate::ending::Ending;
use crate::error::{CommandError, system};

pub(crate) fn run(command: &ChallengerCommand, as_json: bool) -> Result<Ending, CommandError> {
    match &command.action {
        ChallengerAction::Run(arguments) => serve(arguments, as_json),
        ChallengerAction::Explain(arguments) => super::explain::run(arguments, as_json),
    }
}

/// What is checked, and what is not.
fn coverage(sample_permille: u32, models: usize) -> String {
    let jobs = match sample_permille {
        0 => "checking NO jobs (--sample-permille 0)".to_owned(),
        1_000 => "checking all jobs".to_owned(),
        some => {
            let percent = 100.0 * detection_probability(1_000, some, 1, 1);
            format!("checking {percent:.1} % of the jobs, drawn at random,")
        }
    };
    let models = match models {
        1 => "one model".to_owned(),
        many => format!("{many} models"),
    };
    format!("{jobs} of {models}; other models are not checked")
}

/// A sample of nothing may be a slip, and looks like a world without lies.
fn warn_of_nothing(sample_permille: u32) {
    if sample_permille == 0 {
        tracing::warn!(
            event = "challenger.checks_nothing",
            "--sample-permille 0: no job is run, so nothing is checked and no lie is found"
        );
    }
}

fn serve(arguments: &ChallengerRun, as_json: bool) -> Result<Ending, CommandError> {
    let options = &arguments.daemon;
    if arguments.mode != Mode::Watch && !arguments.dry_run {
        super::key::require(&options.key)?;
    }
    warn_of_nothing(arguments.sample_permille);
    let lie = arguments.lie.as_deref();
    let prepared = daemon::prepare(options, lie, &[Of::Daemons, Of::Challenger])?;
    let daemon::Prepared { engine, model_store, render } = prepared;
    let mode = match arguments.mode {
        Mode::Watch => Behaviour::Watch,
        Mode::Defend => Behaviour::Defend,
        Mode::Full => Behaviour::Full,
    };
    let ChallengerRun { dry_run, sample_permille, input_permille, runs_max, .. } = *arguments;
    let asked = Settings { input_permille, ..Settings::default() };
    let settings = Settings { mode, dry_run, sample_permille, runs_max, ..asked };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| system("the random source", error))?;
    super::process::runtime()?.block_on(async {
        let ledger = super::connection::patiently(None, async || {
            super::connection::connect(&options.at).await
        })
        .await?;
        let key = match mode {
            // Nothing is ever signed with it.
            Behaviour::Watch => super::key::dev_key("watch"),
            _ if dry_run && !options.key.is_named() => super::key::dev_key("watch"),
            _ => super::connection::key_at(&options.key, &ledger, None).await?,
        };
        let has_key = mode != Behaviour::Watch && (!dry_run || options.key.is_named());
        let (worker, wake_ups) = daemon::worker(options, lie, &engine)?;
        let address = key.address();
        let models = model_store.names().len();
        let model = daemon::smallest(&model_store);
        let mut service = Service::new(ledger, key, model_store, worker, wake_ups, settings, seed);
        let health = Arc::clone(service.health());
        daemon::self_tests(options, engine, model, Arc::clone(&health))?;
        let listening = match options.listen {
            None => None,
            Some(listen) => {
                let listen = daemon::listen(listen, health, render, axum::Router::new()).await?;
                Some(format!("http://{listen}"))
            }
        };
        let chance = 100.0 * detection_probability(1_000, sample_permille, 1, 1);
        let mode = mode.name();
        tracing::info!(event = "challenger.running", %address, mode, dry_run, chance);
        let coverage = coverage(sample_permille, models);
        let account = has_key.then(|| address.to_string());
        let who = account.as_deref().unwrap_or("without a key");
        let metrics = listening.as_ref().map_or(String::new(), |url| format!("; metrics at {url}"));
        let document = json!({
            "service": "challenger", "account": account, "url": listening, "mode": mode,
            "sample_permille": sample_permille, "models": models,
        });
        super::process::started(
            as_json,
            &format!("challenger {who}, {coverage}{metrics}"),
            &document,
        )?;
        Ok::<_, CommandError>(service.run(super::process::told_to_stop()).await?)
    })?;
    Ok(Ending::Done)
}
