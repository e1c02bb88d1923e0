//! A thread that runs models for a daemon, so that answers in disputes never wait for a run.
//!
//! What strangers published is run in a process of its own ([`crate::isolated`]): whatever kills a run,
//! kills no daemon.

use std::collections::HashSet;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::hash::Digest;
use protocol::ids::JobId;

use crate::compute_policy::{ComputePolicy, Honest};
use crate::desk::{Desk, RunsJobs, Stopped};
pub use crate::desk::{Finished, Task};
use crate::engine::Engine;
pub use crate::failure::RunFailure;
use crate::isolated::{Isolated, Program};
use crate::model::Model;
use crate::partial::{Outcome, PartialTrace};
use crate::run::AnyRun;
use crate::runner::Runner;
use crate::sequence::{SequenceInput, SequenceRun};
use crate::state::State;
use crate::state_transfer::{published_input, state_bytes};
use crate::trace::Trace;

/// How to compute, given the honest trace: liars change what they first computed right.
pub type ComputePolicies =
    dyn Fn(&Arc<Model>, &Trace) -> Result<Arc<dyn ComputePolicy>, String> + Send + Sync;

/// Told of each job, once, whose run the compute policy does not change.
pub type WithoutEffect = dyn Fn(&JobId) + Send + Sync;

/// Where models are run.
pub enum Place {
    /// In this process, by this compute policy: for rehearsals, whose inputs are one's own. A run that it does
    /// not change is told, and honest.
    Here(Box<ComputePolicies>, Box<WithoutEffect>),
    /// In a process of its own, honestly.
    Apart(Program),
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(..) => formatter.write_str("Here"),
            Self::Apart(program) => formatter.debug_tuple("Apart").field(program).finish(),
        }
    }
}

/// A thread with a queue of jobs.
pub struct Worker {
    tasks: Sender<Task>,
    finished: Mutex<Receiver<Finished>>,
    stopped: Stopped,
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
        let stopped = Stopped::default();
        let heard = Arc::clone(&stopped);
        std::thread::Builder::new().name("runs".to_owned()).spawn(move || {
            let mut place = match place {
                Place::Here(compute_policies, hidden) => {
                    Running::Here(compute_policies, hidden, HashSet::new())
                }
                Place::Apart(program) => Running::Apart(Isolated::new(program), HashSet::new()),
            };
            Desk::new(engine, waiting, done, Box::new(tell), heard).serve(&mut place);
        })?;
        Ok(Self { tasks, finished: Mutex::new(finished), stopped })
    }

    /// Queues a job. `false` when the thread is gone, which only a panic does.
    pub fn submit(&self, task: Task) -> bool {
        // What stopped a run of the job that was over already stops no later one.
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).remove(&task.job);
        self.tasks.send(task).is_ok()
    }

    /// Ends a job's run before its next iteration: nobody needs more of it. It is then finished with what is made of
    /// it, or as [`RunFailure::Stopped`].
    pub fn stop(&self, job: JobId) {
        // Only whole entries are in it, so that a poisoned lock hides nothing.
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
    }

    /// What is finished and was not taken yet.
    pub fn take(&self) -> Vec<Finished> {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.try_iter().collect()
    }
}

/// Products and sums up to which the first run of a model in a process of its own is made here as well.
const COMPARED_MAX: u64 = 20_000_000_000;

enum Running {
    /// With the jobs whose runs were told to be honest ones.
    Here(Box<ComputePolicies>, Box<WithoutEffect>, HashSet<JobId>),
    /// With the models whose runs apart were compared with one here.
    Apart(Isolated, HashSet<Digest>),
}

/// That a run apart begins with the job's input and, if it is short and the first of its model, is what
/// this process computes: a program that was replaced while this one ran would show here.
fn compared(
    engine: &Engine,
    one: &Iteration<'_>,
    outcome: &Outcome,
    seen: &mut HashSet<Digest>,
) -> Result<(), RunFailure> {
    let wrong = |reason: String| Err(RunFailure::Wrong { reason });
    if outcome.state_roots().first() != Some(&one.input_root) {
        #[cfg(test)]
        cov_mark::hit!(run_apart_has_another_input);
        return wrong("it does not begin with the job's input".to_owned());
    }
    let model = one.model;
    if model.multiply_adds() > COMPARED_MAX || seen.contains(&model.root()) {
        return Ok(());
    }
    let input = published_input(model, one.input, one.input_root)?;
    let own = Runner::honest(engine, model).outcome(input);
    let own = own.map_err(|error| RunFailure::Refused { reason: error.to_string() })?;
    if !own.is_same(outcome) {
        #[cfg(test)]
        cov_mark::hit!(run_apart_has_another_trace);
        return wrong(format!("apart it gives {}, here {}", outcome.words(), own.words()));
    }
    seen.insert(model.root());
    Ok(())
}

/// One iteration to run.
struct Iteration<'a> {
    job: JobId,
    model: &'a Arc<Model>,
    input: &'a [u8],
    input_root: Digest,
}

impl RunsJobs for Running {
    /// Runs each iteration with what the one before it handed on.
    fn run(
        &mut self,
        engine: &Engine,
        task: Task,
        between: &mut dyn FnMut(&mut Self) -> bool,
    ) -> Result<Arc<SequenceRun>, RunFailure> {
        let Task { job, model, input, input_root, length, iterations, begun } = task;
        if let (Self::Here(..), 2..) = (&*self, length.iterations_max) {
            let reason = "rehearsed lies are for runs of one iteration".to_owned();
            return Err(RunFailure::Refused { reason });
        }
        if length.iterations_max == 1 {
            let one = Iteration { job, model: &model, input: &input, input_root };
            let run = self.iteration(engine, &one)?;
            return Ok(Arc::new(SequenceRun::of_run(run)));
        }
        let of = Arc::clone(&model);
        let mut step = |_, state: State| {
            if !between(self) {
                return Ok(None);
            }
            let (input, input_root) = (&state_bytes(&state)[..], state.root());
            let one = Iteration { job, model: &of, input, input_root };
            self.iteration(engine, &one).map(Some)
        };
        let made = match begun {
            Some(begun) => begun.continued(iterations, &mut step)?,
            None => {
                let first = SequenceInput::One(published_input(&model, &input, input_root)?);
                let (of, extent) = ((engine.clone(), model), (length, iterations));
                SequenceRun::compute_with(of, Arc::new(Honest), first, extent, &mut step)?
            }
        };
        if made.iterations() == 0 && !made.is_whole() {
            return Err(RunFailure::Stopped);
        }
        Ok(Arc::new(made))
    }
}

impl Running {
    fn iteration(&mut self, engine: &Engine, one: &Iteration<'_>) -> Result<AnyRun, RunFailure> {
        let (compute_policy, outcome): (Arc<dyn ComputePolicy>, Outcome) = match self {
            Self::Here(compute_policies, hidden, told) => {
                match run_here(engine, one, compute_policies.as_ref())? {
                    Rehearsed::False(compute_policy, trace) => {
                        (compute_policy, Outcome::Whole(trace))
                    }
                    Rehearsed::Honest(trace) => {
                        if told.insert(one.job) {
                            hidden(&one.job);
                        }
                        (Arc::new(Honest), Outcome::Whole(trace))
                    }
                    Rehearsed::NoResult(trace) => (Arc::new(Honest), Outcome::Partial(trace)),
                }
            }
            Self::Apart(isolated, seen) => {
                let before = isolated.started();
                let outcome = isolated.run(engine, one.model, one.input, one.input_root)?;
                if isolated.started() != before {
                    #[cfg(test)]
                    cov_mark::hit!(process_for_runs_is_a_new_one);
                    // Perhaps of a program that was replaced meanwhile.
                    seen.clear();
                }
                compared(engine, one, &outcome, seen)?;
                (Arc::new(Honest), outcome)
            }
        };
        Ok(AnyRun::new(engine.clone(), Arc::clone(one.model), compute_policy, outcome))
    }
}

/// What came of a rehearsed lie.
enum Rehearsed {
    False(Arc<dyn ComputePolicy>, Trace),
    /// It changed no state: the claim is true, and must be defended as one.
    Honest(Trace),
    /// The honest run has no result: there is nothing that a lie could change.
    NoResult(PartialTrace),
}

fn run_here(
    engine: &Engine,
    one: &Iteration<'_>,
    compute_policies: &ComputePolicies,
) -> Result<Rehearsed, RunFailure> {
    let refused = |reason: String| RunFailure::Refused { reason };
    let model = one.model;
    let input = published_input(model, one.input, one.input_root)?;
    let honest = Runner::honest(engine, model).outcome(input.clone());
    let honest = match honest.map_err(|error| refused(error.to_string()))? {
        Outcome::Whole(trace) => trace,
        Outcome::Partial(trace) => return Ok(Rehearsed::NoResult(trace)),
    };
    let compute_policy = compute_policies(model, &honest).map_err(refused)?;
    let runner = Runner { engine, model, compute_policy: compute_policy.as_ref() };
    let trace = runner.run(input).map_err(|error| refused(error.to_string()))?;
    if trace.root() == honest.root() {
        #[cfg(test)]
        cov_mark::hit!(lie_changed_nothing);
        Ok(Rehearsed::Honest(honest))
    } else {
        Ok(Rehearsed::False(compute_policy, trace))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::transaction::RunLength;

    use super::*;
    use crate::ModelStore;
    use crate::state_transfer::state_bytes;
    use crate::tensor::Tensor;

    /// The only iteration of a task.
    fn of(task: &Task) -> Iteration<'_> {
        let Task { job, model, input, input_root, .. } = task;
        Iteration { job: *job, model, input, input_root: *input_root }
    }

    #[test]
    fn a_lie_that_changes_nothing_is_told_once_for_each_job_and_its_run_is_an_honest_one() {
        cov_mark::check!(lie_changed_nothing);
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let engine = Engine::detect().unwrap();
        let model_store = ModelStore::read(&models, &engine).unwrap();
        let model = Arc::clone(model_store.named("digits-cnn").unwrap());
        let kind = &model.graph().inputs[0];
        let bits = vec![0x3F00_0000; kind.shape.count() as usize];
        let state: State = State::new(vec![(0, Tensor::from_bits(kind, &bits).unwrap())]).unwrap();
        let honest = Runner::honest(&engine, &model).run(state.clone()).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let mut place = Running::Here(
            Box::new(|_: &Arc<Model>, _: &Trace| {
                Ok::<_, String>(Arc::new(Honest) as Arc<dyn ComputePolicy>)
            }),
            Box::new(move |job: &JobId| heard.lock().unwrap().push(*job)),
            HashSet::new(),
        );
        let (one, other) = (JobId::default(), JobId(state.root()));
        for job in [one, one, other, one] {
            let input = state_bytes(&state);
            let task = Task {
                job,
                model: Arc::clone(&model),
                input,
                input_root: state.root(),
                length: RunLength::exactly(1),
                iterations: 1,
                begun: None,
            };
            assert_eq!(
                place.run(&engine, task, &mut |_| true).unwrap().trace_roots(),
                [honest.root()]
            );
        }
        assert_eq!(*told.lock().unwrap(), [one, other]);
    }

    #[test]
    fn a_run_that_is_not_of_the_jobs_input_is_wrong_and_the_model_of_a_true_one_is_remembered() {
        cov_mark::check!(run_apart_has_another_input);
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let engine = Engine::detect().unwrap();
        let model_store = ModelStore::read(&models, &engine).unwrap();
        let model = Arc::clone(model_store.named("digits-cnn").unwrap());
        let state = |bits: u64| -> State {
            let kind = &model.graph().inputs[0];
            let all = vec![bits; kind.shape.count() as usize];
            State::new(vec![(0, Tensor::from_bits(kind, &all).unwrap())]).unwrap()
        };
        let (asked, other) = (state(0x3F00_0000), state(0x3F80_0000));
        let task = |state: &State| Task {
            job: JobId::default(),
            model: Arc::clone(&model),
            input: state_bytes(state),
            input_root: state.root(),
            length: RunLength::exactly(1),
            iterations: 1,
            begun: None,
        };
        let run = |state: &State| Runner::honest(&engine, &model).outcome(state.clone()).unwrap();
        let mut seen = HashSet::new();
        let is_wrong = |outcome| matches!(outcome, Err(RunFailure::Wrong { .. }));
        assert!(is_wrong(compared(&engine, &of(&task(&asked)), &run(&other), &mut seen)));
        // What was published is not what the job's root says.
        let mut mixed = task(&asked);
        mixed.input_root = other.root();
        assert!(compared(&engine, &of(&mixed), &run(&other), &mut seen).is_err());
        assert!(seen.is_empty());
        compared(&engine, &of(&task(&asked)), &run(&asked), &mut seen).unwrap();
        assert!(seen.contains(&model.root()));
    }

    /// Commits to ones, whatever it computed.
    #[derive(Debug)]
    struct Liar;

    impl ComputePolicy for Liar {
        fn commit(&self, _: u32, values: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
            let other = |tensor: &Tensor| {
                let bits = vec![0x3F80_0000; tensor.shape().count() as usize];
                Tensor::from_bits(tensor.kind(), &bits).unwrap()
            };
            values.iter().map(|(value, tensor)| (*value, other(tensor))).collect()
        }
    }

    fn digits() -> (Engine, ModelStore, State) {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let engine = Engine::detect().unwrap();
        let model_store = ModelStore::read(&models, &engine).unwrap();
        let kind = model_store.named("digits-cnn").unwrap().graph().inputs[0].clone();
        let bits = vec![0x3F00_0000; kind.shape.count() as usize];
        let state = State::new(vec![(0, Tensor::from_bits(&kind, &bits).unwrap())]).unwrap();
        (engine, model_store, state)
    }

    #[test]
    fn a_false_run_of_the_right_input_is_wrong_and_its_model_is_compared_again() {
        cov_mark::check!(run_apart_has_another_trace);
        let (engine, model_store, state) = digits();
        let model = model_store.named("digits-cnn").unwrap();
        let (job, input) = (JobId::default(), state_bytes(&state));
        let task = Iteration { job, model, input: &input, input_root: state.root() };
        let liar = Runner { engine: &engine, model, compute_policy: &Liar };
        let (lie, mut seen) = (liar.outcome(state).unwrap(), HashSet::new());
        assert_eq!(lie.state_roots()[0], task.input_root);
        let outcome = compared(&engine, &task, &lie, &mut seen);
        let is_told =
            matches!(&outcome, Err(RunFailure::Wrong { reason }) if reason.contains("apart"));
        assert!(is_told, "{outcome:?}");
        assert!(seen.is_empty());
    }

    #[test]
    fn a_model_is_compared_once_with_each_process_for_runs() {
        let (engine, model_store, state) = digits();
        let model = model_store.named("digits-cnn").unwrap();
        let task = || {
            let (job, input) = (JobId::default(), state_bytes(&state));
            let (model, length) = (Arc::clone(model), RunLength::exactly(1));
            Task { job, model, input, input_root: state.root(), length, iterations: 1, begun: None }
        };
        let mut asked = vec![2];
        let body = [&model.root().0[..], &state.root().0, &state_bytes(&state)].concat();
        asked.extend((body.len() as u64).to_be_bytes());
        asked.extend(body);
        let mut answered = Vec::new();
        crate::isolated::serve(&model_store, &engine, asked.as_slice(), &mut answered).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), answered).unwrap();
        // Answers one run and ends.
        let program = Program {
            path: "/bin/cat".into(),
            arguments: vec![file.path().into()],
            start_max: Duration::from_secs(5),
            run_max: Duration::from_secs(5),
        };
        let mut place = Running::Apart(Isolated::new(program), HashSet::new());
        for _ in 0..2 {
            cov_mark::check!(process_for_runs_is_a_new_one);
            place.run(&engine, task(), &mut |_| true).unwrap();
            let Running::Apart(_, seen) = &place else { panic!("it runs apart") };
            assert!(seen.contains(&model.root()));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
