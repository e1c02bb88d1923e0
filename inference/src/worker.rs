//! A thread that runs models, so that answers in disputes never wait for a run.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::hash::Digest;

use crate::engine::Engine;
use crate::model::Model;
use crate::published::{PublishedError, published_input};
use crate::run::Run;
use crate::trace::{Conduct, Honest, Runner, Trace};

/// How to compute, given the honest trace: liars change what they first computed right.
pub type Conducts = dyn Fn(&Arc<Model>, &Trace) -> Result<Arc<dyn Conduct>, String> + Send + Sync;

/// One job to run.
#[derive(Debug)]
pub struct Task {
    /// The job.
    pub job: Digest,
    /// Its model.
    pub model: Arc<Model>,
    /// What its poster published, an .npz file.
    pub input: Vec<u8>,
    /// Root of its input state.
    pub input_root: Digest,
}

/// A finished run, or why there is none.
#[derive(Debug)]
pub struct Finished {
    /// The job.
    pub job: Digest,
    /// How long it took.
    pub took: Duration,
    /// The run.
    pub outcome: Result<Arc<Run>, PublishedError>,
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
    /// Starts the thread; it calls `tell` after each run. Without `conducts` it computes honestly.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        engine: Engine,
        conducts: Option<Box<Conducts>>,
        tell: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (tasks, waiting) = channel::<Task>();
        let (done, finished) = channel();
        std::thread::Builder::new().name("runs".to_owned()).spawn(move || {
            while let Ok(task) = waiting.recv() {
                let job = task.job;
                let begun = Instant::now();
                let outcome = run(&engine, task, conducts.as_deref());
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

fn run(
    engine: &Engine,
    task: Task,
    conducts: Option<&Conducts>,
) -> Result<Arc<Run>, PublishedError> {
    let Task { model, input, input_root, .. } = task;
    let input = published_input(engine, &model, input, input_root)?;
    let honest = Runner::honest(engine, &model).run(input.clone())?;
    let (conduct, trace): (Arc<dyn Conduct>, Trace) = match conducts {
        None => (Arc::new(Honest), honest),
        Some(conducts) => {
            let conduct =
                conducts(&model, &honest).map_err(|reason| PublishedError::Content { reason })?;
            let runner = Runner { engine, model: &model, conduct: conduct.as_ref() };
            let trace = runner.run(input)?;
            (conduct, trace)
        }
    };
    Ok(Arc::new(Run::new(engine.clone(), model, conduct, trace)))
}
