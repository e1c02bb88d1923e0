//! `rebut replay`: the verdict from a verdict file alone.

use dispute::verdict::{FILE_BYTES_MAX, VerdictError, replay_bytes};
use inference::files::read_limited;

use crate::arguments::Replay;
use crate::commands::dispute::{tell, tell_parties};
use crate::ending::Ending;
use crate::error::CommandError;
use crate::print;

pub(crate) fn run(arguments: &Replay, as_json: bool) -> Result<Ending, CommandError> {
    let bytes = read_limited(&arguments.file, FILE_BYTES_MAX)?;
    match replay_bytes(&arguments.file.display().to_string(), &bytes) {
        Ok(verdict) => {
            if as_json {
                print::json(&verdict)?;
            } else {
                tell_parties(&verdict);
                tell(&verdict);
            }
            Ok(Ending::Done)
        }
        Err(error @ VerdictError::Contradiction { .. }) => {
            print::failure(&error.into(), as_json);
            Ok(Ending::Falls)
        }
        Err(error) => Err(error.into()),
    }
}
