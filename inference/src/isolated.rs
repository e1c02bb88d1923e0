//! Runs in a process of their own: this side starts it and hands it inputs, the other side runs the model
//! and hands back the states.
//!
//! Frames are a kind (one byte), a length (eight bytes, big-endian) and a body. The process says `Ready`
//! once it has its models, then answers each `Run` with `States`, with `Begun` where an operator has no
//! result, or with `Refused`. What passes a layer unchanged is sent once. Both ends are the same program on the same machine and believe each other.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use protocol::hash::Digest;

use crate::engine::Engine;
use crate::failure::RunFailure;
use crate::model::Model;
use crate::model_store::ModelStore;
use crate::partial::{NoResult, Outcome};
use crate::runner::Runner;
use crate::state::State;
use crate::state_transfer::{PublishedError, kind_of, published_input};
use crate::tensor::Tensor;

/// How the process for runs is started, and how long it may take.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Longest time until it has its models.
    pub start_max: Duration,
    /// Longest time of one run; what takes longer is killed.
    pub run_max: Duration,
}

/// Most bytes of a frame: states of the largest models, and no nonsense.
const FRAME_BYTES_MAX: u64 = 64 << 30;
const READY: u8 = 1;
const RUN: u8 = 2;
const STATES: u8 = 3;
const REFUSED: u8 = 4;
/// The operator without a result and the first element that has none, then the states before its layer.
const BEGUN: u8 = 5;

type Frame = (u8, Vec<u8>);

fn write_frame(to: &mut impl Write, kind: u8, parts: &[&[u8]]) -> std::io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    to.write_all(&[kind])?;
    to.write_all(&(length as u64).to_be_bytes())?;
    parts.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

/// The next frame; `None` at the end.
fn read_frame(from: &mut impl Read) -> std::io::Result<Option<Frame>> {
    let mut head = [0; 9];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let [kind, length @ ..] = head;
    let length = u64::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        #[cfg(test)]
        cov_mark::hit!(frame_is_too_long);
        return Err(std::io::Error::other(format!("a frame of {length} bytes")));
    }
    // Memory is taken as bytes arrive.
    let mut body = Vec::new();
    let read = from.take(length).read_to_end(&mut body)?;
    if read as u64 != length {
        #[cfg(test)]
        cov_mark::hit!(frame_is_cut);
        return Ok(None);
    }
    Ok(Some((kind, body)))
}

/// The process as the daemon sees it.
#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    frames: Receiver<std::io::Result<Frame>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Dead already, or of no use any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process for runs, started when it is needed and again after it died.
#[derive(Debug)]
pub(crate) struct Isolated {
    program: Program,
    process: Option<Process>,
    /// Processes that were started so far.
    started: u64,
}

/// Time for the thread that writes a run to end after the run's answer.
const WRITER_ENDS_MS: u32 = 2_000;

/// What a daemon's environment may hold that is none of a model's business.
const SECRETS: [&str; 4] = ["REBUT_KEY", "REBUT_KEY_FILE", "REBUT_PASSWORD", "REBUT_PASSWORD_FILE"];

impl Isolated {
    /// A process that is started at the first run.
    pub(crate) fn new(program: Program) -> Self {
        Self { program, process: None, started: 0 }
    }

    /// Processes that were started so far: another one may be of another program.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    fn start(&mut self) -> Result<Process, RunFailure> {
        let fail = |reason: String| RunFailure::NoProcess { reason };
        let mut command = Command::new(&self.program.path);
        self.started += 1;
        for secret in SECRETS {
            command.env_remove(secret);
        }
        command.args(&self.program.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| fail(format!("{}: {error}", self.program.path.display())))?;
        let (Some(stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(fail("it has no input or output".to_owned()));
        };
        let (sender, frames) = channel();
        let reader = std::thread::Builder::new().name("frames".to_owned()).spawn(move || {
            loop {
                let frame = match read_frame(&mut stdout) {
                    Ok(Some(frame)) => Ok(frame),
                    // The channel closes: that is how the end is told.
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let failed = frame.is_err();
                if sender.send(frame).is_err() || failed {
                    return;
                }
            }
        });
        let mut process = Process { child, stdin, frames };
        reader.map_err(|error| fail(format!("no thread: {error}")))?;
        match process.frames.recv_timeout(self.program.start_max) {
            Ok(Ok((READY, _))) => Ok(process),
            _ => {
                #[cfg(test)]
                cov_mark::hit!(process_did_not_get_ready);
                let ended = ending(&mut process, "it did not get ready");
                let help = "its log is above; --run-memory-bytes may be too low for these models";
                Err(fail(format!("{ended}; {help}")))
            }
        }
    }

    /// Runs a model on what was published.
    pub(crate) fn run(
        &mut self,
        engine: &Engine,
        model: &Model,
        input: &[u8],
        input_root: Digest,
    ) -> Result<Outcome, RunFailure> {
        // One that ended while it had nothing to do says nothing about the next run.
        let mut idle = self.process.take();
        if idle.as_mut().is_some_and(|process| !matches!(process.child.try_wait(), Ok(None))) {
            #[cfg(test)]
            cov_mark::hit!(idle_process_has_ended);
            idle = None;
        }
        let mut process = match idle {
            Some(process) => process,
            None => self.start()?,
        };
        let killed = |process: &mut Process, what: &str| {
            Err(RunFailure::Killed { reason: ending(process, what) })
        };
        let root = model.root();
        let frame = [&root.0[..], &input_root.0, input];
        let (answer, is_usable) = process.exchange(&frame, self.program.run_max);
        let (kind, body) = match answer {
            Ok(Ok((kind @ (STATES | BEGUN), body))) => (kind, body),
            Ok(Ok((REFUSED, body))) => {
                self.process = Some(process).filter(|_| is_usable);
                #[cfg(test)]
                cov_mark::hit!(run_is_refused);
                return Err(RunFailure::Refused { reason: String::from_utf8_lossy(&body).into() });
            }
            Err(RecvTimeoutError::Timeout) => {
                #[cfg(test)]
                cov_mark::hit!(run_takes_too_long);
                let seconds = self.program.run_max.as_secs();
                return killed(&mut process, &format!("it took longer than {seconds} s"));
            }
            Ok(Ok(_)) | Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                #[cfg(test)]
                cov_mark::hit!(process_ended_during_a_run);
                return killed(&mut process, "it ended in the middle of the run");
            }
        };
        self.process = Some(process).filter(|_| is_usable);
        let input = published_input(model, input, input_root)?;
        outcome_from(engine, model, input, kind, &body).ok_or_else(|| {
            #[cfg(test)]
            cov_mark::hit!(answer_does_not_fit_the_model);
            let reason = "its answer does not fit the model; both must be of one version";
            RunFailure::NoProcess { reason: reason.to_owned() }
        })
    }
}

impl Process {
    /// Hands over a run and waits for what comes of it, both within a time: who takes nothing in is no
    /// better than who gives nothing back. And whether the process is of use after it.
    fn exchange(
        &mut self,
        run: &[&[u8]],
        most: Duration,
    ) -> (Result<std::io::Result<Frame>, RecvTimeoutError>, bool) {
        let Self { child, stdin, frames } = self;
        std::thread::scope(|scope| {
            // A process that is gone is seen by its frames' end.
            let writer = scope.spawn(|| write_frame(stdin, RUN, run).is_ok());
            let answer = frames.recv_timeout(most);
            // Whoever answers has read everything, or reads nothing more: the writer ends with it.
            for _ in 0..WRITER_ENDS_MS {
                if writer.is_finished() {
                    return (answer, true);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            #[cfg(test)]
            cov_mark::hit!(run_is_not_taken_in);
            let _ = child.kill();
            (answer, false)
        })
    }
}

/// What became of a process that is of no use any more.
fn ending(process: &mut Process, what: &str) -> String {
    // A moment for the end to be seen; then it is made.
    for _ in 0..20 {
        if let Ok(Some(status)) = process.child.try_wait() {
            return format!("{what} ({status})");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = process.child.kill();
    what.to_owned()
}

/// States 1 and on as they are sent: for each value its id, and 0 when it is as in the state before or 1
/// with its root and elements.
fn states_into(states: &[State], out: &mut Vec<u8>) {
    for pair in states.windows(2) {
        let [before, after] = pair else { continue };
        out.extend((after.values().len() as u32).to_be_bytes());
        for ((value, tensor), root) in after.values().iter().zip(after.roots()) {
            out.extend(value.to_be_bytes());
            let same = before.tensor(*value).is_some_and(|old| old.is_same_memory(tensor));
            out.push(u8::from(!same));
            if !same {
                out.extend(root.0);
                tensor.publish_into(out);
            }
        }
    }
}

/// What a run gave, as it is sent.
fn outcome_into(outcome: &Outcome, out: &mut Vec<u8>) -> u8 {
    match outcome {
        Outcome::Whole(trace) => {
            states_into(trace.states(), out);
            STATES
        }
        Outcome::Partial(trace) => {
            out.extend(trace.no_result().operator.to_be_bytes());
            out.extend(trace.no_result().element.to_be_bytes());
            states_into(trace.states(), out);
            BEGUN
        }
    }
}

/// What a run gave, from what was sent.
fn outcome_from(
    engine: &Engine,
    model: &Model,
    input: State,
    kind: u8,
    body: &[u8],
) -> Option<Outcome> {
    let (runner, times) = (Runner::honest(engine, model), (Duration::ZERO, Duration::ZERO));
    if kind == STATES {
        let states = states_from(model, input, model.header().layer_count, body)?;
        return runner.trace_of(states, times).ok().map(Outcome::Whole);
    }
    let (operator, rest) = body.split_first_chunk::<4>()?;
    let (element, rest) = rest.split_first_chunk::<8>()?;
    let (operator, element) = (u32::from_be_bytes(*operator), u64::from_be_bytes(*element));
    let (layer, node) = (model.layer_of(operator)?, model.node(operator)?);
    if element >= node.output.shape.count() {
        return None;
    }
    let (kind, name) = (node.operator.kind(), model.operator_name(operator).to_owned());
    let states = states_from(model, input, layer, rest)?;
    let no_result = NoResult { layer, operator, kind, name, element };
    runner.partial_of(states, no_result, times).ok().map(Outcome::Partial)
}

/// The states up to the one before a layer, the input's first: what passes the first layer unchanged is the
/// input's.
fn states_from(model: &Model, input: State, layer: u32, bytes: &[u8]) -> Option<Vec<State>> {
    let mut rest = bytes;
    let mut take = |length: usize| {
        let (taken, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(taken)
    };
    let mut states = vec![input];
    for _ in 0..layer {
        let count = u32::from_be_bytes(take(4)?.try_into().ok()?);
        let (mut values, mut roots) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let value = u32::from_be_bytes(take(4)?.try_into().ok()?);
            let (tensor, root): (Tensor, Digest) = match *take(1)? {
                [0] => {
                    let before = states.last()?;
                    let place = before.values().iter().position(|(id, _)| *id == value)?;
                    (before.values().get(place)?.1.clone(), *before.roots().get(place)?)
                }
                _ => {
                    let root = Digest(take(32)?.try_into().ok()?);
                    let kind = kind_of(model, value)?;
                    let length = kind.shape.count() as usize * kind.element.bytes();
                    (Tensor::from_published(&kind, take(length)?)?, root)
                }
            };
            values.push((value, tensor));
            roots.push(root);
        }
        states.push(State::with_roots(values, roots)?);
    }
    rest.is_empty().then_some(states)
}

/// The other side: runs what it is handed until there is no more. Whoever calls it has limited the
/// process's memory before.
///
/// # Errors
/// When the pipes fail.
pub fn serve(
    models: &ModelStore,
    engine: &Engine,
    mut from: impl Read,
    mut to: impl Write,
) -> std::io::Result<()> {
    write_frame(&mut to, READY, &[])?;
    while let Some((kind, body)) = read_frame(&mut from)? {
        if kind != RUN {
            #[cfg(test)]
            cov_mark::hit!(frame_is_no_run);
            return Err(std::io::Error::other(format!("a frame of kind {kind}")));
        }
        match run(models, engine, &body) {
            Ok(outcome) => {
                let mut body = Vec::new();
                let kind = outcome_into(&outcome, &mut body);
                write_frame(&mut to, kind, &[&body])?;
            }
            Err(reason) => write_frame(&mut to, REFUSED, &[reason.as_bytes()])?,
        }
    }
    Ok(())
}

fn run(models: &ModelStore, engine: &Engine, body: &[u8]) -> Result<Outcome, String> {
    let broken = || "the frame is broken".to_owned();
    let (root, rest) = body.split_first_chunk::<32>().ok_or_else(broken)?;
    let (input_root, input) = rest.split_first_chunk::<32>().ok_or_else(broken)?;
    let root = Digest(*root);
    let model = models.model(&root).ok_or_else(|| {
        #[cfg(test)]
        cov_mark::hit!(model_is_not_there_any_more);
        format!("the process for runs has no model {root}: its files were changed; restart")
    })?;
    let input = published_input(model, input, Digest(*input_root))
        .map_err(|error: PublishedError| error.to_string())?;
    Runner::honest(engine, model).outcome(input).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
