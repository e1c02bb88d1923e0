//! The jobs that a thread for runs has before it, and in which order it runs them.

use std::collections::{HashSet, VecDeque};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::hash::Digest;
use protocol::ids::JobId;
use protocol::transaction::RunLength;

use crate::engine::Engine;
use crate::failure::RunFailure;
use crate::model::Model;
use crate::sequence::SequenceRun;

/// One job to run.
#[derive(Debug)]
pub struct Task {
    /// The job.
    pub job: JobId,
    /// Its model.
    pub model: Arc<Model>,
    /// What its poster published.
    pub input: Vec<u8>,
    /// Root of its input state.
    pub input_root: Digest,
    /// How long the run may be.
    pub length: RunLength,
}

/// A finished run, or why there is none.
#[derive(Debug)]
pub struct Finished {
    /// The job.
    pub job: JobId,
    /// How long it took.
    pub took: Duration,
    /// The run: whole, or up to an iteration and operator without a result.
    pub outcome: Result<Arc<SequenceRun>, RunFailure>,
}

/// Who runs jobs.
pub(crate) trait RunsJobs {
    /// Runs a job; before each iteration of one with several, does what `between` says, which also says whether
    /// anybody still needs the job.
    fn run(
        &mut self,
        engine: &Engine,
        task: Task,
        between: &mut dyn FnMut(&mut Self) -> bool,
    ) -> Result<Arc<SequenceRun>, RunFailure>;
}

/// Jobs whose runs nobody needs any more.
pub(crate) type Cancelled = Arc<Mutex<HashSet<JobId>>>;

/// What the thread for runs has before it.
pub(crate) struct Desk {
    engine: Engine,
    waiting: Receiver<Task>,
    done: Sender<Finished>,
    tell: Box<dyn Fn() + Send>,
    /// Jobs of as many iterations as one that was under way when they came, or of more.
    later: VecDeque<Task>,
    /// Time of all runs so far for which others were put aside.
    aside: Duration,
    cancelled: Cancelled,
}

impl Desk {
    /// What came in over `waiting` is run and goes out over `done`; `tell` is called after each.
    pub(crate) fn new(
        engine: Engine,
        waiting: Receiver<Task>,
        done: Sender<Finished>,
        tell: Box<dyn Fn() + Send>,
        cancelled: Cancelled,
    ) -> Self {
        let (later, aside) = (VecDeque::new(), Duration::ZERO);
        Self { engine, waiting, done, tell, later, aside, cancelled }
    }

    fn is_cancelled(&self, job: &JobId) -> bool {
        // Only whole entries are in it, so that a poisoned lock hides nothing.
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner).contains(job)
    }

    /// Runs jobs until none can come any more, or nobody wants runs.
    pub(crate) fn serve(&mut self, place: &mut impl RunsJobs) {
        while let Some(task) = self.next() {
            if !self.work(place, task) {
                return;
            }
        }
    }

    fn next(&mut self) -> Option<Task> {
        self.later.pop_front().or_else(|| self.waiting.recv().ok())
    }

    /// Runs a job. Between its iterations shorter jobs that came meanwhile are run: a long one keeps nobody from a
    /// claim whose time for challenges ends. `false` when nobody wants runs any more.
    fn work(&mut self, place: &mut impl RunsJobs, task: Task) -> bool {
        let (job, iterations_max) = (task.job, task.length.iterations_max);
        let (begun, aside_before) = (Instant::now(), self.aside);
        let (engine, mut is_wanted) = (self.engine.clone(), true);
        let outcome = place.run(&engine, task, &mut |place| {
            is_wanted &= self.shorter(place, iterations_max);
            is_wanted && !self.is_cancelled(&job)
        });
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        let others = self.aside.saturating_sub(aside_before);
        let took = begun.elapsed().saturating_sub(others);
        self.aside = self.aside.saturating_add(took);
        let is_sent = self.done.send(Finished { job, took, outcome }).is_ok();
        (self.tell)();
        is_wanted && is_sent
    }

    /// Runs what came meanwhile and has fewer iterations.
    fn shorter(&mut self, place: &mut impl RunsJobs, iterations_max: u32) -> bool {
        while let Ok(task) = self.waiting.try_recv() {
            if task.length.iterations_max >= iterations_max {
                self.later.push_back(task);
            } else if !self.work(place, task) {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Runs nothing, and notes what it was asked to run; other jobs come in with the first iteration.
    struct Fake {
        sender: Option<Sender<Task>>,
        come: Vec<Task>,
        begun: Vec<u8>,
        ended: Vec<u8>,
    }

    fn number(task: &Task) -> u8 {
        task.job.0.0[0]
    }

    impl RunsJobs for Fake {
        fn run(
            &mut self,
            _engine: &Engine,
            task: Task,
            between: &mut dyn FnMut(&mut Self) -> bool,
        ) -> Result<Arc<SequenceRun>, RunFailure> {
            self.begun.push(number(&task));
            for _ in 0..task.length.iterations_max {
                if let Some(sender) = self.sender.take() {
                    self.come.drain(..).for_each(|one| sender.send(one).unwrap());
                }
                if task.length.iterations_max > 1 && !between(self) {
                    self.ended.push(0);
                    return Err(RunFailure::Refused { reason: "nobody needs it".to_owned() });
                }
            }
            self.ended.push(number(&task));
            Err(RunFailure::Refused { reason: "a fake runs nothing".to_owned() })
        }
    }

    #[test]
    fn shorter_jobs_that_come_meanwhile_are_run_between_the_iterations_of_a_longer_one() {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let engine = Engine::detect().unwrap();
        let store = crate::ModelStore::read(&models, &engine).unwrap();
        let model = Arc::clone(store.named("digits-cnn").unwrap());
        let task = |number: u8, iterations: u32| Task {
            job: JobId(Digest([number; 32])),
            model: Arc::clone(&model),
            input: Vec::new(),
            input_root: Digest::default(),
            length: RunLength::exactly(iterations),
        };
        let (sender, waiting) = channel();
        let (done, finished) = channel();
        sender.send(task(1, 100)).unwrap();
        let come = vec![task(2, 1), task(3, 100), task(4, 10), task(5, 1)];
        let (begun, ended) = (Vec::new(), Vec::new());
        let mut fake = Fake { sender: Some(sender), come, begun, ended };
        let cancelled = Cancelled::default();
        Desk::new(engine, waiting, done, Box::new(|| {}), cancelled).serve(&mut fake);
        // The fifth came before the fourth's first iteration; the third is as long as the first.
        assert_eq!(fake.begun, [1, 2, 4, 5, 3]);
        assert_eq!(fake.ended, [2, 5, 4, 1, 3]);
        let order: Vec<u8> = finished.iter().map(|one| one.job.0.0[0]).collect();
        assert_eq!(order, [2, 5, 4, 1, 3]);
    }

    #[test]
    fn a_run_that_nobody_needs_any_more_ends_at_its_next_iteration() {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let engine = Engine::detect().unwrap();
        let store = crate::ModelStore::read(&models, &engine).unwrap();
        let model = store.named("digits-cnn").unwrap();
        let long = JobId(Digest([7; 32]));
        let (sender, waiting) = channel();
        let (done, finished) = channel();
        for (job, iterations) in [(long, 1_000), (JobId(Digest([8; 32])), 1)] {
            let (model, input, input_root) = (Arc::clone(model), Vec::new(), Digest::default());
            let length = RunLength::exactly(iterations);
            sender.send(Task { job, model, input, input_root, length }).unwrap();
        }
        drop(sender);
        let mut fake =
            Fake { sender: None, come: Vec::new(), begun: Vec::new(), ended: Vec::new() };
        let cancelled = Cancelled::default();
        cancelled.lock().unwrap().insert(long);
        let kept = Arc::clone(&cancelled);
        Desk::new(engine, waiting, done, Box::new(|| {}), cancelled).serve(&mut fake);
        // The second, a short one, was run between; the long one ended there.
        assert_eq!(fake.ended, [8, 0]);
        assert_eq!(finished.iter().count(), 2);
        assert!(kept.lock().unwrap().is_empty());
    }
}
