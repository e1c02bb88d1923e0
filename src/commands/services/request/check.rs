//! What a client checks by itself: that its files can be written, and what the model gives here.

use std::path::Path;
use std::sync::Arc;

use inference::{Engine, Model, Runner, State};
use protocol::hash::{Digest, Keccak};
use protocol::ids::JobId;
use protocol::roots::sequence_tree;
use protocol::settlement::Claim;

use crate::arguments::Request;
use crate::error::{CommandError, system};

/// Products and sums up to which a run is short enough to be made without being asked for: a few seconds.
const SHORT_RUN: u64 = 20_000_000_000;

/// That what shall be kept can be, before anything is posted or paid.
pub(super) fn files(arguments: &Request) -> Result<(), CommandError> {
    arguments.out.as_deref().map_or(Ok(()), npz)?;
    [&arguments.out, &arguments.receipt].into_iter().flatten().try_for_each(|file| writable(file))
}

/// Whether a file can be written, before anything is paid for what shall go into it.
fn writable(file: &Path) -> Result<(), CommandError> {
    let fail = |error: std::io::Error| {
        system(file.display().to_string(), format!("{error}; nothing was posted or paid"))
    };
    if file.is_dir() {
        return Err(system(
            file.display().to_string(),
            "is a folder; name a file. Nothing was posted or paid",
        ));
    }
    let existed = file.exists();
    std::fs::OpenOptions::new().append(true).create(true).open(file).map_err(fail)?;
    if !existed {
        std::fs::remove_file(file).map_err(fail)?;
    }
    Ok(())
}

/// That a file for outputs is called what it is: others read it by its ending.
fn npz(file: &Path) -> Result<(), CommandError> {
    if file.extension().is_some_and(|ending| ending == "npz") {
        Ok(())
    } else {
        Err(CommandError::Argument {
            argument: "--out",
            reason: format!(
                "{} does not end in .npz, and .npz is what is written; name a file such as \
                 answer.npz. Nothing was posted or paid",
                file.display()
            ),
        })
    }
}

/// The job that is waited for, and its input as far as it is known here.
pub(super) struct Asked {
    pub(super) job: Option<JobId>,
    pub(super) input: Option<State>,
    /// Most iterations of its run.
    pub(super) iterations_max: u32,
}

/// A run of the job on this machine, if it was made: what a claim on it must commit to.
pub(super) struct OwnRun(Option<Digest>);

impl OwnRun {
    /// Runs the model where that is asked for, or short and not declined; says where it does not. What is made
    /// here is a run of one iteration.
    pub(super) fn make(
        arguments: &Request,
        engine: &Engine,
        model: &Arc<Model>,
        asked: &Asked,
        as_json: bool,
    ) -> Result<Self, CommandError> {
        let short = model.multiply_adds() <= SHORT_RUN;
        let wanted = arguments.verify || short && !arguments.no_verify;
        let not = |why: &str| {
            if !as_json {
                eprintln!("note: the answer will NOT be recomputed on this machine: {why}");
            }
            Ok(Self(None))
        };
        match (wanted, asked.input.as_ref()) {
            (_, _) if asked.iterations_max > 1 => {
                if arguments.verify {
                    return Err(CommandError::Iterations {
                        what: "a run of the job",
                        iterations: asked.iterations_max,
                        reason: "this command runs one, which says nothing about the others; go on \
                                 without --verify",
                    });
                }
                not("it may have several iterations, and this command runs one")
            }
            (true, Some(input)) => {
                let trace = Runner::honest(engine, model).run(input.clone())?;
                let sequence = sequence_tree::<Keccak>(&[trace.root()]);
                Ok(Self(sequence.map(|sequence| sequence.root())))
            }
            (true, None) if arguments.verify => Err(CommandError::Argument {
                argument: "--verify",
                reason: "the job's input is not published; name it with --input".to_owned(),
            }),
            (_, None) => not("the job's input is not published; name it with --input"),
            (false, _) if arguments.no_verify => not("--no-verify"),
            (false, _) => not("the model is large; pass --verify to run it here as well"),
        }
    }

    /// Whether the model was run here.
    pub(super) fn is_made(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a claim is what the run here gives; unknown without one.
    pub(super) fn agrees(&self, claim: &Claim) -> Option<bool> {
        // Only where the job asks for one iteration a run is made here.
        self.0.map(|own| own == claim.terms.sequence_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_said_before_anything_is_paid_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.npz");
        writable(&file).unwrap();
        assert!(!file.exists());
        std::fs::write(&file, b"kept").unwrap();
        writable(&file).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"kept");
        for bad in [folder.path().to_owned(), folder.path().join("missing/out.npz")] {
            let error = writable(&bad).unwrap_err().to_string();
            assert!(error.contains("othing was posted or paid"), "{error}");
        }
    }

    #[test]
    fn outputs_go_into_a_file_whose_ending_says_so() {
        npz(Path::new("a.npz")).unwrap();
        for bad in ["answer.csv", "answer", "npz", ".npz", "a.npy"] {
            let error = npz(Path::new(bad)).unwrap_err().to_string();
            assert!(error.contains(".npz is what is written"), "{error}");
        }
    }
}
