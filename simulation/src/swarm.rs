//! Swarms: what many made-up worlds come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::hash::Commitment;

use crate::invariants::{Invariant, Sometimes, Violation};
use crate::made_up::has_chaos;
use crate::rng::seed_of;
use crate::scenario::{CommitmentKind, Scenario, ScenarioError, Side};
use crate::statistics::Tally;
use crate::world::{Ended, Environment, World};
use crate::worst_cases::WorstCases;

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
    /// Worlds with parties that draw among all that is legal, and their disputes.
    pub chaos: (u64, u64),
    /// Worlds with a hostile model, hidden inputs, or parameters of their own, and their disputes.
    pub hostile: (u64, u64),
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
    /// What came nearest to the bounds of money and time.
    pub worst_cases: WorstCases,
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
        self.worst_cases.join(&ended.worst_cases);
        if scenario.commitment == CommitmentKind::Real {
            self.real = (self.real.0 + 1, self.real.1 + ended.disputes);
        }
        if has_chaos(scenario) {
            self.chaos = (self.chaos.0 + 1, self.chaos.1 + ended.disputes);
        }
        if ended.hostile {
            self.hostile = (self.hostile.0 + 1, self.hostile.1 + ended.disputes);
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
        self.worst_cases.join(&other.worst_cases);
        self.real = (self.real.0 + other.real.0, self.real.1 + other.real.1);
        self.chaos = (self.chaos.0 + other.chaos.0, self.chaos.1 + other.chaos.1);
        self.hostile = (self.hostile.0 + other.hostile.0, self.hostile.1 + other.hostile.1);
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
