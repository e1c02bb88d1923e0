//! A thread that runs models for a daemon, so that answers in disputes never wait for a run.
//!
//! What strangers published is run in a process of its own ([`crate::isolated`]): whatever kills a run,
//! kills no daemon.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::hash::Digest;

use crate::engine::Engine;
use crate::isolated::{Isolated, Program};
use crate::model::Model;
use crate::published::{PublishedError, published_input};
use crate::run::Run;
use crate::trace::{Conduct, Honest, Runner, Trace};

/// How to compute, given the honest trace: liars change what they first computed right.
pub type Conducts = dyn Fn(&Arc<Model>, &Trace) -> Result<Arc<dyn Conduct>, String> + Send + Sync;

/// Where models are run.
pub enum Place {
    /// In this process, by this conduct: for rehearsals, whose inputs are one's own.
    Here(Box<Conducts>),
    /// In a process of its own, honestly.
    Apart(Program),
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(_) => formatter.write_str("Here"),
            Self::Apart(program) => formatter.debug_tuple("Apart").field(program).finish(),
        }
    }
}

/// One job to run.
#[derive(Debug)]
pub struct Task {
    /// The job.
    pub job: Digest,
    /// Its model.
    pub model: Arc<Model>,
    /// What its poster published.
    pub input: Vec<u8>,
    /// Root of its input state.
    pub input_root: Digest,
}

/// Why a run has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunFailure {
    /// The engine refuses the input, or has no result for it: another try ends the same way.
    #[error("the run has no result: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The run took the process that ran it down, or did not end. Once may be this machine's fault;
    /// twice is the job's: quarantine it.
    #[error("the run was killed: {reason}")]
    Killed {
        /// How.
        reason: String,
    },
    /// No run was begun: the process for runs cannot be started.
    #[error("no process for runs: {reason}")]
    NoProcess {
        /// Why.
        reason: String,
    },
}

impl From<PublishedError> for RunFailure {
    fn from(error: PublishedError) -> Self {
        Self::Refused { reason: error.to_string() }
    }
}

/// A finished run, or why there is none.
#[derive(Debug)]
pub struct Finished {
    /// The job.
    pub job: Digest,
    /// How long it took.
    pub took: Duration,
    /// The run.
    pub outcome: Result<Arc<Run>, RunFailure>,
}

/// A thread with a queue of jobs.
pub struct Worker {
    tasks: Sender<Task>,
    finished: Mutex<Receiver<Finished>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts the thread; it calls `tell` after each run.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        engine: Engine,
        place: Place,
        tell: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (tasks, waiting) = channel::<Task>();
        let (done, finished) = channel();
        std::thread::Builder::new().name("runs".to_owned()).spawn(move || {
            let mut place = match place {
                Place::Here(conducts) => Running::Here(conducts),
                Place::Apart(program) => Running::Apart(Isolated::new(program)),
            };
            while let Ok(task) = waiting.recv() {
                let job = task.job;
                let begun = Instant::now();
                let outcome = place.run(&engine, task);
                let took = begun.elapsed();
                if done.send(Finished { job, took, outcome }).is_err() {
                    return;
                }
                tell();
            }
        })?;
        Ok(Self { tasks, finished: Mutex::new(finished) })
    }

    /// Queues a job. `false` when the thread is gone, which only a panic does.
    pub fn submit(&self, task: Task) -> bool {
        self.tasks.send(task).is_ok()
    }

    /// What is finished and was not taken yet.
    pub fn take(&self) -> Vec<Finished> {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.try_iter().collect()
    }
}

enum Running {
    Here(Box<Conducts>),
    Apart(Isolated),
}

impl Running {
    fn run(&mut self, engine: &Engine, task: Task) -> Result<Arc<Run>, RunFailure> {
        let (conduct, trace): (Arc<dyn Conduct>, Trace) = match self {
            Self::Here(conducts) => run_here(engine, &task, conducts.as_ref())?,
            Self::Apart(isolated) => {
                let trace = isolated.run(engine, &task.model, &task.input, task.input_root)?;
                (Arc::new(Honest), trace)
            }
        };
        Ok(Arc::new(Run::new(engine.clone(), task.model, conduct, trace)))
    }
}

fn run_here(
    engine: &Engine,
    task: &Task,
    conducts: &Conducts,
) -> Result<(Arc<dyn Conduct>, Trace), RunFailure> {
    let refused = |reason: String| RunFailure::Refused { reason };
    let model = &task.model;
    let input = published_input(model, &task.input, task.input_root)?;
    let honest = Runner::honest(engine, model).run(input.clone());
    let honest = honest.map_err(|error| refused(error.to_string()))?;
    let conduct = conducts(model, &honest).map_err(refused)?;
    let runner = Runner { engine, model, conduct: conduct.as_ref() };
    let trace = runner.run(input).map_err(|error| refused(error.to_string()))?;
    // A rehearsal that lies about nothing would look like a protocol that finds nothing.
    if trace.root() == honest.root() {
        let reason = "the lie changes nothing in this run (a zero or a maximum may hide it); choose \
                      another place or a larger change";
        return Err(refused(reason.to_owned()));
    }
    Ok((conduct, trace))
}
