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
    /// How many of its first iterations are wanted, of an ordinary run one: no more are made.
    pub iterations: u32,
    /// What is made already of a run of many iterations; the input is not needed then.
    pub begun: Option<Arc<SequenceRun>>,
}

impl Task {
    /// Iterations that are made already.
    fn made(&self) -> u32 {
        self.begun.as_ref().map_or(0, |begun| begun.iterations())
    }

    /// Iterations that are still to be made.
    pub fn left(&self) -> u32 {
        self.iterations.saturating_sub(self.made())
    }
}

/// A finished run, or why there is none.
#[derive(Debug)]
pub struct Finished {
    /// The job.
    pub job: JobId,
    /// How long it took.
    pub took: Duration,
    /// How many iterations were made in that time; at least one is counted.
    pub iterations: u32,
    /// The run: whole, or up to an iteration and operator without a result, or up to the iteration that was wanted or
    /// before which it was stopped.
    pub outcome: Result<Arc<SequenceRun>, RunFailure>,
}

/// Who runs jobs.
pub(crate) trait RunsJobs {
    /// Runs a job; before each iteration of one with several, does what `between` says, which also says whether
    /// anybody still needs more of the job.
    fn run(
        &mut self,
        engine: &Engine,
        task: Task,
        between: &mut dyn FnMut(&mut Self) -> bool,
    ) -> Result<Arc<SequenceRun>, RunFailure>;
}

/// Jobs of whose runs nobody needs more.
pub(crate) type Stopped = Arc<Mutex<HashSet<JobId>>>;

/// What the thread for runs has before it.
pub(crate) struct Desk {
    engine: Engine,
    waiting: Receiver<Task>,
    done: Sender<Finished>,
    tell: Box<dyn Fn() + Send>,
    /// Jobs that came while another one was run, the first that came first.
    later: VecDeque<Task>,
    /// Time of all runs so far for which others were put aside.
    aside: Duration,
    stopped: Stopped,
}

impl Desk {
    /// What came in over `waiting` is run and goes out over `done`; `tell` is called after each.
    pub(crate) fn new(
        engine: Engine,
        waiting: Receiver<Task>,
        done: Sender<Finished>,
        tell: Box<dyn Fn() + Send>,
        stopped: Stopped,
    ) -> Self {
        let (later, aside) = (VecDeque::new(), Duration::ZERO);
        Self { engine, waiting, done, tell, later, aside, stopped }
    }

    fn is_stopped(&self, job: &JobId) -> bool {
        // Only whole entries are in it, so that a poisoned lock hides nothing.
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).contains(job)
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
        let (job, made, left) = (task.job, task.made(), task.left());
        let (begun, aside_before) = (Instant::now(), self.aside);
        let (engine, mut is_wanted) = (self.engine.clone(), true);
        let outcome = if self.is_stopped(&job) {
            Err(RunFailure::Stopped)
        } else {
            place.run(&engine, task, &mut |place| {
                is_wanted &= self.shorter(place, left);
                is_wanted && !self.is_stopped(&job)
            })
        };
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        let others = self.aside.saturating_sub(aside_before);
        let took = begun.elapsed().saturating_sub(others);
        self.aside = self.aside.saturating_add(took);
        let all = outcome.as_ref().map_or(0, |run| run.iterations());
        let iterations = all.saturating_sub(made).max(1);
        let is_sent = self.done.send(Finished { job, took, iterations, outcome }).is_ok();
        (self.tell)();
        is_wanted && is_sent
    }

    /// Runs what came meanwhile and has fewer iterations to make, also what was put aside for a shorter one. What was
    /// stopped before it began needs no place to run.
    fn shorter(&mut self, place: &mut impl RunsJobs, left: u32) -> bool {
        loop {
            self.later.extend(self.waiting.try_iter());
            let goes_first = |task: &Task| task.left() < left || self.is_stopped(&task.job);
            let first = self.later.iter().position(goes_first);
            let Some(task) = first.and_then(|at| self.later.remove(at)) else {
                return true;
            };
            if !self.work(place, task) {
                return false;
            }
        }
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
        /// Whose run is stopped in the third iteration of any.
        stops: Option<(Stopped, JobId)>,
    }

    impl Fake {
        fn new(sender: Option<Sender<Task>>, come: Vec<Task>) -> Self {
            Self { sender, come, begun: Vec::new(), ended: Vec::new(), stops: None }
        }
    }

    fn task(number: u8, iterations: u32) -> Task {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let engine = Engine::detect().unwrap();
        let store = crate::ModelStore::read(&models, &engine).unwrap();
        Task {
            job: JobId(Digest([number; 32])),
            model: Arc::clone(store.named("digits-cnn").unwrap()),
            input: Vec::new(),
            input_root: Digest::default(),
            length: RunLength::exactly(1_000),
            iterations,
            begun: None,
        }
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
            for iteration in 0..task.left() {
                if let (2, Some((stopped, job))) = (iteration, &self.stops) {
                    stopped.lock().unwrap().insert(*job);
                }
                if let Some(sender) = self.sender.take() {
                    self.come.drain(..).for_each(|one| sender.send(one).unwrap());
                }
                if task.length.iterations_max > 1 && !between(self) {
                    self.ended.push(iteration as u8 + 100);
                    return Err(RunFailure::Stopped);
                }
            }
            self.ended.push(number(&task));
            Err(RunFailure::Refused { reason: "a fake runs nothing".to_owned() })
        }
    }

    #[test]
    fn shorter_jobs_that_come_meanwhile_are_run_between_the_iterations_of_a_longer_one() {
        let engine = Engine::detect().unwrap();
        let (sender, waiting) = channel();
        let (done, finished) = channel();
        sender.send(task(1, 100)).unwrap();
        // How long a job lets a run be tells nothing: what is wanted of it does.
        let come = vec![task(2, 1), task(3, 100), task(4, 10), task(5, 1)];
        let mut fake = Fake::new(Some(sender), come);
        let stopped = Stopped::default();
        Desk::new(engine, waiting, done, Box::new(|| {}), stopped).serve(&mut fake);
        // The fifth came before the fourth's first iteration; the third is as long as the first.
        assert_eq!(fake.begun, [1, 2, 4, 5, 3]);
        assert_eq!(fake.ended, [2, 5, 4, 1, 3]);
        let order: Vec<u8> = finished.iter().map(|one| one.job.0.0[0]).collect();
        assert_eq!(order, [2, 5, 4, 1, 3]);
    }

    #[test]
    fn a_run_of_which_nobody_needs_more_ends_at_its_next_iteration_or_is_not_begun() {
        for (number, ended) in [(7, vec![8, 102]), (8, vec![7])] {
            let engine = Engine::detect().unwrap();
            let (sender, waiting) = channel();
            let (done, finished) = channel();
            sender.send(task(7, 10)).unwrap();
            // A stopped one comes back though a longer one is under way.
            let come = vec![task(8, if number == 7 { 1 } else { 20 })];
            let mut fake = Fake::new(Some(sender), come);
            let stopped = Stopped::default();
            fake.stops = Some((Arc::clone(&stopped), JobId(Digest([number; 32]))));
            Desk::new(engine, waiting, done, Box::new(|| {}), Arc::clone(&stopped))
                .serve(&mut fake);
            assert_eq!(fake.ended, ended);
            let outcomes: Vec<_> =
                finished.iter().map(|one| (one.job.0.0[0], one.outcome)).collect();
            let is_stopped = |one: &(u8, Result<_, RunFailure>)| {
                (one.0, matches!(one.1, Err(RunFailure::Stopped)))
            };
            let mut found: Vec<(u8, bool)> = outcomes.iter().map(is_stopped).collect();
            found.sort_unstable();
            assert_eq!(found, [(7, number == 7), (8, number == 8)]);
            assert!(stopped.lock().unwrap().is_empty());
        }
    }
}
