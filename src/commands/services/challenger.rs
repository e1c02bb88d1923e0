//! `rebut challenger run`.

use std::sync::Arc;

use ::challenger::sampling::detection_probability;
use ::challenger::service::{Mode as Behaviour, Service, Settings};
use inference::worker::Worker;
use tokio::sync::Notify;

use crate::arguments::{ChallengerAction, ChallengerCommand, Mode};
use crate::error::{CommandError, system};
use crate::load;

pub(crate) fn run(command: &ChallengerCommand) -> Result<bool, CommandError> {
    let ChallengerAction::Run(arguments) = &command.action;
    let engine = load::engine(&arguments.engine)?;
    let shelf = super::shelf(&arguments.models, &engine)?;
    let mode = match arguments.mode {
        Mode::Watch => Behaviour::Watch,
        Mode::Defend => Behaviour::Defend,
        Mode::Full => Behaviour::Full,
    };
    let (dry_run, sample_permille) = (arguments.dry_run, arguments.sample_permille);
    let settings = Settings { mode, dry_run, sample_permille, ..Settings::default() };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| system("the random source", error))?;
    super::runtime()?.block_on(async {
        let ledger = super::patiently(None, async || super::connect(&arguments.at).await).await?;
        let key = match mode {
            // Nothing is ever signed with it.
            Behaviour::Watch => super::key::dev_key("watch"),
            _ => super::key_at(&arguments.key, &ledger, None).await?,
        };
        let news = Arc::new(Notify::new());
        let told = Arc::clone(&news);
        let worker = Worker::start(engine, None, move || told.notify_one())
            .map_err(|error| system("a thread for runs", error))?;
        let address = key.address();
        let mut service = Service::new(ledger, key, shelf, worker, news, settings, seed);
        let chance = 100.0 * detection_probability(1_000, sample_permille, 1, 1);
        tracing::info!(event = "challenger.running", %address, ?mode, dry_run, chance);
        println!("challenger {address}, {chance:.1} % of the jobs are run");
        Ok::<_, CommandError>(service.run(super::told_to_stop()).await?)
    })?;
    Ok(false)
}
