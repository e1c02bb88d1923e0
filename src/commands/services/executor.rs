//! `rebut executor serve`.

use std::sync::Arc;

use ::executor::service::{Service, Settings};
use inference::worker::{Conducts, Worker};
use inference::{Conduct, Honest, Model, Trace};
use simulation::{Lying, parse_lie};
use tokio::sync::Notify;

use crate::arguments::{ExecutorAction, ExecutorCommand, ExecutorServe};
use crate::error::{CommandError, system};
use crate::load;

pub(crate) fn run(command: &ExecutorCommand) -> Result<bool, CommandError> {
    let ExecutorAction::Serve(arguments) = &command.action;
    let engine = load::engine(&arguments.engine)?;
    let shelf = super::shelf(&arguments.models, &engine)?;
    if !arguments.no_preflight {
        for (name, _) in shelf.names() {
            if let Some(model) = shelf.named(&name) {
                ::executor::preflight(&engine, model, &Honest)?;
                tracing::info!(event = "executor.preflight_passed", %name);
            }
        }
    }
    let settings = Settings { bail_out: arguments.bail_out, ..Settings::default() };
    super::runtime()?.block_on(async {
        let ledger = super::patiently(None, async || super::connect(&arguments.at).await).await?;
        let key = super::key_at(&arguments.key, &ledger, None).await?;
        let news = Arc::new(Notify::new());
        let told = Arc::clone(&news);
        let worker = Worker::start(engine, conducts(arguments), move || told.notify_one())
            .map_err(|error| system("a thread for runs", error))?;
        let address = key.address();
        // Each account keeps its own inputs: two executors may share a machine.
        let folder = arguments.folder.join(address.to_string());
        let mut service = Service::new(ledger, key, shelf, worker, news, settings, &folder);
        tracing::info!(event = "executor.serving", %address);
        println!("executor {address}");
        Ok::<_, CommandError>(service.run(super::told_to_stop()).await?)
    })?;
    Ok(false)
}

/// How a rehearsing liar computes; honest executors have none.
fn conducts(arguments: &ExecutorServe) -> Option<Box<Conducts>> {
    let lie = arguments.lie.clone()?;
    tracing::warn!(event = "executor.lies", %lie, "this executor will lose its stakes");
    Some(Box::new(move |model: &Arc<Model>, honest: &Trace| {
        let parsed = parse_lie(&load::placed(&lie, model)).map_err(|error| error.to_string())?;
        let lying = Lying::new(&parsed, model, honest).map_err(|error| error.to_string())?;
        Ok(Arc::new(lying) as Arc<dyn Conduct>)
    }))
}
