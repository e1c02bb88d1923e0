//! Swarms: worlds made up from a seed, millions of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::hash::Commitment;

use crate::invariants::{Invariant, Sometimes, Violation};
use crate::rng::{Purpose, WorldRng, seed_of};
use crate::scenario::{
    CommitmentKind, Ordering, Outage, OutageKind, PartySpec, Scenario, ScenarioError, Side,
};
use crate::statistics::Tally;
use crate::strategy::{Entry, Numbers};
use crate::world::{Ended, Environment, World};

/// Challengers that each alone keep false claims from becoming final.
const GUARDIANS: [&str; 6] =
    ["prompt", "slow", "crash-prone", "torn-journal", "earliest-deadline", "largest-stake"];
const EXECUTORS: [&str; 5] =
    ["honest", "honest-publishing", "honest-slow", "honest-narrow", "honest-crash-prone"];
const COMPANIONS: [&str; 3] = ["sampling", "poor", "prompt"];

/// Makes up a scenario whose every honest party stays inside what the clocks allow, so that each
/// violation is a finding.
pub fn make_up<C: Commitment>(
    environment: &Environment<C>,
    dishonest: &[&'static str],
    seed: u64,
    commitment: CommitmentKind,
) -> Scenario {
    let mut rng = WorldRng::new(seed, Purpose::Scenario);
    let mut scenario = Scenario {
        name: format!("swarm-{seed:016x}"),
        seed,
        commitment,
        model: rng.below(environment.fixtures.models() as u64) as u32,
        jobs: rng.between(1, 3) as u32,
        job_every_ms: rng.between(500, 30_000),
        ..Scenario::default()
    };
    let deserted = rng.chance(40);
    if !deserted {
        let honest = rng.pick(&EXECUTORS).copied().unwrap_or("honest");
        scenario.party.push(PartySpec::new("executor", honest));
    }
    let guarded = !rng.chance(20);
    if guarded {
        let guardian = rng.pick(&GUARDIANS).copied().unwrap_or("prompt");
        scenario.party.push(PartySpec::new("guardian", guardian));
    }
    if rng.chance(300) {
        let companion = rng.pick(&COMPANIONS).copied().unwrap_or("prompt");
        scenario.party.push(PartySpec::new("companion", companion));
    }
    if deserted || rng.chance(100) {
        scenario.party.push(PartySpec::new("client", "client"));
    }
    for number in 0..rng.between(1, 3) {
        let Some(strategy) = rng.pick(dishonest).copied() else {
            continue;
        };
        let mut spec = PartySpec::new(&format!("attacker-{number}"), strategy);
        let most = if rng.chance(100) { 6 } else { 2 };
        spec.count = rng.between(1, most) as u32;
        // Who has few slots can follow few disputes at once (`docs/simulation.md`, capacity):
        // an attacker's money bounds how many it can open.
        spec.capital_milliether = Some(match rng.below(10) {
            0 => rng.between(50, 3_000),
            1 => 12_000,
            _ => 4_000,
        });
        scenario.party.push(spec);
    }
    faults(&mut rng, &mut scenario, guarded);
    // Few are served at once, so that others wait.
    if rng.chance(250) {
        scenario.parameters.served_max = Some(rng.between(1, 3) as u32);
    }
    scenario
}

/// Each fault is on or off for the whole world (swarm testing: Groce et al., ISSTA 2012).
fn faults(rng: &mut WorldRng, scenario: &mut Scenario, guarded: bool) {
    if rng.chance(300) {
        scenario.network.loss_permille = rng.between(1, 40) as u32;
    }
    if rng.chance(300) {
        scenario.network.duplicate_permille = rng.between(1, 200) as u32;
    }
    if rng.chance(200) {
        scenario.network.delay_ms_max = rng.between(300, 1_200);
    }
    if rng.chance(80) {
        scenario.ledger.reorganisation_permille = rng.between(5, 60) as u32;
        scenario.ledger.reorganisation_blocks = rng.between(1, 3) as u32;
    }
    scenario.ledger.ordering = match rng.below(6) {
        0 => Ordering::Fee,
        1 => Ordering::Builder,
        _ => Ordering::Fair,
    };
    // Where blocks are full, only who bids is served: full blocks without bids are censorship.
    if scenario.ledger.ordering == Ordering::Fee && rng.chance(500) {
        scenario.ledger.block_transactions = rng.between(6, 12) as u32;
    }
    if rng.chance(150) {
        let most = if rng.chance(500) { 2_000 } else { 500 };
        for spec in scenario.party.iter_mut().take(2) {
            spec.clock_skew_ms = rng.between(0, 2 * most) as i64 - most as i64;
        }
    }
    if rng.chance(150) {
        let kinds = [OutageKind::Censored, OutageKind::Partitioned, OutageKind::Crashed];
        let hit = if guarded && rng.chance(600) { "guardian" } else { "executor" };
        scenario.outage.push(Outage {
            party: hit.to_owned(),
            kind: rng.pick(&kinds).copied().unwrap_or(OutageKind::Censored),
            from_ms: rng.between(1_000, 60_000),
            for_ms: rng.between(1_000, 12_000),
            slices: rng.between(1, 4) as u32,
        });
    }
    if rng.chance(200) {
        scenario.faults_until_ms = rng.between(10_000, 90_000);
    }
}

/// What a strategy did over many worlds.
#[derive(Clone, Debug, Default)]
pub struct StrategyTally {
    /// Disputes that it took part in.
    pub disputes: u64,
    /// Those that ended as the truth demands.
    pub expected: u64,
    /// What each of its parties won, in ether.
    pub profit_ether: Tally,
    /// What all dishonest parties of its worlds won together, in ether; of honest strategies nothing.
    pub coalition_ether: Tally,
    /// Worlds in which a false claim of it became final.
    pub false_final: u64,
    /// Its outcomes.
    pub outcomes: BTreeMap<String, u64>,
}

/// What many worlds came to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Worlds.
    pub worlds: u64,
    /// Challenges that ended.
    pub disputes: u64,
    /// Transactions that reached a ledger.
    pub events: u64,
    /// Worlds that settled under the real commitment, and their disputes.
    pub real: (u64, u64),
    /// Over all worlds, whatever their order.
    pub log_hash: u64,
    /// Violations, each with the seed of its world.
    pub violations: Vec<(u64, CommitmentKind, Violation)>,
    /// How often each happened at least once in a world, in the order of [`Sometimes::ALL`].
    pub sometimes: Vec<u64>,
    /// How often each invariant was checked, in the order of [`Invariant::ALL`].
    pub checks: Vec<u64>,
    /// Each strategy.
    pub strategies: BTreeMap<String, StrategyTally>,
    /// Attacker's strategy against the guardian's: disputes that ended rightly, and all.
    pub pairs: BTreeMap<(String, String), (u64, u64)>,
    /// From post to finality, in seconds, of at most some ten thousand claims.
    pub finality_s: Vec<f64>,
    /// The world whose dispute took longest: its seed and time.
    pub slowest: Option<(u64, CommitmentKind, u64)>,
    /// Virtual time of all worlds.
    pub virtual_ms: u64,
}

/// Most samples kept for distributions.
const SAMPLES_MAX: usize = 20_000;

impl Totals {
    /// Adds a world.
    pub fn add(&mut self, scenario: &Scenario, ended: &Ended) {
        self.worlds += 1;
        self.disputes += ended.disputes;
        self.events += ended.events;
        self.virtual_ms += ended.end_ms;
        if scenario.commitment == CommitmentKind::Real {
            self.real = (self.real.0 + 1, self.real.1 + ended.disputes);
        }
        self.log_hash = self.log_hash.wrapping_add(seed_of(ended.log_hash, scenario.seed));
        for violation in &ended.violations {
            self.violations.push((scenario.seed, scenario.commitment, violation.clone()));
        }
        self.sometimes.resize(Sometimes::ALL.len(), 0);
        for (at, count) in self.sometimes.iter_mut().enumerate() {
            *count += (ended.sometimes >> at) & 1;
        }
        self.checks.resize(Invariant::ALL.len(), 0);
        for (all, one) in self.checks.iter_mut().zip(&ended.checks) {
            *all += one;
        }
        let guardian =
            ended.groups.iter().find(|group| group.honest && group.side == Side::Challenger);
        let dishonest = ended.groups.iter().filter(|group| !group.honest);
        let coalition_wei: i128 = dishonest.map(|group| group.profit_wei).sum();
        for group in &ended.groups {
            let tally = self.strategies.entry(group.strategy.clone()).or_default();
            tally.disputes += group.disputes.0;
            tally.expected += group.disputes.1;
            tally.profit_ether.add(group.profit_wei as f64 / 1e18);
            if !group.honest {
                tally.coalition_ether.add(coalition_wei as f64 / 1e18);
            }
            tally.false_final += u64::from(group.false_final);
            *tally.outcomes.entry(group.outcome.clone()).or_default() += 1;
            if let (false, Some(guardian)) = (group.honest, guardian) {
                let pair = (group.strategy.clone(), guardian.strategy.clone());
                let count = self.pairs.entry(pair).or_default();
                *count = (count.0 + group.disputes.1, count.1 + group.disputes.0);
            }
        }
        for time_ms in &ended.finality_ms {
            if self.finality_s.len() < SAMPLES_MAX {
                self.finality_s.push(*time_ms as f64 / 1e3);
            }
            if self.slowest.is_none_or(|(_, _, known_ms)| *time_ms > known_ms) {
                self.slowest = Some((scenario.seed, scenario.commitment, *time_ms));
            }
        }
    }

    /// Adds what other worlds came to.
    pub fn join(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.disputes += other.disputes;
        self.events += other.events;
        self.virtual_ms += other.virtual_ms;
        self.real = (self.real.0 + other.real.0, self.real.1 + other.real.1);
        self.log_hash = self.log_hash.wrapping_add(other.log_hash);
        self.violations.extend(other.violations);
        self.sometimes.resize(Sometimes::ALL.len(), 0);
        for (all, one) in self.sometimes.iter_mut().zip(&other.sometimes) {
            *all += one;
        }
        self.checks.resize(Invariant::ALL.len(), 0);
        for (all, one) in self.checks.iter_mut().zip(&other.checks) {
            *all += one;
        }
        for (name, tally) in other.strategies {
            let all = self.strategies.entry(name).or_default();
            all.disputes += tally.disputes;
            all.expected += tally.expected;
            all.profit_ether.join(&tally.profit_ether);
            all.coalition_ether.join(&tally.coalition_ether);
            all.false_final += tally.false_final;
            for (outcome, count) in tally.outcomes {
                *all.outcomes.entry(outcome).or_default() += count;
            }
        }
        for (pair, (right, of)) in other.pairs {
            let all = self.pairs.entry(pair).or_default();
            *all = (all.0 + right, all.1 + of);
        }
        let room = SAMPLES_MAX.saturating_sub(self.finality_s.len());
        self.finality_s.extend(other.finality_s.into_iter().take(room));
        // Equal times are decided by the seed, so that the order of the threads is not seen.
        let slower = |one: &(u64, CommitmentKind, u64)| (one.2, one.0);
        self.slowest = self.slowest.into_iter().chain(other.slowest).max_by_key(slower);
    }

    /// What never happened though it should.
    pub fn sometimes_missed(&self) -> Vec<&'static str> {
        let counts = Sometimes::ALL.iter().enumerate();
        counts
            .filter(|(at, _)| self.sometimes.get(*at).copied().unwrap_or(0) == 0)
            .map(|(_, what)| what.name())
            .collect()
    }
}

/// Names of the dishonest strategies.
pub fn dishonest<C: Commitment>(environment: &Environment<C>) -> Vec<&'static str> {
    names(environment, false).collect()
}

/// Names of the honest strategies.
pub fn honest<C: Commitment>(environment: &Environment<C>) -> BTreeSet<&'static str> {
    names(environment, true).collect()
}

fn names<C: Commitment>(
    environment: &Environment<C>,
    honest: bool,
) -> impl Iterator<Item = &'static str> {
    let entries = environment.catalogue.entries().iter();
    let is_honest = |entry: &Entry<C>| (entry.plan)(Numbers::of(&BTreeMap::new())).honest;
    entries.filter(move |entry| is_honest(entry) == honest).map(|entry| entry.name)
}

/// Plays one scenario to its end.
///
/// # Errors
/// When the scenario names what does not exist.
pub fn play<C: Commitment>(
    environment: &Arc<Environment<C>>,
    scenario: &Scenario,
    keep_log: bool,
    check_replay: bool,
) -> Result<Ended, ScenarioError> {
    let mut world = World::new(environment, scenario, scenario.seed)?;
    if keep_log {
        world.keep_log();
    }
    if check_replay {
        world.check_replay();
    }
    world.play();
    Ok(world.end())
}
