//! Both environments: toy worlds for volume, worlds of real models for a share of the seeds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Mutex, PoisonError};

use inference::Engine;
use protocol::hash::Keccak;

use crate::check::check;
use crate::fixtures::{FixtureError, Fixtures, TOY_SIZES};
use crate::made_up::{Shares, dishonest, make_up};
use crate::rng::seed_of;
use crate::scenario::{CommitmentKind, Scenario, ScenarioError};
use crate::strategy::Catalogue;
use crate::swarm::{Totals, play};
use crate::toy::Toy;
use crate::world::{Ended, Environment, World};

/// A real model with some inputs by name.
pub type RealModel = crate::fixtures::ModelWithInputs<Keccak>;

/// The worlds that scenarios can be played in. Clones share what they have computed.
#[derive(Clone, Debug)]
pub struct Environments {
    toy: Arc<Environment<Toy>>,
    real: Option<Arc<Environment<Keccak>>>,
}

impl Environments {
    /// Toy worlds, and worlds of these real models if there are any.
    ///
    /// # Errors
    /// When a toy model cannot be made.
    pub fn new(engine: &Engine, models: Vec<RealModel>) -> Result<Self, FixtureError> {
        let fixtures = Fixtures::of_toys(engine.clone(), &TOY_SIZES)?;
        let toy = Arc::new(Environment { fixtures, catalogue: Catalogue::default() });
        let real = (!models.is_empty()).then(|| {
            let fixtures = Fixtures::of_models(engine.clone(), models);
            Arc::new(Environment { fixtures, catalogue: Catalogue::default() })
        });
        Ok(Self { toy, real })
    }

    /// The toy worlds.
    pub fn toy(&self) -> &Arc<Environment<Toy>> {
        &self.toy
    }

    /// The worlds of real models.
    ///
    /// # Errors
    /// When no real model was given.
    pub fn real(&self) -> Result<&Arc<Environment<Keccak>>, FixtureError> {
        self.real.as_ref().ok_or(FixtureError::Missing { what: "real models".to_owned() })
    }

    /// Adds a strategy of your own to the toy worlds.
    pub fn add_toy_strategy(&mut self, entry: crate::strategy::Entry<Toy>) {
        match Arc::get_mut(&mut self.toy) {
            Some(environment) => environment.catalogue.add(entry),
            None => tracing::warn!("the environment is in use; add strategies before playing"),
        }
    }

    /// Plays one scenario to its end.
    ///
    /// # Errors
    /// When the scenario names what does not exist.
    pub fn play(&self, scenario: &Scenario, keep_log: bool) -> Result<Ended, ScenarioError> {
        match scenario.commitment {
            CommitmentKind::Toy => play(&self.toy, scenario, keep_log, true),
            CommitmentKind::Real => play(self.real()?, scenario, keep_log, true),
        }
    }

    /// Plays one scenario to its end and notes which states it reaches.
    ///
    /// # Errors
    /// When the scenario names what does not exist, or is one of real models.
    pub fn play_for_shapes(&self, scenario: &Scenario) -> Result<Ended, ScenarioError> {
        let mut world = World::new(&self.toy, scenario, scenario.seed)?;
        world.note_shapes();
        world.play();
        Ok(world.end())
    }

    /// Checks what a scenario file says of strategies and models; [`Environments::play`] does not.
    ///
    /// # Errors
    /// When it names a strategy, a number or a lie's place that its world does not have.
    pub fn check(&self, scenario: &Scenario) -> Result<(), ScenarioError> {
        match scenario.commitment {
            CommitmentKind::Toy => check(&self.toy, scenario),
            CommitmentKind::Real => check(self.real()?, scenario),
        }
    }

    /// The scenario of a swarm's seed.
    ///
    /// # Errors
    /// When real worlds are wanted and no real model was given.
    pub fn made_up(&self, seed: u64, kind: CommitmentKind) -> Result<Scenario, ScenarioError> {
        Ok(match kind {
            CommitmentKind::Toy => {
                make_up(&self.toy, &dishonest(&self.toy), seed, kind, Shares::default())
            }
            CommitmentKind::Real => {
                make_up(self.real()?, &dishonest(self.real()?), seed, kind, Shares::default())
            }
        })
    }
}

/// How a swarm is played.
#[derive(Clone, Copy, Debug)]
pub struct SwarmPlan {
    /// Decides everything.
    pub seed: u64,
    /// Threads; never changes what is found.
    pub threads: usize,
    /// Worlds under the real commitment, in thousandths.
    pub real_permille: u32,
    /// Which worlds have chaos and hostile models; the default where worlds are to be played again by their seeds
    /// alone.
    pub shares: Shares,
    /// Worlds; `None` for as many as the caller lets start.
    pub worlds: Option<u64>,
}

/// Worlds that one thread plays between two looks at the clock.
const BATCH: u64 = 64;

struct Progress {
    next: u64,
    early: BTreeMap<u64, Totals>,
    totals: Totals,
    failure: Option<ScenarioError>,
}

/// Plays a swarm. `go_on` is asked before each batch, with what is known so far.
///
/// The totals of the same number of worlds are the same on any number of threads.
///
/// # Errors
/// When a world cannot be set up.
pub fn swarm(
    environments: &Environments,
    plan: &SwarmPlan,
    go_on: &(dyn Fn(&Totals) -> bool + Sync),
) -> Result<Totals, ScenarioError> {
    let next_batch = AtomicU64::new(0);
    let progress = Mutex::new(Progress {
        next: 0,
        early: BTreeMap::new(),
        totals: Totals::default(),
        failure: None,
    });
    let lock = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.max(1) {
            scope.spawn(|| {
                loop {
                    {
                        let known = lock();
                        if known.failure.is_some() || !go_on(&known.totals) {
                            return;
                        }
                    }
                    let batch = next_batch.fetch_add(1, Atomic::Relaxed);
                    let first = batch * BATCH;
                    let last = (first + BATCH).min(plan.worlds.unwrap_or(u64::MAX));
                    if first >= last {
                        return;
                    }
                    let played = play_batch(environments, plan, first..last);
                    let mut known = lock();
                    match played {
                        Ok(totals) => drop(known.early.insert(batch, totals)),
                        Err(error) => known.failure = Some(error),
                    }
                    // In the order of the worlds, so that sums do not depend on the threads.
                    loop {
                        let next = known.next;
                        let Some(totals) = known.early.remove(&next) else { break };
                        known.totals.join(totals);
                        known.next += 1;
                    }
                }
            });
        }
    });
    let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    match progress.failure {
        Some(error) => Err(error),
        None => {
            let mut totals = progress.totals;
            progress.early.into_values().for_each(|late| totals.join(late));
            Ok(totals)
        }
    }
}

fn play_batch(
    environments: &Environments,
    plan: &SwarmPlan,
    worlds: std::ops::Range<u64>,
) -> Result<Totals, ScenarioError> {
    let toy_names = dishonest(&environments.toy);
    let mut totals = Totals::default();
    for index in worlds {
        let seed = seed_of(plan.seed, index);
        let real = seed_of(seed, 1) % 1000 < u64::from(plan.real_permille);
        // One world in 64 is replayed from its transactions.
        let check_replay = index % 64 == 0;
        let (scenario, ended) = if real {
            let environment = environments.real()?;
            let names = dishonest(environment);
            let scenario = make_up(environment, &names, seed, CommitmentKind::Real, plan.shares);
            let ended = play(environment, &scenario, false, check_replay)?;
            (scenario, ended)
        } else {
            let (toy, kind) = (&environments.toy, CommitmentKind::Toy);
            let scenario = make_up(toy, &toy_names, seed, kind, plan.shares);
            let ended = play(&environments.toy, &scenario, false, check_replay)?;
            (scenario, ended)
        };
        totals.add(&scenario, &ended);
    }
    Ok(totals)
}
