//! One game, many games, and the shortest that still goes wrong.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use crate::checks::check_records;
use crate::draw::{Draw, mixed};
use crate::world::{Verdict, World};

/// Games of one test run, and the seed of the first.
pub(crate) const PLAYS: u64 = 2_000;
pub(crate) const SEED: u64 = 1;
/// Most threads that play.
const THREADS: usize = 2;

/// All actions, by name.
pub(crate) const ACTIONS: [&str; 22] = [
    "deposit",
    "withdraw",
    "register-model",
    "post-job",
    "expire-job",
    "post-claim",
    "challenge",
    "demand",
    "reveal",
    "refute",
    "call-time",
    "finalise",
    "seal-claim",
    "attest",
    "open-claim",
    "prove-attention",
    "expire-seal",
    "withdraw-challenge",
    "collect",
    "release",
    "pass",
    "collect-attention",
];

/// What as many games as one test run has must have reached, beside every kind of move. (A leaf that is never stored
/// is convicted once in a thousand games.)
pub(crate) const REACHED: &[&str] = &[
    "fraud Step",
    "fraud Binding",
    "fraud Carry",
    "fraud StateValue",
    "fraud Link",
    "fraud Entry",
    "fraud Stop",
    "sound Step",
    "sound Binding",
    "sound Carry",
    "sound StateValue",
    "sound Leaf",
    "sound Link",
    "sound Entry",
    "sound Stop",
];

/// Time passes, and somebody moves or nobody does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Decides both, whatever other steps are left out.
    number: u64,
    acts: bool,
}

/// A game that went wrong.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

/// A game that was played.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) failure: Option<String>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) told: Vec<String>,
}

/// The steps of a game.
pub(crate) fn steps_of(seed: u64) -> Vec<Step> {
    let count = 20 + mixed(&[seed, 1]) % 180;
    (0..count).map(|place| Step { number: mixed(&[seed, 2, place]), acts: true }).collect()
}

fn play_steps(world: &mut World, steps: &[Step]) -> Verdict {
    for step in steps {
        let mut draw = Draw::new(step.number);
        let waits_ms = world.habits.waits_ms;
        world.wait(draw.of(waits_ms))?;
        if !step.acts {
            continue;
        }
        let Some((kind, one)) = world.draw_move(&mut draw) else { continue };
        world.brings_wei = if draw.one_in(16) { world.limits().transfer_wei_min } else { 0 };
        match world.send(one.who, &one.action)? {
            Some(rejection) if one.is_legal => {
                return Err(format!("{kind:?} is legal, and refused: {rejection}"));
            }
            Some(_) => {}
            None => *world.counts.entry(format!("{kind:?}")).or_default() += 1,
        }
    }
    check_records(&world.state);
    world.habits.lazy_ms = 0;
    world.end()
}

thread_local! {
    /// Whether this thread plays: what panics then is reported by the game.
    static PLAYS_NOW: Cell<bool> = const { Cell::new(false) };
}

/// Panics of games say nothing by themselves.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !PLAYS_NOW.get() {
                others(panic);
            }
        }));
    });
}

/// Plays a game; tells what happens if it is to.
pub(crate) fn play(seed: u64, steps: &[Step], tells: bool) -> Played {
    let mut counts = BTreeMap::new();
    let mut told = Vec::new();
    let run = || -> Verdict {
        let mut world = World::new(seed)?;
        world.told = tells.then(Vec::new);
        // What was told is wanted also of a game that ends in a panic.
        let verdict = catch_unwind(AssertUnwindSafe(|| play_steps(&mut world, steps)));
        counts = std::mem::take(&mut world.counts);
        told = world.told.take().unwrap_or_default();
        verdict.unwrap_or_else(|panic| Err(text_of(panic.as_ref())))
    };
    hush();
    PLAYS_NOW.set(true);
    let verdict = catch_unwind(AssertUnwindSafe(run));
    PLAYS_NOW.set(false);
    let verdict = verdict.unwrap_or_else(|panic| Err(text_of(panic.as_ref())));
    Played { failure: verdict.err(), counts, told }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("panic: {}", text.unwrap_or_default())
}

/// Games that were played.
#[derive(Debug, Default)]
pub(crate) struct All {
    pub(crate) games: u64,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) found: Option<Found>,
}

/// Plays games until one goes wrong, all are played, or the time is over.
pub(crate) fn play_all(first: u64, plays: u64, most: Duration) -> All {
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let all: Mutex<All> = Mutex::default();
    let work = || {
        while begun.elapsed() < most && all.lock().unwrap().found.is_none() {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= plays {
                return;
            }
            let seed = first.wrapping_add(place);
            let steps = steps_of(seed);
            let played = play(seed, &steps, false);
            let mut all = all.lock().unwrap();
            all.games += 1;
            for (name, count) in played.counts {
                *all.counts.entry(name).or_default() += count;
            }
            if played.failure.is_some() {
                all.found.get_or_insert(Found { seed, steps });
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    all.into_inner().unwrap()
}

/// What went wrong, without numbers and ids.
fn kind_of(failure: Option<&String>) -> Option<&str> {
    failure.and_then(|text| text.split(|one: char| one.is_ascii_digit()).next())
}

/// Leaves out steps, and then moves, while the game still goes wrong in the same way; returns what is left, as text.
pub(crate) fn shrink(seed: u64, mut steps: Vec<Step>) -> String {
    let first = play(seed, &steps, false).failure;
    let wanted = kind_of(first.as_ref());
    let fails = |steps: &[Step]| kind_of(play(seed, steps, false).failure.as_ref()) == wanted;
    let begun = Instant::now();
    let mut size = steps.len().div_ceil(2).max(1);
    while begun.elapsed() < Duration::from_secs(20) {
        let (mut place, mut shorter) = (0, false);
        while place < steps.len() {
            let mut less = steps.clone();
            less.drain(place..(place + size).min(steps.len()));
            if fails(&less) {
                (steps, shorter) = (less, true);
            } else {
                place += size;
            }
        }
        if size == 1 && !shorter {
            break;
        }
        size = size.div_ceil(2).max(1);
    }
    for place in 0..steps.len() {
        let mut less = steps.clone();
        less[place].acts = false;
        if fails(&less) {
            steps = less;
        }
    }
    let Played { failure, told, .. } = play(seed, &steps, true);
    let (failure, left) = (failure.unwrap_or_default(), steps.iter().filter(|one| one.acts));
    format!("{failure}\n{} moves of others are left:\n{}", left.count(), told.join("\n"))
}
