//! `rebut preflight`: this CPU against the reference arithmetic.

use inference::Honest;
use serde_json::json;

use crate::arguments::Preflight;
use crate::ending::Ending;
use crate::error::CommandError;
use crate::{load, print};

pub(crate) fn run(arguments: &Preflight, as_json: bool) -> Result<Ending, CommandError> {
    let engine = load::engine(&arguments.engine)?;
    let model = load::model(&arguments.model, &arguments.import, &engine)?;
    executor::preflight(&engine, &model, &Honest)?;
    if as_json {
        print::json(
            &json!({ "isa": engine.isa().name(), "threads": engine.threads(), "agrees": true }),
        )?;
    } else {
        println!(
            "every operator of the model gives the bits of the reference arithmetic here\n\
             instructions  {}\nthreads       {}",
            engine.isa().name(),
            engine.threads()
        );
    }
    Ok(Ending::Done)
}
