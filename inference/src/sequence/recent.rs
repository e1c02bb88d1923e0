//! Iterations that were looked at last.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::hash::Commitment;

use crate::run::AnyRun;
use crate::state::State;

/// Iterations whose runs are in memory at once: so many, or as many as have so many bytes of states.
const RECENT_MAX: usize = 16;
const RECENT_BYTES_MAX: u64 = 32 << 20;

/// What was looked at, the last one last.
type Seen<T> = VecDeque<(u32, T)>;

/// Runs of iterations that were looked at last, and what others begin with that were computed again: of some many more
/// than of which a run is in memory, so that looking at them in turns passes nothing on again.
#[derive(Debug)]
pub(super) struct Recent<C: Commitment> {
    runs: Mutex<Seen<AnyRun<C>>>,
    beginnings: Mutex<Seen<State<C>>>,
}

impl<C: Commitment> Default for Recent<C> {
    fn default() -> Self {
        Self { runs: Mutex::default(), beginnings: Mutex::default() }
    }
}

impl<C: Commitment> Clone for Recent<C> {
    fn clone(&self) -> Self {
        let runs = Mutex::new(locked(&self.runs).clone());
        Self { runs, beginnings: Mutex::new(locked(&self.beginnings).clone()) }
    }
}

/// Only whole entries are in these lists, so that a poisoned lock hides nothing.
fn locked<T>(seen: &Mutex<T>) -> MutexGuard<'_, T> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one of an iteration, which is now the last that was looked at.
fn looked_at<T: Clone>(seen: &mut Seen<T>, iteration: u32) -> Option<T> {
    let place = seen.iter().position(|(at, _)| *at == iteration)?;
    let found = seen.remove(place)?;
    seen.push_back(found.clone());
    Some(found.1)
}

/// Adds one; lets go of those that were looked at longest ago, as far as there are too many or too many bytes.
fn add<T>(seen: &mut Seen<T>, (iteration, one): (u32, T), most: usize, bytes: impl Fn(&T) -> u64) {
    if seen.iter().any(|(at, _)| *at == iteration) {
        return;
    }
    seen.push_back((iteration, one));
    while seen.len() > 1 {
        let all = seen.iter().map(|(_, one)| bytes(one)).fold(0, u64::saturating_add);
        if seen.len() <= most && all <= RECENT_BYTES_MAX {
            break;
        }
        seen.pop_front();
    }
}

impl<C: Commitment> Recent<C> {
    /// The run of an iteration was made.
    pub(super) fn remember(&self, iteration: u32, run: AnyRun<C>) {
        let bytes =
            |run: &AnyRun<C>| run.states().iter().map(State::bytes).fold(0, u64::saturating_add);
        add(&mut locked(&self.runs), (iteration, run), RECENT_MAX, bytes);
    }

    /// What an iteration begins with was computed again.
    pub(super) fn remember_beginning(&self, iteration: u32, begins: &State<C>) {
        let one = (iteration, begins.clone());
        add(&mut locked(&self.beginnings), one, usize::MAX, State::bytes);
    }

    /// The run of an iteration.
    pub(super) fn run(&self, iteration: u32) -> Option<AnyRun<C>> {
        looked_at(&mut locked(&self.runs), iteration)
    }

    /// Whether the run of an iteration is in memory.
    pub(super) fn has(&self, iteration: u32) -> bool {
        locked(&self.runs).iter().any(|(at, _)| *at == iteration)
    }

    /// What the nearest iteration up to this one begins with, of those computed again.
    pub(super) fn beginning(&self, iteration: u32) -> Option<(u32, State<C>)> {
        let mut beginnings = locked(&self.beginnings);
        let nearest = beginnings.iter().map(|(at, _)| *at).filter(|at| *at <= iteration).max()?;
        Some((nearest, looked_at(&mut beginnings, nearest)?))
    }

    /// The nearest iteration before this one whose run is in memory, and what it ended with.
    pub(super) fn end_before(&self, iteration: u32) -> Option<(u32, State<C>)> {
        let runs = locked(&self.runs);
        let (at, run) = runs.iter().filter(|(at, _)| *at < iteration).max_by_key(|(at, _)| *at)?;
        Some((*at, run.states().last()?.clone()))
    }
}
